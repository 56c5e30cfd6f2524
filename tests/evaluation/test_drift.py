"""drift_report: figures by hand, and drift that is known; partial_fit over a stream of chunks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import jensenshannon
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

from tests.test_common import SMALL, make_series
from vqssl import BandVQTokenizer, HierarchicalVQTokenizer, SSLVQTokenizer, VQTokenizer
from vqssl.datasets import iter_series
from vqssl.evaluation import drift_report
from vqssl.metrics import perplexity

# Sets of a dozen tiny series and a few steps: the latents collapse, and that is said.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TOKENIZERS = [
    BandVQTokenizer(**SMALL),
    HierarchicalVQTokenizer(**SMALL),
    SSLVQTokenizer(**SMALL),
    VQTokenizer(**SMALL),
]
LEARNED = {**SMALL, "n_codes": 16, "max_iter": 200, "batch_size": 32, "lr": 0.01}

of_each_tokenizer = pytest.mark.parametrize(
    "tokenizer", TOKENIZERS, ids=lambda tokenizer: type(tokenizer).__name__
)


class Rounding(BaseEstimator):
    """Tokenizer with a token per time point, which is a whole number from 0 to 3."""

    code_sizes_ = np.full(4, 4)

    def __init__(self, groups=(slice(0, 4),)):
        self.groups = groups

    @property
    def token_groups_(self):
        return list(self.groups)

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def encode(self, X):
        return np.asarray(X).round().clip(0, 3).astype(int)

    def decode(self, codes):
        return codes.astype(np.float32)


def waves(n, frequency, seed):
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 6, 32)
    return np.sin(frequency * time + rng.uniform(0, 6.28, (n, 1))) + 0.05 * rng.normal(size=(n, 32))


# ------------------------------------------------------------------------------- the figures


def test_the_figures_of_a_chunk_are_those_by_hand():
    reference = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    chunk = np.array([[0, 1, 2, 2.5], [0, 1, 2, 2.25], [0, 0, 0, 0.25]])
    figures = drift_report(Rounding(), [chunk], reference)
    assert figures["n_samples"] == [3]
    assert_allclose(figures["mse"], [(0.25 + 0.0625 + 0.0625) / 12])
    assert_allclose(figures["normalized_mse"], figures["mse"] / chunk.var())
    now, before = np.array([6, 2, 4, 0]) / 12, np.array([4, 4, 0, 0]) / 8
    assert figures["perplexity"] == [perplexity([0] * 6 + [1] * 2 + [2] * 4)]
    assert_allclose(figures["unseen"], [4 / 12])
    assert_allclose(figures["divergence"], [jensenshannon(now, before) ** 2])
    even, odd = np.array([5, 1, 2, 0]) / 8, np.array([1, 1, 2, 0]) / 4
    assert_allclose(figures["divergence_floor"], [jensenshannon(even, odd) ** 2])


def test_halves_are_rounded_as_the_tokenizer_does_and_groups_are_told_apart():
    tokenizer = Rounding((slice(0, 1), slice(1, 4)))
    figures = drift_report(tokenizer, [[[3, 0, 0, 0]], [[0, 0, 1, 2]]])
    assert figures["divergence_group_0"] == [0, pytest.approx(np.log(2))]
    assert figures["unseen_group_0"] == [0, 1]
    assert_allclose(figures["unseen_group_1"], [0, 2 / 3])
    assert_allclose(figures["perplexity_group_1"], [1, 3])
    assert np.isnan(figures["divergence_floor_group_1"]).all()
    assert "divergence" not in figures


def test_errors_are_measured_around_the_mean_of_each_channel():
    class Channels(Rounding):
        def encode(self, X):
            return super().encode(np.asarray(X).reshape(len(X), 4))

        def decode(self, codes):
            return super().decode(codes).reshape(len(codes), 2, 2)

    X = np.array([[[0.25, 1.25], [2, 3]], [[0, 1], [2, 3.0]]])
    (value,) = drift_report(Channels(), [X])["normalized_mse"]
    assert_allclose(value, np.mean([1 / 16, 1 / 16, *[0] * 6]) / X.var((0, 2)).mean())


def test_constant_series_have_no_normalised_error():
    assert np.isnan(drift_report(Rounding(), [np.ones((2, 4))])["normalized_mse"]).all()


def test_the_first_chunk_is_the_reference_where_none_is_given():
    chunks = [make_series(6, 4, seed=seed) for seed in range(3)]
    figures = drift_report(Rounding(), iter(chunks))
    assert figures == drift_report(Rounding(), chunks, chunks[0])
    assert figures["divergence"][0] == figures["unseen"][0] == 0


@of_each_tokenizer
def test_every_tokenizer_is_reported(tokenizer):
    X = make_series(24, 24)
    tokenizer = clone(tokenizer).fit(X)
    figures = drift_report(tokenizer, [X[:10], X[10:]], X)
    codes = tokenizer.encode(X)
    groups = tokenizer.token_groups_
    for i, group in enumerate(groups):
        end = f"_group_{i}" if len(groups) > 1 else ""
        expected = [perplexity(part[:, group]) for part in (codes[:10], codes[10:])]
        assert figures[f"perplexity{end}"] == expected
        assert figures[f"unseen{end}"] == [0, 0]
    assert len({len(column) for column in figures.values()}) == 1


# --------------------------------------------------------------------------------- the drift


@pytest.fixture(scope="module")
def of_slow_waves():
    """A tokenizer that knows slow waves."""
    return VQTokenizer(**LEARNED).fit(waves(200, 1, seed=0))


@pytest.mark.statistical
def test_another_frequency_shows_in_errors_and_codes(of_slow_waves):
    same = [waves(100, 1, seed) for seed in (1, 2, 3)]
    figures = drift_report(of_slow_waves, [*same, waves(100, 4, 4)], waves(200, 1, 5))
    divergences, floors = figures["divergence"], figures["divergence_floor"]
    assert max(divergences[:3]) < 2 * max(floors[:3])
    assert divergences[3] > 5 * max(divergences[:3])
    assert figures["normalized_mse"][3] > 3 * max(figures["normalized_mse"][:3])


@pytest.mark.statistical
def test_other_shares_of_known_kinds_show_in_the_codes_alone():
    kinds = [waves(100, 1, seed=0), waves(100, 3, seed=1)]
    tokenizer = VQTokenizer(**LEARNED).fit(np.concatenate(kinds))
    half, most = (
        np.concatenate([waves(200 - n, 1, seed=2), waves(n, 3, seed=3)]) for n in (100, 190)
    )
    figures = drift_report(tokenizer, [half, most], np.concatenate(kinds))
    assert figures["divergence"][0] < 2 * figures["divergence_floor"][0]
    assert figures["divergence"][1] > 3 * figures["divergence"][0]
    assert figures["normalized_mse"][1] < 2 * figures["normalized_mse"][0]


# -------------------------------------------------------------------------- partial_fit


@of_each_tokenizer
def test_partial_fit_over_a_stream_counts_steps_and_learns(tokenizer, tmp_path):
    np.save(tmp_path / "stream.npy", waves(240, 2, seed=0))
    held_out = waves(60, 2, seed=1)
    tokenizer = clone(tokenizer).set_params(lr=0.01)
    steps, scores = [], []
    for _ in range(2):
        for X, _ in iter_series(tmp_path / "stream.npy", 80):
            steps.append(tokenizer.partial_fit(X).n_iter_)
            scores.append(tokenizer.score(held_out))
    # 80 series in batches of 8.
    assert_array_equal(steps, 10 * np.arange(1, 7))
    # The error is 1 - score.
    assert 1 - scores[-1] < 0.8 * (1 - scores[0])


def test_partial_fit_takes_up_a_drift(of_slow_waves):
    tokenizer = clone(of_slow_waves).set_params(batch_size=16)
    tokenizer.partial_fit(waves(200, 1, 0))
    after_drift = waves(100, 3, 1)
    before = drift_report(tokenizer, [after_drift])["mse"]
    for seed in range(2, 8):
        tokenizer.partial_fit(waves(100, 3, seed))
    assert drift_report(tokenizer, [after_drift])["mse"][0] < 0.7 * before[0]


# ---------------------------------------------------------------------------------- refusals


def test_what_is_not_accepted_is_named(of_slow_waves):
    X = waves(4, 1, 0)
    with pytest.raises(NotFittedError):
        drift_report(VQTokenizer(), [X])
    with pytest.raises(ValueError, match="chunks must hold one array of series or more; got none"):
        drift_report(of_slow_waves, [])
    with pytest.raises(ValueError, match=r"chunks must hold series as rows .* shape \(32,\)"):
        drift_report(of_slow_waves, X)
    with pytest.raises(ValueError, match=r"reference must hold series as rows .* shape \(32,\)"):
        drift_report(of_slow_waves, [X], X[0])
    with pytest.raises(ValueError, match="X has 31 features, but VQTokenizer is expecting 32"):
        drift_report(of_slow_waves, [X, X[:, :31]])
