"""Greedy InfoMax (Loewe et al. 2019); with beta, variational Greedy InfoMax."""

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

TRAINS = ("greedy", "joint")


class GreedyModel(EncoderModel):
    """Modules one above the other, no gradient between them, each with predictions of its own."""

    def __init__(
        self,
        scaler: Scaler,
        n_channels: int,
        code_dim: int,
        strides: list[int],
        counts: list[int],
        steps: list[int],
        is_variational: bool,
    ) -> None:
        super().__init__()
        self.scaler = scaler
        self.stack = stack(n_channels, code_dim, strides, [is_variational] * len(strides))
        self.predictions = nn.ModuleList(Predictions(k, code_dim, code_dim) for k in steps)
        self.frame_counts = self.loss_frames = counts
        self.compressions = list(accumulate(strides, mul))

    def outcomes(self, scaled: Tensor, generator: torch.Generator | None) -> Iterator[Outcome]:
        below = scaled
        for module in self.stack:
            posterior = module(below)
            frames = posterior.draw(generator)
            yield Outcome(frames, frames, posterior)
            # The gradient of what comes above stops here.
            below = frames.detach().transpose(1, 2)  # (B, D, N)

    def layers(self, scaled: Tensor) -> list[FramePosterior]:
        return [outcome.posterior for outcome in self.outcomes(scaled, None)]


class GreedyInfoMaxEncoder(BaseEncoder):
    """Greedy InfoMax: modules that each predict their own future, without gradients between them.

    A module brings the frames below it to fewer, wider ones, and learns to tell which of several
    frames comes k steps after a given one. No module learns from those above. With ``beta > 0``
    frames are Gaussians that a KL holds near N(0, I), and the module above gets samples of them:
    variational Greedy InfoMax.

    Parameters
    ----------
    beta : float, default=0.0
        Weight of the KL, at least 0. 0 is Greedy InfoMax, with no Gaussians at all.
    n_modules : int, default=3
        Modules one above the other.
    code_dim : int, default=64
        D, numbers in a frame of any layer.
    n_predictions : int, default=8
        K, how many steps ahead are predicted; at most one less than there are frames.
    n_negatives : int, default=64
        Frames that the right one is told from, at most all others of the batch. The right one is
        never among them.
    train : {"joint", "greedy"}, default="joint"
        "joint": every step updates all modules, each by its own loss. "greedy": one module after
        the other, from the lowest, each for an equal share of `max_iter` with a learning rate
        that rises and falls, while those below it stay as they are.
    compression : int or "auto", default="auto"
        Time points per frame of the last module, cut into strides by its prime factors. "auto"
        is a power of two: 1 for series below 8 points, 2 up to 64, and beyond that what gives
        about 64 frames, at least 4.
    scaling : {"dataset", "series"} or None, default="dataset"
        Standardisation of the input. "dataset": by one mean and deviation per channel over the
        training set. "series": each series and channel by its own, so that how loud it is tells
        nothing. None: the input is taken as it is.
    layer : int or None, default=None
        What `transform` pools: the frames of this module, from 0, the lowest. None is the last.
        Can be changed after `fit`.
    lr : float, default=2e-3
        Largest learning rate of AdamW; it warms up and then follows a cosine to zero.
    max_iter : int, default=1000
        Number of optimizer steps.
    batch_size : int, default=32
        Series per step, at most as many as there are. Negatives come from the batch.
    validation_fraction : float, default=0.0
        Share of the series held out, where there are four or more. Above 0, training stops when the
        held-out loss has not fallen for ten periods, and the best weights are kept. Must be 0 with
        ``train="greedy"``, whose upper modules would never be reached.
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
    mutual_information_ : ndarray of shape (n_modules,), float64
        Lower bound for each module of what a context tells of the frame k steps ahead, in nats:
        log N minus InfoNCE, with N = `n_negatives` + 1 choices, or all frames of the training
        set where it has fewer; mean over steps k and over the training set (10,000 series of a
        larger one; up to 32 times of each). It cannot exceed log N, and says little once it is
        near; 0 where there is nothing to predict.
    variance_per_dimension_ : ndarray of shape (n_layers, code_dim), float64
        Variance of each dimension of the frames of each layer, over series and time.
    active_units_ : ndarray of shape (n_layers,), int64
        Dimensions whose variance is above .01, as of a `VAE`. It speaks of use only where the
        KL gives dimensions a scale, with ``beta > 0``.
    correlation_ : ndarray of shape (n_layers, code_dim, code_dim), float64
        Correlations between the dimensions of the frames of each layer, over series and time; of
        Gaussians those of their mixture, the aggregate posterior. 0 beside a dimension that never
        varies. Uncorrelated is not independent.
    kl_per_dimension_ : ndarray of shape (n_modules, code_dim), float64
        KL in nats between a module's Gaussian in one dimension and N(0, 1), mean over series and
        time. Only with ``beta > 0``.
    kl_ : ndarray of shape (n_modules,), float64
        The same, summed over dimensions. Only with ``beta > 0``.
    decoder_history_ : dict of str to list
        Losses of the decoders, ``layer_0_reconstruction`` and so on. Only after `fit_decoder`.
    history_ : dict of str to list
        ``step``, ``loss``, ``module_0_contrast``, with ``beta > 0`` ``module_0_kl``
        (times `beta`), and so on, ``lr``;
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
    CPCEncoder : All modules by one loss, with a context that remembers.
    SSLVQTokenizer : Discrete codes, from views instead of the future.

    Notes
    -----
    The loss of a module is the mean over steps k = 1..K and times t of::

        -log [ exp(z_(t+k)^T W_k z_t) / sum over N frames z of exp(z^T W_k z_t) ]
        + beta KL(q(z_t | x) || N(0, I)),

    the N frames being the right one and `n_negatives` others. The KL is summed over dimensions and
    averaged over frames and series, so that `beta` means the same for any length; the published
    code of V-GIM sums over time. Test time takes means.

    ``log N - loss`` is a lower bound of the information only where negatives are drawn
    independently of the context. Here, as in the papers, they are drawn from the whole batch, and
    1 in `batch_size` comes from the series of the context; telling it apart is harder as a rule.

    Departures from the paper [1]_: c_t is z_t in all modules, with no recurrence in the last;
    frames are normalised one by one, without statistics over time; a module is one convolution
    over two strides and a linear layer; Gaussians start with deviations of about exp(-2);
    negatives are shared by the contexts of a step, the
    positive left out exactly; and where there are many contexts, 512 of each step are drawn.

    With ``train="joint"`` modules share one thing: the limit of the gradient is that of all of them
    together. ``net_params={"gradient_clip": None}`` takes it away.

    A call of `partial_fit` trains all modules, whatever `train` says.

    Information that is bounded this way need not be what a classifier wants: compare the layers
    (``layer=``) by cross-validation. Rows are not standardised; put a `StandardScaler` behind.

    References
    ----------
    .. [1] S. Löwe, P. O'Connor, B. S. Veeling, "Putting An End to End-to-End: Gradient-Isolated
       Learning of Representations", NeurIPS 2019. arXiv:1905.11786.
    .. [2] A. van den Oord, Y. Li, O. Vinyals, "Representation Learning with Contrastive Predictive
       Coding", 2018, equation 4. arXiv:1807.03748.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import GreedyInfoMaxEncoder
    >>> t = np.linspace(0, 6, 40)
    >>> X = np.sin(t + np.linspace(0, 3, 20)[:, None])
    >>> encoder = GreedyInfoMaxEncoder(n_modules=2, max_iter=30, random_state=0).fit(X)
    >>> encoder.transform(X).shape, encoder.transform(X, layer=0).shape
    ((20, 1344), (20, 1344))
    >>> bool((encoder.mutual_information_ < np.log(64 + 1)).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseEncoder._own_types,
        "train": [str],
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
        train: str = "joint",
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
        self.train = train
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

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.train not in TRAINS:
            raise ValueError(f"train must be 'joint' or 'greedy'; got {self.train!r}.")
        if self.train == "greedy" and self.validation_fraction > 0:
            raise ValueError(
                "validation_fraction must be 0 with train='greedy', since training that stops "
                f"early does not reach all modules; got {self.validation_fraction!r}. Use "
                "train='joint'."
            )
        if self.train == "greedy" and self.max_iter < self.n_modules:
            raise ValueError(
                f"max_iter must be at least n_modules, {self.n_modules}, with train='greedy', a "
                f"step for each module; got {self.max_iter!r}."
            )

    def _build(self) -> GreedyModel:
        n_channels, _ = self._series_shape
        counts = self._frame_counts()
        return GreedyModel(
            Scaler(n_channels, self.scaling),
            n_channels,
            int(self.code_dim),
            self._strides(),
            counts,
            self._steps(counts),
            self.beta > 0,
        )

    def _term_prefixes(self, n_losses: int) -> list[str]:
        return [f"module_{i}_" for i in range(n_losses)]

    def _n_stages(self) -> int:
        return int(self.n_modules) if self.train == "greedy" else 1
