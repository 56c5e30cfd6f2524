"""Images: whether codes tell classes apart, and whether images drawn by class look like it.

    python benchmarks/images.py --data MNIST.npz --out FILE.jsonl
    python benchmarks/images.py --out FILE.jsonl --report
    python benchmarks/images.py --data MNIST.npz --protocol cv --methods features-vq \\
        --seeds 0 --out DEVELOPMENT.jsonl

MNIST.npz holds ``X_train`` (n, channels, height, width), ``y_train``, ``X_test`` and ``y_test``.
Every estimator has its defaults, but for `difference_weight` of tokenizers below a prior. A line
of FILE is a method and a seed; what is there is not run again.

Methods:

- ``pixels``: an ``SVC(C=10)`` on pixels, in [0, 1].
- ``features-vq``, ``features-ssl``: the same classifier on `transform` of `VQTokenizer` and of
  `SSLVQTokenizer`, which see no labels.
- ``drawn-vq``, ``drawn-ssl``: 100 images of each class from a `MaskGITGenerator` on a tokenizer
  with ``difference_weight`` 0.5. ``recognised`` is the share that an `FCNClassifier` trained on
  real images takes for the class that was asked for. ``real`` is its accuracy on real images that
  it has not seen, and ``decoded`` on these when they have been through the codes.

Protocol ``test`` judges on the test split, one evaluation per line; ``cv`` on a fifth of the
training split, which is then not trained on, and does not read the test split. ``seconds`` are
CPU seconds of the fits that make a method, without the judge, on one thread.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from probe_rows.records import mend, read_lines
from sklearn.metrics import accuracy_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.svm import SVC

import vqssl
from vqssl import FCNClassifier, MaskGITGenerator, SSLVQTokenizer, VQTokenizer

METHODS = "pixels,features-vq,features-ssl,drawn-vq,drawn-ssl"
TOKENIZERS = {"vq": VQTokenizer, "ssl": SSLVQTokenizer}
N_PER_CLASS = 100
COLUMNS = ("accuracy", "recognised", "decoded", "real", "seconds")


def read(path, protocol):
    with np.load(path) as file:
        X, y = file["X_train"], file["y_train"]
        if protocol == "test":
            return X, y, file["X_test"], file["y_test"]
    fit, judge = next(StratifiedShuffleSplit(1, test_size=0.2, random_state=0).split(X, y))
    return X[fit], y[fit], X[judge], y[judge]


def run(method, seed, X, y, X_judge, y_judge):
    kind, _, name = method.partition("-")
    if kind == "drawn":
        return run_drawn(TOKENIZERS[name], seed, X, y, X_judge, y_judge)
    start = time.process_time()
    if kind == "pixels":
        top = float(X.max())
        rows, judged = (a.reshape(len(a), -1).astype(np.float32) / top for a in (X, X_judge))
    else:
        tokenizer = TOKENIZERS[name](random_state=seed).fit(X)
        rows, judged = tokenizer.transform(X), tokenizer.transform(X_judge)
    # The kernel of SVC() by one product of matrices; of wide rows that saves ten minutes.
    width = 1 / (rows.shape[1] * rows.var(dtype=np.float64))
    classifier = SVC(C=10, kernel="precomputed").fit(rbf_kernel(rows, gamma=width), y)
    seconds = time.process_time() - start
    found = classifier.predict(rbf_kernel(judged, rows, gamma=width))
    return {"accuracy": float(accuracy_score(y_judge, found)), "seconds": seconds}


def run_drawn(tokenizer_class, seed, X, y, X_judge, y_judge):
    start = time.process_time()
    tokenizer = tokenizer_class(difference_weight=0.5)
    generator = MaskGITGenerator(tokenizer, random_state=seed).fit(X, y)
    seconds = time.process_time() - start
    asked = np.repeat(np.unique(y), N_PER_CLASS)
    drawn = generator.sample(len(asked), asked, random_state=seed)
    judge = FCNClassifier(random_state=seed).fit(X, y)
    fitted = generator.tokenizer_
    decoded = fitted.decode(fitted.encode(X_judge))
    return {
        "recognised": float(judge.score(drawn, asked)),
        "decoded": float(judge.score(decoded, y_judge)),
        "real": float(judge.score(X_judge, y_judge)),
        "seconds": seconds,
    }


def report(lines):
    print(f"{'method':14}seeds" + "".join(f"{name:>16}" for name in COLUMNS))
    for method in dict.fromkeys(line["method"] for line in lines):
        own = [line for line in lines if line["method"] == method]
        cells = [cell([line[name] for line in own if name in line]) for name in COLUMNS]
        print(f"{method:14}{len(own):5}" + "".join(cells))
    judged = "the test split" if lines and lines[0]["protocol"] == "test" else "training images"
    print(f"\n{len(lines)} lines, each judged once on {judged}; deviation over seeds in brackets.")


def cell(values):
    if not values:
        return "-".rjust(16)
    mean = np.mean(values)
    return (f"{mean:.0f}" if mean > 10 else f"{mean:.3f} ({np.std(values):.3f})").rjust(16)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the .npz file")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--protocol", choices=("test", "cv"), default="test")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", action="store_true", help="only print what FILE holds")
    arguments = parser.parse_args()
    if not arguments.report and arguments.data is None:
        parser.error("--data is needed")

    torch.set_num_threads(1)
    if not arguments.report:
        mend(arguments.out)
        lines = read_lines(arguments.out, arguments.protocol)
        done = {(line["method"], line["seed"]) for line in lines}
        splits = read(arguments.data, arguments.protocol)
        for seed in map(int, arguments.seeds.split(",")):
            for method in arguments.methods.split(","):
                if (method, seed) in done:
                    continue
                figures = run(method, seed, *splits)
                line = {"method": method, "seed": seed, "protocol": arguments.protocol}
                line |= {"n_train": len(splits[0]), "n_judged": len(splits[2]), **figures}
                line["versions"] = {"vqssl": vqssl.__version__, "torch": torch.__version__}
                with arguments.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(f"{method} seed {seed}", flush=True)
    report(read_lines(arguments.out, arguments.protocol))


if __name__ == "__main__":
    main()
