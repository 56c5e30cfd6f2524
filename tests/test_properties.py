"""Properties of whole estimators, whatever the series, the parameters and the way they are given.

Each function takes 20 examples in the suite and 200 with ``pytest -m nightly`` (see
tests/conftest.py). What holds for one part alone has its properties beside the part.
"""

import copy
import pickle
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

import vqssl
from tests.strategies import (
    AUTOENCODERS,
    ESTIMATORS,
    GENERATORS,
    SEEDS,
    TOKENIZERS,
    estimators,
    series,
    ways_to_give,
    wrong_parameters,
)
from tests.test_common import answers, assert_same, assert_same_fit, weights
from vqssl.backbones import ConvBackbone, TransformerBackbone
from vqssl.tokenizers._base import OUTPUTS

# A few steps on a few series: latents collapse, and that is said.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

every_tokenizer = pytest.mark.parametrize("name", TOKENIZERS)
every_family = pytest.mark.parametrize(
    "names", [TOKENIZERS, AUTOENCODERS, GENERATORS], ids=["tokenizer", "autoencoder", "generator"]
)


# ------------------------------------------------------------------------- codes and features


@every_tokenizer
@given(X=series(), data=st.data())
def test_codes_and_series_have_the_promised_shapes_types_and_ranges(name, X, data):
    tokenizer = data.draw(estimators(name)).fit(X)
    n, n_tokens = len(X), tokenizer.n_tokens_
    codes = tokenizer.encode(X)
    assert codes.dtype == np.int64
    assert codes.shape == (n, n_tokens)
    assert ((codes >= 0) & (codes < tokenizer.code_sizes_)).all()
    vectors = tokenizer.embed(X)
    assert vectors.dtype == np.float32
    assert vectors.shape == (n, n_tokens, tokenizer.code_dim)
    decoded = tokenizer.decode(codes)
    assert decoded.dtype == np.float32
    assert decoded.shape == X.shape
    assert np.isfinite(decoded).all()
    groups = [np.arange(n_tokens)[group] for group in tokenizer.token_groups_]
    assert_array_equal(np.concatenate(groups), np.arange(n_tokens))
    for group, perplexity in zip(groups, tokenizer.perplexity_, strict=True):
        assert 1 <= perplexity <= tokenizer.code_sizes_[group[0]] * (1 + 1e-9)
        spans = tokenizer.token_spans_[group]
        assert_array_equal(spans[1:, 0], spans[:-1, 1])
        assert (spans[0, 0], spans[-1, 1]) == (0, X.shape[-1])
    assert np.isfinite(tokenizer.history_["loss"]).all()
    assert tokenizer.score(X) <= 1


@every_tokenizer
@given(X=series(), data=st.data())
def test_every_readout_is_what_it_is_said_to_be(name, X, data):
    tokenizer = data.draw(estimators(name)).fit(X)
    codes, decoded = tokenizer.encode(X), tokenizer.decode(tokenizer.encode(X))
    _, first, which = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    for output in OUTPUTS:
        Z = tokenizer.set_params(output=output).transform(X)
        assert Z.dtype == np.float32
        assert Z.shape == (len(X), len(tokenizer.get_feature_names_out()))
        assert np.isfinite(Z).all()
        if output != "latent":
            # Equal codes, equal rows; where a row lies in memory decides how it is rounded.
            assert_allclose(Z, Z[first][which], rtol=1e-4, atol=1e-5)
        if output in ("codes", "quantized"):
            assert_array_equal(tokenizer.inverse_transform(Z), decoded)
        else:
            assert not hasattr(tokenizer, "inverse_transform")
    assert_array_equal(tokenizer.set_params(output="codes").transform(X), codes)
    histogram = tokenizer.set_params(output="histogram").transform(X)
    assert_allclose(histogram.sum(1), len(tokenizer.token_groups_), rtol=1e-5)


@every_family
@given(X=series(), data=st.data())
def test_what_a_series_gets_does_not_depend_on_the_others(names, X, data):
    """Bit for bit among as many others; rounding may depend on how many there are."""
    estimator = data.draw(estimators(*names)).fit(X)
    row, seed = data.draw(st.integers(0, len(X) - 1)), data.draw(SEEDS)
    others = np.random.default_rng(seed).normal(scale=50, size=X.shape)
    others[row] = X[row]
    first, second = answers(estimator, X), answers(estimator, others)
    del first["score"], second["score"]
    for answer, value in first.items():
        assert_array_equal(second[answer][row], value[row], err_msg=answer)


@given(X=series(), data=st.data())
def test_latents_are_decoded_to_series_of_the_fitted_shape(X, data):
    autoencoder = data.draw(estimators(*AUTOENCODERS)).fit(X)
    Z = autoencoder.transform(X)
    assert Z.dtype == np.float32
    assert Z.shape == (len(X), autoencoder.latent_dim)
    reconstruction = autoencoder.reconstruct(X)
    assert reconstruction.dtype == np.float32
    assert reconstruction.shape == X.shape
    assert_array_equal(autoencoder.inverse_transform(Z), reconstruction)
    alone = autoencoder.transform(X[:1])
    assert_allclose(alone, Z[:1], rtol=1e-4, atol=1e-5 * np.abs(Z).max())
    assert np.isfinite(answers(autoencoder, X)["score"])


# ---------------------------------------------------------------------------- how X is given


@every_family
@given(X=series(), give=ways_to_give(), data=st.data())
def test_dtype_and_layout_of_the_same_numbers_change_nothing(names, X, give, data):
    estimator = data.draw(estimators(*names))
    given = give(X)
    before = copy.deepcopy(given)
    first, second = clone(estimator).fit(X), estimator.fit(given)
    assert_same(weights(first), weights(second))
    assert_same(answers(first, X), answers(second, given))
    assert_array_equal(np.asarray(given), np.asarray(before))


@given(X=series(), exponent=st.integers(-12, 12), data=st.data())
def test_the_unit_of_the_series_does_not_reach_codes_and_latents(X, exponent, data):
    """With scaling="dataset" a power of two comes out as it went in, bit by bit."""
    estimator = data.draw(estimators(*TOKENIZERS, *AUTOENCODERS, scaling="dataset"))
    unit = 2.0**exponent
    first, second = clone(estimator).fit(X), estimator.fit(unit * X)
    assert first.history_["loss"] == second.history_["loss"]
    assert_array_equal(first.transform(X), second.transform(unit * X))
    back, scaled = (
        e.decode(e.encode(x)) if hasattr(e, "encode") else e.reconstruct(x)
        for e, x in ((first, X), (second, unit * X))
    )
    # A channel without deviation has none to be measured in; which series are held out, and so do
    # not count, is not known here.
    varies = np.ptp(X, axis=(0, -1)) > 0
    if estimator.validation_fraction > 0:
        varies = (np.ptp(X, axis=-1) > 0).all(0)
    assert_array_equal(unit * back[:, varies], scaled[:, varies])


# --------------------------------------------------------------------------- what is kept


def through_file(estimator):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.vqssl"
        estimator.save(path)
        return vqssl.load(path)


@given(estimator=estimators(*ESTIMATORS))
def test_parameters_make_the_round_trip(estimator):
    params = estimator.get_params(deep=False)
    for again in (
        clone(estimator),
        type(estimator)().set_params(**params),
        pickle.loads(pickle.dumps(estimator)),
        through_file(estimator),
    ):
        assert repr(again.get_params()) == repr(estimator.get_params())
    assert type(estimator)(**params).get_params(deep=False) == params


@every_family
@given(X=series(), data=st.data())
def test_file_and_pickle_give_the_same_bits(names, X, data):
    estimator = data.draw(estimators(*names)).fit(X)
    for again in (through_file(estimator), pickle.loads(pickle.dumps(estimator))):
        assert_same_fit(estimator, again, X)
        assert repr(again.get_params()) == repr(estimator.get_params())


# --------------------------------------------------------------------------------- generators


@pytest.mark.parametrize("name", [*GENERATORS, "VAE"])
@given(X=series(), n=st.integers(2, 20), m=st.integers(1, 20), seed=SEEDS, data=st.data())
def test_what_is_drawn_depends_on_the_seed_alone(name, X, n, m, seed, data):
    generator = data.draw(estimators(name)).fit(X)
    drawn = generator.sample(n, random_state=seed)
    assert drawn.dtype == np.float32
    assert drawn.shape == (n, *X.shape[1:])
    assert np.isfinite(drawn).all()
    assert_array_equal(generator.sample(n, random_state=seed), drawn)
    first = min(m, n)
    assert_array_equal(generator.sample(m, random_state=seed)[:first], drawn[:first])


@pytest.mark.parametrize("name", GENERATORS)
@given(X=series(), n_classes=st.integers(1, 3), seed=SEEDS, data=st.data())
def test_priors_draw_codes_that_exist_and_score_them(name, X, n_classes, seed, data):
    y = np.arange(len(X)) % n_classes
    generator = data.draw(estimators(name)).fit(X, y)
    for labels in (None, y):
        codes = generator.sample_codes(len(X), labels, random_state=seed)
        assert codes.dtype == np.int64
        assert ((codes >= 0) & (codes < generator.code_sizes_)).all()
        assert_array_equal(
            generator.sample(len(X), labels, random_state=seed),
            generator.tokenizer_.decode(codes),
        )
        scores, groups = generator.score_samples(X, labels), generator.score_groups(X, labels)
        assert scores.dtype == np.float32
        assert (scores <= 0).all()
        assert_allclose(groups.sum(1), scores, rtol=1e-5, atol=1e-5)


@given(X=series(), dtype=st.sampled_from(["float16", "float32", "float64"]), data=st.data())
def test_filling_gaps_leaves_what_is_observed_as_it_is(X, dtype, data):
    scaling = data.draw(st.sampled_from(["dataset", None]))
    generator = data.draw(estimators("MaskGITGenerator", scaling=scaling)).fit(X)
    share, seed = data.draw(st.floats(0, 1)), data.draw(st.integers(0, 100))
    missing = np.random.default_rng(seed).random(X.shape) < share
    given = np.where(missing, np.nan, X).astype(dtype)
    filled = generator.impute(given, n_draws=2, random_state=seed)
    assert filled.dtype == given.dtype
    assert filled.shape == (2, *X.shape)
    assert np.isfinite(filled).all()
    for draw in filled:
        assert_array_equal(draw[~missing], given[~missing])
    horizon = data.draw(st.integers(1, X.shape[-1]))
    observed = X[..., : X.shape[-1] - horizon]
    whole = generator.complete(X, horizon, random_state=seed)
    assert whole.shape == X.shape
    assert np.isfinite(whole).all()
    assert_array_equal(whole[..., : observed.shape[-1]], observed)


# ----------------------------------------------------------------------------- what is refused

SERIES = np.random.default_rng(0).integers(-9, 10, (6, 2, 20)).cumsum(-1).astype(np.float64)


@lru_cache
def fitted(name):
    shared = {"max_iter": 1, "device": "cpu", "random_state": 0}
    small = {"backbone": ConvBackbone(4, n_blocks=1, n_decoder_blocks=1), **shared}
    if name in GENERATORS:
        tokenizer, trunk = vqssl.VQTokenizer(4, code_dim=2, **small), TransformerBackbone(8, 1, 2)
        return getattr(vqssl, name)(tokenizer, backbone=trunk, **shared).fit(SERIES)
    return getattr(vqssl, name)(4, **small).fit(SERIES)


@every_family
@given(data=st.data())
def test_a_wrong_parameter_is_refused_by_name_and_loses_nothing(names, data):
    name = data.draw(st.sampled_from(names))
    estimator = copy.deepcopy(fitted(name))
    before, params = answers(estimator, SERIES), estimator.get_params(deep=False)
    wrong, at_fault = data.draw(wrong_parameters(name))
    estimator.set_params(**wrong)
    with pytest.raises((ValueError, TypeError), match=rf"\b{at_fault}\b"):
        estimator.fit(SERIES + 1)
    assert_same(before, answers(estimator.set_params(**params), SERIES))
