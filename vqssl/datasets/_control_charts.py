"""Control charts: a machine's measurements, in order or not (Alcock and Manolopoulos, 1999)."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from vqssl._validation import check_count
from vqssl.datasets._labels import balanced_labels

CLASSES = np.array(
    ["normal", "cyclic", "increasing", "decreasing", "upward shift", "downward shift"]
)

# What each class adds to the noise, and with which sign, in the order of CLASSES.
CYCLE = np.array([0, 1, 0, 0, 0, 0])
TREND = np.array([0, 0, 1, -1, 0, 0])
SHIFT = np.array([0, 0, 0, 0, 1, -1])

# The shortest series with a point before every shift.
MIN_LENGTH = 3


def make_control_charts(
    n_samples: int = 600, *, length: int = 60, random_state: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw control charts: noise alone, or with a cycle, a trend or a shift of level.

    Parameters
    ----------
    n_samples : int, default=600
        Number of series.
    length : int, default=60
        Time points of a series, at least 3.
    random_state : int, RandomState instance or None, default=None
        Decides everything that is drawn. The same int gives the same series; None draws
        from numpy's global generator.

    Returns
    -------
    X : ndarray of shape (n_samples, length), float32
        The series, not standardised, in random order.
    y : ndarray of shape (n_samples,), str
        Their classes: "normal", "cyclic", "increasing", "decreasing", "upward shift" or
        "downward shift". Counts differ by at most one.

    Raises
    ------
    ValueError
        If `n_samples` is below 1, `length` is below 3, or `random_state` is no seed.
    TypeError
        If `n_samples` or `length` is no integer.

    See Also
    --------
    make_cylinder_bell_funnel : Classes differ in the shape of one event.
    make_two_patterns : Classes differ in the order of two events.

    Notes
    -----
    With t = 1, ..., length, m = 30 and s = 2, a series is

    - normal: y(t) = m + r(t) s
    - cyclic: y(t) = m + r(t) s + a sin(2 pi t / T)
    - increasing: y(t) = m + r(t) s + g t
    - decreasing: y(t) = m + r(t) s - g t
    - upward shift: y(t) = m + r(t) s + x where t >= t3
    - downward shift: y(t) = m + r(t) s - x where t >= t3

    All draws are uniform and independent: r(t) in [-3, 3] for each point; the amplitude a in
    [10, 15], the period T in [10, 15], the gradient g in [0.2, 0.5], the shift x in [7.5, 20]
    and its time t3 in [length / 3, 2 length / 3] for each series. T, t3 and the others are
    real numbers. Only t3 depends on `length`: longer charts have more cycles, and their
    trends go further.

    With the defaults this is the process behind "Synthetic Control Chart Time Series" of the
    UCI repository, 600 series with 100 of each class. "SyntheticControl" in the UCR archive is
    that set with each series scaled to mean 0 and standard deviation 1.

    References
    ----------
    .. [1] R. J. Alcock, Y. Manolopoulos. "Time-Series Similarity Queries Employing a
       Feature-Based Approach." 7th Hellenic Conference on Informatics, 1999.

    Examples
    --------
    >>> from vqssl.datasets import make_control_charts
    >>> X, y = make_control_charts(60, random_state=0)
    >>> X.shape
    (60, 60)
    >>> rise = X[:, 40:].mean(axis=1) - X[:, :20].mean(axis=1)
    >>> sorted(set(y[rise > 5].tolist()))
    ['increasing', 'upward shift']
    """
    n_samples = check_count(n_samples, "n_samples")
    length = check_count(length, "length", MIN_LENGTH)
    generator = check_random_state(random_state)
    labels = balanced_labels(n_samples, len(CLASSES), generator)

    def draw(low: float, high: float) -> np.ndarray:
        return generator.uniform(low, high, size=(n_samples, 1))

    # Every series draws what any class needs: which numbers it gets depends on no label.
    amplitude, period = draw(10, 15), draw(10, 15)
    gradient = draw(0.2, 0.5)
    size, onset = draw(7.5, 20), draw(length / 3, 2 * length / 3)
    noise = generator.uniform(-3, 3, size=(n_samples, length))

    t = np.arange(1, length + 1)
    X = 30 + 2 * noise  # (n_samples, length)
    X += CYCLE[labels, None] * amplitude * np.sin(2 * np.pi * t / period)
    X += TREND[labels, None] * gradient * t
    X += SHIFT[labels, None] * size * (t >= onset)
    return X.astype(np.float32), CLASSES[labels]
