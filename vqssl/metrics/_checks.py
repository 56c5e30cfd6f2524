"""Checks that the metrics share: sets of rows that can be compared."""

from typing import Any

import numpy as np


def check_features(minimum: int, *, columns: str = "features", **sets: Any) -> list[np.ndarray]:
    """Return sets of features as float64 arrays of shape (n, d), with one d.

    Parameters
    ----------
    minimum : int
        Rows that each set must have.
    columns : str, default="features"
        What errors call the d columns.
    **sets : array-like of shape (n, d)
        The sets, by the names that errors call them.

    Returns
    -------
    sets : list of ndarray of shape (n, d), float64
        In the order given.

    Raises
    ------
    ValueError
        If a set has another number of axes, too few rows, no features or another d than the
        first, or holds anything but finite real numbers.
    """
    checked = {name: as_float(value, name) for name, value in sets.items()}
    for name, rows in checked.items():
        if rows.ndim != 2:
            raise ValueError(
                f"{name} must have shape (n_samples, n_{columns}); got {rows.ndim} axes, shape "
                f"{rows.shape}."
            )
    _check_sizes(minimum, checked, "rows", columns)
    return list(checked.values())


def check_series(minimum: int, **sets: Any) -> list[np.ndarray]:
    """Return sets of series, images or features, flattened to float64 arrays of shape (n, C L).

    Parameters
    ----------
    minimum : int
        Series that each set must have.
    **sets : array-like of shape (n, d), (n, L), (n, C, L) or (n, C, H, W)
        The sets, by the names that errors call them. (n, L) is the same as (n, 1, L).

    Returns
    -------
    sets : list of ndarray of shape (n, C L), float64
        In the order given.

    Raises
    ------
    ValueError
        If a set has another number of axes, too few series or series of another shape than
        the first, or holds anything but finite real numbers.
    """
    checked = {}
    for name, value in sets.items():
        series = as_float(value, name)
        if series.ndim not in (2, 3, 4):
            raise ValueError(
                f"{name} must have shape (n_samples, n_timepoints) or (n_samples, n_channels, "
                "n_timepoints), or for images (n_samples, n_channels, height, width); got "
                f"{series.ndim} axes, shape {series.shape}."
            )
        checked[name] = series[:, None, :] if series.ndim == 2 else series
    _check_sizes(minimum, checked, "series", "values")
    return [series.reshape(len(series), -1) for series in checked.values()]


def as_float(value: Any, name: str) -> np.ndarray:
    """Return finite real numbers as a float64 array of the same shape.

    Parameters
    ----------
    value : array-like
        The numbers.
    name : str
        What errors call them.

    Returns
    -------
    numbers : ndarray of the same shape, float64
        Not a copy where `value` is such an array.

    Raises
    ------
    ValueError
        If a number is not finite, or is none.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:  # lists of different lengths
        raise ValueError(f"{name} must be an array of real numbers; {error}") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers; got an array of {array.dtype}.")
    numbers = array.astype(np.float64, copy=False)
    if not np.isfinite(numbers).all():
        first = tuple(map(int, np.argwhere(~np.isfinite(numbers))[0]))
        raise ValueError(f"{name} must be finite; got {numbers[first]} at {first}.")
    return numbers


def _check_sizes(minimum: int, sets: dict[str, np.ndarray], rows: str, columns: str) -> None:
    first = next(iter(sets))
    shape = sets[first].shape[1:]
    for name, values in sets.items():
        if len(values) < minimum:
            raise ValueError(f"{name} must have {minimum} or more {rows}; got {len(values)}.")
        if 0 in values.shape[1:]:
            raise ValueError(f"{name} has no {columns}; got shape {values.shape}.")
        if values.shape[1:] != shape:
            raise ValueError(
                f"{name} must have {rows} of the same shape as {first}, {shape}; got "
                f"{values.shape[1:]}."
            )
