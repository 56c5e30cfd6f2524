"""Follow every link inside a built site: ``python docs/check_links.py docs/_build/html``.

Sphinx checks references; this also reads what it passes through, such as HTML of the gallery and
addresses in Markdown. Links to other sites are not followed. Status 1 if one leads nowhere.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ADDRESSES = {"a": "href", "img": "src", "link": "href", "script": "src"}


class Page(HTMLParser):
    """Links of a page, and the places in it that a link can lead to."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in one element."""
        attributes = dict(attrs)
        if address := attributes.get(ADDRESSES.get(tag, "")):
            self.links.append(address)
        self.places |= {attributes[name] or "" for name in ("id", "name") if name in attributes}


def broken_links(site: Path) -> list[str]:
    """Return a line for every link of a site that leads nowhere."""
    # What themes bring along holds templates, no pages.
    paths = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in paths}
    found = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            place = unquote(parts.fragment)
            if not target.is_file() or (
                # "#" and "#top" are the top of any page.
                place not in ("", "top") and target in pages and place not in pages[target].places
            ):
                found.append(f"{path.relative_to(site)}: {link}")
    return found


if __name__ == "__main__":
    root = Path(sys.argv[1]).resolve()
    if not (root / "index.html").is_file():
        sys.exit(f"{root} is no built site: it has no index.html.")
    problems = broken_links(root)
    sys.exit("\n".join(problems) if problems else None)
