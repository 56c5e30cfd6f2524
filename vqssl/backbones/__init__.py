"""Backbones: the networks around a quantizer."""

from vqssl.backbones._base import Backbone
from vqssl.backbones._conv import ConvBackbone

BACKBONES: dict[str, type[Backbone]] = {"conv": ConvBackbone}

__all__ = ["BACKBONES", "Backbone", "ConvBackbone"]
