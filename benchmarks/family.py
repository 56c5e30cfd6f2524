"""Every estimator of the library on the same sets, in one table.

    python benchmarks/family.py --data FOLDER --out FILE.jsonl --n-jobs 2
    python benchmarks/family.py --out FILE.jsonl --report
    python benchmarks/family.py --data FOLDER --sets GunPoint --methods vq,vae --protocol cv \\
        --out DEVELOPMENT.jsonl

FOLDER holds ``<Name>.npz`` with ``X_train`` (n, channels, length) or (n, channels, height, width),
``y_train``, ``X_test`` and ``y_test``. Every estimator has its defaults. A line of FILE is a set, a
method and a seed; what is there is not run again. Of sets with more than 2,000 training or 1,000
test samples so many are drawn, the same for all.

Methods: what has ``transform`` is fitted without labels, and probes are fitted on its rows:
``vq``, ``ssl``, ``bands``, ``hierarchical``, ``ae``, ``vae``, ``beta-vae`` (``beta=4``), ``cpc``,
``gim`` and ``v-gim`` (``beta=1e-3``), ``maskgit`` and ``autoregressive`` (features of the prior
on codes of `VQTokenizer`, learned without classes); ``raw`` is the samples themselves. ``tuned``
(`TokenizerClassifier`) and ``fcn`` (`FCNClassifier`) learn with labels and have no probes. What
does not take images is left out there.

Columns:

- ``svc``, ``ridge``, ``nn``: accuracy of ``SVC()``, of a ridge classifier on standardised columns
  and of the nearest neighbour; of ``tuned`` and ``fcn`` all three are their own.
- ``kept``: share of the variation that comes back of what was judged, where a method gives back.
- ``numbers``: how many numbers a sample becomes; ``bits`` of codes: without a prior, the sum of
  the logarithms of the vocabulary, and of priors the mean code length of judged samples.
- ``seconds``: CPU seconds of the fit on one thread.

Protocol ``test`` judges on the test split, one evaluation per line; ``cv`` on two fifths of the
training split, which are then not trained on, and does not read the test split.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from probe_rows.records import mend, read_lines
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

import vqssl

# One of shapes, one of noise around shapes, one of order, one of long series.
SETS = "GunPoint,SyntheticControl,TwoPatterns,SwedishLeaf,ShapesAll"
MOST_TRAIN, MOST_TEST = 2000, 1000
COLUMNS = ("svc", "ridge", "nn", "kept", "numbers", "bits", "seconds")


def flatten(X):
    return X.reshape(len(X), -1)


METHODS = {
    "raw": lambda seed: FunctionTransformer(flatten),
    "vq": lambda seed: vqssl.VQTokenizer(random_state=seed),
    "ssl": lambda seed: vqssl.SSLVQTokenizer(random_state=seed),
    "bands": lambda seed: vqssl.BandVQTokenizer(random_state=seed),
    "hierarchical": lambda seed: vqssl.HierarchicalVQTokenizer(random_state=seed),
    "ae": lambda seed: vqssl.AutoEncoder(random_state=seed),
    "vae": lambda seed: vqssl.VAE(random_state=seed),
    "beta-vae": lambda seed: vqssl.VAE(beta=4.0, random_state=seed),
    "cpc": lambda seed: vqssl.CPCEncoder(random_state=seed),
    "gim": lambda seed: vqssl.GreedyInfoMaxEncoder(random_state=seed),
    "v-gim": lambda seed: vqssl.GreedyInfoMaxEncoder(beta=1e-3, random_state=seed),
    "maskgit": lambda seed: vqssl.MaskGITGenerator(vqssl.VQTokenizer(), random_state=seed),
    "autoregressive": lambda seed: vqssl.AutoregressiveGenerator(
        vqssl.VQTokenizer(), random_state=seed
    ),
    "tuned": lambda seed: vqssl.TokenizerClassifier(random_state=seed),
    "fcn": lambda seed: vqssl.FCNClassifier(random_state=seed),
}
WITH_LABELS = ("tuned", "fcn")
OF_SERIES = ("bands", "cpc", "gim", "v-gim")
PROBES = {
    "svc": SVC,
    "ridge": lambda: make_pipeline(
        StandardScaler(), RidgeClassifierCV(alphas=np.logspace(-3, 3, 10))
    ),
    "nn": lambda: KNeighborsClassifier(1),
}


def read(path, protocol):
    with np.load(path) as file:
        X, y = file["X_train"], file["y_train"]
        if protocol == "test":
            X_test, y_test = file["X_test"], file["y_test"]
    if protocol == "cv":
        often = np.isin(y, np.flatnonzero(np.bincount(y) > 1))
        X, y = X[often], y[often]
        split = StratifiedShuffleSplit(1, test_size=0.4, random_state=0)
        fit, judge = next(split.split(X, y))
        X, y, X_test, y_test = X[fit], y[fit], X[judge], y[judge]
    draw = np.random.default_rng(0)
    rows, judged = (
        draw.permutation(len(a))[:most] for a, most in ((X, MOST_TRAIN), (X_test, MOST_TEST))
    )
    return X[rows], y[rows], X_test[judged], y_test[judged]


def run(path, protocol, seed, name, out):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y, X_test, y_test = read(path, protocol)
    if X.ndim == 4 and name in OF_SERIES:
        return
    estimator = METHODS[name](seed)
    start = time.process_time()
    estimator.fit(X, y if name in WITH_LABELS else None)
    figures = {"seconds": time.process_time() - start}
    if name in WITH_LABELS:
        own = accuracy_score(y_test, estimator.predict(X_test))
        figures |= dict.fromkeys(PROBES, float(own))
    else:
        rows, judged = estimator.transform(X), estimator.transform(X_test)
        figures["numbers"] = rows.shape[1]
        for probe, make in PROBES.items():
            found = make().fit(rows, y).predict(judged)
            figures[probe] = float(accuracy_score(y_test, found))
    figures |= rates(estimator, X, X_test)
    line = {"set": path.stem, "method": name, "seed": seed, "protocol": protocol}
    line |= {"n_train": len(X), "n_judged": len(X_test), **figures}
    line["versions"] = {"vqssl": vqssl.__version__, "torch": torch.__version__}
    with out.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{path.stem} {name} seed {seed}: {figures['seconds']:.0f} s", flush=True)


def rates(estimator, X, X_test):
    """Share of the variation that is kept, and bits of codes, where there are any."""
    if hasattr(estimator, "score_samples") and hasattr(estimator, "tokenizer_"):
        nats = -estimator.score_samples(X_test).mean(dtype=np.float64)
        return {"kept": kept(estimator.tokenizer_, X, X_test), "bits": float(nats / np.log(2))}
    figures = {}
    if hasattr(estimator, "reconstruction_error"):
        figures["kept"] = kept(estimator, X, X_test)
    if hasattr(estimator, "code_sizes_"):
        figures["bits"] = float(np.log2(estimator.code_sizes_).sum())
    return figures


def kept(estimator, X, X_test):
    """As `score` of tokenizers, also of a VAE, whose own is a bound."""
    mean = X.mean((0, *range(2, X.ndim)), keepdims=True)
    error = np.mean(estimator.reconstruction_error(X_test), dtype=np.float64)
    return float(1 - error / np.mean(np.square(X_test - mean, dtype=np.float64)))


def report(lines):
    sets = list(dict.fromkeys(line["set"] for line in lines))
    for data in [*sets, "mean of sets"]:
        print(f"\n{data:16} n " + " ".join(f"{name:>9}" for name in COLUMNS))
        for method in METHODS:
            mine = [
                line
                for line in lines
                if line["method"] == method and data in (line["set"], "mean of sets")
            ]
            if not mine or (data == "mean of sets" and {line["set"] for line in mine} != set(sets)):
                continue
            cells = [cell([line[name] for line in mine if name in line]) for name in COLUMNS]
            print(f"{method:16} {len(mine)} " + " ".join(cells))
    judged = "the test split" if lines and lines[0]["protocol"] == "test" else "training samples"
    print(f"\n{len(lines)} lines, each judged once on {judged}.")


def cell(values):
    if not values:
        return "-".rjust(9)
    mean = np.mean(values)
    return f"{mean:9.3f}" if abs(mean) < 10 else f"{mean:9.0f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of .npz files")
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--methods", default=",".join(METHODS))
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
        done = {(line["set"], line["method"], line["seed"]) for line in lines}
        jobs = [
            delayed(run)(
                arguments.data / f"{name}.npz", arguments.protocol, seed, method, arguments.out
            )
            for seed in map(int, arguments.seeds.split(","))
            for name in arguments.sets.split(",")
            for method in arguments.methods.split(",")
            if (name, method, seed) not in done
        ]
        Parallel(arguments.n_jobs)(jobs)
    report(read_lines(arguments.out, arguments.protocol))


if __name__ == "__main__":
    main()
