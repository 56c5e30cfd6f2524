"""
Does a larger beta disentangle?
===============================

Series made from six known factors. Variational autoencoders with beta 1, 4 and 16, two seeds each,
and two linear methods give each series a few numbers; three scores ask whether each number stands
for one factor, and the error of reconstruction what that costs. Writes ``disentanglement.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA, FastICA

from vqssl import VAE
from vqssl.datasets import FACTOR_VALUES, make_factor_series
from vqssl.metrics import dci, mutual_information_gap, sap_score

X, factors = make_factor_series(1500, length=64, random_state=0)
X_new, factors_new = make_factor_series(1500, length=64, random_state=1)

# %%
# Eight numbers each. All scores lie between 0 and 1; 1 is one number for each factor.

methods = {f"VAE, beta {beta}": VAE(8, beta=beta, max_iter=500) for beta in (1, 4, 16)}
methods |= {"PCA": PCA(8), "FastICA": FastICA(8, max_iter=1000)}

found, latents = {}, {}
for name, method in methods.items():
    runs = []
    for seed in range(2):
        Z = method.set_params(random_state=seed).fit(X).transform(X_new)
        latents.setdefault(name, Z)
        error = np.square(method.inverse_transform(Z) - X_new).mean()
        gap, sap = mutual_information_gap(Z, factors_new), sap_score(Z, factors_new)
        kept = 1 - error / X_new.var(0).mean()
        runs.append([gap, sap, dci(Z, factors_new, random_state=0)[0], kept])
    found[name] = np.array(runs)  # (seeds, measures)

print(f"{'':14}" + "".join(f"{m:>15}" for m in ("gap", "SAP", "disentangled", "variation kept")))
for name, runs in found.items():
    cells = (
        f"{mean:.3f} ({spread:.3f})"
        for mean, spread in zip(runs.mean(0), np.ptp(runs, 0), strict=True)
    )
    print(f"{name:14}" + "".join(f"{cell:>15}" for cell in cells))
print("Means of two seeds; in brackets, how far apart they are.")

# %%
# How much each number says of each factor: the correlation ratio, the share of a number's variance
# that lies between the levels of a factor.


def correlation_ratios(Z, factors):
    def between(levels):
        means = {level: Z[levels == level].mean(0) for level in np.unique(levels)}
        return np.var([means[level] for level in levels], axis=0) / Z.var(0)

    return np.array([between(levels) for levels in factors.T])  # (factors, numbers)


fig, axes = plt.subplots(1, len(latents), figsize=(14, 3.2), sharey=True, layout="constrained")
for ax, (name, Z) in zip(axes, latents.items(), strict=True):
    image = ax.imshow(correlation_ratios(Z, factors_new), vmin=0, vmax=1, cmap="Blues")
    ax.set(title=name, xlabel="number", xticks=range(8))
axes[0].set_yticks(range(6), FACTOR_VALUES)
fig.colorbar(image, ax=axes, label="correlation ratio", shrink=0.9)
fig.savefig("disentanglement.png", dpi=120)
print("\nPicture: disentanglement.png")
