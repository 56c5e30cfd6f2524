"""ReconstructionDisplay: series or images, and what codes give back."""

from typing import Any, Self

import numpy as np

from vqssl.plots._checks import as_series, check_estimator, check_same_shape, choose, take
from vqssl.plots._colors import ink, palette
from vqssl.plots._images import color_scale, show_image
from vqssl.plots._panels import Panels, count_columns, panels, width_of


class ReconstructionDisplay:
    """Series or images beside what is left of them after encoding and decoding.

    Use `from_estimator` or `from_predictions` to make one.

    Parameters
    ----------
    X : array-like of shape (n, n_timepoints), (n, n_channels, n_timepoints) or \
(n, n_channels, height, width)
        What to draw: few series, or images.
    reconstruction : array-like of the shape of X
        What came back.
    numbers : array-like of int of shape (n,), default=None
        What the series are called in titles; None counts from 0.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The panels.
    figure_ : Figure
        Where they are.
    lines_ : list of tuple of Line2D
        Of every series and channel the original and the reconstruction; of images empty.
    images_ : list of tuple of AxesImage
        Of every image the original and the reconstruction; of series empty.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import VQTokenizer
    >>> from vqssl.plots import ReconstructionDisplay
    >>> X = np.sin(np.linspace(0, 6, 40) + np.linspace(0, 3, 20)[:, None])
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=20, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(tokenizer, X, random_state=0)
    >>> len(display.lines_)
    3
    """

    def __init__(self, X: Any, reconstruction: Any, numbers: Any = None) -> None:
        self.X = X
        self.reconstruction = reconstruction
        self.numbers = numbers

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_samples: int = 3,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Encode and decode some series, and draw both.

        Parameters
        ----------
        estimator : fitted tokenizer or autoencoder
            With ``reconstruct``, or with ``encode`` and ``decode``.
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series to choose from.
        n_samples : int, default=3
            Series to draw, at most.
        random_state : int, RandomState instance or None, default=None
            Decides which.
        ax : Axes, array of Axes or None, default=None
            Where to draw; see `plot`.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            If the estimator or `X` is not acceptable.
        """
        offers = ["reconstruct"] if hasattr(estimator, "reconstruct") else ["encode", "decode"]
        check_estimator(estimator, "estimator", *offers, such_as="VQTokenizer()")
        as_series(X, "X")
        rows = choose(len(X), n_samples, random_state)
        given = take(X, rows)
        if hasattr(estimator, "reconstruct"):
            reconstruction = estimator.reconstruct(given)
        else:
            reconstruction = estimator.decode(estimator.encode(given))
        return cls(np.asarray(given), reconstruction, rows).plot(ax)

    @classmethod
    def from_predictions(
        cls,
        X: Any,
        reconstruction: Any,
        *,
        n_samples: int = 3,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Draw some series and what came back of them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series to choose from.
        reconstruction : array-like of the shape of X
            What came back.
        n_samples : int, default=3
            Series to draw, at most.
        random_state : int, RandomState instance or None, default=None
            Decides which.
        ax : Axes, array of Axes or None, default=None
            Where to draw; see `plot`.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        TypeError, ValueError
            If the arrays are not acceptable, or not of one shape.
        """
        series, back = as_series(X, "X"), as_series(reconstruction, "reconstruction")
        check_same_shape(back, "reconstruction", series, "X")
        rows = choose(len(series), n_samples, random_state)
        return cls(series[rows], back[rows], rows).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes, array of Axes or None, default=None
            None makes a figure. The place of a single one is divided, where there is more than
            one panel. An array must have one for each series and channel; of images two for
            each.

        Returns
        -------
        self : ReconstructionDisplay

        Raises
        ------
        TypeError, ValueError
            If the data or `ax` are not acceptable.
        """
        series, back = as_series(self.X, "X"), as_series(self.reconstruction, "reconstruction")
        check_same_shape(back, "reconstruction", series, "X")
        numbers = range(len(series)) if self.numbers is None else self.numbers
        names = [str(number) for number in numbers]
        self.lines_: list[Any] = []
        self.images_: list[Any] = []
        draw = self._draw_images if series.ndim == 4 else self._draw_series
        grid = draw(ax, series, back, names)
        self.axes_, self.figure_ = grid.axes, grid.figure
        return self

    def _draw_series(
        self, ax: Any, series: np.ndarray, back: np.ndarray, names: list[str]
    ) -> Panels:
        n, n_channels, _ = series.shape
        # Side by side where there is room for all, else below each other.
        n_columns = n if count_columns(ax, n) == n else 1
        grid = panels(ax, n * n_channels // n_columns, n_columns, sharex=True)
        axes = grid.axes.reshape(-1, n_channels) if n_columns == 1 else grid.axes.T
        for i in range(n):
            for channel, panel in enumerate(axes[i]):
                original, decoded = series[i, channel], back[i, channel]
                (before,) = panel.plot(
                    original, color=ink(panel), alpha=0.45, linewidth=2.6, label="original"
                )
                (after,) = panel.plot(
                    decoded, color=palette(1, panel), linewidth=1.3, label="reconstruction"
                )
                self.lines_.append((before, after))
                error = np.square(original - decoded).mean()
                of_channel = f", channel {channel}" if n_channels > 1 else ""
                grid.title(panel, f"series {names[i]}{of_channel}: mean squared error {error:.2g}")
                panel.set_ylabel("value")
        for panel in grid.axes[-1]:
            panel.set_xlabel("time point")
        grid.legend()
        return grid

    def _draw_images(
        self, ax: Any, series: np.ndarray, back: np.ndarray, names: list[str]
    ) -> Panels:
        row_height = min(1.5, 0.2 + width_of(ax) / len(series))
        grid = panels(ax, 2, len(series), row_height=row_height)
        scale = color_scale(series)
        for column, name in zip(range(len(series)), names, strict=True):
            above, below = grid.axes[:, column]
            self.images_.append(
                (show_image(above, series[column], scale), show_image(below, back[column], scale))
            )
            above.set_title(f"image {name}" if grid.panel_width > 0.9 else name, fontsize="medium")
        grid.axes[0, 0].set_ylabel("original")
        grid.axes[1, 0].set_ylabel("reconstruction")
        return grid
