"""Every block of Python in the README and the guide runs, and prints what the page says."""

import functools
import re
import sys
from importlib.util import find_spec

import pytest

from tests.docs.pages import DOCS, ELSEWHERE, ROOT, blocks, pages, run
from vqssl import MaskGITGenerator
from vqssl._base import TorchEstimator

PAGES = pages()

# Packages that are no core dependencies, by what speaks of them.
NEEDS = {"vqssl.plots": "matplotlib", "evaluation import report": "matplotlib", "skops": "skops"}

# Budgets of the README are for a reader who wants to see something; here code has to run.
MOST_STEPS, MOST_SAMPLES = 8, 60


@pytest.fixture
def low_budget(monkeypatch):
    """Fits take few steps, whatever `max_iter` says, and reports draw few series."""
    if find_spec("matplotlib"):
        import vqssl.reports

        quick = functools.partial(vqssl.reports.report, n_samples=MOST_SAMPLES)
        monkeypatch.setattr(vqssl.reports, "report", quick)
    for cls in (TorchEstimator, MaskGITGenerator):
        count = cls._count_steps

        def few(self, n_samples, count=count):
            return min(count(self, n_samples), MOST_STEPS)

        monkeypatch.setattr(cls, "_count_steps", few)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder to run in, from which the files of the walk-throughs can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(DOCS / "extending")
    before = set(sys.modules)
    yield tmp_path
    for path in (DOCS / "extending").glob("*.py"):
        if path.stem not in before:
            sys.modules.pop(path.stem, None)


# After a few steps latents are near a single direction, and that is said.
@pytest.mark.filterwarnings("ignore:The latents have collapsed")
@pytest.mark.parametrize("name", PAGES)
def test_the_blocks_of_a_page_run_and_print_what_it_says(name, workplace, low_budget):
    for text, package in NEEDS.items():
        if text in PAGES[name].read_text():
            pytest.importorskip(package)
    run(PAGES[name])


def test_pages_are_found():
    assert {"README.md", "docs/index.md", "docs/guide/tokens.md", "docs/extending/prior.md"} <= (
        PAGES.keys()
    )


def test_pages_that_are_run_elsewhere_are_named_there():
    for page, test in ELSEWHERE.items():
        assert (ROOT / page).name in (ROOT / test).read_text()


def test_there_is_no_block_of_python_under_another_name():
    """The runner would not see it, nor one that is indented."""
    names = r"py|python\d?|pycon|ipython\d?|\{code-block\}|\{code\}|\{code-cell\}"
    for path in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        if "_build" not in path.parts:
            text = path.read_text()
            fences = re.findall(rf"^[ \t]*[`~:]{{3,}}({names})\b", text, re.MULTILINE)
            assert fences == ["python"] * len(list(blocks(text))), path


def test_the_runner_takes_one_namespace_and_the_lines_of_the_page():
    text = "A page.\n\n```python\na = 1\n```\n\n```python\nprint(a, (2, 3))  # 1 (2, 3)\n```\n"
    # Not a number at the beginning, so no output.
    text = text.replace("# 1 (2, 3)", "# the result")
    assert run(ROOT / "page.md", text)["a"] == 1
    with pytest.raises(AssertionError, match=r"page\.md:8: prints '\(1, 2\)'"):
        run(ROOT / "page.md", text.replace("a, (2, 3))  # the result", "(1, 2))  # (1, 3)"))
    with pytest.raises(ZeroDivisionError) as error:
        run(ROOT / "page.md", text.replace("a = 1", "a = 1 / 0"))
    assert error.traceback[-1].lineno == 3  # of lines from 0
