"""Inception score: its ends, its range, and probabilities that are none."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from vqssl.metrics import inception_score


@st.composite
def probabilities(draw):
    """Rows that sum to 1, with zeros among them."""
    n, n_classes = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    weights = generator.integers(0, 4, size=(n, n_classes)).astype(float)
    weights[np.arange(n), generator.integers(n_classes, size=n)] += 1
    return weights / weights.sum(axis=1, keepdims=True)


def by_loops(rows):
    n, n_classes = rows.shape
    marginal = [sum(rows[i, c] for i in range(n)) / n for c in range(n_classes)]
    divergence = sum(
        rows[i, c] * math.log(rows[i, c] / marginal[c])
        for i in range(n)
        for c in range(n_classes)
        if rows[i, c] > 0
    )
    return math.exp(divergence / n)


@pytest.mark.parametrize("n_classes", [1, 2, 7])
def test_sure_and_balanced_gives_the_number_of_classes(n_classes):
    assert inception_score(np.tile(np.eye(n_classes), (3, 1))) == pytest.approx(n_classes)


@pytest.mark.parametrize("row", [[1, 0, 0], [0.2, 0.3, 0.5]])
def test_equal_rows_give_one(row):
    assert inception_score([row] * 9) == pytest.approx(1)


def test_sure_and_unbalanced_gives_the_exponential_of_the_entropy():
    found = inception_score([[1, 0]] * 3 + [[0, 1]])
    assert found == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))


@given(probabilities())
def test_the_value_is_the_sum_over_series_and_classes(rows):
    found = inception_score(rows)
    assert found == pytest.approx(by_loops(rows), rel=1e-9)
    assert 1 <= found <= rows.shape[1]


@given(probabilities(), st.integers(0, 100))
def test_order_of_series_and_classes_and_repetition_do_not_matter(rows, seed):
    generator = np.random.default_rng(seed)
    turned = rows[generator.permutation(len(rows))][:, generator.permutation(rows.shape[1])]
    expected = pytest.approx(inception_score(rows), rel=1e-9)
    assert inception_score(turned) == expected
    assert inception_score(np.repeat(rows, 3, axis=0)) == expected


@pytest.mark.statistical
def test_few_series_score_lower_than_many():
    # Sure predictions of ten equally frequent classes: 10 for infinitely many.
    generator = np.random.default_rng(0)

    def mean_score(n):
        return np.mean(
            [inception_score(np.eye(10)[generator.integers(10, size=n)]) for _ in range(8)]
        )

    assert mean_score(20) < 9 < mean_score(200) < 10


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_softmax_in_any_precision_is_accepted(dtype):
    logits = np.random.default_rng(0).standard_normal((50, 100))
    rows = softmax(logits.astype(dtype), axis=1)
    expected = inception_score(softmax(logits, axis=1))
    assert inception_score(rows) == pytest.approx(expected, rel=2e-3)


def test_rows_are_divided_by_sums_that_rounding_left_beside_one():
    rows = np.array([[0.7, 0.3], [0.2, 0.8]])
    assert inception_score(1.001 * rows) == pytest.approx(inception_score(rows), rel=1e-12)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([[0.5, 0.5], [0.5, 0.6]], r"rows that sum to 1; got a sum of 1.1 in row 1"),
        ([[2.0, -1.0]], "probabilities must be at least 0; got -1.0 in row 0"),
        ([0.5, 0.5], r"probabilities must have shape \(n_samples, n_classes\); got 1 axes"),
        ([[0.5, np.nan]], r"probabilities must be finite; got nan at \(0, 1\)"),
        (np.empty((0, 3)), "probabilities must have 1 or more rows; got 0"),
    ],
)
def test_what_are_no_probabilities_is_refused(rows, problem):
    with pytest.raises(ValueError, match=problem):
        inception_score(rows)
