"""Standardisation of series and images inside a model, undone on the way out."""

import numpy as np
import torch
from torch import Tensor, nn

from vqssl._batches import blocks
from vqssl._validation import warn_user

SCALINGS = ("dataset", "series", None)

# Deviations below this share of the mean are rounding, not variation.
_RELATIVE_FLOOR = 1e-6

# Numbers that are looked at for rounding at a time (8 MB of float64).
_BLOCK = 2**20

# Variation of constants in float64, as a share of their value.
_FLOAT64_ROUNDING = 1e-12

# Rounding to float32 above this share of the deviation is said.
_MOST_LOST = 0.01


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
    """Standardise each channel over the training set ("dataset"), or by itself ("series").

    Parameters
    ----------
    n_channels : int
        C.
    scaling : str or None
        One of `SCALINGS`.
    n_axes : int, default=1
        Axes of a channel: 1 of series, 2 of images.
    """

    mean: Tensor  # (C, 1) of the training set, (C, 1, 1) of images
    deviation: Tensor  # the same

    def __init__(self, n_channels: int, scaling: str | None, n_axes: int = 1) -> None:
        super().__init__()
        self.scaling = scaling
        self.register_buffer("mean", torch.empty(n_channels, *[1] * n_axes))
        self.register_buffer("deviation", torch.empty(n_channels, *[1] * n_axes))

    def initialise(self, generator: torch.Generator) -> None:
        self.mean.zero_()
        self.deviation.fill_(1.0)

    def start(self, series: np.ndarray) -> None:
        """Take mean and deviation from training series (n, C, L) or images (n, C, H, W)."""
        mean, deviation = series_statistics(series, self.scaling == "series")
        _warn_of_rounding(series, mean, deviation)
        constant = deviation <= _RELATIVE_FLOOR * np.abs(mean)
        shape = self.mean.shape
        self.mean.copy_(torch.from_numpy(mean).view(shape))
        self.deviation.copy_(torch.from_numpy(np.where(constant, 1.0, deviation)).view(shape))

    def forward(self, x: Tensor) -> Tensor:
        if self.scaling is None:
            return x
        if self.scaling == "dataset":
            return (x - self.mean) / self.deviation
        points = x.flatten(2)
        shape = (len(x), *self.mean.shape)
        mean = points.mean(2).view(shape)
        deviation = points.std(2, correction=0).view(shape)
        constant = deviation <= _RELATIVE_FLOOR * mean.abs()
        return torch.where(constant, 0.0, (x - mean) / torch.where(constant, 1.0, deviation))

    def inverse(self, x: Tensor) -> Tensor:
        return x if self.scaling is None else x * self.deviation + self.mean


def _warn_of_rounding(series: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Warn where float32, which everything is computed in, loses detail of wider numbers."""
    if series.dtype.itemsize < 4 or series.dtype == np.float32:
        return
    errors, largest, smallest = [], [], []
    n_rows = max(1, _BLOCK // series[0].size)
    for start in range(0, len(series), n_rows):
        block = series[start : start + n_rows]
        points = block.reshape(*block.shape[:2], -1).astype(np.float64)
        errors.append((points - points.astype(np.float32)).var((0, 2)))
        largest.append(points.max((0, 2)))
        smallest.append(points.min((0, 2)))
    # What varies by rounding of float64 only is constant.
    spread = np.max(largest, 0) - np.min(smallest, 0)  # (C,)
    varies = spread > _FLOAT64_ROUNDING * np.abs(mean)
    lost = np.where(varies, np.sqrt(np.mean(errors, 0)), 0.0)
    channel = int(np.argmax(lost - _MOST_LOST * deviation))
    if lost[channel] > _MOST_LOST * deviation[channel]:
        warn_user(
            f"Rounding to float32 changes channel {channel} of X by {lost[channel]:.2g} around "
            f"{mean[channel]:.3g}, where its deviation is {deviation[channel]:.2g}. Subtract the "
            "mean of X before."
        )


def series_statistics(series: np.ndarray, per_series: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel, in float64.

    Parameters
    ----------
    series : ndarray of shape (n, C, L) or (n, C, H, W)
    per_series : bool
        True: the average over series of each one's own mean and deviation. False: mean and
        deviation over all points of all series.

    Returns
    -------
    mean, deviation : ndarray of shape (C,)
    """
    means, squares = [], []
    for block in blocks(series, min(256, max(1, _BLOCK // series[0].size))):
        points = block.reshape(*block.shape[:2], -1)
        means.append(points.mean(2, dtype=np.float64))
        squares.append(points.var(2, dtype=np.float64))
    mean, variance = np.concatenate(means), np.concatenate(squares)  # (n, C)
    if per_series:
        return mean.mean(0), np.sqrt(variance).mean(0)
    return mean.mean(0), np.sqrt(variance.mean(0) + mean.var(0))
