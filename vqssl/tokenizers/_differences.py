"""Reconstruction error of series and of their first differences."""

import torch
from torch import Tensor, nn

# Differences of series count as if they deviated by at least this share of the series, so that
# what is smoother does not drown the error of the values.
_SMOOTHEST = 1e-2


class ReconstructionLoss(nn.Module):
    """Squared error of values and of differences from point to point, both at one scale.

    What varies little but fast, and often tells classes apart, is a large share of the variance
    of the differences and a small one of the values.
    """

    scale: Tensor  # (C, 1) variance of the series over that of their differences

    def __init__(self, n_channels: int, difference_weight: float) -> None:
        super().__init__()
        self.difference_weight = difference_weight
        self.register_buffer("scale", torch.empty(n_channels, 1))

    def initialise(self, generator: torch.Generator) -> None:
        self.scale.fill_(1.0)

    def start(self, x: Tensor) -> None:
        """Take the scale from standardised training series (n, C, L)."""
        if x.shape[2] < 2:
            return
        x = x.double()
        values = x.var((0, 2), correction=0)
        differences = x.diff(dim=2).square().mean((0, 2))
        scale = values / differences.clamp(min=_SMOOTHEST**2 * values)
        # Of constant series nothing is known yet; partial_fit may bring others.
        self.scale.copy_(torch.where(values > 0, scale, 1.0).unsqueeze(1))

    def forward(self, reconstruction: Tensor, x: Tensor) -> dict[str, Tensor]:
        """Terms of the loss, means over elements, of standardised series (B, C, L)."""
        error = reconstruction.float() - x
        values = error.square().mean()
        if self.difference_weight == 0 or x.shape[2] < 2:
            return {"reconstruction": values}
        differences = (self.scale * error.diff(dim=2).square()).mean()
        return {
            "reconstruction": (1 - self.difference_weight) * values,
            "difference": self.difference_weight * differences,
        }
