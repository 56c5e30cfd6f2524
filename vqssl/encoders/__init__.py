"""Encoders that learn by telling their own future from other frames: series to features."""

from vqssl.encoders._base import BaseEncoder
from vqssl.encoders._cpc import CPCEncoder
from vqssl.encoders._gim import GreedyInfoMaxEncoder

__all__ = ["BaseEncoder", "CPCEncoder", "GreedyInfoMaxEncoder"]
