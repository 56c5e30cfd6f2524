"""Row `scaling`: seconds and memory against the size of the data and of the model.

Every point is a process of its own with `VQTokenizer` on one thread (see `scaling_point`).
Exponents are slopes of least squares in log-log coordinates over the upper half of the points,
since a fit has a part that does not grow; the slope between the last two is in the note.
Seconds are CPU seconds. A fit is split at its first and after its last step: what comes before
checks the data, which has to read all of it once, and starts the model on a sample.
"""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speed_rows.report import Bar, Line, Result, Settings, seconds_text
from speed_rows.timing import median

LINEAR_STEPS = Bar(0.9, 1.1)
LINEAR_TRANSFORM = Bar(0.95, 1.05)
FLAT = Bar(high=1.1)
FEW, MANY = 10_000, 1_000_000

# Parameter that grows: its values, and a shorter list of them.
SWEEPS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "n": ((100, 1000, FEW, 100_000, MANY), (1000, FEW, 100_000)),
    "length": ((100, 1000, 10_000, 100_000), (100, 1000, 10_000)),
    "n_codes": ((16, 64, 256, 1024, 4096, 16_384), (16, 256, 4096)),
    "max_iter": ((100, 200, 400, 800), (100, 200, 400)),
    "n of transform": ((1000, 10_000, 100_000), (1000, 10_000)),
}


def run(settings: Settings) -> Result:
    raw: dict[str, Any] = {}
    repeats = 1 if settings.short else 3
    for name, (values, fewer) in SWEEPS.items():
        raw[name] = [
            {"value": value} | measure(point(name, value), repeats)
            for value in (fewer if settings.short else values)
        ]
    lines = [exponent(name, raw[name]) for name in SWEEPS]
    return Result([*lines, *growth(raw["n"])], raw)


def point(name: str, value: int) -> dict[str, Any]:
    """What `scaling_point` is asked for where parameter `name` has this value."""
    if name == "n":
        return {"method": "fit", "n": value, "length": 64, "options": {"max_iter": 100}}
    if name == "length":
        options = {"max_iter": 20, "batch_size": 4}
        return {"method": "fit", "n": 16, "length": value, "options": options}
    if name == "n_codes":
        options = {"max_iter": 20, "n_codes": value}
        return {"method": "fit", "n": 1000, "length": 64, "options": options}
    if name == "max_iter":
        return {"method": "fit", "n": 200, "length": 64, "options": {"max_iter": value}}
    return {"method": "transform", "n": value, "length": 64}


def measure(spec: dict[str, Any], repeats: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "speed_rows.scaling_point"]
    done = subprocess.run(
        [*command, json.dumps(spec | {"repeats": repeats})],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{spec} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def seconds(row: dict[str, Any], part: str = "total") -> float:
    return median([call[part] for call in row["calls"]])


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def exponent(name: str, rows: list[dict[str, Any]]) -> Line:
    values, times = [row["value"] for row in rows], [seconds(row) for row in rows]
    upper = min(math.ceil((len(rows) + 1) / 2), len(rows))
    bars = {"max_iter": LINEAR_STEPS, "n of transform": LINEAR_TRANSFORM}
    method = "transform" if "transform" in name else "fit"
    alone = ""
    if name == "max_iter":
        steps = [seconds(row, "steps") for row in rows]
        alone = f" ({slope(values[-upper:], steps[-upper:]):.2f} for the steps alone)"
    return Line(
        f"{method} seconds against {name.partition(' ')[0]}, {values[0]} to {values[-1]}",
        slope(values[-upper:], times[-upper:]),
        seconds_text(times[-1]),
        form="exponent {:.2f}",
        bar=bars.get(name),
        note=(
            f"between the last two {slope(values[-2:], times[-2:]):.2f}{alone}; "
            f"{', '.join(seconds_text(t) for t in times)}; "
            f"memory {', '.join(megabytes(row['memory']) for row in rows)}"
        ),
    )


def megabytes(size: float) -> str:
    return f"{size / 2**20:.0f} MiB"


def growth(rows: list[dict[str, Any]]) -> list[Line]:
    """Lines about the most series over ten thousand of them."""
    few, many = next(row for row in rows if row["value"] == FEW), rows[-1]
    where = f"n={many['value']:.0e} over {FEW:.0e}"
    parts = {part: [seconds(row, part) for row in (few, many)] for part in few["calls"][0]}
    steps_and_after = [s + a for s, a in zip(parts["steps"], parts["after"], strict=True)]
    memory = [row["memory"] - row["input"] for row in (few, many)]
    return [
        Line(
            f"fit, {where}",
            parts["total"][1] / parts["total"][0],
            seconds_text(parts["total"][1]),
            form="{:.2f} times as long",
            bar=FLAT,
            note=", ".join(
                f"{part} {seconds_text(values[0])} to {seconds_text(values[1])}"
                for part, values in parts.items()
            ),
        ),
        Line(
            f"fit without what comes before the first step, {where}",
            steps_and_after[1] / steps_and_after[0],
            seconds_text(steps_and_after[1]),
            form="{:.2f} times as long",
            bar=FLAT,
        ),
        Line(
            f"memory of fit beside the series, {where}",
            memory[1] / memory[0],
            megabytes(memory[1]),
            form="{:.2f} times as much",
            bar=FLAT,
            note=f"{megabytes(memory[0])} to {megabytes(memory[1])}",
        ),
    ]
