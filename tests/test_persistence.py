"""save and load: what comes back is what was saved, and nothing else is ever read."""

import collections
import copy
import enum
import errno
import hashlib
import inspect
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import safetensors
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from skorch.callbacks import EpochTimer

import vqssl
from tests.test_common import ESTIMATORS, SMALL, X, Y, answers, assert_same_fit, make_series
from vqssl import SSLVQTokenizer, VQTokenizer
from vqssl._load import _resolve
from vqssl._persistence import _pack, read_file, write_file
from vqssl._tree import from_tree, to_tree
from vqssl.augmentations import AUGMENTATIONS, Compose, GaussianNoise, WindowWarp
from vqssl.backbones import BACKBONES, ConvBackbone
from vqssl.generators import AutoregressiveGenerator, MaskGITGenerator
from vqssl.losses import LOSSES, VIbCReg
from vqssl.quantizers import FSQ, QUANTIZERS, GradientQuantizer, ModuleQuantizer

# Sets of a dozen tiny series and a few steps: the latents collapse, and that is said.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

VARIANTS = {
    **{type(estimator).__name__: estimator for estimator in ESTIMATORS},
    "parts": SSLVQTokenizer(
        **SMALL,
        ssl=VIbCReg(covariance=50.0),
        augmentations=(GaussianNoise(), WindowWarp()),
        quantizer=FSQ(levels=(4, 4)),
    ),
    "a composed augmentation": SSLVQTokenizer(
        **SMALL,
        augmentations=Compose([GaussianNoise(sd=0.3), WindowWarp()]),
        quantizer=GradientQuantizer(),
        scaling="series",
        output="codes",
    ),
}

# What each kind of damage may be called.
DAMAGE = "was altered|is cut short|must be a file that the save|newer vqssl|is not well formed"


@pytest.fixture(params=VARIANTS)
def estimator(request):
    """Every estimator in turn, also with other parts, unfitted."""
    return clone(VARIANTS[request.param])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.vqssl"


@pytest.fixture(scope="module")
def tokenizer():
    """A fitted tokenizer that no test changes."""
    return VQTokenizer(**SMALL).fit(X)


def through_file(estimator, path):
    estimator.save(path)
    return vqssl.load(path)


def through_tree(value):
    """A value after its tree has been text, as in a file."""
    tree, arrays = to_tree(value)
    return from_tree(json.loads(json.dumps(tree, allow_nan=False)), arrays, _resolve)


def assert_identical(first, second):
    """Equal in value, type and, for arrays, dtype and order in memory."""
    assert type(first) is (np.ndarray if isinstance(second, np.memmap) else type(second))
    if isinstance(second, (list, tuple)):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_identical(one, other)
    elif isinstance(second, dict):
        assert list(first) == list(second)
        for name in second:
            assert_identical(first[name], second[name])
    elif isinstance(second, np.ndarray):
        assert (first.dtype, first.shape) == (second.dtype, second.shape)
        if second.dtype.kind == "O":
            assert_identical(first.ravel().tolist(), second.ravel().tolist())
        else:
            assert first.tobytes() == second.tobytes()
    elif isinstance(second, np.generic):
        assert first.dtype == second.dtype
        assert first.tobytes() == second.tobytes()
    elif isinstance(second, FrozenEstimator):
        assert_identical(first.estimator, second.estimator)
    elif isinstance(second, BaseEstimator):
        assert_identical(first.get_params(deep=False), second.get_params(deep=False))
        one, other = first.__getstate__(), second.__getstate__()
        assert_identical({name: one[name] for name in sorted(one)}, dict(sorted(other.items())))
    elif isinstance(second, np.random.RandomState):
        assert_identical(first.get_state(), second.get_state())
    elif isinstance(second, float):
        assert np.float64(first).tobytes() == np.float64(second).tobytes()
    else:
        assert first == second


# ---------------------------------------------------------------------------- the round trip


@pytest.mark.parametrize("channels", [None, 3])
def test_a_loaded_fit_is_the_saved_one_to_the_last_bit(estimator, channels, path):
    series = make_series(channels=channels)
    again = through_file(estimator.fit(series, Y), path)
    assert_same_fit(estimator, again, series)
    assert_identical(again, estimator)
    assert not again.model_.training
    assert not any(parameter.requires_grad for parameter in again.model_.parameters())


def test_a_loaded_fit_is_trained_further_like_the_saved_one(estimator, path):
    again = through_file(estimator.fit(X, Y).partial_fit(X, Y), path)
    for _ in range(2):
        assert_same_fit(estimator.partial_fit(X, Y), again.partial_fit(X, Y))
    assert_identical(again, estimator)


def test_an_unfitted_estimator_comes_back_unfitted(estimator, path):
    again = through_file(estimator, path)
    assert_identical(again, estimator)
    assert not hasattr(again, "model_")
    assert_same_fit(again.fit(X, Y), estimator.fit(X, Y))


def test_parameters_set_after_the_fit_do_not_hide_the_fit(estimator, path):
    before = answers(estimator.fit(X, Y), X)
    changes = {"n_codes": 16, "code_dim": 5, "compression": 3, "max_iter": 9}
    changes = {name: value for name, value in changes.items() if name in estimator.get_params()}
    assert changes
    again = through_file(estimator.set_params(**changes), path)
    assert_identical(answers(again, X), before)
    assert_identical(again, estimator)


def test_names_of_columns_and_the_kind_of_output_are_kept(estimator, path):
    frame = pd.DataFrame(X, columns=[f"t{i}" for i in range(24)])
    estimator.fit(frame, Y).set_output(transform="pandas")
    again = through_file(estimator, path)
    assert_array_equal(again.feature_names_in_, estimator.feature_names_in_)
    pd.testing.assert_frame_equal(again.transform(frame), estimator.transform(frame))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        again.transform(X)


def test_a_random_state_object_goes_on_where_it_was(path):
    estimator = VQTokenizer(**SMALL).set_params(random_state=np.random.RandomState(3))
    estimator.fit(X, Y).random_state.normal()
    again = through_file(estimator, path)
    assert_same_fit(again.fit(X, Y), estimator.fit(X, Y))
    assert again.random_state.normal() == estimator.random_state.normal()


def test_numbers_of_numpy_and_devices_come_back_as_they_were(path):
    numbers = {"n_codes": np.int16(8), "lr": np.float32(0.1), "scaling": np.str_("series")}
    estimator = VQTokenizer(**numbers, device=torch.device("cpu"))
    again = through_file(estimator, path)
    assert_identical(again, estimator)
    assert type(again.n_codes) is np.int16
    assert again.device == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_file_from_a_machine_with_cuda_loads_without(path, tokenizer):
    again = through_file(copy.copy(tokenizer).set_params(device="cuda"), path)
    with pytest.warns(UserWarning, match="device='cuda' is not available here; the CPU is used"):
        assert_array_equal(again.transform(X), tokenizer.transform(X))


def test_loading_twice_gives_two_estimators_that_share_nothing(path, tokenizer):
    first, second = through_file(tokenizer, path), vqssl.load(path)
    for value in first.__getstate__().values():
        if isinstance(value, np.ndarray):
            value[...] = 0
    assert_identical(second, tokenizer)


LABELS = {
    "text": np.array(["up", "downwards"])[np.arange(len(X)) % 2],
    "text objects": np.array(["up", "downwards"], object)[np.arange(len(X)) % 2],
    "integers": np.arange(len(X)) % 2 + 5,
    "truth values": np.arange(len(X)) % 2 > 0,
    "none": None,
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("cls", [AutoregressiveGenerator, MaskGITGenerator])
def test_a_generator_keeps_its_tokenizer_and_classes(cls, labels, path, tokenizer):
    y = LABELS[labels]
    generator = cls(FrozenEstimator(tokenizer), max_iter=2, device="cpu", random_state=0)
    again = through_file(generator.fit(X, y), path)
    assert again.tokenizer is again.tokenizer_
    assert_identical(again, generator)
    label = None if y is None else y[0]
    expected = generator.sample(3, label, random_state=1)
    assert_array_equal(again.sample(3, label, random_state=1), expected)
    assert_same_fit(again.partial_fit(X, y), generator.partial_fit(X, y))


PARTS = [
    part() for group in (AUGMENTATIONS, BACKBONES, LOSSES, QUANTIZERS) for part in group.values()
]


@pytest.mark.parametrize("part", PARTS, ids=repr)
def test_every_part_comes_back(part):
    assert_identical(through_tree(part), part)


def test_what_is_used_twice_is_stored_once_and_is_one_object_again(tokenizer):
    shared = np.random.RandomState(0)
    numbers = np.arange(3)
    value = {
        "frozen": FrozenEstimator(FrozenEstimator(tokenizer)),
        "plain": tokenizer,
        "random": (shared, shared),
        "numbers": [numbers, numbers],
    }
    n_alone = len(to_tree(tokenizer)[1])
    assert len(to_tree(value)[1]) == n_alone + 2
    again = through_tree(value)
    assert type(again["frozen"]) is FrozenEstimator
    assert again["frozen"].estimator.estimator is again["plain"]
    assert again["random"][0] is again["random"][1]
    assert again["numbers"][0] is again["numbers"][1]
    assert_identical(again, value)


def test_equal_things_that_are_not_one_object_stay_apart():
    first, second = through_tree([GaussianNoise(), GaussianNoise()])
    assert first is not second
    first, second = through_tree([np.arange(3), np.arange(3)])
    first[0] = 5
    assert second[0] == 0


# -------------------------------------------------------------------------- values and arrays


def read_only(array):
    array.flags.writeable = False
    return array


def memory_mapped(array):
    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, array.dtype, "w+", shape=array.shape)
    mapped[...] = array
    return mapped


SIGNALLING_NAN = np.array([0x7F800001, 0xFFC12345], np.uint32).view(np.float32)

ARRAYS = {
    "float64": np.array([[0.1, -0.0], [np.nan, -np.inf]]),
    "float16": np.array([0.1, 6e-8], np.float16),
    "NaN with a message": SIGNALLING_NAN,
    "NaN with a message, big-endian": SIGNALLING_NAN.astype(">f4"),
    "big-endian float": np.array([0.1, 2.5], ">f8"),
    "big-endian integer": np.array([[1, 2**40]], ">i8"),
    "big-endian text": np.array(["ab", "é"], ">U3"),
    "largest integers": np.array([2**64 - 1, 2**63], np.uint64),
    "truth values": np.array([True, False]),
    "text": np.array(["ab", "", "é\U0001f600", "a\0b"]),
    "text in wide cells": np.array(["ab", "abcdef"])[:1],
    "one text": np.array("ab"),
    "bytes": np.array([b"ab", b"\xff"]),
    "dates": np.array(["2020-01-01", "NaT"], "M8[D]"),
    "big-endian dates": np.array(["2020-01-01"], ">M8[25us]"),
    "durations": np.array([1, 2], "m8[ns]"),
    "durations of no unit": np.array([1, 2], "m8"),
    "no axes": np.array(3.5),
    "no numbers": np.empty((3, 0, 2), np.float32),
    "no text": np.empty((0, 3), "U4"),
    "no objects": np.empty((2, 0), object),
    "text objects": np.array([["a", "b"]], object),
    "mixed objects": np.array([1, 2.5, "x", True, None, np.float32(1), np.nan], object),
    "one object": np.array("x", object),
    "every second": np.arange(12.0).reshape(3, 4)[:, ::2],
    "backwards": np.arange(5)[::-1],
    "by columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "text by columns": np.array([["a", "b", "c"], ["d", "e", "f"]], order="F"),
    "three axes, transposed": np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
    "read-only": read_only(np.arange(4)),
    "one row repeated": np.broadcast_to(np.arange(3), (2, 3)),
    "memory-mapped": memory_mapped(np.arange(4.0)),
    "unaligned": np.frombuffer(b"\0" + np.arange(4.0).tobytes(), np.float64, offset=1),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_come_back_with_dtype_bits_and_memory_of_their_own(kind, path):
    array = ARRAYS[kind]
    write_file(path, *to_tree(array))
    contents = read_file(path)
    again = from_tree(contents.tree, contents.arrays, _resolve)
    assert_identical(again, array)
    assert again.flags.writeable
    assert again.flags.owndata or again.base.flags.owndata
    assert not any(np.shares_memory(again, stored) for stored in contents.arrays.values())
    if array.flags.contiguous or array.flags.f_contiguous:
        assert again.flags.f_contiguous == array.flags.f_contiguous


def test_arrays_of_like_and_unlikely_names_stay_apart(path):
    names = ("a.b", "__metadata__", "é", "\ud800", "", "array 0")
    value = {name: np.full(3, place) for place, name in enumerate(names)} | {"a": {"b": np.ones(2)}}
    write_file(path, *to_tree(value))
    contents = read_file(path)
    assert_identical(from_tree(contents.tree, contents.arrays, _resolve), value)


def test_arrays_that_are_gone_are_not_taken_for_later_ones_at_their_address(monkeypatch):
    def state(self):
        return {**vars(self), "fresh_": np.full((4, 6), self.n_codes)[::2, ::2]}

    monkeypatch.setattr(VQTokenizer, "__getstate__", state)
    again = through_tree([VQTokenizer(n) for n in range(1, 20)])
    assert [estimator.fresh_[0, 0] for estimator in again] == list(range(1, 20))


def test_a_loaded_array_takes_what_its_dtype_takes():
    labels = through_tree(np.array(["ab", "c"]))
    labels[0] = "xy"
    assert labels.tolist() == ["xy", "c"]


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(),
    st.sampled_from(["\ud800", '"sha256":"' + "0" * 64 + '"', "__metadata__", 2**2047, -0.0]),
    st.slices(9),
    st.sampled_from(
        [np.float32(0.1), np.int8(-1), np.bool_(True), np.str_("a"), np.float64("nan")]
    ),
)
DTYPES = st.one_of(
    arrays_of.boolean_dtypes(),
    arrays_of.integer_dtypes(),
    arrays_of.unsigned_integer_dtypes(),
    arrays_of.floating_dtypes(sizes=(16, 32, 64)),
    arrays_of.unicode_string_dtypes(),
    arrays_of.byte_string_dtypes(),
    arrays_of.datetime64_dtypes(),
    arrays_of.timedelta64_dtypes(),
)
SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
VALUES = st.recursive(
    SCALARS | arrays_of.arrays(DTYPES, SHAPES) | st.builds(np.random.RandomState, st.just(5)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=8) | st.just("__metadata__"), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=VALUES)
def test_nested_values_come_back_through_a_file(value):
    with tempfile.TemporaryDirectory() as folder:
        write_file(Path(folder) / "value", *to_tree(value))
        contents = read_file(Path(folder) / "value")
    assert_identical(from_tree(contents.tree, contents.arrays, _resolve), value)


class Colour(enum.IntEnum):
    RED = 1


class OwnFloat(float):
    pass


Pair = collections.namedtuple("Pair", "a b")

REFUSED = {
    "complex": (1j, "got a complex;"),
    "bytes": (b"ab", "got a bytes;"),
    "set": ({1}, "got a set;"),
    "object": (object(), "got an object;"),
    "function": (len, "got a builtin_function_or_method;"),
    "class": (torch.optim.SGD, "got the class SGD;"),
    "enum": (Colour.RED, "got a Colour;"),
    "subclass of float": (OwnFloat(1), "got an OwnFloat;"),
    "namedtuple": (Pair(1, 2), "got a Pair;"),
    "ordered dict": (collections.OrderedDict(a=1), "got an OrderedDict;"),
    "tensor": (torch.zeros(2), "got a Tensor;"),
    "dtype": (np.dtype("f4"), "got a Float32DType;"),
    "generator": (np.random.default_rng(0), "got a Generator;"),
    "other bits": (np.random.RandomState(np.random.PCG64(0)), "got a RandomState of PCG64;"),
    "complex array": (np.zeros(2, complex), "got an array of complex128;"),
    "complex number of numpy": (np.complex64(1), "got an array of complex64;"),
    "long double": (np.zeros(2, np.clongdouble), "got an array of clongdouble|complex256;"),
    "records": (np.zeros(2, "i4,f4"), r"got an array of \[\('f0'"),
    "masked array": (np.ma.masked_array([1, 2], [True, False]), "got a MaskedArray;"),
    "large integer": (1 << 3000, "got a number that large;"),
    "foreign estimator": (StandardScaler(), "got a StandardScaler;"),
    "estimator of vqssl's class": (VQTokenizer, "got the class VQTokenizer;"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_a_file_cannot_hold_is_refused_with_its_place(kind):
    value, message = REFUSED[kind]
    with pytest.raises(TypeError, match=rf"^\['a'\]\[1\] cannot be saved: {message}"):
        to_tree({"a": (0, value)})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1: "a"}, "a key of the value cannot be saved: got an int"),
        ({"a": {("b",): 1}}, r"a key of \['a'\] cannot be saved: got a tuple"),
        (np.array([1, [2]], object), r"\[1\] cannot be saved: got a list"),
        (np.array([1, GaussianNoise()], object), r"\[1\] cannot be saved: got a GaussianNoise"),
        (slice(0, 1j), "cannot be saved"),
        (1j, "A complex cannot be saved; a file holds numbers"),
    ],
    ids=repr,
)
def test_what_is_inside_is_refused_too(value, message):
    with pytest.raises(TypeError, match=message):
        to_tree(value)


def test_a_value_that_holds_itself_is_refused():
    circle: list = [1]
    circle.append({"again": circle})
    with pytest.raises(ValueError, match=r"^\[1\]\['again'\] cannot be saved: it holds itself"):
        to_tree(circle)
    part = Compose(())
    part.augmentations = (part,)
    with pytest.raises(ValueError, match=r"^augmentations\[0\] cannot be saved: it holds itself"):
        to_tree(part)


def nest(n):
    value = "x"
    for _ in range(n):
        value = [value]
    return value


def test_values_are_nested_up_to_a_limit():
    assert through_tree(nest(50)) == nest(50)
    with pytest.raises(ValueError, match="nested more than 50 levels deep"):
        to_tree(nest(51))
    with pytest.raises(ValueError, match="nested more than 50 levels deep"):
        from_tree({"entries": [], "value": nest(51)}, {}, _resolve)


# --------------------------------------------------------------------- what cannot be saved


class OwnBackbone(ConvBackbone):
    """A part of a user."""


class OwnTokenizer(VQTokenizer):
    """An estimator of a user, which has all the parameters of its parent."""


Impostor = type("VQTokenizer", (VQTokenizer,), {"__module__": VQTokenizer.__module__})


class Rounding(torch.nn.Module):
    codebook = torch.tensor([[-1.0], [0.0], [1.0]])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"callbacks": [EpochTimer()]}, r"^callbacks\[0\] cannot be saved: got an EpochTimer; .*"
         r"Call set_params\(callbacks=None\) first, or use pickle\."),
        ({"net_params": {"optimizer": torch.optim.SGD}},
         r"^net_params\['optimizer'\] cannot be saved: got the class SGD; .*net_params=None"),
        ({"quantizer": ModuleQuantizer(Rounding())},
         r"^quantizer\.module cannot be saved: got a Rounding; .* Use pickle instead\."),
        ({"random_state": np.random.default_rng(0)}, r"Call set_params\(random_state=None\)"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_parameters_that_a_file_cannot_hold_are_refused_before_it_is_written(params, message, path):
    path.write_text("what was there")
    estimator = VQTokenizer(**SMALL).set_params(**params)
    with pytest.raises(TypeError, match=message):
        estimator.save(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_text() == "what was there"


def test_the_way_out_that_a_refusal_names_works(path):
    estimator = VQTokenizer(**SMALL).set_params(callbacks=[EpochTimer()]).fit(X)
    nested = FrozenEstimator(FrozenEstimator(estimator))
    message = (
        r"^estimator\.estimator\.callbacks\[0\] .*Call estimator\.estimator\.set_params\(callb"
    )
    with pytest.raises(TypeError, match=message):
        to_tree(nested)
    nested.estimator.estimator.set_params(callbacks=None)
    assert_identical(through_tree(nested), nested)
    assert_same_fit(through_file(estimator, path), estimator)


def test_fit_callbacks_of_scikit_learn_are_refused(path):
    callbacks = pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9")
    estimator = VQTokenizer(**SMALL).set_callbacks(callbacks.ProgressBar())
    with pytest.raises(TypeError, match=r"_skl_callbacks\[0\] .*Call set_callbacks\(\) first"):
        estimator.save(path)
    assert_identical(through_file(estimator.set_callbacks(), path), estimator)


def test_a_class_that_only_claims_to_be_of_vqssl_is_not_saved(path):
    with pytest.raises(TypeError, match=r"^A VQTokenizer cannot be saved; a file holds .* only\."):
        Impostor(**SMALL).save(path)
    assert not path.exists()


def test_classes_of_a_user_are_loaded_only_where_they_are_trusted(path):
    backbone = OwnBackbone(width=8, n_blocks=1, n_decoder_blocks=1)
    estimator = OwnTokenizer(**SMALL).set_params(backbone=backbone).fit(X)
    estimator.save(path)
    message = r"it holds a '.*test_persistence\.Own.*pass the class in trusted=\[\.\.\.\]"
    for trusted in ((), [OwnTokenizer], (OwnBackbone,)):
        with pytest.raises(ValueError, match=message):
            vqssl.load(path, trusted=trusted)
    again = vqssl.load(path, trusted=[OwnTokenizer, OwnBackbone])
    assert_identical(again, estimator)
    assert_same_fit(again, estimator)


@pytest.mark.parametrize("cls", [VQTokenizer, StandardScaler, dict, "os.system", Impostor])
def test_only_classes_of_a_user_that_build_on_vqssl_can_be_trusted(cls, path):
    VQTokenizer().save(path)
    with pytest.raises(TypeError, match="trusted must hold classes of your own that are built on"):
        vqssl.load(path, trusted=[cls])


def test_a_class_that_is_trusted_must_be_in_a_list(path):
    VQTokenizer().save(path)
    with pytest.raises(TypeError, match=r"trusted must be a list of classes; got .*OwnBackbone"):
        vqssl.load(path, trusted=OwnBackbone)


def test_a_pipeline_with_a_classifier_goes_through_skops(tokenizer):
    skops_io = pytest.importorskip("skops.io", reason="needs skops")
    pipeline = make_pipeline(clone(tokenizer), SVC()).fit(X, Y)
    blob = skops_io.dumps(pipeline)
    names = skops_io.get_untrusted_types(data=blob)
    assert not [name for name in names if not name.startswith("vqssl.")]
    again = skops_io.loads(blob, trusted=names)
    assert_array_equal(again.decision_function(X), pipeline.decision_function(X))


def test_a_file_of_format_1_loads_to_the_same_bits():
    folder = Path(__file__).parent / "data"
    again = vqssl.load(folder / "tokenizer-format-1.vqssl")
    expected = json.loads((folder / "tokenizer-format-1.json").read_text())
    for name, tensor in again.model_.state_dict().items():
        assert hashlib.sha256(tensor.numpy().tobytes()).hexdigest() == expected["weights"][name]
    series = (np.arange(6)[:, None] + 2) * np.arange(16) ** 2 % 23
    assert_array_equal(again.encode(series), expected["codes"])
    # Written before there was this parameter.
    assert again.checkpoint_dir is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of memory are those of POSIX")
def test_damaged_files_do_nothing_but_say_so():
    root = Path(__file__).parents[1]
    command = [sys.executable, "-W", "ignore", "benchmarks/chaos.py", "fuzz", "--files", "400"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No violation in 400 files." in done.stdout


def test_an_attribute_that_could_not_be_loaded_is_not_saved(path):
    estimator = VQTokenizer(**SMALL)
    estimator.transform = 3
    with pytest.raises(TypeError, match="transform cannot be saved: transform belongs to the cla"):
        estimator.save(path)
    assert not path.exists()


# ------------------------------------------------------------------------------ the file


@pytest.mark.parametrize("kind", [str, Path])
def test_an_existing_file_is_replaced(kind, path, tokenizer):
    path.write_bytes(b"x" * 1_000_000)
    assert tokenizer.save(kind(path)) is None
    assert_identical(vqssl.load(kind(path)), tokenizer)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")
def test_a_file_that_only_its_owner_may_read_stays_one(path, tokenizer):
    path.touch(mode=0o600)
    tokenizer.save(path)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("step", ["os.open", "open", "os.fsync", "os.replace"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_save_that_fails_leaves_the_earlier_file_and_nothing_else(
    step, error, path, tokenizer, monkeypatch
):
    def fail(*args):
        raise error("disk full")

    tokenizer.save(path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        name = step if "." in step else f"vqssl._persistence.{step}"
        patch.setattr(name, fail, raising=False)
        with pytest.raises(error, match="disk full"):
            VQTokenizer().save(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before


@pytest.mark.parametrize("written", [0, 1])
def test_a_disk_that_fills_up_leaves_the_earlier_file(written, path, tokenizer, monkeypatch):
    def pack(*args):
        yield from _pack(*args)[:written]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    tokenizer.save(path)
    before = path.read_bytes()
    monkeypatch.setattr("vqssl._persistence._pack", pack)
    with pytest.raises(OSError, match="No space left on device"):
        VQTokenizer().save(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_a_read_only_file_is_not_replaced(path, tokenizer, monkeypatch):
    tokenizer.save(path)
    # Asked in place of the mode, which an administrator may pass over.
    monkeypatch.setattr("os.access", lambda name, mode: mode != os.W_OK)
    with pytest.raises(PermissionError, match=r"model\.vqssl is read-only"):
        VQTokenizer().save(path)
    assert_identical(vqssl.load(path), tokenizer)
    VQTokenizer().save(path.with_name("new"))


def test_the_same_estimator_gives_the_same_bytes(path, tokenizer):
    tokenizer.save(path)
    first = path.read_bytes()
    vqssl.load(path).save(path)
    assert path.read_bytes() == first


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_file_can_be_read_by_those_who_may_read_new_files(path):
    before = os.umask(0o027)
    try:
        VQTokenizer().save(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name != "posix", reason="not everybody may make links elsewhere")
def test_a_link_stays_a_link(path, tmp_path):
    target = tmp_path / "folder" / "target"
    target.parent.mkdir()
    path.symlink_to(target)
    assert_identical(through_file(VQTokenizer(n_codes=9), path), VQTokenizer(n_codes=9))
    assert path.is_symlink()
    assert target.is_file()
    VQTokenizer(n_codes=5).save(path)
    assert vqssl.load(target).n_codes == 5


def test_paths_that_are_no_files_are_refused(tmp_path):
    estimator = VQTokenizer()
    for folder in (str(tmp_path), f"{tmp_path / 'new'}{os.sep}", ""):
        with pytest.raises(IsADirectoryError, match="path must be a file; got the folder"):
            estimator.save(folder)
    with pytest.raises(FileNotFoundError, match="must be in a folder that exists; there is no"):
        estimator.save(tmp_path / "nowhere" / "model")
    with pytest.raises(ValueError, match="path must be a regular file; got"):
        estimator.save(os.devnull)
    with pytest.raises(IsADirectoryError, match="path must be a file; got the folder"):
        vqssl.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="path must be a file; there is no"):
        vqssl.load(tmp_path / "model")
    with pytest.raises(ValueError, match="path must be a regular file; got"):
        vqssl.load(os.devnull)
    for no_path in (3, None, b"model", io.BytesIO()):
        with pytest.raises(TypeError, match=r"path must be a str or os\.PathLike; got"):
            estimator.save(no_path)
        with pytest.raises(TypeError, match=r"path must be a str or os\.PathLike; got"):
            vqssl.load(no_path)
    assert list(tmp_path.iterdir()) == []


def test_safetensors_reads_the_weights_by_their_names(path, tokenizer):
    tokenizer.save(path)
    arrays = safetensors.numpy.load_file(path)
    for name, tensor in tokenizer.model_.state_dict().items():
        assert_array_equal(arrays[f"model_.{name}"], tensor.numpy())
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == "vqssl"
    assert metadata["format_version"] == "1"
    assert json.loads(metadata["versions"]) == read_file(path).versions
    assert set(json.loads(metadata["versions"])) == {
        "vqssl",
        "torch",
        "numpy",
        "scikit-learn",
        "python",
    }  # fmt: skip
    assert json.loads(metadata["versions"])["vqssl"] == vqssl.__version__


def test_too_much_text_is_refused_and_nothing_is_written(path, monkeypatch):
    monkeypatch.setattr("vqssl._persistence._MAX_HEADER", 500)
    with pytest.raises(ValueError, match=r"without its arrays it takes .* and a file holds 500"):
        VQTokenizer().save(path)
    assert not path.exists()


# ------------------------------------------------------------------- damaged and foreign files


def assert_refused(path, data, message):
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        vqssl.load(path)


def test_a_file_that_is_cut_short_is_refused_wherever_it_ends(path, tokenizer):
    tokenizer.save(path)
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    for size in {*range(12), *range(0, len(data), 199), header - 1, header, len(data) - 1}:
        assert_refused(path, data[:size], rf"is cut short: it holds {size} ")


def test_a_flipped_bit_anywhere_in_a_small_file_is_noticed(path):
    write_file(path, *to_tree([np.arange(3, dtype=np.int8), "text"]))
    data = path.read_bytes()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=DAMAGE):
            read_file(path)


def test_a_flipped_byte_of_a_model_is_noticed(path, tokenizer):
    tokenizer.save(path)
    data = path.read_bytes()
    for place in range(0, len(data), 41):
        damaged = bytearray(data)
        damaged[place] ^= 0xFF
        assert_refused(path, bytes(damaged), DAMAGE)


def test_a_flipped_bit_of_a_weight_is_named_as_such(path, tokenizer):
    tokenizer.save(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    assert_refused(path, bytes(data), "was altered or damaged after it was saved: its checksum")


def test_bytes_that_were_added_are_noticed(path, tokenizer):
    tokenizer.save(path)
    assert_refused(path, path.read_bytes() + b"\0", "was altered or damaged after it was saved")


def test_another_checksum_is_noticed(path, tokenizer):
    tokenizer.save(path)
    data, digest = path.read_bytes(), read_digest(path)
    other = digest[::-1]
    assert other != digest
    assert_refused(path, data.replace(digest.encode(), other.encode()), "was altered or damaged")
    assert_refused(path, data.replace(b'"sha256"', b'"sha257"'), "was altered or damaged")


def read_digest(path):
    with safetensors.safe_open(path, "numpy") as file:
        return file.metadata()["sha256"]


def as_joblib(tokenizer):
    buffer = io.BytesIO()
    joblib.dump(tokenizer, buffer)
    return buffer.getvalue()


def as_npz(tokenizer):
    buffer = io.BytesIO()
    np.savez(buffer, tokenizer.codebook_)
    return buffer.getvalue()


FOREIGN = {
    "nothing": (lambda tokenizer: b"", "is cut short: it holds 0 bytes"),
    "one byte": (lambda tokenizer: b"x", "is cut short: it holds 1 bytes"),
    "pickle": (pickle.dumps, "must be a file that the save .* pickle, joblib"),
    "joblib": (as_joblib, "must be a file that the save .* pickle, joblib"),
    "npz": (as_npz, "must be a file that the save of an estimator wrote"),
    "text": (lambda tokenizer: b"time,value\n0,1\n" * 9, "must be a file that the save"),
    "JSON": (lambda tokenizer: b'{"a": [1, 2, 3]}' * 9, "must be a file that the save"),
    "random bytes": (lambda tokenizer: np.random.default_rng(0).bytes(999), "must be a file that"),
    "zeros": (lambda tokenizer: bytes(999), "must be a file that the save of an estimator wrote"),
    "safetensors": (
        lambda tokenizer: safetensors.numpy.save({"a": np.zeros(3)}),
        "it is another safetensors file",
    ),
    "safetensors with metadata": (
        lambda tokenizer: safetensors.numpy.save({"a": np.zeros(3)}, {"format": "pt"}),
        "it is another safetensors file",
    ),
    "header of another kind": (lambda tokenizer: framed(b"{}"), "it is another safetensors file"),
    "header that is no text": (lambda tokenizer: framed(b"{\xff}"), "must be a file that the save"),
    "header with NaN": (lambda tokenizer: framed(b'{"a": NaN}'), "must be a file that the save"),
    "deep header": (
        lambda tokenizer: framed(b'{"__metadata__":' + b"[" * 100_000),
        "must be a file that the save",
    ),
    "metadata of another kind": (
        lambda tokenizer: framed(b'{"__metadata__": {"format": 3}}'),
        "it is another safetensors file",
    ),
}


def framed(header, data=b""):
    """A header with its length before it and arrays behind it."""
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_of_others_are_refused(kind, path, tokenizer):
    make, message = FOREIGN[kind]
    assert_refused(path, make(tokenizer), message)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 100_000_001])
def test_a_header_that_cannot_be_that_long_is_refused(length, path, tokenizer):
    tokenizer.save(path)
    data = length.to_bytes(8, "little") + path.read_bytes()[8:]
    assert_refused(path, data, "must be a file that the save of an estimator wrote")


def test_a_newer_format_is_refused_before_its_checksum_is_looked_at(path, tokenizer):
    tokenizer.save(path)
    data = path.read_bytes()
    newer = data.replace(b'"format_version":"1"', b'"format_version":"2"')
    assert_refused(path, newer, r"newer vqssl \(format 2; this one reads format 1\). Upgrade vqssl")
    wrong = data.replace(b'"format_version":"1"', b'"format_version":"x"')
    assert_refused(path, wrong, "is not well formed: its format_version is 'x'")


# ------------------------------------------- files that are whole, but that save did not write


def signed(header, data=b""):
    """A file with a right checksum, made without the code that is tested."""
    header["__metadata__"]["sha256"] = "0" * 64
    text = json.dumps(header, separators=(",", ":")).encode()
    digest = hashlib.sha256(framed(text, data)).hexdigest()
    return framed(text.replace(b"0" * 64, digest.encode()), data)


def signed_tree(tree, versions="{}", **header):
    metadata = {"format": "vqssl", "format_version": "1", "tree": tree, "versions": versions}
    return signed({"__metadata__": metadata, **header})


def test_a_file_made_by_hand_is_read(path):
    tree = {
        "entries": [{"class": "vqssl.tokenizers.VQTokenizer", "params": {}, "attributes": {}}],
        "value": {"ref": 0},
    }
    path.write_bytes(signed_tree(json.dumps(tree)))
    assert_identical(vqssl.load(path), VQTokenizer())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (signed_tree("[" * 100_000 + "]" * 100_000), "is not well formed: it is nested too deep"),
        (signed_tree("[1"), "is not well formed"),
        (signed_tree("NaN"), "is not well formed: NaN is no JSON"),
        (signed_tree("9" * 10_000), "is not well formed"),
        (signed_tree("[]"), "cannot be loaded: the tree has no entries or no value"),
        (signed_tree('{"entries": [], "value": 3}'), "it holds no estimator but a int"),
        (signed_tree("1", versions="[]"), "is not well formed: its versions are no texts"),
        (signed_tree("1", versions='{"vqssl": 1}'), "its versions are no texts"),
        (signed_tree("1", a={"dtype": "F32", "shape": [1], "data_offsets": [0, 0]}), "not well f"),
        (signed_tree("1", a={"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}), "cut short"),
        (signed_tree("1", a={"dtype": "BF16", "shape": [0], "data_offsets": [0, 0]}), "of BF16"),
        (signed_tree("1", a={"dtype": "X", "shape": [0], "data_offsets": [0, 0]}), "not well for"),
        (signed_tree("1", a=3), "is not well formed"),
    ],
    ids=range(13),
)
def test_a_file_that_is_not_well_formed_is_refused(data, message, path):
    assert_refused(path, data, message)


def test_truth_values_are_zeros_and_ones(path):
    item = {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}
    metadata = {"format": "vqssl", "format_version": "1", "tree": "1", "versions": "{}"}
    data = signed({"__metadata__": metadata, "a": item}, b"\x01\x02")
    assert_refused(path, data, "an array of truth values holds other bytes than 0 and 1")


ONE = {"a": np.arange(3, dtype=np.float32)}
WORDS = {"a": np.arange(624, dtype=np.uint32)}
ARRAY = {"array": "a", "dtype": "<f4", "order": "C"}


def entries(*items):
    return {"entries": list(items), "value": {"ref": len(items) - 1}}


def values(node):
    return {"entries": [], "value": node}


def state(**changes):
    words = {"array": "a", "dtype": "<u4", "order": "C"}
    known = {"words": {"ref": 0}, "position": 5, "has_gauss": 0, "gauss": 0.5}
    return entries(words, {"random_state": {**known, **changes}})


@pytest.mark.parametrize(
    ("tree", "arrays", "message"),
    [
        ({"entries": {}, "value": 1}, {}, "the tree has no entries"),
        (values({"surprise": 1}), {}, "{'surprise': 1} is no value of this format"),
        (values({"surprise": nest(900)}), {}, "is no value of this format"),
        (values({}), {}, "is no value of this format"),
        (values({"ref": 0}), {}, "is no value of this format"),
        (values({"ref": -1}), {}, "is no value of this format"),
        (values({"ref": "a"}), {}, "is no value of this format"),
        (values({"float": "1"}), {}, "is no value of this format"),
        (values({"tuple": 3}), {}, "is no value of this format"),
        (values({"dict": [1]}), {}, "is no value of this format"),
        (values({"slice": [1, 2]}), {}, "is no value of this format"),
        (values({"device": "no such"}), {}, "'no such' is no device of torch"),
        ({**entries(ARRAY), "value": {"scalar": {"ref": 0}}}, ONE, "is no value of this format"),
        (entries({"ref": 0}), {}, "is no entry of this format"),
        (entries({"objects": [{"ref": 1}], "shape": [1]}, ARRAY), ONE, "is no value of this form"),
        (entries("text"), {}, "'text' is no entry of this format"),
        (entries(ARRAY), {}, "the array 'a' is missing"),
        (entries(ARRAY, ARRAY), ONE, "the array 'a' is missing"),
        (entries({**ARRAY, "order": "K"}), ONE, "is no entry of this format"),
        (entries({**ARRAY, "dtype": "<f8"}), ONE, "'a' of float32 cannot be one of <f8"),
        (entries({**ARRAY, "dtype": "<i4"}), ONE, "'a' of float32 cannot be one of <i4"),
        (entries({**ARRAY, "dtype": "<M8[s]"}), ONE, r"'a' of float32 cannot be one of <M8\[s\]"),
        (entries({**ARRAY, "dtype": "<U3"}), ONE, "'a' of float32 cannot be one of <U3"),
        (entries({**ARRAY, "dtype": "<U3"}), WORDS, "'a' of uint32 cannot be one of <U3"),
        (entries({**ARRAY, "dtype": "<U0"}), {"a": np.zeros((2, 0), "u4")}, "cannot be one of <U0"),
        (entries({**ARRAY, "dtype": "|O"}), ONE, r"'\|O' is no dtype of this format"),
        (entries({**ARRAY, "dtype": "<f4,<f4"}), ONE, "'<f4,<f4' is no dtype of this format"),
        (entries({**ARRAY, "dtype": "<M8[xx]"}), ONE, r"'<M8\[xx\]' is no dtype of this format"),
        (
            entries({**ARRAY, "dtype": "<U1"}),
            {"a": np.array([[0x110000]], np.uint32)},
            "holds numbers that are no characters",
        ),
        (entries({"objects": [1, 2], "shape": [3]}), {}, "2 items do not fit an array of shape"),
        (entries({"objects": [1], "shape": [-1, -1]}), {}, "1 items do not fit an array of shape"),
        (entries({"objects": [1], "shape": [True]}), {}, "1 items do not fit an array of shape"),
        (entries({"objects": [1], "shape": [1] * 99}), {}, "1 items do not fit an array of shape"),
        (entries({"objects": [], "shape": [0, 10**30]}), {}, "0 items do not fit an array"),
        (entries({"objects": [[1]], "shape": [1]}), {}, "holds something else than numbers"),
        (state(position=625), WORDS, "a RandomState has no state of MT19937"),
        (state(position=-1), WORDS, "a RandomState has no state of MT19937"),
        (state(position=1.5), WORDS, "a RandomState has no state of MT19937"),
        (state(has_gauss=2), WORDS, "a RandomState has no state of MT19937"),
        (state(gauss="a"), WORDS, "a RandomState has no state of MT19937"),
        (state(words=3), WORDS, "a RandomState has no state of MT19937"),
        (state(), {"a": WORDS["a"][:9]}, "a RandomState has no state of MT19937"),
        (state(), {"a": WORDS["a"].astype(np.int32)}, "'a' of int32 cannot be one of <u4"),
    ],
    ids=range(43),
)
def test_a_tree_that_is_not_well_formed_is_refused(tree, arrays, message):
    with pytest.raises(ValueError, match=message):
        from_tree(tree, arrays, _resolve)


def test_the_trees_above_are_refused_for_what_is_wrong_with_them():
    assert_array_equal(from_tree(entries(ARRAY), ONE, _resolve), ONE["a"])
    random = from_tree(state(), WORDS, _resolve)
    assert random.get_state()[2] == 5
    assert from_tree(values({"ref": 0}) | entries(ARRAY), ONE, _resolve).shape == (3,)


def change(**changes):
    """A change of the estimator's entry, the last one."""

    def apply(entries):
        for kind, members in changes.items():
            entries[-1][kind] = (
                {**entries[-1][kind], **members} if isinstance(members, dict) else members
            )

    return apply


def drop(kind, *path):
    def apply(entries):
        *above, name = path
        place = entries[-1][kind]
        for step in above:
            place = place[step]["dict"]
        del place[name]

    return apply


def edit(name, **members):
    """A change of a dict among the attributes."""

    def apply(entries):
        entries[-1]["attributes"][name]["dict"].update(members)

    return apply


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (change(**{"class": "os.system"}), "it holds a 'os.system', which is no public"),
        (change(**{"class": "vqssl.tokenizers.Nope"}), "which is no public estimator or part"),
        (change(**{"class": "vqssl.tokenizers.BaseTokenizer"}), "which is no public estimator"),
        (change(**{"class": "vqssl.quantizers.ModuleQuantizer"}), "which is no public estimator"),
        (change(**{"class": "sklearn.svm._classes.SVC"}), "which is no public estimator or part"),
        (change(**{"class": 3}), "is no entry of this format"),
        (change(**{"class": "vqssl.losses.VICReg", "params": {"n_codes": 3}}), "no parameter"),
        (change(params={"surprise": 1}), "VQTokenizer has no parameter 'surprise'"),
        (change(params=3), "is no entry of this format"),
        (change(attributes={"transform": 1}), "'transform': transform belongs to the class VQTok"),
        (change(attributes={"_build": 1}), "'_build': _build belongs to the class VQTokenizer"),
        (change(attributes={"__class__": 1}), "'__class__' is no name of an attribute"),
        (change(attributes={"__getstate__": 1}), "'__getstate__' is no name of an attribute"),
        (change(attributes={"a b": 1}), "'a b' is no name of an attribute"),
        (change(attributes={"n_codes": 1}), "'n_codes': n_codes is a parameter"),
        (drop("attributes", "_architecture"), "VQTokenizer cannot be built from it: AttributeErr"),
        (drop("attributes", "input_shape_"), "VQTokenizer cannot be built from it: AttributeErr"),
        (drop("attributes", "model_", "scaler.mean"), "VQTokenizer cannot be built from it"),
        (edit("model_", surprise={"ref": 0}), "VQTokenizer cannot be built from it"),
        (edit("model_", **{"scaler.mean": "text"}), "VQTokenizer cannot be built from it"),
        (edit("_architecture", n_codes=9), "VQTokenizer cannot be built from it"),
        (edit("_architecture", n_codes="nine"), "VQTokenizer cannot be built from it"),
        (edit("_architecture", surprise=9), "VQTokenizer cannot be built from it: TypeError"),
        (change(attributes={"input_shape_": {"tuple": []}}), "cannot be built from it"),
        (change(attributes={"input_shape_": 3}), "cannot be built from it"),
        (change(attributes={"model_": 3}), "cannot be built from it"),
        (change(attributes={"model_": None}), "cannot be built from it"),
    ],
    ids=range(27),
)
def test_a_file_whose_estimator_does_not_hold_together_is_refused(apply, message, path, tokenizer):
    tree, arrays = to_tree(tokenizer)
    apply(tree["entries"])
    write_file(path, tree, arrays)
    with pytest.raises(ValueError, match=rf"model\.vqssl cannot be loaded: .*{message}"):
        vqssl.load(path)


def test_a_weight_of_another_shape_is_refused(path, tokenizer):
    tree, arrays = to_tree(tokenizer)
    arrays["model_.scaler.mean"] = np.zeros((2, 1), np.float32)
    write_file(path, tree, arrays)
    with pytest.raises(ValueError, match="VQTokenizer cannot be built from it"):
        vqssl.load(path)


def test_a_weight_of_another_dtype_is_refused(path, tokenizer):
    tree, arrays = to_tree(tokenizer)
    place = tree["entries"][-1]["attributes"]["model_"]["dict"]["scaler.mean"]["ref"]
    tree["entries"][place]["dtype"] = "<f8"
    arrays["model_.scaler.mean"] = arrays["model_.scaler.mean"].astype(np.float64)
    write_file(path, tree, arrays)
    with pytest.raises(ValueError, match="VQTokenizer cannot be built from it"):
        vqssl.load(path)


@pytest.mark.parametrize(
    ("part", "parameter"), [(ConvBackbone(), "n_blocks"), (ConvBackbone(), "n_decoder_blocks")]
)
def test_a_small_file_cannot_ask_for_a_large_model(part, parameter, path):
    # Building it would take minutes before its shapes could be compared.
    tokenizer = VQTokenizer(**{**SMALL, "backbone": part}).fit(X)
    tree, arrays = to_tree(tokenizer)
    for entry in tree["entries"]:
        if entry.get("class", "").endswith("ConvBackbone"):
            entry["params"][parameter] = 20_000
    write_file(path, tree, arrays)
    with pytest.raises(ValueError, match="the parameters describe; it has many more of them"):
        vqssl.load(path)
    assert torch.is_grad_enabled()  # torch switches them off while it draws the first weights


@pytest.mark.parametrize("root", [FrozenEstimator(VQTokenizer()), GaussianNoise(), [VQTokenizer()]])
def test_what_is_no_estimator_of_vqssl_is_not_loaded(root, path):
    write_file(path, *to_tree(root))
    with pytest.raises(ValueError, match=f"it holds no estimator but a {type(root).__name__}"):
        vqssl.load(path)


def test_a_refusal_says_which_version_wrote_the_file(path, monkeypatch):
    monkeypatch.setattr(vqssl, "__version__", "99.0")
    tree, arrays = to_tree(VQTokenizer())
    change(params={"new": 1})(tree["entries"])
    write_file(path, tree, arrays)
    monkeypatch.undo()
    expected = f"no parameter 'new'. vqssl 99.0 wrote it; this is {vqssl.__version__}."
    with pytest.raises(ValueError, match=expected):
        vqssl.load(path)


def test_a_parameter_that_an_older_file_lacks_gets_its_default(path):
    tree, arrays = to_tree(VQTokenizer(n_codes=9))
    drop("params", "scaling")(tree["entries"])
    write_file(path, tree, arrays)
    assert_identical(vqssl.load(path), VQTokenizer(n_codes=9))


# --------------------------------------------------------------------------------- no code

LISTEN = """
import pickle
import sys
import vqssl
heard = []
def hear(event, args):
    if event in {"pickle.find_class", "exec", "compile", "import", "marshal.loads", "os.system"}:
        heard.append((event, str(args)[:200]))
    elif event.startswith(("ctypes", "socket", "subprocess", "os.exec", "os.posix_spawn")):
        heard.append((event, str(args)[:200]))
sys.addaudithook(hear)
"""


def listen(code, *arguments):
    """Run code in a new process; return what an audit hook hears of execution and imports."""
    report = "print(*(event for event, _ in heard))\nprint(heard[:3], file=sys.stderr)"
    command = [sys.executable, "-W", "ignore", "-c", f"{LISTEN}{code}\n{report}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def test_loading_imports_compiles_and_executes_nothing(tmp_path):
    paths = [str(tmp_path / f"{place}.vqssl") for place in range(len(VARIANTS))]
    for path, estimator in zip(paths, VARIANTS.values(), strict=True):
        clone(estimator).fit(X, Y).save(path)
    heard, details = listen("for path in sys.argv[1:]: vqssl.load(path)", *paths)
    assert not heard, details


@pytest.mark.parametrize(
    ("code", "event"),
    [
        ("import wave", "import"),
        ("exec('1')", "exec"),
        (r"pickle.loads(b'cos\ngetcwd\n.')", "pickle.find_class"),
    ],
)
def test_what_listens_hears(code, event):
    assert event in listen(code)[0]


def test_every_public_estimator_and_part_can_be_in_a_file():
    found = set()
    for name in (
        "augmentations",
        "autoencoders",
        "backbones",
        "encoders",
        "losses",
        "quantizers",
        "tokenizers",
        "generators",
        "classifiers",
    ):
        folder = getattr(vqssl, name, None)
        for public in getattr(folder, "__all__", ()):
            cls = getattr(folder, public)
            offered = inspect.isclass(cls) and issubclass(cls, BaseEstimator)
            if offered and not inspect.isabstract(cls) and cls is not ModuleQuantizer:
                assert _resolve(f"vqssl.{name}.{public}") is cls
                found.add(cls)
    assert {type(estimator) for estimator in ESTIMATORS} < found
    assert {type(part) for part in PARTS} < found
