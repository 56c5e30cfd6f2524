"""The page: sections, what was found in them, and the frame around all."""

from collections.abc import Sequence
from typing import NamedTuple

from vqssl.reports._findings import Finding, counted
from vqssl.reports._html import Html, element, escaped, joined, paragraph
from vqssl.reports._style import STYLE

# Nothing may be loaded, from this folder or elsewhere, and no script may run.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Section(NamedTuple):
    """A section of the page."""

    key: str  # its id
    title: str
    lead: str  # what it is about, in a few sentences
    content: list[Html]
    rules: Sequence[Finding | None] = ()  # what each rule found
    key_figures: Sequence[tuple[str, str]] = ()  # name and value, for the beginning of the page


def make_page(title: str, subtitle: str, sections: list[Section], footer: str) -> str:
    """Return the page as text.

    Parameters
    ----------
    title, subtitle : str
    sections : list of Section
    footer : str
        How the page was made.

    Returns
    -------
    page : str
        A whole HTML document.
    """
    links = [("findings", "Findings"), *((section.key, section.title) for section in sections)]
    items = [element("li", element("a", name, href=f"#{key}")) for key, name in links]
    body = joined(
        [
            element("a", "Skip to the findings", href="#findings", _class="skip"),
            element("header", element("h1", title), paragraph(subtitle)),
            element("nav", element("ol", *items), aria_label="Sections"),
            element("main", _findings(sections), *map(_section, sections)),
            element("footer", paragraph(footer)),
        ]
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{escaped(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _framed(key: str, title: str, *content: Html) -> Html:
    heading = element("h2", title, id=f"{key}-title")
    body = joined([heading, *content])
    return element("section", body, id=key, aria_labelledby=f"{key}-title")


def _section(section: Section) -> Html:
    content = element("div", joined(section.content), _class="content")
    return _framed(section.key, section.title, paragraph(section.lead), content)


def _findings(sections: list[Section]) -> Html:
    found = [(finding, section) for section in sections for finding in section.rules if finding]
    found.sort(key=lambda pair: not pair[0].is_problem)  # problems first, else as they come
    n_rules = sum(len(section.rules) for section in sections)
    n_problems = sum(finding.is_problem for finding, _ in found)
    lead = (
        f"{counted(n_rules, 'rule')} looked for what usually goes wrong and found "
        f"{counted(n_problems, 'problem')} and {counted(len(found) - n_problems, 'note')}."
    )
    if not found:
        lead = f"{counted(n_rules, 'rule')} looked for what usually goes wrong and found nothing."
    figures = [pair for section in sections for pair in section.key_figures]
    tiles = [element("div", element("dt", name), element("dd", value)) for name, value in figures]
    items = [_finding(finding, section) for finding, section in found]
    content = [paragraph(lead)]
    if items:
        content.append(element("ol", joined(items), _class="findings"))
    if tiles:
        content.insert(0, element("dl", *tiles, _class="key"))
    return _framed("findings", "Findings", *content)


def _finding(finding: Finding, section: Section) -> Html:
    word = "Problem" if finding.is_problem else "Note"
    link = element("a", section.title, href=f"#{section.key}")
    return element(
        "li",
        element("p", element("strong", f"{word}: "), finding.what),
        element("p", f"{finding.advice} See ", link, "."),
        _class=word.lower(),
    )
