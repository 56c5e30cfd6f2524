"""
Are drawn series any good, and by which measure?
================================================

Cylinder, bell and funnel, three classes by formula: an event of random place and length in noise.
Three ways to draw new ones are judged by the same measures: a masked prior on codes, a Gaussian for
each class, and a cheat that returns its training series. Real series against real series stand
beside them as the floor. Most measures say little against the cheat. Writes
``judge_a_generator.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import BaseEstimator

from vqssl import FCNClassifier, MaskGITGenerator, VQTokenizer
from vqssl.datasets import make_cylinder_bell_funnel
from vqssl.evaluation import evaluate_against, real_references

X, y = make_cylinder_bell_funnel(300, length=64, random_state=0)
X_test, y_test = make_cylinder_bell_funnel(300, length=64, random_state=1)


# %%
# What is judged is an estimator with ``sample(n, y, random_state=...)`` and ``classes_``.


class Gaussian(BaseEstimator):
    """A normal distribution for each class."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.moments_ = {k: (X[y == k].mean(0), np.cov(X[y == k].T)) for k in self.classes_}
        return self

    def sample(self, n_samples, y, random_state):
        rng = np.random.default_rng(random_state)
        return np.stack([rng.multivariate_normal(*self.moments_[k], method="svd") for k in y])


class Copies(BaseEstimator):
    """Training series, drawn again."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.series_ = {k: X[y == k] for k in self.classes_}
        return self

    def sample(self, n_samples, y, random_state):
        rng = np.random.default_rng(random_state)
        return np.stack([rng.choice(self.series_[k]) for k in y])


tokenizer = VQTokenizer(n_codes=64, compression=4, max_iter=300)
generators = {
    "MaskGIT": MaskGITGenerator(tokenizer, max_iter=400, random_state=0),
    "Gaussians": Gaussian(),
    "copies": Copies(),
}

# %%
# What real series score is computed once. A small network on real series gives the features.

real = real_references(
    *(X, y, X_test, y_test), classifier=FCNClassifier((32, 64, 32), max_iter=60), random_state=0
)
measures = {
    "FID": ("fid", "fid_floor", "lower"),
    "coverage": ("coverage", "coverage_floor", "higher"),
    "told from real series": ("discriminative_score", "discriminative_floor", "lower"),
    "memorization (0: copies)": ("memorization_ratio", None, "about 1"),
    "accuracy, train on drawn": ("classification_accuracy_score", "train_real_test_real", "higher"),
}
found, drawn = {}, {}
y_drawn = np.repeat(np.unique(y), 4)
for name, generator in generators.items():
    generator.fit(X, y)
    found[name] = evaluate_against(
        generator, real, n_samples=300, all_accuracies=False, random_state=0
    )
    drawn[name] = generator.sample(len(y_drawn), y_drawn, random_state=0)

print(f"{'better':>34}" + "".join(f"{name:>12}" for name in found) + f"{'real':>9}")
for title, (key, floor, better) in measures.items():
    cells = "".join(f"{figures[key]:12.3f}" for figures in found.values())
    of_real = f"{found['copies'][floor]:9.3f}" if floor else ""
    print(f"{title:26}{better:>8}{cells}{of_real}")

# %%
# Four series of each class.

classes, rows = np.unique(y), {"real": X_test, **drawn}
fig, axes = plt.subplots(
    len(rows), len(classes), figsize=(13, 7), sharex=True, sharey=True, layout="constrained"
)
for row, (name, series) in zip(axes, rows.items(), strict=True):
    labels = y_test if name == "real" else y_drawn
    for ax, label in zip(row, classes, strict=True):
        ax.plot(series[labels == label][:4].T, linewidth=0.9)
        ax.spines[["top", "right"]].set_visible(False)
    row[0].set_ylabel(name)
for ax, label in zip(axes[0], classes, strict=True):
    ax.set_title(label)
for ax in axes[-1]:
    ax.set_xlabel("time point")
fig.savefig("judge_a_generator.png", dpi=110)
print("\nPicture: judge_a_generator.png")
