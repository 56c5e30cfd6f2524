"""Estimators from text, as a command line has it: names of classes, values of parameters."""

import ast
import difflib
import inspect
from collections.abc import Iterable
from typing import Any

from sklearn.frozen import FrozenEstimator

import vqssl
from vqssl._load import CLASSES, load
from vqssl.augmentations import AUGMENTATIONS
from vqssl.backbones import BACKBONES, PRIOR_BACKBONES
from vqssl.losses import LOSSES
from vqssl.quantizers import QUANTIZERS

SHORT_NAMES = {
    "ae": "AutoEncoder",
    "anomaly": "AnomalyDetector",
    "autoregressive": "AutoregressiveGenerator",
    "bands": "BandVQTokenizer",
    "cpc": "CPCEncoder",
    "fcn": "FCNClassifier",
    "finetune": "TokenizerClassifier",
    "gim": "GreedyInfoMaxEncoder",
    "hierarchical": "HierarchicalVQTokenizer",
    "maskgit": "MaskGITGenerator",
    "ssl": "SSLVQTokenizer",
    "vae": "VAE",
    "vq": "VQTokenizer",
}

# Classes of estimators and parts by their own names, and the parts that options name.
_BY_CLASS_NAME = {cls.__name__: cls for cls in CLASSES.values() if cls is not FrozenEstimator}
_BY_OPTION_NAME: dict[str, Any] = {
    **AUGMENTATIONS, **BACKBONES, **LOSSES, **PRIOR_BACKBONES, **QUANTIZERS
}  # fmt: skip

# Of files of fitted estimators.
_SUFFIX = ".vqssl"


def estimators() -> dict[str, type]:
    """Every estimator by the name of its class."""
    public = {name: getattr(vqssl, name) for name in vqssl.__all__}
    return {name: cls for name, cls in public.items() if inspect.isclass(cls)}


def make_estimator(name: str, assignments: Iterable[str], trusted: Iterable[type] = ()) -> Any:
    """Return an unfitted estimator with the given parameters.

    Parameters
    ----------
    name : str
        Of the class, in any case, or a short name.
    assignments : iterable of str
        ``parameter=value``, see `value_of`. An estimator or a part that None or a name stands for
        is made where a parameter of it is set, such as ``tokenizer__max_iter``.
    trusted : iterable of classes
        See `vqssl.load`.

    Raises
    ------
    ValueError
        If there is no such estimator or parameter, or an assignment has no equals sign.
    """
    found = {key.lower(): cls for key, cls in estimators().items()}
    found |= {short: found[full.lower()] for short, full in SHORT_NAMES.items()}
    if name.lower() not in found:
        names = [*SHORT_NAMES, *estimators()]
        raise ValueError(f"There is no estimator {name!r}{_near(name, names)}")
    estimator = found[name.lower()]()
    pairs = [_split(assignment) for assignment in assignments]
    # An estimator before its parameters, whatever the order they are given in.
    for key, text in sorted(pairs, key=lambda pair: pair[0].count("__")):
        _set(estimator, key, value_of(text, trusted))
    return estimator


def value_of(text: str, trusted: Iterable[type] = ()) -> Any:
    """Return what a text stands for.

    The name of a class of vqssl is an object of it; a file ``....vqssl`` the fitted estimator in
    it, used as it is; a Python literal its value; anything else the text itself.
    """
    if text in _BY_CLASS_NAME:
        return _BY_CLASS_NAME[text]()
    if text.endswith(_SUFFIX):
        return FrozenEstimator(load(text, trusted=trusted))
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError):
        return text


def make_inner(estimator: Any) -> None:
    """Make the estimators that None stands for, down to the innermost."""
    for option in estimator.get_params(deep=False):
        default = _default(estimator, option)
        if default is not None and getattr(estimator, option) is None:
            make_inner(default)
            estimator.set_params(**{option: default})


def _default(estimator: Any, option: str) -> Any:
    """The estimator that None stands for as the value of an option, or None."""
    make = getattr(estimator, f"_default_{option}", None)
    return None if make is None else make()


def _split(assignment: str) -> tuple[str, str]:
    key, sign, text = assignment.partition("=")
    if not sign or not key.strip():
        raise ValueError(f"A parameter is set as name=value; got {assignment!r}.")
    return key.strip(), text.strip()


def _set(estimator: Any, key: str, value: Any) -> None:
    owner = estimator
    for option in key.split("__")[:-1]:
        if option not in owner.get_params(deep=False):
            break
        inner = getattr(owner, option)
        if inner is None:
            inner = _default(owner, option)
        elif isinstance(inner, str) and inner in _BY_OPTION_NAME:
            inner = _BY_OPTION_NAME[inner]()
        if not hasattr(inner, "get_params"):
            break
        owner.set_params(**{option: inner})
        owner = inner
    names = estimator.get_params()
    if key not in names:
        place = _place(key)
        beside = [name for name in names if _place(name) == place] or names
        raise ValueError(f"{type(estimator).__name__} has no parameter {key!r}{_near(key, beside)}")
    estimator.set_params(**{key: value})


def _place(key: str) -> str:
    """What comes before the last of the names in a nested one."""
    return key.rpartition("__")[0]


def _near(name: str, names: Iterable[str]) -> str:
    """End of a sentence that says what was meant, or what there is."""
    # What they have in common says nothing about what was meant.
    by_end = {known.rpartition("__")[2].lower(): known for known in names}
    near = difflib.get_close_matches(name.rpartition("__")[2].lower(), by_end, n=3)
    if near:
        return f"; did you mean {' or '.join(by_end[end] for end in near)}?"
    return f"; there are {', '.join(by_end.values())}."
