"""AnomalyDisplay: scores against the threshold, and where unusual series are unusual."""

from typing import Any, Self

import numpy as np

from vqssl._validation import check_count, check_weight
from vqssl.plots._checks import as_array, as_series, check_estimator, no_images, take
from vqssl.plots._colors import ink, ordered_map, palette
from vqssl.plots._panels import panels
from vqssl.plots._tokens import draw_colored, draw_strip, groups_of, no_frame_but_time

# Bars of the histogram, and how far from the middle the first one may be, in distances of the
# lowest quarter from it.
_BARS, _FAR = 30, 12


class AnomalyDisplay:
    """Scores of series with the threshold of a detector, and the most unusual series.

    Of each of these, the strip under it and its own colour say how surprising every token is:
    nats are minus the logarithm of the probability that the prior gives to its code. What codes
    leave out of a series counts in its score, too, but is not in the colours.

    Parameters
    ----------
    scores : array-like of shape (n_all,)
        Scores of all series in nats, low for unusual ones.
    threshold : float
        Below it series are taken for anomalies.
    X : array-like of shape (n, n_timepoints) or (n, n_channels, n_timepoints)
        The series to draw.
    surprise : array-like of shape (n, n_tokens)
        Nats of each of their tokens.
    spans : array-like of int of shape (n_tokens, 2)
        Start and stop of the time points of each token.
    groups : list of array-like of shape (n_group_tokens,), default=None
        Numbers of the tokens of each group; None is one group.
    numbers : array-like of int of shape (n,), default=None
        Which of all series they are; None are the first ones.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The panels.
    figure_ : Figure
        Where they are.
    strips_ : list of list of list of Rectangle
        Of every series its groups, a cell for each token.
    curves_ : list of list of LineCollection
        Of every series its channels.
    color_of_ : ScalarMappable
        Colours of nats; ``color_of_.to_rgba(surprise)`` are those of the cells.

    Examples
    --------
    >>> from vqssl import AnomalyDetector, MaskGITGenerator, VQTokenizer
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> from vqssl.plots import AnomalyDisplay
    >>> X, y = make_cylinder_bell_funnel(60, length=32, random_state=0)
    >>> generator = MaskGITGenerator(VQTokenizer(n_codes=16, max_iter=20), max_iter=20)
    >>> detector = AnomalyDetector(generator, random_state=0).fit(X[y == "bell"])
    >>> display = AnomalyDisplay.from_estimator(detector, X, n_samples=1)
    >>> bool(display.numbers[0] == detector.score_samples(X).argmin())
    True
    """

    def __init__(
        self,
        scores: Any,
        threshold: float,
        X: Any,
        surprise: Any,
        spans: Any,
        groups: Any = None,
        numbers: Any = None,
    ) -> None:
        self.scores = scores
        self.threshold = threshold
        self.X = X
        self.surprise = surprise
        self.spans = spans
        self.groups = groups
        self.numbers = numbers

    @classmethod
    def from_estimator(cls, detector: Any, X: Any, *, n_samples: int = 2, ax: Any = None) -> Self:
        """Score series and draw the most unusual ones.

        Parameters
        ----------
        detector : fitted AnomalyDetector
            With ``score_samples``, ``offset_`` and ``generator_``.
        X : array-like of shape (n_samples, n_timepoints) or \
(n_samples, n_channels, n_timepoints)
            Series.
        n_samples : int, default=2
            Series to draw, at most: those of the lowest scores, the lowest first.
        ax : Axes, array of Axes or None, default=None
            Where to draw; see `plot`.

        Returns
        -------
        display : AnomalyDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            If an argument is not acceptable.
        """
        offers = ("score_samples", "offset_", "generator_")
        check_estimator(detector, "detector", *offers, such_as="AnomalyDetector()")
        no_images(as_series(X, "X"), "X")
        n_samples = check_count(n_samples, "n_samples")
        tokenizer = detector.generator_.tokenizer_
        if not hasattr(tokenizer, "token_spans_"):
            raise TypeError(f"detector must have a tokenizer with token_spans_; got {tokenizer}.")
        scores = detector.score_samples(X)
        rows = np.argsort(scores, kind="stable")[:n_samples]
        given = take(X, rows)
        surprise = -detector.generator_.score_tokens(given)
        spans = tokenizer.token_spans_
        return cls(
            scores, detector.offset_, np.asarray(given), surprise, spans, groups_of(tokenizer), rows
        ).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes, array of Axes or None, default=None
            None makes a figure. The place of a single one is divided. An array must have one for
            the scores, and then, series by series, one for each channel and one for each group
            of tokens.

        Returns
        -------
        self : AnomalyDisplay

        Raises
        ------
        TypeError, ValueError
            If the data or `ax` are not acceptable.
        """
        scores, surprise = as_array(self.scores, "scores"), as_array(self.surprise, "surprise")
        series, spans = as_series(self.X, "X"), as_array(self.spans, "spans").astype(int)
        no_images(series, "X")
        threshold = float(self.threshold)
        check_weight(abs(threshold), "threshold")
        if surprise.shape != (len(series), len(spans)):
            raise ValueError(
                f"surprise must have shape {(len(series), len(spans))}, a number for each series "
                f"and span; got {surprise.shape}."
            )
        every = [np.arange(len(spans))]
        groups = every if self.groups is None else [np.asarray(group) for group in self.groups]
        numbers = range(len(series)) if self.numbers is None else self.numbers
        n, n_channels, _ = series.shape
        ratios = [1.2, *([1.0] * n_channels + [0.2] * len(groups)) * n]
        grid = panels(ax, len(ratios), height_ratios=ratios, row_height=1.7)
        top, rest = grid.axes[0, 0], grid.axes[1:, 0].reshape(n, -1)
        self._draw_scores(top, scores, threshold)
        n_below = int((scores < threshold).sum())
        grid.title(top, f"{n_below} of {len(scores)} series lie below the threshold: anomalies")
        self._choose_colors(surprise, top)
        self.strips_: list[Any] = []
        self.curves_: list[Any] = []
        for panel in list(rest.flat)[1:]:
            panel.sharex(rest[0, 0])  # the scores above have an axis of their own
        for i, (number, row) in enumerate(zip(numbers, rest, strict=True)):
            fine = groups[-1]
            of_tokens = [tuple(color) for color in self.color_of_.to_rgba(surprise[i])]
            pieces = [of_tokens[token] for token in fine]
            curves = []
            for channel, panel in enumerate(row[:n_channels]):
                curves.append(draw_colored(panel, series[i, channel], spans[fine], pieces))
                panel.set_ylabel(f"channel {channel}" if n_channels > 1 else "value")
                panel.tick_params(labelbottom=False)
            self.curves_.append(curves)
            strips = []
            for panel, group in zip(row[n_channels:], groups, strict=True):
                colors = {place: of_tokens[token] for place, token in enumerate(group)}
                strips.append(draw_strip(panel, np.arange(len(group)), spans[group], colors))
                no_frame_but_time(panel)
                panel.tick_params(labelbottom=panel is row[-1])
            self.strips_.append(strips)
            score = scores[number]
            side = "below" if score < threshold else "above"
            grid.title(row[0], f"series {number}: score {score:.0f} nats, {side} the threshold")
        rest[-1, -1].set_xlabel("time point")
        grid.figure.colorbar(
            self.color_of_, ax=list(rest.flat), label="surprise (nats per token)", pad=0.02
        )
        self.axes_, self.figure_ = grid.axes, grid.figure
        return self

    def _draw_scores(self, ax: Any, scores: np.ndarray, threshold: float) -> None:
        # Far outliers would leave one bar for all the others: they go into the first one.
        quarter, half = np.quantile(scores, [0.25, 0.5])
        low = min(threshold, max(scores.min(), half - _FAR * (half - quarter)))
        clipped = np.clip(scores, low, None)
        n_lower = int((scores < low).sum())
        # A bar lies on one side of the threshold.
        width = max(float(clipped.max()) - low, abs(threshold) * 1e-6, 1e-6) / _BARS
        first = np.floor((low - threshold) / width)
        last = np.ceil((max(clipped.max(), threshold) - threshold) / width)
        edges = threshold + width * np.arange(first, last + 2)
        for kind, some, color in (
            ("taken for anomalies", clipped[scores < threshold], palette(1, ax)),
            ("taken for normal", clipped[scores >= threshold], palette(0, ax)),
        ):
            if len(some):
                ax.hist(some, edges, color=color, alpha=0.8, label=kind)
        ax.axvline(threshold, color=ink(ax), linestyle="--", linewidth=1.3)
        ax.set_ylim(top=1.7 * ax.get_ylim()[1])  # room for words above the bars
        ax.annotate(
            "threshold ", (threshold, 0.97), xycoords=ax.get_xaxis_transform(), color=ink(ax),
            rotation=90, ha="right", va="top", fontsize="small",
        )  # fmt: skip
        lower = f"; {n_lower} lower in the first bar" if n_lower else ""
        ax.set_xlabel(f"score (nats; low is unusual{lower})")
        ax.set_ylabel("series")
        ax.legend(fontsize="small", frameon=False, loc="upper left")

    def _choose_colors(self, surprise: np.ndarray, ax: Any) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        high = max(float(surprise.max()), np.finfo(float).tiny)
        self.color_of_ = ScalarMappable(Normalize(0, high), ordered_map(ax))
