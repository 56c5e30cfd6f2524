"""Published accuracies, from a CSV with a row for each set.

``dataset`` names the set; ``train_size`` and ``test_size`` say how large it is, so that a set
that is incomplete here is left out; ``length`` and ``classes`` are not read; every other column
is a system, blank where nothing was published.
"""

import csv
from pathlib import Path

from probe_rows.records import Line
from probe_rows.systems import System

NO_SYSTEMS = ("dataset", "train_size", "test_size", "length", "classes")


def read(path: Path, lines: list[Line]) -> tuple[list[System], list[str]]:
    """Systems on the sets of `lines`, and the sets that have other sizes than published."""
    with path.open(newline="") as file:
        rows = {row["dataset"]: row for row in csv.DictReader(file)}
    sizes = {line["set"]: line["sizes"] for line in lines}
    different = [name for name in sizes if name in rows and not is_same(rows[name], sizes[name])]
    rows = {name: rows[name] for name in sizes if name in rows and name not in different}
    systems = []
    for column in dict.fromkeys(column for row in rows.values() for column in row):
        if column in NO_SYSTEMS:
            continue
        accuracy = {name: float(row[column]) for name, row in rows.items() if row[column]}
        if accuracy:
            systems.append(System(f"{column} (published)", accuracy, published=True))
    return systems, different


def is_same(row: dict[str, str], sizes: dict[str, int]) -> bool:
    return all(
        f"{part}_size" not in row or int(row[f"{part}_size"]) == sizes[part]
        for part in ("train", "test")
    )
