"""Real against real: what a metric reads where there is nothing to find."""

from collections.abc import Iterator

import numpy as np

# Splits that a floor is the mean of.
N_SPLITS = 5


def random_halves(
    rows: np.ndarray, generator: np.random.RandomState
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield disjoint halves of a set, `N_SPLITS` times anew; an odd row is left out.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        The set.
    generator : RandomState
        Decides the splits.

    Yields
    ------
    first, second : ndarray of shape (n // 2, d)
        The halves.
    """
    half = len(rows) // 2
    for _ in range(N_SPLITS):
        order = generator.permutation(len(rows))
        yield rows[order[:half]], rows[order[half : 2 * half]]
