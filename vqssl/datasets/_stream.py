"""Series from files, so many at a time: .npy, .parquet, .arrow, .feather."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqssl._validation import check_count
from vqssl.datasets._table import find_column

_ARROW = (".parquet", ".arrow", ".feather")
_SUFFIXES = (".npy", *_ARROW)

# The index of a data frame, which pandas writes beside the columns.
_INDEX = re.compile(r"__index_level_\d+__")

# Bytes that are read from a column of parquet at a time.
_BUFFER = 2**20

Chunk = tuple[np.ndarray, np.ndarray | None]


def iter_series(
    path: str | os.PathLike[str],
    rows: int = 10_000,
    *,
    columns: Sequence[str] | None = None,
    target: str | int | None = None,
) -> Iterator[Chunk]:
    """Read series and labels chunk by chunk, so that memory holds one chunk and not the file.

    Parameters
    ----------
    path : str or os.PathLike
        A file, or a folder whose files (those in folders below, too) are read in the order of their
        names as if they were one. The ending says what a file is:

        - ``.npy``: an array whose first axis counts series, of any shape that estimators take. It
          is mapped into memory.
        - ``.parquet``: a series in each row: its time points are the columns, or a column of lists
          holds them; several columns of lists are the channels. Needs pyarrow.
        - ``.arrow``, ``.feather``: the same in Arrow's file format (Feather 2).
    rows : int, default=10_000
        Series in a chunk, at least 1; the last chunk has what is left.
    columns : sequence of str, default=None
        Columns that hold the series; others are not read. None is all but `target`.
    target : str or int, default=None
        Name or position (from 0; from the end below) of the column with labels.

    Returns
    -------
    chunks : iterator of (X, y)
        `X` is an ndarray of shape (rows, n_timepoints), or (rows, n_channels, n_timepoints) of
        several columns of lists. What is in an ``.npy`` stays as it is; columns become float32
        where that holds their types exactly, else float64, with NaN where a number is missing. `y`
        is an ndarray of shape (rows,), or None without `target`.

    Raises
    ------
    ValueError
        If the ending is another, an option does not suit it, or, when a chunk is asked for, the
        file is not what its ending says or series have unequal lengths.
    TypeError
        If `rows` is no integer.
    OSError
        If a file cannot be read.
    ImportError
        If columns are asked for without pyarrow.

    See Also
    --------
    read_series : All of a file at once, also of text and ``.npz``.
    vqssl.transform_partitions : Parts of large data through an estimator, into files.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from vqssl.datasets import iter_series
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "series.npy"
    ...     np.save(path, np.zeros((25, 8), np.float32))
    ...     [X.shape for X, y in iter_series(path, rows=10)]
    [(10, 8), (10, 8), (5, 8)]
    """
    rows = check_count(rows, "rows")
    paths = find_files(path)
    if paths[0].suffix.lower() == ".npy":
        for option, value in (("columns", columns), ("target", target)):
            if value is not None:
                raise ValueError(f"{option} must be None for {path}: an .npy has no columns.")
        chunks = _arrays(paths, rows)
    else:
        _check_pyarrow()
        names = None if columns is None else [columns] if isinstance(columns, str) else [*columns]
        chunks = _tables(paths, rows, names, target)
    return _regrouped(chunks, rows)


def find_files(path: str | os.PathLike[str]) -> list[Path]:
    """Return the file itself, or the files of a folder in order, all of one kind.

    Raises
    ------
    ValueError
        If there is none, one has another ending, or the files of a folder differ in theirs.
    FileNotFoundError
        If there is no such file or folder.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"path must be a file or a folder; there is no {place}.")
    if not place.is_dir():
        if place.suffix.lower() not in _SUFFIXES:
            raise ValueError(f"{place} must end in {', '.join(_SUFFIXES)}.")
        return [place]
    found = sorted(file for file in place.rglob("*") if file.suffix.lower() in _SUFFIXES)
    kinds = sorted({file.suffix.lower() for file in found})
    if len(kinds) != 1:
        raise ValueError(
            f"{place} must hold files of one kind, {', '.join(_SUFFIXES)}; it holds "
            f"{', '.join(kinds) or 'none'}."
        )
    return found


def _check_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ImportError('Files of columns need pyarrow: pip install "vqssl[parquet]".') from error


def _arrays(paths: Iterable[Path], rows: int) -> Iterator[Chunk]:
    for path in paths:
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path} must be an .npy with numbers: {error}.") from error
        if array.ndim < 2:
            raise ValueError(f"{path} must hold series as its rows; got shape {array.shape}.")
        for start in range(0, len(array), rows):
            yield array[start : start + rows], None


def _tables(
    paths: Iterable[Path], rows: int, columns: list[str] | None, target: str | int | None
) -> Iterator[Chunk]:
    first: list[str] = []
    for path in paths:
        names = _names(path)
        if first and names != first:
            raise ValueError(f"{path} must have the columns of the first file; its are others.")
        first = names
        label = None if target is None else names[find_column(target, names, len(names), str(path))]
        wanted = columns or [n for n in names if n != label and not _INDEX.fullmatch(n)]
        if unknown := [name for name in wanted if name not in names]:
            raise ValueError(
                f"columns must be among those of {path}, {_listed(names)}; got {unknown[0]!r}."
            )
        read = [*wanted, *([] if label is None or label in wanted else [label])]
        seen = 0
        for batch in _record_batches(path, rows, read):
            where = f"{path}, rows {seen} to {seen + batch.num_rows - 1}"
            X = _series(batch, wanted, where)
            yield X, None if label is None else _labels(batch.column(label), where)
            seen += batch.num_rows


def _names(path: Path) -> list[str]:
    """Names of the columns of a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() == ".parquet":
            return pq.read_schema(path).names
        with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as reader:
            return reader.schema.names
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} must be a file of {path.suffix}: {error}") from error


def _record_batches(path: Path, rows: int, columns: list[str]) -> Iterator[Any]:
    """Batches of at most so many rows, or of as many as an Arrow file has in each of its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix.lower() == ".parquet":
        # Buffered in advance, all that was read would stay in memory.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
            batches = file.iter_batches(batch_size=rows, columns=columns)
            yield from (batch for batch in batches if batch.num_rows)
    else:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            for i in range(reader.num_record_batches):
                whole = reader.get_batch(i).select(columns)
                for start in range(0, whole.num_rows, rows):
                    yield whole.slice(start, rows)


def _series(batch: Any, names: list[str], where: str) -> np.ndarray:
    """Return the series of a batch: its columns side by side, or the lists in them."""
    import pyarrow as pa

    columns = {name: batch.column(name) for name in names}
    types = {name: column.type for name, column in columns.items()}
    lists = [name for name in names if _is_list(types[name])]
    if lists and len(lists) < len(names):
        other = next(name for name in names if name not in lists)
        raise ValueError(
            f"{where}: column {lists[0]!r} holds lists and {other!r} does not. Say which columns "
            "are series by columns=[...]."
        )
    values = {name: types[name].value_type if lists else types[name] for name in names}
    for name, kind in values.items():
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if not (is_number or pa.types.is_boolean(kind)):
            raise ValueError(
                f"{where}: column {name!r} must hold numbers or lists of numbers; got "
                f"{types[name]}. If those are labels, give the column as target."
            )
    dtype = np.result_type(np.float32, *(kind.to_pandas_dtype() for kind in values.values()))
    if not lists:
        return np.stack([_numbers(column, dtype) for column in columns.values()], axis=1)
    channels = [
        _from_lists(column, dtype, f"{where}, {name!r}") for name, column in columns.items()
    ]
    if len({channel.shape for channel in channels}) > 1:
        raise ValueError(f"{where}: channels must have one length; got columns of several.")
    return channels[0] if len(channels) == 1 else np.stack(channels, axis=1)


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return any(
        is_kind(kind)
        for is_kind in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    )


def _numbers(column: Any, dtype: np.dtype) -> np.ndarray:
    """Numbers of a column (n,), NaN where one is missing."""
    import pyarrow as pa

    return column.cast(pa.from_numpy_dtype(dtype)).to_numpy(zero_copy_only=False)


def _from_lists(column: Any, dtype: np.dtype, where: str) -> np.ndarray:
    """Numbers of a column of lists (n, L)."""
    import pyarrow.compute as pc

    if column.null_count:
        raise ValueError(f"{where}: a series is missing.")
    lengths = np.unique(pc.list_value_length(column).to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        raise ValueError(
            f"{where}: series must have one length; got lengths from {lengths[0]} to "
            f"{lengths[-1]}. vqssl.pad_series makes an array of them."
        )
    return _numbers(pc.list_flatten(column), dtype).reshape(len(column), int(lengths[0]))


def _labels(column: Any, where: str) -> np.ndarray:
    if column.null_count:
        raise ValueError(f"{where}: labels must not be missing.")
    labels = column.to_numpy(zero_copy_only=False)
    return labels.astype(str) if labels.dtype.kind == "O" else labels


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names)) if len(names) <= 6 else f"{names[0]!r} to {names[-1]!r}"


def _regrouped(chunks: Iterator[Chunk], rows: int) -> Iterator[Chunk]:
    """Chunks of exactly so many rows, but for the last."""
    held: list[Chunk] = []
    n_held = 0
    shape: tuple[int, ...] | None = None
    for X, y in chunks:
        if shape not in (None, X.shape[1:]):
            raise ValueError(f"All series must have one shape; got {X.shape[1:]} after {shape}.")
        shape, start = X.shape[1:], 0
        while n_held + len(X) - start >= rows:
            stop = start + rows - n_held
            held.append((X[start:stop], None if y is None else y[start:stop]))
            yield _joined(held)
            held, n_held, start = [], 0, stop
        if start < len(X):
            held.append((X[start:], None if y is None else y[start:]))
            n_held += len(X) - start
    if held:
        yield _joined(held)


def _joined(chunks: list[Chunk]) -> Chunk:
    if len(chunks) == 1:
        return chunks[0]
    labels = [y for _, y in chunks if y is not None]
    return np.concatenate([X for X, _ in chunks]), np.concatenate(labels) if labels else None
