"""Batch normalisation of rows, whatever they are of."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._share import count_all
from vqssl._whole_norm import batch_norm


class RowNorm(nn.Module):
    """Batch normalisation of rows (R, W), also of a single one."""

    running_mean: Tensor  # (W,)
    running_var: Tensor  # (W,)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width))
        self.register_buffer("running_mean", torch.empty(width))
        self.register_buffer("running_var", torch.empty(width))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        self.weight.fill_(1.0)
        self.bias.zero_()
        self.running_mean.zero_()
        self.running_var.fill_(1.0)

    def forward(self, rows: Tensor) -> Tensor:
        # One row has no deviation: it is seen as one more of those before.
        mean, variance = self.running_mean, self.running_var
        if self.training and count_all(len(rows)) > 1:
            return batch_norm(rows, mean, variance, self.weight, self.bias)
        return F.batch_norm(rows, mean, variance, self.weight, self.bias)
