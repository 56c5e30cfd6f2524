"""docs/outgrowing-one-machine.md: its Python runs from top to bottom, on real workers."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

import vqssl

PAGE = Path(__file__).parents[1] / "docs" / "outgrowing-one-machine.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What torchrun starts.
SCRIPT = "# train.py\n"

# What the page needs beside the package.
ENGINES = ("dask", "distributed", "dask_ml", "ray", "pyarrow")


def blocks(kind):
    """Texts of a kind on the page, each with the lines above it left empty."""
    text = PAGE.read_text(encoding="utf-8")
    return [
        "\n" * text.count("\n", 0, match.start(2)) + match[2]
        for match in BLOCK.finditer(text)
        if match[1] == kind
    ]


@pytest.fixture
def unchanged_settings():
    """Environment and settings of Dask are put back, which the page and Dask itself change."""
    dask = pytest.importorskip("dask", reason="the page needs dask")
    before = copy.deepcopy(dask.config.config)
    with patch.dict(os.environ):
        os.environ.pop("OMP_NUM_THREADS", None)  # so that the engines decide
        yield
    dask.config.config.clear()
    dask.config.config.update(before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # a few steps each
def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys, unchanged_settings):
    for engine in ENGINES:
        pytest.importorskip(engine, reason=f"the page needs {engine}")
    monkeypatch.chdir(tmp_path)
    # What cloudpickle sends as it is, and does not look for in a module.
    names = {"__name__": "__main__"}
    try:
        for block in blocks("python"):
            if SCRIPT in block:
                continue
            exec(compile(block, str(PAGE), "exec"), names)
    finally:
        for name in ("client", "cluster"):
            if name in names:
                names[name].close()
        if "ray" in names:
            names["ray"].shutdown()
    assert names["on_dask"].best_params_ == names["one_by_one"].best_params_
    assert re.search(r"divergence +0\.\d+", capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_script_for_many_processes_runs_on_two(tmp_path):
    (script,) = (block for block in blocks("python") if SCRIPT in block)
    assert "max_iter=2000" in script
    (tmp_path / "train.py").write_text(script.replace("max_iter=2000", "max_iter=3"))
    np.save(tmp_path / "series.npy", np.random.default_rng(0).normal(size=(64, 32)))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", "train.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PAGE.parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert vqssl.load(tmp_path / "tokenizer.vqssl").n_iter_ == 3


def test_every_block_says_what_it_is_and_shells_show_a_prompt():
    text = PAGE.read_text(encoding="utf-8")
    kinds = re.findall(r"^```(\w*)$", text, re.MULTILINE)
    assert set(kinds[::2]) == {"python", "console"}
    assert set(kinds[1::2]) == {""}
    for block in blocks("console"):
        assert re.fullmatch(r"\n*([$>] .*\n)+", block)
