"""
Do codes work for images, too?
==============================

Handwritten digits of 8 x 8 pixels, scikit-learn's own. Arrays of four axes, (n_samples,
n_channels, height, width), are images: a token stands for a square of 2 x 2 pixels. A classifier
is fitted on the codes, a prior over the codes draws new digits by class and fills in pixels that
are missing. Writes ``images.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from vqssl import MaskGITGenerator, VQTokenizer

# %%
# Images have four axes; one of them is the channel.

digits = load_digits()
X = digits.images[:, None]  # (n_samples, 1, 8, 8)
X_train, X_test, y_train, y_test = train_test_split(
    X, digits.target, stratify=digits.target, random_state=0
)

tokenizer = VQTokenizer(max_iter=300, random_state=0).fit(X_train)
codes = tokenizer.encode(X_test)
print(f"{codes.shape[1]} tokens in a grid of {tokenizer.token_shape_};")
print(f"{tokenizer.score(X_test):.3f} of the variation survives them.\n")

# %%
# Classes from codes, and digits from classes.

classifier = make_pipeline(FrozenEstimator(tokenizer), SVC(C=10)).fit(X_train, y_train)
print(f"SVC on features of the codes: {classifier.score(X_test, y_test):.3f} of test digits\n")

generator = MaskGITGenerator(FrozenEstimator(tokenizer), max_iter=250, random_state=0)
generator.fit(X_train, y_train)
y_drawn = np.tile(np.arange(10), 20)
drawn = generator.sample(len(y_drawn), y_drawn, random_state=0)
judge = SVC().fit(X_train.reshape(len(X_train), -1), y_train)
recognised = judge.score(drawn.reshape(len(drawn), -1), y_drawn)
print(f"An SVC on pixels of real digits recognises {recognised:.3f} of drawn ones,")
print(f"{judge.score(X_test.reshape(len(X_test), -1), y_test):.3f} of real test digits.")

# %%
# The right half of ten test digits is hidden, one of each class.

shown = np.array([np.flatnonzero(y_test == label)[0] for label in range(10)])
hidden = X_test[shown].copy()
hidden[..., 4:] = np.nan
filled = generator.impute(hidden, y=y_test[shown], random_state=0)

rows = {
    "real": X_test[shown],
    "from codes": tokenizer.decode(codes[shown]),
    "half hidden": hidden,
    "filled in": filled,
    "drawn": drawn[:10],
    "drawn ": drawn[10:20],
}
fig, axes = plt.subplots(len(rows), 10, figsize=(8, 5.4), layout="constrained")
for row, (name, images) in zip(axes, rows.items(), strict=True):
    for ax, image in zip(row, images[:, 0], strict=True):
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(name.strip(), rotation=0, ha="right", va="center")
fig.savefig("images.png", dpi=120)
print("\nWrote images.png")
