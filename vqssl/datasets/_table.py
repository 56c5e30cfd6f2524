"""Series of one channel as rows of a table: text or parquet."""

import csv
import difflib
from collections.abc import Sequence

import numpy as np

from vqssl.datasets._cells import as_labels, is_number, numbers, open_text


def read_text_table(
    name: str, delimiter: str, target: str | int | None, header: bool | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return series (n, L) and labels (n,), or None without a target.

    Raises
    ------
    ValueError
        If lines have unequal numbers of columns, hold text, or there is no such target.
    """
    with open_text(name) as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            rows = [(reader.line_num, row) for row in reader if row]
        except csv.Error as error:
            raise ValueError(f"{name}, line {reader.line_num}: {error}.") from error
    if not rows:
        raise ValueError(f"{name} must have a series in each line; it is empty.")
    first, n_columns = rows[0][1], len(rows[0][1])
    names: list[str] | None = None
    if _has_names(first, target, name) if header is None else header:
        names = [cell.strip() for cell in first]
        _check_names(names, name)
        del rows[0]
    column = None if target is None else find_column(target, names, n_columns, name)
    series: list[np.ndarray] = []
    labels: list[str] = []
    for line, cells in rows:
        where = f"{name}, line {line}"
        if len(cells) != n_columns:
            raise ValueError(
                f"{where}: all lines must have as many columns; got {len(cells)}, where the first "
                f"has {n_columns}."
            )
        if column is not None:
            labels.append(cells.pop(column))
            if not labels[-1].strip():
                raise ValueError(f"{where}: the label is missing.")
        try:
            series.append(numbers(cells, where))
        except ValueError as error:
            remedy = " If that is a label, give its column as target." if target is None else ""
            raise ValueError(f"{error}{remedy}") from error
    if not series or series[0].size == 0:
        raise ValueError(f"{name} must have series; it has no numbers beside header and labels.")
    return np.stack(series), None if column is None else as_labels(labels)


def read_parquet(name: str, target: str | int | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return series (n, L) and labels (n,), or None without a target.

    Raises
    ------
    ImportError
        If pandas or pyarrow is not installed.
    ValueError
        If it is no parquet file, a column of the series has text, or there is no such target.
    """
    try:
        import pandas as pd

        frame = pd.read_parquet(name)
    except ImportError as error:
        raise ImportError(
            'Files in parquet need pandas and pyarrow: pip install "vqssl[parquet]".'
        ) from error
    except ValueError as error:
        raise ValueError(f"{name} must be a parquet file: {error}") from error
    names = [str(column) for column in frame.columns]
    y = None
    if target is not None:
        column = find_column(target, names, len(names), name)
        labels = frame.iloc[:, column]
        if labels.isna().any():
            raise ValueError(f"{name}: labels must not be missing, as in {target!r}.")
        y = labels.to_numpy()
        y = y.astype(str) if y.dtype.kind == "O" else y
        frame = frame.drop(columns=frame.columns[column])
    for column, dtype in frame.dtypes.items():
        if getattr(dtype, "kind", "O") not in "biuf":
            raise ValueError(
                f"{name}: column {column!r} must hold numbers; got {dtype}. If those are labels, "
                "give the column as target."
            )
    if frame.size == 0:
        raise ValueError(f"{name} must have series; got {len(frame)} rows of {len(names)} columns.")
    return frame.to_numpy(dtype=np.float64, na_value=np.nan), y


def _has_names(cells: Sequence[str], target: str | int | None, name: str) -> bool:
    """Whether the first line of a table has names.

    Raises
    ------
    ValueError
        If it may be a series as well.
    """
    position = _as_position(target)
    if isinstance(target, str) and position is None:
        return True
    if position is not None:
        if not -len(cells) <= position < len(cells):
            return False  # an error of its own
        cells = [c for i, c in enumerate(cells) if i != position % len(cells)]
    texts = [cell.strip() for cell in cells if not is_number(cell)]
    if len(texts) > len(cells) / 2:
        return True
    if texts:
        raise ValueError(
            f"{name}, line 1: {texts[0]!r} is no number, but others of the line are. Pass "
            "header=True if it has names, header=False if it is a series."
        )
    # Of a data frame whose columns have no names; its index has none, either.
    counted = [cell.strip() for cell in cells if cell.strip()]
    return len(counted) > 2 and counted == [str(i) for i in range(len(counted))]


def _check_names(names: list[str], name: str) -> None:
    if "" in names:
        raise ValueError(
            f"{name}: all columns must have names in the first line; column {names.index('')} has "
            "none. If it is the index of a data frame, write it with to_csv(path, index=False)."
        )


def find_column(target: str | int, names: list[str] | None, n_columns: int, name: str) -> int:
    """Return the position of the column of labels."""
    if names is not None and target in names:
        return names.index(str(target))
    position = _as_position(target)
    if position is not None and -n_columns <= position < n_columns:
        return position % n_columns
    if position is not None:
        raise ValueError(f"{name} has {n_columns} columns and so no column {position}, from 0.")
    if names is None:
        raise ValueError(f"{name} has no names of columns; give target as a position, from 0.")
    near = difflib.get_close_matches(str(target), names, n=3)
    remedy = (
        f"did you mean {' or '.join(map(repr, near))}?"
        if near
        else f"its {n_columns} columns run from {names[0]!r} to {names[-1]!r}."
    )
    raise ValueError(f"{name} has no column {target!r}; {remedy}")


def _as_position(target: str | int | None) -> int | None:
    """The position that a target gives, also as text; None for a name."""
    if isinstance(target, str):
        return int(target) if target.removeprefix("-").isdecimal() else None
    return target
