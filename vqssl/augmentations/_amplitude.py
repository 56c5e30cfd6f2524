"""Augmentations of the values of a series, two of them also of an image; points stay in place."""

from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from vqssl._seed import normal
from vqssl._validation import check_count, check_weight
from vqssl.augmentations._base import Augmentation


class GaussianNoise(Augmentation):
    """Add white Gaussian noise, the "jittering" of [1]_.

    Every point or pixel of every channel gets a draw of its own.

    Parameters
    ----------
    sd : float, default=0.05
        Standard deviation of the noise, in units of `x`; at least 0.

    References
    ----------
    .. [1] T. T. Um et al., "Data augmentation of wearable sensor data for Parkinson's
       disease monitoring using convolutional neural networks", ICMI 2017.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import GaussianNoise
    >>> x = torch.zeros(200, 1, 50)
    >>> view = GaussianNoise(sd=0.5)(x, torch.Generator().manual_seed(0))
    >>> round(view.std().item(), 2)
    0.5
    """

    sees_whole_batch = False

    def __init__(self, sd: float = 0.05) -> None:
        self.sd = sd

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `sd` is not a finite number of at least 0.
        """
        check_weight(self.sd, "sd")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a noisy view of a batch.

        Parameters
        ----------
        x : Tensor of shape (B, C, L), or (B, C, H, W)
            Standardised series, or images.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        view : Tensor of the shape of `x`
        """
        return torch.add(x, normal(x.shape, generator, x), alpha=self.sd)


class AmplitudeScale(Augmentation):
    """Multiply a series or an image by a random factor 1 + N(0, sd), the "scaling" of [1]_.

    Parameters
    ----------
    sd : float, default=0.2
        Standard deviation of the factor, without unit; at least 0.

    Notes
    -----
    One factor per series and channel, as in [1]_: the gains of two sensors vary
    independently. The factor is negative, and the channel turned upside down, with the
    probability that a standard normal number lies below -1 / sd: 3e-7 at the default.

    References
    ----------
    .. [1] T. T. Um et al., "Data augmentation of wearable sensor data for Parkinson's
       disease monitoring using convolutional neural networks", ICMI 2017.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import AmplitudeScale
    >>> x = torch.tensor([[[1.0, -2.0, 3.0]]])
    >>> view = AmplitudeScale()(x, torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(view / view[..., :1], x))
    True
    """

    sees_whole_batch = False

    def __init__(self, sd: float = 0.2) -> None:
        self.sd = sd

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `sd` is not a finite number of at least 0.
        """
        check_weight(self.sd, "sd")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a rescaled view of a batch.

        Parameters
        ----------
        x : Tensor of shape (B, C, L), or (B, C, H, W)
            Standardised series, or images.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        view : Tensor of the shape of `x`
        """
        ones = [1] * (x.ndim - 2)
        deviation = normal((*x.shape[:2], *ones), generator, x)  # (B, C, 1), or (B, C, 1, 1)
        return x * (1 + self.sd * deviation)


class Slope(Augmentation):
    """Add a straight line of random slope.

    Parameters
    ----------
    sd : float, default=0.5
        Standard deviation of the rise of the line from the first to the last point, in
        units of `x`; at least 0. The rise has mean 0.

    Notes
    -----
    One line per series and channel. The line is 0 in the middle of the series, so the
    mean of the series is kept. The code published with [1]_ lets it start at 0 and draws
    the rise per time point, which moves the mean and grows with the length. A series of
    one point is not changed.

    References
    ----------
    .. [1] J. V. Mathisen, E. Lokna, D. Lee and E. Aune, "Blending low and high-level
       semantics of time series for better masked time series generation",
       arXiv:2408.16613, 2024.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import Slope
    >>> view = Slope()(torch.zeros(1, 1, 5), torch.Generator().manual_seed(0))
    >>> steps = view.diff()
    >>> bool(torch.allclose(steps, steps[..., :1])), round(view.mean().item(), 6)
    (True, 0.0)
    """

    takes: ClassVar[tuple[str, ...]] = ("series",)
    sees_whole_batch = False

    def __init__(self, sd: float = 0.5) -> None:
        self.sd = sd

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `sd` is not a finite number of at least 0.
        """
        check_weight(self.sd, "sd")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a tilted view of a batch.

        Parameters
        ----------
        x : Tensor of shape (B, C, L)
            Standardised series.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        view : Tensor of shape (B, C, L)
        """
        span = x.shape[2] - 1
        time = torch.arange(span + 1, device=x.device, dtype=x.dtype)
        line = (time - span / 2) / max(span, 1)  # (L,), from -1/2 to 1/2
        rise = normal((*x.shape[:2], 1), generator, x)  # (B, C, 1)
        return torch.addcmul(x, rise, line, value=self.sd)


class MagnitudeWarp(Augmentation):
    """Multiply a series by a smooth random curve around 1 (Um et al. 2017 [1]_).

    The curve is a cubic spline through knots at equal distances. The height of a knot is
    1 + N(0, sd), so the curve is 1 on average over draws.

    Parameters
    ----------
    n_knots : int, default=4
        Number of knots inside the series, at least 1; two more lie at its ends.
    sd : float, default=0.2
        Standard deviation of the height of a knot, without unit; at least 0.

    Notes
    -----
    One curve per series and channel, as in [1]_. The smaller `sd`, the rarer a curve that
    dips below 0 and turns a stretch of the series upside down.

    References
    ----------
    .. [1] T. T. Um et al., "Data augmentation of wearable sensor data for Parkinson's
       disease monitoring using convolutional neural networks", ICMI 2017.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import MagnitudeWarp
    >>> x = torch.ones(1000, 1, 30)
    >>> view = MagnitudeWarp(sd=0.1)(x, torch.Generator().manual_seed(0))
    >>> round(view.mean().item(), 2), round(view[:, :, 0].std().item(), 2)
    (1.0, 0.1)
    """

    takes: ClassVar[tuple[str, ...]] = ("series",)
    sees_whole_batch = False

    def __init__(self, n_knots: int = 4, sd: float = 0.2) -> None:
        self.n_knots = n_knots
        self.sd = sd

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `n_knots` is not an integer of at least 1, or `sd` not a finite number of
            at least 0.
        """
        check_count(self.n_knots, "n_knots")
        check_weight(self.sd, "sd")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a view of a batch with slowly varying amplitude.

        Parameters
        ----------
        x : Tensor of shape (B, C, L)
            Standardised series.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        view : Tensor of shape (B, C, L)
        """
        spline = _spline_matrix(self.n_knots + 2, x.shape[2], x.dtype, x.device)
        heights = normal((*x.shape[:2], self.n_knots + 2), generator, x)  # (B, C, n_knots + 2)
        # A spline through ones is one, so only the deviation from 1 is interpolated.
        return torch.addcmul(x, x, heights @ spline, value=self.sd)


# Solving the spline costs more than all the rest, so its matrix is kept.
@lru_cache(maxsize=64)
def _spline_matrix(n_knots: int, length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Matrix (n_knots, L) that takes heights of knots to the values of their cubic spline.

    The knots lie at equal distances from the first to the last of L points. Computed in
    float64.
    """
    knots = np.linspace(0.0, max(length - 1, 1), n_knots)
    curves = CubicSpline(knots, np.eye(n_knots))(np.arange(length))  # (L, n_knots)
    return torch.from_numpy(curves.T).to(device, dtype).contiguous()
