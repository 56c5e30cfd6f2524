"""Section about drawn series: pictures of them, and every measure beside what real series score."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA

from vqssl._seed import spawn_seeds
from vqssl.classifiers import FCNClassifier
from vqssl.evaluation import evaluate_against, real_references
from vqssl.reports._drawing import draw_series
from vqssl.reports._findings import Finding, short
from vqssl.reports._generation_findings import (
    distance_over_floor,
    ignorant_prior,
    low_coverage,
    memorised,
    prior_by_heart,
    worse_teacher,
)
from vqssl.reports._generation_pictures import generation_pictures
from vqssl.reports._generation_tables import measure_tables
from vqssl.reports._html import Html, figures
from vqssl.reports._page import Section
from vqssl.reports._sets import SeriesSet, Sets
from vqssl.reports._subject import Subject, is_prior
from vqssl.reports._timing import Stopwatch

# Series in each set of a distance, at most. Drawing and scoring are what takes longest.
_JUDGED = 250

# Series that an evaluation needs in each set.
_FEWEST = 6

# A network that learns in seconds; features need not be the best, only the same for all.
_NETWORK = FCNClassifier((32, 64, 32), max_iter=200)

# Dimensions of features where there are no classes that a network could learn from.
_COMPONENTS = 16


def generation_section(subject: Subject, sets: Sets, watch: Stopwatch, seed: int) -> Section | None:
    """Draw series and judge them."""
    if subject.generator is None:
        return None
    draw_seed, judge_seed, picture_seed = spawn_seeds(seed, 3)
    drawn = draw_series(subject, sets, watch, draw_seed)
    lead = "New series, drawn from the model."
    rules: list[Finding | None] = []
    content: list[Html] = []
    key_figures: list[tuple[str, str]] = []
    n = min(len(sets.train.X), 0 if sets.test is None else len(sets.test.X), _JUDGED)
    if n < _FEWEST:
        lead += f" To judge them, give X_test with at least {_FEWEST} series."
    else:
        found = judge(subject, sets, judge_seed)
        n = int(found["n_compared"])
        lead += (
            f" They are held against {n:,} test series, and so are {n:,} training series: what "
            "those score is what a perfect generator would."
        )
        rules += _apply_rules(subject, found, n)
        content += measure_tables(found, sets)
        key_figures.append(
            ("Frechet distance, drawn", f"{short(found['fid'])} (real {short(found['fid_floor'])})")
        )
    content.insert(0, figures(*generation_pictures(subject, sets, drawn, picture_seed)))
    return Section("generation", "Drawn series", lead, content, rules, key_figures)


def judge(subject: Subject, sets: Sets, seed: int) -> dict[str, float]:
    """Every figure of `vqssl.evaluation.evaluate_generator`, on few enough series."""
    assert sets.test is not None
    rng = np.random.default_rng(seed)
    (X, y), (X_test, y_test) = (_judged(one, rng) for one in (sets.train, sets.test))
    features = None
    if y is None or len(np.unique(y)) < 2:
        if subject.classes is None:  # else it may be unable to do without
            y = y_test = None
        size = min(_COMPONENTS, len(X) - 1, X[0].size)
        features = PCA(size, svd_solver="full")
    real = real_references(
        *(X, y, X_test, y_test),
        features=features,
        classifier=None if y is None else _NETWORK,
        n_compared=_JUDGED,
        random_state=seed,
    )
    generator = subject.generator if is_prior(subject.generator) else _WithoutClasses(subject)
    return evaluate_against(
        generator, real, n_samples=len(X), all_accuracies=False, random_state=seed
    )


def _judged(one: SeriesSet, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
    """Some series and their classes."""
    rows = np.sort(rng.permutation(len(one.X))[:_JUDGED])
    return one.X[rows], None if one.y is None else one.y[rows]


class _WithoutClasses(BaseEstimator):
    """A generator whose `sample` takes no classes, as one that is asked with None."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def fit(self, X: Any, y: Any = None) -> "_WithoutClasses":
        raise AssertionError("it is fitted")

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def sample(self, n_samples: int, y: None = None, *, random_state: Any = None) -> np.ndarray:
        return self.subject.generator.sample(n_samples, random_state=random_state)


def _apply_rules(subject: Subject, found: dict[str, float], n: int) -> list[Finding | None]:
    rules = [
        distance_over_floor(found["fid"], found["fid_floor"], found.get("fid_reconstruction")),
        low_coverage(found["coverage"], found["coverage_floor"], n),
        memorised(found["memorization_ratio"]),
    ]
    if "classification_accuracy_score" in found:
        scores = found["classification_accuracy_score"], found["train_real_test_real"]
        rules.append(worse_teacher(*scores, n))
    if "nats_per_token" in found:
        nats, uniform = found["nats_per_token"], _uniform(found, subject)
        rules.append(prior_by_heart(found["nats_per_token_train"], nats, uniform))
        if len(getattr(subject.tokenizer, "perplexity_", [])) == 1:
            rules.append(ignorant_prior(nats, subject.tokenizer.perplexity_[0]))
    return rules


def _uniform(found: dict[str, float], subject: Subject) -> float:
    """Nats per token where all codes are alike."""
    nats = found["uniform_bits_per_series"] * np.log(2)
    return float(nats / len(subject.tokenizer.code_sizes_))
