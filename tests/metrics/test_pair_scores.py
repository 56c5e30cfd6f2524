"""BetaVAE and FactorVAE scores: what they draw, and cases that can be counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqssl.metrics import _shared_value as shared_value
from vqssl.metrics import beta_vae_score, factor_vae_score
from vqssl.metrics._beta_vae import mean_differences
from vqssl.metrics._factor_vae import count_votes
from vqssl.metrics._shared_value import SharedValue, blocks_by_factor, group_rows

BOTH = [beta_vae_score, factor_vae_score]
FEW = {"n_train": 300, "n_test": 300, "random_state": 0}

values = st.lists(st.integers(0, 3), min_size=5, max_size=30)  # some value comes twice


# ---------------------------------------------------------------- rows that share a value


@given(values, st.integers(0, 100))
def test_drawn_rows_share_their_value_and_are_not_unique(values, seed):
    values = np.array(values)
    generator = np.random.RandomState(seed)
    group = SharedValue(values)
    rows = group.draw((40, 2), generator)
    like, other = group.draw_like(rows, generator), group.draw_other(rows, generator)
    assert (values[like] == values[rows]).all()
    assert (values[other] == values[rows]).all()
    assert (other != rows).all()
    counts = {value: int((values == value).sum()) for value in set(values)}
    assert all(counts[value] > 1 for value in values[rows].ravel())


def test_every_row_and_every_partner_is_drawn_equally_often():
    group = SharedValue(np.array([5, 0, 5, 9, 5, 0]))
    generator = np.random.RandomState(0)
    rows = group.draw((20_000,), generator)
    np.testing.assert_allclose(np.bincount(rows, minlength=6) / 4000, [1, 1, 1, 0, 1, 1], atol=0.06)
    fives = np.zeros(9000, dtype=int)
    other = np.bincount(group.draw_other(fives, generator), minlength=6)
    np.testing.assert_allclose(other / 4500, [0, 0, 1, 0, 1, 0], atol=0.06)
    like = np.bincount(group.draw_like(fives, generator), minlength=6)
    np.testing.assert_allclose(like / 3000, [1, 0, 1, 0, 1, 0], atol=0.06)


@given(
    n_points=st.integers(1, 50),
    n_factors=st.integers(1, 6),
    point_size=st.integers(1, 30),
    block=st.integers(1, 60),
)
def test_points_are_shared_evenly_in_blocks_that_fit(n_points, n_factors, point_size, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_value, "_BLOCK", block)
        blocks = list(blocks_by_factor(n_points, n_factors, point_size))
    counts = np.zeros(n_factors, dtype=int)
    for factor, n_block in blocks:
        assert n_block == 1 or n_block * point_size <= block
        counts[factor] += n_block
    assert counts.sum() == n_points
    assert np.ptp(counts) <= 1


def test_blocks_change_nothing_but_the_draws(monkeypatch):
    factors = np.random.default_rng(0).integers(4, size=(200, 3))
    monkeypatch.setattr(shared_value, "_BLOCK", 1000)
    for score in BOTH:
        assert score(factors, factors, **FEW) == 1


@pytest.mark.parametrize("score", BOTH)
def test_values_that_are_all_different_cannot_be_shared(score):
    factors = np.stack([np.arange(20) % 4, np.arange(20)], axis=1)
    problem = "factors must have values that two or more rows share; those of column 1 are all"
    with pytest.raises(ValueError, match=problem):
        score(factors, factors)
    factors[0, 1] = 1
    assert 0 <= score(factors, factors, **FEW) <= 1


# ---------------------------------------------------------------- points and votes


def test_a_shared_factor_has_no_difference_and_others_have_their_mean_one():
    factors = np.random.default_rng(0).integers(4, size=(500, 2))
    generator = np.random.RandomState(0)
    points, shared = mean_differences(factors, group_rows(factors), 64, 400, generator)
    assert np.bincount(shared).tolist() == [200, 200]
    assert (points[np.arange(400), shared] == 0).all()
    # Two of 0, 1, 2, 3 are 20/16 apart on average.
    assert points[np.arange(400), 1 - shared].mean() == pytest.approx(1.25, abs=0.05)


def test_votes_go_to_the_dimension_that_keeps_still():
    factors = np.random.default_rng(0).integers(4, size=(500, 3))
    groups = group_rows(factors)
    votes = count_votes(factors[:, [2, 0, 1]], groups, 64, 400, np.random.RandomState(0))
    expected = np.array([[0, 134, 0], [0, 0, 133], [133, 0, 0]])
    np.testing.assert_array_equal(votes, expected)


# ---------------------------------------------------------------- scores that can be counted


def test_two_factors_in_one_dimension_are_told_half_the_time_by_factor_vae():
    factors = np.random.default_rng(0).integers(4, size=(500, 2))
    assert factor_vae_score(factors.sum(axis=1)[:, None], factors, **FEW) == 0.5


@pytest.mark.statistical
def test_a_factor_without_a_dimension_is_seen_by_one_score_only():
    factors = np.random.default_rng(0).integers(4, size=(500, 3))
    assert beta_vae_score(factors[:, :2], factors, **FEW) > 0.95
    assert factor_vae_score(factors[:, :2], factors, **FEW) == pytest.approx(2 / 3, abs=0.02)


@pytest.mark.statistical
def test_a_dimension_that_is_nearly_constant_counts_like_others():
    factors = np.random.default_rng(0).integers(4, size=(500, 2))
    noise = 1e-3 * np.random.default_rng(1).standard_normal((500, 3))
    assert factor_vae_score(np.hstack([factors, noise]), factors, **FEW) == 1
    assert factor_vae_score(np.hstack([1e-3 * factors, noise]), factors, **FEW) == 1


@pytest.mark.statistical
def test_pairs_that_the_classifier_knows_again_raise_the_floor_as_well():
    generator = np.random.default_rng(0)
    factors = np.stack([generator.integers(2, size=600), np.arange(600) // 3], axis=1)
    noise = generator.standard_normal((600, 8))
    score, floor = beta_vae_score(noise, factors, return_floor=True, **FEW)
    assert score > 0.55
    assert score == pytest.approx(floor, abs=0.1)
