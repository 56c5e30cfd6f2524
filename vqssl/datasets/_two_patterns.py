"""Two patterns: the class is the order of two steps in noise (Geurts, 2001)."""

import math
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from vqssl._validation import check_count
from vqssl.datasets._labels import balanced_labels

CLASSES = np.array(["up-up", "up-down", "down-up", "down-down"])

# 1 is a step up, -1 a step down, in the order of CLASSES: the first step and the second.
STEPS = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])

# Below, the shortest pattern is a single point, which is no step.
MIN_LENGTH = 9


def make_two_patterns(
    n_samples: int = 400, *, length: int = 128, random_state: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw series with two steps in noise, each up or down; their order is the class.

    Parameters
    ----------
    n_samples : int, default=400
        Number of series.
    length : int, default=128
        Time points of a series, at least 9.
    random_state : int, RandomState instance or None, default=None
        Decides everything that is drawn. The same int gives the same series; None draws
        from numpy's global generator.

    Returns
    -------
    X : ndarray of shape (n_samples, length), float32
        The series, not standardised, in random order.
    y : ndarray of shape (n_samples,), str
        Their classes, first and second step: "up-up", "up-down", "down-up" or "down-down".
        Counts differ by at most one.

    Raises
    ------
    ValueError
        If `n_samples` is below 1, `length` is below 9, or `random_state` is no seed.
    TypeError
        If `n_samples` or `length` is no integer.

    See Also
    --------
    make_control_charts : Classes differ in what is added to noise along the whole series.
    make_cylinder_bell_funnel : Classes differ in the shape of one event.

    Notes
    -----
    A pattern of l points, t = 0, ..., l - 1, is

    - up: -5 where t < l / 2, then 5
    - down: 5 where t < l / 2, then -5

    so that the first half has ceil(l / 2) points. A series holds two patterns that do not
    overlap, without noise on them. All other points are normal with mean 0 and standard
    deviation 1.

    The lengths of the two patterns are integers, independent and uniform in [16, 32] at a
    length of 128. For other lengths this range scales with length / 128: the integers in
    [length / 8, length / 4]. Of the f points outside the patterns, the number before the
    first is uniform on 0, ..., f, the number between the two on what that leaves.

    The paper's text was not at hand. Lengths and places are those of the series of
    "TwoPatterns" in the UCR archive. Each of its series is scaled to mean 0 and standard
    deviation 1; its classes 1 to 4 are down-down, up-down, down-up and up-up.

    References
    ----------
    .. [1] P. Geurts. "Pattern Extraction for Time Series Classification." PKDD 2001.

    Examples
    --------
    >>> from vqssl.datasets import make_two_patterns
    >>> X, y = make_two_patterns(8, length=9, random_state=0)
    >>> X.shape
    (8, 9)

    Series this short have patterns of two points:

    >>> x = X[y == "up-down"][0]
    >>> x[abs(x) == 5]
    array([-5.,  5.,  5., -5.], dtype=float32)
    """
    n_samples = check_count(n_samples, "n_samples")
    length = check_count(length, "length", MIN_LENGTH)
    generator = check_random_state(random_state)
    labels = balanced_labels(n_samples, len(CLASSES), generator)

    lengths = generator.randint(math.ceil(length / 8), length // 4 + 1, size=(n_samples, 2))
    starts = _draw_starts(lengths, length, generator)
    X = generator.standard_normal((n_samples, length))

    for k in range(2):
        t = np.arange(length) - starts[:, k, None]  # (n_samples, length), from the pattern's start
        size = lengths[:, k, None]
        pattern = np.where(t < size / 2, -5, 5) * STEPS[labels, k, None]
        X = np.where((t >= 0) & (t < size), pattern, X)
    return X.astype(np.float32), CLASSES[labels]


def _draw_starts(lengths: np.ndarray, length: int, generator: np.random.RandomState) -> np.ndarray:
    """Draw where two patterns begin: the first anywhere, the second behind it.

    Parameters
    ----------
    lengths : ndarray of shape (n_samples, 2), int
        Points of the first and the second pattern.
    length : int
        Points of a series.
    generator : RandomState
        Decides the placements.

    Returns
    -------
    starts : ndarray of shape (n_samples, 2), int
        Index of the first point of each pattern.
    """
    free = length - lengths.sum(axis=1)  # (n_samples,) points outside the patterns
    before = generator.randint(free + 1)
    between = generator.randint(free - before + 1)
    return np.stack([before, before + lengths[:, 0] + between], axis=1)
