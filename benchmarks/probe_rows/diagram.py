"""The critical-difference diagram: average ranks, with bars over what is not different."""

from pathlib import Path

import numpy as np

from probe_rows.comparison import LEVEL, Ranking


def draw(ranking: Ranking, path: Path, title: str) -> None:
    """Write the diagram as an image. Needs matplotlib."""
    from matplotlib.figure import Figure

    k = len(ranking.names)
    n_left = (k + 1) // 2
    cliques = ranking.cliques()
    low, high = int(np.floor(ranking.ranks.min())), int(np.ceil(ranking.ranks.max()))
    high = max(high, low + 1)
    first_label = 0.4 + 0.25 * len(cliques) + 0.3  # below the bars
    depth = first_label + 0.4 * n_left

    figure = Figure(figsize=(10, 1.2 + 0.55 * depth), layout="constrained")
    axes = figure.add_subplot()
    margin = 0.75 * (high - low)  # for the names
    axes.set(xlim=(low - margin, high + margin), ylim=(depth, -1.6))
    axes.axis("off")
    axes.set_title(title, fontsize=10)

    axes.plot([low, high], [0, 0], "k", lw=1)
    for value in range(low, high + 1):
        axes.plot([value, value], [0, -0.15], "k", lw=1)
        axes.text(value, -0.25, str(value), ha="center", va="bottom", fontsize=9)
    width = ranking.critical_difference
    axes.plot([low, low + width], [-1.1, -1.1], "k", lw=2)
    axes.text(
        low, -1.2, f"critical difference {width:.2f} (level {LEVEL})", va="bottom", fontsize=9
    )

    for i, (name, value) in enumerate(zip(ranking.names, ranking.ranks, strict=True)):
        is_left = i < n_left
        height = first_label + 0.4 * (i if is_left else k - 1 - i)
        edge = low - 0.05 * margin if is_left else high + 0.05 * margin
        axes.plot([value, value, edge], [0, height, height], "k", lw=0.7)
        # Names come after their rank, so that the eye finds the figure at the line.
        text = f"{name}  {value:.2f}" if is_left else f"{value:.2f}  {name}"
        place = edge - 0.02 * margin if is_left else edge + 0.02 * margin
        axes.text(place, height, text, ha="right" if is_left else "left", va="center", fontsize=9)
    for i, (first, last) in enumerate(cliques):
        height = 0.35 + 0.25 * i
        ends = [ranking.ranks[first] - 0.01 * margin, ranking.ranks[last] + 0.01 * margin]
        axes.plot(ends, [height, height], "k", lw=4, solid_capstyle="butt")
    figure.savefig(path, dpi=150)
