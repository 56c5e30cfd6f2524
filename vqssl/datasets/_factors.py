"""Factor series: known causes, each independent of the others, to see which ones a model finds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from vqssl._validation import check_count

# What each level of a factor stands for. The order is that of the columns of `factors`.
FACTOR_VALUES: Mapping[str, np.ndarray] = MappingProxyType(
    {
        "frequency": np.array([2.0, 3.0, 4.0, 5.0, 6.0]),  # cycles per series
        # Half a turn only: one number can hold the phase, which on a full circle takes two.
        "phase": np.arange(8) * np.pi / 8,  # radians
        "amplitude": np.array([0.5, 1.0, 1.5, 2.0, 2.5]),
        "trend": np.array([-2.0, -1.0, 0.0, 1.0, 2.0]),  # rise per series
        "position": (np.arange(8) + 0.5) / 8,  # share of the series before the event
        "noise": np.array([0.0, 0.1, 0.2]),  # standard deviation
    }
)
# A value that someone changes in place would change all series that are drawn later.
for _values in FACTOR_VALUES.values():
    _values.flags.writeable = False

EVENT_HEIGHT = 3.0
# Standard deviation of the bump, a share of the series. Events at neighbouring positions hardly
# overlap; much narrower ones would fall between the points of a short series.
EVENT_WIDTH = 0.02


def make_factor_series(
    n_samples: int = 1000, *, length: int = 128, random_state: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw series of known factors: frequency, phase, amplitude, trend, position and noise.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of series.
    length : int, default=128
        Time points of a series, at least 1.
    random_state : int, RandomState instance or None, default=None
        Decides everything that is drawn. The same int gives the same series; None draws
        from numpy's global generator.

    Returns
    -------
    X : ndarray of shape (n_samples, length), float64
        The series, not standardised.
    factors : ndarray of shape (n_samples, 6), int64
        Levels of the factors, in the order of ``FACTOR_VALUES``: for each factor an index
        into its values. Factors are independent, and each is uniform over its levels.

    Raises
    ------
    ValueError
        If `n_samples` or `length` is below 1, or `random_state` is no seed.
    TypeError
        If `n_samples` or `length` is no integer.

    See Also
    --------
    series_from_factors : Series of given levels; has the formula and the values.

    Examples
    --------
    >>> from vqssl.datasets import FACTOR_VALUES, make_factor_series
    >>> X, factors = make_factor_series(300, random_state=0)
    >>> X.shape, factors.shape
    ((300, 128), (300, 6))

    How far a series deviates from its mean says most about its amplitude:

    >>> amplitude = FACTOR_VALUES["amplitude"][factors[:, 2]]
    >>> bool(np.corrcoef(X.std(axis=1), amplitude)[0, 1] > 0.9)
    True
    """
    n_samples = check_count(n_samples, "n_samples")
    length = check_count(length, "length")
    generator = check_random_state(random_state)
    shape = (n_samples, len(FACTOR_VALUES))
    factors = generator.randint(_level_counts(), size=shape, dtype=np.int64)
    return series_from_factors(factors, length=length, random_state=generator), factors


def series_from_factors(factors: Any, *, length: int = 128, random_state: Any = None) -> np.ndarray:
    """Draw one series for each row of given levels of the factors.

    Parameters
    ----------
    factors : array-like of shape (n_samples, 6), int
        Levels of frequency, phase, amplitude, trend, position and noise, counted from 0:
        indices into the values of ``FACTOR_VALUES``, which has the same order.
    length : int, default=128
        Time points of a series, at least 1.
    random_state : int, RandomState instance or None, default=None
        Decides the noise. The same int gives the same series; None draws from numpy's
        global generator.

    Returns
    -------
    X : ndarray of shape (n_samples, length), float64
        The series, not standardised.

    Raises
    ------
    ValueError
        If `factors` has another shape or no row, or holds a level that its factor does not
        have; if `length` is below 1, or `random_state` is no seed.
    TypeError
        If `factors` holds anything but integers, or `length` is no integer.

    See Also
    --------
    make_factor_series : Draws the levels, too.

    Notes
    -----
    With u = t / length for t = 0, ..., length - 1, a series is

    x(t) = a sin(2 pi f u + phi) + g (u - 1/2) + 3 exp(-(u - p)^2 / (2 w^2)) + s eps(t)

    with w = 0.02, eps(t) independent and normal with mean 0 and standard deviation 1, and

    =========  ====  ======  ========================  ===================================
    factor           levels  values                    unit
    =========  ====  ======  ========================  ===================================
    frequency  f     5       2, 3, 4, 5, 6             cycles per series
    phase      phi   8       0, pi/8, ..., 7 pi/8      radians, at the first time point
    amplitude  a     5       0.5, 1, 1.5, 2, 2.5       that of the series
    trend      g     5       -2, -1, 0, 1, 2           rise per series
    position   p     8       1/16, 3/16, ..., 15/16    share of the series before the event
    noise      s     3       0, 0.1, 0.2               standard deviation
    =========  ====  ======  ========================  ===================================

    Phase is circular, its levels are not. They lie within half a turn, and amplitudes are
    positive: no two levels are the same sine, the last phase is far from the first, and the
    cosine of the phase falls from level to level.

    The first five factors decide the series without noise, which is what noise level 0 gives.
    With 13 time points or more, no two of their 8,000 combinations give the same one. As many
    numbers are drawn for the noise whatever the levels: with one int as `random_state`, series
    whose levels differ in one factor differ in the part of that factor alone.

    Examples
    --------
    One change of level, from the first position of the event to the last:

    >>> from vqssl.datasets import FACTOR_VALUES, series_from_factors
    >>> list(FACTOR_VALUES)
    ['frequency', 'phase', 'amplitude', 'trend', 'position', 'noise']
    >>> levels = [[0, 2, 4, 1, 0, 0], [0, 2, 4, 1, 7, 0]]
    >>> first, last = series_from_factors(levels, length=64)
    >>> int((first - last).argmax()), int((last - first).argmax())
    (4, 60)
    >>> FACTOR_VALUES["position"][[0, 7]] * 64
    array([ 4., 60.])
    """
    factors = _check_factors(factors)
    length = check_count(length, "length")
    generator = check_random_state(random_state)

    # (n_samples, 1) each
    frequency, phase, amplitude, trend, position, noise = (
        values[levels, None]
        for values, levels in zip(FACTOR_VALUES.values(), factors.T, strict=True)
    )
    u = np.arange(length) / length
    X = amplitude * np.sin(2 * np.pi * frequency * u + phase)  # (n_samples, length)
    X += trend * (u - 0.5)
    X += EVENT_HEIGHT * np.exp(-(((u - position) / EVENT_WIDTH) ** 2) / 2)
    X += noise * generator.standard_normal(X.shape)
    return X


def _level_counts() -> np.ndarray:
    return np.array([len(values) for values in FACTOR_VALUES.values()])


def _check_factors(factors: Any) -> np.ndarray:
    """Return levels as an int64 array of shape (n_samples, 6).

    Raises
    ------
    ValueError
        If the shape is another, there is no row, or a level does not exist.
    TypeError
        If the levels are no integers.
    """
    wanted = f"factors must have shape (n_samples, {len(FACTOR_VALUES)})"
    try:
        factors = np.asarray(factors)
    except ValueError as error:  # rows of unequal length
        raise ValueError(f"{wanted}; {error}") from error
    if factors.ndim != 2 or factors.shape[1] != len(FACTOR_VALUES) or len(factors) == 0:
        raise ValueError(f"{wanted} and at least one row; got shape {factors.shape}.")
    if factors.dtype.kind not in "iu":
        raise TypeError(f"factors must be integers; got an array of {factors.dtype}.")
    counts = _level_counts()
    wrong = np.argwhere((factors < 0) | (factors >= counts))
    if len(wrong):
        sample, column = wrong[0]
        raise ValueError(
            f"factors must lie in [0, {counts[column]}) in column {column}, the levels of "
            f"{list(FACTOR_VALUES)[column]!r}; got {factors[sample, column]} at sample {sample}."
        )
    return factors.astype(np.int64)
