"""BaseGenerator: a prior over the codes of a tokenizer, from which series are drawn."""

import numbers
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from torch import Tensor, nn

from vqssl._base import TorchEstimator
from vqssl._callbacks import with_callbacks
from vqssl._inner import fit_inner
from vqssl._memory import Portions
from vqssl._parts import resolve
from vqssl._precision import arithmetic, check_precision
from vqssl._seed import spawn_seeds
from vqssl._validation import (
    check_count,
    check_labels,
    check_probability,
    check_weight,
    warn_user,
)
from vqssl.backbones import PRIOR_BACKBONES, PriorBackbone, SequenceModule
from vqssl.generators._codes import CodeSpace, Prior, positions_of, shapes_of
from vqssl.generators._decoding import Draws
from vqssl.tokenizers import VQTokenizer

# Methods of a tokenizer that a generator needs.
_DOOR = ("fit", "encode", "decode")

# Numbers per feature of a token in the size of a batch: on the CPU about 512 tokens are worked
# on at a time, whose features stay in the cache of a core.
_FEATURE_COST = 0.5


class BaseGenerator(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, TorchEstimator
):
    """Base class of generators: a tokenizer and a prior over its codes.

    A tokenizer is anything with ``fit``, ``encode`` and ``decode`` that has ``code_sizes_``
    and ``token_groups_`` once fitted, and ``token_shape_`` where its tokens lie in images. A
    subclass builds the prior, draws codes from it and says how likely codes are.
    """

    _shaping: ClassVar[tuple[str, ...]] = ("backbone",)
    _sizes: ClassVar[tuple[str, ...]] = (
        "input_shape_",
        "classes_",
        "code_sizes_",
        "token_groups_",
        "token_shape_",
    )
    _causal: ClassVar[bool]
    _net_defaults: ClassVar[dict[str, Any]] = {"average_decay": 0.99}
    _own_types: ClassVar[dict[str, Any]] = {
        "tokenizer": "no_validation",  # checked by what it offers
        "backbone": [str, PriorBackbone],
        "class_dropout": [numbers.Real],
        "temperature": [numbers.Real],
        "guidance_scale": [numbers.Real],
    }

    tokenizer_: Any
    classes_: np.ndarray | None
    class_prior_: np.ndarray | None

    # Hooks of subclasses ------------------------------------------------------------------

    @abstractmethod
    def _build_prior(self, space: CodeSpace, trunk: SequenceModule, n_classes: int) -> Prior:
        """Return the prior around a network over tokens."""

    @abstractmethod
    def _draw(self, model: Any, labels: Tensor, draws: Draws) -> Tensor:
        """Return codes (B, N) drawn for classes (B,)."""

    @abstractmethod
    def _log_probabilities(self, model: Any, codes: Tensor, labels: Tensor) -> Tensor:
        """Return what each code adds to the log-likelihood given classes (B,), (B, N) in nats.

        A code is given the coarser groups and some of its own. float64, as sums follow.
        """

    # Fitting ------------------------------------------------------------------------------

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the tokenizer, unless it is frozen, then the prior over its codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Training series.
        y : array-like of shape (n_samples,), default=None
            Classes, on which the prior is then conditional.

        Returns
        -------
        self : object
            The fitted generator.

        Raises
        ------
        ValueError, TypeError
            If a parameter, `X` or `y` is not acceptable. An earlier fit stays usable.
        FloatingPointError
            If the loss became NaN or infinite. An earlier fit stays usable.
        """
        return self._fit_or_restore(X, y, go_on=False)

    @with_callbacks
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train the prior for one more pass over series, from its weights as they are.

        The first call fits the tokenizer and starts the prior as `fit` does; later ones
        leave the tokenizer and the set of classes alone.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Training series, of the shape of the earlier ones.
        y : array-like of shape (n_samples,), default=None
            Classes, all of them known from the first call; None where that had none.

        Returns
        -------
        self : object
            The fitted generator.

        Raises
        ------
        ValueError, TypeError
            If a parameter, `X` or `y` is not acceptable. An earlier fit stays usable.
        """
        return self._fit_or_restore(X, y, go_on=True)

    def _check_parameters(self) -> None:
        if self.tokenizer is not None:
            missing = [name for name in _DOOR if not hasattr(self.tokenizer, name)]
            if missing or isinstance(self.tokenizer, type):
                raise TypeError(
                    "tokenizer must be None or an estimator with fit, encode and decode, such as "
                    f"VQTokenizer(); got {self.tokenizer!r}, which lacks {', '.join(missing)}."
                    if missing
                    else f"tokenizer must be an instance, not a class; got {self.tokenizer!r}."
                )
        resolve(self.backbone, "backbone", PriorBackbone, PRIOR_BACKBONES).check()
        check_probability(self.class_dropout, "class_dropout", below_one=True)
        self._check_sampling()

    def _check_sampling(self) -> None:
        """Check what `sample` reads, which may have changed since `fit`."""
        check_precision(self.precision)
        check_weight(self.temperature, "temperature", positive=True)
        check_weight(self.guidance_scale, "guidance_scale")

    def _training_arrays(
        self, X: Any, y: Any, series: np.ndarray, seed: int, go_on: bool
    ) -> tuple[np.ndarray, ...]:
        labels = self._fit_labels(y, len(series), go_on)
        if not go_on:
            given, default = self.tokenizer, self._default_tokenizer()
            self.tokenizer_ = fit_inner(
                given, default, X, seed, "tokenizer", "a generator", self._inner_folder
            )
            self._take_sizes()
            self._score_seed = seed
        codes = self._encode(X, len(series))
        if not go_on:
            self._decode(codes[:1])  # an error should not come after training
        return codes, labels

    def _default_tokenizer(self) -> VQTokenizer:
        """What ``tokenizer=None`` stands for."""
        return VQTokenizer(difference_weight=0.5, device=self.device, verbose=self.verbose)

    def _take_sizes(self) -> None:
        sizes = np.asarray(getattr(self.tokenizer_, "code_sizes_", None))
        if sizes.dtype.kind not in "iu" or sizes.ndim != 1 or not (sizes > 0).all():
            raise ValueError(
                "tokenizer must have code_sizes_ once fitted, a count of codes for each token; "
                f"got {sizes.tolist()!r}."
            )
        self.code_sizes_ = sizes.astype(np.int64)
        self.n_tokens_ = len(sizes)
        every = [slice(0, self.n_tokens_)]
        self.token_groups_ = list(getattr(self.tokenizer_, "token_groups_", every))
        positions = positions_of(self.token_groups_, self.n_tokens_)
        shapes = shapes_of(getattr(self.tokenizer_, "token_shape_", None), positions)
        self.token_shape_ = shapes if len(shapes) > 1 else shapes[0]

    def _fit_labels(self, y: Any, n_samples: int, go_on: bool) -> np.ndarray:
        """Return class numbers (n,), zeros without classes."""
        if go_on:
            if (y is None) != (self.classes_ is None):
                raise ValueError(
                    "y must be given in all calls of partial_fit or in none; it was "
                    f"{'not ' if self.classes_ is None else ''}given in the first."
                )
            return self._label_numbers(y, n_samples)
        if y is None:
            self.classes_, self.class_prior_, self._knows_no_class = None, None, True
            return np.zeros(n_samples, dtype=np.int64)
        self.classes_, labels = _as_labels(y, n_samples)
        self.class_prior_ = np.bincount(labels) / n_samples
        if type_of_target(self.classes_) == "continuous":
            warn_user(
                "y holds continuous values; every one that occurs is taken for a class. Bin "
                "them, or leave y out."
            )
        self._knows_no_class = self.class_dropout > 0
        self._check_guidance()
        return labels

    def _encode(self, X: Any, n_samples: int) -> np.ndarray:
        """Return the codes of series, checked, as whoever wrote the tokenizer may be wrong."""
        codes = np.asarray(self.tokenizer_.encode(X))
        if codes.dtype.kind not in "iu" or codes.shape != (n_samples, self.n_tokens_):
            raise ValueError(
                f"tokenizer.encode must return integers of shape {(n_samples, self.n_tokens_)}; "
                f"got {codes.dtype} of shape {codes.shape}."
            )
        wrong = np.argwhere((codes < 0) | (codes >= self.code_sizes_))
        if len(wrong):
            sample, token = wrong[0]
            raise ValueError(
                f"tokenizer.encode must return codes in [0, {self.code_sizes_[token]}); got "
                f"{codes[sample, token]} at sample {sample}, token {token}."
            )
        return codes.astype(np.int64, copy=False)

    def _decode(self, codes: np.ndarray) -> np.ndarray:
        """Return the series of codes, with the shape that `fit` saw."""
        series = np.asarray(self.tokenizer_.decode(codes), dtype=np.float32)
        if series.size != len(codes) * self.n_features_in_:
            raise ValueError(
                f"tokenizer.decode must return series of shape {self.input_shape_}; got an array "
                f"of shape {series.shape} for {len(codes)} of them."
            )
        return self._as_given(series)

    def _strata(self, arrays: tuple[np.ndarray, ...]) -> np.ndarray | None:
        return None if self.classes_ is None else arrays[1]

    def _build(self) -> nn.Module:
        backbone = resolve(self.backbone, "backbone", PriorBackbone, PRIOR_BACKBONES)
        trunk = backbone.build(causal=self._causal)
        sizes = self.code_sizes_.tolist()
        space = CodeSpace(sizes, self.token_groups_, trunk.width, self.token_shape_)
        return self._build_prior(space, trunk, self._no_class)

    def _start(self, model: nn.Module, rows: np.ndarray, generator: torch.Generator) -> None:
        assert isinstance(model, Prior)
        codebooks = self._codebooks()
        if codebooks is not None:
            model.space.start([torch.tensor(c, dtype=torch.float32) for c in codebooks], generator)

    def _codebooks(self) -> list[np.ndarray] | None:
        """Vectors of the codes of each group of tokens, where the tokenizer has them."""
        given = getattr(self.tokenizer_, "codebook_", None)
        if given is None:
            return None
        codebooks = [np.asarray(c) for c in (given if isinstance(given, list) else [given])]
        positions = positions_of(self.token_groups_, self.n_tokens_)
        sizes = [int(self.code_sizes_[group].max()) for group in positions]
        # A tokenizer of the user's own may mean something else by that name.
        shapes = [c.shape[0] if c.ndim == 2 and c.dtype.kind == "f" else None for c in codebooks]
        return codebooks if shapes == sizes else None

    # Sampling -----------------------------------------------------------------------------

    def sample(self, n_samples: int = 1, y: Any = None, *, random_state: Any = None) -> np.ndarray:
        """Draw new series.

        Parameters
        ----------
        n_samples : int, default=1
            Number of series.
        y : label or array-like of shape (n_samples,), default=None
            One class for all series or one for each. None draws without a class.
        random_state : int, RandomState instance or None, default=None
            Decides what is drawn. Sample i of an int seed is the same whatever
            `n_samples` is, given the same class.

        Returns
        -------
        X : ndarray of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width), float32
            Series of the fitted shape, in the units of the training series.

        Raises
        ------
        ValueError, TypeError
            If `n_samples`, `y` or a parameter that is read here is not acceptable.
        """
        codes = self.sample_codes(n_samples, y, random_state=random_state)
        return self._decode(codes)

    def sample_codes(
        self, n_samples: int = 1, y: Any = None, *, random_state: Any = None
    ) -> np.ndarray:
        """Draw the codes of new series.

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
        codes : ndarray of shape (n_samples, n_tokens), int64
            ``0 <= codes[:, n] < code_sizes_[n]``.

        Raises
        ------
        ValueError, TypeError
            If `n_samples`, `y` or a parameter that is read here is not acceptable.
        """
        return self._draw_codes(n_samples, y, random_state, self._draw)

    def _draw_codes(
        self,
        n_samples: int,
        y: Any,
        random_state: Any,
        draw: Callable[[Any, Tensor, Draws], Tensor],
    ) -> np.ndarray:
        """Draw codes by ``draw(model, labels, draws)``, which gets some samples at a time.

        It returns them (B, N), and may be called again for some of them.
        """
        self._check_is_fitted()
        n_samples = check_count(n_samples, "n_samples")
        self._check_sampling()
        self._check_guidance()
        labels = torch.from_numpy(self._label_numbers(self._one_or_each(y, n_samples), n_samples))
        seed = spawn_seeds(random_state, 1)[0]
        codes = np.empty((n_samples, self.n_tokens_), dtype=np.int64)

        def draw_some(model: Any, rows: np.ndarray, draws: Draws) -> Tensor:
            return draw(model, labels[rows].to(draws.device), draws)

        self._draw_rows(draw_some, np.arange(n_samples), seed, codes)
        return codes

    def _draw_rows(
        self,
        draw: Callable[[Any, np.ndarray, Draws], Tensor],
        rows: np.ndarray,
        seed: int,
        codes: np.ndarray,
    ) -> None:
        """Write what ``draw(model, rows, draws)`` returns, (B, N), to some rows of `codes`.

        `rows` are numbers of samples, rising; `draw` gets some of them at a time.
        """
        model, device = self._placed_model()
        portions = Portions(self._rows_to_draw(device), device)
        with torch.inference_mode(), arithmetic(self.precision, device):
            for block in np.split(rows, np.flatnonzero(np.diff(rows // Draws.block_size)) + 1):

                def drawn(place: slice, fewest: int, block: np.ndarray = block) -> Tensor:
                    some = block[place]
                    draws = Draws(seed, some, self.n_tokens_, device)
                    return draw(model, some, draws).cpu()

                for place, some in portions.of(len(block), drawn):
                    codes[block[place]] = some.numpy()

    def _one_or_each(self, y: Any, n_samples: int) -> Any:
        """Repeat a single label `n_samples` times; leave anything else."""
        if y is None or (np.ndim(y) == 1 and not isinstance(y, str)):
            return y
        if np.ndim(y) == 0:
            return np.full(n_samples, y, dtype=np.asarray(y).dtype)
        raise ValueError(
            f"y must be one label or {n_samples} of them; got an array of shape {np.shape(y)}."
        )

    # Likelihood, features -----------------------------------------------------------------

    def score_samples(self, X: Any, y: Any = None) -> np.ndarray:
        """Return the log-likelihood of the codes of series.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.
        y : array-like of shape (n_samples,), default=None
            Classes. None asks for the likelihood without a class.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,), float32
            In nats per series, over the codes; divide by ``n_tokens_`` for nats per token.
            For a masked prior in one random order of the tokens, see its Notes.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` or `y` is not acceptable, or has series of another shape than `fit` saw.
        """
        return self._likelihoods(X, y, lambda log_p: log_p.sum(1))

    def score_groups(self, X: Any, y: Any = None) -> np.ndarray:
        """Return the log-likelihood of the codes of series, by group of tokens.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.
        y : array-like of shape (n_samples,), default=None
            Classes. None asks for the likelihood without a class.

        Returns
        -------
        log_likelihoods : ndarray of shape (n_samples, n_groups), float32
            In nats per series, over the codes of each of ``token_groups_``, given the coarser
            groups. They add up to `score_samples`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` or `y` is not acceptable, or has series of another shape than `fit` saw.
        """
        self._check_is_fitted()
        positions = positions_of(self.token_groups_, self.n_tokens_)
        return self._likelihoods(
            X, y, lambda log_p: torch.stack([log_p[:, group].sum(1) for group in positions], 1)
        )

    def _likelihoods(self, X: Any, y: Any, add: Callable[[Tensor], Tensor]) -> np.ndarray:
        """Log-likelihoods of the codes (B, N), as `add` adds them up."""
        codes = self._codes(X)
        rows = np.column_stack([codes, self._label_numbers(y, len(codes))])

        def log_likelihoods(model: Any, rows: Tensor) -> Tensor:
            return add(self._log_probabilities(model, rows[:, :-1], rows[:, -1])).float()

        return self._inference(log_likelihoods, rows)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-likelihood of the codes of series.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.
        y : array-like of shape (n_samples,), default=None
            Classes. None asks for the likelihood without a class.

        Returns
        -------
        score : float
            Mean of `score_samples`, in nats per series. Comparable between generators of
            one tokenizer only.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` or `y` is not acceptable, or has series of another shape than `fit` saw.

        Notes
        -----
        In cross-validation with classes, pass ``cv=StratifiedKFold(...)``: scikit-learn
        does so by itself for classifiers only, and a class that training did not have is
        an error here.
        """
        return float(self.score_samples(X, y).mean(dtype=np.float64))

    def transform(self, X: Any) -> np.ndarray:
        """Return features of series in the context of their codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        Z : ndarray of shape (n_samples, 2 * width), float32
            Mean and maximum over the tokens of what the prior's last block gives for all
            codes, without a class.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        codes = self._codes(X)
        self._check_knows_no_class("transform must work without classes")

        def features(model: Any, codes: Tensor) -> Tensor:
            h = model.hidden(codes, codes.new_full((len(codes),), model.no_class))  # (B, N, W)
            return torch.cat([h.mean(1), h.amax(1)], 1).float()

        # Means near zero are differences: in float32 they would vary with the batch size.
        return self._inference(features, codes, double=True)

    # Sizes, checks ------------------------------------------------------------------------

    def _codes(self, X: Any) -> np.ndarray:
        self._check_is_fitted()
        return self._encode(X, len(self._check_X(X, reset=False)))

    @property
    def _no_class(self) -> int:
        """Number that stands for no class: the number of classes."""
        return 0 if self.classes_ is None else len(self.classes_)

    @property
    def _n_features_out(self) -> int:
        return 2 * self.model_.trunk.width

    def _label_numbers(self, y: Any, n_samples: int) -> np.ndarray:
        """Numbers of known classes (n,), that of no class for None."""
        if y is None:
            self._check_knows_no_class("y must be given")
            return np.full(n_samples, self._no_class, dtype=np.int64)
        if self.classes_ is None:
            raise ValueError(
                f"y must be None: {type(self).__name__} was fitted without classes; got "
                f"{_listed(np.unique(np.asarray(y).astype(str)).tolist())}."
            )
        numbers_of = {label: number for number, label in enumerate(self.classes_.tolist())}
        if self.classes_.dtype.kind == "M":
            y = np.asarray(y).astype(self.classes_.dtype)  # any unit of time
        labels, inverse = _as_labels(y, n_samples)
        unknown = [label for label in labels.tolist() if label not in numbers_of]
        if unknown:
            raise ValueError(
                f"y must hold classes of the fit, {_listed(numbers_of)}; got {_listed(unknown)}. "
                "In cross-validation pass cv=StratifiedKFold(...)."
            )
        numbers = np.array([numbers_of[label] for label in labels.tolist()], dtype=np.int64)
        return numbers[inverse]

    def _check_knows_no_class(self, otherwise: str) -> None:
        if not self._knows_no_class:
            raise ValueError(
                f"{otherwise}: with class_dropout=0 the prior has not learned to go without a "
                "class. Fit with class_dropout=0.1."
            )

    def _check_guidance(self) -> None:
        if self.guidance_scale > 0 and not self._knows_no_class:
            raise ValueError(
                "guidance_scale must be 0 where class_dropout is 0: guidance needs what the prior "
                f"learns from series without their class; got {self.guidance_scale!r}."
            )

    def _row_cost(self) -> int:
        space = self.model_.space
        # Logits are made once, features many times over.
        widest = max(space.n_codes // 8, self.model_.trunk.width)
        return max(1, int(space.n_tokens * widest * _FEATURE_COST))

    def _rows_to_draw(self, device: torch.device) -> int:
        """Number of rows that `_draw` gets at a time, of at most a block of `Draws`."""
        return self._rows_at_once(device)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _as_labels(y: Any, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels that occur in `y`, sorted, and the place of each in them, int64.

    Raises
    ------
    ValueError
        If `y` has another shape or length, or holds NaN.
    TypeError
        If labels cannot be compared with each other.
    """
    y = check_labels(y, "y")
    if len(y) != n_samples:
        raise ValueError(f"y must have {n_samples} labels, one per series; got {len(y)}.")
    labels, inverse = np.unique(y, return_inverse=True)
    return labels, inverse.astype(np.int64)


def _listed(labels: Any, limit: int = 10) -> str:
    """The first labels, as text."""
    labels = list(labels)
    more = ", ..." if len(labels) > limit else ""
    return ", ".join(map(repr, labels[:limit])) + more
