"""Section about the series: how many, of what kind, what is wrong with them."""

import hashlib
import math
from collections import Counter

import numpy as np

from vqssl.reports._channels import ChannelValues, values_of_channels
from vqssl.reports._class_picture import class_picture
from vqssl.reports._data_findings import (
    constant_channels,
    duplicates,
    imbalance,
    leaks,
    missing_values,
    shifted_level,
)
from vqssl.reports._findings import Finding, counted, is_or_are, percent, short
from vqssl.reports._html import Html, figures, table
from vqssl.reports._page import Section
from vqssl.reports._sets import Sets, has_gaps

# Channels and classes in a table, at most.
_CHANNELS, _CLASSES = 8, 30


def data_section(sets: Sets, seed: int) -> Section:
    """Describe the series."""
    prints = [[_fingerprint(row) for row in one.given] for one in sets.every]
    known = set(prints[0])
    # Copies of others in the training set, then copies of these in the test set.
    n_copies = [len(prints[0]) - len(known), *(sum(p in known for p in new) for new in prints[1:])]
    n_gaps = [int(has_gaps(one.given).sum()) for one in sets.every]
    counts = [
        Counter(map(str, one.labels.tolist())) for one in sets.every if one.labels is not None
    ]
    values = values_of_channels(sets.train.given)
    constant = np.flatnonzero(values.low == values.high).tolist()
    rules: list[Finding | None] = [
        *(missing_values(n, len(s.given), s.name) for n, s in zip(n_gaps, sets.every, strict=True)),
        constant_channels(constant),
        duplicates(n_copies[0], len(sets.train.given)),
    ]
    if sets.test is not None:
        rules += [leaks(n_copies[1], len(sets.test.given)), _shift(sets.train.X, sets.test.X)]
    if counts:
        rules.append(imbalance(counts[0]))
    header = ["", *(f"{one.name} set" for one in sets.every)]
    rows: list[list[object]] = [
        [sets.kind, *(f"{len(one.given):,}" for one in sets.every)],
        ["with missing values", *(f"{n:,}" for n in n_gaps)],
        [f"copies of training {sets.kind}", *(f"{n:,}" for n in n_copies)],
    ]
    content = [table("Sets", header, rows), _channel_table(values)]
    if counts:
        content.append(_class_table(counts, header))
    content.append(figures(class_picture(sets, seed)))
    return Section("data", "Data", _lead(sets), content, rules)


def _lead(sets: Sets) -> str:
    n_channels, *size = sets.train.X.shape[1:]
    points = f"{size[0]} x {size[1]} pixels" if len(size) == 2 else counted(size[0], "time point")
    of_channels = "" if n_channels == 1 else f" in {n_channels} channels"
    text = f"A training {sets.noun} has {points}{of_channels}."
    if sets.kind == "images":
        text += " What this page says of series holds for images."
    if sets.train.labels is not None:
        n_classes = len(np.unique(sets.train.labels))
        text += f" There {is_or_are(n_classes)} {counted(n_classes, 'class')}."
    cut = [
        f"{len(one.X):,} of {len(one.given):,} {one.name} {sets.kind}"
        for one in sets.every
        if len(one.X) < len(one.given)
    ]
    if cut:
        text += f" What follows this section was computed from {' and '.join(cut)}."
    return text


def _fingerprint(row: np.ndarray) -> bytes:
    """Digest of a series as an estimator sees it."""
    return hashlib.blake2b(row.astype(np.float32).tobytes(), digest_size=16).digest()


def _shift(X: np.ndarray, X_test: np.ndarray) -> Finding | None:
    """Compare the levels of training and test series."""
    if min(len(X), len(X_test)) < 2:
        return None
    axes = (0, *range(2, X.ndim))
    mean = X.mean(axes, dtype=np.float64, keepdims=True)
    deviation = X.std(axes, dtype=np.float64, keepdims=True)
    train, test = (
        ((some - mean) / np.where(deviation > 0, deviation, 1)).reshape(len(some), -1).mean(1)
        for some in (X, X_test)
    )
    error = math.sqrt(train.var(ddof=1) / len(train) + test.var(ddof=1) / len(test))
    return shifted_level(float(test.mean() - train.mean()), error)


def _channel_table(values: ChannelValues) -> Html:
    rows = [
        [
            f"channel {channel}",
            # A mean of rounding alone is 0.
            short(mean if abs(mean) > 1e-6 * deviation else 0.0),
            short(deviation),
            f"{short(low)} to {short(high)}",
        ]
        for channel, (mean, deviation, low, high) in enumerate(
            np.stack(values, 1)[:_CHANNELS].tolist()
        )
    ]
    caption = "Values of the training set"
    if len(values.mean) > _CHANNELS:
        caption += f" (of the first {_CHANNELS} channels)"
    return table(caption, ["", "mean", "deviation", "range"], rows)


def _class_table(counts: list[Counter[str]], header: list[str]) -> Html:
    order = sorted(set().union(*counts), key=lambda label: (-counts[0][label], label))
    rows = [
        [
            f"class {label}",
            *(f"{of[label]:,} ({percent(of[label] / of.total())})" for of in counts),
        ]
        for label in order[:_CLASSES]
    ]
    rest = len(order) - len(rows)
    more = f" (the {len(rows)} largest; {rest} more)" if rest else ""
    return table(f"Classes{more}", header, rows)
