"""Generators: priors over the codes of a tokenizer, from which series are drawn."""

from vqssl.generators._anomaly import AnomalyDetector
from vqssl.generators._autoregressive import AutoregressiveGenerator
from vqssl.generators._base import BaseGenerator
from vqssl.generators._codes import CodeSpace, Prior
from vqssl.generators._decoding import Draws, draw_codes
from vqssl.generators._maskgit import MaskGITGenerator

__all__ = [
    "AnomalyDetector",
    "AutoregressiveGenerator",
    "BaseGenerator",
    "CodeSpace",
    "Draws",
    "MaskGITGenerator",
    "Prior",
    "draw_codes",
]
