"""No window and no figure left over; what needs a library that is missing is not collected."""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")

FIGURES = ["vqssl/plots/*", "tests/plots/*", "vqssl/reports/*", "tests/reports/*"]

# Files that are subclasses of another library's classes.
ADAPTERS = [
    f"vqssl/contrib/_{library}.py" for library in ("aeon", "sktime") if not find_spec(library)
]

collect_ignore_glob = [*ADAPTERS, *([] if find_spec("matplotlib") else FIGURES)]


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
