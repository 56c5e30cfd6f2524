"""What a backbone is: the encoder and the decoder around a quantizer."""

import math
from abc import ABC, abstractmethod

from torch import nn

from vqssl._parts import Part


def count_tokens(length: int, compression: int) -> int:
    """Tokens of a series of `length` points at `compression` points per token, rounded up."""
    return math.ceil(length / compression)


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
        self, n_channels: int, length: int, code_dim: int, compression: int
    ) -> tuple[nn.Module, nn.Module]:
        """Return encoder and decoder.

        Parameters
        ----------
        n_channels : int
            C, number of channels of a series.
        length : int
            L, number of time points.
        code_dim : int
            D, dimension of the latents.
        compression : int
            Time points per token.

        Returns
        -------
        encoder : torch.nn.Module
            Maps (B, C, L) to (B, N, D) with N = ceil(L / compression).
        decoder : torch.nn.Module
            Maps (B, N, D) to (B, C, L).
        """
