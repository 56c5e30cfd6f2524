"""How fast is vqssl: against its peers, against the bare network, and against the machine?

    python benchmarks/speed.py --out speed.json --data FOLDER
    python benchmarks/speed.py --out speed.json --short --rows quantizer overhead
    python benchmarks/speed.py --out speed.json --device cuda --rows gpu

FOLDER holds ``<Name>.npz`` of the UCR archive; of them only training series are read. Without
it, series are generated. Rows:

- ``stage1``, ``stage2``: seconds until VQTokenizer reconstructs, MaskGITGenerator predicts, as
  well as timevqvae after a fixed number of steps.
- ``sampling``: seconds of 32 series of a class, against timevqvae.
- ``ssl_step``: a step of SSLVQTokenizer over one of VQTokenizer, and against one of the
  published recipe of NC-VQVAE.
- ``quantizer``: forward and backward of the codebooks, against vector-quantize-pytorch.
- ``overhead``: a step of `fit` over one of a loop written by hand (see engine_overhead.py).
- ``transform``: series per second, against the bare encoder.
- ``import``: seconds of a fresh interpreter, against one that imports torch and scikit-learn.
- ``scaling``: how seconds and memory grow with the data and the model.
- ``peak``: share of the arithmetic peak that training steps reach.
- ``gpu``: steps on CUDA. Not run yet where it was written.

Rows that are in FILE with the same settings are not run again, so a broken run goes on where
it stopped; ``--again`` runs them anew. All rows but ``gpu`` measure the CPU. With one thread
they report CPU seconds, which other processes disturb least; lines for all threads report wall
seconds and need an idle machine. Sides take turns; a figure is the median over the turns (or
seeds), with quartiles.

The peers are not needed to run the other rows. timevqvae asks for a later Python than it
needs, hence the options:

    pip install --no-deps --ignore-requires-python timevqvae==1.0.1
    pip install einops pyyaml
    pip install vector-quantize-pytorch==1.32.0
"""

import argparse
import importlib
import json
import os
import traceback
from pathlib import Path
from typing import Any

import torch
from speed_rows import ROWS
from speed_rows.report import Settings, Skipped, environment, table
from speed_rows.timing import Stopwatch


def run_row(name: str, settings: Settings) -> dict[str, Any]:
    """What goes into the file for a row: lines and raw figures, or why there are none."""
    entry: dict[str, Any] = {"row": name, "settings": settings.key()}
    before = environment(settings)
    with Stopwatch() as watch:
        try:
            result = importlib.import_module(f"speed_rows.{ROWS[name]}").run(settings)
            entry |= {"lines": [line.as_dict() for line in result.lines], "raw": result.raw}
        except Skipped as reason:
            entry["skipped"] = str(reason)
        except Exception as error:
            # The other rows still have something to say.
            traceback.print_exc()
            entry["failed"] = f"{type(error).__name__}: {error}"
    if hasattr(os, "getloadavg"):
        before["load_average_after"] = list(os.getloadavg())
    return entry | {"seconds": watch.wall, "environment": before}


def read(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())["rows"] if path.exists() else []


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Replace the file at once, so that an interrupted run leaves a whole one."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps({"benchmark": "speed", "rows": rows}, indent=1) + "\n")
    new.replace(path)


def put(rows: list[dict[str, Any]], entry: dict[str, Any]) -> None:
    """Put an entry in the place of the one it repeats, else at the end.

    Figures are kept where the repetition has none.
    """
    for place, row in enumerate(rows):
        if (row["row"], row["settings"]) == (entry["row"], entry["settings"]):
            if "lines" in entry or "lines" not in row:
                rows[place] = entry
            return
    rows.append(entry)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write or go on with")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--short", action="store_true", help="fewer steps, seeds and turns")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), help="default: all, on CUDA gpu")
    parser.add_argument("--data", type=Path, help="folder of UCR sets as .npz")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="run rows that are there, too")
    arguments = parser.parse_args()
    settings = Settings(arguments.device, arguments.short, arguments.threads, arguments.data)
    names = arguments.rows or (["gpu"] if settings.device == "cuda" else list(ROWS))

    torch.set_num_threads(settings.threads)
    rows = read(arguments.out)
    asked = []
    for name in names:
        done = [
            row
            for row in rows
            if row["row"] == name and row["settings"] == settings.key() and "lines" in row
        ]
        if done and not arguments.again:
            asked += done
            continue
        entry = run_row(name, settings)
        asked.append(entry)
        put(rows, entry)
        write(arguments.out, rows)
        print(f"{name}: {entry['seconds']:.0f} s", flush=True)
    print("\n" + table(asked))
    if any("failed" in entry for entry in asked):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
