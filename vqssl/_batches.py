"""Batches of training series: rows of arrays that are never copied as a whole."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from vqssl._processes import Processes
from vqssl._share import Share, bounds

# Numbers that are moved to a device at one time (16 MB of float32).
_BLOCK = 2**22

# Products of fewer rows go through other kernels, which round differently.
FEWEST_ROWS = 8


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
    processes : Processes or None
        Who divides each batch; `take` then gives the rows of this process only.
    """

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        device: torch.device,
        generator: torch.Generator | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.arrays = rows.arrays
        self.index = torch.from_numpy(rows.index)
        self.batch_size = batch_size
        self.device = device
        self.generator = generator
        self.processes = processes
        # Where a pass is: the generator before it, and how many of its rows are given out, the
        # last batch included.
        self.pass_state: Tensor | None = None
        self.n_given = len(rows)
        self.n_last = 0
        self.resident: list[Tensor] | None = None
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            # Eight bytes a number at most, those of int64.
            if sum(array.size * 8 for array in self.arrays) < free / 2:
                self.resident = [move(array, device) for array in self.arrays]

    def begin(self, n_given: int = 0) -> None:
        """Begin a pass over the rows, of which some are given out already."""
        order = self.index
        if self.generator is not None:
            self.pass_state = self.generator.get_state()
            order = order[torch.randperm(len(order), generator=self.generator)]
        self.order = order if self.resident is None else send(order, self.device)
        self.n_given = n_given

    def take(self) -> list[Tensor]:
        """The next batch, of a new pass where one is over; of several processes `share` of it."""
        if self.n_left == 0:
            self.begin()
        self.n_last = math.ceil(self.n_left / self.n_batches_left)
        rows = self.order[self.n_given : self.n_given + self.n_last]
        self.n_given += self.n_last
        share = self.share
        if share is not None:
            rows = rows[share.start : share.stop]
        if self.resident is not None:
            return [tensor[rows] for tensor in self.resident]
        index = rows.numpy()
        return [send(as_tensor(array[index]), self.device) for array in self.arrays]

    @property
    def share(self) -> Share | None:
        """Which rows of the last batch are those of this process; None where it has them alone."""
        if self.processes is None:
            return None
        start, stop = bounds(self.n_last, self.processes.rank, self.processes.size)
        return Share(self.processes, start, stop, self.n_last)

    def halve(self) -> None:
        """Take the last batch back: its rows, and those after it, come in batches half as large."""
        self.n_given -= self.n_last
        self.batch_size = self.n_last // 2

    @property
    def n_left(self) -> int:
        """Rows of the pass that are still to be given out."""
        return len(self.index) - self.n_given

    @property
    def n_batches_left(self) -> int:
        """Batches that the rest of the pass is cut into."""
        return count_batches(self.n_left, self.batch_size)


def count_batches(n_rows: int, batch_size: int) -> int:
    """Number of batches in a pass over rows; none of them has a single row if avoidable."""
    n_batches = math.ceil(n_rows / batch_size)
    # A batch of one row has no batch statistics; it is merged with another.
    return n_batches if batch_size == 1 else max(1, min(n_batches, n_rows // 2))


def fewest_in_batch(n_rows: int, batch_size: int) -> int:
    """Rows in the smallest batch of a pass over rows."""
    return n_rows // count_batches(n_rows, batch_size)


def as_tensor(array: np.ndarray) -> Tensor:
    """Return labels and codes as int64, series as float32 tensor with memory of its own."""
    wanted = np.int64 if array.dtype == np.int64 and array.ndim < 3 else np.float32
    return torch.from_numpy(np.array(array, dtype=wanted, order="C"))


def filled(batch: Tensor, fewest: int = FEWEST_ROWS) -> Tensor:
    """Return a batch with its last row repeated where it has few rows.

    What a model makes of a row then hardly depends, by rounding, on how many others there are.
    """
    missing = fewest - len(batch)
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
