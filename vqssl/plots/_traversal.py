"""TraversalDisplay: what single dimensions of a latent stand for."""

from typing import Any, Self

import numpy as np

from vqssl._validation import check_count, check_weight
from vqssl.plots._checks import as_array, as_series, check_estimator, take
from vqssl.plots._colors import ordered_map
from vqssl.plots._images import color_scale, mosaic, show_image
from vqssl.plots._panels import Panels, count_columns, panels, width_of


class TraversalDisplay:
    """A series whose latent is moved in one dimension at a time.

    Every panel is a dimension; colours go from the lowest value it was set to, or shift, to the
    highest.
    A dimension that changes nothing is not in use. Of images every row is a dimension.

    Parameters
    ----------
    grid : array-like of shape (n_dims, n_steps, n_timepoints), \
(n_dims, n_steps, n_channels, n_timepoints) or (n_dims, n_steps, n_channels, height, width)
        Series, as an entry of what ``traverse`` returns.
    dims : array-like of int of shape (n_dims,), default=None
        Numbers of the dimensions; None counts from 0.
    span : float, default=2.0
        How far from the mean the first and last series are, in deviations over the training
        set.
    nats : array-like of shape (n_dims,), default=None
        What the encoder says in each dimension.
    shifted : bool, default=False
        Whether dimensions were shifted by these values, as an encoder's of frames are, and not
        set to them.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The panels.
    figure_ : Figure
        Where they are.
    lines_ : list of list of Line2D
        Of every dimension its steps, channel by channel; of images empty.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import VAE
    >>> from vqssl.plots import TraversalDisplay
    >>> X = np.sin(np.linspace(0, 6, 40) + np.linspace(0, 3, 20)[:, None])
    >>> vae = VAE(latent_dim=3, max_iter=20, random_state=0).fit(X)
    >>> display = TraversalDisplay.from_estimator(vae, X[:1], n_dims=2)
    >>> len(display.lines_), len(display.lines_[0])
    (2, 7)
    """

    def __init__(
        self,
        grid: Any,
        dims: Any = None,
        span: float = 2.0,
        nats: Any = None,
        shifted: bool = False,
    ) -> None:
        self.grid = grid
        self.dims = dims
        self.span = span
        self.nats = nats
        self.shifted = shifted

    @classmethod
    def from_estimator(
        cls,
        autoencoder: Any,
        X: Any,
        *,
        n_dims: int = 6,
        n_steps: int = 7,
        span: float = 2.0,
        layer: int | None = None,
        ax: Any = None,
    ) -> Self:
        """Move dimensions of the latent of a series.

        Parameters
        ----------
        autoencoder : fitted VAE, AutoEncoder, CPCEncoder or GreedyInfoMaxEncoder
            With ``traverse``; an encoder with decoders (`fit_decoder`).
        X : array-like of shape (1, n_timepoints), (1, n_channels, n_timepoints) or \
(1, n_channels, height, width)
            The series to start from; of several the first.
        n_dims : int, default=6
            Dimensions to draw, at most: those that the encoder says most in
            (``kl_per_dimension_``), or without that, those that change the series most; units of
            a `CPCEncoder` or `GreedyInfoMaxEncoder` by ``rank_units``.
        n_steps : int, default=7
            Values that a dimension is set to, or shifted by.
        span : float, default=2.0
            How far they go on either side of the mean, in deviations over the training set.
        layer : int or None, default=None
            Layer of an encoder; None is its last. An autoencoder has none.
        ax : Axes, array of Axes or None, default=None
            Where to draw; see `plot`.

        Returns
        -------
        display : TraversalDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            If an argument is not acceptable.
        """
        check_estimator(autoencoder, "autoencoder", "traverse", such_as="VAE()")
        as_series(X, "X")
        n_dims = check_count(n_dims, "n_dims")
        options = {"n_steps": n_steps, "span": span}
        first = take(X, slice(1))
        if hasattr(autoencoder, "rank_units"):
            units = autoencoder.rank_units(layer)[:n_dims]
            moved = autoencoder.traverse(first, layer, units, **options)[0]
            return cls(moved, units, span, shifted=True).plot(ax)
        if layer is not None:
            raise ValueError(
                f"layer must be None for {type(autoencoder).__name__}, which has one latent; got "
                f"{layer!r}."
            )
        moved = autoencoder.traverse(first, **options)[0]
        nats = getattr(autoencoder, "kl_per_dimension_", None)
        busy = moved.reshape(len(moved), n_steps, -1).var(1).sum(1) if nats is None else nats
        dims = np.argsort(-np.asarray(busy), kind="stable")[:n_dims]
        return cls(moved[dims], dims, span, None if nats is None else nats[dims]).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes, array of Axes or None, default=None
            None makes a figure. The place of a single one is divided. An array must have one for
            each dimension.

        Returns
        -------
        self : TraversalDisplay

        Raises
        ------
        TypeError, ValueError
            If the data or `ax` are not acceptable.
        """
        moved = as_array(self.grid, "grid")
        if moved.ndim not in (3, 4, 5):
            raise ValueError(
                "grid must have shape (n_dims, n_steps, n_timepoints), with channels, or with "
                f"channels, height and width; got {moved.shape}."
            )
        moved = moved[:, :, None] if moved.ndim == 3 else moved
        span = check_weight(self.span, "span", positive=True)
        dims = range(len(moved)) if self.dims is None else self.dims
        names = [f"dimension {dim}" for dim in dims]
        if self.nats is not None:
            told = as_array(self.nats, "nats")
            names = [f"{name}: {nats:.2g} nats" for name, nats in zip(names, told, strict=True)]
        self.lines_: list[Any] = []
        draw = self._draw_images if moved.ndim == 5 else self._draw_series
        grid = draw(ax, moved, names, span)
        self.axes_, self.figure_ = grid.axes, grid.figure
        return self

    def _draw_series(self, ax: Any, moved: np.ndarray, names: list[str], span: float) -> Panels:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        n, n_steps, n_channels, _ = moved.shape
        n_columns = min(count_columns(ax, n, 1.9), 3)
        n_rows = -(-n // n_columns)
        grid = panels(ax, n_rows, n_columns, row_height=1.6, sharex=True, sharey=True)
        color_of = ScalarMappable(Normalize(-span, span), ordered_map(grid.axes[0, 0]))
        values = np.linspace(-span, span, n_steps)
        for panel, series, name in zip(grid.axes.flat, moved, names, strict=False):
            lines = []
            for value, one in zip(values, series, strict=True):
                for channel in range(n_channels):
                    style = ["-", "--", ":", "-."][channel % 4]
                    lines += panel.plot(
                        one[channel], style, color=color_of.to_rgba(value), linewidth=1.1
                    )
            self.lines_.append(lines)
            grid.title(panel, name)
        for panel in grid.axes.flat[n:]:
            panel.set_axis_off()
        for panel in grid.axes[-1]:
            panel.set_xlabel("time point")
        for panel in grid.axes[:, 0]:
            panel.set_ylabel("value")
        label = self._label
        is_wide = grid.width > 5
        grid.figure.colorbar(
            color_of,
            ax=list(grid.axes.flat),
            label=label,
            location="right" if is_wide else "bottom",
            shrink=0.8,
        )
        return grid

    def _draw_images(self, ax: Any, moved: np.ndarray, names: list[str], span: float) -> Panels:
        grid = panels(ax, len(moved), row_height=min(1.5, 0.3 + width_of(ax) / moved.shape[1]))
        scale = color_scale(moved)
        width = moved.shape[-1] + 1  # and a gap
        values = np.linspace(-span, span, moved.shape[1])
        for panel, images, name in zip(grid.axes[:, 0], moved, names, strict=True):
            show_image(panel, mosaic(images, len(images)), scale)
            grid.title(panel, name)
        last = grid.axes[-1, 0]
        last.set_xticks(width * (np.arange(len(values)) + 0.5) - 0.5, [f"{v:+.1f}" for v in values])
        last.set_xlabel(self._label)
        return grid

    @property
    def _label(self) -> str:
        return "shifted by (deviations)" if self.shifted else "set to (deviations from the mean)"
