"""KL, active units and total correlation of Gaussian posteriors: formulas and known Gaussians."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.integrate import quad
from scipy.stats import norm, ortho_group

from vqssl.metrics import active_units, kl_divergence, total_correlation


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def white(n, d, seed=0):
    """Rows with a mean of 0 and a covariance of the identity, exactly."""
    rows = normals(n, d, seed=seed)
    return np.linalg.qr(rows - rows.mean(axis=0))[0] * math.sqrt(n)


# ---------------------------------------------------------------- KL divergence


def test_the_prior_itself_costs_nothing():
    assert (kl_divergence(np.zeros((3, 2)), np.ones((3, 2))) == 0).all()


@pytest.mark.parametrize(("mean", "variance"), [(0.5, 0.2), (-1.5, 1.0), (0.0, 3.0)])
def test_the_divergence_is_the_integral(mean, variance):
    def integrand(x):
        log_q = norm.logpdf(x, mean, math.sqrt(variance))
        return math.exp(log_q) * (log_q - norm.logpdf(x))

    expected = quad(integrand, -15, 15)[0]
    assert kl_divergence([[mean]], [[variance]])[0, 0] == pytest.approx(expected, abs=1e-7)


@given(
    hnp.arrays(np.float64, (3, 2), elements=st.floats(-5, 5)),
    hnp.arrays(np.float64, (3, 2), elements=st.floats(1e-3, 10)),
)
def test_the_sum_over_dimensions_is_that_of_torch(mean, variance):
    found = kl_divergence(mean, variance)
    posterior = torch.distributions.Normal(*map(torch.from_numpy, (mean, np.sqrt(variance))))
    prior = torch.distributions.Normal(torch.zeros(2, dtype=torch.float64), 1.0)
    expected = torch.distributions.kl_divergence(posterior, prior).sum(dim=1)
    np.testing.assert_allclose(found.sum(axis=1), expected, atol=1e-9)
    assert (found > -1e-12).all()
    assert (found.shape, found.dtype) == ((3, 2), np.float64)


@pytest.mark.parametrize(
    ("mean", "variance", "problem"),
    [
        ([[0.0, 1.0]], [[1.0, 0.0]], r"variance must be above 0; got 0.0 at \(0, 1\)"),
        ([[0.0]], [[-1.0]], r"variance must be above 0; got -1.0 at \(0, 0\)"),
        ([[0.0]], [[1.0], [1.0]], "variance must have as many rows as mean, 1; got 2"),
        ([[0.0]], [[1.0, 1.0]], r"variance must have rows of the same shape as mean, \(1,\)"),
        ([0.0], [1.0], r"mean must have shape \(n_samples, n_dimensions\); got 1 axes"),
        ([[np.inf]], [[1.0]], "mean must be finite; got inf"),
    ],
)
def test_what_is_no_posterior_is_refused(mean, variance, problem):
    with pytest.raises(ValueError, match=problem):
        kl_divergence(mean, variance)


# ---------------------------------------------------------------- active units


def test_units_are_active_above_the_threshold_of_variance():
    scales = np.sqrt([0, 0.009, 0.011, 1, 9])
    rows = white(50, 5) * scales + 7
    assert active_units(rows) == 3
    assert active_units(rows, threshold=2) == 1
    assert active_units(rows, threshold=0.0) >= 4


def test_active_units_check_their_arguments():
    with pytest.raises(ValueError, match="threshold must be a finite number of at least 0; got -1"):
        active_units(normals(5, 2), threshold=-1)
    with pytest.raises(TypeError, match="threshold must be a finite number"):
        active_units(normals(5, 2), threshold="auto")
    with pytest.raises(ValueError, match="mean must have 2 or more rows; got 1"):
        active_units(normals(1, 2))


# ---------------------------------------------------------------- total correlation


@pytest.mark.parametrize("correlation", [0.0, 0.3, -0.8, 0.999])
def test_two_dimensions_have_the_information_of_their_correlation(correlation):
    first, second = white(100, 2).T
    rows = np.stack([first, correlation * first + math.sqrt(1 - correlation**2) * second], axis=1)
    expected = -math.log(1 - correlation**2) / 2
    assert total_correlation(rows) == pytest.approx(expected, abs=1e-9)


@given(seed=st.integers(0, 100))
def test_the_value_is_the_formula(seed):
    rows = normals(30, 4, seed=seed) @ normals(4, 4, seed=seed + 1)
    covariance = np.cov(rows, rowvar=False)
    expected = (np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1]) / 2
    assert total_correlation(rows) == pytest.approx(expected, rel=1e-6)


@given(seed=st.integers(0, 100))
def test_scale_position_and_order_of_dimensions_do_not_matter(seed):
    generator = np.random.default_rng(seed)
    rows = normals(40, 4) @ normals(4, 4, seed=1)
    moved = 10 ** generator.uniform(-4, 4, 4) * rows[:, generator.permutation(4)] + 3
    assert total_correlation(moved) == pytest.approx(total_correlation(rows), rel=1e-5)


def test_a_rotation_of_equal_variances_changes_nothing_and_of_others_does():
    rotation = ortho_group.rvs(3, random_state=0)
    assert total_correlation(white(100, 3) @ rotation) == pytest.approx(0, abs=1e-9)
    assert total_correlation(white(100, 3) * [1, 2, 3] @ rotation) > 0.1


def test_posterior_variances_are_added_to_the_diagonal():
    rows, variance = white(100, 2) @ [[1, 0.8], [0, 0.6]], np.full((100, 2), 0.25)
    variance[:50] += 0.5  # mean .5
    expected = -math.log(1 - (0.8 / 1.5) ** 2) / 2
    assert total_correlation(rows, variance=variance) == pytest.approx(expected)


def test_constant_dimensions_are_left_out():
    rows = normals(30, 3) @ normals(3, 3, seed=1)
    expected = total_correlation(rows)
    with_constants = np.insert(rows, [1, 3], [0.1, 1e9], axis=1)
    assert total_correlation(with_constants) == pytest.approx(expected)
    assert total_correlation(np.full((5, 9), 0.1)) == 0
    assert total_correlation(rows[:, :1]) == 0
    # With variances they are dimensions like others.
    posterior = total_correlation(with_constants, variance=np.ones(with_constants.shape))
    assert posterior == pytest.approx(total_correlation(rows, variance=np.ones(rows.shape)))


def test_a_dimension_that_others_determine_has_no_end():
    rows = normals(30, 2)
    assert total_correlation(np.c_[rows, rows.sum(axis=1)]) == math.inf
    assert total_correlation(np.c_[rows, 3 * rows[:, 0] - 1]) == math.inf
    assert total_correlation(np.c_[rows, rows], variance=np.ones((30, 4))) < 2


def test_more_dimensions_than_rows_need_variances():
    rows = normals(4, 4)
    problem = "representation must have more rows than its 4 dimensions that vary; got 4"
    with pytest.raises(ValueError, match=problem):
        total_correlation(rows)
    assert 0 < total_correlation(rows, variance=np.ones((4, 4))) < math.inf
    with pytest.raises(ValueError, match="variance must have as many rows as representation, 4"):
        total_correlation(rows, variance=np.ones((3, 4)))


@pytest.mark.statistical
def test_the_floor_is_that_of_independent_dimensions():
    n, d = 300, 6
    mixed = normals(n, d) @ normals(d, d, seed=1)
    found, floor = total_correlation(mixed, return_floor=True, random_state=0)
    independent = [total_correlation(normals(n, d, seed=seed)) for seed in range(50)]
    bias = d * (d - 1) / (4 * n)
    assert found == total_correlation(mixed) > 1
    assert np.mean(independent) == pytest.approx(bias, rel=0.2)
    assert floor == pytest.approx(bias, rel=0.5)


def test_a_seed_decides_the_floor_alone():
    rows = normals(20, 3)
    first = total_correlation(rows, return_floor=True, random_state=0)
    assert total_correlation(rows, return_floor=True, random_state=0) == first
    assert total_correlation(rows, return_floor=True, random_state=1)[1] != first[1]
    assert {type(number) for number in first} == {float}
    generator = np.random.RandomState(0)
    total_correlation(rows, random_state=generator)
    assert generator.randint(1000) == np.random.RandomState(0).randint(1000)
