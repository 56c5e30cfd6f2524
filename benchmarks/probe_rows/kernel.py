"""Squared distances between rows, from which 1-NN and every RBF kernel follow."""

import numpy as np
from sklearn.metrics.pairwise import euclidean_distances


def squared_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (n, m) in float64."""
    return euclidean_distances(rows, others, squared=True)


def scale_gamma(rows: np.ndarray) -> float:
    """What ``gamma="scale"`` of `sklearn.svm.SVC` is for training rows (n, F)."""
    variance = rows.var()
    return 1.0 / (rows.shape[1] * variance) if variance > 0 else 1.0
