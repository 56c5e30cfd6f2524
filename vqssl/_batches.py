"""Batches of training series: rows of arrays that are never copied as a whole."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

# Numbers that are moved to a device at one time (16 MB of float32).
_BLOCK = 2**22

# Products of fewer rows go through other kernels, which round differently.
_FEWEST_ROWS = 8


class Rows:
    """Rows of one or several arrays that share their first axis, without copying them.

    Parameters
    ----------
    arrays : sequence of ndarray
        Labels (n,) and codes (n, N) in int64 stay what they are, the rest becomes float32.
    index : ndarray of int or None
        Which rows; None is all of them.
    """

    def __init__(self, arrays: Sequence[np.ndarray], index: np.ndarray | None = None) -> None:
        self.arrays = tuple(arrays)
        self.index = np.arange(len(arrays[0])) if index is None else index

    def __len__(self) -> int:
        return len(self.index)

    def sample(self, limit: int, generator: torch.Generator) -> np.ndarray:
        """Rows of the first array, in order: all where there are at most `limit`."""
        index = self.index
        if len(index) > limit:
            order = torch.randperm(len(index), generator=generator)[:limit].numpy()
            index = index[np.sort(order)]
        return self.arrays[0] if len(index) == len(self.arrays[0]) else self.arrays[0][index]


class Batches:
    """Batches of rows as tensors on a device.

    On a CUDA device the arrays are moved there once when they take less than half of its
    free memory; otherwise, and on the CPU, each batch is gathered from the arrays, which
    may be memory-mapped and are never copied as a whole.

    Parameters
    ----------
    rows : Rows
    batch_size : int
        Largest number of rows in a batch. A pass is cut into batches whose sizes differ by
        one at most, so there is no ragged tail.
    device : torch.device
    generator : torch.Generator or None
        Order of the rows, drawn anew for each pass; None keeps their order.
    """

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        device: torch.device,
        generator: torch.Generator | None = None,
    ) -> None:
        self.arrays = rows.arrays
        self.index = torch.from_numpy(rows.index)
        self.device = device
        self.generator = generator
        # Where a pass is: the generator before it, and how many of its batches are given out.
        self.pass_state: Tensor | None = None
        self.n_given = 0
        self.n_batches = count_batches(len(rows), batch_size)
        self.resident: list[Tensor] | None = None
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            # Eight bytes a number at most, those of int64.
            if sum(array.size * 8 for array in self.arrays) < free / 2:
                self.resident = [move(array, device) for array in self.arrays]

    def __iter__(self) -> Iterator[list[Tensor]]:
        """One pass over the rows."""
        return self._pass(0)

    def _pass(self, skip: int) -> Iterator[list[Tensor]]:
        """One pass over the rows without its first batches."""
        order = self.index
        self.n_given = skip
        if self.generator is not None:
            self.pass_state = self.generator.get_state()
            order = order[torch.randperm(len(order), generator=self.generator)]
        if self.resident is not None:
            order = send(order, self.device)
        # One by one: a pass over a hundred million rows has millions of batches.
        size, n_larger = divmod(len(order), self.n_batches)
        for i in range(skip, self.n_batches):
            self.n_given = i + 1
            start = i * size + min(i, n_larger)
            rows = order[start : start + size + (i < n_larger)]
            if self.resident is not None:
                yield [tensor[rows] for tensor in self.resident]
            else:
                index = rows.numpy()
                yield [send(as_tensor(array[index]), self.device) for array in self.arrays]

    def forever(self, skip: int = 0) -> Iterator[list[Tensor]]:
        """Pass after pass, without an end; the first one without its first `skip` batches."""
        yield from self._pass(skip)
        while True:
            yield from self


def count_batches(n_rows: int, batch_size: int) -> int:
    """Number of batches in a pass over rows; none of them has a single row if avoidable."""
    n_batches = math.ceil(n_rows / batch_size)
    # A batch of one row has no batch statistics; it is merged with another.
    return n_batches if batch_size == 1 else max(1, min(n_batches, n_rows // 2))


def as_tensor(array: np.ndarray) -> Tensor:
    """Return labels and codes as int64, series as float32 tensor with memory of its own."""
    wanted = np.int64 if array.dtype == np.int64 and array.ndim < 3 else np.float32
    return torch.from_numpy(np.array(array, dtype=wanted, order="C"))


def filled(batch: Tensor) -> Tensor:
    """Return a batch with its last row repeated where it has few rows.

    What a model makes of a row then does not depend on how many others there are.
    """
    missing = _FEWEST_ROWS - len(batch)
    if missing <= 0:
        return batch
    return torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])])


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the CPU to a device; CUDA is not waited for, whatever it is doing."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def move(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to a device block by block, so that there is no second one in memory."""
    first = as_tensor(array[:1])
    moved = torch.empty(array.shape, dtype=first.dtype, device=device)
    rows = max(1, _BLOCK // first.numel())
    for start in range(0, len(array), rows):
        moved[start : start + rows] = as_tensor(array[start : start + rows])
    return moved


def blocks(series: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield float32 blocks of at most `size` rows."""
    for start in range(0, len(series), size):
        yield np.asarray(series[start : start + size], dtype=np.float32)
