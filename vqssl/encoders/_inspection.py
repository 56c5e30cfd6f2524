"""What frames hold: decoders trained on them as they are, and what one of their numbers does."""

import copy
from typing import Any, Self

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from torch import Tensor

from vqssl._seed import materialise
from vqssl._validation import check_count, check_weight
from vqssl.encoders._decoder import Decoders, _DecoderFit
from vqssl.encoders._modules import EncoderModel

# What a decoder's training takes from the estimator.
_SHARED = (
    "lr", "max_iter", "batch_size", "validation_fraction", "device", "precision", "callbacks",
    "net_params", "random_state", "verbose",
)  # fmt: skip

# Units that are moved where none are named.
_UNITS_SHOWN = 4


class InspectionMixin:
    """Decoders of the layers of an encoder, which take no part in what it learns."""

    model_: Any
    variance_per_dimension_: np.ndarray
    decoder_history_: dict[str, list[float]]
    input_shape_: tuple[int, ...]
    _decoder_weights: dict[str, np.ndarray]
    _series: Any
    _series_shape: Any
    _inference: Any
    _as_given: Any
    _check_layer: Any
    _check_is_fitted: Any
    embed: Any

    def fit_decoder(self, X: Any, *, max_iter: int | None = None) -> Self:
        """Train a decoder for every layer, on the frames as they are; the encoder does not change.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints) or \
(n_samples, n_channels, n_timepoints)
            Series of the fitted shape.
        max_iter : int or None, default=None
            Number of optimizer steps; None is the parameter `max_iter` of the estimator. All
            other parameters of training are the estimator's.

        Returns
        -------
        self : object
            With the losses of the decoders in `decoder_history_`. The next `fit` or
            `partial_fit` drops the decoders.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` or `max_iter` is not acceptable, or `X` has series of another shape than `fit`
            saw.
        """
        series = self._series(X)
        options = {name: getattr(self, name) for name in _SHARED}
        if max_iter is not None:
            options["max_iter"] = check_count(max_iter, "max_iter")
        # A copy, which may move to another device.
        training = _DecoderFit(copy.deepcopy(self.model_), self._code_size, **options)
        training._fit_inside(series, f"{type(self).__name__} (decoder)")
        state = training.model_.state_dict()
        self._decoder_weights = {name: tensor.numpy() for name, tensor in state.items()}
        self.decoder_history_ = training.history_
        return self

    def decode(self, frames: Any, layer: int | None = None) -> np.ndarray:
        """Return the series that a decoder makes of frames; needs `fit_decoder`.

        Parameters
        ----------
        frames : array-like of shape (n_samples, n_frames, code_dim)
            Such as `embed` returns of the same layer, or changed.
        layer : int or None, default=None
            Which layer, as of `transform`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_timepoints) or \
(n_samples, n_channels, n_timepoints), float32
            Series of the fitted shape, in the units of the training series.

        Raises
        ------
        NotFittedError
            If there are no decoders.
        ValueError
            If there is no such layer, or `frames` has another shape or holds NaN or infinity.
        TypeError
            If `frames` are no real numbers.
        """
        self._check_is_fitted()
        layer = self._check_layer(layer)
        if isinstance(frames, Tensor):
            frames = frames.detach().cpu().numpy()
        frames = np.asarray(frames)
        shape = (self.model_.frame_counts[layer], self._code_size)
        if frames.ndim != 3 or frames.shape[1:] != shape or len(frames) == 0:
            raise ValueError(
                f"frames must have shape (n_samples, {shape[0]}, {shape[1]}); got {frames.shape}."
            )
        if frames.dtype.kind not in "biuf":
            raise TypeError(f"frames must hold real numbers; got an array of {frames.dtype}.")
        if not np.isfinite(frames).all():
            raise ValueError("frames must be finite; got NaN or infinity.")
        return self._decode_frames(self._decoders(), frames, layer)

    def _decode_frames(self, decoders: Decoders, frames: np.ndarray, layer: int) -> np.ndarray:
        decoder = decoders.of_layer[layer]

        def decode(model: EncoderModel, z: Tensor) -> Tensor:
            return model.scaler.inverse(decoder.to(z.device)(z))

        return self._as_given(self._inference(decode, frames))

    def reconstruct(self, X: Any, layer: int | None = None) -> np.ndarray:
        """Return what the decoder of a layer makes of series; needs `fit_decoder`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints) or \
(n_samples, n_channels, n_timepoints)
            Series of the fitted shape.
        layer : int or None, default=None
            Which layer, as of `transform`.

        Returns
        -------
        reconstruction : ndarray of the shape of X, float32
            ``decode(embed(X, layer), layer)``: what it lacks, the frames do not hold, or the
            decoder has not found.

        Raises
        ------
        NotFittedError
            If there are no decoders.
        """
        return self.decode(self.embed(X, layer), layer)

    def rank_units(self, layer: int | None = None) -> np.ndarray:
        """Return the units of a layer, those first whose values vary most.

        Parameters
        ----------
        layer : int or None, default=None
            Which layer, as of `transform`.

        Returns
        -------
        units : ndarray of shape (code_dim,), int64
            By falling `variance_per_dimension_`. With ``beta > 0`` a unit that varies less than
            .01 carries next to nothing.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If there is no such layer.
        """
        self._check_is_fitted()
        variance = self.variance_per_dimension_[self._check_layer(layer)]
        return np.argsort(-variance, kind="stable")

    def traverse(
        self,
        X: Any,
        layer: int | None = None,
        units: Any = None,
        n_steps: int = 7,
        span: float = 2.0,
    ) -> np.ndarray:
        """Return what series become when a unit of all their frames is moved; needs `fit_decoder`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints) or \
(n_samples, n_channels, n_timepoints)
            Series of the fitted shape, whose frames are the starting points.
        layer : int or None, default=None
            Which layer, as of `transform`.
        units : array-like of shape (n_units,), default=None
            Which units; None is the first four of `rank_units`.
        n_steps : int, default=7
            Shifts of a unit, at least 2; with an odd number the middle one is no shift.
        span : float, default=2.0
            How far a unit is shifted to either side, in its deviations over series and time.

        Returns
        -------
        grid : ndarray of shape (n_samples, n_units, n_steps, ...), float32
            Entry (i, j, k) is series i with unit j shifted in every frame by the k-th shift,
            from low to high.

        Raises
        ------
        NotFittedError
            If there are no decoders.
        ValueError, TypeError
            If `units`, `n_steps` or `span` is out of range or of the wrong type.
        """
        n_steps = check_count(n_steps, "n_steps", minimum=2)
        span = check_weight(span, "span", positive=True)
        frames = self.embed(X, layer)  # (n, N, D)
        units = self.rank_units(layer)[:_UNITS_SHOWN] if units is None else np.atleast_1d(units)
        if units.dtype.kind not in "iu" or units.ndim != 1:
            raise TypeError(f"units must be whole numbers; got {units!r}.")
        if ((units < 0) | (units >= frames.shape[2])).any():
            raise ValueError(f"units must lie in [0, {frames.shape[2]}); got {units.tolist()}.")
        number = self._check_layer(layer)
        decoders = self._decoders()
        deviation = np.sqrt(self.variance_per_dimension_[number])
        shifts = np.linspace(-span, span, n_steps)[:, None]
        result = np.empty((len(frames), len(units), n_steps, *self.input_shape_), np.float32)
        for j, unit in enumerate(units):
            moved = np.repeat(frames[:, None], n_steps, axis=1)  # (n, n_steps, N, D)
            moved[..., unit] += (shifts * deviation[unit]).astype(np.float32)
            series = self._decode_frames(decoders, moved.reshape(-1, *frames.shape[1:]), number)
            result[:, j] = series.reshape(len(frames), n_steps, *self.input_shape_)
        return result

    @property
    def _code_size(self) -> int:
        """D of the fitted model, whatever `code_dim` is now."""
        return self.variance_per_dimension_.shape[1]

    def _decoders(self) -> Decoders:
        """Modules of the decoders, from their weights as arrays."""
        if not hasattr(self, "_decoder_weights"):
            raise NotFittedError(
                f"This {type(self).__name__} has no decoders; call fit_decoder(X) first."
            )
        with torch.device("meta"):
            n_channels, length = self._series_shape
            decoders = Decoders(n_channels, length, self._code_size, self.model_.compressions)
        materialise(decoders)
        # Copies: arrays of an estimator that joblib maps from a file cannot be written to.
        arrays = self._decoder_weights.items()
        decoders.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in arrays})
        return decoders.eval().requires_grad_(False)
