"""Statistical efficiency: few labels against many, on rows that neither has seen."""

import math

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from vqssl.metrics import statistical_efficiency

SIZES = {"n_small": 20, "n_large": 300, "n_test": 200}


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_one_dimension_that_tells_the_class_needs_few_labels():
    rows = normals(500, 40)
    labels = np.where(rows[:, 0] > 0, "up", "down")
    told = statistical_efficiency(rows[:, :1], labels, **SIZES, random_state=0)
    hidden = statistical_efficiency(rows, labels, **SIZES, random_state=0)
    assert told == pytest.approx(1, abs=0.06)
    assert hidden < 0.75


def test_a_constant_guess_is_as_good_with_few_labels():
    labels, guess = np.arange(500) % 4 == 0, DummyClassifier()
    arguments = {"classifier": guess, "random_state": 0}
    assert statistical_efficiency(normals(500, 2), labels, **arguments, **SIZES) == 1


@pytest.mark.parametrize(
    "classifier",
    [
        GradientBoostingClassifier(n_estimators=5),
        DecisionTreeClassifier(),
        KNeighborsClassifier(3),
    ],
    ids=lambda classifier: type(classifier).__name__,
)
def test_any_classifier_will_do(classifier):
    rows = normals(500, 3)
    labels = (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 0)
    found = statistical_efficiency(rows, labels, classifier=classifier, **SIZES, random_state=0)
    assert 0.5 < found < 1
    assert type(found) is float
    assert not hasattr(classifier, "classes_")


def test_accuracy_is_that_of_rows_that_were_held_out():
    # Its nearest neighbour knows every training row by heart, and nothing else.
    nearest = KNeighborsClassifier(1)
    labels = np.random.default_rng(1).integers(2, size=500)
    found = statistical_efficiency(normals(500, 3), labels, classifier=nearest, **SIZES)
    assert 0.7 < found < 1.4


def test_no_right_prediction_at_all_is_no_number():
    class Wrong(DummyClassifier):
        def predict(self, X):
            return np.full(len(X), -1)

    labels = np.arange(500) % 2
    found = statistical_efficiency(normals(500, 2), labels, classifier=Wrong(), **SIZES)
    assert math.isnan(found)


def test_a_seed_decides_everything_and_leaves_the_global_generator_alone():
    rows = normals(500, 5)
    labels = rows[:, 0] + normals(500, seed=1) > 0
    tree = DecisionTreeClassifier(max_features=1)
    before = np.random.get_state()  # noqa: NPY002
    found = [
        statistical_efficiency(rows, labels, classifier=tree, **SIZES, random_state=seed)
        for seed in (0, 0, 1, 2)
    ]
    assert found[0] == found[1]
    assert len(set(found)) > 1
    np.testing.assert_equal(np.random.get_state(), before)  # noqa: NPY002


def test_the_defaults_need_fifteen_thousand_rows():
    rows = np.arange(15_000.0)[:, None]
    labels = rows[:, 0] >= 7500
    assert statistical_efficiency(rows, labels, random_state=0) > 0.95
    problem = r"representation must have n_large \+ n_test, 15000, or more rows; got 14999. Lower"
    with pytest.raises(ValueError, match=problem):
        statistical_efficiency(rows[1:], labels[1:])


def test_a_training_set_of_one_class_is_refused_before_any_work():
    labels = np.zeros(500, dtype=int)
    labels[0] = 1
    problem = "labels must have 2 or more classes among the 20 that are drawn for training; got 1"
    with pytest.raises(ValueError, match=problem):
        statistical_efficiency(normals(500, 2), labels, **SIZES, random_state=0)
    with pytest.raises(ValueError, match="labels must have 2 or more classes; got 1"):
        statistical_efficiency(normals(500, 2), np.zeros(500), **SIZES)


def test_arguments_are_checked():
    rows, labels = normals(500, 2), np.arange(500) % 2
    with pytest.raises(ValueError, match="n_large must be an integer of at least 20; got 19"):
        statistical_efficiency(rows, labels, **{**SIZES, "n_large": 19})
    for parameter in ("n_small", "n_test"):
        problem = f"{parameter} must be an integer of at least 1; got"
        with pytest.raises(ValueError, match=f"{problem} 0"):
            statistical_efficiency(rows, labels, **{**SIZES, parameter: 0})
        with pytest.raises(TypeError, match=f"{problem} 9.0"):
            statistical_efficiency(rows, labels, **{**SIZES, parameter: 9.0})
    for classifier in (Ridge(), LogisticRegression, "logistic"):
        with pytest.raises(TypeError, match="classifier must be a scikit-learn classifier; got"):
            statistical_efficiency(rows, labels, classifier=classifier, **SIZES)
    with pytest.raises(ValueError, match=r"labels must have shape \(500,\), one for each row of r"):
        statistical_efficiency(rows, labels[:-1], **SIZES)
