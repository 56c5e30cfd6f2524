"""BaseTokenizer: what every tokenizer offers over a model that encodes and decodes."""

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.metaestimators import available_if
from torch import Tensor, nn

from vqssl._base import TorchEstimator
from vqssl._batches import filled
from vqssl._progress import Figure, as_text
from vqssl._reconstruction import ReconstructionMixin
from vqssl._scaler import Scaler
from vqssl._share import Share, current_share
from vqssl.quantizers import Quantized, QuantizerModule
from vqssl.tokenizers._readout import (
    Axes,
    Reader,
    Standard,
    autocovariance_columns,
    block_weights,
    code_frequencies,
    code_reader,
    group_reader,
    latent_reader,
    place_columns,
    principal_axes,
    readout_width,
)

OUTPUTS = ("codes", "features", "histogram", "latent", "quantized")

# Deviations of a feature below this share of the largest are taken for no variation.
_NO_VARIATION = 1e-6


class TokenModel(nn.Module, ABC):
    """What the model of a tokenizer offers; series are in the units of X.

    Where a shape says (C, L), images have (C, H, W). Tokens lie side by side, those of images
    row by row, group after group as `token_groups` says; D is the same in all groups.
    """

    code_sizes: list[int]
    """Number of codes at each token position, length N."""

    token_groups: list[slice]
    """Slices of the token axis, coarse to fine."""

    token_shapes: list[tuple[int, ...]]
    """Tokens of each group along the axes of the input: (N,), or (rows, columns) of images."""

    token_spans: list[tuple[int, ...]]
    """Start and stop of the time points that each token stands for, length N; of images, of
    the rows, then of the columns."""

    scaler: Scaler
    """Standardises series; started before the codebooks."""

    @property
    @abstractmethod
    def codebooks(self) -> list[Tensor]:
        """Vectors of the codes of each token group, (K, D) each."""

    @abstractmethod
    def start(self, x: Tensor, generator: torch.Generator) -> None:
        """Place the codebooks by training series (n, C, L)."""

    @abstractmethod
    def latents(self, x: Tensor) -> Tensor:
        """Continuous latents, (B, C, L) -> (B, N, D)."""

    @abstractmethod
    def tokens(self, x: Tensor) -> Tensor:
        """Codes, (B, C, L) -> (B, N) int64."""

    def latents_and_tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both of them; a model that makes tokens of its latents encodes once for both."""
        return self.latents(x), self.tokens(x)

    @abstractmethod
    def lookup(self, codes: Tensor) -> Tensor:
        """Quantised vectors of codes, (B, N) -> (B, N, D)."""

    @abstractmethod
    def decode(self, vectors: Tensor) -> Tensor:
        """Series of quantised vectors, (B, N, D) -> (B, C, L)."""

    def reconstruct(self, x: Tensor) -> Tensor:
        """What codes give back, (B, C, L) -> (B, C, L)."""
        return self.decode(self.lookup(self.tokens(x)))


Method = TypeVar("Method", bound=Callable[..., Any])


def _can_invert(estimator: "BaseTokenizer") -> bool:
    return estimator.output in ("codes", "quantized")


# scikit-learn says nothing of types; the method keeps its own.
_available_if_invertible: Callable[[Method], Method] = available_if(_can_invert)


class BaseTokenizer(
    ReconstructionMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, TorchEstimator
):
    """Base class of tokenizers: series to codes and back.

    A subclass builds a `TokenModel` and says how many codes and dimensions it has.
    """

    _gives_latents: ClassVar[bool] = True

    codebook_: np.ndarray | list[np.ndarray]
    token_shape_: tuple[int, ...] | list[tuple[int, ...]]
    _readout_moments: "dict[str, Moments]"

    def encode(self, X: Any) -> np.ndarray:
        """Return the codes of series.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_tokens), int64
            ``0 <= codes[:, n] < code_sizes_[n]``.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        return self._inference(lambda model, x: model.tokens(x), self._series(X))

    def embed(self, X: Any) -> np.ndarray:
        """Return the quantised vector of every token.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        vectors : ndarray of shape (n_samples, n_tokens, code_dim), float32

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        return self._inference(lambda model, x: model.lookup(model.tokens(x)), self._series(X))

    def decode(self, codes: Any) -> np.ndarray:
        """Return the series of codes.

        Parameters
        ----------
        codes : array-like of int of shape (n_samples, n_tokens)
            ``0 <= codes[:, n] < code_sizes_[n]``.

        Returns
        -------
        X : ndarray of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width), float32
            Series of the fitted shape, in the units of the training series.

        Raises
        ------
        ValueError
            If `codes` has another shape or a code is out of range.
        TypeError
            If `codes` are not integers.
        """
        self._check_is_fitted()
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iu":
            raise TypeError(f"codes must be integers; got an array of {codes.dtype}.")
        return self._decode(self._check_codes(codes))

    def transform(self, X: Any) -> np.ndarray:
        """Return one row of numbers per series, as `output` says.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features_out), float32

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        series = self._series(X)
        self._check_output()
        return getattr(self, f"_{self.output}")(series)

    @_available_if_invertible
    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Return the reconstruction; exists for ``output="codes"`` and ``"quantized"``.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_features_out)
            What `transform` returned.

        Returns
        -------
        X : ndarray of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width), float32
            Series of the fitted shape, in the units of the training series.

        Raises
        ------
        ValueError
            If `Z` has another shape, holds NaN or infinity, or numbers that are no codes.
        """
        self._check_is_fitted()
        if isinstance(Z, Tensor):
            Z = Z.detach().cpu().numpy()
        Z = check_array(Z, dtype=[np.float64, np.float32], input_name="Z")
        if self.output == "codes":
            fractions = np.argwhere(np.round(Z) != Z)
            if len(fractions):
                sample, token = fractions[0]
                raise ValueError(
                    f"Z must hold codes, which are whole numbers; got {Z[sample, token]} at "
                    f"sample {sample}, token {token}."
                )
            return self._decode(self._check_codes(Z))
        shape = (self.n_tokens_, self._latent_size)
        if Z.shape[1] != shape[0] * shape[1]:
            raise ValueError(
                f"Z must have shape (n_samples, {shape[0] * shape[1]}); got {Z.shape}."
            )
        vectors = Z.reshape(len(Z), *shape)
        return self._as_given(self._inference(lambda model, z: model.decode(z), vectors))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Only compared with the names that `fit` saw.

        Returns
        -------
        names : ndarray of shape (n_features_out,), str objects
            The name of the class in lower case, and a number.

        Raises
        ------
        ValueError
            If `output` is unknown.
        """
        self._check_is_fitted()
        self._check_output()
        return super().get_feature_names_out(input_features)

    # Readouts -----------------------------------------------------------------------------

    def _features(self, series: np.ndarray) -> np.ndarray:
        return self._standardised("features", series)

    def _latent(self, series: np.ndarray) -> np.ndarray:
        return self._standardised("latent", series)

    def _quantized(self, series: np.ndarray) -> np.ndarray:
        return self._inference(lambda m, x: m.lookup(m.tokens(x)).flatten(1), series)

    def _codes(self, series: np.ndarray) -> np.ndarray:
        return self._inference(lambda model, x: model.tokens(x).float(), series)

    def _histogram(self, series: np.ndarray) -> np.ndarray:
        sizes = [len(codebook) for codebook in self._codebooks]

        def frequencies(model: Any, x: Tensor) -> Tensor:
            codes = model.tokens(x)
            groups = zip(self.token_groups_, sizes, strict=True)
            return torch.cat([code_frequencies(codes[:, group], k) for group, k in groups], 1)

        return self._inference(frequencies, series)

    def _standardised(self, output: str, series: np.ndarray) -> np.ndarray:
        scale = self._readout_scale[output]
        offset = -self._readout_moments[output][1] * scale
        standard = Standard.of(scale, offset)
        read = self._reader(output)
        rows = np.empty((len(series), len(scale)), np.float32)

        def read_batch(model: Any, x: Tensor, place: slice, fewest: int) -> None:
            encode = model.latents if output == "latent" else model.tokens
            tokens = encode(filled(x, fewest))[: len(x)]
            # Straight to their place: rows take far more memory than series.
            read(tokens, standard, torch.from_numpy(rows[place]))

        with torch.inference_mode():
            for _ in self._by_batches(read_batch, series):
                pass
        return rows

    def _reader(self, output: str) -> Reader:
        """Return what makes rows of codes ("features") or of latents ("latent")."""
        readers = []
        parts = zip(self._codebooks, self._axes, self._token_shapes, strict=True)
        for codebook, arrays, shape in parts:
            # Copies: arrays of an estimator that joblib maps from a file cannot be written to.
            axes = Axes(*map(torch.tensor, arrays))
            if output == "latent":
                readers.append(latent_reader(axes, shape))
            else:
                readers.append(code_reader(torch.tensor(codebook), axes, shape))
        return group_reader(readers, self.token_groups_, self._columns(output))

    def _fit_readout(self, series: np.ndarray, go_on: bool) -> np.ndarray:
        """Standardise the columns of the readouts by the training series, then weigh blocks.

        With `go_on`, by those of all calls of `partial_fit`, along the axes of the first.

        Returns
        -------
        codes : ndarray of shape (n, N), int64
            Of `series`.
        """
        if not go_on:
            self._axes = [principal_axes(codebook) for codebook in self._codebooks]
        codes, moments = self._training_statistics(series)
        if go_on:
            moments = {name: merge(self._readout_moments[name], moments[name]) for name in moments}
        self._readout_scale: dict[str, np.ndarray] = {}
        for output in ("features", "latent"):
            n_series, means, variances = moments[output]
            parts = []
            n_sides = len(self._token_shapes[0])
            for codebook, columns in zip(self._codebooks, self._columns(output), strict=True):
                variance, dim = variances[columns], codebook.shape[1]
                places = place_columns(dim, n_sides)
                if places.stop > places.start:
                    variance = variance.copy()
                    variance[places] = variance[places].mean()
                products = autocovariance_columns(dim, n_sides)
                constant = _is_constant(means[columns], variance, products)
                scale = np.where(constant, float(n_series < 2), 1 / np.sqrt(variance + constant))
                n_codes = len(codebook) if output == "features" else 0
                scale *= block_weights(dim, n_codes, n_sides)
                parts.append(scale.astype(np.float32))
            self._readout_scale[output] = np.concatenate(parts)
        self._readout_moments = moments
        return codes

    def _training_statistics(self, series: np.ndarray) -> tuple[np.ndarray, "dict[str, Moments]"]:
        """Codes of series, and moments of what features and latent pools are made from."""
        raw = {}
        for name in ("features", "latent"):
            width = self._columns(name)[-1].stop
            raw[name] = self._reader(name), Standard.of(np.ones(width), np.zeros(width))
        codes = np.empty((len(series), self.n_tokens_), np.int64)
        moments: dict[str, Moments] = {}

        def of_batch(model: Any, x: Tensor, place: slice, fewest: int) -> dict[str, Moments]:
            latents, tokens = model.latents_and_tokens(x)
            codes[place] = tokens.cpu().numpy()
            found = {}
            for name, some in (("features", tokens), ("latent", latents)):
                read, standard = raw[name]
                found[name] = moments_of(read(some, standard, None))
            return found

        with torch.inference_mode():
            # Batch by batch, as the readouts of all series may not fit into memory.
            for _, new in self._by_batches(of_batch, series):
                moments = {name: merge(moments[name], new[name]) for name in moments} or new
        return codes, moments

    # Sizes, checks ------------------------------------------------------------------------

    @property
    def _codebooks(self) -> list[np.ndarray]:
        """The vectors of all codes of each token group, (K, D) each."""
        return self.codebook_ if isinstance(self.codebook_, list) else [self.codebook_]

    @property
    def _token_shapes(self) -> list[tuple[int, ...]]:
        """Tokens of each group along the axes of the input; all have as many axes."""
        return self.token_shape_ if isinstance(self.token_shape_, list) else [self.token_shape_]

    @property
    def _latent_size(self) -> int:
        """D, dimension of a quantised vector."""
        return self._codebooks[0].shape[1]

    def _columns(self, output: str) -> list[slice]:
        """Columns of each token group in a readout of codes ("features") or of latents."""
        n_sides = len(self._token_shapes[0])
        widths = [
            readout_width(codebook.shape[1], len(codebook) if output == "features" else 0, n_sides)
            for codebook in self._codebooks
        ]
        stops = np.cumsum(widths).tolist()
        return [slice(stop - width, stop) for stop, width in zip(stops, widths, strict=True)]

    @property
    def _n_features_out(self) -> int:
        widths = {
            "codes": self.n_tokens_,
            "features": self._columns("features")[-1].stop,
            "histogram": sum(map(len, self._codebooks)),
            "latent": self._columns("latent")[-1].stop,
            "quantized": self.n_tokens_ * self._latent_size,
        }
        if self.output not in widths:
            # For hasattr, which dir() and representations of scikit-learn ask.
            raise AttributeError(f"There are no columns of output={self.output!r}.")
        return widths[self.output]

    def _row_cost(self) -> int:
        # Encoder and decoder work on tokens, of four points each by default up to 512.
        return max(4 * self.n_tokens_, super()._row_cost() // 4)

    def _series(self, X: Any) -> np.ndarray:
        self._check_is_fitted()
        return self._check_X(X, reset=False)

    def _check_output(self) -> None:
        if self.output not in OUTPUTS:
            names = ", ".join(map(repr, OUTPUTS))
            raise ValueError(f"output must be one of {names}; got {self.output!r}.")

    def _check_codes(self, codes: np.ndarray) -> np.ndarray:
        if codes.ndim != 2 or codes.shape[1] != self.n_tokens_ or len(codes) == 0:
            raise ValueError(
                f"codes must have shape (n_samples, {self.n_tokens_}); got {codes.shape}."
            )
        wrong = np.argwhere((codes < 0) | (codes >= self.code_sizes_))
        if len(wrong):
            sample, token = wrong[0]
            raise ValueError(
                f"codes must lie in [0, {self.code_sizes_[token]}); got "
                f"{codes[sample, token]:.10g} at sample {sample}, token {token}."
            )
        return codes.astype(np.int64)

    def _decode(self, codes: np.ndarray) -> np.ndarray:
        decoded = self._inference(lambda model, c: model.decode(model.lookup(c)), codes)
        return self._as_given(decoded)

    @contextlib.contextmanager
    def _watch(self, task: nn.Module) -> Iterator[Callable[[], dict[str, Figure]]]:
        """Yield what tells the perplexity of the codes of the latest batch, by token group."""
        latest: dict[nn.Module, tuple[Tensor, Share | None]] = {}

        def keep(module: nn.Module, _: Any, result: Quantized) -> None:
            if module.training:
                latest[module] = result.codes, current_share()

        def figures() -> dict[str, Figure]:
            every = [
                codes if share is None else share.place(codes) for codes, share in latest.values()
            ]
            values = [as_text(perplexity(codes.cpu().numpy())) for codes in every]
            return {"perplexity": "/".join(values)}

        quantizers = [module for module in task.modules() if isinstance(module, QuantizerModule)]
        with contextlib.ExitStack() as stack:
            for quantizer in quantizers:
                stack.callback(quantizer.register_forward_hook(keep).remove)
            yield figures

    def _finish(self, series: np.ndarray, generator: torch.Generator, go_on: bool) -> None:
        model = self.model_
        with torch.no_grad():
            codebooks = [codebook.detach().numpy().copy() for codebook in model.codebooks]
        self.codebook_ = codebooks if len(codebooks) > 1 else codebooks[0]
        self.code_sizes_ = np.asarray(model.code_sizes, dtype=np.int64)
        self.token_groups_ = list(model.token_groups)
        shapes = list(model.token_shapes)
        self.token_shape_ = shapes if len(shapes) > 1 else shapes[0]
        self.token_spans_ = np.asarray(model.token_spans, dtype=np.int64)
        self.n_tokens_ = len(self.code_sizes_)
        codes = self._fit_readout(series, go_on)
        self.perplexity_ = [perplexity(codes[:, group]) for group in self.token_groups_]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = [] if self.output == "codes" else ["float32"]
        return tags


# Number of series, mean and variance of each column.
Moments = tuple[int, np.ndarray, np.ndarray]


def moments_of(rows: Tensor) -> Moments:
    """Moments of the columns of a tensor (n, F), in float64."""
    rows = rows.double()
    mean = rows.mean(0)
    variance = rows.sub_(mean).square_().mean(0)
    return len(rows), mean.cpu().numpy(), variance.cpu().numpy()


def merge(first: Moments, second: Moments) -> Moments:
    """Moments of two samples together (Chan, Golub and LeVeque 1983, equation 2.1)."""
    (n, mean, variance), (m, other_mean, other_variance) = first, second
    share = m / (n + m)
    shift = other_mean - mean
    spread = (1 - share) * variance + share * other_variance
    return n + m, mean + share * shift, spread + share * (1 - share) * shift**2


def _is_constant(mean: np.ndarray, variance: np.ndarray, products: slice) -> np.ndarray:
    """Columns that vary by no more than rounding (F,).

    A deviation is held against the mean of the column and the largest deviation of the others.
    Products of coordinates, in the square of the units of the others, are held against the
    largest of their own: large ones would make rounding of the frequencies of rare codes. Where
    all series are alike, rounding is the largest deviation, too.
    """
    share = _NO_VARIATION**2
    constant = variance <= share * mean**2
    is_product = np.zeros(len(variance), dtype=bool)
    is_product[products] = True
    for kind in (is_product, ~is_product):
        largest = variance[kind].max()
        alike = largest <= share * np.square(mean[kind]).max()
        constant[kind] |= alike | (variance[kind] <= share * max(largest, share))
    return constant


def perplexity(codes: np.ndarray) -> float:
    """Exponential of the entropy of the code frequencies, in [1, K]."""
    shares = np.bincount(codes.ravel()) / codes.size
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def cells(size: Sequence[int], points: int) -> list[tuple[int, ...]]:
    """Start and stop of cells of so many points along each axis, the last ones cut at the end.

    Parameters
    ----------
    size : sequence of int
        (L,) of series, (H, W) of images.
    points : int

    Returns
    -------
    spans : list of tuple of int
        (start, stop) of series; of images (row start, row stop, column start, column stop), row
        by row.
    """
    axes = [
        [(start, min(start + points, length)) for start in range(0, length, points)]
        for length in size
    ]
    return [tuple(itertools.chain(*spans)) for spans in itertools.product(*axes)]
