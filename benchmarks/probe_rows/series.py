"""The series of one set, as a protocol lets the methods see them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Series:
    """Series (n, C, L) float64 and classes (n,) int; without test series in development."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray | None = None
    y_test: np.ndarray | None = None


def load(folder: Path, name: str, with_test: bool) -> Series:
    """Read ``<name>.npz``. Test series that are not to be used are not read at all."""
    with np.load(folder / f"{name}.npz") as file:
        X, y = file["X_train"], file["y_train"]
        X_test, y_test = (file["X_test"], file["y_test"]) if with_test else (None, None)
    if X.ndim != 3:
        raise ValueError(f"X_train of {name} must be (n, channels, length); got {X.shape}.")
    if with_test:
        X_test = X_test.astype(np.float64)
    return Series(X.astype(np.float64), y, X_test, y_test)


def names_in(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.npz"))
