"""From tokens to one vector per series: multi-scale pools and code frequencies."""

import numpy as np
import torch
from torch import Tensor

# The whole series, its halves, quarters and eighths.
_SCALES = (1, 2, 4, 8)
_STATISTICS = 3  # mean, maximum, deviation

# Principal axes of the codebook that latents are pooled along, beside their own D axes; the
# weight of that half of the readout; and the share of the largest variance below which an
# axis is rounding.
_AXES = 24
_AXES_WEIGHT = 2.0
_ROUNDING = 1e-6


def windows(n_tokens: int) -> list[slice]:
    """Slices of the token axis, coarse to fine; parts overlap where N is no multiple."""
    bounds = []
    for parts in _SCALES:
        for i in range(parts):
            bounds.append(slice(i * n_tokens // parts, -(-(i + 1) * n_tokens // parts)))
    return bounds


def pool_width(dim: int) -> int:
    """Number of columns that `readout` makes of vectors of dimension D."""
    return sum(_SCALES) * _STATISTICS * (dim + min(_AXES, dim))


def principal_axes(codebook: np.ndarray) -> np.ndarray:
    """Directions in which the vectors of a codebook (K, D) differ most.

    The coordinates of latents are strongly correlated: of a plain VQ-VAE on smooth series,
    one direction, the level, holds 98 percent of their variance. Standardised one by one
    they show that direction D times; along the principal axes the others count as well.

    Returns
    -------
    axes : ndarray of shape (D, min(24, D)), float64
        Orthonormal columns by falling variance; zero where the variance is rounding.
    """
    centred = codebook.astype(np.float64) - codebook.mean(0, dtype=np.float64)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    variances, axes = variances[::-1], axes[:, ::-1]
    # The sign of an axis is arbitrary: its largest entry is made positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return np.where(variances > _ROUNDING * variances[0], axes, 0.0)[:, :_AXES]


def block_weights(dim: int, n_codes: int = 0) -> np.ndarray:
    """Weights that give every scale, and the code frequencies, the same total variance.

    Standardised columns alone would let the eighths drown the whole and the frequencies,
    since they are eight times as many. Pools along principal axes weigh double.

    Parameters
    ----------
    dim : int
        D, dimension of the pooled vectors.
    n_codes : int, default=0
        K, number of code frequencies after the pools.

    Returns
    -------
    weights : ndarray of shape (pool_width(D) + K,)
        1 for the columns of the whole series.
    """
    whole = _STATISTICS * dim
    blocks = [(whole * parts, 1.0) for parts in _SCALES]
    blocks += [(_STATISTICS * min(_AXES, dim) * parts, _AXES_WEIGHT) for parts in _SCALES]
    blocks += [(n_codes, 1.0)] if n_codes else []
    return np.concatenate([np.full(n, weight * np.sqrt(whole / n)) for n, weight in blocks])


def readout(z: Tensor, axes: Tensor) -> Tensor:
    """Pools of vectors and of their projections on principal axes.

    Parameters
    ----------
    z : Tensor of shape (B, N, D)
    axes : Tensor of shape (D, A), float64

    Returns
    -------
    pooled : Tensor of shape (B, 45 * (D + A))
    """
    # In float64, as small axes are differences of large coordinates.
    projected = (z.double() @ axes).to(z.dtype)  # (B, N, A)
    return torch.cat([pool(z), pool(projected)], 1)


def pool(z: Tensor) -> Tensor:
    """Mean, maximum and deviation over the whole and over its parts.

    Parameters
    ----------
    z : Tensor of shape (B, N, D)

    Returns
    -------
    pooled : Tensor of shape (B, 45 * D)
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
