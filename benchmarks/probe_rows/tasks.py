"""One fit and all that is judged of it: what a worker process does."""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speed_rows.report import Skipped, cpu_name
from speed_rows.timing import Stopwatch
from threadpoolctl import threadpool_limits

from probe_rows import clusters, probes
from probe_rows.method import Fitted, Method
from probe_rows.methods import METHODS
from probe_rows.protocols import splits
from probe_rows.records import Key, Line, key
from probe_rows.series import Series, load
from probe_rows.versions import versions

NO_FOLDS = "a class with one labelled series: no cross-validation, C = 1"
SINGLE = "a class with one training series: it is never both fitted and judged"


@dataclass(frozen=True)
class Task:
    """A method on a set, and the lines that are wanted of it.

    Lines share the fit: those of several readouts and label counts, and of all seeds where
    the method does not depend on them.
    """

    folder: Path
    name: str
    method: str
    protocol: str
    parameters: dict[str, Any]
    wanted: tuple[Line, ...]

    @property
    def seeds(self) -> list[int]:
        return list(dict.fromkeys(line["seed"] for line in self.wanted))


def plan(
    folder: Path,
    names: list[str],
    lines: dict[str, list[str]],
    seeds: list[int],
    protocol: str,
    label_counts: list[int | None],
    parameters: dict[str, Any],
    done: set[Key],
) -> list[Task]:
    """What is left to do, a task for every fit."""
    tasks = []
    for name in names:
        for method, readouts in lines.items():
            own = parameters if METHODS[method].takes_parameters else {}
            fits = [[seed] for seed in seeds] if METHODS[method].seeded else [seeds]
            for fit_seeds in fits:
                wanted: list[Line] = [
                    {
                        "set": name,
                        "method": readout,
                        "fitted": method,
                        "seed": seed,
                        "protocol": protocol,
                        "labels_per_class": count,
                        "params": own,
                    }
                    for readout in readouts
                    for seed in fit_seeds
                    for count in label_counts
                ]
                wanted = [line for line in wanted if key(line) not in done]
                if wanted:
                    tasks.append(Task(folder, name, method, protocol, own, tuple(wanted)))
    return tasks


def run(task: Task) -> list[Line]:
    """Finished lines; where there can be none, lines that say why."""
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            series = load(task.folder, task.name, with_test=task.protocol == "test")
            return list(finished(task, series))
    except Skipped as reason:
        return [line | {"skipped": str(reason)} for line in task.wanted]
    except Exception as error:
        # The other tasks still have something to say.
        traceback.print_exc()
        return [line | {"failed": f"{type(error).__name__}: {error}"} for line in task.wanted]


def finished(task: Task, series: Series) -> Iterator[Line]:
    method = METHODS[task.method]
    method.prepare(series.X[:3])
    with Stopwatch() as watch:
        fitted = method.fit(series.X, task.seeds[0], task.parameters)
    common = {
        "sizes": sizes_of(series),
        "perplexity": fitted.perplexity,
        "usage": fitted.usage,
        "reconstruction": reconstruction_of(fitted, series),
        "versions": versions(),
        "cpu": cpu_name(),
    }
    for readout in dict.fromkeys(line["method"] for line in task.wanted):
        rows, transform_seconds = rows_of(method, fitted, readout, series)
        seconds = {"fit": watch.cpu, "transform": transform_seconds}
        for line in task.wanted:
            if line["method"] == readout:
                with Stopwatch() as judging:
                    verdict = verdict_of(method, rows, series, line)
                yield line | verdict | common | {"seconds": seconds | {"probes": judging.cpu}}


@dataclass(frozen=True)
class Rows:
    """Rows of training and of test series, where there are any."""

    train: np.ndarray | None
    test: np.ndarray | None


def rows_of(method: Method, fitted: Fitted, readout: str, series: Series) -> tuple[Rows, float]:
    """Rows, and CPU seconds of making them."""
    transform = fitted.transforms[readout]
    with Stopwatch() as watch:
        test = None if series.X_test is None else transform(series.X_test)
        # Distances between training series are of use only where some of them are judged.
        train = None if method.distances and test is not None else transform(series.X)
    return Rows(train, test), watch.cpu


def verdict_of(method: Method, rows: Rows, series: Series, line: Line) -> dict[str, Any]:
    """What the probes say, pooled over folds, and k-means where labels play no part."""
    seed, count = line["seed"], line["labels_per_class"]
    classifier = judge_distances if method.distances else partial(judge_rows, method)
    right: dict[str, list[np.ndarray]] = {}
    verdicts, n_labelled = [], []
    for split in splits(series.y, line["protocol"], count, seed):
        if split.judged is None:
            judged, truth = rows.test, series.y_test
        else:
            judged, truth = rows.train[split.judged], series.y[split.judged]
        verdict = classifier(rows.train, series.y, split.fitted, judged, seed)
        verdicts.append(verdict)
        n_labelled.append(len(split.fitted))
        for probe, predicted in verdict.predictions.items():
            right.setdefault(probe, []).append(predicted == truth)

    found: dict[str, Any] = {
        "accuracy": {probe: float(np.concatenate(hits).mean()) for probe, hits in right.items()},
        "n_labelled": n_labelled,
        "clusters": None,
    }
    notes = []
    if not method.distances:
        found |= {
            "n_features": rows.train.shape[1],
            "chosen": [verdict.chosen for verdict in verdicts],
            "C": [verdict.C for verdict in verdicts],
            "cross_validated": [verdict.cross_validated for verdict in verdicts],
            "folds": [verdict.n_folds for verdict in verdicts],
        }
        if any(verdict.n_folds is None for verdict in verdicts):
            notes.append(NO_FOLDS)
        if count is None:
            found["clusters"] = clusters.judge(
                rows.train, series.y, rows.test, series.y_test, seed, method.standardise
            )
    if line["protocol"] == "cv" and np.unique(series.y, return_counts=True)[1].min() < 2:
        notes.append(SINGLE)
    found["notes"] = notes
    # Each probe is one look at the labels of the test set, and so is k-means; `chosen` is one
    # of the others.
    looks = len(set(right) - {"chosen"}) + (found["clusters"] is not None)
    found["test_evaluations"] = looks if line["protocol"] == "test" else 0
    return found


def judge_rows(
    method: Method,
    train: np.ndarray,
    y: np.ndarray,
    fitted: np.ndarray,
    judged: np.ndarray,
    seed: int,
) -> probes.Verdict:
    return probes.judge(train[fitted], y[fitted], judged, seed, method.standardise)


def judge_distances(
    train: np.ndarray | None, y: np.ndarray, fitted: np.ndarray, judged: np.ndarray, seed: int
) -> probes.Verdict:
    """1-NN of distances (m, n) to all training series, of which those `fitted` have labels."""
    return probes.Verdict({"nn": probes.nearest(judged[:, fitted], y[fitted])})


def reconstruction_of(fitted: Fitted, series: Series) -> float | None:
    if fitted.reconstruction is None:
        return None
    return fitted.reconstruction(series.X if series.X_test is None else series.X_test)


def sizes_of(series: Series) -> dict[str, Any]:
    return {
        "train": len(series.X),
        "test": None if series.X_test is None else len(series.X_test),
        "channels": series.X.shape[1],
        "length": series.X.shape[2],
        "classes": len(np.unique(series.y)),
    }
