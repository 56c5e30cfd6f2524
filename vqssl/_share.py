"""The rows of a batch that are one process's share, and what needs the rows of all processes.

Where a batch is divided among processes, each has neighbouring rows of it. Whatever is a mean over
rows is weighted by the share. What looks at several rows at once asks for the `whole` of them, or
for the `total` of a sum; both have gradients. Outside of `sharing` these are the identity.

The loss of process r has the weight w_r, its share of the rows, and gradients are summed over
processes. A term of all rows is the same on all of them, and the weights add up to 1.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Summing(Protocol):
    """Processes that add up what each of them has."""

    def sum_(self, tensor: Tensor) -> Tensor:
        """Replace a tensor by its sum over processes, and return it."""


class Share(NamedTuple):
    """Rows [start, stop) of a batch with `n_whole` rows."""

    processes: Summing
    start: int
    stop: int
    n_whole: int

    @property
    def weight(self) -> float:
        """Share of the rows, in (0, 1]."""
        return (self.stop - self.start) / self.n_whole

    def gather(self, rows: Tensor) -> Tensor:
        """Rows of all processes, (k B, ...) -> (k whole, ...): k batches one after the other."""
        return _Gather.apply(rows, self)

    def total(self, part: Tensor) -> Tensor:
        """Sum over processes, with a gradient."""
        return _Total.apply(part, self)

    def place(self, rows: Tensor) -> Tensor:
        """What `gather` returns, without a gradient."""
        blocks = rows.unflatten(0, (-1, self.stop - self.start))
        # A sum, since the sizes of the shares differ; with zeros it keeps all bits.
        whole = blocks.new_zeros(len(blocks), self.n_whole, *blocks.shape[2:])
        whole[:, self.start : self.stop] = blocks
        return self.processes.sum_(whole).flatten(0, 1)

    def cut(self, rows: Tensor) -> Tensor:
        """Rows of this process, (k whole, ...) -> (k B, ...)."""
        return rows.unflatten(0, (-1, self.n_whole))[:, self.start : self.stop].flatten(0, 1)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, share: Share) -> Tensor:
        ctx.share = share
        return share.place(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        whole = ctx.share.processes.sum_(gradients[0].clone(memory_format=torch.contiguous_format))
        return ctx.share.cut(whole), None


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, share: Share) -> Tensor:
        ctx.share = share
        return share.processes.sum_(part.clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        copy = gradients[0].clone(memory_format=torch.contiguous_format)
        return ctx.share.processes.sum_(copy), None


_SHARE: ContextVar[Share | None] = ContextVar("share", default=None)


@contextlib.contextmanager
def sharing(share: Share | None) -> Iterator[None]:
    """Say what the rows at hand are a share of; None is for a batch that one process has alone."""
    token = _SHARE.set(share)
    try:
        yield
    finally:
        _SHARE.reset(token)


def current_share() -> Share | None:
    """What the rows at hand are a share of."""
    return _SHARE.get()


def whole(rows: Tensor) -> Tensor:
    """Rows of all processes in the order of the batch, (k B, ...) -> (k whole, ...)."""
    share = current_share()
    return rows if share is None else share.gather(rows)


def own(rows: Tensor) -> Tensor:
    """Rows of this process, (k whole, ...) -> (k B, ...); undoes `whole`."""
    share = current_share()
    return rows if share is None else share.cut(rows)


def of_whole(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Own rows of what a function makes of all, for one that knows no shares; no gradient."""
    share = current_share()
    if share is None:
        return function(rows)
    with sharing(None):
        return share.cut(function(share.place(rows.detach())))


def total(part: Tensor) -> Tensor:
    """Sum over processes, with a gradient."""
    share = current_share()
    return part if share is None else share.total(part)


def totals(*parts: Tensor) -> tuple[Tensor, ...]:
    """Sums of several tensors of one dtype over processes, in one go and without a gradient."""
    share = current_share()
    if share is None:
        return parts
    flat = share.processes.sum_(torch.cat([part.detach().flatten() for part in parts]))
    sizes = [part.numel() for part in parts]
    pairs = zip(flat.split(sizes), parts, strict=True)
    return tuple(piece.view(part.shape) for piece, part in pairs)


def count_all(n: int) -> int:
    """How many of something all processes have, of which this one has n, as many in each row."""
    share = current_share()
    return n if share is None else n // (share.stop - share.start) * share.n_whole


def drawn_rows(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape that is drawn in for rows of this shape: that of all rows, of which `own` are kept.

    So the numbers of a row are the same whoever has it.
    """
    share = current_share()
    if share is None:
        return shape
    assert shape[0] == share.stop - share.start, "the first axis must count the rows of the batch"
    return (share.n_whole, *shape[1:])


def pick_rows(rows: Tensor, index: Tensor) -> Tensor:
    """Rows by their number among those of all processes, zeros for those of others.

    Parameters
    ----------
    rows : Tensor of shape (k, ...)
        Those of this process, as many for each row of the batch.
    index : Tensor of shape (m,), int64

    Returns
    -------
    picked : Tensor of shape (m, ...)
        Its sum over processes, see `totals`, is complete.
    """
    share = current_share()
    if share is None:
        return rows[index]
    place = index - share.start * (len(rows) // (share.stop - share.start))
    is_here = ((place >= 0) & (place < len(rows))).view(-1, *[1] * (rows.ndim - 1))
    return torch.where(is_here, rows[place.clamp(0, len(rows) - 1)], 0)


def bounds(n_rows: int, rank: int, size: int) -> tuple[int, int]:
    """Start and stop of the rows of a process; the numbers of rows differ by one at most."""
    return rank * n_rows // size, (rank + 1) * n_rows // size
