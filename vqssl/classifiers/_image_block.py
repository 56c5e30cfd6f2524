"""The convolution of the fully convolutional network on images."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl.classifiers._row_norm import RowNorm


class ImageBlock(nn.Module):
    """relu(norm(W * h)) at every pixel, (B, H, W, in) -> (B, H', W', out).

    Parameters
    ----------
    in_width, width : int
        Features of a pixel, before and after.
    kernel_size : int
        Pixels that the convolution sees along each side.
    halving : tuple of two int
        2 for a side that is halved first, by the maximum over pairs of neighbours; else 1.
    """

    def __init__(
        self, in_width: int, width: int, kernel_size: int, halving: tuple[int, int]
    ) -> None:
        super().__init__()
        # No bias: the norm would take it away again.
        self.conv = nn.Conv2d(in_width, width, kernel_size, bias=False)
        self.norm = RowNorm(width)
        self.halving = halving

    def rows(self, h: Tensor) -> Tensor:
        """Convolution before the norm, (B, H, W, in) -> (B H' W', out)."""
        return self._convolve(h).flatten(0, 2)

    def _convolve(self, h: Tensor) -> Tensor:
        image = h.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        if max(self.halving) > 1:
            image = F.max_pool2d(image, self.halving, ceil_mode=True)
        size = self.conv.kernel_size[0]
        before, after = (size - 1) // 2, size // 2
        if before == after:
            image = F.conv2d(image, self.conv.weight, padding=before)
        else:
            image = self.conv(F.pad(image, (before, after, before, after)))
        return image.permute(0, 2, 3, 1)

    def forward(self, h: Tensor) -> Tensor:
        convolved = self._convolve(h)
        rows = F.relu(self.norm(convolved.flatten(0, 2)), inplace=True)
        return rows.view(convolved.shape)
