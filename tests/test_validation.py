"""What parameters and series must be, and what the messages say."""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqssl import _validation, pad_series
from vqssl._validation import (
    check_count,
    check_labels,
    check_probability,
    check_series,
    check_weight,
    refuse_unequal_lengths,
    unmasked,
)

NO_NUMBERS = ["1", None, [1], (), 1j, np.array([1.0]), np.bool_(True), True, False]


# ---------------------------------------------------------------- counts


@given(st.integers(-5, 5), st.integers(0, 10**9))
def test_integers_from_the_minimum_on_are_counts(minimum: int, above: int) -> None:
    assert check_count(minimum + above, "n", minimum) == minimum + above


@pytest.mark.parametrize("value", [np.int8(7), np.int64(7), np.uint16(7), 7])
def test_integers_of_numpy_become_plain_ones(value: Any) -> None:
    found = check_count(value, "n_codes")
    assert found == 7
    assert type(found) is int


@pytest.mark.parametrize("value", [*NO_NUMBERS, 2.0, np.float64(2), math.nan, math.inf])
def test_what_is_no_integer_is_no_count(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^n_codes must be an integer of at least 1; got "):
        check_count(value, "n_codes")


@pytest.mark.parametrize(("value", "minimum"), [(0, 1), (-3, 0), (1, 2), (np.int64(0), 1)])
def test_counts_below_the_minimum_are_refused(value: int, minimum: int) -> None:
    message = rf"^n_codes must be an integer of at least {minimum}; got .*{int(value)}\)?\.$"
    with pytest.raises(ValueError, match=message):
        check_count(value, "n_codes", minimum)


# ---------------------------------------------------------------- weights and probabilities

NUMBERS = [0.5, np.float32(0.5), np.float64(0.5), Fraction(1, 2)]
CHECKS: dict[str, Callable[[Any], float]] = {
    "weight": lambda value: check_weight(value, "lr"),
    "positive weight": lambda value: check_weight(value, "lr", positive=True),
    "probability": lambda value: check_probability(value, "lr"),
    "probability below one": lambda value: check_probability(value, "lr", below_one=True),
}
every_check = pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())


@every_check
@pytest.mark.parametrize("value", NUMBERS)
def test_real_numbers_become_plain_floats(check: Callable[[Any], float], value: Any) -> None:
    found = check(value)
    assert found == 0.5
    assert type(found) is float


@every_check
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_real_number_is_refused(check: Callable[[Any], float], value: Any) -> None:
    with pytest.raises(TypeError, match=r"^lr must be a .*number .*; got "):
        check(value)


@every_check
@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, np.float32("nan"), -0.1, -1, np.float64(-1e-9)]
)
def test_numbers_that_are_not_finite_or_negative_are_refused(
    check: Callable[[Any], float], value: Any
) -> None:
    with pytest.raises(ValueError, match=r"^lr must be a .*number .*; got "):
        check(value)


@given(st.floats(0, allow_infinity=False) | st.integers(0, 10**9))
def test_every_finite_number_from_zero_on_is_a_weight(value: float) -> None:
    assert check_weight(value, "lr") == value


@given(st.floats(0, 1))
def test_every_number_from_zero_to_one_is_a_probability(value: float) -> None:
    assert check_probability(value, "decay") == value


@pytest.mark.parametrize("zero", [0, 0.0, -0.0, np.float32(0)])
def test_zero_is_a_weight_unless_it_must_be_positive(zero: Any) -> None:
    assert check_weight(zero, "lr") == 0
    with pytest.raises(
        ValueError, match=r"^lr must be a finite number above 0; got .*0(\.0)?\)?\.$"
    ):
        check_weight(zero, "lr", positive=True)


@pytest.mark.parametrize("one", [1, 1.0, np.float64(1)])
def test_one_is_a_probability_unless_it_must_be_below(one: Any) -> None:
    assert check_probability(one, "decay") == 1
    with pytest.raises(ValueError, match=r"^decay must be a number in \[0, 1\); got .*1"):
        check_probability(one, "decay", below_one=True)


@pytest.mark.parametrize("value", [1.5, 2, np.nextafter(1, 2)])
def test_probabilities_above_one_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^p must be a number in \[0, 1\]; got "):
        check_probability(value, "p")


def test_messages_name_what_is_wanted_and_what_was_got() -> None:
    with pytest.raises(ValueError, match=r"^lr must be a finite number of at least 0; got -2\.$"):
        check_weight(-2, "lr")
    with pytest.raises(TypeError, match=r"^p must be a number in \[0, 1\]; got '0\.5'\.$"):
        check_probability("0.5", "p")


# ---------------------------------------------------------------- series: shape


def check(X: Any) -> np.ndarray:
    return check_series(X, "VQTokenizer")


def test_two_axes_are_series_of_one_channel() -> None:
    X = np.arange(12.0).reshape(3, 4)
    assert check(X).shape == (3, 1, 4)
    assert np.array_equal(check(X)[:, 0], X)


def test_three_axes_are_kept() -> None:
    X = np.arange(24.0).reshape(3, 2, 4)
    assert np.array_equal(check(X), X)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "int64", "bool"])
@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 4), (3, 2, 4, 5)])
def test_real_numbers_of_any_type_are_taken_without_a_copy(
    dtype: str, shape: tuple[int, ...]
) -> None:
    X = np.ones(shape, dtype)
    found = check(X)
    assert found.dtype == X.dtype
    assert np.shares_memory(found, X)


def test_lists_are_taken() -> None:
    assert check([[1, 2, 3], [4, 5, 6]]).tolist() == [[[1, 2, 3]], [[4, 5, 6]]]


def test_views_that_cannot_be_written_are_taken_without_a_copy(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", np.arange(60, dtype=np.float32).reshape(5, 2, 6))
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    for view in (X, X[::2, :, ::-1], X[:, 0]):
        found = check(view)
        assert np.shares_memory(found, X)
        assert not found.flags.writeable


def test_series_stay_as_they_are() -> None:
    X = np.random.default_rng(0).standard_normal((3, 2, 5))
    before = X.copy()
    check(X)
    assert np.array_equal(X, before)


@pytest.mark.parametrize(("shape", "n_axes"), [((), 0), ((5,), 1), ((2, 3, 4, 5, 6), 5)])
def test_other_numbers_of_axes_are_refused(shape: tuple[int, ...], n_axes: int) -> None:
    message = (
        r"^X must have shape \(n_samples, n_timepoints\) or \(n_samples, n_channels, "
        r"n_timepoints\), or for images \(n_samples, n_channels, height, width\); got "
        rf"{n_axes} axes, shape \({', '.join(map(str, shape))},?\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        check(np.zeros(shape))


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 2, 5), (3, 0, 5), (3, 2, 0)])
def test_empty_series_are_refused(shape: tuple[int, ...]) -> None:
    message = rf"^X must have at least one sample and one time point; got \({shape[0]}, "
    with pytest.raises(ValueError, match=message):
        check(np.zeros(shape))


def test_time_in_the_middle_is_warned_of_with_the_remedy() -> None:
    message = (
        r"^X has 41 channels of 10 time points each: time must be the last axis\. If yours is "
        r"the middle one, pass X\.swapaxes\(1, 2\)\.$"
    )
    X = np.zeros((2, 41, 10))
    with pytest.warns(UserWarning, match=message):
        assert check(X).shape == (2, 41, 10)


@pytest.mark.parametrize("shape", [(2, 40, 10), (2, 4, 1), (500, 10)])
def test_a_few_channels_per_time_point_are_not_warned_of(shape: tuple[int, ...]) -> None:
    assert len(check(np.zeros(shape))) == shape[0]


@pytest.mark.parametrize(
    ("X", "lengths"),
    [
        ([[1, 2, 3], [4, 5]], "from 2 to 3"),
        ([np.zeros(4), np.zeros(7), np.zeros(5)], "from 4 to 7"),
        (([[1, 2], [3, 4]], [[1], [2]]), "from 1 to 2"),
        ([np.zeros((2, 4)), np.zeros((2, 5))], "from 4 to 5"),
    ],
)
def test_unequal_lengths_are_told_what_to_do(X: Any, lengths: str) -> None:
    message = rf"^X must have series of one length; got lengths {lengths}\. vqssl\.pad_series makes"
    with pytest.raises(ValueError, match=message):
        refuse_unequal_lengths(X)
    pad_series(X)


@pytest.mark.parametrize("X", [[[1, 2], [3, 4]], [np.zeros((2, 4))] * 2, [], [[]], "text", None, 3])
def test_equal_lengths_and_what_is_no_list_are_left_to_other_checks(X: Any) -> None:
    refuse_unequal_lengths(X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
def test_what_is_masked_is_missing(dtype: type[np.number]) -> None:
    X = np.ma.masked_equal(np.arange(6, dtype=dtype).reshape(2, 3), 4)
    found = unmasked(X)
    assert type(found) is np.ndarray
    assert found.dtype == (np.float64 if dtype is np.int8 else dtype)
    assert np.array_equal(found, [[0, 1, 2], [3, np.nan, 5]], equal_nan=True)
    assert np.shares_memory(unmasked(X[:1]), X)


@pytest.mark.parametrize("y", [[1, "b"], [None, "b"], [{}, {}]])
def test_labels_that_cannot_be_sorted_are_refused(y: list[Any]) -> None:
    with pytest.raises(
        TypeError, match=r"^y must hold labels of one kind, all text or all numbers; "
    ):
        check_labels(np.array(y, dtype=object), "y")


# ---------------------------------------------------------------- series: values


@st.composite
def places(draw: st.DrawFn) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """A shape (n, C, L) and a place in it."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 8)))
    place = tuple(draw(st.integers(0, size - 1)) for size in shape)
    return shape, place


@given(places(), st.sampled_from([np.float16, np.float32, np.float64]))
def test_nan_is_located(
    found: tuple[tuple[int, int, int], tuple[int, int, int]], dtype: type[np.floating]
) -> None:
    shape, (sample, channel, point) = found
    X = np.zeros(shape, dtype)
    X[sample, channel, point] = np.nan
    message = (
        rf"^Input X contains NaN \(sample {sample}, channel {channel}, time point {point}\)\. "
        "VQTokenizer does not accept missing or infinite values: interpolate them, or leave out "
        r"the series that have them\.$"
    )
    with pytest.raises(ValueError, match=message):
        check(X)


def test_nan_is_located_in_series_of_one_channel() -> None:
    X = np.zeros((5, 7))
    X[3, 6] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN \(sample 3, channel 0, time point 6\)"):
        check(X)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39, -1e39, np.finfo(np.float64).max])
def test_infinity_and_what_float32_cannot_hold_are_located(value: float) -> None:
    X = np.zeros((5, 2, 7))
    X[4, 1, 2] = value
    message = (
        r"^Input X contains infinity or a value too large for float32 "
        r"\(sample 4, channel 1, time point 2\)"
    )
    with pytest.raises(ValueError, match=message):
        check(X)


def test_the_largest_number_of_float32_is_taken() -> None:
    largest = float(np.finfo(np.float32).max)
    assert check(np.array([[largest, -largest]])).tolist() == [[[largest, -largest]]]


def test_the_first_of_several_offences_is_named() -> None:
    X = np.zeros((5, 2, 7))
    X[1, 1, 5], X[1, 1, 6], X[3, 0, 0] = np.inf, np.nan, np.nan
    with pytest.raises(ValueError, match=r"infinity .* \(sample 1, channel 1, time point 5\)"):
        check(X)


@pytest.mark.parametrize("block", [1, 14, 30, 1000])
def test_offences_are_found_in_blocks_of_any_size(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_validation, "_BLOCK", block)
    X = np.zeros((9, 2, 7), np.float32)
    assert check(X) is X
    X[8, 1, 0] = np.nan
    with pytest.raises(ValueError, match=r"NaN \(sample 8, channel 1, time point 0\)"):
        check(X)
