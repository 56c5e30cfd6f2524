"""Series that a report draws from a generator to show them."""

from typing import NamedTuple

import numpy as np

from vqssl.reports._sets import Sets
from vqssl.reports._subject import Subject
from vqssl.reports._timing import Stopwatch

# Series that are drawn for pictures, at most.
_SHOWN = 150


class Drawn(NamedTuple):
    """Series from a generator, and the classes they were drawn for, or None."""

    X: np.ndarray
    y: np.ndarray | None


def draw_series(subject: Subject, sets: Sets, watch: Stopwatch, seed: int) -> Drawn:
    """Draw some series, for the classes of some that are shown where it was fitted with any."""
    rows = np.random.default_rng(seed).permutation(len(sets.shown.X))[:_SHOWN]
    n = len(rows)
    if subject.classes is None:
        X = watch.call("sample", n, lambda: subject.generator.sample(n, random_state=seed))
        return Drawn(np.asarray(X).reshape(n, *sets.train.X.shape[1:]), None)
    assert sets.shown.y is not None
    y = sets.shown.y[rows]
    X = watch.call("sample", n, lambda: subject.generator.sample(n, y, random_state=seed))
    return Drawn(np.asarray(X).reshape(n, *sets.train.X.shape[1:]), y)
