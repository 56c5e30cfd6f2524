"""Section about anomalies: how many series lie below the threshold, and which."""

from typing import Any

import numpy as np

from vqssl.plots import AnomalyDisplay
from vqssl.reports._figures import draw
from vqssl.reports._findings import counted, percent, short
from vqssl.reports._generation_findings import more_anomalies
from vqssl.reports._html import figures, table
from vqssl.reports._page import Section
from vqssl.reports._sets import Sets
from vqssl.reports._subject import Subject
from vqssl.reports._timing import Stopwatch

# Series that are scored in each set, at most; classes in a table.
_SCORED, _CLASSES = 200, 12

# Series in the list of the most unusual ones.
_LISTED = 5


def anomalies_section(subject: Subject, sets: Sets, watch: Stopwatch, seed: int) -> Section | None:
    """Score series and show the most unusual ones."""
    detector = subject.detector
    if detector is None:
        return None
    rng = np.random.default_rng(seed)
    rows: list[list[object]] = []
    for one in sets.every:
        some = np.sort(rng.permutation(len(one.X))[:_SCORED])
        scores = watch.call("score_samples", len(some), detector.score_samples, one.X[some])
        is_below = scores < detector.offset_
        n_below, n = int(is_below.sum()), len(some)
        rows.append([f"{one.name} set", f"{n_below:,} of {n:,}", percent(n_below / n)])
        if one.y is not None:
            rows += _by_class(one.name, is_below, one.y[some])
    # From here on of the last set.
    rules = [] if sets.test is None else [more_anomalies(n_below, n, detector.contamination)]
    content = [table("Taken for anomalies", ["", "series", "share"], rows)]
    if sets.kind == "series" and hasattr(subject.tokenizer, "token_spans_"):
        content.append(figures(_picture(detector, one.X[some], one.name, scores)))
    lowest = np.argsort(scores, kind="stable")[:_LISTED]
    listed = [
        [f"{sets.noun} {one.numbers[some[i]]}", f"{short(float(scores[i]))} nats"] for i in lowest
    ]
    content.append(table(f"Most unusual of the {one.name} set", ["row, from 0", "score"], listed))
    lead = (
        f"Series that score below {short(detector.offset_)} nats are taken for anomalies. The "
        f"threshold was set for {percent(detector.contamination)} of the series that it was set "
        "on. A score is low where codes surprise the prior, or do not give the series back."
    )
    key_figures = [("taken for anomalies", f"{n_below} of {n} {one.name} {sets.kind}")]
    return Section("anomalies", "Anomalies", lead, content, rules, key_figures)


def _by_class(name: str, is_below: np.ndarray, y: np.ndarray) -> list[list[object]]:
    labels, sizes = np.unique(y, return_counts=True)
    largest = labels[np.sort(np.argsort(-sizes, kind="stable")[:_CLASSES])]
    rows: list[list[object]] = []
    for label in largest:
        here = is_below[y == label]
        rows.append(
            [f"{name}, class {label}", f"{here.sum():,} of {len(here):,}", percent(here.mean())]
        )
    return rows


def _picture(detector: Any, X: np.ndarray, name: str, scores: np.ndarray) -> Any:
    n_below = int((scores < detector.offset_).sum())
    return draw(
        lambda: AnomalyDisplay.from_estimator(detector, X),
        f"Scores of {counted(len(X), f'{name} series')}, {n_below} below the threshold of "
        f"{short(detector.offset_)} nats; the lowest is {short(float(scores.min()))} nats.",
        f"Scores of {counted(len(X), 'series')}, by which they are numbered here, and the two most "
        "unusual ones, coloured by how surprising the code of each piece is.",
    )
