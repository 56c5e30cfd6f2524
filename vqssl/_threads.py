"""CPU threads of training: one number for all of torch, the one before put back."""

import contextlib
import functools
import os
import threading
from collections.abc import Iterator

import torch
from threadpoolctl import ThreadpoolController


class _SharedThreads:
    """torch's number of threads, part of which (MKL's) all Python threads share.

    The first of several trainings at a time finds the number to restore, the last restores it.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n_users = 0
        self.before = 1

    def take(self, n_threads: int) -> None:
        with self.lock:
            if self.n_users == 0:
                self.before = torch.get_num_threads()
            self.n_users += 1
            torch.set_num_threads(n_threads)

    def give_back(self) -> None:
        with self.lock:
            self.n_users -= 1
            if self.n_users == 0:
                torch.set_num_threads(self.before)


_SHARED_THREADS = _SharedThreads()


def _use_one_thread() -> None:
    """Let a fork of the process compute by itself.

    The threads that torch had started are not there, and OpenMP would wait for them for ever.
    """
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_use_one_thread)


@functools.cache
def _openmp() -> ThreadpoolController:
    """Libraries of OpenMP, looked for once: it takes as long as a step of training."""
    return ThreadpoolController().select(user_api="openmp")


@contextlib.contextmanager
def cpu_threads(n_threads: int) -> Iterator[None]:
    """Run torch's CPU operations of the calling thread on so many threads.

    Sums over threads depend on their number, so weights trained on one thread here and on
    two there would differ in their last bits, then in their codes. Small models also train
    faster on one thread than on several that wait for each other.
    """
    # torch gives a new Python thread its number of threads at its first use, which would
    # undo the limit.
    torch.get_num_threads()
    with _openmp().limit(limits=n_threads):
        _SHARED_THREADS.take(n_threads)
        try:
            yield
        finally:
            _SHARED_THREADS.give_back()
