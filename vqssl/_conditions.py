"""What a result depends on, as text: parameters, parts and data, and where two of them differ."""

import functools
import hashlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from torch import Tensor, nn

# Numbers that are hashed at a time (8 MB of float64).
_BLOCK = 2**20

_MAX_DEPTH = 50


def describe(value: Any, fitted: bool = False, depth: int = 0) -> Any:
    """Return a value as text, and lists and dicts of it, equal for what trains alike.

    Arrays and the weights of modules are described by a digest. With `fitted` estimators are
    described by their state and not by their parameters alone; those inside `FrozenEstimator`
    always are. Of an object that is none of these, only the class is told.
    """
    if depth > _MAX_DEPTH:
        return "..."
    inner = functools.partial(describe, fitted=fitted, depth=depth + 1)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str, slice, torch.device)):
        return repr(value)
    if isinstance(value, Tensor):
        value = value.detach().cpu().float() if value.is_floating_point() else value.cpu()
        return describe_array(value.numpy())
    if isinstance(value, np.ndarray):
        return describe_array(value)
    if isinstance(value, np.random.RandomState):
        _, words, position, *_ = value.get_state(legacy=True)
        return {"class": "RandomState", "state": inner(words), "position": inner(position)}
    if isinstance(value, (list, tuple)):
        return [inner(item) for item in value]
    if isinstance(value, dict):
        return {str(name): inner(item) for name, item in value.items()}
    if isinstance(value, nn.Module):
        return {"class": _name(type(value)), "module": repr(value), **inner(value.state_dict())}
    if isinstance(value, type) or inspect.isroutine(value):
        return _name(value)
    return {"class": _name(type(value)), **_members(value, fitted, depth)}


def _members(value: Any, fitted: bool, depth: int) -> dict[str, Any]:
    """What an estimator, a part or a callback is made of."""
    if isinstance(value, FrozenEstimator):
        return {"estimator": describe(value.estimator, True, depth + 1)}
    try:
        state = (
            value.__getstate__()
            if fitted and isinstance(value, BaseEstimator)
            else value.get_params(deep=False)
        )
    except AttributeError:  # it has no parameters, or does not keep them
        return {}
    return {name: describe(item, fitted, depth + 1) for name, item in state.items()}


def describe_array(array: np.ndarray) -> dict[str, Any]:
    """Shape, dtype and a digest of the numbers, which are never copied as a whole."""
    digest = hashlib.blake2b(digest_size=16)
    if array.dtype.kind == "O":
        digest.update(repr(array.tolist()).encode(errors="replace"))
    elif array.ndim == 0:
        digest.update(array.tobytes())
    else:
        rows = max(1, _BLOCK // max(1, array[:1].size))
        for start in range(0, len(array), rows):
            block = np.ascontiguousarray(array[start : start + rows])
            digest.update(block.reshape(-1).view(np.uint8).data)
    return {
        "shape": repr(tuple(array.shape)),
        "dtype": array.dtype.str,
        "values": digest.hexdigest(),
    }


def drop(description: Any, name: str) -> None:
    """Take a parameter out of a description, also out of the estimators in it."""
    if isinstance(description, dict):
        description.pop(name, None)
        description = list(description.values())
    if isinstance(description, list):
        for value in description:
            drop(value, name)


# What may differ between processes that train one model.
_PLACES = {"callbacks", "device"}


def without_places(description: Any) -> Any:
    """Return a description without what belongs to one process among several.

    That is its device, its callbacks, and where its generators of numpy are: the seeds come from
    one of them.
    """
    if isinstance(description, dict):
        if description.get("class") == "RandomState":
            return {"class": "RandomState"}
        kept = {name: value for name, value in description.items() if name not in _PLACES}
        return {name: without_places(value) for name, value in kept.items()}
    if isinstance(description, list):
        return [without_places(value) for value in description]
    return description


def differences(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """Say where two descriptions differ, the earlier one first."""
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict) and _class(before) == _class(now):
        for name in (*before, *(name for name in now if name not in before)):
            place = f"{path}.{name}" if path else name
            yield from differences(before.get(name), now.get(name), place)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for place, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differences(one, other, f"{path}[{place}]")
    elif path.endswith(".values"):
        yield f"other values of {path.removesuffix('.values')}"
    else:
        yield f"{path} {_short(before)}, not {_short(now)}"


def _class(description: dict[str, Any]) -> str | None:
    return description.get("class")


def _short(description: Any) -> str:
    if isinstance(description, dict) and "class" in description:
        return description["class"].rpartition(".")[2]
    text = description if isinstance(description, str) else str(description)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', repr(type(thing)))}"
