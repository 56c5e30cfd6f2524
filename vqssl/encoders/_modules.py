"""Networks of the encoders: strided modules from series to frames, strides that fit a length."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._posterior import LOG_DEVIATION, kl_to_standard_normal
from vqssl._scaler import Scaler
from vqssl._seed import normal
from vqssl.encoders._contrast import Predictions

# Series shorter than this keep a frame for every time point.
_SHORT = 8

# What is taken from the logarithm of a deviation, so that Gaussians are narrow at the start: frames
# that are mostly noise give a loss nothing to learn from.
_NARROW = 2.0

# Frames that "auto" gives long series, about.
_FRAMES = 64


def automatic_compression(length: int) -> int:
    """Time points per frame: 1 below 8 points, 2 up to 64, then for 64 frames, at least 4.

    Always a power of two, which can be cut into strides.
    """
    if length < _SHORT:
        return 1
    if length <= 64:
        return 2
    return max(4, 2 ** round(math.log2(length / _FRAMES)))


def split_compression(compression: int, n_modules: int) -> list[int]:
    """Strides with this product, as even as its prime factors allow, the largest first."""
    factors, rest = [], compression
    for prime in range(2, math.isqrt(compression) + 1):
        while rest % prime == 0:
            factors.append(prime)
            rest //= prime
    strides = [1] * n_modules
    for factor in sorted([*factors, rest], reverse=True):
        strides[strides.index(min(strides))] *= factor
    return sorted(strides, reverse=True)


def frame_counts(length: int, strides: list[int]) -> list[int]:
    """Frames after each module, rounded up."""
    counts = []
    for stride in strides:
        length = -(-length // stride)
        counts.append(length)
    return counts


class FramePosterior(NamedTuple):
    """Frames, or the Gaussian over them: mean (B, N, D) and deviation of the same shape or None."""

    mean: Tensor
    deviation: Tensor | None

    def draw(self, generator: torch.Generator | None) -> Tensor:
        """A sample, or the mean where there is no generator or no deviation."""
        if self.deviation is None or generator is None:
            return self.mean
        return self.mean + self.deviation * normal(self.mean.shape, generator, self.mean)

    def kl(self) -> Tensor:
        """KL to N(0, 1) in nats of every dimension of every frame, (B, N, D)."""
        assert self.deviation is not None, "only a Gaussian has a KL"
        return kl_to_standard_normal(self.mean, self.deviation.square())


class FrameModule(nn.Module):
    """One strided convolution and a frame-wise layer: (B, C, L) -> frames (B, ceil(L / s), D).

    What a frame sees is local, and each is normalised by itself: what a whole series has in
    common would make its frames easy to tell from others.

    Parameters
    ----------
    n_channels : int
        C of what comes in: channels of the series, or D of the module below.
    code_dim : int
        D.
    stride : int
        s; the convolution covers 2 s + 1 points.
    is_variational : bool
        Whether frames are Gaussians.
    """

    def __init__(self, n_channels: int, code_dim: int, stride: int, is_variational: bool) -> None:
        super().__init__()
        self.stride = stride
        self.is_variational = is_variational
        self.stem = nn.Linear(n_channels * (2 * stride + 1), 2 * code_dim)
        self.norm = nn.LayerNorm(2 * code_dim)
        self.head = nn.Linear(2 * code_dim, (1 + is_variational) * code_dim)

    def forward(self, x: Tensor) -> FramePosterior:
        s = self.stride
        short = -x.shape[2] % s
        # Frame n sees the points around its cell [n s, (n + 1) s), edges repeated.
        x = F.pad(x, ((s + 1) // 2, s - (s + 1) // 2 + 1 + short), mode="replicate")
        fields = x.unfold(2, 2 * s + 1, s).transpose(1, 2)  # (B, N, C, 2 s + 1)
        h = F.relu(self.norm(self.stem(fields.flatten(2).contiguous())))
        out = self.head(h)
        # The loss compares frames at full precision, whatever the arithmetic of the network.
        out = out if out.dtype == torch.float64 else out.float()
        if not self.is_variational:
            return FramePosterior(out, None)
        mean, log_deviation = out.chunk(2, 2)
        return FramePosterior(mean, (log_deviation - _NARROW).clamp(*LOG_DEVIATION).exp())


def stack(
    n_channels: int, code_dim: int, strides: list[int], are_variational: list[bool]
) -> nn.ModuleList:
    """Modules one above the other, from series with C channels to frames."""
    channels = [n_channels, *[code_dim] * (len(strides) - 1)]
    options = zip(channels, strides, are_variational, strict=True)
    return nn.ModuleList(FrameModule(c, code_dim, s, v) for c, s, v in options)


class Outcome(NamedTuple):
    """What a loss compares, and the Gaussian it is drawn from."""

    context: Tensor  # (B, N, E)
    frames: Tensor  # (B, N, D)
    posterior: FramePosterior


class EncoderModel(nn.Module, ABC):
    """What the model of an encoder offers; a *layer* is what `transform` can be asked for."""

    scaler: Scaler
    predictions: nn.ModuleList
    """W_k of each loss, `Predictions`."""

    loss_frames: list[int]
    """Frames that each loss compares."""

    frame_counts: list[int]
    """Frames of each layer."""

    compressions: list[int]
    """Time points per frame of each layer."""

    @abstractmethod
    def outcomes(self, scaled: Tensor, generator: torch.Generator | None) -> Iterator[Outcome]:
        """What each loss compares, for scaled series (B, C, L); means without a generator."""

    @abstractmethod
    def layers(self, scaled: Tensor) -> list[FramePosterior]:
        """Frames of each layer or the Gaussians over them, (B, C, L) -> (B, N, D) each."""

    def embed(self, x: Tensor, layer: int) -> Tensor:
        """Frames of a layer or their means, (B, C, L) -> (B, N, D), of series in units of X."""
        return self.layers(self.scaler(x))[layer].mean

    def predictions_of(self, loss: int) -> Predictions:
        """W_k of a loss."""
        predictions = self.predictions[loss]
        assert isinstance(predictions, Predictions)
        return predictions

    def steps(self) -> list[int]:
        """How many steps ahead each loss predicts."""
        return [self.predictions_of(loss).n_steps for loss in range(len(self.predictions))]
