"""vqssl.show_versions: what a report of an error should say of the machine."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator, Mapping

import torch
from threadpoolctl import threadpool_info

from vqssl._persistence import current_versions

# Names of distributions: what vqssl needs, then what it works with.
_NEEDED = (
    "numpy", "scipy", "scikit-learn", "skorch", "joblib", "threadpoolctl", "safetensors", "tqdm",
)  # fmt: skip
_OPTIONAL = (
    "pip", "pandas", "pyarrow", "polars", "matplotlib", "rich", "ipywidgets", "skops", "dask",
    "distributed", "ray",
)  # fmt: skip

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def show_versions() -> None:
    """Print versions, devices and threads, for the report of an error.

    Nothing is sent anywhere. Four blocks: the system, the installed Python packages ("None" is
    not installed), the build of torch with the devices that it sees, and the threads that
    numerical libraries may use.

    See Also
    --------
    sklearn.show_versions : The same for scikit-learn.

    Examples
    --------
    >>> import vqssl
    >>> vqssl.show_versions()
    <BLANKLINE>
    System:
              python: ...
    """
    blocks = {
        "System": _system(),
        "Python packages": _packages(),
        "torch": _torch_build(),
        "Threads": _threads(),
    }
    for title, entries in blocks.items():
        print(f"\n{title}:")
        for name, value in entries.items():
            print(f"{name:>20}: {value}")


def _system() -> dict[str, object]:
    return {
        "python": sys.version.replace("\n", " "),
        "executable": sys.executable,
        "machine": platform.platform(),
    }


def _packages() -> dict[str, object]:
    found: dict[str, object] = {"vqssl": current_versions()["vqssl"]}
    for name in (*_NEEDED, *_OPTIONAL):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _torch_build() -> Mapping[str, object]:
    mps = torch.backends.mps
    return {
        "version": torch.__version__,
        "built for CUDA": torch.version.cuda,
        "built for ROCm": torch.version.hip,
        "cuDNN": torch.backends.cudnn.version(),
        "CUDA available": torch.cuda.is_available(),
        **dict(_cuda_devices()),
        "MPS": "available" if mps.is_available() else "built" if mps.is_built() else None,
    }


def _cuda_devices() -> Iterator[tuple[str, str]]:
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        memory = f"{device.total_memory / 2**30:.1f} GiB"
        yield f"cuda:{index}", f"{device.name}, {memory}, capability {device.major}.{device.minor}"


def _threads() -> dict[str, object]:
    return {
        "CPUs": os.cpu_count(),
        "torch, in operations": torch.get_num_threads(),
        "torch, between them": torch.get_num_interop_threads(),
        **{name: os.environ.get(name) for name in _THREAD_VARIABLES},
        **{
            f"library {number}": f"{library['prefix']}, {library['num_threads']} threads, "
            f"version {library['version']}"
            for number, library in enumerate(threadpool_info())
        },
    }
