"""Frechet distance: the formula, its invariances, its bias, and what is left without it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.linalg import sqrtm

from vqssl.metrics import frechet_distance

numbers = st.floats(-8, 8, width=32)


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@st.composite
def pairs(draw):
    """Two sets (n, d) and (m, d): of any rank, with fewer or more rows than features."""
    n, m, d = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 5))
    real, synthetic = (draw(hnp.arrays(np.float64, (k, d), elements=numbers)) for k in (n, m))
    return real, synthetic


def white(n, d, seed=0):
    """Rows with a mean of 0 and a covariance of the identity, exactly."""
    rows = normals(n, d, seed=seed)
    q = np.linalg.qr(rows - rows.mean(axis=0))[0]
    return q * math.sqrt(n - 1)


# ---------------------------------------------------------------- the formula again


def by_matrix_root(real, synthetic):
    """The formula as it is written, with scipy's root."""
    first, second = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (real, synthetic))
    shift = ((real.mean(axis=0) - synthetic.mean(axis=0)) ** 2).sum()
    return shift + np.trace(first + second - 2 * sqrtm(first @ second).real)


def by_eigenvalues(real, synthetic):
    """The symmetric form, with the eigenvalues of S1^{1/2} S2 S1^{1/2}."""
    first, second = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (real, synthetic))
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    shift = ((real.mean(axis=0) - synthetic.mean(axis=0)) ** 2).sum()
    return shift + np.trace(first) + np.trace(second) - 2 * overlap


def by_nuclear_norm(real, synthetic):
    """The form for fewer rows than features, with the singular values of X Y^T."""
    first, second = (rows - rows.mean(axis=0) for rows in (real, synthetic))
    n, m = len(first) - 1, len(second) - 1
    overlap = np.linalg.svd(first @ second.T, compute_uv=False).sum() / math.sqrt(n * m)
    shift = ((real.mean(axis=0) - synthetic.mean(axis=0)) ** 2).sum()
    return shift + (first**2).sum() / n + (second**2).sum() / m - 2 * overlap


@pytest.mark.parametrize(("n", "m", "d"), [(60, 50, 8), (100, 300, 32), (20, 30, 1)])
def test_the_value_is_that_of_every_form_of_the_formula(n, m, d):
    mixing = normals(d, d, seed=3) / math.sqrt(d)
    real, synthetic = normals(n, d, seed=1), normals(m, d, seed=2) @ mixing + 0.5
    found = frechet_distance(real, synthetic)
    assert found == pytest.approx(by_matrix_root(real, synthetic), rel=1e-6)
    assert found == pytest.approx(by_eigenvalues(real, synthetic), rel=1e-9)
    assert found == pytest.approx(by_nuclear_norm(real, synthetic), rel=1e-9)


@pytest.mark.parametrize(("n", "m", "d"), [(20, 20, 64), (5, 100, 64), (100, 5, 64), (64, 65, 64)])
def test_fewer_rows_than_features_give_the_same_formula(n, m, d):
    real, synthetic = normals(n, d, seed=1), 2 * normals(m, d, seed=2) + 0.5
    found = frechet_distance(real, synthetic)
    assert found == pytest.approx(by_nuclear_norm(real, synthetic), rel=1e-9)
    # Eigenvalues of 0 come out as 1e-16 to the square root.
    assert found == pytest.approx(by_eigenvalues(real, synthetic), rel=1e-5)


def test_the_value_is_that_of_torchmetrics():
    fid = pytest.importorskip("torchmetrics.image.fid", reason="torchmetrics is not installed")
    real, synthetic = normals(200, 16, seed=1), 1.5 * normals(100, 16, seed=2) + 0.2
    moments = [
        torch.from_numpy(array)
        for rows in (real, synthetic)
        for array in (rows.mean(axis=0), np.cov(rows, rowvar=False))
    ]
    expected = float(fid._compute_fid(*moments))
    assert frechet_distance(real, synthetic) == pytest.approx(expected, rel=1e-6)


# ---------------------------------------------------------------- known values


@pytest.mark.parametrize("d", [1, 5, 20])
@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_gaussians_of_known_moments(d, scale):
    shift = np.linspace(-1, 2, d)
    found = frechet_distance(white(50, d, seed=1), scale * white(40, d, seed=2) + shift)
    assert found == pytest.approx((shift**2).sum() + d * (1 - scale) ** 2, abs=1e-9)


def test_single_rows_have_no_covariance():
    assert frechet_distance([[1.0, 2.0]], [[4.0, 6.0]]) == pytest.approx(25)
    assert frechet_distance([[3.0]], [[-1.0], [1.0]]) == pytest.approx(9 + 2)


@pytest.mark.parametrize(("n", "d"), [(200, 16), (20, 64), (1, 3), (2, 2)])
@pytest.mark.parametrize("rank", [1, 2, 64])
def test_a_set_is_at_no_distance_from_itself(n, d, rank):
    rows = normals(n, min(rank, d), seed=1) @ normals(min(rank, d), d, seed=2) + 3
    order = np.random.default_rng(0).permutation(n)
    assert frechet_distance(rows, rows) < 1e-8
    assert frechet_distance(rows, rows[order]) < 1e-8


# ---------------------------------------------------------------- invariances


@given(pairs())
def test_distance_is_symmetric_and_not_negative(pair):
    real, synthetic = pair
    found = frechet_distance(real, synthetic)
    assert found >= 0
    assert found == pytest.approx(frechet_distance(synthetic, real), rel=1e-9, abs=1e-9)


@given(pairs(), st.integers(0, 100))
def test_rotation_and_shift_of_both_sets_change_nothing(pair, seed):
    real, synthetic = pair
    d = real.shape[1]
    rotation = np.linalg.qr(normals(d, d, seed=seed))[0]
    moved = (rows @ rotation + normals(d, seed=seed) for rows in pair)
    expected = frechet_distance(real, synthetic)
    assert frechet_distance(*moved) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(pairs(), st.floats(0.1, 10))
def test_distance_is_in_squared_units(pair, scale):
    real, synthetic = pair
    expected = scale**2 * frechet_distance(real, synthetic)
    found = frechet_distance(scale * real, scale * synthetic)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(pairs(), st.integers(0, 100))
def test_order_of_rows_does_not_matter(pair, seed):
    real, synthetic = pair
    order = np.random.default_rng(seed).permutation(len(real))
    expected = frechet_distance(real, synthetic)
    assert frechet_distance(real[order], synthetic) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_distance_is_a_metric_when_its_root_is_taken():
    a, b, c = (scale * normals(30, 4, seed=seed) for seed, scale in enumerate((1, 2, 3)))
    ab, bc, ac = (math.sqrt(frechet_distance(*pair)) for pair in ((a, b), (b, c), (a, c)))
    assert ac <= ab + bc


# ---------------------------------------------------------------- bias and floor


def mean_and_error(draws):
    return np.mean(draws), np.std(draws, ddof=1) / math.sqrt(len(draws))


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("n", "d", "documented"), [(1000, 64, 2.2), (300, 64, 7.4), (1000, 8, 0.052)]
)
def test_equal_distributions_are_apart_by_the_documented_bias(n, d, documented):
    draws = [
        frechet_distance(normals(n, d, seed=seed), normals(n, d, seed=1000 + seed))
        for seed in range(10)
    ]
    mean, error = mean_and_error(draws)
    bias = 2 * d / n + d * (d + 1) / (2 * n)
    assert bias == pytest.approx(documented, abs=0.05)
    assert abs(mean - bias) < 4 * error


@pytest.mark.statistical
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_extrapolation_removes_the_bias(shift):
    n, d = 400, 24
    draws = [
        frechet_distance(
            normals(n, d, seed=seed),
            normals(n, d, seed=1000 + seed) + shift,
            extrapolate=True,
            random_state=seed,
        )
        for seed in range(25)
    ]
    mean, error = mean_and_error(draws)
    assert abs(mean - d * shift**2) < 4 * error
    assert error < 0.05  # the bias is 0.87


@pytest.mark.statistical
def test_the_floor_is_the_bias_of_half_as_many_rows():
    n, d = 1000, 16
    floors = [
        frechet_distance(
            normals(n, d, seed=seed), np.zeros((1, d)), return_floor=True, random_state=0
        )[1]
        for seed in range(10)
    ]
    mean, error = mean_and_error(floors)
    assert abs(mean - (2 * d + d * (d + 1) / 2) / (n / 2)) < 4 * error


def test_the_floor_does_not_change_the_distance():
    real, synthetic = normals(50, 3, seed=1), normals(60, 3, seed=2)
    distance, floor = frechet_distance(real, synthetic, return_floor=True, random_state=0)
    assert distance == frechet_distance(real, synthetic)
    assert floor > 0


def test_the_floor_of_two_rows_is_their_distance():
    assert frechet_distance([[0.0], [3.0]], [[1.0]], return_floor=True)[1] == pytest.approx(9)


def test_the_floor_needs_two_rows():
    with pytest.raises(ValueError, match="real must have at least 2 rows for return_floor; got 1"):
        frechet_distance([[1.0]], [[2.0], [3.0]], return_floor=True)


def test_extrapolation_needs_parts_of_full_rank():
    real, synthetic = normals(16, 3, seed=1), normals(16, 3, seed=2)
    assert math.isfinite(frechet_distance(real, synthetic, extrapolate=True))
    problem = "must have at least 16 rows of 3 features for extrapolate; got 15. Use fewer"
    with pytest.raises(ValueError, match=f"real {problem}"):
        frechet_distance(real[1:], synthetic, extrapolate=True)
    with pytest.raises(ValueError, match=f"synthetic {problem}"):
        frechet_distance(real, synthetic[1:], extrapolate=True)
    with pytest.raises(ValueError, match="real must have at least 32 rows"):
        frechet_distance(real, synthetic, extrapolate=True, return_floor=True)
