"""Picture of the series themselves, class by class."""

from typing import Any

import numpy as np

from vqssl.reports._figures import WIDTH, Picture, draw
from vqssl.reports._findings import counted, short
from vqssl.reports._sets import Sets

# Classes, at most; and series, or images, of each.
_PANELS, _LINES, _IMAGES = 6, 12, 6


def class_picture(sets: Sets, seed: int) -> Picture:
    """Some training series of each class."""
    rng = np.random.default_rng(seed)
    X = sets.train.X
    y = np.full(len(X), "") if sets.train.y is None else sets.train.y
    labels, sizes = np.unique(y, return_counts=True)
    largest = labels[np.sort(np.argsort(-sizes, kind="stable")[:_PANELS])].tolist()
    n_shown = _LINES if sets.kind == "series" else _IMAGES
    rows = [np.sort(rng.permutation(np.flatnonzero(y == label))[:n_shown]) for label in largest]
    titles, of_classes = [""], ""
    if sets.train.y is not None:
        titles = [f"class {label}" for label in largest]
        some = f"{len(largest)} of " if len(largest) < len(labels) else ""
        of_classes = f" of {some}{counted(len(labels), 'class')}"
    make = _draw_series if sets.kind == "series" else _draw_images
    channel = ", channel 0" if X.shape[1] > 1 and sets.kind == "series" else ""
    return draw(
        lambda: make(X, rows, titles),
        f"{sum(map(len, rows))} training {sets.kind}{of_classes}; values from "
        f"{short(float(X.min()))} to {short(float(X.max()))}.",
        f"Some of the training {sets.kind}{of_classes}{channel}.",
    )


def _draw_series(X: np.ndarray, rows: list[np.ndarray], titles: list[str]) -> Any:
    """Draw a panel of series for each class; return the figure."""
    import matplotlib.pyplot as plt

    n_columns = min(2, len(rows))
    n_rows = -(-len(rows) // n_columns)
    size = (WIDTH, 0.5 + 1.4 * n_rows)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=size, layout="constrained", sharex=True, sharey=True,
        squeeze=False,
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
    return figure


def _draw_images(X: np.ndarray, rows: list[np.ndarray], titles: list[str]) -> Any:
    """Draw a row of images for each class; return the figure."""
    import matplotlib.pyplot as plt

    size = (WIDTH, 0.9 * len(rows))
    figure, axes = plt.subplots(
        len(rows), _IMAGES, figsize=size, layout="constrained", squeeze=False
    )
    for panels, some, title in zip(axes, rows, titles, strict=True):
        for panel in panels:
            panel.set_axis_off()
        for panel, row in zip(panels, some, strict=False):
            panel.imshow(X[row].mean(0), cmap="gray", vmin=X.min(), vmax=X.max())
        panels[0].set_title(title, loc="left", fontsize="small")
    return figure
