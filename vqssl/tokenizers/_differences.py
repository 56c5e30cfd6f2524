"""Reconstruction error of series or images and of their first differences."""

import torch
from torch import Tensor, nn

# Differences of series count as if they deviated by at least this share of the series, so that
# what is smoother does not drown the error of the values.
_SMOOTHEST = 1e-2


class ReconstructionLoss(nn.Module):
    """Squared error of values and of differences from point to point, both at one scale.

    What varies little but fast, and often tells classes apart, is a large share of the variance
    of the differences and a small one of the values. Images have differences from row to row
    and from column to column; their mean counts.

    Parameters
    ----------
    n_channels : int
        C.
    difference_weight : float
        Share of the differences, in [0, 1].
    n_axes : int, default=1
        Axes of a channel: 1 of series, 2 of images.
    """

    scale: Tensor  # (C, 1), or (C, 1, 1): variance of the values over that of the differences

    def __init__(self, n_channels: int, difference_weight: float, n_axes: int = 1) -> None:
        super().__init__()
        self.difference_weight = difference_weight
        self.register_buffer("scale", torch.empty(n_channels, *[1] * n_axes))

    def initialise(self, generator: torch.Generator) -> None:
        self.scale.fill_(1.0)

    def start(self, x: Tensor) -> None:
        """Take the scale from standardised training series (n, C, L) or images (n, C, H, W)."""
        axes = _axes_of(x)
        if not axes:
            return
        x = x.double()
        points = (0, *range(2, x.ndim))
        values = x.var(points, correction=0)
        differences = _mean([x.diff(dim=axis).square().mean(points) for axis in axes])
        scale = values / differences.clamp(min=_SMOOTHEST**2 * values)
        # Of constant series nothing is known yet; partial_fit may bring others.
        self.scale.copy_(torch.where(values > 0, scale, 1.0).view(self.scale.shape))

    def forward(self, reconstruction: Tensor, x: Tensor) -> dict[str, Tensor]:
        """Terms of the loss, means over elements, of standardised series (B, C, L) or images."""
        error = reconstruction.float() - x
        values = error.square().mean()
        axes = _axes_of(x)
        if self.difference_weight == 0 or not axes:
            return {"reconstruction": values}
        differences = _mean([(self.scale * error.diff(dim=axis).square()).mean() for axis in axes])
        return {
            "reconstruction": (1 - self.difference_weight) * values,
            "difference": self.difference_weight * differences,
        }


def _axes_of(x: Tensor) -> list[int]:
    """Axes of time, or of rows and columns, along which there are differences."""
    return [axis for axis in range(2, x.ndim) if x.shape[axis] > 1]


def _mean(parts: list[Tensor]) -> Tensor:
    """Mean of tensors, entry by entry; a single one as it is."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total if len(parts) == 1 else total / len(parts)
