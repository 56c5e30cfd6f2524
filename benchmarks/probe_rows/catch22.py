"""Method `catch22`: 22 canonical statistics of each channel (Lubba et al. 2019), from aeon."""

from typing import Any

import numpy as np

from probe_rows.aeon_parts import need
from probe_rows.method import Fitted, Method


def statistics(X: np.ndarray) -> np.ndarray:
    """Rows (n, 22 C); statistics that do not exist for a series are 0."""
    transformer = need("transformations.collection.feature_based").Catch22(replace_nans=True)
    rows = np.asarray(transformer.fit_transform(X), dtype=np.float64)
    return np.nan_to_num(rows, posinf=0.0, neginf=0.0)


def fit(X: np.ndarray, seed: int, parameters: dict[str, Any]) -> Fitted:
    return Fitted({"catch22": statistics})


METHOD = Method(
    ("catch22",), fit, probe="chosen", seeded=False, standardise=True, prepare=statistics
)
