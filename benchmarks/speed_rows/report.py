"""What a row says: lines with a figure, the bar it must reach, and whether it does."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch

import vqssl
from speed_rows.timing import median, quartiles, ratios

PEERS = ("timevqvae", "vector-quantize-pytorch")


class Skipped(Exception):
    """A row cannot run here; the message says why and what would change that."""


@dataclass(frozen=True)
class Settings:
    """What the user asked for."""

    device: str = "cpu"
    short: bool = False
    threads: int = 1
    data: Path | None = None

    def key(self) -> dict[str, Any]:
        """What two runs of a row must share to be the same; no paths of this machine."""
        data = "generated" if self.data is None else "ucr"
        return {
            "device": self.device,
            "short": self.short,
            "threads": self.threads,
            "data": data,
        }

    @property
    def thread_counts(self) -> list[int]:
        """The number asked for, and all there are."""
        return sorted({self.threads, available_cores()})


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Bar:
    """Bounds of a figure; either may be missing."""

    low: float | None = None
    high: float | None = None

    def is_reached(self, value: float) -> bool:
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        return bool(low <= value <= high)

    def __str__(self) -> str:
        if self.low is None:
            return f"<= {self.high:g}"
        return f">= {self.low:g}" if self.high is None else f"{self.low:g} to {self.high:g}"


@dataclass
class Line:
    """One line of the table.

    `ours` and `theirs` are texts with their units, `figure` is what the bar is about: None
    where it could not be had, as when a budget was too small; such a line misses its bar.
    """

    name: str
    figure: float | None
    ours: str = ""
    theirs: str = ""
    form: str = "{:.2f} times faster"
    bar: Bar | None = None
    quartiles: list[float] | None = None
    note: str = ""
    reached: bool | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.bar is not None:
            self.reached = self.figure is not None and self.bar.is_reached(self.figure)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"bar": None if self.bar is None else str(self.bar)}


def compared(name: str, seconds: dict[str, list[float]], bar: Bar | None = None) -> Line:
    """The line of two sides, "ours" and "theirs", that took turns."""
    factors = ratios(seconds["theirs"], seconds["ours"])
    return Line(
        name,
        median(factors),
        seconds_text(median(seconds["ours"])),
        seconds_text(median(seconds["theirs"])),
        bar=bar,
        quartiles=quartiles(factors),
    )


@dataclass
class Result:
    """What a row returns: lines for the table, and every raw figure."""

    lines: list[Line]
    raw: dict[str, Any]


def environment(settings: Settings) -> dict[str, Any]:
    """What figures depend on besides the code."""
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "sklearn": sklearn.__version__,
        "vqssl": vqssl.__version__,
    }
    for name in PEERS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    has_load = hasattr(os, "getloadavg")
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "versions": versions,
        "threads": settings.threads,
        "cpu": cpu_name(),
        "cores": available_cores(),
        "load_average": list(os.getloadavg()) if has_load else None,
    }


def cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def seconds_text(seconds: float | None) -> str:
    """Seconds in the unit that suits them."""
    if seconds is None:
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= 0.9995 * size:  # else it would be rounded to 1e+03
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s"


def counted(threads: int) -> str:
    return f"{threads} thread" if threads == 1 else f"{threads} threads"


HEADER = ("row", "ours", "theirs", "result", "bar", "reached")
WIDTHS = (62, 9, 9, 34, 10, 7)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The table of rows as they are in the JSON file."""
    out = [format_cells(HEADER), format_cells(["-" * width for width in WIDTHS])]
    for row in rows:
        for state in ("skipped", "failed"):
            if state in row:
                out.append(f"{row['row']}: {state}: {row[state]}")
        for line in row.get("lines", []):
            out.append(format_cells(cells_of(row["row"], line)))
            if line["note"]:
                out.append(f"    {line['note']}")
    return "\n".join(out)


def cells_of(row: str, line: dict[str, Any]) -> list[str]:
    figure = "not reached" if line["figure"] is None else line["form"].format(line["figure"])
    if line["quartiles"] is not None:
        figure += " ({:.3g}-{:.3g})".format(*line["quartiles"])
    reached = {None: "", True: "yes", False: "NO"}[line["reached"]]
    name = f"{row}: {line['name']}"
    return [name, line["ours"], line["theirs"], figure, line["bar"] or "-", reached]


def format_cells(cells: Sequence[str]) -> str:
    padded = (f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True))
    return "  ".join(padded).rstrip()
