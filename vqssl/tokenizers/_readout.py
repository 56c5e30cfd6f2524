"""From tokens to one vector per series: multi-scale pools and code frequencies."""

import numpy as np
import torch
from torch import Tensor

# The whole series, its halves, quarters and eighths.
_SCALES = (1, 2, 4, 8)
_STATISTICS = 3  # mean, maximum, deviation


def windows(n_tokens: int) -> list[slice]:
    """Slices of the token axis, coarse to fine; parts overlap where N is no multiple."""
    bounds = []
    for parts in _SCALES:
        for i in range(parts):
            bounds.append(slice(i * n_tokens // parts, -(-(i + 1) * n_tokens // parts)))
    return bounds


def pool_width(dim: int) -> int:
    """Number of columns that `pool` makes of vectors of dimension D."""
    return sum(_SCALES) * _STATISTICS * dim


def block_weights(dim: int, n_codes: int = 0) -> np.ndarray:
    """Weights that give every scale, and the code frequencies, the same total variance.

    Standardised columns alone would let the eighths drown the whole and the frequencies,
    since they are eight times as many.

    Parameters
    ----------
    dim : int
        D, dimension of the pooled vectors.
    n_codes : int, default=0
        K, number of code frequencies after the pools.

    Returns
    -------
    weights : ndarray of shape (45 * D + K,)
        1 for the columns of the whole series.
    """
    whole = _STATISTICS * dim
    widths = [whole * parts for parts in _SCALES] + ([n_codes] if n_codes else [])
    return np.concatenate([np.full(width, np.sqrt(whole / width)) for width in widths])


def pool(z: Tensor) -> Tensor:
    """Mean, maximum and deviation over the whole and over its parts.

    Parameters
    ----------
    z : Tensor of shape (B, N, D)

    Returns
    -------
    pooled : Tensor of shape (B, 15 * 3 * D)
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
