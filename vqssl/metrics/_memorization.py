"""Memorisation: how much nearer synthetic series are to the training set than new ones."""

from typing import Any

import numpy as np

from vqssl.metrics._checks import check_series
from vqssl.metrics._distances import distance_blocks


def memorization_ratio(train: Any, synthetic: Any, test: Any) -> float:
    """Distance of synthetic series to the training series, over that of test series.

    Parameters
    ----------
    train : array-like of shape (n, d), (n, L), (n, C, L) or (n, C, H, W)
        Series that the generator was trained on, or features of them.
    synthetic : array-like of shape (m, d), (m, L), (m, C, L) or (m, C, H, W)
        Synthetic series, or features of them.
    test : array-like of shape (t, d), (t, L), (t, C, L) or (t, C, H, W)
        Real series that the generator has not seen, or features of them.

    Returns
    -------
    ratio : float
        At least 0: 0 for copies of training series, about 1 where synthetic series are as far
        from the training series as new ones are, above 1 where they are farther.

    Raises
    ------
    ValueError
        If a set has another shape than it must or holds anything but finite numbers; if all
        of `test` are copies of training series.

    See Also
    --------
    discriminative_score : Is below 0 for copies.

    Notes
    -----
    The ratio is ``mean_i min_j |s_i - x_j| / mean_i min_j |t_i - x_j|``, x training, s
    synthetic and t test series, with Euclidean distances of the flattened series. The numbers of
    synthetic and of test series do not matter on average.

    A mean hides a few copies among many good series, and bad series far from all others make
    up for copies: read it beside the precision of `precision_recall_density_coverage`.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl.metrics import memorization_ratio
    >>> train, new, test = np.random.RandomState(0).standard_normal((3, 200, 1, 20))
    >>> memorization_ratio(train, train[:50], test)
    0.0
    >>> memorization_ratio(train, train + 0.1 * new, test)
    0.1
    >>> memorization_ratio(train, new, test)
    1.0
    """
    train, synthetic, test = check_series(1, train=train, synthetic=synthetic, test=test)
    reference = mean_nearest(test, train)
    if reference == 0:
        raise ValueError(
            "test must have series that are not in train; all of them are copies of training "
            "series."
        )
    return mean_nearest(synthetic, train) / reference


def mean_nearest(rows: np.ndarray, others: np.ndarray) -> float:
    """Distance of each row to the nearest of the others, mean over the rows.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        One set.
    others : ndarray of shape (m, d)
        The other set.

    Returns
    -------
    distance : float
        At least 0.
    """
    nearest = [distances.min(axis=1) for _, distances in distance_blocks(rows, others)]
    return float(np.concatenate(nearest).mean())
