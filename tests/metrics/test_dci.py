"""Disentanglement, completeness, informativeness: matrices with known scores, and classifiers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from tests.metrics.test_known_codes import PUBLISHED, make_code
from tests.metrics.test_known_codes import make_factors as make_known_factors
from vqssl.metrics import DCI, dci
from vqssl.metrics._dci import concentration, dci_from_importances


def make_factors(n=400, n_values=(3, 4, 5), seed=0):
    generator = np.random.default_rng(seed)
    return np.stack([generator.integers(k, size=n) for k in n_values], axis=1)


# ---------------------------------------------------------------- matrices with known scores


@pytest.mark.parametrize("k", [2, 3, 5, 10])
def test_duplicates_and_pairs_have_their_analytic_scores(k):
    less = 1 - np.log(2) / np.log(2 * k)
    once = np.eye(k)
    assert dci_from_importances(once) == pytest.approx((1, 1))
    assert dci_from_importances(np.vstack([once, once])) == pytest.approx((1, less))
    assert dci_from_importances(np.hstack([once, once])) == pytest.approx((less, 1))


@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (5, 3)])
def test_no_importance_and_equal_importance_score_zero(shape):
    assert dci_from_importances(np.zeros(shape)) == (0, 0)
    assert dci_from_importances(np.ones(shape)) == pytest.approx((0, 0), abs=1e-12)


def test_dimensions_count_by_their_importance():
    # The second dimension is shared evenly, and has a quarter of the importance.
    assert concentration(np.array([[6.0, 0.0], [1.0, 1.0]])) == pytest.approx(3 / 4)
    # One without importance does not count.
    assert concentration(np.array([[6.0, 0.0], [1.0, 1.0], [0.0, 0.0]])) == pytest.approx(3 / 4)


def test_one_dimension_is_complete():
    assert dci_from_importances(np.array([[1.0, 1.0]])) == pytest.approx((0, 1))


@given(st.integers(0, 200), st.floats(1e-3, 1e3))
def test_scores_are_shares_that_neither_scale_nor_order_change(seed, scale):
    generator = np.random.default_rng(seed)
    matrix = generator.random((4, 3)) * generator.integers(2, size=(4, 3))
    found = dci_from_importances(matrix)
    assert all(-1e-12 <= share <= 1 + 1e-12 for share in found)
    turned = scale * matrix[generator.permutation(4)][:, generator.permutation(3)]
    assert dci_from_importances(turned) == pytest.approx(found, abs=1e-9)


# ---------------------------------------------------------------- classifiers


def test_any_classifier_with_importances_will_do():
    factors = make_factors()
    for classifier in (DecisionTreeClassifier(), RandomForestClassifier(5, max_features=None)):
        found = dci(factors, factors, classifier=classifier, random_state=0)
        assert found == pytest.approx(DCI(1, 1, 1), abs=0.02)
        assert not hasattr(classifier, "classes_")
        assert classifier.random_state is None


def test_a_classifier_must_be_one_and_have_importances():
    factors = make_factors()
    with pytest.raises(TypeError, match="classifier must be a scikit-learn classifier; got 'gbt'"):
        dci(factors, factors, classifier="gbt")
    with pytest.raises(TypeError, match="classifier must have feature_importances_ once it is fit"):
        dci(factors, factors, classifier=LogisticRegression())


def test_accuracy_is_that_of_rows_that_were_held_out():
    factors = make_factors()
    noise = np.random.default_rng(1).standard_normal((400, 2))
    # A tree knows its training rows by heart.
    found = dci(noise, factors, classifier=DecisionTreeClassifier(), random_state=0)
    assert found.informativeness < 0.4


@pytest.mark.statistical
def test_a_random_part_of_the_dimensions_in_each_split_scores_too_low():
    factors = make_factors()
    code = np.hstack([factors, np.random.default_rng(1).standard_normal((400, 6))])
    usual = dci(code, factors, classifier=RandomForestClassifier(50), random_state=0)
    assert dci(code, factors, random_state=0).disentanglement > 0.98
    assert usual.disentanglement < 0.7


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("name", ["each twice", "two rotated by 45 degrees"])
def test_gradient_boosting_gives_the_published_scores_too(name):
    factors = make_known_factors()
    found = dci(
        make_code(name, factors),
        factors,
        classifier=GradientBoostingClassifier(),
        random_state=0,
    )
    assert found == pytest.approx(PUBLISHED[name][3:6], abs=0.03)
