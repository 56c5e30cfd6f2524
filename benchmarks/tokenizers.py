"""What the tokenizers reach with their defaults: accuracy, reconstruction, codebook, retrieval.

    python benchmarks/tokenizers.py --data FOLDER --out FILE.jsonl
    python benchmarks/tokenizers.py --out FILE.jsonl --report

FOLDER holds ``<Name>.npz`` with ``X_train``, ``y_train``, ``X_test``, ``y_test``. Every line
of FILE is one fit; what is there is not fitted again. Columns:

- ``svc``: test accuracy of a plain ``SVC()`` on ``features``, one evaluation per fit.
- ``score``: share of the variation of the test series that survives the codes.
- ``seconds``: CPU seconds of the fit on one thread.
- ``used``, ``perplexity``: share of the codes that occur in the training set; exponential of
  their entropy.
- ``retrieval``: share of training series that are the nearest neighbour, in ``features``, of
  an augmented view of themselves. The views are the same for every tokenizer: those of the
  augmentations that `SSLVQTokenizer` chose for the set.

Rows: ``ssl`` and ``vq`` are the tokenizers with their defaults, ``vq`` being the same as
``ssl`` with ``ssl_weight=0`` (a test holds that, bit for bit); ``untrained`` has taken one
step of no length; ``ssl32`` and ``vq32`` have 32 codes.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC

import vqssl
from vqssl import SSLVQTokenizer, VQTokenizer
from vqssl.augmentations import Compose

SETS = "GunPoint,TwoPatterns,SyntheticControl,Trace,Wafer,ItalyPowerDemand"
SMALL_CODEBOOK_SETS = ("TwoPatterns", "Wafer")
COLUMNS = ("svc", "score", "seconds", "used", "perplexity", "retrieval")


def make(row, seed):
    if row == "untrained":
        return VQTokenizer(max_iter=1, lr=1e-12, random_state=seed)
    kind = SSLVQTokenizer if row.startswith("ssl") else VQTokenizer
    return kind(n_codes=32, random_state=seed) if row.endswith("32") else kind(random_state=seed)


def views(X, augmentations, seed):
    """Augmented views in the units of X, made of standardised series as in training."""
    x = torch.from_numpy(X)
    mean, deviation = x.mean((0, 2), keepdim=True), x.std((0, 2), keepdim=True)
    generator = torch.Generator().manual_seed(seed)
    return (Compose(augmentations)((x - mean) / deviation, generator) * deviation + mean).numpy()


def retrieval(tokenizer, X, view):
    neighbours = NearestNeighbors(n_neighbors=1).fit(tokenizer.transform(X))
    found = neighbours.kneighbors(tokenizer.transform(view), return_distance=False)[:, 0]
    return float(np.mean(found == np.arange(len(X))))


def run(name, data, seed, rows):
    X, y, X_test, y_test = (data[k] for k in ("X_train", "y_train", "X_test", "y_test"))
    view = None
    for row in rows:
        tokenizer = make(row, seed)
        start = time.process_time()
        tokenizer.fit(X)
        seconds = time.process_time() - start
        if row == "ssl":
            view = views(X, tokenizer.augmentations_, seed)
        classifier = SVC().fit(tokenizer.transform(X), y)
        yield {
            "set": name,
            "row": row,
            "seed": seed,
            "svc": classifier.score(tokenizer.transform(X_test), y_test),
            "score": tokenizer.score(X_test),
            "seconds": seconds,
            "used": len(np.unique(tokenizer.encode(X))) / len(tokenizer.codebook_),
            "perplexity": tokenizer.perplexity_[0],
            "retrieval": None if view is None else retrieval(tokenizer, X, view),
            "loss": [tokenizer.history_["loss"][0], tokenizer.history_["loss"][-1]],
            "versions": {"vqssl": vqssl.__version__, "torch": torch.__version__},
        }


def report(lines):
    print(f"{'set':18} {'row':10} n " + " ".join(f"{column:>17}" for column in COLUMNS))
    for name, row in dict.fromkeys((line["set"], line["row"]) for line in lines):
        mine = [line for line in lines if (line["set"], line["row"]) == (name, row)]
        cells = []
        for column in COLUMNS:
            values = [line[column] for line in mine if line[column] is not None]
            cells.append(f"{np.mean(values):9.3f} +-{np.std(values):6.3f}" if values else " " * 17)
        print(f"{name:18} {row:10} {len(mine)} " + " ".join(cells))
    print(f"\n{len(lines)} test evaluations in all. Mean and deviation over n seeds.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of .npz files")
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", action="store_true", help="only print what FILE holds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.report and arguments.data is None:
        parser.error("--data is needed, except with --report")

    lines = []
    if arguments.out.exists():
        lines = [json.loads(line) for line in arguments.out.read_text().splitlines()]
    done = {(line["set"], line["row"], line["seed"]) for line in lines}
    for name in [] if arguments.report else arguments.sets.split(","):
        with np.load(arguments.data / f"{name}.npz") as file:
            data = dict(file)
        for seed in map(int, arguments.seeds.split(",")):
            rows = ["ssl", "vq", "untrained"]
            if name in SMALL_CODEBOOK_SETS:
                rows += ["ssl32", "vq32"]
            if {(name, row, seed) for row in rows} <= done:
                continue
            for line in run(name, data, seed, rows):
                if (name, line["row"], seed) not in done:
                    lines.append(line)
                    with arguments.out.open("a") as file:
                        file.write(json.dumps(line) + "\n")
    report(lines)


if __name__ == "__main__":
    main()
