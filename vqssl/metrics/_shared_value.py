"""Rows that share the value of a factor: what BetaVAE's and FactorVAE's scores draw."""

from collections.abc import Iterator

import numpy as np

# Numbers of the representation that one block of batches gathers (32 MB of float64).
_BLOCK = 2**22


class SharedValue:
    """The rows of a fixed sample, grouped by the value of one factor.

    Only rows that share their value with another one are drawn.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Value of the factor in each row.
    """

    def __init__(self, values: np.ndarray) -> None:
        _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
        self._order = np.argsort(group, kind="stable")  # rows, group by group
        self._place = np.argsort(self._order)  # where in the order each row is
        self._start = (np.cumsum(sizes) - sizes)[group]  # where its group begins
        self._size = sizes[group]
        self.rows = np.flatnonzero(self._size > 1)

    def draw(self, shape: tuple[int, ...], generator: np.random.RandomState) -> np.ndarray:
        """Draw rows of any value, each as often as it is in the sample.

        Parameters
        ----------
        shape : tuple of int
            How many.
        generator : RandomState
            Decides which.

        Returns
        -------
        rows : ndarray of the given shape, int64
            Numbers of rows.
        """
        return self.rows[generator.randint(len(self.rows), size=shape)]

    def draw_like(self, rows: np.ndarray, generator: np.random.RandomState) -> np.ndarray:
        """Draw, for each row, one with the same value.

        Parameters
        ----------
        rows : ndarray of int64
            Numbers of rows.
        generator : RandomState
            Decides which.

        Returns
        -------
        others : ndarray of the same shape, int64
            May be the row itself.
        """
        return self._order[self._start[rows] + generator.randint(self._size[rows])]

    def draw_other(self, rows: np.ndarray, generator: np.random.RandomState) -> np.ndarray:
        """Draw, for each row, another one with the same value.

        Parameters
        ----------
        rows : ndarray of int64
            Numbers of rows, each with a value that others share.
        generator : RandomState
            Decides which.

        Returns
        -------
        others : ndarray of the same shape, int64
            Never the row itself.
        """
        step = 1 + generator.randint(self._size[rows] - 1)
        place = self._place[rows] - self._start[rows]
        return self._order[self._start[rows] + (place + step) % self._size[rows]]


def group_rows(factors: np.ndarray) -> list[SharedValue]:
    """Group the rows by each factor.

    Parameters
    ----------
    factors : ndarray of shape (n, f)
        Values.

    Returns
    -------
    groups : list of SharedValue
        One for each factor.

    Raises
    ------
    ValueError
        If all values of a factor are different.
    """
    groups = [SharedValue(values) for values in factors.T]
    for column, group in enumerate(groups):
        if len(group.rows) == 0:
            raise ValueError(
                "factors must have values that two or more rows share; those of column "
                f"{column} are all different."
            )
    return groups


def blocks_by_factor(n_points: int, n_factors: int, point_size: int) -> Iterator[tuple[int, int]]:
    """Share points evenly among the factors, in blocks that fit into memory.

    Parameters
    ----------
    n_points : int
        Points in all.
    n_factors : int
        f.
    point_size : int
        Numbers that are gathered for a point.

    Yields
    ------
    factor, n_block : int
        Whose points they are, and how many.
    """
    largest = max(1, _BLOCK // point_size)
    for factor in range(n_factors):
        left = n_points // n_factors + (factor < n_points % n_factors)
        while left:
            yield factor, min(left, largest)
            left -= min(left, largest)
