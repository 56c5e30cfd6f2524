"""Cutout (DeVries and Taylor 2017) in one dimension, as an augmentation of one's own."""

import torch
from torch import Tensor

from vqssl.augmentations import Augmentation


class CutOut(Augmentation):
    """Set one window of every series, the same in all of its channels, to the mean.

    Parameters
    ----------
    share : float, default=0.25
        Length of the window over that of the series, in [0, 1].

    References
    ----------
    T. DeVries, G. W. Taylor, "Improved Regularization of Convolutional Neural Networks with
    Cutout", 2017. arXiv:1708.04552.
    """

    takes = ("series",)  # no images

    def __init__(self, share: float = 0.25) -> None:
        self.share = share

    def check(self) -> None:
        """Check the hyperparameters, before anything is trained."""
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be a number in [0, 1]; got {self.share!r}.")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a view of standardised series (B, C, L)."""
        n_series, _, length = x.shape
        width = round(self.share * length)
        shape = (n_series, 1, 1)
        # On the device of the generator, which is that of the training.
        u = torch.rand(shape, generator=generator, device=generator.device).to(x.device)
        first = (u * (length - width + 1)).long()  # (B, 1, 1)
        time = torch.arange(length, device=x.device)  # (L,)
        inside = (time >= first) & (time < first + width)  # (B, 1, L)
        return x.masked_fill(inside, 0.0)  # the mean of standardised series
