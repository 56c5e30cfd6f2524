"""Moments of the frames of a layer over series and time, gathered batch by batch."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from vqssl.encoders._modules import FramePosterior

# Share of the square of a constant that rounding may leave of its variance.
_ROUNDING = 1e-12


class Moments(NamedTuple):
    """Sums over frames, in float64; of Gaussians the sums of means and of variances."""

    n_frames: int
    first: np.ndarray  # (D,)
    second: np.ndarray  # (D, D)
    noise: np.ndarray  # (D,)

    @classmethod
    def of(cls, layer: FramePosterior, n_series: int) -> Self:
        """Of the first series of a batch, (B, N, D)."""
        frames = layer.mean[:n_series].flatten(0, 1).double()
        noise = np.zeros(frames.shape[1])
        if layer.deviation is not None:
            noise = layer.deviation[:n_series].double().square().sum((0, 1)).cpu().numpy()
        second = frames.T @ frames
        return cls(len(frames), frames.sum(0).cpu().numpy(), second.cpu().numpy(), noise)

    @classmethod
    def total(cls, parts: Sequence["Moments"]) -> Self:
        """Of all batches."""
        counts, *sums = zip(*parts, strict=True)
        return cls(sum(counts), *(np.sum(parts, 0) for parts in sums))

    def variance(self) -> np.ndarray:
        """Of the frames or the means of their Gaussians, (D,)."""
        return np.maximum(np.diag(self._covariance()), 0.0)

    def correlation(self) -> np.ndarray:
        """Of the frames, or of the mixture of all Gaussians, (D, D); 0 with what never varies."""
        covariance = self._covariance() + np.diag(self.noise / self.n_frames)
        variance = np.diag(covariance)
        varies = variance > _ROUNDING * np.diag(self.second) / self.n_frames
        deviation = np.sqrt(np.where(varies, variance, 0.0))
        scale = np.outer(deviation, deviation)
        correlation = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
        np.fill_diagonal(correlation, 1.0)
        return correlation.clip(-1.0, 1.0)

    def _covariance(self) -> np.ndarray:
        mean = self.first / self.n_frames
        return self.second / self.n_frames - np.outer(mean, mean)
