"""What users import: complete, in order, and light."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import BaseEstimator

import vqssl

PACKAGE = Path(vqssl.__file__).parent
FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
MODULES = ["vqssl", *(f"vqssl.{folder}" for folder in FOLDERS)]

# Folders whose estimators are imported from vqssl itself.
ESTIMATOR_FOLDERS = {"tokenizers", "autoencoders", "encoders", "generators", "classifiers"}

# Adapters to libraries that are not installed.
WITHOUT_LIBRARY = {
    f"vqssl.contrib._{library}" for library in ("aeon", "sktime") if not find_spec(library)
}


def sort_key(name: str) -> tuple[int, str]:
    """Constants, classes, the rest: the order of ruff's RUF022, so that ruff can restore it."""
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1, name) if name[0].isupper() else (2, name)


def classes_of_folder(folder: str) -> dict[str, type]:
    """Public estimators and parts that are written in the files of a folder."""
    package = importlib.import_module(f"vqssl.{folder}")
    found: dict[str, Any] = {}
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if info.name in WITHOUT_LIBRARY:
            continue
        module = importlib.import_module(info.name)
        for name, cls in inspect.getmembers(module, inspect.isclass):
            if cls.__module__ == info.name and issubclass(cls, BaseEstimator):
                found[name] = cls
    return {name: cls for name, cls in found.items() if not name.startswith(("_", "Base", "Torch"))}


def run_python(code: str) -> None:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", MODULES)
def test_all_is_in_order_and_without_doubles(module):
    names = importlib.import_module(module).__all__
    assert list(names) == sorted(set(names), key=sort_key)


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_all_resolves(module):
    package = importlib.import_module(module)
    missing = [name for name in package.__all__ if not hasattr(package, name)]
    assert not missing


@pytest.mark.parametrize("module", MODULES)
def test_no_name_of_all_is_a_private_one(module):
    names = importlib.import_module(module).__all__
    assert not [name for name in names if name.startswith("_") and name != "__version__"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_estimator_and_part_of_a_folder_is_in_its_all(folder):
    package = importlib.import_module(f"vqssl.{folder}")
    assert not set(classes_of_folder(folder)) - set(package.__all__)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_choice_by_name_is_in_the_all_of_its_folder(folder):
    package = importlib.import_module(f"vqssl.{folder}")
    registries = [n for n in package.__all__ if isinstance(getattr(package, n), dict)]
    for registry in registries:
        choices = getattr(package, registry)
        assert list(choices) == sorted(choices), f"{registry} must be sorted by name."
        for name, part in choices.items():
            assert part.__name__ in package.__all__, f"{registry}[{name!r}] is not public."


@pytest.mark.parametrize("folder", sorted(ESTIMATOR_FOLDERS & set(FOLDERS)))
def test_every_estimator_is_a_name_of_the_package(folder):
    estimators = {name for name, cls in classes_of_folder(folder).items() if hasattr(cls, "fit")}
    assert not estimators - set(vqssl.__all__)


def test_files_are_private_and_folders_public():
    for path in sorted(PACKAGE.rglob("*.py")):
        assert path.name.startswith("_"), f"{path.name} must begin with an underscore."
        for folder in path.relative_to(PACKAGE).parts[:-1]:
            assert not folder.startswith("_"), f"{folder} must not begin with an underscore."
            assert folder not in sys.stdlib_module_names, f"{folder} shadows the standard library."
        assert (path.parent / "__init__.py").exists(), f"{path.parent.name} is no package."


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()


def test_importing_the_package_loads_nothing_heavy():
    # scikit-learn itself loads pandas where it is installed; vqssl must not add it.
    run_python(
        "import sys, skorch, sklearn.base, sklearn.utils, torch\n"
        "before = set(sys.modules)\n"
        "import vqssl\n"
        "heavy = {'matplotlib', 'aeon', 'sktime', 'pandas', 'polars', 'skops', 'pyarrow', 'dask',\n"
        "         'distributed', 'dask_ml', 'ray'}\n"
        "added = heavy & (set(sys.modules) - before)\n"
        "assert not added, f'import vqssl loads {sorted(added)}'\n"
        "assert not {'matplotlib', 'aeon', 'sktime'} & set(sys.modules)\n"
    )


def test_importing_the_package_leaves_the_global_generators_and_settings_alone():
    run_python(
        "import random, warnings\n"
        "import numpy as np, torch\n"
        "import skorch\n"
        "def state():\n"
        "    kind, keys, *rest = np.random.get_state()\n"
        "    return (random.getstate(), kind, keys.tolist(), rest,\n"
        "            torch.random.get_rng_state().tolist(), torch.get_num_threads(),\n"
        "            torch.get_default_dtype(), torch.is_grad_enabled(), np.geterr())\n"
        "before, filters = state(), list(warnings.filters)\n"
        "import vqssl\n"
        "assert state() == before, 'import vqssl changes a global state'\n"
        "assert warnings.filters == filters, 'import vqssl changes the warning filters'\n"
    )
