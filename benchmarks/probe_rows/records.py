"""The file of lines: what is there, and how a line is added."""

import json
from pathlib import Path
from typing import Any

Line = dict[str, Any]
Key = tuple[Any, ...]


def key(line: Line) -> Key:
    """What two lines must share to be the same experiment."""
    parameters = json.dumps(line["params"], sort_keys=True)
    names = ("set", "method", "seed", "protocol", "labels_per_class")
    return (*(line[name] for name in names), parameters)


def read(path: Path) -> list[Line]:
    """Lines of a file, the latest for each key; without a last line that was broken off.

    That a line was skipped or failed counts only until there are figures.
    """
    if not path.exists():
        return []
    text = path.read_text()
    lines: dict[Key, Line] = {}
    for row in text[: text.rfind("\n") + 1].splitlines():
        line = json.loads(row)
        if is_done(line) or not is_done(lines.get(key(line), {})):
            lines[key(line)] = line
    return list(lines.values())


def is_done(line: Line) -> bool:
    return "accuracy" in line


def mend(path: Path) -> None:
    """Cut off a last line that an interrupted run left without its end."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def append(path: Path, line: Line) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def read_lines(path: Path, protocol: str) -> list[Line]:
    """Lines of the protocol; a last one that was broken off does not count."""
    if not path.exists():
        return []
    text = path.read_text()
    lines = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
    return [line for line in lines if line["protocol"] == protocol]
