"""Evaluation: estimators in, figures out; and a page of them, `report`."""

from typing import TYPE_CHECKING, Any

from vqssl.evaluation._classification import classification_accuracy_score
from vqssl.evaluation._drift import drift_report
from vqssl.evaluation._generator import evaluate_against, evaluate_generator
from vqssl.evaluation._rate_distortion import rate_distortion
from vqssl.evaluation._references import RealReferences, real_references

if TYPE_CHECKING:
    from vqssl.reports import report

__all__ = [
    "RealReferences",
    "classification_accuracy_score",
    "drift_report",
    "evaluate_against",
    "evaluate_generator",
    "rate_distortion",
    "real_references",
    "report",
]


def __getattr__(name: str) -> Any:
    # When it is asked for: reports are made of evaluations, and of plots, which import this.
    if name == "report":
        from vqssl.reports import report

        return report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
