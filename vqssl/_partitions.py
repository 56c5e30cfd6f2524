"""vqssl.transform_partitions: large data through an estimator, a file for each part."""

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from vqssl._conditions import describe, differences, drop
from vqssl._lock import FolderLock
from vqssl._partition_data import cut, describe_parts, read
from vqssl._persistence import current_versions, replace_file

_RECORD = "partitions.json"
_FORMAT = 1

_PART = re.compile(r"part-[0-9]{6,}\.npy")

# What replace_file leaves behind when it is killed.
_LEFT_OVER = re.compile(r"\.vqssl-[0-9a-f]{16}\.tmp")

# Packages whose other version may give other numbers.
_DECISIVE = ("vqssl", "torch")

# Parameters that change nothing in the results.
_WITHOUT_EFFECT = ("checkpoint_dir", "n_jobs", "verbose")


def transform_partitions(
    estimator: Any,
    partitions: Any,
    folder: str | os.PathLike[str],
    *,
    method: str = "transform",
    rows_per_partition: int | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> list[Path]:
    """Take data that does not fit into memory through a fitted estimator, part by part.

    Each part of the data becomes a file, which is written at once or not at all. Called again
    after a crash, on the same folder, it computes only the parts that are not there. Parts are
    computed by joblib: ``joblib.parallel_config("dask")`` spreads them over the workers of a
    cluster.

    Parameters
    ----------
    estimator : fitted estimator
        Of this library or of another that keeps scikit-learn's rules, such as a pipeline.
    partitions : array or Dask array of shape (n_samples, ...), or sequence
        - An array of shape (n_samples, ...), also one mapped from a file (`numpy.memmap`), which
          workers open by its name: it is cut into `rows_per_partition`.
        - A Dask array of that shape: its chunks along the first axis are the partitions.
        - A sequence with a partition in each place: an array; a path of an ``.npy``, ``.parquet``,
          ``.arrow`` or ``.feather``, which `vqssl.datasets.iter_series` describes; a function
          without arguments that returns an array; or something with a method ``compute``, as
          `dask.delayed` makes it.
    folder : str or os.PathLike
        Where ``part-000000.npy`` and so on are written, and what they depend on, in
        ``partitions.json``. Made where there is none. Workers on other machines must see it, and
        the files of `partitions`, by the same names.
    method : str, default="transform"
        A method that takes the series alone and returns a row for each: "transform", "encode",
        "embed", "predict", "predict_proba", "score_samples".
    rows_per_partition : int, default=None
        Rows in each partition of an array; None is 10,000. For anything else it must be None.
    n_jobs : int, default=None
        Partitions computed at a time, each of which is in memory together with its result. None
        is 1, or what `joblib.parallel_config` says.
    verbose : int, default=0
        What joblib tells about the partitions that are done.

    Returns
    -------
    paths : list of pathlib.Path
        A file for each partition, in order: ``numpy.load(path, mmap_mode="r")``.

    Raises
    ------
    NotFittedError
        If `estimator` is not fitted.
    ValueError
        If there is no such method or no partition; if `folder` holds parts of another estimator,
        method or data, or another run works in it; if a result has not one row for each of the
        partition. What the estimator says of a partition is passed on, with its number.
    TypeError
        If partitions are of another kind, or a result holds something else than numbers and text.
    OSError
        If a file cannot be read or written, or workers do not see the same folder.

    See Also
    --------
    vqssl.datasets.iter_series : Chunks of series out of files.

    Notes
    -----
    Arrays in memory are compared with those of an earlier run by their digest, files by name,
    size and time of the last change. What a function or a Dask graph gives is known only when it
    is computed: that it is the same as before is left to the caller. Partitions that are added
    at the end are computed beside those that are there. A part whose file has another size than
    its header says is computed anew.

    A Dask array that a cluster holds already, after ``persist``, is for ``map_blocks``, which
    leaves it where it is.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from vqssl import VQTokenizer, transform_partitions
    >>> X = np.random.default_rng(0).normal(size=(50, 32))
    >>> tokenizer = VQTokenizer(n_codes=8, max_iter=10, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = transform_partitions(
    ...         tokenizer, X, folder, method="encode", rows_per_partition=20
    ...     )
    ...     parts = [np.load(path) for path in paths]
    >>> [part.shape for part in parts]
    [(20, 16), (20, 16), (10, 16)]
    >>> np.array_equal(np.concatenate(parts), tokenizer.encode(X))
    True
    """
    if not callable(getattr(estimator, str(method), None)):
        raise ValueError(f"method must be a method of {type(estimator).__name__}; got {method!r}.")
    check_is_fitted(estimator)
    parts = cut(partitions, rows_per_partition)
    target = os.path.abspath(os.fspath(folder))
    paths = [Path(target, f"part-{i:06d}.npy") for i in range(len(parts))]
    with _locked(target):
        _check_record(target, _conditions(estimator, method, parts))
        missing = [i for i, path in enumerate(paths) if not _is_complete(path)]
        Parallel(n_jobs=n_jobs, verbose=verbose)(
            delayed(_write_part)(estimator, method, parts[i], i, str(paths[i])) for i in missing
        )
        lost = [path for path in paths if not _is_complete(path)]
    if lost:
        raise OSError(
            f"folder must be one that this process and all workers see by the same name; the "
            f"workers have written {lost[0].name}, and it is not in {target}."
        )
    return paths


def _write_part(estimator: Any, method: str, part: Any, i: int, path: str) -> None:
    try:
        X = read(part)
        result = np.ascontiguousarray(getattr(estimator, method)(X))
        if result.dtype.kind not in "biufcSU":
            raise TypeError(
                f"method must return numbers or text; {method} returns an array of {result.dtype}."
            )
        if result.shape[:1] != (len(X),):
            raise ValueError(
                f"method must return a row for each series; {method} returns shape {result.shape} "
                f"for {len(X)}."
            )
        header = io.BytesIO()
        np.lib.format.write_array_header_2_0(
            header, np.lib.format.header_data_from_array_1_0(result)
        )
        replace_file(path, [header.getvalue(), result.reshape(-1).view(np.uint8).data])
    except Exception as error:
        error.add_note(f"This is about partition {i}, which was to become {path}.")
        raise


def _is_complete(path: Path) -> bool:
    """Whether there is a part of the size that its header says."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return False
    return path.stat().st_size == array.offset + array.nbytes


# What the parts depend on -----------------------------------------------------------------


def _conditions(estimator: Any, method: str, parts: Sequence[Any]) -> dict[str, Any]:
    description = describe(estimator, fitted=True)
    for name in _WITHOUT_EFFECT:
        drop(description, name)
    return {
        "version": {name: current_versions()[name] for name in _DECISIVE},
        "estimator": description,
        "method": repr(method),
        "partitions": list(describe_parts(parts)),
    }


def _check_record(folder: str, conditions: dict[str, Any]) -> None:
    """Compare with what the parts of an earlier run depend on, or write it down.

    Raises
    ------
    ValueError
        If it is something else.
    """
    way_out = "Use another folder, or delete this one to begin anew"
    path = os.path.join(folder, _RECORD)
    given = conditions["partitions"]
    if os.path.lexists(path):
        before = _read_record(path, way_out)
        known = before["partitions"]
        if len(given) < len(known):
            raise ValueError(
                f"folder must hold parts of the same partitions or none; those in {folder} are of "
                f"{len(known)}, not {len(given)}. {way_out}."
            )
        found = list(differences(before, {**conditions, "partitions": given[: len(known)]}))
        if found:
            rest = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise ValueError(
                "folder must hold parts of the same estimator, method and partitions or none; "
                f"those in {folder} have {'; '.join(found[:3])}{rest}. {way_out}."
            )
        if len(given) == len(known):
            return
    elif foreign := sorted(name for name in os.listdir(folder) if _PART.fullmatch(name)):
        raise ValueError(
            f"folder must hold no parts without their {_RECORD}; {folder} has {foreign[0]}. "
            f"{way_out}."
        )
    record = {"format": _FORMAT, "conditions": conditions}
    replace_file(path, [json.dumps(record).encode()])


def _read_record(path: str, way_out: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        match json.loads(text):
            case {"format": int(), "conditions": {"partitions": list()} as conditions}:
                return conditions
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}. {way_out}.") from error
    raise ValueError(f"{path} is no record of partitions. {way_out}.")


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Make a folder, keep other runs out of it, and remove what a killed one has left."""
    os.makedirs(folder, exist_ok=True)
    lock = FolderLock(folder)
    if not lock.acquire():
        raise ValueError(
            f"folder must be used by one run at a time; {lock.owner()} works in {folder}."
        )
    try:
        for name in os.listdir(folder):
            if _LEFT_OVER.fullmatch(name):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))
        yield
    finally:
        lock.release()
