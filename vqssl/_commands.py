"""The commands of the command line: files in, files out."""

import csv
import importlib
import os
import time
import zipfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from vqssl._from_text import make_estimator, make_inner
from vqssl._load import load
from vqssl.datasets import read_series

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_ROWS = (*_DELIMITERS, ".npz", ".parquet")


def fit(arguments: Namespace) -> None:
    """Fit an estimator and write it."""
    _check_out(arguments.out, ".vqssl")
    trusted = _import_all(arguments.trusted)
    estimator = make_estimator(arguments.estimator, arguments.assignments, trusted)
    if arguments.seed is not None:
        estimator.set_params(random_state=arguments.seed)
    if not arguments.quiet:
        _show_progress(estimator, arguments.assignments)
    X, y = _read(arguments, arguments.data, arguments.split, "train")
    if arguments.no_labels:
        y = None
    name = type(estimator).__name__
    if y is None and is_classifier(estimator):
        raise ValueError(
            f"{name} learns classes: say with --target where {arguments.data} has them."
        )
    start = time.monotonic()
    estimator.fit(X, y).save(arguments.out)
    if not arguments.quiet:
        print(
            f"{name}: {len(X)} series of shape {X.shape[1:]} in {time.monotonic() - start:.0f} s, "
            f"written to {arguments.out}"
        )


def encode(arguments: Namespace) -> None:
    """Write the codes of series."""
    _check_out(arguments.out, *_ROWS)
    estimator = _load(arguments)
    tokenizer: Any = estimator
    while tokenizer is not None and not hasattr(tokenizer, "encode"):
        tokenizer = getattr(tokenizer, "tokenizer_", getattr(tokenizer, "generator_", None))
    if tokenizer is None:
        raise ValueError(f"encode needs a tokenizer; {_held(arguments, estimator)}.")
    codes = tokenizer.encode(_read(arguments, arguments.data, arguments.split)[0])
    _write(arguments.out, codes, "token", codes=codes)
    _tell(arguments, f"codes of {len(codes)} series, {codes.shape[1]} tokens each")


def sample(arguments: Namespace) -> None:
    """Draw series and write them."""
    _check_out(arguments.out, *_ROWS)
    estimator = _load(arguments)
    if not hasattr(estimator, "sample"):
        raise ValueError(f"sample needs a generator or a VAE; {_held(arguments, estimator)}.")
    options: dict[str, Any] = {"random_state": arguments.seed}
    if arguments.label is not None:
        options["y"] = _label(arguments, estimator)
    X = estimator.sample(arguments.n_samples, **options)
    if arguments.label is None:
        _write(arguments.out, X, "t", X=X)
    else:
        y = np.full(len(X), options["y"])
        _write(arguments.out, X, "t", y, X=X, y=y)
    _tell(arguments, f"{len(X)} series of shape {X.shape[1:]}")


def report(arguments: Namespace) -> None:
    """Write a page on how good a model is."""
    _check_out(arguments.out, ".html")
    estimator = _load(arguments)
    X, y = _read(arguments, arguments.data, None, "train")
    X_test, y_test = _read(arguments, arguments.test, None, "test")
    # It brings matplotlib and classifiers with it.
    evaluation: Any = importlib.import_module("vqssl.evaluation")
    evaluation.report(estimator, X, y, X_test, y_test, path=arguments.out)
    _tell(arguments, f"report on {arguments.model}")


def parameters(arguments: Namespace) -> None:
    """Print the parameters of an estimator."""
    estimator = make_estimator(arguments.estimator, ())
    make_inner(estimator)
    for name, value in estimator.get_params().items():
        if not hasattr(value, "get_params"):
            print(f"{name}={value!r}")


# Reading ----------------------------------------------------------------------------------


def _read(
    arguments: Namespace, path: str, split: str | None, otherwise: str | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read series and labels; `otherwise` is the part of an .npz that has no plain X."""
    if split is None and path.lower().endswith(".npz") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            split = None if "X.npy" in archive.namelist() else otherwise
    return read_series(path, target=arguments.target, header=arguments.header, split=split)


def _load(arguments: Namespace) -> Any:
    return load(arguments.model, trusted=_import_all(arguments.trusted))


def _import_all(names: Sequence[str]) -> list[Any]:
    """Import classes by their full names."""
    found = []
    for name in names:
        module, _, cls = name.rpartition(".")
        try:
            found.append(getattr(importlib.import_module(module), cls))
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(
                f"--trusted must be MODULE.CLASS, which Python can import; got {name}: {error}."
            ) from error
    return found


def _label(arguments: Namespace, estimator: Any) -> Any:
    """Return the class that a text stands for."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        raise ValueError(f"--label must be left out: {arguments.model} was fitted without labels.")
    by_text = {str(label): label for label in classes.tolist()}
    if arguments.label not in by_text:
        raise ValueError(f"--label must be one of {', '.join(by_text)}; got {arguments.label}.")
    return by_text[arguments.label]


def _held(arguments: Namespace, estimator: Any) -> str:
    return f"{arguments.model} holds a {type(estimator).__name__}"


# Progress ---------------------------------------------------------------------------------


def _show_progress(estimator: Any, assignments: Sequence[str]) -> None:
    """Ask for a bar of every fit inside, where nothing else is asked for."""
    make_inner(estimator)
    given = {assignment.partition("=")[0].strip() for assignment in assignments}
    names = [name for name in estimator.get_params() if name.split("__")[-1] == "verbose"]
    estimator.set_params(**{name: 1 for name in names if name not in given})


def _tell(arguments: Namespace, what: str) -> None:
    if not arguments.quiet:
        print(f"{what}, written to {arguments.out}")


# Writing ----------------------------------------------------------------------------------


def _check_out(path: str, *suffixes: str) -> None:
    """Check that a file can be written, before there is something to write."""
    suffix = Path(path).suffix.lower()
    if suffix not in suffixes:
        raise ValueError(f"--out must end in {', '.join(suffixes)}; got {path}.")
    folder = Path(path).parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"--out must be in a folder that can be written to; got {path}.")
    if os.path.lexists(path) and not (os.path.isfile(path) and os.access(path, os.W_OK)):
        raise ValueError(f"--out must be a file that can be written to, or a new one; got {path}.")
    if suffix == ".parquet":
        try:
            importlib.import_module("pyarrow")
            importlib.import_module("pandas")
        except ImportError as error:
            raise ImportError(
                'Files in parquet need pandas and pyarrow: pip install "vqssl[parquet]".'
            ) from error


def _write(
    path: str,
    rows: np.ndarray,
    column: str,
    labels: np.ndarray | None = None,
    **arrays: np.ndarray,
) -> None:
    """Write rows (n, columns) and labels (n,) as a table, or arrays to an .npz."""
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        with open(path, "wb") as archive:
            np.savez_compressed(archive, **arrays)  # type: ignore[arg-type]
        return
    if rows.ndim > 2:
        raise ValueError(
            f"--out must end in .npz for series of shape {rows.shape[1:]}: a table holds one "
            f"channel; got {path}."
        )
    names = [f"{column}_{i}" for i in range(rows.shape[1])]
    if suffix == ".parquet":
        import pandas as pd

        frame = pd.DataFrame(rows, columns=names)
        if labels is not None:
            frame["label"] = labels
        frame.to_parquet(path, index=False)
        return
    if labels is not None:
        names.append("label")
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=_DELIMITERS[suffix])
        writer.writerow(names)
        for i, row in enumerate(rows):
            # Nine digits are enough to give a float32 back.
            cells = [str(cell) if rows.dtype.kind == "i" else f"{cell:.9g}" for cell in row]
            writer.writerow(cells if labels is None else [*cells, str(labels[i])])
