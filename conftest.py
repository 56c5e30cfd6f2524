"""Tests of figures: no window, no figure left over, skipped where there is no matplotlib."""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")

FIGURES = ["vqssl/plots/*", "tests/plots/*", "vqssl/reports/*", "tests/reports/*"]

collect_ignore_glob = [] if find_spec("matplotlib") else FIGURES


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
