"""Autoregressive prior (van den Oord et al. 2017, section 3.3) over codes, as a generator."""

import numbers
import os
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vqssl._base import TorchEstimator
from vqssl._validation import check_probability
from vqssl.backbones import Cache, PriorBackbone, SequenceModule
from vqssl.generators._base import BaseGenerator
from vqssl.generators._codes import CodeSpace, Prior, group_terms, log_probabilities
from vqssl.generators._decoding import Draws, draw_codes, soften
from vqssl.generators._guidance import drop_labels, extrapolate, is_guided, with_no_class

# Features of all tokens of all rows that are drawn together: some hundred megabytes of keys and
# values.
_KEPT_FEATURES = 2**23


class CausalPrior(Prior):
    """Causal network: a token is predicted from the class and the tokens before.

    Tokens come group by group, coarse to fine, whatever their places.
    """

    def hidden(
        self, codes: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Features that predict each token, (B, N) and (B,) -> (B, N, W)."""
        order, rank = self.space.order, self.space.rank
        label = self.classes(labels).unsqueeze(1)  # (B, 1, W)
        before = self.space.embed(codes)[:, order[:-1]]  # (B, N - 1, W)
        # The first token comes after the class alone, the others after a code; all are told
        # the class and the place of the token to come.
        h = torch.cat([torch.zeros_like(label), before], 1) + label + self.space.places(order)
        return self.trunk(h, generator, **self._where(order))[:, rank]

    def step(self, vectors: Tensor, i: int, cache: Cache) -> Tensor:
        """Logits (B, K of its group) of the i-th token.

        Parameters
        ----------
        vectors : Tensor of shape (B, W)
            Vector of the class plus, after the first token, that of the last code.
        i : int
            Place in the order of generation.
        cache : Cache
            What the network keeps of earlier steps.
        """
        position = self.space.in_order[i]
        h = vectors + self.space.places.weight[position]
        where = self._where(slice(position, position + 1))
        h = self.trunk(h.unsqueeze(1), cache=cache, **where).squeeze(1)  # (B, W)
        return self.space.logits_at(h, position)

    def _where(self, positions: Tensor | slice) -> dict[str, Tensor]:
        """Rows and columns of the tokens to come, where these lie in images."""
        coordinates = self.space.coordinates
        return {} if coordinates is None else {"coordinates": coordinates[positions]}


class CausalModelling(nn.Module):
    """Task: predict every code from the ones before."""

    def __init__(self, model: CausalPrior, class_dropout: float) -> None:
        super().__init__()
        self.model = model
        self.class_dropout = class_dropout

    def forward(
        self, codes: Tensor, labels: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        if self.training:
            labels = drop_labels(labels, self.class_dropout, self.model.no_class, generator)
        log_p = log_probabilities(self.model(codes, labels, generator), codes)  # (B, N)
        return group_terms("nll", -log_p / codes.shape[1], self.model.space)


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Set logits outside the nucleus to minus infinity.

    The nucleus is the smallest set of the likeliest codes whose probabilities sum to at
    least `top_p`; it is never empty.

    Parameters
    ----------
    logits : Tensor of shape (..., K)
    top_p : float
        In (0, 1]; 1 keeps all.

    Returns
    -------
    logits : Tensor of shape (..., K)

    References
    ----------
    A. Holtzman et al., "The Curious Case of Neural Text Degeneration", ICLR 2020,
    section 3.1.
    """
    if top_p >= 1:
        return logits
    ordered, place = logits.softmax(-1).sort(dim=-1, descending=True, stable=True)
    # A code is outside when those before it are enough; the first has none before it.
    outside = ordered.cumsum(-1) - ordered >= top_p
    outside[..., 0] = False
    return logits.masked_fill(torch.zeros_like(outside).scatter(-1, place, outside), -torch.inf)


class AutoregressiveGenerator(BaseGenerator):
    """Generator of series and images by an autoregressive prior over codes.

    A causal network learns to predict each code of a tokenizer from the ones before and the
    class. Sampling draws one code after the other; the tokenizer makes series of them. Its
    likelihoods are exact: the yardstick for the rate of a tokenizer.

    Parameters
    ----------
    tokenizer : estimator, default=None
        What makes codes of series: an estimator with ``fit``, ``encode`` and ``decode`` that
        has ``code_sizes_`` and ``token_groups_`` once fitted, and ``token_shape_`` where its
        tokens lie in images. A clone of it is fitted. Inside
        ``sklearn.frozen.FrozenEstimator`` it is used as it is. None is
        ``VQTokenizer(difference_weight=0.5)``.
    backbone : str or PriorBackbone, default="transformer"
        Network over the tokens: a key of `vqssl.backbones.PRIOR_BACKBONES` or a part.
    class_dropout : float, default=0.1
        Share of the training series whose class is hidden, in [0, 1): from them the prior
        learns to draw without a class, which guidance needs, too. With 0 it cannot.
    temperature : float, default=1.0
        Divides the logits in `sample`: below 1 likely codes become likelier.
    top_p : float, default=1.0
        `sample` draws from the smallest set of likeliest codes that together have this
        probability, in (0, 1].
    guidance_scale : float, default=1.0
        w of classifier-free guidance in `sample` with a class: logits are
        (1 + w) l(class) - w l(no class). 0 draws from the prior as it is, more exaggerates
        what tells the class from others, at the cost of variety.
    lr : float, default=2e-3
        Largest learning rate of AdamW; it warms up and then follows a cosine to zero.
    max_iter : int, default=500
        Number of optimizer steps of the prior. Every step learns from all tokens, so it needs
        fewer than a masked prior, and overfits sooner.
    batch_size : int, default=64
        Series per step, at most as many as there are.
    validation_fraction : float, default=0.0
        Share of the series held out of training the prior, by class where there are classes; none
        of fewer than four. Above 0, training stops when the held-out loss has not fallen for ten
        periods, and the best weights are kept: worth it where a prior would learn few series by
        heart. On 300 series or more it made samples worse, since it stops before the learning rate
        has fallen.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is one, else the CPU.
    precision : {"float32", "bfloat16"}, default="float32"
        Arithmetic of training and of sampling; scores and features are always in float32 or
        float64.
    checkpoint_dir : str, os.PathLike or None, default=None
        Folder for checkpoints, one `fit` at a time: after a crash, `fit` with the same
        parameters and series goes on from the last one, on the CPU to the same bits. It is
        removed at the end. `callbacks` start anew; `partial_fit` writes none.
    callbacks : list of skorch callbacks, default=None
        Called while the prior trains; copies are, the given ones stay as they are. An epoch
        is a period of up to 50 steps.
    net_params : dict, default=None
        Arguments for the skorch net, for example ``{"gradient_clip": 0.5}``. ``n_threads``
        is the number of CPU threads of training, 1 by default; another number rounds
        differently.
    random_state : int, RandomState instance or None, default=None
        Decides everything that is drawn in `fit`, and seeds a tokenizer that has no
        `random_state` of its own. The same int gives the same bits on the CPU.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line per period.

    Attributes
    ----------
    model_ : torch.nn.Module
        The prior, on the CPU in evaluation mode.
    tokenizer_ : object
        The fitted tokenizer.
    classes_ : ndarray of shape (n_classes,) or None
        Known classes, sorted; None after a fit without `y`.
    class_prior_ : ndarray of shape (n_classes,) or None
        Their shares of the training set, in the first call of `partial_fit`.
    code_sizes_ : ndarray of shape (n_tokens,), int64
        Size of the vocabulary at each token position, from the tokenizer.
    token_groups_ : list of slice
        Slices of the token axis, coarse to fine, from the tokenizer.
    token_shape_ : tuple of int or list of these
        (n_tokens,); of images rows and columns of tokens, from the tokenizer. A list where there
        are several groups.
    n_tokens_ : int
        N, tokens per series.
    history_ : dict of str to list
        ``step``, ``loss``, ``nll`` (one per group of tokens where there are
        several), ``lr`` and, with held-out series, ``valid_loss``, one
        entry per period. Losses are in nats per token; those of several groups add up to
        that.
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
    MaskGITGenerator : Draws many codes at a step.

    Notes
    -----
    The sequence begins with the class (or "no class"), then come the tokens, group by group
    where there are several. The loss is the negative log-likelihood of a code, mean over
    tokens and series. `score_samples` is its sum over the tokens, exact, in nats. Sampling
    keeps keys and values of earlier tokens, so that its cost per token grows linearly.

    What is kept is a moving average of the weights over the steps (``valid_loss`` is its own,
    ``loss`` that of the weights in training); ``net_params={"average_decay": None}`` keeps the
    last weights.

    Departures from the paper: a transformer in place of its convolutional network.

    References
    ----------
    A. van den Oord, O. Vinyals, K. Kavukcuoglu, "Neural Discrete Representation
    Learning", NeurIPS 2017, section 3.3.

    Examples
    --------
    >>> from vqssl import AutoregressiveGenerator, VQTokenizer
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> X, y = make_cylinder_bell_funnel(60, random_state=0)
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=50)
    >>> generator = AutoregressiveGenerator(tokenizer, max_iter=20, random_state=0).fit(X, y)
    >>> generator.sample(5, y="bell", random_state=0).shape
    (5, 128)
    >>> generator.score_samples(X[:2], y[:2]).shape
    (2,)
    """

    _causal: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseGenerator._own_types,
        "top_p": [numbers.Real],
        **TorchEstimator._parameter_constraints,
    }

    def __init__(
        self,
        tokenizer: Any = None,
        *,
        backbone: str | PriorBackbone = "transformer",
        class_dropout: float = 0.1,
        temperature: float = 1.0,
        top_p: float = 1.0,
        guidance_scale: float = 1.0,
        lr: float = 2e-3,
        max_iter: int = 500,
        batch_size: int = 64,
        validation_fraction: float = 0.0,
        device: str | torch.device = "auto",
        precision: str = "float32",
        checkpoint_dir: str | os.PathLike[str] | None = None,
        callbacks: Any = None,
        net_params: dict[str, Any] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.tokenizer = tokenizer
        self.backbone = backbone
        self.class_dropout = class_dropout
        self.temperature = temperature
        self.top_p = top_p
        self.guidance_scale = guidance_scale
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

    def _rows_to_draw(self, device: torch.device) -> int:
        # One token of each row at a time, so that there should be many rows, as far as what is
        # kept of the earlier tokens leaves room.
        n_tokens = self.model_.space.n_tokens
        most = _KEPT_FEATURES // (n_tokens * self.model_.trunk.width)
        return max(1, min(n_tokens * self._rows_at_once(device), most))

    def _build_prior(self, space: CodeSpace, trunk: SequenceModule, n_classes: int) -> Prior:
        return CausalPrior(space, trunk, n_classes)

    def _task(self, model: nn.Module, batch_size: int) -> nn.Module:
        assert isinstance(model, CausalPrior)
        return CausalModelling(model, float(self.class_dropout))

    def _check_sampling(self) -> None:
        super()._check_sampling()
        check_probability(self.top_p, "top_p")
        if self.top_p == 0:
            raise ValueError("top_p must be a number in (0, 1]; got 0.")

    def _draw(self, model: Any, labels: Tensor, draws: Draws) -> Tensor:
        u = draws.codes(0)  # (B, N)
        scale = float(self.guidance_scale)
        guided = is_guided(labels, model.no_class, scale)
        label = model.classes(with_no_class(labels, model.no_class) if guided else labels)
        codes = torch.zeros_like(u, dtype=torch.int64)
        cache = Cache(self.n_tokens_)
        vectors = label  # (B, W), or (2 B, W) with guidance
        for i, position in enumerate(model.space.in_order):
            logits = model.step(vectors, i, cache)
            if guided:
                logits = extrapolate(logits, scale)
            logits = nucleus(soften(logits, float(self.temperature)), float(self.top_p))
            codes[:, position] = draw_codes(logits, u[:, position])
            drawn = model.space.embed_at(codes[:, position], position)  # (B, W)
            vectors = label + (drawn.repeat(2, 1) if guided else drawn)
        return codes

    def _log_probabilities(self, model: Any, codes: Tensor, labels: Tensor) -> Tensor:
        return log_probabilities(model(codes, labels), codes).double()
