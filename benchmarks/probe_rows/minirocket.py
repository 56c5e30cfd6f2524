"""Method `minirocket`: 10,000 shares of positive values (Dempster et al. 2021), from aeon."""

from typing import Any

import numpy as np
from speed_rows.report import Skipped

from probe_rows.aeon_parts import need
from probe_rows.method import Fitted, Method

SHORTEST = 9  # length of the kernels


def fit(X: np.ndarray, seed: int, parameters: dict[str, Any]) -> Fitted:
    if X.shape[2] < SHORTEST:
        raise Skipped(f"MiniRocket needs series of at least {SHORTEST} points.")
    module = need("transformations.collection.convolution_based")
    rocket = module.MiniRocket(random_state=seed)
    rocket.fit(X)
    return Fitted({"minirocket": lambda series: np.asarray(rocket.transform(series))})


METHOD = Method(
    ("minirocket",),
    fit,
    probe="ridge",
    prepare=lambda X: fit(X, 0, {}).transforms["minirocket"](X),
)
