"""vqssl.datasets.iter_series: chunks out of files, the same series as all at once."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from vqssl.datasets import iter_series, read_series

X = np.random.default_rng(0).normal(size=(25, 8)).astype(np.float32)
Y = np.array(["walk", "run", "rest"])[np.arange(25) % 3]


def lists(values):
    """A column of lists, of the type of the numbers."""
    return pa.array(list(values), pa.list_(pa.from_numpy_dtype(values.dtype)))


def wide(values=X, **more):
    return pa.table({**{f"t{i}": column for i, column in enumerate(values.T)}, **more})


def write(table, path):
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=7)
    elif path.suffix == ".feather":
        import pyarrow.feather

        pyarrow.feather.write_feather(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    return path


def check_chunks(chunks, rows, X=X, y=None):
    """Chunks have so many rows, but for the last, and are the series together."""
    chunks = list(chunks)
    assert [len(series) for series, _ in chunks[:-1]] == [rows] * (len(chunks) - 1)
    assert 1 <= len(chunks[-1][0]) <= rows
    found = np.concatenate([series for series, _ in chunks])
    assert found.dtype == X.dtype
    assert_array_equal(found, X)
    if y is None:
        assert all(labels is None for _, labels in chunks)
    else:
        assert_array_equal(np.concatenate([labels for _, labels in chunks]), y)


@pytest.mark.parametrize("rows", [1, 4, 7, 10, 25, 100])
@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
@pytest.mark.parametrize("kind", ["wide", "lists", "channels"])
def test_columns_come_in_chunks_of_so_many_rows(kind, suffix, rows, tmp_path):
    tables = {
        "wide": (wide(label=Y), X),
        "lists": (pa.table({"label": Y, "series": lists(X)}), X),
        "channels": (
            pa.table({"x": lists(X), "label": Y, "y": lists(2 * X)}),
            np.stack([X, 2 * X], 1),
        ),
    }
    table, expected = tables[kind]
    path = write(table, tmp_path / f"series{suffix}")
    check_chunks(iter_series(path, rows, target="label"), rows, expected, Y)


@pytest.mark.parametrize("rows", [1, 10, 100])
def test_an_npy_stays_what_it_is_and_is_mapped(rows, tmp_path):
    series = np.stack([X, X], 1).astype(np.int16)
    np.save(tmp_path / "series.npy", series)
    assert isinstance(next(iter_series(tmp_path / "series.npy", rows))[0], np.memmap)
    check_chunks(iter_series(tmp_path / "series.npy", rows), rows, series)


@pytest.mark.parametrize("suffix", [".parquet", ".npy"])
def test_files_of_a_folder_are_read_as_one(suffix, tmp_path):
    (tmp_path / "day=2").mkdir()
    (tmp_path / "_SUCCESS").touch()
    names = ["a", "b", "day=2/c"]
    for name, part in zip(names, np.split(X, [3, 20]), strict=True):
        path = tmp_path / f"{name}{suffix}"
        np.save(path, part) if suffix == ".npy" else write(wide(part), path)
    check_chunks(iter_series(tmp_path, 6), 6)


def test_lists_of_fixed_and_large_size_are_lists(tmp_path):
    flat = pa.array(X.ravel())
    table = pa.table(
        {
            "x": pa.FixedSizeListArray.from_arrays(flat, 8),
            "y": pa.LargeListArray.from_arrays(np.arange(26) * 8, flat),
        }
    )
    path = write(table, tmp_path / "series.parquet")
    check_chunks(iter_series(path, 10), 10, np.stack([X, X], 1))


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["float32", "float32"], "float32"),
        (["float16", "int16"], "float32"),
        (["bool", "uint8"], "float32"),
        (["float32", "float64"], "float64"),
        (["int64", "float32"], "float64"),
        (["int32", "int32"], "float64"),
    ],
)
def test_types_decide_between_single_and_double_precision(dtypes, expected, tmp_path):
    columns = {name: pa.array(np.ones(3, dtype)) for name, dtype in zip("ab", dtypes, strict=True)}
    path = write(pa.table(columns), tmp_path / "series.parquet")
    check_chunks(iter_series(path, 2), 2, np.ones((3, 2), expected))


def test_a_missing_number_is_nan(tmp_path):
    table = pa.table({"a": pa.array([1, None], pa.int16()), "b": pa.array([True, None])})
    ((series, _),) = iter_series(write(table, tmp_path / "series.parquet"))
    assert_array_equal(series, np.array([[1, 1], [np.nan, np.nan]], np.float32))


def test_only_the_columns_that_are_asked_for_are_read(tmp_path):
    path = write(wide(id=np.arange(25), text=Y), tmp_path / "series.parquet")
    check_chunks(iter_series(path, 10, columns=["t2", "t0"]), 10, X[:, [2, 0]])
    check_chunks(iter_series(path, 10, columns="t2", target="id"), 10, X[:, [2]], np.arange(25))
    # The column of labels may be one of the series.
    check_chunks(iter_series(path, 10, columns=["t2"], target="t2"), 10, X[:, [2]], X[:, 2])


def test_a_data_frame_with_an_index_gives_what_read_series_gives(tmp_path):
    frame = pd.DataFrame(X, index=Y, columns=[f"t{i}" for i in range(8)]).assign(label=Y)
    frame.to_parquet(tmp_path / "series.parquet")
    at_once, labels = read_series(tmp_path / "series.parquet", target=-1)
    chunks = list(iter_series(tmp_path / "series.parquet", 10, target="label"))
    assert_array_equal(np.concatenate([series for series, _ in chunks]), at_once)
    assert_array_equal(np.concatenate([y for _, y in chunks]), labels)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (wide(text=Y), {}, "column 'text' must hold numbers or lists of numbers; got (large_)?str"),
        (wide(x=lists(X)), {}, "column 'x' holds lists and 't0' does not.*columns="),
        (pa.table({"x": [[1.0], [1.0, 2.0]]}), {}, "lengths from 1 to 2.*pad_series"),
        (pa.table({"x": [[1.0], None]}), {}, "a series is missing"),
        (pa.table({"x": [[1.0]], "y": [[1.0, 2.0]]}), {}, "channels must have one length"),
        (
            pa.table({"x": [["a"]]}),
            {},
            "column 'x' must hold numbers or lists of numbers; got list",
        ),
        (pa.table({"x": [1.0], "y": [None]}), {"target": "y"}, "labels must not be missing"),
        (wide(), {"target": "label"}, "has no column 'label'; its 8 columns run from 't0' to 't7'"),
        (wide(), {"columns": ["t1", "t9"]}, "columns must be among .*'t0' to 't7'; got 't9'"),
        (
            pa.table({"x": [[1.0]] * 5 + [[1.0, 2.0]] * 5}),
            {"rows": 5},
            r"one shape; got \(2,\) after",
        ),
    ],
)
def test_columns_that_are_no_series_are_named(table, options, message, tmp_path):
    path = write(table, tmp_path / "series.parquet")
    with pytest.raises(ValueError, match=message):
        list(iter_series(path, **options))


def test_a_mistake_is_told_before_anything_is_read(tmp_path):
    np.save(tmp_path / "a.npy", X)
    (tmp_path / "series.csv").write_text("1,2\n")
    (tmp_path / "empty").mkdir()
    write(wide(), tmp_path / "b.parquet")
    path = tmp_path / "a.npy"
    for error, message, arguments in (
        (ValueError, "rows must be an integer of at least 1; got 0", (path, 0)),
        (TypeError, "rows must be an integer of at least 1; got 2.5", (path, 2.5)),
        (ValueError, r"series\.csv must end in \.npy, \.parquet", (tmp_path / "series.csv",)),
        (ValueError, "files of one kind.*it holds none", (tmp_path / "empty",)),
        (ValueError, r"files of one kind.*it holds \.npy, \.parquet", (tmp_path,)),
        (FileNotFoundError, "there is no .*missing", (tmp_path / "missing",)),
    ):
        with pytest.raises(error, match=message):
            iter_series(*arguments)
    for option in ({"columns": ["t0"]}, {"target": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(option))} must be None for .*a.npy"):
            iter_series(path, **option)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.npy"])
def test_a_file_that_is_something_else_is_named(name, tmp_path):
    (tmp_path / name).write_bytes(b"no series at all, but bytes enough for a footer")
    with pytest.raises(ValueError, match=f"{name} must be a"):
        list(iter_series(tmp_path / name))


def test_an_npy_of_one_axis_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", X[0])
    with pytest.raises(ValueError, match=r"must hold series as its rows; got shape \(8,\)"):
        list(iter_series(tmp_path / "a.npy"))


def test_files_with_other_columns_are_refused(tmp_path):
    write(wide(), tmp_path / "a.parquet")
    write(wide(X[:, :4]), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b\.parquet must have the columns of the first file"):
        list(iter_series(tmp_path))


def test_without_pyarrow_it_says_what_to_install(tmp_path, monkeypatch):
    path = write(wide(), tmp_path / "a.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r'pip install "vqssl\[parquet\]"'):
        iter_series(path)
