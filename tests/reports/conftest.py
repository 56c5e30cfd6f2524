"""Tiny fitted models, and their reports, each made once."""

import functools

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from tests.reports.reading import Page
from vqssl import (
    VAE,
    AnomalyDetector,
    CPCEncoder,
    FCNClassifier,
    HierarchicalVQTokenizer,
    MaskGITGenerator,
    TokenizerClassifier,
    VQTokenizer,
)
from vqssl._base import TorchEstimator
from vqssl.backbones import TransformerBackbone
from vqssl.evaluation import report

TINY = {"n_codes": 8, "code_dim": 4, "max_iter": 10, "random_state": 0}

# Names that would be a tag, an entity and a formula if they were not taken for text.
CLASSES = ["<slow>", "fast & $\\loud$"]


class Series:
    """Waves of two classes; the second half is for testing."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.y = np.tile(CLASSES, 24)
        angle = np.linspace(0, 6, 37) * np.where(self.y == CLASSES[0], 1, 3)[:, None]
        self.X = np.sin(angle + rng.uniform(0, 6, (48, 1))) + 0.1 * rng.normal(size=(48, 37))
        self.images = rng.normal(size=(40, 1, 8, 8)).cumsum(-1)

    @property
    def split(self):
        return self.X[:24], self.y[:24], self.X[24:], self.y[24:]


def small_prior(tokenizer, **options):
    backbone = TransformerBackbone(width=16, n_blocks=1, n_heads=2)
    return MaskGITGenerator(
        tokenizer, backbone=backbone, n_steps=4, max_iter=10, random_state=0, **options
    )


class Models:
    """Fitted when they are asked for."""

    def __init__(self, series):
        self.series = series
        self.X, self.y, *_ = series.split

    @functools.cached_property
    def tokenizer(self):
        return VQTokenizer(**TINY).fit(self.X)

    @functools.cached_property
    def levels(self):
        return HierarchicalVQTokenizer(n_codes=8, max_iter=10, random_state=0).fit(self.X)

    @functools.cached_property
    def generator(self):
        # It has not learned to go without a class.
        prior = small_prior(FrozenEstimator(self.tokenizer), class_dropout=0, guidance_scale=0)
        return prior.fit(self.X, self.y)

    @functools.cached_property
    def image_generator(self):
        return small_prior(VQTokenizer(**TINY)).fit(self.series.images[:20])

    @functools.cached_property
    def detector(self):
        return AnomalyDetector(small_prior(VQTokenizer(**TINY)), random_state=0).fit(self.X)

    @functools.cached_property
    def vae(self):
        return VAE(latent_dim=3, max_iter=10, random_state=0).fit(self.X)

    @functools.cached_property
    def encoder(self):
        encoder = CPCEncoder(n_modules=2, code_dim=8, max_iter=10, random_state=0).fit(self.X)
        return encoder.fit_decoder(self.X, max_iter=5)

    @functools.cached_property
    def classifier(self):
        return FCNClassifier((8, 8), max_iter=10, random_state=0).fit(self.X, self.y)

    @functools.cached_property
    def tuned(self):
        frozen = FrozenEstimator(self.tokenizer)
        return TokenizerClassifier(frozen, max_iter=5, random_state=0).fit(self.X, self.y)


KINDS = [
    "tokenizer",
    "levels",
    "generator",
    "image_generator",
    "detector",
    "vae",
    "encoder",
    "classifier",
    "tuned",
]


@pytest.fixture(scope="session")
def series():
    return Series()


@pytest.fixture(scope="session")
def models(series):
    return Models(series)


@pytest.fixture(scope="session")
def trained():
    """By model, the classes of all estimators that were trained for its report."""
    return {}


@pytest.fixture(scope="session")
def page_file(models, series, trained, tmp_path_factory):
    """``page_file("vae")`` is the file of the report of a model."""
    folder = tmp_path_factory.mktemp("reports")

    @functools.cache
    def make(kind):
        data = series.split
        if kind == "image_generator":
            data = series.images[:20], None, series.images[20:]
        if kind == "levels":  # neither classes nor test series
            data = (series.X[:24],)
        model, path = getattr(models, kind), folder / f"{kind}.html"
        trained[kind] = []
        train = TorchEstimator._train

        def noted(self, *args):
            trained[kind].append(type(self).__name__)
            return train(self, *args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TorchEstimator, "_train", noted)
            return report(model, *data, path=path, title=kind, random_state=0)

    return make


@pytest.fixture(scope="session")
def page_of(page_file):
    """``page_of("vae")`` is the report of a model, read."""

    @functools.cache
    def read(kind):
        return Page(page_file(kind).read_text(encoding="utf-8"))

    return read
