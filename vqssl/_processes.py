"""What processes that train one model say to each other.

Everything that all of them compute alike is computed by each. They talk before the first step (are
parameters and series the same; the seeds and the weights of process 0), in every step (sums, see
`vqssl._share`), and after the last one (are the weights the same). What one of them cannot go on
from ends all: before and after the steps it tells the others, in between it closes its connections.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vqssl._conditions import differences

Value = TypeVar("Value")
Error = TypeVar("Error", bound=BaseException)

_NARROW = (torch.bfloat16, torch.float16)


class Processes:
    """The processes that train one model together, seen from one of them.

    Parameters
    ----------
    group : object
        Process group of torch.
    is_owner : bool
        Whether torch's default group was made for this, and goes with it.
    timeout : float
        Seconds after which the group gives up, for messages.
    device : torch.device or None
        The GPU of this process, if it has one.
    """

    def __init__(
        self, group: Any, is_owner: bool, timeout: float, device: torch.device | None
    ) -> None:
        self.group = group
        self.is_owner = is_owner
        self.timeout = timeout
        self.device = device
        self.rank = dist.get_rank(group)
        self.size = dist.get_world_size(group)
        self.uses_nccl = "nccl" in dist.get_backend_config(group)
        self._pid = os.getpid()
        self._is_in_steps = False
        self._known: BaseException | None = None

    @property
    def is_here(self) -> bool:
        """Whether this process is one of them, not a fork of it."""
        return os.getpid() == self._pid

    # Before and after the steps ---------------------------------------------------------------

    def from_all(self, value: Value) -> list[Value]:
        """Values of all processes, by rank.

        Raises
        ------
        RuntimeError
            If another process has failed.
        """
        return self._exchange(None, value)

    def from_first(self, value: Value) -> Value:
        """The value that process 0 has."""
        self.from_all(None)
        values: list[Any] = [value if self.rank == 0 else None]
        with self._talking():
            dist.broadcast_object_list(values, group=self.group, group_src=0)
        return values[0]

    def compare(self, conditions: Any) -> None:
        """Check that what training depends on is the same everywhere.

        Parameters
        ----------
        conditions : dict
            As `vqssl._conditions.describe` returns it.

        Raises
        ------
        ValueError
            On all processes, where one of them differs.
        """
        described = self.from_all(conditions)
        for rank, theirs in enumerate(described):
            found = list(differences(theirs, described[0]))
            if found:
                rest = f" and {len(found) - 3} more" if len(found) > 3 else ""
                raise self.settled(
                    ValueError(
                        "data_parallel must be given the same series and parameters in all "
                        f"processes; process {rank} has {'; '.join(found[:3])}{rest}, unlike "
                        "process 0. Each process takes its rows from the whole of X by itself."
                    )
                )

    def check_device(self, device: torch.device) -> None:
        """Check that a device is the one that this process has for itself.

        Raises
        ------
        ValueError
            If "nccl" would find two processes on one GPU.
        """
        own = self.device
        if not self.uses_nccl or own is None or device.type != "cuda":
            return
        if device.index not in (None, own.index):
            raise ValueError(
                f"device must be 'auto' or 'cuda' in data_parallel, where process {self.rank} has "
                f"{own}; got '{device}'."
            )

    def check_divisible(self, n_rows: int, n_fewest: int) -> None:
        """Check that there is a row for each process in the smallest of the batches.

        Raises
        ------
        ValueError
            If there is not.
        """
        if n_fewest < self.size:
            raise ValueError(
                f"X must have a series for each of the {self.size} processes in every step; "
                f"{n_rows} series make batches of {n_fewest}. Start fewer processes, or raise "
                "batch_size."
            )

    def check_alike(self, task: nn.Module, generator: torch.Generator) -> None:
        """Check that weights and random numbers are the same everywhere.

        Raises
        ------
        RuntimeError
            On all processes, where one of them differs.
        """
        mine = {"weights": digest(task.state_dict().values())}
        mine["random numbers"] = digest([generator.get_state()])
        everywhere = self.from_all(mine)
        differing = [
            name for name in mine if any(o[name] != everywhere[0][name] for o in everywhere)
        ]
        if differing:
            raise self.settled(
                RuntimeError(
                    f"The {' and the '.join(differing)} differ between processes. A part of your "
                    "own that draws random numbers, or learns from a batch without gradients, "
                    "must do so alike whatever rows it gets; or the processes do not run on the "
                    "same kind of processor."
                )
            )

    def settled(self, error: Error) -> Error:
        """Return an error that all processes raise, so that none needs to tell the others."""
        self._known = error
        return error

    def fail(self, error: BaseException) -> None:
        """End the others, too, for an error that a fit is ended by."""
        in_steps, self._is_in_steps = self._is_in_steps, False
        if error is self._known or self.group is None:
            return
        if in_steps or not isinstance(error, Exception):
            self.close()
            return
        self._known = error
        # The error at hand is the one to be seen.
        with contextlib.suppress(RuntimeError):
            self._exchange(f"{type(error).__name__}: {error}", None)

    @contextlib.contextmanager
    def ending_together(self) -> Iterator[None]:
        """A fit, whose errors end the fits of all."""
        try:
            yield
        except BaseException as error:
            self.fail(error)
            raise

    @contextlib.contextmanager
    def steps(self) -> Iterator[None]:
        """The steps of a training, in which processes only add up numbers."""
        self.from_all(None)
        self._is_in_steps = True
        yield
        self._is_in_steps = False

    # In every step ----------------------------------------------------------------------------

    def sum_(self, tensor: Tensor) -> Tensor:
        """Replace a tensor by its sum over processes, and return it."""
        carried = tensor.detach()
        if carried.dtype in _NARROW:
            carried = carried.float()
        if carried.device.type != "cpu" and not self.uses_nccl:
            carried = carried.cpu()
        carried = carried.contiguous()
        with self._talking():
            dist.all_reduce(carried, group=self.group)
        if carried.data_ptr() != tensor.data_ptr():
            tensor.copy_(carried)
        return tensor

    def is_any(self, truth: bool) -> bool:
        """Whether something is true of one of the processes."""
        return bool(self.sum_(torch.tensor(float(truth))) > 0)

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients of parameters by their sums over processes."""
        learning = [parameter for parameter in parameters if parameter.requires_grad]
        # Those without a gradient have room, too, lest processes differ in what they send.
        flat = torch.cat(
            [
                (torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1).float()
                for p in learning
            ]
        )
        self.sum_(flat)
        for parameter, part in zip(
            learning, flat.split([p.numel() for p in learning]), strict=True
        ):
            if parameter.grad is not None:
                parameter.grad.copy_(part.view(parameter.shape))

    # Connections ------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections, which the other processes notice."""
        if self.group is None:
            return
        group, self.group = self.group, None
        # After an error of a connection there may be nothing left to close.
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group(None if self.is_owner else group)

    def _exchange(self, error: str | None, value: Any) -> list[Any]:
        told: list[Any] = [None] * self.size
        with self._talking():
            dist.all_gather_object(told, (error, value), group=self.group)
        for rank, (theirs, _) in enumerate(told):
            if theirs is not None and error is None:
                raise self.settled(
                    RuntimeError(
                        f"Process {rank} of {self.size} failed, and ends the training of all: "
                        f"{theirs}"
                    )
                )
        return [value for _, value in told]

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        if self.group is None:
            raise RuntimeError(
                "data_parallel has lost its other processes in an earlier fit; nothing more can "
                "be trained in it. Start all processes again."
            )
        try:
            yield
        except RuntimeError as error:
            self.close()
            raise self.settled(
                RuntimeError(
                    f"Process {self.rank} of {self.size} has lost the others: one of them was "
                    "killed or ended by an error, which it shows itself, or did not answer within "
                    f"the timeout of {self.timeout:g} seconds. Start all of them again; with "
                    "checkpoint_dir, fit goes on from where it was."
                )
            ) from error


_CURRENT: ContextVar[Processes | None] = ContextVar("processes", default=None)


@contextlib.contextmanager
def training_together(processes: Processes | None) -> Iterator[None]:
    """Share the fits of this thread with other processes; None is for none of them."""
    token = _CURRENT.set(processes)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_processes() -> Processes | None:
    """The processes that a fit at this place is shared by; None for this one alone."""
    processes = _CURRENT.get()
    return processes if processes is not None and processes.is_here else None


def digest(tensors: Iterable[Tensor]) -> str:
    """Digest of the numbers of tensors."""
    found = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        flat = tensor.detach().cpu().contiguous().flatten()
        found.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return found.hexdigest()
