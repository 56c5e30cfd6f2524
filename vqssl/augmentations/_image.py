"""Augmentations of images by moving their pixels; all channels of an image move together."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from vqssl._seed import uniform
from vqssl._validation import check_probability, check_weight
from vqssl.augmentations._base import Augmentation


class Shift(Augmentation):
    """Move an image by a random distance along each side.

    Parameters
    ----------
    max_shift : float, default=0.1
        Largest shift as a share of the side, in [0, 1]. The shift is uniform from
        ``-max_shift`` to ``max_shift`` of the height and, drawn by itself, of the width.

    Notes
    -----
    One shift per image, a real number of pixels; values between pixels are interpolated
    linearly. What comes in at the border repeats the outermost row or column.

    References
    ----------
    P. Y. Simard, D. Steinkraus, J. C. Platt, "Best practices for convolutional neural networks
    applied to visual document analysis", ICDAR 2003, section 2.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import Shift
    >>> x = torch.zeros(1, 1, 9, 9)
    >>> x[..., 4, 4] = 1.0
    >>> view = Shift()(x, torch.Generator().manual_seed(0))
    >>> round(view.sum().item(), 4), bool(torch.allclose(view, x))
    (1.0, False)
    """

    takes: ClassVar[tuple[str, ...]] = ("images",)
    sees_whole_batch = False

    def __init__(self, max_shift: float = 0.1) -> None:
        self.max_shift = max_shift

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `max_shift` is no number in [0, 1].
        """
        check_probability(self.max_shift, "max_shift")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a shifted view of a batch.

        Parameters
        ----------
        x : Tensor of shape (B, C, H, W)
            Standardised images.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        view : Tensor of shape (B, C, H, W)
        """
        shift = uniform((len(x), 2), generator, x, -self.max_shift, self.max_shift)
        unchanged = torch.eye(2, device=x.device, dtype=x.dtype).expand(len(x), 2, 2)
        return resample(x, unchanged, shift)


class ResizedCrop(Augmentation):
    """Keep a random part of an image and resize it to the full size (Szegedy et al. 2015 [1]_).

    Parameters
    ----------
    low, high : float, default=0.7, 1.0
        Range of the share of each side that is kept; 0 < low <= high <= 1. The share is uniform
        between them, the same for both sides.

    Notes
    -----
    Share and place are drawn per image; values between pixels are interpolated linearly. [1]_
    draws the share of the area, from .08 on, and an aspect ratio: for photographs, of which a
    part shows what the whole does.

    References
    ----------
    .. [1] C. Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import ResizedCrop
    >>> x = torch.arange(8.0).expand(1, 1, 8, 8)
    >>> view = ResizedCrop(low=0.5, high=0.5)(x, torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(view[..., 1:-1].diff(), torch.tensor(0.5)))
    True
    """

    takes: ClassVar[tuple[str, ...]] = ("images",)
    sees_whole_batch = False

    def __init__(self, low: float = 0.7, high: float = 1.0) -> None:
        self.low = low
        self.high = high

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `low` is no number above 0, `high` no number in [0, 1], or `low` above `high`.
        """
        check_weight(self.low, "low", positive=True)
        check_probability(self.high, "high")
        if self.low > self.high:
            raise ValueError(
                f"low must be at most high; got low={self.low!r} and high={self.high!r}."
            )

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a cropped and resized view of a batch.

        Parameters
        ----------
        x : Tensor of shape (B, C, H, W)
            Standardised images.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        view : Tensor of shape (B, C, H, W)
        """
        share = uniform((len(x), 1), generator, x, self.low, self.high)
        place = uniform((len(x), 2), generator, x, -0.5, 0.5) * (1 - share)
        return resample(x, torch.diag_embed(share.expand(-1, 2)), place)


class Affine(Augmentation):
    """Turn, scale and shear an image a little about its centre.

    Parameters
    ----------
    max_angle : float, default=pi / 12
        Largest angle of rotation either way, in radians from 0 to pi; uniform.
    scale : float, default=0.1
        Largest change of size, at least 0: the factor is uniform on a logarithmic scale from
        1 / (1 + scale) to 1 + scale, drawn by itself for either side.
    shear : float, default=0.1
        Largest shift of a row per row from the centre, in columns, at least 0; uniform either
        way.

    Notes
    -----
    One draw per image. Values between pixels are interpolated linearly; what comes in at the
    border repeats the outermost pixels.

    References
    ----------
    P. Y. Simard, D. Steinkraus, J. C. Platt, "Best practices for convolutional neural networks
    applied to visual document analysis", ICDAR 2003, section 2.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import Affine
    >>> x = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    >>> view = Affine()(x, torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(view[..., 4, 4], x[..., 4, 4], atol=1e-6))  # the centre stays
    True
    """

    takes: ClassVar[tuple[str, ...]] = ("images",)
    sees_whole_batch = False

    def __init__(
        self, max_angle: float = math.pi / 12, scale: float = 0.1, shear: float = 0.1
    ) -> None:
        self.max_angle = max_angle
        self.scale = scale
        self.shear = shear

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `max_angle` is no number from 0 to pi, or `scale` or `shear` no finite number of
            at least 0.
        """
        if check_weight(self.max_angle, "max_angle") > math.pi:
            raise ValueError(f"max_angle must be at most pi; got {self.max_angle!r}.")
        check_weight(self.scale, "scale")
        check_weight(self.shear, "shear")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a turned, scaled and sheared view of a batch.

        Parameters
        ----------
        x : Tensor of shape (B, C, H, W)
            Standardised images.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        view : Tensor of shape (B, C, H, W)
        """
        n = len(x)
        angle = uniform((n,), generator, x, -self.max_angle, self.max_angle)
        limit = math.log1p(self.scale)
        size = torch.diag_embed(uniform((n, 2), generator, x, -limit, limit).exp())  # (B, 2, 2)
        slant = torch.eye(2, device=x.device, dtype=x.dtype).repeat(n, 1, 1)
        slant[:, 1, 0] = uniform((n,), generator, x, -self.shear, self.shear)
        return resample(x, rotation_matrix(angle) @ slant @ size, x.new_zeros(n, 2))


def rotation_matrix(angle: Tensor) -> Tensor:
    """Rotations of (row, column) by angles (B,), (B, 2, 2)."""
    sine, cosine = angle.sin(), angle.cos()
    return torch.stack([cosine, -sine, sine, cosine], 1).unflatten(1, (2, 2))


def resample(x: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """Images whose pixel at p shows what lies at ``matrix @ p + shift``, linear between pixels.

    Parameters
    ----------
    x : Tensor of shape (B, C, H, W)
    matrix : Tensor of shape (B, 2, 2)
        Of (row, column) from the centre of the image, in pixels.
    shift : Tensor of shape (B, 2)
        As shares of height and width.

    Returns
    -------
    view : Tensor of shape (B, C, H, W)
        Beyond its border an image repeats its outermost pixels.
    """
    height, width = x.shape[2:]
    # torch's coordinates are (column, row), from -1 to 1 along each side.
    sides = torch.tensor([width, height], device=x.device, dtype=x.dtype)
    swapped = matrix.flip(1, 2) * (sides / sides.unsqueeze(1))
    theta = torch.cat([swapped, 2 * shift.flip(1).unsqueeze(2)], 2)  # (B, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, "bilinear", "border", align_corners=False)
