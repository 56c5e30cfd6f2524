"""Euclidean distances between two sets, a block of rows at a time."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import cdist

# Distances that are held at a time (32 MB of float64).
_BLOCK = 2**22


def distance_blocks(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the distances of some rows of `first` to all rows of `second`, until all are done.

    They come from differences, not from |x|^2 + |y|^2 - 2 x.y, which is faster but leaves
    copies at a distance that is not 0 and breaks ties by rounding.

    Parameters
    ----------
    first : ndarray of shape (n, d)
        One set.
    second : ndarray of shape (m, d)
        The other set.

    Yields
    ------
    rows : slice
        Of `first`.
    distances : ndarray of shape (rows, m)
        Their distances to `second`.
    """
    size = max(1, _BLOCK // len(second))
    for start in range(0, len(first), size):
        rows = slice(start, start + size)
        yield rows, cdist(first[rows], second)
