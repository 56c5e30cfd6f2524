"""Classification accuracy score (Ravuri and Vinyals 2019): train on drawn, test on real."""

from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.metrics import accuracy_score
from sklearn.utils import get_tags

from vqssl._seed import seed_parts, spawn_seeds
from vqssl.classifiers import FCNClassifier


def classification_accuracy_score(
    X_synthetic: Any,
    y_synthetic: Any,
    X_test: Any,
    y_test: Any,
    *,
    classifier: Any = None,
    random_state: Any = None,
) -> float:
    """Accuracy on real series of a classifier that is trained on synthetic ones.

    Parameters
    ----------
    X_synthetic : array-like of shape (n, n_timepoints), (n, n_channels, n_timepoints) or \
(n, n_channels, height, width)
        Synthetic series.
    y_synthetic : array-like of shape (n,)
        Classes they were drawn for.
    X_test : array-like of shape (m, n_timepoints), (m, n_channels, n_timepoints) or \
(m, n_channels, height, width)
        Real series, which the generator has not seen.
    y_test : array-like of shape (m,)
        Their classes.
    classifier : scikit-learn classifier or None, default=None
        What is trained. It is cloned, and parts of it with a `random_state` of None get a
        seed. Series of three axes and images are flattened to (n, C L) for a classifier without
        the tag ``input_tags.three_d_array``. None is ``FCNClassifier()``.
    random_state : int, RandomState instance or None, default=None
        Decides the seeds of `classifier`.

    Returns
    -------
    score : float
        Share of `X_test` that is classified rightly, in [0, 1], higher is better.

    Raises
    ------
    ValueError
        If a set of series or labels is not acceptable to the classifier.
    TypeError
        If `classifier` is no classifier.

    See Also
    --------
    evaluate_generator : The same beside the accuracy of training on real series, and more.

    Notes
    -----
    Called CAS. The accuracy of the same classifier trained on real series is what good
    synthetic ones come near; as many synthetic as real ones of each class make the two
    comparable. It sees both bad series and missing ones, but not copies: a generator that
    returns its training set has the accuracy of real series. The published classifier is a
    residual network on images.

    References
    ----------
    S. Ravuri, O. Vinyals, "Classification Accuracy Score for Conditional Generative Models",
    NeurIPS 2019, section 3.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> from vqssl.evaluation import classification_accuracy_score
    >>> X, y = make_cylinder_bell_funnel(120, length=32, random_state=0)
    >>> score = classification_accuracy_score(X[:60], y[:60], X[60:], y[60:], classifier=SVC())
    >>> score > 0.8
    True
    """
    made = make_classifier(classifier, spawn_seeds(random_state, 1)[0])
    made.fit(as_input(made, X_synthetic), y_synthetic)
    return accuracy(made, X_test, y_test)


def make_classifier(classifier: Any, seed: int) -> Any:
    """Return an unfitted, seeded copy of a classifier; of an FCN for None.

    Raises
    ------
    TypeError
        If `classifier` is no classifier.
    """
    if classifier is None:
        return FCNClassifier(random_state=seed)
    if not knows_classes(classifier):
        raise TypeError(
            f"classifier must be a scikit-learn classifier or None; got {classifier!r}."
        )
    return seeded_clone(classifier, seed)


def seeded_clone(estimator: Any, seed: int) -> Any:
    """Return a copy of an estimator whose parts with a random_state of None have a seed."""
    copy = clone(estimator)
    seed_parts(copy, seed)
    return copy


def as_input(estimator: Any, X: Any) -> Any:
    """Series and images as an estimator takes them: flattened, unless its tags know more axes."""
    if np.ndim(X) < 3 or (_has_tags(estimator) and get_tags(estimator).input_tags.three_d_array):
        return X
    return np.asarray(X).reshape(len(X), -1)


def knows_classes(estimator: Any) -> bool:
    """Whether something is a scikit-learn classifier, and no class of one."""
    return _has_tags(estimator) and is_classifier(estimator)


def _has_tags(estimator: Any) -> bool:
    return hasattr(estimator, "__sklearn_tags__") and not isinstance(estimator, type)


def accuracy(classifier: Any, X: Any, y: Any) -> float:
    """Share of series that a fitted classifier takes for what they are."""
    return float(accuracy_score(y, classifier.predict(as_input(classifier, X))))
