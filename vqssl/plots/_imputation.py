"""ImputationDisplay: what is observed, the gap, and the answers of a generator."""

from typing import Any, Self

import numpy as np

from vqssl._validation import check_count
from vqssl.plots._checks import (
    as_array,
    as_labels,
    as_series,
    check_estimator,
    check_same_shape,
    choose,
    take,
)
from vqssl.plots._colors import ink, palette
from vqssl.plots._images import color_scale, show_image
from vqssl.plots._panels import Panels, count_columns, panels, width_of

# Answers that are drawn one by one, of images.
_MOST_IMAGES = 3


class ImputationDisplay:
    """Series with gaps, and several answers to what was there.

    The band holds nine of ten answers at each missing time point, the thick line is their
    median, thin lines are answers.

    Parameters
    ----------
    X : array-like of shape (n, n_timepoints), (n, n_channels, n_timepoints) or \
(n, n_channels, height, width)
        Series with NaN in the gaps.
    draws : array-like of shape (n_draws, n, ...)
        Answers: series without gaps.
    X_true : array-like of the shape of X, default=None
        What was there, where that is known.
    numbers : array-like of int of shape (n,), default=None
        What the series are called in titles; None counts from 0.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The panels.
    figure_ : Figure
        Where they are.
    bands_ : ndarray of shape (3, n, n_channels, n_timepoints)
        The 5, 50 and 95 percent quantiles of the answers.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl.plots import ImputationDisplay
    >>> X = np.sin(np.linspace(0, 6, 40))[None]
    >>> draws = X + 0.1 * np.random.default_rng(0).normal(size=(20, 1, 40))
    >>> X_gaps = X.copy()
    >>> X_gaps[:, 10:20] = np.nan
    >>> display = ImputationDisplay(X_gaps, draws, X_true=X).plot()
    >>> display.bands_.shape
    (3, 1, 1, 40)
    """

    def __init__(self, X: Any, draws: Any, X_true: Any = None, numbers: Any = None) -> None:
        self.X = X
        self.draws = draws
        self.X_true = X_true
        self.numbers = numbers

    @classmethod
    def from_estimator(
        cls,
        generator: Any,
        X: Any,
        y: Any = None,
        *,
        X_true: Any = None,
        n_draws: int = 30,
        n_samples: int = 2,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Fill the gaps of some series several times and draw the answers.

        Parameters
        ----------
        generator : fitted MaskGITGenerator
            With ``impute``.
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series with NaN in the gaps.
        y : array-like of shape (n_samples,), default=None
            Their classes.
        X_true : array-like of the shape of X, default=None
            What was there, where that is known.
        n_draws : int, default=30
            Answers for each series.
        n_samples : int, default=2
            Series to draw, at most; only such as have a gap.
        random_state : int, RandomState instance or None, default=None
            Decides which series, and the answers.
        ax : Axes, array of Axes or None, default=None
            Where to draw; see `plot`.

        Returns
        -------
        display : ImputationDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            If an argument is not acceptable, or no series has a gap.
        """
        check_estimator(generator, "generator", "impute", such_as="MaskGITGenerator()")
        series = as_series(X, "X", allow_nan=True)
        n_draws = check_count(n_draws, "n_draws")
        labels = None if y is None else as_labels(y, "y", len(series))
        if X_true is not None:
            check_same_shape(as_series(X_true, "X_true"), "X_true", series, "X")
        has_gap = np.flatnonzero(np.isnan(series).any(tuple(range(1, series.ndim))))
        if len(has_gap) == 0:
            raise ValueError("X must have NaN where something is missing; no series has.")
        rows = has_gap[choose(len(has_gap), n_samples, random_state)]
        given = take(X, rows)
        draws = generator.impute(
            given, n_draws, y=None if labels is None else labels[rows], random_state=random_state
        )
        given = np.asarray(given)
        draws = np.asarray(draws).reshape(n_draws, *given.shape)
        truth = None if X_true is None else np.asarray(take(X_true, rows))
        return cls(given, draws, truth, rows).plot(ax)

    def plot(self, ax: Any = None, *, n_lines: int = 6) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes, array of Axes or None, default=None
            None makes a figure. The place of a single one is divided. An array must have one for
            each series and channel; of images two for each, one for each of up to three
            answers, and one for the truth where that is known.
        n_lines : int, default=6
            Thin lines in a panel, the first answers.

        Returns
        -------
        self : ImputationDisplay

        Raises
        ------
        TypeError, ValueError
            If the data or `ax` are not acceptable.
        """
        series = as_series(self.X, "X", allow_nan=True)
        draws = as_array(self.draws, "draws")
        if draws[0].size != series.size:
            raise ValueError(
                f"draws must have shape (n_draws, {', '.join(map(str, np.shape(self.X)))}); got "
                f"{draws.shape}."
            )
        draws = draws.reshape(len(draws), *series.shape)
        truth = None if self.X_true is None else as_series(self.X_true, "X_true")
        if truth is not None:
            check_same_shape(truth, "X_true", series, "X")
        check_count(n_lines, "n_lines")
        numbers = range(len(series)) if self.numbers is None else self.numbers
        names = [str(number) for number in numbers]
        self.bands_ = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
        if series.ndim == 4:
            grid = self._draw_images(ax, series, draws, truth, names)
        else:
            grid = self._draw_series(ax, series, draws[:n_lines], truth, names)
        self.axes_, self.figure_ = grid.axes, grid.figure
        return self

    def _draw_series(
        self,
        ax: Any,
        series: np.ndarray,
        draws: np.ndarray,
        truth: np.ndarray | None,
        names: list[str],
    ) -> Panels:
        n, n_channels, length = series.shape
        n_columns = n if count_columns(ax, n, 3.5) == n else 1
        grid = panels(ax, n * n_channels // n_columns, n_columns, row_height=2.1, sharex=True)
        axes = grid.axes.reshape(-1, n_channels) if n_columns == 1 else grid.axes.T
        time = np.arange(length)
        for i in range(n):
            for channel, panel in enumerate(axes[i]):
                place = (i, channel)
                missing = np.isnan(series[place])
                # Up to the observed points beside a gap, so that lines meet.
                near = missing.copy()
                near[:-1] |= missing[1:]
                near[1:] |= missing[:-1]
                low, middle, high = self.bands_[(slice(None), *place)]
                color = palette(0, panel)
                panel.fill_between(
                    time, low, high, where=near, color=color, alpha=0.25, linewidth=0,
                    label="nine of ten answers",
                )  # fmt: skip
                lines = np.where(near, draws[(slice(None), *place)], np.nan)
                panel.plot(time, lines.T, color=color, alpha=0.6, linewidth=0.7)
                panel.plot(
                    time, np.where(near, middle, np.nan), color=color, label="median of answers"
                )
                panel.plot(time, series[place], color=ink(panel), linewidth=1.6, label="observed")
                if truth is not None:
                    there = np.where(near, truth[place], np.nan)
                    panel.plot(time, there, "--", color=palette(1, panel), label="what was there")
                of_channel = f", channel {channel}" if n_channels > 1 else ""
                share = missing.mean()
                grid.title(panel, f"series {names[i]}{of_channel}: {share:.0%} missing")
                panel.set_ylabel("value")
        for panel in grid.axes[-1]:
            panel.set_xlabel("time point")
        grid.legend()
        return grid

    def _draw_images(
        self,
        ax: Any,
        images: np.ndarray,
        draws: np.ndarray,
        truth: np.ndarray | None,
        names: list[str],
    ) -> Panels:
        shown = draws[:_MOST_IMAGES]
        n_columns = 2 + len(shown) + (truth is not None)
        row_height = min(1.5, 0.2 + width_of(ax) / n_columns)
        grid = panels(ax, len(images), n_columns, row_height=row_height)
        scale = color_scale(draws)
        for i, row in enumerate(grid.axes):
            columns = [("observed", images[i])]
            columns += [(f"answer {number}", draw[i]) for number, draw in enumerate(shown)]
            columns.append(("median", self.bands_[1, i]))
            if truth is not None:
                columns.append(("truth", truth[i]))
            for panel, (name, image) in zip(row, columns, strict=True):
                show_image(panel, image, scale)
                panel.spines[:].set_visible(True)
                if i == 0:
                    panel.set_title(name, fontsize="small")
            row[0].set_ylabel(f"image {names[i]}")
        return grid
