"""From tokens to one vector per series: multi-scale pools and code frequencies."""

import torch
from torch import Tensor

# The whole series, and its quarters.
_SCALES = (1, 4)
_STATISTICS = 3  # mean, maximum, deviation


def windows(n_tokens: int) -> list[slice]:
    """Slices of the token axis: the whole, then quarters that overlap where N < 4."""
    bounds = []
    for parts in _SCALES:
        for i in range(parts):
            bounds.append(slice(i * n_tokens // parts, -(-(i + 1) * n_tokens // parts)))
    return bounds


def pool_width(dim: int) -> int:
    """Number of columns that `pool` makes of vectors of dimension D."""
    return sum(_SCALES) * _STATISTICS * dim


def pool(z: Tensor) -> Tensor:
    """Mean, maximum and deviation over the whole and over quarters of the tokens.

    Parameters
    ----------
    z : Tensor of shape (B, N, D)

    Returns
    -------
    pooled : Tensor of shape (B, 5 * 3 * D)
        The deviation divides by the number of tokens, not by one less.
    """
    columns = []
    for window in windows(z.shape[1]):
        part = z[:, window]  # (B, n, D)
        columns += [part.mean(1), part.amax(1), part.std(1, correction=0)]
    return torch.cat(columns, 1)


def code_frequencies(codes: Tensor, n_codes: int) -> Tensor:
    """Share of the tokens of a series that have each code.

    Parameters
    ----------
    codes : Tensor of shape (B, N), int64
    n_codes : int
        K.

    Returns
    -------
    frequencies : Tensor of shape (B, K), rows sum to 1
    """
    ones = torch.ones_like(codes, dtype=torch.float32)
    counts = ones.new_zeros(len(codes), n_codes).scatter_add_(1, codes, ones)
    return counts / codes.shape[1]
