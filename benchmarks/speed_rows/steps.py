"""Training steps of an estimator, taken one by one outside of `fit`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import skorch
import torch
from sklearn.base import clone
from torch import Tensor

from speed_rows.timing import Side


class _Catch(skorch.callbacks.Callback):
    """Hands out the net when training is about to begin, and stops `fit` there."""

    def __init__(self, caught: list[Any]) -> None:
        self.caught = caught

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        self.caught += [net, X]
        raise KeyboardInterrupt


class Steps:
    """Calling it gathers the next batch and takes a training step, as `fit` does.

    The net is the one that `fit` makes, with the started model, the optimizer and the
    schedule; only the history, which `fit` writes every 50 steps, is left out.

    Parameters
    ----------
    estimator : TorchEstimator
        Stays as it is.
    X, y : array-like
        Training series and, for a generator, their classes.
    """

    def __init__(self, estimator: Any, X: np.ndarray, y: np.ndarray | None = None) -> None:
        caught: list[Any] = []
        # A long schedule: the steps that are timed lie in its warm-up, whatever their number.
        copy = clone(estimator).set_params(max_iter=10_000, callbacks=[_Catch(caught)])
        try:
            copy.fit(X, y)
        except KeyboardInterrupt:
            if not caught:
                raise
        self.net, rows = caught
        self.net.module_.train()
        self.batches = self.net.get_iterator(rows, training=True)

    def next_batch(self) -> list[Tensor]:
        return self.batches.take()

    def __call__(self) -> None:
        self.net.train_step(self.next_batch())


@contextmanager
def with_threads(threads: int) -> Iterator[None]:
    """Run torch on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def shuffled(X: np.ndarray, batch_size: int, seed: int) -> Side:
    """What returns one shuffled batch after another of an array, without an end."""
    order = torch.Generator().manual_seed(seed)
    x = torch.from_numpy(X)

    def batches() -> Iterator[Tensor]:
        while True:
            for rows in torch.randperm(len(x), generator=order).split(batch_size):
                yield x[rows]

    iterator = batches()
    return lambda: next(iterator)
