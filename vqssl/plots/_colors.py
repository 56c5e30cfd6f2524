"""Colours: a palette that colour-blind readers can tell apart, and what suits the background.

Text and reference lines have the colour that the axes give their labels, so that light and dark
styles work alike.
"""

from typing import Any

import numpy as np

# Okabe and Ito, "Color Universal Design" (2008), without black, which vanishes on dark
# backgrounds, and yellow, which vanishes on light ones; the most legible ones come first.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

PALETTE_ON_DARK = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#0072B2")

MARKERS = "os^DvP*"

# Of a perceptually even map: light yellow is lost on white, dark blue on black.
_ORDERED_MAP = "viridis"
_ON_LIGHT, _ON_DARK = (0.0, 0.85), (0.3, 1.0)


def palette(number: int, ax: Any) -> str:
    """The colour of the thing with this number on axes."""
    colors = PALETTE if is_light(ax) else PALETTE_ON_DARK
    return colors[number % len(colors)]


def is_light(ax: Any) -> bool:
    """Whether axes have a light background."""
    return luminance(paper(ax)) > 0.5


def ink(ax: Any) -> Any:
    """The colour of text and reference lines on axes."""
    return ax.xaxis.label.get_color()


def paper(ax: Any) -> Any:
    """The colour behind what is drawn on axes, as RGB."""
    from matplotlib.colors import to_rgba

    color = to_rgba(ax.get_facecolor())
    return color[:3] if color[3] > 0 else to_rgba(ax.get_figure().get_facecolor())[:3]


def luminance(color: Any) -> float:
    """Relative luminance, in [0, 1] (Web Content Accessibility Guidelines 2.1)."""
    from matplotlib.colors import to_rgb

    channels = np.asarray(to_rgb(color))
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: Any, other: Any) -> float:
    """Ratio of luminances, from 1 to 21 (Web Content Accessibility Guidelines 2.1)."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def legible_on(color: Any, ax: Any) -> Any:
    """Of the colours of text and background, the one that is easier to read on a colour."""
    return max([ink(ax), paper(ax)], key=lambda candidate: contrast(candidate, color))


def ordered_map(ax: Any) -> Any:
    """A colour map for numbers, all of whose colours differ from the background."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    low, high = _ON_LIGHT if is_light(ax) else _ON_DARK
    return ListedColormap(mpl.colormaps[_ORDERED_MAP](np.linspace(low, high, 256)))


def ordered_colors(n: int, ax: Any) -> np.ndarray:
    """So many colours from one end of the map to the other, (n, 4)."""
    return ordered_map(ax)(np.linspace(0, 1, n) if n > 1 else np.array([0.5]))


def principal_order(vectors: np.ndarray) -> np.ndarray:
    """Rows (n, D) in their order along the first principal axis: like ones come together."""
    centred = vectors - vectors.mean(0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    return np.argsort(centred @ axis, kind="stable")


def code_colors(codes: np.ndarray, codebook: np.ndarray | None, ax: Any) -> dict[int, Any]:
    """A colour for each code that occurs: like codes have like colours.

    Parameters
    ----------
    codes : ndarray of int
        Codes of one group of tokens; negative ones stand for none.
    codebook : ndarray of shape (K, D) or None
        Vectors, by whose first principal axis codes are put in order; None is by number.
    ax : matplotlib.axes.Axes
        Where they are drawn.

    Returns
    -------
    colors : dict of int to color
    """
    used = np.unique(codes[codes >= 0])
    if len(used) <= len(PALETTE):
        return {int(code): palette(i, ax) for i, code in enumerate(used)}
    if codebook is not None:
        used = used[principal_order(codebook[used])]
    colors = ordered_colors(len(used), ax)
    return {int(code): tuple(color) for code, color in zip(used, colors, strict=True)}
