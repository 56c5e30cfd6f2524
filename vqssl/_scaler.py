"""Standardisation of series inside a model, undone on the way out."""

import numpy as np
import torch
from torch import Tensor, nn

from vqssl._batches import blocks

SCALINGS = ("dataset", "series", None)

# Deviations below this share of the mean are rounding, not variation.
_RELATIVE_FLOOR = 1e-6


def check_scaling(value: str | None) -> None:
    """Accept a way to standardise.

    Raises
    ------
    ValueError
        If `value` is none of `SCALINGS`.
    """
    if value not in SCALINGS:
        raise ValueError(f"scaling must be 'dataset', 'series' or None; got {value!r}.")


class Scaler(nn.Module):
    """Standardise each channel over the training set ("dataset"), or by itself ("series")."""

    mean: Tensor  # (C, 1) of the training set
    deviation: Tensor  # (C, 1) of the training set

    def __init__(self, n_channels: int, scaling: str | None) -> None:
        super().__init__()
        self.scaling = scaling
        self.register_buffer("mean", torch.empty(n_channels, 1))
        self.register_buffer("deviation", torch.empty(n_channels, 1))

    def initialise(self, generator: torch.Generator) -> None:
        self.mean.zero_()
        self.deviation.fill_(1.0)

    def start(self, series: np.ndarray) -> None:
        """Take mean and deviation from training series (n, C, L)."""
        mean, deviation = series_statistics(series, self.scaling == "series")
        constant = deviation <= _RELATIVE_FLOOR * np.abs(mean)
        self.mean.copy_(torch.from_numpy(mean).unsqueeze(1))
        self.deviation.copy_(torch.from_numpy(np.where(constant, 1.0, deviation)).unsqueeze(1))

    def forward(self, x: Tensor) -> Tensor:
        if self.scaling is None:
            return x
        if self.scaling == "dataset":
            return (x - self.mean) / self.deviation
        mean = x.mean(2, keepdim=True)
        deviation = x.std(2, correction=0, keepdim=True)
        constant = deviation <= _RELATIVE_FLOOR * mean.abs()
        return torch.where(constant, 0.0, (x - mean) / torch.where(constant, 1.0, deviation))

    def inverse(self, x: Tensor) -> Tensor:
        return x if self.scaling is None else x * self.deviation + self.mean


def series_statistics(series: np.ndarray, per_series: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel, in float64.

    Parameters
    ----------
    series : ndarray of shape (n, C, L)
    per_series : bool
        True: the average over series of each one's own mean and deviation. False: mean and
        deviation over all points of all series.

    Returns
    -------
    mean, deviation : ndarray of shape (C,)
    """
    means, squares = [], []
    for block in blocks(series, 256):
        means.append(block.mean(2, dtype=np.float64))
        squares.append(block.var(2, dtype=np.float64))
    mean, variance = np.concatenate(means), np.concatenate(squares)  # (n, C)
    if per_series:
        return mean.mean(0), np.sqrt(variance).mean(0)
    return mean.mean(0), np.sqrt(variance.mean(0) + mean.var(0))
