"""
How do I fill gaps in series, and go on with them?
==================================================

Power demand of Italy, a day of 24 hours to a series: 67 days to learn from, 258 to fill. A
masked prior that was trained to draw new days fills gaps as it is: the codes that a gap
hides are drawn given the others. Seven hours in a row are taken out of every new day, then
the last eight; errors are compared with linear interpolation and with the mean day. Writes
``impute.png``.
"""

import matplotlib.pyplot as plt
import numpy as np
from aeon.datasets import load_italy_power_demand

from vqssl import MaskGITGenerator, VQTokenizer

X, _ = load_italy_power_demand(split="train")  # (67, 1, 24)
X_new, _ = load_italy_power_demand(split="test")  # (1029, 1, 24)
X, X_new = X[:, 0], X_new[::4, 0]
n_days, n_hours = X_new.shape
hours = np.arange(n_hours)

# %%
# The prior is fitted on whole days; it has never seen a gap.

generator = MaskGITGenerator(VQTokenizer(max_iter=400), max_iter=500, random_state=0).fit(X)

# %%
# A gap of seven hours in each new day.

starts = np.random.default_rng(0).integers(0, n_hours - 7, (n_days, 1))
gaps = (hours >= starts) & (hours < starts + 7)
X_gaps = np.where(gaps, np.nan, X_new)

# One answer is a day that could have been. Many of them say what is likely, and how sure.
draws = generator.impute(X_gaps, n_draws=10, random_state=0)  # (10, 258, 24)
linear = X_gaps.copy()
for day, gap in zip(linear, gaps, strict=True):
    day[gap] = np.interp(hours[gap], hours[~gap], day[~gap])


def error(filled, where):
    return np.sqrt(np.square(filled - X_new)[where].mean())


print("Root mean squared error in the gap (a day has deviation 1)")
print(f"  one answer                   {error(draws[0], gaps):.2f}")
print(f"  mean of ten answers          {error(draws.mean(0), gaps):.2f}")
print(f"  linear interpolation         {error(linear, gaps):.2f}")
print(f"  mean of the training days    {error(np.broadcast_to(X.mean(0), X_new.shape), gaps):.2f}")

# %%
# The last eight hours of each day, given the first sixteen.

evenings = np.broadcast_to(hours >= 16, X_new.shape)
completed = generator.complete(X_new[:, :16], horizon=8, n_draws=10, random_state=0)
last = np.where(evenings, X_new[:, 15:16], X_new)
print("Root mean squared error of the last eight hours")
print(f"  one answer                   {error(completed[0], evenings):.2f}")
print(f"  mean of ten answers          {error(completed.mean(0), evenings):.2f}")
print(f"  the last hour seen           {error(last, evenings):.2f}")
mean_day = np.broadcast_to(X.mean(0), X_new.shape)
print(f"  mean of the training days    {error(mean_day, evenings):.2f}")

# %%
# Ten answers each, for four days. Where they differ, the gap is open.

fig, axes = plt.subplots(2, 4, figsize=(12, 5), sharex=True, sharey=True, layout="constrained")
for row, (name, answers, hidden) in enumerate(
    [("gap of seven hours", draws, gaps), ("last eight hours", completed, evenings)]
):
    for axis, day in zip(axes[row], (0, 75, 150, 225), strict=True):
        for answer in answers[:, day]:
            axis.plot(hours, answer, color="tab:orange", alpha=0.4, linewidth=0.9)
        axis.plot(hours, X_new[day], color="0.6", linewidth=1.2, linestyle="--", label="true")
        seen = np.where(hidden[day], np.nan, X_new[day])
        axis.plot(hours, seen, color="black", linewidth=1.6, label="observed")
        axis.spines[["top", "right"]].set_visible(False)
    axes[row, 0].set_ylabel(name)
for axis in axes[-1]:
    axis.set_xlabel("hour")
axes[0, 0].plot([], [], color="tab:orange", label="ten answers")
axes[0, 0].legend(frameon=False, fontsize=8)
fig.savefig("impute.png", dpi=120)
print("\nPicture: impute.png")
