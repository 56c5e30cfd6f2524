"""BaseEncoder: what every encoder offers over a model that predicts its own future frames."""

import numbers
import random
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from vqssl._base import TorchEstimator
from vqssl._batches import filled
from vqssl._posterior import count_active
from vqssl._scaler import check_scaling
from vqssl._validation import check_count, check_weight, warn_user
from vqssl.backbones._compression import check_compression
from vqssl.encoders._contrast import Candidates, judged_contrast
from vqssl.encoders._inspection import InspectionMixin
from vqssl.encoders._modules import (
    EncoderModel,
    automatic_compression,
    frame_counts,
    split_compression,
)
from vqssl.encoders._moments import Moments
from vqssl.encoders._pooling import pool, pooled_width
from vqssl.encoders._task import FutureContrast


class BaseEncoder(
    InspectionMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, TorchEstimator
):
    """Base class of encoders that learn by predicting their own future frames.

    A subclass builds an `EncoderModel`, whose layers all have `code_dim` numbers per frame.
    """

    _shaping: ClassVar[tuple[str, ...]] = (
        "beta",
        "n_modules",
        "code_dim",
        "n_predictions",
        "compression",
        "scaling",
    )
    _own_types: ClassVar[dict[str, list[Any]]] = {
        "beta": [numbers.Real],
        "n_modules": [numbers.Integral],
        "code_dim": [numbers.Integral],
        "n_predictions": [numbers.Integral],
        "n_negatives": [numbers.Integral],
        "compression": [str, numbers.Integral],
        "scaling": [str, None],
        "layer": [numbers.Integral, None],
    }

    _takes_images: ClassVar[bool] = False

    beta: float
    n_modules: int
    code_dim: int
    n_predictions: int
    n_negatives: int
    compression: int | str
    scaling: str | None
    layer: int | None

    mutual_information_: np.ndarray
    active_units_: np.ndarray
    correlation_: np.ndarray
    variance_per_dimension_: np.ndarray
    kl_: np.ndarray
    kl_per_dimension_: np.ndarray

    @abstractmethod
    def _term_prefixes(self, n_losses: int) -> list[str]:
        """What the terms of each loss begin with."""

    def transform(self, X: Any, layer: int | None = None) -> np.ndarray:
        """Return the frames of a layer, pooled over time.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints) or \
(n_samples, n_channels, n_timepoints)
            Series of the fitted shape.
        layer : int or None, default=None
            Which layer, from 0, the lowest; None is the parameter `layer` of the estimator.

        Returns
        -------
        Z : ndarray of shape (n_samples, 21 * code_dim), float32
            Mean, maximum and deviation over the whole, its halves and its quarters, not
            standardised. The
            width does not depend on the length.

        Raises
        ------
        ValueError, TypeError
            If there is no such layer.
        """
        series = self._series(X)
        layer = self._check_layer(layer)
        return self._inference(lambda model, x: pool(model.embed(x, layer)), series)

    def embed(self, X: Any, layer: int | None = None) -> np.ndarray:
        """Return the frames of a layer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints) or \
(n_samples, n_channels, n_timepoints)
            Series of the fitted shape.
        layer : int or None, default=None
            Which layer, as of `transform`.

        Returns
        -------
        frames : ndarray of shape (n_samples, n_frames, code_dim), float32
            With ``beta > 0`` the means of their Gaussians.

        Raises
        ------
        ValueError, TypeError
            If there is no such layer.
        """
        series = self._series(X)
        layer = self._check_layer(layer)
        return self._inference(lambda model, x: model.embed(x, layer), series)

    def score(self, X: Any, y: Any = None) -> float:
        """Return how much contexts tell of future frames, in nats.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints) or \
(n_samples, n_channels, n_timepoints)
            Series of the fitted shape.
        y : None
            Ignored; here for scikit-learn's pipelines.

        Returns
        -------
        score : float
            The bound of `mutual_information_` for these series, mean over losses. Negatives are
            drawn from frames of `X`, the same at every call; their number, and the steps
            predicted, decide what can be reached, so scores compare at equal `n_negatives` and
            `n_predictions` only.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        return float(self._bounds(self._series(X)).mean())

    # What the frames hold -----------------------------------------------------------------

    def _bounds(self, series: np.ndarray) -> np.ndarray:
        """Log N - InfoNCE of each loss over series (n, C, L), with candidates from all of them."""
        check_count(self.n_negatives, "n_negatives")  # which may have changed since `fit`
        steps = self.model_.steps()
        drawn = [self._candidates(series, loss) if k > 0 else None for loss, k in enumerate(steps)]
        totals = np.zeros(len(steps))

        def sums(model: Any, x: Tensor, place: slice, fewest: int) -> list[float]:
            n_series = len(x)
            found = [0.0] * len(steps)
            for loss, outcome in enumerate(model.outcomes(model.scaler(filled(x, fewest)), None)):
                given = drawn[loss]
                if given is None:
                    continue
                candidates = Candidates(*(part.to(x.device) for part in given))
                losses = judged_contrast(
                    outcome.context[:n_series],
                    outcome.frames[:n_series],
                    model.predictions_of(loss),
                    place.start,
                    candidates,
                )
                found[loss] = float(losses.double().sum())
            return found

        with torch.inference_mode():
            for _, found in self._by_batches(sums, series):
                totals += found
        n_choices = [self._count_choices(len(series), loss) for loss in range(len(steps))]
        return np.log(n_choices) - totals / len(series)

    def _count_choices(self, n_series: int, loss: int) -> int:
        """Frames that the right one is told from, and itself: a candidate makes room for it."""
        if self.model_.steps()[loss] == 0:
            return 1
        return min(int(self.n_negatives) + 1, n_series * self.model_.loss_frames[loss])

    def _candidates(self, series: np.ndarray, loss: int) -> Candidates:
        """Frames of a loss from all over series (n, C, L), the same at every call."""
        n_frames = self.model_.loss_frames[loss]
        total = len(series) * n_frames
        n_drawn = self._count_choices(len(series), loss)
        places = np.array(random.Random(self._judge_seed).sample(range(total), n_drawn))
        rows, where = np.unique(places // n_frames, return_inverse=True)

        def frames_of(model: EncoderModel, x: Tensor) -> Tensor:
            for i, outcome in enumerate(model.outcomes(model.scaler(x), None)):
                if i == loss:
                    return outcome.frames
            raise AssertionError("a model has as many outcomes as losses")

        frames = self._inference(frames_of, series[rows])[where, places % n_frames]
        return Candidates(torch.from_numpy(frames), torch.from_numpy(places))

    def _describe(self, series: np.ndarray) -> None:
        """Variance and correlation of each layer over series and time, KL of each Gaussian."""

        def sums(model: EncoderModel, x: Tensor, place: slice, fewest: int) -> list[Moments]:
            layers = model.layers(model.scaler(filled(x, fewest)))
            return [Moments.of(layer, len(x)) for layer in layers]

        with torch.inference_mode():
            batches = [found for _, found in self._by_batches(sums, series)]
        layers = [Moments.total(parts) for parts in zip(*batches, strict=True)]
        self.variance_per_dimension_ = np.stack([layer.variance() for layer in layers])
        self.active_units_ = count_active(self.variance_per_dimension_)
        self.correlation_ = np.stack([layer.correlation() for layer in layers])
        if self._architecture["beta"] > 0:

            def divergences(model: EncoderModel, x: Tensor) -> Tensor:
                outcomes = model.outcomes(model.scaler(x), None)
                return torch.stack([outcome.posterior.kl().mean(1) for outcome in outcomes], 1)

            self.kl_per_dimension_ = self._inference(divergences, series).mean(0, np.float64)
            self.kl_ = self.kl_per_dimension_.sum(1)

    # Building -----------------------------------------------------------------------------

    def _strides(self) -> list[int]:
        """Stride of each module."""
        length = self._series_shape[1]
        given = self.compression
        compression = automatic_compression(length) if given == "auto" else int(given)
        return split_compression(compression, int(self.n_modules))

    def _steps(self, counts: list[int]) -> list[int]:
        """Steps that can be predicted where there are so many frames."""
        return [min(int(self.n_predictions), count - 1) for count in counts]

    def _frame_counts(self) -> list[int]:
        return frame_counts(self._series_shape[1], self._strides())

    def _check_parameters(self) -> None:
        check_weight(self.beta, "beta")
        for name in ("n_modules", "code_dim", "n_predictions", "n_negatives"):
            check_count(getattr(self, name), name)
        check_compression(self.compression)
        check_scaling(self.scaling)
        if self.layer is not None:
            check_count(self.layer, "layer", minimum=0)

    def _start(self, model: nn.Module, series: np.ndarray, generator: torch.Generator) -> None:
        assert isinstance(model, EncoderModel)
        self._check_layer(None, model)
        model.scaler.start(series)
        short = [count for count in model.loss_frames if count < 2]
        if short:
            warn_user(
                f"Series of {series.shape[2]} time points have a single frame in {len(short)} of "
                f"{len(model.loss_frames)} modules: there is nothing to predict, and they learn "
                "nothing. Lower compression, or take longer series.",
                ConvergenceWarning,
            )

    def _task(self, model: nn.Module, batch_size: int) -> nn.Module:
        assert isinstance(model, EncoderModel)
        names = self._term_prefixes(len(model.predictions))
        return FutureContrast(model, names, int(self.n_negatives), float(self.beta))

    def _finish(self, series: np.ndarray, generator: torch.Generator, go_on: bool) -> None:
        for name in ("kl_", "kl_per_dimension_", "_decoder_weights", "decoder_history_"):
            # Of an earlier fit.
            self.__dict__.pop(name, None)
        self._judge_seed = int(torch.randint(2**31, (), generator=generator))
        self._describe(series)
        self.mutual_information_ = self._bounds(series)
        n_losses = len(self.mutual_information_)
        self._n_choices = [self._count_choices(len(series), loss) for loss in range(n_losses)]

    # Sizes, checks ------------------------------------------------------------------------

    def _check_layer(self, layer: int | None, model: EncoderModel | None = None) -> int:
        """Number of the layer that is asked for, of the fitted model or of one not yet trained."""
        n_layers = len((self.model_ if model is None else model).frame_counts)
        layer = self.layer if layer is None else layer
        if layer is None:
            return n_layers - 1
        check_count(layer, "layer", minimum=0)
        if layer >= n_layers:
            raise ValueError(
                f"layer must be below {n_layers}, the number of layers, or None for the last; "
                f"got {layer!r}."
            )
        return int(layer)

    @property
    def _n_features_out(self) -> int:
        return pooled_width(self._code_size)

    def _series(self, X: Any) -> np.ndarray:
        self._check_is_fitted()
        return self._check_X(X, reset=False)

    def _row_cost(self) -> int:
        # The lowest module has more numbers than a series.
        frames = self.model_.frame_counts[0] * self._architecture["code_dim"]
        return max(super()._row_cost(), frames // 8)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
