"""Labels that the generators of series share: balanced, in random order."""

import numpy as np


def balanced_labels(n_samples: int, n_classes: int, generator: np.random.RandomState) -> np.ndarray:
    """Draw the order of labels whose counts differ by at most one.

    Parameters
    ----------
    n_samples : int
        Number of labels.
    n_classes : int
        Labels are 0 to ``n_classes - 1``. What does not divide evenly goes to the first.
    generator : RandomState
        Decides the order.

    Returns
    -------
    labels : ndarray of shape (n_samples,), int64
        An index into the names of the classes for each series.
    """
    return generator.permutation(np.arange(n_samples, dtype=np.int64) % n_classes)
