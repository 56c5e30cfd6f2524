"""Evaluation: estimators in, figures out."""

from vqssl.evaluation._classification import classification_accuracy_score
from vqssl.evaluation._generator import evaluate_against, evaluate_generator
from vqssl.evaluation._rate_distortion import rate_distortion
from vqssl.evaluation._references import RealReferences, real_references

__all__ = [
    "RealReferences",
    "classification_accuracy_score",
    "evaluate_against",
    "evaluate_generator",
    "rate_distortion",
    "real_references",
]
