"""Bits and errors of one level of codes and of two, on long series.

    python benchmarks/rate_distortion.py --data FOLDER --long RECORDING.npz --out FILE.jsonl
    python benchmarks/rate_distortion.py --out FILE.jsonl --report
    python benchmarks/rate_distortion.py --data FOLDER --protocol cv --sets Worms \\
        --methods one-8-128,two-8-128 --seeds 0 --out DEVELOPMENT.jsonl

FOLDER holds ``<Name>.npz`` with ``X_train`` (n, channels, length), ``y_train``, ``X_test`` and
``y_test``; RECORDING one long series, ``X`` (channels, time points), cut into windows of 1,024
points. Sets that FOLDER lacks are left out. A line of FILE is one set, method and seed; what is
there is not run again.

A method is a tokenizer, ``one-8-128``: `VQTokenizer` with 8 time points per token and 128 codes;
``two-8-128``: `HierarchicalVQTokenizer`, whose finest level has 8 points per token and whose
coarser one four times as many; everything else is a default. On its codes an
`AutoregressiveGenerator` is trained without classes, on four fifths of the training series, with
early stopping on the others. Figures are those of `vqssl.evaluation.rate_distortion` on series
that neither has seen: nats per token, bits per point, squared error over the variance; nats per
token of the training series beside them, of all tokens and by level; and by how much the
squared error grows when the codes of one level are exchanged between series.

Protocols: ``test`` judges on the test split, ``cv`` on two fifths of the training split, which
are then not trained on, and does not read the test split: for development. Of a recording the
last two fifths are the test split. ``seconds`` are CPU seconds of both fits on one thread.

The report interpolates for each point with two levels what one level has at the same bits per
point (logarithms of both, between neighbouring points, seeds averaged): ``against one`` is the
quotient of the squared errors, below 1 where two levels are better.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from probe_rows.records import mend, read_lines
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import ShuffleSplit

import vqssl
from vqssl import (
    AutoregressiveGenerator,
    HierarchicalVQTokenizer,
    VQTokenizer,
    sliding_windows,
)
from vqssl.evaluation import rate_distortion

# The longest of UCR with at least 100 training series; fixed before any figure.
SETS = (
    "CinCECGTorso,EthanolLevel,HandOutlines,InlineSkate,Mallat,MixedShapesRegularTrain,Phoneme,"
    "SemgHandGenderCh2,StarLightCurves,UWaveGestureLibraryAll,Worms"
)
METHODS = (
    "one-4-128,one-8-32,one-8-128,one-8-512,one-16-128,one-32-128,"
    "two-8-32,two-8-128,two-8-512,two-16-128,two-32-128"
)
LEVELS = {"one": VQTokenizer, "two": HierarchicalVQTokenizer}
# Points of a window, and how many training windows of the tokenizer one point is in. Those of the
# prior lie side by side: with shared points its held-out windows would be known from training.
WINDOW = 1024
OVERLAP = 4
# Series of the test split at most.
N_TEST = 1000


def read(path, protocol):
    """Series to fit the tokenizer, series to fit the prior, and series to judge by."""
    with np.load(path) as file:
        if "X_train" not in file:
            return cut(file["X"], protocol)
        X = file["X_train"]
        if protocol == "test":
            X_test = file["X_test"]
            return X, X, X_test[np.random.default_rng(0).permutation(len(X_test))[:N_TEST]]
    fit, judge = next(ShuffleSplit(1, test_size=0.4, random_state=0).split(X))
    return X[fit], X[fit], X[judge]


def cut(recording, protocol):
    """The same of windows: the first three fifths are fitted to, the others judged."""
    end = recording.shape[1]
    if protocol == "cv":
        end = int(0.6 * end)
    middle = int(0.6 * end)
    windows = sliding_windows(recording[:, :middle], WINDOW, WINDOW // OVERLAP)
    return windows, windows[::OVERLAP], sliding_windows(recording[:, middle:end], WINDOW)


def make_tokenizer(method, seed):
    levels, compression, n_codes = method.split("-")
    return LEVELS[levels](int(n_codes), compression=int(compression), random_state=seed)


def growth_of_errors(tokenizer, X):
    """Squared error with the codes of one level from another series, over that with its own."""
    codes = tokenizer.encode(X)
    error = np.square(tokenizer.decode(codes) - X).mean()
    quotients = []
    for group in tokenizer.token_groups_:
        other = codes.copy()
        other[:, group] = np.roll(codes[:, group], 1, 0)
        quotients.append(float(np.square(tokenizer.decode(other) - X).mean() / error))
    return quotients


def run(path, protocol, seed, method, out):
    torch.set_num_threads(1)
    X, X_prior, X_test = read(path, protocol)
    start, wall = time.process_time(), time.perf_counter()
    tokenizer = make_tokenizer(method, seed).fit(X)
    generator = AutoregressiveGenerator(
        FrozenEstimator(tokenizer), validation_fraction=0.2, random_state=seed
    ).fit(X_prior)
    seconds = time.process_time() - start
    known = rate_distortion(generator, X_prior)
    line = {
        "set": path.stem,
        "method": method,
        "seed": seed,
        "protocol": protocol,
        "n_train": len(X),
        "length": X.shape[-1],
        "tokens": [group.stop - group.start for group in tokenizer.token_groups_],
        "perplexity": tokenizer.perplexity_,
        "growth": growth_of_errors(tokenizer, X_test),
        **rate_distortion(generator, X_test),
        **{f"{name}_train": value for name, value in known.items() if "nats" in name},
        "normalized_mse_train": known["normalized_mse"],
        "seconds": seconds,
        "versions": {"vqssl": vqssl.__version__, "torch": torch.__version__},
    }
    # In one piece: other processes add lines, too.
    with out.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{path.stem} {method} seed {seed}: {time.perf_counter() - wall:.0f} s", flush=True)


def report(lines):
    quotients = []
    for name in dict.fromkeys(line["set"] for line in lines):
        mine = [line for line in lines if line["set"] == name]
        print(f"\n{name}: {mine[0]['n_train']} training series of {mine[0]['length']} points")
        quotients += print_set(mine)
    if quotients:
        below = sum(quotient < 1 for quotient in quotients)
        print(
            f"\nerror of two levels over that of one at the same bits: median "
            f"{np.median(quotients):.2f}, below 1 in {below} of {len(quotients)} points"
        )


def print_set(lines):
    """Print a row for each method; return the quotients of those with two levels."""
    columns = ("n", "tokens", "bits/point", "nats/token", "(train)", "by level", "nmse",
               "(train)", "growth", "seconds", "against one")  # fmt: skip
    widths = (2, 8, 10, 10, 7, 11, 8, 8, 13, 7, 11)
    print(f"{'method':11} " + " ".join(map(str.rjust, columns, widths)))
    by_method = {}
    for line in lines:
        by_method.setdefault(line["method"], []).append(line)
    points = {
        method: np.log([mean(some, "bits_per_point"), mean(some, "normalized_mse")])
        for method, some in by_method.items()
    }
    one_level = sorted(tuple(point) for m, point in points.items() if m.startswith("one"))
    quotients = []
    for method, some in sorted(by_method.items(), key=lambda item: points[item[0]][0]):
        n_levels = len(some[0]["tokens"])
        level_nats = [mean(some, f"nats_per_token_group_{i}") for i in range(n_levels)]
        cells = [
            str(len(some)),
            "+".join(map(str, some[0]["tokens"])),
            f"{mean(some, 'bits_per_point'):.3f}",
            f"{mean(some, 'nats_per_token'):.2f}",
            f"{mean(some, 'nats_per_token_train'):.2f}",
            " ".join(f"{nats:.2f}" for nats in level_nats if n_levels > 1),
            f"{mean(some, 'normalized_mse'):.5f}",
            f"{mean(some, 'normalized_mse_train'):.5f}",
            " ".join(f"{growth:.1f}" for growth in np.mean([s["growth"] for s in some], 0)),
            f"{mean(some, 'seconds'):.0f}",
            "",
        ]
        if method.startswith("two") and (found := against(points[method], one_level)):
            quotients.append(found)
            cells[-1] = f"{found:.2f}"
        print(f"{method:11} " + " ".join(map(str.rjust, cells, widths)))
    return quotients


def mean(lines, name):
    return float(np.mean([line.get(name, np.nan) for line in lines]))


def against(point, one_level):
    """Error of a point over that of one level at its rate; None outside of their rates."""
    if len(one_level) < 2 or not one_level[0][0] <= point[0] <= one_level[-1][0]:
        return None
    return float(np.exp(point[1] - np.interp(point[0], *zip(*one_level, strict=True))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of .npz files")
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--long", type=Path, help=".npz file of one long series")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--protocol", choices=("test", "cv"), default="test")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", action="store_true", help="only print what FILE holds")
    arguments = parser.parse_args()
    if not arguments.report and arguments.data is None and arguments.long is None:
        parser.error("--data or --long is needed")

    if not arguments.report:
        mend(arguments.out)
        lines = read_lines(arguments.out, arguments.protocol)
        done = {(line["set"], line["method"], line["seed"]) for line in lines}
        paths = [arguments.long] if arguments.long else []
        if arguments.data:
            named = [arguments.data / f"{name}.npz" for name in arguments.sets.split(",")]
            paths += [path for path in named if path.exists()]
        jobs = [
            delayed(run)(path, arguments.protocol, seed, method, arguments.out)
            for seed in map(int, arguments.seeds.split(","))
            for path in paths
            for method in arguments.methods.split(",")
            if (path.stem, method, seed) not in done
        ]
        Parallel(arguments.n_jobs)(jobs)
    report(read_lines(arguments.out, arguments.protocol))


if __name__ == "__main__":
    main()
