"""What displays need to know of a tokenizer, and strips of codes under series."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vqssl.plots._colors import ink, legible_on

# Inches that a number written upright needs in a cell of a strip.
_CELL_WIDTH = 0.105


def groups_of(tokenizer: Any) -> list[np.ndarray]:
    """Numbers of the tokens of each group."""
    n = len(tokenizer.code_sizes_)
    groups = getattr(tokenizer, "token_groups_", [slice(0, n)])
    return [np.arange(n)[group] for group in groups]


def codebooks_of(tokenizer: Any, n_groups: int) -> list[np.ndarray | None]:
    """Vectors of the codes of each group, where the tokenizer has them."""
    given = getattr(tokenizer, "codebook_", None)
    if given is None:
        return [None] * n_groups
    return list(given) if isinstance(given, list) else [np.asarray(given)]


def group_names(n: int) -> list[str]:
    """What strips are called: the coarsest comes first."""
    if n == 1:
        return ["codes"]
    return ["coarse\ncodes", *[f"codes {i}" for i in range(1, n - 1)], "fine\ncodes"]


def no_frame_but_time(ax: Any) -> None:
    """Leave of the axes of a strip the time axis only."""
    ax.set(yticks=[], ylim=(0, 1))
    ax.spines[:].set_visible(False)
    ax.tick_params(axis="x", color=ink(ax))


def draw_strip(
    ax: Any, codes: np.ndarray, spans: np.ndarray, colors: dict[int, Any], *, bottom: float = 0.0
) -> list[Any]:
    """Draw a cell for each token (N,) over its time points [start, stop); none for code -1."""
    known = codes >= 0
    starts, stops = spans[known].T
    bars = ax.bar(
        starts - 0.5,
        np.ones(known.sum()),
        width=stops - starts,
        bottom=bottom,
        align="edge",
        color=[colors[code] for code in codes[known].tolist()],
        linewidth=0,
    )
    return list(bars)


def write_codes(
    ax: Any, codes: np.ndarray, spans: np.ndarray, colors: dict[int, Any], width: float
) -> None:
    """Write codes into the cells of a strip that is so many inches wide, if they fit."""
    shares = (spans[:, 1] - spans[:, 0]) / max(spans[:, 1].max(), 1)
    if np.median(shares) * width < _CELL_WIDTH:
        return
    is_wide = np.median(shares) * width > 3 * _CELL_WIDTH
    for code, (start, stop) in zip(codes.tolist(), spans, strict=True):
        ax.text(
            (start + stop) / 2 - 0.5,
            0.5,
            str(code),
            color=legible_on(colors[code], ax),
            rotation=0 if is_wide else 90,
            ha="center",
            va="center",
            fontsize=7,
        )


def draw_colored(
    ax: Any, series: np.ndarray, spans: np.ndarray, colors: Sequence[Any], linewidth: float = 1.8
) -> Any:
    """Draw a series (L,) in pieces, one for each token, up to the first point of the next."""
    from matplotlib.collections import LineCollection

    pieces = []
    for start, stop in spans:
        time = np.arange(start, min(stop + 1, len(series)))
        if len(time) == 1:  # the last point alone is a dot, not a line
            time = np.array([max(start - 1, 0), start])
        pieces.append(np.column_stack([time, series[time]]))
    lines = LineCollection(pieces, colors=list(colors), linewidths=linewidth, capstyle="round")
    ax.add_collection(lines)
    ax.autoscale_view()
    return lines
