"""Bands of the short-time spectrum: the split, two codebooks side by side, their readouts."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

import vqssl
from vqssl import BandVQTokenizer, MaskGITGenerator, VQTokenizer
from vqssl.backbones import ConvBackbone, TransformerBackbone
from vqssl.backbones._compression import automatic_compression
from vqssl.backbones._stft import ShortTimeFourier
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


def make_transform(length, n_fft=8):
    transform = ShortTimeFourier(length, n_fft)
    transform.initialise(torch.Generator())
    return transform


def split(transform, x, cutoff):
    """The low and the high band of series (B, C, L)."""
    spectrum = transform(x)
    bins = (0, cutoff), (cutoff, transform.n_fft // 2 + 1)
    bands = [transform.columns(*some) for some in bins]
    return [transform.inverse(spectrum[..., band], band) for band in bands]


def fit(series, **params):
    return BandVQTokenizer(**{**SMALL, **params}).fit(series)


X = make_series()
NEW = make_series(20, seed=1)


# ------------------------------------------------------------------------------- transform

sizes = st.integers(4, 17).flatmap(
    lambda n_fft: st.tuples(st.just(n_fft), st.integers(1, n_fft // 2))
)


@given(sizes, st.integers(1, 70), st.integers(1, 3), st.integers(0, 2**31))
def test_the_bands_add_up_to_the_series(size, length, channels, seed):
    n_fft, cutoff = size
    x = torch.randn(3, channels, length, generator=torch.Generator().manual_seed(seed))
    low, high = split(make_transform(length, n_fft), x, cutoff)
    assert low.shape == high.shape == x.shape
    assert_allclose(low + high, x, atol=1e-5)


@given(sizes, st.integers(1, 70))
def test_a_constant_is_all_in_the_low_band(size, length):
    n_fft, cutoff = size
    low, high = split(make_transform(length, n_fft), torch.full((1, 2, length), 3.0), cutoff)
    assert_allclose(low, 3.0, rtol=1e-5)
    assert_allclose(high, 0.0, atol=1e-5)


@pytest.mark.parametrize("n_fft", [4, 8, 16])
def test_the_highest_frequency_is_all_in_the_high_band(n_fft):
    alternating = torch.ones(1, 1, 64)
    alternating[..., ::2] = -1.0
    low, high = split(make_transform(64, n_fft), alternating, n_fft // 2)
    inside = slice(n_fft, -n_fft)  # at its ends a series is held
    assert_allclose(low[..., inside], 0.0, atol=1e-5)
    assert_allclose(high[..., inside], alternating[..., inside], atol=1e-5)


@pytest.mark.parametrize("n_fft", [4, 5, 6, 7, 8, 9, 16])
def test_coefficients_are_those_of_the_discrete_fourier_transform(n_fft):
    transform = make_transform(40, n_fft)
    x = torch.randn(2, 3, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = transform.double()(x)
    assert found.shape == (2, 3, -(-40 // (n_fft // 4)), n_fft)
    for frame in range(found.shape[2]):
        # The frame is centred at its cell's first point; beyond its ends the series is held.
        points = (frame * (n_fft // 4) - n_fft // 2 + np.arange(n_fft)).clip(0, 39)
        bins = np.fft.rfft(x[..., points]) / n_fft
        assert_allclose(found[:, :, frame, 0], bins[..., 0].real, atol=1e-7)
        for k in range(1, n_fft // 2 + 1):
            columns = found[:, :, frame, transform.columns(k, k + 1)]
            is_last = 2 * k == n_fft
            parts = [bins[..., k].real] if is_last else [bins[..., k].real, bins[..., k].imag]
            factor = 1.0 if is_last else np.sqrt(2)
            assert_allclose(columns, factor * np.stack(parts, -1), atol=1e-7)
    frames = torch.stack(
        [
            x[..., (f * (n_fft // 4) - n_fft // 2 + np.arange(n_fft)).clip(0, 39)]
            for f in range(found.shape[2])
        ],
        2,
    )
    assert_allclose(found.square().sum(3), frames.square().mean(3), rtol=1e-6)


def test_the_transform_is_linear():
    transform = make_transform(33)
    x, y = torch.randn(2, 3, 2, 33, generator=torch.Generator().manual_seed(0))
    assert_allclose(transform(2 * x + y), 2 * transform(x) + transform(y), atol=1e-5)


def test_gradients_reach_coefficients_and_series():
    transform = make_transform(33)
    x = torch.randn(3, 2, 33, requires_grad=True)
    band = transform.columns(1, 5)
    transform.inverse(transform(x)[..., band], band).square().sum().backward()
    assert x.grad.abs().sum() > 0


# ------------------------------------------------------------------------- tokens and spans


@given(
    length=st.integers(1, 60),
    channels=st.sampled_from([None, 1, 3]),
    n_fft=st.integers(4, 12),
    compression=st.one_of(
        st.just("auto"),
        st.integers(1, 70),
        st.tuples(st.integers(1, 30), st.integers(1, 30)),
    ),
)
def test_any_shape_has_codes_and_comes_back(length, channels, n_fft, compression):
    series = make_series(5, length, channels)
    params = {"n_fft": n_fft, "compression": compression, "max_iter": 1}
    tokenizer = fit(series, **params)
    codes = tokenizer.encode(series)
    assert codes.shape == (5, tokenizer.n_tokens_)
    assert tokenizer.decode(codes).shape == series.shape
    assert np.isfinite(tokenizer.transform(series)).all()
    low, high = tokenizer.token_groups_
    assert (low.start, low.stop, high.stop) == (0, high.start, tokenizer.n_tokens_)
    assert_spans_tile(tokenizer, length)


def assert_spans_tile(tokenizer, length):
    """The spans of every group cover the series without gap or overlap."""
    spans = tokenizer.token_spans_
    assert spans.dtype == np.int64
    assert spans.shape == (tokenizer.n_tokens_, 2)
    assert (spans[:, 0] < spans[:, 1]).all()
    for group in tokenizer.token_groups_:
        assert spans[group][0, 0] == 0
        assert spans[group][-1, 1] == length
        assert_array_equal(spans[group][1:, 0], spans[group][:-1, 1])


@pytest.mark.parametrize("length", [1, 7, 24, 90])
@pytest.mark.parametrize("compression", ["auto", 1, 5, 100])
def test_spans_of_one_codebook_are_its_cells(length, compression):
    series = make_series(4, length)
    tokenizer = VQTokenizer(**SMALL).set_params(compression=compression, max_iter=1).fit(series)
    assert_spans_tile(tokenizer, length)
    size = automatic_compression(length) if compression == "auto" else compression
    starts = np.arange(0, length, size)
    assert_array_equal(
        tokenizer.token_spans_, np.stack([starts, np.minimum(starts + size, length)], 1)
    )


@pytest.mark.parametrize(
    ("length", "compression", "cells"),
    [
        (24, "auto", (4, 2)),
        (100, "auto", (8, 4)),
        (24, 4, (4, 4)),
        (24, 3, (4, 4)),  # frames are two points apart
        (24, 1, (2, 2)),
        (24, (6, 2), (6, 2)),
        (24, [2, 6], (2, 6)),
        (1, "auto", (2, 2)),
    ],
)
def test_compression_is_the_number_of_time_points_per_token_and_band(length, compression, cells):
    tokenizer = fit(make_series(4, length), compression=compression, max_iter=1)
    low, high = tokenizer.token_groups_
    counts = low.stop - low.start, high.stop - high.start
    assert counts == tuple(-(-length // size) for size in cells)
    for group, size in zip((low, high), cells, strict=True):
        first = tokenizer.token_spans_[group][0]
        assert_array_equal(first, [0, min(size, length)])


@pytest.mark.parametrize("band", [0, 1])
@pytest.mark.parametrize("place", [9, 50, 84])
def test_a_token_is_where_its_span_says(band, place):
    tokenizer = fit(make_series(40, 96), backbone=ConvBackbone(8, 0, 0), compression=4)
    x = torch.from_numpy(make_series(1, 96))[:, None]
    bump = torch.zeros_like(x)
    bump[..., place], bump[..., place + 1] = 3.0, -1.0
    with torch.no_grad():
        moved = (tokenizer.model_.latents(x + bump) - tokenizer.model_.latents(x)).norm(dim=2)[0]
    group = tokenizer.token_groups_[band]
    start, stop = tokenizer.token_spans_[group][moved[group].argmax()]
    assert start - 4 <= place < stop + 4


# ------------------------------------------------------------------------------- codebooks


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("cutoff", [1, 3])
def test_every_band_has_a_codebook_of_its_own(channels, cutoff):
    new = make_series(20, channels=channels, seed=1)
    tokenizer = fit(make_series(channels=channels), cutoff=cutoff)
    codes, vectors = tokenizer.encode(new), tokenizer.embed(new)
    assert [codebook.shape for codebook in tokenizer.codebook_] == [(8, 4), (8, 4)]
    assert not np.array_equal(*tokenizer.codebook_)
    assert len(tokenizer.perplexity_) == 2
    assert set(tokenizer.code_sizes_) == {8}
    with torch.no_grad():
        latents = tokenizer.model_.latents(torch.from_numpy(new.reshape(20, -1, 24))).numpy()
    for group, codebook in zip(tokenizer.token_groups_, tokenizer.codebook_, strict=True):
        own = codes[:, group]
        assert 0 <= own.min() <= own.max() < 8
        assert len(np.unique(own)) > 1
        assert_array_equal(vectors[:, group], codebook[own])
        distances = np.square(latents[:, group, None] - codebook, dtype=np.float64).sum(-1)
        chosen = np.take_along_axis(distances, own[..., None], -1)[..., 0]
        assert_allclose(chosen, distances.min(-1), rtol=1e-4, atol=1e-9)


def test_levels_decide_the_number_of_codes_of_both_bands():
    tokenizer = fit(X, quantizer=FSQ(levels=(3, 5)), n_codes=999)
    assert [codebook.shape for codebook in tokenizer.codebook_] == [(15, 4), (15, 4)]
    assert set(tokenizer.code_sizes_) == {15}


QUANTIZER_TERMS = {"ema": {"commitment"}, "fsq": set(), "gradient": {"codebook", "commitment"}}


@pytest.mark.parametrize("quantizer", QUANTIZER_TERMS)
def test_terms_of_the_loss_are_named_by_band(quantizer):
    history = fit(X, quantizer=quantizer).history_
    terms = {"reconstruction"} | QUANTIZER_TERMS[quantizer]
    expected = {f"{band}_{term}" for band in ("low", "high") for term in terms}
    assert set(history) - {"step", "loss", "lr"} == expected
    assert_allclose(np.sum([history[name] for name in expected], 0), history["loss"], rtol=1e-6)


@pytest.mark.parametrize("scaling", ["dataset", "series", None])
def test_reconstruction_terms_are_mean_squared_errors_of_the_bands_in_time(scaling):
    series = make_series(30, 40, channels=2) * np.float32([[[1.0], [50.0]]])
    model = fit(series, scaling=scaling).model_
    x = torch.from_numpy(series)
    with torch.no_grad():
        terms = model(x)
        vectors = model.lookup(model.tokens(x))
        targets = split(model.transform, model.scaler(x), 1)
        for name, band, group, target in zip(
            ("low", "high"), model.bands, model.token_groups, targets, strict=True
        ):
            decoded = model.transform.inverse(band.decode(vectors[:, group]), band.columns)
            error = (decoded - target / band.size).square().mean()
            assert_allclose(terms[f"{name}_reconstruction"], error, rtol=1e-4)


def test_bands_are_measured_in_their_deviation_over_the_training_set():
    series = make_series(30, 40, channels=2)
    for scaling in ("dataset", "series"):
        model = fit(series, scaling=scaling).model_
        bands = split(model.transform, model.scaler(torch.from_numpy(series)), 1)
        for band, part in zip(model.bands, bands, strict=True):
            assert_allclose(band.size[:, 0], part.std((0, 2), correction=0), rtol=1e-4)
    assert all((band.size == 1).all() for band in fit(series, scaling=None).model_.bands)


def test_a_band_without_variation_has_one_code_in_use():
    levels = np.repeat(np.random.default_rng(0).normal(size=(40, 1)), 24, 1)
    tokenizer = fit(levels, n_codes=16, max_iter=100, lr=5e-3)
    codes = tokenizer.encode(levels)
    low, high = tokenizer.token_groups_
    assert len(np.unique(codes[:, low])) > 4
    assert (codes[:, high] == codes[:1, high]).all()
    assert tokenizer.score(levels) > 0.9


def test_a_code_of_one_band_changes_that_band_only():
    tokenizer = fit(make_series(40, 48), max_iter=60)
    codes = tokenizer.encode(make_series(6, 48, seed=1))
    x = torch.from_numpy(tokenizer.decode(codes))[:, None]
    for band, group in enumerate(tokenizer.token_groups_):
        other = codes.copy()
        other[:, group] = (other[:, group] + 1) % 8
        y = torch.from_numpy(tokenizer.decode(other))[:, None]
        coder = tokenizer.model_.bands[band]
        with torch.no_grad():
            # Decoded coefficients of a band need not be those of a series, but nothing of
            # the other band is added to the difference.
            expected = tokenizer.model_.transform.inverse(
                coder.decode(tokenizer.model_.lookup(torch.from_numpy(other))[:, group])
                - coder.decode(tokenizer.model_.lookup(torch.from_numpy(codes))[:, group]),
                coder.columns,
            )
        scale = coder.size * tokenizer.model_.scaler.deviation
        assert_allclose(y - x, scale * expected, atol=1e-4)


# -------------------------------------------------------------------------------- readouts


@pytest.mark.parametrize("output", ["features", "histogram", "latent"])
def test_columns_of_a_band_depend_on_that_band_only(output):
    tokenizer = fit(make_series(30, 40), output=output)
    width = {
        "features": readout_width(4, 8),
        "histogram": 8,
        "latent": readout_width(4),
    }[output]
    series = make_series(6, 40, seed=1)
    Z = tokenizer.transform(series)
    assert Z.shape == (6, 2 * width)
    assert len(tokenizer.get_feature_names_out()) == 2 * width
    # Two levels differ in the low band alone: at every point of every frame.
    moved = tokenizer.transform(series + 2.0)
    assert_allclose(moved[:, width:], Z[:, width:], atol=2e-2)
    assert np.abs(moved[:, :width] - Z[:, :width]).max() > 0.1


def test_frequencies_of_a_band_sum_to_one():
    tokenizer = fit(X, output="histogram")
    codes, Z = tokenizer.encode(NEW), tokenizer.transform(NEW)
    for band, group in enumerate(tokenizer.token_groups_):
        own = codes[:, group]
        expected = [np.bincount(row, minlength=8) / len(row) for row in own]
        assert_allclose(Z[:, 8 * band : 8 * (band + 1)], expected, rtol=1e-6)


@pytest.mark.parametrize("output", ["features", "latent"])
def test_both_bands_have_the_same_weight(output):
    series = make_series(40, 64)
    Z = fit(series, output=output).transform(series).astype(np.float64)
    assert_allclose(Z.mean(0), 0, atol=1e-4)
    for half in np.split(Z, 2, 1):
        pools = half[:, : 3 * 4].std(0)  # statistics of the whole series, four dimensions
        assert_allclose(pools[pools > 0], 1, rtol=1e-3)


def test_equal_codes_give_equal_rows():
    tokenizer = fit(make_series(60), n_codes=4, max_iter=60)
    first = tokenizer.decode(tokenizer.encode(make_series(60)))
    noise = np.random.default_rng(0).standard_normal(first.shape)
    second = (first + 1e-3 * noise).astype(np.float32)
    same = (tokenizer.encode(first) == tokenizer.encode(second)).all(1)
    assert same.sum() > 5
    for output in ("codes", "features", "histogram", "quantized"):
        tokenizer.set_params(output=output)
        assert_array_equal(tokenizer.transform(first[same]), tokenizer.transform(second[same]))


@pytest.mark.parametrize("output", ["codes", "quantized"])
@pytest.mark.parametrize("channels", [None, 3])
def test_inverse_transform_is_the_decoding_of_the_codes(output, channels):
    new = make_series(5, channels=channels, seed=1)
    tokenizer = fit(make_series(channels=channels), output=output)
    decoded = tokenizer.decode(tokenizer.encode(new))
    assert_allclose(tokenizer.inverse_transform(tokenizer.transform(new)), decoded, atol=1e-6)


# --------------------------------------------------------------------------- state and use


@pytest.mark.parametrize("kind", [BandVQTokenizer, VQTokenizer], ids=lambda kind: kind.__name__)
def test_spans_and_codebooks_survive_files_and_pickles(kind, tmp_path):
    tokenizer = kind(**SMALL).fit(X)
    tokenizer.save(tmp_path / "tokenizer.vqssl")
    for again in (vqssl.load(tmp_path / "tokenizer.vqssl"), pickle.loads(pickle.dumps(tokenizer))):
        assert_array_equal(again.token_spans_, tokenizer.token_spans_)
        assert again.token_spans_.dtype == np.int64
        assert again.token_groups_ == tokenizer.token_groups_
        assert_array_equal(again.codebook_, tokenizer.codebook_)
        assert_array_equal(again.transform(NEW), tokenizer.transform(NEW))
        assert_array_equal(again.decode(again.encode(NEW)), tokenizer.decode(tokenizer.encode(NEW)))


def test_partial_fit_keeps_the_size_of_the_bands():
    tokenizer = fit(X)
    before = [band.size.clone() for band in tokenizer.model_.bands]
    tokenizer.partial_fit(100 * X)
    for band, size in zip(tokenizer.model_.bands, before, strict=True):
        assert torch.equal(band.size, size)


def test_a_generator_draws_band_by_band():
    X = make_series(30, 31, channels=2)
    generator = MaskGITGenerator(
        BandVQTokenizer(**SMALL).set_params(random_state=None, compression=(8, 4)),
        backbone=TransformerBackbone(width=8, n_blocks=1, n_heads=2),
        max_iter=5,
        device="cpu",
        random_state=0,
    ).fit(X)
    assert generator.token_groups_ == [slice(0, 4), slice(4, 12)]
    assert generator.sample(7).shape == (7, 2, 31)
    codes = generator.sample_codes(50)
    assert codes.shape == (50, 12)
    assert 0 <= codes.min() <= codes.max() < 8
    assert {"0", "1"} <= {name.rpartition("_")[2] for name in generator.history_}


# ------------------------------------------------------------------------ parameters, quality


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"n_fft": 3}, ValueError, "n_fft must be an integer of at least 4; got 3"),
        ({"n_fft": 8.0}, ValueError, "'n_fft' parameter"),
        ({"cutoff": 0}, ValueError, "cutoff must be an integer of at least 1; got 0"),
        (
            {"cutoff": 5},
            ValueError,
            r"cutoff must be at most n_fft // 2 = 4, so that both bands have bins; got 5",
        ),
        ({"compression": 0}, ValueError, "compression must be an integer of at least 1; got 0"),
        ({"compression": (4, 0)}, ValueError, "compression must be an integer of at least 1"),
        ({"compression": (4, 2.0)}, TypeError, r"compression must be an integer .* got 2\.0"),
        ({"compression": (4, 2, 1)}, ValueError, r"compression must be 'auto', .* got \(4, 2, 1\)"),
        ({"compression": "fine"}, ValueError, "compression must be 'auto', .*; got 'fine'"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_refused(params, error, match):
    with pytest.raises(error, match=match):
        fit(X, **params)


def test_partial_fit_refuses_other_bands():
    tokenizer = fit(X).set_params(cutoff=2)
    with pytest.raises(ValueError, match="cutoff must stay 1 between calls of partial_fit; got 2"):
        tokenizer.partial_fit(X)


def test_slow_and_fast_sines_survive_together():
    rng = np.random.default_rng(0)
    t = np.arange(64) / 64
    phase = rng.uniform(0, 2 * np.pi, (2, 80, 1))
    series = np.sin(2 * np.pi * 2 * t + phase[0]) + 0.5 * np.sin(2 * np.pi * 16 * t + phase[1])
    tokenizer = BandVQTokenizer(
        n_codes=16,
        code_dim=8,
        backbone=ConvBackbone(width=16, n_blocks=2, n_decoder_blocks=1),
        batch_size=16,
        max_iter=200,
        lr=5e-3,
        random_state=0,
    )
    assert clone(tokenizer).fit(series[:60]).score(series[60:]) > 0.9
    assert clone(tokenizer).set_params(max_iter=1).fit(series[:60]).score(series[60:]) < 0.3
