"""Pictures of drawn series."""

from typing import Any

import numpy as np

from vqssl.plots import DecodingDisplay, GenerationDisplay, LatentDisplay
from vqssl.reports._classes import MAP, POINTS, largest_classes
from vqssl.reports._drawing import Drawn
from vqssl.reports._figures import Picture, draw
from vqssl.reports._findings import counted, short
from vqssl.reports._sets import Sets
from vqssl.reports._subject import Subject

# Classes in a picture of drawn series, at most.
_PANELS = 4


def generation_pictures(subject: Subject, sets: Sets, drawn: Drawn, seed: int) -> list[Picture]:
    """Drawn series beside real ones, on a map of both, and how one comes about."""
    kind, *_, X, y = sets.shown
    y = None if drawn.y is None else y
    pictures = [_beside(X, y, kind, drawn, seed)]
    if subject.encoder is not None and len(X) > 1:
        pictures.append(_map(subject.encoder, X, y, kind, drawn, seed))
    if hasattr(subject.generator, "sample_steps") and hasattr(subject.tokenizer, "token_spans_"):
        label = None if drawn.y is None else drawn.y[0]
        of_class = "" if label is None else f" of class {label}"
        pictures.append(
            draw(
                lambda: DecodingDisplay.from_estimator(subject.generator, label, random_state=seed),
                f"A series{of_class} of {counted(len(subject.tokenizer.code_sizes_), 'token')}, "
                "from none known to all.",
                f"How a series{of_class} comes about: the codes that are known after each step.",
            )
        )
    return pictures


def _beside(X: np.ndarray, y: np.ndarray | None, kind: str, drawn: Drawn, seed: int) -> Picture:
    real, made = np.full(len(X), True), np.full(len(drawn.X), True)
    labels: tuple[Any, Any] = (None, None)
    of_classes = ""
    if y is not None and drawn.y is not None:
        made = largest_classes(drawn.y, _PANELS)
        real = np.isin(y, drawn.y[made])
        labels = y[real], drawn.y[made]
        n_shown, n_classes = len(np.unique(labels[1])), len(np.unique(y))
        of_classes = f" of {n_shown} of {counted(n_classes, 'class')}"
    gap = np.median(X[real], 0) - np.median(drawn.X[made], 0)
    distance = float(np.sqrt(np.square(gap).mean()))
    band = ": nine of ten values lie in the band" if X.ndim == 3 else ""
    return draw(
        lambda: GenerationDisplay.from_predictions(
            X[real], drawn.X[made], *labels, random_state=seed
        ),
        f"{counted(int(real.sum()), f'{kind} series')} and {made.sum():,} drawn ones{of_classes}; "
        f"their medians differ by {short(distance)} (root mean square), where real values "
        f"deviate by {short(float(X[real].std()))}.",
        f"Real and drawn series{of_classes}{band}.",
    )


def _map(
    encoder: Any, X: np.ndarray, y: np.ndarray | None, kind: str, drawn: Drawn, seed: int
) -> Picture:
    real = np.arange(len(X)) if y is None else np.flatnonzero(largest_classes(y, MAP))
    real = np.sort(np.random.default_rng(seed).permutation(real)[:POINTS])
    made = np.full(len(drawn.X), True)
    if y is not None and drawn.y is not None:
        made = np.isin(drawn.y, y[real])
    labels = (None, None) if y is None or drawn.y is None else (y[real], drawn.y[made])
    Z, Z_drawn = encoder.transform(X[real]), encoder.transform(drawn.X[made])
    return draw(
        lambda: LatentDisplay.from_predictions(
            Z, labels[0], Z_synthetic=Z_drawn, y_synthetic=labels[1], random_state=seed
        ),
        f"Map of {counted(len(real), f'{kind} series')} and {made.sum():,} drawn ones.",
        "Features of real series, full points, and of drawn ones, hollow points. Where the one "
        "kind lies alone, something is missed or made up.",
    )
