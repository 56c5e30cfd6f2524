"""Row `import`: seconds of a fresh interpreter that imports vqssl."""

import os
import subprocess
import sys
import time
from typing import Any

from speed_rows.report import Bar, Line, Result, Settings, seconds_text
from speed_rows.timing import median, quartiles

BAR = Bar(high=0.3)
SIDES = {
    "ours": "import vqssl",
    "torch and scikit-learn": "import torch, sklearn",
    "and skorch": "import numpy, sklearn, torch, skorch",
}
REPEATS = 7


def run(settings: Settings) -> Result:
    seconds: dict[str, dict[str, list[float]]] = {
        clock: {name: [] for name in SIDES} for clock in ("cpu", "wall")
    }
    for statement in SIDES.values():
        time_import(statement)  # read the files once
    for _ in range(REPEATS):
        for name, statement in SIDES.items():
            cpu, wall = time_import(statement)
            seconds["cpu"][name].append(cpu)
            seconds["wall"][name].append(wall)
    lines = [difference(seconds[clock], clock, name) for clock in seconds for name in SIDES]
    return Result([line for line in lines if line is not None], seconds)


def time_import(statement: str) -> tuple[float, float]:
    """CPU and wall seconds of an interpreter that runs a statement and ends."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, stdin=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.children_user - before.children_user
    return cpu + after.children_system - before.children_system, wall


def difference(seconds: dict[str, list[float]], clock: str, name: str) -> Any:
    """What vqssl takes longer than a side; None for itself."""
    if name == "ours":
        return None
    extra = [a - b for a, b in zip(seconds["ours"], seconds[name], strict=True)]
    return Line(
        f"vqssl over {SIDES[name].removeprefix('import ')}, {clock}",
        median(extra),
        seconds_text(median(seconds["ours"])),
        seconds_text(median(seconds[name])),
        "{:+.3f} s",
        # What skorch costs is for information: vqssl needs it.
        BAR if name == "torch and scikit-learn" else None,
        quartiles(extra),
    )
