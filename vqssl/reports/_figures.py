"""Figures of matplotlib as pictures inside a page, without a trace in pyplot."""

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

# Inches: as wide as a telephone, so that letters are legible there; a larger screen has two
# of them side by side.
WIDTH = 4.8

# Bytes of an SVG, beyond which a picture is a PNG where that is smaller.
_LARGEST_SVG = 120_000

_PIXELS_PER_INCH = 96  # of CSS
_SHARPNESS = 2  # pixels of a PNG in one of CSS, for screens and printers that have more

_STYLE: Any = {
    "figure.figsize": (WIDTH, 3.6),
    # The page has a white card for it in light and in dark.
    "savefig.facecolor": "white",
    # Names of classes may hold dollars.
    "text.parse_math": False,
    # Letters as shapes: they fit whatever fonts a reader has.
    "svg.fonttype": "path",
    # The same figure gives the same bytes.
    "svg.hashsalt": "vqssl",
}


class Picture(NamedTuple):
    """A picture and what is said of it."""

    uri: str  # "data:..."
    width: int  # pixels of CSS
    height: int
    alt: str  # what is seen, in numbers, for who does not see it
    caption: str


def check_matplotlib() -> None:
    """Check that figures can be drawn.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "report needs matplotlib, which the extra plot installs: pip install vqssl[plot]."
        ) from error


def draw(make: Callable[[], Any], alt: str, caption: str) -> Picture:
    """Turn what ``make()`` returns, a figure or a display, into a picture; see `render`."""
    with _own_figures():
        made = make()
        return render(getattr(made, "figure_", made), alt, caption)


def render(figure: Any, alt: str, caption: str) -> Picture:
    """Turn a figure into a picture: SVG, or PNG where that is large and PNG smaller."""
    width, height = figure.get_size_inches()
    data, kind = _saved(figure, "svg", metadata={"Date": None, "Creator": None}), "svg+xml"
    if len(data) > _LARGEST_SVG:
        pixels = _saved(figure, "png", dpi=_SHARPNESS * _PIXELS_PER_INCH)
        if len(pixels) < len(data):
            data, kind = pixels, "png"
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    size = [round(_PIXELS_PER_INCH * side) for side in (width, height)]
    return Picture(uri, size[0], size[1], alt, caption)


def _saved(figure: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, **options)
    return file.getvalue()


@contextmanager
def _own_figures() -> Iterator[None]:
    """Draw in one style, whatever the user's is, and close all figures that are made."""
    import matplotlib.pyplot as plt

    before = set(plt.get_fignums())
    try:
        with plt.style.context("default"), plt.rc_context(_STYLE), plt.ioff():
            yield
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)
