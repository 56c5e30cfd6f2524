"""SeriesInput: what an estimator takes, checked and brought to one shape."""

import math
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data
from torch import Tensor

from vqssl._validation import check_series, kind_of, refuse_unequal_lengths, unmasked


def off_torch(X: Any, name: str = "X") -> Any:
    """Return tensors and masked arrays as plain arrays, with NaN for what is masked.

    Anything else is returned as it is, a sequence only where it makes an array. Messages call
    it `name`.

    Raises
    ------
    TypeError
        If a tensor is sparse.
    ValueError
        If series are of unequal length.
    """
    if isinstance(X, Tensor):
        if X.layout != torch.strided:
            raise TypeError(
                f"{name} must be dense; got a tensor of layout {X.layout}. Pass {name}.to_dense()."
            )
        X = X.detach().cpu()
        # numpy has no bfloat16.
        X = (X.float() if X.dtype == torch.bfloat16 else X).numpy()
    X = unmasked(X)
    refuse_unequal_lengths(X, name)
    return X


class SeriesInput(BaseEstimator):
    """Base of estimators of series and images, which remember the shape they were fitted on."""

    input_shape_: tuple[int, ...]

    # Whether images (n, C, H, W) are taken as well as series.
    _takes_images: ClassVar[bool] = True

    def _check_X(self, X: Any, reset: bool, allow_gaps: bool = False) -> np.ndarray:
        """Return series as (n, C, L), images as (n, C, H, W).

        With `reset` their shape is remembered, else compared. NaN is accepted with
        `allow_gaps`.
        """
        name = type(self).__name__
        X = off_torch(X)
        for axis in ("index", "columns"):
            if getattr(getattr(X, axis, None), "nlevels", 1) > 1:
                raise ValueError(
                    f"X has a MultiIndex as its {axis}, which {name} would misread: pass an "
                    "array of shape (n_samples, n_channels, n_timepoints)."
                )
        # Fewer axes go to validate_data too, for scikit-learn's own messages.
        if _n_axes(X) > 2:
            X = check_array(X, dtype="numeric", ensure_all_finite=False, allow_nd=True)
        else:
            X = validate_data(self, X, dtype="numeric", ensure_all_finite=False, reset=reset)
        if X.dtype.kind == "O":
            X = X.astype(np.float64)
        series = check_series(X, name, allow_gaps)
        if reset:
            self.input_shape_ = tuple(int(size) for size in X.shape[1:])
            self.n_features_in_ = math.prod(self.input_shape_)
            if X.ndim > 2:
                self.__dict__.pop("feature_names_in_", None)
            if X.ndim == 4 and not self._takes_images:
                raise ValueError(
                    f"X must hold series, (n_samples, n_timepoints) or (n_samples, n_channels, "
                    f"n_timepoints), for {name}; got images of shape {self.input_shape_}. "
                    "VQTokenizer, SSLVQTokenizer, HierarchicalVQTokenizer, AutoEncoder and VAE "
                    "take them."
                )
        elif series.shape[1:] != self._series_shape:
            raise ValueError(
                f"X has {kind_of(X.shape[1:])} of shape {tuple(X.shape[1:])}, but {name} was "
                f"fitted on {kind_of(self.input_shape_)} of shape {self.input_shape_}."
            )
        return series

    @property
    def _series_shape(self) -> tuple[int, ...]:
        """(C, L) of the fitted series, (C, H, W) of the fitted images."""
        shape = self.input_shape_
        return (1, shape[0]) if len(shape) == 1 else shape

    def _as_given(self, series: np.ndarray) -> np.ndarray:
        """Bring series (n, C, L) to the number of axes that `fit` saw; images stay."""
        return series.reshape(len(series), *self.input_shape_)


def _n_axes(X: Any) -> int:
    """Number of axes of an array-like, without `np.ndim`, which some array-likes refuse."""
    if hasattr(X, "shape"):
        return len(X.shape)
    depth = 0
    while isinstance(X, (list, tuple)) and len(X) > 0:
        X = X[0]
        depth += 1
    return depth + len(getattr(X, "shape", ()))
