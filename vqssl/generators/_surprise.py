"""Masks by which every token of a group is predicted equally often, at several sizes."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vqssl.generators._codes import CodeSpace

# Sizes of the masks.
_SIZES = 4


def even_masks(
    space: CodeSpace, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Yield the tokens of a mask (M,), what is not seen (N,), and the weight of the mask.

    Masks of a quarter, a half, three quarters and all of a group, whose coarser groups are seen
    and finer ones are not. The weights of the masks that a token is in add up to 1.
    """
    for number, positions in enumerate(space.positions):
        n = len(positions)
        n_sizes = min(_SIZES, n)
        edges = [i * n // n_sizes for i in range(2 * n_sizes)]  # of parts, twice around
        finer = space.group > number
        order = torch.tensor(positions)[torch.randperm(n, generator=generator)].repeat(2)
        for size in range(1, n_sizes + 1):
            # Of `size` neighbouring parts each: a token is in `size` of these masks.
            n_masks, times = (n_sizes, size) if size < n_sizes else (1, 1)
            for start in range(n_masks):
                masked = order[edges[start] : edges[start + size]]
                hidden = finer.clone()
                hidden[masked] = True
                yield masked, hidden, 1 / (times * n_sizes)
