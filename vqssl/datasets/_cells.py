"""Cells of text files: numbers, missing ones and labels."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import TextIO

import numpy as np

# Texts that stand for a missing number, in lower case.
_MISSING = ("", "?", "na", "n/a", "#n/a", "nan", "null")

# Python takes more for one, such as 1_0 for 10.
_WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")


@contextlib.contextmanager
def open_text(name: str) -> Iterator[TextIO]:
    """Open a file of UTF-8 text, with or without a byte order mark.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        with open(name, encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} must be text in UTF-8; {error}.") from error


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, or stands for a missing one."""
    if _is_missing(cell):
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True


def numbers(cells: Sequence[str], where: str) -> np.ndarray:
    """Return cells as numbers, NaN where one is missing.

    Raises
    ------
    ValueError
        If one is neither; `where` says in which line.
    """
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        pass
    for cell in cells:
        if not is_number(cell):
            raise ValueError(f"{where}: {cell.strip()!r} is no number.")
    return np.array([np.nan if _is_missing(cell) else float(cell) for cell in cells])


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in _MISSING


def as_labels(cells: Sequence[str]) -> np.ndarray:
    """Return labels as int64 where all are whole numbers, else as text; none become one."""
    cells = [cell.strip() for cell in cells]
    if all(_WHOLE.fullmatch(cell) for cell in cells):
        whole = [int(cell.partition(".")[0]) for cell in cells]
        if len(set(whole)) == len(set(cells)):
            with contextlib.suppress(OverflowError):
                return np.array(whole, dtype=np.int64)
    return np.array(cells)
