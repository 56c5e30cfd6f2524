"""Gaps of series and images filled, and series gone on with, by a prior that fills in codes."""

import contextlib
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vqssl._input import off_torch
from vqssl._seed import spawn_seeds
from vqssl._validation import check_count
from vqssl.generators._base import BaseGenerator
from vqssl.generators._codes import positions_of
from vqssl.generators._decoding import Draws
from vqssl.generators._gaps import cells, interpolate, mostly_missing

# Times that the tokens of a series with gaps are made, and how many times some are then drawn.
_ROUNDS, _DRAWN_ROUNDS = 4, 2


@contextlib.contextmanager
def _without_names() -> Iterator[None]:
    """Filled series are arrays, also where those of the fit had columns with names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        yield


class BaseImputingGenerator(BaseGenerator):
    """A generator that can draw some of the codes, given the others."""

    @abstractmethod
    def _fill(
        self, model: Any, codes: Tensor, unknown: Tensor, labels: Tensor, draws: Draws
    ) -> Tensor:
        """Draw the unknown codes, (B, N)."""

    def impute(
        self, X: Any, n_draws: int = 1, *, y: Any = None, random_state: Any = None
    ) -> np.ndarray:
        """Fill the gaps of series with what the prior draws, given what is observed.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape; NaN marks what is missing, in all channels or in some.
        n_draws : int, default=1
            Number of answers for each series. Their spread tells how sure the prior is; their
            mean has a smaller error than any of them, but is smoother than a series.
        y : label or array-like of shape (n_samples,), default=None
            Class of all series, or of each, where it is known.
        random_state : int, RandomState instance or None, default=None
            Decides what is drawn. What series i of an int seed gets does not depend on the
            other series but for rounding, nor draw j on how many there are.

        Returns
        -------
        X : ndarray of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width); with \
``n_draws`` above 1 one axis more, (n_draws, ...)
            The series without gaps. Observed points are as they were given, bit by bit, in
            their own floating-point dtype (float32 for integers).

        Raises
        ------
        ValueError, TypeError
            If `X`, `y`, `n_draws` or a parameter that is read here is not acceptable, or the
            tokenizer scales every series by itself: its codes do not tell level and size.

        Notes
        -----
        Gaps are filled linearly at first (in images along rows and columns, the mean of both).
        The tokens of whose time points more than half are missing in some channel are masked
        and drawn as in `sample`, and the decoded series fills the gaps; once more, with tokens
        made of the filled series. Then tokens are made of what is observed and what was drawn
        for the rest, and decoded, twice, without a draw: that is how observed points beside a
        gap and channels that were observed in it count (pseudo-Gibbs sampling [1]_, with a
        code for the posterior).

        Draws differ only in tokens that are drawn: a gap that leaves half of every token
        observed has the same answer in all of them. Points missing here and there are better
        interpolated where the codes hold less than their neighbours tell; see
        `reconstruction_error` of the tokenizer.

        References
        ----------
        .. [1] D. J. Rezende, S. Mohamed, D. Wierstra. "Stochastic Backpropagation and Approximate
           Inference in Deep Generative Models." ICML 2014, on the imputation of missing data.

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
        y : label or array-like of shape (n_samples,), default=None
            Class of all series, or of each, where it is known.
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
            As `impute`; if `X` and `horizon` do not make series of the fitted length; or after
            a fit on images.

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
        if len(self.input_shape_) == 3:
            raise ValueError(
                "complete goes on with series, and X must hold series; it was fitted on images of "
                f"shape {self.input_shape_}. impute fills pixels that are NaN."
            )
        length = self._series_shape[1]
        horizon = check_count(horizon, "horizon")
        if horizon > length:
            raise ValueError(f"horizon must be at most {length}, the fitted length; got {horizon}.")
        X = np.asarray(off_torch(X))
        if X.dtype.kind not in "biufO":
            raise ValueError(f"X must hold real numbers; got an array of {X.dtype}.")
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
        """Fill NaN in series (n, C, L) or images (n, C, H, W)."""
        if getattr(self.tokenizer_, "scaling", None) == "series":
            raise ValueError(
                "tokenizer must not have scaling='series' for impute and complete: level and "
                "size of a series are not in its codes. Use scaling='dataset'."
            )
        self._check_sampling()
        self._check_guidance()
        labels = torch.from_numpy(
            self._label_numbers(self._one_or_each(y, len(series)), len(series))
        )
        if series.dtype.kind != "f":
            series = series.astype(np.float32)
        missing = np.isnan(series)
        rows = np.flatnonzero(missing.any(tuple(range(1, missing.ndim))))
        result = np.repeat(self._as_given(series)[None], n_draws, axis=0)
        if len(rows) > 0:
            unknown = np.zeros((len(series), self.n_tokens_), dtype=bool)
            unknown[rows] = mostly_missing(missing[rows], self._spans())
            for draw, seed in enumerate(spawn_seeds(random_state, n_draws)):
                filled = self._filled(series, rows, unknown, labels, seed)
                result[draw][rows] = self._as_given(filled)
        return result[0] if n_draws == 1 else result

    def _filled(
        self, series: np.ndarray, rows: np.ndarray, unknown: np.ndarray, labels: Tensor, seed: int
    ) -> np.ndarray:
        """Return one answer for the series or images numbered `rows`, (len(rows), C, ...)."""
        given = series[rows]
        # What the codes give may lie outside a dtype of 16 bits.
        filled = interpolate(given.astype(np.promote_types(given.dtype, np.float32)))
        codes = np.empty(unknown.shape, dtype=np.int64)

        def draw(model: Any, some: np.ndarray, draws: Draws) -> Tensor:
            known = torch.from_numpy(codes[some]).to(draws.device)
            hidden = torch.from_numpy(unknown[some]).to(draws.device)
            return self._fill(model, known, hidden, labels[some].to(draws.device), draws)

        for number, round_seed in enumerate(spawn_seeds(seed, _ROUNDS)):
            codes[rows] = self._encode(self._as_given(filled), len(rows))
            if number < _DRAWN_ROUNDS:
                self._draw_rows(draw, rows, round_seed, codes)
            decoded = self._decode(codes[rows]).reshape(given.shape)
            filled = np.where(np.isnan(given), decoded, filled).astype(filled.dtype)
        limits = np.finfo(given.dtype)
        filled = filled.clip(limits.min, limits.max).astype(given.dtype)
        return np.where(np.isnan(given), filled, given)

    def _spans(self) -> np.ndarray:
        """Time points [start, stop) of every token, (N, 2); of images rows and columns, (N, 4)."""
        size = self._series_shape[1:]
        spans = getattr(self.tokenizer_, "token_spans_", None)
        if spans is not None:
            return np.asarray(spans)
        # A tokenizer of the user's own.
        if len(size) > 1:
            raise ValueError(
                "tokenizer must have token_spans_ for impute on images, the pixels that each token "
                f"stands for; got {self.tokenizer_!r}, which has none."
            )
        return cells(positions_of(self.token_groups_, self.n_tokens_), size[0])
