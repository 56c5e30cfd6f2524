"""The probabilistic side of the VAE: bounds, posteriors, draws, against what is known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from tests.autoencoders.linear import LinearBackbone
from vqssl import VAE, AutoEncoder
from vqssl._seed import make_generator
from vqssl.autoencoders._variational import Posterior
from vqssl.backbones import ConvBackbone
from vqssl.datasets import make_cylinder_bell_funnel

SMALL = {
    "latent_dim": 3,
    "backbone": ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1),
    "max_iter": 60,
    "batch_size": 16,
    "device": "cpu",
    "random_state": 0,
}
X, _ = make_cylinder_bell_funnel(40, length=24, random_state=0)
COVARIANCES = ["diagonal", "full"]

# Two latent dimensions, six points, a small noise: x = W z + b + .3 e.
RNG = np.random.default_rng(0)
MIX = RNG.normal(size=(6, 2))
LINEAR = (RNG.normal(size=(400, 2)) @ MIX.T + RNG.normal(size=(400, 6)) * 0.3 + 2).astype("f4")


@pytest.fixture(scope="module", params=COVARIANCES)
def vae(request):
    return VAE(covariance=request.param, **SMALL).fit(X)


@pytest.fixture(scope="module")
def linear():
    """VAE with linear encoder and decoder and a full covariance, trained to its optimum."""
    return VAE(
        latent_dim=2,
        covariance="full",
        backbone=LinearBackbone(),
        compression=6,
        scaling=None,
        lr=1e-2,
        max_iter=2500,
        batch_size=400,
        device="cpu",
        random_state=0,
    ).fit(LINEAR)


def known_posterior(vae, X):
    """Mean (n, Z) and covariance (Z, Z) of z given x, for a linear decoder."""
    origin = vae.inverse_transform(np.zeros((1, 2))).astype(np.float64)
    W = (vae.inverse_transform(np.eye(2)) - origin).astype(np.float64).T  # (L, Z)
    covariance = np.linalg.inv(np.eye(2) + W.T @ W / vae.noise_**2)
    return (X - origin) @ W @ covariance / vae.noise_**2, covariance


def known_log_likelihood(vae, X):
    origin = vae.inverse_transform(np.zeros((1, 2))).astype(np.float64)
    W = (vae.inverse_transform(np.eye(2)) - origin).astype(np.float64).T
    covariance = W @ W.T + vae.noise_**2 * np.eye(6)
    return multivariate_normal(origin[0], covariance).logpdf(X)


# ------------------------------------------------------------------------------------- KL


def random_posterior(seed, full):
    rng = np.random.default_rng(seed)
    mean, factor = rng.normal(size=(5, 4)), np.exp(rng.normal(size=(5, 4)))
    if full:
        factor = np.tril(rng.normal(size=(5, 4, 4)), -1) + np.stack([*map(np.diag, factor)])
    return Posterior(torch.from_numpy(mean), torch.from_numpy(factor))


@given(st.integers(0, 2**31), st.booleans())
def test_kl_is_that_of_torch(seed, full):
    posterior = random_posterior(seed, full)
    tril = posterior.factor if full else torch.diag_embed(posterior.factor)
    q = torch.distributions.MultivariateNormal(posterior.mean, scale_tril=tril)
    p = torch.distributions.MultivariateNormal(torch.zeros(4).double(), torch.eye(4).double())
    expected = torch.distributions.kl_divergence(q, p)
    assert_allclose(posterior.kl(), expected, rtol=1e-9)
    unit = torch.randn(5, 4, generator=make_generator(seed), dtype=torch.float64)
    assert_allclose(posterior.log_density(unit), q.log_prob(posterior.at(unit)), rtol=1e-9)
    marginal = torch.distributions.Normal(posterior.mean, posterior.variance().sqrt())
    standard = torch.distributions.Normal(torch.zeros(4).double(), torch.ones(4).double())
    by_dimension = torch.distributions.kl_divergence(marginal, standard)
    assert_allclose(posterior.kl_by_dimension(), by_dimension, rtol=1e-9)


def test_kl_per_dimension_and_active_units_are_those_of_the_posteriors(vae):
    mean, variance = vae.posterior(X)
    assert_array_equal(mean, vae.transform(X))
    if variance.ndim == 3:
        variance = np.diagonal(variance, axis1=1, axis2=2)
    expected = (mean**2 + variance - 1 - np.log(variance)).mean(0) / 2
    assert_allclose(vae.kl_per_dimension_, expected, rtol=1e-4, atol=1e-5)
    assert vae.active_units_ == (mean.var(0) > 0.01).sum()


def test_a_heavy_kl_makes_the_posterior_the_prior():
    vae = VAE(beta=1e4, **SMALL).fit(X)
    assert vae.active_units_ == 0
    assert vae.kl_per_dimension_.max() < 0.05


# ----------------------------------------------------------------------------------- loss


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("scaling", ["dataset", None])
def test_the_loss_is_the_bound_with_its_constants(beta, scaling):
    vae = VAE(beta=beta, noise=0.5, **SMALL).set_params(scaling=scaling).fit(X)
    terms = vae.model_(torch.from_numpy(X).float()[:, None], make_generator(3))
    scaled = (X - X.mean()) / X.std() if scaling else X
    mean, variance = vae.posterior(X)
    unit = torch.randn(mean.shape, generator=make_generator(3), dtype=torch.float32).numpy()
    decoded = vae.inverse_transform(mean + np.sqrt(variance) * unit)
    decoded = (decoded - X.mean()) / X.std() if scaling else decoded
    error = np.square(scaled - decoded) / 0.5**2 + math.log(2 * math.pi * 0.5**2)
    assert_allclose(terms["reconstruction"], error.sum(1).mean() / 2, rtol=1e-4)
    kl = (mean**2 + variance - 1 - np.log(variance)).sum(1) / 2
    assert_allclose(terms["kl"], beta * kl.mean(), rtol=1e-4)


def test_without_the_kl_it_behaves_as_an_autoencoder():
    settings = SMALL | {"max_iter": 400}
    vae = VAE(beta=0.0, noise=1.0, **settings).fit(X)
    autoencoder = AutoEncoder(**settings).fit(X)
    errors = [a.reconstruction_error(X).mean() for a in (vae, autoencoder)]
    assert_allclose(errors[0], errors[1], rtol=0.1)
    # The spread of its posteriors, against that of their means, has gone.
    _, variance = vae.posterior(X)
    assert np.sqrt(variance).mean() < 0.1 * vae.latent_deviation_.mean()


@pytest.mark.slow
def test_a_learned_noise_is_the_deviation_of_what_is_left(linear):
    draws = linear.sample_predictive(LINEAR, 50, add_noise=False, random_state=0)
    left = np.square(draws - LINEAR, dtype=np.float64).mean()
    assert_allclose(linear.noise_**2, left, rtol=0.02)
    # Probabilistic PCA: the mean of the smallest eigenvalues (Tipping and Bishop 1999).
    eigenvalues = np.linalg.eigvalsh(np.cov(LINEAR.T, bias=True))
    assert_allclose(linear.noise_**2, eigenvalues[:4].mean(), rtol=0.05)


# --------------------------------------------------------------------------------- bounds


def test_the_bound_is_below_the_importance_weighted_one_which_rises(vae):
    bounds = [
        np.mean([vae.log_likelihood(X, k, random_state=seed).mean() for seed in range(10)])
        for k in (1, 5, 50)
    ]
    assert bounds[0] < bounds[1] < bounds[2]
    assert vae.score(X) < bounds[1]
    # With one draw it estimates the evidence lower bound.
    assert_allclose(bounds[0], vae.score(X), atol=1.0)


def test_score_is_the_mean_of_the_series_and_the_same_every_time(vae):
    bound = vae.score_samples(X)
    assert bound.shape == (40,)
    assert bound.dtype == np.float64
    assert_allclose(vae.score(X), bound.mean())
    assert_array_equal(vae.score_samples(X), bound)
    assert_allclose(vae.score_samples(X[5:8]), bound[5:8], rtol=1e-9)


def test_bounds_of_a_linear_model_reach_its_likelihood(linear):
    known = known_log_likelihood(linear, LINEAR)
    # The posterior is exact, so that both bounds are tight.
    assert_allclose(linear.score(LINEAR), known.mean(), atol=0.01)
    weighted = linear.log_likelihood(LINEAR, 200, random_state=0)
    assert_allclose(weighted.mean(), known.mean(), atol=0.01)
    # The optimum of the bound is the likelihood of probabilistic PCA.
    assert_allclose(known.mean(), PCA(2).fit(LINEAR).score(LINEAR), atol=0.01)


def test_likelihoods_are_densities_in_the_units_of_the_series():
    first = VAE(**SMALL).fit(X)
    second = VAE(**SMALL).fit(X * 8)  # a power of two: the scaled series are the same bits
    assert_allclose(second.score_samples(X * 8), first.score_samples(X) - 24 * math.log(8))
    assert_allclose(
        second.log_likelihood(X * 8, random_state=0),
        first.log_likelihood(X, random_state=0) - 24 * math.log(8),
    )


# ------------------------------------------------------------------------------ posteriors


def test_amortised_posterior_of_a_linear_model_is_the_known_one(linear):
    mean, covariance = known_posterior(linear, LINEAR)
    given_mean, given_covariance = linear.posterior(LINEAR)
    deviation = np.sqrt(np.diag(covariance))
    assert np.abs((given_mean - mean) / deviation).mean() < 0.15
    assert_allclose(given_covariance.mean(0), covariance, rtol=0.1, atol=0.05 * covariance.max())


@pytest.mark.parametrize("method", ["amortised", "mcmc"])
def test_draws_of_a_linear_model_are_of_the_known_posterior(linear, method):
    series = LINEAR[:5]
    mean, covariance = known_posterior(linear, series)
    draws = linear.sample_posterior(series, 2000, method=method, random_state=0)
    assert draws.shape == (2000, 5, 2)
    deviation = np.sqrt(np.diag(covariance))
    # Five standard errors of a mean of 2,000 draws are .11 deviations.
    slack = 0.11 if method == "mcmc" else 0.15
    assert np.abs((draws.mean(0) - mean) / deviation).max() < slack
    spread = np.cov((draws - draws.mean(0)).reshape(-1, 2).T)
    assert_allclose(spread, covariance, rtol=0.1, atol=0.05 * covariance.max())


@pytest.mark.slow
def test_chains_find_the_posterior_that_the_encoder_misses(linear):
    # An encoder that has not learned: its Gaussians are far off and far too wide.
    astray = VAE(**linear.get_params()).set_params(max_iter=1).fit(LINEAR)
    astray.model_.from_latent.load_state_dict(linear.model_.from_latent.state_dict())
    astray.model_.decoder.load_state_dict(linear.model_.decoder.state_dict())
    astray.model_.noise.load_state_dict(linear.model_.noise.state_dict())
    series = LINEAR[:4]
    mean, covariance = known_posterior(linear, series)
    deviation = np.sqrt(np.diag(covariance))
    amortised = astray.sample_posterior(series, 500, random_state=0)
    chains = astray.sample_posterior(series, 1000, method="mcmc", n_transitions=300, random_state=0)
    assert np.abs((amortised.mean(0) - mean) / deviation).max() > 1
    assert np.abs((chains.mean(0) - mean) / deviation).max() < 0.2
    spread = np.cov((chains - chains.mean(0)).reshape(-1, 2).T)
    assert_allclose(spread, covariance, rtol=0.15, atol=0.05 * covariance.max())


def test_no_more_draws_are_decoded_at_a_time_than_rows(vae, monkeypatch):
    def draw():
        return vae.sample_posterior(X[:3], 7, method="mcmc", n_transitions=4, random_state=0)

    expected = draw()
    monkeypatch.setattr(VAE, "_rows_at_once", lambda self, device: 6)
    decoded = []
    likelihood = type(vae.model_).log_likelihood
    monkeypatch.setattr(
        type(vae.model_),
        "log_likelihood",
        lambda self, x, z: decoded.append(len(x)) or likelihood(self, x, z),
    )
    assert_allclose(draw(), expected, rtol=1e-4, atol=1e-5)
    assert max(decoded) == 6


def test_too_few_transitions_are_told(linear):
    # Two transitions, with a step that suits a posterior as wide as the encoder's: too long.
    astray = VAE(**linear.get_params()).set_params(noise=1e-3, max_iter=1).fit(LINEAR)
    with pytest.warns(ConvergenceWarning, match="had fewer than 30% of their proposals accepted"):
        astray.sample_posterior(LINEAR[:3], 2, method="mcmc", n_transitions=2, random_state=0)


# ---------------------------------------------------------------------------------- draws


def test_samples_of_a_linear_model_have_its_moments(linear):
    samples = linear.sample(20_000, random_state=0).astype(np.float64)
    assert_allclose(samples.mean(0), LINEAR.mean(0), atol=0.1)
    expected = np.cov(LINEAR.T)
    assert_allclose(np.cov(samples.T), expected, atol=0.05 * expected.max())


def test_noise_of_samples_is_that_of_the_likelihood(vae):
    smooth = vae.sample(2000, add_noise=False, random_state=0)
    noisy = vae.sample(2000, random_state=0)
    assert_allclose((noisy - smooth).std(), vae.noise_ * X.std(), rtol=0.02)


@pytest.mark.parametrize("channels", [None, 2])
def test_noise_has_the_units_of_each_channel(channels):
    series = X if channels is None else np.stack([X, 100 * X], 1)
    vae = VAE(**SMALL).fit(series)
    noise = vae.sample(500, random_state=0) - vae.sample(500, add_noise=False, random_state=0)
    axes = (0, 1) if channels is None else (0, 2)
    assert_allclose(noise.std(axes), vae.noise_ * series.std(axes), rtol=0.05)


def test_draws_are_those_of_their_seed(vae):
    first = vae.sample(6, random_state=1)
    assert first.shape == (6, 24)
    assert_array_equal(vae.sample(6, random_state=1), first)
    assert_allclose(vae.sample(3, random_state=1), first[:3], rtol=1e-5, atol=1e-5)
    assert not np.array_equal(vae.sample(6, random_state=2), first)
    for method in ("amortised", "mcmc"):
        draws = [
            vae.sample_posterior(X[:2], 3, method=method, n_transitions=4, random_state=s)
            for s in (0, 0, 1)
        ]
        assert_array_equal(draws[0], draws[1])
        assert not np.array_equal(draws[0], draws[2])
    predicted = vae.sample_predictive(X[:2], 3, random_state=0)
    assert predicted.shape == (3, 2, 24)
    assert_array_equal(predicted, vae.sample_predictive(X[:2], 3, random_state=0))


# ------------------------------------------------------------------------------ parameters


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"beta": -1.0}, ValueError, "beta must be a finite number of at least 0; got -1.0"),
        ({"noise": 0.0}, ValueError, "noise must be a finite number above 0; got 0.0"),
        ({"noise": "fixed"}, ValueError, "noise must be 'learned' or a finite number above 0"),
        ({"covariance": "tied"}, ValueError, "covariance must be 'diagonal' or 'full'"),
    ],
)
def test_wrong_parameters_are_refused(params, error, message):
    with pytest.raises(error, match=message):
        VAE(**SMALL).set_params(**params).fit(X)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda v: v.sample(0), ValueError, "n_samples must be an integer of at least 1; got 0"),
        (lambda v: v.sample(1.5), TypeError, "n_samples must be an integer"),
        (lambda v: v.sample_posterior(X, 0), ValueError, "n_draws must be an integer of at least"),
        (lambda v: v.sample_posterior(X, method="vi"), ValueError, "method must be 'amortised' or"),
        (lambda v: v.sample_posterior(X, n_transitions=1), ValueError, "n_transitions must be an"),
        (lambda v: v.log_likelihood(X, 0), ValueError, "n_draws must be an integer of at least 1"),
    ],
)
def test_wrong_input_is_refused(vae, call, error, message):
    with pytest.raises(error, match=message):
        call(vae)


def test_series_without_variation_are_no_danger():
    vae = VAE(**SMALL).fit(np.full((8, 24), 3.0))
    assert np.isfinite(vae.score(X))
    assert_allclose(vae.sample(3, random_state=0, add_noise=False), 3.0, atol=1.0)
