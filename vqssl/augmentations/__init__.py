"""Augmentations: random views of series and images, of whole batches on their device."""

from vqssl.augmentations._amplitude import AmplitudeScale, GaussianNoise, MagnitudeWarp, Slope
from vqssl.augmentations._base import Augmentation
from vqssl.augmentations._compose import Compose
from vqssl.augmentations._image import Affine, ResizedCrop, Shift
from vqssl.augmentations._spectrum import BandMask, PhaseNoise, SpectralMask
from vqssl.augmentations._time import RandomCrop, SliceAndShuffle, TimeShift, WindowWarp

AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "affine": Affine,
    "amplitude": AmplitudeScale,
    "band_mask": BandMask,
    "crop": RandomCrop,
    "magnitude_warp": MagnitudeWarp,
    "noise": GaussianNoise,
    "phase_noise": PhaseNoise,
    "resized_crop": ResizedCrop,
    "shift": Shift,
    "slice_and_shuffle": SliceAndShuffle,
    "slope": Slope,
    "spectral_mask": SpectralMask,
    "time_shift": TimeShift,
    "window_warp": WindowWarp,
}

__all__ = [
    "AUGMENTATIONS",
    "Affine",
    "AmplitudeScale",
    "Augmentation",
    "BandMask",
    "Compose",
    "GaussianNoise",
    "MagnitudeWarp",
    "PhaseNoise",
    "RandomCrop",
    "ResizedCrop",
    "Shift",
    "SliceAndShuffle",
    "Slope",
    "SpectralMask",
    "TimeShift",
    "WindowWarp",
]
