"""Options that are a name or a part: resolved, cloned, searched and refused."""

from collections.abc import Mapping
from typing import Any, Self

import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import make_pipeline

from vqssl import VQTokenizer
from vqssl._parts import Part, refuse_nested_names, resolve
from vqssl.augmentations import AUGMENTATIONS
from vqssl.backbones import BACKBONES, ConvBackbone
from vqssl.losses import LOSSES
from vqssl.quantizers import FSQ, QUANTIZERS, EMAQuantizer, GradientQuantizer

REGISTRIES: list[Mapping[str, type[Part]]] = [AUGMENTATIONS, BACKBONES, LOSSES, QUANTIZERS]
every_part = pytest.mark.parametrize(
    "cls", [cls for registry in REGISTRIES for cls in registry.values()], ids=lambda c: c.__name__
)


class Shape(Part):
    """The kind of part that the option of these tests takes."""

    def __init__(self, sides: int = 3) -> None:
        self.sides = sides


class Regular(Shape):
    def __init__(self, sides: int = 4, *, angle: float = 90.0) -> None:
        super().__init__(sides)
        self.angle = angle


CHOICES: dict[str, type[Shape]] = {"regular": Regular, "any": Shape}


class Drawing(BaseEstimator):
    def __init__(self, shape: str | Shape = "regular", size: float = 1.0) -> None:
        self.shape = shape
        self.size = size

    def set_params(self, **params: Any) -> Self:
        refuse_nested_names(self, params)
        return super().set_params(**params)


# ---------------------------------------------------------------- resolve


def test_a_part_stands_for_itself() -> None:
    part = Regular(sides=5)
    assert resolve(part, "shape", Shape, CHOICES) is part
    assert part.get_params() == {"sides": 5, "angle": 90.0}


def test_a_part_of_ones_own_needs_no_name() -> None:
    class Star(Shape):
        pass

    part = Star()
    assert resolve(part, "shape", Shape, CHOICES) is part


def test_a_name_stands_for_a_new_part_with_defaults() -> None:
    first, second = (resolve("regular", "shape", Shape, CHOICES) for _ in range(2))
    assert type(first) is Regular
    assert first is not second
    assert first.get_params() == Regular().get_params()


def test_an_unknown_name_is_answered_with_the_names_in_order() -> None:
    message = r"^shape must be one of 'any', 'regular' or an instance of Shape; got 'round'\.$"
    with pytest.raises(ValueError, match=message):
        resolve("round", "shape", Shape, CHOICES)


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "None"),
        (3, "3"),
        (["regular"], r"\['regular'\]"),
        (EMAQuantizer(), r"EMAQuantizer\(\)"),
        (EMAQuantizer, r"<class .*EMAQuantizer'>"),
    ],
)
def test_what_is_neither_name_nor_part_of_the_kind_is_a_type_error(value: Any, got: str) -> None:
    message = rf"^shape must be one of 'any', 'regular' or an instance of Shape; got {got}\.$"
    with pytest.raises(TypeError, match=message):
        resolve(value, "shape", Shape, CHOICES)


@pytest.mark.parametrize("cls", [Shape, Regular])
def test_a_class_in_place_of_a_part_is_answered_with_a_suggestion(cls: type[Shape]) -> None:
    with pytest.raises(TypeError, match=rf"got <class .*>\. Did you mean {cls.__name__}\(\)\?$"):
        resolve(cls, "shape", Shape, CHOICES)


# ---------------------------------------------------------------- nested parameters of names


def test_a_parameter_of_a_part_can_be_set() -> None:
    drawing = Drawing(Regular()).set_params(shape__sides=6, size=2.0)
    assert drawing.get_params() == {
        "shape": drawing.shape,
        "shape__sides": 6,
        "shape__angle": 90.0,
        "size": 2.0,
    }


def test_a_parameter_of_a_name_is_answered_with_what_to_do() -> None:
    message = (
        r"^shape__sides cannot be set while shape is the name 'regular': a name has no "
        r"parameters\. Pass the part itself, for example set_params\(shape=<Part>\(sides=...\)\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        Drawing().set_params(shape__sides=6)


def test_a_parameter_of_nothing_is_answered_with_what_to_do() -> None:
    message = (
        r"^shape__sides cannot be set while shape is None, which stands for the default\. Pass "
        r"the object itself, for example set_params\(shape=<shape>\(sides=...\)\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        Drawing(None).set_params(shape__sides=6)


def test_a_refused_call_changes_nothing() -> None:
    drawing = Drawing()
    with pytest.raises(ValueError, match="shape__sides cannot be set"):
        drawing.set_params(size=2.0, shape__sides=6)
    assert drawing.get_params() == {"shape": "regular", "size": 1.0}


def test_part_and_its_parameter_can_be_set_in_one_call() -> None:
    drawing = Drawing().set_params(shape__sides=6, shape=Regular())
    assert drawing.shape.get_params() == {"sides": 6, "angle": 90.0}


def test_name_and_a_parameter_cannot_be_set_in_one_call() -> None:
    drawing = Drawing(Regular())
    with pytest.raises(
        ValueError, match="shape__sides cannot be set while shape is the name 'any'"
    ):
        drawing.set_params(shape="any", shape__sides=6)


def test_a_parameter_that_does_not_exist_keeps_scikit_learns_message() -> None:
    with pytest.raises(ValueError, match="Invalid parameter 'colour' for estimator Drawing"):
        Drawing().set_params(colour__red=1)


def test_an_estimator_explains_itself_inside_a_pipeline_too() -> None:
    pipeline = make_pipeline(VQTokenizer())
    with pytest.raises(ValueError, match="quantizer__decay cannot be set while quantizer is the n"):
        pipeline.set_params(vqtokenizer__quantizer__decay=0.5)


# ---------------------------------------------------------------- citizens of scikit-learn


@every_part
def test_defaults_are_accepted_and_kept(cls: type[Part]) -> None:
    part = cls()
    before = part.get_params()
    check: Any = part.check
    check(*((64, 16) if issubclass(cls, tuple(QUANTIZERS.values())) else ()))
    assert part.get_params() == before


@every_part
def test_clone_has_equal_parameters_and_shares_none_that_is_a_part(cls: type[Part]) -> None:
    part = cls()
    copy = clone(part)
    assert type(copy) is cls
    assert copy is not part
    assert repr(copy) == repr(part)
    for name, value in part.get_params().items():
        assert not isinstance(value, Part) or getattr(copy, name) is not value


@every_part
def test_a_part_stores_what_it_is_given_as_it_is(cls: type[Part]) -> None:
    marks = {name: object() for name in cls().get_params(deep=False)}
    part = cls(**marks)
    assert part.get_params(deep=False) == marks
    assert cls().set_params(**marks).get_params(deep=False) == marks


@every_part
def test_repr_shows_what_differs_from_the_default(cls: type[Part]) -> None:
    assert repr(cls()) == f"{cls.__name__}()"


def test_repr_of_a_part_shows_its_parameters() -> None:
    assert repr(EMAQuantizer(decay=0.5)) == "EMAQuantizer(decay=0.5)"


def test_clone_of_an_estimator_does_not_share_its_parts() -> None:
    tokenizer = VQTokenizer(quantizer=EMAQuantizer(decay=0.5))
    copy = clone(tokenizer).set_params(quantizer__decay=0.7)
    assert tokenizer.quantizer.decay == 0.5
    assert copy.quantizer.decay == 0.7


def test_names_parts_and_their_parameters_can_be_searched() -> None:
    grid = ParameterGrid(
        [
            {"quantizer": ["fsq", FSQ(levels=(4, 4))]},
            {"quantizer": [GradientQuantizer()], "quantizer__orthogonality": [0.0, 10.0]},
            {"backbone": [ConvBackbone()], "backbone__width": [8, 16]},
        ]
    )
    found = [clone(VQTokenizer()).set_params(**clone(point, safe=False)) for point in grid]
    assert [tokenizer.quantizer for tokenizer in found[:1]] == ["fsq"]
    assert [tokenizer.quantizer.orthogonality for tokenizer in found[2:4]] == [0.0, 10.0]
    assert [tokenizer.backbone.width for tokenizer in found[4:]] == [8, 16]
