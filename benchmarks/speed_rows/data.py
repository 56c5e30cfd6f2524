"""Series for the rows: UCR training sets where a folder is given, else generated ones."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

from vqssl.datasets import make_control_charts, make_two_patterns

# UCR name, and what stands in for it without a folder: as many series of the same length.
SETS = {
    "short": ("TwoPatterns", partial(make_two_patterns, 1000, length=128, random_state=0)),
    "long": ("ShapesAll", partial(make_control_charts, 600, length=512, random_state=0)),
}


class Split(NamedTuple):
    """Training series of a set, a fifth of them held out; test sets are never read."""

    name: str
    X: np.ndarray  # (n, 1, L) float32, standardised over the set
    y: np.ndarray  # (n,)
    X_held_out: np.ndarray
    y_held_out: np.ndarray


def split(kind: str, folder: Path | None) -> Split:
    """Read or make a set of `SETS`, hold out a fifth, standardise by the other four."""
    name, make = SETS[kind]
    if folder is None:
        name = f"{make.func.__name__.removeprefix('make_')} (generated)"
        X, y = make()
        X = X[:, None]
    else:
        with np.load(folder / f"{name}.npz") as file:
            X, y = file["X_train"], file["y_train"]
    X, X_held_out, y, y_held_out = train_test_split(X, y, test_size=0.2, stratify=y, random_state=0)
    mean, deviation = X.mean(dtype=np.float64), X.std(dtype=np.float64)
    X, X_held_out = ((x - mean) / deviation for x in (X, X_held_out))
    return Split(name, X.astype(np.float32), y, X_held_out.astype(np.float32), y_held_out)


def waves(n: int, length: int, seed: int = 0) -> np.ndarray:
    """Noisy sines of random frequency and phase, (n, 1, length) float32.

    Filled block by block, so that making them needs no memory beside the result.
    """
    rng = np.random.default_rng(seed)
    X = np.empty((n, 1, length), dtype=np.float32)
    t = np.linspace(0, 2 * np.pi, length, dtype=np.float32)
    size = max(1, 2**18 // length)
    for start in range(0, n, size):
        block = X[start : start + size, 0]
        frequency = rng.uniform(1, 8, (len(block), 1)).astype(np.float32)
        phase = rng.uniform(0, 2 * np.pi, (len(block), 1)).astype(np.float32)
        noise = rng.standard_normal(block.shape, dtype=np.float32)
        block[:] = np.sin(frequency * t + phase) + 0.1 * noise
    return X
