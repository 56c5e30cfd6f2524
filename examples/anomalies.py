"""
Which series are unlike the others, and where?
==============================================

Power demand of Italy, a day of 24 hours to a series. A detector learns the days of the colder
half of the year, without being told of others, and is asked which of 1,029 new days are unlike
them: those of the warmer half. Isolation forest and the nearest neighbour on raw series are
asked, too. Then demand at noon of a cold day falls to that of its night for three hours, and the
map of surprise says when. Writes ``anomalies.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from aeon.datasets import load_italy_power_demand
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from vqssl import AnomalyDetector, MaskGITGenerator, VQTokenizer

# %%
# The days. The detector sees 34 of them, all cold.

X, y = load_italy_power_demand(split="train")  # (67, 1, 24)
X_new, y_new = load_italy_power_demand(split="test")  # (1029, 1, 24)
cold, X_new = X[y == "1"][:, 0], X_new[:, 0]
is_warm = y_new == "2"

# %%
# A tokenizer and a prior are fitted inside. The two others see the same days.

# Days that are held out say how unusual a new cold day may be.
generator = MaskGITGenerator(VQTokenizer(max_iter=400), max_iter=500)
detector = AnomalyDetector(generator, validation_fraction=0.3, random_state=0).fit(cold)
scores = detector.score_samples(X_new)
forest = IsolationForest(random_state=0).fit(cold).score_samples(X_new)
distance = NearestNeighbors(n_neighbors=1).fit(cold).kneighbors(X_new)[0][:, 0]

print(f"Warm days among {len(X_new)} new ones, by what {len(cold)} cold days are like")
print("  area under the curve")
print(f"    AnomalyDetector            {roc_auc_score(is_warm, -scores):.3f}")
print(f"    nearest neighbour          {roc_auc_score(is_warm, distance):.3f}")
print(f"    isolation forest           {roc_auc_score(is_warm, -forest):.3f}")
flagged = detector.predict(X_new) == -1
print(f"  taken for anomalies: {flagged[is_warm].mean():.2f} of the warm days,")
print(f"  {flagged[~is_warm].mean():.2f} of the new cold ones (asked for: .10)")

# %%
# One cold day with an outage. What does every token say of it?

# An outage, and when it is noticed.
day = X_new[~is_warm][5]
changed = day.copy()
changed[11:14] = day[1:4]
surprise = -detector.generator_.score_tokens(np.stack([day, changed]))  # (2, n_tokens)
spans = detector.generator_.tokenizer_.token_spans_

# %%
# Left, how unusual new days are; right, the day with the outage, and the time points that
# surprise the prior more than before.

fig, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
bins = np.linspace(*np.percentile(scores, [1, 100]), 40)
axes[0].hist(scores[~is_warm], bins, alpha=0.6, label="cold days")
axes[0].hist(scores[is_warm], bins, alpha=0.6, label="warm days")
axes[0].axvline(detector.offset_, color="black", linewidth=1, label="threshold")
axes[0].set_xlabel("score_samples (nats)")
axes[0].set_ylabel("new days")
axes[1].plot(day, color="0.6", linestyle="--", label="as it was")
axes[1].plot(changed, color="black", label="with an outage")
axes[1].set_xlabel("hour")
twin = axes[1].twinx()
middles = spans.mean(1) - 0.5
twin.bar(middles, surprise[1] - surprise[0], width=1.6, color="tab:red", alpha=0.35)
twin.set_ylabel("more surprising by (nats)", color="tab:red")
for axis in axes:
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
fig.savefig("anomalies.png", dpi=120)
print("\nPicture: anomalies.png")
