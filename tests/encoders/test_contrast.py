"""InfoNCE over future steps: against plain loops, by hand, and what its negatives are."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from tests import reference
from vqssl._seed import make_generator
from vqssl.encoders._contrast import (
    Candidates,
    Predictions,
    contrast,
    future_contrast,
    judged_contrast,
    left_out,
)
from vqssl.encoders._modules import automatic_compression, frame_counts, split_compression


def predictions(weights):
    module = Predictions(*weights.shape)
    module.weight.data = torch.from_numpy(weights)
    return module


def random_case(seed, n_series=3, n_frames=6, n_steps=2, dims=(4, 5)):
    rng = np.random.default_rng(seed)
    frames = rng.normal(size=(n_series, n_frames, dims[0]))
    context = rng.normal(size=(n_series, n_frames, dims[1]))
    return context, frames, rng.normal(size=(n_steps, *dims)) / 4


@given(st.integers(0, 2**31), st.integers(1, 30))
def test_the_loss_is_that_of_plain_loops(seed, n_negatives):
    context, frames, weights = random_case(seed)
    places = torch.randperm(18, generator=make_generator(seed))[: n_negatives + 1]
    expected, negatives = reference.future_infonce(context, frames, weights, places.tolist())
    given = torch.from_numpy(context), torch.from_numpy(frames)
    loss = future_contrast(*given, predictions(weights), n_negatives, make_generator(seed))
    assert_allclose(loss.item(), expected, rtol=1e-6)
    assert {len(some) for some in negatives} == {min(n_negatives, 17)}
    drawn = Candidates(given[1].flatten(0, 1)[places], places)
    judged = judged_contrast(*given, predictions(weights), 0, drawn)
    assert_allclose(judged.mean().item(), expected, rtol=1e-6)


def test_one_prediction_by_hand():
    # z^T W c is 2 for the positive and 0 for each of the three negatives.
    candidates = Candidates(torch.tensor([[0.0], [2.0], [0.0], [0.0]]), torch.tensor([5, 7, 1, 0]))
    loss = contrast(torch.ones(1, 1), torch.full((1, 1), 2.0), torch.tensor([7]), candidates)
    assert_allclose(loss.item(), math.log(1 + 3 * math.exp(-2)), rtol=1e-6)


def test_without_information_the_loss_is_log_n():
    context, frames, weights = map(torch.from_numpy, random_case(0))
    silent = predictions(0 * weights.numpy())
    loss = future_contrast(context, frames, silent, 9, make_generator(0))
    assert_allclose(loss.item(), math.log(10), rtol=1e-6)


@given(st.integers(0, 2**31), st.integers(2, 200), st.integers(1, 50))
def test_negatives_are_as_many_for_all_and_never_contain_the_positive(seed, n_places, n_negatives):
    generator = make_generator(seed)
    places = torch.randperm(n_places, generator=generator)[: n_negatives + 1]
    positive = torch.arange(n_places)
    kept = ~left_out(positive, places)  # (R, J + 1)
    assert set(kept.sum(1).tolist()) == {len(places) - 1}
    for place, row in zip(positive, kept, strict=True):
        assert place not in places[row]
        assert len(places[row].unique()) == len(places) - 1


def test_many_contexts_are_a_fair_sample_of_all():
    context, frames, weights = random_case(0, n_series=40, n_frames=40)
    given = torch.from_numpy(context), torch.from_numpy(frames), predictions(weights)
    # 79 negatives of 1,600 frames; the draws of candidates and contexts average out.
    draws = [future_contrast(*given, 79, make_generator(seed)).item() for seed in range(100)]
    places = torch.arange(0, 1600, 20)
    candidates = Candidates(given[1].flatten(0, 1)[places], places)
    assert_allclose(np.mean(draws), judged_contrast(*given, 0, candidates).mean().item(), rtol=0.03)
    assert np.std(draws) > 0


def test_a_loss_without_a_step_is_zero_and_has_a_gradient():
    frames = torch.ones(3, 1, 4, requires_grad=True)
    loss = future_contrast(frames, frames, Predictions(0, 4, 4), 5, make_generator(0))
    loss.backward()
    assert loss.item() == 0
    assert (frames.grad == 0).all()


@given(st.integers(1, 5000), st.integers(1, 6))
def test_strides_multiply_to_the_compression(compression, n_modules):
    strides = split_compression(compression, n_modules)
    assert math.prod(strides) == compression
    assert len(strides) == n_modules
    assert strides == sorted(strides, reverse=True)


@given(st.integers(1, 20_000), st.integers(1, 5))
def test_frames_cover_the_series_and_more_than_one_can_be_predicted(length, n_modules):
    compression = automatic_compression(length)
    counts = frame_counts(length, split_compression(compression, n_modules))
    assert counts[-1] == -(-length // compression)
    assert counts[-1] >= min(length, 2)


@pytest.mark.parametrize(
    ("length", "expected"),
    [(7, 1), (8, 2), (64, 2), (65, 4), (362, 4), (363, 8), (512, 8), (4096, 64)],
)
def test_long_series_have_about_64_frames(length, expected):
    assert automatic_compression(length) == expected


@pytest.mark.parametrize(
    ("compression", "strides"), [(64, [4, 4, 4]), (12, [3, 2, 2]), (7, [7, 1, 1])]
)
def test_strides_are_even(compression, strides):
    assert split_compression(compression, 3) == strides
