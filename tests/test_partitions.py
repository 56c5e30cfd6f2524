"""vqssl.transform_partitions: parts in files, whole or not at all, and none computed twice."""

import functools
import json
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import vqssl
from tests.test_common import SMALL, labels, make_series
from vqssl import VQTokenizer, transform_partitions

# Sets of a dozen tiny series and a few steps: the latents collapse, and that is said.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = make_series(25)
TOKENIZER = VQTokenizer(**SMALL).fit(X)
CODES = TOKENIZER.encode(X)

encode = functools.partial(transform_partitions, TOKENIZER, method="encode")


def joined(paths):
    return np.concatenate([np.load(path) for path in paths])


def times(paths):
    return [path.stat().st_mtime_ns for path in paths]


class Counting(BaseEstimator):
    """Counts the partitions that it is given, in files."""

    def __init__(self, folder):
        self.folder = folder

    def fit(self, X, y=None):
        raise AssertionError("is as fitted as it will ever be")

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        Path(self.folder, str(len(os.listdir(self.folder)))).touch()
        return np.asarray(X) + 1


@pytest.fixture
def counting(tmp_path):
    """An estimator, and a function that tells how many partitions it was given."""
    folder = tmp_path / "calls"
    folder.mkdir()
    return Counting(str(folder)), lambda: len(os.listdir(folder))


# ------------------------------------------------------------------------ what is a partition


def as_map(folder, order="C"):
    path = folder / "series"
    series = np.memmap(path, np.float32, "w+", offset=128, shape=X.shape, order=order)
    series[:] = X
    series.flush()
    return np.memmap(path, np.float32, "r", offset=128, shape=X.shape, order=order)


def as_paths(folder):
    paths = [folder / "a.npy", str(folder / "b.npy"), folder / "c.parquet"]
    np.save(paths[0], X[:10])
    np.save(paths[1], X[10:20])
    pd.DataFrame(X[20:]).rename(columns=str).to_parquet(paths[2])
    return paths


def as_dask_array(chunks):
    return pytest.importorskip("dask.array").from_array(X, chunks=chunks)


def as_delayed(folder):
    delayed = pytest.importorskip("dask").delayed
    return [delayed(read)(0, 20), delayed(X[20:])]


def read(start, stop):
    return X[start:stop]


KINDS = {
    "array": lambda folder: X,
    "data frame": lambda folder: pd.DataFrame(X),
    "map": as_map,
    "map in Fortran order": functools.partial(as_map, order="F"),
    "view of a map": lambda folder: as_map(folder)[::1],
    "dask array": lambda folder: as_dask_array((7, 5)),
    "arrays": lambda folder: [X[:3], X[3:24], X[24:]],
    "paths": as_paths,
    "functions": lambda folder: [functools.partial(read, 0, 20), lambda: X[20:]],
    "delayed": as_delayed,
}


@pytest.mark.parametrize("kind", KINDS)
def test_parts_together_are_what_the_method_gives_at_once(kind, tmp_path):
    (tmp_path / "data").mkdir()
    partitions = KINDS[kind](tmp_path / "data")
    paths = encode(partitions, tmp_path / "codes")
    assert [path.name for path in paths] == [f"part-{i:06d}.npy" for i in range(len(paths))]
    assert_array_equal(joined(paths), CODES)
    # The second run agrees with the first on what the partitions are, and computes nothing.
    before = times(paths)
    assert encode(partitions, tmp_path / "codes") == paths
    assert times(paths) == before


def test_an_array_is_cut_into_rows(tmp_path):
    paths = encode(X, tmp_path, rows_per_partition=10)
    assert [len(np.load(path)) for path in paths] == [10, 10, 5]
    assert_array_equal(joined(paths), CODES)


def test_a_dask_array_is_cut_where_its_chunks_are(tmp_path):
    paths = encode(as_dask_array(((4, 21), (24,))), tmp_path)
    assert [len(np.load(path)) for path in paths] == [4, 21]


def test_a_map_that_was_changed_in_private_is_not_read_from_its_file(tmp_path):
    (tmp_path / "data").mkdir()
    as_map(tmp_path / "data")
    private = np.memmap(tmp_path / "data" / "series", np.float32, "c", 128, X.shape)
    private[:] = X[::-1]
    assert_array_equal(joined(encode(private, tmp_path / "codes")), CODES[::-1])


def test_series_of_several_channels_and_a_pipeline(tmp_path):
    series = make_series(20, 24, channels=3)
    pipeline = make_pipeline(VQTokenizer(**SMALL), SVC()).fit(series, labels(series))
    paths = transform_partitions(pipeline, series, tmp_path, method="predict", rows_per_partition=6)
    assert_array_equal(joined(paths), pipeline.predict(series))


def test_text_and_data_frames_are_results_too(tmp_path):
    y = np.array(["walk", "run"])[labels(X) // 2]
    classifier = make_pipeline(VQTokenizer(**SMALL), SVC()).fit(X, y)
    paths = transform_partitions(classifier, X, tmp_path / "labels", method="predict")
    assert_array_equal(joined(paths), classifier.predict(X))
    framed = clone(TOKENIZER).set_output(transform="pandas").fit(X)
    paths = transform_partitions(framed, X, tmp_path / "features")
    assert_array_equal(joined(paths), framed.transform(X).to_numpy())


def test_workers_of_joblib_give_the_same_parts(tmp_path):
    with parallel_config("threading", n_jobs=2):
        paths = encode(X, tmp_path, rows_per_partition=5)
    assert_array_equal(joined(paths), CODES)


# --------------------------------------------------------------------------------- going on


def test_only_parts_that_are_not_there_or_damaged_are_computed(counting, tmp_path):
    estimator, n_calls = counting
    run = functools.partial(
        transform_partitions, estimator, X, tmp_path / "parts", rows_per_partition=5
    )
    paths = run()
    assert n_calls() == 5
    whole = paths[1].read_bytes()
    paths[0].unlink()
    paths[1].write_bytes(whole[:-1])
    paths[2].write_bytes(whole + b"0")
    paths[3].write_bytes(b"")
    last = times(paths[4:])
    run()
    assert n_calls() == 9
    assert times(paths[4:]) == last
    assert_array_equal(joined(paths), X + 1)


def test_a_run_that_failed_goes_on_where_it_failed(counting, tmp_path):
    estimator, n_calls = counting

    def broken():
        raise OSError("the disk is away")

    functions = [lambda: X[:10], broken, lambda: X[20:]]
    with pytest.raises(OSError, match="the disk is away") as caught:
        transform_partitions(estimator, functions, tmp_path / "parts")
    assert "This is about partition 1" in caught.value.__notes__[0]
    paths = list((tmp_path / "parts").glob("part-*"))
    assert [path.name for path in paths] == ["part-000000.npy"]
    broken.__code__ = (lambda: X[10:20]).__code__
    assert_array_equal(
        joined(transform_partitions(estimator, functions, tmp_path / "parts")), X + 1
    )
    assert n_calls() == 3


def run_and_be_killed(estimator, parts):
    """End in the middle of the third part: its temporary file is written, its name is not there."""
    replace = os.replace

    def killed(source, target):
        if target.endswith("part-000002.npy"):
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = killed
    transform_partitions(estimator, X, parts, rows_per_partition=5)


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and sends SIGKILL")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # nothing of torch runs in it
def test_a_run_that_was_killed_while_writing_leaves_whole_parts_and_goes_on(counting, tmp_path):
    estimator, n_calls = counting
    parts = tmp_path / "parts"
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=run_and_be_killed, args=(estimator, parts))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert sorted(path.name for path in parts.glob("part-*")) == [
        "part-000000.npy",
        "part-000001.npy",
    ]
    assert len(list(parts.glob(".vqssl-*.tmp"))) == 1
    paths = transform_partitions(estimator, X, parts, rows_per_partition=5)
    assert n_calls() == 6  # the third one twice
    assert_array_equal(joined(paths), X + 1)
    assert not list(parts.glob(".vqssl-*.tmp"))


def test_an_estimator_from_a_file_goes_on_with_the_parts_of_the_one_it_was(tmp_path):
    paths = encode(X, tmp_path / "codes")
    before = times(paths)
    TOKENIZER.save(tmp_path / "model.vqssl")
    again = vqssl.load(tmp_path / "model.vqssl").set_params(verbose=1)
    transform_partitions(again, X, tmp_path / "codes", method="encode")
    assert times(paths) == before


def test_partitions_added_at_the_end_join_the_others(counting, tmp_path):
    estimator, n_calls = counting
    parts = [X[:10], X[10:20]]
    transform_partitions(estimator, parts, tmp_path / "parts")
    paths = transform_partitions(estimator, [*parts, X[20:]], tmp_path / "parts")
    assert n_calls() == 3
    assert_array_equal(joined(paths), X + 1)


# ---------------------------------------------------------------------------------- refusals

OTHERS = {
    "estimator": (lambda: {"estimator": VQTokenizer(**SMALL).fit(X[:20])}, "other values of esti"),
    "parameter": (
        lambda: {"estimator": VQTokenizer(**SMALL).fit(X).set_params(batch_size=9)},
        "estimator.batch_size 8, not 9",
    ),
    "frozen": (lambda: {"estimator": FrozenEstimator(TOKENIZER)}, "VQTokenizer, not FrozenEstima"),
    "method": (lambda: {"method": "embed"}, "method 'encode', not 'embed'"),
    "rows": (lambda: {"rows_per_partition": 9}, r"partitions\[0\].shape \(10, 24\), not \(9, 24"),
    "series": (lambda: {"partitions": X + 1}, r"other values of partitions\[0\];"),
    "fewer": (lambda: {"partitions": X[:20]}, "are of 3, not 2"),
    "functions": (
        lambda: {"partitions": [lambda: X] * 3, "rows_per_partition": None},
        r"partitions\[0\] array, not function",
    ),
}


@pytest.mark.parametrize("what", OTHERS)
def test_parts_of_something_else_are_refused_by_name(what, tmp_path):
    same = {"estimator": TOKENIZER, "partitions": X, "method": "encode", "rows_per_partition": 10}
    paths = transform_partitions(**same, folder=tmp_path)
    before = times(paths)
    other, message = OTHERS[what]
    with pytest.raises(ValueError, match=f"folder must hold parts of the same.*{message}.*anew"):
        transform_partitions(**{**same, **other()}, folder=tmp_path)
    assert times(paths) == before


def test_a_file_that_was_changed_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", X)
    encode([tmp_path / "a.npy"], tmp_path / "codes")
    np.save(tmp_path / "a.npy", X[:20])
    with pytest.raises(ValueError, match=r"partitions\[0\].bytes"):
        encode([tmp_path / "a.npy"], tmp_path / "codes")


@pytest.mark.parametrize("text", ["{", '{"format": 1}', "[]"])
def test_a_record_that_is_damaged_is_refused(text, tmp_path):
    encode(X, tmp_path)
    (tmp_path / "partitions.json").write_text(text)
    with pytest.raises(ValueError, match=r"partitions\.json is .*Use another folder"):
        encode(X, tmp_path)


def test_parts_without_a_record_are_refused(tmp_path):
    encode(X, tmp_path)
    (tmp_path / "partitions.json").unlink()
    with pytest.raises(ValueError, match=r"no parts without their partitions\.json"):
        encode(X, tmp_path)


def test_the_record_tells_what_the_parts_depend_on(tmp_path):
    encode(X, tmp_path)
    conditions = json.loads((tmp_path / "partitions.json").read_text())["conditions"]
    assert conditions["method"] == "'encode'"
    assert conditions["estimator"]["n_codes"] == "8"
    assert set(conditions["version"]) == {"vqssl", "torch"}


def test_two_runs_at_a_time_are_refused(tmp_path):
    started, go_on = threading.Event(), threading.Event()

    def wait():
        started.set()
        assert go_on.wait(60)
        return X

    first = threading.Thread(target=encode, args=([wait], tmp_path))
    first.start()
    assert started.wait(60)
    try:
        with pytest.raises(ValueError, match=f"one run at a time; process {os.getpid()} works"):
            encode([wait], tmp_path)
    finally:
        go_on.set()
        first.join()
    assert_array_equal(joined(encode([wait], tmp_path)), CODES)


class Odd(BaseEstimator):
    """Returns what no part can be made of."""

    def fit(self, X, y=None):
        raise AssertionError("is as fitted as it will ever be")

    def __sklearn_is_fitted__(self):
        return True

    def score(self, X):
        return 0.5

    def objects(self, X):
        return np.array([None] * len(X))

    def half(self, X):
        return X[::2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "score"}, ValueError, r"a row for each series; score returns shape \(1,\)"),
        ({"method": "half"}, ValueError, r"half returns shape \(13, 24\) for 25"),
        ({"method": "objects"}, TypeError, "objects returns an array of object"),
        ({"method": "transform"}, ValueError, "method must be a method of Odd; got 'transform'"),
        ({"method": None}, ValueError, "method must be a method of Odd; got None"),
        ({"partitions": []}, ValueError, "one partition or more; got none"),
        ({"partitions": X[:0]}, ValueError, "one partition or more; got none"),
        ({"partitions": X[0]}, ValueError, r"as rows of an array; got shape \(24,\)"),
        ({"partitions": "a.npy"}, TypeError, "a sequence of arrays, paths or functions; got str"),
        ({"partitions": iter([X])}, TypeError, "got list_iterator"),
        ({"partitions": [X, 3]}, TypeError, "got int in place 1"),
        ({"partitions": [X], "rows_per_partition": 5}, ValueError, "must be None where.*got 5"),
        ({"rows_per_partition": 0}, ValueError, "rows_per_partition must be an integer of at"),
        ({"rows_per_partition": 2.5}, TypeError, "rows_per_partition must be an integer of at"),
        ({"partitions": ["a.npy"]}, FileNotFoundError, "a.npy"),
    ],
)
def test_what_is_not_accepted_is_named(arguments, error, message, tmp_path):
    arguments = {"partitions": X, "method": "half", **arguments}
    with pytest.raises(error, match=message):
        transform_partitions(Odd(), folder=tmp_path / "parts", **arguments)
    assert not list(tmp_path.glob("parts/part-*"))


def test_an_estimator_that_is_not_fitted_is_refused_before_a_folder_is_made(tmp_path):
    with pytest.raises(NotFittedError):
        transform_partitions(clone(TOKENIZER), X, tmp_path / "parts")
    assert not (tmp_path / "parts").exists()


def test_series_that_the_estimator_refuses_are_named_with_their_partition(tmp_path):
    bad = X.copy()
    bad[12, 3] = np.nan
    with pytest.raises(ValueError, match=r"sample 2, channel 0, time point 3") as caught:
        encode(bad, tmp_path, rows_per_partition=10)
    assert "partition 1" in caught.value.__notes__[0]


def test_workers_that_write_elsewhere_are_found_out(tmp_path, monkeypatch):
    # What a worker on another machine does, whose folder of that name is its own.
    monkeypatch.setattr("vqssl._partitions.replace_file", write_record_only)
    with pytest.raises(OSError, match="all workers see by the same name"):
        encode(X, tmp_path)


def write_record_only(path, chunks):
    if path.endswith(".json"):
        Path(path).write_bytes(b"".join(chunks))
