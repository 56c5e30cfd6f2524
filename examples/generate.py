"""
How do I draw new series of a class, and are they any good?
===========================================================

Control charts, six classes by formula: noise, cycles, trends and shifts. Two priors are
fitted on the codes of one tokenizer: MaskGIT, which reveals many codes at a step, and an
autoregressive one. New series are drawn by class and judged by a classifier that has only
seen real ones. Writes ``generate.png``.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import KNeighborsClassifier

from vqssl import AutoregressiveGenerator, MaskGITGenerator, VQTokenizer
from vqssl.datasets import make_control_charts

# %%
# A tokenizer first. What do its codes keep?

X, y = make_control_charts(600, random_state=0)
X_test, y_test = make_control_charts(600, random_state=1)
classes = np.unique(y)

tokenizer = VQTokenizer(n_codes=32, compression=4, max_iter=300, random_state=0).fit(X)
share = tokenizer.score(X_test)
print(f"{tokenizer.n_tokens_} tokens of {len(tokenizer.codebook_)} codes for {X.shape[1]} points;")
print(f"{share:.3f} of the variation survives them.\n")

# %%
# Then two priors on its codes.

judge = KNeighborsClassifier(n_neighbors=5).fit(X, y)
decoded = judge.score(tokenizer.decode(tokenizer.encode(X_test)), y_test)
print("Recognised by a classifier that was fitted on real series")
print(f"  real test series         {judge.score(X_test, y_test):.3f}")
print(f"  the same, from codes     {decoded:.3f}")

drawn = {}
for kind in (MaskGITGenerator, AutoregressiveGenerator):
    start = time.perf_counter()
    generator = kind(FrozenEstimator(tokenizer), max_iter=250, random_state=0).fit(X, y)
    seconds = time.perf_counter() - start
    drawn[kind] = generator.sample(len(y_test), y_test, random_state=0)
    nats = -generator.score(X_test, y_test) / generator.n_tokens_
    print(
        f"  {kind.__name__:<24} {judge.score(drawn[kind], y_test):.3f}"
        f"   {nats:.2f} nats per token on test series, {seconds:.0f} s"
    )
print(f"  (codes drawn blindly: {np.log(len(tokenizer.codebook_)):.2f} nats per token)")

# %%
# A column per class: real series above synthetic ones.

fig, axes = plt.subplots(
    2, len(classes), figsize=(13, 4.5), sharex=True, sharey=True, layout="constrained"
)
for column, label in enumerate(classes):
    for row, (name, series) in enumerate([("real", X_test), ("MaskGIT", drawn[MaskGITGenerator])]):
        axes[row, column].plot(series[y_test == label][:6].T, linewidth=0.9)
        axes[row, column].spines[["top", "right"]].set_visible(False)
        if column == 0:
            axes[row, column].set_ylabel(name)
    axes[0, column].set_title(label)
    axes[-1, column].set_xlabel("time point")
fig.savefig("generate.png", dpi=120)
print("\nPicture: generate.png")
