"""impute and complete: what is observed stays, what is not comes from the prior."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests.generators.stubs import SymbolTokenizer, draw_chain, exact_logits, make_chain
from vqssl import AutoregressiveGenerator, MaskGITGenerator, SSLVQTokenizer, VQTokenizer
from vqssl.backbones import ConvBackbone, TransformerBackbone
from vqssl.backbones._transformer import pick
from vqssl.generators._gaps import cells, interpolate, mostly_missing

SHARED = {"max_iter": 6, "batch_size": 8, "device": "cpu"}
TOKENIZER = VQTokenizer(
    8, code_dim=4, backbone=ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1), **SHARED
)
PRIOR = {
    "backbone": TransformerBackbone(width=8, n_blocks=1, n_heads=2),
    "random_state": 0,
    **SHARED,
}


def make_series(n=10, length=21, channels=None, dtype=np.float64):
    shape = (n, length) if channels is None else (n, channels, length)
    return np.random.default_rng(0).normal(size=shape).cumsum(-1).astype(dtype)


def fitted(X, y=None, **options):
    return MaskGITGenerator(TOKENIZER, **{**PRIOR, **options}).fit(X, y)


def with_gaps(X, share=0.3, seed=1):
    """A copy in which a share of the numbers is missing, in places a whole series."""
    gaps = np.random.default_rng(seed).random(X.shape) < share
    gaps[0], gaps[1] = False, True
    return np.where(gaps, np.nan, X), gaps


masks = st.integers(1, 12).flatmap(
    lambda length: st.lists(st.booleans(), min_size=length, max_size=length)
)


# ---------------------------------------------------------------------------------- gaps


@given(mask=masks, seed=st.integers(0, 99))
def test_gaps_are_filled_linearly(mask, seed):
    gaps = np.array(mask)
    values = np.random.default_rng(seed).normal(size=len(gaps))
    time = np.arange(len(gaps))
    expected = np.zeros(len(gaps))
    if not gaps.all():
        expected = np.interp(time, time[~gaps], values[~gaps])
    series = np.where(gaps, np.nan, values)[None, None]
    filled = interpolate(series)
    assert_allclose(filled[0, 0], expected, rtol=1e-12, atol=1e-12)
    assert_array_equal(filled[0, 0][~gaps], values[~gaps])


@given(mask=masks, n_tokens=st.integers(1, 12))
def test_a_token_is_unknown_where_most_of_its_points_are_missing_in_a_channel(mask, n_tokens):
    gaps = np.array(mask)
    missing = np.stack([gaps, np.roll(gaps, 3)])
    spans = cells([range(n_tokens)], len(gaps))
    expected = [bool((missing[:, a:b].mean(1) > 0.5).any()) for a, b in spans]
    assert mostly_missing(missing[None], spans)[0].tolist() == expected


@given(length=st.integers(1, 30), n_tokens=st.integers(1, 30))
def test_cells_of_a_group_cover_the_series(length, n_tokens):
    spans = cells([range(n_tokens), range(n_tokens, n_tokens + 2)], length)
    for of_group in (spans[:n_tokens], spans[n_tokens:]):
        covered = set().union(*(range(start, stop) for start, stop in of_group))
        assert covered == set(range(length))
        assert (of_group[:, 0] < of_group[:, 1]).all()


# ------------------------------------------------------------------------------ contract


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_observed_points_stay_bit_by_bit(channels, dtype):
    X = make_series(channels=channels, dtype=dtype)
    given_series, gaps = with_gaps(X)
    before = given_series.copy()
    filled = fitted(X).impute(given_series, random_state=0)
    assert filled.dtype == dtype
    assert filled.shape == X.shape
    assert np.isfinite(filled).all()
    assert_array_equal(filled[~gaps], X[~gaps])
    assert_array_equal(given_series, before)


def test_series_without_gaps_come_back_as_they_are():
    X = make_series()
    filled = fitted(X).impute(X, n_draws=2, random_state=0)
    assert_array_equal(filled, np.stack([X, X]))


def test_a_draw_depends_neither_on_other_series_nor_on_other_draws():
    X = make_series()
    generator = fitted(X)
    given_series, _ = with_gaps(X)
    many = generator.impute(given_series, n_draws=3, random_state=5)
    assert many.shape == (3, *X.shape)
    assert_array_equal(generator.impute(given_series, random_state=5), many[0])
    others_whole = np.where(np.arange(len(X))[:, None] == 4, given_series, X)
    # Batches of another size round differently.
    alone = generator.impute(others_whole, random_state=5)[4]
    assert_allclose(alone, many[0, 4], rtol=1e-5, atol=1e-5)
    assert not np.array_equal(many[0], many[1])


def test_completing_is_imputing_the_end():
    X = make_series()
    generator = fitted(X)
    given_series = X.copy()
    given_series[:, 14:] = np.nan
    expected = generator.impute(given_series, n_draws=2, random_state=3)
    for beginnings in (X[:, :14], X, torch.from_numpy(X), X[:, :14].tolist()):
        completed = generator.complete(beginnings, 7, n_draws=2, random_state=3)
        assert_array_equal(completed, expected)


def test_a_horizon_of_the_whole_length_draws_whole_series():
    X = make_series(4)
    completed = fitted(X).complete(X, 21, random_state=0)
    assert completed.shape == X.shape
    assert np.isfinite(completed).all()


@pytest.mark.parametrize("order", ["halton", "confidence", "random"])
def test_classes_and_every_order_work(order):
    X = make_series()
    y = np.arange(len(X)) % 2
    generator = fitted(X, y, order=order)
    given_series, _ = with_gaps(X)
    assert np.isfinite(generator.impute(given_series, y=y, random_state=0)).all()
    assert np.isfinite(generator.impute(given_series, random_state=0)).all()


@pytest.mark.filterwarnings("error")
def test_columns_with_names_are_no_reason_to_warn():
    frame = pd.DataFrame(make_series(), columns=[f"t{i}" for i in range(21)])
    generator = fitted(frame)
    gaps = frame.mask(frame > 1)
    filled = generator.impute(gaps, random_state=0)
    assert_array_equal(filled[frame <= 1], frame.to_numpy()[frame <= 1])
    completed = generator.complete(frame.iloc[:, :14], 7, random_state=0)
    assert_array_equal(completed[:, :14], frame.iloc[:, :14])


def test_what_is_masked_is_a_gap():
    X, gaps = with_gaps(make_series())
    generator = fitted(make_series())
    masked = np.ma.array(make_series(), mask=gaps)
    assert_array_equal(
        generator.impute(masked, random_state=0), generator.impute(X, random_state=0)
    )
    assert_array_equal(
        generator.complete(masked, 7, random_state=0), generator.complete(X, 7, random_state=0)
    )


def test_integers_give_float32():
    X = make_series().round().astype(np.int64)
    generator = fitted(X)
    completed = generator.complete(X[:, :14], 7, random_state=0)
    assert completed.dtype == np.float32
    assert_array_equal(completed[:, :14], X[:, :14])


# ------------------------------------------------------------------------------- meaning


def test_gaps_are_drawn_from_what_a_perfect_prior_knows_of_them():
    # Two neighbouring unknown tokens between known ones of a known chain.
    chain = make_chain(K=3, seed=1)
    codes = draw_chain(chain, 50, 6, seed=0).astype(float)
    generator = MaskGITGenerator(SymbolTokenizer(K=3), n_steps=2, **PRIOR).fit(codes)
    exact = exact_logits(chain)
    generator.model_.predict = lambda codes, labels, at: pick(exact(codes), at)
    n = 20_000
    series = np.tile([0.0, 2.0, np.nan, np.nan, 1.0, 0.0], (n, 1))
    drawn = generator.impute(series, random_state=0)[:, 2:4].astype(int)
    joint = chain.step[2][:, None] * chain.step * chain.step[:, 1]  # p(2 -> i -> j -> 1)
    joint /= joint.sum()
    counts = np.zeros((3, 3))
    np.add.at(counts, (drawn[:, 0], drawn[:, 1]), 1)
    # Four standard errors of a share.
    assert_allclose(counts / n, joint, atol=4 * np.sqrt(0.25 / n))


def test_a_periodic_series_goes_on_through_the_gap():
    X = ((np.arange(24) + np.arange(6)[:, None]) % 6).astype(float)  # six phases
    backbone = TransformerBackbone(width=32, n_blocks=1, n_heads=2, dropout=0.0)
    options = {**PRIOR, "backbone": backbone, "lr": 0.01, "max_iter": 200}
    generator = MaskGITGenerator(SymbolTokenizer(K=6), **options).fit(X)
    given_series = X.copy()
    given_series[:, 8:16] = np.nan  # more than a period
    filled = generator.impute(given_series, random_state=0)
    assert np.mean(filled == X) > 0.99


def test_channels_that_are_observed_tell_of_those_that_are_not():
    time = np.linspace(0, 6, 32)
    noise = np.random.default_rng(0).normal(size=(160, 32))
    sign = np.random.default_rng(1).choice([-1, 1], (160, 1))
    wave = sign * np.sin(time) + 0.05 * noise
    X = np.stack([wave, wave], axis=1)
    generator = MaskGITGenerator(
        VQTokenizer(16, code_dim=8, max_iter=150, device="cpu"), **{**PRIOR, "max_iter": 50}
    ).fit(X[:120])
    hidden = X[120:].copy()
    hidden[:, 0] = np.nan
    filled = generator.impute(hidden, random_state=0)[:, 0]
    assert np.mean(np.sign((filled * np.sin(time)).sum(1)) == sign[120:, 0]) > 0.9


def test_points_missing_here_and_there_have_one_answer():
    X = make_series(length=24)
    generator = fitted(X)
    assert generator.tokenizer_.token_spans_[0].tolist() == [0, 2]
    given_series = X.copy()
    given_series[:, ::2] = np.nan
    draws = generator.impute(given_series, n_draws=2, random_state=0)
    assert_array_equal(draws[0], draws[1])
    given_series[:, 10:12] = np.nan
    draws = generator.impute(given_series, n_draws=8, random_state=0)
    assert (draws.std(0)[:, 10:12] > 0).any()


def test_a_dtype_of_16_bits_does_not_overflow():
    X = 5e4 + 1e4 * np.sin(np.arange(24) + np.arange(10)[:, None])
    generator = fitted(X)
    generator.tokenizer_.decode = lambda codes: np.full((len(codes), 24), 1e5)
    given_series = X.astype(np.float16)
    given_series[:, 5:15] = np.nan
    filled = generator.impute(given_series, random_state=0)
    assert filled.dtype == np.float16
    assert_array_equal(filled[:, 5:15], np.finfo(np.float16).max)


def test_one_class_is_that_of_all_series():
    X = make_series()
    generator = fitted(X, np.array(["a", "b"] * 5))
    given_series, _ = with_gaps(X)
    expected = generator.impute(given_series, y=["b"] * 10, random_state=0)
    assert_array_equal(generator.impute(given_series, y="b", random_state=0), expected)


def test_a_token_that_no_gap_touches_keeps_its_code():
    X = make_series(length=24)
    generator = fitted(X)
    seen = []
    decode = generator.tokenizer_.decode
    generator.tokenizer_.decode = lambda codes: decode(seen.append(codes) or codes)
    given_series = X.copy()
    given_series[:, 20:] = np.nan
    generator.impute(given_series, random_state=0)
    codes = generator.tokenizer_.encode(interpolate(given_series[:, None])[:, 0])
    assert_array_equal(seen[0][:, :10], codes[:, :10])  # two points per token


# -------------------------------------------------------------------------------- errors


def test_what_cannot_be_filled_is_said():
    X = make_series()
    generator = fitted(X)
    with pytest.raises(ValueError, match="n_draws"):
        generator.impute(X, n_draws=0)
    with pytest.raises(ValueError, match="infinity"):
        generator.impute(np.where(X > 0, np.inf, X))
    with pytest.raises(ValueError, match="y must be None"):
        generator.impute(X, y=np.zeros(len(X)))
    for horizon in (0, 22):
        with pytest.raises(ValueError, match="horizon"):
            generator.complete(X, horizon)
    with pytest.raises(ValueError, match="X must have 16 time points, or 21"):
        generator.complete(X[:, :10], 5)
    with pytest.raises(ValueError, match="X must hold real numbers; got an array of complex128"):
        generator.complete(X[:, :14].astype(complex), 7)
    with pytest.raises(ValueError, match="NaN"):
        generator.score_samples(with_gaps(X)[0])


def test_a_tokenizer_that_forgets_the_level_is_refused():
    X = make_series()
    tokenizer = VQTokenizer(**{**TOKENIZER.get_params(deep=False), "scaling": "series"})
    generator = MaskGITGenerator(tokenizer, **PRIOR).fit(X)
    with pytest.raises(ValueError, match="scaling='series'"):
        generator.impute(with_gaps(X)[0])


def test_only_a_masked_prior_fills_gaps():
    assert not hasattr(AutoregressiveGenerator, "impute")
    assert SSLVQTokenizer().get_params()["scaling"] == "dataset"
