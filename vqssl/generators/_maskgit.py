"""MaskGIT (Chang et al. 2022) as a generator of series and images."""

import numbers
import os
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vqssl._base import TorchEstimator
from vqssl._seed import make_generator
from vqssl._steps import Budget
from vqssl._validation import check_count, check_probability, check_weight
from vqssl.backbones import PriorBackbone, SequenceModule
from vqssl.generators._codes import CodeSpace, Prior, log_probabilities
from vqssl.generators._decoding import MASK, ORDERS, SCHEDULES, Draws, fill
from vqssl.generators._guidance import guide
from vqssl.generators._imputation import BaseImputingGenerator
from vqssl.generators._masked import MaskedModelling, MaskedPrior
from vqssl.generators._surprise import even_masks

# Of `max_iter="auto"`.
_BUDGET = Budget(passes=512, least=1000, most=3000)
# Series of more tokens take a prior more steps; up to so many `least` is enough.
_TOKENS_OF_LEAST = 32


class MaskGITGenerator(BaseImputingGenerator):
    """Generator of series and images by a masked prior over codes (MaskGIT).

    A bidirectional network learns to predict masked codes of a tokenizer from the visible
    ones and the class. Sampling starts with all codes masked and reveals them over a few
    steps, many at a time; the tokenizer makes series of them.

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
    label_smoothing : float, default=0.0
        Share of the target given to all codes alike, in [0, 1).
    schedule : {"cosine", "linear", "square", "cubic"}, default="cosine"
        Share gamma(r) of masked tokens at progress r: cos(pi r / 2), 1 - r, 1 - r**2 or
        1 - r**3. Read by `fit`, for the masks of training, and by `sample`.
    order : {"halton", "confidence", "random"}, default="halton"
        Which tokens `sample` reveals first. "halton": far from each other, by the van der
        Corput sequence, in images by the Halton sequence [3]_, from a random token on.
        "confidence": likely ones, as in the paper; prefers common series. "random": any.
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
    max_iter : int or "auto", default="auto"
        Number of optimizer steps of the prior. "auto" is 512 passes over the training series,
        but at least 1,000 steps, with more than 32 tokens in proportion to them, and at most
        3,000.
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
        **BaseImputingGenerator._own_types,
        "label_smoothing": [numbers.Real],
        "schedule": [str],
        "order": [str],
        "n_steps": [numbers.Integral],
        "choice_temperature": [numbers.Real],
        **TorchEstimator._parameter_constraints,
        "max_iter": [numbers.Integral, str],
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
        max_iter: int | str = "auto",
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
        self.checkpoint_dir = checkpoint_dir
        self.callbacks = callbacks
        self.net_params = net_params
        self.random_state = random_state
        self.verbose = verbose

    def _count_steps(self, n_samples: int) -> int:
        # Not known yet where only `max_iter` is checked.
        n_tokens = max(getattr(self, "n_tokens_", 0), _TOKENS_OF_LEAST)
        budget = _BUDGET._replace(least=_BUDGET.least * n_tokens // _TOKENS_OF_LEAST)
        return budget.steps(self.max_iter, n_samples, self._whole_batch_size)

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

    def score_tokens(self, X: Any, y: Any = None) -> np.ndarray:
        """Return how well every token is predicted by the others: a map of what is unusual.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.
        y : array-like of shape (n_samples,), default=None
            Classes. None asks for what is usual without a class.

        Returns
        -------
        log_probability : ndarray of shape (n_samples, n_tokens), float32
            In nats, the lower the more surprising. Token n stands for the time points
            ``tokenizer_.token_spans_[n]``, for tokenizers of vqssl.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` or `y` is not acceptable, or has series of another shape than `fit` saw.

        See Also
        --------
        AnomalyDetector : Finds whole series that are unlike the others.

        Notes
        -----
        Log-probabilities of a token while a quarter, a half, three quarters and all of its
        group are masked, it among them; their mean. Every token is masked equally often at
        each size, by masks that are fixed by `random_state` and the same for all series.
        Coarser groups are visible, finer ones are not. The sum over tokens estimates the
        order-agnostic bound on the log-likelihood (see Notes of the class) from these four sizes;
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
        masks = list(even_masks(self.model_.space, make_generator(self._score_seed)))

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

    def sample_steps(
        self, n_samples: int = 1, y: Any = None, *, random_state: Any = None
    ) -> np.ndarray:
        """Draw the codes of new series, and tell what is known of them after every step.

        Parameters
        ----------
        n_samples : int, default=1
            Number of series.
        y : label or array-like of shape (n_samples,), default=None
            One class for all series or one for each. None draws without a class.
        random_state : int, RandomState instance or None, default=None
            Decides what is drawn; see `sample`.

        Returns
        -------
        codes : ndarray of shape (n_steps + 1, n_samples, n_tokens), int64
            -1 where a code is not known yet: everywhere at first, nowhere at last, where they
            are what `sample_codes` returns. The steps of all groups of tokens follow each other.

        Raises
        ------
        ValueError, TypeError
            If `n_samples`, `y` or a parameter that is read here is not acceptable.

        Examples
        --------
        >>> from vqssl import MaskGITGenerator, VQTokenizer
        >>> from vqssl.datasets import make_cylinder_bell_funnel
        >>> X, _ = make_cylinder_bell_funnel(60, random_state=0)
        >>> tokenizer = VQTokenizer(n_codes=16, max_iter=50)
        >>> generator = MaskGITGenerator(tokenizer, n_steps=4, max_iter=20, random_state=0).fit(X)
        >>> steps = generator.sample_steps(random_state=0)
        >>> (steps[:, 0] == -1).sum(1).tolist()
        [32, 30, 23, 13, 0]
        """
        parts = []

        def draw(model: Any, labels: Tensor, draws: Draws) -> Tensor:
            codes = labels.new_full((len(labels), self.n_tokens_), MASK)
            steps = [codes]
            drawn = self._fill(model, codes, codes == MASK, labels, draws, steps.append)
            parts.append(torch.stack(steps).cpu().numpy())
            return drawn

        self._draw_codes(n_samples, y, random_state, draw)
        return np.concatenate(parts, axis=1)

    # Hooks --------------------------------------------------------------------------------

    def _draw(self, model: Any, labels: Tensor, draws: Draws) -> Tensor:
        codes = labels.new_full((len(labels), self.n_tokens_), MASK)
        return self._fill(model, codes, codes == MASK, labels, draws)

    def _fill(
        self,
        model: Any,
        codes: Tensor,
        unknown: Tensor,
        labels: Tensor,
        draws: Draws,
        after_step: Callable[[Tensor], None] | None = None,
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
                grid=model.space.grid(number),
                after_step=after_step,
            )
            codes = torch.where(inside, drawn, codes)
        return codes

    def _log_probabilities(self, model: Any, codes: Tensor, labels: Tensor) -> Tensor:
        generator = make_generator(self._score_seed)
        found = torch.zeros(codes.shape, dtype=torch.float64, device=codes.device)
        unknown = torch.ones_like(codes[0], dtype=torch.bool)  # (N,)
        for positions in model.space.positions:
            for place in torch.randperm(len(positions), generator=generator).tolist():
                token = positions[place]
                at = torch.full_like(codes[:, :1], token)
                h = model.hidden(codes.masked_fill(unknown, MASK), labels, at=at)  # (B, 1, W)
                log_p = model.space.logits_at(h.squeeze(1), token).log_softmax(-1)
                found[:, token] = log_p.gather(1, codes[:, token, None]).squeeze(1)
                unknown[token] = False
        return found
