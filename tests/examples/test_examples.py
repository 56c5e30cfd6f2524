"""The scripts of examples/: a question each, listed, in the form of the gallery; some are run."""

import ast
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
LISTED = re.compile(r"^- ``(\w+\.py)``: (.+)$", re.MULTILINE)

# Those that take a few seconds, with a line that they print.
QUICK = {
    "what_a_code_means.py": "The token that says most of the class",
    "save_and_load.py": "The same codebook as without a stop: True",
}


def docstring(path: Path) -> list[str]:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()


def test_there_are_scripts():
    assert len(SCRIPTS) >= 14


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_begins_with_its_question(path):
    title, line, blank, *text = docstring(path)
    assert title.endswith("?")
    assert line == "=" * len(title)
    assert not blank
    assert " ".join(text).count(".") >= 2, "the question must be explained"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_cells(path):
    cells = re.findall(r"^# %%\n# \S", path.read_text(), re.MULTILINE)
    assert cells
    compile(path.read_text(), str(path), "exec")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_writes_the_picture_that_its_docstring_names(path):
    named = set(re.findall(r"``(\w+\.(?:png|html))``", "\n".join(docstring(path))))
    code = path.read_text().split('"""', 2)[2]
    written = set(re.findall(r'(?:savefig\(|path=)"(\w+\.(?:png|html))"', code))
    assert written == named


def test_the_list_has_every_script_and_its_question():
    listed = dict(LISTED.findall((FOLDER / "README.rst").read_text()))
    assert listed == {path.name: docstring(path)[0] for path in SCRIPTS}


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_script_runs(name, tmp_path):
    if "aeon" in (FOLDER / name).read_text() and not find_spec("aeon"):
        pytest.skip("aeon is not installed")
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(FOLDER / name)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert QUICK[name] in done.stdout
