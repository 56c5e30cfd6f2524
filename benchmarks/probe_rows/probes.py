"""The probes: how well do rows tell classes, by four classifiers and a choice of two.

- ``svc``: ``SVC()`` with its defaults.
- ``tuned``: the same with C from 1e-4 to 1e4 by cross-validation on the fitted rows.
- ``ridge``: ``RidgeClassifierCV`` on standardised columns, with the ten alphas of MiniRocket.
- ``nn``: the nearest neighbour, Euclidean unless rows are distances already.
- ``chosen``: ``tuned`` or ``ridge``, whichever had the better cross-validated accuracy on the
  fitted rows. Where they are equal it is ``ridge``, since the figure of ``tuned`` is the best
  of nine.

Cross-validation has five folds or as many as the rarest class allows, on at most 2,000 rows.
Where a class has a single row there is none: C is 1, and ``tuned`` is chosen.

The support vector machines get their kernel precomputed: distances between rows, which are
nearly all the work where rows are long, are computed once for all C and all folds.
"""

from dataclasses import dataclass, field

import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from probe_rows.draws import at_most, rarest
from probe_rows.kernel import scale_gamma, squared_distances

PROBES = ("svc", "tuned", "ridge", "nn", "chosen")
C_GRID = tuple(10.0**exponent for exponent in range(-4, 5))
ALPHAS = np.logspace(-3, 3, 10)
MOST_FOLDS = 5
MOST_ROWS = 2000
BLOCK = 2048  # rows that are judged at one time


@dataclass(frozen=True)
class Verdict:
    """Predicted classes by probe, and how the probes came about."""

    predictions: dict[str, np.ndarray]
    chosen: str | None = None
    C: float | None = None
    cross_validated: dict[str, float] = field(default_factory=dict)
    n_folds: int | None = None


def judge(
    rows: np.ndarray, y: np.ndarray, judged: np.ndarray, seed: int, standardise: bool
) -> Verdict:
    """Fit all probes on rows (n, F) with classes (n,); predict those of `judged` (m, F)."""
    rows, judged = rows.astype(np.float64), judged.astype(np.float64)
    ridge = ridge_probe().fit(rows, y)
    predictions = {"ridge": ridge.predict(judged)}
    if standardise:
        scaler = StandardScaler().fit(rows)
        rows, judged = scaler.transform(rows), scaler.transform(judged)

    folds = folds_of(y, seed)
    n_folds = len(folds) or None
    scores: dict[str, float] = {}
    C, chosen = 1.0, "tuned"
    if folds:
        C, scores["tuned"] = search(rows, y, folds)
        # Ridge standardises by itself: that its rows may be scaled already changes nothing.
        scores["ridge"] = float(
            np.mean([ridge_probe().fit(rows[a], y[a]).score(rows[b], y[b]) for a, b in folds])
        )
        chosen = "tuned" if scores["tuned"] > scores["ridge"] else "ridge"

    gamma = scale_gamma(rows)
    kernel = np.exp(-gamma * squared_distances(rows, rows))
    machines = {
        name: SVC(C=value, kernel="precomputed").fit(kernel, y)
        for name, value in (("svc", 1.0), ("tuned", C))
    }
    del kernel  # the largest array of all
    found: dict[str, list[np.ndarray]] = {"svc": [], "tuned": [], "nn": []}
    for start in range(0, len(judged), BLOCK):
        distances = squared_distances(judged[start : start + BLOCK], rows)
        found["nn"].append(nearest(distances, y))
        for name, machine in machines.items():
            found[name].append(machine.predict(np.exp(-gamma * distances)))
    predictions |= {name: np.concatenate(blocks) for name, blocks in found.items()}
    predictions["chosen"] = predictions[chosen]
    return Verdict(predictions, chosen, C, scores, n_folds)


def nearest(distances: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Classes of the nearest of n rows, of distances (m, n)."""
    return y[distances.argmin(1)]


def ridge_probe() -> Pipeline:
    return make_pipeline(StandardScaler(), RidgeClassifierCV(ALPHAS))


def folds_of(y: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Places to fit on and to score on; no folds where a class has one row."""
    some = at_most(y, MOST_ROWS, seed)
    n_folds = min(MOST_FOLDS, rarest(y[some]))
    if n_folds < 2:
        return []
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    return [(some[a], some[b]) for a, b in splitter.split(some, y[some])]


def search(
    rows: np.ndarray, y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[float, float]:
    """Smallest C of the best mean accuracy over folds, and that accuracy.

    The same as ``GridSearchCV(SVC(), {"C": C_GRID}, cv=folds)``.
    """
    scores = np.empty((len(folds), len(C_GRID)))
    for i, (fitted, held_out) in enumerate(folds):
        gamma = scale_gamma(rows[fitted])
        kernel = np.exp(-gamma * squared_distances(rows[fitted], rows[fitted]))
        held_kernel = np.exp(-gamma * squared_distances(rows[held_out], rows[fitted]))
        for j, C in enumerate(C_GRID):
            machine = SVC(C=C, kernel="precomputed").fit(kernel, y[fitted])
            scores[i, j] = machine.score(held_kernel, y[held_out])
    means = scores.mean(0)
    # Means of equal figures may differ in their last bit.
    best = int(np.argmax(means >= means.max() - 1e-12))
    return C_GRID[best], float(means[best])
