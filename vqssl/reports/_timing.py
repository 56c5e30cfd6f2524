"""Seconds of what a report asks of an estimator, and of its own sections."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from vqssl.reports._html import table
from vqssl.reports._page import Section


class Lap(NamedTuple):
    """Time that something took."""

    name: str
    cpu: float  # seconds of all threads of the process
    wall: float  # seconds
    n_series: int  # that it worked on; 0 where that is no question


class Stopwatch:
    """Takes times and keeps them."""

    def __init__(self) -> None:
        self.calls: list[Lap] = []
        self.sections: list[Lap] = []

    def call(self, name: str, n_series: int, function: Callable[..., Any], *args: Any) -> Any:
        """Return ``function(*args)``, which works on so many series."""
        result, cpu, wall = _timed(function, *args)
        self.calls.append(Lap(name, cpu, wall, n_series))
        return result

    def section(self, make: Callable[[], Section | None]) -> list[Section]:
        """Make a section, or none."""
        section, cpu, wall = _timed(make)
        if section is None:
            return []
        self.sections.append(Lap(section.title, cpu, wall, 0))
        return [section]


def _timed(function: Callable[..., Any], *args: Any) -> tuple[Any, float, float]:
    """What ``function(*args)`` returns, seconds of the processor, and seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = function(*args)
    return result, time.process_time() - cpu, time.perf_counter() - wall


def timing_section(stopwatch: Stopwatch) -> Section:
    """Say how long things took."""
    calls = [
        [lap.name, f"{lap.n_series:,}", _seconds(lap.wall), f"{1000 * lap.cpu / lap.n_series:.2f}"]
        for lap in stopwatch.calls
    ]
    sections = [[lap.name, _seconds(lap.wall), _seconds(lap.cpu)] for lap in stopwatch.sections]
    lead = (
        "Measured while this page was made, once each, on the machine that made it. Other work on "
        "that machine makes seconds longer, but not the time of the processor."
    )
    content = []
    if calls:
        header = ["", "series", "seconds", "processor, ms each"]
        content.append(table("What the model was asked for", header, calls))
    header = ["", "seconds", "processor, seconds"]
    content.append(table("Sections of this page", header, sections))
    return Section("timings", "Timings", lead, content)


def _seconds(value: float) -> str:
    return f"{value:.2f}"
