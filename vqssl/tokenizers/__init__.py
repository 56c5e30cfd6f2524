"""Tokenizers: series to codes and back."""

from vqssl.tokenizers._bands import BandVQTokenizer
from vqssl.tokenizers._base import BaseTokenizer
from vqssl.tokenizers._hierarchical import HierarchicalVQTokenizer
from vqssl.tokenizers._ssl_vq import SSLVQTokenizer
from vqssl.tokenizers._vq import VQTokenizer

__all__ = [
    "BandVQTokenizer",
    "BaseTokenizer",
    "HierarchicalVQTokenizer",
    "SSLVQTokenizer",
    "VQTokenizer",
]
