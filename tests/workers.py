"""What tests send to worker processes, which import this file and nothing else of the tests."""

import os
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from skorch.callbacks import Callback

# Seconds that a busy machine may take for what takes one or two.
PATIENCE = 300


def wait_for(condition, what):
    """What the condition gives, once that is something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise TimeoutError(what)


class Hold(Callback):
    """Says that a fit has begun and in which process, and waits there for a sign."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_begin(self, net, **kwargs):
        Path(self.folder, f"began-{os.getpid()}").touch()
        wait_for(Path(self.folder, "go_on").exists, "there was no sign to go on")


def processes_that_began(folder):
    """Processes in which `Hold` has seen a fit begin."""
    return {int(path.name.partition("-")[2]) for path in Path(folder).glob("began-*")}


class Note(Callback):
    """Notes torch's number of threads in every step."""

    def __init__(self, found):
        self.found = found

    def on_batch_begin(self, net, **kwargs):
        self.found.append(torch.get_num_threads())


class Witness(BaseEstimator):
    """A fitted tokenizer, which tells beside its features where and on how many threads it works.

    Four columns come first: the process, OMP_NUM_THREADS, and torch's threads outside a fit and in
    it.
    """

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        found = []
        clone(self.tokenizer).set_params(callbacks=[Note(found)]).fit(X)
        (inside,) = set(found)
        variable = float(os.environ.get("OMP_NUM_THREADS", "nan"))
        here = [os.getpid(), variable, torch.get_num_threads(), inside]
        return np.hstack([np.tile(here, (len(X), 1)), self.tokenizer.transform(X)])
