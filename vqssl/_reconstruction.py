"""How much of series and images survives a model that encodes and decodes them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


class ReconstructionMixin:
    """Errors of what a model gives back, for estimators that derive from `TorchEstimator`.

    The model offers ``reconstruct(x)``, in the units of X, and a ``scaler``.
    """

    _inference: Any
    _series: Any

    def score(self, X: Any, y: Any = None) -> float:
        """Return the share of the variation of series that survives encoding.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.
        y : None
            Ignored; here for scikit-learn's pipelines.

        Returns
        -------
        score : float
            1 - (sum of squared reconstruction errors) / (sum of squared deviations from
            the mean of each channel over the training set): 1 is perfect. With
            ``scaling="series"`` level and size of a series are not encoded, and what that
            costs counts, too. For series without deviation 1 if perfect, else 0. Both sums are
            over all channels, so that one of large units counts most; of each by itself
            `reconstruction_error` tells.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        series = self._series(X)
        error, deviation = self._inference(_errors, series).sum(0, dtype=np.float64)
        if deviation == 0:
            return float(error == 0)
        return float(1 - error / deviation)

    def reconstruction_error(self, X: Any) -> np.ndarray:
        """Return how far series are from what the model gives back.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        errors : ndarray of shape (n_samples, n_channels), float64
            Mean squared error over time, of images over pixels, in the squared units of `X`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        return self._inference(_errors_by_channel, self._series(X), double=True)


def _errors(model: Any, x: Tensor) -> Tensor:
    """Squared error and squared deviation of each series, (B, 2) float64."""
    axes = tuple(range(1, x.ndim))
    error = (x - model.reconstruct(x)).double().square().sum(axes)
    deviation = (x - model.scaler.mean).double().square().sum(axes)
    return torch.stack([error, deviation], 1)


def _errors_by_channel(model: Any, x: Tensor) -> Tensor:
    """Mean squared error over time or pixels, (B, C, L) or (B, C, H, W) -> (B, C)."""
    return (x - model.reconstruct(x)).square().mean(tuple(range(2, x.ndim)))
