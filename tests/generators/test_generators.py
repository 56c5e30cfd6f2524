"""What both generators offer: tokenizer, labels, samples, further training, scikit-learn."""

import copy
import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

import vqssl
from tests.generators.stubs import SymbolTokenizer, draw_symbols
from vqssl import AutoregressiveGenerator, MaskGITGenerator, VQTokenizer
from vqssl._base import spread_classes
from vqssl.backbones import ConvBackbone, TransformerBackbone

SMALL = {
    "backbone": TransformerBackbone(width=8, n_blocks=1, n_heads=2),
    "max_iter": 3,
    "batch_size": 16,
    "validation_fraction": 0.0,
    "device": "cpu",  # where bits are the same
    "random_state": 0,
}
SMALL_TOKENIZER = {
    "n_codes": 8,
    "code_dim": 4,
    "backbone": ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1),
    "max_iter": 3,
    "device": "cpu",
}

# Tests with a tokenizer that learns do not look at its warnings.
small = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

both = pytest.mark.parametrize("kind", [AutoregressiveGenerator, MaskGITGenerator])

SIZES = [4, 3, 2, 4, 4, 3]
X = draw_symbols(24, SIZES)
Y = np.array(["b", "c", "a", "b"] * 6)
WALKS = np.random.default_rng(0).standard_normal((16, 24)).cumsum(1)


def make(kind, tokenizer=None, **params):
    tokenizer = SymbolTokenizer(SIZES) if tokenizer is None else tokenizer
    return kind(tokenizer, **{**SMALL, **params})


def weights(estimator):
    return {name: tensor.numpy() for name, tensor in estimator.model_.state_dict().items()}


def same_weights(first, second):
    second = weights(second)
    return all(np.array_equal(value, second[name]) for name, value in weights(first).items())


class NoTraining(Callback):
    """Complains when training starts."""

    def on_train_begin(self, net, **kwargs):
        raise AssertionError("training has started")


class NeverFitted(SymbolTokenizer):
    """Complains when it is fitted."""

    def fit(self, X, y=None):
        raise AssertionError("the tokenizer is being fitted")


class Split(Callback):
    """Remembers the labels that are trained on and those that are held out."""

    labels: tuple

    def on_train_begin(self, net, X=None, **kwargs):
        Split.labels = tuple(rows.arrays[1][rows.index] for rows in (X, net.validation_data))


@pytest.fixture(scope="module")
def fits():
    """Copies of generators fitted with and without classes."""
    fitted = {}

    def get(kind, *, conditional=True):
        if (kind, conditional) not in fitted:
            fitted[kind, conditional] = make(kind).fit(X, Y if conditional else None)
        return copy.deepcopy(fitted[kind, conditional])

    return get


# ------------------------------------------------------------------------------- tokenizer


class Symbols(SymbolTokenizer):
    """Symbols with vectors, two of them alike."""

    codebook = np.eye(4, 5)[[0, 1, 2, 0]]

    def fit(self, X, y=None):
        super().fit(X)
        self.codebook_ = self.codebook
        return self


@both
def test_a_prior_starts_from_the_codebook_of_the_tokenizer(kind):
    # Of one step, at a rate that moves nothing.
    options = {"max_iter": 1, "lr": 1e-12}
    table = make(kind, Symbols(4), **options).fit(X % 4).model_.space.table.weight
    assert_allclose(table[0], table[3], atol=1e-8)
    assert not np.allclose(table[0], table[1])
    without = make(kind, SymbolTokenizer(4), **options).fit(X % 4).model_.space.table.weight
    assert not np.allclose(without[0], without[3])


@both
@pytest.mark.parametrize("codebook", [np.eye(3, 5), np.arange(4), [np.eye(4), np.eye(4)], "codes"])
def test_a_codebook_of_other_sizes_is_left_alone(kind, codebook):
    class Other(Symbols):
        pass

    Other.codebook = codebook
    fitted = [make(kind, tokenizer(4)).fit(X % 4) for tokenizer in (Other, SymbolTokenizer)]
    assert same_weights(*fitted)


@both
def test_a_clone_of_the_tokenizer_is_fitted(kind):
    tokenizer = SymbolTokenizer(SIZES, groups=[slice(3, 6), slice(0, 3)])
    generator = make(kind, tokenizer).fit(X)
    assert generator.tokenizer is tokenizer
    assert not hasattr(tokenizer, "code_sizes_")
    assert_array_equal(generator.tokenizer_.code_sizes_, SIZES)
    assert_array_equal(generator.code_sizes_, SIZES)
    assert generator.code_sizes_.dtype == np.int64
    assert generator.token_groups_ == [slice(3, 6), slice(0, 3)]
    assert generator.n_tokens_ == 6


@both
def test_a_frozen_tokenizer_is_used_as_it_is(kind):
    inner = SymbolTokenizer(K=9).fit(X)  # a fit to X would find the same, another size not
    inner.code_sizes_ = np.full(6, 11)
    frozen = FrozenEstimator(inner)
    generator = make(kind, frozen).fit(X)
    assert generator.tokenizer_ is frozen
    assert generator.code_sizes_.tolist() == [11] * 6
    assert_array_equal(inner.code_sizes_, np.full(6, 11))


@both
@small
def test_a_frozen_tokenizer_keeps_its_weights(kind):
    tokenizer = VQTokenizer(**SMALL_TOKENIZER, random_state=0).fit(WALKS)
    before = copy.deepcopy(tokenizer)
    generator = make(kind, FrozenEstimator(tokenizer)).fit(WALKS[::-1])
    assert generator.tokenizer_.estimator is tokenizer
    assert same_weights(tokenizer, before)
    codes = generator.sample_codes(4, random_state=0)
    assert_array_equal(generator.sample(4, random_state=0), before.decode(codes))


@both
def test_an_unfitted_frozen_tokenizer_is_refused(kind):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        make(kind, FrozenEstimator(VQTokenizer()), callbacks=[NoTraining()]).fit(X)


@both
def test_a_fitted_tokenizer_that_is_not_frozen_draws_a_warning(kind):
    tokenizer = SymbolTokenizer(SIZES).fit(X)
    with pytest.warns(UserWarning, match=r"tokenizer is fitted already.*Pass FrozenEstimator"):
        make(kind, tokenizer).fit(X)


@both
@small
def test_a_tokenizer_without_a_seed_gets_one_from_the_generator(kind):
    tokenizer = VQTokenizer(**SMALL_TOKENIZER)
    first, second = (make(kind, tokenizer).fit(WALKS) for _ in range(2))
    assert same_weights(first.tokenizer_, second.tokenizer_)
    assert same_weights(first, second)
    assert isinstance(first.tokenizer_.random_state, int)
    assert tokenizer.random_state is None
    other = make(kind, tokenizer, random_state=1).fit(WALKS)
    assert not same_weights(first.tokenizer_, other.tokenizer_)


@both
@small
def test_a_tokenizer_with_a_seed_keeps_it(kind):
    tokenizer = VQTokenizer(**SMALL_TOKENIZER, random_state=5)
    generator = make(kind, tokenizer).fit(WALKS)
    assert generator.tokenizer_.random_state == 5
    assert same_weights(generator.tokenizer_, clone(tokenizer).fit(WALKS))


class Wrapper(SymbolTokenizer):
    """A user's tokenizer with estimators inside."""

    def __init__(self, K=4, groups=None, inner=None, other=None):
        super().__init__(K, groups)
        self.inner = inner
        self.other = other


@both
def test_estimators_inside_the_tokenizer_get_seeds_of_their_own(kind):
    inner, other = LogisticRegression(), LogisticRegression()
    tokenizer = Wrapper(SIZES, inner=inner, other=other)
    fitted = make(kind, tokenizer).fit(X).tokenizer_
    seeds = [fitted.inner.random_state, fitted.other.random_state]
    assert all(isinstance(seed, int) for seed in seeds)
    assert seeds[0] != seeds[1]
    assert inner.random_state is None
    tokenizer.other.random_state = 7
    fitted = make(kind, tokenizer).fit(X).tokenizer_
    assert isinstance(fitted.inner.random_state, int)
    assert fitted.other.random_state == 7


@both
@small
def test_the_default_tokenizer_is_a_vq_vae_that_keeps_differences(kind, monkeypatch):
    quick = dict.fromkeys(["max_iter"], 2)
    monkeypatch.setattr(
        "vqssl.generators._base.VQTokenizer",
        lambda **params: VQTokenizer(**{**params, **quick}),
    )
    generator = kind(**SMALL).fit(WALKS)
    assert generator.tokenizer is None
    assert type(generator.tokenizer_) is VQTokenizer
    assert generator.tokenizer_.difference_weight == 0.5
    assert generator.tokenizer_.device == "cpu"
    assert generator.sample(2, random_state=0).shape == (2, 24)


@both
@pytest.mark.parametrize("tokenizer", ["vq", 3, VQTokenizer, StandardScaler()], ids=repr)
def test_what_is_no_tokenizer_is_refused_before_training(kind, tokenizer):
    generator = make(kind, tokenizer, callbacks=[NoTraining()])
    message = "tokenizer must be (None or an estimator with fit, encode and decode|an instance)"
    with pytest.raises(TypeError, match=message):
        generator.fit(X)


class Faulty(SymbolTokenizer):
    """A tokenizer of somebody who did not read the contract."""

    def __init__(self, K=4, groups=None, how=None):
        super().__init__(K, groups)
        self.how = how

    def encode(self, X):
        return ENCODINGS[self.how](super().encode(X))

    def decode(self, codes):
        return np.asarray(codes, dtype=np.float64) + 0.5


def with_code(codes, row, token, code):
    codes = codes.copy()
    codes[row, token] = code
    return codes


ENCODINGS = {
    None: lambda codes: codes,
    "floats": lambda codes: codes.astype(np.float32),
    "booleans": lambda codes: codes > 0,
    "a series less": lambda codes: codes[1:],
    "a token less": lambda codes: codes[:, 1:],
    "a token": lambda codes: codes[:, 0],
    "vectors": lambda codes: codes[..., None],
    "too high": lambda codes: with_code(codes, 5, 2, 2),
    "negative": lambda codes: with_code(codes, 3, 0, -1),
    "uint8": lambda codes: codes.astype(np.uint8),
    "int32": lambda codes: codes.astype(np.int32),
    "lists": lambda codes: codes.tolist(),
    "torch": torch.from_numpy,
}

FAULTS = {
    "floats": r"must return integers of shape \(24, 6\); got float32 of shape \(24, 6\)",
    "booleans": r"must return integers of shape \(24, 6\); got bool of shape",
    "a series less": r"must return integers of shape \(24, 6\); got int64 of shape \(23, 6\)",
    "a token less": r"must return integers of shape \(24, 6\); got int64 of shape \(24, 5\)",
    "a token": r"must return integers of shape \(24, 6\); got int64 of shape \(24,\)",
    "vectors": r"must return integers of shape \(24, 6\); got int64 of shape \(24, 6, 1\)",
    "too high": r"must return codes in \[0, 2\); got 2 at sample 5, token 2",
    "negative": r"must return codes in \[0, 4\); got -1 at sample 3, token 0",
}


@both
@pytest.mark.parametrize("how", FAULTS)
def test_wrong_codes_of_a_tokenizer_are_refused_with_their_place(kind, how):
    generator = make(kind, Faulty(SIZES, how=how), callbacks=[NoTraining()])
    with pytest.raises(ValueError, match=r"tokenizer\.encode " + FAULTS[how]):
        generator.fit(X)
    generator = make(kind, Faulty(SIZES)).fit(X)
    generator.tokenizer_.how = how
    with pytest.raises(ValueError, match=r"tokenizer\.encode " + FAULTS[how]):
        generator.score_samples(X)


@both
@pytest.mark.parametrize("how", ["uint8", "int32", "lists", "torch"])
def test_any_integers_are_codes(kind, how):
    generator = make(kind, Faulty(SIZES, how=how)).fit(X, Y)
    expected = make(kind).fit(X, Y)
    assert_array_equal(generator.score_samples(X, Y), expected.score_samples(X, Y))


@both
def test_samples_are_float32_whatever_the_tokenizer_decodes(kind):
    generator = make(kind, Faulty(SIZES)).fit(X)
    series = generator.sample(3, random_state=0)
    assert series.dtype == np.float32
    assert_array_equal(series, generator.sample_codes(3, random_state=0) + 0.5)


class Other(SymbolTokenizer):
    """A tokenizer with attributes and a `decode` of its own."""

    def __init__(self, K=4, groups=None, attributes=None, decoded=None):
        super().__init__(K, groups)
        self.attributes = attributes
        self.decoded = decoded

    def fit(self, X, y=None):
        super().fit(X)
        for name, value in (self.attributes or {}).items():
            delattr(self, name)
            if value is not None:
                setattr(self, name, value)
        # Nothing is returned, which is no reason to fail.

    def decode(self, codes):
        return super().decode(codes) if self.decoded is None else np.zeros(self.decoded)


@both
def test_a_tokenizer_that_names_no_groups_has_one(kind):
    generator = make(kind, Other(SIZES, attributes={"token_groups_": None})).fit(X)
    assert generator.token_groups_ == [slice(0, 6)]
    assert same_weights(generator, make(kind).fit(X))


@both
@pytest.mark.parametrize(
    "sizes", [None, 4, [4.0] * 6, [[4] * 6], [4, 3, 0, 4, 4, 3], ["4"] * 6], ids=str
)
def test_wrong_code_sizes_are_refused(kind, sizes):
    tokenizer = Other(SIZES, attributes={"code_sizes_": sizes})
    with pytest.raises(ValueError, match="tokenizer must have code_sizes_ once fitted, a count of"):
        make(kind, tokenizer, callbacks=[NoTraining()]).fit(X)


@both
def test_series_of_another_size_are_refused_before_training(kind):
    tokenizer = Other(SIZES, decoded=(1, 7))
    message = (
        r"tokenizer\.decode must return series of shape \(6,\); got an array of shape \(1, 7\)"
    )
    with pytest.raises(ValueError, match=message):
        make(kind, tokenizer, callbacks=[NoTraining()]).fit(X)


@both
def test_groups_that_miss_a_token_are_refused(kind):
    tokenizer = SymbolTokenizer(SIZES, groups=[slice(0, 2), slice(3, 6)])
    with pytest.raises(ValueError, match="token_groups_ must hold each of the 6 tokens once"):
        make(kind, tokenizer, callbacks=[NoTraining()]).fit(X)


# ----------------------------------------------------------------------------------- labels

NUMBERS = np.array([1, 2, 0, 1] * 6)
TEXT = np.array(["b", "c", "a", "b"] * 6)
DATES = np.datetime64("2020-01-01") + NUMBERS.astype("m8[D]")

LABELS = {
    "text": (TEXT, ["a", "b", "c"]),
    "objects": (TEXT.astype(object), ["a", "b", "c"]),
    "list of text": (TEXT.tolist(), ["a", "b", "c"]),
    "tuple": (tuple(TEXT.tolist()), ["a", "b", "c"]),
    "integers": (NUMBERS, [0, 1, 2]),
    "negative integers": (NUMBERS - 5, [-5, -4, -3]),
    "small integers": (NUMBERS.astype(np.uint8), [0, 1, 2]),
    "list of integers": (NUMBERS.tolist(), [0, 1, 2]),
    "huge integers": (NUMBERS + 2**53, [2**53, 2**53 + 1, 2**53 + 2]),
    "whole floats": (NUMBERS.astype(float), [0.0, 1.0, 2.0]),
    "booleans": (NUMBERS > 0, [False, True]),
    "pandas text": (pd.Series(TEXT, index=range(100, 124)), ["a", "b", "c"]),
    "pandas integers": (pd.Series(NUMBERS, index=range(100, 124)), [0, 1, 2]),
    "pandas categories": (pd.Series(TEXT, dtype="category"), ["a", "b", "c"]),
    "torch": (torch.from_numpy(NUMBERS), [0, 1, 2]),
    "dates": (DATES, [dt.date(2020, 1, day) for day in (1, 2, 3)]),
}


@both
@pytest.mark.parametrize("name", LABELS)
def test_labels_of_any_kind_are_classes(kind, name):
    y, classes = LABELS[name]
    generator = make(kind).fit(X, y)
    assert generator.classes_.tolist() == classes
    counts = [sum(label == c for label in np.asarray(y).tolist()) for c in classes]
    assert_allclose(generator.class_prior_, np.array(counts) / 24)
    assert generator.model_.no_class == len(classes)
    # The label itself, a list of it, and what scikit-learn users have at hand.
    one = generator.sample_codes(24, classes[1], random_state=0)
    assert_array_equal(generator.sample_codes(24, [classes[1]] * 24, random_state=0), one)
    assert_array_equal(generator.sample_codes(24, generator.classes_[1], random_state=0), one)
    each = generator.sample_codes(24, y, random_state=0)
    rows = [label == classes[1] for label in np.asarray(y).tolist()]
    assert_array_equal(each[rows], one[rows])
    assert np.isfinite(generator.score_samples(X, y)).all()


@both
def test_equal_labels_of_another_kind_are_the_same_class(kind):
    whole = make(kind).fit(X, NUMBERS.astype(float))
    flags = make(kind).fit(X, NUMBERS > 0)
    assert_array_equal(
        whole.sample_codes(5, 1, random_state=0), whole.sample_codes(5, 1.0, random_state=0)
    )
    assert_array_equal(
        flags.sample_codes(5, 1, random_state=0), flags.sample_codes(5, True, random_state=0)
    )


@both
def test_the_way_labels_are_given_does_not_change_the_fit(kind):
    expected = make(kind).fit(X, TEXT)
    for y in (TEXT.astype(object), TEXT.tolist(), pd.Series(TEXT), NUMBERS):
        assert same_weights(make(kind).fit(X, y), expected)


@both
def test_a_fit_without_classes_has_none(kind):
    generator = make(kind).fit(X, Y).fit(X)
    assert generator.classes_ is None
    assert generator.class_prior_ is None
    for method in (generator.score_samples, generator.score):
        with pytest.raises(ValueError, match=f"y must be None: {kind.__name__} was fitted without"):
            method(X, Y)
    for method in (generator.sample, generator.sample_codes):
        with pytest.raises(ValueError, match=f"y must be None: {kind.__name__} was fitted without"):
            method(2, "a")


@both
def test_a_single_class_works(kind):
    generator = make(kind).fit(X, ["only"] * 24)
    assert generator.classes_.tolist() == ["only"]
    assert generator.class_prior_.tolist() == [1.0]
    assert generator.sample(3, "only").shape == (3, 6)


@both
@pytest.mark.parametrize(
    ("y", "got"),
    [("d", "'d'"), (["a", "z", "a"], "'z'"), (1, "1"), (["x", "a", "d"], "'d', 'x'")],
    ids=str,
)
def test_unknown_classes_are_named(fits, kind, y, got):
    message = rf"^y must hold classes of the fit, 'a', 'b', 'c'; got {got}\."
    generator = fits(kind)
    with pytest.raises(ValueError, match=message):
        generator.sample(3, y)
    with pytest.raises(ValueError, match=message):
        generator.score_samples(X[:3], [y] * 3 if np.ndim(y) == 0 else y)


@both
def test_wrong_numbers_of_labels_are_refused(fits, kind):
    with pytest.raises(ValueError, match="y must have 24 labels, one per series; got 23"):
        make(kind, NeverFitted()).fit(X, Y[:-1])
    generator = fits(kind)
    with pytest.raises(ValueError, match="y must have 5 labels, one per series; got 4"):
        generator.sample(5, ["a"] * 4)
    with pytest.raises(ValueError, match="y must have 24 labels, one per series; got 1"):
        generator.score_samples(X, ["a"])
    with pytest.raises(
        ValueError, match=r"y must be one label or 3 of them; got an array of shape"
    ):
        generator.sample(3, [["a"], ["b"], ["a"]])


@both
def test_missing_labels_are_refused(kind):
    generator = make(kind, NeverFitted())
    with pytest.raises(ValueError, match="Input y contains NaN"):
        generator.fit(X, [0.0, 1.0, math.nan] * 8)
    fitted = make(kind).fit(X, NUMBERS)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        fitted.sample(2, math.nan)


@both
@pytest.mark.parametrize("missing", [math.nan, None])
def test_missing_labels_among_text_are_refused(kind, missing):
    for y in (pd.Series(["a", "b", missing] * 8), np.array(["a", "b", missing] * 8, dtype=object)):
        with pytest.raises((TypeError, ValueError), match=r"NaN|^y must hold labels of one kind"):
            make(kind, NeverFitted()).fit(X, y)


@both
def test_labels_that_cannot_be_compared_are_refused(kind):
    y = np.array([1, "a", 2.0] * 8, dtype=object)
    with pytest.raises(TypeError, match="y must hold labels of one kind, all text or all numbers"):
        make(kind, NeverFitted()).fit(X, y)


@both
def test_continuous_labels_draw_a_warning_and_are_classes(kind):
    with pytest.warns(UserWarning, match="y holds continuous values; every one that occurs is ta"):
        generator = make(kind).fit(X, NUMBERS + 0.5)
    assert generator.classes_.tolist() == [0.5, 1.5, 2.5]
    assert generator.sample(2, 1.5).shape == (2, 6)


@both
def test_a_column_of_labels_draws_the_warning_of_scikit_learn(kind):
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        generator = make(kind).fit(X, Y[:, None])
    assert generator.classes_.tolist() == ["a", "b", "c"]


# ---------------------------------------------------------------------- without a class


@both
def test_guidance_is_refused_where_the_prior_does_not_learn_to_go_without_a_class(kind):
    generator = make(kind, NeverFitted(), class_dropout=0.0)
    message = "guidance_scale must be 0 where class_dropout is 0"
    with pytest.raises(ValueError, match=message):
        generator.fit(X, Y)
    generator.set_params(tokenizer=SymbolTokenizer(SIZES), guidance_scale=0.0).fit(X, Y)
    assert generator.sample(2, "a").shape == (2, 6)


@both
def test_guidance_is_refused_by_sample_where_the_prior_did_not_learn_it(kind):
    generator = make(kind, class_dropout=0.0, guidance_scale=0.0).fit(X, Y)
    generator.set_params(guidance_scale=1.0)
    with pytest.raises(ValueError, match="guidance_scale must be 0"):
        generator.sample(2, "a")


@both
def test_a_prior_that_did_not_learn_to_go_without_a_class_needs_one(kind):
    generator = make(kind, class_dropout=0.0, guidance_scale=0.0).fit(X, Y)
    assert np.isfinite(generator.score_samples(X, Y)).all()
    for method in (generator.sample, generator.sample_codes):
        with pytest.raises(ValueError, match="y must be given: with class_dropout=0 the prior has"):
            method(2)
    for method in (generator.score, generator.score_samples):
        with pytest.raises(ValueError, match="y must be given: with class_dropout=0 the prior has"):
            method(X)
    with pytest.raises(ValueError, match="transform must work without classes: with class_dropout"):
        generator.transform(X)


@both
def test_a_prior_without_classes_needs_no_class_dropout(kind):
    generator = make(kind, class_dropout=0.0).fit(X)
    assert generator.sample(2).shape == (2, 6)
    assert generator.transform(X).shape == (24, 16)
    assert same_weights(generator, make(kind).fit(X))


# ---------------------------------------------------------------------------------- samples


@both
@pytest.mark.parametrize("shape", [(6,), (1, 6), (2, 3), (3, 2)])
def test_samples_have_the_shape_and_the_codes_of_the_training_series(kind, shape):
    generator = make(kind).fit(X.reshape(24, *shape), Y)
    for y in (None, "a", ["a", "b", "c", "a", "a"]):
        series = generator.sample(5, y, random_state=0)
        codes = generator.sample_codes(5, y, random_state=0)
        assert series.shape == (5, *shape)
        assert series.dtype == np.float32
        assert codes.shape == (5, 6)
        assert codes.dtype == np.int64
        assert codes.min() >= 0
        assert (codes < generator.code_sizes_).all()
        assert_array_equal(series.reshape(5, 6), codes)


@both
@small
@pytest.mark.parametrize("channels", [None, 2])
def test_samples_are_decoded_codes(kind, channels):
    walks = WALKS if channels is None else np.stack([WALKS, -WALKS], 1)
    generator = make(kind, VQTokenizer(**SMALL_TOKENIZER)).fit(walks)
    series = generator.sample(7, random_state=3)
    codes = generator.sample_codes(7, random_state=3)
    assert_array_equal(series, generator.tokenizer_.decode(codes))
    assert series.shape == (7, *walks.shape[1:])


@both
def test_one_series_is_drawn_by_default(fits, kind):
    assert fits(kind).sample().shape == (1, 6)
    assert fits(kind).sample_codes().shape == (1, 6)


@both
@pytest.mark.parametrize("y", [None, "b"])
def test_sample_i_does_not_depend_on_how_many_are_drawn(fits, kind, y):
    generator = fits(kind)
    many = generator.sample_codes(300, y, random_state=0)
    for n in (1, 2, 17, 255, 256, 257):
        assert_array_equal(generator.sample_codes(n, y, random_state=0), many[:n])
    # Nor on the classes of the others.
    mixed = generator.sample_codes(300, np.where(np.arange(300) % 2, "a", "b"), random_state=0)
    if y is not None:
        assert_array_equal(mixed[::2], many[::2])
        assert (mixed[1::2] != many[1::2]).any()


@both
@pytest.mark.parametrize("limit", [1, 30])
@pytest.mark.parametrize("y", [None, "b"])
def test_samples_do_not_depend_on_the_size_of_batches(fits, kind, y, limit, monkeypatch):
    generator = fits(kind)
    expected = generator.sample_codes(270, y, random_state=0)
    shown = []
    generator.model_.trunk.register_forward_pre_hook(
        lambda module, inputs: shown.append(len(inputs[0]))
    )
    monkeypatch.setattr(kind, "_rows_to_draw", lambda self, device: limit)
    assert_array_equal(generator.sample_codes(270, y, random_state=0), expected)
    assert max(shown) <= 2 * limit  # with guidance each sample counts twice


@both
def test_samples_of_a_seed_differ_from_each_other_and_from_other_seeds(fits, kind):
    generator = fits(kind)
    codes = generator.sample_codes(300, random_state=0)
    assert len(np.unique(codes, axis=0)) > 100
    # Numbers are drawn for blocks of 256 samples, of which no two may be alike.
    assert (codes[0] != codes[256]).any()
    assert (codes[:44] != codes[256:]).mean() > 0.3
    assert (generator.sample_codes(300, random_state=1) != codes).mean() > 0.3


@both
def test_random_states_of_sample_are_those_of_scikit_learn(fits, kind):
    generator = fits(kind)
    expected = generator.sample_codes(50, random_state=0)
    assert_array_equal(generator.sample_codes(50, random_state=0), expected)
    state = np.random.RandomState(0)
    assert_array_equal(generator.sample_codes(50, random_state=state), expected)
    assert (generator.sample_codes(50, random_state=state) != expected).any()
    assert (generator.sample_codes(50) != generator.sample_codes(50)).any()


@both
@pytest.mark.parametrize("temperature", [1e-30, 1e-40])
def test_the_lowest_temperatures_take_the_likeliest_codes(fits, kind, temperature):
    generator = fits(kind)
    cold = generator.set_params(temperature=1e-6).sample_codes(20, "a", random_state=0)
    coldest = generator.set_params(temperature=temperature).sample_codes(20, "a", random_state=0)
    assert_array_equal(coldest, cold)
    assert (cold > 0).any()


@both
def test_sampling_in_bfloat16_draws_nearly_the_same(fits, kind):
    generator = fits(kind)
    full = generator.sample_codes(300, "a", random_state=0)
    rough = generator.set_params(precision="bfloat16").sample_codes(300, "a", random_state=0)
    assert 0.9 < (rough == full).mean() < 1
    assert_array_equal(rough, generator.sample_codes(300, "a", random_state=0))


@both
def test_sampling_changes_nothing(fits, kind):
    generator = fits(kind)
    before = copy.deepcopy(vars(generator))
    generator.sample(5, "a", random_state=0)
    generator.score_samples(X, Y)
    after = vars(generator)
    assert set(after) == set(before)
    assert same_weights(generator, fits(kind))
    assert repr(after["history_"]) == repr(before["history_"])


@both
@pytest.mark.parametrize(
    ("n", "error"), [(0, ValueError), (-3, ValueError), (2.0, TypeError), (True, TypeError)]
)
def test_wrong_numbers_of_samples_are_refused(fits, kind, n, error):
    for method in (fits(kind).sample, fits(kind).sample_codes):
        with pytest.raises(error, match=f"n_samples must be an integer of at least 1; got {n}"):
            method(n)


@both
def test_an_unfitted_generator_says_so(kind):
    generator = make(kind)
    for method in (generator.sample, generator.sample_codes):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            method(2)
    for method in (generator.score, generator.score_samples, generator.transform):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            method(X)


# ------------------------------------------------------------------------- scores, features


@pytest.mark.parametrize(
    ("kind", "sizes", "groups"),
    [
        (MaskGITGenerator, [5] * 6, None),
        (MaskGITGenerator, [3, 3, 4, 4, 4, 4], [slice(2, 6), slice(0, 2)]),
        (AutoregressiveGenerator, [4, 3, 2, 4, 4, 3], None),
        (AutoregressiveGenerator, [4, 3, 2, 4, 4, 3], [slice(2, 6), slice(0, 2)]),
    ],
)
@pytest.mark.parametrize("y", [None, Y], ids=["no class", "class"])
def test_a_prior_that_knows_nothing_takes_all_codes_for_equally_likely(kind, sizes, groups, y):
    series = draw_symbols(24, sizes)
    generator = make(kind, SymbolTokenizer(sizes, groups)).fit(series, y)
    with torch.no_grad():
        for head in generator.model_.space.heads:
            head.weight.zero_()
            head.bias.zero_()
    scores = generator.score_samples(series, y)
    assert_allclose(scores, np.full(24, -np.log(sizes).sum()), rtol=1e-6)
    by_group = [-np.log(sizes[group]).sum() for group in groups or [slice(None)]]
    assert_allclose(generator.score_groups(series, y), np.tile(by_group, (24, 1)), rtol=1e-6)
    codes = generator.sample_codes(3000, random_state=0)
    for token, size in enumerate(sizes):
        shares = np.bincount(codes[:, token], minlength=size) / 3000
        assert_allclose(shares, np.full(size, 1 / size), atol=0.05)


@both
def test_scores_of_groups_add_up_to_the_score(kind):
    groups = [slice(2, 6), slice(0, 2)]
    generator = make(kind, SymbolTokenizer([3, 3, 4, 4, 4, 4], groups))
    series = draw_symbols(24, [3, 3, 4, 4, 4, 4])
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        generator.score_groups(series)
    by_group = generator.fit(series, Y).score_groups(series, Y)
    assert by_group.dtype == np.float32
    assert by_group.shape == (24, 2)
    assert_allclose(by_group.sum(1), generator.score_samples(series, Y), rtol=1e-5)
    assert np.ptp(by_group, 0).min() > 0.01  # they do depend on the codes
    # The coarser group, the first of them, does not see the finer one.
    other = series.copy()
    other[:, :2] = (other[:, :2] + 1) % 3
    after = generator.score_groups(other, Y)
    assert_allclose(after[:, 0], by_group[:, 0], rtol=1e-6)
    assert (after[:, 1] != by_group[:, 1]).all()


@both
def test_score_is_the_mean_of_score_samples(fits, kind):
    generator = fits(kind)
    assert isinstance(generator.score(X, Y), float)
    assert generator.score(X, Y) == pytest.approx(generator.score_samples(X, Y).mean(), rel=1e-6)
    assert generator.score(X) == pytest.approx(generator.score_samples(X).mean(), rel=1e-6)
    assert generator.score(X) != generator.score(X, Y)


@both
def test_features_are_the_mean_and_maximum_over_the_tokens_without_a_class(fits, kind):
    generator = fits(kind)
    model = copy.deepcopy(generator.model_).double()
    h = model.hidden(torch.from_numpy(X).long(), torch.full((24,), 3)).numpy()
    Z = generator.transform(X)
    assert Z.shape == (24, 16)
    assert_allclose(Z, np.concatenate([h.mean(1), h.max(1)], 1), rtol=1e-5, atol=1e-6)
    assert len(generator.get_feature_names_out()) == 16


# ---------------------------------------------------------------------------- more training


@both
@small
def test_partial_fit_leaves_the_tokenizer_alone(kind):
    generator = make(kind, VQTokenizer(**SMALL_TOKENIZER)).partial_fit(WALKS)
    tokenizer = generator.tokenizer_
    before, prior = copy.deepcopy(tokenizer), weights(generator)
    generator.partial_fit(WALKS[::-1])
    assert generator.tokenizer_ is tokenizer
    assert same_weights(tokenizer, before)
    assert any((weights(generator)[name] != prior[name]).any() for name in prior)
    assert generator.n_iter_ == 2


@both
def test_partial_fit_keeps_the_classes(kind):
    generator = make(kind).partial_fit(X, Y)
    prior = generator.class_prior_
    generator.partial_fit(X[:5], ["c"] * 5)
    assert generator.classes_.tolist() == ["a", "b", "c"]
    assert_array_equal(generator.class_prior_, prior)
    message = r"y must hold classes of the fit, 'a', 'b', 'c'; got 'd'"
    with pytest.raises(ValueError, match=message):
        generator.partial_fit(X[:2], ["a", "d"])
    with pytest.raises(
        ValueError, match="y must be given in all calls of partial_fit or in none; i"
    ):
        generator.partial_fit(X)
    assert generator.n_iter_ == 3
    assert generator.sample(2, "c").shape == (2, 6)


@both
def test_partial_fit_without_classes_refuses_them_later(kind):
    generator = make(kind).partial_fit(X)
    with pytest.raises(ValueError, match="or in none; it was not given in the first"):
        generator.partial_fit(X, Y)


@both
def test_a_failed_fit_leaves_classes_and_tokenizer_of_the_earlier_one(fits, kind):
    generator = fits(kind)
    tokenizer, codes = generator.tokenizer_, generator.sample_codes(9, "a", random_state=0)
    generator.set_params(tokenizer=Faulty(SIZES, how="too high"))
    with pytest.raises(ValueError, match=r"tokenizer\.encode must return codes in"):
        generator.fit(X, np.where(Y == "a", "x", "y"))
    assert generator.tokenizer_ is tokenizer
    assert generator.classes_.tolist() == ["a", "b", "c"]
    assert_array_equal(generator.sample_codes(9, "a", random_state=0), codes)


# ---------------------------------------------------------------------- held-out series


@given(labels=st.lists(st.integers(0, 5), min_size=1, max_size=60))
@example(labels=[0] * 50 + [1] * 2)
@example(labels=[5, 4, 3, 2, 1, 0])
def test_every_beginning_holds_the_classes_in_about_their_shares(labels):
    labels = np.array(labels)
    order = spread_classes(labels)
    assert sorted(order.tolist()) == list(range(len(labels)))
    # The first row of every class comes last of all.
    _, first_rows, counts = np.unique(labels, return_index=True, return_counts=True)
    n_classes, n = len(counts), len(labels) - len(counts)
    assert sorted(order[n:]) == sorted(first_rows)
    for label, count in zip(np.unique(labels), counts, strict=True):
        rows = order[:n][labels[order[:n]] == label]
        assert (np.diff(rows) > 0).all()  # rows of one class keep their order
        for k in range(1, n + 1):
            # Shares of all classes are rounded to whole rows.
            expected = k * (count - 1) / n
            slack = 1 + count / len(labels) * n_classes + n_classes / 2 * expected / k
            assert abs((labels[order[:k]] == label).sum() - expected) <= slack


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    n_held_out=st.integers(1, 60),
    seed=st.integers(0, 100),
)
def test_every_class_is_trained_on_wherever_it_can_be(counts, n_held_out, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    trained_on = labels[spread_classes(labels)[n_held_out:]]
    assert len(set(trained_on.tolist())) == min(len(counts), len(trained_on))


@given(n=st.integers(1, 60), n_rare=st.integers(2, 5))
def test_rows_of_a_rare_class_lie_evenly_among_the_others(n, n_rare):
    labels = np.repeat([0, 1], [n * n_rare, n_rare])
    places = np.flatnonzero(labels[spread_classes(labels)[:-2]] == 1)
    # In the middle of each part of the order, not at its beginning.
    length = len(labels) / n_rare
    assert_allclose(places, (np.arange(1, n_rare) - 0.5) * length, atol=1.5)


@both
def test_held_out_series_have_all_classes_in_their_shares(kind):
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(["often", "rare", "seldom"], [28, 4, 8]))
    series = draw_symbols(40, SIZES)
    make(kind, validation_fraction=0.25, callbacks=[Split()]).fit(series, y)
    trained_on, held_out = Split.labels
    assert np.bincount(held_out).tolist() == [7, 1, 2]
    assert np.bincount(trained_on).tolist() == [21, 3, 6]


@both
def test_training_stops_early_on_codes_that_cannot_be_learned(kind):
    # A period is one step here; after ten without a gain it is over.
    params = {"validation_fraction": 0.5, "max_iter": 30, "lr": 0.05}
    generator = make(kind, **params).fit(draw_symbols(40, SIZES))
    assert generator.n_iter_ < 30
    losses = generator.history_["valid_loss"]
    assert len(losses) == generator.n_iter_
    assert np.argmin(losses) < len(losses) - 9


# ---------------------------------------------------------------------------- scikit-learn


@both
def test_a_grid_search_chooses_by_the_likelihood(kind):
    name = "n_steps" if kind is MaskGITGenerator else "top_p"
    grid = {"backbone__dropout": [0.0, 0.9], name: [1, 2] if name == "n_steps" else [0.5, 1.0]}
    search = GridSearchCV(
        make(kind, lr=0.02, max_iter=15), grid, cv=StratifiedKFold(2), error_score="raise"
    )
    X = np.tile(draw_symbols(4, SIZES), (6, 1))
    y = np.tile(["a", "b"], 12)
    search.fit(X, y)
    scores = search.cv_results_["mean_test_score"].reshape(2, 2)
    assert np.isfinite(scores).all()
    assert_array_equal(scores[:, 0], scores[:, 1])  # sampling has no part in the likelihood
    assert scores[0, 0] > scores[1, 0]
    assert search.best_params_["backbone__dropout"] == 0.0
    assert search.best_estimator_.sample(2, "b").shape == (2, 6)


@both
def test_a_frozen_generator_is_a_transformer_of_a_pipeline(fits, kind):
    generator = fits(kind)
    pipeline = make_pipeline(FrozenEstimator(generator), LogisticRegression())
    pipeline.fit(X[::2], Y[::2])
    assert same_weights(generator, fits(kind))
    expected = LogisticRegression().fit(generator.transform(X[::2]), Y[::2])
    assert_array_equal(pipeline.predict(X), expected.predict(generator.transform(X)))


@both
@small
def test_a_saved_generator_with_a_frozen_tokenizer_draws_the_same(kind, tmp_path):
    tokenizer = VQTokenizer(**SMALL_TOKENIZER, random_state=0).fit(WALKS)
    y = np.tile(["a", "b"], 8)
    generator = make(kind, FrozenEstimator(tokenizer)).fit(WALKS, y)
    generator.save(tmp_path / "generator.vqssl")
    again = vqssl.load(tmp_path / "generator.vqssl")
    assert type(again) is kind
    assert type(again.tokenizer_) is FrozenEstimator
    assert same_weights(again.tokenizer_.estimator, tokenizer)
    assert_array_equal(
        again.sample(5, "b", random_state=0), generator.sample(5, "b", random_state=0)
    )
    assert_array_equal(again.sample(5, random_state=0), generator.sample(5, random_state=0))
    assert_array_equal(again.score_samples(WALKS, y), generator.score_samples(WALKS, y))
    assert same_weights(again.fit(WALKS, y), generator)


@both
def test_a_generator_is_a_density_estimator_and_a_transformer(kind):
    assert isinstance(make(kind), BaseEstimator)
    tags = make(kind).__sklearn_tags__()
    assert tags.estimator_type == "density_estimator"
    assert tags.transformer_tags is not None
    assert not tags.target_tags.required
