"""Contrastive predictive coding (van den Oord, Li and Vinyals 2018); with beta, variational."""

import os
from collections.abc import Iterator
from itertools import accumulate
from operator import mul
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vqssl._base import TorchEstimator
from vqssl._scaler import Scaler
from vqssl.encoders._base import BaseEncoder
from vqssl.encoders._contrast import Predictions
from vqssl.encoders._modules import EncoderModel, FramePosterior, Outcome, stack


class Recurrence(nn.GRU):
    """Gated recurrent unit over frames, (B, N, D) -> contexts (B, N, D)."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, dim, batch_first=True)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        # torch's default start.
        bound = self.hidden_size**-0.5
        for parameter in self.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
        # torch keeps a list of the weights, which this makes anew.
        self.float()


class ContextModel(EncoderModel):
    """Modules one above the other and a recurrence over the frames of the last, trained as one."""

    def __init__(
        self,
        scaler: Scaler,
        n_channels: int,
        code_dim: int,
        strides: list[int],
        counts: list[int],
        n_steps: int,
        is_variational: bool,
    ) -> None:
        super().__init__()
        self.scaler = scaler
        below = [False] * (len(strides) - 1)
        self.stack = stack(n_channels, code_dim, strides, [*below, is_variational])
        self.recurrence = Recurrence(code_dim)
        self.predictions = nn.ModuleList([Predictions(n_steps, code_dim, code_dim)])
        self.frame_counts = [*counts, counts[-1]]
        self.loss_frames = [counts[-1]]
        compressions = list(accumulate(strides, mul))
        self.compressions = [*compressions, compressions[-1]]

    def outcomes(self, scaled: Tensor, generator: torch.Generator | None) -> Iterator[Outcome]:
        *_, posterior = self._climb(scaled)
        frames = posterior.draw(generator)
        yield Outcome(self._contexts(frames), frames, posterior)

    def layers(self, scaled: Tensor) -> list[FramePosterior]:
        posteriors = list(self._climb(scaled))
        return [*posteriors, FramePosterior(self._contexts(posteriors[-1].mean), None)]

    def _climb(self, scaled: Tensor) -> Iterator[FramePosterior]:
        below = scaled
        for module in self.stack:
            posterior = module(below)
            yield posterior
            below = posterior.mean.transpose(1, 2)  # (B, D, N)

    def _contexts(self, frames: Tensor) -> Tensor:
        return self.recurrence(frames)[0]


class CPCEncoder(BaseEncoder):
    """Contrastive predictive coding: a context of the past that tells the frames to come.

    Strided convolutions bring a series to frames, a recurrence over them to contexts; the whole
    learns to tell which of several frames comes k steps after a context. With ``beta > 0`` the
    frames are Gaussians that a KL holds near N(0, I), and contexts and losses see samples.

    Parameters
    ----------
    beta : float, default=0.0
        Weight of the KL, at least 0. 0 is contrastive predictive coding, with no Gaussians at all.
    n_modules : int, default=3
        Convolutions one above the other, below the recurrence.
    code_dim : int, default=64
        D, numbers in a frame of any layer.
    n_predictions : int, default=8
        K, how many steps ahead are predicted; at most one less than there are frames.
    n_negatives : int, default=64
        Frames that the right one is told from, at most all others of the batch. The right one is
        never among them.
    compression : int or "auto", default="auto"
        Time points per frame of the last module, cut into strides by its prime factors. "auto"
        is a power of two: 1 for series below 8 points, 2 up to 64, and beyond that what gives
        about 64 frames, at least 4.
    scaling : {"dataset", "series"} or None, default="dataset"
        Standardisation of the input. "dataset": by one mean and deviation per channel over the
        training set. "series": each series and channel by its own, so that how loud it is tells
        nothing. None: the input is taken as it is.
    layer : int or None, default=None
        What `transform` pools: 0 to ``n_modules - 1`` are the frames of a module, the
        next layer, and None, are the contexts.
        Can be changed after `fit`.
    lr : float, default=2e-3
        Largest learning rate of AdamW; it warms up and then follows a cosine to zero.
    max_iter : int, default=1000
        Number of optimizer steps.
    batch_size : int, default=32
        Series per step, at most as many as there are. Negatives come from the batch.
    validation_fraction : float, default=0.0
        Share of the series held out, where there are four or more. Above 0, training stops when the
        held-out loss has not fallen for ten periods, and the best weights are kept.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is one, else the CPU.
    precision : {"float32", "bfloat16"}, default="float32"
        Arithmetic of the networks in training; losses and `transform` are always in float32.
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
        The network with its prediction matrices, on the CPU in evaluation mode.
    mutual_information_ : ndarray of shape (1,), float64
        Lower bound of what a context tells of the frame k steps ahead, in nats:
        log N minus InfoNCE, with N = `n_negatives` + 1 choices, or all frames of the training
        set where it has fewer; mean over steps k and over the training set (10,000 series of a
        larger one; up to 32 times of each). It cannot exceed log N, and says little once it is
        near; 0 where there is nothing to predict.
    variance_per_dimension_ : ndarray of shape (n_layers, code_dim), float64
        Variance of each dimension of the frames of each layer, over series and time.
    active_units_ : ndarray of shape (n_layers,), int64
        Dimensions whose variance is above .01, as of a `VAE`. It speaks of use only where the
        KL gives dimensions a scale, with ``beta > 0``
        and the last module.
    correlation_ : ndarray of shape (n_layers, code_dim, code_dim), float64
        Correlations between the dimensions of the frames of each layer, over series and time; of
        Gaussians those of their mixture, the aggregate posterior. 0 beside a dimension that never
        varies. Uncorrelated is not independent.
    kl_per_dimension_ : ndarray of shape (1, code_dim), float64
        KL in nats between a frame's Gaussian in one dimension and N(0, 1), mean over series and
        time. Only with ``beta > 0``.
    kl_ : ndarray of shape (1,), float64
        The same, summed over dimensions. Only with ``beta > 0``.
    decoder_history_ : dict of str to list
        Losses of the decoders, ``layer_0_reconstruction`` and so on. Only after `fit_decoder`.
    history_ : dict of str to list
        ``step``, ``loss``, ``contrast``, with ``beta > 0`` ``kl`` (times `beta`), ``lr``;
        one entry per period.
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
        If a loss has a single frame per series, so that there is nothing to predict.

    See Also
    --------
    GreedyInfoMaxEncoder : Modules that learn one by one, without gradients between them.
    SSLVQTokenizer : Discrete codes, from views instead of the future.

    Notes
    -----
    The loss is the mean over steps k = 1..K and times t of::

        -log [ exp(z_(t+k)^T W_k c_t) / sum over N frames z of exp(z^T W_k c_t) ]
        + beta KL(q(z_t | x) || N(0, I)),

    the N frames being the right one and `n_negatives` others. The KL is summed over dimensions and
    averaged over frames and series, so that `beta` means the same for any length. Test time takes
    means.

    ``log N - loss`` is a lower bound of the information only where negatives are drawn
    independently of the context. Here, as in the paper, they are drawn from the whole batch, and
    1 in `batch_size` comes from the series of the context; telling it apart is harder as a rule.

    Departures from the paper [1]_: strides follow the length of the series; frames are normalised
    one by one, without statistics over time; Gaussians start with deviations of about exp(-2);
    contexts have as many numbers as frames; negatives
    are shared by the contexts of a step, the positive left out exactly; and where there are many
    contexts, 512 of each step are drawn.

    Information that is bounded this way need not be what a classifier wants: compare the layers
    (``layer=``) by cross-validation. Rows are not standardised; put a `StandardScaler` behind.

    References
    ----------
    .. [1] A. van den Oord, Y. Li, O. Vinyals, "Representation Learning with Contrastive Predictive
       Coding", 2018, equation 4. arXiv:1807.03748.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import CPCEncoder
    >>> t = np.linspace(0, 6, 40)
    >>> X = np.sin(t + np.linspace(0, 3, 20)[:, None])
    >>> encoder = CPCEncoder(n_modules=2, max_iter=30, random_state=0).fit(X)
    >>> encoder.transform(X).shape, encoder.embed(X, layer=0).shape
    ((20, 1344), (20, 20, 64))
    >>> bool(encoder.score(X) < np.log(64 + 1))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseEncoder._own_types,
        **TorchEstimator._parameter_constraints,
    }

    def __init__(
        self,
        beta: float = 0.0,
        *,
        n_modules: int = 3,
        code_dim: int = 64,
        n_predictions: int = 8,
        n_negatives: int = 64,
        compression: int | str = "auto",
        scaling: str | None = "dataset",
        layer: int | None = None,
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
        self.beta = beta
        self.n_modules = n_modules
        self.code_dim = code_dim
        self.n_predictions = n_predictions
        self.n_negatives = n_negatives
        self.compression = compression
        self.scaling = scaling
        self.layer = layer
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

    def _build(self) -> ContextModel:
        n_channels, _ = self._series_shape
        counts = self._frame_counts()
        return ContextModel(
            Scaler(n_channels, self.scaling),
            n_channels,
            int(self.code_dim),
            self._strides(),
            counts,
            self._steps(counts)[-1],
            self.beta > 0,
        )

    def _term_prefixes(self, n_losses: int) -> list[str]:
        return [""]
