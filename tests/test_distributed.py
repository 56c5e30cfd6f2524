"""data_parallel: two processes learn what one does, and end together.

Two starts of processes serve all tests, since each takes seconds: one in which a process is killed,
then one that goes on from its checkpoint and does everything else. What they do is in
`tests.distributed_cases`.
"""

import os
import re
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from torch import distributed as dist

import vqssl
from tests import distributed_cases
from tests.distributed_cases import SMALL
from tests.test_common import ESTIMATORS, assert_same_fit
from vqssl import VQTokenizer
from vqssl._processes import current_processes

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    not dist.is_available(), reason="torch is built without torch.distributed"
)

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

CASES = [name for name, _ in distributed_cases.series_cases()]
CASES += [name for name, *_ in distributed_cases.other_cases()]
ALIKE = ["no seed", "drawing", "bfloat16", "foreign", "detector"]

# Losses that take off the mean of a projection do not see its bias: its gradient is rounding, of
# which AdamW makes steps as large as any.
WITHOUT_GRADIENT = {
    f"loss {name}/task.projector.3.bias" for name in ("barlow_twins", "vibcreg", "vicreg")
}


class Outcome(NamedTuple):
    """What the two starts have left behind."""

    folder: Path
    survivor_code: int
    survivor_output: str
    printed: str

    def arrays(self, name, rank):
        with np.load(self.folder / f"{name}-{rank}.npz") as arrays:
            return {key.replace("|", "/"): arrays[key] for key in arrays}

    def errors(self, rank):
        lines = (self.folder / f"errors-{rank}.txt").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return str(server.getsockname()[1])


def environment(**variables):
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **variables}


def start_pair(command, **variables):
    """Start two processes without torchrun, which would end the second with the first."""
    port = free_port()
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tests.distributed_cases", *command],
            cwd=ROOT,
            env=environment(
                RANK=str(rank),
                WORLD_SIZE="2",
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=port,
                **variables,
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed")
    survivor, dying = start_pair(["killed", str(folder)], DIES="1")
    try:
        dying.communicate(timeout=300)
        # Far less than the timeout of data_parallel.
        output, _ = survivor.communicate(timeout=60)
    finally:
        for process in (survivor, dying):
            process.kill()
            process.communicate()
    assert dying.returncode == -9
    launch = "-m torch.distributed.run --standalone --nproc-per-node 2 -m tests.distributed_cases"
    done = subprocess.run(
        [sys.executable, *launch.split(), "fit", str(folder)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    return Outcome(folder, survivor.returncode, output, done.stdout)


@pytest.fixture(scope="module")
def alone():
    """What one process learns from batches as large as those of two."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return distributed_cases.fit_all(distributed_cases.SIZE * distributed_cases.ROWS)


@pytest.fixture(scope="module")
def together(outcome):
    return [outcome.arrays("fits", rank) for rank in range(2)]


def of_case(arrays, case):
    return {name: array for name, array in arrays.items() if name.startswith(f"{case}/")}


# --------------------------------------------------------------------------------- same weights


def test_every_estimator_that_trains_is_told_of():
    assert {type(estimator).__name__ for estimator in ESTIMATORS} <= set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_learn_what_one_does_with_the_doubled_batch(together, alone, case):
    expected, found = of_case(alone, case), of_case(together[0], case)
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        if "history" in name:
            assert_allclose(found[name], array, rtol=1e-5, atol=1e-5, err_msg=name)
        elif name not in WITHOUT_GRADIENT:
            assert_allclose(found[name], array, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_both_processes_have_the_same_bits(together, case):
    first, second = (of_case(arrays, case) for arrays in together)
    for name, array in first.items():
        assert_array_equal(second[name], array, err_msg=name)


@pytest.mark.parametrize("case", ALIKE)
def test_both_processes_have_the_same_bits_where_one_alone_has_others(outcome, case):
    """Without a seed, in bfloat16, with what draws from torch's global generator."""
    first, second = (of_case(outcome.arrays("alike", rank), case) for rank in range(2))
    assert len(first) > 0
    for name, array in first.items():
        assert_array_equal(second[name], array, err_msg=name)


def test_what_stops_one_process_stops_both(outcome):
    for rank in range(2):
        steps = outcome.arrays("stopped", rank)["/history.step"]
        assert_array_equal(steps, [1, 2])


def test_the_first_process_shows_how_it_goes(outcome):
    lines = [line for line in outcome.printed.splitlines() if line.startswith("[VQTokenizer] step")]
    assert [line.split(":")[0] for line in lines] == [
        f"[VQTokenizer] step {step}/4" for step in (1, 2)
    ]
    assert all("perplexity" in line for line in lines)


# --------------------------------------------------------------------------- ends and goings on


def test_a_killed_process_ends_the_other_with_words(outcome):
    assert outcome.survivor_code == 1
    assert re.search(
        r"RuntimeError: Process 0 of 2 has lost the others: one of them was killed or ended by an "
        r"error.*fit goes on from where it was\.\n",
        outcome.survivor_output,
    )


def test_what_a_killed_process_has_left_goes_on_to_the_same_bits(outcome):
    for rank in range(2):
        resumed = outcome.arrays("resumed", rank)
        expected = outcome.arrays("uninterrupted", rank)
        assert resumed.keys() == expected.keys()
        for name, array in expected.items():
            assert_array_equal(resumed[name], array, err_msg=name)
    assert list((outcome.folder / "checkpoint").iterdir()) == []


UNLIKE = r"ValueError: data_parallel must be given the same .*process 1 has "


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("data", UNLIKE + r"X\.shape .*other values of X"),
        ("parameter", UNLIKE + r"lr 0\.002, not 0\.001"),
        ("part", UNLIKE + r"tokenizer\.n_codes 9, not 8"),
        ("seed", UNLIKE + r"random_state 1, not 0"),
        ("labels", UNLIKE + r"other values of y"),
        ("few", r"ValueError: X must have a series for each of the 2 processes"),
        ("loss", r"FloatingPointError: The loss became nan at step"),
        ("after", "none"),
    ],
)
def test_both_processes_say_what_is_wrong(outcome, case, message):
    errors = [outcome.errors(rank)[case] for rank in range(2)]
    assert re.match(message, errors[0])
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    ("case", "own", "other"),
    [
        ("one check", "ValueError: n_codes must be", r"Process 1 of 2 failed.*n_codes must be"),
        ("one y", "ValueError: y must have 13 labels", r"Process 1 of 2 failed.*13 labels"),
        ("one step", "ZeroDivisionError", r"Process 0 of 2 has lost the others"),
        (
            "memory",
            "OutOfMemoryError: cpu has no memory for 3 series of a batch of 6",
            r"has lost the others",
        ),
    ],
)
def test_an_error_of_one_process_ends_the_other(outcome, case, own, other):
    assert outcome.errors(1)[case].startswith(own)
    assert re.match(f"RuntimeError: .*{other}", outcome.errors(0)[case])


def test_a_lost_process_leaves_nothing_to_train_with(outcome):
    message = r"RuntimeError: data_parallel has lost its other processes in an earlier fit"
    assert all(re.match(message, outcome.errors(rank)["lost"]) for rank in range(2))


# ----------------------------------------------------------------------------------- one process


@pytest.fixture
def single(monkeypatch):
    """The environment of the only process that torchrun has started."""
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("MASTER_ADDR", "127.0.0.1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", free_port())


def test_one_process_has_the_bits_it_has_without(single):
    tokenizer = VQTokenizer(**SMALL)
    expected = clone(tokenizer).fit(distributed_cases.X)
    with vqssl.data_parallel(), vqssl.data_parallel():
        assert current_processes() is None
        found = clone(tokenizer).fit(distributed_cases.X)
    assert_same_fit(found, expected)
    assert not dist.is_initialized()


def test_a_group_that_was_there_stays(single):
    dist.init_process_group("gloo")
    try:
        with vqssl.data_parallel():
            pass
        assert dist.is_initialized()
    finally:
        dist.destroy_process_group()


def test_without_torchrun_it_says_how_to_start(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    message = r"must run in processes that torchrun has started.*torchrun --nproc-per-node 2"
    with pytest.raises(RuntimeError, match=message), vqssl.data_parallel():
        pass


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"backend": "mpi"}, ValueError, "backend must be 'gloo', 'nccl' or None; got 'mpi'"),
        ({"timeout": 0}, ValueError, "timeout must be"),
        ({"timeout": "long"}, TypeError, "timeout must be"),
    ],
)
def test_parameters_are_checked_before_anything_is_connected(single, params, error, message):
    with pytest.raises(error, match=message), vqssl.data_parallel(**params):
        pass
    assert not dist.is_initialized()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_nccl_needs_a_gpu_for_each_process(single):
    message = "backend must be 'gloo' where processes have no GPU of their own; got 'nccl'"
    with pytest.raises(ValueError, match=message), vqssl.data_parallel("nccl"):
        pass
    assert not dist.is_initialized()
