"""TrainingDisplay: the terms of the loss and the learning rate over the steps."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from vqssl.plots._checks import check_estimator
from vqssl.plots._colors import PALETTE, ink, palette
from vqssl.plots._panels import panels

# Entries of a history that are no terms of the loss.
_NO_TERMS = ("step", "loss", "valid_loss", "lr")


class TrainingDisplay:
    """Terms of the loss of a fitted estimator, and its learning rate.

    Parameters
    ----------
    history : dict of str to list
        ``step``, ``loss`` and any terms of it, and ``lr`` and ``valid_loss`` where there are, as
        ``history_`` of all estimators that train.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The panels: loss, then learning rate where the history tells it.
    figure_ : Figure
        Where they are.
    lines_ : dict of str to Line2D
        By the name in the history.

    Notes
    -----
    The axis of the loss is logarithmic where everything on it is above zero; a likelihood may be
    below. Entries are means over the steps of a period, so that the first one is a while after
    the start.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import VQTokenizer
    >>> from vqssl.plots import TrainingDisplay
    >>> X = np.sin(np.linspace(0, 6, 40) + np.linspace(0, 3, 20)[:, None])
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=20, random_state=0).fit(X)
    >>> display = TrainingDisplay.from_estimator(tokenizer)
    >>> sorted(display.lines_)
    ['commitment', 'loss', 'lr', 'reconstruction']
    """

    def __init__(self, history: Mapping[str, Any]) -> None:
        self.history = history

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator
            With ``history_``.
        ax : Axes, array of Axes or None, default=None
            Where to draw; see `plot`.

        Returns
        -------
        display : TrainingDisplay

        Raises
        ------
        TypeError, NotFittedError
            If the estimator is not acceptable.
        """
        check_estimator(estimator, "estimator", "fit", "history_", such_as="VQTokenizer()")
        return cls(estimator.history_).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes, array of Axes or None, default=None
            None makes a figure. The place of a single one is divided. An array must have two,
            one where the history tells no learning rate.

        Returns
        -------
        self : TrainingDisplay

        Raises
        ------
        TypeError, ValueError
            If the history or `ax` are not acceptable.
        """
        history = _checked(self.history)
        steps, n = history["step"], len(history["step"])
        ratios = [1.0, 0.45] if "lr" in history else [1.0]
        grid = panels(ax, len(ratios), height_ratios=ratios, row_height=2.4, sharex=True)
        loss = grid.axes[0, 0]
        marker = "o" if n == 1 else ""
        self.lines_: dict[str, Any] = {}

        def draw(panel: Any, name: str, **style: Any) -> None:
            (self.lines_[name],) = panel.plot(steps, history[name], marker=marker, **style)

        terms = [name for name in history if name not in _NO_TERMS]
        for i, name in enumerate(terms):
            style = ["-", "--", ":"][i // len(PALETTE) % 3]
            draw(loss, name, color=palette(i, loss), linestyle=style, label=name.replace("_", " "))
        whole = {"color": ink(loss), "linewidth": 2.2}
        # A single term is the loss.
        draw(loss, "loss", label="loss, the sum of these" if len(terms) > 1 else "loss", **whole)
        if "valid_loss" in history:
            draw(loss, "valid_loss", label="loss of held-out series", linestyle="--", **whole)
        if min(history[name].min() for name in self.lines_) > 0:
            loss.set_yscale("log")
            _write_plain(loss.yaxis)
        loss.set_ylabel("loss")
        grid.title(loss, f"Training: {int(steps[-1])} steps, last loss {history['loss'][-1]:.3g}")
        if "lr" in history:
            draw(grid.axes[1, 0], "lr", color=ink(loss))
            grid.axes[1, 0].set_ylabel("learning\nrate")
            grid.axes[1, 0].set_ylim(bottom=0)
        grid.axes[-1, 0].set_xlabel("optimizer step")
        grid.legend(loss)
        self.axes_, self.figure_ = grid.axes, grid.figure
        return self


def _write_plain(axis: Any) -> None:
    """Write 0.06 in place of 6 x 10^-2 on a logarithmic axis."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        def __call__(self, x: float, pos: Any = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    axis.set_major_formatter(Plain())
    axis.set_minor_formatter(Plain(labelOnlyBase=False))


def _checked(history: Any) -> dict[str, np.ndarray]:
    """The history as arrays of one length.

    Raises
    ------
    TypeError
        If it is no dict.
    ValueError
        If it lacks steps or loss, or lists have several lengths.
    """
    if not isinstance(history, Mapping):
        raise TypeError(f"history must be a dict of lists, such as history_; got {history!r}.")
    missing = [name for name in ("step", "loss") if name not in history]
    if missing:
        raise ValueError(f"history must have {' and '.join(missing)}; got {sorted(history)}.")
    arrays = {name: np.asarray(values, float) for name, values in history.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or lengths["step"] == 0:
        raise ValueError(f"history must have lists of one length, at least 1; got {lengths}.")
    return arrays
