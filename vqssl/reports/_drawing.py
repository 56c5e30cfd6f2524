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
    """Draw some series, for the classes of some training series where it was fitted with any."""
    rows = np.random.default_rng(seed).permutation(len(sets.train.X))[:_SHOWN]
    n = max(len(rows), 2)
    if subject.classes is None:
        X = watch.call("sample", n, lambda: subject.generator.sample(n, random_state=seed))
        return Drawn(np.asarray(X).reshape(n, *sets.train.X.shape[1:]), None)
    assert sets.train.y is not None
    y = np.resize(sets.train.y[rows], n)
    X = watch.call("sample", n, lambda: subject.generator.sample(n, y, random_state=seed))
    return Drawn(np.asarray(X).reshape(n, *sets.train.X.shape[1:]), y)
