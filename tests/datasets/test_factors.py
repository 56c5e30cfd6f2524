"""Series of known factors: levels are uniform, and each factor moves its own part alone."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency, chisquare, kstest

from vqssl.datasets import FACTOR_VALUES, make_factor_series, series_from_factors

NAMES = list(FACTOR_VALUES)
COUNTS = [len(values) for values in FACTOR_VALUES.values()]

seeds = st.integers(0, 2**32 - 1)
lengths = st.integers(1, 150)
some_levels = st.tuples(*(st.integers(0, count - 1) for count in COUNTS))


def clean_combinations():
    """Every combination of the five factors without noise, (8000, 6)."""
    return np.array(list(itertools.product(*map(range, COUNTS[:-1]), [0])))


def series_by_formula(levels, length, eps):
    """The docstring's equation, point by point."""
    f, phi, a, g, p, s = (
        FACTOR_VALUES[name][level] for name, level in zip(NAMES, levels, strict=True)
    )
    x = []
    for t in range(length):
        u = t / length
        wave = a * math.sin(2 * math.pi * f * u + phi)
        event = 3 * math.exp(-((u - p) ** 2) / (2 * 0.02**2))
        x.append(wave + g * (u - 0.5) + event + s * eps[t])
    return x


def change(levels, name, length, seed):
    """What a factor's step from its first level to its last adds to a series."""
    first, last = list(levels), list(levels)
    first[NAMES.index(name)], last[NAMES.index(name)] = 0, COUNTS[NAMES.index(name)] - 1
    # The same seed each: the rows of one call differ in their noise.
    one = series_from_factors([first], length=length, random_state=seed)[0]
    other = series_from_factors([last], length=length, random_state=seed)[0]
    return other - one


# ---------------------------------------------------------------- levels


def test_values_are_those_of_the_docstring():
    assert NAMES == ["frequency", "phase", "amplitude", "trend", "position", "noise"]
    assert FACTOR_VALUES["frequency"].tolist() == [2, 3, 4, 5, 6]
    np.testing.assert_allclose(FACTOR_VALUES["phase"], [k * math.pi / 8 for k in range(8)])
    assert FACTOR_VALUES["amplitude"].tolist() == [0.5, 1, 1.5, 2, 2.5]
    assert FACTOR_VALUES["trend"].tolist() == [-2, -1, 0, 1, 2]
    assert FACTOR_VALUES["position"].tolist() == [k / 16 for k in range(1, 16, 2)]
    assert FACTOR_VALUES["noise"].tolist() == [0, 0.1, 0.2]


def test_values_cannot_be_changed():
    with pytest.raises(TypeError, match="does not support item assignment"):
        FACTOR_VALUES["trend"] = np.zeros(5)
    for values in FACTOR_VALUES.values():
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 7


@pytest.mark.statistical
def test_levels_are_uniform_and_independent():
    _, factors = make_factor_series(20_000, length=1, random_state=0)
    for levels, count in zip(factors.T, COUNTS, strict=True):
        assert chisquare(np.bincount(levels, minlength=count)).pvalue > 1e-3
        assert levels.max() == count - 1
    for one, other in itertools.combinations(range(6), 2):
        table = np.zeros((COUNTS[one], COUNTS[other]))
        np.add.at(table, (factors[:, one], factors[:, other]), 1)
        assert chi2_contingency(table).pvalue > 1e-3


# ---------------------------------------------------------------- what is drawn


@given(n_samples=st.integers(1, 30), length=lengths, seed=seeds)
def test_series_are_finite_and_levels_exist(n_samples, length, seed):
    X, factors = make_factor_series(n_samples, length=length, random_state=seed)
    assert X.shape == (n_samples, length)
    assert X.dtype == np.float64
    assert np.isfinite(X).all()
    assert factors.shape == (n_samples, 6)
    assert factors.dtype == np.int64
    assert (factors >= 0).all()
    assert (factors < COUNTS).all()


def test_the_defaults_are_the_sizes_in_the_signature():
    X, factors = make_factor_series(random_state=0)
    assert X.shape == (1000, 128)
    assert series_from_factors(factors[:3]).shape == (3, 128)


@given(seed=seeds)
def test_the_same_seed_gives_the_same_bits(seed):
    X, factors = make_factor_series(7, random_state=seed)
    again, levels = make_factor_series(7, random_state=np.random.RandomState(seed))
    assert X.tobytes() == again.tobytes()
    assert factors.tolist() == levels.tolist()
    drawn = series_from_factors(factors, random_state=seed)
    again = series_from_factors(factors, random_state=np.random.RandomState(seed))
    assert drawn.tobytes() == again.tobytes()


def test_another_seed_gives_other_levels_and_other_noise():
    noises = []
    for seed in (0, 1):
        X, factors = make_factor_series(50, random_state=seed)
        clean = series_from_factors(factors * [1, 1, 1, 1, 1, 0])
        noises.append((X - clean) / np.maximum(FACTOR_VALUES["noise"][factors[:, 5]], 0.1)[:, None])
    both_noisy = (abs(noises[0]) > 1e-9).all(axis=1) & (abs(noises[1]) > 1e-9).all(axis=1)
    assert both_noisy.any()
    assert not np.isclose(*noises)[both_noisy].all(axis=1).any()
    _, others = make_factor_series(50, random_state=0)
    assert (factors != others).any(axis=0).all()
    redrawn = [series_from_factors([[0] * 5 + [2]], random_state=seed) for seed in (0, 1)]
    assert not np.isclose(*redrawn).all()


def test_a_generator_goes_on_where_it_stands():
    generator = np.random.RandomState(0)
    _, first = make_factor_series(50, random_state=generator)
    _, second = make_factor_series(50, random_state=generator)
    assert (first != second).any(axis=0).all()


def test_an_int_leaves_the_global_generator_alone_and_none_draws_from_it():
    before = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(3)  # noqa: NPY002
        untouched = np.random.get_state()  # noqa: NPY002
        expected, factors = make_factor_series(9, random_state=3)
        noise = series_from_factors(factors, random_state=3)
        np.testing.assert_equal(np.random.get_state(), untouched)  # noqa: NPY002
        np.testing.assert_array_equal(make_factor_series(9)[0], expected)
        np.random.seed(3)  # noqa: NPY002
        np.testing.assert_array_equal(series_from_factors(factors), noise)
    finally:
        np.random.set_state(before)  # noqa: NPY002


# ---------------------------------------------------------------- the formula


@given(levels=st.lists(some_levels, min_size=1, max_size=5), length=lengths, seed=seeds)
def test_a_series_is_the_formula_of_its_levels(levels, length, seed):
    eps = np.random.RandomState(seed).standard_normal((len(levels), length))
    X = series_from_factors(levels, length=length, random_state=seed)
    expected = [series_by_formula(row, length, e) for row, e in zip(levels, eps, strict=True)]
    np.testing.assert_allclose(X, expected, rtol=0, atol=1e-12)


@given(levels=some_levels, length=lengths, seed=seeds)
def test_a_change_of_trend_is_a_line(levels, length, seed):
    line = 4 * (np.arange(length) / length - 0.5)
    np.testing.assert_allclose(change(levels, "trend", length, seed), line, rtol=0, atol=1e-12)


@given(levels=some_levels, length=lengths, seed=seeds)
def test_a_change_of_amplitude_scales_the_sine(levels, length, seed):
    f, phi = FACTOR_VALUES["frequency"][levels[0]], FACTOR_VALUES["phase"][levels[1]]
    sine = np.sin(2 * np.pi * f * np.arange(length) / length + phi)
    added = change(levels, "amplitude", length, seed)
    np.testing.assert_allclose(added, 2 * sine, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["frequency", "phase"])
@given(levels=some_levels, length=st.integers(13, 150), seed=seeds)
def test_frequency_and_phase_change_nothing_but_the_sine(name, levels, length, seed):
    added = change(levels, name, length, seed)
    spectrum = abs(np.fft.rfft(added)) / length
    named = {"frequency": [2, 6], "phase": [int(FACTOR_VALUES["frequency"][levels[0]])]}[name]
    np.testing.assert_allclose(np.delete(spectrum, named), 0, rtol=0, atol=1e-12)
    assert (spectrum[named] > 0.05).all()


@given(levels=some_levels, length=st.integers(64, 300), seed=seeds)
def test_a_change_of_position_moves_the_bump(levels, length, seed):
    added = change(levels, "position", length, seed)
    start, end = length / 16, 15 * length / 16
    assert abs(added.argmin() - start) <= 0.5
    assert abs(added.argmax() - end) <= 0.5
    t = np.arange(length)
    elsewhere = np.minimum(abs(t - start), abs(t - end)) > length / 10
    np.testing.assert_allclose(added[elsewhere], 0, rtol=0, atol=1e-4)


@given(levels=some_levels, length=lengths, seed=seeds)
def test_a_change_of_noise_scales_the_same_draws(levels, length, seed):
    eps = np.random.RandomState(seed).standard_normal(length)
    added = change(levels, "noise", length, seed)
    np.testing.assert_allclose(added, 0.2 * eps, rtol=0, atol=1e-12)


@given(levels=some_levels, length=lengths, seed=seeds)
def test_without_noise_the_seed_and_the_other_rows_change_nothing(levels, length, seed):
    levels = [*levels[:5], 0]
    alone = series_from_factors([levels], length=length, random_state=seed)[0]
    among = series_from_factors([[0] * 6, levels, [1] * 6], length=length, random_state=0)[1]
    np.testing.assert_allclose(alone, among, rtol=0, atol=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize("level", [1, 2])
def test_what_the_factors_leave_open_is_normal_noise_of_the_level(level):
    X, factors = make_factor_series(3000, random_state=0)
    clean = factors.copy()
    clean[:, 5] = 0
    residual = (X - series_from_factors(clean))[factors[:, 5] == level]
    z = residual / FACTOR_VALUES["noise"][level]
    # The sum of squares of standard normals; the two ends have a chance of 1e-6 together.
    low, high = chi2(z.size).ppf([5e-7, 1 - 5e-7])
    assert low < (z**2).sum() < high
    assert kstest(z.ravel(), "norm").pvalue > 1e-3
    for one, other in ((z[:, 1:], z[:, :-1]), (z[1:], z[:-1])):  # along series, between series
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / math.sqrt(z.size)


# ---------------------------------------------------------------- factors can be told from series


@pytest.mark.parametrize("length", [13, 14, 31, 128])
def test_every_combination_has_a_series_of_its_own(length):
    X = series_from_factors(clean_combinations(), length=length)
    # One projection suffices: what differs in it differs.
    weights = np.random.RandomState(0).standard_normal(length)
    assert np.diff(np.sort(X @ weights)).min() > 1e-9


@pytest.mark.statistical
def test_the_nearest_series_without_noise_and_the_distance_to_it_tell_all_factors():
    X, factors = make_factor_series(200, random_state=0)
    combinations = clean_combinations()
    clean = series_from_factors(combinations)
    nearest = ((clean**2).sum(axis=1) - 2 * X @ clean.T).argmin(axis=1)
    np.testing.assert_array_equal(combinations[nearest, :5], factors[:, :5])
    deviation = (X - clean[nearest]).std(axis=1)
    noise = abs(deviation[:, None] - FACTOR_VALUES["noise"]).argmin(axis=1)
    np.testing.assert_array_equal(noise, factors[:, 5])


@given(levels=some_levels)
def test_simple_sums_tell_the_parts_of_a_series_without_noise(levels):
    length = 1200  # the positions are time points
    levels = [*levels[:5], 0]
    x = series_from_factors([levels], length=length)[0]
    u = np.arange(length) / length
    bumps = np.exp(-(((u[:, None] - FACTOR_VALUES["position"]) / 0.02) ** 2) / 2)
    angles = 2 * np.pi * u[:, None] * FACTOR_VALUES["frequency"]
    parts = np.column_stack([u - 0.5, bumps, np.sin(angles), np.cos(angles)])
    trend, *rest = np.linalg.lstsq(parts, x, rcond=None)[0]
    heights, waves = np.array(rest[:8]), np.array(rest[8:13]) + 1j * np.array(rest[13:])
    f = abs(waves).argmax()
    found = [f, np.angle(waves[f]), abs(waves[f]), trend, heights.argmax()]
    expected = [
        levels[0],
        *(FACTOR_VALUES[name][levels[k]] for k, name in enumerate(NAMES[:4]) if k),
        levels[4],
    ]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(heights, 3 * (np.arange(8) == levels[4]), rtol=0, atol=1e-9)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("factors", "problem"),
    [
        ([0, 0, 0, 0, 0, 0], "factors must have shape (n_samples, 6) and at least one row; got"),
        ([[0] * 5], "got shape (1, 5)."),
        ([[[0] * 6]], "got shape (1, 1, 6)."),
        (np.empty((0, 6), int), "got shape (0, 6)."),
        ([], "got shape (0,)."),
        (3, "got shape ()."),
        ([[0] * 6, [0] * 5], "factors must have shape (n_samples, 6); setting an array element"),
    ],
)
def test_levels_of_another_shape_are_refused(factors, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        series_from_factors(factors)


@pytest.mark.parametrize("dtype", [np.float64, bool, str, object])
def test_levels_that_are_no_integers_are_refused(dtype):
    with pytest.raises(TypeError, match="factors must be integers; got an array of "):
        series_from_factors(np.zeros((2, 6), dtype))


@pytest.mark.parametrize("column", range(6))
@pytest.mark.parametrize("below", [True, False])
def test_levels_that_a_factor_does_not_have_are_refused(column, below):
    factors = np.array([[count - 1 for count in COUNTS]] * 3)
    factors[1, column] = value = -1 if below else COUNTS[column]
    problem = (
        f"factors must lie in [0, {COUNTS[column]}) in column {column}, the levels of "
        f"'{NAMES[column]}'; got {value} at sample 1."
    )
    with pytest.raises(ValueError, match=re.escape(problem)):
        series_from_factors(factors)


def test_levels_of_any_integer_type_are_taken_and_left_as_they_are():
    _, factors = make_factor_series(5, length=1, random_state=0)
    before = factors.copy()
    expected = series_from_factors(factors, random_state=0)
    for given_as in (factors.astype(np.uint8), factors.astype(np.uint64), factors.tolist()):
        np.testing.assert_array_equal(series_from_factors(given_as, random_state=0), expected)
    np.testing.assert_array_equal(factors, before)


def test_sizes_that_do_not_exist_are_refused():
    for value in (0, -1):
        with pytest.raises(ValueError, match=f"n_samples must be .* at least 1; got {value}"):
            make_factor_series(value)
        with pytest.raises(ValueError, match=f"length must be .* at least 1; got {value}"):
            make_factor_series(5, length=value)
        with pytest.raises(ValueError, match=f"length must be .* at least 1; got {value}"):
            series_from_factors([[0] * 6], length=value)
    for value in (10.0, "10", None, True):
        with pytest.raises(TypeError, match=f"n_samples must be an integer .* got {value!r}"):
            make_factor_series(value)
        with pytest.raises(TypeError, match=f"length must be an integer .* got {value!r}"):
            series_from_factors([[0] * 6], length=value)


def test_what_is_no_seed_is_refused():
    with pytest.raises(ValueError, match="'seed' cannot be used to seed"):
        make_factor_series(5, random_state="seed")
    with pytest.raises(ValueError, match="'seed' cannot be used to seed"):
        series_from_factors([[0] * 6], random_state="seed")
