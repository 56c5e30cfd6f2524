"""Section about what codes or latents keep of series."""

from typing import Any

import numpy as np

from vqssl.plots import ReconstructionDisplay
from vqssl.reports._baselines import baseline_of
from vqssl.reports._figures import draw
from vqssl.reports._findings import Finding, counted, percent, short
from vqssl.reports._html import figures, measure, table
from vqssl.reports._model_findings import below_baseline, overfitted
from vqssl.reports._page import Section
from vqssl.reports._sets import Sets
from vqssl.reports._subject import Subject
from vqssl.reports._timing import Stopwatch

# Series in the picture.
_SHOWN = 3


def reconstruction_section(
    subject: Subject, sets: Sets, watch: Stopwatch, seed: int
) -> Section | None:
    """Encode and decode series, and hold the result against a linear method."""
    if subject.codec is None:
        return None
    given = {one.name: one.X for one in sets.every}
    back = {name: reconstruct(subject.codec, X, watch) for name, X in given.items()}
    errors = {
        name: np.square(X - back[name], dtype=np.float64).reshape(len(X), -1).mean(1)
        for name, X in given.items()
    }
    kept = {name: variation_kept(X, back[name], sets.train.X) for name, X in given.items()}
    name, *_, numbers, X, _ = sets.shown
    rules: list[Finding | None] = []
    if "test" in errors:
        rules.append(overfitted(errors["training"], errors["test"]))
    what = "codes" if subject.tokenizer is not None else "latent"
    rows: list[list[object]] = [
        measure(
            f"variation that survives the {what}",
            "1 - squared error / squared deviation from the mean; 100% is perfect",
            *map(percent, kept.values()),
        )
    ]
    baseline = baseline_of(subject, sets.train.X, X)
    if baseline is not None:
        share = variation_kept(X, baseline.series, sets.train.X)
        rules.append(below_baseline(kept[name], share, baseline.name, baseline.advice))
        rows.append(
            measure(
                f"the same, {baseline.name}",
                baseline.meaning,
                *["" for _ in list(kept)[1:]],
                percent(share),
            )
        )
    rows.append(
        measure(
            "root mean squared error",
            "in the units of the series",
            *(short(float(np.sqrt(values.mean()))) for values in errors.values()),
        )
    )
    lead = (
        f"Every series is encoded and decoded again. What is missing afterwards, the {what} "
        f"{'do' if what == 'codes' else 'does'} not hold."
    )
    some = np.sort(np.random.default_rng(seed).permutation(len(X))[:_SHOWN])
    picture = draw(
        lambda: ReconstructionDisplay(X[some], back[name][some], numbers[some]).plot(),
        f"{counted(len(some), f'{name} {sets.noun}')} and what is left of them: "
        f"{percent(kept[name])} of the variation of the whole set, root mean squared error "
        f"{short(float(np.sqrt(errors[name].mean())))}.",
        f"Some {name} {sets.kind} and what comes back of them.",
    )
    content = [table("What survives", ["", *(f"{n} set" for n in kept)], rows), figures(picture)]
    key_figures = [(f"variation that survives the {what}", percent(kept[name]))]
    return Section("reconstruction", "Reconstruction", lead, content, rules, key_figures)


def reconstruct(codec: Any, X: np.ndarray, watch: Stopwatch) -> np.ndarray:
    """Return series after encoding and decoding."""
    if hasattr(codec, "reconstruct"):
        back = watch.call("reconstruct", len(X), codec.reconstruct, X)
    else:
        codes = watch.call("encode", len(X), codec.encode, X)
        back = watch.call("decode", len(X), codec.decode, codes)
    return np.asarray(back).reshape(X.shape)


def variation_kept(X: np.ndarray, back: np.ndarray, train: np.ndarray) -> float:
    """1 - squared error / squared deviation from the mean of each channel of training series."""
    mean = train.mean((0, *range(2, train.ndim)), dtype=np.float64, keepdims=True)
    error = np.square(X - back, dtype=np.float64).sum()
    deviation = np.square(X - mean).sum()
    return float(1 - error / deviation) if deviation > 0 else float(error == 0)
