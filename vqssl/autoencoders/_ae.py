"""Autoencoder: one latent point per series, trained on the squared error alone."""

import os
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from vqssl._base import TorchEstimator
from vqssl.autoencoders._base import BaseAutoEncoder, LatentModel
from vqssl.backbones import Backbone


class AE(LatentModel):
    """Encoder and decoder; its own task."""

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Mean squared error over elements of standardised series (B, C, L)."""
        x = self.scaler(x)
        return {"reconstruction": F.mse_loss(self.decode_scaled(self.outputs(x)).float(), x)}

    def latent(self, x: Tensor) -> Tensor:
        return self.outputs(self.scaler(x))


class AutoEncoder(BaseAutoEncoder):
    """Autoencoder of time series and images: one continuous vector each.

    The plainest relative of the tokenizers: what a network keeps of series when they have to
    pass through few numbers. Nothing shapes the space of these numbers, so that points between
    latents need not be series; `VAE` has a prior.

    Parameters
    ----------
    latent_dim : int, default=16
        Z, dimension of the latent.
    backbone : str or Backbone, default="conv"
        Encoder and decoder: a key of `vqssl.backbones.BACKBONES` or a part.
    compression : int or "auto", default="auto"
        Time points per token of the backbone. "auto" is 2 for series of up to 64 points, 4 for
        up to 512, and beyond that as many as give about 128 tokens. Of images, pixels per token
        along each side: 2 where the longer one has up to 16 pixels, 4 up to 64, and beyond that
        as many as give 16 tokens along it.
    scaling : {"dataset", "series"} or None, default="dataset"
        Standardisation of the input. "dataset": by one mean and deviation per channel over the
        training set, undone on the way out. "series": each series and channel by its own; on
        the way out the training set's average mean and deviation are put in their place. None:
        the input is taken as it is.
    lr : float, default=2e-3
        Largest learning rate of AdamW; it warms up and then follows a cosine to zero.
    max_iter : int, default=1000
        Number of optimizer steps.
    batch_size : int, default=32
        Series per step, at most as many as there are.
    validation_fraction : float, default=0.0
        Share of the series held out, where there are four or more. Above 0, training stops when the
        held-out loss has not fallen for ten periods, and the best weights are kept.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is one, else the CPU.
    precision : {"float32", "bfloat16"}, default="float32"
        Arithmetic of training; `transform` always works in float32.
    checkpoint_dir : str, os.PathLike or None, default=None
        Folder for checkpoints, one `fit` at a time: after a crash, `fit` with the same
        parameters and series goes on from the last one, on the CPU to the same bits. It is
        removed at the end. `callbacks` start anew; `partial_fit` writes none.
    callbacks : list of skorch callbacks, default=None
        Called during training; copies are, the given ones stay as they are. An epoch is a
        period of up to 50 steps.
    net_params : dict, default=None
        Arguments for the skorch net, for example ``{"gradient_clip": 0.5}``. ``n_threads`` is
        the number of CPU threads of training, 1 by default; another number rounds differently.
    random_state : int, RandomState instance or None, default=None
        Decides everything that is drawn. The same int gives the same bits on the CPU.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line per period.

    Attributes
    ----------
    model_ : torch.nn.Module
        The network, on the CPU in evaluation mode.
    latent_mean_, latent_deviation_ : ndarray of shape (latent_dim,), float32
        Mean and deviation of the latents of the training set (10,000 series of a larger one).
    history_ : dict of str to list
        ``step``, ``loss``, ``reconstruction`` and ``lr``, one entry per period.
    n_iter_ : int
        Number of steps taken.
    input_shape_ : tuple of int
        Shape of one training series.
    n_features_in_ : int
        Numbers in one training series.
    feature_names_in_ : ndarray of str
        Column names, where X was a data frame with string names.

    See Also
    --------
    VAE : With a prior over the latents, likelihoods and samples.
    vqssl.VQTokenizer : With discrete codes, one per few time points.

    Notes
    -----
    The loss is the mean squared error of standardised series. `score` is the share of their
    variation that is kept, as of the tokenizers.

    References
    ----------
    G. E. Hinton, R. R. Salakhutdinov, "Reducing the Dimensionality of Data with Neural
    Networks", Science 313, 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import AutoEncoder
    >>> t = np.linspace(0, 6, 40)
    >>> X = np.sin(t + np.linspace(0, 3, 20)[:, None])
    >>> autoencoder = AutoEncoder(latent_dim=2, max_iter=100, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (20, 2)
    >>> bool(autoencoder.score(X) > 0.9)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoEncoder._own_types,
        **TorchEstimator._parameter_constraints,
    }

    def __init__(
        self,
        latent_dim: int = 16,
        *,
        backbone: str | Backbone = "conv",
        compression: int | str = "auto",
        scaling: str | None = "dataset",
        lr: float = 2e-3,
        max_iter: int = 1000,
        batch_size: int = 32,
        validation_fraction: float = 0.0,
        device: str | torch.device = "auto",
        precision: str = "float32",
        checkpoint_dir: str | os.PathLike[str] | None = None,
        callbacks: Any = None,
        net_params: dict[str, Any] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.latent_dim = latent_dim
        self.backbone = backbone
        self.compression = compression
        self.scaling = scaling
        self.lr = lr
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.device = device
        self.precision = precision
        self.checkpoint_dir = checkpoint_dir
        self.callbacks = callbacks
        self.net_params = net_params
        self.random_state = random_state
        self.verbose = verbose

    def _build(self) -> AE:
        latent_dim = int(self.latent_dim)
        return AE(*self._networks(), latent_dim, latent_dim)
