"""Checks of parameters, series and images that every estimator shares."""

import math
import numbers
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_array, column_or_1d

# Numbers that one finiteness check holds at a time (4 MB of float32).
_BLOCK = 2**20

# An array with more channels per time point than this is taken for one with time in the middle.
_MANY_CHANNELS = 4


def check_count(value: Any, name: str, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`.

    Raises
    ------
    TypeError
        If `value` is no integer.
    ValueError
        If `value` is too small.
    """
    message = f"{name} must be an integer of at least {minimum}; got {value!r}."
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(message)
    if value < minimum:
        raise ValueError(message)
    return int(value)


def check_weight(value: Any, name: str, *, positive: bool = False) -> float:
    """Return `value` as a finite float that is not negative (or, on request, above zero).

    Raises
    ------
    TypeError
        If `value` is no real number.
    ValueError
        If `value` is out of range or not finite.
    """
    wanted = "a finite number above 0" if positive else "a finite number of at least 0"
    message = f"{name} must be {wanted}; got {value!r}."
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(message)
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        raise ValueError(message)
    return float(value)


def check_probability(value: Any, name: str, *, below_one: bool = False) -> float:
    """Return `value` as a float in [0, 1], or in [0, 1) with `below_one`.

    Raises
    ------
    TypeError
        If `value` is no real number.
    ValueError
        If `value` is out of range.
    """
    interval = "[0, 1)" if below_one else "[0, 1]"
    message = f"{name} must be a number in {interval}; got {value!r}."
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(message)
    number = float(value)
    if not 0 <= number <= 1 or (below_one and number == 1):
        raise ValueError(message)
    return number


def check_labels(y: Any, name: str) -> np.ndarray:
    """Return labels (n,), all of one kind.

    Raises
    ------
    ValueError
        If `y` has another shape, is empty, or holds NaN.
    TypeError
        If labels cannot be compared with each other.
    """
    y = column_or_1d(check_array(y, ensure_2d=False, dtype=None, input_name=name), warn=True)
    try:
        np.sort(y)
    except TypeError as error:
        raise TypeError(
            f"{name} must hold labels of one kind, all text or all numbers; {error}."
        ) from error
    return y


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning that names the line of the caller's own code."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_library(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def _is_library(module: str) -> bool:
    between = ("contextlib", "joblib", "sklearn", "skorch", "torch", "vqssl")
    return module.partition(".")[0] in between


def kind_of(shape: Sequence[int]) -> str:
    """What has a shape of (L,), (C, L) or (C, H, W): "series" or "images"."""
    return "images" if len(shape) == 3 else "series"


def refuse_unequal_lengths(X: Any, name: str = "X") -> None:
    """Refuse a sequence of series that make no array; messages call it `name`.

    Raises
    ------
    ValueError
        If lengths differ, or an array has one object for each series.
    """
    if isinstance(X, (list, tuple)):
        lengths = _lengths(X)
        if len(lengths) > 1:
            raise ValueError(
                f"{name} must have series of one length; got lengths from {min(lengths)} to "
                f"{max(lengths)}. vqssl.pad_series makes an array of them."
            )
    elif getattr(getattr(X, "dtype", None), "kind", None) == "O" and len(X.shape) == 1:
        raise ValueError(
            f"{name} must be an array of numbers; got one of {X.shape[0]} objects. If each is a "
            f"series, pass np.stack({name}), or vqssl.pad_series({name}) where their lengths "
            "differ."
        )


def _lengths(X: Any) -> set[int]:
    """Sizes of the last axis of nested sequences and arrays."""
    if hasattr(X, "shape"):
        return {int(size) for size in X.shape[-1:]}
    if not isinstance(X, (list, tuple)):
        return set()
    return set().union(*map(_lengths, X)) or {len(X)}


def unmasked(X: Any) -> Any:
    """Return a masked array as a plain one, with NaN for what is masked; anything else as is."""
    if not isinstance(X, np.ma.MaskedArray):
        return X
    if not X.mask.any():
        return X.data
    return np.ma.filled(X if X.dtype.kind == "f" else X.astype(np.float64), np.nan)


def check_series(
    X: Any, estimator_name: str, allow_gaps: bool = False, name: str = "X"
) -> np.ndarray:
    """Return series (n, C, L) or images (n, C, H, W) as an array of real numbers, no copy.

    Accepts (n_samples, n_timepoints), one channel, (n_samples, n_channels, n_timepoints)
    and (n_samples, n_channels, height, width); with `allow_gaps` also NaN. Messages call it
    `name`.

    Raises
    ------
    ValueError
        If `X` has another number of axes, is empty, or holds infinity or, without
        `allow_gaps`, NaN.
    """
    X = np.asarray(X)
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers; got an array of {X.dtype}.")
    if X.ndim not in (2, 3, 4):
        raise ValueError(
            f"{name} must have shape (n_samples, n_timepoints) or (n_samples, n_channels, "
            "n_timepoints), or for images (n_samples, n_channels, height, width); got "
            f"{X.ndim} axes, shape {X.shape}."
        )
    if 0 in X.shape:
        point = "pixel" if X.ndim == 4 else "time point"
        raise ValueError(f"{name} must have at least one sample and one {point}; got {X.shape}.")
    if X.ndim == 4 and X.shape[1] > _MANY_CHANNELS * X.shape[3]:
        warn_user(
            f"{name} has {X.shape[1]} channels of {X.shape[2]} x {X.shape[3]} pixels each: "
            "channels come before height and width. If yours are the last axis, pass "
            f"{name}.transpose(0, 3, 1, 2)."
        )
    if X.ndim == 3 and X.shape[1] > _MANY_CHANNELS * X.shape[2]:
        warn_user(
            f"{name} has {X.shape[1]} channels of {X.shape[2]} time points each: time must be the "
            f"last axis. If yours is the middle one, pass {name}.swapaxes(1, 2)."
        )
    series = X[:, None, :] if X.ndim == 2 else X
    _check_finite(series, estimator_name, allow_gaps, name)
    return series


def _check_finite(series: np.ndarray, estimator_name: str, allow_gaps: bool, name: str) -> None:
    """Look for NaN, infinity and numbers beyond float32 block by block."""
    if series.dtype.kind in "biu":
        return
    rows = max(1, _BLOCK // series[0].size)
    for start in range(0, len(series), rows):
        with np.errstate(over="ignore"):
            block = series[start : start + rows].astype(np.float32, copy=False)
        finite = np.isfinite(block)
        if allow_gaps:
            finite |= np.isnan(block)
        if finite.all():
            continue
        sample, channel, *place = np.argwhere(~finite)[0]
        value = series[(start + sample, channel, *place)]
        what = "NaN" if np.isnan(value) else "infinity or a value too large for float32"
        if len(place) == 1:
            where, remedy = f"time point {place[0]}", "interpolate them"
        else:
            where, remedy = f"row {place[0]}, column {place[1]}", "fill them in"
        raise ValueError(
            f"Input {name} contains {what} (sample {start + sample}, channel {channel}, {where}). "
            f"{estimator_name} does not accept missing or infinite values: {remedy}, or leave "
            f"out the {kind_of(series.shape[1:])} that have them."
        )
