"""Gaussian posteriors of latents: their KL to the prior, and which dimensions are in use."""

import numpy as np
from torch import Tensor

# The logarithm of a deviation is kept within these limits, so that no variance over- or
# underflows in float32 whatever the data are.
LOG_DEVIATION = (-10.0, 10.0)

# A dimension is active when the mean of its posterior varies more (Burda et al. 2016, section 5.2).
_ACTIVE = 0.01


def kl_to_standard_normal(mean: Tensor, variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) in nats, entry by entry."""
    return 0.5 * (variance + mean.square() - 1 - variance.log())


def count_active(variance: np.ndarray) -> np.ndarray:
    """Dimensions in use, by the variance of their posterior means over the data, (..., D)."""
    return (variance > _ACTIVE).sum(-1)
