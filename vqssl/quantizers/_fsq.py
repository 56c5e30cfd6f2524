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

    sizes: Tensor  # (d,) levels per grid dimension
    strides: Tensor  # (d,) weight of each dimension in the code

    def __init__(self, levels: Sequence[int], code_dim: int) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.n_codes = math.prod(levels)
        self.project_in = nn.Linear(code_dim, len(levels))
        self.project_out = nn.Linear(len(levels), code_dim)
        self.register_buffer("sizes", torch.empty(len(levels)))
        self.register_buffer("strides", torch.empty(len(levels)))

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
        """Squash each dimension so that rounding gives its number of levels."""
        half = (self.sizes - 1) * (1 + 1e-3) / 2
        offset = torch.where(self.sizes % 2 == 0, 0.5, 0.0)
        shift = torch.atanh(offset / half)
        return torch.tanh(self.project_in(z) + shift) * half - offset

    def _index(self, grid: Tensor) -> Tensor:
        """Code of rounded grid points, (..., d) -> (...) int64."""
        return ((grid + self.sizes.div(2, rounding_mode="floor")) * self.strides).sum(-1).long()

    def encode(self, z: Tensor) -> Tensor:
        return self._index(self._bound(z).round())

    def lookup(self, codes: Tensor) -> Tensor:
        digits = codes.unsqueeze(-1).div(self.strides, rounding_mode="floor") % self.sizes
        half = self.sizes.div(2, rounding_mode="floor")
        return self.project_out((digits - half) / half)  # (..., D)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        with torch.autocast(z.device.type, enabled=False):
            bounded = self._bound(z.float())  # (B, N, d)
            grid = bounded.round()
            half = self.sizes.div(2, rounding_mode="floor")
            vectors = self.project_out(straight_through(bounded, grid) / half)
        return Quantized(vectors, self._index(grid), {})


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
