"""Pools, autocovariances and code frequencies, held against the loops they are short for."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from vqssl.tokenizers import _readout
from vqssl.tokenizers._autocovariance import LAGS, autocovariances
from vqssl.tokenizers._readout import (
    Axes,
    Standard,
    autocovariance_columns,
    code_frequencies,
    principal_axes,
    project,
    read_codes,
    read_vectors,
    readout_width,
    windows,
)

# Numbers of tokens with and without a remainder, fewer than windows and many more.
N_TOKENS = [1, 2, 3, 5, 7, 8, 9, 12, 16, 31, 32, 33, 35, 64, 100, 131, 256]


def make_codebook(n_codes=11, dim=5, level=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_codes, dim, generator=generator) + level


def make_codes(n, n_tokens, n_codes=11, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(n_codes, (n, n_tokens), generator=generator)


def axes_of(codebook):
    return Axes(*map(torch.tensor, principal_axes(codebook.numpy())))


def own_axes(dim):
    """The axes that vectors of dimension D are given along."""
    return Axes(torch.zeros(dim, dtype=torch.float64), torch.eye(dim, dtype=torch.float64))


def make_tokens(n, n_tokens, dim=5, seed=2):
    return torch.randn(n, n_tokens, dim, generator=torch.Generator().manual_seed(seed))


def unchanged(width):
    return Standard.of(np.ones(width), np.zeros(width))


def features(codes, codebook, standard=None, out=None):
    axes = axes_of(codebook)
    n_codes, dim = codebook.shape
    standard = standard or unchanged(readout_width(dim, n_codes))
    return read_codes(codes, project(codebook, axes), dim, standard, out)


def latent(vectors, axes, standard=None, out=None):
    return read_vectors(vectors, axes, standard or unchanged(readout_width(vectors.shape[2])), out)


def pools_by_loop(z):
    """Mean, maximum and deviation, window by window, in float64."""
    z = z.double()
    columns = []
    for window in windows(z.shape[1]):
        part = z[:, window]
        columns += [part.mean(1), part.amax(1), part.std(1, correction=0)]
    return torch.cat(columns, 1)


def autocovariances_by_loop(a):
    """Mean of the outer products of all pairs of tokens a lag apart, in float64."""
    a = a.double()
    n, n_tokens, n_axes = a.shape
    products = torch.zeros(n, len(LAGS), n_axes, n_axes, dtype=torch.float64)
    for place, lag in enumerate(LAGS):
        for t in range(n_tokens - lag):
            products[:, place] += a[:, t, :, None] * a[:, t + lag, None, :] / (n_tokens - lag)
    return products.flatten(1)


def latent_by_loop(vectors, axes):
    along_axes = (vectors.double() - axes.centre) @ axes.directions
    pools = [pools_by_loop(vectors), pools_by_loop(along_axes.float())]
    return torch.cat([*pools, autocovariances_by_loop(along_axes)], 1)


def deviations(rows, dim):
    """Deviations among the pools of vectors (B, 15, D)."""
    return rows[:, : 45 * dim].unflatten(1, (15, 3, dim))[:, :, 2]


@pytest.mark.parametrize("n_tokens", N_TOKENS)
def test_windows_are_the_whole_and_its_parts(n_tokens):
    found = windows(n_tokens)
    assert len(found) == 15
    for parts, start in ((1, 0), (2, 1), (4, 3), (8, 7)):
        some = found[start : start + parts]
        assert {i for window in some for i in range(n_tokens)[window]} == set(range(n_tokens))
        assert all(window.stop > window.start for window in some)


@pytest.mark.parametrize("n_tokens", N_TOKENS)
def test_features_are_pools_by_loop_and_counts(n_tokens):
    codebook, codes = make_codebook(), make_codes(23, n_tokens)
    expected = latent_by_loop(codebook[codes], axes_of(codebook))
    found = features(codes, codebook)
    assert found.dtype == torch.float32
    assert_allclose(found[:, :-11], expected, rtol=1e-4, atol=1e-5)
    counts = [np.bincount(row, minlength=11) / n_tokens for row in codes.numpy()]
    assert_allclose(found[:, -11:], counts, rtol=1e-6)
    assert_array_equal(found[:, -11:], code_frequencies(codes, 11))


@pytest.mark.parametrize("n_tokens", N_TOKENS)
def test_latents_are_pooled_as_by_loop(n_tokens):
    codebook = make_codebook(dim=30)
    z = make_tokens(9, n_tokens, 30)
    for vectors in (z, z.transpose(0, 1).contiguous().transpose(0, 1)):
        found = latent(vectors, axes_of(codebook))
        assert found.shape == (9, 45 * (30 + 24) + 9 * 24**2)
        assert_allclose(found, latent_by_loop(z, axes_of(codebook)), rtol=1e-4, atol=1e-5)


@given(
    n_tokens=st.integers(1, 80),
    dim=st.integers(1, 30),
    n_codes=st.integers(1, 6),
    level=st.sampled_from([0.0, 1.0, -30.0]),
    seed=st.integers(0, 2**31),
)
def test_features_of_codes_are_the_pools_of_their_vectors(n_tokens, dim, n_codes, level, seed):
    codebook = make_codebook(n_codes, dim, level, seed)
    codes = make_codes(5, n_tokens, n_codes, seed)
    found = features(codes, codebook)[:, :-n_codes]
    assert_allclose(found, latent_by_loop(codebook[codes], axes_of(codebook)), rtol=1e-4, atol=1e-5)
    assert_allclose(found, latent(codebook[codes], axes_of(codebook)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_tokens", N_TOKENS)
@pytest.mark.parametrize("level", [0.0, 3e3])
def test_windows_of_equal_vectors_have_no_deviation(n_tokens, level):
    # Thirds of one code each: some windows hold a change, the others must not notice.
    codebook = make_codebook(level=level)
    codes = (torch.arange(n_tokens) * 3 // n_tokens)[None] + torch.arange(7)[:, None]
    equal = torch.stack(
        [(codes[:, window] == codes[:, window][:, :1]).all(1) for window in windows(n_tokens)], 1
    )
    assert equal.any()
    for rows in (features(codes, codebook), latent(codebook[codes], axes_of(codebook))):
        assert (deviations(rows, 5)[equal] == 0).all()
        assert (deviations(rows, 5)[~equal] > 0).all()


@pytest.mark.parametrize("n_tokens", [8, 35, 64, 131, 512])
@pytest.mark.parametrize("place", [0, -1])
def test_small_deviations_from_a_large_level_are_seen(n_tokens, place):
    # A mean of squares less the square of the mean would be wrong by 0.25 here.
    level = 1000.0
    z = torch.full((3, n_tokens, 4), level)
    z[:, place] += 0.0625
    expected = deviations(pools_by_loop(z), 4)
    found = deviations(latent(z, own_axes(4)), 4)
    assert expected[:, 0].min() > 0.002
    assert_allclose(found, expected, rtol=1e-4, atol=1e-7 * level)


@pytest.mark.parametrize("n_tokens", N_TOKENS)
def test_autocovariances_are_those_by_loop(n_tokens):
    a = make_tokens(7, n_tokens)
    found = autocovariances(a)
    assert found.dtype == torch.float32
    assert_allclose(found.flatten(1), autocovariances_by_loop(a), rtol=1e-5, atol=1e-6)
    assert_array_equal((found == 0).all(2)[0], [lag >= n_tokens for lag in LAGS])


@pytest.mark.parametrize("n_tokens", N_TOKENS)
def test_time_backwards_transposes_autocovariances(n_tokens):
    a = make_tokens(7, n_tokens)
    forwards, backwards = (
        autocovariances(tokens).unflatten(2, (5, 5)) for tokens in (a, a.flip(1))
    )
    assert_allclose(backwards, forwards.transpose(2, 3), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_tokens", N_TOKENS)
def test_autocovariances_at_lag_zero_share_out_the_mean_squared_norm(n_tokens):
    a = make_tokens(7, n_tokens)
    products = autocovariances(a)[:, 0].unflatten(1, (5, 5))
    # Means of products about 1 that nearly cancel: rounding is a share of these, not of the mean.
    assert_allclose(products, products.transpose(1, 2), rtol=1e-6, atol=1e-6)
    trace = products.diagonal(dim1=1, dim2=2).sum(1)
    assert_allclose(trace, a.square().sum(2).mean(1), rtol=1e-5)


@pytest.mark.parametrize("start", [1, 13, 44])
def test_autocovariances_of_a_pattern_do_not_depend_on_where_it_is(start):
    pattern = make_tokens(7, 20)
    first, other = torch.zeros(2, 7, 64, 5)
    first[:, :20] = pattern
    other[:, start : start + 20] = pattern
    assert_allclose(autocovariances(other), autocovariances(first), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", [1e3, -1e4])
def test_a_large_common_level_leaves_autocovariances_their_precision(level):
    # About zero, products of 1e6 and more would be wrong by 0.06 and more.
    codebook, codes = make_codebook(level=level), make_codes(7, 35)
    centred = codebook.double() - codebook.double().mean(0)
    expected = autocovariances_by_loop(centred[codes] @ axes_of(codebook).directions)
    columns = autocovariance_columns(5)
    for rows in (features(codes, codebook), latent(codebook[codes], axes_of(codebook))):
        assert_allclose(rows[:, columns], expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("n_tokens", [5, 32, 35])
def test_rows_are_standardised_and_written_where_asked(n_tokens):
    codebook, codes = make_codebook(), make_codes(23, n_tokens)
    z, axes = codebook[codes], axes_of(codebook)
    for read, tokens, of in ((features, codes, codebook), (latent, z, axes)):
        raw = read(tokens, of)
        rng = np.random.default_rng(0)
        scale, offset = rng.uniform(0, 2, raw.shape[1]), rng.normal(size=raw.shape[1])
        scale[::7] = 0
        large = torch.full((30, raw.shape[1]), np.nan)
        found = read(tokens, of, Standard.of(scale, offset), large[4:27])
        assert found.data_ptr() == large[4:].data_ptr()
        assert_allclose(found, raw.numpy() * scale + offset, rtol=1e-5, atol=1e-6)
        assert large[:4].isnan().all()
        assert large[27:].isnan().all()


@pytest.mark.parametrize("n_tokens", [5, 32, 35])
@pytest.mark.parametrize("piece", [1, 3000])
def test_rows_do_not_depend_on_how_many_are_read_at_a_time(n_tokens, piece, monkeypatch):
    codebook, codes = make_codebook(), make_codes(23, n_tokens)
    together = features(codes, codebook), latent(codebook[codes], axes_of(codebook))
    monkeypatch.setattr(_readout, "_CPU_PIECE", piece)
    apart = features(codes, codebook), latent(codebook[codes], axes_of(codebook))
    for one, other in zip(together, apart, strict=True):
        assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_plan_made_in_inference_mode_serves_outside_of_it_too():
    z = torch.randn(2, 19, 4)
    with torch.inference_mode():
        expected = latent(z, own_axes(4))
    found = latent(z.clone().requires_grad_(False), own_axes(4))
    assert_array_equal(found, expected)
