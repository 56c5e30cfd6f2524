"""Series and labels from files."""

import csv
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vqssl.datasets import read_series

X = np.array([[0.5, -1.25, 3.0, 2.0], [1e-7, 4.0, 5.5, -2.0], [7.0, 8.0, 9.5, 0.25]])
WORDS = np.array(["walk", "rest", "walk"])

UNIVARIATE = """\
# A comment, with a colon: and commas, too
%
@problemName Steps
@timeStamps false
@univariate true
@equalLength true
@seriesLength 4
@classLabel true walk rest
@data
0.5,-1.25,3.0,2:walk
1e-7,4,5.5,-2:rest

7,8,9.5,.25:walk
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def write_table(path: Path, header: list[str] | None = None, first: bool = False) -> Path:
    """Series and words as columns, the words last or first."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        if header is not None:
            writer.writerow(header)
        for row, word in zip(X.tolist(), WORDS.tolist(), strict=True):
            writer.writerow([word, *row] if first else [*row, word])
    return path


# ----------------------------------------------------------------------------- text, in columns


@pytest.mark.parametrize(
    ("header", "first", "target"),
    [
        (["a", "b", "c", "d", "kind"], False, "kind"),
        (["a", "b", "c", "d", "kind"], False, -1),
        (["a", "b", "c", "d", "kind"], False, "4"),
        (["kind", "a", "b", "c", "d"], True, "kind"),
        (None, False, -1),
        (None, False, "4"),
        (None, True, 0),
        (["0", "1", "2", "3", "kind"], False, "kind"),
        (["0", "1", "2", "3", "kind"], False, -1),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".CSV"])
def test_a_table_is_read_with_and_without_names(tmp_path, suffix, header, first, target):
    path = write_table(tmp_path / f"steps{suffix}", header, first)
    series, labels = read_series(path, target=target)
    assert_array_equal(series, X)
    assert_array_equal(labels, WORDS)


def test_a_table_without_labels_has_none(tmp_path):
    path = tmp_path / "steps.csv"
    np.savetxt(path, X, delimiter=",")
    series, labels = read_series(str(path))
    assert_array_equal(series, X)
    assert labels is None


def test_names_that_look_like_a_series_are_taken_for_one_only_when_asked(tmp_path):
    path = write(tmp_path / "steps.csv", "0,1,2\n5,6,7\n")
    assert_array_equal(read_series(path)[0], [[5, 6, 7]])
    assert_array_equal(read_series(path, header=False)[0], [[0, 1, 2], [5, 6, 7]])
    path = write(tmp_path / "steps.csv", "3,1,2\n5,6,7\n")
    assert_array_equal(read_series(path)[0], [[3, 1, 2], [5, 6, 7]])
    assert_array_equal(read_series(path, header=True)[0], [[5, 6, 7]])


@pytest.mark.parametrize("cell", ["", "?", "NaN", "nan", "NA", "null"])
def test_a_missing_number_becomes_nan(tmp_path, cell):
    path = write(tmp_path / "steps.csv", f"1,{cell},2\n3,4,5\n")
    assert_array_equal(read_series(path)[0], [[1, np.nan, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "-2", "+3"], [1, -2, 3]),
        (["1.0", "2.0", "10."], [1, 2, 10]),
        (["07", "10", "2"], [7, 10, 2]),
        (["1_0", "10", "2"], ["1_0", "10", "2"]),
        (["007", "7", "8"], ["007", "7", "8"]),
        (["1.5", "2", "3"], ["1.5", "2", "3"]),
        (["1", "2", str(2**64)], ["1", "2", str(2**64)]),
    ],
)
def test_labels_that_differ_stay_different(tmp_path, cells, expected):
    text = "".join(f"0.5,1,{cell}\n" for cell in cells)
    assert read_series(write(tmp_path / "x.csv", text), target=-1)[1].tolist() == expected


def test_a_first_line_of_numbers_and_text_is_not_taken_for_names(tmp_path):
    path = write(tmp_path / "x.csv", "1,N/A,3\n3,4,5\n")
    assert_array_equal(read_series(path)[0], [[1, np.nan, 3], [3, 4, 5]])
    path = write(tmp_path / "x.csv", "1,-,3\n3,4,5\n")
    with pytest.raises(ValueError, match="line 1: '-' is no number, but others of the line are"):
        read_series(path)
    assert_array_equal(read_series(path, header=True)[0], [[3, 4, 5]])


@pytest.mark.parametrize("target", [1.0, True])
def test_a_target_is_a_name_or_a_position(tmp_path, target):
    with pytest.raises(TypeError, match=f"target must be None, a name or .* got {target}"):
        read_series(write(tmp_path / "x.csv", "1,2\n"), target=target)


def test_labels_are_integers_where_all_are(tmp_path):
    path = write(tmp_path / "steps.csv", "1,2,07\n3,4,-1\n")
    labels = read_series(path, target=-1)[1]
    assert labels.dtype == np.int64
    assert labels.tolist() == [7, -1]
    path = write(tmp_path / "steps.csv", "1,2,07\n3,4, 7b\n")
    assert read_series(path, target=-1)[1].tolist() == ["07", "7b"]


def test_a_byte_order_mark_and_quotes_are_no_part_of_what_is_read(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text('kind,a,b\n"walk, slow",1,2\n', encoding="utf-8-sig")
    series, labels = read_series(path, target="kind")
    assert_array_equal(series, [[1, 2]])
    assert labels.tolist() == ["walk, slow"]


def test_a_table_that_pandas_wrote_is_read(tmp_path):
    pd = pytest.importorskip("pandas")
    path = tmp_path / "steps.csv"
    pd.DataFrame(X).to_csv(path, index=False)
    assert_array_equal(read_series(path)[0], X)
    pd.DataFrame(X).to_csv(path)
    with pytest.raises(ValueError, match=r"column 0 has none.*to_csv\(path, index=False\)"):
        read_series(path)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "must have a series in each line; it is empty"),
        ("a,b\n", {}, "must have series; it has no numbers"),
        ("walk\nrest\n", {"target": 0}, "must have series; it has no numbers"),
        ("1,2,3\n4,5\n", {}, "line 2: all lines must have as many columns; got 2, .* first has 3"),
        ("1,2\n\n4,x\n", {}, "line 3: 'x' is no number. If that is a label, give its column as"),
        ("1,2,a\n4,x,b\n", {"target": 2}, "line 2: 'x' is no number.$"),
        ("1,2,a\n3,4, \n", {"target": 2}, "line 2: the label is missing"),
        ("1,2,a\n", {"target": 3}, "has 3 columns and so no column 3, from 0"),
        ("1,2,a\n", {"target": -4}, "has 3 columns and so no column -4, from 0"),
        ("t,u,kind\n1,2,a\n", {"target": "knd"}, "no column 'knd'; did you mean 'kind'?"),
        ("t,u,kind\n1,2,a\n", {"target": "w"}, "no column 'w'; its 3 columns run from 't' to 'k"),
        ("1,2,a\n", {"target": "kind", "header": False}, "give target as a position, from 0"),
        ("a,,c\n1,2,3\n", {}, "all columns must have names in the first line; column 1 has none"),
    ],
)
def test_a_table_that_is_wrong_says_where(tmp_path, text, options, message):
    path = write(tmp_path / "steps.csv", text)
    with pytest.raises(ValueError, match=message) as error:
        read_series(path, **options)
    assert str(path) in str(error.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_bytes(b"1,2\n\xff\xfe,3\n")
    with pytest.raises(ValueError, match=r"steps\.csv must be text in UTF-8"):
        read_series(path)


# ------------------------------------------------------------------------------------------ .ts


def test_series_of_one_channel_are_read_from_ts(tmp_path):
    series, labels = read_series(write(tmp_path / "steps.ts", UNIVARIATE))
    assert_array_equal(series, X)
    assert_array_equal(labels, WORDS)


def test_channels_lie_on_the_second_axis(tmp_path):
    text = "@classLabel false\n@data\n1,2,3:4,5,?\n7,8,9:10,11,12\n"
    series, labels = read_series(write(tmp_path / "steps.ts", text))
    assert_array_equal(series, [[[1, 2, 3], [4, 5, np.nan]], [[7, 8, 9], [10, 11, 12]]])
    assert labels is None


def test_numbers_to_predict_are_read_as_numbers(tmp_path):
    text = "@targetlabel true\n@data\n1,2:0.5\n3,4:-1\n"
    series, labels = read_series(write(tmp_path / "steps.ts", text))
    assert_array_equal(series, [[1, 2], [3, 4]])
    assert_array_equal(labels, [0.5, -1.0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@data\n", "", r"line 9: a .ts begins with tags .* got '0.5,-1.25"),
        ("-2:rest", "-2,0:rest", r"line 11: all series must have as many .* got \(1, 5\), .*pad_s"),
        ("-2:rest", "-2:0,1,2,3:rest", r"line 11: all series .* got \(2, 4\), where .* \(1, 4\)"),
        ("-2:rest", "-2:0,1:rest", "line 11: all channels must have as many time points; got 4, 2"),
        ("-2:rest", "-2:run", "line 11: the label must be one of walk, rest, .* got 'run'"),
        ("1e-7,4,5.5,-2:rest", "rest", "line 11: there must be a series before the label"),
        ("5.5", "five", "line 11, channel 0: 'five' is no number"),
        ("@timeStamps false", "@timeStamps true", "line 4: series with time stamps are not read"),
        ("true walk rest", "yes walk rest", "line 8: @classlabel must be true or false; got '@c"),
        ("@classLabel true walk rest\n", "", "must say whether there are labels: '@classLabel"),
    ],
)
def test_a_ts_that_is_wrong_says_where(tmp_path, old, new, message):
    assert old in UNIVARIATE
    path = write(tmp_path / "steps.ts", UNIVARIATE.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_series(path)


def test_a_ts_that_is_cut_short_is_refused(tmp_path):
    head, data, _ = UNIVARIATE.partition("@data\n")
    with pytest.raises(ValueError, match=r"has no line @data: it is no \.ts, or it is cut short"):
        read_series(write(tmp_path / "steps.ts", head))
    with pytest.raises(ValueError, match="must have series after the line @data"):
        read_series(write(tmp_path / "steps.ts", head + data))


@pytest.mark.parametrize("name", ["UnitTest/UnitTest_TRAIN", "BasicMotions/BasicMotions_TEST"])
def test_ts_is_read_as_aeon_reads_it(name):
    datasets = pytest.importorskip("aeon.datasets")
    path = Path(datasets.__file__).parent / "data" / f"{name}.ts"
    series, labels = read_series(path)
    theirs, their_labels = datasets.load_from_ts_file(str(path))
    assert_array_equal(series, theirs[:, 0] if series.ndim == 2 else theirs)
    # aeon gives labels as text, in lower case.
    assert [str(label).lower() for label in labels] == their_labels.tolist()


# ---------------------------------------------------------------------------------------- .npz


def test_arrays_of_an_npz_are_given_as_they_are(tmp_path):
    path = tmp_path / "steps.npz"
    images = np.arange(24, dtype=np.uint8).reshape(2, 1, 3, 4)
    np.savez(path, X=images, y=np.array(["a", "b"]), other=np.array([3, 4]))
    series, labels = read_series(path)
    assert_array_equal(series, images)
    assert series.dtype == np.uint8
    assert labels.tolist() == ["a", "b"]
    assert read_series(path, target="other")[1].tolist() == [3, 4]


def test_the_parts_of_an_npz_are_read_one_by_one(tmp_path):
    path = tmp_path / "steps.npz"
    np.savez(path, X_train=X, y_train=WORDS, X_test=X[:1])
    series, labels = read_series(path, split="train")
    assert_array_equal(series, X)
    assert_array_equal(labels, WORDS)
    series, labels = read_series(path, split="test")
    assert_array_equal(series, X[:1])
    assert labels is None
    message = "must hold an array X; it holds X_train, y_train, X_test.* with split='train'"
    with pytest.raises(ValueError, match=message):
        read_series(path)
    with pytest.raises(ValueError, match="split must be 'train', 'test' or None; got 'valid'"):
        read_series(path, split="valid")


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"Z": X}, {}, "must hold an array X; it holds Z.$"),
        ({"X": X}, {"split": "test"}, "must hold an array X_test; it holds X.$"),
        ({"X": X}, {"target": "kind"}, "has no array 'kind'; it holds X"),
        ({"X": X[0]}, {}, r"must hold series as rows of X; got shape \(4,\)"),
        ({"X": X, "y": WORDS[:2]}, {}, r"one label per series; got 3 series and labels of .*\(2,"),
        ({"X": X, "y": X}, {}, r"one label per series; got 3 series and labels of .*\(3, 4\)"),
        ({"X": np.array([None])}, {}, "must hold arrays of numbers or text: Object arrays"),
    ],
)
def test_an_npz_that_is_wrong_says_what(tmp_path, arrays, options, message):
    path = tmp_path / "steps.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message):
        read_series(path, **options)


def test_what_is_no_npz_is_refused(tmp_path):
    for content in (b"", b"1,2,3\n", b"\x93NUMPY"):
        path = tmp_path / "steps.npz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"must be an \.npz, as numpy\.savez writes it"):
            read_series(path)


def test_a_data_set_of_the_archive_is_read(data_dir):
    series, labels = read_series(data_dir / "ucr" / "GunPoint.npz", split="test")
    assert series.shape == (150, 1, 150)
    assert len(labels) == 150
    assert len(set(labels.tolist())) == 2


# ------------------------------------------------------------------------------------- .parquet


@pytest.fixture
def frame():
    pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame.insert(1, "kind", WORDS)
    return frame


@pytest.mark.parametrize("target", ["kind", 1, "-4"])
def test_a_parquet_is_read(tmp_path, frame, target):
    path = tmp_path / "steps.parquet"
    frame.to_parquet(path)
    series, labels = read_series(path, target=target)
    assert_array_equal(series, X)
    assert_array_equal(labels, WORDS)


def test_a_parquet_that_is_wrong_says_what(tmp_path, frame):
    path = tmp_path / "steps.parquet"
    frame.to_parquet(path)
    with pytest.raises(ValueError, match=r"column 'kind' must hold numbers; got .* as target"):
        read_series(path)
    frame.loc[0, "kind"] = None
    frame.to_parquet(path)
    with pytest.raises(ValueError, match="labels must not be missing"):
        read_series(path, target="kind")
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"steps\.parquet must be a parquet file"):
        read_series(path)


def test_a_parquet_says_what_to_install(tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=re.escape('pip install "vqssl[parquet]"')):
        read_series(tmp_path / "steps.parquet")


# ------------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("steps.txt", {}, "must end in .npz, .ts, .csv, .tsv, .parquet"),
        ("steps", {}, "must end in .npz"),
        ("steps.csv", {"split": "train"}, "split must be None for .*steps.csv"),
        ("steps.npz", {"header": True}, "header must be None for .*steps.npz"),
        ("steps.ts", {"target": "kind"}, "target must be None for .*steps.ts"),
    ],
)
def test_an_option_that_does_not_suit_the_file_is_refused(tmp_path, name, options, message):
    with pytest.raises(ValueError, match=message):
        read_series(tmp_path / name, **options)


@pytest.mark.parametrize("suffix", [".npz", ".ts", ".csv", ".tsv"])
def test_a_file_that_is_not_there_is_named(tmp_path, suffix):
    with pytest.raises(FileNotFoundError, match=r"steps\."):
        read_series(tmp_path / f"steps{suffix}")


def test_reading_text_needs_no_pandas(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert read_series(write_table(tmp_path / "steps.csv"), target=-1)[0].shape == (3, 4)
