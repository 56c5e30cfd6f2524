"""What vqssl.show_versions prints."""

import importlib.metadata
import os
from types import SimpleNamespace

import numpy as np
import torch

import vqssl


def entries(capsys):
    """Blocks and their lines, as printed."""
    found = {}
    for line in capsys.readouterr().out.splitlines():
        name, _, value = line.strip().partition(": ")
        if line.endswith(":"):
            block = found.setdefault(line[:-1], {})
        elif line:
            block[name] = value
    return found


def test_versions_devices_and_threads_are_printed(capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert vqssl.show_versions() is None
    found = entries(capsys)
    assert list(found) == ["System", "Python packages", "torch", "Threads"]
    packages = found["Python packages"]
    assert packages["vqssl"] == vqssl.__version__
    assert packages["numpy"] == np.__version__
    for needed in ("scikit-learn", "scipy", "skorch", "safetensors"):
        assert packages[needed] == importlib.metadata.version(needed)
    assert found["torch"]["version"] == torch.__version__
    assert found["torch"]["built for CUDA"] == str(torch.version.cuda)
    assert found["torch"]["CUDA available"] == str(torch.cuda.is_available())
    assert found["Threads"]["CPUs"] == str(os.cpu_count())
    assert found["Threads"]["torch, in operations"] == str(torch.get_num_threads())
    assert found["Threads"]["OMP_NUM_THREADS"] == "3"
    assert any(name.startswith("library ") for name in found["Threads"])


def test_a_package_that_is_not_there_is_none(capsys, monkeypatch):
    version = importlib.metadata.version

    def without_pandas(name):
        if name == "pandas":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_pandas)
    vqssl.show_versions()
    assert entries(capsys)["Python packages"]["pandas"] == "None"


def test_devices_are_named(capsys, monkeypatch):
    device = SimpleNamespace(name="A Device", total_memory=80 * 2**30, major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: device)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    vqssl.show_versions()
    found = entries(capsys)["torch"]
    for name in ("cuda:0", "cuda:1"):
        assert found[name] == "A Device, 80.0 GiB, capability 9.0"
    assert found["MPS"] == "available"
