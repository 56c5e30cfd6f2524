"""One-class splits: one class of the training set is normal, the others are to be found."""

import time

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from vqssl import AnomalyDetector

# Fewer normal series are no set to learn from.
FEWEST = 10


def anomaly_figures(X_train, y_train, X_test, y_test, seed):
    """Areas under the curve on test series, the largest class of the training set normal."""
    labels, counts = np.unique(y_train, return_counts=True)
    normal = labels[np.argmax(counts)]
    X, is_anomaly = X_train[y_train == normal], y_test != normal
    if len(X) < FEWEST:
        return None
    flat, flat_test = X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)
    start = time.process_time()
    detector = AnomalyDetector(random_state=seed).fit(X)
    seconds = time.process_time() - start
    forest = IsolationForest(random_state=seed).fit(flat)
    nearest = NearestNeighbors(n_neighbors=1).fit(flat)
    scores = {
        "auc": -detector.score_samples(X_test),
        "auc_forest": -forest.score_samples(flat_test),
        "auc_neighbour": nearest.kneighbors(flat_test)[0][:, 0],
    }
    found = {name: float(roc_auc_score(is_anomaly, score)) for name, score in scores.items()}
    return {**found, "n_normal": len(X), "seconds": seconds}
