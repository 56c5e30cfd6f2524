"""The convolutional backbone for images: a strided convolution, dilated blocks over a grid."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl.backbones._base import token_shape
from vqssl.backbones._residual import ResidualBlock

# Tokens along the rows and along the columns of the grid.
Grid = tuple[int, int]


class GridConv(nn.Conv2d):
    """Convolution over 3 x 3 tokens of a grid, (B, N, W) -> (B, W', rows, columns).

    The image that it works on has "channels last": the tokens as they lie, without a copy.
    """

    def __init__(self, in_width: int, out_width: int, grid: Grid, dilation: Grid = (1, 1)) -> None:
        super().__init__(in_width, out_width, 3, padding=dilation, dilation=dilation)
        self.grid = grid

    def forward(self, h: Tensor) -> Tensor:
        image = h.unflatten(1, self.grid).permute(0, 3, 1, 2)  # (B, W, rows, columns)
        # For few channels or tokens, whose strides could mean either layout.
        image = image.contiguous(memory_format=torch.channels_last)
        return super().forward(image)


class ImageEncoder(nn.Module):
    """Images (B, C, H, W) to latents (B, N, D)."""

    def __init__(
        self,
        n_channels: int,
        code_dim: int,
        compression: int,
        width: int,
        grid: Grid,
        dilations: list[Grid],
    ) -> None:
        super().__init__()
        self.compression = compression
        self.field = 2 * compression + 1
        self.stem = nn.Linear(n_channels * self.field**2, width)
        self.blocks = nn.ModuleList(
            ResidualBlock(width, GridConv(width, width, grid, d)) for d in dilations
        )
        self.head = nn.Linear(width, code_dim)

    def forward(self, x: Tensor) -> Tensor:
        s = self.compression
        before, after = (s + 1) // 2, s - (s + 1) // 2 + 1
        below, right = (-side % s for side in x.shape[2:])
        # A token sees the pixels around its cell of s x s, edges repeated.
        x = F.pad(x, (before, after + right, before, after + below), mode="replicate")
        fields = x.unfold(2, self.field, s).unfold(3, self.field, s)
        fields = fields.permute(0, 2, 3, 1, 4, 5)  # (B, rows, columns, C, 2 s + 1, 2 s + 1)
        h = self.stem(fields.flatten(3).flatten(1, 2).contiguous())  # (B, N, width)
        for block in self.blocks:
            h = block(h)
        return self.head(h)  # (B, N, D)


class ImageDecoder(nn.Module):
    """Vectors (B, N, D) to images (B, C, H, W)."""

    def __init__(
        self,
        n_channels: int,
        size: tuple[int, int],
        code_dim: int,
        compression: int,
        width: int,
        grid: Grid,
        dilations: list[Grid],
    ) -> None:
        super().__init__()
        self.size = size
        self.compression = compression
        self.stem = nn.Linear(code_dim, width)
        self.blocks = nn.ModuleList(
            ResidualBlock(width, GridConv(width, width, grid, d)) for d in dilations
        )
        self.head = GridConv(width, n_channels * compression**2, grid)

    def forward(self, z: Tensor) -> Tensor:
        h = self.stem(z)  # (B, N, width)
        for block in self.blocks:
            h = block(h)
        # Every token writes its own cell of pixels; the kernel of 3 x 3 joins the cells.
        cells = self.head(F.relu(h))  # (B, C s^2, rows, columns)
        height, width = self.size
        return F.pixel_shuffle(cells, self.compression)[:, :, :height, :width].contiguous()


def build_for_images(
    n_channels: int,
    size: tuple[int, int],
    code_dim: int,
    compression: int,
    width: int,
    n_blocks: int,
    n_decoder_blocks: int,
) -> tuple[ImageEncoder, ImageDecoder]:
    """Build encoder and decoder of images of C channels and a size of (H, W)."""
    rows, columns = token_shape(size, compression)
    grid = rows, columns

    def dilation(i: int) -> Grid:
        # What is further than half of a side lies outside for most tokens.
        return min(2**i, max(1, rows // 2)), min(2**i, max(1, columns // 2))

    encoder = ImageEncoder(
        n_channels, code_dim, compression, width, grid, [dilation(i) for i in range(n_blocks)]
    )
    mirrored = [dilation(i) for i in reversed(range(n_decoder_blocks))]
    decoder = ImageDecoder(n_channels, size, code_dim, compression, width, grid, mirrored)
    return encoder, decoder
