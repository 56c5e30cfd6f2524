"""Method `dtw`: dynamic time warping distances to the training series, without a window.

Their nearest neighbour is what aeon's ``KNeighborsTimeSeriesClassifier(distance="dtw")`` finds;
distances are computed once, and few labels and folds look into parts of them. Channels are
warped together.

Slow on long sets: one thread fills about 3e8 cells a second, and there are
``n_test * n_train * length**2`` of them (eight minutes for Wafer).
"""

import warnings
from typing import Any

import numpy as np

from probe_rows.aeon_parts import need
from probe_rows.method import Fitted, Method


def distances(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Distances between series of two sets, (n, m)."""
    module = need("distances")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's, of aeon's integers
        return module.dtw_pairwise_distance(X, Y)


def fit(X: np.ndarray, seed: int, parameters: dict[str, Any]) -> Fitted:
    return Fitted({"dtw": lambda series: distances(series, X)})


METHOD = Method(
    ("dtw",),
    fit,
    probe="nn",
    seeded=False,
    distances=True,
    prepare=lambda X: distances(X, X),
)
