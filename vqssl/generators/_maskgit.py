"""MaskGIT (Chang et al. 2022) as a generator of series."""

import contextlib
import numbers
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vqssl._base import TorchEstimator
from vqssl._seed import integers, make_generator, spawn_seeds, uniform
from vqssl._validation import check_count, check_probability, check_weight
from vqssl.backbones import PriorBackbone, SequenceModule
from vqssl.generators._base import BaseGenerator
from vqssl.generators._codes import (
    CodeSpace,
    Prior,
    group_terms,
    log_probabilities,
    positions_of,
)
from vqssl.generators._decoding import MASK, ORDERS, SCHEDULES, Draws, count_masked, fill
from vqssl.generators._gaps import cells, interpolate, touched
from vqssl.generators._guidance import drop_labels, guide

# Times that the tokens of a series with gaps are made and drawn.
_IMPUTATION_ROUNDS = 3

# Of `score_tokens`: sizes of the masks.
_MASK_SIZES = 4


class MaskedPrior(Prior):
    """Bidirectional network: a token is predicted from all that are not masked."""

    def hidden(
        self,
        codes: Tensor,
        labels: Tensor,
        generator: torch.Generator | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        """Features of the tokens, (B, N) and (B,) -> (B, N, W), or of those `at` names."""
        label = self.classes(labels).unsqueeze(1)  # (B, 1, W)
        h = self.space.embed(codes) + self.space.places.weight + label  # (B, N, W)
        # A token of its own, too: all tokens can look at it, whatever is masked.
        h = torch.cat([label, h], 1)
        return self.trunk(h, generator)[:, 1:] if at is None else self.trunk(h, at=at + 1)

    def predict(self, codes: Tensor, labels: Tensor, at: Tensor) -> Tensor:
        """Logits (B, M, K) of the tokens `at` (B, M) alone, which is cheaper."""
        return self.space.logits(self.hidden(codes, labels, at=at), at)


class MaskedModelling(nn.Module):
    """Task: predict masked codes from the others (equation 1)."""

    def __init__(
        self, model: MaskedPrior, schedule: str, class_dropout: float, label_smoothing: float
    ) -> None:
        super().__init__()
        self.model = model
        self.schedule = schedule
        self.class_dropout = class_dropout
        self.label_smoothing = label_smoothing

    def forward(
        self, codes: Tensor, labels: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        space = self.model.space
        masked, hidden = self._masks(codes, generator)
        smoothing = 0.0
        if self.training:
            labels = drop_labels(labels, self.class_dropout, self.model.no_class, generator)
            smoothing = self.label_smoothing
        logits = self.model(codes.masked_fill(hidden, MASK), labels, generator)
        losses = masked_cross_entropy(logits, codes, masked, space.forbidden, smoothing)
        return group_terms("masked_nll", losses, space)

    def _masks(self, codes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Which tokens are predicted, and which are not seen, (B, N) both.

        A group is drawn for each series, as often as its share of the tokens; finer groups
        are not seen, coarser ones are.
        """
        space, n_rows = self.model.space, len(codes)
        token = integers(space.n_tokens, (n_rows,), generator, codes)
        group = space.group[token].unsqueeze(1)  # (B, 1)
        ratio = spread_uniform(n_rows, generator, codes)
        count = count_masked(ratio, space.group_size[token], self.schedule).clamp(min=1)
        inside = space.group == group  # (B, N)
        u = uniform(codes.shape, generator, codes.float())
        ranks = u.masked_fill(~inside, 2.0).argsort(1).argsort(1)
        masked = inside & (ranks < count.unsqueeze(1))
        return masked, masked | (space.group > group)


def spread_uniform(n: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), one in each n-th of the interval, in random order.

    Each of them is uniform by itself; together they leave no gap, which takes noise from the
    gradient (Kingma et al. 2021, appendix I.1).
    """
    cells = torch.randperm(n, generator=generator, device=generator.device).to(like.device)
    return (cells + uniform((n,), generator, like.float())) / n


def masked_cross_entropy(
    logits: Tensor, codes: Tensor, masked: Tensor, forbidden: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of masked tokens, divided by their number in the series.

    Parameters
    ----------
    logits : Tensor of shape (B, N, K)
    codes : Tensor of shape (B, N), int64
    masked : Tensor of shape (B, N), bool
        At least one in every row.
    forbidden : Tensor of shape (N, K), bool
        Codes that a token cannot have.
    label_smoothing : float, default=0.0
        Weight of the mean over the codes of a token, in place of the true one.

    Returns
    -------
    losses : Tensor of shape (B, N)
        In nats; zero where a token is visible. Sums over tokens are means over masked ones.
    """
    losses = -log_probabilities(logits, codes)  # (B, N)
    if label_smoothing > 0:
        allowed = (~forbidden).sum(1)  # (N,)
        mean = -logits.log_softmax(-1).masked_fill(forbidden, 0.0).sum(2) / allowed
        losses = (1 - label_smoothing) * losses + label_smoothing * mean
    return losses.masked_fill(~masked, 0.0) / masked.sum(1, keepdim=True)


@contextlib.contextmanager
def _without_names() -> Iterator[None]:
    """Filled series are arrays, also where those of the fit had columns with names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        yield


class MaskGITGenerator(BaseGenerator):
    """Generator of series by a masked prior over codes (MaskGIT).

    A bidirectional network learns to predict masked codes of a tokenizer from the visible
    ones and the class. Sampling starts with all codes masked and reveals them over a few
    steps, many at a time; the tokenizer makes series of them.

    Parameters
    ----------
    tokenizer : estimator, default=None
        What makes codes of series: an estimator with ``fit``, ``encode`` and ``decode`` that
        has ``code_sizes_`` and ``token_groups_`` once fitted. A clone of it is fitted. Inside
        ``sklearn.frozen.FrozenEstimator`` it is used as it is. None is `SSLVQTokenizer`.
    backbone : str or PriorBackbone, default="transformer"
        Network over the tokens: a key of `vqssl.backbones.PRIOR_BACKBONES` or a part.
    class_dropout : float, default=0.1
        Share of the training series whose class is hidden, in [0, 1): from them the prior
        learns to draw without a class, which guidance needs, too. With 0 it cannot.
    label_smoothing : float, default=0.0
        Share of the target given to all codes alike, in [0, 1).
    schedule : {"cosine", "linear", "square", "cubic"}, default="cosine"
        Share gamma(r) of masked tokens at progress r: cos(pi r / 2), 1 - r, 1 - r**2 or
        1 - r**3. Read by `fit`, for the masks of training, and by `sample`.
    order : {"halton", "confidence", "random"}, default="halton"
        Which tokens `sample` reveals first. "halton": far from each other, by the van der
        Corput sequence from a random token on. "confidence": likely ones, as in the paper;
        prefers common series. "random": any.
    n_steps : int, default=12
        Steps of `sample` for each group of tokens; no more than there are tokens.
    temperature : float, default=1.0
        Divides the logits in `sample`: below 1 likely codes become likelier.
    choice_temperature : float, default=4.5
        Weight of the Gumbel noise on the log-probability in ``order="confidence"``; it falls
        linearly to zero over the steps.
    guidance_scale : float, default=1.0
        w of classifier-free guidance in `sample` with a class: logits are
        (1 + w) l(class) - w l(no class). 0 draws from the prior as it is, more exaggerates
        what tells the class from others, at the cost of variety.
    lr : float, default=2e-3
        Largest learning rate of AdamW; it warms up and then follows a cosine to zero.
    max_iter : int, default=1000
        Number of optimizer steps of the prior.
    batch_size : int, default=64
        Series per step, at most as many as there are.
    validation_fraction : float, default=0.0
        Share of the series held out of training the prior, by class where there are classes.
        Above 0, training stops when the held-out loss has not fallen for ten periods, and the
        best weights are kept: worth it where a prior would learn few series by heart. On 300
        series or more it made samples worse, since it stops before the learning rate has
        fallen.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is one, else the CPU.
    precision : {"float32", "bfloat16"}, default="float32"
        Arithmetic of training and of sampling; scores and features are always in float32 or
        float64.
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
    n_tokens_ : int
        N, tokens per series.
    history_ : dict of str to list
        ``step``, ``loss``, ``masked_nll`` (one per group of tokens where there
        are several), ``lr`` and, with held-out series, ``valid_loss``, one
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
    AutoregressiveGenerator : Exact likelihoods; one step per token.

    Notes
    -----
    In training each series has a ratio r, uniform in (0, 1), and ceil(gamma(r) N) masked
    tokens. The loss is the cross-entropy of masked tokens only, mean over those of a series,
    then over series. With several groups of tokens, one of them is drawn per series by its
    share of the tokens; coarser groups are visible, finer ones are not, as in `sample`,
    which draws group by group.

    `score_samples` is the log-likelihood of the codes when they are revealed one at a time, in
    one random order, fixed by `random_state` and the same for all series. Its mean over orders
    is the order-agnostic bound [2]_: N times the mean log-probability of masked codes, averaged
    over the sizes 1, ..., N of the mask, which is at most the log-likelihood over all orders. A
    prior whose predictions agree with each other gives the same for every order, the exact
    log-likelihood, so it is comparable with that of `AutoregressiveGenerator`. It takes N
    passes of the network, so its cost per series grows with N squared and more.

    What is kept is a moving average of the weights over the steps (``valid_loss`` is its own,
    ``loss`` that of the weights in training); ``net_params={"average_decay": None}`` keeps the
    last weights.

    Departures from the paper: the default order, since keeping the most confident tokens
    does not draw from the distribution that was learned, even if that is exact; guidance;
    ratios of a batch are spread evenly over (0, 1); and `temperature` divides logits, while
    the paper's temperature is `choice_temperature`.

    References
    ----------
    .. [1] H. Chang et al., "MaskGIT: Masked Generative Image Transformer", CVPR 2022.
    .. [2] E. Hoogeboom et al., "Autoregressive Diffusion Models", ICLR 2022, equation 4.
    .. [3] V. Besnier et al., "Halton Scheduler For Masked Generative Image Transformer",
       ICLR 2025.

    Examples
    --------
    >>> from vqssl import MaskGITGenerator, VQTokenizer
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> X, y = make_cylinder_bell_funnel(60, random_state=0)
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=50)
    >>> generator = MaskGITGenerator(tokenizer, max_iter=20, random_state=0).fit(X, y)
    >>> generator.sample(5, y="bell", random_state=0).shape
    (5, 128)
    >>> generator.score_samples(X[:2], y[:2]).shape
    (2,)
    """

    _causal: ClassVar[bool] = False
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseGenerator._own_types,
        "label_smoothing": [numbers.Real],
        "schedule": [str],
        "order": [str],
        "n_steps": [numbers.Integral],
        "choice_temperature": [numbers.Real],
        **TorchEstimator._parameter_constraints,
    }

    def __init__(
        self,
        tokenizer: Any = None,
        *,
        backbone: str | PriorBackbone = "transformer",
        class_dropout: float = 0.1,
        label_smoothing: float = 0.0,
        schedule: str = "cosine",
        order: str = "halton",
        n_steps: int = 12,
        temperature: float = 1.0,
        choice_temperature: float = 4.5,
        guidance_scale: float = 1.0,
        lr: float = 2e-3,
        max_iter: int = 1000,
        batch_size: int = 64,
        validation_fraction: float = 0.0,
        device: str | torch.device = "auto",
        precision: str = "float32",
        callbacks: Any = None,
        net_params: dict[str, Any] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.tokenizer = tokenizer
        self.backbone = backbone
        self.class_dropout = class_dropout
        self.label_smoothing = label_smoothing
        self.schedule = schedule
        self.order = order
        self.n_steps = n_steps
        self.temperature = temperature
        self.choice_temperature = choice_temperature
        self.guidance_scale = guidance_scale
        self.lr = lr
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.device = device
        self.precision = precision
        self.callbacks = callbacks
        self.net_params = net_params
        self.random_state = random_state
        self.verbose = verbose

    def _build_prior(self, space: CodeSpace, trunk: SequenceModule, n_classes: int) -> Prior:
        return MaskedPrior(space, trunk, n_classes)

    def _task(self, model: nn.Module, batch_size: int) -> nn.Module:
        assert isinstance(model, MaskedPrior)
        return MaskedModelling(
            model, self.schedule, float(self.class_dropout), float(self.label_smoothing)
        )

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_probability(self.label_smoothing, "label_smoothing", below_one=True)

    def _check_sampling(self) -> None:
        super()._check_sampling()
        check_count(self.n_steps, "n_steps")
        check_weight(self.choice_temperature, "choice_temperature")
        for name, choices in (("schedule", sorted(SCHEDULES)), ("order", ORDERS)):
            if getattr(self, name) not in choices:
                names = ", ".join(map(repr, choices))
                raise ValueError(f"{name} must be one of {names}; got {getattr(self, name)!r}.")

    # Filling gaps -------------------------------------------------------------------------

    def impute(
        self, X: Any, n_draws: int = 1, *, y: Any = None, random_state: Any = None
    ) -> np.ndarray:
        """Fill the gaps of series with what the prior draws, given what is observed.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints) or \
(n_samples, n_channels, n_timepoints)
            Series of the fitted shape; NaN marks what is missing. Where a time point is
            missing in some channels, the observed ones count, too.
        n_draws : int, default=1
            Number of answers for each series. Their spread tells how sure the prior is; their
            mean has a smaller error than any of them, but is smoother than a series.
        y : array-like of shape (n_samples,), default=None
            Classes of the series, where they are known.
        random_state : int, RandomState instance or None, default=None
            Decides what is drawn. What series i of an int seed gets does not depend on the
            other series but for rounding, nor draw j on how many there are.

        Returns
        -------
        X : ndarray of shape (n_samples, n_timepoints) or \
(n_samples, n_channels, n_timepoints); with ``n_draws`` above 1 one axis more, (n_draws, ...)
            The series without gaps. Observed points are as they were given, bit by bit, in
            their own floating-point dtype (float32 for integers).

        Raises
        ------
        ValueError, TypeError
            If `X`, `y`, `n_draws` or a parameter that is read here is not acceptable, or the
            tokenizer scales every series by itself: its codes do not tell level and size.

        Notes
        -----
        Gaps are filled linearly at first, the tokens whose time points touch a gap are masked
        and drawn as in `sample`, and the decoded series fills the gaps. Twice more the tokens
        are made of the filled series, since what fills a gap reaches into the tokens beside
        it, and those of the gap are drawn anew.

        Examples
        --------
        >>> import numpy as np
        >>> from vqssl import MaskGITGenerator, VQTokenizer
        >>> from vqssl.datasets import make_cylinder_bell_funnel
        >>> X, _ = make_cylinder_bell_funnel(60, random_state=0)
        >>> tokenizer = VQTokenizer(n_codes=16, max_iter=50)
        >>> generator = MaskGITGenerator(tokenizer, max_iter=20, random_state=0).fit(X)
        >>> X[0, 40:70] = np.nan
        >>> generator.impute(X[:1], n_draws=5, random_state=0).shape
        (5, 1, 128)
        """
        self._check_is_fitted()
        n_draws = check_count(n_draws, "n_draws")
        series = self._check_X(X, reset=False, allow_gaps=True)
        with _without_names():
            return self._impute(series, n_draws, y, random_state)

    def complete(
        self,
        X: Any,
        horizon: int,
        n_draws: int = 1,
        *,
        y: Any = None,
        random_state: Any = None,
    ) -> np.ndarray:
        """Go on with series: draw their last time points, given the first ones.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_observed) or (n_samples, n_channels, n_observed)
            Beginnings of series, ``n_observed = n_timepoints - horizon``. Series of all
            ``n_timepoints`` are accepted, too; their last `horizon` points are not looked at.
        horizon : int
            Number of time points to draw, from 1 to ``n_timepoints``.
        n_draws : int, default=1
            Number of answers for each series.
        y : array-like of shape (n_samples,), default=None
            Classes of the series, where they are known.
        random_state : int, RandomState instance or None, default=None
            Decides what is drawn; see `impute`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_timepoints) or \
(n_samples, n_channels, n_timepoints); with ``n_draws`` above 1 one axis more, (n_draws, ...)
            Whole series: the given beginnings as they are, then what was drawn.

        Raises
        ------
        ValueError, TypeError
            As `impute`; or if `X` and `horizon` do not make series of the fitted length.

        Examples
        --------
        >>> from vqssl import MaskGITGenerator, VQTokenizer
        >>> from vqssl.datasets import make_cylinder_bell_funnel
        >>> X, _ = make_cylinder_bell_funnel(60, random_state=0)
        >>> tokenizer = VQTokenizer(n_codes=16, max_iter=50)
        >>> generator = MaskGITGenerator(tokenizer, max_iter=20, random_state=0).fit(X)
        >>> generator.complete(X[:2, :96], horizon=32, random_state=0).shape
        (2, 128)
        """
        self._check_is_fitted()
        n_draws = check_count(n_draws, "n_draws")
        length = self._series_shape[1]
        horizon = check_count(horizon, "horizon")
        if horizon > length:
            raise ValueError(f"horizon must be at most {length}, the fitted length; got {horizon}.")
        if isinstance(X, Tensor):
            X = X.detach().cpu()
            X = X.float() if X.dtype == torch.bfloat16 else X  # which numpy does not have
        X = np.asarray(X)
        whole = X.ndim == len(self.input_shape_) + 1 and X.shape[-1] in (length, length - horizon)
        if not whole:
            raise ValueError(
                f"X must have {length - horizon} time points, or {length} of which the last "
                f"{horizon} are ignored, and {len(self.input_shape_) + 1} axes; got an array of "
                f"shape {X.shape}."
            )
        dtype = X.dtype if X.dtype.kind == "f" else np.float32
        series = np.full((len(X), *self.input_shape_), np.nan, dtype)
        series[..., : length - horizon] = X[..., : length - horizon]
        with _without_names():
            series = self._check_X(series, reset=False, allow_gaps=True)
            return self._impute(series, n_draws, y, random_state)

    def _impute(self, series: np.ndarray, n_draws: int, y: Any, random_state: Any) -> np.ndarray:
        """Fill NaN in series (n, C, L)."""
        if getattr(self.tokenizer_, "scaling", None) == "series":
            raise ValueError(
                "tokenizer must not have scaling='series' for impute and complete: level and "
                "size of a series are not in its codes. Use scaling='dataset'."
            )
        self._check_sampling()
        self._check_guidance()
        labels = torch.from_numpy(self._label_numbers(y, len(series)))
        if series.dtype.kind != "f":
            series = series.astype(np.float32)
        missing = np.isnan(series)
        rows = np.flatnonzero(missing.any((1, 2)))
        result = np.repeat(self._as_given(series)[None], n_draws, axis=0)
        if len(rows) > 0:
            masked = np.zeros((len(series), self.n_tokens_), dtype=bool)
            masked[rows] = touched(missing[rows].any(1), self._spans())
            for draw, seed in enumerate(spawn_seeds(random_state, n_draws)):
                filled = self._filled(series, rows, masked, labels, seed)
                result[draw][rows] = self._as_given(filled)
        return result[0] if n_draws == 1 else result

    def _filled(
        self, series: np.ndarray, rows: np.ndarray, masked: np.ndarray, labels: Tensor, seed: int
    ) -> np.ndarray:
        """Return one answer for the series numbered `rows`, (len(rows), C, L)."""
        given = series[rows]
        filled = interpolate(given)
        codes = np.empty(masked.shape, dtype=np.int64)

        def draw(model: Any, some: np.ndarray, draws: Draws) -> Tensor:
            known = torch.from_numpy(codes[some]).to(draws.device)
            unknown = torch.from_numpy(masked[some]).to(draws.device)
            return self._fill(model, known, unknown, labels[some].to(draws.device), draws)

        for round_seed in spawn_seeds(seed, _IMPUTATION_ROUNDS):
            codes[rows] = self._encode(self._as_given(filled), len(rows))
            self._draw_rows(draw, rows, round_seed, codes)
            decoded = self._decode(codes[rows]).reshape(given.shape)
            filled = np.where(np.isnan(given), decoded, given).astype(given.dtype)
        return filled

    def _spans(self) -> np.ndarray:
        """Time points [start, stop) of every token, (N, 2)."""
        length = self._series_shape[1]
        spans = getattr(self.tokenizer_, "token_spans_", None)
        if spans is None:  # a tokenizer of the user's own
            return cells(positions_of(self.token_groups_, self.n_tokens_), length)
        return np.asarray(spans)

    # Surprise -----------------------------------------------------------------------------

    def score_tokens(self, X: Any, y: Any = None) -> np.ndarray:
        """Return how well every token is predicted by the others: a map of what is unusual.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints) or \
(n_samples, n_channels, n_timepoints)
            Series of the fitted shape.
        y : array-like of shape (n_samples,), default=None
            Classes. None asks for what is usual without a class.

        Returns
        -------
        log_probability : ndarray of shape (n_samples, n_tokens), float32
            In nats, the lower the more surprising. Token n stands for the time points
            ``tokenizer_.token_spans_[n]``, for tokenizers of vqssl.

        See Also
        --------
        AnomalyDetector : Finds whole series that are unlike the others.

        Notes
        -----
        Log-probabilities of a token while a quarter, a half, three quarters and all of its
        group are masked, it among them; their mean. Every token is masked equally often at
        each size, by masks that are fixed by `random_state` and the same for all series.
        Coarser groups are visible, finer ones are not. The sum over tokens estimates the
        order-agnostic bound on the log-likelihood [2]_ from these four sizes;
        `score_samples` estimates it from one order.

        Examples
        --------
        >>> from vqssl import MaskGITGenerator, VQTokenizer
        >>> from vqssl.datasets import make_cylinder_bell_funnel
        >>> X, _ = make_cylinder_bell_funnel(60, random_state=0)
        >>> tokenizer = VQTokenizer(n_codes=16, max_iter=50)
        >>> generator = MaskGITGenerator(tokenizer, max_iter=20, random_state=0).fit(X)
        >>> generator.score_tokens(X[:2]).shape
        (2, 32)
        """
        codes = self._codes(X)
        rows = np.column_stack([codes, self._label_numbers(y, len(codes))])
        masks = list(self._score_masks())

        def log_probability(model: Any, rows: Tensor) -> Tensor:
            codes, labels = rows[:, :-1], rows[:, -1]
            total = torch.zeros(codes.shape, dtype=torch.float64, device=codes.device)
            for masked, hidden, weight in masks:
                at = masked.to(codes.device).expand(len(codes), -1)  # (B, M)
                seen = codes.masked_fill(hidden.to(codes.device), MASK)
                found = log_probabilities(model.predict(seen, labels, at), codes.gather(1, at))
                total.scatter_add_(1, at, weight * found.double())
            return total.float()

        # Sums over tokens are compared with a threshold: in float32 they would vary with the
        # batch size.
        return self._inference(log_probability, rows, double=True)

    def _score_masks(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yield the tokens of a mask (M,), what is not seen (N,), and the weight of the mask."""
        generator = make_generator(self._score_seed)
        space = self.model_.space
        for number, positions in enumerate(space.positions):
            n = len(positions)
            n_sizes = min(_MASK_SIZES, n)
            edges = [i * n // n_sizes for i in range(2 * n_sizes)]  # of parts, twice around
            finer = space.group > number
            order = torch.tensor(positions)[torch.randperm(n, generator=generator)].repeat(2)
            for size in range(1, n_sizes + 1):
                # Of `size` neighbouring parts each: a token is in `size` of these masks.
                n_masks, times = (n_sizes, size) if size < n_sizes else (1, 1)
                for start in range(n_masks):
                    masked = order[edges[start] : edges[start + size]]
                    hidden = finer.clone()
                    hidden[masked] = True
                    yield masked, hidden, 1 / (times * n_sizes)

    # Hooks --------------------------------------------------------------------------------

    def _draw(self, model: Any, labels: Tensor, draws: Draws) -> Tensor:
        codes = labels.new_full((len(labels), self.n_tokens_), MASK)
        return self._fill(model, codes, codes == MASK, labels, draws)

    def _fill(
        self, model: Any, codes: Tensor, unknown: Tensor, labels: Tensor, draws: Draws
    ) -> Tensor:
        """Draw the unknown codes (B, N) group by group; finer groups are not seen, as in fit."""
        predict = guide(model.predict, labels, model.no_class, float(self.guidance_scale))
        codes = codes.masked_fill(unknown, MASK)
        for number in range(len(model.space.groups)):
            inside, finer = model.space.group == number, model.space.group > number  # (N,)
            drawn = fill(
                predict,
                codes.masked_fill(finer, MASK),
                unknown & inside,
                draws,
                n_steps=int(self.n_steps),
                schedule=self.schedule,
                order=self.order,
                temperature=float(self.temperature),
                choice_temperature=float(self.choice_temperature),
            )
            codes = torch.where(inside, drawn, codes)
        return codes

    def _log_likelihood(self, model: Any, codes: Tensor, labels: Tensor) -> Tensor:
        generator = make_generator(self._score_seed)
        total = torch.zeros(len(codes), dtype=torch.float64, device=codes.device)
        unknown = torch.ones_like(codes[0], dtype=torch.bool)  # (N,)
        for positions in model.space.positions:
            for place in torch.randperm(len(positions), generator=generator).tolist():
                token = positions[place]
                at = torch.full_like(codes[:, :1], token)
                h = model.hidden(codes.masked_fill(unknown, MASK), labels, at=at)  # (B, 1, W)
                log_p = model.space.logits_at(h.squeeze(1), token).log_softmax(-1)
                total += log_p.gather(1, codes[:, token, None]).squeeze(1)
                unknown[token] = False
        return total
