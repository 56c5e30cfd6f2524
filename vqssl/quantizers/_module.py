"""Adapter for quantizers written elsewhere."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from vqssl.quantizers._base import Quantized, Quantizer, QuantizerModule


class ForeignCodebook(QuantizerModule):
    """A module returning (quantized, indices, loss) behind our interface."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.n_codes = len(_codebook_of(module))

    def initialise(self, generator: torch.Generator) -> None:
        """Keep the start values that the module came with."""

    @property
    def codebook(self) -> Tensor:
        return _codebook_of(self.module)

    def encode(self, z: Tensor) -> Tensor:
        return self(z).codes

    def lookup(self, codes: Tensor) -> Tensor:
        for name in ("get_output_from_indices", "get_codes_from_indices"):
            if callable(getattr(self.module, name, None)):
                return getattr(self.module, name)(codes)
        return nn.functional.embedding(codes, self.codebook)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        vectors, codes, loss = self.module(z)
        return Quantized(vectors, codes.long(), {"quantizer": loss.sum()})


def _codebook_of(module: nn.Module) -> Tensor:
    codebook: Any = getattr(module, "codebook", None)
    return codebook.weight if isinstance(codebook, nn.Module) else codebook


class ModuleQuantizer(Quantizer):
    """Any torch module that returns ``(quantized, indices, loss)`` as a quantizer.

    Made for the modules of vector-quantize-pytorch and others with its contract. The
    estimator works on a deep copy; the given module is not changed.

    Parameters
    ----------
    module : torch.nn.Module
        Called with latents of shape (B, N, D), it returns quantised latents of the same
        shape, codes (B, N) and a scalar loss, already weighted. It must have a
        ``codebook`` of shape (K, D), which decides the number of codes whatever the
        tokenizer's ``n_codes`` says.

    Raises
    ------
    TypeError
        In the tokenizer's ``fit``, if the module does not keep this contract.
    ValueError
        In the tokenizer's ``fit``, if the shapes it returns do not fit ``code_dim``.

    Notes
    -----
    A module that draws from torch's global generator is outside the reach of
    ``random_state``.

    Examples
    --------
    >>> import torch
    >>> from vqssl.quantizers import ModuleQuantizer
    >>> class Rounding(torch.nn.Module):
    ...     codebook = torch.tensor([[-1.0], [0.0], [1.0]])
    ...
    ...     def forward(self, z):
    ...         grid = z.clamp(-1, 1).round()
    ...         return z + (grid - z).detach(), grid[..., 0].long() + 1, z.new_zeros(())
    >>> ModuleQuantizer(Rounding()).build(n_codes=3, code_dim=1).n_codes
    3
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def check(self, n_codes: int, code_dim: int) -> None:
        if not isinstance(self.module, nn.Module):
            raise TypeError(f"module must be a torch.nn.Module; got {self.module!r}.")
        codebook = _codebook_of(self.module)
        if not isinstance(codebook, Tensor) or codebook.ndim != 2:
            raise TypeError("module must have a codebook of shape (K, D); it has none.")
        with torch.no_grad():
            result = copy.deepcopy(self.module).eval()(torch.zeros(2, 3, code_dim))
        if not isinstance(result, tuple) or len(result) != 3:
            raise TypeError(
                f"module must return (quantized, indices, loss); got {type(result).__name__}."
            )
        shapes = tuple(result[0].shape), tuple(result[1].shape)
        if shapes != ((2, 3, code_dim), (2, 3)):
            raise ValueError(
                f"module must return shapes (B, N, {code_dim}) and (B, N) for latents of "
                f"shape (B, N, {code_dim}); got {shapes[0]} and {shapes[1]} for B=2, N=3."
            )

    def build(self, n_codes: int, code_dim: int) -> ForeignCodebook:
        return ForeignCodebook(copy.deepcopy(self.module))
