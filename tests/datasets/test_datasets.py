"""Generators of series: the formulas hold, the ranges are filled, a seed decides everything."""

import itertools
import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.neighbors import KNeighborsClassifier

from vqssl.datasets import make_control_charts, make_cylinder_bell_funnel, make_two_patterns

CLASSES = {
    make_control_charts: [
        "normal",
        "cyclic",
        "increasing",
        "decreasing",
        "upward shift",
        "downward shift",
    ],
    make_cylinder_bell_funnel: ["cylinder", "bell", "funnel"],
    make_two_patterns: ["up-up", "up-down", "down-up", "down-down"],
}
DEFAULT_SHAPE = {
    make_control_charts: (600, 60),
    make_cylinder_bell_funnel: (300, 128),
    make_two_patterns: (400, 128),
}
MIN_LENGTH = {make_control_charts: 3, make_cylinder_bell_funnel: 4, make_two_patterns: 9}

# Series come in float32; their rounding must not look like a value out of range.
TOLERANCE = 1e-4

every_generator = pytest.mark.parametrize("make", CLASSES, ids=lambda make: make.__name__)
seeds = st.integers(0, 2**32 - 1)


def series_of(make, name, n_samples, length, seed=0):
    """Series of one class, float64."""
    X, y = make(n_samples, length=length, random_state=seed)
    return X[y == name].astype(np.float64)


# ---------------------------------------------------------------- properties of all


@every_generator
@given(n_samples=st.integers(1, 30), longer=st.integers(0, 60), seed=seeds)
def test_series_are_finite_and_labels_balanced(make, n_samples, longer, seed):
    length = MIN_LENGTH[make] + longer
    X, y = make(n_samples, length=length, random_state=seed)
    assert X.shape == (n_samples, length)
    assert X.dtype == np.float32
    assert np.isfinite(X).all()
    assert y.shape == (n_samples,)
    assert y.dtype.kind == "U"
    counts = [int((y == name).sum()) for name in CLASSES[make]]
    assert sum(counts) == n_samples
    assert max(counts) - min(counts) <= 1


@every_generator
def test_the_defaults_are_the_sizes_in_the_signature(make):
    X, y = make(random_state=0)
    assert X.shape == DEFAULT_SHAPE[make]
    n_each = len(X) // len(CLASSES[make])
    assert Counter(y.tolist()) == dict.fromkeys(CLASSES[make], n_each)


@every_generator
@given(seed=seeds)
def test_the_same_seed_gives_the_same_bits(make, seed):
    X, y = make(7, random_state=seed)
    again, labels = make(7, random_state=np.random.RandomState(seed))
    assert X.tobytes() == again.tobytes()
    assert y.tolist() == labels.tolist()


@every_generator
@given(seed=st.integers(0, 2**32 - 2))
def test_another_seed_gives_other_series(make, seed):
    X, _ = make(5, random_state=seed)
    other, _ = make(5, random_state=seed + 1)
    assert not np.isclose(X[:, None], other).all(axis=-1).any()


@every_generator
def test_no_two_series_are_alike(make):
    X, _ = make(50, random_state=0)
    assert len(np.unique(X, axis=0)) == 50


@every_generator
def test_the_order_of_the_classes_is_drawn(make):
    orders = {tuple(make(60, random_state=seed)[1]) for seed in range(5)}
    assert len(orders) == 5


@every_generator
def test_a_generator_goes_on_where_it_stands(make):
    generator = np.random.RandomState(0)
    first, _ = make(5, random_state=generator)
    second, _ = make(5, random_state=generator)
    assert not np.isclose(first, second).all(axis=-1).any()


@every_generator
def test_an_int_leaves_the_global_generator_alone_and_none_draws_from_it(make):
    before = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(3)  # noqa: NPY002
        untouched = np.random.get_state()  # noqa: NPY002
        expected, _ = make(5, random_state=3)
        np.testing.assert_equal(np.random.get_state(), untouched)  # noqa: NPY002
        drawn, _ = make(5)
        np.testing.assert_array_equal(drawn, expected)
    finally:
        np.random.set_state(before)  # noqa: NPY002


@every_generator
@pytest.mark.parametrize("value", [0, -1])
def test_too_few_series_are_refused(make, value):
    with pytest.raises(ValueError, match=f"n_samples must be .* at least 1; got {value}"):
        make(value)


@every_generator
def test_too_short_series_are_refused(make):
    shortest = MIN_LENGTH[make]
    for length in (shortest - 1, 0, -5):
        problem = f"length must be an integer of at least {shortest}; got {length}."
        with pytest.raises(ValueError, match=re.escape(problem)):
            make(5, length=length)


@every_generator
@pytest.mark.parametrize("value", [10.0, "10", None, True])
def test_sizes_that_are_no_integers_are_refused(make, value):
    with pytest.raises(TypeError, match=f"n_samples must be an integer .* got {value!r}"):
        make(value)
    with pytest.raises(TypeError, match=f"length must be an integer .* got {value!r}"):
        make(5, length=value)


@every_generator
def test_numpy_integers_are_sizes(make):
    X, _ = make(np.int64(5), length=np.int32(20), random_state=np.int64(0))
    np.testing.assert_array_equal(X, make(5, length=20, random_state=0)[0])


@every_generator
def test_what_is_no_seed_is_refused(make):
    with pytest.raises(ValueError, match="'seed' cannot be used to seed"):
        make(5, random_state="seed")


# ---------------------------------------------------------------- control charts


def slope_interval(excess, t):
    """Slopes g for which every point of ``excess - g t`` is within the noise, [-6, 6]."""
    return ((excess - 6) / t).max(axis=1), ((excess + 6) / t).min(axis=1)


def shift_interval(excess, onset):
    """Shifts from point `onset` on for which every point is within the noise, by series."""
    before, after = excess[:, :onset], excess[:, onset:]
    low, high = after.max(axis=1) - 6, after.min(axis=1) + 6
    fits = (abs(before) <= 6 + TOLERANCE).all(axis=1)
    return np.where(fits, low, np.inf), np.where(fits, high, -np.inf)


def meets(low, high, smallest, largest):
    """Whether [low, high] and [smallest, largest] have a number in common."""
    return np.maximum(low, smallest) <= np.minimum(high, largest) + TOLERANCE


@given(length=st.integers(3, 90), seed=seeds)
def test_normal_charts_stay_within_six_of_thirty(length, seed):
    X = series_of(make_control_charts, "normal", 12, length, seed)
    assert (abs(X - 30) <= 6 + TOLERANCE).all()


@pytest.mark.statistical
def test_noise_of_control_charts_is_uniform():
    X = series_of(make_control_charts, "normal", 600, 60)
    counts, _ = np.histogram(X, bins=12, range=(24, 36))
    assert chisquare(counts).pvalue > 1e-3
    lagged = np.corrcoef(X[:, 1:].ravel(), X[:, :-1].ravel())[0, 1]
    assert abs(lagged) < 4 / math.sqrt(X.size)


@pytest.mark.parametrize(("name", "sign"), [("increasing", 1), ("decreasing", -1)])
@given(length=st.integers(3, 90), seed=seeds)
def test_trends_are_a_line_in_noise(name, sign, length, seed):
    X = series_of(make_control_charts, name, 12, length, seed)
    low, high = slope_interval(sign * (X - 30), np.arange(1, length + 1))
    assert (low <= high + TOLERANCE).all()
    assert meets(low, high, 0.2, 0.5).all()


@pytest.mark.statistical
@pytest.mark.parametrize(("name", "sign"), [("increasing", 1), ("decreasing", -1)])
def test_slopes_fill_their_range(name, sign):
    length = 2000  # so long that noise moves a slope by 1e-4
    X = series_of(make_control_charts, name, 1200, length)
    slopes = sign * np.polyfit(np.arange(1, length + 1), X.T, 1)[0]
    assert 0.199 < slopes.min() < 0.21
    assert 0.49 < slopes.max() < 0.501
    assert chisquare(np.histogram(slopes, bins=6, range=(0.2, 0.5))[0]).pvalue > 1e-3


@pytest.mark.parametrize(("name", "sign"), [("upward shift", 1), ("downward shift", -1)])
@given(length=st.integers(3, 90), seed=seeds)
def test_shifts_are_one_step_in_the_middle_third(name, sign, length, seed):
    X = series_of(make_control_charts, name, 12, length, seed)
    # The first shifted t is the least integer of at least t3, at index t - 1.
    first, last = math.ceil(length / 3) - 1, math.ceil(2 * length / 3) - 1
    fits = [
        meets(*shift_interval(sign * (X - 30), onset), 7.5, 20)
        for onset in range(max(first, 1), last + 1)
    ]
    assert np.any(fits, axis=0).all()


@pytest.mark.statistical
@pytest.mark.parametrize(("name", "sign"), [("upward shift", 1), ("downward shift", -1)])
def test_shifts_and_their_times_fill_their_ranges(name, sign):
    length = 600  # so long that noise moves a difference of thirds by 0.35
    X = sign * series_of(make_control_charts, name, 3000, length)
    before, after = X[:, :200].mean(axis=1), X[:, 400:].mean(axis=1)
    sizes = after - before
    assert abs(before - sign * 30).max() < 1.5
    assert 6.5 < sizes.min() < 7.8
    assert 19.7 < sizes.max() < 21
    inner = np.histogram(sizes, bins=5, range=(8.75, 18.75))[0]
    assert chisquare(inner).pvalue > 1e-3
    # Of the middle third, the share after the shift.
    share = (X[:, 200:400].mean(axis=1) - before) / sizes
    assert chisquare(np.histogram(share, bins=5, range=(0.1, 0.9))[0]).pvalue > 1e-3
    assert share.min() < 0.05
    assert share.max() > 0.95


@pytest.mark.statistical
def test_cyclic_charts_are_a_sine_from_phase_zero_in_noise():
    X = series_of(make_control_charts, "cyclic", 600, 60) - 30
    t = np.arange(1, 61)
    periods = np.arange(10, 15.005, 0.01)
    waves = np.sin(2 * np.pi * t / periods[:, None])  # (n_periods, length)
    amplitudes = X @ waves.T / (waves**2).sum(axis=1)  # least squares, (n, n_periods)
    errors = (X**2).sum(axis=1, keepdims=True) - amplitudes**2 * (waves**2).sum(axis=1)
    best = errors.argmin(axis=1)
    amplitude, period = amplitudes[np.arange(len(X)), best], periods[best]
    residual = X - amplitude[:, None] * waves[best]
    # The standard error of an amplitude is 0.63; the worst of 100 is within 3.5 of them.
    assert 10 - 2.2 < amplitude.min() < 10.5
    assert 14.5 < amplitude.max() < 15 + 2.2
    assert period.min() < 10.3
    assert period.max() > 14.7
    assert abs(residual).max() < 6 + 2.2
    np.testing.assert_allclose((residual**2).mean(), 12, rtol=0.1)  # variance of U(-6, 6)


@pytest.mark.statistical
def test_nearest_neighbour_learns_control_charts():
    train, test = make_control_charts(300, random_state=0), make_control_charts(300, random_state=1)
    assert KNeighborsClassifier(1).fit(*train).score(*test) > 0.8


# ---------------------------------------------------------------- cylinder, bell, funnel


def event_shapes(name, length):
    """Every event the docstring allows, without noise and with a height of 1."""
    begins = [a for a in range(length + 1) if length / 8 <= a <= length / 4]
    durations = [d for d in range(length + 1) if length / 4 <= d <= 3 * length / 4]
    shapes = []
    for a, d in itertools.product(begins, durations):
        t = np.arange(a, a + d + 1)
        shape = np.zeros(length + 1)  # by t, from 0
        shape[t] = {"cylinder": np.ones(d + 1), "bell": (t - a) / d, "funnel": (a + d - t) / d}[
            name
        ]
        shapes.append(shape[1:])
    return np.array(shapes)


@pytest.mark.statistical
@pytest.mark.parametrize("length", [128, 50, 9, 4])
@pytest.mark.parametrize("name", CLASSES[make_cylinder_bell_funnel])
def test_moments_of_events_are_those_of_the_formula(name, length):
    X = series_of(make_cylinder_bell_funnel, name, 9000, length)
    shapes = event_shapes(name, length)
    mean = 6 * shapes.mean(axis=0)
    square = 37 * (shapes**2).mean(axis=0) + 1  # E (6 + eta)^2 = 37
    for moment, expected in ((X, mean), (X**2, square)):
        error = moment.std(axis=0) / math.sqrt(len(X))
        assert (abs(moment.mean(axis=0) - expected) < 5 * error).all()


@pytest.mark.statistical
@pytest.mark.parametrize("name", CLASSES[make_cylinder_bell_funnel])
def test_a_series_is_one_event_of_one_height_in_noise(name):
    X = series_of(make_cylinder_bell_funnel, name, 600, 128)
    shapes = event_shapes(name, 128)
    heights = X @ shapes.T / (shapes**2).sum(axis=1)  # least squares, (n, n_shapes)
    errors = (X**2).sum(axis=1, keepdims=True) - heights**2 * (shapes**2).sum(axis=1)
    best = heights[np.arange(len(X)), errors.argmin(axis=1)]
    # Three fitted parameters leave 125 of 128 degrees of freedom.
    np.testing.assert_allclose(errors.min(axis=1).mean() / 125, 1, atol=0.05)
    np.testing.assert_allclose(best.mean(), 6, atol=0.4)
    np.testing.assert_allclose(best.std(), 1, atol=0.25)


@pytest.mark.statistical
def test_before_and_after_every_event_there_is_noise_only():
    X, _ = make_cylinder_bell_funnel(3000, length=160, random_state=0)
    outside = X[:, :19]  # events begin at t = 20 at the earliest
    np.testing.assert_allclose(outside.mean(), 0, atol=0.02)
    np.testing.assert_allclose(outside.std(), 1, atol=0.02)
    lagged = np.corrcoef(outside[:, 1:].ravel(), outside[:, :-1].ravel())[0, 1]
    assert abs(lagged) < 0.02


# ---------------------------------------------------------------- two patterns


def step(kind, size):
    """A pattern as the docstring gives it."""
    sign = {"up": 1, "down": -1}[kind]
    return [-5 * sign if t < size / 2 else 5 * sign for t in range(size)]


def find_patterns(x, name):
    """Every (start, length, start, length) of two patterns that explains the points at 5."""
    kinds = name.split("-")
    sizes = [s for s in range(len(x)) if len(x) / 8 <= s <= len(x) / 4]
    (at,) = np.nonzero(abs(x) == 5)
    found = []
    for first in sizes:
        second = len(at) - first
        if second not in sizes:
            continue
        blocks = at[:first], at[first:]
        joined = all(block[-1] - block[0] == len(block) - 1 for block in blocks)
        expected = step(kinds[0], first) + step(kinds[1], second)
        if joined and x[at].tolist() == expected:
            found.append((blocks[0][0], first, blocks[1][0], second))
    return found


@given(length=st.integers(9, 150), seed=seeds)
def test_two_steps_in_the_order_of_the_class(length, seed):
    X, y = make_two_patterns(8, length=length, random_state=seed)
    for x, name in zip(X, y, strict=True):
        assert find_patterns(x, name)


@pytest.mark.statistical
def test_lengths_of_patterns_are_uniform_and_independent():
    X, y = make_two_patterns(3000, random_state=0)
    # Of patterns that touch, the boundary may be open, in the few series that have them.
    found = [find_patterns(x, name)[0] for x, name in zip(X, y, strict=True)]
    lengths = np.array(found)[:, [1, 3]]
    for drawn in lengths.T:
        counts = np.bincount(drawn, minlength=33)
        assert counts[:16].sum() == 0
        assert chisquare(counts[16:]).pvalue > 1e-3
    assert abs(np.corrcoef(lengths.T)[0, 1]) < 4 / math.sqrt(len(lengths))


@pytest.mark.statistical
def test_the_first_pattern_begins_anywhere_and_the_second_anywhere_behind_it():
    # Up-up has one explanation even where the patterns touch.
    X = series_of(make_two_patterns, "up-up", 40_000, 12)
    found = [explanation for x in X for explanation in find_patterns(x, "up-up")]
    assert len(found) == len(X)
    for sizes in itertools.product((2, 3), (2, 3)):
        starts = Counter((a, b) for a, first, b, second in found if (first, second) == sizes)
        free = 12 - sum(sizes)
        expected = {
            (before, before + sizes[0] + between): 1 / (free + 1) / (free - before + 1)
            for before in range(free + 1)
            for between in range(free - before + 1)
        }
        assert starts.keys() == expected.keys()
        counts = np.array([starts[place] for place in expected])
        assert chisquare(counts, counts.sum() * np.array(list(expected.values()))).pvalue > 1e-3


@pytest.mark.statistical
def test_outside_the_patterns_there_is_standard_normal_noise():
    X, _ = make_two_patterns(1000, random_state=0)
    noise = X[abs(X) != 5]
    assert 1000 * 64 <= noise.size <= 1000 * 96
    np.testing.assert_allclose(noise.mean(), 0, atol=0.02)
    np.testing.assert_allclose(noise.std(), 1, atol=0.02)
