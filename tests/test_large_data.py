"""Data that should not be copied: how much memory they take, and how batches are made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from vqssl import _batches
from vqssl._batches import Batches, Rows, as_tensor, count_batches, move

CPU = torch.device("cpu")

# Run in a process of its own, where nothing else takes memory. Pages of a file that is mapped
# into memory do not count: the system drops them when it needs to.
SCRIPT = '''
import json, sys, threading, time
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from vqssl import VQTokenizer, transform_partitions
from vqssl.backbones import ConvBackbone
from vqssl.datasets import iter_series

N, L = 200_000, 128
SMALL = {"n_codes": 8, "code_dim": 4, "compression": 16, "max_iter": 3, "device": "cpu",
         "backbone": ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1), "random_state": 0}


def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024


def growth(function):
    """Most MB that a call takes beside what it returns."""
    before, most, stop = resident(), [0.0], threading.Event()

    def watch():
        while not stop.is_set():
            most.append(resident())
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = function()
    stop.set()
    watcher.join()
    return max(most) - before - getattr(result, "nbytes", 0) / 2**20


folder = sys.argv[1]
for dtype in ("float32", "float64"):
    X = np.memmap(f"{folder}/{dtype}", dtype, "w+", shape=(N, L))
    for start in range(0, N, 50_000):
        X[start : start + 50_000] = np.random.default_rng(0).normal(size=(50_000, L))
    X.flush()
    del X

VIEWS = {
    "plain": np.memmap(f"{folder}/float32", "float32", "r", shape=(N, L)),
    "writable": np.memmap(f"{folder}/float32", "float32", "r+", shape=(N, L)),
    "float64": np.memmap(f"{folder}/float64", "float64", "r", shape=(N, L)),
    "channels": np.memmap(f"{folder}/float32", "float32", "r", shape=(N, 2, L // 2)),
    "fortran": np.memmap(f"{folder}/float32", "float32", "r", shape=(N, L), order="F"),
    "every other": np.memmap(f"{folder}/float64", "float64", "r", shape=(N, L))[::2],
}
found = {}
for name, X in VIEWS.items():
    few = np.array(X[:2000])
    tokenizer = VQTokenizer(**SMALL).fit(few)
    tokenizer.transform(few)
    found[f"fit {name}"] = growth(lambda: VQTokenizer(**SMALL).fit(X) and None)
    found[f"encode {name}"] = growth(lambda: tokenizer.encode(X))
    found[f"transform {name}"] = growth(lambda: tokenizer.transform(X))
X = VIEWS["plain"]
found["partitions"] = growth(
    lambda: transform_partitions(tokenizer, X, f"{folder}/parts", method="encode") and None
)
types = pa.schema({"series": pa.list_(pa.float32())})
with pq.ParquetWriter(f"{folder}/series.parquet", types) as writer:
    for start in range(0, N, 20_000):
        block = pa.array(list(np.array(X[start : start + 20_000])), types.field(0).type)
        writer.write_table(pa.table([block], types))
del block
# Of Arrow, which keeps what it has freed for later.
chunks = iter_series(f"{folder}/series.parquet")
found["chunks"] = max(pa.total_allocated_bytes() for _ in chunks) / 2**20
# Features of 10,000 series, which the statistics of the readout are taken from, fill 370 MB.
few = np.array(VIEWS["plain"][:10_000, :32])
found["fit wide"] = growth(lambda: VQTokenizer(max_iter=3, device="cpu").fit(few) and None)
print(json.dumps(found))
'''
VIEWS = ("plain", "writable", "float64", "channels", "fortran", "every other")

# A copy in float32 fills 98 MB, or 49 where only every other series is taken.
LIMIT = 40


@pytest.fixture(scope="module")
def growth(tmp_path_factory):
    """MB that calls take beside their input and output, by call and kind of input."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path_factory.mktemp("series"))],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[1],
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads the memory of a process as Linux tells it"
)


@linux
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("call", ["fit", "encode", "transform"])
def test_series_in_a_file_are_never_copied_as_a_whole(growth, call, view):
    assert growth[f"{call} {view}"] < LIMIT


@linux
@pytest.mark.parametrize("what", ["partitions", "chunks"])
def test_parts_of_large_data_are_in_memory_one_at_a_time(growth, what):
    assert growth[what] < LIMIT


@linux
def test_the_readouts_of_the_training_series_are_never_held_together(growth):
    assert growth["fit wide"] < 120


# ------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "int64"])
@pytest.mark.parametrize("shape", [(6,), (6, 4), (6, 1, 4)])
def test_a_batch_has_memory_of_its_own(dtype, shape):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    labels_or_codes = dtype == "int64" and len(shape) < 3
    for given in (array, array[::2], np.asfortranarray(array)):
        before = given.copy()
        tensor = as_tensor(given)
        assert tensor.dtype == (torch.int64 if labels_or_codes else torch.float32)
        assert tensor.is_contiguous()
        assert_array_equal(tensor, given)
        tensor += 1
        assert_array_equal(given, before)


def test_inference_cannot_write_to_the_series():
    from vqssl import VQTokenizer
    from vqssl.backbones import ConvBackbone

    X = np.random.default_rng(0).normal(size=(12, 24)).astype(np.float32)
    small = ConvBackbone(width=4, n_blocks=1, n_decoder_blocks=1)
    tokenizer = VQTokenizer(4, backbone=small, scaling=None, max_iter=2, device="cpu").fit(X)
    before = X.copy()
    tokenizer._inference(lambda model, x: x.zero_(), X[:, None])
    assert_array_equal(X, before)


@pytest.mark.parametrize("block", [1, 20, 2**22])
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_an_array_moves_to_a_device_block_by_block(block, dtype, monkeypatch):
    monkeypatch.setattr(_batches, "_BLOCK", block)
    array = np.random.default_rng(0).integers(0, 100, (13, 4)).astype(dtype)
    moved = move(array, CPU)
    assert moved.dtype == as_tensor(array).dtype
    assert_array_equal(moved, array)


@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (7, 3), (10, 5), (11, 4), (100, 32)])
def test_a_pass_is_cut_into_batches_as_tensor_split_does(n, batch_size):
    array = np.arange(n)
    rows = Rows((array,), np.arange(n)[::-1].copy())
    batches = Batches(rows, batch_size, CPU)
    for rows_expected in torch.arange(n).flip(0).tensor_split(count_batches(n, batch_size)):
        (batch,) = batches.take()
        assert_array_equal(batch, rows_expected)
    assert batches.n_left == 0
