"""Inception score of class probabilities (Salimans et al., NeurIPS 2016)."""

from typing import Any

import numpy as np
from scipy.special import rel_entr

from vqssl.metrics._checks import check_features

# How far from 1 the probabilities of a row may add up (a softmax in float16 comes to 1e-3).
_TOLERANCE = 2e-3


def inception_score(probabilities: Any) -> float:
    """Score how sure a classifier is of each series, and how many classes it finds in all.

    Parameters
    ----------
    probabilities : array-like of shape (n, C)
        Probabilities of C classes for n synthetic series, from a classifier trained on real
        ones.

    Returns
    -------
    score : float
        In [1, C], higher is better: C where every series surely belongs to one class and all
        classes are equally frequent; 1 where all series have the same probabilities.

    Raises
    ------
    ValueError
        If `probabilities` is no array of shape (n, C), holds a number that is negative or not
        finite, or has a row that does not sum to 1.

    Notes
    -----
    The score is exp(mean_x KL(p(y|x) || p(y))) with p(y) = mean_x p(y|x), the mean over all n
    series at once; the paper averages scores of ten parts.

    It knows nothing of real series: a set with one perfect series of each class scores C.
    It is biased low for small n. So compare scores at equal n only, and state the score of as
    many real test series. Rows are divided by their sums, which rounding may leave beside 1.

    References
    ----------
    .. [1] T. Salimans, I. Goodfellow, W. Zaremba, V. Cheung, A. Radford, X. Chen. "Improved
       Techniques for Training GANs." NeurIPS 2016. arXiv:1606.03498.

    Examples
    --------
    >>> from vqssl.metrics import inception_score
    >>> inception_score([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    3.0
    >>> inception_score([[0.5, 0.5], [0.5, 0.5]])
    1.0
    """
    (conditional,) = check_features(1, columns="classes", probabilities=probabilities)
    if (conditional < 0).any():
        row = int(np.argwhere(conditional < 0)[0, 0])
        raise ValueError(
            f"probabilities must be at least 0; got {conditional[row].min()} in row {row}."
        )
    sums = conditional.sum(axis=1, keepdims=True)
    row = int(np.abs(sums - 1).argmax())
    if abs(sums[row, 0] - 1) > _TOLERANCE:
        raise ValueError(
            f"probabilities must have rows that sum to 1; got a sum of {sums[row, 0]} in row {row}."
        )
    conditional = conditional / sums
    marginal = conditional.mean(axis=0)
    divergence = rel_entr(conditional, marginal).sum(axis=1).mean()  # nats
    return float(np.clip(np.exp(divergence), 1, len(marginal)))
