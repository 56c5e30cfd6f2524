"""BatchInference: apply a fitted model to rows in batches, on the device."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from vqssl._batches import FEWEST_ROWS, as_tensor, filled
from vqssl._input import SeriesInput
from vqssl._memory import Portions
from vqssl._processes import current_processes
from vqssl._validation import warn_user

Result = TypeVar("Result")

# Numbers of input in one inference batch: small enough for the cache of a CPU core.
_CPU_BATCH = 2**15
_CUDA_BATCH = 2**20


class BatchInference(SeriesInput):
    """Base of estimators that keep a torch model and have a parameter `device`."""

    device: Any
    model_: Any  # the torch module, once fitted

    def _device(self) -> torch.device:
        if self.device == "auto":
            processes = current_processes()
            if processes is not None and processes.device is not None:
                return processes.device
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(1, device=device).cpu()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            # The first line of several, such as that a fork cannot use CUDA again.
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"device must be 'auto' or a torch device that this machine has; got "
                f"{self.device!r}. CUDA is {'' if torch.cuda.is_available() else 'not '}available. "
                f"{reason}"
            ) from error
        return device

    def _inference_device(self) -> torch.device:
        """The device, or the CPU for an estimator that comes from a machine with CUDA."""
        try:
            return self._device()
        except ValueError:
            if not str(self.device).startswith("cuda"):
                raise
            warn_user(
                f"device={self.device!r} is not available here; the CPU is used. "
                f"set_params(device='auto') on this {type(self).__name__} says so for good."
            )
            return torch.device("cpu")

    def _placed_model(self, double: bool = False) -> tuple[Any, torch.device]:
        """The model on the device of inference, in float64 if asked for, and that device."""
        device = self._inference_device()
        if device.type == "cpu" and not double:
            return self.model_, device
        # A copy: moving the kept model would race with other threads.
        model = copy.deepcopy(self.model_).to(device)
        return model.double() if double else model, device

    def _rows_at_once(self, device: torch.device) -> int:
        """Number of rows in one batch of inference."""
        limit = _CPU_BATCH if device.type == "cpu" else _CUDA_BATCH
        return max(1, limit // self._row_cost())

    def _row_cost(self) -> int:
        """Size of a row of inference, in numbers of input."""
        return max(1, math.prod(self._series_shape))

    def _inference(
        self, function: Callable[[Any, Tensor], Tensor], rows: np.ndarray, double: bool = False
    ) -> np.ndarray:
        """Apply ``function(model, batch)`` to rows in batches, on the device.

        Parameters
        ----------
        function : callable
            Takes the model and a tensor of rows on its device.
        rows : ndarray of shape (n, ...)
            Codes (n, N) in int64 stay what they are, everything else becomes float32.
        double : bool, default=False
            Whether the model works in float64.

        Returns
        -------
        result : ndarray of shape (n, ...)
        """

        def answer(model: Any, batch: Tensor, place: slice, fewest: int) -> Tensor:
            return function(model, filled(batch, fewest))[: len(batch)]

        result: np.ndarray | None = None
        with torch.inference_mode():
            for place, part in self._by_batches(answer, rows, double):
                if result is None:
                    # By numpy, which asks for large pages.
                    dtype = part[:0].cpu().numpy().dtype
                    result = np.empty((len(rows), *part.shape[1:]), dtype)
                # To its place at once, also from another device.
                torch.from_numpy(result[place]).copy_(part)
        assert result is not None, "callers pass at least one row"
        return result

    def _by_batches(
        self,
        function: Callable[[Any, Tensor, slice, int], Result],
        rows: np.ndarray,
        double: bool = False,
    ) -> Iterator[tuple[slice, Result]]:
        """Yield the place of each batch among the rows, and what a function makes of it.

        Parameters
        ----------
        function : callable
            ``function(model, batch, place, fewest)`` gets a batch on the device of the model;
            few rows may be filled up to `fewest`, see `filled`. It is called again with a
            smaller batch where there is no memory, so it leaves adding up to the caller.
        rows, double : see `_inference`
        """
        model, device = self._placed_model(double)

        def on_device(place: slice, fewest: int) -> Result:
            batch = as_tensor(rows[place]).to(device)
            if double and batch.is_floating_point():
                batch = batch.double()
            return function(model, batch, place, fewest)

        # Of few rows copies would be worked on, too; see `filled`.
        size = max(self._rows_at_once(device), FEWEST_ROWS)
        yield from Portions(size, device).of(len(rows), on_device)
