"""What a readout makes of the tokens of images: pools over windows of a grid, autocovariances."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from vqssl.tokenizers._windows import windows

# Parts of each side: the whole image, its quadrants and their quadrants.
GRID_PARTS = (1, 2, 4)

# Parts of each side whose windows, places of a token or two, are averaged only. Where a stroke
# runs tells images apart, and windows of two by two tokens blur it.
PLACE_PARTS = 8

# Rows and columns that two tokens are apart: neighbours in all directions, then further along
# both sides. As many as lags of series.
GRID_LAGS = ((0, 0), (0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (0, 3), (3, 0))


def grid_windows(shape: tuple[int, int], parts: int) -> list[tuple[slice, slice]]:
    """Rows and columns of ``parts**2`` windows, row by row.

    Windows overlap where a side is no multiple.
    """
    rows, columns = (windows(side)[parts - 1 : 2 * parts - 1] for side in shape)
    return [(row, column) for row in rows for column in columns]


def grid_autocovariances(tokens: Tensor, shape: tuple[int, int]) -> Tensor:
    """Products of the coordinates of tokens a step apart, mean over all such pairs of tokens.

    Parameters
    ----------
    tokens : Tensor of shape (B, N, A)
        Coordinates about a centre that all images share, row by row.
    shape : tuple of two int
        Rows and columns of the grid.

    Returns
    -------
    products : Tensor of shape (B, 9, A * A)
        The matrix of each of `GRID_LAGS`, row by row: entry (i, j) is of coordinate i and, a
        step later, coordinate j. Zeros for steps that leave the grid.
    """
    n, _, n_axes = tokens.shape
    rows, columns = shape
    products = tokens.new_zeros(len(GRID_LAGS), n, n_axes, n_axes)
    grid = tokens.unflatten(1, shape)  # (B, rows, columns, A)
    for (down, right), matrices in zip(GRID_LAGS, products, strict=True):
        height, width = rows - down, columns - abs(right)
        if height < 1 or width < 1:
            continue
        left = max(0, -right)
        first = grid[:, :height, left : left + width].flatten(1, 2)
        second = grid[:, down:, left + right : left + right + width].flatten(1, 2)
        torch.bmm(first.mT, second, out=matrices).div_(height * width)
    return products.flatten(2).transpose(0, 1)


class GridPlan(NamedTuple):
    """How tokens of a grid are pooled; see the plan of series in `_readout`."""

    shape: tuple[int, int]

    @property
    def n_rows(self) -> int:
        """N, tokens that are worked on for each image."""
        return self.shape[0] * self.shape[1]

    def arrange(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """All tokens at once, (N, ...)."""
        return (tokens,)

    def pool(self, tokens: Iterator[Tensor]) -> Tensor:
        """Mean, maximum and deviation over windows, then means over places.

        (N, B, E) -> (63 + 64, B, E)
        """
        grid = next(tokens).unflatten(0, self.shape)  # (rows, columns, B, E)
        pools = []
        for parts in GRID_PARTS:
            for row, column in grid_windows(self.shape, parts):
                window = grid[row, column].flatten(0, 1)  # (n, B, E)
                pools += [window.mean(0), window.amax(0), window.std(0, correction=0)]
        places = grid_windows(self.shape, PLACE_PARTS)
        pools += [grid[row, column].flatten(0, 1).mean(0) for row, column in places]
        return torch.stack(pools)

    def products(self, along_axes: Tensor) -> Tensor:
        """Autocovariances, (B, N, A) -> (B, 9, A * A)."""
        return grid_autocovariances(along_axes, self.shape)
