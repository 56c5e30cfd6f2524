"""Checks of what displays are given, before anything is drawn."""

from typing import Any

import numpy as np
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from vqssl._input import off_torch
from vqssl._validation import check_count


def check_estimator(estimator: Any, name: str, *offers: str, such_as: str) -> None:
    """Check that an estimator has methods or attributes and is fitted.

    Raises
    ------
    TypeError
        If it lacks a method, or is a class.
    NotFittedError
        If it is not fitted.
    """
    missing = [offer for offer in offers if not hasattr(estimator, offer)]
    if isinstance(estimator, type) or any(not offer.endswith("_") for offer in missing):
        raise TypeError(
            f"{name} must be a fitted estimator with {', '.join(offers)}, such as {such_as}; "
            f"got {estimator!r}."
        )
    check_is_fitted(estimator)
    if missing:
        raise TypeError(f"{name} must have {', '.join(missing)}, as {such_as} has; got {estimator}")


def as_array(values: Any, name: str, *, allow_nan: bool = False) -> np.ndarray:
    """Return an array of finite real numbers.

    Raises
    ------
    TypeError
        If there is something else than real numbers in it.
    ValueError
        If it is empty, ragged or holds infinity or, without `allow_nan`, NaN.
    """
    try:
        values = off_torch(values, name)
        if hasattr(values, "iloc"):  # whose numbers may be of a dtype of pandas
            values = check_array(values, dtype="numeric", ensure_all_finite=False)
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array, with rows of one length; {error}.") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers; got an array of {array.dtype}.")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty; got an array of shape {array.shape}.")
    if np.isinf(array).any() or (not allow_nan and np.isnan(array).any()):
        raise ValueError(f"{name} must hold finite numbers; got NaN or infinity.")
    return array


def as_series(X: Any, name: str, *, allow_nan: bool = False) -> np.ndarray:
    """Return series (n, C, L) or images (n, C, H, W) of an array that may lack the channels.

    Raises
    ------
    TypeError, ValueError
        If it is no array of two, three or four axes of finite real numbers.
    """
    array = as_array(X, name, allow_nan=allow_nan)
    if array.ndim not in (2, 3, 4):
        raise ValueError(
            f"{name} must have shape (n_samples, n_timepoints), (n_samples, n_channels, "
            f"n_timepoints) or (n_samples, n_channels, height, width); got {array.shape}."
        )
    return array[:, None] if array.ndim == 2 else array


def take(X: Any, rows: Any) -> Any:
    """Return some series of an array, or of a data frame with the names of its columns."""
    return X.iloc[rows] if hasattr(X, "iloc") else np.asarray(off_torch(X))[rows]


def check_same_shape(array: np.ndarray, name: str, other: np.ndarray, other_name: str) -> None:
    """Check that two sets hold as many series of one shape.

    Raises
    ------
    ValueError
        If they do not.
    """
    if array.shape != other.shape:
        raise ValueError(
            f"{name} must have the shape of {other_name}, {other.shape}; got {array.shape}."
        )


def as_labels(y: Any, name: str, n: int) -> np.ndarray:
    """Return classes (n,).

    Raises
    ------
    ValueError
        If there is another number of them.
    """
    labels = np.asarray(y)
    if labels.shape != (n,):
        raise ValueError(f"{name} must hold {n} labels, one a series; got shape {labels.shape}.")
    return labels


def choose(n: int, n_chosen: int, random_state: Any, name: str = "n_samples") -> np.ndarray:
    """Return numbers of some of n rows, rising; all where there are no more.

    Raises
    ------
    TypeError, ValueError
        If `n_chosen` is no integer of at least 1.
    """
    n_chosen = check_count(n_chosen, name)
    rng = check_random_state(random_state)
    return np.sort(rng.permutation(n)[:n_chosen])


def no_images(array: np.ndarray, name: str) -> None:
    """Refuse images.

    Raises
    ------
    ValueError
        If the array holds images.
    """
    if array.ndim == 4:
        raise ValueError(f"{name} must hold series; got images, an array of shape {array.shape}.")
