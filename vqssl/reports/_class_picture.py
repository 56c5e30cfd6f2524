"""Picture of the series themselves, class by class."""

from typing import Any

import numpy as np

from vqssl.reports._figures import Picture, draw
from vqssl.reports._findings import counted, short
from vqssl.reports._sets import Sets

# Classes, at most; and series, or images, of each.
_PANELS, _LINES, _IMAGES = 6, 12, 6


def class_picture(sets: Sets, seed: int) -> Picture:
    """Some training series of each class."""
    rng = np.random.default_rng(seed)
    X = sets.train.X
    has_classes = sets.train.y is not None
    y = np.zeros(len(X), int) if sets.train.y is None else sets.train.y
    labels, sizes = np.unique(y, return_counts=True)
    largest = labels[np.sort(np.argsort(-sizes, kind="stable")[:_PANELS])].tolist()
    n_shown = _LINES if sets.kind == "series" else _IMAGES
    rows = [np.sort(rng.permutation(np.flatnonzero(y == label))[:n_shown]) for label in largest]

    def make() -> Any:
        return _Classes(X, rows, [f"class {c}" if has_classes else "" for c in largest])

    n_lines = sum(map(len, rows))
    of_classes = f" of {len(largest)} of {counted(len(labels), 'class')}" if has_classes else ""
    channel = ", channel 0" if X.shape[1] > 1 and sets.kind == "series" else ""
    return draw(
        make,
        f"{n_lines} training {sets.kind}{of_classes}; values from {short(float(X.min()))} to "
        f"{short(float(X.max()))}.",
        f"Some of the training {sets.kind}{of_classes}{channel}.",
    )


class _Classes:
    """Panels of series, or rows of images; a class each."""

    def __init__(self, X: np.ndarray, rows: list[np.ndarray], titles: list[str]) -> None:
        import matplotlib.pyplot as plt

        if X.ndim == 4:
            self.figure_, axes = plt.subplots(
                len(rows),
                _IMAGES,
                figsize=(4.8, 0.9 * len(rows)),
                layout="constrained",
                squeeze=False,
            )
            for panels, some, title in zip(axes, rows, titles, strict=True):
                for panel in panels:
                    panel.set_axis_off()
                for panel, row in zip(panels, some, strict=False):
                    panel.imshow(X[row].mean(0), cmap="gray", vmin=X.min(), vmax=X.max())
                panels[0].set_title(title, loc="left", fontsize="small")
            return
        n_columns = min(2, len(rows))
        n_rows = -(-len(rows) // n_columns)
        self.figure_, axes = plt.subplots(
            n_rows, n_columns, figsize=(4.8, 0.5 + 1.4 * n_rows), layout="constrained",
            sharex=True, sharey=True, squeeze=False,
        )  # fmt: skip
        for panel, some, title in zip(axes.flat, rows, titles, strict=False):
            panel.plot(X[some, 0].T, color="C0", alpha=0.5, linewidth=0.8)
            panel.set_title(title, loc="left", fontsize="medium")
        for panel in axes.flat[len(rows) :]:
            panel.set_axis_off()
        for panel in axes.flat:
            panel.spines[["top", "right"]].set_visible(False)
        for panel in axes[-1]:
            panel.set_xlabel("time point")
        for panel in axes[:, 0]:
            panel.set_ylabel("value")
