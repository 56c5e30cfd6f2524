"""Classifiers of series, whose features also measure what a generator draws."""

from vqssl.classifiers._base import BaseClassifier
from vqssl.classifiers._fcn import FCNClassifier
from vqssl.classifiers._fine_tuned import TokenizerClassifier

__all__ = ["BaseClassifier", "FCNClassifier", "TokenizerClassifier"]
