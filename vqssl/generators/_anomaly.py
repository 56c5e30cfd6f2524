"""AnomalyDetector: series that a masked prior and its tokenizer find unlikely."""

import math
import numbers
from typing import Any, Self

import numpy as np
from scipy.special import gammaln
from sklearn.base import OutlierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted

from vqssl._inner import fit_inner
from vqssl._input import off_torch
from vqssl._parts import refuse_nested_names
from vqssl._processes import current_processes
from vqssl._saving import Saving
from vqssl._seed import spawn_seeds
from vqssl._validation import check_probability
from vqssl.generators._maskgit import MaskGITGenerator
from vqssl.tokenizers import VQTokenizer

# What a generator must offer, and its tokenizer.
_DOOR = ("fit", "score_tokens", "tokenizer")
_TOKENIZER_DOOR = "reconstruction_error"

# Fewer series than this are all trained on.
_FEWEST_TO_SPLIT = 4

# Squared residuals below this share of the mean square of their channel are rounding.
_ROUNDING = float(np.finfo(np.float32).eps) ** 2

# Shape of the inverse gamma distribution where series differ too little to tell it.
_LARGEST_SHAPE = 1e6


class AnomalyDetector(OutlierMixin, Saving):
    """Detector of unusual series and images by their codes and by what the codes leave out.

    A series is unusual where its codes are surprising to a prior that was trained on normal
    series, or where its codes do not give it back.

    Parameters
    ----------
    generator : MaskGITGenerator, default=None
        Tokenizer and prior. A clone is fitted, without classes. Inside
        ``sklearn.frozen.FrozenEstimator`` it is used as it is. None is
        ``MaskGITGenerator(VQTokenizer())``.
    contamination : float, default=0.1
        Share of the training series that are taken for anomalies, in (0, 0.5]; it sets the
        threshold of `predict`.
    validation_fraction : float, default=0.0
        Share of the series that are held out of training, in [0, 1). Above 0, with four series
        or more, residuals and threshold are those of held-out series, so that of new normal
        series about `contamination` are taken for anomalies. At 0 they are those of the
        training series, as with scikit-learn's detectors.
    random_state : int, RandomState instance or None, default=None
        Decides which series are held out, and seeds a generator and a tokenizer that have no
        `random_state` of their own.

    Attributes
    ----------
    generator_ : object
        The fitted generator.
    offset_ : float
        Threshold on `score_samples`; a share `contamination` of the training series, or of the
        held-out ones, is below.
    residual_variance_ : ndarray of shape (n_channels,)
        Mean squared difference between these series and what their codes give, at least what
        float32 rounds.
    residual_shape_ : float
        How alike they are in it: shape a > 2 of an inverse gamma distribution.
    n_features_in_ : int
        Numbers in one training series.
    feature_names_in_ : ndarray of str
        Column names, where X was a data frame with string names.

    See Also
    --------
    MaskGITGenerator.score_tokens : Where in a series it is unusual.

    Notes
    -----
    The score is a log-likelihood in nats, of codes and of the series given them, as in the
    evidence lower bound of an autoencoder whose posterior is one code per token:
    log p(codes) + log p(series | codes). The first is the sum of
    `MaskGITGenerator.score_tokens`. In the second, the residuals of a series are Gaussian with
    a variance of the series' own, which is inverse gamma distributed over the series (its two
    parameters from their mean and variance): with S the sum of the CL squared
    residuals, each over its channel's `residual_variance_`::

        log p = log Gamma(a + CL/2) - log Gamma(a) + a log b - (a + CL/2) log(b + S/2)
                - CL/2 log 2 pi - L/2 sum_c log v_c,  b = a - 1,

    a multivariate Student distribution. With one variance for all series, a few large residuals
    would drown what the prior says.

    Training series are likelier than new ones of the same kind, since tokenizer and prior have
    seen them, most of all where they are few. A threshold set on them suits the question which
    of *these* series are unusual; for new series, hold some out.

    References
    ----------
    A. van den Oord, O. Vinyals, K. Kavukcuoglu, "Neural Discrete Representation Learning",
    NeurIPS 2017, for the likelihood; D. Lee, S. Malacarne, E. Aune, "Explainable Time Series
    Anomaly Detection using Masked Latent Generative Modeling", 2023, for a masked prior as a
    detector.

    Examples
    --------
    >>> from vqssl import AnomalyDetector, MaskGITGenerator, VQTokenizer
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> X, y = make_cylinder_bell_funnel(90, random_state=0)
    >>> generator = MaskGITGenerator(VQTokenizer(n_codes=16, max_iter=50), max_iter=20)
    >>> detector = AnomalyDetector(generator, random_state=0).fit(X[y == "bell"])
    >>> detector.predict(X).shape
    (90,)
    """

    def __init__(
        self,
        generator: Any = None,
        *,
        contamination: float = 0.1,
        validation_fraction: float = 0.0,
        random_state: Any = None,
    ) -> None:
        self.generator = generator
        self.contamination = contamination
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit tokenizer and prior on series, most of them normal, and set the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Training series.
        y : None
            Ignored; here for scikit-learn's pipelines.

        Returns
        -------
        self : object
            The fitted detector.

        Raises
        ------
        ValueError, TypeError
            If a parameter or `X` is not acceptable. An earlier fit stays usable.
        """
        self._check_parameters()
        seeds = spawn_seeds(self.random_state, 2)
        processes = current_processes()
        split_seed, generator_seed = seeds if processes is None else processes.from_first(seeds)
        X, X_judged = self._split(X, split_seed)
        given, default = self.generator, self._default_generator()
        generator = fit_inner(given, default, X, generator_seed, "generator", "a detector")
        before = dict(vars(self))
        try:
            self._take_generator(generator, X_judged)
        except BaseException:  # an interruption, too
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _default_generator(self) -> MaskGITGenerator:
        """What ``generator=None`` stands for."""
        return MaskGITGenerator(VQTokenizer())

    def _check_parameters(self) -> None:
        share = self.contamination
        if isinstance(share, bool) or not isinstance(share, numbers.Real):
            raise TypeError(f"contamination must be a number in (0, 0.5]; got {share!r}.")
        if not 0 < share <= 0.5:
            raise ValueError(f"contamination must be in (0, 0.5]; got {self.contamination!r}.")
        check_probability(self.validation_fraction, "validation_fraction", below_one=True)
        if self.generator is None:
            return
        missing = [name for name in _DOOR if not hasattr(self.generator, name)]
        if missing or isinstance(self.generator, type):
            raise TypeError(
                "generator must be None or an instance with fit and score_tokens, such as "
                f"MaskGITGenerator(); got {self.generator!r}."
            )
        tokenizer = self.generator.tokenizer  # None is one of vqssl
        if tokenizer is not None and not hasattr(tokenizer, _TOKENIZER_DOOR):
            raise TypeError(
                f"generator must have a tokenizer with {_TOKENIZER_DOOR}, as those of vqssl; got "
                f"{tokenizer!r}."
            )

    def _split(self, X: Any, seed: int) -> tuple[Any, Any]:
        """Series to train on, and series that set residuals and threshold."""
        fraction = float(self.validation_fraction)
        if fraction == 0 or not hasattr(X, "__len__") or len(X) < _FEWEST_TO_SPLIT:
            return X, X
        n_judged = min(max(1, round(fraction * len(X))), len(X) - 1)
        training, judged = train_test_split(X, test_size=n_judged, random_state=seed)
        return training, judged

    def _take_generator(self, generator: Any, X: Any) -> None:
        self.generator_ = generator
        self.n_features_in_ = generator.n_features_in_
        self.__dict__.pop("feature_names_in_", None)
        if hasattr(generator, "feature_names_in_"):
            self.feature_names_in_ = generator.feature_names_in_
        errors = self.generator_.tokenizer_.reconstruction_error(X)  # (n, C)
        series = np.asarray(off_torch(X))
        series = series.astype(np.float64) if series.dtype.kind == "O" else series
        series = series.reshape(*errors.shape, -1)  # (n, C, L)
        square = np.einsum("ncl,ncl->c", series, series, dtype=np.float64, casting="unsafe")
        rounding = _ROUNDING * square / (series.size / errors.shape[1])
        least = np.maximum(rounding, np.finfo(np.float32).tiny)
        self.residual_variance_ = np.maximum(errors.mean(0), least)
        # Mean 1 over the series; b = a - 1 keeps it.
        of_series = (errors / self.residual_variance_).mean(1)
        spread = max(float(of_series.var()), 1 / _LARGEST_SHAPE)
        self.residual_shape_ = 2 + min(1 / spread, _LARGEST_SHAPE)
        scores = self.score_samples(X)
        self.offset_ = float(np.percentile(scores, 100 * self.contamination))

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-likelihood of series: the lower, the more unusual.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            In nats, up to a constant of the training set.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        check_is_fitted(self)
        of_codes = self.generator_.score_tokens(X).sum(1, dtype=np.float64)
        errors = self.generator_.tokenizer_.reconstruction_error(X)  # (n, C)
        half = self._length * errors.shape[1] / 2  # half the numbers in a series
        a = self.residual_shape_
        b = a - 1
        total = self._length * (errors / self.residual_variance_).sum(1)  # S
        of_residuals = (
            gammaln(a + half)
            - gammaln(a)
            - half * math.log(2 * math.pi * b)
            - (a + half) * np.log1p(total / (2 * b))
            - self._length / 2 * np.log(self.residual_variance_).sum()
        )
        return of_codes + of_residuals

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the score above the threshold: negative for anomalies.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            ``score_samples(X) - offset_``, in nats.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Say which series are anomalies.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int64
            -1 for anomalies, 1 for normal series.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of the generator as ``generator__<parameter>``.

        Parameters
        ----------
        **params : dict
            Parameters and their values.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a parameter does not exist.
        """
        refuse_nested_names(self, params)
        return super().set_params(**params)

    @property
    def _length(self) -> int:
        """Time points of a series, pixels of a channel of an image."""
        shape = self.generator_.input_shape_
        return math.prod(shape[1:] if len(shape) > 1 else shape)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
