"""Do rows fall into the classes without labels: k-means against the classes."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.preprocessing import StandardScaler


def judge(
    rows: np.ndarray,
    y: np.ndarray,
    judged: np.ndarray | None,
    y_judged: np.ndarray | None,
    seed: int,
    standardise: bool,
) -> dict[str, float | None]:
    """Agreement of clusters and classes: adjusted Rand index, normalised mutual information.

    As many clusters as classes, the best of ten starts, found on training rows (n, F).
    ``ari`` and ``nmi`` are over test rows, each in the cluster of its nearest centre, and None
    where there are none; ``ari_train`` and ``nmi_train`` over the rows themselves.
    """
    rows = rows.astype(np.float64)
    scaler = StandardScaler(with_mean=standardise, with_std=standardise).fit(rows)
    k_means = KMeans(len(np.unique(y)), n_init=10, random_state=seed).fit(scaler.transform(rows))
    found: dict[str, float | None] = {
        "ari": None,
        "nmi": None,
        "ari_train": float(adjusted_rand_score(y, k_means.labels_)),
        "nmi_train": float(normalized_mutual_info_score(y, k_means.labels_)),
    }
    if judged is not None:
        clusters = k_means.predict(scaler.transform(judged.astype(np.float64)))
        found["ari"] = float(adjusted_rand_score(y_judged, clusters))
        found["nmi"] = float(normalized_mutual_info_score(y_judged, clusters))
    return found
