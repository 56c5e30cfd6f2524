"""GenerationDisplay: real and synthetic series of each class beside each other."""

from typing import Any, Self

import numpy as np

from vqssl._validation import check_count
from vqssl.plots._checks import as_labels, as_series, check_estimator, choose
from vqssl.plots._colors import ink, palette
from vqssl.plots._images import color_scale, mosaic, show_image
from vqssl.plots._panels import Panels, count_columns, panels, width_of

# Images of a class that are drawn, in a row.
_IMAGES = 8


class GenerationDisplay:
    """Real and synthetic series, class by class, with bands of their quantiles.

    The band holds nine of ten values at each time point, the thick line is the median, thin
    lines are single series. Of images, some of each.

    Parameters
    ----------
    X : array-like of shape (n, n_timepoints), (n, n_channels, n_timepoints) or \
(n, n_channels, height, width)
        Real series.
    X_synthetic : array-like of shape (m, ...)
        Synthetic series of the same shape.
    y : array-like of shape (n,), default=None
        Classes of the real ones.
    y_synthetic : array-like of shape (m,), default=None
        Classes of the synthetic ones; given where `y` is.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The panels.
    figure_ : Figure
        Where they are.
    bands_ : dict of tuple to tuple of ndarray
        By class (None without) and whether synthetic: the 5, 50 and 95 percent quantiles of the
        drawn channel, (n_timepoints,) each.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl.plots import GenerationDisplay
    >>> rng = np.random.default_rng(0)
    >>> X, X_synthetic = rng.normal(size=(2, 40, 24))
    >>> display = GenerationDisplay.from_predictions(X, X_synthetic, random_state=0)
    >>> bool(np.allclose(display.bands_[None, True][1], np.median(X_synthetic, axis=0)))
    True
    """

    def __init__(self, X: Any, X_synthetic: Any, y: Any = None, y_synthetic: Any = None) -> None:
        self.X = X
        self.X_synthetic = X_synthetic
        self.y = y
        self.y_synthetic = y_synthetic

    @classmethod
    def from_estimator(
        cls,
        generator: Any,
        X: Any,
        y: Any = None,
        *,
        n_samples: int = 100,
        channel: int = 0,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Draw series from a generator, as many of each class, and show both.

        Parameters
        ----------
        generator : fitted generator
            With ``sample``, and ``classes_`` to be asked for classes.
        X : array-like of shape (n, n_timepoints), (n, n_channels, n_timepoints) or \
(n, n_channels, height, width)
            Real series.
        y : array-like of shape (n,), default=None
            Their classes; None draws without a class.
        n_samples : int, default=100
            Synthetic series of each class.
        channel : int, default=0
            Which channel of series is drawn.
        random_state : int, RandomState instance or None, default=None
            Decides what is drawn from the generator, and which series are thin lines.
        ax : Axes, array of Axes or None, default=None
            Where to draw; see `plot`.

        Returns
        -------
        display : GenerationDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            If an argument is not acceptable.
        """
        check_estimator(generator, "generator", "sample", such_as="MaskGITGenerator()")
        series = as_series(X, "X")
        n_samples = check_count(n_samples, "n_samples")
        if y is not None and getattr(generator, "classes_", None) is None:
            raise ValueError(
                f"y must be None: this {type(generator).__name__} was fitted without classes."
            )
        y_drawn = None
        if y is not None:
            y_drawn = np.repeat(np.unique(as_labels(y, "y", len(series))), n_samples)
            drawn = generator.sample(len(y_drawn), y_drawn, random_state=random_state)
        else:
            drawn = generator.sample(n_samples, random_state=random_state)
        display = cls(series, drawn, y, y_drawn)
        return display.plot(ax, channel=channel, random_state=random_state)

    @classmethod
    def from_predictions(
        cls,
        X: Any,
        X_synthetic: Any,
        y: Any = None,
        y_synthetic: Any = None,
        *,
        channel: int = 0,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Show real and synthetic series.

        Parameters
        ----------
        X : array-like of shape (n, n_timepoints), (n, n_channels, n_timepoints) or \
(n, n_channels, height, width)
            Real series.
        X_synthetic : array-like of shape (m, ...)
            Synthetic series of the same shape.
        y : array-like of shape (n,), default=None
            Classes of the real ones.
        y_synthetic : array-like of shape (m,), default=None
            Classes of the synthetic ones; given where `y` is.
        channel : int, default=0
            Which channel of series is drawn.
        random_state : int, RandomState instance or None, default=None
            Decides which series are thin lines.
        ax : Axes, array of Axes or None, default=None
            Where to draw; see `plot`.

        Returns
        -------
        display : GenerationDisplay

        Raises
        ------
        TypeError, ValueError
            If an argument is not acceptable.
        """
        display = cls(X, X_synthetic, y, y_synthetic)
        return display.plot(ax, channel=channel, random_state=random_state)

    def plot(
        self, ax: Any = None, *, n_lines: int = 8, channel: int = 0, random_state: Any = None
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes, array of Axes or None, default=None
            None makes a figure. The place of a single one is divided. An array must have two for
            each class.
        n_lines : int, default=8
            Thin lines in a panel, each a series.
        channel : int, default=0
            Which channel of series is drawn.
        random_state : int, RandomState instance or None, default=None
            Decides which series are thin lines.

        Returns
        -------
        self : GenerationDisplay

        Raises
        ------
        TypeError, ValueError
            If the data or `ax` are not acceptable.
        """
        real, made = as_series(self.X, "X"), as_series(self.X_synthetic, "X_synthetic")
        if real.shape[1:] != made.shape[1:]:
            raise ValueError(
                f"X_synthetic must hold series of shape {real.shape[1:]}, as X; got "
                f"{made.shape[1:]}."
            )
        if (self.y is None) != (self.y_synthetic is None):
            raise ValueError("y_synthetic must be given where y is, and only there.")
        if check_count(channel, "channel", minimum=0) >= real.shape[1]:
            raise ValueError(f"channel must be below {real.shape[1]}; got {channel}.")
        check_count(n_lines, "n_lines")
        if self.y is None:
            classes: list[Any] = [None]
            of_class = {None: (real, made)}
        else:
            y = as_labels(self.y, "y", len(real))
            y_made = as_labels(self.y_synthetic, "y_synthetic", len(made))
            # Of a class that only one of the sets has there is nothing to compare.
            classes = [label for label in np.unique(y).tolist() if (y_made == label).any()]
            if not classes:
                raise ValueError("y_synthetic must share classes with y; it has none of them.")
            of_class = {label: (real[y == label], made[y_made == label]) for label in classes}
        self.bands_: dict[tuple[Any, bool], Any] = {}
        is_image = real.ndim == 4
        n_blocks = count_columns(ax, len(classes), 4.5)
        n_rows = -(-len(classes) // n_blocks)
        height = 0.3 + width_of(ax) / (2 * n_blocks * _IMAGES) if is_image else 1.7
        share = False if is_image else "all"
        grid = panels(ax, n_rows, 2 * n_blocks, row_height=height, sharex=share, sharey=share)
        pairs = grid.axes.reshape(-1, 2)
        for pair, label in zip(pairs, classes, strict=False):
            for panel, series, synthetic in zip(pair, of_class[label], (False, True), strict=True):
                kind = "synthetic" if synthetic else "real"
                name = kind if label is None else f"class {label}, {kind}"
                rows = choose(len(series), _IMAGES if is_image else n_lines, random_state)
                if is_image:
                    scale = color_scale(real)
                    show_image(panel, mosaic(series[rows], _IMAGES), scale)
                else:
                    chosen = series[:, channel]
                    self._draw_band(panel, chosen, rows, (label, synthetic))
                    name += f" ({len(series)})"
                panel.set_title(name, loc="left", fontsize="medium")
        for panel in pairs[len(classes) :].flat:
            panel.set_axis_off()
        if not is_image:
            self._name_axes(grid)
        self.axes_, self.figure_ = grid.axes, grid.figure
        return self

    def _draw_band(
        self, ax: Any, series: np.ndarray, rows: np.ndarray, key: tuple[Any, bool]
    ) -> None:
        low, middle, high = np.quantile(series, [0.05, 0.5, 0.95], axis=0)
        self.bands_[key] = (low, middle, high)
        synthetic = key[1]
        color = palette(0, ax) if synthetic else ink(ax)
        time = np.arange(len(middle))
        ax.fill_between(
            time, low, high, color=color, alpha=0.2, linewidth=0, label="nine of ten values"
        )
        singles = ax.plot(time, series[rows].T, color=color, alpha=0.45, linewidth=0.6)
        singles[0].set_label("a series")
        ax.plot(time, middle, color=color, linewidth=2, label="median")

    def _name_axes(self, grid: Panels) -> None:
        for panel in grid.axes[-1]:
            panel.set_xlabel("time point")
        for panel in grid.axes[:, 0]:
            panel.set_ylabel("value")
        grid.legend()
