"""What a quantizer is: continuous latents in, vectors of a finite codebook out."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._parts import Part
from vqssl._seed import normal, places
from vqssl._share import current_share, of_whole, sharing

# Largest table of products, in numbers, that nearest_codes holds at one time: what stays in the
# cache of a CPU core until it is read again (1 MB), and 64 MB elsewhere.
_CPU_TABLE = 2**18
_TABLE = 2**24


class Quantized(NamedTuple):
    """What a quantizer makes of latents: vectors, codes and terms of the loss."""

    vectors: Tensor  # (B, N, D), straight-through gradient to the latents
    codes: Tensor  # (B, N) int64
    terms: dict[str, Tensor]  # weighted scalars


class QuantizerModule(nn.Module, ABC):
    """Base class of the torch modules that quantizer parts build."""

    sees_whole_batch: bool = True
    """Whether `forward` gets the latents of all processes that divide a batch, on each of them.

    A module that does not has to add up by itself what it learns from them.
    """

    n_codes: int
    """K, number of entries of the codebook."""

    @property
    @abstractmethod
    def codebook(self) -> Tensor:
        """All vectors, shape (K, D)."""

    @abstractmethod
    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantise latents of shape (B, N, D); in training mode, learn from them."""

    def encode(self, z: Tensor) -> Tensor:
        """Return the codes of latents, (B, N, D) -> (B, N) int64."""
        return nearest_codes(z, self.codebook)

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the vectors of codes, (B, N) -> (B, N, D)."""
        return F.embedding(codes, self.codebook)

    def vectors_of(self, z: Tensor, codes: Tensor) -> Tensor:
        """Return the vectors of latents whose codes are known, (B, N, D), and learn nothing.

        Their gradient is that of `forward`: by default what arrives at the vectors goes to the
        latents as it is. A module that maps latents on the way to vectors overrides this.
        """
        return straight_through(z, self.lookup(codes))

    def start(self, z: Tensor, generator: torch.Generator) -> None:
        """Place the codebook on encoder outputs of shape (n, D) before training."""


class Quantizer(Part, ABC):
    """Base class of quantizer parts: hyperparameters of a codebook and of its learning."""

    def check(self, n_codes: int, code_dim: int) -> None:
        """Check the hyperparameters; called before any training starts.

        Parameters
        ----------
        n_codes : int
            K, number of codes the tokenizer asks for.
        code_dim : int
            D, dimension of the latents.

        Raises
        ------
        ValueError, TypeError
            If a hyperparameter is out of range or of the wrong type.
        """

    @abstractmethod
    def build(self, n_codes: int, code_dim: int) -> QuantizerModule:
        """Return the module that quantises latents.

        Parameters
        ----------
        n_codes : int
            K, number of codes the tokenizer asks for.
        code_dim : int
            D, dimension of the latents.

        Returns
        -------
        module : QuantizerModule
        """


def quantize(quantizer: QuantizerModule, z: Tensor, generator: torch.Generator | None) -> Quantized:
    """Quantise latents (B, N, D), which may be those of one of several processes."""
    share = current_share()
    if share is None or not quantizer.sees_whole_batch:
        return quantizer(z, generator)
    with sharing(None):
        found = quantizer(share.gather(z), generator)
    return Quantized(share.cut(found.vectors), share.cut(found.codes), found.terms)


def encode(quantizer: QuantizerModule, z: Tensor) -> Tensor:
    """Codes (B, N) of latents in training, which may be those of one of several processes."""
    return of_whole(quantizer.encode, z) if quantizer.sees_whole_batch else quantizer.encode(z)


def nearest_codes(z: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest codebook vector, argmin_j ||z - e_j||_2.

    The squared distance is |z|^2 - 2 z.e + |e|^2, so the nearest vector has the largest
    z.e - |e|^2 / 2: one matrix product, no (n, K, D) tensor. Always in float32, since
    lower precision flips codes.

    Parameters
    ----------
    z : Tensor of shape (..., D)
    codebook : Tensor of shape (K, D)

    Returns
    -------
    codes : Tensor of shape (...), int64
    """
    with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
        flat = z.reshape(-1, z.shape[-1]).float()  # (n, D)
        keys = codebook.float()
        on_cpu = z.device.type == "cpu"
        parts = flat.split(max(1, (_CPU_TABLE if on_cpu else _TABLE) // len(keys)))
        offset = (-0.5 * keys.square().sum(1)).unsqueeze(1)  # (K, 1)
        largest = _largest_on_cpu if on_cpu else _largest
        codes = [largest(torch.addmm(offset, keys, part.T)) for part in parts]
        return torch.cat(codes).view(z.shape[:-1])


def _largest(table: Tensor) -> Tensor:
    """Row of the largest number in each column, (K, n) -> (n,)."""
    return table.max(0).indices


def _largest_on_cpu(table: Tensor) -> Tensor:
    """Row of the largest number in each column, (K, n) -> (n,).

    Pooling an image of K rows and one column with n channels: torch's pooling is vectorised
    over channels, its max and argmax on the CPU are not, and take four times as long.
    """
    image = table[None, :, None].permute(0, 3, 1, 2)  # (1, n, K, 1), channels last
    return F.max_pool2d(image, (len(table), 1), return_indices=True)[1].flatten()


class _StraightThrough(torch.autograd.Function):
    """Written out: z + (vectors - z).detach() takes two passes, and rounds the vectors."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, vectors: Tensor) -> Tensor:
        return vectors.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(z: Tensor, vectors: Tensor) -> Tensor:
    """Value of `vectors`, gradient of `z`; both (B, N, D)."""
    return _StraightThrough.apply(z, vectors)


def draw_rows(z: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw `n` of the latents (m, D), all different where there are enough of them.

    Where there are not (n > m), rows repeat and get noise of a hundredth of the
    latents' deviation, so that equal vectors can part.
    """
    if n <= len(z):
        order = torch.randperm(len(z), generator=generator, device=generator.device)
        return z[order[:n].to(z.device)].clone()
    rows = z[places(len(z), n, generator, z)]
    spread = (z - z.mean(0)).square().mean().sqrt()
    return rows + 0.01 * (spread + 1e-3) * normal(rows.shape, generator, rows)
