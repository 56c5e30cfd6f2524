"""Mutual information of the dimensions of a representation, cut into bins, and factors."""

import numpy as np
from scipy.stats import rankdata

from vqssl.metrics._information import information_of_counts


def quantile_bins(rows: np.ndarray, n_bins: int) -> np.ndarray:
    """Cut each dimension into bins of equally many rows; equal numbers share a bin.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Representation.
    n_bins : int
        Bins of a dimension.

    Returns
    -------
    bins : ndarray of shape (n, d), int64
        In [0, n_bins). They depend on the order of numbers only.
    """
    # The mean rank of equal numbers keeps values that many rows share out of each other's bins.
    shares = (rankdata(rows, axis=0) - 0.5) / len(rows)
    return (shares * n_bins).astype(np.int64)


def uniform_bins(rows: np.ndarray, n_bins: int) -> np.ndarray:
    """Cut each dimension into bins of equal width, from its least to its largest number.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Representation.
    n_bins : int
        Bins of a dimension.

    Returns
    -------
    bins : ndarray of shape (n, d), int64
        In [0, n_bins).
    """
    width = np.ptp(rows, axis=0)
    shares = (rows - rows.min(axis=0)) / np.where(width > 0, width, 1)
    return np.minimum((shares * n_bins).astype(np.int64), n_bins - 1)


BINS = {"quantile": quantile_bins, "uniform": uniform_bins}


def check_bins(bins: str) -> None:
    """Refuse what is no name of `BINS`.

    Parameters
    ----------
    bins : str
        The name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if bins not in BINS:
        names = " or ".join(map(repr, BINS))
        raise ValueError(f"bins must be {names}; got {bins!r}.")


def information_matrix(bins: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Plug-in mutual information of every dimension and every factor.

    Parameters
    ----------
    bins : ndarray of shape (n, d), int64
        Bin of each row in each dimension, from 0 on.
    factors : ndarray of shape (n, f), int64
        Whole numbers.

    Returns
    -------
    information : ndarray of shape (d, f)
        In nats.
    """
    n_dims, n_bins = bins.shape[1], int(bins.max()) + 1
    columns = []
    for factor in factors.T:
        levels, level = np.unique(factor, return_inverse=True)
        # One number for each dimension, bin and level.
        cells = (np.arange(n_dims) * n_bins + bins) * len(levels) + level[:, None]
        counts = np.bincount(cells.ravel(), minlength=n_dims * n_bins * len(levels))
        columns.append(information_of_counts(counts.reshape(n_dims, n_bins, len(levels))))
    return np.stack(columns, axis=1)
