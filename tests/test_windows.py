"""Padding and windows: nothing is lost, nothing is copied, errors name the place."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from vqssl._windows import pad_series, sliding_windows
from vqssl.tokenizers import VQTokenizer

DTYPES = st.sampled_from([np.float16, np.float32, np.float64, np.int16, np.int64, np.uint8, bool])


@st.composite
def ragged_series(draw):
    """Series of unequal lengths: all (length,), or all (C, length)."""
    channels = draw(st.sampled_from([(), (1,), (3,)]))
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    elements = st.floats(-1e6, 1e6, width=32)
    return [
        draw(hnp.arrays(np.float32, (*channels, length), elements=elements)) for length in lengths
    ]


@st.composite
def long_series(draw):
    channels = draw(st.sampled_from([(), (1,), (3,)]))
    shape = (*channels, draw(st.integers(1, 30)))
    return np.arange(np.prod(shape)).reshape(shape).astype(draw(DTYPES))


def message(text):
    return re.escape(text)


# pad_series -------------------------------------------------------------------------------


@given(ragged_series())
def test_every_series_comes_back_from_the_padded_array(series):
    X, lengths = pad_series(series)
    for row, length, one in zip(X, lengths, series, strict=True):
        np.testing.assert_array_equal(row[..., :length], one)
        assert not row[..., length:].any()


@given(ragged_series())
def test_padded_shape_is_that_of_the_longest_series(series):
    X, lengths = pad_series(series)
    longest = max(one.shape[-1] for one in series)
    assert X.shape == (len(series), *series[0].shape[:-1], longest)
    assert lengths.shape == (len(series),)
    assert X.dtype == np.float32
    assert lengths.dtype == np.int64


@given(ragged_series(), st.data())
def test_a_series_is_padded_alike_whatever_the_order(series, data):
    order = data.draw(st.permutations(range(len(series))))
    X, lengths = pad_series(series)
    shuffled, shuffled_lengths = pad_series([series[i] for i in order])
    np.testing.assert_array_equal(shuffled, X[order])
    np.testing.assert_array_equal(shuffled_lengths, lengths[order])


@given(ragged_series())
def test_padding_what_is_padded_changes_nothing(series):
    X, _ = pad_series(series)
    again, lengths = pad_series(X)
    np.testing.assert_array_equal(again, X)
    assert (lengths == X.shape[-1]).all()


@given(DTYPES)
def test_any_real_dtype_is_padded(dtype):
    X, _ = pad_series([np.ones(2, dtype), np.ones(3, dtype)])
    np.testing.assert_array_equal(X, [[1, 1, 0], [1, 1, 1]])


def test_what_is_masked_is_missing():
    masked = np.ma.array([1.0, 999.0, 3.0], mask=[False, True, False])
    with pytest.raises(ValueError, match="NaN"):
        pad_series([masked])
    assert_array_equal(sliding_windows(masked, 3), [[1.0, np.nan, 3.0]])


def test_a_tensor_may_have_a_dtype_that_numpy_lacks():
    X, _ = pad_series([torch.tensor([1.0, 2.0], dtype=torch.bfloat16)])
    assert_array_equal(X, [[1.0, 2.0]])


def test_a_data_frame_is_no_list_of_series():
    with pytest.raises(TypeError, match="series must be a list of arrays; got a data frame"):
        pad_series(pd.DataFrame(np.zeros((2, 3))))


def test_padding_takes_lists_tensors_tuples_and_generators():
    expected = [[1, 2, 0], [3, 4, 5]]
    tensors = [torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3, 4, 5])]
    for series in ([[1, 2], [3, 4, 5]], ([1, 2], [3, 4, 5]), tensors, iter(tensors)):
        np.testing.assert_array_equal(pad_series(series)[0], expected)


def test_padding_copies():
    series = np.zeros((2, 3), np.float32)
    X, _ = pad_series(series)
    X += 1
    assert not series.any()


@pytest.mark.parametrize("series", [[], (), iter(()), np.zeros((0, 5))])
def test_no_series_is_an_error(series):
    with pytest.raises(ValueError, match="must hold at least one series; got none"):
        pad_series(series)


@pytest.mark.parametrize(
    ("series", "problem"),
    [
        ([[1, 2], 3], "series[1] must have shape (length,) or (n_channels, length); got 0 axes"),
        (np.arange(3), "One series by itself is a list too: pass [x]"),
        ([np.zeros((2, 3, 4))], "series[0] must have shape (length,) or (n_channels, length)"),
        ([[1, 2], [[1, 2]]], "same number of axes; got shape (2,) for series[0] and (1, 2) for"),
        ([np.zeros((2, 5)), np.zeros((3, 5))], "same number of channels; got shape (2, 5)"),
        ([np.zeros((9, 2)), np.zeros((7, 2))], "pass [x.T for x in series]"),
        ([[1], []], "series[1] must have at least one channel and one time point"),
        ([np.zeros((0, 5))], "series[0] must have at least one channel and one time point"),
        ([[[1, 2], [1]]], "series[0] must have shape (length,) or (n_channels, length); got chan"),
    ],
)
def test_a_wrong_shape_is_named(series, problem):
    with pytest.raises(ValueError, match=message(problem)):
        pad_series(series)


@pytest.mark.parametrize(
    ("series", "problem"),
    [
        (3, "series must be a list of arrays; got 3"),
        (None, "series must be a list of arrays; got None"),
        ([[1], ["a"]], "series[1] must hold real numbers; got an array of <U1"),
        ([[1], [None]], "series[1] must hold real numbers; got an array of object"),
        ([[1j]], "series[0] must hold real numbers; got an array of complex128"),
        ("ab", "series[0] must hold real numbers"),
    ],
)
def test_what_holds_no_real_numbers_is_named(series, problem):
    with pytest.raises(TypeError, match=message(problem)):
        pad_series(series)


@given(ragged_series(), st.sampled_from([np.nan, np.inf, -np.inf, 1e39]), st.data())
def test_a_value_that_is_not_finite_is_named_with_its_place(series, value, data):
    series = [one.astype(np.float64) for one in series]
    i = data.draw(st.integers(0, len(series) - 1))
    place = tuple(data.draw(st.integers(0, size - 1)) for size in series[i].shape)
    series[i][place] = value
    what = "NaN" if np.isnan(value) else "infinity or a value too large for float32"
    channel = f"channel {place[0]}, " if series[i].ndim == 2 else ""
    problem = f"{what} ({channel}time point {place[-1]})"
    with pytest.raises(ValueError, match=rf"series\[{i}\] .* got {message(problem)}"):
        pad_series(series)


# sliding_windows --------------------------------------------------------------------------


@given(long_series(), st.integers(1, 30), st.none() | st.integers(1, 40))
def test_window_w_begins_at_w_steps(x, length, step):
    assume(length <= x.shape[-1])
    windows = sliding_windows(x, length, step)
    stride = length if step is None else step
    starts = range(0, x.shape[-1] - length + 1, stride)
    assert windows.shape == (len(starts), *x.shape[:-1], length)
    assert windows.dtype == x.dtype
    for window, start in zip(windows, starts, strict=True):
        np.testing.assert_array_equal(window, x[..., start : start + length])


@given(long_series(), st.integers(1, 30))
def test_windows_without_overlap_join_to_the_series(x, length):
    assume(length <= x.shape[-1])
    joined = np.concatenate(list(sliding_windows(x, length)), axis=-1)
    np.testing.assert_array_equal(joined, x[..., : joined.shape[-1]])
    assert x.shape[-1] - joined.shape[-1] < length


@given(long_series(), st.integers(1, 5), st.integers(1, 3))
def test_windows_are_a_read_only_view(x, length, step):
    assume(length <= x.shape[-1])
    windows = sliding_windows(x, length, step)
    assert np.shares_memory(windows, x)
    assert not windows.flags.writeable
    assert x.flags.writeable


def test_windows_of_read_only_memory_map_and_strided_arrays_are_views(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(20.0))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    strided = np.arange(40.0)[::-2]
    for x in (mapped, strided):
        windows = sliding_windows(x, 5, 3)
        assert np.shares_memory(windows, x)
        np.testing.assert_array_equal(windows[1], x[3:8])


def test_windows_of_lists_and_tensors():
    for x in ([1, 2, 3, 4, 5], torch.tensor([1, 2, 3, 4, 5])):
        np.testing.assert_array_equal(sliding_windows(x, 2), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("x", "length", "step", "problem"),
    [
        (np.zeros((2, 3, 4)), 1, None, "x must have shape (n_timepoints,) or (n_channels, n_time"),
        (3.0, 1, None, "one long series; got 0 axes, shape ()"),
        (np.zeros((0, 5)), 1, None, "x must have at least one channel; got shape (0, 5)"),
        ([], 1, None, "length must be at most 0, the number of time points of x; got 1."),
        (np.zeros(5), 6, None, "length must be at most 5, the number of time points of x; got 6."),
        (np.zeros((90, 3)), 10, None, "if yours is the first, pass x.T."),
        (np.zeros(5), 0, None, "length must be an integer of at least 1; got 0."),
        (np.zeros(5), 2, 0, "step must be an integer of at least 1; got 0."),
        ([[1, 2], [3]], 1, None, "got channels of unequal lengths."),
    ],
)
def test_windows_that_do_not_exist_are_refused(x, length, step, problem):
    with pytest.raises(ValueError, match=message(problem)):
        sliding_windows(x, length, step)


@pytest.mark.parametrize(
    ("x", "length", "step", "problem"),
    [
        (["a", "b"], 1, None, "x must hold real numbers; got an array of <U1."),
        (np.zeros(5), 2.0, None, "length must be an integer of at least 1; got 2.0."),
        (np.zeros(5), True, None, "length must be an integer of at least 1; got True."),
        (np.zeros(5), 2, "1", "step must be an integer of at least 1; got '1'."),
    ],
)
def test_windows_of_a_wrong_type_are_refused(x, length, step, problem):
    with pytest.raises(TypeError, match=message(problem)):
        sliding_windows(x, length, step)


# Into an estimator ------------------------------------------------------------------------


def test_windows_and_padded_series_go_into_a_tokenizer():
    t = np.linspace(0, 60, 400)
    x = np.stack([np.sin(t), np.cos(t)])
    tokenizer = VQTokenizer(8, code_dim=4, max_iter=2, random_state=0, device="cpu")
    assert tokenizer.fit(sliding_windows(x, 40, 20)).input_shape_ == (2, 40)
    X, _ = pad_series([x[:, :50], x[:, :30], x[:, 7:40]])
    assert tokenizer.fit(X).input_shape_ == (2, 50)
