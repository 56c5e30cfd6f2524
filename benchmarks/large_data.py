"""How much memory and time do a million series in a file take?

    python benchmarks/large_data.py --out large_data.json
    python benchmarks/large_data.py --n 100000

The series (n, 128) lie in a file that is mapped into memory, as float32, as float64, with two
channels, every other row, and in Fortran order; the map is read-only. Each row of the table is
a process of its own, on one thread. "peak" is the largest resident memory of the process, as
the system counts it (VmHWM), above what it was after the imports, without the array that the
call returns. It includes the pages of the file that have been read, which the system drops
when it needs the memory: "own" is what is left without them, the largest of many samples. The
target is a peak of at most 1.5 GB.

`fit` takes the usual 1000 steps. Features of a million series fill 16 GB, so only the first
tenth of the series is transformed into features.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch

import vqssl
from vqssl import VQTokenizer

LENGTH = 128
TARGET = 1500.0  # MB
TRAINING = 2000  # series that the tokenizer of `encode` and `transform` is fitted on

# What is measured: the call, and how the series lie in the file.
ROWS = [
    ("fit", "float32"),
    ("fit", "float64"),
    ("fit", "channels"),
    ("fit", "every other"),
    ("fit", "fortran"),
    ("encode", "float32"),
    ("encode", "float64"),
    ("histogram", "float32"),
    ("features", "float32"),
]


def write_series(folder: Path, n: int) -> None:
    """Random walks in two files, block by block."""
    rng = np.random.default_rng(0)
    maps = [np.memmap(folder / t, t, "w+", shape=(n, LENGTH)) for t in ("float32", "float64")]
    for start in range(0, n, 50_000):
        size = min(50_000, n - start)
        walks = rng.standard_normal((size, LENGTH), dtype=np.float32).cumsum(1)
        for series in maps:
            series[start : start + size] = walks
    for series in maps:
        series.flush()


def open_series(folder: Path, view: str, n: int) -> np.ndarray:
    """Series as a view of one of the files."""
    if view == "channels":
        return np.memmap(folder / "float32", "float32", "r", shape=(n // 2, 2, LENGTH))
    if view == "every other":
        return np.memmap(folder / "float64", "float64", "r", shape=(n, LENGTH))[::2]
    if view == "fortran":
        return np.memmap(folder / "float32", "float32", "r", shape=(n, LENGTH), order="F")
    return np.memmap(folder / view, view, "r", shape=(n, LENGTH))


def resident(name: str) -> float:
    """A figure of this process in MB: VmHWM, VmRSS, RssAnon."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def watch(function: Callable[[], Any]) -> dict[str, float]:
    """Seconds and memory of a call."""
    before, own, stop = resident("RssAnon"), [0.0], threading.Event()

    def sample() -> None:
        while not stop.wait(0.01):
            own[0] = max(own[0], resident("RssAnon"))

    watcher = threading.Thread(target=sample)
    watcher.start()
    start = time.perf_counter()
    result = function()
    seconds = time.perf_counter() - start
    stop.set()
    watcher.join()
    returned = result.nbytes / 2**20 if isinstance(result, np.ndarray) else 0.0
    return {"seconds": seconds, "own_mb": own[0] - before - returned, "output_mb": returned}


def measure(call: str, view: str, folder: Path, n: int) -> dict[str, Any]:
    """One row of the table, in a process that has done nothing but import."""
    torch.set_num_threads(1)
    imported = resident("VmRSS")
    X = open_series(folder, view, n)
    tokenizer = VQTokenizer(device="cpu", random_state=0)
    if call == "fit":
        row = watch(lambda: tokenizer.fit(X))
    else:
        tokenizer.set_params(max_iter=100).fit(np.array(X[:TRAINING]))
        if call == "encode":
            row = watch(lambda: tokenizer.encode(X))
        else:
            X = X[: n // 10] if call == "features" else X
            row = watch(lambda: tokenizer.set_params(output=call).transform(X))
    peak = resident("VmHWM") - imported - row["output_mb"]
    about = {"call": call, "view": view, "shape": list(X.shape), "series_mb": X.nbytes / 2**20}
    return {**about, "peak_mb": peak, **row, "series_per_second": len(X) / row["seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--n", type=int, default=1_000_000, help="number of series")
    parser.add_argument("--row", nargs=3, metavar=("CALL", "VIEW", "FOLDER"), help="for itself")
    arguments = parser.parse_args()
    if arguments.row:
        call, view, folder = arguments.row
        print(json.dumps(measure(call, view, Path(folder), arguments.n)))
        return

    print(f"{arguments.n} series of length {LENGTH} in a file; one thread; MB above the imports\n")
    print(f"{'call':<10} {'view':<12} {'series':>7} {'peak':>7} {'own':>7} {'output':>7} {'s':>7}")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        write_series(Path(folder), arguments.n)
        for call, view in ROWS:
            command = [sys.executable, __file__, "--n", str(arguments.n), "--row", call, view]
            run = subprocess.run(
                [*command, folder],
                check=True,
                stdout=subprocess.PIPE,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            row = json.loads(run.stdout)
            results.append(row)
            print(
                f"{call:<10} {view:<12} {row['series_mb']:>7.0f} {row['peak_mb']:>7.0f} "
                f"{row['own_mb']:>7.0f} {row['output_mb']:>7.0f} {row['seconds']:>7.1f}",
                flush=True,
            )
    largest = max(row["peak_mb"] for row in results)
    print(f"\nLargest peak {largest:.0f} MB, target at most {TARGET:.0f}.")

    if arguments.out is not None:
        report = {
            "benchmark": "large_data",
            "n": arguments.n,
            "length": LENGTH,
            "target_mb": TARGET,
            "largest_peak_mb": largest,
            "results": results,
            "versions": {
                "python": platform.python_version(),
                "vqssl": vqssl.__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "scikit-learn": sklearn.__version__,
            },
        }
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
