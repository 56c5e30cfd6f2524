"""Blocks of Python in pages of Markdown, and what they print."""

import builtins
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

FENCE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)

# Pages whose blocks need more than a namespace, and what runs them.
ELSEWHERE = {
    "docs/command-line.md": "tests/test_cli.py",
    "docs/outgrowing-one-machine.md": "tests/test_outgrowing_page.py",
}

# A comment that gives the output of the line: numbers, tuples and lists of them.
OUTPUT = re.compile(r"print\(.*\)  # ([\d(\[][\d(),.\[\] -]*)$")


def pages() -> dict[str, Path]:
    """Pages with Python to run, by name: the README and all of docs but `ELSEWHERE`."""
    found = {
        path.relative_to(ROOT).as_posix(): path
        for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
        if "_build" not in path.parts and FENCE.search(path.read_text())
    }
    return {name: path for name, path in found.items() if name not in ELSEWHERE}


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the Python blocks of a page, each with the line before its first one."""
    for match in FENCE.finditer(text):
        yield text.count("\n", 0, match.start(1)), match[1]


def run(path: Path, text: str | None = None) -> dict[str, Any]:
    """Run the blocks of a page in one namespace, and hold what they print against their comments.

    Raises
    ------
    AssertionError
        If a line prints something else than the comment behind it says.
    """
    text = path.read_text() if text is None else text
    lines = text.splitlines()
    printed: list[tuple[int, str]] = []

    def note(*values: Any, **options: Any) -> None:
        printed.append((sys._getframe(1).f_lineno, " ".join(map(str, values))))

    # As if the page was a module, so that classes in it can be pickled and saved by name.
    namespace: dict[str, Any] = {"__name__": "page", "__builtins__": builtins, "print": note}
    for before, source in blocks(text):
        # Numbers of lines are those of the page, also in tracebacks.
        exec(compile("\n" * before + source, str(path), "exec"), namespace)
    wrong = [
        f"{path.name}:{number}: prints {output!r}"
        for number, output in printed
        if (match := OUTPUT.search(lines[number - 1])) and match[1] != output
    ]
    assert not wrong, "\n".join(wrong)
    return namespace
