"""Backbones: the networks around a quantizer, and those over its codes."""

from vqssl.backbones._base import Backbone
from vqssl.backbones._conv import ConvBackbone
from vqssl.backbones._transformer import Cache, PriorBackbone, SequenceModule, TransformerBackbone

BACKBONES: dict[str, type[Backbone]] = {"conv": ConvBackbone}

PRIOR_BACKBONES: dict[str, type[PriorBackbone]] = {"transformer": TransformerBackbone}

__all__ = [
    "BACKBONES",
    "PRIOR_BACKBONES",
    "Backbone",
    "Cache",
    "ConvBackbone",
    "PriorBackbone",
    "SequenceModule",
    "TransformerBackbone",
]
