"""Augmentations in the frequency domain; all channels of a series are treated alike."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from vqssl._seed import integers, uniform
from vqssl._validation import check_count, check_probability, check_weight
from vqssl.augmentations._base import Augmentation


class SpectralMask(Augmentation):
    """Remove a stretch of time and a stretch of frequency from the short-time spectrum.

    SpecAugment [1]_ without its warp: one run of successive frames and one run of
    successive frequencies of the short-time Fourier transform are set to 0.

    Parameters
    ----------
    time : float, default=0.2
        Largest share of the frames that is removed, in [0, 1].
    frequency : float, default=0.2
        Largest share of the frequencies that is removed, in [0, 1].
    n_fft : int, default=16
        Time points in a frame, even and at least 2; frames overlap by half.

    Notes
    -----
    Per series the width of a run is uniform from 0 to the largest number (rounded to
    whole frames or frequencies), and so is its place. Removed values become 0, the mean
    of standardised series. The frames are weighted by sin(pi (i + 1/2) / n_fft) before
    and after the transform: the squares of two overlapping weights sum to one, so what is
    not masked comes back exactly and needs no division, at any length. Beyond its ends
    the series is taken to be 0.

    References
    ----------
    .. [1] D. S. Park et al., "SpecAugment: a simple data augmentation method for automatic
       speech recognition", Interspeech 2019.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import SpectralMask
    >>> x = torch.randn(8, 1, 101, generator=torch.Generator().manual_seed(0))
    >>> unmasked = SpectralMask(time=0.0, frequency=0.0)
    >>> bool(torch.allclose(unmasked(x, torch.Generator()), x, atol=1e-6))
    True
    """

    takes: ClassVar[tuple[str, ...]] = ("series",)
    sees_whole_batch = False

    def __init__(self, time: float = 0.2, frequency: float = 0.2, n_fft: int = 16) -> None:
        self.time = time
        self.frequency = frequency
        self.n_fft = n_fft

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `time` or `frequency` is no number in [0, 1], or `n_fft` no even integer of
            at least 2.
        """
        check_probability(self.time, "time")
        check_probability(self.frequency, "frequency")
        if check_count(self.n_fft, "n_fft", minimum=2) % 2:
            raise ValueError(f"n_fft must be even; got {self.n_fft!r}.")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a view of a batch without a part of its short-time spectrum.

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
        n_series, n_channels, length = x.shape
        half = self.n_fft // 2
        n_blocks = math.ceil(length / half)
        blocks = pad(x, (half, half + n_blocks * half - length))
        blocks = blocks.reshape(n_series, n_channels, n_blocks + 2, half)
        index = torch.arange(self.n_fft, device=x.device, dtype=x.dtype)
        window = torch.sin((index + 0.5) * (math.pi / self.n_fft))
        frames = torch.cat([blocks[:, :, :-1], blocks[:, :, 1:]], 3)  # (B, C, T, n_fft)

        spectrum = torch.fft.rfft(frames * window)  # (B, C, T, F)
        n_frames, n_bins = spectrum.shape[2:]
        n_masked = integers(round(self.time * n_frames) + 1, (n_series, 1), generator, x)
        in_time = random_run(n_frames, n_masked, generator, x)
        n_masked = integers(round(self.frequency * n_bins) + 1, (n_series, 1), generator, x)
        in_frequency = random_run(n_bins, n_masked, generator, x)
        mask = in_time[:, None, :, None] | in_frequency[:, None, None, :]  # (B, 1, T, F)

        frames = torch.fft.irfft(spectrum.masked_fill(mask, 0), n=self.n_fft) * window
        # Each block is the end of one frame plus the start of the next.
        blocks = frames[:, :, :-1, half:] + frames[:, :, 1:, :half]
        return blocks.flatten(2)[:, :, :length]


class BandMask(Augmentation):
    """Remove a random band of frequencies from a series, a band-stop filter [1]_.

    Parameters
    ----------
    width : float, default=0.1
        Share of the frequencies that is removed, in [0, 1].

    Notes
    -----
    The band covers ``round(width * (L // 2))`` successive frequencies of the discrete
    Fourier transform and its place is uniform, one per series. Frequency 0 is no part of
    it, so the mean is kept. Series too short to have a band that narrow (fewer than 12
    points at the default) are not changed.

    References
    ----------
    .. [1] M. N. Mohsenvand, M. R. Izadi and P. Maes, "Contrastive representation learning
       for electroencephalogram classification", ML4H workshop, PMLR 136, 2020.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import BandMask
    >>> x = torch.zeros(1, 1, 40)
    >>> x[..., 0] = 1.0  # an impulse: all 21 frequencies have amplitude 1
    >>> view = BandMask(width=0.25)(x, torch.Generator().manual_seed(0))
    >>> int((torch.fft.rfft(view).abs() < 0.5).sum())
    5
    """

    takes: ClassVar[tuple[str, ...]] = ("series",)
    sees_whole_batch = False

    def __init__(self, width: float = 0.1) -> None:
        self.width = width

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `width` is no number in [0, 1].
        """
        check_probability(self.width, "width")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a view of a batch without a band of frequencies.

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
        n_bins = length // 2
        n_masked = torch.full((n_series, 1), round(self.width * n_bins), device=x.device)
        band = random_run(n_bins, n_masked, generator, x)  # (B, L // 2)
        mask = pad(band, (1, 0)).unsqueeze(1)  # (B, 1, L // 2 + 1), frequency 0 is kept
        return torch.fft.irfft(torch.fft.rfft(x).masked_fill(mask, 0), n=length)


class PhaseNoise(Augmentation):
    """Turn the phase of every frequency of a series by a random angle.

    The amplitude spectrum, and with it the autocorrelation, is kept; the shape is not.
    Phases are perturbed for augmentation in [1]_; with ``max_angle=pi`` the view is the
    phase-randomised surrogate of [2]_.

    Parameters
    ----------
    max_angle : float, default=pi/4
        Largest angle in radians, from 0 to pi; angles are uniform from ``-max_angle`` to
        ``max_angle``.

    Notes
    -----
    One angle per series and frequency, the same in all channels, so phase differences
    between channels are kept. Frequency 0 and, at even lengths, the highest one are real
    and stay as they are: so the mean is kept, and series of one or two points are not
    changed. [1]_ adds Gaussian angles to some of the frequencies; here all are turned.

    References
    ----------
    .. [1] J. Gao et al., "RobustTAD: robust time series anomaly detection via decomposition
       and convolutional neural networks", arXiv:2002.09545, 2020.
    .. [2] J. Theiler et al., "Testing for nonlinearity in time series: the method of
       surrogate data", Physica D 58, 1992.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import PhaseNoise
    >>> x = torch.randn(2, 1, 9, generator=torch.Generator().manual_seed(0))
    >>> view = PhaseNoise()(x, torch.Generator().manual_seed(0))
    >>> before, after = torch.fft.rfft(x).abs(), torch.fft.rfft(view).abs()
    >>> bool(torch.allclose(before, after, atol=1e-5)), bool(torch.allclose(x, view))
    (True, False)
    """

    takes: ClassVar[tuple[str, ...]] = ("series",)
    sees_whole_batch = False

    def __init__(self, max_angle: float = math.pi / 4) -> None:
        self.max_angle = max_angle

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If `max_angle` is no number from 0 to pi.
        """
        if check_weight(self.max_angle, "max_angle") > math.pi:
            raise ValueError(f"max_angle must be at most pi; got {self.max_angle!r}.")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a view of a batch with the same amplitude spectrum.

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
        n_free = (length - 1) // 2  # without frequency 0 and the real one of even lengths
        angle = uniform(
            (n_series, 1, n_free), generator, x, -self.max_angle, self.max_angle
        )  # (B, 1, n_free)
        angle = pad(angle, (1, length // 2 - n_free))  # (B, 1, L // 2 + 1)
        turn = torch.polar(torch.ones_like(angle), angle)
        return torch.fft.irfft(torch.fft.rfft(x) * turn, n=length)


def random_run(n: int, n_chosen: Tensor, generator: torch.Generator, like: Tensor) -> Tensor:
    """Choose a run of neighbours among `n` places, one run per series.

    Parameters
    ----------
    n : int
        Number of places.
    n_chosen : int64 Tensor of shape (B, 1)
        Length of the run, from 0 to `n`.
    generator : torch.Generator
        Source of all random numbers.
    like : Tensor
        Tensor with the device and dtype to draw in.

    Returns
    -------
    chosen : bool Tensor of shape (B, n)
        True in the run, whose start is uniform over the places where it fits.
    """
    start = (uniform(n_chosen.shape, generator, like) * (n - n_chosen + 1)).long()
    place = torch.arange(n, device=like.device) - start  # (B, n)
    return (place >= 0) & (place < n_chosen)
