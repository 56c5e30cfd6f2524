"""Decoders from the frames of a fitted encoder, for looking at what frames hold."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._base import TorchEstimator
from vqssl.backbones import ConvBackbone
from vqssl.encoders._modules import EncoderModel


class Decoders(nn.Module):
    """A decoder for each layer, from frames (B, N, D) to scaled series (B, C, L).

    Parameters
    ----------
    n_channels, length : int
        C and L.
    code_dim : int
        D.
    compressions : sequence of int
        Time points per frame of each layer.
    """

    def __init__(
        self, n_channels: int, length: int, code_dim: int, compressions: Sequence[int]
    ) -> None:
        super().__init__()
        backbone = ConvBackbone()
        self.of_layer = nn.ModuleList(
            backbone.build(n_channels, length, code_dim, compression)[1]
            for compression in compressions
        )


class Frozen(nn.Module):
    """A fitted model that stays what it is."""

    def __init__(self, model: EncoderModel) -> None:
        super().__init__()
        self.model = model

    def initialise(self, generator: torch.Generator) -> None:
        """Keep the weights."""


class FrameDecoding(nn.Module):
    """Task: mean squared error of scaled series from the frames of each layer, which are given."""

    def __init__(self, decoders: Decoders, encoder: EncoderModel) -> None:
        super().__init__()
        self.decoders = decoders
        self.frozen = Frozen(encoder)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        encoder = self.frozen.model
        with torch.no_grad():
            scaled = encoder.scaler(x)
            layers = encoder.layers(scaled)
        pairs = zip(self.decoders.of_layer, layers, strict=True)
        return {
            f"layer_{i}_reconstruction": F.mse_loss(decoder(layer.mean).float(), scaled)
            for i, (decoder, layer) in enumerate(pairs)
        }


class _DecoderFit(TorchEstimator):
    """The training of decoders: what is kept of it is `model_` and `history_`."""

    checkpoint_dir = None

    def __init__(
        self,
        encoder: EncoderModel,
        code_dim: int,
        *,
        lr: float,
        max_iter: int,
        batch_size: int,
        validation_fraction: float,
        device: Any,
        precision: str,
        callbacks: Any,
        net_params: Any,
        random_state: Any,
        verbose: int,
    ) -> None:
        self.encoder = encoder
        self.code_dim = code_dim
        self.lr = lr
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.device = device
        self.precision = precision
        self.callbacks = callbacks
        self.net_params = net_params
        self.random_state = random_state
        self.verbose = verbose

    def _build(self) -> Decoders:
        n_channels, length = self._series_shape
        return Decoders(n_channels, length, self.code_dim, self.encoder.compressions)

    def _task(self, model: nn.Module, batch_size: int) -> nn.Module:
        assert isinstance(model, Decoders)
        return FrameDecoding(model, self.encoder)
