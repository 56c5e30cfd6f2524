"""Pieces of HTML: text is escaped here and nowhere else."""

import html
from collections.abc import Iterable, Sequence

from vqssl.reports._figures import Picture


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(text: object) -> Html:
    """Any value as HTML: as it is where it is HTML, else its text, escaped."""
    return text if isinstance(text, Html) else Html(html.escape(str(text)))


def joined(pieces: Iterable[Html], between: str = "\n") -> Html:
    """Pieces one after the other."""
    return Html(between.join(pieces))


def element(tag: str, *content: object, **attributes: object) -> Html:
    """An element; attributes that are None are left out, of names a leading ``_`` is dropped."""
    given = {name.lstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    text = "".join(
        f' {name}="{html.escape(str(value))}"' for name, value in given.items() if value is not None
    )
    return Html(f"<{tag}{text}>{joined(map(escaped, content), '')}</{tag}>")


def paragraph(text: object) -> Html:
    """A paragraph."""
    return element("p", text)


def measure(name: str, meaning: str, *values: object) -> list[object]:
    """Row of a table: what is measured, what that means in smaller letters, and values."""
    first = joined([escaped(name), element("small", meaning)], "")
    return [first, *values]


def table(caption: str, header: Sequence[object], rows: Sequence[Sequence[object]]) -> Html:
    """A table whose first column names the rows."""
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    body = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in cells))
        for first, *cells in rows
    ]
    return element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", joined(body, "\n")),
    )


def figures(*pictures: Picture) -> Html:
    """Pictures, one after the other."""
    shown = []
    for picture in pictures:
        # An img has no end tag.
        image = Html(
            f'<img src="{picture.uri}" alt="{html.escape(picture.alt)}" '
            f'width="{picture.width}" height="{picture.height}">'
        )
        shown.append(element("figure", image, element("figcaption", picture.caption)))
    return joined(shown)
