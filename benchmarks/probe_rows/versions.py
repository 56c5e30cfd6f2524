"""What figures depend on besides data, method and seed."""

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import vqssl

LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "aeon", "numba")


@functools.cache
def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "vqssl": vqssl.__version__}
    commit = commit_of(Path(vqssl.__file__).parent)
    if commit:
        found["commit"] = commit
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit_of(folder: Path) -> str | None:
    """The commit of a checkout, with a mark if files were changed; None elsewhere."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
