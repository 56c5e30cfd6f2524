"""Gaps in series: what fills them at first, and which tokens they touch."""

from collections.abc import Sequence
from itertools import chain

import numpy as np


def interpolate(series: np.ndarray) -> np.ndarray:
    """Fill NaN linearly between the neighbours in time.

    Before the first and after the last observed point of a channel that point fills, and 0
    where no point is observed.

    Parameters
    ----------
    series : ndarray of shape (n, C, L)

    Returns
    -------
    filled : ndarray of shape (n, C, L)
        Of the dtype of `series`; a copy.
    """
    length = series.shape[-1]
    observed = ~np.isnan(series)
    time = np.arange(length)
    before = np.maximum.accumulate(np.where(observed, time, -1), axis=-1)
    after = np.where(observed, time, length)[..., ::-1]
    after = np.minimum.accumulate(after, axis=-1)[..., ::-1]
    # Without a neighbour on one side, the one on the other counts for both.
    left = np.where(before < 0, after, before).clip(max=length - 1)
    right = np.where(after == length, before, after).clip(min=0)
    values = np.where(observed, series, 0)
    start, stop = np.take_along_axis(values, left, -1), np.take_along_axis(values, right, -1)
    share = (time - left) / np.maximum(right - left, 1)
    return np.where(observed, series, start + share * (stop - start)).astype(series.dtype)


def cells(groups: Sequence[Sequence[int]], length: int) -> np.ndarray:
    """Time points [start, stop) of every token, if those of a group share the series evenly.

    Parameters
    ----------
    groups : sequence of sequences of int
        Positions of the tokens of each group; together 0, ..., N - 1.
    length : int
        L.

    Returns
    -------
    spans : ndarray of shape (N, 2), int64

    Examples
    --------
    >>> cells([[0, 1, 2]], 7).tolist()
    [[0, 3], [2, 5], [4, 7]]
    """
    spans = np.empty((len(list(chain(*groups))), 2), dtype=np.int64)
    for positions in groups:
        place = np.arange(len(positions))
        spans[positions, 0] = place * length // len(positions)
        spans[positions, 1] = -(-(place + 1) * length // len(positions))
    return spans


def touched(gaps: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Tokens whose time points hold a gap.

    Parameters
    ----------
    gaps : ndarray of shape (n, L), bool
    spans : ndarray of shape (N, 2), int64
        Time points [start, stop) of every token.

    Returns
    -------
    touched : ndarray of shape (n, N), bool
    """
    count = np.pad(gaps.cumsum(axis=1), ((0, 0), (1, 0)))  # gaps before each time point
    return count[:, spans[:, 1]] > count[:, spans[:, 0]]
