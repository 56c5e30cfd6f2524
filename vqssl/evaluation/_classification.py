"""Classification accuracy score (Ravuri and Vinyals 2019): train on drawn, test on real."""

from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.multiclass import unique_labels

from vqssl._input import off_torch
from vqssl._seed import seed_parts, spawn_seeds
from vqssl._validation import check_labels, check_series
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
        the tag ``input_tags.three_d_array``; of a `Pipeline` that of its first step counts, of
        a `GridSearchCV` or `RandomizedSearchCV` that of its estimator. None is
        ``FCNClassifier()``.
    random_state : int, RandomState instance or None, default=None
        Decides the seeds of `classifier`.

    Returns
    -------
    score : float
        Share of `X_test` that is classified rightly, in [0, 1], higher is better.

    Raises
    ------
    ValueError
        If a set is empty or holds NaN, has as many labels as series not, or another shape or
        kind of labels than the other set; if it is not acceptable to the classifier.
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
    X_synthetic, y_synthetic = check_set(X_synthetic, y_synthetic, "synthetic")
    X_test, y_test = check_set(X_test, y_test, "test")
    check_alike(X_synthetic, y_synthetic, X_test, y_test, "synthetic")
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


def check_set(X: Any, y: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return series of any number of axes and their labels, which messages call by `name`.

    Raises
    ------
    ValueError
        If they are not acceptable.
    """
    X = check_shapes(X, name)
    y = check_labels(y, f"y_{name}")
    if len(y) != len(X):
        raise ValueError(
            f"y_{name} must have a label for each of the {len(X)} series of X_{name}; got {len(y)}."
        )
    return X, y


def check_shapes(X: Any, name: str) -> np.ndarray:
    """Return series of any number of axes as an array.

    Raises
    ------
    ValueError
        If they are not acceptable.
    """
    X = np.asarray(off_torch(X, f"X_{name}"))
    check_series(X, "The evaluation", name=f"X_{name}")
    return X


def check_alike(X: np.ndarray, y: Any, X_test: np.ndarray, y_test: Any, name: str) -> None:
    """Refuse a test set of other shapes or kinds of labels than the set `name`.

    Raises
    ------
    ValueError
        If it is one.
    """
    if X.shape[1:] != X_test.shape[1:]:
        raise ValueError(
            f"X_test must have series of shape {X.shape[1:]}, as X_{name} has; got "
            f"{X_test.shape[1:]}."
        )
    if y is not None:
        try:
            unique_labels(y, y_test)
        except ValueError as error:
            raise ValueError(
                f"y_test must hold labels of the kind of y_{name}; got {y_test[:3].tolist()}... "
                f"and {y[:3].tolist()}...: {error}"
            ) from error


def as_input(estimator: Any, X: Any) -> Any:
    """Series and images as an estimator takes them: flattened, unless it knows more axes."""
    return X if np.ndim(X) < 3 or _knows_axes(estimator) else np.asarray(X).reshape(len(X), -1)


def _knows_axes(estimator: Any) -> bool:
    """Whether an estimator takes series of three axes; what is around one tells of it."""
    if isinstance(estimator, (FrozenEstimator, GridSearchCV, RandomizedSearchCV)):
        return _knows_axes(estimator.estimator)
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        return bool(steps) and _knows_axes(steps[0])
    return _has_tags(estimator) and get_tags(estimator).input_tags.three_d_array


def knows_classes(estimator: Any) -> bool:
    """Whether something is a scikit-learn classifier, and no class of one."""
    return _has_tags(estimator) and is_classifier(estimator)


def _has_tags(estimator: Any) -> bool:
    return hasattr(estimator, "__sklearn_tags__") and not isinstance(estimator, type)


def accuracy(classifier: Any, X: Any, y: Any) -> float:
    """Share of series that a fitted classifier takes for what they are."""
    return float(accuracy_score(y, classifier.predict(as_input(classifier, X))))
