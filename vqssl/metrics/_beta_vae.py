"""BetaVAE score: which factor do two batches share? (Higgins et al., ICLR 2017)."""

from typing import Any, Literal, overload

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

from vqssl._validation import check_count
from vqssl.metrics._labelled import check_factors, shuffled, standardised
from vqssl.metrics._shared_value import SharedValue, blocks_by_factor, group_rows


def mean_differences(
    rows: np.ndarray,
    groups: list[SharedValue],
    batch_size: int,
    n_points: int,
    generator: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Points of the BetaVAE score: how far apart rows are that share one factor.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Representation.
    groups : list of SharedValue
        Rows by the value of each of f factors.
    batch_size : int
        Pairs of a point.
    n_points : int
        Points, shared evenly among the factors.
    generator : RandomState
        Decides the pairs.

    Returns
    -------
    points : ndarray of shape (n_points, d)
        |z - z'|, mean over the pairs of a point.
    factors : ndarray of shape (n_points,), int64
        Which factor the pairs share.
    """
    points, factors = [], []
    for factor, n_block in blocks_by_factor(n_points, len(groups), batch_size * rows.shape[1]):
        group = groups[factor]
        first = group.draw((n_block, batch_size), generator)
        second = group.draw_other(first, generator)
        points.append(np.abs(rows[first] - rows[second]).mean(axis=1))  # (n_block, d)
        factors.append(np.full(n_block, factor))
    return np.concatenate(points), np.concatenate(factors)


@overload
def beta_vae_score(
    representation: Any,
    factors: Any,
    *,
    batch_size: int = 64,
    n_train: int = 10_000,
    n_test: int = 5_000,
    return_floor: Literal[False] = False,
    random_state: Any = None,
) -> float: ...
@overload
def beta_vae_score(
    representation: Any,
    factors: Any,
    *,
    batch_size: int = 64,
    n_train: int = 10_000,
    n_test: int = 5_000,
    return_floor: Literal[True],
    random_state: Any = None,
) -> tuple[float, float]: ...
def beta_vae_score(
    representation: Any,
    factors: Any,
    *,
    batch_size: int = 64,
    n_train: int = 10_000,
    n_test: int = 5_000,
    return_floor: bool = False,
    random_state: Any = None,
) -> float | tuple[float, float]:
    """Accuracy of telling which factor pairs of series share, from how far apart they are.

    Parameters
    ----------
    representation : array-like of shape (n, d)
        Features of n series, such as the posterior means of a VAE.
    factors : array-like of shape (n, f)
        What varies between the series, as whole numbers: f >= 2 factors, each with two or more
        values.
    batch_size : int, default=64
        Pairs of series that are averaged to a point.
    n_train : int, default=10_000
        Points that the classifier is trained on, f or more.
    n_test : int, default=5_000
        Points that it is tested on, f or more.
    return_floor : bool, default=False
        Whether to return the score of shuffled factors, too.
    random_state : int, RandomState instance or None, default=None
        Decides the pairs and the shufflings of the floor.

    Returns
    -------
    score : float
        Accuracy in [0, 1], higher is better; 1 / f on average where the representation says
        nothing of the factors.
    floor : float
        The same where the rows of `factors` are shuffled, mean over 5 shufflings. Only with
        `return_floor`.

    Raises
    ------
    ValueError
        If an array has another shape than it must; if `representation` holds anything but
        finite numbers, or `factors` anything but whole ones; if a factor has one value only,
        or no value twice; if a number is too small.
    TypeError
        If a number is no integer.

    See Also
    --------
    factor_vae_score : Sees a missing factor, which this does not.
    mutual_information_gap : Sees rotations, which this hardly does.

    Notes
    -----
    For a point, a factor is chosen and `batch_size` pairs of series that share its value; the
    point is the mean of ``|z - z'|`` over the pairs, for each dimension. A logistic regression
    tells the factor from the point [1]_. The number of points and of pairs is that of [2]_.

    **Read it beside other scores.** It finds a linear map from differences to factors, so a
    rotation of all dimensions costs it little (.78 to 1 in 25 random ones of five factors), and
    a factor that no dimension has is told by the absence of small differences.

    The paper draws new series for each pair. Here all come from one sample: a random row, and
    another one with the same value. Rows whose value is unique are not drawn. A factor with few
    rows of each value has few pairs, which the classifier may know again by their distances,
    whatever the representation says: the floor shows it. Each factor gets equally many points.
    Dimensions, and the points, are standardised, so that scales do not matter; in the authors'
    code they are not.

    References
    ----------
    .. [1] I. Higgins, L. Matthey, A. Pal, C. Burgess, X. Glorot, M. Botvinick, S. Mohamed,
       A. Lerchner. "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
       Framework." ICLR 2017.
    .. [2] F. Locatello, S. Bauer, M. Lucic, G. Rätsch, S. Gelly, B. Schölkopf, O. Bachem.
       "Challenging Common Assumptions in the Unsupervised Learning of Disentangled
       Representations." ICML 2019. arXiv:1811.12359.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl.metrics import beta_vae_score
    >>> factors = np.random.RandomState(0).randint(4, size=(500, 2))
    >>> beta_vae_score(factors, factors, n_train=200, n_test=100, random_state=0)
    1.0
    >>> sums = factors.sum(axis=1, keepdims=True)
    >>> beta_vae_score(sums, factors, n_train=200, n_test=100, random_state=0)
    0.5
    """
    rows, values = check_factors(representation, factors, min_factors=2)
    n_factors = values.shape[1]
    batch_size = check_count(batch_size, "batch_size")
    n_train = check_count(n_train, "n_train", n_factors)
    n_test = check_count(n_test, "n_test", n_factors)
    generator = check_random_state(random_state)
    rows = standardised(rows)

    def measure(values: np.ndarray) -> float:
        groups = group_rows(values)
        points, shared = mean_differences(rows, groups, batch_size, n_train, generator)
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        classifier.fit(points, shared)
        return float(
            classifier.score(*mean_differences(rows, groups, batch_size, n_test, generator))
        )

    score = measure(values)
    if not return_floor:
        return score
    return score, float(np.mean([measure(other) for other in shuffled(values, generator)]))
