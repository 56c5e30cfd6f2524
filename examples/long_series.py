"""
Where is one long series unlike itself?
=======================================

7,501 points of arterial blood pressure, the first 1,200 of them known to be normal (aeon's
KDD-TSAD_135). The series is cut into windows that overlap; a detector learns from those of the
normal part and is asked about the others. Twelve points are labelled as anomalous. Are they where
it is most surprised? Writes ``long_series.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from aeon.datasets import load_kdd_tsad_135
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

from vqssl import AnomalyDetector, MaskGITGenerator, VQTokenizer, sliding_windows

x, is_anomaly = load_kdd_tsad_135(split="test")  # (7501,), the first 1,200 are for training
n_normal = len(load_kdd_tsad_135(split="train")[0])

# %%
# A beat takes about 180 points, a window holds most of one. Training and new windows are cut from
# parts that share no point.

length = 128
windows = sliding_windows(x[:n_normal], length, step=4)
rest = x[n_normal:]
step = 8
new_windows = sliding_windows(rest, length, step)
print(f"{len(windows)} windows to learn from, {len(new_windows)} new ones")

tokenizer = VQTokenizer(n_codes=32, compression=8, max_iter=250)
generator = MaskGITGenerator(tokenizer, max_iter=250)
detector = AnomalyDetector(generator, random_state=0).fit(windows)

# %%
# A point is as unusual as the windows that hold it, in the mean. Two others see the same windows.


def by_point(scores):
    """Mean score of windows that hold a point, (n_windows,) -> (n_timepoints,); NaN at the ends."""
    total, count = np.zeros(len(rest)), np.zeros(len(rest))
    for i, score in enumerate(scores):
        total[i * step : i * step + length] += score
        count[i * step : i * step + length] += 1
    return np.where(count == length // step, total / np.maximum(count, 1), np.nan)


neighbours = NearestNeighbors(n_neighbors=1).fit(windows)
forest = IsolationForest(random_state=0).fit(windows)
unusual = {
    "AnomalyDetector": -detector.score_samples(new_windows),
    "nearest neighbour": neighbours.kneighbors(new_windows)[0][:, 0],
    "isolation forest": -forest.score_samples(new_windows),
}
start, stop = np.flatnonzero(is_anomaly)[[0, -1]] + [0, 1]
print(f"Labelled as anomalous: time points {start} to {stop - 1}")
for name, scores in unusual.items():
    unusual[name] = by_point(scores)
    peak = n_normal + np.nanargmax(unusual[name])
    print(f"  {name:18} most unusual at {peak}, {'there' if is_anomaly[peak] else 'elsewhere'}")

# %%
# The whole series, and the place in question. Curves are scaled to their range.

near = slice(start - 500, stop + 500)
fig, axes = plt.subplots(
    *(1 + len(unusual), 2),
    figsize=(12, 6),
    sharex="col",
    width_ratios=[2, 1],
    layout="constrained",
)
time = np.arange(len(x))
for column, shown in enumerate((slice(n_normal, None), near)):
    axes[0, column].plot(time[shown], x[shown], color="black", linewidth=0.7)
    for ax, (name, scores) in zip(axes[1:, column], unusual.items(), strict=True):
        scaled = (scores - np.nanmin(scores)) / (np.nanmax(scores) - np.nanmin(scores))
        ax.plot(time[n_normal:], scaled, linewidth=0.9)
        ax.set_xlim(time[shown][0], time[shown][-1])
        ax.set_title(name, fontsize=9, loc="left")
    for ax in axes[:, column]:
        ax.axvspan(start, stop, color="tab:red", alpha=0.35, linewidth=0)
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1, column].set_xlabel("time point")
axes[0, 0].set_ylabel("pressure")
fig.savefig("long_series.png", dpi=120)
print("\nPicture: long_series.png")
