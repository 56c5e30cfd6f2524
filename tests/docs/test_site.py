"""The documentation as files: every page reached, every public name there, links that lead on."""

import re
import subprocess
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location

import pytest

from tests.docs.pages import DOCS, ROOT
from tests.test_docstrings import public_modules, public_objects

BUILT = ("_build", "gallery", "generated")


def sources():
    """Names of the written pages, without their ending."""
    found = [path for kind in ("md", "rst") for path in DOCS.rglob(f"*.{kind}")]
    names = [path.relative_to(DOCS).with_suffix("") for path in found]
    return {
        name.as_posix()
        for name in names
        if not {*BUILT, "_templates"} & {*name.parts} and name.name != "sg_execution_times"
    }


def toctree(name):
    """Pages in the tables of contents of a page."""
    path = next(path for kind in ("md", "rst") if (path := DOCS / f"{name}.{kind}").exists())
    tables = re.findall(
        r"^(?:```\{toctree\}|\.\. toctree::)\n(.*?)(?:^```|\Z)",
        path.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    entries = [line.strip() for table in tables for line in table.splitlines()]
    entries = [entry for entry in entries if entry and not entry.startswith(":")]
    return [(path.parent / e).resolve().relative_to(DOCS.resolve()).as_posix() for e in entries]


def test_every_page_is_reached_from_the_front_page():
    reached, left = set(), ["index"]
    while left:
        name = left.pop()
        reached.add(name)
        if name != "gallery/index":  # made by building
            left += [entry for entry in toctree(name) if entry not in reached]
    assert sources() <= reached
    assert reached - sources() == {"gallery/index"}


def reference_names():
    """Names that the reference lists, each with its module."""
    found = []
    for path in sorted((DOCS / "reference").glob("*.rst")):
        module, listing = "", False
        for line in path.read_text().splitlines():
            if match := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = match[1]
            if match := re.match(r"\.\. py:data:: (\S+)", line):
                found.append(f"{module}.{match[1]}")
            if line.startswith(".. autosummary::"):
                listing = True
            elif line and not line.startswith(" "):
                listing = False
            elif listing and (name := line.strip()) and not name.startswith(":"):
                found.append(f"{module}.{name}")
    return found


def test_the_reference_lists_every_public_name_once():
    data = {
        f"{module.__name__}.{name}"
        for module in public_modules()
        for name in module.__all__
        if not callable(getattr(module, name))
    }
    listed = reference_names()
    assert len(listed) == len(set(listed))
    # sktime is not among what the site is built with.
    assert set(listed) == (public_objects().keys() | data) - {"vqssl.contrib.SktimeTransformer"}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("augmentations", "AUGMENTATIONS"),
        ("backbones", "BACKBONES"),
        ("backbones", "PRIOR_BACKBONES"),
        ("losses", "LOSSES"),
        ("quantizers", "QUANTIZERS"),
    ],
)
def test_the_reference_lists_what_can_be_given_by_name(module, name):
    text = (DOCS / "reference" / "parts.rst").read_text()
    entry = text.split(f".. py:data:: {name}\n")[1].split("\n.. ")[0]
    names = re.findall(r"``(\w+)``", entry.partition(":")[2])
    assert names == sorted(getattr(import_module(f"vqssl.{module}"), name))


def test_the_functions_beside_equations_exist():
    text = (DOCS / "guide" / "equations.md").read_text()
    found = re.findall(r"`(\w+)/(\w+)\.py: ([\w, ]+)`", text)
    assert len(found) > 10
    for folder, file, names in found:
        module = import_module(f"vqssl.{folder}.{file}")
        for name in names.split(", "):
            assert callable(getattr(module, name)), f"{folder}/{file}.py has no {name}"
    for name in re.findall(r"`(\w+\.\w+)`", text):
        cls, _, method = name.partition(".")
        assert callable(getattr(getattr(import_module("vqssl"), cls), method))


@pytest.fixture(scope="module")
def check_links():
    spec = spec_from_file_location("check_links", DOCS / "check_links.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_that_lead_nowhere_are_found(check_links, tmp_path):
    (tmp_path / "index.html").write_text(
        '<h1 id="a b">A</h1><img src="no.png"><a href="page.html#here">1</a><a href="#a%20b">2</a>'
        '<a href="page.html#gone">3</a><a href="https://example.org/no">4</a><a href="#top">5</a>'
    )
    (tmp_path / "page.html").write_text('<a name="here" href="gone.html">1</a><a href="#">2</a>')
    assert check_links.broken_links(tmp_path) == [
        "index.html: no.png",
        "index.html: page.html#gone",
        "page.html: gone.html",
    ]


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_its_links_lead_somewhere(check_links, build_site):
    assert check_links.broken_links(build_site) == []


def test_a_folder_without_a_site_is_no_site_without_broken_links(tmp_path):
    command = [sys.executable, DOCS / "check_links.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is no built site" in done.stderr


def test_the_gallery_takes_every_script():
    """Each begins with a title, which sphinx-gallery asks for, and no two have the same."""
    titles = {}
    for path in sorted((ROOT / "examples").glob("*.py")):
        match = re.match(r'"""\n(.+)\n(=+)\n', path.read_text())
        assert match, f"{path.name} must begin with a title that is underlined."
        assert len(match[2]) >= len(match[1]), path.name
        titles[path.name] = match[1]
    assert titles
    assert len(set(titles.values())) == len(titles)


def test_settings_name_the_packages_of_the_extra():
    """So that whoever installs the extra can build."""
    text = (DOCS / "conf.py").read_text()
    for package in ("myst_parser", "numpydoc", "pydata_sphinx_theme", "sphinx_gallery"):
        assert package in text
    pyproject = (ROOT / "pyproject.toml").read_text()
    for package in ("myst-parser", "numpydoc", "pydata-sphinx-theme", "sphinx-gallery"):
        assert f'"{package}>=' in pyproject
