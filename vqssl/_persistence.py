"""The file of a saved estimator: arrays as safetensors, the rest as JSON. Never pickle.

It is a safetensors file, whose ``__metadata__`` has five texts: ``format`` and
``format_version``; ``tree``, a value as JSON (see ``_tree.py``); ``versions`` of the packages
that wrote it, as JSON; and ``sha256``, the digest of the file with zeros in the digest's own
place.
"""

import contextlib
import hashlib
import json
import os
import platform
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
import safetensors
import sklearn
import torch

FORMAT = "vqssl"
FORMAT_VERSION = 1

# What safetensors reads at most.
_MAX_HEADER = 100_000_000

# Without it, Windows translates line ends.
_BINARY = getattr(os, "O_BINARY", 0)

_NO_DIGEST = b"0" * 64
# Quotes inside a text of JSON are escaped, so nothing but the key itself looks like this.
_DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')

_SAFETENSORS_NAMES = {
    "|b1": "BOOL",
    "|i1": "I8",
    "|u1": "U8",
    "<i2": "I16",
    "<u2": "U16",
    "<i4": "I32",
    "<u4": "U32",
    "<i8": "I64",
    "<u8": "U64",
    "<f2": "F16",
    "<f4": "F32",
    "<f8": "F64",
}
_DTYPES = {name: dtype for dtype, name in _SAFETENSORS_NAMES.items()}


class Contents(NamedTuple):
    """What a file holds."""

    tree: Any
    arrays: dict[str, np.ndarray]
    versions: dict[str, str]


def write_file(path: str | os.PathLike[str], tree: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a tree and its arrays, as `to_tree` returns them, to a file at once or not at all.

    Raises
    ------
    FileNotFoundError
        If the folder of the file does not exist.
    IsADirectoryError
        If `path` is a folder.
    PermissionError
        If the file is there and read-only.
    OSError
        If the disk is full or fails. What was there before stays.
    ValueError
        If `path` is something else than a file, or the tree is too large.
    """
    target = check_target(path)
    replace_file(target, _pack(tree, arrays))


def replace_file(target: str, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file at once or not at all; `target` is what `check_target` returned.

    Raises
    ------
    OSError
        If the disk is full or fails. What was there before stays.
    """
    # Created in place of tempfile's, which nobody but the owner may read.
    temporary = os.path.join(os.path.dirname(target), f".vqssl-{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        with open(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            os.chmod(temporary, os.stat(target).st_mode & 0o777)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(os.path.dirname(target))


def read_file(path: str | os.PathLike[str]) -> Contents:
    """Return the tree and the arrays that `write_file` wrote.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If `path` is no file.
    ValueError
        If the file is cut short, altered, written by a newer version or by something else.
    """
    name = _name(path)
    if os.path.isdir(name):
        raise IsADirectoryError(f"path must be a file; got the folder {name}.")
    if not os.path.exists(name):
        raise FileNotFoundError(f"path must be a file; there is no {name}.")
    if not os.path.isfile(name):
        raise ValueError(f"path must be a regular file; got {name}.")
    with open(name, "rb") as file:
        data = file.read()
    header, start = _read_header(name, data)
    metadata = _check_metadata(name, header)
    _check_complete(name, data, header, start)
    _check_digest(name, data[8:start], data)
    try:
        tree = _parse(metadata.get("tree", ""))
        versions = _parse(metadata.get("versions", ""))
        arrays = dict(_unpack(data))
    except (ValueError, safetensors.SafetensorError) as error:
        raise ValueError(f"{name} is not well formed: {error}") from error
    if not _is_text_by_name(versions):
        raise ValueError(f"{name} is not well formed: its versions are no texts.")
    return Contents(tree, arrays, versions)


def current_versions() -> dict[str, str]:
    """Versions of the packages that a file depends on."""
    package = sys.modules[__name__.partition(".")[0]]
    return {
        "vqssl": package.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "python": platform.python_version(),
    }


def _name(path: str | os.PathLike[str]) -> str:
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else path
    if not isinstance(name, str):
        raise TypeError(f"path must be a str or os.PathLike; got {path!r}.")
    return name


def check_target(path: str | os.PathLike[str]) -> str:
    """Return the full name of a file to write; a link is followed.

    Raises
    ------
    TypeError
        If `path` is no path.
    FileNotFoundError
        If the folder of the file does not exist.
    IsADirectoryError
        If `path` is a folder.
    PermissionError
        If the file is there and read-only.
    ValueError
        If `path` is something else than a file.
    """
    name = _name(path)
    target = os.path.realpath(name)
    if os.path.isdir(target) or not os.path.basename(name):
        raise IsADirectoryError(f"path must be a file; got the folder {name!r}.")
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"path must be in a folder that exists; there is no {folder}.")
    if os.path.exists(target) and not os.path.isfile(target):
        raise ValueError(f"path must be a regular file; got {name}.")
    # The folder alone decides whether a file can be replaced.
    if os.path.exists(target) and not os.access(target, os.W_OK):
        raise PermissionError(f"path must be a file that may be written to; {name} is read-only.")
    return target


def _sync_folder(folder: str) -> None:
    """Make the new name in a folder last, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _pack(tree: Any, arrays: Mapping[str, np.ndarray]) -> list[bytes | memoryview]:
    """Bytes of a file, in pieces; the same for the same tree and arrays."""
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "sha256": _NO_DIGEST.decode(),
        "versions": json.dumps(current_versions()),
        "tree": json.dumps(tree, separators=(",", ":"), allow_nan=False),
    }
    header: dict[str, Any] = {"__metadata__": metadata}
    chunks: list[bytes | memoryview] = []
    start = 0
    # Wide numbers first, so that every array is aligned.
    for name in sorted(arrays, key=lambda name: -arrays[name].itemsize):
        array = arrays[name]
        header[name] = {
            "dtype": _SAFETENSORS_NAMES[array.dtype.newbyteorder("<").str],
            "shape": list(array.shape),
            "data_offsets": [start, start + array.nbytes],
        }
        start += array.nbytes
        chunks.append(array.reshape(-1).view(np.uint8).data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        raise ValueError(
            f"The estimator cannot be saved: without its arrays it takes {len(text):,} bytes, and "
            f"a file holds {_MAX_HEADER:,}. Use pickle or joblib."
        )
    length = len(text).to_bytes(8, "little")
    digest = hashlib.sha256()
    for chunk in (length, text, *chunks):
        digest.update(chunk)
    place = _find_digest(text)
    text = text[: place.start] + digest.hexdigest().encode() + text[place.stop :]
    return [length, text, *chunks]


def _find_digest(header: bytes) -> slice:
    found = list(_DIGEST.finditer(header))
    if len(found) != 1:
        raise ValueError("it has no checksum.")
    return slice(*found[0].span(1))


def _read_header(name: str, data: bytes) -> tuple[dict[str, Any], int]:
    """Return the header of a file, and where the arrays begin."""
    foreign = (
        f"{name} must be a file that the save of an estimator wrote; it is another file, or "
        "damaged. What pickle, joblib or skops wrote is read by them alone."
    )
    length = int.from_bytes(data[:8], "little")
    if len(data) < 9:
        raise ValueError(f"{name} is cut short: it holds {len(data)} bytes. Copy or save it again.")
    if data[8:9] != b"{" or length > _MAX_HEADER:
        raise ValueError(foreign)
    if 8 + length > len(data):
        raise _cut_short(name, data, 8 + length)
    try:
        header = _parse(data[8 : 8 + length].decode())
    except ValueError as error:
        raise ValueError(foreign) from error
    if not isinstance(header, dict):
        raise ValueError(foreign)
    return header, 8 + length


def _check_metadata(name: str, header: dict[str, Any]) -> dict[str, str]:
    metadata = header.get("__metadata__", {})
    if not _is_text_by_name(metadata) or metadata.get("format") != FORMAT:
        raise ValueError(
            f"{name} must be a file that the save of an estimator wrote; it is another "
            "safetensors file. Read it with the package safetensors."
        )
    version = metadata.get("format_version", "")
    if not re.fullmatch("[0-9]{1,9}", version):
        raise ValueError(f"{name} is not well formed: its format_version is {version!r}.")
    if int(version) > FORMAT_VERSION:
        raise ValueError(
            f"{name} was written by a newer vqssl (format {version}; this one reads format "
            f"{FORMAT_VERSION}). Upgrade vqssl."
        )
    return metadata


def _check_complete(name: str, data: bytes, header: dict[str, Any], start: int) -> None:
    size = start
    for item in header.values():
        match item:
            case {"data_offsets": [_, int(end)]}:
                size = max(size, start + end)
    if len(data) < size:
        raise _cut_short(name, data, size)


def _cut_short(name: str, data: bytes, size: int) -> ValueError:
    return ValueError(
        f"{name} is cut short: it holds {len(data)} of {size} bytes. Copy or save it again."
    )


def _check_digest(name: str, header: bytes, data: bytes) -> None:
    altered = ValueError(
        f"{name} was altered or damaged after it was saved: its checksum does not fit. Copy or "
        "save it again."
    )
    try:
        place = _find_digest(header)
    except ValueError:
        raise altered from None
    whole = memoryview(data)
    digest = hashlib.sha256(whole[: 8 + place.start])
    digest.update(_NO_DIGEST)
    digest.update(whole[8 + place.stop :])
    if digest.hexdigest().encode() != header[place]:
        raise altered


def _unpack(data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    for name, item in safetensors.deserialize(data):
        if item["dtype"] not in _DTYPES:
            raise ValueError(f"it has an array of {item['dtype']}.")
        array = np.frombuffer(item["data"], _DTYPES[item["dtype"]]).reshape(item["shape"])
        if array.dtype.kind == "b" and array.view(np.uint8).max(initial=0) > 1:
            raise ValueError("an array of truth values holds other bytes than 0 and 1.")
        yield name, array


def _parse(text: str) -> Any:
    """Read JSON; whatever is wrong with it is a ValueError."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON.")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deep.") from error


def _is_text_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
