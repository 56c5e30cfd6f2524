"""Tables of measures of drawn series, beside what real ones score."""

import numpy as np

from vqssl.reports._findings import short
from vqssl.reports._html import Html, measure, table
from vqssl.reports._sets import Sets

# What is measured, what that means, and the names of the figures of drawn and of real series.
_MEASURES = [
    (
        "Frechet distance (FID)",
        "of the means and covariances of features, to test series; lower is better",
        "fid",
        "fid_floor",
    ),
    (
        "the same, after the codes alone",
        "training series, encoded and decoded; no prior gets below",
        "fid_reconstruction",
        "fid_floor",
    ),
    (
        "kernel distance (KID)",
        "of distributions of features; 0 is alike, lower is better",
        "kid",
        "kid_floor",
    ),
    (
        "precision",
        "share of the series that lie among test series; higher is better",
        "precision",
        "precision_floor",
    ),
    (
        "recall",
        "share of test series that lie among them; higher is better",
        "recall",
        "recall_floor",
    ),
    (
        "coverage",
        "share of test series that have one nearby; higher is better",
        "coverage",
        "coverage_floor",
    ),
    (
        "density",
        "how closely they lie where test series lie; about 1 is alike",
        "density",
        "density_floor",
    ),
    (
        "told apart from test series",
        "accuracy of a classifier above one half; 0 is not at all, 0.5 always",
        "discriminative_score",
        "discriminative_floor",
    ),
    (
        "inception score",
        "how sure a classifier is of each and how varied all are; higher is better",
        "inception_score",
        "inception_score_test",
    ),
    (
        "accuracy of what learns from them",
        "of a classifier on test series (CAS); higher is better",
        "classification_accuracy_score",
        "train_real_test_real",
    ),
]


def _measures(found: dict[str, float], sets: Sets) -> Html:
    rows = [
        measure(name, meaning, short(found[of_drawn]), short(found[of_real]))
        for name, meaning, of_drawn, of_real in _MEASURES
        if of_drawn in found and of_real in found
    ]
    rows.append(
        measure(
            "distance to the training series",
            "over that of new real series; 0 would be copies, 1 new ones (memorisation ratio)",
            short(found["memorization_ratio"]),
            short(1.0),
        )
    )
    of_network = sets.train.y is not None and len(np.unique(sets.train.y)) > 1
    where = "a network trained on classes" if of_network else "principal components"
    return table(f"Drawn beside real; features are those of {where}", ["", "drawn", "real"], rows)


def _costs(found: dict[str, float]) -> list[Html]:
    if "nats_per_token" not in found:
        return []
    rows: list[list[object]] = [
        measure(
            "nats per token",
            "what the prior is surprised by; lower is better",
            short(found["nats_per_token"]),
            short(found["nats_per_token_train"]),
        ),
        measure(
            "bits per series",
            f"without a prior {found['uniform_bits_per_series']:,.0f}",
            f"{found['bits_per_series']:,.0f}",
            "",
        ),
    ]
    return [table("What the prior makes of codes", ["", "test", "training"], rows)]


def measure_tables(found: dict[str, float], sets: Sets) -> list[Html]:
    """Tables of the figures that `vqssl.evaluation.evaluate_against` returned."""
    return [_measures(found, sets), *_costs(found)]
