"""Adapter for quantizers written elsewhere."""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from vqssl.quantizers._base import Quantized, Quantizer, QuantizerModule, straight_through

# Methods that return the vectors of codes, by preference; some return them before a
# projection back to D, so the one that is sure to include it comes first.
_LOOKUPS = ("get_output_from_indices", "indices_to_codes", "get_codes_from_indices")


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
        # By look-up, since the module may keep its codebook in fewer dimensions.
        return self.lookup(torch.arange(self.n_codes, device=_codebook_of(self.module).device))

    def encode(self, z: Tensor) -> Tensor:
        with self._learning_nothing():
            _, codes, _ = self.module(z)
        return codes.long()

    def vectors_of(self, z: Tensor, codes: Tensor) -> Tensor:
        with self._learning_nothing():
            vectors, _, _ = self.module(z)
        # Not all modules pass gradients on outside of training.
        return vectors if vectors.requires_grad else straight_through(z, vectors)

    @contextlib.contextmanager
    def _learning_nothing(self) -> Iterator[None]:
        """A module may move its codebook in every call in training."""
        was_training = self.module.training
        self.module.eval()
        try:
            yield
        finally:
            self.module.train(was_training)

    def lookup(self, codes: Tensor) -> Tensor:
        for name in _LOOKUPS:
            method: Any = getattr(self.module, name, None)
            if callable(method):
                return method(codes)
        return nn.functional.embedding(codes, _codebook_of(self.module))

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        vectors, codes, loss = self.module(z)
        return Quantized(vectors, codes.long(), {"quantizer": loss.sum()})


def _codebook_of(module: nn.Module) -> Any:
    codebook: Any = getattr(module, "codebook", None)
    return getattr(codebook, "weight", None) if isinstance(codebook, nn.Module) else codebook


class ModuleQuantizer(Quantizer):
    """Any torch module that returns ``(quantized, indices, loss)`` as a quantizer.

    Made for the modules of vector-quantize-pytorch and others with its contract. The
    estimator works on a deep copy; the given module is not changed.

    Parameters
    ----------
    module : torch.nn.Module
        Called with latents of shape (B, N, D), it returns quantised latents of the same
        shape, codes (B, N) and a scalar loss, already weighted. It must have a
        ``codebook`` of K rows, which decides the number of codes whatever the
        tokenizer's ``n_codes`` says. The vectors of codes are what its method
        ``get_output_from_indices`` or ``indices_to_codes`` returns, else those rows.

    Raises
    ------
    TypeError
        In the tokenizer's ``fit``, if the module does not keep this contract.
    ValueError
        In the tokenizer's ``fit``, if the module does not take or return vectors of
        ``code_dim`` numbers, or returns others than those of its codes.

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
            raise TypeError(
                f"{type(self.module).__name__} must have a codebook of shape (K, D); it has none."
            )
        quantizer = self.build(n_codes, code_dim).eval()
        z = torch.linspace(-1, 1, 6 * code_dim).view(2, 3, code_dim)
        try:
            with torch.no_grad():
                result = quantizer.module(z)
        except Exception as error:
            raise ValueError(
                f"module must accept latents of shape (B, N, {code_dim}), with D from code_dim; "
                f"it raised {type(error).__name__}: {error}"
            ) from error
        kinds = [type(item).__name__ for item in result] if isinstance(result, tuple) else []
        if len(kinds) != 3 or not all(isinstance(item, Tensor) for item in result):
            got = f"({', '.join(kinds)})" if kinds else type(result).__name__
            raise TypeError(f"module must return tensors (quantized, indices, loss); got {got}.")
        vectors, codes, _ = result
        shapes = tuple(vectors.shape), tuple(codes.shape)
        if shapes != ((2, 3, code_dim), (2, 3)):
            raise ValueError(
                f"module must return shapes (B, N, {code_dim}) and (B, N) for latents of "
                f"shape (B, N, {code_dim}); got {shapes[0]} and {shapes[1]} for B=2, N=3."
            )
        if codes.is_floating_point() or codes.min() < 0 or codes.max() >= quantizer.n_codes:
            raise ValueError(
                f"module must return indices in [0, {quantizer.n_codes}), the rows of its "
                f"codebook; got {codes.flatten().tolist()}."
            )
        with torch.no_grad():
            looked_up = quantizer.lookup(codes.long())
        if looked_up.shape != vectors.shape or not torch.allclose(looked_up, vectors, atol=1e-5):
            raise ValueError(
                "module must return the vectors that its indices stand for. If they are not rows "
                "of its codebook, give it a method get_output_from_indices."
            )

    def build(self, n_codes: int, code_dim: int) -> ForeignCodebook:
        return ForeignCodebook(copy.deepcopy(self.module))
