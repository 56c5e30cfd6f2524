"""classification_accuracy_score: train on one set, test on another."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from vqssl import FCNClassifier
from vqssl.datasets import make_cylinder_bell_funnel
from vqssl.evaluation import classification_accuracy_score

X, Y = make_cylinder_bell_funnel(180, length=32, random_state=0)
REAL, TEST = (X[:90], Y[:90]), (X[90:], Y[90:])


def test_real_series_score_as_the_classifier_does():
    expected = SVC().fit(*REAL).score(*TEST)
    assert classification_accuracy_score(*REAL, *TEST, classifier=SVC()) == expected
    assert expected > 0.8


def test_noise_scores_about_what_chance_does():
    noise = np.random.default_rng(0).normal(size=(90, 32))
    score = classification_accuracy_score(noise, REAL[1], *TEST, classifier=SVC())
    assert abs(score - 1 / 3) < 0.17


def test_a_class_that_is_never_drawn_is_never_found():
    drawn = REAL[1] != "bell"
    score = classification_accuracy_score(X[:90][drawn], REAL[1][drawn], *TEST, classifier=SVC())
    assert score <= np.mean(TEST[1] != "bell")


def test_the_default_is_the_fully_convolutional_network(monkeypatch):
    made = []

    def small(random_state):
        made.append(FCNClassifier((4,), kernel_sizes=(3,), max_iter=2, random_state=random_state))
        return made[-1]

    monkeypatch.setattr("vqssl.evaluation._classification.FCNClassifier", small)
    score = classification_accuracy_score(*REAL, *TEST, random_state=0)
    assert score == made[0].score(*TEST)


@pytest.mark.parametrize("classifier", [KNeighborsClassifier(1), FCNClassifier(max_iter=1)])
def test_series_of_several_channels_are_flattened_where_they_must_be(classifier):
    generator = np.random.default_rng(0)
    series, y = generator.normal(size=(20, 2, 9)), np.arange(20) % 2
    score = classification_accuracy_score(series, y, series, y, classifier=classifier)
    assert score == 1 or isinstance(classifier, FCNClassifier)


def test_the_seed_decides_and_the_classifier_stays_as_it_is():
    forest = RandomForestClassifier(5)
    scores = [
        classification_accuracy_score(*REAL, *TEST, classifier=forest, random_state=seed)
        for seed in (0, 0, 1, 2)
    ]
    assert scores[0] == scores[1]
    assert len(set(scores)) > 1
    assert forest.random_state is None
    assert not hasattr(forest, "estimators_")


def test_a_seed_of_the_classifier_itself_is_kept():
    forest = RandomForestClassifier(5, random_state=3)
    expected = RandomForestClassifier(5, random_state=3).fit(*REAL).score(*TEST)
    assert classification_accuracy_score(*REAL, *TEST, classifier=forest) == expected


def test_what_is_no_classifier_is_refused():
    with pytest.raises(TypeError, match="classifier must be a scikit-learn classifier or None"):
        classification_accuracy_score(*REAL, *TEST, classifier=LinearRegression())


def test_labels_of_another_number_are_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classification_accuracy_score(*REAL, TEST[0], Y[:10], classifier=DummyClassifier())
