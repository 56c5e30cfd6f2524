"""What values the channels of series have, without a copy of all series."""

from typing import NamedTuple

import numpy as np

# Numbers that are worked on at a time (8 MB of float64).
_BLOCK = 2**20


class ChannelValues(NamedTuple):
    """Of each channel, gaps left out; arrays (C,) in float64."""

    mean: np.ndarray
    deviation: np.ndarray
    low: np.ndarray
    high: np.ndarray


def values_of_channels(X: np.ndarray) -> ChannelValues:
    """Mean, deviation and range of each channel of series (n, C, L) or images (n, C, H, W)."""
    n_channels = X.shape[1]
    n_rows = max(1, _BLOCK // X[0].size)
    count, mean, squares = np.zeros((3, n_channels))
    low, high = np.full(n_channels, np.inf), np.full(n_channels, -np.inf)
    for start in range(0, len(X), n_rows):
        some = X[start : start + n_rows].astype(np.float64)
        block = np.moveaxis(some, 1, -1).reshape(-1, n_channels)  # (n L, C)
        low, high = np.fmin(low, np.fmin.reduce(block)), np.fmax(high, np.fmax.reduce(block))
        n = (~np.isnan(block)).sum(0)
        own_mean = np.nansum(block, 0) / np.maximum(n, 1)
        # Chan, Golub and LeVeque 1983, equation 2.1.
        total = np.maximum(count + n, 1)
        shift = own_mean - mean
        squares += np.nansum(np.square(block - own_mean), 0) + shift**2 * count * n / total
        mean, count = mean + shift * n / total, count + n
    return ChannelValues(mean, np.sqrt(squares / np.maximum(count, 1)), low, high)
