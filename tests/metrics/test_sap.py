"""SAP score: squared correlations, accuracies of one dimension, and what both miss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqssl.metrics import sap_score
from vqssl.metrics._labelled import standardised
from vqssl.metrics._sap import accuracies_of_svc, squared_correlations


def make_factors(n=400, n_values=(3, 4, 5), seed=0):
    generator = np.random.default_rng(seed)
    return np.stack([generator.integers(k, size=n) for k in n_values], axis=1)


@given(seed=st.integers(0, 100))
def test_r2_is_the_squared_correlation(seed):
    factors = make_factors(30, seed=seed)
    code = np.random.default_rng(seed).standard_normal((30, 2)) + factors[:, :2]
    found = squared_correlations(standardised(code), factors)
    for (i, j), share in np.ndenumerate(found):
        expected = np.corrcoef(code[:, i], factors[:, j])[0, 1] ** 2
        assert share == pytest.approx(expected, abs=1e-12)


def test_the_score_is_the_mean_gap_of_the_two_best_dimensions():
    factors = make_factors(100)
    code = np.random.default_rng(1).standard_normal((100, 4))
    code[:, :3] += factors
    ordered = np.sort(squared_correlations(standardised(code), factors), axis=0)
    expected = np.mean(ordered[-1] - ordered[-2])
    assert sap_score(code, factors, estimator="r2") == pytest.approx(expected)


def test_the_classifier_tells_two_values_and_not_the_inner_ones():
    column = np.arange(400)[:, None] % 4
    train, test = np.arange(200), np.arange(200, 400)
    found = accuracies_of_svc(standardised(column), np.c_[column, column > 1], train, test)
    assert found.tolist() == [[0.5, 1.0]]


def test_two_equal_dimensions_have_no_gap():
    factors = make_factors()
    twice = np.hstack([factors, factors])
    assert sap_score(twice, factors, random_state=0) == 0
    assert sap_score(twice, factors, estimator="r2") == pytest.approx(0, abs=1e-12)


def test_a_factor_with_one_value_among_the_training_rows_is_refused():
    factors = make_factors()
    problem = "factors must have 2 or more values among the 1 training rows; got one in column 0"
    with pytest.raises(ValueError, match=problem):
        sap_score(factors, factors, n_train=1)
    assert sap_score(factors, factors, n_train=1, estimator="r2") > 0.9
