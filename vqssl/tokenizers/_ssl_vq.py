"""VQ-VAE with a joint-embedding branch, "NC-VQVAE" (arXiv 2408.16613)."""

import math
import numbers
import os
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from vqssl._base import TorchEstimator
from vqssl._parts import resolve
from vqssl._share import of_whole, whole
from vqssl._validation import check_count, check_weight, kind_of, warn_user
from vqssl.augmentations import AUGMENTATIONS, Augmentation, Compose
from vqssl.backbones import Backbone
from vqssl.losses import LOSSES, SSLLoss
from vqssl.quantizers import Quantizer
from vqssl.quantizers._base import encode, quantize
from vqssl.tokenizers._choose import choose_augmentations
from vqssl.tokenizers._grid import grid_windows
from vqssl.tokenizers._vq import VQVAE, _SingleVQBase
from vqssl.tokenizers._windows import windows

# The views are compared as wholes, by their halves and by their quarters, of images by their
# quadrants: every window is a series of its own, to be told from the other windows of its series,
# too. By the number of axes that tokens lie along.
_SCALES = {1: (1, 2, 4), 2: (1, 2)}

# Widest projection that projector_dim="auto" chooses.
_WIDEST_PROJECTION = 256

# Fewer directions than this in the latents of at least that many series is a collapse.
_COLLAPSED_RANK = 1.5
_ENOUGH_SERIES = 10
# Series whose own directions are looked at, at most.
_RANKED_SERIES = 256


class Projector(nn.Sequential):
    """Two layers with batch normalisation between them, (B, 2 D) -> (B, P).

    It is given the rows of all processes that divide a batch, and so is the loss between views.
    """

    sees_whole_batch = True

    def __init__(self, in_dim: int, out_dim: int, whitening: nn.Module | None) -> None:
        hidden = max(in_dim, out_dim)
        layers = [
            nn.Linear(in_dim, hidden, bias=False),
            nn.BatchNorm1d(hidden, track_running_stats=False),
            nn.ReLU(),
            nn.Linear(hidden, out_dim),
        ]
        super().__init__(*layers, *([whitening] if whitening is not None else []))


class JointEmbedding(nn.Module):
    """Task: the terms of the VQ-VAE on the series, and a loss between two views.

    One pass of the encoder serves the series and its view. The series is quantised and
    reconstructed. The quantised vectors of both are pooled, projected and compared, so that
    what they share must pass through the codes. The codebook learns from the unchanged
    series only.
    """

    # The views of a single series cannot be told from those of others.
    fewest_rows = 2

    def __init__(
        self,
        model: VQVAE,
        projector: nn.Module,
        loss: SSLLoss,
        augmentation: Augmentation | None,
        weight: float,
    ) -> None:
        super().__init__()
        self.model = model
        self.projector = projector
        self.loss = loss
        self.augmentation = augmentation
        self.weight = weight

    def forward(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        model = self.model
        x = model.scaler(x)
        view = x if self.augmentation is None else _view(self.augmentation, x, generator)
        z, z_view = model.encoder(torch.cat([x, view])).chunk(2)  # (B, N, D) each
        quantized = quantize(model.quantizer, z, generator)
        reconstruction = model.reconstruction_loss(model.decoder(quantized.vectors), x)
        # Not quantised as in training, which would move the codebook.
        codes_view = encode(model.quantizer, z_view)
        vectors_view = model.quantizer.vectors_of(z_view, codes_view)
        terms = {**reconstruction, **quantized.terms}
        shape = model.token_shapes[0]
        scales = scales_of(shape)
        for parts in scales:
            # View by view: statistics over both at once would tell one from the other.
            first, second = (
                self.projector(whole(window_pool(vectors, parts, shape))).float()
                for vectors in (quantized.vectors, vectors_view)
            )
            for name, term in self.loss.terms(first, second).items():
                share = self.weight / len(scales) * term
                terms[f"ssl_{name}"] = terms.get(f"ssl_{name}", 0.0) + share
        return terms


def _view(augmentation: Augmentation, x: Tensor, generator: torch.Generator) -> Tensor:
    """Another view of series (B, C, L), which may be those of one of several processes."""
    if augmentation.sees_whole_batch:
        return of_whole(lambda every: augmentation(every, generator), x)
    return augmentation(x, generator)


def scales_of(shape: Sequence[int]) -> list[int]:
    """Parts of each axis of the tokens that the views are compared by: two tokens at least."""
    n_axes, n_tokens = len(shape), math.prod(shape)
    return [parts for parts in _SCALES[n_axes] if parts == 1 or n_tokens >= 2 * parts**n_axes]


def window_pool(z: Tensor, parts: int, shape: Sequence[int] | None = None) -> Tensor:
    """Pools of equal windows, one after the other, (B, N, D) -> (windows B, 2 D).

    Parameters
    ----------
    z : Tensor of shape (B, N, D)
    parts : int
        Of each axis: as many windows of series, ``parts**2`` of images.
    shape : sequence of int, optional
        Rows and columns of the tokens of images; None is (N,).
    """
    if shape is None or len(shape) == 1:
        equal = windows(z.shape[1])[parts - 1 : 2 * parts - 1]
        return torch.cat([global_pool(z[:, window]) for window in equal])
    rows, columns = shape
    grid = z.unflatten(1, (rows, columns))
    places = grid_windows((rows, columns), parts)
    return torch.cat([global_pool(grid[:, row, column].flatten(1, 2)) for row, column in places])


def global_pool(z: Tensor) -> Tensor:
    """Mean and maximum over the tokens, (B, N, D) -> (B, 2 D)."""
    return torch.cat([z.mean(1), z.amax(1)], 1)


def effective_rank(features: np.ndarray) -> float:
    """Exponential of the entropy of the variance shares along the principal axes.

    Parameters
    ----------
    features : ndarray of shape (n, F)

    Returns
    -------
    rank : float
        In [1, min(n - 1, F)]; 0 for constant features.

    References
    ----------
    O. Roy, M. Vetterli, "The effective rank", EUSIPCO 2007, definition 1, here with
    variances in place of singular values.
    """
    centred = features - features.mean(0)
    variances = np.linalg.svd(centred, compute_uv=False) ** 2
    if variances.sum() == 0:
        return 0.0
    shares = variances / variances.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _rank_of_series(series: np.ndarray) -> float:
    some = series[:_RANKED_SERIES]
    return effective_rank(some.reshape(len(some), -1).astype(np.float64))


def diagnose(features: np.ndarray) -> dict[str, float]:
    """Signs of collapse of features (n, F): deviation, correlation and rank.

    Returns
    -------
    diagnostics : dict of str to float
        ``feature_std``: mean deviation of a column. ``feature_correlation``: mean absolute
        correlation between different columns that vary; 0 where fewer than two do.
        ``effective_rank``: see `effective_rank`.
    """
    deviation = features.std(0, dtype=np.float64)
    varying = features[:, deviation > 0]
    correlation = 0.0
    if varying.shape[1] > 1:
        matrix = np.abs(np.corrcoef(varying, rowvar=False))
        correlation = (matrix.sum() - np.trace(matrix)) / (matrix.size - len(matrix))
    return {
        "feature_std": float(deviation.mean()),
        "feature_correlation": float(correlation),
        "effective_rank": effective_rank(features),
    }


class SSLVQTokenizer(_SingleVQBase):
    """Tokenizer of series and images by a VQ-VAE with a self-supervised branch ("NC-VQVAE").

    While the vector-quantised autoencoder learns to reconstruct, a joint-embedding loss
    asks that the quantised vectors of a series and of an augmented view of it agree, as a
    whole, by halves and by quarters, so that the codes hold what the augmentations leave
    alone as well as the shape. Images are taken as `VQTokenizer` takes them, and compared as a
    whole and by quadrants.

    Parameters
    ----------
    n_codes : int, default=128
        K, size of the codebook.
    ssl : {"barlow_twins", "infonce", "vibcreg", "vicreg"} or SSLLoss, default="infonce"
        Joint-embedding loss: a key of `vqssl.losses.LOSSES` or a part.
    augmentations : str, Augmentation, tuple of these or None, default="auto"
        What makes the second view: a key of `vqssl.augmentations.AUGMENTATIONS`, a part,
        or several, applied one after the other. None compares a series with itself.
        "auto" chooses without labels, see Notes. Each must be for what X holds, series or images.
    ssl_weight : float or "auto", default="auto"
        Weight of the loss between views beside the reconstruction. "auto" is the loss's
        own ``default_weight``; 0 leaves the branch out.
    projector_dim : int or "auto", default="auto"
        P, width of the projection that the views are compared in. "auto" is one less than
        the batch, at most 256: a wider projection cannot be decorrelated by a batch.
    code_dim : int, default=64
        D, dimension of the latents and of the codebook vectors.
    backbone : str or Backbone, default="conv"
        Encoder and decoder: a key of `vqssl.backbones.BACKBONES` or a part.
    quantizer : str or Quantizer, default="ema"
        How the codebook is learned: a key of `vqssl.quantizers.QUANTIZERS` or a part.
    compression : int or "auto", default="auto"
        Time points per token, or pixels along each side, as in `VQTokenizer`.
    scaling : {"dataset", "series"} or None, default="dataset"
        Standardisation of the input, as in `VQTokenizer`.
    difference_weight : float, default=0.0
        Share of the error of first differences in the reconstruction error, as in `VQTokenizer`.
    output : {"features", "latent", "quantized", "codes", "histogram"}, default="features"
        What `transform` returns, as in `VQTokenizer`.
    lr : float, default=2e-3
        Largest learning rate of AdamW; it warms up and then follows a cosine to zero.
    max_iter : int, default=1000
        Number of optimizer steps.
    batch_size : int, default=32
        Series per step, at most as many as there are; at least 2.
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
        The VQ-VAE, on the CPU in evaluation mode; the projector is dropped.
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
    augmentations_ : tuple of Augmentation
        The augmentations that were used, in order.
    diagnostics_ : dict of str to float
        Of the pooled latents of the training series: ``feature_std`` (mean deviation of a
        column), ``feature_correlation`` (mean absolute correlation between columns) and
        ``effective_rank``.
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

    Warns
    -----
    ConvergenceWarning
        If there are fewer than two series, so that the branch is left out, or if the
        latents have collapsed.

    See Also
    --------
    VQTokenizer : The same without the self-supervised branch.

    Notes
    -----
    Departures from the paper: quantised vectors of the view are compared as well as those
    of the series, both encoded in one pass; halves and quarters of at least two tokens are
    compared as well as the whole, each by itself, and the loss is the mean over these
    scales; the view is not reconstructed; the projection has two layers and is as narrow as
    the batch, not 4096 wide.

    ``augmentations="auto"`` looks at views of up to 200 training series: noise, amplitude,
    slope, magnitude warp and window warp are used, one after the other, but for those
    after which fewer than 15 percent of the views are nearest, by Euclidean distance, to
    their own series. Order-breaking augmentations are never chosen. For images the candidates
    are noise, amplitude, shift, affine and resized crop; flips are never chosen.

    References
    ----------
    "NC-VQVAE", arXiv:2408.16613; the losses are cited with their parts.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import SSLVQTokenizer
    >>> t = np.linspace(0, 6, 40)
    >>> X = np.sin(t + np.linspace(0, 3, 20)[:, None])
    >>> tokenizer = SSLVQTokenizer(ssl="vicreg", max_iter=20, random_state=0).fit(X)
    >>> tokenizer.transform(X).shape
    (20, 9272)
    >>> sorted(tokenizer.diagnostics_)
    ['effective_rank', 'feature_correlation', 'feature_std']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SingleVQBase._own_types,
        "ssl": [str, SSLLoss],
        "augmentations": [str, Augmentation, tuple, list, None],
        "ssl_weight": [str, numbers.Real],
        "projector_dim": [str, numbers.Integral],
        **TorchEstimator._parameter_constraints,
    }

    def __init__(
        self,
        n_codes: int = 128,
        *,
        ssl: str | SSLLoss = "infonce",
        augmentations: Any = "auto",
        ssl_weight: float | str = "auto",
        projector_dim: int | str = "auto",
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
        self.ssl = ssl
        self.augmentations = augmentations
        self.ssl_weight = ssl_weight
        self.projector_dim = projector_dim
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

    _shaping: ClassVar[tuple[str, ...]] = (*_SingleVQBase._shaping, "augmentations")

    def _check_parameters(self) -> None:
        super()._check_parameters()
        resolve(self.ssl, "ssl", SSLLoss, LOSSES).check()
        for augmentation in self._given_augmentations():
            augmentation.check()
        self._check_number_or_auto("ssl_weight", check_weight)
        self._check_number_or_auto("projector_dim", check_count)
        check_count(self.batch_size, "batch_size", minimum=2)

    def _check_number_or_auto(self, name: str, check: Any) -> None:
        value = getattr(self, name)
        if isinstance(value, str):
            if value != "auto":
                raise ValueError(f"{name} must be 'auto' or a number; got {value!r}.")
        else:
            check(value, name)

    def _given_augmentations(self) -> tuple[Augmentation, ...]:
        """The augmentations the user named; none of them for None and "auto"."""
        given = self.augmentations
        if given is None or (isinstance(given, str) and given == "auto"):
            return ()
        parts = given if isinstance(given, (tuple, list)) else (given,)
        return tuple(resolve(p, "augmentations", Augmentation, AUGMENTATIONS) for p in parts)

    def _start(self, model: nn.Module, series: np.ndarray, generator: torch.Generator) -> None:
        super()._start(model, series, generator)
        assert isinstance(model, VQVAE)
        if isinstance(self.augmentations, str) and self.augmentations == "auto":
            self.augmentations_ = choose_augmentations(model.scaler, series, generator)
        else:
            self.augmentations_ = self._given_augmentations()
            kind = kind_of(series.shape[1:])
            for augmentation in self.augmentations_:
                if kind not in augmentation.takes:
                    names = ", ".join(
                        repr(name)
                        for name in sorted(AUGMENTATIONS)
                        if kind in AUGMENTATIONS[name].takes
                    )
                    raise ValueError(
                        f"augmentations must be for {kind}, as {names} are; got {augmentation!r}, "
                        f"and X has {kind} of shape {series.shape[1:]}."
                    )

    def _task(self, model: nn.Module, batch_size: int) -> nn.Module:
        assert isinstance(model, VQVAE)
        loss = resolve(self.ssl, "ssl", SSLLoss, LOSSES)
        weight = loss.default_weight if self.ssl_weight == "auto" else float(self.ssl_weight)
        if batch_size < 2:
            warn_user(
                "The self-supervised terms are left out: they compare series, and there is only "
                "one. Fit on two series or more.",
                ConvergenceWarning,
            )
        if batch_size < 2 or weight == 0:
            return model
        if self.projector_dim == "auto":
            width = min(_WIDEST_PROJECTION, batch_size - 1)
        else:
            width = int(self.projector_dim)
        whitening = loss.whitening(width, batch_size)
        projector = Projector(2 * int(self.code_dim), width, whitening)
        augmentation = Compose(self.augmentations_) if self.augmentations_ else None
        return JointEmbedding(model, projector, loss, augmentation, weight)

    def _finish(self, series: np.ndarray, generator: torch.Generator, go_on: bool) -> None:
        super()._finish(series, generator, go_on)
        pooled = self._inference(lambda model, x: global_pool(model.latents(x)), series)
        self.diagnostics_ = diagnose(pooled)
        rank = self.diagnostics_["effective_rank"]
        learned = any(name.startswith("ssl_") for name in self.history_)
        has_collapsed = learned and len(series) >= _ENOUGH_SERIES and rank < _COLLAPSED_RANK
        # Series that differ in one direction only, such as their level, have no more to say.
        if has_collapsed and _rank_of_series(series) >= _COLLAPSED_RANK:
            warn_user(
                f"The latents have collapsed: their effective rank is {rank:.2f}. Lower "
                "ssl_weight, or choose other augmentations.",
                ConvergenceWarning,
            )
