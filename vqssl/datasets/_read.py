"""Series and labels from files: .npz, .ts, .csv, .tsv, .parquet."""

import numbers
import os
import zipfile
from pathlib import Path

import numpy as np

from vqssl.datasets._table import read_parquet, read_text_table
from vqssl.datasets._ts import read_ts

# What stands between the columns of a text file.
_DELIMITERS = {".csv": ",", ".tsv": "\t"}

_SUFFIXES = (".npz", ".ts", *_DELIMITERS, ".parquet")


def read_series(
    path: str | os.PathLike[str],
    *,
    target: str | int | None = None,
    header: bool | None = None,
    split: str | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read series of equal length, and their labels where there are any, from a file.

    Parameters
    ----------
    path : str or os.PathLike
        The ending says what the file is:

        - ``.npz``: arrays ``X`` and, optionally, ``y``, or ``X_train``, ``y_train``, ``X_test`` and
          ``y_test``. ``X`` may hold images, too.
        - ``.ts``: the format of sktime, aeon and the UEA archive, of one or several channels,
          without time stamps.
        - ``.csv``, ``.tsv``: text in UTF-8, a series of one channel in each line, between
          commas or tabs.
        - ``.parquet``: a series of one channel in each row; needs pandas and pyarrow.
    target : str or int, default=None
        Where the labels are: name or position (from 0; from the end below) of the column, in an
        ``.npz`` the name of the array. None is no column, the labels of a ``.ts`` and ``y`` of an
        ``.npz``.
    header : bool, default=None
        Whether the first line of a ``.csv`` or ``.tsv`` has names. None looks: it has, where
        most of it outside the column of labels is no number, or where it counts 0, 1, 2, as data
        frames without names do; where some of it is no number, that is an error.
    split : {"train", "test"}, default=None
        Which part of an ``.npz`` with both; None is ``X``.

    Returns
    -------
    X : ndarray of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
        Arrays of an ``.npz`` as they are; else float64, NaN where a number is missing.
    y : ndarray of shape (n_samples,) or None
        Labels of a text file are int64 where all are whole numbers, such as 7 or 7.0, and
        different ones stay different (not 7 beside 07), else text; numbers to predict
        (``@targetLabel`` of a ``.ts``) are float64.

    Raises
    ------
    ValueError
        If the ending is another, an option does not suit it, or the file is not what its ending
        says; with the line where there is one.
    TypeError
        If `target` is no text and no integer.
    OSError
        If the file cannot be read.
    ImportError
        If a ``.parquet`` is asked for without pandas or pyarrow.

    See Also
    --------
    vqssl.pad_series : One array out of series of unequal lengths.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from vqssl.datasets import read_series
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "steps.csv"
    ...     _ = path.write_text("0.1,0.2,0.9,walk")
    ...     X, y = read_series(path, target=-1)
    >>> X.shape, y.tolist()
    ((1, 3), ['walk'])
    """
    name = os.fspath(path)
    is_place = isinstance(target, numbers.Integral) and not isinstance(target, bool)
    if target is not None and not (is_place or isinstance(target, str)):
        raise TypeError(f"target must be None, a name or a position from 0; got {target!r}.")
    suffix = Path(name).suffix.lower()
    if suffix not in _SUFFIXES:
        raise ValueError(f"{name} must end in {', '.join(_SUFFIXES)}.")
    if split is not None and suffix != ".npz":
        raise ValueError(f"split must be None for {name}: only an .npz holds two parts.")
    if header is not None and suffix not in _DELIMITERS:
        raise ValueError(f"header must be None for {name}: it is for .csv and .tsv.")
    if suffix == ".ts" and target is not None:
        raise ValueError(f"target must be None for {name}: a .ts says itself where labels are.")
    if suffix == ".npz":
        X, y = _read_npz(name, target, split)
    elif suffix == ".ts":
        X, y = read_ts(name)
    elif suffix == ".parquet":
        X, y = read_parquet(name, target)
    else:
        X, y = read_text_table(name, _DELIMITERS[suffix], target, header)
    if y is not None and y.shape != X.shape[:1]:
        raise ValueError(
            f"{name} must have one label per series; got {len(X)} series and labels of shape "
            f"{y.shape}."
        )
    return X, y


def _read_npz(
    name: str, target: str | int | None, split: str | None
) -> tuple[np.ndarray, np.ndarray | None]:
    if split not in (None, "train", "test"):
        raise ValueError(f"split must be 'train', 'test' or None; got {split!r}.")
    end = "" if split is None else f"_{split}"
    series, labels = f"X{end}", f"y{end}" if target is None else str(target)
    with open(name, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{name} must be an .npz, as numpy.savez writes it; it is none.")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as archive:
                names = archive.files
                arrays = {key: archive[key] for key in (series, labels) if key in names}
        except (ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{name} must hold arrays of numbers or text: {error}.") from error
    if series not in arrays:
        parts = [part for part in ("train", "test") if f"X_{part}" in names]
        remedy = f" Choose a part with split={parts[0]!r}." if parts and split is None else ""
        raise ValueError(
            f"{name} must hold an array {series}; it holds {', '.join(names) or 'none'}.{remedy}"
        )
    if target is not None and labels not in arrays:
        raise ValueError(f"{name} has no array {target!r}; it holds {', '.join(names)}.")
    if arrays[series].ndim < 2:
        raise ValueError(
            f"{name} must hold series as rows of {series}; got shape {arrays[series].shape}."
        )
    return arrays[series], arrays.get(labels)
