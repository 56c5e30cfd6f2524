"""`data_parallel`: one model on many processes, connected by torch.distributed."""

import contextlib
import datetime as dt
import os
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist

from vqssl._processes import Processes, current_processes, training_together
from vqssl._validation import check_weight

BACKENDS = ("gloo", "nccl")

# What torchrun tells every process.
_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@contextlib.contextmanager
def data_parallel(backend: str | None = None, timeout: float = 300.0) -> Iterator[None]:
    """Train one model on several processes: a context in which `fit` is shared by all of them.

    Every process runs the same script, started by torch's ``torchrun``, and calls the same `fit`
    or `partial_fit` with the same series. In each step a process works on a part of the batch; all
    end up with the same weights, which are those of one process whose `batch_size` is as many times
    larger as there are processes, but for rounding.

    Parameters
    ----------
    backend : {"gloo", "nccl"} or None, default=None
        How processes talk. "nccl" is for GPUs, one for each process; "gloo" for the CPU, and for
        processes that share a GPU. None is "nccl" where every process has a GPU of its own, else
        "gloo".
    timeout : float, default=300.0
        Seconds that a process waits for the others before it gives up; above 0. One that is killed
        is noticed at once with "gloo", since its connections close; a machine that is gone, or a
        process that hangs, after this time.

    Yields
    ------
    None

    Raises
    ------
    ValueError, TypeError
        If a parameter is not acceptable, or there are fewer GPUs than "nccl" needs.
    RuntimeError
        If the script was not started by torchrun or a similar program, or torch was built without
        ``torch.distributed``.

    See Also
    --------
    VQTokenizer : Its parameter `batch_size` is that of each process here.

    Notes
    -----
    A fit in here raises a ``ValueError`` on all processes where they differ in series or
    parameters, and where a batch has fewer rows than there are processes. When one process fails
    or is killed, the fits of the others end with a ``RuntimeError``.

    - Seeds and first weights are those of process 0, so ``random_state=None`` works.
    - Shared are gradients, statistics of batches (codebooks of moving averages and their resets,
      batch normalisation, losses between series and negatives), the losses in ``history_``,
      which is the same everywhere, and the decision to stop. `verbose` of process 0 shows
      progress there. `callbacks` are called on every process, and may differ.
    - With `checkpoint_dir` process 0 writes; `fit` goes on with as many processes as before.
    - Where a GPU runs out of memory, the fit ends: batches are not made smaller by themselves.
    - A fit in another thread, or in a worker process of joblib, is not shared.
    - A process group of torch that exists already is used, and left as it is.

    With one process nothing changes, down to the bits.

    References
    ----------
    S. Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training",
    VLDB 2020.

    Examples
    --------
    A script ``train.py``, for ``torchrun --nproc-per-node 2 train.py``; here a single process
    stands for those that torchrun would start.

    >>> import os
    >>> os.environ |= {"RANK": "0", "WORLD_SIZE": "1"}
    >>> os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    >>> import vqssl
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> X, _ = make_cylinder_bell_funnel(60, random_state=0)
    >>> with vqssl.data_parallel():
    ...     tokenizer = vqssl.VQTokenizer(max_iter=20, random_state=0).fit(X)
    >>> tokenizer.n_iter_
    20
    >>> for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
    ...     del os.environ[name]
    """
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"backend must be 'gloo', 'nccl' or None; got {backend!r}.")
    check_weight(timeout, "timeout", positive=True)
    if current_processes() is not None:
        yield
        return
    with _device_of_process(backend) as device, _connected(backend, timeout, device) as processes:
        with training_together(processes if processes.size > 1 else None):
            yield
        if processes.group is not None:
            # Whoever is ready first waits, so that its end is not taken for a failure.
            processes.from_all(None)


@contextlib.contextmanager
def _connected(
    backend: str | None, timeout: float, device: torch.device | None
) -> Iterator[Processes]:
    """The processes, connected through torch's group or, where there is none, one of their own."""
    if not dist.is_available():
        raise RuntimeError("data_parallel needs torch.distributed, which this torch lacks.")
    limit = dt.timedelta(seconds=float(timeout))
    is_owner = not dist.is_initialized()
    # Objects go by the CPU in any case.
    names = "cpu:gloo,cuda:nccl" if _chosen(backend) == "nccl" else "gloo"
    if is_owner:
        missing = [name for name in _VARIABLES if name not in os.environ]
        if missing:
            raise RuntimeError(
                "data_parallel must run in processes that torchrun has started; there is no "
                f"{', '.join(missing)} in the environment. Start them by: torchrun "
                "--nproc-per-node 2 script.py"
            )
        dist.init_process_group(names, timeout=limit)
        group: Any = dist.group.WORLD
    else:
        # A group of its own has this timeout, and can be closed.
        group = dist.new_group(timeout=limit, backend=names)
    processes = Processes(group, is_owner, float(timeout), device)
    del group
    try:
        yield processes
    finally:
        processes.close()


def _chosen(backend: str | None) -> str:
    """The backend that None stands for."""
    if backend is not None:
        return backend
    n_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    fits = torch.cuda.is_available() and n_here <= torch.cuda.device_count()
    return "nccl" if fits and dist.is_nccl_available() else "gloo"


@contextlib.contextmanager
def _device_of_process(backend: str | None) -> Iterator[torch.device | None]:
    """The GPU of this process as torch's current one; None where there is no GPU."""
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    place = int(os.environ.get("LOCAL_RANK", os.environ.get("RANK", "0")))
    if backend == "nccl" and place >= n_devices:
        raise ValueError(
            f"backend must be 'gloo' where processes have no GPU of their own; got 'nccl' for "
            f"process {place} of a machine with {n_devices}."
        )
    if n_devices == 0:
        yield None
        return
    device = torch.device("cuda", place % n_devices)
    with torch.cuda.device(device):
        yield device
