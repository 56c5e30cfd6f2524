"""Classifiers of series, whose features also measure what a generator draws."""

from vqssl.classifiers._fcn import FCNClassifier

__all__ = ["FCNClassifier"]
