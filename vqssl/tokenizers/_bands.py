"""Bands of frequency, a VQ-VAE each: "TimeVQVAE" (Lee, Malacarne and Aune 2023)."""

import numbers
import os
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vqssl._base import TorchEstimator
from vqssl._parts import resolve
from vqssl._scaler import Scaler
from vqssl._seed import initialise
from vqssl._validation import check_count
from vqssl.backbones import BACKBONES, Backbone
from vqssl.backbones._compression import automatic_compression
from vqssl.backbones._stft import ShortTimeFourier
from vqssl.quantizers import QUANTIZERS, Quantizer, QuantizerModule
from vqssl.quantizers._base import quantize
from vqssl.tokenizers._base import TokenModel, cells
from vqssl.tokenizers._vq import _VQBase

BANDS = ("low", "high")

_NUMBERS = "an integer or a pair of them for the low and the high band"

# Deviations of a band below this share of the whole are rounding, not variation.
_RELATIVE_FLOOR = 1e-5


class Band(nn.Module):
    """Encoder, quantizer and decoder of some coefficients of each frame."""

    size: Tensor  # (C, 1) deviation of the band over the training set, 0 if it does not vary

    def __init__(
        self,
        n_channels: int,
        columns: slice,
        encoder: nn.Module,
        quantizer: QuantizerModule,
        decoder: nn.Module,
    ) -> None:
        super().__init__()
        self.columns = columns
        self.encoder = encoder
        self.quantizer = quantizer
        self.decoder = decoder
        self.register_buffer("size", torch.empty(n_channels, 1))

    def initialise(self, generator: torch.Generator) -> None:
        for child in self.children():
            initialise(child, generator)
        self.size.fill_(1.0)

    def select(self, spectrum: Tensor) -> Tensor:
        """The coefficients of the band in units of its deviation.

        (B, C, F, n_fft) -> (B, C, F, Q)
        """
        size = self.size.unsqueeze(2)
        # Rounding in a band without variation would make codes of it.
        return torch.where(size > 0, spectrum[..., self.columns] / size, 0.0)

    def encode(self, coefficients: Tensor) -> Tensor:
        """Latents of the coefficients of the band, (B, C, F, Q) -> (B, N, D)."""
        return self.encoder(coefficients.transpose(2, 3).flatten(1, 2))

    def decode(self, vectors: Tensor) -> Tensor:
        """Coefficients of the band, (B, N, D) -> (B, C, F, Q)."""
        flat = self.decoder(vectors)  # (B, C Q, F)
        return flat.unflatten(1, (len(self.size), -1)).transpose(2, 3)


class BandVQVAE(TokenModel):
    """A VQ-VAE for each band of the short-time spectrum; its own task."""

    bands: Any  # nn.ModuleList of Band, the low one first

    def __init__(self, scaler: Scaler, transform: ShortTimeFourier, bands: list[Band]) -> None:
        super().__init__()
        self.scaler = scaler
        self.transform = transform
        self.bands = nn.ModuleList(bands)

    @property
    def codebooks(self) -> list[Tensor]:
        return [band.quantizer.codebook for band in self.bands]

    @torch.no_grad()
    def start(self, x: Tensor, generator: torch.Generator) -> None:
        x = self.scaler(x)
        spectrum = self.transform(x)
        whole = x.square().mean((0, 2)).sqrt()  # (C,)
        for band in self.bands:
            if self.scaler.scaling is not None:
                part = self.transform.inverse(band.select(spectrum), band.columns)
                deviation = part.std((0, 2), correction=0)
                deviation[deviation <= _RELATIVE_FLOOR * whole] = 0.0
                # Of constant series nothing is known yet; partial_fit may bring others.
                deviation[whole == 0] = 1.0
                band.size.copy_(deviation.unsqueeze(1))
            latents = band.encode(band.select(spectrum)).flatten(0, 1)  # (n N, D)
            band.quantizer.start(latents, generator)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Terms of every band, all means over elements, for series (B, C, L)."""
        spectrum = self.transform(self.scaler(x))
        terms = {}
        for name, band in zip(BANDS, self.bands, strict=True):
            target = band.select(spectrum)
            quantized = quantize(band.quantizer, band.encode(target), generator)
            # The transform is linear: the error in time is that of the coefficients, brought
            # back to time.
            error = self.transform.inverse(band.decode(quantized.vectors) - target, band.columns)
            terms[f"{name}_reconstruction"] = error.square().mean()
            terms |= {f"{name}_{term}": value for term, value in quantized.terms.items()}
        return terms

    def latents(self, x: Tensor) -> Tensor:
        spectrum = self.transform(self.scaler(x))
        return torch.cat([band.encode(band.select(spectrum)) for band in self.bands], 1)

    def tokens(self, x: Tensor) -> Tensor:
        return self._quantize(self.latents(x))

    def latents_and_tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latents = self.latents(x)
        return latents, self._quantize(latents)

    def _quantize(self, latents: Tensor) -> Tensor:
        codes = [band.quantizer.encode(latents[:, group]) for band, group in self._grouped()]
        return torch.cat(codes, 1)

    def lookup(self, codes: Tensor) -> Tensor:
        vectors = [band.quantizer.lookup(codes[:, group]) for band, group in self._grouped()]
        return torch.cat(vectors, 1)

    def decode(self, vectors: Tensor) -> Tensor:
        parts = [
            band.size * self.transform.inverse(band.decode(vectors[:, group]), band.columns)
            for band, group in self._grouped()
        ]
        return self.scaler.inverse(torch.stack(parts).sum(0))

    def _grouped(self) -> Iterator[tuple[Band, slice]]:
        return zip(self.bands, self.token_groups, strict=True)


def make_band_vqvae(
    series_shape: tuple[int, ...],
    n_codes: int,
    code_dim: int,
    backbone: Backbone,
    quantizer: Quantizer,
    n_fft: int,
    cutoff: int,
    compression: tuple[int, int],
    scaling: str | None,
) -> BandVQVAE:
    """Build a VQ-VAE for each of two bands of series of shape (C, L)."""
    n_channels, length = series_shape
    transform = ShortTimeFourier(length, n_fft)
    bins = ((0, cutoff), (cutoff, n_fft // 2 + 1))
    bands: list[Band] = []
    spans: list[tuple[int, ...]] = []
    sizes, groups = [], []
    for (first, last), points in zip(bins, compression, strict=True):
        columns = transform.columns(first, last)
        n_coefficients = n_channels * (columns.stop - columns.start)
        n_frames = frames_per_token(points, transform.hop)
        encoder, decoder = backbone.build(n_coefficients, transform.n_frames, code_dim, n_frames)
        codebook = quantizer.build(n_codes, code_dim)
        bands.append(Band(n_channels, columns, encoder, codebook, decoder))
        own = cells((length,), n_frames * transform.hop)
        groups.append(slice(len(spans), len(spans) + len(own)))
        spans += own
        sizes += [codebook.n_codes] * len(own)
    model = BandVQVAE(Scaler(n_channels, scaling), transform, bands)
    model.code_sizes, model.token_groups, model.token_spans = sizes, groups, spans
    model.token_shapes = [(group.stop - group.start,) for group in groups]
    return model


def frames_per_token(n_points: int, hop: int) -> int:
    """Frames that hold so many time points, rounded up."""
    return -(-n_points // hop)


class BandVQTokenizer(_VQBase):
    """Tokenizer of time series by bands of frequency ("TimeVQVAE").

    Series are split into a low and a high band of their short-time spectrum, each with an
    encoder, a codebook and a decoder of its own. The codes of the low band say the coarse
    course of a series, those of the high band its detail, and a prior over them draws first
    the one, then the other. Images are refused.

    Parameters
    ----------
    n_codes : int, default=128
        K, size of the codebook of each band.
    n_fft : int, default=8
        Time points in a frame of the short-time Fourier transform, at least 4. Frames are
        ``n_fft // 4`` points apart and have ``n_fft // 2 + 1`` bins of frequency.
    cutoff : int, default=1
        Number of bins in the low band, from 1 to ``n_fft // 2``; the others are the high
        band. 1 is the mean of a frame only.
    code_dim : int, default=64
        D, dimension of the latents and of the codebook vectors.
    backbone : str or Backbone, default="conv"
        Encoder and decoder of each band: a key of `vqssl.backbones.BACKBONES` or a part.
    quantizer : str or Quantizer, default="ema"
        How the codebooks are learned: a key of `vqssl.quantizers.QUANTIZERS` or a part.
    compression : int, pair of int or "auto", default="auto"
        Time points per token, for both bands or as (low, high), rounded up to a multiple of
        the distance of frames. "auto" is as in `VQTokenizer` for the high band, and twice as
        many points for the low one.
    scaling : {"dataset", "series"} or None, default="dataset"
        Standardisation of the input, as in `VQTokenizer`. With None the bands are not
        standardised either.
    output : {"features", "latent", "quantized", "codes", "histogram"}, default="features"
        What `transform` returns, as in `VQTokenizer`, but for "features", "latent" and
        "histogram" both bands by themselves: first the columns of the low band, pooled
        along its own tokens and along the principal axes of its own codebook, then those of
        the high band. Twice as wide as there, and of the same weight for both bands; code
        frequencies sum to 1 in each band.
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
        The VQ-VAEs of both bands, on the CPU in evaluation mode.
    codebook_ : list of two ndarrays of shape (n_codes, code_dim)
        Vectors of the codes of the low and of the high band.
    code_sizes_ : ndarray of shape (n_tokens,), int64
        Size of the vocabulary at each token position.
    token_groups_ : list of slice
        Slices of the token axis: the low band, then the high band.
    token_spans_ : ndarray of shape (n_tokens, 2), int64
        Start and stop of the time points [start, stop) that each token stands for; those of
        a band tile the series.
    token_shape_ : list of two tuples of int
        Tokens of each band, (n,).
    n_tokens_ : int
        N, tokens per series, of both bands together.
    perplexity_ : list of float
        Exponential of the entropy of the code frequencies on the training set, in
        [1, n_codes], of the low and of the high band.
    history_ : dict of str to list
        ``step``, ``loss``, every term of the loss and ``lr``, one entry per period; names of
        terms begin with ``low_`` and ``high_``.
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
    VQTokenizer : One codebook for the whole series.

    Notes
    -----
    The loss is the sum over both bands of the mean squared error of the band in time and of
    the quantizer's terms, all means over elements, so that it depends neither on the batch
    size nor on the length. Every band is standardised by its own deviation over the training
    set, channel by channel: the high band of smooth series is so small that its quantizer's
    terms would outweigh its error.

    Departures from the paper and its code: frames are cut out without a window, and weighed
    by the Hann window where they are added up again, since a window before the transform
    moves a third of the level of a series to the high band. The bands add up to the series
    at any length, with no interpolation. Imaginary parts that are always zero (of bin 0,
    and of the last bin of an even n_fft) are left out. The error of the high band is squared
    as that of the low one, not absolute. Encoders and decoders work on frames in time with
    the coefficients of all bins of the band as channels.

    References
    ----------
    D. Lee, S. Malacarne, E. Aune, "Vector Quantized Time Series Generation with a
    Bidirectional Prior Model", AISTATS 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import BandVQTokenizer
    >>> t = np.linspace(0, 6, 40)
    >>> X = np.sin(t + np.linspace(0, 3, 20)[:, None]) + 0.3 * np.sin(9 * t)
    >>> tokenizer = BandVQTokenizer(n_codes=16, max_iter=100, random_state=0).fit(X)
    >>> tokenizer.token_groups_
    [slice(0, 10, None), slice(10, 30, None)]
    >>> tokenizer.token_spans_[[0, 1, 10, 11]].tolist()
    [[0, 4], [4, 8], [0, 2], [2, 4]]
    >>> bool(tokenizer.score(X) > 0.5)
    True
    """

    _takes_images: ClassVar[bool] = False
    _shaping: ClassVar[tuple[str, ...]] = (*_VQBase._shaping, "n_fft", "cutoff")
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_VQBase._own_types,
        "n_fft": [numbers.Integral],
        "cutoff": [numbers.Integral],
        "compression": [str, numbers.Integral, tuple, list],
        **TorchEstimator._parameter_constraints,
    }

    def __init__(
        self,
        n_codes: int = 128,
        *,
        n_fft: int = 8,
        cutoff: int = 1,
        code_dim: int = 64,
        backbone: str | Backbone = "conv",
        quantizer: str | Quantizer = "ema",
        compression: Any = "auto",
        scaling: str | None = "dataset",
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
        self.n_fft = n_fft
        self.cutoff = cutoff
        self.code_dim = code_dim
        self.backbone = backbone
        self.quantizer = quantizer
        self.compression = compression
        self.scaling = scaling
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

    def _check_parameters(self) -> None:
        super()._check_parameters()
        n_fft = check_count(self.n_fft, "n_fft", minimum=4)
        if check_count(self.cutoff, "cutoff") > n_fft // 2:
            raise ValueError(
                f"cutoff must be at most n_fft // 2 = {n_fft // 2}, so that both bands have "
                f"bins; got {self.cutoff}."
            )

    def _check_compression(self) -> None:
        given = self.compression
        if isinstance(given, str):
            if given != "auto":
                raise ValueError(f"compression must be 'auto', {_NUMBERS}; got {given!r}.")
        elif isinstance(given, (tuple, list)):
            if len(given) != len(BANDS):
                raise ValueError(f"compression must be 'auto', {_NUMBERS}; got {given!r}.")
            for points in given:
                check_count(points, "compression")
        else:
            check_count(given, "compression")

    def _build(self) -> TokenModel:
        if self.compression == "auto":
            # Of the variance of the low band, 0.998 to 0.999 is left on held-out series of four
            # UCR sets with twice the points of the high band, 0.993 to 0.995 with four times.
            high = automatic_compression(self._series_shape[1])
            compression = 2 * high, high
        elif isinstance(self.compression, (tuple, list)):
            compression = int(self.compression[0]), int(self.compression[1])
        else:
            compression = int(self.compression), int(self.compression)
        return make_band_vqvae(
            self._series_shape,
            int(self.n_codes),
            int(self.code_dim),
            resolve(self.backbone, "backbone", Backbone, BACKBONES),
            resolve(self.quantizer, "quantizer", Quantizer, QUANTIZERS),
            int(self.n_fft),
            int(self.cutoff),
            compression,
            self.scaling,
        )
