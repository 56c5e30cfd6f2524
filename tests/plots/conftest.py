"""Tiny fitted models that the tests of displays share."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from vqssl import (
    VAE,
    AnomalyDetector,
    HierarchicalVQTokenizer,
    MaskGITGenerator,
    VQTokenizer,
)
from vqssl.backbones import TransformerBackbone

TINY = {"n_codes": 8, "code_dim": 4, "max_iter": 5, "random_state": 0}


def small_prior(tokenizer):
    backbone = TransformerBackbone(width=16, n_blocks=1, n_heads=2)
    return MaskGITGenerator(tokenizer, backbone=backbone, n_steps=4, max_iter=5, random_state=0)


@pytest.fixture(scope="session")
def fitted():
    """Series, two-channel series and images with models of them."""
    rng = np.random.default_rng(0)
    y = np.repeat(["slow", "fast"], 15)
    angle = np.linspace(0, 6, 37) * np.where(y == "slow", 1, 3)[:, None]
    X = np.sin(angle + rng.uniform(0, 6, (30, 1))) + 0.1 * rng.normal(size=(30, 37))
    X_two = np.stack([X, X[:, ::-1]], axis=1)
    images = rng.normal(size=(20, 1, 8, 8)).cumsum(-1)
    tokenizer = VQTokenizer(**TINY).fit(X)
    image_tokenizer = VQTokenizer(**TINY).fit(images)
    return SimpleNamespace(
        X=X,
        y=y,
        X_two=X_two,
        images=images,
        tokenizer=tokenizer,
        two=VQTokenizer(**TINY).fit(X_two),
        levels=HierarchicalVQTokenizer(max_iter=5, random_state=0).fit(X),
        image_tokenizer=image_tokenizer,
        generator=small_prior(FrozenEstimator(tokenizer)).fit(X, y),
        image_generator=small_prior(FrozenEstimator(image_tokenizer)).fit(images),
        detector=AnomalyDetector(small_prior(VQTokenizer(**TINY)), random_state=0).fit(X),
        vae=VAE(latent_dim=3, max_iter=5, random_state=0).fit(X),
        image_vae=VAE(latent_dim=3, max_iter=5, random_state=0).fit(images),
    )
