"""How good are drawn series, filled gaps and found anomalies, beside simple and published ways.

    python benchmarks/generation.py --data FOLDER --out FILE.jsonl --n-jobs 2
    python benchmarks/generation.py --out FILE.jsonl --report --reference PUBLISHED.csv
    python benchmarks/generation.py --data FOLDER --sets GunPoint --methods maskgit-vq,mixture \\
        --seeds 0 --out FILE.jsonl
    python benchmarks/generation.py --data FOLDER --protocol cv --out DEVELOPMENT.jsonl

FOLDER holds ``<Name>.npz`` with ``X_train`` (n, channels, length), ``y_train``, ``X_test`` and
``y_test``. A line of FILE is one set, method and seed; what is there is not run again.

Methods: ``maskgit``, all defaults; MaskGIT and the autoregressive prior on tokenizers with their
own defaults, ``maskgit-vq``, ``maskgit-ssl``, ``maskgit-bands``, ``autoregressive-vq``,
``autoregressive-ssl``; and what needs no network, ``mixture`` (Gaussian mixtures on principal
components, a mixture per class, size by BIC), ``training-set`` (training series again) and
``jittered`` (with noise of a tenth of the deviation). All are fitted on the training split with
classes and judged by `vqssl.evaluation.evaluate_against`, whose docstring says what each figure
is: FID, KID, IS, CAS, coverage, discriminative score, memorisation, each beside its floor. The
judge, an FCN on the training split, is the same for all methods of a set and seed. Copies:
``memor`` is 0 for ``training-set`` and near 0 for ``jittered``; a method without codes is judged on
series as they are there.

Lines of MaskGIT also tell how well it fills gaps: 30 percent in a row missing from each of up to
100 test series, mean of ten draws, against linear interpolation, the mean and scikit-learn's
`KNNImputer`. ``anomalies``, a method of its own, fits `AnomalyDetector` on the largest class of
the training split and looks for the other classes in the test split, against isolation forest and
the nearest neighbour on raw series; sets with fewer than ten series of that class are left out.

Protocols: ``test`` judges on the test split, ``cv`` on two fifths of the training split, which
are then not trained on, and does not read the test split: for development.

``seconds`` are CPU seconds of the fits of tokenizer and prior on one thread. PUBLISHED has
columns ``dataset``, ``method``, ``metric``, ``mean``; the CAS of TimeVQVAE is set beside ours.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from generation_rows.anomalies import anomaly_figures
from generation_rows.gaps import gap_figures
from generation_rows.priors import METHODS
from generation_rows.report import report
from joblib import Parallel, delayed
from probe_rows.records import mend, read_lines
from sklearn.model_selection import StratifiedShuffleSplit

import vqssl
from vqssl.evaluation import evaluate_against, real_references

# Four with published figures of TimeVQVAE, then from small to large; fixed before any figure.
SETS = (
    "ShapesAll,SonyAIBORobotSurface1,TwoPatterns,Wafer,"
    "CBF,ECG200,FaceAll,GunPoint,Plane,SwedishLeaf,SyntheticControl,Trace"
)
ANOMALIES = "anomalies"
# Test series at most.
N_TEST = 1000


def read(path, protocol):
    with np.load(path) as file:
        X, y = file["X_train"], file["y_train"]
        if protocol == "test":
            X_test, y_test = file["X_test"], file["y_test"]
            rows = np.random.default_rng(0).permutation(len(X_test))[:N_TEST]
            return X, y, X_test[rows], y_test[rows]
    often = np.isin(y, np.flatnonzero(np.bincount(y) > 1))
    X, y = X[often], y[often]
    split = StratifiedShuffleSplit(1, test_size=0.4, random_state=0)
    fit, judge = next(split.split(X, y))
    return X[fit], y[fit], X[judge], y[judge]


def run(path, protocol, seed, methods, out):
    """Write the lines of one set and seed, one by one, over one set of references."""
    torch.set_num_threads(1)
    X, y, X_test, y_test = read(path, protocol)
    references = None
    for method in methods:
        start = time.perf_counter()
        if method == ANOMALIES:
            figures = anomaly_figures(X, y, X_test, y_test, seed)
        else:
            if references is None:
                references = real_references(X, y, X_test, y_test, random_state=seed)
            figures = generation_figures(method, references, seed)
        if figures is None:
            continue
        line = {
            "set": path.stem,
            "method": method,
            "seed": seed,
            "protocol": protocol,
            "n_train": len(X),
            **figures,
            "wall": time.perf_counter() - start,
            "versions": {"vqssl": vqssl.__version__, "torch": torch.__version__},
        }
        # In one piece: other processes add lines, too.
        with out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{path.stem} {method} seed {seed}: {line['wall']:.0f} s", flush=True)


def generation_figures(method, references, seed):
    X, y = references.X_train, references.y_train
    generator = METHODS[method](seed)
    start = time.process_time()
    generator.fit(X, y)
    figures = {"seconds": time.process_time() - start}
    if hasattr(generator, "impute"):
        figures |= gap_figures(generator, X, references.X_test, seed)
    figures |= evaluate_against(generator, references, all_accuracies=False, random_state=seed)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of .npz files")
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--methods", default=",".join((*METHODS, ANOMALIES)))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--protocol", choices=("test", "cv"), default="test")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", action="store_true", help="only print what FILE holds")
    parser.add_argument("--reference", type=Path, help="CSV of published figures")
    arguments = parser.parse_args()
    if not arguments.report and arguments.data is None:
        parser.error("--data is needed")
    if arguments.reference is not None and not arguments.reference.is_file():
        parser.error(f"--reference {arguments.reference} is not a file")

    if not arguments.report:
        mend(arguments.out)
        lines = read_lines(arguments.out, arguments.protocol)
        done = {(line["set"], line["method"], line["seed"]) for line in lines}
        jobs = []
        for seed in map(int, arguments.seeds.split(",")):
            for name in arguments.sets.split(","):
                methods = [m for m in arguments.methods.split(",") if (name, m, seed) not in done]
                path = arguments.data / f"{name}.npz"
                jobs.append(delayed(run)(path, arguments.protocol, seed, methods, arguments.out))
        Parallel(arguments.n_jobs)(jobs)
    report(read_lines(arguments.out, arguments.protocol), arguments.reference)


if __name__ == "__main__":
    main()
