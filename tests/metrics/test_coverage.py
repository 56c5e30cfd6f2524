"""Precision, recall, density and coverage: balls counted by loops, and known cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vqssl.metrics import PRDC, expected_coverage, precision_recall_density_coverage


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@st.composite
def cases(draw):
    """Two sets of whole numbers, with ties and equal rows, and a number of neighbours."""
    k, d = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    n, m = draw(st.integers(k + 1, 9)), draw(st.integers(k + 1, 9))
    whole = st.integers(-2, 2).map(float)
    real, synthetic = (draw(hnp.arrays(np.float64, (size, d), elements=whole)) for size in (n, m))
    return real, synthetic, k


def by_loops(real, synthetic, k):
    """Count balls: inside is what is nearer than the k-th neighbour, and copies of the centre."""

    def radius(i, rows):
        others = [math.dist(rows[i], rows[j]) for j in range(len(rows)) if j != i]
        return sorted(others)[k - 1]

    def holds(i, rows, point):
        distance = math.dist(rows[i], point)
        return distance == 0 or distance < radius(i, rows)

    n, m = len(real), len(synthetic)
    inside = [[holds(i, real, synthetic[j]) for j in range(m)] for i in range(n)]
    recalled = [any(holds(j, synthetic, point) for j in range(m)) for point in real]
    return PRDC(
        precision=sum(any(inside[i][j] for i in range(n)) for j in range(m)) / m,
        recall=sum(recalled) / n,
        density=sum(map(sum, inside)) / (k * m),
        coverage=sum(map(any, inside)) / n,
    )


@given(cases())
def test_the_scores_are_shares_of_balls(case):
    real, synthetic, k = case
    found = precision_recall_density_coverage(real, synthetic, n_neighbors=k)
    assert found == pytest.approx(by_loops(*case))
    assert 0 <= found.density <= len(real) / k


@given(cases())
def test_swapping_the_sets_swaps_precision_and_recall(case):
    real, synthetic, k = case
    there = precision_recall_density_coverage(real, synthetic, n_neighbors=k)
    back = precision_recall_density_coverage(synthetic, real, n_neighbors=k)
    assert (there.precision, there.recall) == (back.recall, back.precision)


@given(cases(), st.integers(1, 5))
def test_position_and_scale_do_not_matter(case, scale):
    real, synthetic, k = case
    expected = precision_recall_density_coverage(real, synthetic, n_neighbors=k)
    moved = (2.0**scale * rows + 3 for rows in (real, synthetic))
    assert precision_recall_density_coverage(*moved, n_neighbors=k) == expected


# ---------------------------------------------------------------- known cases


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("n_copies", [1, 7])
def test_a_set_against_itself_is_perfect_with_equal_rows_too(k, n_copies):
    rows = np.repeat(normals(10, 3), n_copies, axis=0)
    found = precision_recall_density_coverage(rows, rows, n_neighbors=k)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)


def test_sets_far_apart_score_nothing():
    found = precision_recall_density_coverage(normals(20, 3, seed=1), normals(20, 3, seed=2) + 99)
    assert found == PRDC(0, 0, 0, 0)


def test_a_single_synthetic_row_repeated_is_precise_and_covers_its_neighbours():
    real = np.arange(20.0)[:, None]
    synthetic = np.full((10, 1), 9.0)
    # Balls of the two nearest reach beyond 1 only at the ends of the line.
    found = precision_recall_density_coverage(real, synthetic, n_neighbors=2)
    assert found == pytest.approx(PRDC(precision=1, recall=0.05, density=0.5, coverage=0.05))
    found = precision_recall_density_coverage(real, synthetic, n_neighbors=3)
    assert found == pytest.approx(PRDC(precision=1, recall=0.05, density=1, coverage=0.15))


def mean_and_error(draws):
    return np.mean(draws, axis=0), np.std(draws, axis=0, ddof=1) / math.sqrt(len(draws))


@pytest.mark.statistical
@pytest.mark.parametrize("d", [2, 64])
def test_a_memorised_tenth_is_precise_but_not_diverse(d):
    draws = []
    for seed in range(20):
        real = normals(400, d, seed=seed)
        draws.append(precision_recall_density_coverage(real, np.repeat(real[:40], 10, axis=0)))
    mean, error = map(PRDC._make, mean_and_error(draws))
    assert mean.precision == 1
    assert mean.recall == pytest.approx(0.1)
    assert abs(mean.coverage - 0.41) < 4 * error.coverage
    assert abs(mean.coverage - (1 - 0.9**5)) < 4 * error.coverage


@pytest.mark.statistical
@pytest.mark.parametrize(("d", "n", "m"), [(2, 200, 200), (32, 200, 200), (4, 100, 300)])
def test_equal_distributions_have_density_one_and_the_expected_coverage(d, n, m):
    draws = [
        precision_recall_density_coverage(normals(n, d, seed=seed), normals(m, d, seed=500 + seed))
        for seed in range(40)
    ]
    mean, error = map(PRDC._make, mean_and_error(draws))
    assert abs(mean.density - 1) < 4 * error.density
    assert abs(mean.coverage - expected_coverage(n, m)) < 4 * error.coverage


@pytest.mark.statistical
def test_equal_distributions_of_many_features_have_a_precision_and_recall_below_one():
    real, synthetic = normals(500, 64, seed=1), normals(500, 64, seed=2)
    scores, floor = precision_recall_density_coverage(
        real, synthetic, return_floor=True, random_state=0
    )
    assert max(scores.precision, scores.recall) < 0.9
    assert scores == pytest.approx(floor, abs=0.1)


# ---------------------------------------------------------------- expected coverage


def test_expected_coverage_of_many_rows_halves_the_gap_with_each_neighbour():
    for k in range(1, 8):
        assert expected_coverage(10**6, 10**6, k) == pytest.approx(1 - 2.0**-k, abs=1e-5)
    assert round(expected_coverage(1000, 1000), 3) == 0.969


def test_expected_coverage_of_two_rows_and_one():
    # Whether the other real row or the synthetic one is nearer: a coin.
    assert expected_coverage(2, 1, 1) == pytest.approx(0.5)
    # Two synthetic ones against one real.
    assert expected_coverage(2, 2, 1) == pytest.approx(2 / 3)


@pytest.mark.statistical
@pytest.mark.parametrize(("n", "m", "k"), [(4, 3, 2), (6, 12, 2), (9, 4, 3)])
def test_expected_coverage_is_the_mean_of_small_sets(n, m, k):
    generator = np.random.default_rng(0)
    draws = [
        precision_recall_density_coverage(
            generator.standard_normal((n, 2)), generator.standard_normal((m, 2)), n_neighbors=k
        ).coverage
        for _ in range(500)
    ]
    mean, error = mean_and_error(draws)
    assert abs(mean - expected_coverage(n, m, k)) < 4 * error


def test_expected_coverage_checks_its_numbers():
    with pytest.raises(ValueError, match="n_real must be an integer of at least 6; got 5"):
        expected_coverage(5, 10)
    with pytest.raises(ValueError, match="n_synthetic must be an integer of at least 1; got 0"):
        expected_coverage(10, 0)
    with pytest.raises(TypeError, match=r"n_neighbors must be an integer of at least 1; got 1\.5"):
        expected_coverage(10, 10, 1.5)


# ---------------------------------------------------------------- floor


def test_the_floor_does_not_change_the_scores():
    real, synthetic = normals(40, 3, seed=1), normals(30, 3, seed=2)
    scores, floor = precision_recall_density_coverage(
        real, synthetic, return_floor=True, random_state=0
    )
    assert scores == precision_recall_density_coverage(real, synthetic)
    assert isinstance(floor, PRDC)


def test_halves_need_more_rows_than_neighbours_too():
    real, synthetic = normals(11, 2, seed=1), normals(6, 2, seed=2)
    problem = "each half of real must have more rows than n_neighbors, 5; got 5."
    with pytest.raises(ValueError, match=problem):
        precision_recall_density_coverage(real, synthetic, return_floor=True)
