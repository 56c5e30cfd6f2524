"""TokenizerClassifier: the encoder of a tokenizer or autoencoder, fine-tuned with labels."""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._base import TorchEstimator
from vqssl._inner import fit_inner
from vqssl._validation import kind_of
from vqssl.classifiers._base import BaseClassifier
from vqssl.tokenizers import SSLVQTokenizer

# Means and maxima are taken over the whole series, its halves and its quarters, of images along
# each side, so that the classifier knows about where something happens.
_PARTS = (1, 2, 4)

# By the number of axes that tokens lie along.
_POOLS: dict[int, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    1: (F.adaptive_avg_pool1d, F.adaptive_max_pool1d),
    2: (F.adaptive_avg_pool2d, F.adaptive_max_pool2d),
}


class FineTuned(nn.Module):
    """Encoder, pools over parts of the series or image, linear layer; its own task.

    Parameters
    ----------
    encoder : torch.nn.Module
        The model of a tokenizer or an autoencoder.
    code_dim : int
        D, dimension of its latents.
    n_classes : int
        Classes.
    token_shapes : sequence of tuple of int
        Of each group of tokens: (N,), or rows and columns of the tokens of images.
    """

    encoder: Any

    def __init__(
        self,
        encoder: nn.Module,
        code_dim: int,
        n_classes: int,
        token_shapes: Sequence[tuple[int, ...]],
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.token_shapes = list(token_shapes)
        n_windows = sum(parts ** len(shape) for shape in token_shapes for parts in _PARTS)
        width = 2 * n_windows * code_dim
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, n_classes)

    def forward(
        self, x: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Cross-entropy in nats, mean over series (B, C, L) of classes (B,)."""
        return {"cross_entropy": F.cross_entropy(self.logits(x), labels)}

    def features(self, x: Tensor) -> Tensor:
        """Pools of the latents, (B, C, L) -> (B, W)."""
        tokens = self.encoder.latents(x).transpose(1, 2)  # (B, D, N)
        sizes = [math.prod(shape) for shape in self.token_shapes]
        pools = []
        for group, shape in zip(tokens.split(sizes, 2), self.token_shapes, strict=True):
            lying = group.unflatten(2, shape)  # (B, D, N), or (B, D, rows, columns)
            for pool in _POOLS[len(shape)]:
                pools += [pool(lying, n).flatten(1) for n in _PARTS]
        return self.norm(torch.cat(pools, 1))

    def logits(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class TokenizerClassifier(BaseClassifier):
    """Classifier of series and images: an encoder learned without labels, fine-tuned with them.

    A tokenizer or an autoencoder is fitted on the series, or one that has been fitted on more
    series than have labels is taken over; then its encoder is trained on, together with a
    linear layer, to tell classes apart. The other protocol leaves the encoder as it is and
    trains a classifier on what it gives: ``make_pipeline(tokenizer, SVC())``.

    Parameters
    ----------
    tokenizer : estimator, default=None
        What the encoder is taken from: a tokenizer or an autoencoder of vqssl. A clone of it is
        fitted, without labels. Inside ``sklearn.frozen.FrozenEstimator`` its encoder is taken
        over as it is; the estimator itself is not changed. None is `SSLVQTokenizer`.
    lr : float, default=1e-3
        Largest learning rate of AdamW, of encoder and linear layer alike; it warms up and then
        follows a cosine to zero.
    max_iter : int, default=400
        Number of optimizer steps of fine-tuning.
    batch_size : int, default=32
        Series per step, at most as many as there are.
    validation_fraction : float, default=0.0
        Share of the series held out of fine-tuning, of each class alike. Above 0, training
        stops when the held-out loss has not fallen for ten periods, and the best weights are
        kept.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is one, else the CPU.
    precision : {"float32", "bfloat16"}, default="float32"
        Arithmetic of fine-tuning; predictions are always made in float32.
    checkpoint_dir : str, os.PathLike or None, default=None
        Folder for checkpoints, one `fit` at a time: after a crash, `fit` with the same
        parameters and series goes on from the last one, on the CPU to the same bits. It is
        removed at the end. `callbacks` start anew; `partial_fit` writes none.
    callbacks : list of skorch callbacks, default=None
        Called during fine-tuning; copies are, the given ones stay as they are. An epoch is a
        period of up to 50 steps.
    net_params : dict, default=None
        Arguments for the skorch net, for example ``{"gradient_clip": 0.5}``. ``n_threads`` is
        the number of CPU threads of training, 1 by default; another number rounds differently.
    random_state : int, RandomState instance or None, default=None
        Decides everything that is drawn, and seeds a tokenizer that has no `random_state` of
        its own. The same int gives the same bits on the CPU.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line per period.

    Attributes
    ----------
    tokenizer_ : object
        The fitted tokenizer, as it was before fine-tuning.
    classes_ : ndarray of shape (n_classes,)
        Labels that the training set has, sorted.
    model_ : torch.nn.Module
        The fine-tuned network, on the CPU in evaluation mode.
    history_ : dict of str to list
        ``step``, ``loss``, ``cross_entropy`` in nats and ``lr`` of fine-tuning, one entry per
        period.
    n_iter_ : int
        Number of steps of fine-tuning taken.
    input_shape_ : tuple of int
        Shape of one training series.
    n_features_in_ : int
        Numbers in one training series.
    feature_names_in_ : ndarray of str
        Column names, where X was a data frame with string names.

    See Also
    --------
    FCNClassifier : A network that is trained with labels from the start.

    Notes
    -----
    The linear layer sees the means and the maxima of the continuous latents over the whole
    series, its halves and its quarters (of images the whole, its four quadrants and their
    sixteen), of a tokenizer with levels or bands those of each by itself, brought to one scale by
    layer normalisation; they are what `transform` returns.
    Codes are not used: no gradient goes through them. The loss is the cross-entropy, mean over
    series.

    References
    ----------
    T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A Simple Framework for Contrastive Learning
    of Visual Representations", ICML 2020, section 4 (the two protocols).

    Examples
    --------
    >>> from vqssl import TokenizerClassifier, VQTokenizer
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> X, y = make_cylinder_bell_funnel(60, length=64, random_state=0)
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=50)
    >>> classifier = TokenizerClassifier(tokenizer, max_iter=60, random_state=0).fit(X, y)
    >>> classifier.predict_proba(X).shape
    (60, 3)
    >>> classifier.score(X, y) > 0.9
    True

    Few labels, many series: the tokenizer learns from all of them.

    >>> from sklearn.frozen import FrozenEstimator
    >>> tokenizer.set_params(random_state=0)
    VQTokenizer(max_iter=50, n_codes=16, random_state=0)
    >>> frozen = FrozenEstimator(tokenizer.fit(X))
    >>> classifier = TokenizerClassifier(frozen, max_iter=60, random_state=0)
    >>> classifier.fit(X[:12], y[:12]).predict(X).shape
    (60,)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "tokenizer": "no_validation",  # checked by what it gives
        **TorchEstimator._parameter_constraints,
    }
    _sizes: ClassVar[tuple[str, ...]] = (*BaseClassifier._sizes, "tokenizer_")

    tokenizer_: Any

    def __init__(
        self,
        tokenizer: Any = None,
        *,
        lr: float = 1e-3,
        max_iter: int = 400,
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
        self.tokenizer = tokenizer
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
        inner = _unfrozen(self.tokenizer)
        if inner is None:
            return
        if not isinstance(inner, TorchEstimator) or not inner._gives_latents:
            raise TypeError(
                "tokenizer must be None, a tokenizer or an autoencoder of vqssl, such as "
                f"SSLVQTokenizer(), or one inside FrozenEstimator; got {self.tokenizer!r}."
            )

    def _training_arrays(
        self, X: Any, y: Any, series: np.ndarray, seed: int, go_on: bool
    ) -> tuple[np.ndarray, ...]:
        arrays = super()._training_arrays(X, y, series, seed, go_on)
        if not go_on:
            given, default = self.tokenizer, self._default_tokenizer()
            self.tokenizer_ = fit_inner(
                given, default, X, seed, "tokenizer", "a classifier", self._inner_folder
            )
            fitted = _unfrozen(self.tokenizer_)
            if fitted.input_shape_ != self.input_shape_:
                raise ValueError(
                    f"X has {kind_of(self.input_shape_)} of shape {self.input_shape_}, but the "
                    f"frozen tokenizer was fitted on {kind_of(fitted.input_shape_)} of shape "
                    f"{fitted.input_shape_}."
                )
        return arrays

    def _default_tokenizer(self) -> SSLVQTokenizer:
        """What ``tokenizer=None`` stands for."""
        return SSLVQTokenizer(device=self.device, verbose=self.verbose)

    def _build(self) -> FineTuned:
        fitted = _unfrozen(self.tokenizer_)
        model = fitted._build_again()
        return FineTuned(model, fitted._latent_size, len(self.classes_), fitted._token_shapes)

    def _start(self, model: nn.Module, series: np.ndarray, generator: torch.Generator) -> None:
        assert isinstance(model, FineTuned)
        model.encoder.load_state_dict(_unfrozen(self.tokenizer_).model_.state_dict())

    def _row_cost(self) -> int:
        return _unfrozen(self.tokenizer_)._row_cost()


def _unfrozen(estimator: Any) -> Any:
    """The estimator inside FrozenEstimator, or the estimator itself."""
    return estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator
