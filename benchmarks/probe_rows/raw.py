"""Method `raw`: the series as they are given, all channels in one row.

1-NN on them is the Euclidean nearest neighbour that the literature starts from.
"""

from typing import Any

import numpy as np

from probe_rows.method import Fitted, Method


def flat(X: np.ndarray) -> np.ndarray:
    """Series as rows, (n, C, L) -> (n, C L)."""
    return X.reshape(len(X), -1)


def fit(X: np.ndarray, seed: int, parameters: dict[str, Any]) -> Fitted:
    return Fitted({"raw": flat})


METHOD = Method(("raw",), fit, probe="svc", seeded=False)
