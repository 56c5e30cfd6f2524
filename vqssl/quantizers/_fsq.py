"""Finite scalar quantization (Mentzer et al. 2023)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vqssl._seed import initialise
from vqssl._validation import check_count
from vqssl.quantizers._base import Quantized, Quantizer, QuantizerModule, straight_through


def factor_levels(n_codes: int) -> tuple[int, ...] | None:
    """Write a number of codes as a product of levels between 2 and 8, largest first.

    Returns
    -------
    levels : tuple of int, or None where there is no such product

    Examples
    --------
    >>> factor_levels(120)
    (8, 5, 3)
    >>> factor_levels(22) is None
    True
    """
    if n_codes == 1:
        return ()
    for level in range(8, 1, -1):
        if n_codes % level == 0:
            rest = factor_levels(n_codes // level)
            if rest is not None:
                return (level, *rest)
    return None


class FiniteScalarCodebook(QuantizerModule):
    """A grid in a few dimensions, reached from and left for the latents linearly."""

    sizes: Tensor  # (d,) int64 levels per grid dimension
    strides: Tensor  # (d,) int64 weight of each dimension in the code

    sees_whole_batch = False

    def __init__(self, levels: Sequence[int], code_dim: int) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.n_codes = math.prod(levels)
        self.project_in = nn.Linear(code_dim, len(levels))
        self.project_out = nn.Linear(len(levels), code_dim)
        self.register_buffer("sizes", torch.empty(len(levels), dtype=torch.int64))
        self.register_buffer("strides", torch.empty(len(levels), dtype=torch.int64))

    def initialise(self, generator: torch.Generator) -> None:
        initialise(self.project_in, generator)
        initialise(self.project_out, generator)
        strides = [math.prod(self.levels[:i]) for i in range(len(self.levels))]
        self.sizes.copy_(torch.tensor(self.levels))
        self.strides.copy_(torch.tensor(strides))

    @property
    def codebook(self) -> Tensor:
        return self.lookup(torch.arange(self.n_codes, device=self.sizes.device))

    def _bound(self, z: Tensor) -> Tensor:
        """Squash each dimension, (..., D) -> (..., d), so that rounding gives its levels."""
        # A little wider than the outermost levels, so that they are reached.
        half = (self.sizes - 1 + 1e-3) / 2
        offset = torch.where(self.sizes % 2 == 0, 0.5, 0.0)
        # Of two levels none is in the middle: a latent of 0 lies between them.
        shift = torch.where(self.sizes == 2, 0.0, torch.atanh(offset / half))
        with torch.autocast(z.device.type, enabled=False):
            return torch.tanh(self.project_in(z.float()) + shift) * half - offset

    def _index(self, grid: Tensor) -> Tensor:
        """Code of rounded grid points, (..., d) -> (...) int64."""
        return ((grid.long() + self.sizes // 2) * self.strides).sum(-1)

    def encode(self, z: Tensor) -> Tensor:
        return self._index(self._bound(z).round())

    def lookup(self, codes: Tensor) -> Tensor:
        digits = codes.unsqueeze(-1) // self.strides % self.sizes  # (..., d)
        half = self.sizes // 2
        return self.project_out((digits - half) / half)  # (..., D)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        bounded = self._bound(z)  # (B, N, d)
        grid = bounded.round()
        with torch.autocast(z.device.type, enabled=False):
            vectors = self.project_out(straight_through(bounded, grid) / (self.sizes // 2))
        return Quantized(vectors, self._index(grid), {})

    def vectors_of(self, z: Tensor, codes: Tensor) -> Tensor:
        return self(z).vectors


class FSQ(Quantizer):
    """Finite scalar quantization: round a few bounded dimensions to fixed levels.

    No codebook is learned, so no code can die, and there are no terms of the loss.

    Parameters
    ----------
    levels : sequence of int, default=None
        Number of levels of each grid dimension, each at least 2. The number of codes is
        their product, whatever the tokenizer's ``n_codes`` says. By default ``n_codes``
        is written as a product of numbers between 2 and 8.

    Raises
    ------
    ValueError
        In the tokenizer's ``fit``, if ``n_codes`` has no such product and no levels are
        given.

    Notes
    -----
    Departures from the authors' code: the bounds of a dimension lie 0.0005 outside its
    outermost levels, not inside; where the number of levels is even, a latent of 0 falls
    exactly on a level (atanh where theirs has tan), but where there are two, exactly between
    them: shifted as the others, a dimension of two levels stays on one of them.

    References
    ----------
    F. Mentzer, D. Minnen, E. Agustsson, M. Tschannen, "Finite Scalar Quantization:
    VQ-VAE Made Simple", ICLR 2024, section 3.

    Examples
    --------
    >>> from vqssl.quantizers import FSQ
    >>> FSQ(levels=(8, 5, 5)).build(n_codes=128, code_dim=16).n_codes
    200
    """

    def __init__(self, levels: Sequence[int] | None = None) -> None:
        self.levels = levels

    def check(self, n_codes: int, code_dim: int) -> None:
        if self.levels is None:
            if n_codes < 2 or factor_levels(n_codes) is None:
                raise ValueError(
                    "n_codes must be a product of numbers between 2 and 8 for FSQ without "
                    f"levels; got {n_codes}. Choose another n_codes or give FSQ(levels=...)."
                )
            return
        if isinstance(self.levels, (str, bytes)) or not isinstance(self.levels, Sequence):
            raise TypeError(f"levels must be a sequence of integers; got {self.levels!r}.")
        if not self.levels:
            raise ValueError("levels must have at least one number; got none.")
        for level in self.levels:
            check_count(level, "levels", minimum=2)

    def build(self, n_codes: int, code_dim: int) -> FiniteScalarCodebook:
        levels = factor_levels(n_codes) if self.levels is None else self.levels
        assert levels, "check() was not called"
        return FiniteScalarCodebook(levels, code_dim)
