"""BaseAutoEncoder: what every autoencoder offers over a model with one latent vector a series."""

import math
import numbers
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from torch import Tensor, nn

from vqssl._base import TorchEstimator
from vqssl._parts import resolve
from vqssl._reconstruction import ReconstructionMixin
from vqssl._scaler import Scaler, check_scaling
from vqssl._validation import check_count, check_weight
from vqssl.backbones import BACKBONES, Backbone
from vqssl.backbones._base import token_shape
from vqssl.backbones._compression import check_compression, compression_of

# Dimensions of a token between the backbone and the layer that all tokens of a series share.
_TOKEN_DIM = 16


class LatentModel(nn.Module, ABC):
    """Encoder to numbers of a latent distribution or point, decoder from a latent vector.

    Between the backbone, which works on tokens, and the latent lies one linear layer over all
    tokens of a series, on either side.

    Parameters
    ----------
    scaler : Scaler
    encoder, decoder : torch.nn.Module
        Of a backbone, with tokens of `_TOKEN_DIM` numbers.
    n_tokens : int
        N.
    latent_dim : int
        Z, dimension of the latent.
    n_outputs : int
        Numbers that the encoder gives of a series.
    """

    def __init__(
        self,
        scaler: Scaler,
        encoder: nn.Module,
        decoder: nn.Module,
        n_tokens: int,
        latent_dim: int,
        n_outputs: int,
    ) -> None:
        super().__init__()
        self.scaler = scaler
        self.encoder = encoder
        self.to_latent = nn.Linear(n_tokens * _TOKEN_DIM, n_outputs)
        self.from_latent = nn.Linear(latent_dim, n_tokens * _TOKEN_DIM)
        self.decoder = decoder
        self.tokens_of = (n_tokens, _TOKEN_DIM)

    def outputs(self, scaled: Tensor) -> Tensor:
        """What the encoder says of scaled series, (B, C, L) -> (B, n_outputs)."""
        return self.to_latent(self.encoder(scaled).flatten(1))

    def decode_scaled(self, z: Tensor) -> Tensor:
        """Scaled series of latents, (B, Z) -> (B, C, L)."""
        return self.decoder(self.from_latent(z).unflatten(1, self.tokens_of))

    @abstractmethod
    def latent(self, x: Tensor) -> Tensor:
        """The latent that `transform` returns, (B, C, L) -> (B, Z), of series in units of X."""

    def latents(self, x: Tensor) -> Tensor:
        """The latent as a single token, (B, C, L) -> (B, 1, Z)."""
        return self.latent(x).unsqueeze(1)

    def decode(self, z: Tensor) -> Tensor:
        """Series in units of X, (B, Z) -> (B, C, L)."""
        return self.scaler.inverse(self.decode_scaled(z))

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.latent(x))


class BaseAutoEncoder(
    ReconstructionMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, TorchEstimator
):
    """Base class of autoencoders: series to latent vectors and back.

    A subclass builds a `LatentModel` from `_networks`.
    """

    _shaping: ClassVar[tuple[str, ...]] = ("latent_dim", "backbone", "compression", "scaling")
    _own_types: ClassVar[dict[str, list[Any]]] = {
        "latent_dim": [numbers.Integral],
        "backbone": [str, Backbone],
        "compression": [str, numbers.Integral],
        "scaling": [str, None],
    }

    _gives_latents: ClassVar[bool] = True

    latent_mean_: np.ndarray
    latent_deviation_: np.ndarray

    def transform(self, X: Any) -> np.ndarray:
        """Return the latent vector of every series.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        Z : ndarray of shape (n_samples, latent_dim), float32
            Of a `VAE` the mean of the posterior.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        return self._inference(lambda model, x: model.latent(x), self._series(X))

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Return the series of latent vectors.

        Parameters
        ----------
        Z : array-like of shape (n_samples, latent_dim)
            Any latent vectors, such as `transform` returns.

        Returns
        -------
        X : ndarray of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width), float32
            Series of the fitted shape, in the units of the training series.

        Raises
        ------
        ValueError
            If `Z` has another shape, or holds NaN or infinity.
        """
        self._check_is_fitted()
        if isinstance(Z, Tensor):
            Z = Z.detach().cpu().numpy()
        Z = check_array(Z, dtype=[np.float64, np.float32], input_name="Z")
        if Z.shape[1] != self._latent_size:
            raise ValueError(f"Z must have shape (n_samples, {self._latent_size}); got {Z.shape}.")
        return self._decode(Z)

    def reconstruct(self, X: Any) -> np.ndarray:
        """Return what is left of series when they are encoded and decoded.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        reconstruction : ndarray of the shape of X, float32
            ``inverse_transform(transform(X))``.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        return self._as_given(self._inference(lambda m, x: m.reconstruct(x), self._series(X)))

    def interpolate(self, X_start: Any, X_end: Any, n_steps: int = 10) -> np.ndarray:
        """Return series on the way from one to another, along the straight line between latents.

        Parameters
        ----------
        X_start, X_end : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape, as many at the end as at the start.
        n_steps : int, default=10
            Series on each way, both ends included; at least 2.

        Returns
        -------
        ways : ndarray of shape (n_samples, n_steps, ...), float32
            The first of each way is the reconstruction of `X_start`, the last that of `X_end`.

        Raises
        ------
        ValueError
            If there are fewer than two steps, or not as many ends as starts.
        TypeError
            If `n_steps` is no integer.
        """
        n_steps = check_count(n_steps, "n_steps", minimum=2)
        start, end = self.transform(X_start), self.transform(X_end)
        if len(start) != len(end):
            raise ValueError(
                f"X_end must have as many series as X_start, {len(start)}; got {len(end)}."
            )
        share = np.linspace(0, 1, n_steps, dtype=np.float32)[None, :, None]
        return self._decode_grid((1 - share) * start[:, None] + share * end[:, None])

    def traverse(self, X: Any, n_steps: int = 7, span: float = 2.0) -> np.ndarray:
        """Return what series become when one dimension of their latent is moved.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape, whose latents are the starting points.
        n_steps : int, default=7
            Values that a dimension is set to, at least 2.
        span : float, default=2.0
            How far they go on either side of the mean over the training set, in its deviations.

        Returns
        -------
        grid : ndarray of shape (n_samples, latent_dim, n_steps, ...), float32
            Entry (i, j, k) is the series of the latent of series i whose dimension j has been
            set to the k-th value, from low to high.

        Raises
        ------
        ValueError, TypeError
            If `n_steps` or `span` is out of range or of the wrong type.
        """
        n_steps = check_count(n_steps, "n_steps", minimum=2)
        span = check_weight(span, "span", positive=True)
        Z = self.transform(X)
        n, dim = Z.shape
        moved = self.latent_mean_ + np.linspace(-span, span, n_steps)[:, None] * (
            self.latent_deviation_
        )  # (n_steps, Z)
        grid = np.broadcast_to(Z[:, None, None], (n, dim, n_steps, dim)).copy()
        each = np.arange(dim)
        grid[:, each, :, each] = moved.T[:, None]
        return self._decode_grid(grid)

    # Building -----------------------------------------------------------------------------

    def _networks(self) -> tuple[Scaler, nn.Module, nn.Module, int]:
        """Scaler, encoder and decoder of the backbone, and the number of its tokens."""
        n_channels, *size = self._series_shape
        compression = compression_of(self.compression, size)
        backbone = resolve(self.backbone, "backbone", Backbone, BACKBONES)
        encoder, decoder = backbone.build_for(self._series_shape, _TOKEN_DIM, compression)
        n_tokens = math.prod(token_shape(size, compression))
        return Scaler(n_channels, self.scaling, len(size)), encoder, decoder, n_tokens

    def _check_parameters(self) -> None:
        check_count(self.latent_dim, "latent_dim")
        resolve(self.backbone, "backbone", Backbone, BACKBONES).check()
        check_compression(self.compression)
        check_scaling(self.scaling)

    def _start(self, model: nn.Module, series: np.ndarray, generator: torch.Generator) -> None:
        assert isinstance(model, LatentModel)
        model.scaler.start(series)

    def _finish(self, series: np.ndarray, generator: torch.Generator, go_on: bool) -> None:
        latents = self._inference(lambda model, x: model.latent(x), series)
        self.latent_mean_ = latents.mean(0, dtype=np.float64).astype(np.float32)
        self.latent_deviation_ = latents.std(0, dtype=np.float64).astype(np.float32)

    # Sizes, checks ------------------------------------------------------------------------

    def _decode(self, Z: np.ndarray) -> np.ndarray:
        return self._as_given(self._inference(lambda model, z: model.decode(z), Z))

    def _decode_grid(self, grid: np.ndarray) -> np.ndarray:
        """Series of latents that lie in an array, (..., Z) -> (..., *shape of a series)."""
        series = self._decode(grid.reshape(-1, grid.shape[-1]))
        return series.reshape(*grid.shape[:-1], *self.input_shape_)

    @property
    def _latent_size(self) -> int:
        """Z of the fitted model, whatever `latent_dim` is now."""
        return self.model_.from_latent.in_features

    @property
    def _token_shapes(self) -> list[tuple[int, ...]]:
        """The latent is a single token."""
        return [(1,)]

    @property
    def _n_features_out(self) -> int:
        return self._latent_size

    def _series(self, X: Any) -> np.ndarray:
        self._check_is_fitted()
        return self._check_X(X, reset=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
