"""Dask and Ray through joblib: the results of one process, also where a worker is killed."""

import contextlib
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from tests.test_common import SMALL, X, assert_same, make_series, weights
from tests.workers import PATIENCE, Hold, Witness, processes_that_began, wait_for
from vqssl import VQTokenizer, transform_partitions

# Sets of a dozen tiny series and a few steps: the latents collapse, and that is said.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROOT = Path(__file__).parents[1]

SERIES = make_series(40)
LABELS = (SERIES.mean(1) > np.median(SERIES.mean(1))).astype(int)
GRID = {"vqtokenizer__n_codes": [2, 8], "vqtokenizer__random_state": [0, 1]}


def search(callbacks=None):
    """A search of eight fits and one more, on what joblib is set to."""
    pipeline = make_pipeline(VQTokenizer(**SMALL, callbacks=callbacks), SVC())
    return GridSearchCV(pipeline, GRID, cv=2, error_score="raise").fit(SERIES, LABELS)


@pytest.fixture(scope="module")
def sequential():
    return search()


def assert_same_search(one, other):
    scores = [name for name in one.cv_results_ if name.endswith("_score")]
    assert {"split0_test_score", "split1_test_score", "mean_test_score"} <= set(scores)
    for name in scores:
        assert_array_equal(one.cv_results_[name], other.cv_results_[name], err_msg=name)
    assert one.best_params_ == other.best_params_
    assert_same(weights(one.best_estimator_[0]), weights(other.best_estimator_[0]))


def check_partitions(folder):
    """On what joblib is set to, other processes give the features, on a thread each."""
    tokenizer = VQTokenizer(**SMALL).fit(X)
    witness = Witness(tokenizer)
    paths = transform_partitions(witness, SERIES, folder, rows_per_partition=15)
    found = np.concatenate([np.load(path) for path in paths])
    assert os.getpid() not in found[:, 0]
    # As the engine tells them.
    assert_array_equal(found[:, 1:4], np.ones((40, 3)))
    assert_array_equal(found[:, 4:].astype(np.float32), tokenizer.transform(SERIES))


@contextlib.contextmanager
def environment_of_the_engine():
    """Without the number of threads that tests are told; Dask leaves its own behind."""
    with patch.dict(os.environ):
        os.environ.pop("OMP_NUM_THREADS", None)
        yield


# -------------------------------------------------------------------------------------- Dask


@pytest.fixture(scope="module")
def dask_client(tmp_path_factory):
    """A client of two processes with a thread each."""
    pytest.importorskip("dask", reason="needs the extra dask")
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    with (
        environment_of_the_engine(),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=":0",
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as cluster,
        distributed.Client(cluster, timeout=PATIENCE) as client,
    ):
        client.wait_for_workers(2, timeout=PATIENCE)
        yield client


@pytest.fixture
def on_dask(dask_client):
    """The client, with both workers at work."""
    dask_client.wait_for_workers(2, timeout=PATIENCE)
    return dask_client


@pytest.mark.slow
def test_a_search_on_dask_scores_as_one_without(on_dask, sequential):
    with parallel_config("dask"):
        found = search()
    assert_same_search(sequential, found)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
def test_a_search_on_dask_outlives_a_worker(on_dask, sequential, tmp_path):
    def run():
        # A copy of the series on each worker: an only copy would be lost with its worker.
        with parallel_config("dask", scatter=[SERIES, LABELS]):
            return search([Hold(str(tmp_path))])

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run)
        try:
            victim = min(wait_for(lambda: processes_that_began(tmp_path), "no fit began"))
            assert victim != os.getpid()
            os.kill(victim, signal.SIGKILL)
        finally:
            (tmp_path / "go_on").touch()
        found = future.result(PATIENCE)
    assert processes_that_began(tmp_path) - {victim, os.getpid()}
    assert_same_search(sequential, found)


def test_partitions_on_dask_are_those_of_one_process(on_dask, tmp_path):
    with parallel_config("dask"):
        check_partitions(tmp_path)


def test_blocks_of_a_dask_array_are_transformed_where_they_are(on_dask):
    import dask
    import dask.array as da

    tokenizer = VQTokenizer(**SMALL).fit(X)
    series = da.from_array(SERIES.astype(np.float32), chunks=(15, 24))
    width = len(tokenizer.get_feature_names_out())

    def transform(block, fitted):
        return fitted.transform(block)

    features = series.map_blocks(
        transform,
        dask.delayed(tokenizer),
        chunks=(series.chunks[0], (width,)),
        dtype=np.float32,
        meta=np.empty((0, 0), np.float32),
    )
    assert features.shape == (40, width)
    assert_array_equal(features.compute(), tokenizer.transform(SERIES))
    assert_array_equal(features[:, -1].compute(), tokenizer.transform(SERIES)[:, -1])


def test_dask_ml_transforms_blocks_too():
    wrappers = pytest.importorskip("dask_ml.wrappers", reason="needs dask-ml")
    da = pytest.importorskip("dask.array")
    tokenizer = VQTokenizer(**SMALL).fit(X)
    features = wrappers.ParallelPostFit(tokenizer).transform(da.from_array(SERIES, chunks=(15, 24)))
    found = features.compute(scheduler="synchronous")
    assert_array_equal(found, tokenizer.transform(SERIES))


# --------------------------------------------------------------------------------------- Ray


@pytest.fixture(scope="module")
def ray_cluster():
    """Two processes of Ray."""
    ray = pytest.importorskip("ray", reason="needs the extra ray")
    from ray.util.joblib import register_ray

    with environment_of_the_engine():
        # Workers find the files of the tests.
        os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100 * 2**20,
            log_to_driver=False,
        )
        register_ray()
        yield
        ray.shutdown()


@pytest.mark.slow
def test_a_search_on_ray_scores_as_one_without(ray_cluster, sequential, tmp_path):
    (tmp_path / "go_on").touch()
    # Without n_jobs, joblib would take one: this process.
    with parallel_config("ray", n_jobs=-1):
        found = search([Hold(str(tmp_path))])
    assert_same_search(sequential, found)
    assert processes_that_began(tmp_path) - {os.getpid()}


@pytest.mark.slow
def test_partitions_on_ray_are_those_of_one_process(ray_cluster, tmp_path):
    with parallel_config("ray", n_jobs=-1):
        check_partitions(tmp_path)
