"""Augmentations: random views of series, computed on whole batches on their device."""

from vqssl.augmentations._amplitude import AmplitudeScale, GaussianNoise, MagnitudeWarp, Slope
from vqssl.augmentations._base import Augmentation
from vqssl.augmentations._compose import Compose
from vqssl.augmentations._spectrum import BandMask, PhaseNoise, SpectralMask
from vqssl.augmentations._time import RandomCrop, SliceAndShuffle, TimeShift, WindowWarp

AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "amplitude": AmplitudeScale,
    "band_mask": BandMask,
    "crop": RandomCrop,
    "magnitude_warp": MagnitudeWarp,
    "noise": GaussianNoise,
    "phase_noise": PhaseNoise,
    "slice_and_shuffle": SliceAndShuffle,
    "slope": Slope,
    "spectral_mask": SpectralMask,
    "time_shift": TimeShift,
    "window_warp": WindowWarp,
}

__all__ = [
    "AUGMENTATIONS",
    "AmplitudeScale",
    "Augmentation",
    "BandMask",
    "Compose",
    "GaussianNoise",
    "MagnitudeWarp",
    "PhaseNoise",
    "RandomCrop",
    "SliceAndShuffle",
    "Slope",
    "SpectralMask",
    "TimeShift",
    "WindowWarp",
]
