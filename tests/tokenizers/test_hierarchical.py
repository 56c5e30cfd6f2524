"""Codes at several levels: their shapes and order, the loss, what each level is for, priors."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

import vqssl
from vqssl import AutoregressiveGenerator, HierarchicalVQTokenizer, MaskGITGenerator
from vqssl._seed import initialise
from vqssl.backbones import ConvBackbone, TransformerBackbone
from vqssl.quantizers import FSQ
from vqssl.tokenizers._readout import readout_width

SMALL = {
    "n_codes": 8,
    "code_dim": 4,
    "backbone": ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1),
    "max_iter": 6,
    "batch_size": 8,
    "device": "cpu",  # where bits are the same
    "random_state": 0,
}


def make_series(n=12, length=24, channels=None, seed=0):
    """Random walks."""
    shape = (n, length) if channels is None else (n, channels, length)
    return np.random.default_rng(seed).standard_normal(shape).cumsum(-1).astype(np.float32)


def fit(series, **params):
    return HierarchicalVQTokenizer(**{**SMALL, **params}).fit(series)


def as_batch(series):
    return torch.from_numpy(series.reshape(len(series), -1, series.shape[-1]))


def counts(tokenizer):
    return [group.stop - group.start for group in tokenizer.token_groups_]


X = make_series()
NEW = make_series(20, seed=1)


# ------------------------------------------------------------------------- tokens and spans


@pytest.mark.parametrize(
    ("length", "params", "expected"),
    [
        # The finest level has ceil(L / compression) tokens, each coarser one a fourth of them.
        (64, {"compression": 4}, [4, 16]),
        (65, {"compression": 4}, [5, 17]),
        (101, {"compression": 3}, [9, 34]),
        (1000, {"max_iter": 1}, [32, 125]),  # "auto" is 8 points
        (24, {}, [3, 12]),  # "auto" is 2 points
        (64, {"compression": 4, "n_levels": 3}, [1, 4, 16]),
        (67, {"compression": 2, "n_levels": 4, "level_stride": 2}, [5, 9, 17, 34]),
        (17, {"compression": 5, "n_levels": 3, "level_stride": 3}, [1, 2, 4]),
        (5, {"n_levels": 3}, [1, 1, 3]),
        (1, {"n_levels": 3}, [1, 1, 1]),
    ],
)
def test_groups_of_tokens_run_from_coarse_to_fine(length, params, expected):
    tokenizer = fit(make_series(5, length), **params)
    assert counts(tokenizer) == expected
    assert tokenizer.token_shape_ == [(count,) for count in expected]
    assert tokenizer.token_groups_[0].start == 0
    assert tokenizer.n_tokens_ == sum(expected) == tokenizer.encode(make_series(5, length)).shape[1]


@given(
    length=st.integers(1, 70),
    channels=st.sampled_from([None, 1, 3]),
    n_levels=st.integers(2, 4),
    level_stride=st.integers(2, 9),
    compression=st.one_of(st.just("auto"), st.integers(1, 80)),
)
def test_any_shape_has_codes_and_comes_back(length, channels, n_levels, level_stride, compression):
    series = make_series(5, length, channels)
    sizes = {"n_levels": n_levels, "level_stride": level_stride, "compression": compression}
    tokenizer = fit(series, **sizes, max_iter=1)
    codes = tokenizer.encode(series)
    assert tokenizer.decode(codes).shape == series.shape
    assert np.isfinite(tokenizer.transform(series)).all()
    assert codes.shape == (5, tokenizer.n_tokens_)
    assert len(tokenizer.token_groups_) == n_levels
    # The spans of every level cover the series without gap or overlap, in cells of one size.
    spans = tokenizer.token_spans_
    assert spans.dtype == np.int64
    size = tokenizer.token_spans_[tokenizer.token_groups_[-1]][0, 1]
    for group in reversed(tokenizer.token_groups_):
        starts = np.arange(0, length, size)
        expected = np.stack([starts, np.minimum(starts + size, length)], 1)
        assert_array_equal(spans[group], expected)
        size *= level_stride


@pytest.mark.parametrize("length", [1, 2, 3, 5, 17])
@pytest.mark.parametrize("shape", [(), (1,), (3,)], ids=["2-D", "one channel", "three channels"])
def test_short_series_come_back_in_their_shape(length, shape):
    series = np.random.default_rng(0).standard_normal((6, *shape, length))
    for n_levels in (2, 3):
        tokenizer = fit(series, n_levels=n_levels)
        assert tokenizer.decode(tokenizer.encode(series)).shape == series.shape
        assert counts(tokenizer)[0] == -(-length // (min(length, 2) * 4 ** (n_levels - 1)))


@pytest.mark.parametrize("place", [9, 50, 84])
def test_a_token_is_where_its_span_says(place):
    tokenizer = fit(make_series(40, 96), backbone=ConvBackbone(8, 0, 0), compression=2)
    x = as_batch(make_series(1, 96))
    bump = torch.zeros_like(x)
    bump[..., place], bump[..., place + 1] = 30.0, -30.0
    with torch.no_grad():
        moved = (tokenizer.model_.latents(x + bump) - tokenizer.model_.latents(x)).norm(dim=2)[0]
    top, bottom = tokenizer.token_groups_
    for group, size in ((top, 8), (bottom, 2)):
        start, stop = tokenizer.token_spans_[group][moved[group].argmax()]
        assert start - size <= place < stop + size


# ---------------------------------------------------------------------- codes and codebooks


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("n_levels", [2, 3])
def test_every_level_has_a_codebook_of_its_own(channels, n_levels):
    new = make_series(20, 40, channels, seed=1)
    tokenizer = fit(make_series(30, 40, channels), n_levels=n_levels)
    codes, vectors = tokenizer.encode(new), tokenizer.embed(new)
    assert [codebook.shape for codebook in tokenizer.codebook_] == n_levels * [(8, 4)]
    assert not np.array_equal(tokenizer.codebook_[0], tokenizer.codebook_[1])
    assert len(tokenizer.perplexity_) == n_levels
    assert set(tokenizer.code_sizes_) == {8}
    with torch.no_grad():
        latents, tokens = tokenizer.model_.latents_and_tokens(as_batch(new))
        assert_array_equal(latents, tokenizer.model_.latents(as_batch(new)))
    assert_array_equal(tokens, codes)
    for group, codebook in zip(tokenizer.token_groups_, tokenizer.codebook_, strict=True):
        own = codes[:, group]
        assert_array_equal(vectors[:, group], codebook[own])
        distances = np.square(latents.numpy()[:, group, None] - codebook, dtype=np.float64).sum(-1)
        chosen = np.take_along_axis(distances, own[..., None], -1)[..., 0]
        assert_allclose(chosen, distances.min(-1), rtol=1e-4, atol=1e-9)


def test_finer_latents_are_those_given_the_codes_of_the_coarser_levels():
    model = fit(X).model_
    top, bottom = model.levels
    with torch.no_grad():
        h = bottom.encoder(model.scaler(as_batch(NEW)))  # (B, N, D)
        codes = top.quantizer.encode(top.encoder(h.transpose(1, 2)))
        given = top.decoder(top.quantizer.lookup(codes)).transpose(1, 2)
        expected = bottom.to_latent(torch.cat([given, h], 2))
        latents = model.latents(as_batch(NEW))
        assert_allclose(latents[:, model.token_groups[1]], expected, atol=1e-5)
        # And the series is what the finest level decodes, given the coarser ones.
        vectors = bottom.quantizer.lookup(bottom.quantizer.encode(expected))
        decoded = bottom.decoder(bottom.to_hidden(torch.cat([given, vectors], 2)))
        assert_allclose(model.reconstruct(as_batch(NEW)), model.scaler.inverse(decoded), atol=1e-5)


@pytest.mark.parametrize("n_levels", [2, 3])
def test_codebooks_start_on_the_latents_of_their_level(n_levels):
    tokenizer = HierarchicalVQTokenizer(**SMALL, n_levels=n_levels)
    series = make_series(30, 48)
    tokenizer.input_shape_ = (48,)
    model = initialise(tokenizer._build(), torch.Generator())
    tokenizer._start(model, series[:, None], torch.Generator())
    with torch.no_grad():
        latents = model.latents(as_batch(series))
    for group, codebook in zip(model.token_groups, model.codebooks, strict=True):
        differences = codebook[:, None] - latents[:, group].reshape(-1, 4)  # (K, n N, D)
        assert_allclose(differences.abs().amax(2).amin(1), 0, atol=1e-5)
        assert len(torch.unique(codebook, dim=0)) == 8


def test_levels_of_a_scalar_quantizer_decide_the_number_of_codes():
    tokenizer = fit(X, quantizer=FSQ(levels=(3, 5)), n_codes=999)
    assert [codebook.shape for codebook in tokenizer.codebook_] == [(15, 4), (15, 4)]
    assert set(tokenizer.code_sizes_) == {15}


# --------------------------------------------------------------------------------- the loss

QUANTIZER_TERMS = {"ema": {"commitment"}, "fsq": set(), "gradient": {"codebook", "commitment"}}


@pytest.mark.parametrize("quantizer", QUANTIZER_TERMS)
@pytest.mark.parametrize("n_levels", [2, 3])
def test_terms_of_the_loss_are_named_by_level(quantizer, n_levels):
    history = fit(X, quantizer=quantizer, n_levels=n_levels, difference_weight=0.5).history_
    errors = {"reconstruction", "difference", "coarse_reconstruction", "coarse_difference"}
    names = QUANTIZER_TERMS[quantizer]
    expected = errors | {f"level_{i}_{name}" for i in range(n_levels) for name in names}
    assert set(history) - {"step", "loss", "lr"} == expected
    assert_allclose(np.sum([history[name] for name in expected], 0), history["loss"], rtol=1e-6)


def test_without_weights_the_loss_is_the_published_one():
    tokenizer = fit(X, coarse_weight=0.0, difference_weight=0.0)
    terms = {"reconstruction", "level_0_commitment", "level_1_commitment"}
    assert set(tokenizer.history_) - {"step", "loss", "lr"} == terms
    model, x = tokenizer.model_, as_batch(NEW)
    with torch.no_grad():
        found = model(x)
        error = model.scaler(model.reconstruct(x)) - model.scaler(x)
        assert_allclose(found["reconstruction"], error.square().mean(), rtol=1e-4)
        # The commitment cost of the part is 1.
        distance = (model.latents(x) - model.lookup(model.tokens(x))).square()
        for i, group in enumerate(model.token_groups):
            assert_allclose(found[f"level_{i}_commitment"], distance[:, group].mean(), rtol=1e-4)


@pytest.mark.parametrize("n_levels", [2, 3])
def test_coarse_terms_are_the_errors_of_the_coarser_levels_alone(n_levels):
    model = fit(X, n_levels=n_levels, coarse_weight=0.7, difference_weight=0.0).model_
    x = as_batch(NEW)
    expected = 0.0
    with torch.no_grad():
        for group in model.token_groups[:-1]:
            vectors = model.lookup(model.tokens(x))
            vectors[:, group.stop :] = 0.0
            error = (model.decode(vectors) - x) / model.scaler.deviation
            expected += 0.7 * error.square().mean()
        assert_allclose(model(x)["coarse_reconstruction"], expected, rtol=1e-4)


def test_gradients_of_latents_reach_every_level():
    # What a classifier that is trained on the latents of the finest level needs.
    model = fit(X).model_.requires_grad_()
    model.latents(as_batch(NEW))[:, model.token_groups[-1]].square().sum().backward()
    for level in model.levels:
        assert all(weight.grad.abs().sum() > 0 for weight in level.encoder.parameters())


# ----------------------------------------------------------------------- what levels are for


def slow_and_fast(n, seed):
    """Slow sines, and a fast beat somewhere on them."""
    rng = np.random.default_rng(seed)
    t = np.arange(64) / 64
    phase, place = rng.uniform(0, 1, (2, n, 1))
    slow = np.sin(2 * np.pi * (t + phase))
    return slow + np.sin(2 * np.pi * 16 * t) * np.exp(-((t - place) ** 2) / 0.02)


QUICK = {
    "n_codes": 16,
    "code_dim": 8,
    "backbone": ConvBackbone(width=16, n_blocks=2, n_decoder_blocks=1),
    "compression": 2,
    "batch_size": 16,
    "max_iter": 200,
    "lr": 5e-3,
    "random_state": 0,
}


def errors_with_shuffled_levels(tokenizer, series):
    """Squared error, and what it is with one level's codes from another series each."""
    codes = tokenizer.encode(series)
    error = np.square(tokenizer.decode(codes) - series).mean()
    errors = []
    for group in tokenizer.token_groups_:
        other = codes.copy()
        other[:, group] = np.roll(codes[:, group], 1, 0)
        errors.append(np.square(tokenizer.decode(other) - series).mean())
    return error, np.array(errors)


@pytest.mark.parametrize("n_levels", [2, 3])
def test_every_level_says_something_of_the_series(n_levels):
    train, test = slow_and_fast(100, 0), slow_and_fast(40, 1)
    tokenizer = HierarchicalVQTokenizer(**QUICK, n_levels=n_levels).fit(train)
    error, shuffled = errors_with_shuffled_levels(tokenizer, test)
    assert error < 0.1 * test.var()
    assert (shuffled > 1.5 * error).all()
    untrained = clone(tokenizer).set_params(max_iter=1).fit(train)
    assert untrained.score(test) < 0.3


def test_the_coarse_term_makes_the_coarse_level_say_more():
    train, test = slow_and_fast(100, 0), slow_and_fast(40, 1)
    tokenizer = HierarchicalVQTokenizer(**{**QUICK, "n_codes": 64})
    growth = []
    for weight in (0.0, 0.2):
        fitted = clone(tokenizer).set_params(coarse_weight=weight).fit(train)
        error, (with_other_top, _) = errors_with_shuffled_levels(fitted, test)
        growth.append(with_other_top / error)
    assert growth[1] > 3 * growth[0]


# ------------------------------------------------------------------------- readouts and state


@pytest.mark.parametrize("n_levels", [2, 3])
def test_readouts_of_levels_lie_side_by_side(n_levels):
    tokenizer = fit(X, n_levels=n_levels)
    widths = {"features": readout_width(4, 8), "histogram": 8, "latent": readout_width(4)}
    codes = tokenizer.encode(NEW)
    for output, width in widths.items():
        Z = tokenizer.set_params(output=output).transform(NEW)
        assert Z.shape == (20, n_levels * width)
        assert len(tokenizer.get_feature_names_out()) == n_levels * width
    Z = tokenizer.set_params(output="histogram").transform(NEW)
    for level, group in enumerate(tokenizer.token_groups_):
        expected = [np.bincount(row, minlength=8) / len(row) for row in codes[:, group]]
        assert_allclose(Z[:, 8 * level : 8 * (level + 1)], expected, rtol=1e-6)


@pytest.mark.parametrize("output", ["codes", "quantized"])
@pytest.mark.parametrize("channels", [None, 3])
def test_inverse_transform_is_the_decoding_of_the_codes(output, channels):
    new = make_series(5, 25, channels, seed=1)
    tokenizer = fit(make_series(12, 25, channels), output=output, n_levels=3)
    decoded = tokenizer.decode(tokenizer.encode(new))
    assert_allclose(tokenizer.inverse_transform(tokenizer.transform(new)), decoded, atol=1e-5)


def test_levels_survive_files_and_pickles(tmp_path):
    tokenizer = fit(X, n_levels=3)
    tokenizer.save(tmp_path / "tokenizer.vqssl")
    tokenizer.set_params(n_levels=2)  # which does not shape the fitted model
    for again in (vqssl.load(tmp_path / "tokenizer.vqssl"), pickle.loads(pickle.dumps(tokenizer))):
        assert_array_equal(again.token_spans_, tokenizer.token_spans_)
        assert again.token_groups_ == tokenizer.token_groups_
        assert_array_equal(again.codebook_, tokenizer.codebook_)
        assert_array_equal(again.transform(NEW), tokenizer.transform(NEW))
        assert_array_equal(again.decode(again.encode(NEW)), tokenizer.decode(tokenizer.encode(NEW)))


@pytest.mark.parametrize(
    ("name", "fitted", "now"),
    [("n_levels", 2, 3), ("level_stride", 4, 2), ("coarse_weight", 0.05, 0.5)],
)
def test_partial_fit_refuses_other_levels(name, fitted, now):
    tokenizer = fit(X).partial_fit(X)
    tokenizer.set_params(**{name: now})
    with pytest.raises(ValueError, match=f"{name} must stay {fitted} between calls of partial_fit"):
        tokenizer.partial_fit(X)


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"n_levels": 1}, ValueError, "n_levels must be an integer of at least 2; got 1"),
        ({"n_levels": 2.0}, ValueError, "'n_levels' parameter"),
        ({"level_stride": 1}, ValueError, "level_stride must be an integer of at least 2; got 1"),
        ({"level_stride": "auto"}, ValueError, "'level_stride' parameter"),
        ({"coarse_weight": -1}, ValueError, "coarse_weight must be a finite number of at least 0"),
        ({"compression": (4, 2)}, ValueError, "'compression' parameter"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_refused(params, error, match):
    with pytest.raises(error, match=match):
        fit(X, **params)


# ------------------------------------------------------------------------------------- priors


@pytest.mark.parametrize("kind", [MaskGITGenerator, AutoregressiveGenerator])
@pytest.mark.parametrize("n_levels", [2, 3])
def test_a_prior_draws_level_by_level(kind, n_levels):
    series = make_series(30, 31, channels=2)
    generator = kind(
        HierarchicalVQTokenizer(**SMALL, n_levels=n_levels).set_params(random_state=None),
        backbone=TransformerBackbone(width=8, n_blocks=1, n_heads=2),
        max_iter=5,
        device="cpu",
        random_state=0,
    ).fit(series)
    sizes = [1, 4, 16][-n_levels:]
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    expected = [slice(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    assert generator.token_groups_ == expected
    assert generator.sample(7).shape == (7, 2, 31)
    codes = generator.sample_codes(50)
    assert codes.shape == (50, sum(sizes))
    assert 0 <= codes.min() <= codes.max() < 8
    terms = {name.rpartition("_")[2] for name in generator.history_}
    assert set("012"[:n_levels]) <= terms
    by_level = generator.score_groups(series)
    assert by_level.shape == (30, n_levels)
    assert_allclose(by_level.sum(1), generator.score_samples(series), rtol=1e-5)


def test_a_prior_over_the_coarse_level_does_not_see_the_finer_one():
    series = make_series(30, 32)
    generator = AutoregressiveGenerator(
        HierarchicalVQTokenizer(**SMALL),
        backbone=TransformerBackbone(width=8, n_blocks=1, n_heads=2),
        max_iter=5,
        random_state=0,
    ).fit(series)
    top, bottom = generator.token_groups_
    codes = torch.from_numpy(generator.tokenizer_.encode(series))
    other = codes.clone()
    other[:, bottom] = (other[:, bottom] + 1) % 8
    no_class = torch.zeros(30, dtype=torch.int64)
    with torch.no_grad():
        before, after = (generator.model_(some, no_class) for some in (codes, other))
    assert_array_equal(before[:, top], after[:, top])
    other = codes.clone()
    other[:, top] = (other[:, top] + 1) % 8
    with torch.no_grad():
        after = generator.model_(other, no_class)
    assert (before[:, bottom] != after[:, bottom]).any(2).all()
