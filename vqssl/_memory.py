"""A device that runs out of memory: smaller batches, and nothing left half done."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import nn

from vqssl._batches import FEWEST_ROWS
from vqssl._validation import warn_user

Result = TypeVar("Result")


class BeforeStep:
    """What a step of training changes before it changes the weights: buffers, random numbers.

    Parameters
    ----------
    module : torch.nn.Module
        Moving averages, for example, are buffers.
    generator : torch.Generator
    """

    def __init__(self, module: nn.Module, generator: torch.Generator) -> None:
        self.generator = generator
        self.is_over = False
        # A module may put another tensor in the place of a buffer, as well as change it.
        self.places: list[tuple[dict[str, Any], str]] = [
            (owner._buffers, name)
            for owner in module.modules()
            for name, buffer in owner.named_buffers(recurse=False)
        ]

    def note(self) -> None:
        """Remember how things are now."""
        self.is_over = False
        self.state = self.generator.get_state()
        self.buffers = [owned[name] for owned, name in self.places]
        self.copies = [buffer.detach().clone() for buffer in self.buffers]

    def end(self) -> None:
        """Say that weights change from here on, and there is no way back."""
        self.is_over = True

    @torch.no_grad()
    def restore(self) -> None:
        """Bring back what was noted."""
        self.generator.set_state(self.state)
        for (owned, name), buffer, copy in zip(self.places, self.buffers, self.copies, strict=True):
            owned[name] = buffer.copy_(copy)


class Portions:
    """Rows of inference in portions, smaller ones once a device has no memory for one.

    Parameters
    ----------
    size : int
        Rows in a portion, at most.
    device : torch.device
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.size = size
        self.device = device
        # Few rows are filled up to so many; see `filled`.
        self.fewest = FEWEST_ROWS
        self.is_warned = False

    def of(self, n: int, work: Callable[[slice, int], Result]) -> Iterator[tuple[slice, Result]]:
        """Yield the place of each portion among n rows, and what ``work(place, fewest)`` returns.

        `work` may be called again for a smaller portion, so it must not add to what it did
        before; that is for who takes the results.

        Raises
        ------
        torch.OutOfMemoryError
            If there is no memory for a single row.
        """
        start = 0
        while start < n:
            place = slice(start, min(start + self.size, n))
            n_rows = max(place.stop - start, self.fewest)
            try:
                result = work(place, self.fewest)
            except torch.OutOfMemoryError:
                if n_rows == 1:
                    raise
            else:
                yield place, result
                start = place.stop
                continue
            # Not inside the handler, whose error holds on to the tensors of the call.
            self._halve(n_rows)

    def _halve(self, n_rows: int) -> None:
        self.size, self.fewest = min(self.size, n_rows // 2), min(self.fewest, n_rows // 2)
        if not self.is_warned:
            self.is_warned = True
            warn_user(
                f"{self.device} ran out of memory with {n_rows} series at a time; fewer are taken, "
                "until they fit. Free memory of the device, or use the CPU: "
                "set_params(device='cpu')."
            )
