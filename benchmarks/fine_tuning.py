"""Few or many labels: is the encoder better left as it is, or trained on with the labels?

    python benchmarks/fine_tuning.py --data FOLDER --out FILE.jsonl --n-jobs 2
    python benchmarks/fine_tuning.py --out FILE.jsonl --report
    python benchmarks/fine_tuning.py --data FOLDER --protocol cv --out DEVELOPMENT.jsonl

FOLDER holds ``<Name>.npz`` with ``X_train`` (n, channels, length), ``y_train``, ``X_test`` and
``y_test``. For each set and seed one `SSLVQTokenizer` is fitted on all training series without
labels; then, with the labels of 5 to 100 percent of them, at least one of each class:

- ``frozen``: ``SVC()`` on its features, and on its latents (``latent``);
- ``tuned``: `TokenizerClassifier` with defaults, which starts from it;
- ``scratch``: `TokenizerClassifier` from a tokenizer that has taken a single step;
- ``fcn``: `FCNClassifier` on the labelled series alone.

A line of FILE is a set, a seed and a share; what is there is not run again. Protocol ``test``
reads the accuracy on the test split, one evaluation per line and method; ``cv`` on two fifths of
the training split, which are then not trained on, and does not read the test split.
"""

import argparse
import copy
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from probe_rows.records import mend, read_lines
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import vqssl
from vqssl import FCNClassifier, SSLVQTokenizer, TokenizerClassifier

# Of more than one hundred training series, from few classes to many; fixed before any figure.
SETS = "ECG200,FaceAll,MedicalImages,SwedishLeaf,SyntheticControl,Trace"
SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
METHODS = ("frozen", "latent", "tuned", "scratch", "fcn")


def read(path, protocol):
    with np.load(path) as file:
        X, y, X_test, y_test = (file[k] for k in ("X_train", "y_train", "X_test", "y_test"))
    if protocol == "test":
        return X, y, X_test, y_test
    split = StratifiedShuffleSplit(1, test_size=0.4, random_state=0)
    fit, judge = next(split.split(X, y))
    return X[fit], y[fit], X[judge], y[judge]


def labelled(y, share, seed):
    """Rows with labels: the share of each class, rounded, at least one."""
    generator = np.random.default_rng(seed)
    rows = []
    for label in np.unique(y):
        members = generator.permutation(np.flatnonzero(y == label))
        rows.append(members[: max(1, round(share * len(members)))])
    return np.sort(np.concatenate(rows))


def run(path, protocol, seed, shares, out):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y, X_test, y_test = read(path, protocol)
    tokenizer = SSLVQTokenizer(random_state=seed).fit(X)
    frozen = FrozenEstimator(tokenizer)
    latent = FrozenEstimator(copy.deepcopy(tokenizer).set_params(output="latent"))
    scratch = FrozenEstimator(SSLVQTokenizer(max_iter=1, random_state=seed).fit(X))
    for share in shares:
        rows = labelled(y, share, seed)
        methods = {
            "frozen": make_pipeline(frozen, SVC()),
            "latent": make_pipeline(latent, SVC()),
            "tuned": TokenizerClassifier(frozen, random_state=seed),
            "scratch": TokenizerClassifier(scratch, random_state=seed),
            "fcn": FCNClassifier(random_state=seed),
        }
        line = {"set": path.stem, "seed": seed, "share": share, "protocol": protocol}
        line |= {"n_labels": len(rows), "n_train": len(X)}
        for name, method in methods.items():
            start = time.process_time()
            line[name] = float(method.fit(X[rows], y[rows]).score(X_test, y_test))
            line[f"{name}_seconds"] = time.process_time() - start
        line["versions"] = {"vqssl": vqssl.__version__, "torch": torch.__version__}
        with out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{path.stem} seed {seed} share {share}", flush=True)


def report(lines):
    sets = list(dict.fromkeys(line["set"] for line in lines))
    print(f"{'set':18} share labels  n " + " ".join(f"{name:>15}" for name in METHODS))
    for data in [*sets, "mean of sets"]:
        for share in SHARES:
            mine = [
                line
                for line in lines
                if line["share"] == share and data in (line["set"], "mean of sets")
            ]
            if not mine:
                continue
            cells = []
            for name in METHODS:
                values = [line[name] for line in mine]
                cells.append(f"{np.mean(values):.3f} ({np.std(values):.3f})".rjust(15))
            n_labels = round(np.mean([line["n_labels"] for line in mine]))
            print(f"{data:18} {share:5.2f} {n_labels:6} {len(mine):2} " + " ".join(cells))
    print("\ntuned less frozen, over sets and seeds: mean, and how often it is above and below")
    for share in SHARES:
        gains = np.array(
            [line["tuned"] - line["frozen"] for line in lines if line["share"] == share]
        )
        if len(gains):
            print(f"  {share:4.2f}  {gains.mean():+.3f}  {(gains > 0).sum()} {(gains < 0).sum()}")
    judged = "the test split" if lines and lines[0]["protocol"] == "test" else "training series"
    print(f"\n{len(lines)} lines, each method of each judged once on {judged}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of .npz files")
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--protocol", choices=("test", "cv"), default="test")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", action="store_true", help="only print what FILE holds")
    arguments = parser.parse_args()
    if not arguments.report and arguments.data is None:
        parser.error("--data is needed")
    if not arguments.report:
        mend(arguments.out)
        lines = read_lines(arguments.out, arguments.protocol)
        done = {(line["set"], line["seed"], line["share"]) for line in lines}
        jobs = []
        for seed in map(int, arguments.seeds.split(",")):
            for name in arguments.sets.split(","):
                shares = [share for share in SHARES if (name, seed, share) not in done]
                if shares:
                    path = arguments.data / f"{name}.npz"
                    jobs.append(delayed(run)(path, arguments.protocol, seed, shares, arguments.out))
        Parallel(arguments.n_jobs)(jobs)
    report(read_lines(arguments.out, arguments.protocol))


if __name__ == "__main__":
    main()
