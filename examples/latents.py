"""
What do the dimensions of a latent stand for?
=============================================

Series made from six known factors: frequency, phase, amplitude, trend, position of an event, and
noise. A variational autoencoder gives each series ten numbers without knowing the factors; then
every number is moved by itself, and scores say whether each stands for one factor (they need the
factors, which is why the series are made by formula). PCA is the baseline. Writes
``latents.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from vqssl import VAE
from vqssl.datasets import make_factor_series
from vqssl.metrics import dci, mutual_information_gap, total_correlation

# %%
# Series for training, and new ones.

X, factors = make_factor_series(2000, random_state=0)
X_new, factors_new = make_factor_series(1000, random_state=1)

vae = VAE(latent_dim=10, max_iter=500, batch_size=64, random_state=0).fit(X)
pca = PCA(10, random_state=0).fit(X)
print(f"log p(x) of a new series, at least  {vae.score(X_new):.1f} nats")
print(f"  by 50 draws of 300 series         {vae.log_likelihood(X_new[:300], 50).mean():.1f} nats")
print(f"dimensions in use                   {vae.active_units_} of 10")

# %%
# The scores, each higher where the latents are better but the last: nats that dimensions share.
# Those of the VAE are not above those of PCA: it gives series back, and draws them, not factors.

print("\n                  gap  disentangled  complete  informative  total correlation")
for name, model in (("VAE", vae), ("PCA", pca)):
    Z = model.transform(X_new)
    gap = mutual_information_gap(Z, factors_new)
    scores = dci(Z, factors_new, random_state=0)
    cells = f"{gap:.2f} {scores[0]:13.2f} {scores[1]:9.2f} {scores[2]:12.2f}"
    print(f"{name:15} {cells} {total_correlation(Z):18.2f}")

# %%
# The dimensions that the encoder says most in, each moved from two deviations below to above.

busiest = np.argsort(vae.kl_per_dimension_)[::-1][:6]
grid = vae.traverse(X_new[:1], n_steps=7, span=2.0)[0]  # (10, 7, 128)
fig, axes = plt.subplots(2, 3, figsize=(11, 5), sharex=True, sharey=True, layout="constrained")
for axis, dim in zip(axes.flat, busiest, strict=True):
    for step, series in enumerate(grid[dim]):
        axis.plot(series, color=plt.get_cmap("coolwarm")(step / 6), linewidth=1)
    axis.set_title(f"dimension {dim}: {vae.kl_per_dimension_[dim]:.1f} nats", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
for axis in axes[-1]:
    axis.set_xlabel("time point")
fig.suptitle("One series, one dimension of its latent moved at a time", fontsize=10)
fig.savefig("latents.png", dpi=120)
print("\nPicture: latents.png")
