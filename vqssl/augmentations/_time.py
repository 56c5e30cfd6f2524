"""Augmentations of the time axis; all channels of a series move together."""

from typing import ClassVar

import torch
from torch import Tensor

from vqssl._seed import integers, uniform
from vqssl._validation import check_count, check_probability, check_weight
from vqssl.augmentations._base import Augmentation


class SliceAndShuffle(Augmentation):
    """Cut a series into segments and put them together in random order.

    The "permutation" of [1]_ with random cut points: the view holds exactly the time
    points of the series, and inside a segment their order is kept.

    Parameters
    ----------
    n_segments : int, default=4
        Number of segments, at least 1. A series of fewer points has one segment per point.

    Notes
    -----
    Cut points and order are drawn per series. The cuts are sorted uniform draws moved
    apart by one point each, so no segment is empty (in the code published with [2]_ equal
    draws make empty ones). All orders are equally likely, the unchanged one included.

    References
    ----------
    .. [1] T. T. Um et al., "Data augmentation of wearable sensor data for Parkinson's
       disease monitoring using convolutional neural networks", ICMI 2017.
    .. [2] J. V. Mathisen, E. Lokna, D. Lee and E. Aune, "Blending low and high-level
       semantics of time series for better masked time series generation",
       arXiv:2408.16613, 2024.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import SliceAndShuffle
    >>> x = torch.arange(10.0).reshape(1, 1, 10)
    >>> SliceAndShuffle(n_segments=3)(x, torch.Generator().manual_seed(2))
    tensor([[[1., 2., 3., 4., 5., 6., 7., 8., 0., 9.]]])
    """

    takes: ClassVar[tuple[str, ...]] = ("series",)
    sees_whole_batch = False

    def __init__(self, n_segments: int = 4) -> None:
        self.n_segments = n_segments

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `n_segments` is not an integer of at least 1.
        """
        check_count(self.n_segments, "n_segments")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a view of a batch with shuffled segments.

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
        n_series, _, length = x.shape
        n_segments = min(self.n_segments, length)
        cuts = integers(length - n_segments + 1, (n_series, n_segments - 1), generator, x)
        spread = torch.arange(1, n_segments, device=x.device)
        zero = cuts.new_zeros(n_series, 1)
        start = torch.cat([zero, cuts.sort(1).values + spread], 1)  # (B, n_segments)
        n_points = torch.cat([start[:, 1:], zero + length], 1) - start

        order = uniform((n_series, n_segments), generator, x).argsort(1)
        n_points = n_points.gather(1, order)
        new_start = n_points.cumsum(1) - n_points
        jump = (start.gather(1, order) - new_start).diff(dim=1, prepend=zero)
        # A running sum of the jumps at the new segment starts costs O(L) per series,
        # however many segments there are.
        offset = cuts.new_zeros(n_series, length).scatter(1, new_start, jump).cumsum(1)
        return take(x, torch.arange(length, device=x.device) + offset)


class WindowWarp(Augmentation):
    """Stretch or compress a random window of a series (Le Guennec et al. 2016 [1]_).

    The window is played at 1 / factor of its speed; the longer or shorter result is
    interpolated linearly back to the length of the series.

    Parameters
    ----------
    window : float, default=0.4
        Share of the series that the window covers, in [0, 1].
    low, high : float, default=0.9, 2.0
        Range of the factor by which the window grows, without unit; 0 < low <= high.
        The factor is uniform between them.

    Notes
    -----
    Window and factor are drawn per series. The first and the last point stay where they
    are. [1]_ draws the factor from {1/2, 2} and rounds windows to whole points; here the
    start and the length of a window are real numbers and one interpolation does it all.

    References
    ----------
    .. [1] A. Le Guennec, S. Malinowski and R. Tavenard, "Data augmentation for time series
       classification using convolutional neural networks", AALTD workshop, ECML/PKDD 2016.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import WindowWarp
    >>> x = torch.arange(6.0).reshape(1, 1, 6)
    >>> view = WindowWarp(low=2.0)(x, torch.Generator().manual_seed(0))
    >>> bool((view.diff() > 0).all()), view[0, 0, 0].item(), round(view[0, 0, -1].item(), 4)
    (True, 0.0, 5.0)
    """

    takes: ClassVar[tuple[str, ...]] = ("series",)
    sees_whole_batch = False

    def __init__(self, window: float = 0.4, low: float = 0.9, high: float = 2.0) -> None:
        self.window = window
        self.low = low
        self.high = high

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `window` is no number in [0, 1], `low` or `high` no finite number above 0,
            or `low` above `high`.
        """
        check_probability(self.window, "window")
        check_weight(self.low, "low", positive=True)
        check_weight(self.high, "high", positive=True)
        _check_order(self.low, self.high)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a view of a batch with a warped window.

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
        n_series, _, length = x.shape
        width = self.window * (length - 1)
        start = uniform((n_series, 1), generator, x, 0.0, length - 1 - width)
        factor = uniform((n_series, 1), generator, x, self.low, self.high)
        time = torch.arange(length, device=x.device, dtype=x.dtype)
        # On the warped axis the window is factor * width long and the whole series
        # 1 + window * (factor - 1) times as long as before.
        warped = time * (1 + self.window * (factor - 1))  # (B, L)
        inside = torch.minimum((warped - start).clamp(min=0), factor * width)
        return interpolate(x, warped - (1 - 1 / factor) * inside)


class RandomCrop(Augmentation):
    """Keep a random part of a series and resize it to the full length.

    The "window slicing" of [1]_, with linear interpolation back to L points.

    Parameters
    ----------
    low, high : float, default=0.6, 1.0
        Range of the share of the series that is kept; 0 < low <= high <= 1. The share is
        uniform between them.

    Notes
    -----
    Share and place are drawn per series. [1]_ slices at whole points with a fixed share
    of 0.9 and does not resize; here a crop may start and end between two points.

    References
    ----------
    .. [1] A. Le Guennec, S. Malinowski and R. Tavenard, "Data augmentation for time series
       classification using convolutional neural networks", AALTD workshop, ECML/PKDD 2016.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import RandomCrop
    >>> x = torch.arange(5.0).reshape(1, 1, 5)
    >>> view = RandomCrop(low=0.5, high=0.5)(x, torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(view.diff(), torch.tensor(0.5)))
    True
    """

    takes: ClassVar[tuple[str, ...]] = ("series",)
    sees_whole_batch = False

    def __init__(self, low: float = 0.6, high: float = 1.0) -> None:
        self.low = low
        self.high = high

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `low` is no number above 0, `high` no number in [0, 1], or `low` above
            `high`.
        """
        check_weight(self.low, "low", positive=True)
        check_probability(self.high, "high")
        _check_order(self.low, self.high)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a cropped and resized view of a batch.

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
        n_series, _, length = x.shape
        share = uniform((n_series, 1), generator, x, self.low, self.high)
        start = uniform((n_series, 1), generator, x) * (1 - share) * (length - 1)
        time = torch.arange(length, device=x.device, dtype=x.dtype)
        return interpolate(x, start + share * time)


class TimeShift(Augmentation):
    """Move a series along the time axis by a random number of points [1]_.

    Parameters
    ----------
    max_shift : float, default=0.1
        Largest shift as a share of the length, in [0, 1]. The shift is a whole number of
        points, uniform from ``-round(max_shift * L)`` to ``round(max_shift * L)``.

    Notes
    -----
    One shift per series. The shift is circular: what leaves at one end enters at the
    other, so the view holds exactly the points of the series. That suits periodic series
    and outlines, whose first point is arbitrary (0.5 then gives every rotation); in other
    series it leaves a step where the two ends meet.

    References
    ----------
    .. [1] M. N. Mohsenvand, M. R. Izadi and P. Maes, "Contrastive representation learning
       for electroencephalogram classification", ML4H workshop, PMLR 136, 2020.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import TimeShift
    >>> x = torch.arange(5.0).reshape(1, 1, 5)
    >>> TimeShift(max_shift=0.5)(x, torch.Generator().manual_seed(3))
    tensor([[[1., 2., 3., 4., 0.]]])
    """

    takes: ClassVar[tuple[str, ...]] = ("series",)
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
        x : Tensor of shape (B, C, L)
            Standardised series.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        view : Tensor of shape (B, C, L)
        """
        n_series, _, length = x.shape
        most = round(self.max_shift * length)
        shift = integers(2 * most + 1, (n_series, 1), generator, x) - most
        return take(x, (torch.arange(length, device=x.device) - shift) % length)


def take(x: Tensor, index: Tensor) -> Tensor:
    """Values of `x` (B, C, L) at the time points `index` (B, L), the same in all channels."""
    return x.gather(2, index.unsqueeze(1).expand(x.shape))


def interpolate(x: Tensor, position: Tensor) -> Tensor:
    """Values of `x` (B, C, L) at real times `position` (B, L), linear between two points."""
    last = x.shape[2] - 1
    # Rounding may carry a position a little over the end.
    position = position.clamp(0, last)
    left = position.long()
    right = (left + 1).clamp(max=last)
    return torch.lerp(take(x, left), take(x, right), (position - left).unsqueeze(1))


def _check_order(low: float, high: float) -> None:
    if low > high:
        raise ValueError(f"low must be at most high; got low={low!r} and high={high!r}.")
