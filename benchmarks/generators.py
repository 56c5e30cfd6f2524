"""What the generators reach with their defaults, against truth and on real series.

    python benchmarks/generators.py --data FOLDER --out FILE.jsonl
    python benchmarks/generators.py --out FILE.jsonl --report

FOLDER holds ``<Name>.npz`` with ``X_train``, ``y_train``, ``X_test``, ``y_test``. Every line
of FILE is one fit; what is there is not fitted again. Three kinds of rows:

``chain``: codes come from a known Markov chain (8 codes, 32 tokens, 2,000 sequences), a new
chain for each seed. No tokenizer is involved.

- ``kl``: divergence of the pairs of neighbouring codes in 4,000 samples from the truth, nats;
  ``kl floor`` is that of as many sequences of the chain itself.
- ``nll/H``: negative log-likelihood of 1,000 new sequences over their entropy under the chain.
- ``copies``: share of samples that equal a training sequence.

``mixture``: four chains with shares .4, .3, .2, .1, no class given. ``share error`` is the
largest difference between the shares of the chains among training sequences and samples;
a sequence belongs to the chain under which it is likeliest.

A set: the prior is fitted with classes on a frozen ``SSLVQTokenizer``, both with defaults.

- ``agree``: share of synthetic series, in the class proportions of the test set, whose class
  1-NN on raw training series gives back; ``agree test`` is the same for the test series.
- ``distance``: mean distance of a synthetic series to the nearest training series over that
  of a test series, all decoded from codes. Copies of the training set have 0.
- ``seconds``: CPU seconds of the prior's fit on one thread.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

import vqssl
from vqssl import AutoregressiveGenerator, MaskGITGenerator, SSLVQTokenizer

SETS = "GunPoint,SyntheticControl,Trace"
GENERATORS = {"maskgit": MaskGITGenerator, "autoregressive": AutoregressiveGenerator}
COLUMNS = {
    "chain": ("kl", "kl floor", "nll/H", "copies", "seconds"),
    "mixture": ("share error", "seconds"),
    "set": ("agree", "agree test", "distance", "nats/token", "steps", "seconds"),
}
N_CODES, N_TOKENS = 8, 32
SHARES = np.array([0.4, 0.3, 0.2, 0.1])


class Codes(BaseEstimator):
    """Stands in for a tokenizer where the series are codes."""

    def fit(self, X, y=None):
        self.code_sizes_ = np.full(X.shape[1], N_CODES)
        self.token_groups_ = [slice(0, X.shape[1])]
        return self

    def encode(self, X):
        return np.asarray(X).astype(np.int64)

    def decode(self, codes):
        return np.asarray(codes, dtype=np.float32)


class Chain:
    """A Markov chain with random transitions, started from its stationary distribution."""

    def __init__(self, rng):
        self.transitions = rng.dirichlet(np.full(N_CODES, 0.5), N_CODES)
        start = np.linalg.matrix_power(self.transitions.T, 2000)[:, 0]
        self.start = start / start.sum()

    def draw(self, n, rng):
        cumulative = self.transitions.cumsum(1)
        codes = np.empty((n, N_TOKENS), dtype=np.int64)
        codes[:, 0] = rng.choice(N_CODES, n, p=self.start)
        for t in range(1, N_TOKENS):
            u = rng.random(n)[:, None]
            codes[:, t] = (u > cumulative[codes[:, t - 1]]).sum(1).clip(max=N_CODES - 1)
        return codes

    def log_likelihood(self, codes):
        with np.errstate(divide="ignore"):
            steps = np.log(self.transitions)[codes[:, :-1], codes[:, 1:]].sum(1)
        return np.log(self.start)[codes[:, 0]] + steps

    def entropy(self):
        def of(p):
            return -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0), -1)

        return of(self.start) + (N_TOKENS - 1) * (self.start @ of(self.transitions))

    def pair_divergence(self, codes):
        counts = np.zeros((N_CODES, N_CODES))
        np.add.at(counts, (codes[:, :-1].ravel(), codes[:, 1:].ravel()), 1)
        p, q = counts / counts.sum(), self.start[:, None] * self.transitions
        seen = p > 0
        with np.errstate(divide="ignore"):
            return float(np.sum(p[seen] * np.log(p[seen] / q[seen])))


def timed_fit(generator, X, y=None):
    start = time.process_time()
    generator.fit(X, y)
    return time.process_time() - start


def run_chain(kind, seed):
    rng = np.random.default_rng(seed)
    chain = Chain(rng)
    X, X_new = chain.draw(2000, rng), chain.draw(1000, rng)
    generator = GENERATORS[kind](Codes(), random_state=seed)
    seconds = timed_fit(generator, X)
    samples = generator.sample_codes(4000, random_state=seed)
    known = {row.tobytes() for row in X}
    return {
        "kl": chain.pair_divergence(samples),
        "kl floor": chain.pair_divergence(chain.draw(4000, rng)),
        "nll/H": -generator.score(X_new) / chain.entropy(),
        "copies": float(np.mean([row.tobytes() in known for row in samples])),
        "seconds": seconds,
    }


def run_mixture(kind, seed):
    rng = np.random.default_rng(seed)
    chains = [Chain(rng) for _ in SHARES]
    X = np.concatenate(
        [c.draw(round(2000 * share), rng) for c, share in zip(chains, SHARES, strict=True)]
    )

    def shares(codes):
        likeliest = np.argmax([chain.log_likelihood(codes) for chain in chains], axis=0)
        return np.bincount(likeliest, minlength=len(chains)) / len(codes)

    generator = GENERATORS[kind](Codes(), random_state=seed)
    seconds = timed_fit(generator, X)
    samples = generator.sample_codes(2000, random_state=seed)
    error = float(np.abs(shares(samples) - shares(X)).max())
    return {"share error": error, "seconds": seconds}


def run_set(kind, seed, data, tokenizer):
    X, y, X_test, y_test = (data[k] for k in ("X_train", "y_train", "X_test", "y_test"))
    generator = GENERATORS[kind](FrozenEstimator(tokenizer), random_state=seed)
    seconds = timed_fit(generator, X, y)
    new = generator.sample(len(y_test), y_test, random_state=seed)
    judge = KNeighborsClassifier(n_neighbors=1).fit(X.reshape(len(X), -1), y)

    def decoded(series):
        return tokenizer.decode(tokenizer.encode(series)).reshape(len(series), -1)

    nearest = NearestNeighbors(n_neighbors=1).fit(decoded(X))
    distances = [
        nearest.kneighbors(rows)[0].mean() for rows in (new.reshape(len(new), -1), decoded(X_test))
    ]
    return {
        "agree": judge.score(new.reshape(len(new), -1), y_test),
        "agree test": judge.score(X_test.reshape(len(X_test), -1), y_test),
        "distance": float(distances[0] / distances[1]),
        "nats/token": -generator.score(X_test, y_test) / generator.n_tokens_,
        "steps": generator.n_iter_,
        "seconds": seconds,
    }


def lines_of(row, seed, kinds, folder):
    """Run one row for the generators in `kinds`."""
    if row in ("chain", "mixture"):
        run = run_chain if row == "chain" else run_mixture
        for kind in kinds:
            yield kind, run(kind, seed)
        return
    with np.load(folder / f"{row}.npz") as file:
        data = dict(file)
    tokenizer = SSLVQTokenizer(random_state=seed).fit(data["X_train"])
    for kind in kinds:
        yield kind, run_set(kind, seed, data, tokenizer)


def report(lines):
    rows = list(dict.fromkeys((line["row"], line["kind"]) for line in lines))
    header = None
    for row, kind in sorted(rows, key=lambda r: (r[0] not in COLUMNS, r)):
        columns = COLUMNS.get(row, COLUMNS["set"])
        if columns != header:
            header = columns
            print(f"\n{'row':18} {'prior':15} n " + " ".join(f"{c:>17}" for c in columns))
        mine = [line for line in lines if (line["row"], line["kind"]) == (row, kind)]
        cells = []
        for column in columns:
            values = [line[column] for line in mine]
            cells.append(f"{np.mean(values):9.4f} +-{np.std(values):6.4f}")
        print(f"{row:18} {kind:15} {len(mine)} " + " ".join(cells))
    n_real = sum(line["row"] not in COLUMNS for line in lines)
    print(f"\n{n_real} fits were judged on test series. Mean and deviation over n seeds.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of .npz files")
    parser.add_argument("--rows", default=f"chain,mixture,{SETS}")
    parser.add_argument("--kinds", default=",".join(GENERATORS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", action="store_true", help="only print what FILE holds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [] if arguments.report else arguments.rows.split(",")
    if set(rows) - set(COLUMNS) and arguments.data is None:
        parser.error("--data is needed for sets")

    lines = []
    if arguments.out.exists():
        lines = [json.loads(line) for line in arguments.out.read_text().splitlines()]
    for seed in map(int, arguments.seeds.split(",")):
        for row in rows:
            done = {line["kind"] for line in lines if (line["row"], line["seed"]) == (row, seed)}
            kinds = [kind for kind in arguments.kinds.split(",") if kind not in done]
            if not kinds:
                continue
            for kind, figures in lines_of(row, seed, kinds, arguments.data):
                versions = {"vqssl": vqssl.__version__, "torch": torch.__version__}
                line = {"row": row, "kind": kind, "seed": seed, **figures, "versions": versions}
                lines.append(line)
                with arguments.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    report(lines)


if __name__ == "__main__":
    main()
