"""classification_accuracy_score: train on one set, test on another."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from vqssl import FCNClassifier, VQTokenizer
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


class Untrained(ClassifierMixin, BaseEstimator):
    """A classifier that must not be trained."""

    def fit(self, X, y):
        raise AssertionError("it was trained")


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"y_test": Y[:10]}, "y_test must have a label for each of the 90 series .* got 10"),
        ({"X_test": TEST[0][:, :24]}, r"X_test must have series of shape \(32,\), as X_synthetic"),
        ({"y_test": np.arange(90)}, "y_test must hold labels of the kind of y_synthetic"),
        ({"X_test": np.where(TEST[0] > 2, np.nan, TEST[0])}, "Input X_test contains NaN"),
        ({"X_synthetic": [[1.0, 2.0], [1.0]]}, "X_synthetic must have series of one length"),
        ({"y_synthetic": np.full(len(REAL[1]), np.nan)}, "y_synthetic contains NaN"),
    ],
    ids=lambda value: str(list(value)) if isinstance(value, dict) else "",
)
def test_sets_that_do_not_fit_are_refused_before_training(given, match):
    sets = {"X_synthetic": REAL[0], "y_synthetic": REAL[1], "X_test": TEST[0], "y_test": TEST[1]}
    with pytest.raises(ValueError, match=match):
        classification_accuracy_score(**{**sets, **given}, classifier=Untrained())


class Axes(ClassifierMixin, BaseEstimator):
    """Says how many axes it gets."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        assert X.ndim == 3
        return self

    def predict(self, X):
        assert X.ndim == 3
        return np.full(len(X), self.classes_[0])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


@pytest.mark.parametrize(
    "classifier",
    [
        Axes(),
        make_pipeline("passthrough", Axes()),
        GridSearchCV(make_pipeline(Axes()), {}, cv=2),
        make_pipeline(VQTokenizer(max_iter=2), GridSearchCV(SVC(), {"C": [1]}, cv=2)),
    ],
    ids=["alone", "in a pipeline", "in a search", "behind a tokenizer"],
)
def test_channels_reach_what_knows_of_them(classifier):
    X, X_test = (np.stack([of[0], -of[0]], axis=1) for of in (REAL, TEST))
    score = classification_accuracy_score(X, REAL[1], X_test, TEST[1], classifier=classifier)
    assert score > 0.2
