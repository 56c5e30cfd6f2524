"""Residual blocks over the tokens of series or images, around a convolution of either."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SeriesNorm(nn.Module):
    """Normalise a series or image over tokens and channels, then scale and shift channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        self.weight.fill_(1.0)
        self.bias.zero_()

    def forward(self, h: Tensor) -> Tensor:
        shape = h.shape[1:]  # (N, W)
        return F.layer_norm(h, shape, self.weight.expand(shape), self.bias.expand(shape))


def as_tokens(image: Tensor) -> Tensor:
    """Images (B, W, rows, columns), of one row for series, as tokens (B, N, W)."""
    return image.flatten(2).transpose(1, 2)


class ResidualBlock(nn.Module):
    """h + W_2 relu(W_1 * relu(norm(h))), W_1 a dilated convolution over neighbouring tokens.

    Parameters
    ----------
    width : int
        W.
    mix : torch.nn.Module
        W_1, from tokens (B, N, W) to an image of them (B, W, rows, columns).
    """

    def __init__(self, width: int, mix: nn.Module) -> None:
        super().__init__()
        self.norm = SeriesNorm(width)
        self.mix = mix
        self.project = nn.Linear(width, width, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        # In place, as neither the norm nor the convolution needs its output to go backward.
        normed = F.relu(self.norm(h), inplace=True)
        mixed = F.relu(self.mix(normed), inplace=True)
        # The sum inside the product: passes over memory take as long as the arithmetic.
        rows = as_tokens(mixed).flatten(0, 1)  # (B N, W)
        return torch.addmm(h.flatten(0, 1), rows, self.project.weight.T).view_as(h)
