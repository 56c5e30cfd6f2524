"""Warnings: what happened and what to do, at the line of the user's own code."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from vqssl import VAE, CPCEncoder, MaskGITGenerator, SSLVQTokenizer, VQTokenizer
from vqssl.backbones import ConvBackbone, TransformerBackbone

SMALL = {"max_iter": 1, "backbone": ConvBackbone(width=8), "random_state": 0}

X = np.random.default_rng(0).normal(size=(12, 24)).cumsum(1)


def fit_one_series():
    SSLVQTokenizer(**SMALL).fit(X[:1])


def fit_many_channels():
    VQTokenizer(**SMALL).fit(np.zeros((4, 24, 2)))


def fit_images_with_channels_last():
    make_pipeline(VQTokenizer(**SMALL)).fit(np.zeros((2, 20, 8, 3)))


def fit_a_fitted_tokenizer_again():
    backbone = TransformerBackbone(width=8, n_blocks=1, n_heads=2)
    MaskGITGenerator(VQTokenizer(**SMALL).fit(X), **{**SMALL, "backbone": backbone}).fit(X)


def fit_continuous_labels():
    backbone = TransformerBackbone(width=8, n_blocks=1, n_heads=2)
    MaskGITGenerator(VQTokenizer(**SMALL), **{**SMALL, "backbone": backbone}).fit(X, X[:, 0])


def fit_short_series():
    CPCEncoder(max_iter=1, compression=64).fit(X)


def draw_by_steps_that_are_too_few():
    vae = VAE(latent_dim=2, **SMALL).fit(X)
    vae.model_.decoder.register_forward_hook(lambda module, args, result: 1e4 * result)
    vae.sample_posterior(X, method="mcmc", n_transitions=2, random_state=0)


def use_a_device_that_is_gone():
    VQTokenizer(**SMALL).fit(X).set_params(device="cuda:99").transform(X)


@pytest.mark.parametrize(
    ("act", "category", "happened", "remedy"),
    [
        (fit_one_series, ConvergenceWarning, "terms are left out", "Fit on two series or more"),
        (fit_many_channels, UserWarning, "24 channels of 2 time points", "pass X.swapaxes(1, 2)"),
        (
            fit_images_with_channels_last,
            UserWarning,
            "20 channels of 8 x 3 pixels",
            "pass X.transpose(0, 3, 1, 2)",
        ),
        (fit_a_fitted_tokenizer_again, UserWarning, "fitted already", "Pass FrozenEstimator(tok"),
        (fit_continuous_labels, UserWarning, "y holds continuous values", "Bin them, or leave y"),
        (fit_short_series, ConvergenceWarning, "have a single frame", "Lower compression, or"),
        (
            draw_by_steps_that_are_too_few,
            ConvergenceWarning,
            "had fewer than 30% of their proposals accepted",
            "raise n_transitions",
        ),
        (use_a_device_that_is_gone, UserWarning, "is not available here", "set_params(device="),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_warning_says_what_to_do_and_where_it_came_from(act, category, happened, remedy):
    if act is use_a_device_that_is_gone and torch.cuda.is_available():
        pytest.skip("has a CUDA device")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    (warning,) = [item for item in caught if happened in str(item.message)]
    assert warning.category is category
    assert remedy in str(warning.message)
    assert warning.filename == __file__
