"""Section about classes: whether features, or a classifier, tell them apart."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    accuracy_score,
    confusion_matrix,
    recall_score,
)
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from vqssl.plots import LatentDisplay
from vqssl.reports._figures import WIDTH, Picture, draw
from vqssl.reports._findings import Finding, counted, interval, percent
from vqssl.reports._html import Html, figures, measure, table
from vqssl.reports._model_findings import (
    confused_classes,
    no_better_than_guessing,
    worse_than_neighbours,
)
from vqssl.reports._page import Section
from vqssl.reports._sets import Sets
from vqssl.reports._subject import Subject
from vqssl.reports._timing import Stopwatch

# Classes whose confusions are drawn, and whose points are; numbers are written into fewer cells.
_MATRIX, MAP, _NUMBERS = 40, 12, 8

# Letters of the names of classes that there is room for below a picture.
_LETTERS = 36

# Points of a map, at most.
POINTS = 500


class Judged(NamedTuple):
    """Answers on series that a classifier has not learned from."""

    name: str
    meaning: str
    predicted: np.ndarray


def classes_section(subject: Subject, sets: Sets, watch: Stopwatch, seed: int) -> Section | None:
    """Judge features by what simple classifiers make of them, or a classifier by its answers."""
    encoder = subject.encoder if subject.classifier is None else subject.classifier
    if encoder is None:
        return None
    kind, _, _, _, X, y = sets.shown
    Z = np.asarray(watch.call("transform", len(X), encoder.transform, X))
    rules: list[Finding | None] = []
    content: list[Html] = []
    pictures: list[Picture] = []
    key_figures = []
    lead = f"Features are {counted(Z.shape[1], 'number')} that stand for a series."
    split = None if y is None else _split(sets, subject.classifier is not None, seed)
    if split is not None:
        train, test, whose = split
        truth = test[1]
        n = len(truth)
        majority = _majority(train[1], truth)
        judged = [*_judge(subject, encoder, train, test, watch), majority]
        first, neighbour = judged[0], judged[1]
        n_right = int((first.predicted == truth).sum())
        rules += [
            no_better_than_guessing(
                n_right, n, float((majority.predicted == truth).mean()), first.name
            ),
            worse_than_neighbours(
                first.predicted == truth, neighbour.predicted == truth, first.name
            ),
        ]
        labels = np.unique(np.concatenate([truth, first.predicted]))
        counts = confusion_matrix(truth, first.predicted, labels=labels)
        rules += confused_classes(counts, list(map(str, labels))) or [None]
        lead += f" Classifiers were judged on {counted(n, whose)} that they have not learned from."
        content.append(_accuracies(judged, truth))
        pictures.append(_confusions(truth, first, labels))
        name = f"{whose.split()[0]} {sets.kind} recognised ({first.name})"
        key_figures.append((name, percent(n_right / n)))
    if Z.shape[1] > 1 and Z.std(0).max() > 0:
        pictures.append(_map(Z, y, kind, seed))
    if not (content or pictures):
        return None
    content.append(figures(*pictures))
    title = "Features" if split is None else "Classes"
    return Section("classes", title, lead, content, rules, key_figures)


def _split(
    sets: Sets, is_classifier: bool, seed: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], str] | None:
    """Series and classes to learn from and to judge by, and what the latter are.

    Without test series half of the training series are held out from the classifiers, not from
    the estimator; for an estimator that is a classifier itself, that would tell nothing.
    """
    X, y = sets.train.X, sets.train.y
    if y is None or len(np.unique(y)) < 2:
        return None
    if sets.test is not None and sets.test.y is not None:
        return (X, y), (sets.test.X, sets.test.y), f"test {sets.noun}"
    if is_classifier or len(X) < 4:
        return None
    counts = np.unique(y, return_counts=True)[1]
    fits = counts.min() >= 2 and len(X) // 2 >= len(counts)
    X, X_held, y, y_held = train_test_split(
        X, y, test_size=0.5, stratify=y if fits else None, random_state=seed
    )
    if len(np.unique(y)) < 2:
        return None
    return (X, y), (X_held, y_held), f"training {sets.noun}"


def _judge(
    subject: Subject,
    encoder: Any,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    watch: Stopwatch,
) -> list[Judged]:
    """The classifier in question, then the nearest neighbour on raw series."""
    (X, y), (X_test, _) = train, test
    if subject.classifier is not None:
        answers = watch.call("predict", len(X_test), encoder.predict, X_test)
        first = Judged(subject.name, "the classifier that this report is about", answers)
    else:
        # Features of tokenizers are standardised, and their blocks weighed, already.
        scale = FunctionTransformer() if subject.tokenizer else StandardScaler()
        Z = scale.fit_transform(encoder.transform(X))
        answers = support_vectors(Z, y, scale.transform(encoder.transform(X_test)))
        meaning = "a support vector machine with scikit-learn's defaults"
        first = Judged("SVC on features", meaning, answers)
    neighbour = KNeighborsClassifier(1).fit(X.reshape(len(X), -1), y)
    found = neighbour.predict(X_test.reshape(len(X_test), -1))
    return [first, Judged("nearest neighbour on raw series", "Euclidean distance", found)]


def support_vectors(Z: np.ndarray, y: np.ndarray, Z_test: np.ndarray) -> np.ndarray:
    """What ``SVC().fit(Z, y).predict(Z_test)`` returns, in a tenth of the time for wide rows."""
    gamma = 1 / (Z.shape[1] * (Z.var() or 1.0))  # "scale"
    machine = SVC(kernel="precomputed").fit(rbf_kernel(Z, gamma=gamma), y)
    return machine.predict(rbf_kernel(Z_test, Z, gamma=gamma))


def _majority(y: np.ndarray, truth: np.ndarray) -> Judged:
    labels, counts = np.unique(y, return_counts=True)
    answers = np.full(len(truth), labels[counts.argmax()])
    return Judged("guessing", "always the largest class of the training set", answers)


def _accuracies(judged: Sequence[Judged], truth: np.ndarray) -> Html:
    rows = []
    known = np.unique(truth)
    for one in judged:
        n_right = int((one.predicted == truth).sum())
        low, high = interval(n_right, len(truth))
        rows.append(
            measure(
                one.name,
                one.meaning,
                percent(accuracy_score(truth, one.predicted)),
                f"{100 * low:.0f} to {percent(high)}",
                percent(recall_score(truth, one.predicted, labels=known, average="macro")),
            )
        )
    header = ["", "right", "95% interval", "balanced"]
    return table("Accuracy; balanced is the mean over classes", header, rows)


def _confusions(truth: np.ndarray, judged: Judged, labels: np.ndarray) -> Picture:
    if len(labels) > _MATRIX:
        values, sizes = np.unique(truth, return_counts=True)
        labels = np.sort(values[np.argsort(-sizes, kind="stable")[:_MATRIX]])
    is_crowded = sum(len(str(label)) + 2 for label in labels) > _LETTERS
    of_known = np.isin(truth, labels) & np.isin(judged.predicted, labels)

    def make() -> Any:
        import matplotlib.pyplot as plt

        figure, ax = plt.subplots(figsize=(WIDTH, 4.4), layout="constrained")
        display = ConfusionMatrixDisplay.from_predictions(
            truth[of_known],
            judged.predicted[of_known],
            labels=labels,
            normalize="true",
            include_values=len(labels) <= _NUMBERS,
            values_format=".2f",
            cmap="Blues",
            im_kw={"vmin": 0, "vmax": 1},
            ax=ax,
            xticks_rotation="vertical" if is_crowded else "horizontal",
        )
        display.ax_.set(xlabel="taken for class", ylabel="class")
        figure.axes[-1].set_ylabel("share of the class")
        return display

    shares = [
        f"{label} {percent(float((judged.predicted[truth == label] == label).mean()))}"
        for label in labels[:MAP]
        if (truth == label).any()
    ]
    more = "" if len(labels) <= MAP else f" and {len(labels) - MAP} more classes"
    return draw(
        make,
        f"Share of each class that is recognised: {', '.join(shares)}{more}.",
        f"What series of each class are taken for by {judged.name}. On the diagonal they are "
        "recognised.",
    )


def largest_classes(y: np.ndarray, n_classes: int) -> np.ndarray:
    """Which series are of the largest classes, (n,) bool."""
    labels, sizes = np.unique(y, return_counts=True)
    return np.isin(y, labels[np.argsort(-sizes, kind="stable")[:n_classes]])


def _map(Z: np.ndarray, y: np.ndarray | None, kind: str, seed: int) -> Picture:
    rows = np.arange(len(Z)) if y is None else np.flatnonzero(largest_classes(y, MAP))
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:POINTS])
    labels = None if y is None else y[rows]
    of_classes = "" if labels is None else f" of {counted(len(np.unique(labels)), 'class')}"
    return draw(
        lambda: LatentDisplay.from_predictions(Z[rows], labels, random_state=seed),
        f"Map of {counted(len(rows), f'{kind} series')}{of_classes}.",
        "Features of series along their two principal axes: near points are like series.",
    )
