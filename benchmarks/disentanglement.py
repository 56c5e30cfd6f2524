"""Do latents hold the factors that made the series, each in its place, and what is that good for?

    python benchmarks/disentanglement.py --out FILE.jsonl --n-jobs 2
    python benchmarks/disentanglement.py --out FILE.jsonl --report

Series are those of `vqssl.datasets.make_factor_series`, six known factors, 10,000 to train on and
5,000 to judge by, drawn anew for each seed. Methods, of ten dimensions each: ``pca`` and ``ica``
(FastICA), ``ae``, ``vae`` and ``beta-2`` to ``beta-16`` (VAE with that `beta`), all networks with
defaults but for 3,000 steps of 64 series; and ``vq``, code frequencies of `VQTokenizer` on their
first ten principal components. A line of FILE is a method and a seed; what is there is not run
again.

Figures: the scores of `vqssl.metrics` on judged series, factor by factor where they are a mean;
``kept``, the share of the variation that comes back; total correlation of the latents in nats; and
accuracies of predicting a factor from 10, 100, 1,000 and 10,000 labelled training series, mean
over factors, by logistic regression (``lr``) and gradient boosting (``gb``). The report gives means
and deviations over seeds, and rank correlations (Spearman, over methods, mean over seeds) of the
scores with each other and with the accuracies.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from probe_rows.records import mend
from scipy.stats import spearmanr
from sklearn.decomposition import PCA, FastICA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import vqssl
from vqssl import VAE, AutoEncoder, VQTokenizer
from vqssl.datasets import make_factor_series
from vqssl.metrics import (
    beta_vae_score,
    dci,
    factor_vae_score,
    modularity_score,
    mutual_information_gap,
    sap_score,
    total_correlation,
)

N_TRAIN, N_TEST = 10_000, 5_000
LATENT_DIM = 10
TRAINING = {"max_iter": 3000, "batch_size": 64}
BETAS = (2, 4, 8, 16)
N_LABELS = (10, 100, 1_000, 10_000)
SCORES = ("beta_vae", "factor_vae", "gap", "disentanglement", "completeness", "informativeness",
          "modularity", "sap_r2")  # fmt: skip
CLASSIFIERS = {
    "lr": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "gb": lambda: HistGradientBoostingClassifier(max_iter=50, random_state=0),
}


def share_kept(X, reconstruction, mean):
    return 1 - np.square(X - reconstruction).sum() / np.square(X - mean).sum()


def linear(model, X, X_test):
    """Latents of both sets, and the share of the variation of the second that comes back."""
    model.fit(X)
    Z, Z_test = model.transform(X), model.transform(X_test)
    return Z, Z_test, share_kept(X_test, model.inverse_transform(Z_test), X.mean())


def network(model, X, X_test):
    model.fit(X)
    Z, Z_test = model.transform(X), model.transform(X_test)
    return Z, Z_test, share_kept(X_test, model.reconstruct(X_test), X.mean())


def codes(X, X_test, seed):
    model = VQTokenizer(output="histogram", random_state=seed, **TRAINING).fit(X)
    components = PCA(LATENT_DIM, random_state=seed).fit(model.transform(X))
    Z, Z_test = (components.transform(model.transform(some)) for some in (X, X_test))
    return Z, Z_test, model.score(X_test)


def represent(method, X, X_test, seed):
    if method == "pca":
        return linear(PCA(LATENT_DIM, random_state=seed), X, X_test)
    if method == "ica":
        return linear(FastICA(LATENT_DIM, max_iter=1000, random_state=seed), X, X_test)
    if method == "ae":
        return network(AutoEncoder(LATENT_DIM, random_state=seed, **TRAINING), X, X_test)
    if method == "vq":
        return codes(X, X_test, seed)
    beta = 1 if method == "vae" else int(method.removeprefix("beta-"))
    return network(VAE(LATENT_DIM, beta=beta, random_state=seed, **TRAINING), X, X_test)


def accuracies(Z, factors, Z_test, factors_test):
    """Accuracy by classifier and number of labels, mean over factors."""
    found = {}
    for name, make in CLASSIFIERS.items():
        for n in N_LABELS:
            shares = [
                make().fit(Z[:n], factor[:n]).score(Z_test, factor_test)
                for factor, factor_test in zip(factors.T, factors_test.T, strict=True)
            ]
            found[f"{name}_{n}"] = float(np.mean(shares))
    return found


def run(method, seed, out):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, factors = make_factor_series(N_TRAIN + N_TEST, random_state=seed)
    train, test = slice(0, N_TRAIN), slice(N_TRAIN, None)
    start = time.process_time()
    Z, Z_test, kept = represent(method, X[train], X[test], seed)
    line = {"method": method, "seed": seed, "seconds": time.process_time() - start}
    known = factors[test]
    line |= {
        "kept": float(kept),
        "total_correlation": total_correlation(Z_test),
        "beta_vae": beta_vae_score(Z_test, known, random_state=seed),
        "factor_vae": factor_vae_score(Z_test, known, random_state=seed),
        "gap": mutual_information_gap(Z_test, known),
        **dci(Z_test, known, random_state=seed)._asdict(),
        "modularity": modularity_score(Z_test, known),
        "sap_r2": sap_score(Z_test, known, estimator="r2", random_state=seed),
        **accuracies(Z, factors[train], Z_test, known),
        "versions": {"vqssl": vqssl.__version__, "torch": torch.__version__},
    }
    with out.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{method} seed {seed}: {time.process_time() - start:.0f} s", flush=True)


def read_lines(path):
    """Lines of the file; a last one that was broken off does not count."""
    if not path.exists():
        return []
    text = path.read_text()
    return list(map(json.loads, text[: text.rfind("\n") + 1].splitlines()))


def report(lines):
    methods = list(dict.fromkeys(line["method"] for line in lines))
    labels = [f"{name}_{n}" for name in CLASSIFIERS for n in N_LABELS]
    for title, columns in (
        ("scores", (*SCORES, "total_correlation", "kept", "seconds")),
        ("accuracies", labels),
    ):
        print(f"\n{title}: mean over seeds (deviation)")
        print(f"{'method':8}  n " + " ".join(f"{name:>17}" for name in columns))
        for method in methods:
            mine = [line for line in lines if line["method"] == method]
            cells = []
            for name in columns:
                values = [line[name] for line in mine]
                cells.append(f"{np.mean(values):.3f} ({np.std(values):.3f})".rjust(17))
            print(f"{method:8} {len(mine):2} " + " ".join(cells))
    print_correlations(lines, labels)
    print_verdict(lines)


def print_correlations(lines, labels):
    """Spearman's rank correlation over the methods of a seed, mean over seeds that have all."""
    n_methods = len({line["method"] for line in lines})
    seeds = sorted({line["seed"] for line in lines})
    by_seed = [[line for line in lines if line["seed"] == seed] for seed in seeds]
    complete = [mine for mine in by_seed if len(mine) == n_methods]
    if n_methods < 3 or not complete:
        return
    # What is the same for all methods has no rank: boosting makes no split of ten labels.
    columns = [
        name
        for name in (*SCORES, *labels)
        if all(len({line[name] for line in mine}) > 1 for mine in complete)
    ]
    mean = np.mean(
        [spearmanr([[line[name] for name in columns] for line in mine]).statistic
         for mine in complete],
        axis=0,
    )  # fmt: skip
    print(f"\nrank correlations over {n_methods} methods, mean over {len(complete)} seeds")
    print(" " * 16 + " ".join(f"{name[:10]:>10}" for name in columns))
    for name, row in zip(columns, mean, strict=True):
        if name not in SCORES:
            continue
        print(f"{name:15} " + " ".join(f"{value:10.2f}" for value in row))


def print_verdict(lines):
    """VAE against beta-VAE, pair by pair of seeds."""
    found = {(line["method"], line["seed"]): line for line in lines}
    pairs = [(found["vae", s], found["beta-4", s]) for m, s in found
             if m == "vae" and ("beta-4", s) in found]  # fmt: skip
    if not pairs:
        return
    print(f"\nbeta 4 less beta 1, {len(pairs)} seeds, mean (deviation)")
    for name in ("gap", "disentanglement", "kept", "total_correlation"):
        differences = [after[name] - before[name] for before, after in pairs]
        print(f"  {name:18} {np.mean(differences):+.3f} ({np.std(differences):.3f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    methods = ("pca", "ica", "ae", "vae", *(f"beta-{beta}" for beta in BETAS), "vq")
    parser.add_argument("--methods", default=",".join(methods))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", action="store_true", help="only print what FILE holds")
    arguments = parser.parse_args()
    if not arguments.report:
        mend(arguments.out)
        done = {(line["method"], line["seed"]) for line in read_lines(arguments.out)}
        wanted = [
            (method, seed)
            for seed in map(int, arguments.seeds.split(","))
            for method in arguments.methods.split(",")
        ]
        jobs = [delayed(run)(*job, arguments.out) for job in wanted if job not in done]
        Parallel(arguments.n_jobs)(jobs)
    report(read_lines(arguments.out))


if __name__ == "__main__":
    main()
