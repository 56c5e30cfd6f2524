"""Mutual information gap: one dimension for each factor (Chen et al., NeurIPS 2018)."""

from typing import Any, Literal, overload

import numpy as np
from sklearn.utils import check_random_state

from vqssl._validation import check_count
from vqssl.metrics._binned_information import BINS, check_bins, information_matrix
from vqssl.metrics._information import entropy_of_counts
from vqssl.metrics._labelled import check_factors, shuffled


def gap_of_information(information: np.ndarray, entropies: np.ndarray) -> float:
    """Gap between the two dimensions that know most of a factor, mean over factors.

    Parameters
    ----------
    information : ndarray of shape (d, f)
        Mutual information of dimensions and factors, d >= 2.
    entropies : ndarray of shape (f,)
        Of the factors, above 0, in the same unit.

    Returns
    -------
    gap : float
        In [0, 1].
    """
    ordered = np.sort(information, axis=0)
    return float(np.mean((ordered[-1] - ordered[-2]) / entropies))


@overload
def mutual_information_gap(
    representation: Any,
    factors: Any,
    *,
    bins: str = "quantile",
    n_bins: int = 20,
    return_floor: Literal[False] = False,
    random_state: Any = None,
) -> float: ...
@overload
def mutual_information_gap(
    representation: Any,
    factors: Any,
    *,
    bins: str = "quantile",
    n_bins: int = 20,
    return_floor: Literal[True],
    random_state: Any = None,
) -> tuple[float, float]: ...
def mutual_information_gap(
    representation: Any,
    factors: Any,
    *,
    bins: str = "quantile",
    n_bins: int = 20,
    return_floor: bool = False,
    random_state: Any = None,
) -> float | tuple[float, float]:
    """Say how much more one dimension knows of a factor than any other dimension does.

    Parameters
    ----------
    representation : array-like of shape (n, d)
        Features of n series, such as the posterior means of a VAE, d >= 2. n should be 2,000
        or more.
    factors : array-like of shape (n, f)
        What varies between the series, as whole numbers: f factors, each with two or more
        values.
    bins : {"quantile", "uniform"}, default="quantile"
        How a dimension is cut. "quantile" gives bins of equally many series, where numbers are
        all different: an increasing map of a dimension changes nothing. "uniform" gives bins
        of equal width, as in the authors' code.
    n_bins : int, default=20
        Bins of a dimension, 2 or more.
    return_floor : bool, default=False
        Whether to return the score of shuffled factors, too.
    random_state : int, RandomState instance or None, default=None
        Decides the shufflings of the floor; without it, nothing is drawn.

    Returns
    -------
    gap : float
        In [0, 1], higher is better: 1 where each factor has a dimension that determines it and
        that all others say nothing of; 0 where two dimensions know equally much of a factor,
        or none knows anything.
    floor : float
        The same where the rows of `factors` are shuffled, mean over 5 shufflings. Only with
        `return_floor`.

    Raises
    ------
    ValueError
        If an array has another shape than it must; if `representation` holds anything but
        finite numbers, or `factors` anything but whole ones; if a factor has one value only;
        if `bins` has no such name or `n_bins` is below 2.
    TypeError
        If `n_bins` is no integer.

    See Also
    --------
    modularity_score : Says whether a dimension has one factor, not a factor one dimension.
    dci : Says both, from what predicts the factors.

    Notes
    -----
    For factor j, (I_1 - I_2) / H_j: the two largest among the mutual informations of the factor
    and the dimensions, and the entropy of the factor [1]_. The score is the mean over factors.

    The plug-in information of few series is too high, by about (n_bins - 1) (levels - 1) / (2 n)
    nats for both terms of the gap alike where neither is near H_j; so n should be 2,000 or more.
    A factor that two dimensions share, as sine and cosine of an angle, has a gap near 0.

    References
    ----------
    .. [1] R. T. Q. Chen, X. Li, R. Grosse, D. Duvenaud. "Isolating Sources of Disentanglement
       in Variational Autoencoders." NeurIPS 2018. arXiv:1802.04942.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl.metrics import mutual_information_gap
    >>> factors = np.random.RandomState(0).randint(4, size=(2000, 2))
    >>> mutual_information_gap(factors, factors)
    0.998
    >>> rotation = np.array([[1, 1], [-1, 1]])
    >>> mutual_information_gap(factors @ rotation, factors, return_floor=True, random_state=0)
    (0.012, 0.001)
    """
    check_bins(bins)
    n_bins = check_count(n_bins, "n_bins", 2)
    rows, values = check_factors(representation, factors, min_dims=2)
    generator = check_random_state(random_state)
    cut = BINS[bins](rows, n_bins)
    counts = [np.unique(factor, return_counts=True)[1] for factor in values.T]
    entropies = np.array([entropy_of_counts(count) for count in counts])

    def measure(values: np.ndarray) -> float:
        return gap_of_information(information_matrix(cut, values), entropies)

    gap = measure(values)
    if not return_floor:
        return gap
    return gap, float(np.mean([measure(other) for other in shuffled(values, generator)]))
