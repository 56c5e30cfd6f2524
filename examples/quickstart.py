"""
What does a tokenizer do for a classifier, and for a generator?
===============================================================

GunPoint: 50 training and 150 test recordings of a hand that draws a gun or points. A
tokenizer is fitted once, without labels, and reused by two classifiers; beside them stand
the nearest neighbour on raw series and the tokenizer without its self-supervised branch.
Then a masked prior learns which codes follow which in each class, and new series are drawn.
Writes ``quickstart.png``, series, reconstructions and their codes, and ``samples.png``, real
and synthetic series of each class.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from aeon.datasets import load_gunpoint
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from vqssl import MaskGITGenerator, SSLVQTokenizer, VQTokenizer

X_train, y_train = load_gunpoint(split="train")  # (50, 1, 150)
X_test, y_test = load_gunpoint(split="test")  # (150, 1, 150)
NAMES = {"1": "gun", "2": "point"}


def report(name, classifier, X=X_train, X_new=X_test):
    accuracy = classifier.fit(X, y_train).score(X_new, y_test)
    print(f"  {name:<38} {accuracy:.3f}")


# %%
# Both tokenizers are fitted on the training series alone, without their labels.

start = time.perf_counter()
ssl = SSLVQTokenizer(max_iter=300, random_state=0, verbose=1).fit(X_train)
plain = VQTokenizer(max_iter=200, random_state=0, verbose=1).fit(X_train)
print(f"Both tokenizers fitted in {time.perf_counter() - start:.0f} s.\n")

# %%
# What are the codes worth to a classifier?

print("Test accuracy (150 series, one evaluation per line)")
# FrozenEstimator: the pipeline uses the fitted tokenizer as it is, it is not fitted again.
report("SSLVQTokenizer + SVC", make_pipeline(FrozenEstimator(ssl), SVC()))
report("SSLVQTokenizer + 5-NN", make_pipeline(FrozenEstimator(ssl), KNeighborsClassifier()))
report("VQTokenizer + SVC", make_pipeline(FrozenEstimator(plain), SVC()))
report("VQTokenizer + 5-NN", make_pipeline(FrozenEstimator(plain), KNeighborsClassifier()))
nearest = KNeighborsClassifier(n_neighbors=1)
report("1-NN on raw series", nearest, X_train[:, 0], X_test[:, 0])

print("\nCodes of SSLVQTokenizer")
print(f"  {ssl.n_tokens_} tokens per series of {X_train.shape[2]} points")
print(f"  {len(ssl.codebook_)} codes, perplexity {ssl.perplexity_[0]:.1f}")
print(f"  share of the variation that survives them: {ssl.score(X_test):.3f} (test)")

# %%
# One column per class: three test series, what is left of them, and their codes.

classes = np.unique(y_train)
fig, axes = plt.subplots(
    6, len(classes), figsize=(9, 7), height_ratios=[4, 1] * 3, sharex=True, layout="constrained"
)
for column, label in enumerate(classes):
    series = X_test[y_test == label][:3]
    codes = ssl.encode(series)  # (3, n_tokens)
    decoded = ssl.decode(codes)  # (3, 1, 150)
    for row in range(3):
        curve, strip = axes[2 * row, column], axes[2 * row + 1, column]
        curve.plot(series[row, 0], color="0.6", linewidth=3, label="original")
        curve.plot(decoded[row, 0], color="tab:blue", linewidth=1.2, label="decoded from codes")
        strip.imshow(
            codes[row : row + 1],
            aspect="auto",
            cmap="turbo",
            vmin=0,
            vmax=len(ssl.codebook_) - 1,
            extent=(0, series.shape[2], 0, 1),
            interpolation="nearest",
        )
        strip.set_yticks([])
        curve.spines[["top", "right"]].set_visible(False)
        if column == 0:
            strip.set_ylabel("codes", rotation=0, ha="right", va="center")
    axes[0, column].set_title(f"class {label}: {NAMES[label]}")
    axes[-1, column].set_xlabel("time point")
handles, labels = axes[0, 0].get_legend_handles_labels()
fig.legend(handles, labels, frameon=False, loc="outside lower center", ncols=2)
fig.suptitle("GunPoint, test series: original, decoded, and the code of each token as a colour")
fig.savefig("quickstart.png", dpi=130)

# %%
# The same tokenizer, frozen again, under a generator: only the prior over the codes is fitted.

start = time.perf_counter()
generator = MaskGITGenerator(FrozenEstimator(ssl), max_iter=200, random_state=0, verbose=1)
generator.fit(X_train, y_train)
print(f"\nGenerator fitted in {time.perf_counter() - start:.0f} s.\n")
y_new = np.repeat(classes, 75)
X_new = generator.sample(len(y_new), y_new, random_state=0)  # (150, 1, 150)

print("Does a synthetic series look like its class? 1-NN on raw training series says so for")
print(f"  {nearest.score(X_new[:, 0], y_new):.3f} of {len(y_new)} synthetic series")
print(f"  {nearest.score(X_test[:, 0], y_test):.3f} of {len(y_test)} test series")

fig, axes = plt.subplots(
    2, len(classes), figsize=(9, 5), sharex=True, sharey=True, layout="constrained"
)
for column, label in enumerate(classes):
    real, synthetic = X_test[y_test == label], X_new[y_new == label]
    for row, (name, series, color) in enumerate(
        [("real (test)", real, "0.35"), ("synthetic", synthetic, "tab:blue")]
    ):
        ax = axes[row, column]
        ax.plot(series[:20, 0].T, color=color, linewidth=0.8, alpha=0.6)
        ax.plot(series[:, 0].mean(0), color="black", linewidth=1.8, label="mean of 75")
        ax.spines[["top", "right"]].set_visible(False)
        if column == 0:
            ax.set_ylabel(name)
    axes[0, column].set_title(f"class {label}: {NAMES[label]}")
    axes[-1, column].set_xlabel("time point")
axes[0, 0].legend(frameon=False, loc="upper right")
fig.suptitle("GunPoint: 20 series of each class, real and drawn from the prior")
fig.savefig("samples.png", dpi=130)
print("\nPictures: quickstart.png, samples.png")
