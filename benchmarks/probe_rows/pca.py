"""Method `pca`: as many principal components as hold 95 percent of the variance."""

from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from probe_rows.method import Fitted, Method
from probe_rows.raw import flat

VARIANCE = 0.95


def fit(X: np.ndarray, seed: int, parameters: dict[str, Any]) -> Fitted:
    pca = PCA(VARIANCE, svd_solver="full").fit(flat(X))
    return Fitted({"pca": lambda series: pca.transform(flat(series))})


METHOD = Method(("pca",), fit, probe="svc", seeded=False)
