"""Estimators and their state as trees that JSON can hold, and back; knows no class.

In a tree, what JSON has stands for itself. Everything else is an object with one key that
names its kind, such as ``{"tuple": [1, 2]}``. Arrays, estimators and parts are entries of a
list that ``{"ref": place}`` points into, so one that is used twice is stored once and is one
object again. An entry refers to earlier entries only.
"""

import contextlib
import inspect
import math
import re
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

_MAX_DEPTH = 50
# Python can be told to refuse numbers of more than 640 digits.
_MAX_BITS = 2048

# What np.dtype gets to see: it reads much more than this.
_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[US][0-9]{1,9}|[mM]8(\[[0-9]{0,9}[a-zA-Z]+\])?)")
_LARGEST_CHARACTER = 0x10FFFF

# Dtypes that are stored as another one: kind, and what an array of it is viewed as.
_STORED_AS = {"U": "<u4", "S": "|u1", "m": "<i8", "M": "<i8"}

_MERSENNE_WORDS = 624


# Values to trees ------------------------------------------------------------------------------


def to_tree(value: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """Return a value as JSON can hold it, and the arrays it refers to by name.

    Raises
    ------
    TypeError
        If the value holds something that a file cannot hold; the message says where.
    ValueError
        If a list, dict or estimator holds itself.
    """
    writer = _Writer()
    node = writer.node(value, "")
    return {"entries": writer.entries, "value": node}, writer.arrays


def public_name(cls: type) -> str | None:
    """Name of a class in a file; None where no public folder of vqssl offers the class."""
    if cls is FrozenEstimator:
        return f"sklearn.frozen.{cls.__name__}"
    package, _, rest = cls.__module__.partition(".")
    folder = f"{package}.{rest.partition('.')[0]}"
    module = sys.modules.get(folder)
    if package != __name__.partition(".")[0] or cls.__name__ not in getattr(module, "__all__", ()):
        return None
    return f"{folder}.{cls.__name__}" if getattr(module, cls.__name__) is cls else None


def own_name(cls: type) -> str | None:
    """Name in a file of a user's own class; None where it is not built on one of vqssl."""
    package = __name__.partition(".")[0]
    packages = [base.__module__.partition(".")[0] for base in cls.__mro__]
    if packages[0] == package or package not in packages:
        return None
    return f"{cls.__module__}.{cls.__qualname__}"


class _Writer:
    """Turns values into nodes of a tree, and notes what has been written."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.arrays: dict[str, np.ndarray] = {}
        # By id, with the value itself, since the id of one that is gone is used again.
        self.places: dict[int, tuple[Any, int]] = {}
        self.open: list[int] = []
        self.owners: list[tuple[str, type, str]] = []

    def node(self, value: Any, path: str) -> Any:
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if kind is int:
            if value.bit_length() > _MAX_BITS:
                self.refuse(value, path, "a number that large")
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if kind is slice:
            ends = (value.start, value.stop, value.step)
            return {"slice": [self.node(end, path) for end in ends]}
        if kind is torch.device:
            return {"device": str(value)}
        if isinstance(value, np.generic):
            return {"scalar": self.node(np.asarray(value), path)}
        if id(value) in self.places:
            return {"ref": self.places[id(value)][1]}
        with self.inside(value, path):
            return self.collection(value, path)

    def collection(self, value: Any, path: str) -> Any:
        kind = type(value)
        if kind in (list, tuple):
            items = [self.node(item, f"{path}[{place}]") for place, item in enumerate(value)]
            return items if kind is list else {"tuple": items}
        if kind is dict:
            for key in value:
                if type(key) is not str:
                    self.refuse(key, f"a key of {path or 'the value'}")
            return {"dict": {k: self.node(item, f"{path}[{k!r}]") for k, item in value.items()}}
        if kind in (np.ndarray, np.memmap):
            entry = self.array(value, path)
        elif kind is np.random.RandomState:
            entry = self.random_state(value, path)
        elif isinstance(value, BaseEstimator):
            entry = self.estimator(value, path)
        else:
            self.refuse(value, path)
        self.places[id(value)] = (value, len(self.entries))
        self.entries.append(entry)
        return {"ref": len(self.entries) - 1}

    @contextlib.contextmanager
    def inside(self, value: Any, path: str) -> Iterator[None]:
        """Guard against a value that holds itself."""
        if id(value) in self.open or len(self.open) >= _MAX_DEPTH:
            raise ValueError(
                f"{path} cannot be saved: it holds itself, or is nested more than {_MAX_DEPTH} "
                "levels deep."
            )
        self.open.append(id(value))
        yield
        self.open.pop()

    def array(self, array: np.ndarray, path: str) -> dict[str, Any]:
        if array.dtype.kind == "O":
            for place, item in enumerate(array.flat):
                if not _is_scalar(item):
                    self.refuse(item, f"{path}[{place}]")
            return {"objects": [self.node(v, path) for v in array.flat], "shape": [*array.shape]}
        if not _DTYPE.fullmatch(array.dtype.str):
            self.refuse(array, path, f"an array of {array.dtype}")
        by_column = array.flags.f_contiguous and not array.flags.c_contiguous
        name = self.array_name(path)
        self.arrays[name] = _plain(array.T if by_column else array)
        return {"array": name, "dtype": array.dtype.str, "order": "F" if by_column else "C"}

    def array_name(self, path: str) -> str:
        """Name by which safetensors knows an array: its path, where that is a new one."""
        name = path.replace("['", ".").replace("']", "")
        return name if name and name not in self.arrays else f"array {len(self.arrays)}"

    def random_state(self, value: np.random.RandomState, path: str) -> dict[str, Any]:
        state: Any = value.get_state(legacy=False)
        if state["bit_generator"] != "MT19937":
            self.refuse(value, path, f"a RandomState of {state['bit_generator']}")
        content = {
            "words": state["state"]["key"],
            "position": int(state["state"]["pos"]),
            "has_gauss": int(state["has_gauss"]),
            "gauss": float(state["gauss"]),
        }
        return {"random_state": {k: self.node(v, f"{path}.{k}") for k, v in content.items()}}

    def estimator(self, value: BaseEstimator, path: str) -> dict[str, Any]:
        cls = type(value)
        name = public_name(cls) or own_name(cls)
        if name is None:
            self.refuse(value, path)
        params = value.get_params(deep=False)
        # The state of scikit-learn's own holds its version, and a warning for others.
        state = {} if cls is FrozenEstimator else value.__getstate__()
        attributes = {key: item for key, item in state.items() if key not in params}
        for key in attributes:
            if problem := _problem_of_attribute(cls, key):
                raise TypeError(f"{_join(path, key)} cannot be saved: {problem}.")
        return {
            "class": name,
            "params": self.members(cls, params, path),
            "attributes": self.members(cls, attributes, path),
        }

    def members(self, cls: type, members: Mapping[str, Any], path: str) -> dict[str, Any]:
        nodes = {}
        for name, value in members.items():
            self.owners.append((path, cls, name))
            nodes[name] = self.node(value, _join(path, name))
            self.owners.pop()
        return nodes

    def refuse(self, value: Any, path: str, what: str | None = None) -> NoReturn:
        what = what or _kind(value)
        subject = (
            f"{path} cannot be saved: got {what}"
            if path
            else f"{what[0].upper()}{what[1:]} cannot be saved"
        )
        raise TypeError(
            f"{subject}; a file holds numbers, text, arrays and estimators and parts of vqssl, or "
            f"built on its classes, only. {self.way_out(value)}"
        )

    def way_out(self, value: Any) -> str:
        if self.owners and not isinstance(value, BaseEstimator):
            path, cls, name = self.owners[-1]
            parameter = inspect.signature(cls).parameters.get(name)
            if parameter is not None and parameter.default is None:
                return f"Call {_join(path, 'set_params')}({name}=None) first, or use pickle."
            if name == "_skl_callbacks":  # where scikit-learn keeps what set_callbacks got
                return f"Call {_join(path, 'set_callbacks')}() first, or use pickle."
        return "Use pickle instead."


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _kind(value: Any) -> str:
    """What a value is, with its article."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _is_scalar(value: Any) -> bool:
    return value is None or type(value) in (bool, int, float, str) or isinstance(value, np.generic)


def _plain(array: np.ndarray) -> np.ndarray:
    """An array in C order, of a dtype that safetensors has."""
    array = np.array(array, dtype=array.dtype.newbyteorder("<"), order="C", copy=None)
    stored = _STORED_AS.get(array.dtype.kind)
    if stored is None:
        return array
    if array.dtype.kind in "US":
        array = array[..., None]  # the characters get an axis of their own
    return array.view(stored)


def _problem_of_attribute(cls: type, name: str) -> str | None:
    """Say why an instance must not get an attribute of this name, if it must not."""
    if not name.isidentifier() or name.startswith("__"):
        return f"{name!r} is no name of an attribute"
    if any(name in vars(base) for base in cls.__mro__):
        return f"{name} belongs to the class {cls.__name__}"
    return None


# Trees to values ------------------------------------------------------------------------------


def from_tree(
    tree: Any, arrays: Mapping[str, np.ndarray], resolve_class: Callable[[str], type]
) -> Any:
    """Return the value of a tree; no two calls share an array.

    Parameters
    ----------
    tree, arrays
        What `to_tree` returned.
    resolve_class : callable
        Returns the class of a name, and raises ValueError for every other name.

    Raises
    ------
    ValueError
        If the tree is not what `to_tree` returns, or an estimator in it cannot be built.
    """
    reader = _Reader(arrays, resolve_class)
    match tree:
        case {"entries": list(entries), "value": node}:
            for entry in entries:
                reader.made.append(reader.entry(entry))
            return reader.value(node)
    raise ValueError("the tree has no entries or no value.")


class _Reader:
    """Turns nodes of a tree into values."""

    def __init__(
        self, arrays: Mapping[str, np.ndarray], resolve_class: Callable[[str], type]
    ) -> None:
        self.arrays = dict(arrays)
        self.resolve_class = resolve_class
        self.made: list[Any] = []

    def entry(self, entry: Any) -> Any:
        match entry:
            case {"array": str(name), "dtype": str(dtype), "order": "C" | "F" as order}:
                # Each array has one entry, so that a small file cannot ask for much memory.
                if name not in self.arrays:
                    raise ValueError(f"the array {name!r} is missing.")
                return _restore(self.arrays.pop(name), dtype, order, name)
            case {"objects": list(items), "shape": list(shape)}:
                return _object_array([self.value(item) for item in items], shape)
            case {"random_state": dict(state)}:
                return _random_state({name: self.value(node) for name, node in state.items()})
            case {"class": str(name), "params": dict(params), "attributes": dict(attributes)}:
                return self.estimator(name, params, attributes)
        raise ValueError(f"{_short(entry)} is no entry of this format.")

    def value(self, node: Any, depth: int = 0) -> Any:
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        if depth >= _MAX_DEPTH:
            raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep.")
        if isinstance(node, list):
            return [self.value(item, depth + 1) for item in node]
        match node:
            case {"ref": int(place)} if 0 <= place < len(self.made):
                return self.made[place]
            case {"dict": dict(items)}:
                return {key: self.value(item, depth + 1) for key, item in items.items()}
            case {"tuple": list(items)}:
                return tuple(self.value(item, depth + 1) for item in items)
            case {"slice": [start, stop, step]}:
                return slice(*(self.value(end, depth + 1) for end in (start, stop, step)))
            case {"float": "nan" | "inf" | "-inf" as text}:
                return float(text)
            case {"device": str(text)}:
                return _device(text)
            case {"scalar": {"ref": _} as ref}:
                array = self.value(ref)
                if isinstance(array, np.ndarray) and array.ndim == 0:
                    return array[()]
        raise ValueError(f"{_short(node)} is no value of this format.")

    def estimator(self, name: str, params: dict[str, Any], attributes: dict[str, Any]) -> Any:
        cls = self.resolve_class(name)
        known = inspect.signature(cls).parameters
        for key in params:
            if key not in known:
                raise ValueError(f"{name} has no parameter {key!r}.")
        for key in attributes:
            problem = f"{key} is a parameter" if key in known else _problem_of_attribute(cls, key)
            if problem:
                raise ValueError(f"{name} cannot get an attribute {key!r}: {problem}.")
        given = {key: self.value(node) for key, node in params.items()}
        fitted = {key: self.value(node) for key, node in attributes.items()}
        try:
            made = cls(**given)
            if fitted:
                made.__setstate__({**given, **fitted})
        except Exception as error:
            raise ValueError(
                f"a {name} cannot be built from it: {type(error).__name__}: {error}"
            ) from error
        return made


def _restore(stored: np.ndarray, dtype_name: str, order: str, name: str) -> np.ndarray:
    """Return the array that was stored, with memory of its own."""
    if not _DTYPE.fullmatch(dtype_name):
        raise ValueError(f"{dtype_name!r} is no dtype of this format.")
    try:
        dtype = np.dtype(dtype_name)
    except TypeError as error:  # units of time that do not exist
        raise ValueError(f"{dtype_name!r} is no dtype of this format.") from error
    plain = dtype.newbyteorder("<")
    fits = stored.dtype.str == _STORED_AS.get(dtype.kind, plain.str)
    if dtype.kind in "US":
        size = stored.shape[-1] * stored.itemsize if stored.ndim else 0
        fits = fits and size == dtype.itemsize > 0
    if not fits:
        raise ValueError(f"the array {name!r} of {stored.dtype} cannot be one of {dtype_name}.")
    if dtype.kind == "U" and stored.max(initial=0) > _LARGEST_CHARACTER:
        raise ValueError(f"the array {name!r} holds numbers that are no characters.")
    array = stored.view(plain) if dtype.kind in _STORED_AS else stored
    if dtype.kind in "US":
        array = array.reshape(stored.shape[:-1])
    return np.array(array.T if order == "F" else array, dtype=dtype)


def _object_array(items: list[Any], shape: list[Any]) -> np.ndarray:
    if not all(_is_scalar(item) for item in items):
        raise ValueError("an array of objects holds something else than numbers and text.")
    flat = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        flat[place] = item
    try:
        # Not -1, for which numpy would put in what fits.
        if all(type(size) is int and size >= 0 for size in shape):
            return flat.reshape(shape)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{len(items)} items do not fit an array of shape {_short(shape)}.")


def _random_state(state: dict[str, Any]) -> np.random.RandomState:
    match state:
        case {
            "words": np.ndarray() as words,
            "position": int(position),
            "has_gauss": 0 | 1 as has_gauss,
            "gauss": float(gauss),
        } if words.shape == (_MERSENNE_WORDS,) and words.dtype == np.uint32:
            # numpy does not check it, and would read beyond the words.
            if 0 <= position <= _MERSENNE_WORDS:
                made = np.random.RandomState(0)
                made.set_state(("MT19937", words, position, int(has_gauss), gauss))
                return made
    raise ValueError("a RandomState has no state of MT19937.")


def _device(text: str) -> torch.device:
    try:
        return torch.device(text)
    except RuntimeError as error:
        raise ValueError(f"{_short(text)} is no device of torch.") from error


def _short(value: Any) -> str:
    """Text of a value that may be large or deep."""
    return reprlib.repr(value)
