"""
Which digit was it, and whose voice?
====================================

Recordings of spoken digits at 8 kHz, as they come from the microphone. `GreedyInfoMaxEncoder`
learns from 600 of them without labels, one module after the other, by predicting what comes next; a
linear classifier on what each module gives then tells digits, and voices. The logarithm of the
spectrum, averaged over the recording, is the baseline. The recordings are those of
``fetch_spoken_digits.py``, which downloads them the first time. Writes ``spoken_digits.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from fetch_spoken_digits import fetch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vqssl import GreedyInfoMaxEncoder

length, n_train = 4096, 600

# %%
# The middle half second of each recording; short ones have zeros behind them.


def cut(X, sizes):
    rows = np.zeros((len(X), length), np.float32)
    for row, x, size in zip(rows, X[:, 0], sizes, strict=True):
        start = max(0, (size - length) // 2)
        x = x[start : min(size, start + length)]
        row[: len(x)] = x / 2**15
    return rows


digits = fetch()
chosen = np.random.default_rng(0).permutation(len(digits["X_train"]))[:n_train]
X = cut(digits["X_train"][chosen], digits["len_train"][chosen])
X_new = cut(digits["X_test"], digits["len_test"])

# %%
# A frame for every 128 points, sixteen milliseconds; each module predicts twelve of them ahead.
# `transform` gives the mean of a module's frames.

encoder = GreedyInfoMaxEncoder(
    compression=128, n_predictions=12, scaling="series", max_iter=150, random_state=0
).fit(X)
for module, nats in enumerate(encoder.mutual_information_):
    print(f"module {module}: at least {nats:.2f} nats about what comes next")


def spectrum(X):
    windows = np.lib.stride_tricks.sliding_window_view(X, 256, axis=1)[:, ::128]
    power = np.abs(np.fft.rfft(windows * np.hanning(256))) ** 2
    return np.log(power + 1e-6).mean(1)


n_modules = len(encoder.mutual_information_)
features = {"spectrum": (spectrum(X), spectrum(X_new))} | {
    f"module {module}": tuple(encoder.transform(part, layer=module) for part in (X, X_new))
    for module in range(n_modules)
}

# %%
# With so few recordings the lowest module tells the digit better than the spectrum does, and the
# voice less well. With all 2,700 and ``max_iter`` as it is by default the last one tells most.

labels = {"digit": "y", "voice": "speaker"}
accuracy = {what: [] for what in labels}
print("\n           digit  voice")
for name, (Z, Z_new) in features.items():
    for what, key in labels.items():
        ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-1, 5, 13)))
        ridge.fit(Z, digits[f"{key}_train"][chosen])
        accuracy[what].append(ridge.score(Z_new, digits[f"{key}_test"]))
    print(f"{name:9}  {accuracy['digit'][-1]:.3f}  {accuracy['voice'][-1]:.3f}")

fig, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
place = np.arange(len(features))
for i, (what, values) in enumerate(accuracy.items()):
    axis.bar(place + 0.4 * i - 0.2, values, width=0.38, label=what)
axis.set_xticks(place, features)
axis.set_ylabel(f"accuracy on {len(X_new)} recordings")
axis.set_ylim(0, 1)
axis.spines[["top", "right"]].set_visible(False)
fig.legend(ncols=2, frameon=False, loc="outside upper right")
fig.savefig("spoken_digits.png", dpi=120)
print("\nPicture: spoken_digits.png")
