"""VQ-VAE (van den Oord, Vinyals, Kavukcuoglu 2017) as a tokenizer of series and images."""

import numbers
import os
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vqssl._base import TorchEstimator
from vqssl._parts import resolve
from vqssl._scaler import Scaler, check_scaling
from vqssl._validation import check_count, check_probability
from vqssl.backbones import BACKBONES, Backbone
from vqssl.backbones._base import token_shape
from vqssl.backbones._compression import check_compression, compression_of
from vqssl.quantizers import QUANTIZERS, Quantizer, QuantizerModule
from vqssl.quantizers._base import quantize
from vqssl.tokenizers._base import BaseTokenizer, TokenModel, cells
from vqssl.tokenizers._differences import ReconstructionLoss

# Series whose latents the codebook starts on, at most, and numbers in them.
_CODEBOOK_SAMPLE, _CODEBOOK_NUMBERS = 512, 2**22


class VQVAE(TokenModel):
    """Encoder, quantizer, decoder; its own task."""

    def __init__(
        self,
        scaler: Scaler,
        encoder: nn.Module,
        quantizer: QuantizerModule,
        decoder: nn.Module,
        reconstruction_loss: ReconstructionLoss,
    ) -> None:
        super().__init__()
        self.scaler = scaler
        self.encoder = encoder
        self.quantizer = quantizer
        self.decoder = decoder
        self.reconstruction_loss = reconstruction_loss

    @property
    def codebooks(self) -> list[Tensor]:
        return [self.quantizer.codebook]

    def start(self, x: Tensor, generator: torch.Generator) -> None:
        x = self.scaler(x)
        self.reconstruction_loss.start(x)
        self.quantizer.start(self.encoder(x).flatten(0, 1), generator)  # (n N, D)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Terms of the loss, all means over elements, for series (B, C, L)."""
        x = self.scaler(x)
        z = self.encoder(x)  # (B, N, D)
        quantized = quantize(self.quantizer, z, generator)
        reconstruction = self.decoder(quantized.vectors)
        return {**self.reconstruction_loss(reconstruction, x), **quantized.terms}

    def latents(self, x: Tensor) -> Tensor:
        return self.encoder(self.scaler(x))

    def tokens(self, x: Tensor) -> Tensor:
        return self.quantizer.encode(self.latents(x))

    def latents_and_tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latents = self.latents(x)
        return latents, self.quantizer.encode(latents)

    def lookup(self, codes: Tensor) -> Tensor:
        return self.quantizer.lookup(codes)

    def decode(self, vectors: Tensor) -> Tensor:
        return self.scaler.inverse(self.decoder(vectors))


def make_vqvae(
    series_shape: tuple[int, ...],
    n_codes: int,
    code_dim: int,
    backbone: Backbone,
    quantizer: Quantizer,
    compression: int,
    scaling: str | None,
    difference_weight: float,
) -> VQVAE:
    """Build a VQ-VAE for series of shape (C, L) or images of shape (C, H, W)."""
    n_channels, *size = series_shape
    encoder, decoder = backbone.build_for(series_shape, code_dim, compression)
    model = VQVAE(
        Scaler(n_channels, scaling, len(size)),
        encoder,
        quantizer.build(n_codes, code_dim),
        decoder,
        ReconstructionLoss(n_channels, difference_weight, len(size)),
    )
    model.token_shapes = [token_shape(size, compression)]
    model.token_spans = cells(size, compression)
    n_tokens = len(model.token_spans)
    model.code_sizes = [model.quantizer.n_codes] * n_tokens
    model.token_groups = [slice(0, n_tokens)]
    return model


class _VQBase(BaseTokenizer):
    """What tokenizers of VQ-VAEs share: parameters, their checks, and the start."""

    _shaping: ClassVar[tuple[str, ...]] = (
        "n_codes",
        "code_dim",
        "backbone",
        "quantizer",
        "compression",
        "scaling",
    )
    _own_types: ClassVar[dict[str, list[Any]]] = {
        "n_codes": [numbers.Integral],
        "code_dim": [numbers.Integral],
        "backbone": [str, Backbone],
        "quantizer": [str, Quantizer],
        "compression": [str, numbers.Integral],
        "scaling": [str, None],
        "output": [str],
    }

    def _check_parameters(self) -> None:
        n_codes = check_count(self.n_codes, "n_codes")
        code_dim = check_count(self.code_dim, "code_dim")
        resolve(self.backbone, "backbone", Backbone, BACKBONES).check()
        resolve(self.quantizer, "quantizer", Quantizer, QUANTIZERS).check(n_codes, code_dim)
        self._check_compression()
        check_scaling(self.scaling)
        self._check_output()

    def _check_compression(self) -> None:
        check_compression(self.compression)

    def _start(self, model: nn.Module, series: np.ndarray, generator: torch.Generator) -> None:
        assert isinstance(model, TokenModel)
        model.scaler.start(series)
        n_started = min(_CODEBOOK_SAMPLE, max(1, _CODEBOOK_NUMBERS // series[0].size))
        order = torch.randperm(len(series), generator=generator)[:n_started].numpy()
        sample = torch.from_numpy(np.asarray(series[np.sort(order)], dtype=np.float32))
        with torch.no_grad():
            model.start(sample, generator)


class _SingleVQBase(_VQBase):
    """What tokenizers of one VQ-VAE for all of a series share."""

    _shaping: ClassVar[tuple[str, ...]] = (*_VQBase._shaping, "difference_weight")
    _own_types: ClassVar[dict[str, list[Any]]] = {
        **_VQBase._own_types,
        "difference_weight": [numbers.Real],
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_probability(self.difference_weight, "difference_weight")

    def _build(self) -> TokenModel:
        return make_vqvae(
            self._series_shape,
            int(self.n_codes),
            int(self.code_dim),
            resolve(self.backbone, "backbone", Backbone, BACKBONES),
            resolve(self.quantizer, "quantizer", Quantizer, QUANTIZERS),
            compression_of(self.compression, self._series_shape[1:]),
            self.scaling,
            float(self.difference_weight),
        )


class VQTokenizer(_SingleVQBase):
    """Tokenizer of time series and images by a vector-quantised autoencoder (VQ-VAE).

    Series become short sequences of integers from a learned codebook, from which they
    can be reconstructed; `transform` makes of the codes one vector per series, ready for
    any scikit-learn estimator. Arrays of four axes, (n_samples, n_channels, height, width), are
    images; what is said of series holds for them, too.

    Parameters
    ----------
    n_codes : int, default=128
        K, size of the codebook.
    code_dim : int, default=64
        D, dimension of the latents and of the codebook vectors.
    backbone : str or Backbone, default="conv"
        Encoder and decoder: a key of `vqssl.backbones.BACKBONES` or a part.
    quantizer : str or Quantizer, default="ema"
        How the codebook is learned: a key of `vqssl.quantizers.QUANTIZERS` or a part.
    compression : int or "auto", default="auto"
        Time points per token. "auto" is 2 for series of up to 64 points, 4 for up to 512,
        and beyond that as many as give about 128 tokens. Of images, pixels per token along each
        side: 2 where the longer one has up to 16 pixels, 4 up to 64, and beyond that as many as
        give 16 tokens along it.
    scaling : {"dataset", "series"} or None, default="dataset"
        Standardisation of the input. "dataset": by one mean and deviation per channel
        over the training set, undone on the way out. "series": each series and channel by
        its own; on the way out the training set's average mean and deviation are put in
        their place. None: the input is taken as it is.
    difference_weight : float, default=0.0
        Share of the error of first differences in the reconstruction error, in [0, 1]; the rest
        is that of the values. 0 is the published loss; 0.5 keeps fast detail of little variance,
        which generation gains from. Images have differences from row to row and from column to
        column.
    output : {"features", "latent", "quantized", "codes", "histogram"}, default="features"
        What `transform` returns; can be changed on a fitted tokenizer.

        - "features": mean, maximum and deviation of the quantised vectors over the whole
          series, its halves, quarters and eighths; the same along the A = min(D, 24)
          principal axes of the codebook; autocovariances along the principal axes at lags
          of 0 to 16 tokens; then code frequencies. Every column is standardised by the
          training set, and every scale, the autocovariances and the frequencies are weighed
          to the same total variance (scales along principal axes to four times that). A
          function of the codes. Width 45 (D + A) + 9 A^2 + K. Of images, the windows are the
          whole, its four quadrants and their sixteen, the lags are nine steps of up to 3 tokens
          by rows and columns, and means over 8 x 8 places, standardised by one deviation and
          weighed to sixteen times that variance, come before the frequencies. Width
          63 (D + A) + 9 A^2 + 64 D + K.
        - "latent": the same of the latents before quantisation, without code frequencies.
          Width 45 (D + A) + 9 A^2, of images 63 (D + A) + 9 A^2 + 64 D.
        - "quantized": the quantised vectors, flattened. Width N D.
        - "codes": the codes as numbers. Width N.
        - "histogram": code frequencies. Width K.
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
        Arguments for the skorch net, for example ``{"gradient_clip": 0.5}``. ``n_threads``
        is the number of CPU threads of training, 1 by default; another number rounds
        differently.
    random_state : int, RandomState instance or None, default=None
        Decides everything that is drawn. The same int gives the same bits on the CPU.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line per period.

    Attributes
    ----------
    model_ : torch.nn.Module
        The VQ-VAE, on the CPU in evaluation mode.
    codebook_ : ndarray of shape (n_codes, code_dim)
        Vectors of the codes.
    code_sizes_ : ndarray of shape (n_tokens,), int64
        Size of the vocabulary at each token position.
    token_groups_ : list of slice
        Slices of the token axis, coarse to fine; one here.
    token_spans_ : ndarray of shape (n_tokens, 2), int64
        Start and stop of the time points [start, stop) that each token stands for; they
        tile the series. Of images, shape (n_tokens, 4): start and stop of the rows, then of the
        columns.
    token_shape_ : tuple of int
        (n_tokens,); of images the rows and columns of tokens, which lie row by row.
    n_tokens_ : int
        N, tokens per series.
    perplexity_ : list of float
        Exponential of the entropy of the code frequencies on the training set, in
        [1, n_codes], one per token group.
    history_ : dict of str to list
        ``step``, ``loss``, every term of the loss and ``lr``, one entry per period.
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
    SSLVQTokenizer : The same with a second, self-supervised branch.

    Notes
    -----
    The loss is the sum of the reconstruction error of standardised series and of the
    quantizer's terms, all means over elements, so that it depends neither on the batch size nor
    on the length. The published codebook is learned by gradient or by moving averages;
    ``quantizer`` says which, moving averages by default.

    The reconstruction error is (1 - w) mean(e_t^2) + w r mean((e_t - e_{t-1})^2), with
    w = `difference_weight`, e the error of the series, and r the variance of the training
    series over that of their first differences, channel by channel, at most 10,000. The two
    errors are equal for errors with the spectrum of the series. Series of one point have no
    differences; the first error then stands alone. Of images the second is the mean over both
    sides, of the errors and of the differences that r is made of.

    References
    ----------
    A. van den Oord, O. Vinyals, K. Kavukcuoglu, "Neural Discrete Representation
    Learning", NeurIPS 2017, equations 1-3.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import VQTokenizer
    >>> t = np.linspace(0, 6, 40)
    >>> X = np.sin(t + np.linspace(0, 3, 20)[:, None])
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=100, random_state=0).fit(X)
    >>> tokenizer.encode(X).shape
    (20, 20)
    >>> tokenizer.transform(X).shape
    (20, 9160)
    >>> bool(tokenizer.score(X) > 0.5)
    True

    Images have four axes; here handwritten digits of 8 x 8 pixels, in 4 x 4 tokens.

    >>> from sklearn.datasets import load_digits
    >>> digits = load_digits().images[:200, None]
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=20, random_state=0).fit(digits)
    >>> tokenizer.encode(digits).shape, tokenizer.token_shape_
    ((200, 16), (4, 4))
    >>> tokenizer.decode(tokenizer.encode(digits)).shape
    (200, 1, 8, 8)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SingleVQBase._own_types,
        **TorchEstimator._parameter_constraints,
    }

    def __init__(
        self,
        n_codes: int = 128,
        *,
        code_dim: int = 64,
        backbone: str | Backbone = "conv",
        quantizer: str | Quantizer = "ema",
        compression: int | str = "auto",
        scaling: str | None = "dataset",
        difference_weight: float = 0.0,
        output: str = "features",
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
        self.n_codes = n_codes
        self.code_dim = code_dim
        self.backbone = backbone
        self.quantizer = quantizer
        self.compression = compression
        self.scaling = scaling
        self.difference_weight = difference_weight
        self.output = output
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
