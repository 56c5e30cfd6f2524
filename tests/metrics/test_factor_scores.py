"""What all scores of disentanglement share: invariances, floors, refusals, seeds."""

import re

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from vqssl.metrics import (
    DCI,
    beta_vae_score,
    dci,
    factor_vae_score,
    modularity_score,
    mutual_information_gap,
    sap_score,
)
from vqssl.metrics._labelled import split_rows, standardised, varying

FEW = {"n_train": 200, "n_test": 100}
# Arguments with which each is quick.
SCORES = {
    "beta_vae": (beta_vae_score, FEW),
    "factor_vae": (factor_vae_score, FEW),
    "gap": (mutual_information_gap, {}),
    "gap, uniform": (mutual_information_gap, {"bins": "uniform"}),
    "modularity": (modularity_score, {}),
    "modularity, uniform": (modularity_score, {"bins": "uniform"}),
    "dci": (dci, {**FEW, "classifier": RandomForestClassifier(10, max_features=None)}),
    "sap, svc": (sap_score, FEW),
    "sap, r2": (sap_score, {"estimator": "r2"}),
}
DRAWING = ["beta_vae", "factor_vae", "dci", "sap, svc"]

every_score = pytest.mark.parametrize("name", SCORES)


def score(name, code, factors, **arguments):
    """Call a score; numbers as an array."""
    function, quick = SCORES[name]
    arguments = {"random_state": 0, **quick, **arguments}
    return np.array(function(code, factors, **arguments))


def make_factors(n=300, n_values=(3, 4, 5), seed=0):
    generator = np.random.default_rng(seed)
    return np.stack([generator.integers(k, size=n) for k in n_values], axis=1)


def mixed(factors, seed=1):
    """A code between the factors and noise."""
    generator = np.random.default_rng(seed)
    code = factors @ (np.eye(3) + 0.3 * generator.standard_normal((3, 3)))
    return code + 0.3 * generator.standard_normal(code.shape)


# ---------------------------------------------------------------- invariances


@every_score
def test_the_factors_themselves_are_best_and_noise_is_like_the_floor(name):
    factors = make_factors()
    noise = np.random.default_rng(9).standard_normal((300, 3))
    best, floor = score(name, factors, factors, return_floor=True)
    if name != "sap, svc":  # ends at .2 or so
        assert best == pytest.approx(1, abs=0.05)
    assert (best > floor + 0.05).all()
    assert score(name, noise, factors) == pytest.approx(floor, abs=0.2)


@every_score
def test_scale_and_position_of_dimensions_do_not_matter(name):
    factors = make_factors()
    code = mixed(factors)
    # Powers of two scale without rounding.
    moved = code * [2.0**-20, 2, 2.0**20]
    np.testing.assert_allclose(score(name, moved, factors), score(name, code, factors), rtol=1e-6)
    moved = moved + np.array([1, -2, 2.0**21])
    np.testing.assert_allclose(score(name, moved, factors), score(name, code, factors), atol=0.03)


@every_score
def test_order_of_dimensions_and_of_factors_does_not_matter(name):
    factors = make_factors()
    code = mixed(factors)
    expected = score(name, code, factors)
    # What draws, draws for other columns then.
    close = {"atol": 0.08 if name in DRAWING else 1e-9}
    np.testing.assert_allclose(score(name, code[:, [2, 0, 1]], factors), expected, **close)
    np.testing.assert_allclose(score(name, code, factors[:, [1, 2, 0]]), expected, **close)


@pytest.mark.parametrize("name", [name for name in SCORES if name != "sap, r2"])
def test_names_of_values_do_not_matter(name):
    factors = make_factors()
    code = mixed(factors)
    renamed = 10 * factors - 7  # in the same order, so that ties are broken alike
    np.testing.assert_allclose(score(name, code, renamed), score(name, code, factors))


@every_score
def test_a_constant_dimension_adds_nothing_but_to_the_mean_of_modularity(name):
    factors = make_factors()
    code = mixed(factors)
    expected = score(name, code, factors)
    found = score(name, np.insert(code, 1, 0.1, axis=1), factors)
    if name.startswith("modularity"):
        expected = expected * 3 / 4
    if name == "dci":  # completeness counts dimensions
        expected[1] = 1 - (1 - expected[1]) * np.log(3) / np.log(4)
    np.testing.assert_allclose(found, expected, atol=0.03)


@every_score
def test_a_constant_representation_gets_a_score(name):
    factors = make_factors()
    found, floor = score(name, np.full((300, 2), 0.1), factors, return_floor=True)
    if name == "dci":
        assert tuple(found[:2]) == (0, 0)
        assert found[2] == pytest.approx(np.mean([1 / 3, 1 / 4, 1 / 5]), abs=0.1)
    elif name == "beta_vae":
        assert found == pytest.approx(1 / 3, abs=0.05)
    else:
        assert found == 0
    assert np.isfinite(floor).all()


# ---------------------------------------------------------------- what is accepted and returned


@every_score
def test_lists_and_whole_floats_are_accepted_and_inputs_left_alone(name):
    factors = make_factors()
    code = mixed(factors).astype(np.float32)
    expected = score(name, code, factors)
    code.flags.writeable = factors.flags.writeable = False
    np.testing.assert_array_equal(score(name, code, factors), expected)
    lists = code.tolist(), factors.astype(float).tolist()
    np.testing.assert_array_equal(score(name, *lists), expected)


@every_score
def test_plain_floats_are_returned(name):
    function, quick = SCORES[name]
    factors = make_factors()
    results = function(mixed(factors), factors, return_floor=True, **quick)
    assert len(results) == 2
    for result in results:
        assert isinstance(result, DCI if name == "dci" else float)
        numbers = result if name == "dci" else [result]
        assert {type(number) for number in numbers} == {float}


@every_score
def test_the_floor_does_not_change_the_score(name):
    factors = make_factors()
    code = mixed(factors)
    with_floor = score(name, code, factors, return_floor=True)
    np.testing.assert_array_equal(with_floor[0], score(name, code, factors))


# ---------------------------------------------------------------- randomness


@every_score
def test_a_seed_decides_everything(name):
    factors = make_factors()
    code = mixed(factors)
    first = score(name, code, factors, return_floor=True)
    again = score(name, code, factors, return_floor=True, random_state=np.random.RandomState(0))
    np.testing.assert_array_equal(again, first)
    others = [
        score(name, code, factors, return_floor=True, random_state=seed) for seed in (1, 2, 3)
    ]
    assert any((other != first).any() for other in others)


@every_score
def test_a_seed_leaves_the_global_generator_alone(name):
    factors = make_factors()
    before = np.random.get_state()  # noqa: NPY002
    score(name, mixed(factors), factors, return_floor=True)
    np.testing.assert_equal(np.random.get_state(), before)  # noqa: NPY002


@pytest.mark.parametrize("name", [name for name in SCORES if name not in DRAWING])
def test_nothing_is_drawn_where_nothing_is_random(name):
    factors = make_factors()
    generator = np.random.RandomState(0)
    score(name, mixed(factors), factors, random_state=generator)
    assert generator.randint(1000) == np.random.RandomState(0).randint(1000)


@every_score
def test_what_is_no_seed_is_refused(name):
    factors = make_factors()
    with pytest.raises(ValueError, match="'seed' cannot be used to seed"):
        score(name, factors, factors, random_state="seed")


# ---------------------------------------------------------------- what is refused


def change(array, where, value):
    changed = np.array(array, dtype=float)
    changed[where] = value
    return changed


FACTORS = make_factors(20)


@every_score
@pytest.mark.parametrize(
    ("code", "factors", "problem"),
    [
        (FACTORS[:, 0], FACTORS, "representation must have shape (n_samples, n_dimensions); got 1"),
        (change(FACTORS, (2, 1), np.nan), FACTORS, "representation must be finite; got nan at (2,"),
        (FACTORS[:2], FACTORS[:2], "representation must have 3 or more rows; got 2"),
        (FACTORS, FACTORS[:-1], "factors must have shape (20, n_factors), one row for each of "),
        (FACTORS, FACTORS[:, 0], "factors must have shape (20, n_factors), one row for each of "),
        (FACTORS, change(FACTORS, (3, 1), 0.5), "factors must hold whole numbers; got 0.5 at (3, "),
        (FACTORS, FACTORS.astype(str), "factors must hold real numbers; got an array of <U"),
        (
            FACTORS,
            change(FACTORS, (slice(None), 2), 7),
            "factors must have 2 or more values in each column; got 7 alone in column 2.",
        ),
    ],
)
def test_representation_and_factors_must_fit(name, code, factors, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        score(name, code, factors)


@pytest.mark.parametrize("name", ["beta_vae", "factor_vae", "modularity", "dci"])
def test_one_factor_is_too_few(name):
    with pytest.raises(ValueError, match="factors must have 2 or more columns; got 1"):
        score(name, FACTORS, FACTORS[:, :1])


@pytest.mark.parametrize("name", ["gap", "sap, r2", "sap, svc"])
def test_a_gap_needs_two_dimensions(name):
    with pytest.raises(ValueError, match="representation must have 2 or more dimensions; got 1"):
        score(name, FACTORS[:, :1], FACTORS)


@pytest.mark.parametrize(
    ("function", "parameter", "minimum"),
    [
        *((beta_vae_score, name, low) for name, low in [("batch_size", 1), ("n_train", 3)]),
        *((factor_vae_score, name, low) for name, low in [("batch_size", 2), ("n_test", 3)]),
        *((dci, name, 1) for name in ("n_train", "n_test")),
        *((sap_score, name, 1) for name in ("n_train", "n_test")),
        (mutual_information_gap, "n_bins", 2),
        (modularity_score, "n_bins", 2),
    ],
)
def test_counts_must_be_integers_and_large_enough(function, parameter, minimum):
    problem = f"{parameter} must be an integer of at least {minimum}; got"
    with pytest.raises(ValueError, match=f"{problem} {minimum - 1}"):
        function(FACTORS, FACTORS, **{parameter: minimum - 1})
    with pytest.raises(TypeError, match=f"{problem} 5.0"):
        function(FACTORS, FACTORS, **{parameter: 5.0})


def test_names_of_choices_are_checked():
    for function in (mutual_information_gap, modularity_score):
        with pytest.raises(ValueError, match="bins must be 'quantile' or 'uniform'; got 'equal'"):
            function(FACTORS, FACTORS, bins="equal")
    with pytest.raises(ValueError, match="estimator must be 'svc' or 'r2'; got 'ridge'"):
        sap_score(FACTORS, FACTORS, estimator="ridge")


# ---------------------------------------------------------------- helpers


@pytest.mark.parametrize(
    ("n_rows", "wanted", "expected"),
    [
        (30, (10, 5), (10, 5)),
        (15, (10, 5), (10, 5)),
        (12, (10, 5), (8, 4)),
        (3, (10_000, 5_000), (2, 1)),
        (2, (1, 99), (1, 1)),
        (2, (99, 1), (1, 1)),
    ],
)
def test_rows_are_split_in_the_ratio_asked_for(n_rows, wanted, expected):
    train, test = split_rows(n_rows, *wanted, np.random.RandomState(0))
    assert (len(train), len(test)) == expected
    assert len(set(train) | set(test)) == sum(expected)


def test_standardised_dimensions_have_a_mean_of_zero_and_a_variance_of_one_or_are_zero():
    rows = np.c_[make_factors() * [1e-9, 1, 1e9] + [0, 5, 0], np.full(300, 0.1), np.zeros(300)]
    found = standardised(rows)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(found.std(axis=0), [1, 1, 1, 0, 0], atol=1e-9)
    assert varying(rows).tolist() == [True, True, True, False, False]
