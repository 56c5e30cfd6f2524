"""Autocovariances of tokens: what occurs together, and what follows at a distance."""

import torch
from torch import Tensor

# In tokens: all short ones, then further and further apart.
LAGS = (0, 1, 2, 3, 4, 6, 8, 12, 16)


def autocovariance_width(n_axes: int) -> int:
    """Number of autocovariances of tokens with A coordinates."""
    return len(LAGS) * n_axes**2


def autocovariances(tokens: Tensor) -> Tensor:
    """Products of the coordinates of tokens a lag apart, mean over all such pairs of tokens.

    C_lag = 1 / (N - lag) sum_t a_t a_{t + lag}^T. It does not say where in a series the pairs
    are, so a pattern counts the same wherever it starts.

    Parameters
    ----------
    tokens : Tensor of shape (B, N, A)
        Coordinates about a centre that all series share; the mean of a series is not taken
        off, as its distance from the centre tells series apart, too.

    Returns
    -------
    products : Tensor of shape (B, 9, A * A)
        The matrix of each lag, row by row: entry (i, j) is of coordinate i and, a lag later,
        coordinate j. Zeros for lags of N tokens and more.
    """
    n, n_tokens, n_axes = tokens.shape
    products = tokens.new_empty(len(LAGS), n, n_axes, n_axes)
    columns = tokens.transpose(1, 2)  # (B, A, N)
    # A product per lag takes half the time of one with the tokens of all lags side by side,
    # which are nine times as many numbers to copy and read.
    for lag, matrices in zip(LAGS, products, strict=True):
        n_pairs = n_tokens - lag
        if n_pairs > 0:
            torch.bmm(columns[:, :, :n_pairs], tokens[:, lag:], out=matrices).div_(n_pairs)
        else:
            matrices.zero_()
    return products.flatten(2).transpose(0, 1)
