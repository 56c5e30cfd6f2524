"""The built site: what ``make docs`` left, if anything, and one made here for slow tests."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.docs.pages import DOCS, ROOT

PACKAGES = ("myst_parser", "pydata_sphinx_theme", "sphinx", "sphinx_gallery")


@pytest.fixture(scope="session")
def build_site(tmp_path_factory):
    """Build the site once, without running the scripts of the gallery; return its folder."""
    absent = [name for name in PACKAGES if find_spec(name) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} not installed (extra docs)")
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-D", "plot_gallery=0"]
    done = subprocess.run(
        [*command, "-d", f"{site}-doctrees", DOCS, site],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return site


@pytest.fixture(scope="session", params=["made", pytest.param("fresh", marks=pytest.mark.slow)])
def site(request):
    """A built site."""
    if request.param == "fresh":
        return request.getfixturevalue("build_site")
    made = DOCS / "_build" / "html"
    if not (made / "index.html").exists():
        pytest.skip("make docs has not been run")
    return made
