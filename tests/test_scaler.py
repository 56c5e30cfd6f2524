"""Standardisation where numbers are wider than the float32 that everything is computed in."""

import warnings

import numpy as np
import pytest

from vqssl import _scaler
from vqssl._scaler import Scaler

WALKS = np.random.default_rng(0).normal(size=(30, 2, 40)).cumsum(-1)


def start(series):
    Scaler(series.shape[1], "dataset", series.ndim - 2).start(series)


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble, np.int64])
@pytest.mark.parametrize("block", [1, 200, 2**20])
def test_variation_that_float32_loses_draws_a_warning(dtype, block, monkeypatch):
    monkeypatch.setattr(_scaler, "_BLOCK", block)
    series = WALKS * 5 + np.array([[0.0], [1e9]])
    message = (
        r"^Rounding to float32 changes channel 1 of X by 1\d around 1e\+09, where its deviation is "
        r"\d\d\. Subtract the mean of X before\.$"
    )
    with pytest.warns(UserWarning, match=message):
        start(series.astype(dtype))
    with pytest.warns(UserWarning, match=r"changes channel 1 of X by 1\d around 1e\+09"):
        start(series.astype(dtype).reshape(30, 2, 5, 8))


@pytest.mark.parametrize(
    "series",
    [
        WALKS,
        WALKS + 1e3,
        1e12 * WALKS,
        1e-12 * WALKS,
        (WALKS + 1e9).astype(np.float32),
        np.full((30, 2, 40), 0.1),
        np.full((30, 2, 40), 1e9 + 0.1),
        0.1 * (1 + 2e-16 * np.sign(WALKS)),
        (WALKS > 0),
        WALKS.astype(np.int8),
    ],
    ids=["", "level", "large", "small", "float32", "0.1", "1e9", "rounded", "bool", "int8"],
)
def test_what_float32_holds_or_never_varied_draws_none(series):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start(series)
