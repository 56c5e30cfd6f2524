"""Gaps in series and images: what fills them at first, and which tokens they leave unknown."""

from collections.abc import Sequence
from itertools import chain

import numpy as np


def interpolate(series: np.ndarray) -> np.ndarray:
    """Fill NaN linearly between the neighbours in time, of images in rows and in columns.

    Before the first and after the last observed point of a channel that point fills, and 0
    where no point is observed. In images the mean of what fills along its row and along its
    column fills a pixel; where one of the two has no observed pixel the other one alone, and the
    mean of the observed pixels of the channel where neither has.

    Parameters
    ----------
    series : ndarray of shape (n, C, L) or (n, C, H, W)

    Returns
    -------
    filled : ndarray of the shape of `series`
        Of the dtype of `series`; a copy.
    """
    if series.ndim == 3:
        return _along_last(series)
    observed = ~np.isnan(series)
    values = np.where(observed, series, 0)
    along = [_along_last(series), _along_last(series.swapaxes(2, 3)).swapaxes(2, 3)]
    known = [np.broadcast_to(observed.any(axis, keepdims=True), series.shape) for axis in (3, 2)]
    count = known[0].astype(int) + known[1]
    # Lines without an observed pixel are filled with 0, and add nothing.
    mean = (along[0] + along[1]) / np.maximum(count, 1)
    n_observed = observed.sum((2, 3), keepdims=True)
    overall = values.sum((2, 3), keepdims=True) / np.maximum(n_observed, 1)
    filled = np.where(count > 0, mean, overall)
    return np.where(observed, series, filled).astype(series.dtype)


def _along_last(series: np.ndarray) -> np.ndarray:
    """Fill NaN along the last axis."""
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


def mostly_missing(missing: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Tokens of whose time points or pixels more than half are missing in some channel.

    Parameters
    ----------
    missing : ndarray of shape (n, C, L) or (n, C, H, W), bool
    spans : ndarray of shape (N, 2) or (N, 4), int64
        Time points [start, stop) of every token; of images rows [start, stop), then columns.

    Returns
    -------
    mostly : ndarray of shape (n, N), bool
    """
    if missing.ndim == 4:
        top, bottom, left, right = spans.T
        # Missing pixels above and to the left of each corner.
        count = np.pad(missing.cumsum(2).cumsum(3), ((0, 0), (0, 0), (1, 0), (1, 0)))
        inside = count[:, :, bottom, right] - count[:, :, top, right]
        inside -= count[:, :, bottom, left] - count[:, :, top, left]
        size = (bottom - top) * (right - left)
    else:
        count = np.pad(missing.cumsum(2), ((0, 0), (0, 0), (1, 0)))  # before each time point
        inside = count[:, :, spans[:, 1]] - count[:, :, spans[:, 0]]
        size = spans[:, 1] - spans[:, 0]
    return (2 * inside > size).any(axis=1)
