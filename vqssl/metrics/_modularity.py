"""Modularity: one factor for each dimension (Ridgeway and Mozer, NeurIPS 2018)."""

from typing import Any, Literal, overload

import numpy as np
from sklearn.utils import check_random_state

from vqssl._validation import check_count
from vqssl.metrics._binned_information import BINS, check_bins, information_matrix
from vqssl.metrics._labelled import check_factors, shuffled


def modularity_of_information(information: np.ndarray) -> float:
    """How far each dimension is from having one factor only, mean over dimensions.

    Parameters
    ----------
    information : ndarray of shape (d, f)
        Mutual information of dimensions and factors, at least 0, f >= 2.

    Returns
    -------
    modularity : float
        1 - sum of the squared informations but the largest / (largest^2 (f - 1)); 0 for a
        dimension that has none.
    """
    squares = np.square(information)
    largest = squares.max(axis=1)
    others = squares.sum(axis=1) - largest
    informed = largest > 0
    spread = others / (np.where(informed, largest, 1) * (information.shape[1] - 1))
    return float(np.where(informed, 1 - spread, 0).mean())


@overload
def modularity_score(
    representation: Any,
    factors: Any,
    *,
    bins: str = "quantile",
    n_bins: int = 20,
    return_floor: Literal[False] = False,
    random_state: Any = None,
) -> float: ...
@overload
def modularity_score(
    representation: Any,
    factors: Any,
    *,
    bins: str = "quantile",
    n_bins: int = 20,
    return_floor: Literal[True],
    random_state: Any = None,
) -> tuple[float, float]: ...
def modularity_score(
    representation: Any,
    factors: Any,
    *,
    bins: str = "quantile",
    n_bins: int = 20,
    return_floor: bool = False,
    random_state: Any = None,
) -> float | tuple[float, float]:
    """Say whether each dimension knows of one factor only.

    Parameters
    ----------
    representation : array-like of shape (n, d)
        Features of n series, such as the posterior means of a VAE. n should be 2,000 or more.
    factors : array-like of shape (n, f)
        What varies between the series, as whole numbers: f >= 2 factors, each with two or more
        values.
    bins : {"quantile", "uniform"}, default="quantile"
        How a dimension is cut. "quantile" gives bins of equally many series, where numbers are
        all different: an increasing map of a dimension changes nothing. "uniform" gives bins
        of equal width, as in the code of [2]_.
    n_bins : int, default=20
        Bins of a dimension, 2 or more.
    return_floor : bool, default=False
        Whether to return the score of shuffled factors, too.
    random_state : int, RandomState instance or None, default=None
        Decides the shufflings of the floor; without it, nothing is drawn.

    Returns
    -------
    modularity : float
        In [0, 1], higher is better: 1 where each dimension knows of exactly one factor, 0 where
        each knows equally much of all.
    floor : float
        The same where the rows of `factors` are shuffled, mean over 5 shufflings: about .5, far
        from 0. Only with `return_floor`.

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
    mutual_information_gap : Says whether a factor has one dimension.

    Notes
    -----
    With I_ij the mutual information of dimension i and factor j, and m_i its largest over j,
    1 - sum_{j: other} I_ij^2 / (m_i^2 (f - 1)), mean over the d dimensions [1]_.

    **High floor.** Of a dimension that is noise, the information is that of chance, which is
    largest for the factor with most values: modularity then reads .43 to .60 with five factors
    of 3 to 8 values. It also does not say that all factors are there. A constant dimension
    counts 0.

    References
    ----------
    .. [1] K. Ridgeway, M. C. Mozer. "Learning Deep Disentangled Embeddings With the F-Statistic
       Loss." NeurIPS 2018. arXiv:1802.05312.
    .. [2] F. Locatello, S. Bauer, M. Lucic, G. Rätsch, S. Gelly, B. Schölkopf, O. Bachem.
       "Challenging Common Assumptions in the Unsupervised Learning of Disentangled
       Representations." ICML 2019. arXiv:1811.12359.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl.metrics import modularity_score
    >>> factors = np.random.RandomState(0).randint(4, size=(2000, 2))
    >>> modularity_score(factors, factors)
    1.0
    >>> rotation = np.array([[1, 1], [-1, 1]])
    >>> modularity_score(factors @ rotation, factors, return_floor=True, random_state=0)
    (0.001, 0.478)
    """
    check_bins(bins)
    n_bins = check_count(n_bins, "n_bins", 2)
    rows, values = check_factors(representation, factors, min_factors=2)
    generator = check_random_state(random_state)
    cut = BINS[bins](rows, n_bins)

    def measure(values: np.ndarray) -> float:
        return modularity_of_information(information_matrix(cut, values))

    modularity = measure(values)
    if not return_floor:
        return modularity
    return modularity, float(np.mean([measure(other) for other in shuffled(values, generator)]))
