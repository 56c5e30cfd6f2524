"""Memorisation ratio: copies, new series, and what lies between."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqssl.metrics import memorization_ratio


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@given(n=st.integers(1, 6), m=st.integers(1, 6), t=st.integers(1, 6), d=st.integers(1, 4))
def test_the_ratio_is_that_of_mean_distances(n, m, t, d):
    train, synthetic, test = (normals(k, d, seed=seed) for seed, k in enumerate((n, m, t)))

    def mean_nearest(rows):
        return sum(min(math.dist(row, other) for other in train) for row in rows) / len(rows)

    expected = mean_nearest(synthetic) / mean_nearest(test)
    assert memorization_ratio(train, synthetic, test) == pytest.approx(expected, rel=1e-9)


def test_copies_give_zero_exactly():
    train, test = 1e3 * normals(50, 2, 30, seed=1), normals(50, 2, 30, seed=2)
    assert memorization_ratio(train, train[::-2], test) == 0


def test_the_test_series_themselves_give_one():
    train, test = normals(50, 8, seed=1), normals(20, 8, seed=2)
    assert memorization_ratio(train, test[::-1], test) == pytest.approx(1)


@pytest.mark.statistical
def test_new_series_give_about_one():
    ratios = [memorization_ratio(*normals(3, 60, 10, seed=seed)) for seed in range(50)]
    assert abs(np.mean(ratios) - 1) < 4 * np.std(ratios) / math.sqrt(50)


def test_half_copies_give_half():
    train, test = normals(50, 8, seed=1), normals(20, 8, seed=2)
    mixed = np.concatenate([test, train[:20]])
    assert memorization_ratio(train, mixed, test) == pytest.approx(0.5)


@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10), seed=st.integers(0, 100))
def test_scale_shift_and_order_do_not_matter(scale, shift, seed):
    sets = [normals(9, 4, seed=k) for k in range(3)]
    order = np.random.default_rng(seed).permutation(9)
    moved = [scale * rows[order] + shift for rows in sets]
    assert memorization_ratio(*moved) == pytest.approx(memorization_ratio(*sets), rel=1e-6)


def test_test_series_must_not_all_be_copies():
    train = normals(20, 5)
    with pytest.raises(ValueError, match="test must have series that are not in train; all of"):
        memorization_ratio(train, normals(20, 5, seed=1), train[3:])


def test_errors_name_the_set():
    train, synthetic = normals(20, 5), normals(20, 5, seed=1)
    with pytest.raises(ValueError, match=r"test must have series of the same shape as train"):
        memorization_ratio(train, synthetic, normals(20, 6))
    with pytest.raises(ValueError, match="synthetic must have 1 or more series; got 0"):
        memorization_ratio(train, synthetic[:0], synthetic)
    with pytest.raises(ValueError, match="train must hold real numbers"):
        memorization_ratio([["a"]], [[1.0]], [[2.0]])
