"""Discrete, self-supervised representations and generation of time series."""

from vqssl._data_parallel import data_parallel
from vqssl._load import load
from vqssl._partitions import transform_partitions
from vqssl._show_versions import show_versions
from vqssl._windows import pad_series, sliding_windows
from vqssl.autoencoders import VAE, AutoEncoder
from vqssl.classifiers import FCNClassifier, TokenizerClassifier
from vqssl.encoders import CPCEncoder, GreedyInfoMaxEncoder
from vqssl.generators import AnomalyDetector, AutoregressiveGenerator, MaskGITGenerator
from vqssl.tokenizers import (
    BandVQTokenizer,
    HierarchicalVQTokenizer,
    SSLVQTokenizer,
    VQTokenizer,
)

__version__ = "0.1.0.dev0"

__all__ = [
    "VAE",
    "AnomalyDetector",
    "AutoEncoder",
    "AutoregressiveGenerator",
    "BandVQTokenizer",
    "CPCEncoder",
    "FCNClassifier",
    "GreedyInfoMaxEncoder",
    "HierarchicalVQTokenizer",
    "MaskGITGenerator",
    "SSLVQTokenizer",
    "TokenizerClassifier",
    "VQTokenizer",
    "data_parallel",
    "load",
    "pad_series",
    "show_versions",
    "sliding_windows",
    "transform_partitions",
]
