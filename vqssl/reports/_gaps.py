"""Section about filled gaps: a third of each series taken out, and filled in again."""

from typing import Any

import numpy as np

from vqssl._seed import spawn_seeds
from vqssl.plots import ImputationDisplay
from vqssl.reports._figures import draw
from vqssl.reports._findings import Finding, counted, percent, short
from vqssl.reports._generation_findings import worse_than_interpolation
from vqssl.reports._html import figures, table
from vqssl.reports._page import Section
from vqssl.reports._sets import Sets
from vqssl.reports._subject import Subject
from vqssl.reports._timing import Stopwatch

# Series whose gaps are filled, at most, and how often each.
_FILLED, _DRAWS = 20, 10

# Share of a series that is taken out, in its middle.
_SHARE = 0.3


def gaps_section(subject: Subject, sets: Sets, watch: Stopwatch, seed: int) -> Section | None:
    """Take a part out of series, fill it, and compare with what was there."""
    can_fill = hasattr(subject.generator, "impute")
    # Codes of series that are scaled one by one do not tell level and size.
    if not can_fill or getattr(subject.tokenizer, "scaling", None) == "series":
        return None
    row_seed, draw_seed = spawn_seeds(seed, 2)
    kind, *_, numbers, X, y = sets.shown
    rows = np.sort(np.random.default_rng(row_seed).permutation(len(X))[:_FILLED])
    truth = X[rows].astype(np.float64)
    labels = None if subject.classes is None or y is None else y[rows]
    gap = _middle(X.shape[-1])
    if gap.stop - gap.start == X.shape[-1]:  # nothing would be known
        return None
    given = truth.copy()
    given[..., gap] = np.nan

    def fill() -> Any:
        return subject.generator.impute(given, _DRAWS, y=labels, random_state=draw_seed)

    draws = watch.call(f"impute, {_DRAWS} draws", len(truth), fill)
    draws = np.asarray(draws).reshape(_DRAWS, *truth.shape)
    answers = {
        f"the median of {_DRAWS} draws": np.median(draws, 0)[..., gap],
        "the mean training series": np.broadcast_to(sets.train.X.mean(0), truth.shape)[..., gap],
    }
    if sets.kind == "series":
        answers["a straight line"] = _line(truth, gap)
    errors = {name: _error(answer, truth[..., gap]) for name, answer in answers.items()}
    ours, *others = errors
    best = min(others, key=errors.__getitem__)
    rules: list[Finding | None] = [worse_than_interpolation(errors[ours], errors[best], best)]
    what = "time points" if sets.kind == "series" else "columns"
    lead = (
        f"{percent(_SHARE)} of the {what}, {gap.start} to {gap.stop - 1}, were taken out of "
        f"{counted(len(truth), f'{kind} {sets.noun}')} and filled in again, {_DRAWS} times each."
    )
    band = "Nine of ten answers lie in the band. " if sets.kind == "series" else ""
    picture = draw(
        lambda: ImputationDisplay(given[:2], draws[:, :2], truth[:2], numbers[rows[:2]]).plot(),
        f"Filled gaps of {counted(min(2, len(truth)), f'{kind} {sets.noun}')}; root mean squared "
        f"error of all {len(truth)}: {short(errors[ours])}, of {best} {short(errors[best])}.",
        f"{band}The model was not shown the truth.",
    )
    cells = [[name, short(error)] for name, error in errors.items()]
    content = [table("Filled by", ["", "root mean squared error"], cells), figures(picture)]
    return Section("gaps", "Filled gaps", lead, content, rules)


def _middle(length: int) -> slice:
    """The share that is taken out, of so many points; at least one."""
    width = max(1, round(_SHARE * length))
    start = (length - width) // 2
    return slice(start, start + width)


def _line(truth: np.ndarray, gap: slice) -> np.ndarray:
    """Straight lines between the points beside the gap, (n, C, length of the gap)."""
    time = np.arange(truth.shape[-1])
    known = np.r_[0 : gap.start, gap.stop : len(time)]
    filled = [np.interp(time[gap], known, row[known]) for row in truth.reshape(-1, len(time))]
    return np.reshape(filled, (*truth.shape[:-1], -1))


def _error(answer: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.square(answer - truth).mean()))
