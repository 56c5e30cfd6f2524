"""Quantizers: from continuous latents to codes and back."""

from vqssl.quantizers._base import Quantized, Quantizer, QuantizerModule
from vqssl.quantizers._ema import EMAQuantizer
from vqssl.quantizers._fsq import FSQ
from vqssl.quantizers._gradient import GradientQuantizer
from vqssl.quantizers._module import ModuleQuantizer

QUANTIZERS: dict[str, type[Quantizer]] = {
    "ema": EMAQuantizer,
    "fsq": FSQ,
    "gradient": GradientQuantizer,
}

__all__ = [
    "FSQ",
    "QUANTIZERS",
    "EMAQuantizer",
    "GradientQuantizer",
    "ModuleQuantizer",
    "Quantized",
    "Quantizer",
    "QuantizerModule",
]
