"""Discriminative score: its ends, its noise, and an interval that covers as it says."""

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vqssl.metrics import discriminative_score
from vqssl.metrics._discriminative import wilson_interval


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_sets_far_apart_score_one_half():
    score, low, high = discriminative_score(
        normals(50, 2, 8, seed=1), normals(50, 2, 8, seed=2) + 99, return_interval=True
    )
    assert (score, high) == (0.5, 0.5)
    assert 0.4 < low < 0.5


@pytest.mark.parametrize(
    "change",
    [lambda x: 3 * x, lambda x: x + 1, lambda x: np.cumsum(x, axis=-1) / 3],
    ids=["variance", "mean", "correlation"],
)
def test_the_default_sees_variance_mean_and_correlation(change):
    real, synthetic = normals(80, 20, seed=1), change(normals(80, 20, seed=2))
    assert discriminative_score(real, synthetic, random_state=0) > 0.4


def test_copies_score_below_zero():
    rows = normals(100, 5)
    nearest = KNeighborsClassifier(1)
    # The twin of a held-out row trains the classifier in about 4 of 5 cases.
    assert discriminative_score(rows, rows, classifier=nearest, random_state=0) < -0.2
    _, _, high = discriminative_score(rows, rows, return_interval=True, random_state=0)
    assert high < 0


@pytest.mark.parametrize(("n", "m"), [(30, 30), (31, 100), (100, 31)])
@pytest.mark.parametrize("constant", [0, 1])
def test_a_classifier_that_says_one_thing_scores_zero_whatever_the_sizes(n, m, constant):
    guess = DummyClassifier(strategy="constant", constant=constant)
    score = discriminative_score(normals(n, 3), normals(m, 3), classifier=guess, random_state=0)
    assert score == 0


@pytest.mark.statistical
@pytest.mark.parametrize(
    "classifier", [None, LinearDiscriminantAnalysis()], ids=["default", "linear"]
)
def test_equality_scores_zero_on_average_and_inside_the_interval(classifier):
    generator = np.random.default_rng(0)
    n_each, n_draws = 40, 60
    draws = np.array(
        [
            discriminative_score(
                *generator.standard_normal((2, n_each, 6)),
                classifier=classifier,
                return_interval=True,
                random_state=seed,
            )
            for seed in range(n_draws)
        ]
    )
    scores, low, high = draws.T
    assert abs(scores.mean()) < 4 * scores.std() / math.sqrt(n_draws)
    missed = int(((low > 0) | (high < 0)).sum())
    assert binom.sf(missed - 1, n_draws, 0.05) > 1e-3
    # The documented floor.
    error = abs(scores).std() / math.sqrt(n_draws)
    assert abs(abs(scores).mean() - 0.5 / math.sqrt(2 * n_each)) < 4 * error


@pytest.mark.parametrize(("n_right", "n_trials"), [(0, 9), (5, 9), (9, 9), (120, 200)])
def test_the_interval_is_that_of_scipy(n_right, n_trials):
    expected = binomtest(n_right, n_trials).proportion_ci(method="wilson")
    found = wilson_interval(n_right / n_trials, n_trials)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_interval_is_that_of_half_the_predictions_and_holds_the_score():
    real, synthetic = normals(60, 4, seed=1), normals(60, 4, seed=2) + 0.5
    score, low, high = discriminative_score(real, synthetic, return_interval=True, random_state=0)
    assert score == discriminative_score(real, synthetic, random_state=0)
    assert (low + 0.5, high + 0.5) == pytest.approx(wilson_interval(score + 0.5, 60))
    assert low < score < high


def test_the_classifier_is_cloned_and_keeps_its_parameters():
    forest = RandomForestClassifier(n_estimators=5)
    pipeline = make_pipeline(StandardScaler(), forest)
    discriminative_score(normals(20, 3, seed=1), normals(20, 3, seed=2), classifier=pipeline)
    assert not hasattr(forest, "classes_")
    assert forest.random_state is None


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: make_pipeline(StandardScaler(), x)])
def test_a_seed_decides_the_classifier_too(wrap):
    real, synthetic = normals(40, 3, seed=1), normals(40, 3, seed=2) + 0.3
    forest = wrap(RandomForestClassifier(n_estimators=3))
    scores = [
        discriminative_score(real, synthetic, classifier=forest, random_state=seed)
        for seed in (0, 0, 1, 2, 3)
    ]
    assert scores[0] == scores[1]
    assert len(set(scores)) > 1


@pytest.mark.parametrize(
    "classifier", [Ridge(), StandardScaler(), "svc", Ridge, LinearDiscriminantAnalysis]
)
def test_the_classifier_must_be_one(classifier):
    with pytest.raises(TypeError, match="classifier must be a scikit-learn classifier; got"):
        discriminative_score(normals(20, 3), normals(20, 3), classifier=classifier)


def test_both_sets_need_as_many_series_as_folds():
    with pytest.raises(ValueError, match="synthetic must have 5 or more series; got 4"):
        discriminative_score(normals(20, 3), normals(4, 3))
    assert abs(discriminative_score(normals(20, 3), normals(4, 3), n_folds=2)) <= 0.5
