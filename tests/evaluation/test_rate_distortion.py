"""rate_distortion: bits by counting, errors by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import NotFittedError

from tests.evaluation.stubs import Copies, Grid, Uniform
from vqssl import AutoregressiveGenerator, HierarchicalVQTokenizer, VQTokenizer
from vqssl.backbones import ConvBackbone
from vqssl.evaluation import rate_distortion

X = np.random.default_rng(0).normal(size=(50, 2, 16)).cumsum(-1)


def test_a_uniform_prior_costs_the_bits_of_its_vocabulary():
    figures = rate_distortion(Uniform(Grid(64, 0.5)).fit(X), X)
    assert_allclose(figures["nats_per_token"], np.log(64), rtol=1e-6)
    assert_allclose(figures["bits_per_series"], 32 * 6, rtol=1e-6)
    assert_allclose(figures["bits_per_point"], 6, rtol=1e-6)
    assert figures["uniform_bits_per_series"] == 32 * 6
    assert_allclose(figures["compression_ratio"], 32 / 6, rtol=1e-6)


def test_the_error_of_rounding_is_that_of_a_uniform_distribution():
    figures = rate_distortion(Uniform(Grid(1000, 0.5)).fit(X), X)
    assert_allclose(figures["mse"], 0.5**2 / 12, rtol=0.1)
    variance = X.var((0, 2)).mean()
    assert_allclose(figures["normalized_mse"], figures["mse"] / variance, rtol=1e-12)


def test_units_of_the_series_cancel_in_the_normalised_error_only():
    plain = rate_distortion(Uniform(Grid(1000, 0.5)).fit(X), X)
    large = rate_distortion(Uniform(Grid(1000, 50.0)).fit(100 * X), 100 * X)
    assert_allclose(large["mse"], 1e4 * plain["mse"], rtol=1e-4)
    assert_allclose(large["normalized_mse"], plain["normalized_mse"], rtol=1e-4)


def test_constant_series_have_no_error():
    constant = np.ones((10, 1, 4))
    figures = rate_distortion(Copies(Grid(8, 0.5)).fit(constant), constant)
    assert figures["mse"] == figures["normalized_mse"] == 0


def test_figures_are_those_of_the_generator_and_its_tokenizer():
    series, y = X[:, 0], np.arange(50) % 2
    tokenizer = VQTokenizer(n_codes=8, max_iter=20, random_state=0)
    generator = AutoregressiveGenerator(tokenizer, max_iter=5, random_state=0).fit(series, y)
    figures = rate_distortion(generator, series, y)
    assert_allclose(figures["nats_per_token"], -generator.score(series, y) / generator.n_tokens_)
    assert figures["uniform_bits_per_series"] == 3 * generator.n_tokens_
    # Its score is taken around the mean of the training series, which these are.
    expected = 1 - generator.tokenizer_.score(series)
    assert_allclose(figures["normalized_mse"], expected, rtol=1e-4)
    assert all(type(value) is float for value in figures.values())


class TwoGroups(Grid):
    """A grid whose first channel is the coarse group of tokens."""

    def fit(self, X, y=None):
        super().fit(X)
        # More codes in the coarse group, so that the two cost different numbers of bits.
        self.code_sizes_[:16] *= 4
        self.token_groups_ = [slice(0, 16), slice(16, 32)]
        return self


class UniformByGroup(Uniform):
    """Tells the rate of each group, too."""

    def fit(self, X, y=None):
        super().fit(X, y)
        self.token_groups_ = self.tokenizer_.token_groups_
        return self

    def score_groups(self, X, y=None):
        sizes = self.tokenizer_.code_sizes_
        by_group = [-np.log(sizes[group]).sum() for group in self.token_groups_]
        return np.tile(np.float32(by_group), (len(X), 1))


def test_groups_of_tokens_cost_the_bits_of_their_vocabularies():
    figures = rate_distortion(UniformByGroup(TwoGroups(64, 0.5)).fit(X), X)
    assert_allclose(figures["nats_per_token_group_0"], np.log(256), rtol=1e-6)
    assert_allclose(figures["nats_per_token_group_1"], np.log(64), rtol=1e-6)
    assert_allclose(figures["bits_per_series_group_0"], 16 * 8, rtol=1e-6)
    assert_allclose(figures["bits_per_series_group_1"], 16 * 6, rtol=1e-6)
    assert_allclose(figures["bits_per_series"], 16 * 14, rtol=1e-6)
    assert_allclose(figures["nats_per_token"], np.log(128), rtol=1e-6)


@pytest.mark.parametrize("prior", [Uniform(TwoGroups()), UniformByGroup(Grid())])
def test_a_single_rate_is_not_told_by_group(prior):
    if isinstance(prior, UniformByGroup):
        prior.tokenizer.token_groups_ = [slice(0, 32)]
    assert not [name for name in rate_distortion(prior.fit(X), X) if "group" in name]


def test_rates_of_the_levels_of_a_prior_add_up():
    series, new = X[:30, 0], X[30:, 0]
    backbone = ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1)
    tokenizer = HierarchicalVQTokenizer(8, code_dim=4, backbone=backbone, max_iter=20)
    generator = AutoregressiveGenerator(tokenizer, max_iter=100, random_state=0).fit(series)
    train, test = rate_distortion(generator, series), rate_distortion(generator, new)
    for figures, some in ((train, series), (test, new)):
        nats = -generator.score_groups(some).mean(0)
        assert_allclose(figures["nats_per_token_group_0"], nats[0] / 2, rtol=1e-6)
        assert_allclose(figures["nats_per_token_group_1"], nats[1] / 8, rtol=1e-6)
        bits = [figures[f"bits_per_series_group_{i}"] for i in (0, 1)]
        assert_allclose(sum(bits), figures["bits_per_series"], rtol=1e-6)
    assert train["nats_per_token_group_1"] < test["nats_per_token_group_1"]


def test_an_unfitted_generator_is_refused():
    with pytest.raises(NotFittedError, match="not fitted"):
        rate_distortion(AutoregressiveGenerator(), X)
