"""vqssl.load: estimators from files, of public classes and those a caller trusts."""

import inspect
import os
from collections.abc import Callable, Iterable

import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from vqssl import (
    augmentations,
    autoencoders,
    backbones,
    classifiers,
    encoders,
    generators,
    losses,
    quantizers,
    tokenizers,
)
from vqssl._base import TorchEstimator
from vqssl._persistence import current_versions, read_file
from vqssl._tree import from_tree, own_name, public_name

_FOLDERS = (
    augmentations,
    autoencoders,
    backbones,
    classifiers,
    encoders,
    generators,
    losses,
    quantizers,
    tokenizers,
)

# A file holds no torch module.
_NOT_IN_FILES = (quantizers.ModuleQuantizer,)

# torch imports a module of its own where it first uses a device as a context; load must not.
with torch.device("meta"):
    pass


def _find_classes() -> dict[str, type]:
    """Classes that a file may name: estimators and parts in the public folders."""
    public = [getattr(folder, name) for folder in _FOLDERS for name in folder.__all__]
    found: dict[str, type] = {}
    for thing in (FrozenEstimator, *public):
        is_class = inspect.isclass(thing) and issubclass(thing, BaseEstimator)
        if is_class and not inspect.isabstract(thing) and thing not in _NOT_IN_FILES:
            name = public_name(thing)
            assert name is not None, f"{thing} is public"
            found[name] = thing
    return found


CLASSES = _find_classes()


def load(
    path: str | os.PathLike[str], *, trusted: Iterable[type] = ()
) -> TorchEstimator | generators.AnomalyDetector:
    """Read an estimator from a file that its ``save`` wrote.

    Parameters
    ----------
    path : str or os.PathLike
        The file; a link is followed.
    trusted : iterable of classes, default=()
        Estimators and parts of your own that the file may name, built on classes of vqssl. Their
        code is executed, with parameters and arrays from the file.

    Returns
    -------
    estimator : object
        An estimator of the class, with the parameters and the fit of the saved one: it gives
        the same answers, and ``partial_fit`` goes on from there.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If `path` is no file.
    ValueError
        If the file is cut short, altered, written by a newer vqssl or by something else, or names
        a class that is not in `trusted`. Whatever is in a file, this is the only error that it
        causes.
    TypeError
        If `trusted` is no iterable, or holds something else than classes built on those of vqssl.

    Notes
    -----
    No code from the file is executed: it holds numbers and text only, and the names of
    classes in it are looked up among vqssl's public ones and `trusted`. The checksum tells
    accidents, not intent: who can write the file can write weights of his own.

    A pipeline with steps of other libraries is no estimator of vqssl's and has no ``save``: use
    skops, for which every estimator here is one class to trust. Pickle and joblib work as well,
    but execute what a file says. With ``blob = skops.io.dumps(pipeline)`` and
    ``names = skops.io.get_untrusted_types(data=blob)``, which one should read,
    ``skops.io.loads(blob, trusted=names)`` gives it back.

    A model that was trained on CUDA loads where there is none, and answers on the CPU.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import vqssl
    >>> X = np.sin(np.linspace(0, 6, 40) + np.linspace(0, 3, 20)[:, None])
    >>> tokenizer = vqssl.VQTokenizer(n_codes=16, max_iter=100, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "tokenizer.vqssl"
    ...     tokenizer.save(path)
    ...     again = vqssl.load(path)
    >>> np.array_equal(again.encode(X), tokenizer.encode(X))
    True
    """
    resolve = _resolver(trusted)
    contents = read_file(path)
    try:
        estimator = from_tree(contents.tree, contents.arrays, resolve)
        if not isinstance(estimator, (TorchEstimator, generators.AnomalyDetector)):
            raise ValueError(f"it holds no estimator but a {type(estimator).__name__}.")
    except ValueError as error:
        written, here = contents.versions.get("vqssl"), current_versions()["vqssl"]
        versions = "" if written == here else f" vqssl {written} wrote it; this is {here}."
        raise ValueError(f"{os.fspath(path)} cannot be loaded: {error}{versions}") from error
    return estimator


def _resolver(trusted: Iterable[type]) -> Callable[[str], type]:
    """Return what finds the class of a name among the public ones and those of the caller."""
    own: dict[str, type] = {}
    if not isinstance(trusted, Iterable):
        raise TypeError(f"trusted must be a list of classes; got {trusted!r}.")
    for cls in trusted:
        name = own_name(cls) if isinstance(cls, type) and issubclass(cls, BaseEstimator) else None
        if name is None:
            raise TypeError(
                "trusted must hold classes of your own that are built on estimators or parts of "
                f"vqssl; got {cls!r}."
            )
        own[name] = cls

    def resolve(name: str) -> type:
        return own[name] if name in own else _resolve(name)

    return resolve


def _resolve(name: str) -> type:
    if name not in CLASSES:
        raise ValueError(
            f"it holds a {name!r}, which is no public estimator or part of vqssl. If it is a class "
            "of your own, pass the class in trusted=[...]."
        )
    return CLASSES[name]
