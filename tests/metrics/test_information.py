"""Entropy and mutual information: sums over counts, their bias, and what takes it away."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy as entropy_of_scipy
from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score

from vqssl.metrics import adjusted_mutual_information, entropy, mutual_information, perplexity

OF_PAIRS = [mutual_information, adjusted_mutual_information]
of_pairs = pytest.mark.parametrize("metric", OF_PAIRS, ids=lambda metric: metric.__name__)

code_lists = st.lists(st.integers(-3, 5), min_size=1, max_size=30)


def draw(high, *shape, seed=0):
    return np.random.default_rng(seed).integers(high, size=shape)


def information_by_loops(codes, labels):
    """The sum over pairs of code and label, tokens pooled."""
    pairs = [(code, label) for row, label in zip(codes, labels, strict=True) for code in row]
    n = len(pairs)
    total = 0.0
    for code, label in set(pairs):
        joint = pairs.count((code, label)) / n
        first = sum(pair[0] == code for pair in pairs) / n
        second = sum(pair[1] == label for pair in pairs) / n
        total += joint * math.log(joint / (first * second))
    return total


# ---------------------------------------------------------------- entropy and perplexity


@given(code_lists)
def test_entropy_is_that_of_scipy_and_perplexity_its_exponential(codes):
    shares = [codes.count(code) for code in set(codes)]
    assert entropy(codes) == pytest.approx(entropy_of_scipy(shares), abs=1e-12)
    assert entropy(codes, base=2) == pytest.approx(entropy_of_scipy(shares, base=2), abs=1e-12)
    assert perplexity(codes) == pytest.approx(math.exp(entropy(codes)))
    assert 1 <= perplexity(codes) <= len(set(codes))


@given(code_lists, st.integers(0, 100))
def test_neither_order_nor_names_nor_shape_of_codes_matter(codes, seed):
    expected = entropy(codes)
    turned = np.random.default_rng(seed).permutation(codes)
    assert entropy(turned[None, :, None]) == pytest.approx(expected, abs=1e-12)
    assert entropy(3 - 7 * turned) == pytest.approx(expected, abs=1e-12)
    assert entropy(turned.astype(np.float32)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n_codes", [1, 2, 64])
def test_equally_frequent_codes_give_their_number(n_codes):
    codes = np.tile(np.arange(n_codes), (3, 2))
    assert perplexity(codes) == pytest.approx(n_codes)
    assert entropy(codes) == pytest.approx(math.log(n_codes))


@pytest.mark.parametrize("base", [2, math.e, 10])
def test_miller_and_madow_add_half_the_seen_codes_less_one_per_code(base):
    codes = [0, 0, 0, 1, 5, 5]
    nats = entropy(codes) + 2 / 12
    assert entropy(codes, base=base, correction="miller-madow") == pytest.approx(
        nats / math.log(base)
    )


@pytest.mark.statistical
@pytest.mark.parametrize(("n", "expected"), [(512, 291), (2048, 448), (16384, 504)])
def test_perplexity_of_few_codes_is_low_by_as_much_as_is_documented(n, expected):
    found = np.mean([perplexity(draw(512, n, seed=seed)) for seed in range(10)])
    assert found == pytest.approx(expected, abs=3)


@pytest.mark.statistical
def test_the_correction_takes_most_of_the_bias():
    codes = [draw(64, 300, seed=seed) for seed in range(50)]
    plain = np.mean([entropy(row) for row in codes])
    corrected = np.mean([entropy(row, correction="miller-madow") for row in codes])
    assert math.log(64) - plain > 0.1
    assert corrected == pytest.approx(math.log(64), abs=0.01)


# ---------------------------------------------------------------- plug-in information


@given(n=st.integers(1, 8), n_tokens=st.integers(1, 3), seed=st.integers(0, 500))
def test_plug_in_information_is_the_sum_over_pairs(n, n_tokens, seed):
    codes, labels = draw(4, n, n_tokens, seed=seed), draw(3, n, seed=seed + 1)
    found = mutual_information(codes, labels, corrected=False)
    assert found == pytest.approx(information_by_loops(codes.tolist(), labels.tolist()), abs=1e-12)
    repeated = mutual_info_score(np.repeat(labels, n_tokens), codes.ravel())
    assert found == pytest.approx(repeated, abs=1e-12)


def test_a_code_that_determines_the_label_has_the_entropy_of_labels():
    labels = draw(10, 500)
    codes = labels[:, None] * 7 + draw(7, 500, 3, seed=1)
    assert mutual_information(codes, labels, corrected=False) == pytest.approx(entropy(labels))
    bits = mutual_information(codes, labels, corrected=False, base=2)
    assert bits == pytest.approx(entropy(labels, base=2))
    assert adjusted_mutual_information(codes, labels, random_state=0) == pytest.approx(1)
    assert adjusted_mutual_information(codes[:, 0], labels) == pytest.approx(1)


def test_labels_may_be_words():
    codes, labels = draw(8, 60, 2), draw(3, 60, seed=1)
    words = np.array(["up", "down", "cycle"])[labels]
    for metric in OF_PAIRS:
        found = metric(codes, words, random_state=0)
        assert found == pytest.approx(metric(codes, labels, random_state=0), abs=1e-12)
        assert metric(codes, words.astype(object), random_state=0) == found


# ---------------------------------------------------------------- correction


@pytest.mark.statistical
def test_independent_codes_read_high_until_they_are_corrected():
    draws = [(draw(64, 500, seed=seed), draw(10, 500, seed=900 + seed)) for seed in range(20)]
    plug_in = np.mean([mutual_information(*pair, corrected=False) for pair in draws])
    corrected = np.mean([mutual_information(*pair) for pair in draws])
    adjusted = np.mean([adjusted_mutual_information(*pair) for pair in draws])
    assert plug_in == pytest.approx(0.635, abs=0.02)
    assert corrected == pytest.approx(0, abs=0.02)
    assert adjusted == pytest.approx(0, abs=0.02)


@pytest.mark.statistical
def test_tokens_that_depend_on_one_another_are_corrected_too():
    # All tokens of a series are equal: shuffled one by one, they would seem to be eight times
    # as many.
    draws = [(draw(32, 200, seed=seed), draw(5, 200, seed=900 + seed)) for seed in range(20)]
    found = [
        mutual_information(np.repeat(codes[:, None], 8, axis=1), labels, random_state=0)
        for codes, labels in draws
    ]
    plug_in = np.mean([mutual_information(*pair, corrected=False) for pair in draws])
    assert plug_in > 0.3
    assert np.mean(found) == pytest.approx(0, abs=0.03)


def test_the_exact_floor_of_one_token_is_the_mean_over_all_shufflings():
    codes, labels = np.array([0, 0, 1, 2, 1, 0]), np.array([0, 1, 1, 0, 0, 1])
    every = [
        mutual_information(codes, labels[list(order)], corrected=False)
        for order in itertools.permutations(range(6))
    ]
    found, floor = mutual_information(codes, labels, return_floor=True)
    assert floor == pytest.approx(np.mean(every))
    assert found == pytest.approx(
        mutual_information(codes, labels, corrected=False) - np.mean(every)
    )


def test_the_drawn_floor_of_equal_tokens_is_the_exact_one_of_one_token():
    codes, labels = draw(16, 300), draw(4, 300, seed=1)
    exact = mutual_information(codes, labels, return_floor=True)[1]
    twice = np.stack([codes, codes], axis=1)
    drawn = mutual_information(twice, labels, return_floor=True, random_state=0)[1]
    assert drawn == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("corrected", [True, False])
def test_the_floor_is_what_correction_subtracts(corrected):
    codes, labels = draw(16, 100, 3), draw(4, 100, seed=1)
    arguments = {"corrected": corrected, "base": 2, "random_state": 0}
    found, floor = mutual_information(codes, labels, return_floor=True, **arguments)
    assert found == mutual_information(codes, labels, **arguments)
    plug_in = mutual_information(codes, labels, corrected=False, base=2)
    assert found == pytest.approx(plug_in - floor * corrected)
    assert floor > 0


# ---------------------------------------------------------------- adjustment


@given(n=st.integers(4, 40), seed=st.integers(0, 500))
def test_adjusted_by_the_mean_it_is_that_of_scikit_learn(n, seed):
    codes, labels = draw(5, n, seed=seed), np.arange(n) % 3
    expected = adjusted_mutual_info_score(labels, codes)
    found = adjusted_mutual_information(codes, labels, normalizer="mean")
    assert found == pytest.approx(expected, abs=1e-9)
    assert adjusted_mutual_information(codes[:, None], labels, normalizer="mean") == found


def test_codes_that_are_all_different_say_nothing():
    codes = np.arange(20)
    assert adjusted_mutual_information(codes, np.arange(20) % 2) == 0
    found = adjusted_mutual_information(codes.reshape(10, 2), np.arange(10) % 2, random_state=0)
    assert found == 0


def test_more_codes_for_a_class_cost_nothing_by_labels_and_something_by_the_mean():
    labels = np.repeat([0, 1], 50)
    codes = 2 * labels + np.arange(100) % 2
    assert adjusted_mutual_information(codes, labels) == pytest.approx(1)
    assert adjusted_mutual_information(codes, labels, normalizer="mean") < 0.7


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("metric", [entropy, perplexity])
@pytest.mark.parametrize(
    ("codes", "problem"),
    [
        ([0.5, 1], r"codes must hold whole numbers; got 0.5 at \(0,\)"),
        ([[0, np.nan]], r"codes must be finite; got nan at \(0, 1\)"),
        (["a"], "codes must hold real numbers; got an array of <U1"),
        ([], r"codes must have 1 or more numbers; got shape \(0,\)"),
    ],
)
def test_what_are_no_codes_is_refused(metric, codes, problem):
    with pytest.raises(ValueError, match=problem):
        metric(codes)


@pytest.mark.parametrize("base", [1, 0.5])
def test_the_base_must_be_above_one(base):
    problem = f"base must be above 1, such as 2 for bits; got {base}"
    with pytest.raises(ValueError, match=problem):
        entropy([0, 1], base=base)
    with pytest.raises(ValueError, match=problem):
        mutual_information([0, 1], [0, 1], base=base)


def test_the_base_must_be_a_number():
    with pytest.raises(TypeError, match="base must be a finite number above 0; got '2'"):
        entropy([0, 1], base="2")


def test_names_of_choices_are_checked():
    with pytest.raises(ValueError, match="correction must be None or 'miller-madow'; got 'jack"):
        entropy([0, 1], correction="jackknife")
    with pytest.raises(ValueError, match="normalizer must be 'labels' or 'mean'; got 'max'"):
        adjusted_mutual_information([0, 1], [0, 1], normalizer="max")


@of_pairs
@pytest.mark.parametrize(
    ("codes", "labels", "problem"),
    [
        ([[[0]], [[1]]], [0, 1], r"codes must have shape \(n_samples,\) or .*; got 3 axes"),
        ([0, 1], [0, 1, 1], r"labels must have shape \(2,\), one for each row of codes; got .*3"),
        ([0, 1], [[0], [1]], r"labels must have shape \(2,\)"),
        ([0, 1], [0, np.nan], "labels must be finite; got nan in row 1"),
        ([0, 1], [None, "up"], "labels must all be numbers or all be strings"),
    ],
)
def test_codes_and_labels_must_fit(metric, codes, labels, problem):
    with pytest.raises(ValueError, match=problem):
        metric(codes, labels)


@of_pairs
def test_the_number_of_permutations_is_checked(metric):
    problem = "n_permutations must be an integer of at least 1; got"
    with pytest.raises(ValueError, match=f"{problem} 0"):
        metric([0, 1], [0, 1], n_permutations=0)
    with pytest.raises(TypeError, match=f"{problem} 2.0"):
        metric([0, 1], [0, 1], n_permutations=2.0)


def test_one_class_has_no_information_and_nothing_to_adjust():
    assert mutual_information([0, 1, 1], ["up"] * 3) == 0
    with pytest.raises(ValueError, match="labels must have 2 or more classes; got 1"):
        adjusted_mutual_information([0, 1, 1], ["up"] * 3)


# ---------------------------------------------------------------- randomness and size


@of_pairs
def test_a_seed_decides_the_shufflings_and_leaves_the_global_generator_alone(metric):
    codes, labels = draw(8, 50, 2), draw(3, 50, seed=1)
    before = np.random.get_state()  # noqa: NPY002
    first = metric(codes, labels, random_state=0)
    assert metric(codes, labels, random_state=np.random.RandomState(0)) == first
    assert metric(codes, labels, random_state=1) != first
    np.testing.assert_equal(np.random.get_state(), before)  # noqa: NPY002
    with pytest.raises(ValueError, match="'seed' cannot be used to seed"):
        metric(codes, labels, random_state="seed")


@of_pairs
def test_one_token_draws_nothing(metric):
    generator = np.random.RandomState(0)
    metric(draw(8, 50), draw(3, 50, seed=1), random_state=generator)
    assert generator.randint(1000) == np.random.RandomState(0).randint(1000)


def test_large_codes_take_no_more_room_than_small_ones():
    codes, labels = draw(8, 50, 2), draw(3, 50, seed=1)
    found = mutual_information(codes + 2**60, labels, random_state=0)
    assert found == mutual_information(codes, labels, random_state=0)
    assert entropy([2**60, 2**60 + 1]) == pytest.approx(math.log(2))


def test_plain_floats_are_returned():
    codes, labels = draw(8, 50, 2), draw(3, 50, seed=1)
    found = [
        entropy(codes),
        entropy(codes, correction="miller-madow"),
        perplexity(codes),
        mutual_information(codes[:, 0], labels),
        *mutual_information(codes, labels, return_floor=True),
        adjusted_mutual_information(codes, labels),
        adjusted_mutual_information(codes[:, 0], labels),
        adjusted_mutual_information(labels, labels),
    ]
    assert {type(number) for number in found} == {float}
