"""Clocks, sides that are timed in turns, and what is reported of the turns."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

Side = Callable[[], Any]


class Stopwatch:
    """CPU seconds of this process and wall seconds, added up over all times it ran."""

    def __init__(self) -> None:
        self.cpu = 0.0
        self.wall = 0.0

    def start(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self.cpu += time.process_time() - self._cpu
        self.wall += time.perf_counter() - self._wall

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def seconds(self, clock: str) -> float:
        return self.cpu if clock == "cpu" else self.wall


def clock_of(threads: int) -> str:
    """CPU time for one thread, which other processes disturb least; wall time for several."""
    return "cpu" if threads == 1 else "wall"


def take_turns(
    sides: Mapping[str, Side],
    repeats: int,
    clock: str = "cpu",
    at_least: float = 0.05,
    after: Side = lambda: None,
) -> dict[str, list[float]]:
    """Seconds per call of every side, side after side, `repeats` times over.

    A turn takes so many calls that it lasts about `at_least` seconds. `after` ends a turn,
    within its time: it waits for a device that works on its own.
    """
    n_calls = {}
    for name, call in sides.items():
        call()  # warm caches
        after()
        with Stopwatch() as watch:
            call()
            after()
        n_calls[name] = max(1, math.ceil(at_least / max(watch.wall, 1e-7)))
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, call in sides.items():
            with Stopwatch() as watch:
                for _ in range(n_calls[name]):
                    call()
                after()
            seconds[name].append(watch.seconds(clock) / n_calls[name])
    return seconds


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Ratio of the two sides of each turn: a disturbance often lasts longer than a turn."""
    return [a / b for a, b in zip(above, below, strict=True)]


def median(values: Sequence[float]) -> float:
    return float(np.median(values))


def quartiles(values: Sequence[float]) -> list[float]:
    return np.percentile(values, [25, 75]).tolist()
