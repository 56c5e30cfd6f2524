"""Gap of mutual information and modularity: bins, matrices that are known, monotone maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from vqssl.metrics import modularity_score, mutual_information_gap
from vqssl.metrics._binned_information import (
    BINS,
    information_matrix,
    quantile_bins,
    uniform_bins,
)
from vqssl.metrics._modularity import modularity_of_information
from vqssl.metrics._mutual_information_gap import gap_of_information

SCORES = [mutual_information_gap, modularity_score]
every_score = pytest.mark.parametrize("score", SCORES, ids=lambda score: score.__name__)


def make_factors(n=400, n_values=(3, 4, 5), seed=0):
    generator = np.random.default_rng(seed)
    return np.stack([generator.integers(k, size=n) for k in n_values], axis=1)


# ---------------------------------------------------------------- bins


def test_quantile_bins_hold_equally_many_different_numbers():
    rows = np.random.default_rng(0).standard_normal((200, 3))
    for bins in quantile_bins(rows, 20).T:
        assert np.bincount(bins).tolist() == [10] * 20


@given(st.lists(st.integers(0, 7), min_size=1, max_size=60), st.integers(2, 20))
def test_equal_numbers_share_a_bin_and_bins_are_in_order(column, n_bins):
    rows = np.array(column, dtype=float)[:, None]
    for name in BINS:
        bins = BINS[name](rows, n_bins)[:, 0]
        assert (bins >= 0).all()
        assert (bins < n_bins).all()
        order = np.argsort(column, kind="stable")
        assert (np.diff(bins[order]) >= 0).all()
        for value in set(column):
            assert len(set(bins[rows[:, 0] == value])) == 1


def test_values_that_a_twentieth_of_the_rows_share_keep_bins_of_their_own():
    column = np.repeat([0, 1, 2, 3], [50, 51, 149, 750])[:, None]
    assert len(np.unique(quantile_bins(column, 20))) == 4


@pytest.mark.parametrize("n_bins", [2, 7, 20])
def test_uniform_bins_are_those_of_a_histogram(n_bins):
    column = np.random.default_rng(0).standard_normal(500)
    counts = np.bincount(uniform_bins(column[:, None], n_bins)[:, 0], minlength=n_bins)
    np.testing.assert_array_equal(counts, np.histogram(column, n_bins)[0])


# ---------------------------------------------------------------- matrices


def test_the_matrix_holds_the_information_of_scikit_learn():
    bins, factors = make_factors(60, (5, 9), seed=1), make_factors(60, (3, 4, 6)) - 2
    found = information_matrix(bins, factors)
    for (i, j), information in np.ndenumerate(found):
        expected = mutual_info_score(bins[:, i], factors[:, j])
        assert information == pytest.approx(expected, abs=1e-12)
    assert found.shape == (2, 3)


@pytest.mark.parametrize("n_factors", [2, 3, 7])
def test_each_factor_once_is_perfect_and_each_twice_has_no_gap(n_factors):
    once, entropies = np.diag(np.arange(1.0, n_factors + 1)), np.arange(1.0, n_factors + 1)
    twice = np.vstack([once, once])
    assert gap_of_information(once, entropies) == 1
    assert gap_of_information(twice, entropies) == 0
    assert modularity_of_information(once) == modularity_of_information(twice) == 1


@pytest.mark.parametrize("n_dims", [2, 3, 7])
def test_two_factors_in_each_dimension_have_a_known_modularity(n_dims):
    both = np.hstack([np.eye(n_dims), np.eye(n_dims)])
    assert modularity_of_information(both) == pytest.approx(1 - 1 / (2 * n_dims - 1))
    assert gap_of_information(both, np.ones(2 * n_dims)) == 1


def test_equal_information_has_no_modularity_and_no_information_counts_nothing():
    assert modularity_of_information(np.ones((3, 4))) == 0
    assert modularity_of_information(np.zeros((3, 4))) == 0
    assert modularity_of_information(np.array([[1.0, 0.0], [0.0, 0.0]])) == 0.5
    assert gap_of_information(np.zeros((3, 4)), np.ones(4)) == 0


# ---------------------------------------------------------------- monotone maps


@every_score
@given(seed=st.integers(0, 100))
def test_increasing_maps_change_nothing_with_quantile_bins(score, seed):
    factors = make_factors(100)
    code = factors + np.random.default_rng(seed).standard_normal((100, 3))
    maps = [np.exp, np.cbrt, lambda x: x**3 + x]
    mapped = np.stack([f(column) for f, column in zip(maps, code.T, strict=True)], axis=1)
    assert score(mapped, factors) == score(code, factors)
    assert score(-code, factors) == pytest.approx(score(code, factors), abs=1e-12)


@every_score
def test_bins_of_equal_width_see_monotone_maps(score):
    factors = make_factors(2000)
    code = factors + 0.5 * np.random.default_rng(1).standard_normal((2000, 3))
    mapped = np.exp(4 * code)
    assert score(mapped, factors) == score(code, factors)
    uniform = score(code, factors, bins="uniform")
    assert uniform == pytest.approx(score(code, factors), abs=0.05)
    assert abs(score(mapped, factors, bins="uniform") - uniform) > 0.02


@pytest.mark.parametrize("bins", BINS)
def test_the_number_of_bins_counts(bins):
    factors = make_factors(2000, (8, 8))
    # Two bins hold one bit of the three.
    gap = mutual_information_gap(factors, factors, bins=bins, n_bins=2)
    assert gap == pytest.approx(1 / 3, abs=0.02)
    assert mutual_information_gap(factors, factors, bins=bins) > 0.98
