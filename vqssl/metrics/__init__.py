"""Metrics: arrays in, floats out; numpy, scipy and scikit-learn only."""

from vqssl.metrics._coverage import PRDC, expected_coverage, precision_recall_density_coverage
from vqssl.metrics._discriminative import discriminative_score
from vqssl.metrics._frechet import frechet_distance
from vqssl.metrics._inception import inception_score
from vqssl.metrics._kernel import kernel_distance
from vqssl.metrics._memorization import memorization_ratio

__all__ = [
    "PRDC",
    "discriminative_score",
    "expected_coverage",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "memorization_ratio",
    "precision_recall_density_coverage",
]
