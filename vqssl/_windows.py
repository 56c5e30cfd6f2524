"""From series as they come to arrays of equal length: padding and sliding windows."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from vqssl._input import off_torch
from vqssl._validation import check_count


def pad_series(series: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Put series of unequal lengths into one array, padded with zeros at the end.

    Parameters
    ----------
    series : iterable of array-like of shape (length,) or (n_channels, length)
        Real numbers without NaN or infinity. All have the same number of axes and of
        channels; every length is at least 1.

    Returns
    -------
    X : ndarray of shape (n_samples, max_length) or (n_samples, n_channels, max_length), float32
        One axis more than a series has, as the estimators take it. A copy: series ``i`` is
        ``X[i, ..., :lengths[i]]``, and everything behind is 0.
    lengths : ndarray of shape (n_samples,), int64
        Time points of each series before padding.

    Raises
    ------
    ValueError
        If there are no series, if one has another number of axes or channels than the first
        or no time points, or if it holds NaN, infinity or a number too large for float32.
    TypeError
        If `series` cannot be iterated over, or one holds something else than real numbers.

    See Also
    --------
    sliding_windows : Windows of equal length out of one long series.

    Notes
    -----
    An estimator takes the zeros for measurements. Where 0 is far from the values of the
    series, subtract their mean first, so that the padding says "average", not "extreme".

    Examples
    --------
    >>> from vqssl import pad_series
    >>> X, lengths = pad_series([[1, 2, 3], [4, 5]])
    >>> X
    array([[1., 2., 3.],
           [4., 5., 0.]], dtype=float32)
    >>> lengths
    array([3, 2])
    >>> X[1, ..., : lengths[1]]
    array([4., 5.], dtype=float32)
    """
    if hasattr(series, "columns"):
        raise TypeError(
            "series must be a list of arrays; got a data frame, whose rows are of one length. Pass "
            "series.to_numpy() to an estimator."
        )
    try:
        arrays = [_real_array(item, f"series[{i}]") for i, item in enumerate(series)]
    except TypeError as error:
        if isinstance(series, Iterable):
            raise
        raise TypeError(f"series must be a list of arrays; got {series!r}.") from error
    if not arrays:
        raise ValueError("series must hold at least one series; got none.")
    for i, array in enumerate(arrays):
        _check_like_first(array, arrays[0], i)

    lengths = np.array([array.shape[-1] for array in arrays], dtype=np.int64)
    X = np.zeros((len(arrays), *arrays[0].shape[:-1], lengths.max()), dtype=np.float32)
    for i, array in enumerate(arrays):
        with np.errstate(over="ignore"):
            X[i, ..., : lengths[i]] = array
        _check_finite(X[i, ..., : lengths[i]], array, i)
    return X, lengths


def sliding_windows(x: Any, length: int, step: int | None = None) -> np.ndarray:
    """Cut one long series into windows of equal length.

    Window ``w`` begins at time point ``w * step``. Points at the end that fill no whole
    window are left out.

    Parameters
    ----------
    x : array-like of shape (n_timepoints,) or (n_channels, n_timepoints)
        Real numbers. NaN and infinity are not looked for: the estimators do that.
    length : int
        Time points of a window, from 1 to `n_timepoints`.
    step : int, default=None
        Time points from the beginning of a window to that of the next. None is `length`:
        windows side by side, without overlap.

    Returns
    -------
    windows : ndarray of shape (n_windows, length) or (n_windows, n_channels, length)
        ``n_windows = (n_timepoints - length) // step + 1``, of the dtype of `x`. A
        read-only view where `x` is an array, memory-mapped ones included, so overlapping
        windows take no memory; copy it to write to it.

    Raises
    ------
    ValueError
        If `x` has another number of axes or no channels, `length` or `step` is below 1, or
        `length` is above the number of time points.
    TypeError
        If `x` holds something else than real numbers, or `length` or `step` is no integer.

    See Also
    --------
    pad_series : One array out of many series of unequal lengths.

    Notes
    -----
    Overlapping windows share points. Split the long series into training and test part
    before cutting it, or the test windows are known from training.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import sliding_windows
    >>> sliding_windows(np.arange(8), length=4, step=2)
    array([[0, 1, 2, 3],
           [2, 3, 4, 5],
           [4, 5, 6, 7]])
    >>> sliding_windows(np.zeros((3, 100)), length=30).shape
    (3, 3, 30)
    """
    x = _real_array(x, "x")
    length = check_count(length, "length")
    step = length if step is None else check_count(step, "step")
    if x.ndim not in (1, 2):
        raise ValueError(
            "x must have shape (n_timepoints,) or (n_channels, n_timepoints), one long series; "
            f"got {x.ndim} axes, shape {x.shape}."
        )
    if x.ndim == 2 and len(x) == 0:
        raise ValueError(f"x must have at least one channel; got shape {x.shape}.")
    if length > x.shape[-1]:
        remedy = " Time must be the last axis: if yours is the first, pass x.T."
        raise ValueError(
            f"length must be at most {x.shape[-1]}, the number of time points of x; got {length}."
            + (remedy if x.ndim == 2 and len(x) >= length else "")
        )
    windows = np.lib.stride_tricks.sliding_window_view(x, length, axis=-1)
    return np.moveaxis(windows, -2, 0)[::step]  # (n_windows, [C,] length)


def _real_array(value: Any, name: str) -> np.ndarray:
    """Return an array of real numbers, without copying one."""
    try:
        array = np.asarray(off_torch(value, name))
    except ValueError as error:
        raise ValueError(
            f"{name} must have shape (length,) or (n_channels, length); got channels of unequal "
            "lengths."
        ) from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers; got an array of {array.dtype}.")
    return array


def _check_like_first(array: np.ndarray, first: np.ndarray, i: int) -> None:
    """Compare the shape of series `i` with that of the first."""
    if array.ndim not in (1, 2):
        remedy = " One series by itself is a list too: pass [x]." if array.ndim == 0 else ""
        raise ValueError(
            f"series[{i}] must have shape (length,) or (n_channels, length); got {array.ndim} "
            f"axes, shape {array.shape}.{remedy}"
        )
    if array.ndim != first.ndim:
        raise ValueError(
            f"All series must have the same number of axes; got shape {first.shape} for "
            f"series[0] and {array.shape} for series[{i}]."
        )
    if array.size == 0:
        raise ValueError(
            f"series[{i}] must have at least one channel and one time point; got shape "
            f"{array.shape}."
        )
    if array.shape[:-1] != first.shape[:-1]:
        raise ValueError(
            f"All series must have the same number of channels; got shape {first.shape} for "
            f"series[0] and {array.shape} for series[{i}]. Time must be the last axis: if "
            "yours is the first, pass [x.T for x in series]."
        )


def _check_finite(converted: np.ndarray, array: np.ndarray, i: int) -> None:
    """Look for NaN, infinity and numbers beyond float32 in series `i`."""
    finite = np.isfinite(converted)
    if finite.all():
        return
    place = tuple(np.argwhere(~finite)[0])
    what = "NaN" if np.isnan(array[place]) else "infinity or a value too large for float32"
    channel = f"channel {place[0]}, " if array.ndim == 2 else ""
    raise ValueError(
        f"series[{i}] must not have missing or infinite values; got {what} ({channel}time point "
        f"{place[-1]}). Interpolate them, or leave the series out."
    )
