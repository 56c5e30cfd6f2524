"""DecodingDisplay: how a masked prior fills in codes, step by step."""

from typing import Any, Self

import numpy as np

from vqssl.plots._checks import as_array, as_series, check_estimator
from vqssl.plots._colors import code_colors
from vqssl.plots._images import color_scale, show_image
from vqssl.plots._panels import Panels, count_columns, no_frame, panels
from vqssl.plots._tokens import codebooks_of, draw_colored, draw_strip, group_names, groups_of


class DecodingDisplay:
    """The codes that are known after every step of drawing a series, and the series.

    A row is a step, from the first at the top to the last; a coloured cell is a code that is
    known by then. The drawn series lies under the rows, coloured by its codes. Of images every
    step is a map.

    Parameters
    ----------
    steps : array-like of int of shape (n_steps + 1, n_tokens)
        Codes after every step, -1 where they are not known yet.
    X : array-like of shape (n_timepoints,), (n_channels, n_timepoints) or \
(n_channels, height, width)
        The series or image of the last codes.
    spans : array-like of int of shape (n_tokens, 2), of images (n_tokens, 4)
        Start and stop of the time points of each token; of rows, then columns.
    groups : list of array-like of shape (n_group_tokens,), default=None
        Numbers of the tokens of each group; None is one group.
    codebooks : list of array-like of shape (n_codes, code_dim), default=None
        Vectors of the codes of each group, by which colours are put in order.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The panels.
    figure_ : Figure
        Where they are.
    cells_ : list of list of list of Rectangle
        Of every group its steps, a cell for each known token.
    maps_ : list of AxesImage
        Of images, every step.
    colors_ : list of dict of int to color
        Of every group the colour of each code.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import MaskGITGenerator, VQTokenizer
    >>> from vqssl.plots import DecodingDisplay
    >>> X = np.sin(np.linspace(0, 6, 40) + np.linspace(0, 3, 20)[:, None])
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=20)
    >>> generator = MaskGITGenerator(tokenizer, n_steps=4, max_iter=20, random_state=0).fit(X)
    >>> display = DecodingDisplay.from_estimator(generator, random_state=0)
    >>> [len(step) for step in display.cells_[0]]
    [0, 1, 5, 12, 20]
    """

    def __init__(
        self, steps: Any, X: Any, spans: Any, groups: Any = None, codebooks: Any = None
    ) -> None:
        self.steps = steps
        self.X = X
        self.spans = spans
        self.groups = groups
        self.codebooks = codebooks

    @classmethod
    def from_estimator(
        cls, generator: Any, y: Any = None, *, random_state: Any = None, ax: Any = None
    ) -> Self:
        """Draw a series from a masked prior and show how it came about.

        Parameters
        ----------
        generator : fitted MaskGITGenerator
            With ``sample_steps`` and ``tokenizer_``, which has ``token_spans_``.
        y : label, default=None
            Class of the series; None draws without one.
        random_state : int, RandomState instance or None, default=None
            Decides which series is drawn.
        ax : Axes, array of Axes or None, default=None
            Where to draw; see `plot`.

        Returns
        -------
        display : DecodingDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            If an argument is not acceptable.
        """
        offers = ("sample_steps", "tokenizer_")
        check_estimator(generator, "generator", *offers, such_as="MaskGITGenerator()")
        tokenizer = generator.tokenizer_
        if not hasattr(tokenizer, "token_spans_"):
            raise TypeError(f"generator must have a tokenizer with token_spans_; got {tokenizer}.")
        steps = generator.sample_steps(1, y, random_state=random_state)[:, 0]
        groups = groups_of(tokenizer)
        return cls(
            steps,
            np.asarray(tokenizer.decode(steps[-1:]))[0],
            tokenizer.token_spans_,
            groups,
            codebooks_of(tokenizer, len(groups)),
        ).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes, array of Axes or None, default=None
            None makes a figure. The place of a single one is divided. An array must have one for
            each group of tokens, and one for each channel; of images one for every step, and one.

        Returns
        -------
        self : DecodingDisplay

        Raises
        ------
        TypeError, ValueError
            If the data or `ax` are not acceptable.
        """
        steps, spans = np.asarray(self.steps), as_array(self.spans, "spans").astype(int)
        if steps.dtype.kind not in "iu":
            raise TypeError(f"steps must hold integers; got an array of {steps.dtype}.")
        if steps.ndim != 2 or len(steps) < 2 or steps.shape[1] != len(spans):
            raise ValueError(
                f"steps must have at least two rows and a column for each of {len(spans)} spans; "
                f"got {steps.shape}."
            )
        X = as_array(self.X, "X")
        series = as_series((X[None] if X.ndim == 1 else X)[None], "X")
        every = [np.arange(len(spans))]
        groups = every if self.groups is None else [np.asarray(group) for group in self.groups]
        self.cells_: list[Any] = []
        self.maps_: list[Any] = []
        draw = self._draw_images if series.ndim == 4 else self._draw_series
        grid = draw(ax, steps, series[0], spans, groups)
        self.axes_, self.figure_ = grid.axes, grid.figure
        return self

    def _choose_colors(self, codes: np.ndarray, groups: list[np.ndarray], ax: Any) -> None:
        books = [None] * len(groups) if self.codebooks is None else self.codebooks
        pairs = zip(groups, books, strict=True)
        self.colors_ = [code_colors(codes[group], book, ax) for group, book in pairs]

    def _draw_series(
        self,
        ax: Any,
        steps: np.ndarray,
        series: np.ndarray,
        spans: np.ndarray,
        groups: list[np.ndarray],
    ) -> Panels:
        n_steps, n_channels = len(steps), len(series)
        height = max(1.0, 0.11 * n_steps)
        ratios = [height] * len(groups) + [0.9] * n_channels
        n_rows = len(groups) + n_channels
        grid = panels(ax, n_rows, height_ratios=ratios, row_height=1.7, sharex=True)
        self._choose_colors(steps[-1], groups, grid.axes[0, 0])
        above, below = grid.axes[: len(groups), 0], grid.axes[len(groups) :, 0]
        labels = group_names(len(groups))
        for panel, group, colors, label in zip(above, groups, self.colors_, labels, strict=True):
            # The first step is at the top.
            self.cells_.append(
                [
                    draw_strip(panel, codes[group], spans[group], colors, bottom=row - 0.5)
                    for row, codes in enumerate(steps)
                ]
            )
            panel.set_ylim(n_steps - 0.5, -0.5)
            panel.set_ylabel("step" if len(groups) == 1 else f"{label.replace(chr(10), ' ')}: step")
            panel.yaxis.get_major_locator().set_params(integer=True)
        n_known = (steps >= 0).sum(1)
        grid.title(
            above[0],
            f"Known codes (coloured) after each step: {n_known[0]}, {n_known[1]}, ... "
            f"{n_known[-1]} of {steps.shape[1]}",
        )
        coarse = groups[0]
        colors_of_tokens = [self.colors_[0][code] for code in steps[-1, coarse].tolist()]
        for channel, panel in enumerate(below):
            draw_colored(panel, series[channel], spans[coarse], colors_of_tokens)
            panel.set_ylabel(f"channel {channel}" if n_channels > 1 else "value")
        grid.title(below[0], "The series that the last row stands for")
        below[-1].set_xlabel("time point")
        return grid

    def _draw_images(
        self,
        ax: Any,
        steps: np.ndarray,
        image: np.ndarray,
        spans: np.ndarray,
        groups: list[np.ndarray],
    ) -> Panels:
        from matplotlib.colors import to_rgba

        n = len(steps) + 1
        n_columns = count_columns(ax, n, 1.0)
        grid = panels(ax, -(-n // n_columns), n_columns, row_height=1.2)
        self._choose_colors(steps[-1], groups, grid.axes[0, 0])
        for panel in grid.axes.flat:
            no_frame(panel)
            panel.set_visible(False)
        for number, (panel, codes) in enumerate(zip(grid.axes.flat, steps, strict=False)):
            cells = np.zeros((*image.shape[1:], 4))  # see-through where nothing is known
            for group, colors in zip(groups, self.colors_, strict=True):  # the finest lies on top
                for token in group[codes[group] >= 0]:
                    top, bottom, left, right = spans[token]
                    cells[top:bottom, left:right] = to_rgba(colors[int(codes[token])])
            self.maps_.append(panel.imshow(cells, interpolation="nearest"))
            panel.spines[:].set_visible(True)
            panel.set_visible(True)
            panel.set_title(f"step {number}", fontsize="medium")
        last = grid.axes.flat[len(steps)]
        last.set_visible(True)
        show_image(last, image, color_scale(image[None]))
        last.set_title("decoded", fontsize="medium")
        return grid
