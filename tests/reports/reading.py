"""Reads a page as a browser's parser would, but refuses what a browser would mend."""

from html.parser import HTMLParser
from typing import NamedTuple

VOID = {"br", "hr", "img", "input", "link", "meta"}

# A paragraph cannot hold these; a browser would close it.
BLOCKS = {"dl", "div", "figure", "h1", "h2", "h3", "ol", "p", "section", "table", "ul"}


class Element(NamedTuple):
    tag: str
    attributes: dict[str, str | None]
    text: list[str]  # of it and all that is in it
    parents: list[str]

    def __str__(self) -> str:
        return " ".join("".join(self.text).split())


class Page(HTMLParser):
    """The elements of a page, in order."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(source)
        self.close()
        assert not self._open, f"not closed: {[one.tag for one in self._open]}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"{tag} has an attribute twice: {names}"
        parents = [one.tag for one in self._open]
        assert not (tag in BLOCKS and "p" in parents), f"{tag} in a paragraph"
        element = Element(tag, dict(attrs), [], parents)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open, f"{tag} is closed, but nothing is open"
        assert self._open[-1].tag == tag, f"{tag} is closed inside {self._open[-1].tag}"
        self._open.pop()

    def handle_data(self, data):
        assert self._open or not data.strip(), f"text outside: {data!r}"
        for element in self._open:
            element.text.append(data)

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def titles(self) -> list[str]:
        """Titles of the sections."""
        return [str(heading) for heading in self.all("h2")]

    def findings(self) -> list[str]:
        """What was found, with what to do."""
        return [str(item) for item in self.all("li") if item.attributes.get("class") is not None]

    def row(self, name: str) -> list[str]:
        """Values of the first row of a table whose name begins so."""
        for i, element in enumerate(self.elements):
            if element.tag == "th" and str(element).startswith(name) and "tbody" in element.parents:
                values = []
                for other in self.elements[i + 1 :]:
                    if other.tag == "tr":
                        break
                    if other.tag == "td":
                        values.append(str(other))
                return values
        raise AssertionError(f"there is no row {name!r}")
