"""What a backbone is: the encoder and the decoder around a quantizer."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import nn

from vqssl._parts import Part


def count_tokens(length: int, compression: int) -> int:
    """Tokens of a series of `length` points at `compression` points per token, rounded up."""
    return math.ceil(length / compression)


def token_shape(size: Sequence[int], compression: int) -> tuple[int, ...]:
    """Tokens along each axis: (N,) for a size of (L,), (rows, columns) for (H, W)."""
    return tuple(count_tokens(length, compression) for length in size)


class Backbone(Part, ABC):
    """Base class of backbone parts: hyperparameters of an encoder and its decoder."""

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If a hyperparameter is out of range or of the wrong type.
        """

    @abstractmethod
    def build(
        self, n_channels: int, size: int | tuple[int, int], code_dim: int, compression: int
    ) -> tuple[nn.Module, nn.Module]:
        """Return encoder and decoder.

        Parameters
        ----------
        n_channels : int
            C, number of channels of a series or an image.
        size : int or tuple of two int
            L, number of time points; of images (H, W), height and width.
        code_dim : int
            D, dimension of the latents.
        compression : int
            Time points per token; of images, pixels per token along each side.

        Returns
        -------
        encoder : torch.nn.Module
            Maps (B, C, L) to (B, N, D) with N = ceil(L / compression); of images (B, C, H, W)
            with N = ceil(H / compression) ceil(W / compression), row by row.
        decoder : torch.nn.Module
            Maps (B, N, D) to (B, C, L), or to (B, C, H, W).
        """

    def build_for(
        self, shape: Sequence[int], code_dim: int, compression: int
    ) -> tuple[nn.Module, nn.Module]:
        """Return what `build` does, for the shape of a series or an image.

        Parameters
        ----------
        shape : sequence of int
            (C, L) of series, (C, H, W) of images.
        code_dim : int
            D, dimension of the latents.
        compression : int
            Time points per token; of images, pixels per token along each side.

        Returns
        -------
        encoder, decoder : torch.nn.Module
            See `build`.
        """
        n_channels, *size = shape
        if len(size) == 1:
            return self.build(n_channels, size[0], code_dim, compression)
        height, width = size
        return self.build(n_channels, (height, width), code_dim, compression)
