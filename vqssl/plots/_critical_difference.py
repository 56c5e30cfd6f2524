"""CriticalDifferenceDisplay (Demsar 2006): average ranks of systems over data sets."""

import textwrap
from typing import Any, Self

import numpy as np
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from vqssl._validation import check_probability
from vqssl.plots._checks import as_array
from vqssl.plots._colors import ink, palette
from vqssl.plots._panels import panels


class CriticalDifferenceDisplay:
    """Average ranks of several systems over data sets; bars join what is not told apart.

    Rank 1 is best. Two systems whose average ranks differ by less than the critical difference
    are joined: these data sets do not tell them apart.

    Parameters
    ----------
    ranks : array-like of shape (n_systems,)
        Average ranks.
    names : list of str of length n_systems
        Of the systems.
    critical_difference : float
        Of two average ranks.
    level : float, default=0.05
        Of the test that it belongs to.

    Attributes
    ----------
    ax_ : Axes
        The panel.
    figure_ : Figure
        Where it is.
    cliques_ : list of tuple of int
        First and last place of the runs of systems that are joined, by rank.
    friedman_p_ : float
        Probability of ranks so different, were all systems alike (Friedman); only after
        `from_predictions`.

    Notes
    -----
    The critical difference is Nemenyi's: q sqrt(k (k + 1) / (6 N)) for k systems and N data sets,
    with q the studentised range over the square root of two.

    References
    ----------
    J. Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 2006,
    section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl.plots import CriticalDifferenceDisplay
    >>> scores = np.random.default_rng(0).normal(size=(30, 3)) + [0, 0.1, 2]
    >>> names = ["first", "second", "third"]
    >>> display = CriticalDifferenceDisplay.from_predictions(scores, names)
    >>> display.cliques_  # by rank: the best one alone, the other two alike
    [(1, 2)]
    """

    def __init__(
        self, ranks: Any, names: Any, critical_difference: float, level: float = 0.05
    ) -> None:
        self.ranks = ranks
        self.names = names
        self.critical_difference = critical_difference
        self.level = level

    @classmethod
    def from_predictions(
        cls,
        scores: Any,
        names: Any,
        *,
        greater_is_better: bool = True,
        level: float = 0.05,
        ax: Any = None,
    ) -> Self:
        """Rank systems on every data set and draw their average ranks.

        Parameters
        ----------
        scores : array-like of shape (n_sets, n_systems)
            One figure for each data set and system, such as a test accuracy. Equal ones share
            their ranks.
        names : list of str of length n_systems
            Of the systems.
        greater_is_better : bool, default=True
            Whether the largest figure gets rank 1.
        level : float, default=0.05
            Of the test.
        ax : Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : CriticalDifferenceDisplay

        Raises
        ------
        TypeError, ValueError
            If an argument is not acceptable.
        """
        array = as_array(scores, "scores")
        if array.ndim != 2 or array.shape[0] < 2 or array.shape[1] < 3:
            raise ValueError(
                "scores must have a row for each of at least 2 data sets and a column for each of "
                f"at least 3 systems; got shape {array.shape}."
            )
        n, k = array.shape
        level = check_probability(level, "level", below_one=True)
        ranks = rankdata(-array if greater_is_better else array, axis=1).mean(0)
        q = studentized_range.ppf(1 - level, k, np.inf) / np.sqrt(2)
        display = cls(ranks, names, float(q * np.sqrt(k * (k + 1) / (6 * n))), level)
        # Where all are equal everywhere there is nothing to test.
        differ = np.ptp(array, axis=1).any()
        display.friedman_p_ = float(friedmanchisquare(*array.T).pvalue) if differ else 1.0
        return display.plot(ax)

    friedman_p_: float

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes or None, default=None
            None makes a figure.

        Returns
        -------
        self : CriticalDifferenceDisplay

        Raises
        ------
        TypeError, ValueError
            If the data or `ax` are not acceptable.
        """
        ranks = as_array(self.ranks, "ranks")
        names = [str(name) for name in self.names]
        if ranks.shape != (len(names),):
            raise ValueError(f"names must be as many as ranks, {ranks.size}; got {len(names)}.")
        order = np.argsort(ranks, kind="stable")
        ranks, names = ranks[order], [names[i] for i in order]
        self.cliques_ = _runs_within(ranks, float(self.critical_difference))
        grid = panels(ax, 1, row_height=1.3 + 0.3 * len(names))
        self.ax_, self.figure_ = grid.axes[0, 0], grid.figure
        self._draw(ranks, names)
        grid.title(
            self.ax_, "Average rank over data sets; bars join what they do not tell apart", 2.2
        )
        return self

    def _draw(self, ranks: np.ndarray, names: list[str]) -> None:
        ax = self.ax_
        n, color = len(names), ink(ax)
        rows = np.arange(n)
        ax.hlines(rows, 0, ranks, color=color, linewidth=0.7, alpha=0.35)
        ax.plot(ranks, rows, "o", color=palette(0, ax), markersize=7)
        for row, rank in enumerate(ranks):
            ax.annotate(
                f"{rank:.2f}", (rank, row), (9, 0), textcoords="offset points", va="center",
                color=color,
            )  # fmt: skip
        ax.set_yticks(rows, [textwrap.fill(name, 22) for name in names])
        low, high = np.floor(ranks.min()) - 0.1, ranks.max()
        width = high - low
        # Bars stand to the right of the figures, one beside the other.
        for i, (first, last) in enumerate(self.cliques_):
            place = high + width * (0.34 + 0.06 * i)
            ax.plot([place, place], [first - 0.25, last + 0.25], color=palette(1, ax), linewidth=4)
        right = high + width * (0.38 + 0.06 * len(self.cliques_))
        reach = low + float(self.critical_difference)
        ax.plot([low, reach], [n, n], color=palette(1, ax), linewidth=4, solid_capstyle="butt")
        text = f"critical difference {self.critical_difference:.2f} (level {self.level:g})"
        ax.text(low, n + 0.25, text, color=color, va="top", fontsize="small")
        ax.set(xlim=(low, max(right, reach)), ylim=(n + 1.1, -0.6))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlabel("average rank (1 is best)")
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)


def _runs_within(ranks: np.ndarray, difference: float) -> list[tuple[int, int]]:
    """First and last places of the longest runs of rising ranks within a difference."""
    runs: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = int(np.flatnonzero(ranks <= rank + difference)[-1])
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs
