"""
What does a code stand for?
===========================

GunPoint, recordings of a hand that draws a gun or points. A tokenizer with only twelve codes writes
each of them as a short sequence of integers. Where does a code occur, what does a series look like
there, and what does it say about the class? Writes ``what_a_code_means.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from aeon.datasets import load_gunpoint

from vqssl import VQTokenizer
from vqssl.metrics import mutual_information

X, y = load_gunpoint(split="train")  # (50, 1, 150)
X_test, y_test = load_gunpoint(split="test")  # (150, 1, 150)

tokenizer = VQTokenizer(n_codes=12, compression=8, max_iter=400, random_state=0).fit(X)
codes = tokenizer.encode(X_test)  # (150, n_tokens)
print(f"{tokenizer.n_tokens_} tokens of {tokenizer.code_sizes_[0]} codes for 150 time points;")
print(f"{tokenizer.score(X_test):.3f} of the variation survives them.\n")
print("First series of each class, as codes")
for label, name in (("1", "gun"), ("2", "point")):
    print(f"  {name:6}", *codes[y_test == label][0])

# %%
# A code is what its piece of a series looks like, after decoding: the level at least. And it is
# tied to places, since a hand does the same things in the same order.

spans = tokenizer.token_spans_  # (n_tokens, 2)
decoded = tokenizer.decode(codes)[:, 0]  # (150, 150)
usage = np.bincount(codes.ravel(), minlength=12)
levels = np.array([decoded[:, start:stop].mean(1) for start, stop in spans]).T  # (150, n_tokens)
print("\ncode   share   level of decoded pieces   where (10 to 90 percent, time points)")
for code in np.argsort(-usage):
    if usage[code] == 0:
        print(f"{code:4}    .000   not used")
        continue
    here = codes == code
    places = np.broadcast_to(spans.mean(1), codes.shape)[here]
    low, high = np.percentile(places, [10, 90])
    cells = f"{levels[here].mean():6.2f} +- {levels[here].std():.2f}"
    print(f"{code:4}   {usage[code] / usage.sum():5.3f}   {cells:24}  {low:.0f} to {high:.0f}")

# %%
# How much the code at each place says about the class, in nats; all there is to know is log 2.

nats = np.array([mutual_information(codes[:, token], y_test) for token in range(codes.shape[1])])
best = nats.argmax()
print(f"\nThe token that says most of the class, {nats[best]:.2f} of {np.log(2):.2f} nats,")
print(f"stands for the time points {spans[best, 0]} to {spans[best, 1] - 1}.")

# %%
# Above, where each code is used; in the middle, pieces of series with the six most frequent codes;
# below, what each place says of the class.

fig, axes = plt.subplots(3, 1, figsize=(9, 8), height_ratios=[1.4, 1, 0.8], layout="constrained")
order = np.argsort(tokenizer.codebook_ @ np.linalg.svd(tokenizer.codebook_)[2][0])
shares = np.array([(codes == code).mean(0) for code in order])  # (12, n_tokens)
image = axes[0].imshow(shares, aspect="auto", cmap="Blues", extent=(0, 150, 12, 0))
axes[0].set_yticks(np.arange(12) + 0.5, order)
axes[0].set_ylabel("code, like ones together")
fig.colorbar(image, ax=axes[0], label="share of series")
for position, code in enumerate(np.argsort(-usage)[:6]):
    for row, token in list(zip(*np.nonzero(codes == code), strict=True))[::7][:30]:
        start, stop = spans[token]
        piece = X_test[row, 0, start:stop]
        axes[1].plot(position + np.linspace(0.1, 0.9, len(piece)), piece, "C0", alpha=0.3)
axes[1].set_xticks(np.arange(6) + 0.5, [f"code {code}" for code in np.argsort(-usage)[:6]])
axes[1].set_ylabel("original series")
axes[2].bar(spans[:, 0], nats, width=np.diff(spans)[:, 0] - 1, align="edge")
axes[2].set(xlim=(0, 150), xlabel="time point", ylabel="nats about\nthe class")
for ax in axes[1:]:
    ax.spines[["top", "right"]].set_visible(False)
fig.savefig("what_a_code_means.png", dpi=120)
print("\nPicture: what_a_code_means.png")
