"""Decoders of frames: what they give back, and that the encoder takes no notice."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import vqssl
from tests.encoders.test_encoders import ENCODERS, X, make_tones

NEW = make_tones(10, seed=1)[0]


@pytest.fixture(params=ENCODERS, ids=["cpc", "gim"])
def encoder(request):
    return clone(request.param).fit(X)


def test_decoders_give_back_more_than_the_mean(encoder):
    encoder.fit_decoder(X, max_iter=60)
    for layer in range(2):
        error = np.square(NEW - encoder.reconstruct(NEW, layer)).mean()
        assert error < 0.8 * np.square(NEW - X.mean()).mean()
    assert {f"layer_{i}_reconstruction" for i in range(2)} <= set(encoder.decoder_history_)


@pytest.mark.parametrize("channels", [None, 2])
@pytest.mark.parametrize("scaling", ["dataset", "series", None])
def test_series_come_back_in_the_fitted_shape(encoder, channels, scaling):
    series = X + 50 if channels is None else np.stack([X, -X], 1) + 50
    encoder.set_params(scaling=scaling, max_iter=2).fit(series).fit_decoder(series)
    for layer in range(2):
        back = encoder.reconstruct(series[:3], layer)
        assert back.shape == series[:3].shape
        assert back.dtype == np.float32
    frames = encoder.embed(series[:3], 0)
    assert_array_equal(
        encoder.decode(torch.from_numpy(frames), 0), encoder.reconstruct(series[:3], 0)
    )


def test_the_encoder_takes_no_notice(encoder):
    before = {name: value.clone() for name, value in encoder.model_.state_dict().items()}
    history, rows = encoder.history_, encoder.transform(X)
    encoder.fit_decoder(X, max_iter=3)
    assert all(torch.equal(before[k], v) for k, v in encoder.model_.state_dict().items())
    assert encoder.history_ is history
    assert_array_equal(encoder.transform(X), rows)


def test_the_same_seed_gives_the_same_decoders(encoder):
    first = encoder.fit_decoder(X, max_iter=3).reconstruct(NEW)
    assert_array_equal(first, encoder.fit_decoder(X, max_iter=3).reconstruct(NEW))


def test_a_traverse_passes_through_the_reconstruction(encoder):
    encoder.fit_decoder(X, max_iter=3)
    grid = encoder.traverse(NEW[:2], layer=1, units=[3, 0, 5], n_steps=5, span=3.0)
    assert grid.shape == (2, 3, 5, 64)
    still = encoder.reconstruct(NEW[:2], 1)
    for j in range(3):
        assert_allclose(grid[:, j, 2], still, rtol=1e-5, atol=1e-6)
    frames = encoder.embed(NEW[:2], 1)
    frames[:, :, 0] += 3.0 * np.sqrt(encoder.variance_per_dimension_[1, 0])
    assert_allclose(grid[:, 1, 4], encoder.decode(frames, 1), rtol=1e-4, atol=1e-5)
    assert encoder.traverse(NEW[:2]).shape == (2, 4, 7, 64)


def test_units_are_ranked_by_their_variance(encoder):
    units = encoder.rank_units(0)
    assert sorted(units) == list(range(8))
    assert (np.diff(encoder.variance_per_dimension_[0][units]) <= 0).all()


def test_decoders_are_saved_and_end_with_the_next_fit(encoder, tmp_path):
    back = encoder.fit_decoder(X, max_iter=3).reconstruct(NEW)
    encoder.save(tmp_path / "encoder.vqssl")
    assert_array_equal(vqssl.load(tmp_path / "encoder.vqssl").reconstruct(NEW), back)
    encoder.set_params(max_iter=2).fit(X)
    with pytest.raises(NotFittedError, match=r"has no decoders; call fit_decoder\(X\) first"):
        encoder.reconstruct(NEW)
    assert not hasattr(encoder, "decoder_history_")


def test_what_cannot_be_decoded_is_refused(encoder):
    with pytest.raises(NotFittedError, match="has no decoders"):
        encoder.decode(encoder.embed(NEW))
    encoder.fit_decoder(X, max_iter=2)
    frames = encoder.embed(NEW, 0)
    with pytest.raises(
        ValueError, match=r"frames must have shape \(n_samples, 32, 8\); got \(10, 3"
    ):
        encoder.decode(frames[:, :3], 0)
    frames[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="frames must be finite"):
        encoder.decode(frames, 0)
    with pytest.raises(TypeError, match="frames must hold real numbers; got an array of object"):
        encoder.decode(frames.astype(object), 0)
    with pytest.raises(ValueError, match=r"units must lie in \[0, 8\); got \[8\]"):
        encoder.traverse(NEW, units=[8])
    with pytest.raises(TypeError, match="units must be whole numbers"):
        encoder.traverse(NEW, units=[0.5])
    with pytest.raises(ValueError, match="n_steps must be an integer of at least 2"):
        encoder.traverse(NEW, n_steps=1)
    with pytest.raises(ValueError, match="span must be a finite number above 0"):
        encoder.traverse(NEW, span=0.0)


def test_pooled_rows_have_no_inverse(encoder):
    assert not hasattr(encoder, "inverse_transform")
