"""What every autoencoder offers: latents, series of latents, ways between and along them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from vqssl import VAE, AutoEncoder, SSLVQTokenizer, VQTokenizer
from vqssl.autoencoders import BaseAutoEncoder
from vqssl.backbones import ConvBackbone
from vqssl.datasets import make_cylinder_bell_funnel

SMALL = {
    "latent_dim": 3,
    "backbone": ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1),
    "max_iter": 20,
    "batch_size": 8,
    "device": "cpu",
    "random_state": 0,
}
ESTIMATORS = [
    AutoEncoder(**SMALL),
    VAE(**SMALL),
    VAE(covariance="full", noise=0.5, beta=2.0, **SMALL),
]


def make_series(n=12, length=23, channels=None, seed=0):
    shape = (n, length) if channels is None else (n, channels, length)
    return np.random.default_rng(seed).normal(size=shape).cumsum(-1).astype(np.float32) + 50


X, NEW = make_series(), make_series(5, seed=1)


@pytest.fixture(params=ESTIMATORS, ids=["ae", "vae", "vae-full"])
def autoencoder(request):
    return clone(request.param)


@pytest.mark.parametrize("channels", [None, 2])
def test_series_come_back_in_the_fitted_shape(autoencoder, channels):
    train, new = make_series(channels=channels), make_series(5, channels=channels, seed=1)
    autoencoder.fit(train)
    Z = autoencoder.transform(new)
    assert Z.shape == (5, 3)
    assert Z.dtype == np.float32
    reconstruction = autoencoder.inverse_transform(Z)
    assert reconstruction.shape == new.shape
    assert reconstruction.dtype == np.float32
    # Two batches against one: products of matrices of other sizes round differently.
    assert_allclose(autoencoder.reconstruct(new), reconstruction, rtol=1e-5)


@pytest.mark.parametrize("scaling", ["dataset", "series", None])
def test_reconstruction_error_is_the_mean_square(autoencoder, scaling):
    autoencoder.set_params(scaling=scaling).fit(X)
    expected = np.square(NEW - autoencoder.reconstruct(NEW), dtype=np.float64).mean(1)
    assert_allclose(autoencoder.reconstruction_error(NEW)[:, 0], expected, rtol=1e-4)


def test_score_of_an_autoencoder_is_the_share_of_variation_kept():
    autoencoder = AutoEncoder(**SMALL).fit(X)
    error = np.square(NEW - autoencoder.reconstruct(NEW), dtype=np.float64).sum()
    expected = 1 - error / np.square(NEW - X.mean(dtype=np.float64)).sum()
    assert_allclose(autoencoder.score(NEW), expected, rtol=1e-4)


def test_more_dimensions_keep_more(autoencoder):
    train, _ = make_cylinder_bell_funnel(60, length=32, random_state=0)
    autoencoder.set_params(max_iter=300)
    errors = [
        clone(autoencoder).set_params(latent_dim=dim).fit(train).reconstruction_error(train).mean()
        for dim in (1, 8)
    ]
    assert errors[1] < 0.8 * errors[0]


def test_a_way_leads_from_one_reconstruction_to_the_other(autoencoder):
    autoencoder.fit(X)
    ways = autoencoder.interpolate(NEW[:2], NEW[2:4], n_steps=5)
    assert ways.shape == (2, 5, 23)
    assert_allclose(ways[:, 0], autoencoder.reconstruct(NEW[:2]), rtol=1e-5)
    assert_allclose(ways[:, -1], autoencoder.reconstruct(NEW[2:4]), rtol=1e-5)
    Z = autoencoder.transform(NEW)
    middle = autoencoder.inverse_transform((Z[:2] + Z[2:4]) / 2)
    assert_allclose(ways[:, 2], middle, rtol=1e-5)


@pytest.mark.parametrize("channels", [None, 2])
def test_a_traversal_sets_one_dimension_at_a_time(autoencoder, channels):
    train, new = make_series(channels=channels), make_series(2, channels=channels, seed=1)
    autoencoder.fit(train)
    grid = autoencoder.traverse(new, n_steps=3, span=1.5)
    assert grid.shape == (2, 3, 3, *new.shape[1:])
    latents = autoencoder.transform(train)
    mean, deviation = latents.mean(0), latents.std(0)
    Z = autoencoder.transform(new)
    for dim in range(3):
        for step, place in enumerate((-1.5, 0.0, 1.5)):
            moved = Z.copy()
            moved[:, dim] = mean[dim] + place * deviation[dim]
            expected = autoencoder.inverse_transform(moved)
            assert_allclose(grid[:, dim, step], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: a.inverse_transform(np.zeros((2, 4))), ValueError, r"Z must have shape \(n_sa"),
        (lambda a: a.inverse_transform(np.full((2, 3), np.nan)), ValueError, "NaN"),
        (lambda a: a.interpolate(NEW, NEW[:2]), ValueError, "X_end must have as many series as"),
        (lambda a: a.interpolate(NEW, NEW, n_steps=1), ValueError, "n_steps must be an integer of"),
        (lambda a: a.interpolate(NEW, NEW, n_steps=2.0), TypeError, "n_steps must be an integer"),
        (lambda a: a.traverse(NEW, n_steps=1), ValueError, "n_steps must be an integer of at l"),
        (lambda a: a.traverse(NEW, span=0), ValueError, "span must be a finite number above 0"),
        (lambda a: a.transform(NEW[:, :-1]), ValueError, "features"),
    ],
)
def test_wrong_input_is_refused(autoencoder, call, error, message):
    with pytest.raises(error, match=message):
        call(autoencoder.fit(X))


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"latent_dim": 0}, ValueError, "latent_dim must be an integer of at least 1; got 0"),
        ({"compression": "some"}, ValueError, "compression must be 'auto' or an integer"),
        ({"compression": 0}, ValueError, "compression must be an integer of at least 1"),
        ({"scaling": "none"}, ValueError, "scaling must be 'dataset', 'series' or None"),
        ({"backbone": "mlp"}, ValueError, "backbone must be one of 'conv'"),
    ],
)
def test_wrong_parameters_are_refused_before_training(autoencoder, params, error, message):
    autoencoder.fit(X)
    before = autoencoder.transform(NEW)
    with pytest.raises(error, match=message):
        clone(autoencoder).set_params(**params).fit(X)
    values = {name: getattr(autoencoder, name) for name in params}
    with pytest.raises(error, match=message):
        autoencoder.set_params(**params).fit(X)
    assert_array_equal(autoencoder.set_params(**values).transform(NEW), before)


def test_a_changed_parameter_leaves_the_fitted_size(autoencoder):
    autoencoder.fit(X).set_params(latent_dim=7)
    assert len(autoencoder.get_feature_names_out()) == 3
    assert autoencoder.inverse_transform(np.zeros((1, 3))).shape == (1, 23)


def test_an_unfitted_autoencoder_says_so(autoencoder):
    for call in (autoencoder.transform, autoencoder.reconstruct, autoencoder.score):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            call(X)
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        autoencoder.inverse_transform(np.zeros((1, 3)))


def test_statistics_of_the_latents_are_those_of_the_training_set(autoencoder):
    autoencoder.fit(X)
    latents = autoencoder.transform(X)
    assert_allclose(autoencoder.latent_mean_, latents.mean(0), rtol=1e-5, atol=1e-6)
    assert_allclose(autoencoder.latent_deviation_, latents.std(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_short_series_and_a_single_one(autoencoder, length):
    autoencoder.fit(X[:, :length])
    assert autoencoder.reconstruct(NEW[:1, :length]).shape == (1, length)
    autoencoder.fit(X[:1, :length])
    assert np.isfinite(autoencoder.transform(X[:, :length])).all()
    assert np.isfinite(autoencoder.score(X[:, :length]))


def test_a_search_chooses_between_kinds_of_representation():
    X, y = make_cylinder_bell_funnel(24, length=32, random_state=0)
    few = {"max_iter": 5, "random_state": 0}
    kinds = [VQTokenizer(**few), SSLVQTokenizer(**few), AutoEncoder(**few), VAE(**few)]
    pipeline = Pipeline([("tok", AutoEncoder()), ("svm", SVC())])
    search = GridSearchCV(pipeline, {"tok": kinds}, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert search.predict(X).shape == (24,)


def test_all_autoencoders_are_of_one_base():
    assert all(isinstance(estimator, BaseAutoEncoder) for estimator in ESTIMATORS)
