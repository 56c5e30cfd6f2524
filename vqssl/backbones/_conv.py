"""Convolutional backbone: one strided convolution, then dilated residual blocks."""

from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._validation import check_count
from vqssl.backbones._base import Backbone, count_tokens


class ResidualBlock(nn.Module):
    """x + W_2 relu(W_1 * relu(norm(x))), W_1 a dilated convolution over three tokens."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.mix = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.project = nn.Conv1d(width, width, 1)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.project(F.relu(self.mix(F.relu(self.norm(h)))))  # (B, W, N)


class ConvEncoder(nn.Module):
    """Series (B, C, L) to latents (B, N, D)."""

    def __init__(
        self, n_channels: int, code_dim: int, compression: int, width: int, dilations: list[int]
    ) -> None:
        super().__init__()
        self.compression = compression
        self.stem = nn.Conv1d(n_channels, width, 2 * compression + 1, stride=compression)
        self.blocks = nn.ModuleList(ResidualBlock(width, d) for d in dilations)
        self.head = nn.Conv1d(width, code_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        s = self.compression
        short = -x.shape[-1] % s
        # Token n sees the points around its cell [n s, (n + 1) s), edges repeated.
        x = F.pad(x, ((s + 1) // 2, s - (s + 1) // 2 + 1 + short), mode="replicate")
        h = self.stem(x)  # (B, W, N)
        for block in self.blocks:
            h = block(h)
        return self.head(h).transpose(1, 2)  # (B, N, D)


class ConvDecoder(nn.Module):
    """Vectors (B, N, D) to series (B, C, L)."""

    def __init__(
        self,
        n_channels: int,
        length: int,
        code_dim: int,
        compression: int,
        width: int,
        dilations: list[int],
    ) -> None:
        super().__init__()
        self.length = length
        self.n_channels = n_channels
        self.compression = compression
        self.stem = nn.Conv1d(code_dim, width, 1)
        self.blocks = nn.ModuleList(ResidualBlock(width, d) for d in dilations)
        self.head = nn.Conv1d(width, n_channels * compression, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.stem(z.transpose(1, 2))  # (B, W, N)
        for block in self.blocks:
            h = block(h)
        # Every token writes its own cell of points; the kernel of 3 joins the cells.
        cells = self.head(F.relu(h)).unflatten(1, (self.n_channels, self.compression))
        return cells.transpose(2, 3).flatten(2)[..., : self.length]  # (B, C, L)


class ConvBackbone(Backbone):
    """Convolutional encoder and decoder at token rate.

    A single strided convolution brings the series to token rate; residual blocks of
    growing dilation follow there, so their cost falls with the compression. The decoder
    mirrors the encoder with fewer blocks.

    Parameters
    ----------
    width : int, default=64
        Channels of the residual blocks, at least 2.
    n_blocks : int, default=4
        Residual blocks of the encoder; block i has dilation 2**i, up to the number of
        tokens.
    n_decoder_blocks : int, default=2
        Residual blocks of the decoder, the largest dilation first.

    Notes
    -----
    Blocks are pre-activated as in He et al. 2016, normalised per series over channels
    and tokens (one group), since batch statistics would tie the code of a series to its
    neighbours in the batch.

    References
    ----------
    A. van den Oord, O. Vinyals, K. Kavukcuoglu, "Neural Discrete Representation
    Learning", NeurIPS 2017, section 4.1.

    Examples
    --------
    >>> import torch
    >>> from vqssl.backbones import ConvBackbone
    >>> encoder, decoder = ConvBackbone(width=16).build(1, length=50, code_dim=8, compression=4)
    >>> z = encoder(torch.zeros(2, 1, 50))
    >>> tuple(z.shape), tuple(decoder(z).shape)
    ((2, 13, 8), (2, 1, 50))
    """

    def __init__(self, width: int = 64, n_blocks: int = 4, n_decoder_blocks: int = 2) -> None:
        self.width = width
        self.n_blocks = n_blocks
        self.n_decoder_blocks = n_decoder_blocks

    def check(self) -> None:
        # The norm needs two numbers where there is one series of one token.
        check_count(self.width, "width", minimum=2)
        check_count(self.n_blocks, "n_blocks", minimum=0)
        check_count(self.n_decoder_blocks, "n_decoder_blocks", minimum=0)

    def build(
        self, n_channels: int, length: int, code_dim: int, compression: int
    ) -> tuple[ConvEncoder, ConvDecoder]:
        n_tokens = count_tokens(length, compression)
        dilations = [min(2**i, n_tokens) for i in range(self.n_blocks)]
        encoder = ConvEncoder(n_channels, code_dim, compression, self.width, dilations)
        mirrored = [min(2**i, n_tokens) for i in reversed(range(self.n_decoder_blocks))]
        decoder = ConvDecoder(n_channels, length, code_dim, compression, self.width, mirrored)
        return encoder, decoder
