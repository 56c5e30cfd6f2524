"""Axes to draw on: new ones, the place of given ones, or those that were given."""

import textwrap
from typing import Any, NamedTuple

import numpy as np

# Letters of text that an inch has room for.
_LETTERS_PER_INCH = 12.5

# Inches of an entry in a legend, beside its text.
_LEGEND_HANDLE = 0.65


class Panels(NamedTuple):
    """A grid of axes."""

    figure: Any
    axes: np.ndarray  # (n_rows, n_columns) of Axes
    is_own: bool  # whether the figure was made here

    @property
    def width(self) -> float:
        """Inches that all of them have together."""
        if self.is_own:
            return self.figure.get_figwidth()
        left = min(ax.bbox.x0 for ax in self.axes[:, 0])
        right = max(ax.bbox.x1 for ax in self.axes[:, -1])
        return (right - left) / self.figure.dpi

    @property
    def panel_width(self) -> float:
        """Inches that a column has."""
        return self.width / self.axes.shape[1]

    def title(self, ax: Any, text: str, margin: float = 0.8) -> None:
        """Set the title of a panel, in as many lines as it needs.

        `margin` is what labels beside the panel take of its width, in inches.
        """
        n_letters = max(12, int((self.panel_width - margin) * _LETTERS_PER_INCH))
        ax.set_title(textwrap.fill(text, n_letters), loc="left", fontsize="medium")

    def legend(self, ax: Any = None) -> None:
        """Explain all labelled artists once: below a figure of our own, else in a panel."""
        entries: dict[str, Any] = {}
        for panel in self.axes.flat:
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
                entries.setdefault(label, handle)
        if not entries:
            return
        names, handles = list(entries), list(entries.values())
        if self.is_own:
            longest = max(map(len, names)) / _LETTERS_PER_INCH + _LEGEND_HANDLE
            n_columns = max(1, min(len(names), int(self.width / longest)))
            self.figure.legend(
                handles, names, loc="outside lower center", ncols=n_columns, frameon=False
            )
        else:
            target = self.axes.flat[0] if ax is None else ax
            target.legend(handles, names, fontsize="small", framealpha=0.6)


def check_ax(ax: Any) -> None:
    """Check that `ax` is None, axes, or an array of axes.

    Raises
    ------
    TypeError
        If it is something else.
    """
    from matplotlib.axes import Axes

    if ax is None or isinstance(ax, Axes):
        return
    if isinstance(ax, (list, tuple, np.ndarray)) and all(
        isinstance(one, Axes) for one in np.asarray(ax, dtype=object).flat
    ):
        return
    raise TypeError(f"ax must be None, matplotlib axes or an array of them; got {ax!r}.")


def width_of(ax: Any) -> float:
    """Inches that there are for a display."""
    from matplotlib import rcParams
    from matplotlib.axes import Axes

    check_ax(ax)
    if isinstance(ax, Axes):
        return ax.bbox.width / ax.figure.dpi
    return rcParams["figure.figsize"][0]


def count_columns(ax: Any, n: int, least_width: float = 2.4) -> int:
    """Number of columns for n panels that need so many inches each; one for given axes."""
    if ax is not None and not hasattr(ax, "get_figure"):
        return 1
    return max(1, min(n, int(width_of(ax) / least_width)))


def panels(
    ax: Any,
    n_rows: int,
    n_columns: int = 1,
    *,
    row_height: float = 1.9,
    height_ratios: list[float] | None = None,
    sharex: Any = False,
    sharey: Any = False,
) -> Panels:
    """Return a grid of axes.

    Parameters
    ----------
    ax : None, Axes or array of Axes
        None makes a figure, as wide as ``rcParams["figure.figsize"]`` says. A single one is
        used as it is for a single panel, else switched off, and its place divided. An array
        must have as many as there are panels.
    n_rows, n_columns : int
    row_height : float
        Inches, of a row of ratio 1, in a figure of our own.
    height_ratios : list of float or None
    sharex, sharey : bool or str
        As in ``matplotlib.pyplot.subplots``.

    Returns
    -------
    panels : Panels

    Raises
    ------
    TypeError
        If `ax` is no axes.
    ValueError
        If there are more or fewer given axes than panels.
    """
    from matplotlib.axes import Axes

    check_ax(ax)
    ratios = [1.0] * n_rows if height_ratios is None else height_ratios
    options: dict[str, Any] = {"sharex": sharex, "sharey": sharey, "squeeze": False}
    if ax is None:
        import matplotlib.pyplot as plt

        # Room for the legend below and the labels of the time axis.
        size = (width_of(None), 0.7 + row_height * sum(ratios))
        own, axes = plt.subplots(
            n_rows, n_columns, figsize=size, layout="constrained", height_ratios=ratios, **options
        )
        return Panels(own, _tidy(axes), True)
    if not isinstance(ax, Axes):
        given = np.asarray(ax, dtype=object)
        if given.size != n_rows * n_columns:
            raise ValueError(
                f"ax must be None, one Axes or {n_rows * n_columns} of them; got {given.size}."
            )
        return Panels(given.flat[0].get_figure(), _tidy(given.reshape(n_rows, n_columns)), False)
    figure: Any = ax.get_figure()
    if n_rows * n_columns == 1:
        return Panels(figure, _tidy(np.array([[ax]], dtype=object)), False)
    ax.set_axis_off()
    spec = ax.get_subplotspec()
    if spec is None:  # axes that were placed by hand
        box = ax.get_position()
        sides = {"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1}
        grid = figure.add_gridspec(n_rows, n_columns, height_ratios=ratios, **sides)
    else:
        grid = spec.subgridspec(n_rows, n_columns, height_ratios=ratios)
    return Panels(figure, _tidy(grid.subplots(**options)), False)


def _tidy(axes: np.ndarray) -> np.ndarray:
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return axes


def no_frame(ax: Any) -> None:
    """Leave of axes what lies in them and their labels: for images."""
    ax.spines[:].set_visible(False)
    ax.set(xticks=[], yticks=[])
