"""What all metrics share: what they accept, what they refuse, and where they draw from."""

import itertools
import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqssl.metrics import (
    discriminative_score,
    frechet_distance,
    inception_score,
    kernel_distance,
    memorization_ratio,
    precision_recall_density_coverage,
)
from vqssl.metrics._distances import distance_blocks
from vqssl.metrics._halves import random_halves


def memorization(real, synthetic):
    """Take real rows for training and test rows that are elsewhere."""
    return memorization_ratio(real, synthetic, np.asarray(synthetic) + 1)


OF_FEATURES = [frechet_distance, kernel_distance, precision_recall_density_coverage]
OF_SERIES = [discriminative_score]
SEEDED = {
    frechet_distance: {"return_floor": True, "extrapolate": True},
    kernel_distance: {"return_p_value": True, "n_permutations": 20},
    precision_recall_density_coverage: {"return_floor": True},
    discriminative_score: {"return_interval": True},
}
# The fewest rows that each takes with its defaults.
FEWEST = {
    frechet_distance: 1,
    kernel_distance: 2,
    precision_recall_density_coverage: 6,
    discriminative_score: 5,
}

every_metric = pytest.mark.parametrize(
    "metric", [*OF_FEATURES, *OF_SERIES], ids=lambda metric: metric.__name__
)
of_features = pytest.mark.parametrize("metric", OF_FEATURES, ids=lambda metric: metric.__name__)


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def pair(n=40, m=30, d=2):
    return normals(n, d, seed=1), normals(m, d, seed=2)


# ---------------------------------------------------------------- what is accepted


@every_metric
def test_lists_and_float32_are_computed_in_float64(metric):
    real, synthetic = (rows.astype(np.float32) for rows in pair())
    expected = metric(real.astype(np.float64), synthetic.astype(np.float64), random_state=0)
    assert metric(real, synthetic, random_state=0) == expected
    assert metric(real.tolist(), synthetic.tolist(), random_state=0) == expected


@every_metric
def test_inputs_are_left_as_they_are(metric):
    real, synthetic = pair()
    copies = real.copy(), synthetic.copy()
    real.flags.writeable = synthetic.flags.writeable = False
    metric(real, synthetic, random_state=0, **SEEDED[metric])
    np.testing.assert_array_equal(real, copies[0])
    np.testing.assert_array_equal(synthetic, copies[1])


@every_metric
def test_the_fewest_rows_suffice_and_one_fewer_is_refused(metric):
    fewest = FEWEST[metric]
    real, synthetic = pair(fewest, fewest)
    assert np.isfinite(metric(real, synthetic, random_state=0)).all()
    with pytest.raises(ValueError, match=f"^real must have .*; got {fewest - 1}"):
        metric(real[:-1], synthetic)
    with pytest.raises(ValueError, match=f"^synthetic must have .*; got {fewest - 1}"):
        metric(real, synthetic[:-1])


@pytest.mark.parametrize("metric", [discriminative_score, memorization])
def test_one_channel_may_have_an_axis_or_none(metric):
    real, synthetic = pair(d=6)
    seed = {"random_state": 0} if metric is discriminative_score else {}
    assert metric(real, synthetic, **seed) == metric(real[:, None], synthetic, **seed)
    channels = real.reshape(-1, 2, 3), synthetic.reshape(-1, 2, 3)
    assert metric(*channels, **seed) == metric(real, synthetic, **seed)


# ---------------------------------------------------------------- what is refused


@of_features
def test_features_must_have_two_axes(metric):
    real, synthetic = pair()
    with pytest.raises(ValueError, match=r"real must have shape \(n_samples, n_features\); got 3"):
        metric(real[:, None], synthetic)
    with pytest.raises(ValueError, match=r"synthetic must have shape .* got 1 axes"):
        metric(real, synthetic[0])


@pytest.mark.parametrize("metric", [discriminative_score, memorization])
def test_series_and_images_must_have_two_to_four_axes(metric):
    real, synthetic = pair()
    with pytest.raises(ValueError, match=r"synthetic must have shape .* or .*; got 5 axes"):
        metric(real, synthetic[:, None, None, None])


@pytest.mark.parametrize("metric", [partial(discriminative_score, random_state=0), memorization])
def test_images_are_rows_of_their_pixels(metric):
    real, synthetic = pair()
    images = (rows.reshape(len(rows), 1, 1, -1) for rows in (real, synthetic))
    assert metric(*images) == metric(real, synthetic)


@of_features
def test_features_must_be_equally_many(metric):
    problem = "synthetic must have rows of the same shape as real, (2,); got (3,)."
    with pytest.raises(ValueError, match=re.escape(problem)):
        metric(pair()[0], pair(d=3)[1])


def test_series_of_as_many_values_but_other_shapes_are_refused():
    real, synthetic = pair(d=6)
    problem = "synthetic must have series of the same shape as real, (1, 6); got (2, 3)."
    with pytest.raises(ValueError, match=re.escape(problem)):
        discriminative_score(real, synthetic.reshape(-1, 2, 3))


@every_metric
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_must_be_finite(metric, value):
    real, synthetic = pair()
    synthetic[3, 1] = value
    with pytest.raises(ValueError, match=f"synthetic must be finite; got {value} at .*3, 1"):
        metric(real, synthetic)


@every_metric
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([["a", "b"]], "real must hold real numbers; got an array of <U1"),
        ([[1j, 2]], "real must hold real numbers; got an array of complex128"),
        ([[1.0, 2.0], [3.0]], "real must be an array of real numbers; "),
        (np.empty((10, 0)), r"real has no (features|values); got shape \(10, "),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(metric, value, problem):
    with pytest.raises(ValueError, match=problem):
        metric(value, pair()[1])


@pytest.mark.parametrize(
    ("metric", "parameter", "minimum"),
    [
        (kernel_distance, "n_permutations", 1),
        (precision_recall_density_coverage, "n_neighbors", 1),
        (discriminative_score, "n_folds", 2),
    ],
)
def test_counts_must_be_integers_and_large_enough(metric, parameter, minimum):
    problem = f"{parameter} must be an integer of at least {minimum}; got"
    with pytest.raises(ValueError, match=f"{problem} {minimum - 1}"):
        metric(*pair(), **{parameter: minimum - 1})
    with pytest.raises(TypeError, match=f"{problem} 2.0"):
        metric(*pair(), **{parameter: 2.0})


# ---------------------------------------------------------------- randomness


@pytest.mark.parametrize("metric", SEEDED, ids=lambda metric: metric.__name__)
def test_a_seed_decides_everything(metric):
    arguments = SEEDED[metric]
    first = metric(*pair(), random_state=0, **arguments)
    assert metric(*pair(), random_state=0, **arguments) == first
    assert metric(*pair(), random_state=np.random.RandomState(0), **arguments) == first
    others = [metric(*pair(), random_state=seed, **arguments) for seed in range(1, 6)]
    assert any(other != first for other in others)


@pytest.mark.parametrize("metric", SEEDED, ids=lambda metric: metric.__name__)
def test_a_seed_leaves_the_global_generator_alone(metric):
    before = np.random.get_state()  # noqa: NPY002
    metric(*pair(), random_state=0, **SEEDED[metric])
    np.testing.assert_equal(np.random.get_state(), before)  # noqa: NPY002


@pytest.mark.parametrize("metric", SEEDED, ids=lambda metric: metric.__name__)
def test_what_is_no_seed_is_refused(metric):
    with pytest.raises(ValueError, match="'seed' cannot be used to seed"):
        metric(*pair(), random_state="seed")


@pytest.mark.parametrize("metric", OF_FEATURES, ids=lambda metric: metric.__name__)
def test_nothing_is_drawn_where_nothing_is_random(metric):
    generator = np.random.RandomState(0)
    metric(*pair(), random_state=generator)
    assert generator.randint(1000) == np.random.RandomState(0).randint(1000)


@given(n=st.integers(2, 9), seed=st.integers(0, 100))
def test_halves_are_disjoint_and_equally_large(n, seed):
    rows = np.arange(n)[:, None]
    for first, second in random_halves(rows, np.random.RandomState(seed)):
        assert len(first) == len(second) == n // 2
        assert len(np.unique(np.concatenate([first, second]))) == 2 * (n // 2)


# ---------------------------------------------------------------- size


@given(n=st.integers(1, 9), m=st.integers(1, 9))
def test_distances_come_in_blocks_that_join_to_all(n, m):
    first, second = normals(n, 3, seed=n), normals(m, 3, seed=m)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vqssl.metrics._distances._BLOCK", 20)
        blocks = list(distance_blocks(first, second))
    assert max(distances.size for _, distances in blocks) <= 20
    found = np.concatenate([distances for _, distances in blocks])
    for i, j in itertools.product(range(n), range(m)):
        expected = np.sqrt(sum((first[i] - second[j]) ** 2))
        assert found[i, j] == pytest.approx(expected, rel=1e-12)


def test_scores_do_not_depend_on_the_block(monkeypatch):
    real, synthetic = pair()
    expected = precision_recall_density_coverage(real, synthetic), memorization(real, synthetic)
    monkeypatch.setattr("vqssl.metrics._distances._BLOCK", 1)
    assert precision_recall_density_coverage(real, synthetic) == expected[0]
    assert memorization(real, synthetic) == expected[1]


def test_metrics_return_plain_floats():
    real, synthetic = pair()
    found = [
        frechet_distance(real, synthetic),
        *frechet_distance(real, synthetic, return_floor=True),
        frechet_distance(real, synthetic, extrapolate=True),
        kernel_distance(real, synthetic),
        *kernel_distance(real, synthetic, return_p_value=True),
        *itertools.chain(*precision_recall_density_coverage(real, synthetic, return_floor=True)),
        discriminative_score(real, synthetic),
        *discriminative_score(real, synthetic, return_interval=True),
        memorization(real, synthetic),
        inception_score([[0.5, 0.5]]),
    ]
    assert {type(number) for number in found} == {float}
