"""RateDistortionDisplay: what codes cost against what they lose."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from vqssl.evaluation import rate_distortion
from vqssl.plots._checks import as_array, as_series, check_estimator
from vqssl.plots._colors import ink, palette
from vqssl.plots._panels import panels


class RateDistortionDisplay:
    """Bits per series of several generators against the error of what their codes give back.

    Good ones are below and to the left; the line joins those that no other beats in both.

    Parameters
    ----------
    rates : array-like of shape (n,)
        Bits per series.
    distortions : array-like of shape (n,)
        Squared errors over the variance of the series: 0 is perfect.
    names : list of str of length n
        What the points are called.

    Attributes
    ----------
    ax_ : Axes
        The panel.
    figure_ : Figure
        Where it is.
    points_ : PathCollection
        The points.
    frontier_ : list of int
        Which of them no other beats, by rate.

    See Also
    --------
    vqssl.evaluation.rate_distortion : The figures, and more of them.

    Examples
    --------
    >>> from vqssl.plots import RateDistortionDisplay
    >>> display = RateDistortionDisplay([80, 140, 150], [0.2, 0.05, 0.3], ["8", "32", "bad"])
    >>> display.plot().frontier_
    [0, 1]
    """

    def __init__(self, rates: Any, distortions: Any, names: Any) -> None:
        self.rates = rates
        self.distortions = distortions
        self.names = names

    @classmethod
    def from_estimators(
        cls, generators: Mapping[str, Any], X: Any, y: Any = None, *, ax: Any = None
    ) -> Self:
        """Measure rate and distortion of generators on the same series.

        Parameters
        ----------
        generators : dict of str to fitted generator
            With ``score_samples`` and ``tokenizer_``, by name.
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series, held-out ones for the rate that a code would have.
        y : array-like of shape (n_samples,), default=None
            Their classes, which then cost no bits.
        ax : Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : RateDistortionDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            If an argument is not acceptable.
        """
        if not isinstance(generators, Mapping) or len(generators) == 0:
            raise TypeError(
                f"generators must be a dict of names and fitted generators; got {generators!r}."
            )
        for name, generator in generators.items():
            offers = ("score_samples", "tokenizer_")
            such_as = "MaskGITGenerator()"
            check_estimator(generator, f"generators[{name!r}]", *offers, such_as=such_as)
        as_series(X, "X")
        figures = [rate_distortion(generator, X, y) for generator in generators.values()]
        return cls(
            [one["bits_per_series"] for one in figures],
            [one["normalized_mse"] for one in figures],
            list(generators),
        ).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes or None, default=None
            None makes a figure.

        Returns
        -------
        self : RateDistortionDisplay

        Raises
        ------
        TypeError, ValueError
            If the data or `ax` are not acceptable.
        """
        rates, errors = as_array(self.rates, "rates"), as_array(self.distortions, "distortions")
        names = [str(name) for name in self.names]
        if rates.ndim != 1 or errors.shape != rates.shape or len(names) != len(rates):
            raise ValueError(
                "rates, distortions and names must be as many; got shapes "
                f"{rates.shape}, {errors.shape} and {len(names)} names."
            )
        order = np.lexsort([errors, rates])
        best = np.minimum.accumulate(errors[order])
        is_new = np.r_[True, best[1:] < best[:-1]]
        self.frontier_ = order[is_new].tolist()
        grid = panels(ax, 1, row_height=3.2)
        ax = grid.axes[0, 0]
        ax.plot(rates[self.frontier_], errors[self.frontier_], color=ink(ax), alpha=0.4, zorder=1)
        self.points_ = ax.scatter(rates, errors, color=palette(0, ax), s=45, zorder=2)
        middle = (rates.min() + rates.max()) / 2
        for place, i in enumerate(order):
            is_left = rates[i] <= middle  # names stay inside
            is_above = place % 2 == 0  # names of neighbours stay apart
            ax.annotate(
                names[i],
                (rates[i], errors[i]),
                xytext=(7 if is_left else -7, 7 if is_above else -7),
                textcoords="offset points",
                ha="left" if is_left else "right",
                va="bottom" if is_above else "top",
                color=ink(ax),
            )
        ax.margins(0.12, 0.18)
        ax.set_xlabel("rate (bits per series)")
        ax.set_ylabel("squared error / variance")
        grid.title(ax, "Cost of codes against what they lose: down and left is better")
        self.ax_, self.figure_ = ax, grid.figure
        return self
