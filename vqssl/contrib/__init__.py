"""Adapters to the base classes of other libraries of time series, each where that is installed."""

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vqssl.contrib._aeon import AeonTransformer as AeonTransformer
    from vqssl.contrib._sktime import SktimeTransformer as SktimeTransformer

# The library whose base class each is made of, and the file.
_ADAPTERS = {
    "AeonTransformer": ("aeon", "vqssl.contrib._aeon"),
    "SktimeTransformer": ("sktime", "vqssl.contrib._sktime"),
}

__all__ = [name for name, (library, _) in _ADAPTERS.items() if find_spec(library)]


def __getattr__(name: str) -> Any:
    # When it is asked for: the other libraries take seconds to import.
    if name not in _ADAPTERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    library, module = _ADAPTERS[name]
    if find_spec(library) is None:
        return _stand_in(name, library)
    return getattr(importlib.import_module(module), name)


def _stand_in(name: str, library: str) -> type:
    """Return a class that cannot be made an instance of.

    An error at the name itself would stop tools that look through modules, which expect
    AttributeError only, and that has no message where a name is imported.
    """

    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise ImportError(f"{name} needs {library}. Install it with: pip install {library}")

    return type(name, (), {"__init__": refuse})
