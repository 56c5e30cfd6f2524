"""Iterative decoding of masked tokens (Chang et al. 2022, section 3.2); knows no network."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vqssl._seed import make_generator

# What stands for a code that is not known yet.
MASK = -1

# Rounding of a schedule, as a share of the tokens: cos(pi / 3) N must not be N / 2 and a bit.
_ROUNDING = 1e-9

SCHEDULES: dict[str, Callable[[Tensor], Tensor]] = {
    "cosine": lambda ratio: torch.cos(ratio * (math.pi / 2)),
    "cubic": lambda ratio: 1 - ratio**3,
    "linear": lambda ratio: 1 - ratio,
    "square": lambda ratio: 1 - ratio**2,
}
ORDERS = ("confidence", "halton", "random")


class Draws:
    """Uniform numbers in [0, 1) of some samples: each has its own, whatever the others.

    Numbers are drawn for a whole block of samples, used or not, when they are asked for.

    Parameters
    ----------
    seed : int
        Of all samples.
    rows : ndarray of shape (B,), int64
        Numbers of the samples, rising, all in one block.
    n_tokens : int
        N.
    device : torch.device
        Where the numbers go.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from vqssl.generators import Draws
    >>> cpu = torch.device("cpu")
    >>> u = Draws(0, np.arange(5), n_tokens=8, device=cpu).codes(step=0)
    >>> u.shape
    torch.Size([5, 8])
    >>> torch.equal(Draws(0, np.arange(3, 5), n_tokens=8, device=cpu).codes(step=0), u[3:])
    True
    """

    block_size = 256
    """Samples of a block, whose numbers are drawn together."""

    def __init__(self, seed: int, rows: np.ndarray, n_tokens: int, device: torch.device) -> None:
        self.seed = seed
        self.block = int(rows[0]) // self.block_size
        self.rows = torch.from_numpy(rows - self.block * self.block_size)
        self.n_tokens = n_tokens
        self.device = device

    def uniform(self, purpose: int, step: int = 0) -> Tensor:
        """Draw one number for each sample and token, for a purpose at a step.

        Parameters
        ----------
        purpose : int
            Numbers for different purposes are independent; `codes`, `order` and `start` take 0
            to 3.
        step : int, default=0
            So are those of different steps.

        Returns
        -------
        u : Tensor of shape (B, N), float32
            In [0, 1).
        """
        source = np.random.SeedSequence([self.seed, self.block, purpose, step])
        generator = make_generator(int(source.generate_state(1)[0]))
        shape = (self.block_size, self.n_tokens)
        drawn = torch.rand(shape, generator=generator, dtype=torch.float32)
        return drawn[self.rows].to(self.device)

    def codes(self, step: int) -> Tensor:
        """Draw the numbers that say which code a token gets.

        Parameters
        ----------
        step : int
            Step of decoding.

        Returns
        -------
        u : Tensor of shape (B, N), float32
            In [0, 1), for `draw_codes`.
        """
        return self.uniform(0, step)

    def order(self, step: int) -> Tensor:
        """Draw the numbers that say which token comes first.

        Parameters
        ----------
        step : int
            Step of decoding.

        Returns
        -------
        u : Tensor of shape (B, N), float32
            In [0, 1).
        """
        return self.uniform(1, step)

    def start(self, axis: int = 0) -> Tensor:
        """Draw where the Halton order begins along an axis.

        Parameters
        ----------
        axis : int, default=0
            Of images, 0 for rows and 1 for columns.

        Returns
        -------
        u : Tensor of shape (B,), float32
            In [0, 1), a share of the axis.
        """
        return self.uniform(2 + axis)[:, 0]


class Grid(NamedTuple):
    """Where the tokens of a group lie in an image."""

    coordinates: Tensor  # (N, 2) int64 row and column, of all tokens
    shape: tuple[int, int]  # rows and columns of the group


def count_masked(ratio: Tensor, n: Tensor | int, schedule: str) -> Tensor:
    """Number of masked tokens, ceil(gamma(ratio) n), exact and at most n.

    Parameters
    ----------
    ratio : Tensor
        Progress in [0, 1]; at 0 all tokens are masked, at 1 none.
    n : Tensor or int
        Number of tokens there are.
    schedule : str
        A key of `SCHEDULES`.

    Returns
    -------
    count : Tensor of int64, of the shape that `ratio` and `n` have together
    """
    share = SCHEDULES[schedule](ratio.double()) - _ROUNDING
    return (share * n).ceil().long().clamp(min=0)


def halton_ranks(n: int) -> Tensor:
    """Rank of every position in the van der Corput order of n positions, base 2.

    The Halton sequence in one dimension: each next position lies in the widest gap that the
    earlier ones left, so tokens revealed together are far apart, up to the wrap-around where n
    is no power of two.

    Returns
    -------
    ranks : Tensor of shape (n,), int64

    Examples
    --------
    >>> halton_ranks(8).tolist()
    [0, 4, 2, 6, 1, 5, 3, 7]
    """
    n_bits = max(1, (n - 1).bit_length())
    reversed_bits = [int(f"{i:0{n_bits}b}"[::-1], 2) for i in range(2**n_bits)]
    order = torch.tensor([position for position in reversed_bits if position < n])
    return order.argsort()


def halton_grid_ranks(shape: tuple[int, int]) -> Tensor:
    """Rank of every place of a grid in the Halton order, base 2 by row and 3 by column.

    The first 2^a 3^b points of the sequence fall on each place of a grid of 2^a rows and 3^b
    columns once; the order is theirs, without the places outside.

    Parameters
    ----------
    shape : tuple of two int
        Rows and columns.

    Returns
    -------
    ranks : Tensor of shape (rows, columns), int64

    Examples
    --------
    >>> halton_grid_ranks((2, 3)).tolist()
    [[0, 4, 2], [3, 1, 5]]
    """
    n_digits = [_count_digits(side, base) for side, base in zip(shape, (2, 3), strict=True)]
    point = np.arange(2 ** n_digits[0] * 3 ** n_digits[1])
    row, column = (_reversed(point, base, n) for base, n in zip((2, 3), n_digits, strict=True))
    inside = (row < shape[0]) & (column < shape[1])
    order = torch.from_numpy(row[inside] * shape[1] + column[inside])
    return order.argsort().view(shape)


def _count_digits(n: int, base: int) -> int:
    """Digits that the numbers 0, ..., n - 1 have."""
    digits = 0
    while base**digits < n:
        digits += 1
    return digits


def _reversed(numbers: np.ndarray, base: int, n_digits: int) -> np.ndarray:
    """The last digits of numbers in reverse order."""
    backward = np.zeros_like(numbers)
    for _ in range(n_digits):
        numbers, digit = np.divmod(numbers, base)
        backward = base * backward + digit
    return backward


def draw_codes(logits: Tensor, u: Tensor) -> Tensor:
    """Draw codes by the inverse of their distribution function.

    Parameters
    ----------
    logits : Tensor of shape (..., K)
        Logarithms of probabilities, up to a constant; minus infinity is never drawn.
    u : Tensor of shape (...)
        One uniform number in [0, 1) a draw.

    Returns
    -------
    codes : Tensor of shape (...), int64
        Never a code of probability zero.

    Examples
    --------
    >>> import torch
    >>> from vqssl.generators import draw_codes
    >>> probabilities = torch.tensor([0.2, 0.0, 0.8])
    >>> draw_codes(probabilities.log().expand(3, 3), torch.tensor([0.1, 0.3, 0.99])).tolist()
    [0, 2, 2]
    """
    cumulative = logits.float().softmax(-1).double().cumsum(-1)  # (..., K)
    total = cumulative[..., -1:]
    # Below the total, which rounding could otherwise reach.
    level = torch.minimum(u.double().unsqueeze(-1) * total, total * (1 - 1e-12))
    return (cumulative <= level).sum(-1)


def soften(logits: Tensor, temperature: float) -> Tensor:
    """Logits over a temperature, shifted to a maximum of 0, so that none overflows upwards."""
    return (logits - logits.amax(-1, keepdim=True)) / temperature


def fill(
    predict: Callable[[Tensor, Tensor], Tensor],
    codes: Tensor,
    unknown: Tensor,
    draws: Draws,
    *,
    n_steps: int,
    schedule: str,
    order: str,
    temperature: float,
    choice_temperature: float,
    grid: Grid | None = None,
    after_step: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Draw the unknown codes in a few steps; known ones stay.

    At step t of T codes are drawn for the unknown tokens that come first in `order`, given
    the known ones, so that ceil(gamma((t + 1) / T) n) of n stay unknown: at least one is drawn
    at every step, all that are left at the last. The order "confidence" draws all, to see
    which come first.

    Parameters
    ----------
    predict : callable
        ``predict(codes, at)``: logits (B, M, K) of the tokens `at` (B, M), given codes (B, N)
        in which unknown ones are `MASK`.
    codes : Tensor of shape (B, N), int64
    unknown : Tensor of shape (B, N), bool
        Which to draw; other masked tokens stay masked. Every row has its own number n of them,
        and its own steps.
    draws : Draws
        Source of all random numbers.
    n_steps : int
        T; in each row at most as many are taken as it has unknown tokens.
    schedule, order : str
        A key of `SCHEDULES` and one of `ORDERS`.
    temperature : float
        Divides the logits.
    choice_temperature : float
        Weight of the Gumbel noise on the log-probability that orders by "confidence"; it
        falls linearly to zero over the steps.
    grid : Grid or None, default=None
        Where the unknown tokens lie in an image, for the order "halton"; None is in a line.
    after_step : callable or None, default=None
        Gets the codes (B, N) after each step, for a look at what is known by then.

    Returns
    -------
    codes : Tensor of shape (B, N), int64
    """
    n_unknown = unknown.sum(1).cpu()  # (B,); the number of tokens at each step is known here
    steps = n_unknown.clamp(max=n_steps)
    fixed = None if order == "confidence" else _queue(unknown, draws, order, grid)
    left = n_unknown
    for step in range(int(steps.max())):
        progress = ((step + 1) / steps.clamp(min=1).double()).clamp(max=1.0)
        after = count_masked(progress, n_unknown, schedule).minimum(left - 1).clamp(min=0)
        kept = left - after  # (B,)
        n_kept = int(kept.max())
        if fixed is not None:
            # A row of fewer repeats nothing: it goes on to tokens that are not kept.
            places = (n_unknown - left).unsqueeze(1) + torch.arange(n_kept)
            at = fixed.gather(1, (places % codes.shape[1]).to(codes.device))  # (B, n_kept)
        else:
            at = unknown.long().argsort(dim=1, descending=True, stable=True)
            at = at[:, : int(left.max())]
        logits = soften(predict(codes, at), temperature)  # (B, M, K)
        drawn = draw_codes(logits, draws.codes(step).gather(1, at))
        if fixed is None:
            log_p = logits.log_softmax(-1).gather(2, drawn.unsqueeze(2)).squeeze(2)
            share = (1 - (step + 1) / steps.clamp(min=1).float()).clamp(min=0).unsqueeze(1)
            noise = choice_temperature * share.to(codes.device)
            confidence = log_p + noise * _gumbel(draws.order(step).gather(1, at))
            confidence = confidence.masked_fill(~unknown.gather(1, at), -math.inf)
            first = confidence.argsort(dim=1, descending=True, stable=True)[:, :n_kept]
            at, drawn = at.gather(1, first), drawn.gather(1, first)
        keep = torch.arange(n_kept, device=codes.device) < kept.unsqueeze(1).to(codes.device)
        codes = codes.scatter(1, at, torch.where(keep, drawn, codes.gather(1, at)))
        unknown = unknown.scatter(1, at, unknown.gather(1, at) & ~keep)
        left = after
        if after_step is not None:
            after_step(codes)
    return codes


def _queue(unknown: Tensor, draws: Draws, order: str, grid: Grid | None) -> Tensor:
    """Positions in the order in which they are drawn, (B, N); known ones come last."""
    if order == "random":
        priority = draws.order(0).double()
    elif grid is not None:
        # Rolled along both sides, for the same reason as below.
        row, column = (
            (grid.coordinates[:, axis] + (draws.start(axis).unsqueeze(1) * side).long()) % side
            for axis, side in enumerate(grid.shape)
        )  # (B, N) each
        priority = halton_grid_ranks(grid.shape).to(unknown.device)[row, column].double()
    else:
        n_unknown = unknown.sum(1, keepdim=True).clamp(min=1)  # (B, 1)
        place = (unknown.long().cumsum(1) - 1).clamp(min=0)  # (B, N) among the unknown
        # A sequence that began at the same token for all would favour it.
        start = (draws.start().unsqueeze(1) * n_unknown).long()
        # Ranks of more positions order fewer of them alike.
        ranks = halton_ranks(unknown.shape[1]).to(unknown.device)
        priority = ranks[(place + start) % n_unknown].double()
    return priority.masked_fill(~unknown, math.inf).argsort(dim=1, stable=True)


def _gumbel(u: Tensor) -> Tensor:
    """Standard Gumbel numbers of uniform ones."""
    tiny = torch.finfo(u.dtype).tiny
    return -torch.log(-torch.log(u.clamp(min=tiny)))
