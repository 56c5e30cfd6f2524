"""Checks of whole numbers and classes: codes, and the labels or factors beside rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from vqssl.metrics._checks import as_float, check_features

# Shufflings that a floor is the mean of.
N_SHUFFLES = 5

# What a dimension may vary by, relative to its largest number, and still count as constant.
_ROUNDING = 1e-12


def check_integers(value: Any, name: str) -> np.ndarray:
    """Return whole numbers, which may come as floats, as an int64 array of the same shape.

    Parameters
    ----------
    value : array-like
        The numbers.
    name : str
        What errors call them.

    Returns
    -------
    integers : ndarray of the same shape, int64
        With one number or more.

    Raises
    ------
    ValueError
        If there are none, or some are no whole numbers.
    """
    numbers = as_float(value, name)
    if numbers.size == 0:
        raise ValueError(f"{name} must have 1 or more numbers; got shape {numbers.shape}.")
    fractions = numbers != np.floor(numbers)
    if fractions.any():
        first = tuple(map(int, np.argwhere(fractions)[0]))
        raise ValueError(f"{name} must hold whole numbers; got {numbers[first]} at {first}.")
    exact = np.asarray(value)  # integers beyond 2^53 are not in float64
    return (exact if exact.dtype.kind in "biu" else numbers).astype(np.int64)


def check_labels(labels: Any, n_rows: int, beside: str, *, minimum: int = 1) -> np.ndarray:
    """Return the labels of rows as class numbers from 0 on.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Numbers or strings.
    n_rows : int
        n.
    beside : str
        What errors call the rows.
    minimum : int, default=1
        Classes that there must be.

    Returns
    -------
    classes : ndarray of shape (n,), int64
        Numbered in the order of the sorted labels.

    Raises
    ------
    ValueError
        If `labels` has another shape, mixes types, has NaN or has too few classes.
    """
    array = np.asarray(labels)
    if array.shape != (n_rows,):
        raise ValueError(
            f"labels must have shape ({n_rows},), one for each row of {beside}; got shape "
            f"{array.shape}."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        first = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"labels must be finite; got {array[first]} in row {first}.")
    try:
        names, classes = np.unique(array, return_inverse=True)
    except TypeError as error:  # None beside strings
        raise ValueError(f"labels must all be numbers or all be strings; {error}.") from error
    if len(names) < minimum:
        raise ValueError(f"labels must have {minimum} or more classes; got {len(names)}.")
    return classes


def check_factors(
    representation: Any, factors: Any, *, min_dims: int = 1, min_factors: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return a representation and the factors beside it.

    Parameters
    ----------
    representation : array-like of shape (n, d)
        Finite real numbers, n >= 3.
    factors : array-like of shape (n, f)
        Whole numbers, two or more values in each column.
    min_dims : int, default=1
        What d must be at least.
    min_factors : int, default=1
        What f must be at least.

    Returns
    -------
    representation : ndarray of shape (n, d), float64
        As given.
    factors : ndarray of shape (n, f), int64
        As given.

    Raises
    ------
    ValueError
        If one of them is not so.
    """
    (rows,) = check_features(3, columns="dimensions", representation=representation)
    numbers = check_integers(factors, "factors")
    if numbers.ndim != 2 or len(numbers) != len(rows):
        raise ValueError(
            f"factors must have shape ({len(rows)}, n_factors), one row for each of "
            f"representation; got shape {numbers.shape}."
        )
    for name, columns, found, least in [
        ("representation", "dimensions", rows.shape[1], min_dims),
        ("factors", "columns", numbers.shape[1], min_factors),
    ]:
        if found < least:
            raise ValueError(f"{name} must have {least} or more {columns}; got {found}.")
    constant = np.ptp(numbers, axis=0) == 0
    if constant.any():
        column = int(np.flatnonzero(constant)[0])
        raise ValueError(
            "factors must have 2 or more values in each column; got "
            f"{numbers[0, column]} alone in column {column}."
        )
    return rows, numbers


def varying(rows: np.ndarray) -> np.ndarray:
    """Say which dimensions are not constant.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Real numbers.

    Returns
    -------
    varies : ndarray of shape (d,), bool
        False where all numbers are equal up to rounding.
    """
    return np.ptp(rows, axis=0) > _ROUNDING * np.abs(rows).max(axis=0)


def standardised(rows: np.ndarray) -> np.ndarray:
    """Give every dimension a mean of 0 and a variance of 1; constant ones become 0.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Real numbers.

    Returns
    -------
    scaled : ndarray of shape (n, d)
        Variances divide by n.
    """
    varies = varying(rows)
    deviation = np.where(varies, rows.std(axis=0), 1)
    return np.where(varies, (rows - rows.mean(axis=0)) / deviation, 0)


def split_rows(
    n_rows: int, n_train: int, n_test: int, generator: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Draw different rows for training and for test, in the same ratio where there are too few.

    Parameters
    ----------
    n_rows : int
        Rows to draw from, 2 or more.
    n_train, n_test : int
        Rows wanted.
    generator : RandomState
        Decides which.

    Returns
    -------
    train, test : ndarray of int64
        Numbers of rows, at least one each.
    """
    order = generator.permutation(n_rows)
    wanted = n_train + n_test
    if wanted > n_rows:
        n_train = min(max(n_rows * n_train // wanted, 1), n_rows - 1)
        n_test = n_rows - n_train
    return order[:n_train], order[n_train : n_train + n_test]


def shuffled(rows: np.ndarray, generator: np.random.RandomState) -> Iterator[np.ndarray]:
    """Yield the rows in another order, `N_SHUFFLES` times anew.

    Parameters
    ----------
    rows : ndarray of shape (n,) or (n, f)
        Labels or factors, which then stand beside rows they have nothing to do with.
    generator : RandomState
        Decides the orders.

    Yields
    ------
    rows : ndarray of the same shape
        Whole rows move.
    """
    for _ in range(N_SHUFFLES):
        yield rows[generator.permutation(len(rows))]
