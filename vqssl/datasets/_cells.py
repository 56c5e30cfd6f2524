"""Cells of text files: numbers, missing ones and labels."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TextIO

import numpy as np

# Texts that stand for a missing number, in lower case.
_MISSING = ("", "?", "na", "nan", "null")


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
    """Return labels as int64 where all are whole numbers, else as text."""
    cells = [cell.strip() for cell in cells]
    try:
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    except (ValueError, OverflowError):
        return np.array(cells)
