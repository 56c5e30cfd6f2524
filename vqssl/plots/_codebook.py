"""CodebookDisplay: how often codes are used, how like they are, and what they stand for."""

from typing import Any, Self

import numpy as np

from vqssl._validation import check_count
from vqssl.plots._checks import as_array, as_series, check_estimator
from vqssl.plots._colors import ink, palette, principal_order
from vqssl.plots._panels import Panels, count_columns, no_frame, panels
from vqssl.plots._tokens import codebooks_of, groups_of

# Occurrences of a code that are drawn one by one.
_MOST_OCCURRENCES = 30


class CodebookDisplay:
    """The codebook of a tokenizer: usage, likeness and appearance of its codes.

    Three panels: the share of tokens that has each code, from the most to the least frequent;
    the cosine similarity of their vectors, in order along their first principal axis; and the
    decoded pieces of series that the most frequent codes stand for, one by one and their mean.

    Parameters
    ----------
    counts : array-like of int of shape (n_codes,)
        How often each code occurs.
    codebook : array-like of shape (n_codes, code_dim)
        Vectors of the codes.
    pieces : dict of int to array-like of shape (n, n_channels, length) or \
(n, n_channels, height, width)
        Decoded pieces of the codes that are shown.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The panels.
    figure_ : Figure
        Where they are.
    frequencies_ : ndarray of shape (n_codes,)
        Shares of the tokens, of codes in the order that is drawn.
    order_ : ndarray of shape (n_codes,)
        Numbers of the codes in this order.
    perplexity_ : float
        Number of codes that, equally frequent, would have the entropy of these.
    bars_ : BarContainer
        Of the first panel.
    image_ : AxesImage
        Of the second.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import VQTokenizer
    >>> from vqssl.plots import CodebookDisplay
    >>> X = np.sin(np.linspace(0, 6, 40) + np.linspace(0, 3, 20)[:, None])
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=20, random_state=0).fit(X)
    >>> display = CodebookDisplay.from_estimator(tokenizer, X)
    >>> bool(np.isclose(display.perplexity_, tokenizer.perplexity_[0]))
    True
    """

    def __init__(self, counts: Any, codebook: Any, pieces: Any) -> None:
        self.counts = counts
        self.codebook = codebook
        self.pieces = pieces

    @classmethod
    def from_estimator(
        cls, tokenizer: Any, X: Any, *, group: int = 0, n_shown: int = 6, ax: Any = None
    ) -> Self:
        """Encode series, count codes, and decode the most frequent ones where they occur.

        Parameters
        ----------
        tokenizer : fitted tokenizer
            With ``encode``, ``decode``, ``codebook_``, ``code_sizes_`` and ``token_spans_``.
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series whose codes are counted.
        group : int, default=0
            Which group of tokens, where there are several; 0 is the coarsest.
        n_shown : int, default=6
            Codes whose decoded pieces are drawn.
        ax : Axes, array of three Axes or None, default=None
            Where to draw; see `plot`.

        Returns
        -------
        display : CodebookDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            If an argument is not acceptable.
        """
        offers = ("encode", "decode", "codebook_", "code_sizes_", "token_spans_")
        check_estimator(tokenizer, "tokenizer", *offers, such_as="VQTokenizer()")
        as_series(X, "X")
        n_shown = check_count(n_shown, "n_shown")
        groups = groups_of(tokenizer)
        if check_count(group, "group", minimum=0) >= len(groups):
            raise ValueError(f"group must be below {len(groups)}, their number; got {group}.")
        codebook = codebooks_of(tokenizer, len(groups))[group]
        assert codebook is not None
        codes = np.asarray(tokenizer.encode(X))
        decoded = as_series(tokenizer.decode(codes), "tokenizer.decode(...)")
        of_group = codes[:, groups[group]]
        counts = np.bincount(of_group.ravel(), minlength=len(codebook))
        spans = np.asarray(tokenizer.token_spans_)[groups[group]]
        shown = np.argsort(-counts, kind="stable")[:n_shown]
        pieces = {
            int(code): pieces_of(decoded, of_group == code, spans)
            for code in shown
            if counts[code] > 0
        }
        return cls(counts, codebook, pieces).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes, array of three Axes or None, default=None
            None makes a figure. The place of a single one is divided.

        Returns
        -------
        self : CodebookDisplay

        Raises
        ------
        TypeError, ValueError
            If the data or `ax` are not acceptable.
        """
        counts, codebook = as_array(self.counts, "counts"), as_array(self.codebook, "codebook")
        if codebook.ndim != 2 or counts.shape != (len(codebook),):
            raise ValueError(
                f"counts must hold a number for each of {len(codebook)} codes; got {counts.shape}."
            )
        if counts.min() < 0 or counts.sum() == 0:
            raise ValueError("counts must be at least 0, and not all of them 0.")
        if not self.pieces:
            raise ValueError("pieces must hold those of at least one code.")
        self.order_ = np.argsort(-counts, kind="stable")
        self.frequencies_ = counts[self.order_] / counts.sum()
        some = self.frequencies_[self.frequencies_ > 0]
        self.perplexity_ = float(np.exp(-(some * np.log(some)).sum()))
        # Three in a row where there is room, else below each other.
        is_wide = count_columns(ax, 3, 2.3) == 3
        grid = panels(ax, *((1, 3) if is_wide else (3, 1)), row_height=2.9)
        usage, likeness, looks = grid.axes.flat
        self._draw_usage(grid, usage)
        self._draw_likeness(grid, likeness, codebook[principal_order(codebook)])
        self._draw_pieces(grid, looks)
        self.axes_, self.figure_ = grid.axes, grid.figure
        return self

    def _draw_usage(self, grid: Panels, ax: Any) -> None:
        n = len(self.frequencies_)
        n_used = int((self.frequencies_ > 0).sum())
        self.bars_ = ax.bar(np.arange(n), self.frequencies_, width=0.9, color=palette(0, ax))
        ax.axhline(1 / n, color=ink(ax), linewidth=1, linestyle="--", label="all alike")
        ax.legend(frameon=False)
        grid.title(
            ax,
            f"{n_used} of {n} codes occur, as varied as {self.perplexity_:.1f} equally frequent "
            "ones (perplexity)",
        )
        ax.set_xlabel("codes, most frequent first")
        ax.set_ylabel("share of tokens")

    def _draw_likeness(self, grid: Panels, ax: Any, vectors: np.ndarray) -> None:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors / np.maximum(lengths, np.finfo(float).tiny)
        self.image_ = ax.imshow(unit @ unit.T, cmap="RdBu_r", vmin=-1, vmax=1)
        grid.figure.colorbar(self.image_, ax=ax, label="cosine similarity", shrink=0.8)
        grid.title(ax, "How like the vectors of two codes are", 1.4)
        ax.set(xticks=[], yticks=[])
        ax.set_xlabel("codes, like ones together")
        ax.set_ylabel("codes, same order")

    def _draw_pieces(self, grid: Panels, ax: Any) -> None:
        """Draw the pieces of codes beside each other, every code in a place of width 1."""
        names = []
        shown = {code: np.asarray(pieces) for code, pieces in self.pieces.items()}
        means = [pieces.mean((0, 1)) for pieces in shown.values()]
        low, high = min(map(np.min, means)), max(map(np.max, means))
        for place, (code, pieces) in enumerate(shown.items()):
            names.append(str(code))
            if pieces.ndim == 4:
                left, right = place - 0.42, place + 0.42
                mean = pieces.mean((0, 1))
                top = 0.84 * mean.shape[0] / mean.shape[1]
                extent = (left, right, 0, top)
                ax.imshow(mean, cmap="gray", vmin=low, vmax=high, extent=extent)
                corners = [left, right, right, left, left], [0, 0, top, top, 0]
                ax.plot(*corners, color=ink(ax), linewidth=0.8)
                continue
            _, n_channels, length = pieces.shape
            x = place + (np.linspace(-0.38, 0.38, length) if length > 1 else np.zeros(1))
            marker = "o" if length == 1 else ""
            for channel in range(n_channels):
                color = palette(channel, ax)
                some = pieces[:_MOST_OCCURRENCES, channel].T
                ax.plot(x, some, color=color, alpha=0.25, linewidth=0.7, marker=marker)
                label = f"channel {channel}" if n_channels > 1 and place == 0 else None
                mean = pieces[:, channel].mean(0)
                ax.plot(x, mean, color=color, linewidth=2.2, marker=marker, label=label)
            if place > 0:
                ax.axvline(place - 0.5, color=ink(ax), linewidth=0.5, alpha=0.4)
        if next(iter(shown.values())).ndim == 4:
            no_frame(ax)
            ax.set(xlim=(-0.5, len(shown) - 0.5), ylim=(-0.1, 1.0), aspect="equal")
            grid.title(ax, "What the most frequent codes look like: mean of their pixels")
        else:
            ax.set(xlim=(-0.5, len(shown) - 0.5), ylabel="value")
            grid.title(ax, "What the most frequent codes look like: pieces, and their mean")
            if ax.get_legend_handles_labels()[0]:
                ax.legend(fontsize="small", framealpha=0.6)
        ax.set_xticks(range(len(shown)), names)
        ax.set_xlabel("code")


def pieces_of(decoded: np.ndarray, is_here: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Decoded series or images cut at the tokens (n, N) that are here, (n_here, C, ...).

    Pieces that the end of the series cut short are left out, unless all are. A piece of a series
    goes on to the first point of the next one, where there is one: two points make a line.
    """
    n_points = decoded.shape[2:]
    cuts = []
    for sample, token in np.argwhere(is_here):
        bounds = spans[token].reshape(-1, 2).copy()
        if len(n_points) == 1:
            bounds[0, 1] = min(bounds[0, 1] + 1, n_points[0])
        place = tuple(slice(start, stop) for start, stop in bounds)
        cuts.append(decoded[(sample, slice(None), *place)])
    sizes = [piece.size for piece in cuts]
    return np.stack([piece for piece in cuts if piece.size == max(sizes)])
