"""Every public class and function says what it takes, what it gives and how it is used.

In full are held: estimators, parts, functions and whatever else a user constructs or calls.
Torch modules and named tuples, which are public for those who write parts, need a summary on
themselves and on each of their methods.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from numpydoc.docscrape import NumpyDocString
from sklearn.base import BaseEstimator
from torch import nn

import vqssl


def public_modules() -> list[Any]:
    """The package and its public folders."""
    folders = [
        importlib.import_module(f"vqssl.{module.name}")
        for module in pkgutil.iter_modules(vqssl.__path__)
        if module.ispkg and not module.name.startswith("_")
    ]
    return [vqssl, *folders]


def public_objects() -> dict[str, Any]:
    """Every public class and function by the shortest name a user reaches it with."""
    found: dict[str, Any] = {}
    for module in public_modules():
        for name in getattr(module, "__all__", []):
            thing = getattr(module, name)
            is_code = inspect.isclass(thing) or inspect.isfunction(thing)
            if is_code and not any(thing is other for other in found.values()):
                found[f"{module.__name__}.{name}"] = thing
    return found


def is_ours(function: Callable) -> bool:
    module = getattr(inspect.unwrap(function), "__module__", None) or ""
    return module.split(".")[0] in ("vqssl", __name__.split(".")[0])


def methods_of(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that are written in this project, inherited ones too."""
    for name in dir(cls):
        if name.startswith("_"):
            continue
        static = inspect.getattr_static(cls, name)
        thing = static if isinstance(static, property) else getattr(cls, name)
        function = thing.fget if isinstance(thing, property) else thing
        if inspect.isroutine(function) and is_ours(function):
            yield name, thing


def full_name(method: Any) -> str:
    """Module and class a method or property is written in, and its name."""
    function = inspect.unwrap(method.fget if isinstance(method, property) else method)
    return f"{function.__module__}.{function.__qualname__}"


def parameter_names(function: Callable, *, bound: bool) -> list[str]:
    """Names in the signature, with stars; without self unless `bound`."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parameters = list(inspect.signature(function).parameters.values())
    return [stars.get(p.kind, "") + p.name for p in (parameters if bound else parameters[1:])]


def gives(function: Callable) -> Literal["Returns", "Yields"] | None:
    """The section that says what a function gives, or None where it gives nothing."""
    function = inspect.unwrap(function)
    if inspect.isgeneratorfunction(function):
        return "Yields"
    annotation = inspect.signature(function).return_annotation
    return None if annotation in (None, "None", "NoReturn") else "Returns"


def check_summary(thing: Any) -> list[str]:
    lines = (inspect.getdoc(thing) or "").splitlines()
    if not lines:
        return ["has no docstring"]
    if not lines[0].strip().endswith(".") or (len(lines) > 1 and lines[1].strip()):
        return [f"must begin with one line that ends with a period; got {lines[0]!r}"]
    return []


def check_parameters(doc: NumpyDocString, expected: list[str]) -> list[str]:
    documented = [
        name.strip()
        for section in ("Parameters", "Other Parameters")
        for entry in doc[section]
        for name in entry.name.split(",")
    ]
    if documented == expected:
        return []
    return [f"must document the parameters {expected}; documents {documented}"]


def check_callable(function: Callable, *, bound: bool) -> list[str]:
    found = check_summary(function)
    doc = NumpyDocString(inspect.getdoc(function) or "")
    found += check_parameters(doc, parameter_names(function, bound=bound))
    section = gives(function)
    if section and not doc[section]:
        found.append(f"must have a section {section}")
    return found


def check_raises(thing: Any) -> list[str]:
    raises = NumpyDocString(inspect.getdoc(thing) or "")["Raises"]
    return [] if raises else ["must have a section Raises"]


def check_shapes(thing: Any) -> list[str]:
    """Arrays have a shape, but for those of text or axes, and what is like another one."""
    doc = NumpyDocString(inspect.getdoc(thing) or "")
    return [
        f"must give the shape of {entry.name}; says {entry.type!r}"
        for section in ("Parameters", "Returns", "Attributes")
        for entry in doc[section]
        if re.search(r"array|Tensor", entry.type)
        and not re.search(r"shape|scalar|\(|of str|Axes|like those of X|dict of", entry.type)
    ]


def check_examples(thing: Any) -> list[str]:
    examples = NumpyDocString(inspect.getdoc(thing) or "")["Examples"]
    return [] if any(">>>" in line for line in examples) else ["must have Examples with >>>"]


def is_abstract(cls: type) -> bool:
    return cls.__name__.startswith("Base") or any(
        getattr(inspect.getattr_static(cls, name), "__isabstractmethod__", False)
        for name in dir(cls)
        if not name.startswith("__abstract")
    )


def is_for_part_writers(cls: type) -> bool:
    return issubclass(cls, (nn.Module, tuple)) and not issubclass(cls, BaseEstimator)


def check_class(cls: type) -> list[str]:
    found = check_summary(cls) if cls.__doc__ else ["has no docstring"]
    if is_for_part_writers(cls):
        return found
    doc = NumpyDocString(inspect.getdoc(cls) or "")
    own_init = inspect.isfunction(cls.__init__) and is_ours(cls.__init__)
    found += check_parameters(doc, parameter_names(cls.__init__, bound=False) if own_init else [])
    if not is_abstract(cls):
        found += check_examples(cls)
        if hasattr(cls, "fit") and not any(e.name.endswith("_") for e in doc["Attributes"]):
            found.append("must list its fitted attributes under Attributes")
    return found


def check_method(cls: type, name: str, thing: Any) -> list[str]:
    if isinstance(thing, property) or is_for_part_writers(cls):
        return check_summary(thing)
    static = inspect.getattr_static(cls, name)
    bound = isinstance(static, (classmethod, staticmethod))
    return check_callable(thing, bound=bound)


OBJECTS = public_objects()
CLASSES = {name: thing for name, thing in OBJECTS.items() if inspect.isclass(thing)}
# An inherited method is read once; an override may take its docstring from its parent.
METHODS = {
    full_name(thing): (cls, name, thing)
    for cls in reversed(CLASSES.values())
    for name, thing in methods_of(cls)
}


# Of this project, or nobody's idea: files, containers, pictures of what others describe.
WITHOUT_SOURCE = {
    "vqssl.datasets.iter_series",
    "vqssl.transform_partitions",
    "vqssl.load",
    "vqssl.pad_series",
    "vqssl.show_versions",
    "vqssl.sliding_windows",
    "vqssl.augmentations.Compose",
    "vqssl.backbones.Cache",
    "vqssl.datasets.make_factor_series",
    "vqssl.datasets.read_series",
    "vqssl.datasets.series_from_factors",
    "vqssl.evaluation.RealReferences",
    "vqssl.evaluation.evaluate_against",
    "vqssl.evaluation.real_references",
    "vqssl.generators.Draws",
    "vqssl.generators.draw_codes",
    "vqssl.metrics.cluster_scores",
    "vqssl.metrics.memorization_ratio",
    "vqssl.metrics.perplexity",
    "vqssl.plots.AnomalyDisplay",
    "vqssl.plots.CodebookDisplay",
    "vqssl.plots.DecodingDisplay",
    "vqssl.plots.GenerationDisplay",
    "vqssl.plots.ImputationDisplay",
    "vqssl.plots.LatentDisplay",
    "vqssl.plots.RateDistortionDisplay",
    "vqssl.plots.ReconstructionDisplay",
    "vqssl.plots.TokenDisplay",
    "vqssl.plots.TrainingDisplay",
    "vqssl.plots.TraversalDisplay",
    "vqssl.quantizers.ModuleQuantizer",
}

NEVER_RAISES = {"vqssl.show_versions", "vqssl.generators.draw_codes"}

# What another library asks of its classes, and calls by itself.
HOOKS = {"get_test_params"}


def complain(found: list[str], name: str) -> None:
    assert not found, "\n".join(f"{name} {line}." for line in found)


@pytest.mark.parametrize("name", OBJECTS)
def test_class_or_function_is_documented(name):
    thing = OBJECTS[name]
    if inspect.isclass(thing):
        complain(check_class(thing), name)
    else:
        complain(check_callable(thing, bound=True) + check_examples(thing), name)


@pytest.mark.parametrize("name", METHODS)
def test_method_is_documented(name):
    complain(check_method(*METHODS[name]), name)


@pytest.mark.parametrize("name", sorted(OBJECTS.keys() - WITHOUT_SOURCE))
def test_class_or_function_names_its_source(name):
    thing = OBJECTS[name]
    if inspect.isclass(thing) and (is_for_part_writers(thing) or is_abstract(thing)):
        return
    assert NumpyDocString(inspect.getdoc(thing) or "")["References"], name


def test_who_is_excused_needs_it():
    assert not [n for n in WITHOUT_SOURCE if NumpyDocString(OBJECTS[n].__doc__)["References"]]
    assert not [n for n in NEVER_RAISES if check_raises(OBJECTS[n]) == []]


@pytest.mark.parametrize("name", sorted(OBJECTS.keys() - CLASSES.keys() - NEVER_RAISES))
def test_function_says_what_it_raises(name):
    complain(check_raises(OBJECTS[name]), name)


@pytest.mark.parametrize("name", METHODS)
def test_method_of_an_estimator_says_what_it_raises(name):
    cls, method, thing = METHODS[name]
    if hasattr(cls, "fit") and not isinstance(thing, property) and method not in HOOKS:
        complain(check_raises(thing), name)


@pytest.mark.parametrize("name", [*OBJECTS, *METHODS])
def test_arrays_have_shapes(name):
    thing = OBJECTS.get(name) or METHODS[name][2]
    complain(check_shapes(thing), name)


def test_there_is_something_to_read():
    assert CLASSES
    assert METHODS


class Documented(BaseEstimator):
    """A good one.

    Parameters
    ----------
    a, b : int
        Two numbers.

    Attributes
    ----------
    c_ : int
        Their sum.

    Examples
    --------
    >>> Documented(1, 2).fit(None).c_
    3
    """

    def __init__(self, a: int = 1, b: int = 2) -> None:
        self.a = a
        self.b = b

    def fit(self, X: Any) -> "Documented":
        """Add.

        Parameters
        ----------
        X : object
            Ignored.

        Returns
        -------
        self : Documented
        """
        self.c_ = self.a + self.b
        return self


class Bare(Documented):
    """Parameters in the wrong order
    and no first line.

    Parameters
    ----------
    b, a : int
        Two numbers.
    c : ndarray
        Without a shape.
    """

    def fit(self, X: Any, y: Any = None) -> "Bare":
        """Add."""
        return self

    def reset(self) -> None:
        pass


def test_the_checks_accept_a_good_docstring():
    assert check_class(Documented) == []
    assert check_method(Documented, "fit", Documented.fit) == []
    assert [name for name, _ in methods_of(Documented)] == ["fit"]


def test_the_checks_find_what_is_missing():
    found = "\n".join(check_class(Bare))
    for problem in ("one line", "['a', 'b']", "Examples", "Attributes"):
        assert problem in found
    assert check_method(Bare, "fit", Bare.fit) == [
        "must document the parameters ['X', 'y']; documents []",
        "must have a section Returns",
    ]
    assert check_method(Bare, "reset", Bare.reset) == ["has no docstring"]
    assert check_shapes(Bare) == ["must give the shape of c; says 'ndarray'"]
    assert check_raises(Bare.fit) == ["must have a section Raises"]
