"""BaseClassifier: what every classifier offers over a model that gives logits."""

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets

from vqssl._base import TorchEstimator
from vqssl._callbacks import with_callbacks
from vqssl._validation import check_labels


class BaseClassifier(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, TorchEstimator
):
    """Base class of classifiers of series.

    A subclass builds a model with ``features(x)``, (B, C, L) -> (B, W), and a linear layer
    ``head`` over them, for ``logits(x)``; its ``forward(x, labels, generator)`` gives the terms
    of the loss.
    """

    _sizes: ClassVar[tuple[str, ...]] = ("input_shape_", "classes_")

    classes_: np.ndarray

    # Fitting ------------------------------------------------------------------------------

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on series and their classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Training series.
        y : array-like of shape (n_samples,)
            Classes: text, integers or booleans. One class only is learned as it is.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError, TypeError
            If a parameter, `X` or `y` is not acceptable. An earlier fit stays usable.
        FloatingPointError
            If the loss became NaN or infinite. An earlier fit stays usable.
        """
        return self._fit_or_restore(X, y, go_on=False)

    @with_callbacks
    def partial_fit(self, X: Any, y: Any = None, classes: Any = None) -> Self:
        """Take one more pass over series, from the weights as they are.

        The first call starts the network as `fit` does; later ones leave the scaling of the
        input and the set of classes alone. Nothing is held out, whatever
        `validation_fraction` says. The learning rate is constant, and the optimizer's own
        state starts anew.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Training series, of the shape of the earlier ones.
        y : array-like of shape (n_samples,)
            Classes, all of them known from the first call.
        classes : array-like of shape (n_classes,), default=None
            All classes there will be. Read in the first call only; None takes those of `y`.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError, TypeError
            If a parameter, `X`, `y` or `classes` is not acceptable. An earlier fit stays
            usable.
        """
        self._announced = classes
        try:
            return self._fit_or_restore(X, y, go_on=True)
        finally:
            del self._announced

    def _training_arrays(
        self, X: Any, y: Any, series: np.ndarray, seed: int, go_on: bool
    ) -> tuple[np.ndarray, ...]:
        name = type(self).__name__
        if y is None:
            raise ValueError(
                f"This {name} estimator requires y to be passed, but the target y is None."
            )
        y = _as_labels(y, "y")
        if len(y) != len(series):
            raise ValueError(f"y must have {len(series)} labels, one per series; got {len(y)}.")
        if not go_on:
            announced = getattr(self, "_announced", None)
            self.classes_ = np.unique(y if announced is None else _as_labels(announced, "classes"))
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y must hold classes of the first call of partial_fit, {self.classes_.tolist()}; "
                f"got {unknown.tolist()}."
            )
        return series, np.searchsorted(self.classes_, y).astype(np.int64)

    def _strata(self, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
        return arrays[1]

    # Answers ------------------------------------------------------------------------------

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of series.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Entries of ``classes_``.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        most_probable = self.predict_proba(X).argmax(1)
        return self.classes_[most_probable]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), float64
            One column per entry of ``classes_``; rows sum to 1.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        series = self._series(X)
        return self._inference(lambda model, x: model.logits(x).double().softmax(1), series)

    def transform(self, X: Any) -> np.ndarray:
        """Return the features that the linear layer classifies.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features_out), float32

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        return self._inference(lambda model, x: model.features(x), self._series(X))

    # Sizes, checks ------------------------------------------------------------------------

    def _series(self, X: Any) -> np.ndarray:
        self._check_is_fitted()
        return self._check_X(X, reset=False)

    @property
    def _n_features_out(self) -> int:
        return self.model_.head.in_features

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _as_labels(y: Any, name: str) -> np.ndarray:
    """Return labels (n,); what are no classes is a ValueError."""
    y = check_labels(y, name)
    check_classification_targets(y)
    return y
