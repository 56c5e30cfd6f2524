"""The data of `vqssl.transform_partitions`: cut into partitions, read, described."""

import functools
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vqssl._conditions import describe, describe_array
from vqssl._validation import check_count
from vqssl.datasets import iter_series

# Rows in each partition of an array, unless told otherwise.
_ROWS = 10_000


class _MappedRows(NamedTuple):
    """Rows of an array in a file: opened where they are needed, by whichever process."""

    path: str
    dtype: np.dtype
    shape: tuple[int, ...]
    order: Any
    offset: int
    start: int
    stop: int

    def __call__(self) -> np.ndarray:
        whole = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)
        return whole[self.start : self.stop]


class _Blocks(Sequence[Any]):
    """Chunks of a Dask array along its first axis, each with its own part of the graph."""

    def __init__(self, array: Any) -> None:
        # A chunk holds whole series.
        self.array = array.rechunk(dict.fromkeys(range(1, array.ndim), -1))

    def __len__(self) -> int:
        return self.array.numblocks[0]

    def __getitem__(self, i: Any) -> Any:
        from dask import optimize

        return optimize(self.array.blocks[i])[0]


def cut(partitions: Any, rows: int | None) -> Sequence[Any]:
    """Return the partitions, one in each place.

    Raises
    ------
    ValueError, TypeError
        If there are none, or they are of another kind.
    """
    is_dask = hasattr(partitions, "dask") and hasattr(partitions, "numblocks")
    parts: Sequence[Any]
    if hasattr(partitions, "shape") and not _is_lazy(partitions):
        step = _ROWS if rows is None else check_count(rows, "rows_per_partition")
        parts = _rows_of(partitions, step)
    elif rows is not None:
        raise ValueError(
            f"rows_per_partition must be None where partitions are not one array in memory or in a "
            f"file; got {rows!r}."
        )
    elif is_dask:
        parts = _Blocks(partitions)
    elif isinstance(partitions, Sequence) and not isinstance(partitions, (str, bytes)):
        parts = partitions
    else:
        remedy = " Pass its to_delayed()." if hasattr(partitions, "to_delayed") else ""
        raise TypeError(
            "partitions must be an array, a Dask array or a sequence of arrays, paths or "
            f"functions; got {type(partitions).__name__}.{remedy}"
        )
    if len(parts) == 0:
        raise ValueError("partitions must hold one partition or more; got none.")
    for i, part in enumerate(() if is_dask else parts):
        known = (str, os.PathLike, np.ndarray)
        if not (isinstance(part, known) or callable(part) or _is_lazy(part) or _is_table(part)):
            raise TypeError(
                f"partitions must hold arrays, paths or functions; got {type(part).__name__} in "
                f"place {i}."
            )
    return parts


def _is_lazy(part: Any) -> bool:
    return callable(getattr(part, "compute", None))


def _is_table(part: Any) -> bool:
    return hasattr(part, "shape") and hasattr(part, "__array__")


def _rows_of(X: Any, step: int) -> Sequence[Any]:
    if not isinstance(X, np.memmap) and not _is_table(X):
        X = np.asarray(X)
    if len(X.shape) < 2:
        raise ValueError(f"partitions must hold series as rows of an array; got shape {X.shape}.")
    n = int(X.shape[0])
    places = [(start, min(start + step, n)) for start in range(0, n, step)]
    # A view of a map says nothing of its own place in the file; numbers that were changed in a
    # private map are not in the file.
    if isinstance(X, np.memmap) and isinstance(X.base, mmap.mmap) and X.mode != "c":
        path, order = os.path.abspath(os.fspath(X.filename)), "C" if X.flags.c_contiguous else "F"
        return [_MappedRows(path, X.dtype, X.shape, order, X.offset, *place) for place in places]
    return [X[start:stop] for start, stop in places]


def read(part: Any) -> Any:
    """Return the series of a partition."""
    if isinstance(part, (str, os.PathLike)):
        if Path(part).suffix.lower() == ".npy":
            return np.load(part, mmap_mode="r", allow_pickle=False)
        return np.concatenate([X for X, _ in iter_series(part)])
    if _is_lazy(part):
        # In this worker: what a cluster has to do is in its queue already.
        return part.compute(scheduler="synchronous")
    return part() if callable(part) else part


def describe_parts(parts: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Say what each partition is, as far as it can be said without computing it."""
    if isinstance(parts, _Blocks):
        rows, *others = parts.array.chunks
        shape = [size for (size,) in others]
        for n in rows:
            yield {"class": "dask", "shape": repr((n, *shape)), "dtype": str(parts.array.dtype)}
        return
    for part in parts:
        if isinstance(part, _MappedRows):
            yield {
                **_describe_file(part.path),
                "offset": part.offset,
                "shape": repr(part.shape),
                "dtype": part.dtype.str,
                "rows": f"{part.start}:{part.stop}",
            }
        elif isinstance(part, (str, os.PathLike)):
            yield _describe_file(os.fspath(part))
        elif _is_lazy(part):
            yield {"class": type(part).__name__}
        elif callable(part):
            yield _describe_function(part)
        else:
            yield {"class": "array", **describe_array(np.asarray(part))}


def _describe_file(path: str) -> dict[str, Any]:
    """Name, size and time of the last change: a folder that was moved holds the same files."""
    status = os.stat(path)
    return {
        "class": "file",
        "name": os.path.basename(path),
        "bytes": status.st_size,
        "modified": status.st_mtime_ns,
    }


def _describe_function(function: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"class": "function"}
    if isinstance(function, functools.partial):
        described["arguments"] = describe([*function.args, function.keywords], fitted=True)
        function = function.func
    return {**described, "name": describe(function)}
