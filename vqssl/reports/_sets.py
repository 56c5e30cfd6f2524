"""The series that a report is given: checked, and cut to what it computes with."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_array, column_or_1d

from vqssl._input import off_torch
from vqssl._validation import check_series, kind_of
from vqssl.reports._subject import Subject


class SeriesSet(NamedTuple):
    """Training or test series."""

    name: str  # "training" or "test"
    given: np.ndarray  # all of them, (n, C, L) or (n, C, H, W); NaN where they have gaps
    labels: np.ndarray | None  # classes of all of them, (n,)
    numbers: np.ndarray  # which of them are computed with: some, and none with gaps; rising
    X: np.ndarray  # these
    y: np.ndarray | None  # their classes


class Sets(NamedTuple):
    """The series of a report."""

    train: SeriesSet
    test: SeriesSet | None

    @property
    def every(self) -> list[SeriesSet]:
        """The sets that there are."""
        return [self.train] if self.test is None else [self.train, self.test]

    @property
    def shown(self) -> SeriesSet:
        """The set that pictures are made of: that of new series, where there is one."""
        return self.every[-1]

    @property
    def kind(self) -> str:
        """What there are: "series" or "images"."""
        return kind_of(self.train.X.shape[1:])

    @property
    def noun(self) -> str:
        """One of them: "series" or "image"."""
        return {"series": "series", "images": "image"}[self.kind]


def check_sets(
    subject: Subject, X: Any, y: Any, X_test: Any, y_test: Any, n_samples: int, seed: int
) -> Sets:
    """Check series and classes, and draw those that are computed with.

    Raises
    ------
    ValueError
        If a set has another shape than the fitted one, holds infinity or gaps in all series,
        labels do not fit the series or the estimator, or one of a pair is missing.
    TypeError
        If labels cannot be compared with each other.
    """
    if y_test is not None and (y is None or X_test is None):
        raise ValueError("y_test must be given together with y and X_test, or be None.")
    if y is not None and X_test is not None and y_test is None:
        raise ValueError("y_test must be given where y and X_test are.")
    if subject.classes is not None and y is None:
        raise ValueError(f"y must be given: {subject.name} was fitted with classes.")
    draw = np.random.default_rng(seed)
    train = _check_set(subject, X, y, "X", "y")
    test = None if X_test is None else _check_set(subject, X_test, y_test, "X_test", "y_test")
    return Sets(
        _some("training", *train, n_samples, draw),
        None if test is None else _some("test", *test, n_samples, draw),
    )


def _check_set(
    subject: Subject, X: Any, y: Any, name: str, label_name: str
) -> tuple[np.ndarray, np.ndarray | None]:
    series = _check_series(subject, X, name)
    if has_gaps(series).all():
        raise ValueError(f"{name} must have series without missing values; all of them have some.")
    return series, None if y is None else _check_labels(subject, y, label_name, len(series))


def _check_series(subject: Subject, X: Any, name: str) -> np.ndarray:
    X = off_torch(X, name)
    if hasattr(X, "iloc"):  # whose numbers may be of a dtype of pandas
        X = check_array(X, dtype="numeric", ensure_all_finite=False, input_name=name)
    series = check_series(X, subject.name, allow_gaps=True, name=name)
    expected = subject.input_shape
    if series.shape[1:] != expected:
        raise ValueError(
            f"{name} has {kind_of(series.shape[1:])} of shape {series.shape[1:]}, but "
            f"{subject.name} was fitted on {kind_of(expected)} of shape {expected}."
        )
    return series


def _check_labels(subject: Subject, y: Any, name: str, n: int) -> np.ndarray:
    labels = column_or_1d(check_array(y, ensure_2d=False, dtype=None, input_name=name))
    if len(labels) != n:
        raise ValueError(f"{name} must have {n} labels, one per series; got {len(labels)}.")
    try:
        found = np.unique(labels)
    except TypeError as error:
        raise TypeError(f"{name} must hold labels of one kind; {error}.") from error
    if subject.classes is not None:
        unknown = np.setdiff1d(found, subject.classes).tolist()
        if unknown:
            raise ValueError(f"{name} must hold classes of the fit; got {unknown[:10]}.")
    return labels


def _some(
    name: str, X: np.ndarray, y: np.ndarray | None, n_samples: int, draw: np.random.Generator
) -> SeriesSet:
    """A set, and which of its series without gaps are computed with."""
    numbers = np.sort(draw.permutation(np.flatnonzero(~has_gaps(X)))[:n_samples])
    return SeriesSet(name, X, y, numbers, X[numbers], None if y is None else y[numbers])


def has_gaps(X: np.ndarray) -> np.ndarray:
    """Which series have NaN, (n,) bool."""
    if X.dtype.kind != "f":
        return np.zeros(len(X), bool)
    # Sums are NaN where an addend is, and take no array of the size of X.
    return np.isnan(X.reshape(len(X), -1).sum(1, dtype=np.float64))
