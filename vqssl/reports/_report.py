"""report: one page that says what a fitted estimator has learned, and what to mend."""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vqssl._persistence import check_target, replace_file
from vqssl._seed import spawn_seeds
from vqssl._validation import check_count
from vqssl.reports._anomalies import anomalies_section
from vqssl.reports._classes import classes_section
from vqssl.reports._codes import codes_section
from vqssl.reports._data import data_section
from vqssl.reports._figures import check_matplotlib
from vqssl.reports._findings import counted
from vqssl.reports._gaps import gaps_section
from vqssl.reports._generation import generation_section
from vqssl.reports._latents import latents_section
from vqssl.reports._page import Section, make_page
from vqssl.reports._parameters import parameters_section
from vqssl.reports._reconstruction import reconstruction_section
from vqssl.reports._sets import Sets, check_sets
from vqssl.reports._subject import Subject, check_subject
from vqssl.reports._timing import Stopwatch, timing_section
from vqssl.reports._training import training_section


def report(
    estimator: Any,
    X: Any,
    y: Any = None,
    X_test: Any = None,
    y_test: Any = None,
    path: str | os.PathLike[str] = "report.html",
    *,
    title: str | None = None,
    n_samples: int = 1000,
    random_state: Any = None,
) -> Path:
    """Write a page that says what a fitted estimator has learned, and what to mend.

    The page is one HTML file that loads nothing, runs no script, and can be printed. It begins
    with findings in plain words ("12 of 64 codes are unused. Consider n_codes=48.") and has a
    section, with pictures, for everything that the estimator can do: codes, reconstruction,
    latents, classes, drawn series, filled gaps, anomalies, training. Nothing is trained again
    but small classifiers that judge features and drawn series.

    Parameters
    ----------
    estimator : fitted estimator of vqssl
        A tokenizer, autoencoder, encoder, classifier, generator or `AnomalyDetector`; one inside
        ``FrozenEstimator`` is taken for itself.
    X : array-like of shape (n_samples, n_timepoints), (n_samples, n_channels, n_timepoints) or \
(n_samples, n_channels, height, width)
        Series that it was fitted on. Those with missing values (NaN) are counted and left out.
    y : array-like of shape (n_samples,), default=None
        Their classes; needed where the estimator was fitted with classes.
    X_test : array-like of series like those of X, default=None
        Series that it has not seen. Without, nothing is said of how well it does on new ones, and
        drawn series are shown but not judged.
    y_test : array-like of shape (n_test,), default=None
        Their classes; given where `y` and `X_test` are.
    path : str or os.PathLike, default="report.html"
        The file; an existing one is replaced at once, when the page is complete.
    title : str or None, default=None
        Heading of the page; None is the name of the estimator's class.
    n_samples : int, default=1000
        Series of each set that are computed with, at most. Drawn series are judged on 250, gaps
        filled in 20, and anomalies looked for in 200 of them; the page says so.
    random_state : int, RandomState instance or None, default=None
        Decides which series are computed with and shown, and what is drawn.

    Returns
    -------
    path : pathlib.Path
        The file.

    Raises
    ------
    TypeError
        If `estimator` is no estimator of vqssl, or `path` no path.
    NotFittedError
        If `estimator` is not fitted.
    ValueError
        If a set has another shape than the fitted one, holds infinity, or missing values in all
        series; if labels do not fit; if `n_samples` is below 1.
    OSError
        If the folder of `path` does not exist, or `path` is a folder or read-only.
    ImportError
        If matplotlib is not installed.

    See Also
    --------
    evaluate_generator : The figures of drawn series as numbers.
    vqssl.plots : The pictures, one by one.

    Notes
    -----
    All errors come before any work. The rules that make findings are stated in the code with
    the reason for each threshold; they look for what usually goes wrong and can be wrong
    themselves. Distances of drawn series are in the features of a small network that is trained
    on the classes, or in principal components without classes; they do not compare with those of
    `evaluate_generator` under other settings.

    With an int for `random_state` two pages differ in their date and in the section of timings
    only.

    References
    ----------
    M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.

    Examples
    --------
    >>> import os, tempfile
    >>> from vqssl import VQTokenizer
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> from vqssl.evaluation import report
    >>> X, y = make_cylinder_bell_funnel(60, length=32, random_state=0)
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=20, random_state=0).fit(X[:30])
    >>> path = os.path.join(tempfile.mkdtemp(), "report.html")
    >>> page = report(tokenizer, X[:30], y[:30], X[30:], y[30:], path, random_state=0)
    >>> "Findings" in page.read_text(encoding="utf-8")
    True
    """
    target = check_target(path)
    n_samples = check_count(n_samples, "n_samples")
    if title is not None and not isinstance(title, str):
        raise TypeError(f"title must be None or text; got {title!r}.")
    subject = check_subject(estimator)
    check_matplotlib()
    set_seed, *seeds = spawn_seeds(random_state, 7)
    sets = check_sets(subject, X, y, X_test, y_test, n_samples, set_seed)
    page = _make(subject, sets, title or f"Report: {subject.name}", seeds)
    replace_file(target, [page.encode()])
    return Path(path)


def _make(subject: Subject, sets: Sets, title: str, seeds: list[int]) -> str:
    """Return the page."""
    watch = Stopwatch()
    shown = seeds[1]  # the same series are reconstructed and shown with their codes
    makers: list[Callable[[], Section | None]] = [
        lambda: data_section(sets, seeds[0]),
        lambda: anomalies_section(subject, sets, watch, seeds[2]),
        lambda: reconstruction_section(subject, sets, watch, shown),
        lambda: codes_section(subject, sets, shown),
        lambda: latents_section(subject, sets),
        lambda: classes_section(subject, sets, watch, seeds[3]),
        lambda: generation_section(subject, sets, watch, seeds[4]),
        lambda: gaps_section(subject, sets, watch, seeds[5]),
        lambda: training_section(subject),
        lambda: parameters_section(subject),
    ]
    sections = [section for make in makers for section in watch.section(make)]
    sections.append(timing_section(watch))
    n = len(sets.train.given)
    subtitle = f"What {subject.name} has learned from {counted(n, f'training {sets.noun}')}"
    if sets.test is not None:
        n_test = len(sets.test.given)
        subtitle += f", and how it does on {counted(n_test, f'test {sets.noun}')}"
    date = dt.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    footer = f"Made by vqssl.evaluation.report on {date}."
    return make_page(title, f"{subtitle}.", sections, footer)
