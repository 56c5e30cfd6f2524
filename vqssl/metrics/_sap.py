"""SAP score: separated attribute predictability (Kumar et al., ICLR 2018)."""

from typing import Any, Literal, overload

import numpy as np
from sklearn.svm import LinearSVC
from sklearn.utils import check_random_state

from vqssl._validation import check_count
from vqssl.metrics._labelled import check_factors, shuffled, split_rows, standardised


def squared_correlations(rows: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """R^2 of predicting every factor by a linear function of every dimension.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Representation, standardised.
    factors : ndarray of shape (n, f)
        Numbers, none of them constant.

    Returns
    -------
    scores : ndarray of shape (d, f)
        In [0, 1]; 0 for a constant dimension.
    """
    correlations = rows.T @ standardised(factors.astype(np.float64)) / len(rows)
    return np.minimum(np.square(correlations), 1)


def accuracies_of_svc(
    rows: np.ndarray, factors: np.ndarray, train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Accuracy of predicting every factor from every dimension by a linear classifier.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Representation, standardised.
    factors : ndarray of shape (n, f)
        Classes, each factor with two or more among the training rows.
    train, test : ndarray of int64
        Rows to learn from and rows to predict.

    Returns
    -------
    scores : ndarray of shape (d, f)
        In [0, 1].
    """
    scores = np.empty((rows.shape[1], factors.shape[1]))
    for i, j in np.ndindex(scores.shape):
        # Solved in the primal it draws nothing, but would take a seed from the global generator.
        classifier = LinearSVC(C=0.01, class_weight="balanced", dual=False, random_state=0)
        classifier.fit(rows[train, i : i + 1], factors[train, j])
        scores[i, j] = classifier.score(rows[test, i : i + 1], factors[test, j])
    return scores


@overload
def sap_score(
    representation: Any,
    factors: Any,
    *,
    estimator: str = "svc",
    n_train: int = 10_000,
    n_test: int = 5_000,
    return_floor: Literal[False] = False,
    random_state: Any = None,
) -> float: ...
@overload
def sap_score(
    representation: Any,
    factors: Any,
    *,
    estimator: str = "svc",
    n_train: int = 10_000,
    n_test: int = 5_000,
    return_floor: Literal[True],
    random_state: Any = None,
) -> tuple[float, float]: ...
def sap_score(
    representation: Any,
    factors: Any,
    *,
    estimator: str = "svc",
    n_train: int = 10_000,
    n_test: int = 5_000,
    return_floor: bool = False,
    random_state: Any = None,
) -> float | tuple[float, float]:
    """Say how much better one dimension predicts a factor than any other dimension does.

    Parameters
    ----------
    representation : array-like of shape (n, d)
        Features of n series, such as the posterior means of a VAE, d >= 2.
    factors : array-like of shape (n, f)
        What varies between the series, as whole numbers: f factors, each with two or more
        values.
    estimator : {"svc", "r2"}, default="svc"
        "svc" is the test accuracy of a linear support vector machine, for factors whose values
        are mere names; its scores are low, see Notes. "r2" is the squared correlation, for
        factors whose values are quantities.
    n_train : int, default=10_000
        Rows that "svc" is trained on.
    n_test : int, default=5_000
        Further rows that "svc" is tested on. Where n is below `n_train` + `n_test`, all rows are
        used, in this ratio. "r2" takes all rows in any case.
    return_floor : bool, default=False
        Whether to return the score of shuffled factors, too.
    random_state : int, RandomState instance or None, default=None
        Decides the rows of "svc" and the shufflings of the floor; "r2" without a floor draws
        nothing.

    Returns
    -------
    score : float
        In [0, 1], higher is better: 0 where the two best dimensions predict a factor equally
        well.
    floor : float
        The same where the rows of `factors` are shuffled, mean over 5 shufflings. Only with
        `return_floor`.

    Raises
    ------
    ValueError
        If an array has another shape than it must; if `representation` holds anything but
        finite numbers, or `factors` anything but whole ones; if a factor has one value only,
        also among the training rows alone; if `estimator` has no such name or a number is
        below 1.
    TypeError
        If a number is no integer.

    See Also
    --------
    mutual_information_gap : The same idea with information in place of accuracy.

    Notes
    -----
    For each factor, the score of the best dimension minus that of the second best, mean over
    factors [1]_. The support vector machine, with C = .01 and balanced class weights, is that
    of the code of [2]_; here dimensions are standardised first, so that scales do not matter.

    **Low scores of "svc".** One linear function of one number cannot tell more than the two
    outer ones of several ordered values from all others. So even the factors themselves score
    .23, with five of them of 3 to 8 values; "r2" gives 1.

    References
    ----------
    .. [1] A. Kumar, P. Sattigeri, A. Balakrishnan. "Variational Inference of Disentangled
       Latent Concepts from Unlabeled Observations." ICLR 2018. arXiv:1711.00848.
    .. [2] F. Locatello, S. Bauer, M. Lucic, G. Rätsch, S. Gelly, B. Schölkopf, O. Bachem.
       "Challenging Common Assumptions in the Unsupervised Learning of Disentangled
       Representations." ICML 2019. arXiv:1811.12359.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl.metrics import sap_score
    >>> factors = np.random.RandomState(0).randint(8, size=(1000, 2))
    >>> sap_score(factors, factors, estimator="r2")
    1.0
    >>> sap_score(factors, factors, random_state=0)
    0.11
    """
    if estimator not in ("svc", "r2"):
        raise ValueError(f"estimator must be 'svc' or 'r2'; got {estimator!r}.")
    n_train = check_count(n_train, "n_train")
    n_test = check_count(n_test, "n_test")
    rows, values = check_factors(representation, factors, min_dims=2)
    generator = check_random_state(random_state)
    rows = standardised(rows)

    def measure(values: np.ndarray) -> float:
        if estimator == "r2":
            scores = squared_correlations(rows, values)
        else:
            train, test = split_rows(len(rows), n_train, n_test, generator)
            _check_classes(values[train])
            scores = accuracies_of_svc(rows, values, train, test)
        ordered = np.sort(scores, axis=0)
        return float(np.mean(ordered[-1] - ordered[-2]))

    score = measure(values)
    if not return_floor:
        return score
    return score, float(np.mean([measure(other) for other in shuffled(values, generator)]))


def _check_classes(values: np.ndarray) -> None:
    constant = np.flatnonzero(np.ptp(values, axis=0) == 0)
    if len(constant):
        raise ValueError(
            f"factors must have 2 or more values among the {len(values)} training rows; got one "
            f"in column {constant[0]}. Use more rows, or estimator='r2'."
        )
