"""The encoder of a tokenizer, fine-tuned with labels."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from torch.nn import functional as F

from vqssl import (
    VAE,
    AutoEncoder,
    BandVQTokenizer,
    HierarchicalVQTokenizer,
    MaskGITGenerator,
    SSLVQTokenizer,
    TokenizerClassifier,
    VQTokenizer,
)
from vqssl.backbones import ConvBackbone
from vqssl.datasets import make_cylinder_bell_funnel

# Tiny series and few steps: latents collapse, and that is said.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {
    "backbone": ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1),
    "max_iter": 20,
    "batch_size": 16,
    "device": "cpu",
}
CODES = {"n_codes": 8, "code_dim": 4, **SMALL}
INNER = [
    VQTokenizer(**CODES),
    SSLVQTokenizer(**CODES),
    BandVQTokenizer(**CODES),
    HierarchicalVQTokenizer(**CODES),
    AutoEncoder(4, **SMALL),
    VAE(4, **SMALL),
]
X, Y = make_cylinder_bell_funnel(48, length=32, random_state=0)
NEW, _ = make_cylinder_bell_funnel(10, length=32, random_state=1)


@pytest.fixture(params=INNER, ids=lambda e: type(e).__name__)
def inner(request):
    return clone(request.param)


def make(inner, **params):
    settings = {"max_iter": 20, "batch_size": 16, "device": "cpu", "random_state": 0}
    return TokenizerClassifier(inner, **(settings | params))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("length", [1, 3, 32])
def test_any_encoder_can_be_inside(inner, channels, length):
    series, new = (np.repeat(x[:, None, :length], channels, 1) for x in (X, NEW))
    classifier = make(inner).fit(series, Y)
    probabilities = classifier.predict_proba(new)
    assert probabilities.shape == (10, 3)
    assert_allclose(probabilities.sum(1), 1)
    assert_array_equal(classifier.predict(new), classifier.classes_[probabilities.argmax(1)])


def test_it_learns(inner):
    assert make(inner, lr=1e-2, max_iter=200).fit(X, Y).score(X, Y) > 0.9


def test_a_frozen_estimator_is_where_it_starts_and_stays_as_it_is(inner):
    inner.set_params(random_state=0).fit(X)
    before = inner.transform(NEW)
    start = make(FrozenEstimator(inner), lr=1e-12).fit(X, Y).model_.encoder.state_dict()
    for name, tensor in inner.model_.state_dict().items():
        assert_allclose(start[name], tensor, rtol=1e-5, atol=1e-8)
    tuned = make(FrozenEstimator(inner), lr=1e-2).fit(X, Y)
    assert_array_equal(inner.transform(NEW), before)
    moved = tuned.model_.encoder.latents(torch.from_numpy(NEW).float()[:, None])
    kept = inner.model_.latents(torch.from_numpy(NEW).float()[:, None])
    assert (moved - kept).abs().max() > 0.01


def test_the_estimator_that_was_given_is_cloned(inner):
    classifier = make(inner).fit(X, Y)
    assert not hasattr(inner, "model_")
    assert type(classifier.tokenizer_) is type(inner)
    with pytest.warns(UserWarning, match="tokenizer is fitted already, but a classifier fits"):
        make(inner.fit(X)).fit(X, Y)


def test_probabilities_are_those_of_pools_over_the_whole_halves_and_quarters():
    classifier = make(clone(INNER[0])).fit(X, Y)
    model = classifier.model_
    h = model.encoder.latents(torch.from_numpy(NEW).float()[:, None])  # 16 tokens of 4
    parts = [h, h[:, :8], h[:, 8:], *(h[:, i : i + 4] for i in (0, 4, 8, 12))]
    # By part, then side by side for each dimension.
    means = [part.mean(1) for part in parts]
    maxima = [part.amax(1) for part in parts]

    def arrange(pools):
        halves, quarters = (torch.stack(p, 2).flatten(1) for p in (pools[1:3], pools[3:]))
        return [pools[0], halves, quarters]

    rows = torch.cat([*arrange(means), *arrange(maxima)], 1)
    rows = F.layer_norm(rows, rows.shape[1:], model.norm.weight, model.norm.bias)
    assert_allclose(classifier.transform(NEW), rows, rtol=1e-4, atol=1e-5)
    logits = rows @ model.head.weight.T + model.head.bias
    expected = logits.double().softmax(1)
    assert_allclose(classifier.predict_proba(NEW), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [BandVQTokenizer, HierarchicalVQTokenizer])
def test_groups_of_tokens_are_pooled_each_by_itself(kind):
    classifier = make(kind(**CODES)).fit(X, Y)
    model = classifier.model_
    h = model.encoder.latents(torch.from_numpy(NEW).float()[:, None]).mT  # (B, D, N)
    rows = []
    for group in classifier.tokenizer_.token_groups_:
        own = h[:, :, group]
        for pool in (F.adaptive_avg_pool1d, F.adaptive_max_pool1d):
            rows += [pool(own, n).flatten(1) for n in (1, 2, 4)]
    rows = torch.cat(rows, 1)
    rows = F.layer_norm(rows, rows.shape[1:], model.norm.weight, model.norm.bias)
    assert_allclose(classifier.transform(NEW), rows, rtol=1e-4, atol=1e-5)


def test_levels_of_images_are_pooled_along_rows_and_columns():
    images = np.random.default_rng(0).standard_normal((12, 1, 12, 20))
    classifier = make(HierarchicalVQTokenizer(**CODES, compression=2)).fit(images, Y[:12])
    # Means and maxima over 1 + 4 + 16 windows, of two levels with 4 dimensions.
    assert classifier.transform(images).shape == (12, 2 * 21 * 2 * 4)
    # A level of 6 x 10 tokens: the lower right quadrant has rows 3 to 5 and columns 5 to 9.
    finest = torch.zeros(1, 4, 6, 10)
    finest[:, :, 3:, 5:] = 1.0
    coarsest = torch.zeros(1, 4, 2 * 3)
    z = torch.cat([coarsest, finest.flatten(2)], 2).mT
    model = classifier.model_
    model.encoder.latents = lambda x: z
    model.norm = torch.nn.Identity()
    means = model.features(torch.from_numpy(images[:1]).float())[0, 168 : 168 + 84]
    assert means[:4].tolist() == [0.25] * 4
    assert means[4:20].view(4, 4).T.tolist() == [[0.0] * 4, [0.0] * 4, [0.0] * 4, [1.0] * 4]


def test_partial_fit_goes_on_without_another_tokenizer(inner):
    classifier = make(inner).partial_fit(X, Y, classes=["bell", "cylinder", "funnel", "none"])
    tokenizer = classifier.tokenizer_
    assert classifier.partial_fit(X[:7], Y[:7]).tokenizer_ is tokenizer
    assert classifier.predict_proba(NEW).shape == (10, 4)


def test_parameters_of_the_tokenizer_after_the_fit_change_nothing(inner):
    classifier = make(inner).fit(X, Y)
    before = classifier.predict_proba(NEW)
    classifier.tokenizer_.set_params(compression=1, scaling=None)
    classifier.__setstate__(classifier.__getstate__())
    assert_array_equal(classifier.predict_proba(NEW), before)


@pytest.mark.parametrize(
    "wrong", [KMeans(), MaskGITGenerator(), VQTokenizer, "vq", FrozenEstimator(KMeans())]
)
def test_what_has_no_latents_is_refused_before_training(wrong):
    with pytest.raises(TypeError, match="tokenizer must be None, a tokenizer or an autoencoder of"):
        make(wrong).fit(X, Y)


def test_wrong_labels_are_refused_before_the_tokenizer_is_fitted(monkeypatch):
    inner = clone(INNER[0])

    def fail(self, X, y=None):
        raise AssertionError("it has been fitted")

    monkeypatch.setattr(VQTokenizer, "fit", fail)
    with pytest.raises(ValueError, match="y must have 48 labels, one per series; got 47"):
        make(inner).fit(X, Y[:-1])
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        make(inner).fit(X)


def test_an_unfitted_or_other_frozen_one_is_refused():
    with pytest.raises(NotFittedError):
        make(FrozenEstimator(clone(INNER[0]))).fit(X, Y)
    frozen = FrozenEstimator(clone(INNER[0]).fit(X[:, :20]))
    with pytest.raises(ValueError, match="but the frozen tokenizer was fitted on series of shape"):
        make(frozen).fit(X, Y)
