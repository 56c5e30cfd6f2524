"""
What if series have unequal lengths?
====================================

Japanese vowels, nine speakers, twelve channels, 7 to 29 time points. Estimators take arrays of one
length, so series are padded, or stretched. Padding is told from speech by the lengths: features may
leave out tokens that stand for padding alone. Which way is best? Writes ``unequal_lengths.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from aeon.datasets import load_japanese_vowels
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from vqssl import SSLVQTokenizer, pad_series

series, y = load_japanese_vowels(split="train")  # 270 arrays (12, length)
series_test, y_test = load_japanese_vowels(split="test")  # 370

# %%
# Padding is zeros. With the mean of every channel taken off first, zero means "average". Both
# sets are padded together, to the longest of all.

mean = np.concatenate(series, axis=1).mean(1, keepdims=True)  # (12, 1)
padded, lengths = pad_series([x - mean for x in [*series, *series_test]])
n = len(series)
longest = padded.shape[2]
print(f"{n} and {len(series_test)} series of {lengths.min()} to {longest} points; in the mean")
print(f"{longest - lengths.mean():.0f} of {longest} points are padding.\n")


def stretch(x):
    """A series at as many points as the longest has, by linear interpolation."""
    places = np.linspace(0, x.shape[1] - 1, longest)
    return np.stack([np.interp(places, np.arange(x.shape[1]), channel) for channel in x])


stretched = np.stack([stretch(x - mean) for x in [*series, *series_test]]).astype(np.float32)

# %%
# The tokenizers learn from training series. Of tokens of speech, those that stand for at least one
# time point of the series, the mean vector is taken. On this set stretching is better than padding,
# of raw series as of codes, and raw series are better than codes.

tokenizer = SSLVQTokenizer(n_codes=64, compression=2, max_iter=250, random_state=0)
of_padded = tokenizer.fit(padded[:n]).transform(padded)
vectors = tokenizer.embed(padded)  # (640, n_tokens, code_dim)
is_speech = tokenizer.token_spans_[:, 0] < lengths[:, None]  # (640, n_tokens)
of_speech = (vectors * is_speech[..., None]).sum(1) / is_speech.sum(1, keepdims=True)
codes = tokenizer.encode(padded)
of_stretched = tokenizer.fit(stretched[:n]).transform(stretched)

ways = {
    "codes, padded": of_padded,
    "codes, padded, tokens of speech only": of_speech,
    "codes, stretched": of_stretched,
    "raw, padded": padded.reshape(len(padded), -1),
    "raw, stretched": stretched.reshape(len(padded), -1),
}
print(f"Accuracy of an SVC on {len(series_test)} test series")
for name, features in ways.items():
    classifier = make_pipeline(StandardScaler(), SVC(C=10)).fit(features[:n], y)
    print(f"  {name:38} {classifier.score(features[n:], y_test):.3f}")

# %%
# A series of each speaker: the codes of tokens of speech, and, pale, those of padding.

fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
rows = n + np.array([np.flatnonzero(y_test == label)[0] for label in np.unique(y_test)])
ax.imshow(codes[rows], cmap="Spectral", alpha=np.where(is_speech[rows], 1.0, 0.2), aspect="auto")
for (row, token), code in np.ndenumerate(codes[rows]):
    ax.text(token, row, code, ha="center", va="center", fontsize=7)
ax.set_yticks(range(len(rows)), np.unique(y_test))
ax.set_xlabel("token")
ax.set_ylabel("speaker")
fig.savefig("unequal_lengths.png", dpi=120)
print("\nPicture: unequal_lengths.png")
