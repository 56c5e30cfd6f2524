r"""What a search gains from a second worker, and what encoding costs however many series there are.

    OMP_NUM_THREADS=1 python benchmarks/outgrowing.py search --out outgrowing.jsonl
    OMP_NUM_THREADS=1 python benchmarks/outgrowing.py memory --out outgrowing.jsonl
    OMP_NUM_THREADS=1 python benchmarks/outgrowing.py memory --series 100000 \
        --readouts histogram,features --out outgrowing.jsonl
    OMP_NUM_THREADS=1 python benchmarks/outgrowing.py memory --series 100000,1000000,10000000 \
        --readouts small --out outgrowing.jsonl
    python benchmarks/outgrowing.py report --out outgrowing.jsonl

Needs no data; `search` needs ``dask`` and ``distributed``.

``search``: a grid search of 12 fits in this process, which is also what joblib does with one Dask
worker of one thread, and on two such workers, in turn; the scores must be the same. *Efficiency* is
the time of one over twice the time of two; on a machine that is busy with other things it says
little. *Without waiting* is the same of CPU seconds, the busier of the two workers counting: what
is left of it is the work that two do more than one, and how unevenly the fits fall on them.
``--defaults`` leaves two settings of Dask as they are, which cost training much: a threshold of
malloc and a profiler that looks at the worker every ten milliseconds.

``memory``: `vqssl.transform_partitions` over series of length 128 that are generated part by part
and never there as a whole, each size in a process of its own, by a tokenizer with defaults that was
fitted elsewhere. *Peak* is the largest resident memory of the process, as the system counts it
(VmHWM); *before* what it was when one part had been transformed. Codes are written as bytes;
``small`` is the codes of a network of width 8 with 16 points a token. Seconds are CPU seconds of
one thread, making the series included; *making* says how many of them. A run that is broken off
goes on where it was, with the parts in the folder beside FILE, which is removed when all are there;
its figures are of the parts since then.
"""

import argparse
import functools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from joblib import parallel_config
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

import vqssl
from vqssl import VQTokenizer, transform_partitions
from vqssl.backbones import ConvBackbone
from vqssl.datasets import make_cylinder_bell_funnel

LENGTH = 128
ROWS = 10_000  # series in a part
SIZES = "100000,1000000"
READOUTS = ("codes", "histogram", "features", "small")
GRID = {"vqtokenizer__n_codes": [32, 64], "svc__C": [1.0, 10.0]}  # four, on three folds


# ------------------------------------------------------------------------------------- search


def search(X, y, steps):
    tokenizer = VQTokenizer(max_iter=steps, device="cpu", random_state=0)
    pipeline = make_pipeline(tokenizer, SVC())
    return GridSearchCV(pipeline, GRID, cv=3, refit=False, error_score="raise").fit(X, y)


def cpu_seconds(client=None):
    """Of each worker, or of this process."""
    if client is None:
        return np.array([time.process_time()])
    return np.array(list(client.run(time.process_time).values()))


def run_search(out, repeats, steps, defaults):
    import dask
    from dask.distributed import Client, LocalCluster

    X, y = make_cylinder_bell_funnel(120, length=LENGTH, random_state=0)
    if not defaults:
        dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None})
        dask.config.set({"distributed.worker.profile.enabled": False})
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(local_directory=folder, **settings) as cluster,
        Client(cluster) as client,
    ):
        # All import what they need.
        client.run(search, X, y, 2)
        search(X, y, 2)
        for _ in range(repeats):
            line = {"kind": "search", "fits": 12, "steps": steps, "defaults": defaults}
            line["load"] = os.getloadavg()[0]
            scores = []
            places = {1: {"backend": "sequential"}, 2: {"backend": "dask", "scatter": [X, y]}}
            for n, place in places.items():
                workers = None if n == 1 else client
                before, start = cpu_seconds(workers), time.perf_counter()
                with parallel_config(**place):
                    scores.append(search(X, y, steps).cv_results_["mean_test_score"])
                line[f"seconds_{n}"] = time.perf_counter() - start
                line[f"cpu_seconds_{n}"] = (cpu_seconds(workers) - before).tolist()
            assert np.array_equal(*scores), "one process and two must score alike"
            append(out, line)


# ------------------------------------------------------------------------------------- memory


def walks(seed, n):
    """Random walks (n, LENGTH), float32."""
    steps = np.random.default_rng(seed).standard_normal((n, LENGTH), dtype=np.float32)
    return steps.cumsum(1, dtype=np.float32)


def narrowed(estimator):
    """The estimator with codes as bytes."""
    narrow = FunctionTransformer(np.ndarray.astype, kw_args={"dtype": np.uint8})
    return make_pipeline(estimator, narrow)


def fit_tokenizer(readout, device, path):
    small = {"backbone": ConvBackbone(width=8, n_blocks=1), "compression": 16}
    output = "codes" if readout == "small" else readout
    tokenizer = VQTokenizer(output=output, max_iter=100, device=device, random_state=0)
    if readout == "small":
        tokenizer.set_params(**small)
    tokenizer.fit(walks(2**31, 2_000)).save(path)


def measure(n, readout, path, folder, out):
    """One size, in this process."""
    tokenizer = vqssl.load(path)
    estimator = narrowed(tokenizer) if tokenizer.output == "codes" else tokenizer
    sizes = [min(ROWS, n - start) for start in range(0, n, ROWS)]
    parts = [functools.partial(walks, i, size) for i, size in enumerate(sizes)]
    start = time.process_time()
    series = parts[0]()
    making = (time.process_time() - start) / sizes[0]
    estimator.transform(series)
    before = peak()
    done = sum(sizes[int(path.stem[5:])] for path in folder.glob("part-*.npy"))
    start, wall = time.process_time(), time.perf_counter()
    paths = transform_partitions(estimator, parts, folder)
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    line = {"kind": "memory", "readout": readout, "n": n, "computed": n - done, "rows": ROWS}
    line["device"] = tokenizer.device
    line |= {"peak_mb": peak(), "before_mb": before, "making_per_million": making * 1e6}
    line |= {"cpu_seconds": seconds, "wall_seconds": wall}
    line["bytes_per_series"] = sum(path.stat().st_size for path in paths) / n
    append(out, line)


def peak():
    """Largest resident memory of this process so far, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def run_memory(out, sizes, readouts, device):
    for readout in readouts:
        for n in sizes:
            folder = out.with_name(f"{out.stem}-{readout}-{n}")
            with tempfile.TemporaryDirectory() as place:
                path = f"{place}/tokenizer.vqssl"
                fit_tokenizer(readout, device, path)
                command = [sys.executable, __file__, "one", "--out", str(out), "--tokenizer", path]
                command += ["--folder", str(folder), "--series", str(n), "--readouts", readout]
                subprocess.run(command, check=True)
            shutil.rmtree(folder)


# ------------------------------------------------------------------------------------- report


def append(out, line):
    line["versions"] = {"vqssl": vqssl.__version__, "torch": torch.__version__}
    line["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
    with out.open("a") as file:
        file.write(json.dumps(line) + "\n")


def report(out):
    text = out.read_text()
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    searches = [line for line in lines if line["kind"] == "search"]
    if searches:
        print(
            "search of 12 fits  1 process  2 workers  efficiency  without waiting  load  defaults"
        )
    for line in searches:
        one, two = line["seconds_1"], line["seconds_2"]
        work = sum(line["cpu_seconds_1"]) / (2 * max(line["cpu_seconds_2"]))
        figures = f"{one:9.1f} s{two:9.1f} s{one / (2 * two):12.2f}{work:17.2f}"
        print(f"{'':18}{figures}{line['load']:6.1f}  {line['defaults']}")
    memory = [line for line in lines if line["kind"] == "memory"]
    if memory:
        print("readout        series  before   peak  s a million: CPU  making   wall  bytes each")
    for line in memory:
        millions = max(1, line["computed"]) / 1e6
        cpu, wall = (line[f"{clock}_seconds"] / millions for clock in ("cpu", "wall"))
        print(
            f"{line['readout']:10}{line['n']:11,}{line['before_mb']:5.0f} MB{line['peak_mb']:4.0f} "
            f"MB{cpu:20.1f}{line['making_per_million']:8.1f}{wall:7.1f}"
            f"{line['bytes_per_series']:12,.0f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("search", "memory", "report", "one"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3, help="searches on each cluster")
    parser.add_argument("--steps", type=int, default=300, help="steps of each fit of the search")
    parser.add_argument("--defaults", action="store_true", help="leave Dask's settings")
    parser.add_argument("--series", default=SIZES, help="numbers of series, with commas")
    parser.add_argument("--readouts", default="codes", help=f"of {', '.join(READOUTS)}")
    parser.add_argument("--device", default="cpu", help="of the tokenizer of `memory`")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--tokenizer", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    if arguments.what == "search":
        run_search(arguments.out, arguments.repeats, arguments.steps, arguments.defaults)
    elif arguments.what == "memory":
        sizes = map(int, arguments.series.split(","))
        readouts = arguments.readouts.split(",")
        run_memory(arguments.out, list(sizes), readouts, arguments.device)
    elif arguments.what == "one":
        n, path = int(arguments.series), arguments.tokenizer
        measure(n, arguments.readouts, path, arguments.folder, arguments.out)
        return
    report(arguments.out)


if __name__ == "__main__":
    main()
