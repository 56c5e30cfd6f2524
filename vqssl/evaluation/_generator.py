"""Everything that says how good a generator is, beside what real series score."""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from vqssl._seed import spawn_seeds
from vqssl._validation import check_count
from vqssl.evaluation._classification import accuracy, as_input
from vqssl.evaluation._rate_distortion import rate_distortion, reconstruct
from vqssl.evaluation._references import (
    RealReferences,
    check_sets,
    compare,
    real_references,
    stratified_rows,
)
from vqssl.metrics import frechet_distance, inception_score, memorization_ratio

# Figures of `rate_distortion` that are told of the training series, too.
_ALSO_OF_TRAIN = ("nats_per_token", "mse", "normalized_mse")

# Test series at most whose distances to all training series tell how near new ones are.
_MOST_TEST = 1000


def evaluate_generator(
    generator: Any,
    X_train: Any,
    y_train: Any,
    X_test: Any,
    y_test: Any,
    *,
    features: Any = None,
    classifier: Any = None,
    n_samples: int = 1000,
    n_compared: int = 1000,
    all_accuracies: bool = True,
    random_state: Any = None,
) -> dict[str, float]:
    """Say how good a generator is, by every measure, with what real series score beside it.

    Parameters
    ----------
    generator : fitted generator
        With ``sample``, ``score_samples`` and ``tokenizer_``, as those of `vqssl.generators`.
        One of other kinds, such as a `VAE`, needs ``sample(n, random_state=...)`` only and, to
        be asked for classes, ``sample(n, y, random_state=...)`` and ``classes_``.
    X_train : array-like of shape (n, n_timepoints), (n, n_channels, n_timepoints) or \
(n, n_channels, height, width)
        Series that the generator was fitted on, at least 6.
    y_train : array-like of shape (n,) or None
        Their classes. Without, figures about classes are left out, and `features` must be
        given.
    X_test : array-like of shape (m, n_timepoints), (m, n_channels, n_timepoints) or \
(m, n_channels, height, width)
        Series that the generator has not seen, at least 6.
    y_test : array-like of shape (m,) or None
        Their classes; None where `y_train` is.
    features : transformer, classifier, callable or None, default=None
        Where series are compared. Something with ``transform``: as it is where it is fitted,
        else a clone, fitted on the training series. A callable: takes series, returns an
        array (n, d). None: `classifier`, where that has ``transform``, else an
        ``FCNClassifier()``.
    classifier : scikit-learn classifier or None, default=None
        Trained on real, synthetic and reconstructed series in turn, from one seed; see
        `classification_accuracy_score`. None is ``FCNClassifier()``.
    n_samples : int, default=1000
        Synthetic series that classifiers are trained on, at least: as many of each class as
        the training set has, or a whole multiple.
    n_compared : int, default=1000
        Largest number of series in the two sets of a distance. Both have as many, and not
        more than `X_train` or `X_test`: biases are then alike.
    all_accuracies : bool, default=True
        Whether two more classifiers are trained, on the training series as they come out of the
        tokenizer and on these series with the synthetic ones. It takes about twice the time.
    random_state : int, RandomState instance or None, default=None
        Decides what is drawn, which series are compared, and all seeds.

    Returns
    -------
    figures : dict of str to float
        Distances are between ``n_compared`` test series and as many synthetic ones, of each
        class its share of the training set; floors between these test series and as many
        training series, which is what a perfect generator would score.

        - ``fid``, ``fid_floor``: `vqssl.metrics.frechet_distance` of the features, lower is
          better; ``fid_reconstruction``: of the same training series as they come out of the
          tokenizer, which no prior gets below.
        - ``kid``, ``kid_floor``, ``kid_p_value``: `vqssl.metrics.kernel_distance`; a small p
          says that the distributions differ.
        - ``precision``, ``recall``, ``density``, ``coverage`` and their ``_floor``:
          `vqssl.metrics.precision_recall_density_coverage`, higher is better.
        - ``discriminative_score``, ``discriminative_floor``: how well synthetic and real
          series are told apart, `vqssl.metrics.discriminative_score`, with the limits
          ``discriminative_low`` and ``discriminative_high`` of its confidence interval.
        - ``memorization_ratio``: how much nearer synthetic series are to the training series
          than test series (at most 1,000) are, `vqssl.metrics.memorization_ratio`, all of them
          as they come out of the tokenizer; 0 are copies. NaN where all test series come out
          as copies.
        - ``inception_score``, ``inception_score_test``: of synthetic and of test series, by
          the classifier that is trained on the training series; left out where that has no
          ``predict_proba``.
        - ``classification_accuracy_score``: accuracy on the test series after training on
          synthetic ones; ``train_both_test_real``: on the training series and these;
          ``train_reconstruction_test_real``: on the training series as they come out of the
          tokenizer; ``train_real_test_real``: on the training series.
        - ``nats_per_token``, ``bits_per_series``, ``bits_per_point``,
          ``uniform_bits_per_series``, ``compression_ratio``, ``mse``, ``normalized_mse``:
          `rate_distortion` of the test series that are compared; ``nats_per_token_train``,
          ``mse_train``, ``normalized_mse_train``: of the training series that are.
        - ``n_compared``: series on each side of a distance.

        Without classes the inception scores and all accuracies are left out; with classes but
        a generator that was fitted without, what needs series drawn by class; of a generator
        without ``tokenizer_`` what speaks of codes, and its memorisation ratio compares series
        as they are.

    Raises
    ------
    NotFittedError
        If `generator` is not fitted.
    ValueError
        If a set has fewer than 6 series, NaN, as many labels as series not, or another shape
        or kind of labels than the other; classes are given for one set only; `features` is
        None without classes; `generator` was fitted on series of another shape, does not know
        a class, or returns series of another shape.
    TypeError
        If `features` or `classifier` is nothing of the kind.

    See Also
    --------
    real_references : The part without a generator, for several generators on one data set.
    evaluate_against : The other part.

    Notes
    -----
    Frechet distances of n series in d features are biased upwards, by about 2 d / n + d^2 /
    (2 n) for standard normal features, so they are to be read beside the floor, and compared
    at equal ``n_compared`` and equal features only; the kernel distance has no such bias. No
    figure alone is enough: precision does not see missing series, coverage and accuracies do
    not see copies, the memorisation ratio does not see bad series.

    The network trained on the training series serves features, inception scores and the
    accuracy of real series. With the default classifier four networks are trained.

    References
    ----------
    D. Lee, S. Malacarne, E. Aune, "Vector Quantized Time Series Generation with a
    Bidirectional Prior Model", AISTATS 2023, section 4, for Frechet distance and inception
    score in the features of an FCN. S. Ravuri, O. Vinyals, "Classification Accuracy Score for
    Conditional Generative Models", NeurIPS 2019.

    Examples
    --------
    >>> from vqssl import FCNClassifier, MaskGITGenerator, VQTokenizer
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> from vqssl.evaluation import evaluate_generator
    >>> X, y = make_cylinder_bell_funnel(80, length=32, random_state=0)
    >>> generator = MaskGITGenerator(VQTokenizer(max_iter=20), max_iter=20, random_state=0)
    >>> fcn = FCNClassifier((16, 32, 16), max_iter=50)
    >>> figures = evaluate_generator(
    ...     generator.fit(X[:40], y[:40]),
    ...     *(X[:40], y[:40], X[40:], y[40:]),
    ...     classifier=fcn,
    ...     n_samples=100,
    ...     random_state=0,
    ... )
    >>> figures["fid"] > figures["fid_floor"]
    True
    """
    check_is_fitted(generator)
    check_count(n_samples, "n_samples")
    X_train, y_train, X_test, y_test = check_sets(X_train, y_train, X_test, y_test)
    _check_knows(generator, X_train, y_train, y_test)
    references = real_references(
        X_train,
        y_train,
        X_test,
        y_test,
        features=features,
        classifier=classifier,
        n_compared=n_compared,
        random_state=random_state,
    )
    return evaluate_against(
        generator,
        references,
        n_samples=n_samples,
        all_accuracies=all_accuracies,
        random_state=random_state,
    )


def evaluate_against(
    generator: Any,
    references: RealReferences,
    *,
    n_samples: int = 1000,
    all_accuracies: bool = True,
    random_state: Any = None,
) -> dict[str, float]:
    """Say how good a generator is, given what is known of the real series.

    Parameters
    ----------
    generator : fitted generator
        With ``sample``, ``score_samples`` and ``tokenizer_``, as those of `vqssl.generators`.
        One of other kinds, such as a `VAE`, needs ``sample(n, random_state=...)`` only and, to
        be asked for classes, ``sample(n, y, random_state=...)`` and ``classes_``.
    references : RealReferences
        What `real_references` returned.
    n_samples : int, default=1000
        Synthetic series that classifiers are trained on, at least: as many of each class as
        the training set has, or a whole multiple.
    all_accuracies : bool, default=True
        Whether two more classifiers are trained, on the training series as they come out of the
        tokenizer and on these series with the synthetic ones. It takes about twice the time.
    random_state : int, RandomState instance or None, default=None
        Decides what is drawn. With the int that `real_references` got, the figures are those
        of `evaluate_generator` with it.

    Returns
    -------
    figures : dict of str to float
        See `evaluate_generator`.

    Raises
    ------
    NotFittedError
        If `generator` is not fitted.
    ValueError
        If `n_samples` is below 1, or `generator` was fitted on series of another shape, does not
        know a class, or returns series of another shape.
    TypeError
        If `n_samples` is no integer.

    See Also
    --------
    evaluate_generator : Both parts in one call.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import AutoregressiveGenerator, VQTokenizer
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> from vqssl.evaluation import evaluate_against, real_references
    >>> X, _ = make_cylinder_bell_funnel(80, length=32, random_state=0)
    >>> def features(X):
    ...     return np.stack([X.mean(-1), X.std(-1)], 1)
    >>> real = real_references(X[:40], None, X[40:], None, features=features, random_state=0)
    >>> tokenizer = VQTokenizer(max_iter=20)
    >>> generator = AutoregressiveGenerator(tokenizer, max_iter=20, random_state=0).fit(X[:40])
    >>> figures = evaluate_against(generator, real, random_state=0)
    >>> figures["fid"] > figures["fid_floor"]
    True
    """
    check_is_fitted(generator)
    n_samples = check_count(n_samples, "n_samples")
    # The first four seeds of the same int belong to the real side.
    sample_seed, row_seed, metric_seed = spawn_seeds(random_state, 7)[4:]
    real = references
    _check_knows(generator, real.X_train, real.y_train, real.y_test)
    shape = real.X_train.shape[1:]
    by_class = real.y_train is not None and getattr(generator, "classes_", None) is not None
    y_train, y_test = (real.y_train, real.y_test) if by_class else (None, None)

    n_train, n_compared = len(real.X_train), len(real.train_rows)
    y_synthetic = None
    n_drawn = n_compared
    if y_train is not None:
        repeats = -(-max(n_samples, n_compared) // n_train)
        y_synthetic = np.tile(y_train, repeats)
        n_drawn = len(y_synthetic)
    classes = () if y_synthetic is None else (y_synthetic,)
    drawn = generator.sample(n_drawn, *classes, random_state=sample_seed)
    X_synthetic = _as_real(np.asarray(drawn), (n_drawn, *shape))
    rows = stratified_rows(y_synthetic, n_drawn, n_compared, np.random.default_rng(row_seed))
    compared = X_synthetic[rows]

    synthetic_features = real.features(compared)
    figures = compare(
        real.test_features, synthetic_features, real.X_test[real.test_rows], compared, metric_seed
    )
    if real.probabilities is not None:
        figures["inception_score"] = inception_score(real.probabilities(compared))

    # What has no codes is compared as it is.
    coded_train, coded_test = real.X_train, real.X_test[_some_rows(len(real.X_test), row_seed)]
    has_codes = hasattr(generator, "tokenizer_")
    if has_codes:
        coded_train, coded_test = (
            reconstruct(generator.tokenizer_, X).reshape(X.shape) for X in (coded_train, coded_test)
        )
        coded_features = real.features(coded_train[real.train_rows])
        figures["fid_reconstruction"] = frechet_distance(real.test_features, coded_features)
        # Not of all series: a masked prior takes a step per token for the likelihood of each.
        figures |= _rates(generator, real.X_test, y_test, real.test_rows)
        of_train = _rates(generator, real.X_train, y_train, real.train_rows)
        figures |= {f"{name}_train": of_train[name] for name in _ALSO_OF_TRAIN}
    figures["memorization_ratio"] = _memorization(coded_train, compared, coded_test)

    def trained_on(X: np.ndarray, y: Any) -> float:
        classifier = clone(real.classifier)
        classifier.fit(as_input(classifier, X), y)
        return accuracy(classifier, real.X_test, real.y_test)

    if y_synthetic is not None:
        figures["classification_accuracy_score"] = trained_on(X_synthetic, y_synthetic)
    if all_accuracies and has_codes and real.y_train is not None:
        figures["train_reconstruction_test_real"] = trained_on(coded_train, real.y_train)
    if all_accuracies and y_synthetic is not None:
        figures["train_both_test_real"] = trained_on(
            np.concatenate([real.X_train, X_synthetic]), np.concatenate([y_train, y_synthetic])
        )
    return dict(sorted((figures | real.floors).items()))


def _rates(
    generator: Any, X: np.ndarray, y: np.ndarray | None, rows: np.ndarray
) -> dict[str, float]:
    return rate_distortion(generator, X[rows], None if y is None else y[rows])


def _memorization(train: np.ndarray, synthetic: np.ndarray, test: np.ndarray) -> float:
    # In one dtype, and with one zero.
    known, asked = ([(X.astype(np.float64) + 0.0).tobytes() for X in of] for of in (train, test))
    if set(asked) <= set(known):
        return float("nan")
    return memorization_ratio(train, synthetic, test)


def _some_rows(n_rows: int, seed: int) -> np.ndarray:
    """All rows, or some of many."""
    return np.sort(np.random.default_rng(seed).permutation(n_rows)[:_MOST_TEST])


def _check_knows(generator: Any, X: np.ndarray, *classes: np.ndarray | None) -> None:
    """Refuse a generator of series of another shape, or that does not know the classes."""
    shape = getattr(generator, "input_shape_", None)
    if shape is not None and _of_channels(shape) != _of_channels(X.shape[1:]):
        raise ValueError(
            f"generator must be fitted on series of shape {X.shape[1:]}, as X_train has; it was "
            f"fitted on {shape}."
        )
    known = getattr(generator, "classes_", None)
    if known is None:
        return
    for name, y in zip(("y_train", "y_test"), classes, strict=True):
        unknown = [] if y is None else np.setdiff1d(y, known).tolist()
        if unknown:
            raise ValueError(
                f"{name} must hold classes that generator was fitted on, such as "
                f"{known[:3].tolist()}; got {unknown[:10]} too."
            )


def _as_real(drawn: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Series as the real ones are: with or without the axis of a single channel."""
    if len(drawn) != shape[0] or _of_channels(drawn.shape[1:]) != _of_channels(shape[1:]):
        raise ValueError(
            f"generator.sample must return an array of shape {shape} where X_train has series of "
            f"shape {shape[1:]}; got {drawn.shape}."
        )
    return drawn.reshape(shape)


def _of_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(C, L) of series (L,) and (C, L)."""
    return (1, *shape) if len(shape) == 1 else tuple(shape)
