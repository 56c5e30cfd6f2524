"""TokenDisplay: which code stands for which part of a series or image."""

from typing import Any, Self

import numpy as np

from vqssl.plots._checks import as_array, as_series, check_estimator, choose, take
from vqssl.plots._colors import code_colors
from vqssl.plots._images import color_scale, show_image
from vqssl.plots._panels import Panels, count_columns, no_frame, panels
from vqssl.plots._tokens import (
    codebooks_of,
    draw_colored,
    draw_strip,
    group_names,
    groups_of,
    no_frame_but_time,
    write_codes,
)


class TokenDisplay:
    """Series coloured by their codes, with the codes in strips under them.

    A token stands for a piece of a series; its colour is its code. Codes whose vectors are like
    have like colours. Series are coloured by the codes of the first group, the coarsest. Images
    lie beside a map of the codes of each group.

    Parameters
    ----------
    X : array-like of shape (n, n_timepoints), (n, n_channels, n_timepoints) or \
(n, n_channels, height, width)
        Series or images to draw.
    codes : array-like of int of shape (n, n_tokens)
        Their codes.
    spans : array-like of int of shape (n_tokens, 2), of images (n_tokens, 4)
        Start and stop of the time points of each token; of rows, then columns.
    groups : list of array-like of shape (n_group_tokens,), default=None
        Numbers of the tokens of each group; None is one group.
    codebooks : list of array-like of shape (n_codes, code_dim), default=None
        Vectors of the codes of each group, by which colours are put in order.
    numbers : array-like of int of shape (n,), default=None
        What the series are called in titles; None counts from 0.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The panels.
    figure_ : Figure
        Where they are.
    curves_ : list of list of LineCollection
        Of every series its channels, a piece for each token of the first group.
    strips_ : list of list of list of Rectangle
        Of every series its groups, a cell for each token.
    maps_ : list of list of AxesImage
        Of every image its groups.
    colors_ : list of dict of int to color
        Of every group the colour of each code.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import VQTokenizer
    >>> from vqssl.plots import TokenDisplay
    >>> X = np.sin(np.linspace(0, 6, 40) + np.linspace(0, 3, 20)[:, None])
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=20, random_state=0).fit(X)
    >>> display = TokenDisplay.from_estimator(tokenizer, X, n_samples=2, random_state=0)
    >>> len(display.strips_[0][0]) == tokenizer.n_tokens_
    True
    """

    def __init__(
        self,
        X: Any,
        codes: Any,
        spans: Any,
        groups: Any = None,
        codebooks: Any = None,
        numbers: Any = None,
    ) -> None:
        self.X = X
        self.codes = codes
        self.spans = spans
        self.groups = groups
        self.codebooks = codebooks
        self.numbers = numbers

    @classmethod
    def from_estimator(
        cls,
        tokenizer: Any,
        X: Any,
        *,
        n_samples: int = 2,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Encode some series and draw them with their codes.

        Parameters
        ----------
        tokenizer : fitted tokenizer
            With ``encode``, ``code_sizes_`` and ``token_spans_``.
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series to choose from.
        n_samples : int, default=2
            Series to draw, at most.
        random_state : int, RandomState instance or None, default=None
            Decides which.
        ax : Axes, array of Axes or None, default=None
            Where to draw; see `plot`.

        Returns
        -------
        display : TokenDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            If the tokenizer or `X` is not acceptable.
        """
        offers = ("encode", "code_sizes_", "token_spans_")
        check_estimator(tokenizer, "tokenizer", *offers, such_as="VQTokenizer()")
        as_series(X, "X")
        rows = choose(len(X), n_samples, random_state)
        given = take(X, rows)
        groups = groups_of(tokenizer)
        return cls(
            np.asarray(given),
            tokenizer.encode(given),
            tokenizer.token_spans_,
            groups,
            codebooks_of(tokenizer, len(groups)),
            rows,
        ).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes, array of Axes or None, default=None
            None makes a figure. The place of a single one is divided. An array must have, series
            by series, one for each channel and one for each group of tokens; of images one, and
            one for each group.

        Returns
        -------
        self : TokenDisplay

        Raises
        ------
        TypeError, ValueError
            If the data or `ax` are not acceptable.
        """
        series, codes = as_series(self.X, "X"), np.asarray(self.codes)
        if codes.dtype.kind not in "iu":
            raise TypeError(f"codes must be integers; got an array of {codes.dtype}.")
        spans = as_array(self.spans, "spans").astype(int)
        n_sides = 2 * (series.ndim - 2)
        if codes.ndim != 2 or codes.shape != (len(series), len(spans)):
            raise ValueError(
                f"codes must have shape {(len(series), len(spans))}, a code for each series and "
                f"span; got {codes.shape}."
            )
        if spans.shape[1:] != (n_sides,):
            raise ValueError(f"spans must have shape (n_tokens, {n_sides}); got {spans.shape}.")
        every = [np.arange(len(spans))]
        groups = every if self.groups is None else [np.asarray(group) for group in self.groups]
        numbers = range(len(series)) if self.numbers is None else self.numbers
        names = [str(number) for number in numbers]
        self.curves_: list[Any] = []
        self.strips_: list[Any] = []
        self.maps_: list[Any] = []
        draw = self._draw_images if n_sides == 4 else self._draw_series
        grid = draw(ax, series, codes, spans, groups, names)
        self.axes_, self.figure_ = grid.axes, grid.figure
        return self

    def _choose_colors(self, codes: np.ndarray, groups: list[np.ndarray], ax: Any) -> None:
        books = [None] * len(groups) if self.codebooks is None else self.codebooks
        pairs = zip(groups, books, strict=True)
        self.colors_ = [code_colors(codes[:, group], book, ax) for group, book in pairs]

    def _draw_series(
        self,
        ax: Any,
        series: np.ndarray,
        codes: np.ndarray,
        spans: np.ndarray,
        groups: list[np.ndarray],
        names: list[str],
    ) -> Panels:
        n, n_channels, _ = series.shape
        n_rows = n_channels + len(groups)
        n_columns = n if count_columns(ax, n, 4.5) == n else 1
        ratios = ([1.0] * n_channels + [0.24] * len(groups)) * (n // n_columns)
        grid = panels(ax, n_rows * n // n_columns, n_columns, height_ratios=ratios, sharex=True)
        axes = grid.axes.reshape(-1, n_rows) if n_columns == 1 else grid.axes.T
        self._choose_colors(codes, groups, grid.axes[0, 0])
        coarse, coarse_colors = groups[0], self.colors_[0]
        for i in range(n):
            curves, strips = [], []
            colors = [coarse_colors[code] for code in codes[i, coarse].tolist()]
            for channel, panel in enumerate(axes[i, :n_channels]):
                curves.append(draw_colored(panel, series[i, channel], spans[coarse], colors))
                panel.set_ylabel(f"channel {channel}" if n_channels > 1 else "value")
            for panel, group, colors_of, label in zip(
                axes[i, n_channels:], groups, self.colors_, group_names(len(groups)), strict=True
            ):
                strips.append(draw_strip(panel, codes[i, group], spans[group], colors_of))
                width = 0.85 * grid.panel_width
                write_codes(panel, codes[i, group], spans[group], colors_of, width)
                no_frame_but_time(panel)
                panel.set_ylabel(label, rotation=0, ha="right", va="center")
            grid.title(axes[i, 0], f"series {names[i]}: each colour is a code")
            self.curves_.append(curves)
            self.strips_.append(strips)
        for panel in grid.axes[-1]:
            panel.set_xlabel("time point")
        return grid

    def _draw_images(
        self,
        ax: Any,
        series: np.ndarray,
        codes: np.ndarray,
        spans: np.ndarray,
        groups: list[np.ndarray],
        names: list[str],
    ) -> Panels:
        from matplotlib.colors import to_rgba

        n, _, height, width = series.shape
        grid = panels(ax, n, 1 + len(groups), row_height=2.0)
        self._choose_colors(codes, groups, grid.axes[0, 0])
        scale = color_scale(series)
        for i in range(n):
            show_image(grid.axes[i, 0], series[i], scale)
            grid.axes[i, 0].set_title(f"image {names[i]}", fontsize="medium")
            maps = []
            for panel, group, colors, label in zip(
                grid.axes[i, 1:], groups, self.colors_, group_names(len(groups)), strict=True
            ):
                cells = np.zeros((height, width, 4))
                for code, (top, bottom, left, right) in zip(
                    codes[i, group].tolist(), spans[group], strict=True
                ):
                    cells[top:bottom, left:right] = to_rgba(colors[code])
                maps.append(panel.imshow(cells, interpolation="nearest"))
                no_frame(panel)
                name = label.replace("\n", " ")
                panel.set_title(f"its {name} (a colour each)", fontsize="medium")
            self.maps_.append(maps)
        return grid
