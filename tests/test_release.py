"""What a release says of itself agrees: version, citation, changelog, what is packed."""

import re
import tomllib
from pathlib import Path

import vqssl

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_version_is_written_in_one_place():
    assert "version" not in PROJECT["project"]
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "vqssl/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", vqssl.__version__)


def test_the_citation_has_the_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (\S+)$", text, re.MULTILINE) == [vqssl.__version__]


def test_the_changelog_begins_with_the_version():
    text = (ROOT / "CHANGELOG.md").read_text()
    version, date = re.findall(r"^## \[(\S+)\] - (\S+)$", text, re.MULTILINE)[0]
    assert version == vqssl.__version__.split(".dev")[0]
    is_released = ".dev" not in vqssl.__version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\d" if is_released else "unreleased", date)


def test_everything_that_is_packed_exists():
    packed = set(PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    # Not beside the tests of an installed wheel.
    packed.remove("/vqssl")
    assert not [path for path in packed if not (ROOT / path.lstrip("/")).exists()]


def test_everything_that_the_tests_read_is_packed():
    packed = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    read = {"/conftest.py", "/tests", "/examples", "/benchmarks", "/docs", "/CHANGELOG.md"}
    read |= {"/CITATION.cff", "/constraints.txt", "/requirements-ci.txt"}
    assert not read - set(packed)
