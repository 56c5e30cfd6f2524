"""Who may import whom: the table of docs/architecture.md, held against the code."""

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

import vqssl

ROOT = Path(__file__).parents[1]
PACKAGE = Path(vqssl.__file__).parent  # installed, or in the tree

# The first name below vqssl of every module, by layer.
LAYERS = {
    1: {
        "_seed",
        "_validation",
        "_steps",
        "_parts",
        "_batches",
        "_building",
        "_callbacks",
        "_checkpoint",
        "_conditions",
        "_data_parallel",
        "_inference",
        "_input",
        "_lock",
        "_memory",
        "_average",
        "_threads",
        "_precision",
        "_training",
        "_persistence",
        "_posterior",
        "_processes",
        "_progress",
        "_saving",
        "_scaler",
        "_share",
        "_state",
        "_show_versions",
        "_tree",
        "_whole_norm",
        "_windows",
    },
    2: {"quantizers", "losses", "augmentations", "backbones"},
    3: {"_base", "_inner", "_reconstruction"},
    4: {"tokenizers", "autoencoders", "encoders"},
    5: {"generators", "classifiers"},
    6: {"metrics", "datasets"},
    7: {
        *("evaluation", "plots", "reports", "contrib"),
        *("_load", "_partition_data", "_partitions", "_from_text", "_commands", "_cli", "__main__"),
    },
}
LAYER_OF = {unit: layer for layer, units in LAYERS.items() for unit in units}

# What each layer may import besides itself. `PUBLIC` layers are reached through their
# folders' public names only, never through a private file.
MAY_IMPORT = {1: {1}, 2: {1}, 3: {1}, 4: {1, 2, 3}, 5: {1, 2, 3}, 6: {1}, 7: {1, 2, 3, 4, 5, 6, 7}}
PUBLIC = {5: {"tokenizers"}, 7: LAYERS[2] | LAYERS[4] | LAYERS[5] | LAYERS[6] | LAYERS[7]}

# Third-party packages a layer is confined to, where it is not every core dependency.
CONFINED = {6: {"numpy", "scipy", "sklearn"}}
ONLY_IN = {"skorch": "vqssl._training"}
# An adapter is a subclass: it needs its library before it can be written, so it is imported late.
ADAPTERS = {"vqssl.contrib._aeon": {"aeon"}, "vqssl.contrib._sktime": {"sktime", "pandas"}}


class Import(NamedTuple):
    """One import statement, name by name."""

    module: str  # what is imported from, or the imported module itself
    name: str | None  # what is imported from it
    line: int
    runs_on_import: bool  # not inside a function, not for type checkers only


def core_dependencies() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {spec.split(">")[0].strip() for spec in project["dependencies"]}
    return {"sklearn" if name == "scikit-learn" else name for name in names}


def module_name(path: str) -> str:
    """``vqssl/losses/_vicreg.py`` -> ``vqssl.losses._vicreg``."""
    parts = Path(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find_imports(source: str, package: str) -> Iterator[Import]:
    """Find every import of a module, also the ones inside functions."""

    def visit(node: ast.AST, runs: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, node.lineno, runs)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                module = ".".join([*above, *([module] if module else [])])
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, runs)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from visit(child, False)
            for child in node.orelse:
                yield from visit(child, runs)
        else:
            inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            for child in ast.iter_child_nodes(node):
                yield from visit(child, runs and not inside)

    return visit(ast.parse(source), True)


def violations(files: Mapping[str, str]) -> list[str]:
    """Hold the table against sources given by path; one line per offence."""
    modules = {module_name(path): path for path in files}
    core = core_dependencies()
    found = []
    edges: dict[str, set[str]] = {module: set() for module in modules}
    for module, path in modules.items():
        is_package = path.endswith("__init__.py")
        package = module if is_package else module.rpartition(".")[0]
        unit = module.split(".")[1] if "." in module else ""
        if unit and unit not in LAYER_OF:
            found.append(f"{path}: {unit} has no layer; add it to the table.")
            continue
        for item in find_imports(files[path], package):
            if item.module.split(".")[0] == "vqssl":
                target = item.module
                if item.name and f"{target}.{item.name}" in modules:
                    target, item = f"{target}.{item.name}", item._replace(name=None)
                problem = check_own(module, unit, target, item.name)
                if item.runs_on_import:
                    edges[module] |= imported_with(target, module) & modules.keys()
            else:
                problem = check_foreign(module, unit, item, core)
            if problem:
                found.append(f"{path}:{item.line}: {problem}")
    return found + [f"circular import: {' -> '.join(cycle)}" for cycle in find_cycles(edges)]


def check_own(module: str, unit: str, target: str, name: str | None) -> str | None:
    """Say what is wrong with an import from vqssl itself, if anything."""
    if not unit:  # vqssl/__init__.py gathers everything
        return None
    layer = LAYER_OF[unit]
    if target == "vqssl":
        return None if layer == 7 else f"layer {layer} must not import vqssl as a whole."
    other = target.split(".")[1]
    if other == unit:
        return None
    if other not in LAYER_OF:
        return f"{other} has no layer; add it to the table."
    allowed = set().union(*(LAYERS[n] for n in MAY_IMPORT[layer])) | PUBLIC.get(layer, set())
    if layer in (2, 4, 5, 6):  # siblings know nothing of each other
        allowed -= LAYERS[layer]
    if other not in allowed:
        return f"{unit} (layer {layer}) must not import {other} (layer {LAYER_OF[other]})."
    if other in PUBLIC.get(layer, set()) and not other.startswith("_"):
        private = [part for part in (*target.split(".")[2:], name or "") if part.startswith("_")]
        if private:
            return f"{unit} must use public names of {other}; got {private[0]}."
    return None


def check_foreign(module: str, unit: str, item: Import, core: set[str]) -> str | None:
    """Say what is wrong with an import from elsewhere, if anything."""
    top = item.module.split(".")[0]
    if top in sys.stdlib_module_names:
        return None
    if top not in core:
        if item.runs_on_import and top not in ADAPTERS.get(module, set()):
            return f"{top} is no core dependency; import it inside the function that needs it."
        return None
    confined = CONFINED.get(LAYER_OF.get(unit, 0), core)
    if top not in confined:
        return f"{unit} may import {', '.join(sorted(confined))} only; got {top}."
    if ONLY_IN.get(top, module) != module:
        return f"{top} is imported only in {ONLY_IN[top]}."
    if top == "sklearn":
        private = [p for p in (*item.module.split("."), item.name or "") if p.startswith("_")]
        if private:
            return f"only public scikit-learn is used; got {item.module}, {private[0]}."
    return None


def imported_with(target: str, importer: str) -> set[str]:
    """Modules that run when `importer` imports `target`: it and the packages above it."""
    parts = target.split(".")
    above = {".".join(parts[:n]) for n in range(1, len(parts))}
    return {target} | {package for package in above if not f"{importer}.".startswith(f"{package}.")}


def find_cycles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Find import cycles, one per module that closes one, by depth-first search."""
    cycles: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            cycles.append([*path[path.index(module) :], module])
        elif module not in done:
            for target in sorted(edges[module]):
                visit(target, [*path, module])
            done.add(module)

    for module in sorted(edges):
        visit(module, [])
    return cycles


def test_the_package_keeps_the_table():
    files = {
        path.relative_to(PACKAGE.parent).as_posix(): path.read_text()
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    assert files
    found = violations(files)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source", "problem"),
    [
        ("vqssl/_seed.py", "from vqssl._base import TorchEstimator", "must not import _base"),
        ("vqssl/_parts.py", "from vqssl.losses import VICReg", "must not import losses"),
        ("vqssl/_parts.py", "import vqssl", "must not import vqssl as a whole"),
        ("vqssl/_surprise.py", "", "_surprise has no layer"),
        ("vqssl/_base.py", "from vqssl import _surprise", "must not import vqssl as a whole"),
        ("vqssl/_base.py", "from vqssl._surprise import x", "_surprise has no layer"),
        ("vqssl/_base.py", "from vqssl.quantizers import EMAQuantizer", "must not import quant"),
        ("vqssl/losses/_a.py", "from vqssl.quantizers import FSQ", "must not import quantizers"),
        ("vqssl/losses/_a.py", "from ..backbones._conv import x", "must not import backbones"),
        ("vqssl/losses/_a.py", "from .. import backbones", "must not import"),
        ("vqssl/quantizers/_a.py", "import vqssl._base", "must not import _base"),
        (
            "vqssl/quantizers/_a.py",
            "def f():\n    from vqssl.losses import VICReg",
            "vqssl/quantizers/_a.py:2: quantizers (layer 2) must not import losses",
        ),
        (
            "vqssl/augmentations/_a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import vqssl.losses",
            "must not import losses",
        ),
        ("vqssl/tokenizers/_a.py", "from vqssl.encoders import CPCEncoder", "import encoders"),
        ("vqssl/tokenizers/_a.py", "import vqssl.autoencoders._ae", "import autoencoders"),
        ("vqssl/autoencoders/_a.py", "from vqssl.tokenizers import x", "import tokenizers"),
        ("vqssl/tokenizers/_a.py", "from vqssl.generators import x", "import generators"),
        ("vqssl/generators/_a.py", "from vqssl.tokenizers._vq import x", "public names of tok"),
        ("vqssl/generators/_a.py", "from vqssl.tokenizers import _vq", "public names of tok"),
        ("vqssl/generators/_a.py", "from vqssl.encoders import x", "must not import encoders"),
        ("vqssl/classifiers/_a.py", "from vqssl.generators import x", "import generators"),
        ("vqssl/metrics/_a.py", "import torch", "numpy, scipy, sklearn only; got torch"),
        ("vqssl/metrics/_a.py", "def f():\n    import torch.nn", "only; got torch"),
        ("vqssl/metrics/_a.py", "from vqssl.tokenizers import x", "must not import tokenizers"),
        ("vqssl/metrics/_a.py", "from vqssl.datasets import x", "must not import datasets"),
        ("vqssl/evaluation/_a.py", "from vqssl.metrics._frechet import x", "public names of met"),
        ("vqssl/_base.py", "import skorch", "skorch is imported only in vqssl._training"),
        ("vqssl/__init__.py", "from skorch.callbacks import X", "skorch is imported only in"),
        ("vqssl/_base.py", "from sklearn.utils._param_validation import x", "public scikit-learn"),
        ("vqssl/_base.py", "from sklearn.base import _fit_context", "only public scikit-learn"),
        ("vqssl/plots/_a.py", "import matplotlib.pyplot as plt", "inside the function"),
        ("vqssl/plots/_a.py", "try:\n    import pandas\nexcept E:\n    pass", "inside the func"),
        ("vqssl/plots/_a.py", "class A:\n    import matplotlib", "inside the function"),
        ("vqssl/contrib/_aeon.py", "import sktime", "inside the function"),
        ("vqssl/contrib/__init__.py", "import aeon", "inside the function"),
        ("vqssl/_validation.py", "from vqssl import _validation", "circular import"),
        ("vqssl/losses/_a.py", "from vqssl.losses._a import x", "circular import"),
    ],
)
def test_an_offence_is_found(path, source, problem):
    found = violations({path: source})
    assert any(problem in line for line in found), found


def test_a_circle_through_a_package_is_found():
    found = violations(
        {
            "vqssl/losses/__init__.py": "from vqssl.losses._vicreg import VICReg",
            "vqssl/losses/_vicreg.py": "from vqssl.losses import LOSSES",
        }
    )
    assert found == ["circular import: vqssl.losses -> vqssl.losses._vicreg -> vqssl.losses"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("vqssl/__init__.py", "from vqssl.tokenizers import VQTokenizer"),
        ("vqssl/_training.py", "import torch, skorch\nfrom vqssl._seed import spawn_seeds"),
        ("vqssl/_base.py", "from vqssl._training import fit\nfrom sklearn.utils import check_X_y"),
        ("vqssl/losses/_vicreg.py", "from vqssl.losses._base import SSLLoss"),
        ("vqssl/losses/_vicreg.py", "from ._base import SSLLoss\nfrom .._parts import Part"),
        ("vqssl/tokenizers/_vq.py", "from vqssl.quantizers import QUANTIZERS\nimport vqssl._base"),
        ("vqssl/generators/_maskgit.py", "from vqssl.tokenizers import BaseTokenizer"),
        ("vqssl/metrics/_frechet.py", "import math\nfrom scipy import linalg"),
        ("vqssl/evaluation/_probe.py", "from vqssl.metrics import x\nimport torch"),
        ("vqssl/plots/_tokens.py", "def plot():\n    import matplotlib.pyplot as plt"),
        ("vqssl/contrib/_sktime.py", "import pandas as pd\nfrom sktime.base import BaseObject"),
        ("vqssl/_load.py", "def load():\n    import vqssl\n    from vqssl.losses import LOSSES"),
        (
            "vqssl/plots/_a.py",
            "import typing\nif typing.TYPE_CHECKING:\n    from matplotlib.axes import Axes",
        ),
    ],
)
def test_what_is_allowed_is_not_reported(path, source):
    assert violations({path: source}) == []
