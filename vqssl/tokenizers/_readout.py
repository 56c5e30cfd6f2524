"""From tokens to one vector per series: multi-scale pools and code frequencies."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# The whole series, its halves, quarters and eighths.
_SCALES = (1, 2, 4, 8)
_WINDOWS = sum(_SCALES)
_STATISTICS = 3  # mean, maximum, deviation
_POOLS = _WINDOWS * _STATISTICS

# Principal axes of the codebook that latents are pooled along, beside their own D axes; the
# weight of that half of the readout; and the share of the largest variance below which an
# axis is rounding.
_AXES = 24
_AXES_WEIGHT = 2.0
_ROUNDING = 1e-6

# Numbers that pooling works on at one time: what stays in the cache of a CPU core, and 64 MB
# elsewhere.
_CPU_PIECE = 2**19
_PIECE = 2**24


def windows(n_tokens: int) -> list[slice]:
    """Slices of the token axis, coarse to fine; parts overlap where N is no multiple."""
    bounds = []
    for parts in _SCALES:
        for i in range(parts):
            bounds.append(slice(i * n_tokens // parts, -(-(i + 1) * n_tokens // parts)))
    return bounds


def pool_width(dim: int) -> int:
    """Number of columns that `readout` makes of vectors of dimension D."""
    return _POOLS * (dim + min(_AXES, dim))


def principal_axes(codebook: np.ndarray) -> np.ndarray:
    """Directions in which the vectors of a codebook (K, D) differ most.

    The coordinates of latents are strongly correlated: of a plain VQ-VAE on smooth series,
    one direction, the level, holds 98 percent of their variance. Standardised one by one
    they show that direction D times; along the principal axes the others count as well.

    Returns
    -------
    axes : ndarray of shape (D, min(24, D)), float64
        Orthonormal columns by falling variance; zero where the variance is rounding.
    """
    centred = codebook.astype(np.float64) - codebook.mean(0, dtype=np.float64)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    variances, axes = variances[::-1], axes[:, ::-1]
    # The sign of an axis is arbitrary: its largest entry is made positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return np.where(variances > _ROUNDING * variances[0], axes, 0.0)[:, :_AXES]


def block_weights(dim: int, n_codes: int = 0) -> np.ndarray:
    """Weights that give every scale, and the code frequencies, the same total variance.

    Standardised columns alone would let the eighths drown the whole and the frequencies,
    since they are eight times as many. Pools along principal axes weigh double.

    Parameters
    ----------
    dim : int
        D, dimension of the pooled vectors.
    n_codes : int, default=0
        K, number of code frequencies after the pools.

    Returns
    -------
    weights : ndarray of shape (pool_width(D) + K,)
        1 for the columns of the whole series.
    """
    whole = _STATISTICS * dim
    blocks = [(whole * parts, 1.0) for parts in _SCALES]
    blocks += [(_STATISTICS * min(_AXES, dim) * parts, _AXES_WEIGHT) for parts in _SCALES]
    blocks += [(n_codes, 1.0)] if n_codes else []
    return np.concatenate([np.full(n, weight * np.sqrt(whole / n)) for n, weight in blocks])


def project(vectors: Tensor, axes: Tensor) -> Tensor:
    """Vectors and, behind them, their projections on principal axes.

    Parameters
    ----------
    vectors : Tensor of shape (n, D)
    axes : Tensor of shape (D, A), float64

    Returns
    -------
    joined : Tensor of shape (n, D + A)
    """
    # In float64, as small axes are differences of large coordinates.
    return torch.cat([vectors, (vectors.double() @ axes).to(vectors.dtype)], 1)


class Standard(NamedTuple):
    """What standardises the F columns of a readout: ``scale * x + offset``."""

    scale: Tensor  # (F,) float32
    offset: Tensor  # (F,) float32

    @classmethod
    def of(cls, scale: np.ndarray, offset: np.ndarray) -> "Standard":
        return cls(*torch.tensor(np.stack([scale, offset]), dtype=torch.float32))


def read_codes(
    codes: Tensor, table: Tensor, dim: int, standard: Standard, out: Tensor | None = None
) -> Tensor:
    """Pools of the vectors of codes and of their projections, then code frequencies.

    Parameters
    ----------
    codes : Tensor of shape (B, N), int64
    table : Tensor of shape (K, D + A)
        What `project` makes of the vectors of all codes: looked up, not worked out again
        for each token.
    dim : int
        D.
    standard : Standard
        Of the 45 (D + A) + K columns.
    out : Tensor of shape (B, 45 (D + A) + K), optional
        Where to write the rows, on any device.

    Returns
    -------
    rows : Tensor of shape (B, 45 (D + A) + K)
    """

    def look_up(some: Tensor, plan: "_Plan") -> Iterator[Tensor]:
        for column in plan.arrange(some.t()):
            yield F.embedding(column, table)

    return _read(codes, look_up, (dim, table.shape[1] - dim, len(table)), standard, out)


def read_vectors(
    vectors: Tensor, axes: Tensor, standard: Standard, out: Tensor | None = None
) -> Tensor:
    """Pools of vectors and of their projections.

    Parameters
    ----------
    vectors : Tensor of shape (B, N, D)
    axes : Tensor of shape (D, A), float64
    standard : Standard
        Of the 45 (D + A) columns.
    out : Tensor of shape (B, 45 (D + A)), optional
        Where to write the rows, on any device.

    Returns
    -------
    rows : Tensor of shape (B, 45 (D + A))
    """
    _, n_tokens, dim = vectors.shape

    def join(some: Tensor, plan: "_Plan") -> Iterator[Tensor]:
        joined = project(some.transpose(0, 1).flatten(0, 1), axes)
        yield from plan.arrange(joined.unflatten(0, (n_tokens, -1)))

    return _read(vectors, join, (dim, axes.shape[1], 0), standard, out)


def _read(
    tokens: Tensor,
    to_vectors: Callable[[Tensor, "_Plan"], Iterator[Tensor]],
    sizes: tuple[int, int, int],
    standard: Standard,
    out: Tensor | None,
) -> Tensor:
    """Read so many series at a time that all that is made of them stays in the cache."""
    dim, n_axes, n_codes = sizes
    device = tokens.device
    plan = _plan(tokens.shape[1], device)
    scale, offset = standard.scale.to(device), standard.offset.to(device)
    if out is None:
        out = scale.new_empty(len(tokens), len(scale))
    # All columns of the vectors come before those of the projections.
    widths = [_POOLS * dim, _POOLS * n_axes, n_codes]
    *scales, frequency_scale = scale.split(widths)
    *offsets, frequency_offset = offset.split(widths)
    limit = _CPU_PIECE if device.type == "cpu" else _PIECE
    size = max(1, limit // (max(plan.n_rows, _POOLS) * (dim + n_axes)))
    for some, target in zip(tokens.split(size), out.split(size), strict=True):
        rows = target if target.device == device else torch.empty_like(target, device=device)
        *columns, frequencies = rows.split(widths, 1)
        pools = _pool(to_vectors(some, plan), plan).transpose(0, 1)  # (b, 45, D + A)
        parts = pools.split([dim, n_axes], 2)
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
    """Constants of the pools of N tokens."""

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
