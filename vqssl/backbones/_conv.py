"""Convolutional backbone: one strided convolution, then dilated residual blocks."""

from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._validation import check_count
from vqssl.backbones._base import Backbone, count_tokens
from vqssl.backbones._conv2d import build_for_images
from vqssl.backbones._residual import ResidualBlock, as_tokens


def as_image(h: Tensor) -> Tensor:
    """Tokens (B, N, W) as images of one row (B, W, 1, N), without a copy."""
    return h.transpose(1, 2).unsqueeze(2)


class TokenConv(nn.Conv1d):
    """Convolution over three tokens of a series, (B, N, W) -> (B, W', 1, N).

    conv2d knows "channels last", where the channels of a token are neighbours in memory;
    conv1d does not. oneDNN convolves that layout about twice as fast, and linear layers and
    quantizers take it as it is.
    """

    def __init__(self, in_width: int, out_width: int, dilation: int = 1) -> None:
        super().__init__(in_width, out_width, 3, dilation=dilation)

    def forward(self, h: Tensor) -> Tensor:
        weight = self.weight.unsqueeze(2)  # (W', W, 1, 3)
        (reach,) = self.dilation
        return F.conv2d(as_image(h), weight, self.bias, 1, (0, reach), (1, reach))


class ConvEncoder(nn.Module):
    """Series (B, C, L) to latents (B, N, D)."""

    def __init__(
        self, n_channels: int, code_dim: int, compression: int, width: int, dilations: list[int]
    ) -> None:
        super().__init__()
        self.compression = compression
        self.field = 2 * compression + 1
        self.stem = nn.Linear(n_channels * self.field, width)
        self.blocks = nn.ModuleList(
            ResidualBlock(width, TokenConv(width, width, d)) for d in dilations
        )
        self.head = nn.Linear(width, code_dim)

    def forward(self, x: Tensor) -> Tensor:
        s = self.compression
        short = -x.shape[-1] % s
        # Token n sees the points around its cell [n s, (n + 1) s), edges repeated.
        x = F.pad(x, ((s + 1) // 2, s - (s + 1) // 2 + 1 + short), mode="replicate")
        fields = x.unfold(2, self.field, s).transpose(1, 2)  # (B, N, C, 2 s + 1)
        # A copy: fields overlap in memory, and products of such matrices are made one by one.
        h = self.stem(fields.flatten(2).contiguous())  # (B, N, W)
        for block in self.blocks:
            h = block(h)
        return self.head(h)  # (B, N, D)


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
        self.stem = nn.Linear(code_dim, width)
        self.blocks = nn.ModuleList(
            ResidualBlock(width, TokenConv(width, width, d)) for d in dilations
        )
        self.head = TokenConv(width, n_channels * compression)

    def forward(self, z: Tensor) -> Tensor:
        h = self.stem(z)  # (B, N, W)
        for block in self.blocks:
            h = block(h)
        # Every token writes its own cell of points; the kernel of 3 joins the cells.
        cells = as_tokens(self.head(F.relu(h))).unflatten(2, (self.n_channels, self.compression))
        return cells.transpose(1, 2).flatten(2)[..., : self.length]  # (B, C, L)


class ConvBackbone(Backbone):
    """Convolutional encoder and decoder at token rate.

    A single strided convolution brings the series to token rate; residual blocks of
    growing dilation follow there, so their cost falls with the compression. The decoder
    mirrors the encoder with fewer blocks. For images the convolutions are two-dimensional.

    Parameters
    ----------
    width : int, default=64
        Channels of the residual blocks, at least 2.
    n_blocks : int, default=4
        Residual blocks of the encoder; block i has dilation 2**i, up to the number of
        tokens, of images along each side up to half of it.
    n_decoder_blocks : int, default=2
        Residual blocks of the decoder, the largest dilation first.

    Notes
    -----
    Blocks are pre-activated as in He et al. 2016, normalised per series over channels
    and tokens (one group), since batch statistics would tie the code of a series to its
    neighbours in the batch. Tokens of images lie row by row.

    References
    ----------
    A. van den Oord, O. Vinyals, K. Kavukcuoglu, "Neural Discrete Representation
    Learning", NeurIPS 2017, section 4.1.

    Examples
    --------
    >>> import torch
    >>> from vqssl.backbones import ConvBackbone
    >>> encoder, decoder = ConvBackbone(width=16).build(1, size=50, code_dim=8, compression=4)
    >>> z = encoder(torch.zeros(2, 1, 50))
    >>> tuple(z.shape), tuple(decoder(z).shape)
    ((2, 13, 8), (2, 1, 50))

    Of images, a token stands for a square of pixels.

    >>> encoder, decoder = ConvBackbone(width=16).build(3, (12, 9), code_dim=8, compression=4)
    >>> z = encoder(torch.zeros(2, 3, 12, 9))
    >>> tuple(z.shape), tuple(decoder(z).shape)
    ((2, 9, 8), (2, 3, 12, 9))
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
        self, n_channels: int, size: int | tuple[int, int], code_dim: int, compression: int
    ) -> tuple[nn.Module, nn.Module]:
        if isinstance(size, tuple):
            return build_for_images(
                n_channels,
                size,
                code_dim,
                compression,
                self.width,
                self.n_blocks,
                self.n_decoder_blocks,
            )
        n_tokens = count_tokens(size, compression)
        dilations = [min(2**i, n_tokens) for i in range(self.n_blocks)]
        encoder = ConvEncoder(n_channels, code_dim, compression, self.width, dilations)
        mirrored = [min(2**i, n_tokens) for i in reversed(range(self.n_decoder_blocks))]
        decoder = ConvDecoder(n_channels, size, code_dim, compression, self.width, mirrored)
        return encoder, decoder
