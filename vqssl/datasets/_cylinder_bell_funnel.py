"""Cylinder, bell and funnel: one event in noise, in three shapes (Saito, 1994)."""

import math
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from vqssl._validation import check_count
from vqssl.datasets._labels import balanced_labels

CLASSES = np.array(["cylinder", "bell", "funnel"])

# Below, the range of the beginning of the event holds no integer.
MIN_LENGTH = 4


def make_cylinder_bell_funnel(
    n_samples: int = 300, *, length: int = 128, random_state: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw series with one event in noise: a plateau, a rising ramp or a falling one.

    Parameters
    ----------
    n_samples : int, default=300
        Number of series.
    length : int, default=128
        Time points of a series, at least 4.
    random_state : int, RandomState instance or None, default=None
        Decides everything that is drawn. The same int gives the same series; None draws
        from numpy's global generator.

    Returns
    -------
    X : ndarray of shape (n_samples, length), float32
        The series, not standardised, in random order.
    y : ndarray of shape (n_samples,), str
        Their classes: "cylinder", "bell" or "funnel". Counts differ by at most one.

    Raises
    ------
    ValueError
        If `n_samples` is below 1, `length` is below 4, or `random_state` is no seed.
    TypeError
        If `n_samples` or `length` is no integer.

    See Also
    --------
    make_control_charts : Classes differ in what is added to noise along the whole series.
    make_two_patterns : Classes differ in the order of two events.

    Notes
    -----
    With t = 1, ..., length, and 1[a <= t <= b] equal to 1 during the event and 0 elsewhere, a
    series is

    - cylinder: y(t) = (6 + eta) 1[a <= t <= b] + eps(t)
    - bell: y(t) = (6 + eta) 1[a <= t <= b] (t - a) / (b - a) + eps(t)
    - funnel: y(t) = (6 + eta) 1[a <= t <= b] (b - t) / (b - a) + eps(t)

    eta, for each series, and eps(t), for each point, are normal with mean 0 and standard
    deviation 1. a and b - a are integers, uniform in [16, 32] and [32, 96] at the paper's
    length of 128. For other lengths these ranges scale with length / 128: the integers in
    [length / 8, length / 4] and in [length / 4, 3 length / 4]. All draws are independent.

    The events of "CBF" in the UCR archive are longer, and its series are scaled to mean 0 and
    standard deviation 1: fitted to its cylinders by least squares, a lies in 16, ..., 31 and b
    in 65, ..., 128, whatever a is.

    References
    ----------
    .. [1] N. Saito. "Local Feature Extraction and Its Applications Using a Library of Bases."
       PhD thesis, Yale University, 1994.

    Examples
    --------
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> X, y = make_cylinder_bell_funnel(300, random_state=0)
    >>> X.shape
    (300, 128)

    The first points lie before every event. In the middle of the series a bell has risen and
    a funnel has fallen:

    >>> round(float(X[:, :15].mean()), 1)
    0.0
    >>> for name in ("cylinder", "bell", "funnel"):
    ...     print(name, X[y == name, 30:50].mean() > X[y == name, 50:70].mean())
    cylinder True
    bell False
    funnel True
    """
    n_samples = check_count(n_samples, "n_samples")
    length = check_count(length, "length", MIN_LENGTH)
    generator = check_random_state(random_state)
    labels = balanced_labels(n_samples, len(CLASSES), generator)

    def draw(low: float, high: int) -> np.ndarray:
        return generator.randint(math.ceil(low), high + 1, size=(n_samples, 1))

    begin = draw(length / 8, length // 4)
    duration = draw(length / 4, 3 * length // 4)
    height = 6 + generator.standard_normal((n_samples, 1))
    noise = generator.standard_normal((n_samples, length))

    t = np.arange(1, length + 1)
    progress = (t - begin) / duration  # (n_samples, length), 0 at a and 1 at b
    shape = np.choose(labels[:, None], [np.ones_like(progress), progress, 1 - progress])
    event = (progress >= 0) & (progress <= 1)
    X = height * event * shape + noise
    return X.astype(np.float32), CLASSES[labels]
