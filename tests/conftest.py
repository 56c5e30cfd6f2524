"""What all tests share: one torch thread, the shared data, hypothesis profiles."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, is_hypothesis_test, settings

# Two threads on two loaded cores made a fit of 0.6 s take 27 s.
torch.set_num_threads(1)

DATA_VARIABLE = "VQSSL_DATA_DIR"
NO_DATA = f"{DATA_VARIABLE} is not set"

# How often a property is tried: in every run, and with ``pytest -m nightly``.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    max_examples=20,
    # How long an example takes says more about the machine than about the test.
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "nightly", settings.get_profile("suite"), derandomize=False, max_examples=200, print_blob=True
)


class Split(NamedTuple):
    """A data set with its original train/test split."""

    X_train: np.ndarray  # (n_train, channels, length) float32
    y_train: np.ndarray  # (n_train,) int64
    X_test: np.ndarray  # (n_test, channels, length) float32
    y_test: np.ndarray  # (n_test,) int64


def find_data_dir() -> Path:
    """Return the folder of the shared data; skip the test where none is named."""
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        pytest.skip(NO_DATA)
    folder = Path(value)
    if not folder.is_dir():
        pytest.fail(f"{DATA_VARIABLE} must name a folder; got {value!r}.", pytrace=False)
    return folder


def read_ucr(name: str) -> Split:
    """Return a UCR data set; skip the test where there is no shared data."""
    with np.load(find_data_dir() / "ucr" / f"{name}.npz") as arrays:
        return Split(*(arrays[field] for field in Split._fields))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder that VQSSL_DATA_DIR names; the test is skipped where it is unset."""
    return find_data_dir()


@pytest.fixture(scope="session")
def load_ucr() -> Callable[[str], Split]:
    """``load_ucr("GunPoint")`` returns X_train, y_train, X_test and y_test."""
    return read_ucr


@pytest.fixture(autouse=True)
def _gradients_on() -> Iterator[None]:
    """No test, and nothing that it calls, leaves torch without gradients for the next one."""
    yield
    left_on = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    assert left_on, "torch's gradients were left switched off"


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """Chromium without a window; tests that ask for it skip where `tests.browser.MISSING` is."""
    from tests.browser import start_browser

    browser = start_browser()
    yield browser
    browser.quit()


def is_nightly(config: pytest.Config) -> bool:
    """Whether nightly tests are asked for, ``-m nightly``."""
    words = config.option.markexpr.replace("(", " ").replace(")", " ").split()
    return any(
        word == "nightly" and before != "not" for before, word in itertools.pairwise(["", *words])
    )


def pytest_configure(config: pytest.Config) -> None:
    # A property has the settings of the time when it is imported, which is yet to come.
    settings.load_profile("nightly" if is_nightly(config) else "suite")


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if is_nightly(config) and is_hypothesis_test(getattr(item, "function", None)):
            item.add_marker("nightly")
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    n_missing = sum(NO_DATA in str(report.longrepr) for report in skipped)
    if n_missing:
        terminalreporter.write_line(
            f"{n_missing} test{'s were' if n_missing > 1 else ' was'} skipped because {NO_DATA}; "
            "it names the folder with the data (see README.md).",
            yellow=True,
        )
