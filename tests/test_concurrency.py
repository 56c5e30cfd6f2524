"""Threads, processes and forks: the same bits, and no more CPU threads than asked for."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed, parallel_config
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from tests.test_common import (
    ESTIMATORS,
    LATENT,
    PRIOR,
    SMALL,
    X,
    Y,
    answers,
    assert_same,
    make_series,
    weights,
)
from tests.workers import Note
from vqssl import VAE, AutoregressiveGenerator, MaskGITGenerator, VQTokenizer

# Sets of a dozen tiny series and a few steps: the latents collapse, and that is said.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROOT = Path(__file__).parents[1]
N_THREADS = 8

every_estimator = pytest.mark.parametrize(
    "estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__
)


def in_threads(function, n=N_THREADS):
    """Results of n calls at once, each with its number."""
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(function, range(n)))


# --------------------------------------------------------------------------------- threads


@every_estimator
def test_one_estimator_answers_many_threads_as_it_answers_one(estimator):
    series = make_series(40)
    estimator = clone(estimator).fit(X, Y)
    expected = answers(estimator, series)
    for found in in_threads(lambda _: answers(estimator, series)):
        assert_same(expected, found)


@pytest.mark.parametrize(
    "estimator",
    [MaskGITGenerator(**PRIOR), AutoregressiveGenerator(**PRIOR), VAE(**LATENT)],
    ids=lambda estimator: type(estimator).__name__,
)
def test_samples_drawn_in_many_threads_are_those_of_one(estimator):
    estimator = clone(estimator).fit(X, Y)
    expected = [estimator.sample(5, random_state=seed) for seed in range(N_THREADS)]
    found = in_threads(lambda seed: estimator.sample(5, random_state=seed))
    for one, other in zip(expected, found, strict=True):
        assert_array_equal(one, other)


def test_fits_beside_an_estimator_that_answers_do_not_reach_it():
    tokenizer = VQTokenizer(**SMALL).fit(X)
    before, expected = weights(tokenizer), answers(tokenizer, X)

    def work(i):
        return clone(tokenizer).fit(X) if i % 2 else answers(tokenizer, X)

    for i, found in enumerate(in_threads(work)):
        if i % 2:
            assert_same(before, weights(found))
        else:
            assert_same(expected, found)


# -------------------------------------------------------------------------------- searches


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_search_with_two_workers_scores_as_one_without(backend):
    series = make_series(20)
    labels = (series.mean(1) > np.median(series.mean(1))).astype(int)
    pipeline = make_pipeline(VQTokenizer(**SMALL), SVC())
    grid = {"vqtokenizer__n_codes": [2, 8], "vqtokenizer__random_state": [0, 1]}
    one = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(series, labels)
    with parallel_config(backend, n_jobs=2):
        two = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(series, labels)
    scores = [name for name in one.cv_results_ if name.endswith("_score")]
    assert {"split0_test_score", "split1_test_score", "mean_test_score"} <= set(scores)
    for name in scores:
        assert_array_equal(one.cv_results_[name], two.cv_results_[name], err_msg=name)
    assert_same(weights(one.best_estimator_[0]), weights(two.best_estimator_[0]))


# ----------------------------------------------------------------- how many threads of torch


def threads_of_a_fit(params):
    """Numbers of threads before, in and after a fit, as seen where it runs."""
    found = [torch.get_num_threads()]
    VQTokenizer(**SMALL).set_params(callbacks=[Note(found)], **params).fit(X)
    return [*found, torch.get_num_threads()]


@pytest.fixture
def three_threads():
    """Torch with three threads, whatever the tests have."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("params", "n"), [({}, 1), ({"net_params": {"n_threads": 2}}, 2)])
def test_a_fit_takes_one_thread_or_what_it_is_told_and_leaves_three(params, n, three_threads):
    assert threads_of_a_fit(params) == [3, *[n] * 6, 3]


def test_a_fit_that_fails_leaves_the_number_of_threads(three_threads):
    with pytest.raises(FloatingPointError, match="The loss became nan"):
        VQTokenizer(**SMALL).set_params(lr=1e30).fit(X)
    assert torch.get_num_threads() == 3


def test_fits_at_once_leave_the_number_of_threads(three_threads):
    # A thread that first asks torch while another one trains is told the number of that training.
    all_have_asked = Barrier(4)

    def fit(i):
        torch.get_num_threads()
        all_have_asked.wait()
        # Of unequal length, so that they end one after the other.
        return threads_of_a_fit({"max_iter": 3 + 5 * i})

    found = in_threads(fit, 4)
    assert [steps[1:-1] for steps in found] == [[1] * (3 + 5 * i) for i in range(4)]
    assert [(steps[0], steps[-1]) for steps in found] == [(3, 3)] * 4
    assert torch.get_num_threads() == 3


def test_a_fit_in_a_worker_process_takes_one_thread():
    found = Parallel(n_jobs=2, backend="loky")(delayed(threads_of_a_fit)({}) for _ in range(2))
    most = max(1, (os.cpu_count() or 1) // 2)
    for before, *steps, after in found:
        assert steps == [1] * 6
        # What joblib gives each worker, or less where the environment says so.
        assert 1 <= before <= most
        assert after == before


# ----------------------------------------------------------------------------------- forks

FORK = """
import multiprocessing, sys, warnings
import numpy as np
import torch
from tests.test_common import SMALL, make_series
from vqssl import MaskGITGenerator, VQTokenizer

device = sys.argv[1]
warnings.simplefilter("ignore")
X = make_series(64, 256)
tokenizer = VQTokenizer(**{**SMALL, "device": device}).fit(X)
torch.set_num_threads(1)
expected = tokenizer.transform(X)
torch.set_num_threads(2)
torch.rand(2_000_000).sin()  # starts the threads


def child(pipe):
    try:
        # What a fork inherits, and what it trains itself.
        pipe.send([tokenizer.transform(X), VQTokenizer(**SMALL).fit(X).transform(X)])
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")


receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)
process = multiprocessing.get_context("fork").Process(target=child, args=(sender,))
process.start()
if not receiver.poll(60):
    process.kill()
    sys.exit("the fork hangs")
found = receiver.recv()
process.join()
print(found if isinstance(found, str) else [np.array_equal(Z, expected) for Z in found])
"""


def run_fork(device):
    done = subprocess.run(
        [sys.executable, "-c", FORK, device],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


linux = pytest.mark.skipif(
    sys.platform != "linux", reason="forks of threads are safe on Linux only"
)


@linux
def test_a_fork_of_a_process_whose_threads_have_started_answers():
    assert run_fork("cpu") == "[True, True]"


@linux
@pytest.mark.gpu
def test_a_fork_of_a_process_that_used_cuda_answers_or_says_so():
    found = run_fork("cuda")
    # On the CPU, where device="cuda" falls back to, bits may differ.
    assert found.startswith("[") or "fork" in found
