"""Draw overview.png, the picture of the README: a series as codes, and series drawn by class.

python docs/images/make_overview.py
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from aeon.datasets import load_gunpoint
from matplotlib.collections import LineCollection
from sklearn.frozen import FrozenEstimator

from vqssl import MaskGITGenerator, SSLVQTokenizer

X, y = load_gunpoint(split="train")
X = X[:, 0]
tokenizer = SSLVQTokenizer(n_codes=32, difference_weight=0.5, random_state=0).fit(X)
generator = MaskGITGenerator(FrozenEstimator(tokenizer), random_state=0).fit(X, y)

figure, axes = plt.subplots(1, 4, figsize=(12, 2.9), layout="constrained", sharey=True)
left, back, *drawn = axes

series = X[:1]
codes, spans = tokenizer.encode(series)[0], tokenizer.token_spans_
numbers = {code: i for i, code in enumerate(np.unique(codes))}
colors = plt.get_cmap("viridis")(np.linspace(0, 0.95, len(numbers)))
points = np.stack([np.arange(X.shape[1]), series[0]], 1)
of_point = np.repeat([numbers[code] for code in codes], np.diff(spans, axis=1)[:, 0])
segments = np.stack([points[:-1], points[1:]], 1)
left.add_collection(LineCollection(segments, colors=colors[of_point[:-1]], linewidths=2.5))
low, high = X.min() - 1.1, X.max() + 0.3
for code, (start, stop) in zip(codes, spans, strict=True):
    left.axvspan(start - 0.5, stop - 0.5, ymax=0.09, color=colors[numbers[code]], lw=0)
left.set(
    title=f"{X.shape[1]} numbers become {len(codes)} codes",
    xlim=(0, X.shape[1] - 1),
    ylim=(low, high),
    xlabel="time point; each colour is a code",
)

back.plot(series[0], color="0.6", lw=4, label="series")
back.plot(tokenizer.decode(codes[None])[0], color="C1", lw=1.5, label="from its codes")
back.set(title="and come back", xlabel="time point")
back.legend(frameon=False, loc="lower center")

for axis, label, name in zip(drawn, ["1", "2"], ["gun", "point"], strict=True):
    axis.plot(X[y == label][:10].T, color="0.75", lw=1)
    new = generator.sample(10, y=label, random_state=0)
    axis.plot(new.T, color="C0", lw=1, alpha=0.8)
    axis.plot([], color="0.75", label="real")
    axis.plot([], color="C0", label="drawn")
    axis.set(title=f"New series of class {name!r}", xlabel="time point")
    axis.legend(frameon=False, loc="lower center", ncols=2)

for axis in axes:
    axis.spines[["top", "right"]].set_visible(False)
figure.savefig(Path(__file__).with_name("overview.png"), dpi=110)
