"""From frames to one row of numbers per series."""

import torch
from torch import Tensor

# The whole series, its halves and its quarters.
_SCALES = (1, 2, 4)
_STATISTICS = 3  # mean, maximum, deviation


def pooled_width(dim: int) -> int:
    """Number of columns that frames of dimension D are pooled to."""
    return sum(_SCALES) * _STATISTICS * dim


def pool(frames: Tensor) -> Tensor:
    """Mean, maximum and deviation over windows of frames, (B, N, D) -> (B, 21 D).

    Windows go from coarse to fine; they overlap where N is no multiple of four.
    """
    n = frames.shape[1]
    columns = []
    for parts in _SCALES:
        for i in range(parts):
            window = frames[:, i * n // parts : -(-(i + 1) * n // parts)]
            columns += [window.mean(1), window.amax(1), window.std(1, correction=0)]
    return torch.cat(columns, 1)
