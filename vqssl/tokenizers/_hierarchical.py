"""Codes at several levels, "VQ-VAE-2" (Razavi, van den Oord and Vinyals 2019), for series."""

import numbers
import os
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vqssl._base import TorchEstimator
from vqssl._parts import resolve
from vqssl._scaler import Scaler
from vqssl._validation import check_count, check_weight
from vqssl.backbones import BACKBONES, Backbone
from vqssl.backbones._compression import compression_of
from vqssl.quantizers import QUANTIZERS, Quantizer, QuantizerModule
from vqssl.quantizers._base import quantize, straight_through
from vqssl.tokenizers._base import TokenModel, cells
from vqssl.tokenizers._differences import ReconstructionLoss
from vqssl.tokenizers._vq import _SingleVQBase


class Level(nn.Module):
    """Encoder, quantizer and decoder of one level.

    The finest one encodes and decodes series, a coarser one the hidden vectors (B, N, D) of the
    next finer level, as series of D channels.
    """

    def __init__(
        self,
        encoder: nn.Module,
        quantizer: QuantizerModule,
        decoder: nn.Module,
        code_dim: int,
        is_coarsest: bool,
        shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.shape = shape  # of the tokens: (N,), or rows and columns
        self.encoder = encoder
        self.quantizer = quantizer
        self.decoder = decoder
        if not is_coarsest:
            self.to_latent = nn.Linear(2 * code_dim, code_dim)
            self.to_hidden = nn.Linear(2 * code_dim, code_dim)

    def latents(self, hidden: Tensor, given: Tensor | None) -> Tensor:
        """What is quantised, where the coarser levels give `given`; all (B, N, D)."""
        return hidden if given is None else self.to_latent(torch.cat([given, hidden], 2))

    def hidden(self, vectors: Tensor, given: Tensor | None) -> Tensor:
        """What is decoded, of quantised vectors and of what the coarser levels give."""
        return vectors if given is None else self.to_hidden(torch.cat([given, vectors], 2))


class HierarchicalVQVAE(TokenModel):
    """Levels of codes, from coarse to fine, each given the coarser ones; its own task."""

    levels: Any  # nn.ModuleList of Level, the coarsest first

    def __init__(
        self,
        scaler: Scaler,
        levels: list[Level],
        reconstruction_loss: ReconstructionLoss,
        coarse_weight: float,
    ) -> None:
        super().__init__()
        self.scaler = scaler
        self.levels = nn.ModuleList(levels)
        self.reconstruction_loss = reconstruction_loss
        self.coarse_weight = coarse_weight

    @property
    def codebooks(self) -> list[Tensor]:
        return [level.quantizer.codebook for level in self.levels]

    def start(self, x: Tensor, generator: torch.Generator) -> None:
        x = self.scaler(x)
        self.reconstruction_loss.start(x)

        def start(level: Level, z: Tensor) -> Tensor:
            level.quantizer.start(z.flatten(0, 1), generator)  # (n N, D)
            return nearest(level, z)[0]

        self._quantize(x, start)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Terms of the loss, all means over elements, for series (B, C, L)."""
        x = self.scaler(x)
        vectors: list[Tensor] = []
        quantizer_terms = {}

        def learn(level: Level, z: Tensor) -> Tensor:
            quantized = quantize(level.quantizer, z, generator)
            for name, term in quantized.terms.items():
                quantizer_terms[f"level_{len(vectors)}_{name}"] = term
            vectors.append(quantized.vectors)
            return quantized.vectors

        hidden = self._quantize(x, learn)
        terms = self.reconstruction_loss(self.levels[-1].decoder(hidden), x)
        return {**terms, **self._coarse_terms(vectors, x), **quantizer_terms}

    def _coarse_terms(self, vectors: list[Tensor], x: Tensor) -> dict[str, Tensor]:
        """Errors of what is decoded without the finest level, without the two finest, and so on."""
        terms: dict[str, Tensor] = {}
        if self.coarse_weight == 0:
            return terms
        for finest in range(len(vectors) - 1):
            known = [v if i <= finest else torch.zeros_like(v) for i, v in enumerate(vectors)]
            for name, term in self.reconstruction_loss(self._decode(known), x).items():
                # A sum over levels: with a share the coarsest of several would learn nothing.
                weighted = self.coarse_weight * term
                terms[f"coarse_{name}"] = terms.get(f"coarse_{name}", 0.0) + weighted
        return terms

    def latents(self, x: Tensor) -> Tensor:
        return self.latents_and_tokens(x)[0]

    def tokens(self, x: Tensor) -> Tensor:
        return self.latents_and_tokens(x)[1]

    def latents_and_tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latents: list[Tensor] = []
        codes: list[Tensor] = []

        def choose(level: Level, z: Tensor) -> Tensor:
            vectors, own = nearest(level, z)
            latents.append(z)
            codes.append(own)
            return vectors

        self._quantize(self.scaler(x), choose)
        return torch.cat(latents, 1), torch.cat(codes, 1)

    def lookup(self, codes: Tensor) -> Tensor:
        vectors = [
            level.quantizer.lookup(codes[:, group])
            for level, group in zip(self.levels, self.token_groups, strict=True)
        ]
        return torch.cat(vectors, 1)

    def decode(self, vectors: Tensor) -> Tensor:
        decoded = self._decode([vectors[:, group] for group in self.token_groups])
        return self.scaler.inverse(decoded)

    def _quantize(self, x: Tensor, choose: Callable[[Level, Tensor], Tensor]) -> Tensor:
        """What the finest level decodes, where `choose` makes vectors of a level's latents.

        Series (B, C, L) are standardised; all else is (B, N, D).
        """
        encoded = []  # the finest first
        for level in reversed(self.levels):
            encoded.append(level.encoder(x))
            x = encoded[-1].mT.unflatten(2, level.shape)  # (B, D, N), or (B, D, rows, columns)
        return self._descend(
            lambda level, given: choose(level, level.latents(encoded.pop(), given))
        )

    def _decode(self, vectors: list[Tensor]) -> Tensor:
        """Standardised series (B, C, L) of the vectors of each level."""
        own = iter(vectors)
        return self.levels[-1].decoder(self._descend(lambda level, given: next(own)))

    def _descend(self, vectors_of: Callable[[Level, Tensor | None], Tensor]) -> Tensor:
        """What the finest level decodes, with vectors of each level given the coarser ones."""
        *coarser, finest = self.levels
        given = None
        for level in coarser:
            hidden = level.hidden(vectors_of(level, given), given)
            given = level.decoder(hidden).flatten(2).mT  # (B, N, D) of the next finer level
        return finest.hidden(vectors_of(finest, given), given)


def nearest(level: Level, z: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors, with the gradient of the latents, and codes of latents (B, N, D)."""
    codes = level.quantizer.encode(z)
    # A classifier that is trained on finer latents reaches the coarser levels, too.
    return straight_through(z, level.quantizer.lookup(codes)), codes


def make_hierarchical_vqvae(
    series_shape: tuple[int, ...],
    n_codes: int,
    n_levels: int,
    level_stride: int,
    code_dim: int,
    backbone: Backbone,
    quantizer: Quantizer,
    compression: int,
    scaling: str | None,
    difference_weight: float,
    coarse_weight: float,
) -> HierarchicalVQVAE:
    """Build the levels for series of shape (C, L) or images of shape (C, H, W)."""
    n_channels, *size = series_shape
    levels: list[Level] = []
    spans: list[list[tuple[int, ...]]] = []
    shapes: list[tuple[int, ...]] = []
    shape, points = tuple(series_shape), compression
    for _ in range(n_levels):  # from the finest, whose tokens the next one encodes
        stride = level_stride if levels else compression
        encoder, decoder = backbone.build_for(shape, code_dim, stride)
        is_coarsest = len(levels) == n_levels - 1
        codebook = quantizer.build(n_codes, code_dim)
        grid = tuple(-(-side // stride) for side in shape[1:])
        levels.insert(0, Level(encoder, codebook, decoder, code_dim, is_coarsest, grid))
        spans.insert(0, cells(size, points))
        shapes.insert(0, grid)
        shape, points = (code_dim, *grid), level_stride * points
    loss = ReconstructionLoss(n_channels, difference_weight, len(size))
    scaler = Scaler(n_channels, scaling, len(size))
    model = HierarchicalVQVAE(scaler, levels, loss, coarse_weight)
    model.token_shapes = shapes
    model.code_sizes, model.token_groups, model.token_spans = [], [], []
    for level, own in zip(levels, spans, strict=True):
        start = len(model.token_spans)
        model.token_groups.append(slice(start, start + len(own)))
        model.token_spans += own
        model.code_sizes += [level.quantizer.n_codes] * len(own)
    return model


class HierarchicalVQTokenizer(_SingleVQBase):
    """Tokenizer of time series by a hierarchy of codes, from coarse to fine ("VQ-VAE-2").

    A coarse level has a token for every few tokens of the next finer one, and its codes say the
    course of a series; the codes of a finer level say what is left of it. A prior over them
    draws the coarse codes first, then the finer ones given them. On an ECG and on digits a single
    level with as many bits mostly had the smaller error: a second one is no gain in rate.

    Parameters
    ----------
    n_codes : int, default=128
        K, size of the codebook of each level.
    n_levels : int, default=2
        Number of levels, at least 2.
    level_stride : int, default=4
        Tokens of a level that a token of the next coarser level covers, at least 2; of images
        along each side. What is left at the end of a series has a token, too, so that any length
        works with any number of levels.
    code_dim : int, default=64
        D, dimension of the latents and of the codebook vectors.
    backbone : str or Backbone, default="conv"
        Encoder and decoder of each level: a key of `vqssl.backbones.BACKBONES` or a part. Those
        of a coarser level work on the tokens of the next finer one as series of D channels.
    quantizer : str or Quantizer, default="ema"
        How the codebooks are learned: a key of `vqssl.quantizers.QUANTIZERS` or a part.
    compression : int or "auto", default="auto"
        Time points per token of the finest level, or of images pixels along each side, as in
        `VQTokenizer`. A token of the level above it stands for ``level_stride`` times as many.
    scaling : {"dataset", "series"} or None, default="dataset"
        Standardisation of the input, as in `VQTokenizer`.
    difference_weight : float, default=0.0
        Share of the error of first differences in the reconstruction error, as in `VQTokenizer`.
    coarse_weight : float, default=0.05
        Weight of the reconstruction error of each of the coarser levels without the finer ones,
        beside that of all levels together. 0 is the published loss, with which the codes of the
        coarser levels may say nothing, see Notes.
    output : {"features", "latent", "quantized", "codes", "histogram"}, default="features"
        What `transform` returns, as in `VQTokenizer`, but for "features", "latent" and
        "histogram" every level by itself: first the columns of the coarsest level, pooled along
        its own tokens and along the principal axes of its own codebook, those of the finest one
        last. As many times as wide as there, and of the same weight for all levels; code
        frequencies sum to 1 in each level.
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
        All levels, on the CPU in evaluation mode.
    codebook_ : list of ndarrays of shape (n_codes, code_dim)
        Vectors of the codes of each level, the coarsest first, as in all that follows.
    code_sizes_ : ndarray of shape (n_tokens,), int64
        Size of the vocabulary at each token position.
    token_groups_ : list of slice
        Slices of the token axis, one per level.
    token_spans_ : ndarray of shape (n_tokens, 2), int64
        Start and stop of the time points [start, stop) that each token stands for; those of
        a level tile the series. Of images, shape (n_tokens, 4): start and stop of the rows, then
        of the columns.
    token_shape_ : list of tuple of int
        Of each level (tokens,); of images the rows and columns of tokens, which lie row by row.
    n_tokens_ : int
        N, tokens per series, of all levels together.
    perplexity_ : list of float
        Exponential of the entropy of the code frequencies on the training set, in
        [1, n_codes], one per level.
    history_ : dict of str to list
        ``step``, ``loss``, every term of the loss and ``lr``, one entry per period; terms of
        the quantizer of the coarsest level begin with ``level_0_``, of the next with
        ``level_1_``, the errors of the coarser levels by themselves with ``coarse_``.
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
    VQTokenizer : One level.
    BandVQTokenizer : Two bands of frequency side by side, none given the other.

    Notes
    -----
    For two levels, of a series x: h = E_b(x); e_t = VQ_t(E_t(h)); g = Dec_t(e_t), which the
    coarse codes give for the finer tokens; e_b = VQ_b(W_b [g, h]); and the series is
    Dec_b(W_x [g, e_b]), where W_b and W_x are linear. A further level encodes h_t = E_t(h) in the
    same way, and e_t is then quantised given it. So latents of a finer level depend on the codes
    of the coarser ones.

    The loss is the reconstruction error, as in `VQTokenizer`, and the terms of the quantizers of
    all levels, all means over elements. With these alone training may leave the coarser levels
    unused: the finer codes can say everything by themselves, and learn it first. On held-out
    series of ShapesAll (UCR) and of an ECG, exchanging the coarse codes of a series for those
    of another one did not change the error. So `coarse_weight` times the reconstruction error of
    Dec_b(W_x [g, 0]) is added, what the decoder makes of the coarse codes alone; with more
    levels the sum over the coarsest alone, the two coarsest, and so on.

    Departures from the paper, beside that term: Dec_t serves the finer quantizer and the
    decoder, where the paper's decoder has an upsampling of the coarse codes of its own.

    Two levels are no gain by themselves: report what their codes cost beside the error, see
    `vqssl.evaluation.rate_distortion`.

    References
    ----------
    A. Razavi, A. van den Oord, O. Vinyals, "Generating Diverse High-Fidelity Images with
    VQ-VAE-2", NeurIPS 2019, section 3.1 and algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import HierarchicalVQTokenizer
    >>> t = np.linspace(0, 6, 40)
    >>> X = np.sin(t + np.linspace(0, 3, 20)[:, None]) + 0.3 * np.sin(9 * t)
    >>> tokenizer = HierarchicalVQTokenizer(n_codes=16, max_iter=100, random_state=0).fit(X)
    >>> tokenizer.token_groups_
    [slice(0, 5, None), slice(5, 25, None)]
    >>> tokenizer.token_spans_[[0, 1, 5, 6]].tolist()
    [[0, 8], [8, 16], [0, 2], [2, 4]]
    >>> bool(tokenizer.score(X) > 0.5)
    True
    """

    _shaping: ClassVar[tuple[str, ...]] = (
        *_SingleVQBase._shaping,
        "n_levels",
        "level_stride",
        "coarse_weight",
    )
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SingleVQBase._own_types,
        "n_levels": [numbers.Integral],
        "level_stride": [numbers.Integral],
        "coarse_weight": [numbers.Real],
        **TorchEstimator._parameter_constraints,
    }

    def __init__(
        self,
        n_codes: int = 128,
        *,
        n_levels: int = 2,
        level_stride: int = 4,
        code_dim: int = 64,
        backbone: str | Backbone = "conv",
        quantizer: str | Quantizer = "ema",
        compression: int | str = "auto",
        scaling: str | None = "dataset",
        difference_weight: float = 0.0,
        coarse_weight: float = 0.05,
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
        self.n_levels = n_levels
        self.level_stride = level_stride
        self.code_dim = code_dim
        self.backbone = backbone
        self.quantizer = quantizer
        self.compression = compression
        self.scaling = scaling
        self.difference_weight = difference_weight
        self.coarse_weight = coarse_weight
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
        check_count(self.n_levels, "n_levels", minimum=2)
        check_count(self.level_stride, "level_stride", minimum=2)
        check_weight(self.coarse_weight, "coarse_weight")

    def _build(self) -> TokenModel:
        return make_hierarchical_vqvae(
            self._series_shape,
            int(self.n_codes),
            int(self.n_levels),
            int(self.level_stride),
            int(self.code_dim),
            resolve(self.backbone, "backbone", Backbone, BACKBONES),
            resolve(self.quantizer, "quantizer", Quantizer, QUANTIZERS),
            compression_of(self.compression, self._series_shape[1:]),
            self.scaling,
            float(self.difference_weight),
            float(self.coarse_weight),
        )
