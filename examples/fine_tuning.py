"""
Should I train the encoder on with my labels?
=============================================

Power demand of Italy, a day of 24 hours to a series; half of the year is told from the other. 500
days come without labels, and 4 to 64 labelled ones of each half. A tokenizer that learned from all
of them is left as it is, under an SVC, or trained on with the labels (`TokenizerClassifier`); a
network that starts from nothing (`FCNClassifier`) stands beside. Writes ``fine_tuning.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from aeon.datasets import load_italy_power_demand
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from vqssl import FCNClassifier, SSLVQTokenizer, TokenizerClassifier

X, y = load_italy_power_demand()  # (1096, 1, 24)
X, X_test, y, y_test = train_test_split(X, y, train_size=500, stratify=y, random_state=0)

tokenizer = SSLVQTokenizer(n_codes=64, max_iter=200, random_state=0).fit(X)  # without y

# %%
# Four draws of labelled days, a seed each. The tokenizer is the same throughout.

frozen = FrozenEstimator(tokenizer)
ways = {
    "tokenizer as it is, SVC": make_pipeline(frozen, SVC()),
    "tokenizer, trained on": TokenizerClassifier(frozen, max_iter=80),
    "network from nothing": FCNClassifier((32, 64, 32), max_iter=80),
}
counts = (4, 16, 64)
accuracies = {name: np.empty((len(counts), 4)) for name in ways}
for i, count in enumerate(counts):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        few = [rng.choice(np.flatnonzero(y == k), count, replace=False) for k in np.unique(y)]
        few = np.concatenate(few)
        for name, classifier in ways.items():
            if "random_state" in classifier.get_params():
                classifier.set_params(random_state=seed)
            accuracies[name][i, seed] = classifier.fit(X[few], y[few]).score(X_test, y_test)

print(f"Accuracy on {len(X_test)} days, by labelled days of each half of the year")
print(f"{'':26}" + "".join(f"{count:>15}" for count in counts))
for name, values in accuracies.items():
    cells = (f"{row.mean():.3f} +- {row.std():.3f}" for row in values)
    print(f"{name:26}" + "".join(f"{cell:>15}" for cell in cells))

# %%
# A point for each draw. With the fewest labels training on is best in the mean; with more of them
# the three ways differ by less than draws do.

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for shift, (name, values) in zip((-0.1, 0, 0.1), accuracies.items(), strict=True):
    places = np.arange(len(counts)) + shift
    line = ax.plot(places, values.mean(1), label=name)[0]
    ax.plot(places, values, "o", color=line.get_color(), alpha=0.6)
ax.set_xticks(range(len(counts)), [str(count) for count in counts])
ax.set_xlabel("labelled days of each half of the year")
ax.set_ylabel("accuracy on other days")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="lower right")
fig.savefig("fine_tuning.png", dpi=120)
print("\nPicture: fine_tuning.png")
