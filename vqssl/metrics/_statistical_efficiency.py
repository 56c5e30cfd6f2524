"""Statistical efficiency: how well few labels do (Locatello et al., ICML 2019)."""

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

from vqssl._validation import check_count
from vqssl.metrics._checks import check_features
from vqssl.metrics._classifier import check_classifier, seeded
from vqssl.metrics._labelled import check_labels

# Small training sets that the accuracy with few labels is the mean of.
N_DRAWS = 5


def statistical_efficiency(
    representation: Any,
    labels: Any,
    *,
    classifier: Any = None,
    n_small: int = 100,
    n_large: int = 10_000,
    n_test: int = 5_000,
    random_state: Any = None,
) -> float:
    """Accuracy of a classifier that has few labels, relative to one that has many.

    Parameters
    ----------
    representation : array-like of shape (n, d)
        Features of n series.
    labels : array-like of shape (n,)
        Class of each series, numbers or strings, or a single factor of variation. Two classes
        or more.
    classifier : scikit-learn classifier or None, default=None
        What is trained. It is cloned, and parts of it with a `random_state` of None get a
        seed. None is a logistic regression on standardised features. The paper also uses
        ``GradientBoostingClassifier()``.
    n_small : int, default=100
        Few labels.
    n_large : int, default=10_000
        Many labels, `n_small` or more.
    n_test : int, default=5_000
        Further rows that accuracy is measured on. n must be `n_large` + `n_test` or more.
    random_state : int, RandomState instance or None, default=None
        Decides the rows and the seeds of `classifier`.

    Returns
    -------
    efficiency : float
        At least 0, about 1 at most: 1 where few labels do as well as many. Nan where many
        labels predict no test row.

    Raises
    ------
    ValueError
        If an array has another shape than it must or too few rows, or `representation` holds
        anything but finite numbers; if a training set has one class only; if a number is below
        1, or `n_large` below `n_small`.
    TypeError
        If `classifier` is no classifier or a number no integer.

    Notes
    -----
    Accuracy with `n_small` labels / accuracy with `n_large` labels [1]_. The former is the mean
    over 5 draws of `n_small` from the `n_large` rows; the paper draws once. For several factors,
    the paper averages the accuracies over factors before it divides them.

    A representation that says nothing scores about 1, too: read it beside the accuracy.

    References
    ----------
    .. [1] F. Locatello, S. Bauer, M. Lucic, G. Rätsch, S. Gelly, B. Schölkopf, O. Bachem.
       "Challenging Common Assumptions in the Unsupervised Learning of Disentangled
       Representations." ICML 2019. arXiv:1811.12359.

    Examples
    --------
    Two classes, told by one of 100 dimensions:

    >>> import numpy as np
    >>> from vqssl.metrics import statistical_efficiency
    >>> X = np.random.RandomState(0).standard_normal((3000, 100))
    >>> y = X[:, 0] > 0
    >>> sizes = {"n_small": 100, "n_large": 2000, "n_test": 1000}
    >>> statistical_efficiency(X, y, **sizes, random_state=0)
    0.7
    >>> statistical_efficiency(X[:, :1], y, **sizes, random_state=0)
    1.0
    """
    n_small = check_count(n_small, "n_small")
    n_large = check_count(n_large, "n_large", n_small)
    n_test = check_count(n_test, "n_test")
    if classifier is None:
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    check_classifier(classifier)
    (rows,) = check_features(1, columns="dimensions", representation=representation)
    classes = check_labels(labels, len(rows), "representation", minimum=2)
    if len(rows) < n_large + n_test:
        raise ValueError(
            f"representation must have n_large + n_test, {n_large + n_test}, or more rows; got "
            f"{len(rows)}. Lower n_large or n_test."
        )
    generator = check_random_state(random_state)
    order = generator.permutation(len(rows))
    large, test = order[:n_large], order[n_large : n_large + n_test]
    small = [large[generator.permutation(n_large)[:n_small]] for _ in range(N_DRAWS)]
    for train in (*small, large):
        if np.ptp(classes[train]) == 0:
            raise ValueError(
                f"labels must have 2 or more classes among the {len(train)} that are drawn for "
                "training; got 1. Raise n_small."
            )

    def accuracy(train: np.ndarray) -> float:
        model = seeded(classifier, generator).fit(rows[train], classes[train])
        return float(np.mean(model.predict(rows[test]) == classes[test]))

    with_many = accuracy(large)
    with_few = float(np.mean([accuracy(train) for train in small]))
    return with_few / with_many if with_many > 0 else float("nan")
