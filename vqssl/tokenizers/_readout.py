"""From tokens to one vector per series: pools, autocovariances and code frequencies."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vqssl.tokenizers._autocovariance import autocovariance_width, autocovariances
from vqssl.tokenizers._grid import GRID_PARTS, PLACE_PARTS, GridPlan
from vqssl.tokenizers._windows import PARTS, windows

# The whole series, its halves, quarters and eighths.
_SCALES = PARTS
_WINDOWS = sum(_SCALES)
_STATISTICS = 3  # mean, maximum, deviation
_POOLS = _WINDOWS * _STATISTICS

# Windows of every scale, by the number of axes that tokens lie along: series, images.
_WINDOWS_BY_SCALE = {1: _SCALES, 2: tuple(parts**2 for parts in GRID_PARTS)}

# Places of images whose vectors are averaged, and the weight of these means.
_PLACES = {1: 0, 2: PLACE_PARTS**2}
_PLACES_WEIGHT = 4.0

# Principal axes of the codebook that latents are pooled along, beside their own D axes; the
# weight of those pools; and the share of the largest variance below which an axis is rounding.
_AXES = 24
_AXES_WEIGHT = 2.0
_ROUNDING = 1e-6

# Numbers that pooling works on at one time: what stays in the cache of a CPU core, and 64 MB
# elsewhere.
_CPU_PIECE = 2**19
_PIECE = 2**24


def count_pools(n_sides: int) -> int:
    """Pools of every dimension of vectors, of series (one side) or of images (two)."""
    return _STATISTICS * sum(_WINDOWS_BY_SCALE[n_sides])


def readout_width(dim: int, n_codes: int = 0, n_sides: int = 1) -> int:
    """Number of columns of a readout of vectors of dimension D, with K code frequencies."""
    return place_columns(dim, n_sides).stop + n_codes


def autocovariance_columns(dim: int, n_sides: int = 1) -> slice:
    """Columns of a readout that hold autocovariances: those behind the pools."""
    n_axes = min(_AXES, dim)
    start = count_pools(n_sides) * (dim + n_axes)
    return slice(start, start + autocovariance_width(n_axes))


def place_columns(dim: int, n_sides: int = 1) -> slice:
    """Columns of a readout that hold means over places of images; none of series.

    They are standardised by one deviation for all of them: places at the border, where nothing
    happens but rarely, would otherwise be as loud as those in the middle.
    """
    start = autocovariance_columns(dim, n_sides).stop
    return slice(start, start + _PLACES[n_sides] * dim)


class Axes(NamedTuple):
    """Axes to project vectors on."""

    centre: Tensor  # (D,) float64
    directions: Tensor  # (D, A) float64, in columns

    def to(self, device: torch.device) -> "Axes":
        return Axes(self.centre.to(device), self.directions.to(device))


def principal_axes(codebook: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions in which the vectors of a codebook (K, D) differ most.

    The coordinates of latents are strongly correlated: of a plain VQ-VAE on smooth series,
    one direction, the level, holds 98 percent of their variance. Standardised one by one
    they show that direction D times; along the principal axes the others count as well.

    Returns
    -------
    centre : ndarray of shape (D,), float64
        Mean of the vectors.
    directions : ndarray of shape (D, min(24, D)), float64
        Orthonormal columns by falling variance; zero where the variance is rounding.
    """
    centre = codebook.mean(0, dtype=np.float64)
    centred = codebook - centre
    variances, directions = np.linalg.eigh(centred.T @ centred)
    variances, directions = variances[::-1], directions[:, ::-1]
    # The sign of a direction is arbitrary: its largest entry is made positive.
    largest = directions[np.abs(directions).argmax(0), np.arange(directions.shape[1])]
    directions = directions * np.sign(largest)
    return centre, np.where(variances > _ROUNDING * variances[0], directions, 0.0)[:, :_AXES]


def block_weights(dim: int, n_codes: int = 0, n_sides: int = 1) -> np.ndarray:
    """Weights that give scales, autocovariances and code frequencies the same total variance.

    Standardised columns alone would let the eighths drown the whole and the frequencies,
    since they are eight times as many. Pools along principal axes weigh double, means over
    places of images four times as much.

    Parameters
    ----------
    dim : int
        D, dimension of the pooled vectors.
    n_codes : int, default=0
        K, number of code frequencies at the end.
    n_sides : int, default=1
        1 for series, 2 for images.

    Returns
    -------
    weights : ndarray of shape (readout_width(D, K, n_sides),)
        1 for the columns of the whole series.
    """
    whole = _STATISTICS * dim
    scales = _WINDOWS_BY_SCALE[n_sides]
    blocks = [(whole * parts, 1.0) for parts in scales]
    n_axes = min(_AXES, dim)
    blocks += [(_STATISTICS * n_axes * parts, _AXES_WEIGHT) for parts in scales]
    blocks += [(autocovariance_width(n_axes), 1.0)]
    blocks += [(_PLACES[n_sides] * dim, _PLACES_WEIGHT)] if _PLACES[n_sides] else []
    blocks += [(n_codes, 1.0)] if n_codes else []
    return np.concatenate([np.full(n, weight * np.sqrt(whole / n)) for n, weight in blocks])


def project(vectors: Tensor, axes: Axes) -> Tensor:
    """Vectors and, behind them, their coordinates along axes.

    Parameters
    ----------
    vectors : Tensor of shape (n, D)
    axes : Axes

    Returns
    -------
    joined : Tensor of shape (n, D + A)
    """
    # In float64, as small coordinates are differences of large ones.
    coordinates = (vectors.double() - axes.centre) @ axes.directions
    return torch.cat([vectors, coordinates.to(vectors.dtype)], 1)


class Standard(NamedTuple):
    """What standardises the F columns of a readout: ``scale * x + offset``."""

    scale: Tensor  # (F,) float32
    offset: Tensor  # (F,) float32

    @classmethod
    def of(cls, scale: np.ndarray, offset: np.ndarray) -> "Standard":
        return cls(*torch.tensor(np.stack([scale, offset]), dtype=torch.float32))


def read_codes(
    codes: Tensor,
    table: Tensor,
    dim: int,
    standard: Standard,
    out: Tensor | None = None,
    shape: tuple[int, ...] | None = None,
) -> Tensor:
    """Pools of the vectors of codes and along axes, autocovariances, code frequencies.

    Parameters
    ----------
    codes : Tensor of shape (B, N), int64
    table : Tensor of shape (K, D + A)
        What `project` makes of the vectors of all codes: looked up, not worked out again
        for each token.
    dim : int
        D.
    standard : Standard
        Of the F = 45 (D + A) + 9 A^2 + K columns, of images 63 (D + A) + 9 A^2 + 64 D + K.
    out : Tensor of shape (B, F), optional
        Where to write the rows, on any device.
    shape : tuple of int, optional
        Rows and columns of the tokens of images; None is (N,).

    Returns
    -------
    rows : Tensor of shape (B, F)
    """
    along_axes = table[:, dim:].contiguous()

    def look_up(some: Tensor, plan: "_AnyPlan") -> tuple[Iterator[Tensor], Tensor]:
        pooled = (F.embedding(column, table) for column in plan.arrange(some.t()))
        return pooled, F.embedding(some, along_axes)

    sizes = dim, table.shape[1] - dim, len(table)
    return _read(codes, look_up, sizes, standard, out, shape or codes.shape[1:])


def read_vectors(
    vectors: Tensor,
    axes: Axes,
    standard: Standard,
    out: Tensor | None = None,
    shape: tuple[int, ...] | None = None,
) -> Tensor:
    """Pools of vectors and along axes, and autocovariances.

    Parameters
    ----------
    vectors : Tensor of shape (B, N, D)
    axes : Axes
    standard : Standard
        Of the F = 45 (D + A) + 9 A^2 columns, of images 63 (D + A) + 9 A^2 + 64 D.
    out : Tensor of shape (B, F), optional
        Where to write the rows, on any device.
    shape : tuple of int, optional
        Rows and columns of the tokens of images; None is (N,).

    Returns
    -------
    rows : Tensor of shape (B, F)
    """
    _, n_tokens, dim = vectors.shape

    def join(some: Tensor, plan: "_AnyPlan") -> tuple[Iterator[Tensor], Tensor]:
        joined = project(some.transpose(0, 1).flatten(0, 1), axes)
        joined = joined.unflatten(0, (n_tokens, -1))  # (N, b, D + A)
        return iter(plan.arrange(joined)), joined[:, :, dim:].transpose(0, 1)

    sizes = dim, axes.directions.shape[1], 0
    return _read(vectors, join, sizes, standard, out, shape or (n_tokens,))


# Takes codes (B, N) or latents (B, N, D), and where to write the rows (B, F).
Reader = Callable[[Tensor, Standard, Tensor | None], Tensor]


def code_reader(codebook: Tensor, axes: Axes, shape: tuple[int, ...]) -> Reader:
    """Reader of codes whose vectors are the rows of a codebook (K, D)."""
    table, dim = project(codebook, axes), codebook.shape[1]
    return lambda codes, standard, out: read_codes(
        codes, table.to(codes.device), dim, standard, out, shape
    )


def latent_reader(axes: Axes, shape: tuple[int, ...]) -> Reader:
    """Reader of vectors."""
    return lambda z, standard, out: read_vectors(z, axes.to(z.device), standard, out, shape)


def group_reader(
    readers: Sequence[Reader], groups: Sequence[slice], columns: Sequence[slice]
) -> Reader:
    """Reader of several token groups, each by a reader and to columns of its own."""

    def read(tokens: Tensor, standard: Standard, out: Tensor | None) -> Tensor:
        if out is None:
            shape = len(tokens), len(standard.scale)
            out = standard.scale.new_empty(shape, device=tokens.device)
        for reader, group, place in zip(readers, groups, columns, strict=True):
            own = Standard(standard.scale[place], standard.offset[place])
            reader(tokens[:, group], own, out[:, place])
        return out

    return read


def _read(
    tokens: Tensor,
    to_vectors: Callable[[Tensor, "_AnyPlan"], tuple[Iterator[Tensor], Tensor]],
    sizes: tuple[int, int, int],
    standard: Standard,
    out: Tensor | None,
    shape: Sequence[int],
) -> Tensor:
    """Read so many series at a time that all that is made of them stays in the cache.

    `to_vectors` makes of b series what a plan pools, and the same (b, N, A) along axes.
    """
    dim, n_axes, n_codes = sizes
    device = tokens.device
    plan: _AnyPlan
    if len(shape) == 1:
        plan = _plan(tokens.shape[1], device)
    else:
        rows_of_grid, columns_of_grid = shape
        plan = GridPlan((rows_of_grid, columns_of_grid))
    n_pools, n_places = count_pools(len(shape)), _PLACES[len(shape)]
    scale, offset = standard.scale.to(device), standard.offset.to(device)
    if out is None:
        out = scale.new_empty(len(tokens), len(scale))
    # All columns of the vectors come before those along axes.
    widths = [n_pools * dim, n_pools * n_axes, autocovariance_width(n_axes)]
    widths += [n_places * dim, n_codes] if n_places else [n_codes]
    *scales, frequency_scale = scale.split(widths)
    *offsets, frequency_offset = offset.split(widths)
    limit = _CPU_PIECE if device.type == "cpu" else _PIECE
    n_vectors = max(plan.n_rows, n_pools + n_places)
    numbers = max(n_vectors * (dim + n_axes), autocovariance_width(n_axes))
    size = max(1, limit // numbers)
    for some, target in zip(tokens.split(size), out.split(size), strict=True):
        rows = target if target.device == device else torch.empty_like(target, device=device)
        *columns, frequencies = rows.split(widths, 1)
        pooled, along_axes = to_vectors(some, plan)
        products = plan.products(along_axes)  # first, as pooling overwrites vectors
        pools = plan.pool(pooled).transpose(0, 1)  # (b, 45, or 63 and 64 places, D + A)
        parts = [*pools[:, :n_pools].split([dim, n_axes], 2), products]
        parts += [pools[:, n_pools:, :dim]] if n_places else []
        for part, by, at, place in zip(parts, scales, offsets, columns, strict=True):
            shape = part.shape[1:]
            torch.addcmul(at.view(shape), part, by.view(shape), out=place.view(part.shape))
        if n_codes:
            shares = code_frequencies(some, n_codes)
            torch.addcmul(frequency_offset, shares, frequency_scale, out=frequencies)
        if rows is not target:
            target.copy_(rows)
    return out


class _Merge(NamedTuple):
    """How P pairs of windows make the windows of the next coarser scale."""

    share: Tensor  # (P, 1, 1) of the second window in the n tokens of a pair
    spread: Tensor  # (P, 1, 1) share * (1 - share)
    twice: Tensor | None  # (P, 1, 1) 1 / (n - 1) where a token is in both windows, else 0


class _Plan(NamedTuple):
    """Constants of the pools of N tokens of series."""

    n_rows: int  # 8 n, where n is the number of tokens in the largest of the eighths
    tokens: Tensor | None  # (8 n,) tokens of the eighths, filled up with their first ones
    share: Tensor  # (8, 1, 1) of a token in its eighth
    fillers: dict[int, Tensor]  # (8, 1, 1) 0 for fillers, else 1, by place in the eighth
    merges: list[_Merge]  # from the eighths to the quarters, the halves, the whole

    def arrange(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """The first tokens of all eighths, the second ones, and so on: (N, ...) to (8, ...)."""
        if self.tokens is not None:
            tokens = tokens.index_select(0, self.tokens)
        return tokens.unflatten(0, (_SCALES[-1], -1)).unbind(1)

    def pool(self, tokens: Iterator[Tensor]) -> Tensor:
        """Pools over all windows of what `arrange` gives, (45, B, D + A)."""
        return _pool(tokens, self)

    def products(self, along_axes: Tensor) -> Tensor:
        """Autocovariances, (B, N, A) -> (B, 9, A * A)."""
        return autocovariances(along_axes)


_AnyPlan = _Plan | GridPlan


@functools.lru_cache
@torch.inference_mode(False)
def _plan(n_tokens: int, device: torch.device) -> _Plan:
    def constant(values: np.ndarray) -> Tensor:
        return torch.tensor(values[:, None, None], dtype=torch.float32, device=device)

    eighths = windows(n_tokens)[-_SCALES[-1] :]
    count = np.array([window.stop - window.start for window in eighths])
    place = np.arange(count.max())  # (n,)
    first = np.array([[window.start] for window in eighths])
    tokens = np.where(place < count[:, None], first + place, first)  # (8, n)
    real = place[:, None] < count  # (n, 8)
    merges = []
    parts = len(count)
    sizes = count
    while parts > 1:
        parts //= 2
        both = sizes[0::2] + sizes[1::2]
        share = sizes[1::2] / both
        # A pair has a token in common where the bound between them falls inside it.
        shared = (np.arange(1, 2 * parts, 2) * n_tokens % (2 * parts) > 0).astype(int)
        twice = constant(shared / (both - 1)) if shared.any() else None
        merges.append(_Merge(constant(share), constant(share * (1 - share)), twice))
        sizes = both - shared
    regular = np.array_equal(tokens.ravel(), np.arange(n_tokens))
    return _Plan(
        tokens.size,
        None if regular else torch.tensor(tokens.ravel(), device=device),
        constant(1 / count),
        {i: constant(real[i]) for i in place if not real[i].all()},
        merges,
    )


def _pool(tokens: Iterator[Tensor], plan: _Plan) -> Tensor:
    """Mean, maximum and deviation over the whole and over its parts.

    Mean and variance of the eighths are updated token by token (Welford 1962), those of the
    other windows follow from them (Chan, Golub and LeVeque 1983, equation 2.1). All variance
    comes from differences, which are 0 where all vectors of a window are equal; squares of
    large numbers would leave nothing of small deviations.

    Parameters
    ----------
    tokens : iterator of Tensor of shape (8, B, D + A)
        Vectors of one token in each eighth; overwritten, but for the first. Series are in
        the middle, so that each operation runs through memory without jumps.
    plan : _Plan

    Returns
    -------
    pools : Tensor of shape (45, B, D + A)
        The deviation divides by the number of tokens, not by one less.
    """
    first = next(tokens)
    pools = first.new_empty(_WINDOWS, _STATISTICS, *first.shape[1:])
    mean, largest, variance = pools[_SCALES[-1] - 1 :].unbind(1)  # (8, B, D + A) each
    mean.copy_(first)
    largest.copy_(first)
    variance.zero_()
    for i, token in enumerate(tokens, start=1):
        torch.maximum(largest, token, out=largest)
        token -= mean
        if i in plan.fillers:
            token *= plan.fillers[i]
        mean.add_(token, alpha=1 / (i + 1))
        variance.addcmul_(token, token, value=i / (i + 1))
    variance *= plan.share
    for merge in plan.merges:
        parts = len(merge.share)
        finer = pools[2 * parts - 1 : 4 * parts - 1]
        mean_left, largest_left, variance_left = finer[0::2].unbind(1)  # (P, B, D + A) each
        mean_right, largest_right, variance_right = finer[1::2].unbind(1)
        mean, largest, variance = pools[parts - 1 : 2 * parts - 1].unbind(1)
        torch.maximum(largest_left, largest_right, out=largest)
        gap = mean_right - mean_left
        torch.addcmul(mean_left, gap, merge.share, out=mean)
        torch.lerp(variance_left, variance_right, merge.share, out=variance)
        variance.addcmul_(merge.spread, gap.square_())
        if merge.twice is not None:
            # Without token x, mean' = mean - (x - mean) / (n - 1), and variance' is
            # n / (n - 1) (variance - (x - mean)^2 / (n - 1)). It is the right window's first.
            step = _SCALES[-1] // (2 * parts)
            apart = first[step :: 2 * step] - mean
            mean.addcmul_(merge.twice, apart, value=-1)
            variance.addcmul_(merge.twice, apart.square_(), value=-1)
            variance.addcmul_(variance, merge.twice)
    variances = pools[:, 2]
    if plan.tokens is not None:
        # Taking a token away may round to less than nothing.
        variances.clamp_(min=0)
    variances.sqrt_()
    return pools.flatten(0, 1)


def code_frequencies(codes: Tensor, n_codes: int) -> Tensor:
    """Share of the tokens of a series that have each code.

    Parameters
    ----------
    codes : Tensor of shape (B, N), int64
    n_codes : int
        K.

    Returns
    -------
    frequencies : Tensor of shape (B, K), rows sum to 1
    """
    counts = torch.zeros((len(codes), n_codes), dtype=torch.float32, device=codes.device)
    one = counts.new_ones(())
    return counts.scatter_add_(1, codes, one.expand_as(codes)).div_(codes.shape[1])
