"""Alignment and uniformity (Wang and Isola, ICML 2020), as a loss of one's own."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from vqssl.losses import SSLLoss


class AlignmentUniformity(SSLLoss):
    """Views of one series near each other on the sphere, series spread over all of it.

    Parameters
    ----------
    uniformity : float, default=1.0
        Weight of the second term beside the first, at least 0.
    temperature : float, default=2.0
        t of the Gaussian potential exp(-t |a - b|^2), above 0.

    References
    ----------
    T. Wang, P. Isola, "Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere", ICML 2020, section 4.1.
    """

    default_weight = 0.1  # beside the reconstruction, where ssl_weight="auto"

    def __init__(self, uniformity: float = 1.0, temperature: float = 2.0) -> None:
        self.uniformity = uniformity
        self.temperature = temperature

    def check(self) -> None:
        """Check the hyperparameters, before anything is trained."""
        if not 0 <= self.uniformity < math.inf:
            raise ValueError(
                f"uniformity must be a finite number of at least 0; got {self.uniformity!r}."
            )
        if not 0 < self.temperature < math.inf:
            raise ValueError(
                f"temperature must be a finite number above 0; got {self.temperature!r}."
            )

    def terms(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """Return the weighted terms of projections (B, P) of two views."""
        first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
        alignment = (first - second).square().sum(1).mean()  # mean over B
        spread = (self._log_potential(first) + self._log_potential(second)) / 2
        return {"alignment": alignment, "uniformity": self.uniformity * spread}

    def _log_potential(self, z: Tensor) -> Tensor:
        """Logarithm of the potential between rows, mean over pairs of different ones."""
        distances = torch.pdist(z).square()  # (B (B - 1) / 2,)
        return (-self.temperature * distances).logsumexp(0) - math.log(len(distances))
