"""
What do series without labels add to a few labels?
==================================================

GunPoint, recordings of a hand that draws a gun or points. A tokenizer learns from 100 of them
without their labels, then a plain classifier gets 2, 4, 8, 16 or 32 labelled ones of each class,
ten draws each. Beside it stand the same classifier and the nearest neighbour on raw series, which
cannot use the others, and principal axes, which can. Writes ``few_labels.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from aeon.datasets import load_gunpoint
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedShuffleSplit, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from vqssl import SSLVQTokenizer

# %%
# 100 recordings to learn from, 100 to judge by.

X, y = load_gunpoint()  # (200, 1, 150)
X, X_test, y, y_test = train_test_split(X, y, train_size=100, stratify=y, random_state=0)

tokenizer = SSLVQTokenizer(max_iter=300, random_state=0).fit(X)
pca = make_pipeline(PCA(8, random_state=0), StandardScaler()).fit(X[:, 0])
ways = {
    "codes of the tokenizer, SVC": (tokenizer.transform(X), tokenizer.transform(X_test), SVC()),
    "principal axes, SVC": (pca.transform(X[:, 0]), pca.transform(X_test[:, 0]), SVC()),
    "raw series, SVC": (X[:, 0], X_test[:, 0], SVC()),
    "raw series, 1-NN": (X[:, 0], X_test[:, 0], KNeighborsClassifier(1)),
}

# %%
# The same labelled series for every way. Means over ten draws, and their deviation.

counts = (2, 4, 8, 16, 32)
accuracies = {name: np.empty((len(counts), 10)) for name in ways}
for i, count in enumerate(counts):
    draws = StratifiedShuffleSplit(10, train_size=2 * count, random_state=0).split(X, y)
    for j, (few, _) in enumerate(draws):
        for name, (features, features_test, classifier) in ways.items():
            fitted = classifier.fit(features[few], y[few])
            accuracies[name][i, j] = fitted.score(features_test, y_test)

print(f"Accuracy on {len(X_test)} recordings, by labelled ones of each class")
print(f"{'':28}" + "".join(f"{count:>14}" for count in counts))
for name, values in accuracies.items():
    cells = (f"{row.mean():.3f} ({row.std():.3f})" for row in values)
    print(f"{name:28}" + "".join(f"{cell:>14}" for cell in cells))

# %%
# Bars are a deviation to both sides. With two labels of each class they overlap; from eight on the
# codes are ahead of the next best by more than a bar.

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for shift, (name, values) in zip((0.94, 0.98, 1.02, 1.06), accuracies.items(), strict=True):
    places = shift * np.array(counts)
    ax.errorbar(places, values.mean(1), values.std(1), marker="o", capsize=3, label=name)
ax.set_xscale("log", base=2)
ax.set_xticks(counts, [str(count) for count in counts])
ax.set_xlabel("labelled recordings of each class")
ax.set_ylabel("accuracy on other recordings")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="lower right")
fig.savefig("few_labels.png", dpi=120)
print("\nPicture: few_labels.png")
