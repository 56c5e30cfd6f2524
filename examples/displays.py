"""
What have my models learned?
============================

Power demand of Italy, a day of 24 hours to a series, cold days and warm ones; and handwritten
digits. Each display of `vqssl.plots` draws one side of it: what codes keep, which codes there are
and where, what a prior draws, fills in and finds unusual, how training went. Writes a page of
them, ``displays.png``, and one of images, ``displays_images.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from aeon.datasets import load_italy_power_demand
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator

from vqssl import VAE, AnomalyDetector, MaskGITGenerator, VQTokenizer
from vqssl.plots import (
    AnomalyDisplay,
    CodebookDisplay,
    DecodingDisplay,
    GenerationDisplay,
    ImputationDisplay,
    LatentDisplay,
    ReconstructionDisplay,
    TokenDisplay,
    TrainingDisplay,
    TraversalDisplay,
)

# %%
# Four models of one data set, with few steps each.

X, y = load_italy_power_demand(split="train")  # (67, 1, 24)
X_new, y_new = load_italy_power_demand(split="test")  # (1029, 1, 24)
X_new, y_new = X_new[::4], y_new[::4]
y, y_new = (np.where(labels == "1", "cold", "warm") for labels in (y, y_new))

tokenizer = VQTokenizer(n_codes=32, max_iter=120, random_state=0).fit(X)
generator = MaskGITGenerator(FrozenEstimator(tokenizer), max_iter=120, random_state=0).fit(X, y)
prior = MaskGITGenerator(VQTokenizer(max_iter=120), max_iter=120)
detector = AnomalyDetector(prior, validation_fraction=0.3, random_state=0).fit(X[y == "cold"])
vae = VAE(latent_dim=6, max_iter=120, random_state=0).fit(X)

# %%
# Series drawn by class, and days with a gap of seven hours.

y_drawn = np.repeat(generator.classes_, 100)
drawn = generator.sample(len(y_drawn), y_drawn, random_state=0)
X_gaps = X_new.copy()
X_gaps[..., 8:15] = np.nan

# %%
# A display divides the place of the axes that it is given.

fig = plt.figure(figsize=(17, 27), layout="constrained")
places = fig.subplot_mosaic(
    [
        ["reconstruction", "tokens"],
        ["codebook", "codebook"],
        ["latent", "training"],
        ["decoding", "imputation"],
        ["generation", "traversal"],
        ["anomaly", "anomaly"],
    ],
    height_ratios=[1, 0.7, 1, 1, 1.1, 1.1],
)
few = {"n_samples": 2, "random_state": 0}
ReconstructionDisplay.from_estimator(tokenizer, X_new, **few, ax=places["reconstruction"])
TokenDisplay.from_estimator(tokenizer, X_new, **few, ax=places["tokens"])
CodebookDisplay.from_estimator(tokenizer, X, ax=places["codebook"])
LatentDisplay.from_estimator(
    *(tokenizer, X_new, y_new),
    X_synthetic=drawn,
    y_synthetic=y_drawn,
    n_samples=200,
    random_state=0,
    ax=places["latent"],
)
TrainingDisplay.from_estimator(tokenizer, ax=places["training"])
DecodingDisplay.from_estimator(generator, "cold", random_state=0, ax=places["decoding"])
ImputationDisplay.from_estimator(
    generator, X_gaps, X_true=X_new, n_draws=30, **few, ax=places["imputation"]
)
GenerationDisplay.from_predictions(
    X_new, drawn, y_new, y_drawn, random_state=0, ax=places["generation"]
)
TraversalDisplay.from_estimator(vae, X[:1], ax=places["traversal"])
AnomalyDisplay.from_estimator(detector, X_new, ax=places["anomaly"])
fig.savefig("displays.png", dpi=80)

# %%
# The same displays of images.

digits = load_digits()
images = digits.images[:, None]  # (1797, 1, 8, 8)
artist = MaskGITGenerator(VQTokenizer(max_iter=120), max_iter=120, random_state=0)
artist.fit(images, digits.target)
halves = images.copy()
halves[..., 4:] = np.nan  # the right half is missing

fig = plt.figure(figsize=(14, 12), layout="constrained")
places = fig.subplots(2, 2)
TokenDisplay.from_estimator(artist.tokenizer_, images, **few, ax=places[0, 0])
DecodingDisplay.from_estimator(artist, 3, random_state=0, ax=places[0, 1])
GenerationDisplay.from_estimator(
    artist, images, digits.target, n_samples=12, random_state=0, ax=places[1, 0]
)
ImputationDisplay.from_estimator(
    artist, halves, digits.target, X_true=images, n_samples=4, random_state=0, ax=places[1, 1]
)
fig.savefig("displays_images.png", dpi=80)
print("Pictures: displays.png, displays_images.png")
