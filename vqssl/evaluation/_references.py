"""The real side of an evaluation: features, trained classifier and floors, once for a data set."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vqssl._inner import is_fitted
from vqssl._seed import spawn_seeds
from vqssl._validation import check_count
from vqssl.classifiers import FCNClassifier
from vqssl.evaluation._classification import (
    accuracy,
    as_input,
    check_alike,
    check_set,
    check_shapes,
    knows_classes,
    make_classifier,
    seeded_clone,
)
from vqssl.metrics import (
    PRDC,
    discriminative_score,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall_density_coverage,
)

# Neighbours of precision, recall, density and coverage; a set must have more series.
N_NEIGHBORS = 5


@dataclass(frozen=True)
class RealReferences:
    """What an evaluation knows of the real series; `real_references` makes it.

    Parameters
    ----------
    X_train : ndarray of shape (n, n_timepoints), (n, n_channels, n_timepoints) or \
(n, n_channels, height, width)
        Training series.
    y_train : ndarray of shape (n,) or None
        Their classes.
    X_test : ndarray of shape (m, n_timepoints), (m, n_channels, n_timepoints) or \
(m, n_channels, height, width)
        Test series.
    y_test : ndarray of shape (m,) or None
        Their classes.
    train_rows : ndarray of shape (n_compared,), int64
        Which training series are compared.
    test_rows : ndarray of shape (n_compared,), int64
        Which test series are compared.
    features : callable
        Takes series, returns features (n, d) in float64.
    test_features : ndarray of shape (n_compared, d), float64
        Features of the test series that are compared.
    classifier : classifier or None
        Unfitted and seeded: what is trained on synthetic series. None without classes.
    probabilities : callable or None
        Takes series, returns the probabilities (n, n_classes) of a classifier that is trained
        on the training series. None without classes, and where the classifier has no
        ``predict_proba``.
    floors : dict of str to float
        Figures of `evaluate_generator` that depend on no generator.

    See Also
    --------
    evaluate_against : Takes it.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl.evaluation import real_references
    >>> X = np.random.RandomState(0).standard_normal((60, 8))
    >>> def features(X):
    ...     return np.stack([X.mean(1), X.std(1)], 1)
    >>> real = real_references(X[:30], None, X[30:], None, features=features, random_state=0)
    >>> real.test_features.shape
    (30, 2)
    >>> real.floors["n_compared"]
    30.0
    """

    X_train: np.ndarray
    y_train: np.ndarray | None
    X_test: np.ndarray
    y_test: np.ndarray | None
    train_rows: np.ndarray
    test_rows: np.ndarray
    features: Callable[[np.ndarray], np.ndarray]
    test_features: np.ndarray
    classifier: Any
    probabilities: Callable[[np.ndarray], np.ndarray] | None
    floors: dict[str, float]


def real_references(
    X_train: Any,
    y_train: Any,
    X_test: Any,
    y_test: Any,
    *,
    features: Any = None,
    classifier: Any = None,
    n_compared: int = 1000,
    random_state: Any = None,
) -> RealReferences:
    """Do the part of an evaluation that needs no generator, for several generators at once.

    Parameters
    ----------
    X_train : array-like of shape (n, n_timepoints), (n, n_channels, n_timepoints) or \
(n, n_channels, height, width)
        Series that the generators were fitted on, at least 6.
    y_train : array-like of shape (n,) or None
        Their classes. Without, there is no classifier, and `features` must be given.
    X_test : array-like of shape (m, n_timepoints), (m, n_channels, n_timepoints) or \
(m, n_channels, height, width)
        Series that the generators have not seen, at least 6.
    y_test : array-like of shape (m,) or None
        Their classes; None where `y_train` is.
    features : transformer, classifier, callable or None, default=None
        Where series are compared. Something with ``transform``: as it is where it is fitted,
        else a clone, fitted on the training series. A callable: takes series, returns an
        array (n, d). None: `classifier`, where that has ``transform``, else an
        ``FCNClassifier()``.
    classifier : scikit-learn classifier or None, default=None
        Trained on the training series, and later on synthetic ones; see
        `classification_accuracy_score`. None is ``FCNClassifier()``.
    n_compared : int, default=1000
        Largest number of series in the two sets of a distance. Both have as many, and not
        more than `X_train` or `X_test`: biases are then alike.
    random_state : int, RandomState instance or None, default=None
        Decides the series that are compared, and the seeds of classifiers and `features`.

    Returns
    -------
    references : RealReferences
        For `evaluate_against`. ``references.floors`` has the figures of `evaluate_generator`
        that depend on no generator: those that end in ``_floor``, ``inception_score_test``,
        ``train_real_test_real`` and ``n_compared``.

    Raises
    ------
    ValueError
        If a set has fewer than 6 series, NaN, as many labels as series not, or another shape
        or kind of labels than the other; classes are given for one set only; or `features` is
        None without classes.
    TypeError
        If `features` or `classifier` is nothing of the kind.

    See Also
    --------
    evaluate_generator : Does this and the rest for one generator.

    Examples
    --------
    >>> from vqssl import FCNClassifier
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> from vqssl.evaluation import real_references
    >>> X, y = make_cylinder_bell_funnel(80, length=32, random_state=0)
    >>> fcn = FCNClassifier((16, 32, 16), max_iter=50)
    >>> real = real_references(X[:40], y[:40], X[40:], y[40:], classifier=fcn, random_state=0)
    >>> real.floors["n_compared"]
    40.0
    >>> real.floors["train_real_test_real"] > 0.7
    True
    """
    X_train, y_train, X_test, y_test = check_sets(X_train, y_train, X_test, y_test)
    _check_features(features, y_train)
    largest = check_count(n_compared, "n_compared", N_NEIGHBORS + 1)
    n_compared = min(len(X_train), len(X_test), largest)
    model_seed, feature_seed, row_seed, metric_seed = spawn_seeds(random_state, 4)

    untrained: Any = None
    trained: Any = None
    if y_train is not None:
        untrained = make_classifier(classifier, model_seed)
        trained = make_classifier(classifier, model_seed)
        trained.fit(as_input(trained, X_train), y_train)
    extract = _make_extractor(features, trained, X_train, y_train, feature_seed)
    probabilities = None
    if hasattr(trained, "predict_proba"):

        def probabilities(X: np.ndarray) -> np.ndarray:
            return trained.predict_proba(as_input(trained, X))

    draw = np.random.default_rng(row_seed)
    train_rows = stratified_rows(y_train, len(X_train), n_compared, draw)
    test_rows = np.sort(draw.permutation(len(X_test))[:n_compared])
    compared_train, compared_test = X_train[train_rows], X_test[test_rows]
    train_features, test_features = extract(compared_train), extract(compared_test)
    found = compare(test_features, train_features, compared_test, compared_train, metric_seed)
    floors = {f"{name}_floor": found[name] for name in ("fid", "kid", *PRDC._fields)}
    floors["discriminative_floor"] = found["discriminative_score"]
    if probabilities is not None:
        floors["inception_score_test"] = inception_score(probabilities(compared_test))
    if trained is not None:
        floors["train_real_test_real"] = accuracy(trained, X_test, y_test)
    floors["n_compared"] = float(n_compared)
    return RealReferences(
        X_train=X_train,
        y_train=y_train,
        X_test=X_test,
        y_test=y_test,
        train_rows=train_rows,
        test_rows=test_rows,
        features=extract,
        test_features=test_features,
        classifier=untrained,
        probabilities=probabilities,
        floors=floors,
    )


def compare(
    real_features: np.ndarray,
    synthetic_features: np.ndarray,
    real: np.ndarray,
    synthetic: np.ndarray,
    seed: int,
) -> dict[str, float]:
    """Distances between as many real and synthetic series, in features and as they are."""
    kid, p_value = kernel_distance(
        real_features, synthetic_features, return_p_value=True, random_state=seed
    )
    scores = precision_recall_density_coverage(
        real_features, synthetic_features, n_neighbors=N_NEIGHBORS
    )
    score, low, high = discriminative_score(
        real, synthetic, return_interval=True, random_state=seed
    )
    return {
        "fid": frechet_distance(real_features, synthetic_features),
        "kid": kid,
        "kid_p_value": p_value,
        **scores._asdict(),
        "discriminative_score": score,
        "discriminative_low": low,
        "discriminative_high": high,
    }


def stratified_rows(
    y: np.ndarray | None, n_rows: int, n_drawn: int, draw: np.random.Generator
) -> np.ndarray:
    """Draw rows without replacement, of each class its share: counts are off by less than one."""
    order = draw.permutation(n_rows)
    if y is None or n_drawn == n_rows:
        return np.sort(order[:n_drawn])
    _, numbers, counts = np.unique(y[order], return_inverse=True, return_counts=True)
    exact = counts * n_drawn / n_rows
    wanted = exact.astype(int)
    # The largest remainders get the rest.
    wanted[np.argsort(wanted - exact, kind="stable")[: n_drawn - wanted.sum()]] += 1
    rows = [order[numbers == number][:n] for number, n in enumerate(wanted)]
    return np.sort(np.concatenate(rows))


def check_sets(
    X_train: Any, y_train: Any, X_test: Any, y_test: Any
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray | None]:
    """Return training and test set as arrays.

    Raises
    ------
    ValueError
        If they are not acceptable.
    """
    X_train, y_train = _check_set(X_train, y_train, "train")
    X_test, y_test = _check_set(X_test, y_test, "test")
    if (y_train is None) != (y_test is None):
        raise ValueError("y_train and y_test must both be given, or both be None.")
    check_alike(X_train, y_train, X_test, y_test, "train")
    return X_train, y_train, X_test, y_test


def _check_set(X: Any, y: Any, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    checked = (check_shapes(X, name), None) if y is None else check_set(X, y, name)
    n = len(checked[0])
    if n <= N_NEIGHBORS:
        raise ValueError(f"X_{name} must have at least {N_NEIGHBORS + 1} series; got {n}.")
    return checked


def _check_features(features: Any, y: np.ndarray | None) -> None:
    if features is None:
        if y is None:
            raise ValueError(
                "features must be given where y_train is None: a transformer, or a function from "
                "series to arrays of shape (n, d). There is no class that a network could learn."
            )
    elif isinstance(features, type) or not (hasattr(features, "transform") or callable(features)):
        raise TypeError(
            "features must be None, a function from series to arrays, or an estimator with "
            f"transform; got {features!r}."
        )
    elif y is None and knows_classes(features) and not is_fitted(features):
        raise ValueError(
            f"features must be fitted where y_train is None and it is a classifier; got "
            f"{features!r}."
        )


def _make_extractor(
    features: Any, trained: Any, X: np.ndarray, y: np.ndarray | None, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from series to features."""
    if features is None:
        features = trained if hasattr(trained, "transform") else FCNClassifier()
    if hasattr(features, "fit") and not is_fitted(features):
        features = seeded_clone(features, seed)
        features.fit(as_input(features, X), y)

    def extract(X: np.ndarray) -> np.ndarray:
        if hasattr(features, "transform"):
            found = np.asarray(features.transform(as_input(features, X)))
        else:
            found = np.asarray(features(X))
        if found.ndim != 2 or len(found) != len(X):
            raise ValueError(
                f"features must give an array of shape ({len(X)}, d) for {len(X)} series; got one "
                f"of shape {found.shape}."
            )
        return found.astype(np.float64)

    return extract
