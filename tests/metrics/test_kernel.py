"""Kernel distance: the sum it stands for, no bias, and a test that errs as often as it says."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binom, kstest

from vqssl.metrics import kernel_distance

KERNELS = ["polynomial", "rbf"]

every_kernel = pytest.mark.parametrize("kernel", KERNELS)


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@st.composite
def pairs(draw):
    """Two sets (n, d) and (m, d) of whole numbers, often with equal rows."""
    n, m, d = draw(st.integers(2, 6)), draw(st.integers(2, 6)), draw(st.integers(1, 4))
    whole = st.integers(-2, 2).map(float)
    real, synthetic = (draw(hnp.arrays(np.float64, (k, d), elements=whole)) for k in (n, m))
    return real, synthetic


def by_loops(real, synthetic, kernel):
    """The unbiased estimate as a sum over pairs."""
    rows = [*real, *synthetic]
    distances = [
        math.dist(x, y) for i, x in enumerate(rows) for y in rows[:i] if math.dist(x, y) > 0
    ]
    scale = np.median(distances) if distances else 1

    def k(x, y):
        if kernel == "rbf":
            return math.exp(-(math.dist(x, y) ** 2) / (2 * scale**2))
        return (sum(x * y) / len(x) + 1) ** 3

    def within(rows):
        values = [k(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
        return sum(values) / len(values)

    between = sum(k(x, y) for x in real for y in synthetic) / (len(real) * len(synthetic))
    return within(real) + within(synthetic) - 2 * between


@every_kernel
@given(pair=pairs())
def test_the_value_is_the_sum_over_pairs(kernel, pair):
    expected = by_loops(*pair, kernel)
    assert kernel_distance(*pair, kernel=kernel) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_value_is_that_of_torchmetrics():
    kid = pytest.importorskip("torchmetrics.image.kid", reason="torchmetrics is not installed")
    # It takes sets of one size only.
    real, synthetic = normals(50, 8, seed=1), 1.5 * normals(50, 8, seed=2) + 0.2
    expected = float(kid.poly_mmd(torch.from_numpy(real), torch.from_numpy(synthetic)))
    assert kernel_distance(real, synthetic) == pytest.approx(expected, rel=1e-9)


@every_kernel
@given(pair=pairs())
def test_distance_is_symmetric(kernel, pair):
    there = kernel_distance(*pair, kernel=kernel)
    back = kernel_distance(*reversed(pair), kernel=kernel)
    assert there == pytest.approx(back, rel=1e-9, abs=1e-9)


@given(seed=st.integers(0, 100), scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_rbf_sees_neither_position_nor_rotation_nor_scale(seed, scale, shift):
    real, synthetic = normals(9, 3, seed=1), normals(7, 3, seed=2) + 0.5
    rotation = np.linalg.qr(normals(3, 3, seed=seed))[0]
    moved = [scale * (rows @ rotation) + shift for rows in (real, synthetic)]
    expected = kernel_distance(real, synthetic, kernel="rbf")
    assert kernel_distance(*moved, kernel="rbf") == pytest.approx(expected, rel=1e-9)


@every_kernel
def test_rows_that_are_all_equal_are_at_no_distance(kernel):
    rows = np.ones((4, 2))
    assert kernel_distance(rows, rows, kernel=kernel) == pytest.approx(0, abs=1e-12)
    assert kernel_distance(rows, rows, kernel=kernel, return_p_value=True)[1] == 1


# ---------------------------------------------------------------- bias and test


@pytest.mark.statistical
@every_kernel
@pytest.mark.parametrize(("n", "m"), [(3, 3), (10, 4)])
def test_the_mean_is_zero_under_equality_for_few_rows(kernel, n, m):
    draws = [
        kernel_distance(normals(n, 4, seed=seed), normals(m, 4, seed=5000 + seed), kernel=kernel)
        for seed in range(1000)
    ]
    assert min(draws) < 0 < max(draws)
    assert abs(np.mean(draws)) < 4 * np.std(draws) / math.sqrt(len(draws))


@pytest.mark.statistical
def test_the_mean_is_the_known_distance_of_two_points():
    # Rows that are 1 or -1 with P(1) = p: E k(x, y) = 4 + 4 E x E y for the polynomial kernel.
    generator = np.random.default_rng(0)
    p, q = 0.9, 0.4
    draws = [
        kernel_distance(*(2.0 * (generator.random((6, 1)) < share) - 1 for share in (p, q)))
        for _ in range(1000)
    ]
    expected = 4 * (2 * p - 2 * q) ** 2
    assert abs(np.mean(draws) - expected) < 4 * np.std(draws) / math.sqrt(len(draws))


@pytest.mark.statistical
@every_kernel
def test_p_values_are_uniform_under_equality(kernel):
    generator = np.random.default_rng(0)
    p_values = [
        kernel_distance(
            generator.standard_normal((15, 3)),
            generator.standard_normal((12, 3)),
            kernel=kernel,
            return_p_value=True,
            n_permutations=99,
            random_state=seed,
        )[1]
        for seed in range(300)
    ]
    assert kstest(p_values, "uniform").pvalue > 1e-3
    rejected = sum(p <= 0.05 for p in p_values)
    assert binom.cdf(rejected, 300, 0.05) > 1e-3
    assert binom.sf(rejected - 1, 300, 0.05) > 1e-3


@every_kernel
@pytest.mark.parametrize("change", [lambda x: x + 1, lambda x: 2 * x])
def test_p_value_is_the_least_possible_under_a_difference(kernel, change):
    real, synthetic = normals(60, 5, seed=1), change(normals(60, 5, seed=2))
    _, p_value = kernel_distance(
        real, synthetic, kernel=kernel, return_p_value=True, n_permutations=49, random_state=0
    )
    assert p_value == pytest.approx(1 / 50)


def test_only_rbf_sees_a_difference_beyond_the_third_moment():
    # Signs have the mean, variance and skewness of a normal variable.
    real = normals(300, 1, seed=1)
    synthetic = np.sign(normals(300, 1, seed=2))
    arguments = {"return_p_value": True, "random_state": 0}
    assert kernel_distance(real, synthetic, kernel="polynomial", **arguments)[1] > 0.05
    assert kernel_distance(real, synthetic, kernel="rbf", **arguments)[1] < 0.01


@every_kernel
@given(seed=st.integers(0, 1000))
def test_permutations_that_find_the_same_sets_count(kernel, seed):
    # Of 6 ways to choose 2 of 4 rows, 2 give these two sets: the p-value is 1/3, not less.
    real, synthetic = [[0.1, 0.3], [0.2, 0.1]], [[5.3, 5.1], [5.7, 5.2]]
    _, p_value = kernel_distance(
        real, synthetic, kernel=kernel, return_p_value=True, n_permutations=900, random_state=seed
    )
    assert abs(p_value - 1 / 3) < 5 * math.sqrt(2 / 9 / 900)


def test_the_p_value_does_not_change_the_distance():
    real, synthetic = normals(20, 3, seed=1), normals(30, 3, seed=2)
    with_p_value = kernel_distance(real, synthetic, return_p_value=True, random_state=0)
    assert with_p_value[0] == kernel_distance(real, synthetic)


def test_kernel_must_be_known():
    with pytest.raises(ValueError, match="kernel must be 'polynomial' or 'rbf'; got 'linear'"):
        kernel_distance(normals(5, 2), normals(5, 2), kernel="linear")
