"""The four walk-throughs: parts of a user's own keep the contract of those that come with vqssl."""

import importlib
import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

import vqssl
from tests.docs.pages import DOCS
from tests.generators.stubs import (
    SymbolTokenizer,
    all_codes,
    bigram_kl,
    draw_chain,
    entropy,
    make_chain,
)
from tests.test_common import PRIOR, SMALL, make_series
from vqssl import SSLVQTokenizer, VQTokenizer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = make_series()
Y = np.arange(len(X)) % 2


@pytest.fixture(scope="module")
def own():
    """``own("cut_out")`` is the module of a walk-through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS / "extending")
        yield importlib.import_module


@pytest.fixture(params=["loss", "quantizer", "augmentation", "prior"])
def case(request, own):
    """An estimator with a part of one's own, its class, and a parameter to search over."""
    tokenizer = SSLVQTokenizer(**SMALL, output="histogram")
    if request.param == "loss":
        cls = own("alignment_uniformity").AlignmentUniformity
        return tokenizer.set_params(ssl=cls()), cls, ("ssl__uniformity", 0.5)
    if request.param == "quantizer":
        cls = own("cosine_quantizer").CosineQuantizer
        return tokenizer.set_params(quantizer=cls()), cls, ("quantizer__commitment", 1.0)
    if request.param == "augmentation":
        cls = own("cut_out").CutOut
        return tokenizer.set_params(augmentations=cls()), cls, ("augmentations__share", 0.5)
    cls = own("markov").MarkovGenerator
    return cls(**PRIOR), cls, ("class_dropout", 0.5)


def answer(estimator):
    return estimator.score_samples(X) if hasattr(estimator, "sample") else estimator.transform(X)


def test_the_same_seed_gives_the_same_bits_after_clone(case):
    estimator, _, _ = case
    first = clone(estimator).fit(X, Y)
    assert_array_equal(answer(clone(first).fit(X, Y)), answer(first))
    assert np.isfinite(answer(first)).all()
    again = first.partial_fit(X, Y)
    assert np.isfinite(answer(again)).all()


def test_parameters_can_be_searched(case):
    estimator, _, (name, value) = case
    if hasattr(estimator, "sample"):
        search = GridSearchCV(estimator, {name: [0.1, value]}, cv=StratifiedKFold(2))
    else:
        pipeline = Pipeline([("tok", estimator), ("svc", SVC())])
        search = GridSearchCV(pipeline, {f"tok__{name}": [0.1, value]}, cv=2)
    found = search.fit(X, Y).cv_results_
    assert np.isfinite(found["mean_test_score"]).all()
    values = [next(iter(params.values())) for params in found["params"]]
    assert values == [0.1, value]


def test_it_is_saved_and_loads_only_where_it_is_trusted(case, tmp_path):
    estimator, cls, _ = case
    estimator.fit(X, Y).save(tmp_path / "own.vqssl")
    with pytest.raises(ValueError, match=r"pass the class in trusted=\[\.\.\.\]"):
        vqssl.load(tmp_path / "own.vqssl")
    again = vqssl.load(tmp_path / "own.vqssl", trusted=[cls])
    assert_array_equal(answer(again), answer(estimator))


def test_a_parameter_out_of_range_is_refused_by_name(case):
    estimator, _, (name, _) = case
    with pytest.raises(ValueError, match=name.rpartition("__")[2]):
        estimator.set_params(**{name: -1.0}).fit(X, Y)


# ------------------------------------------------------------------------------- each by itself


def test_alignment_and_uniformity_are_those_of_the_paper(own):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 5, 3))
    loss = own("alignment_uniformity").AlignmentUniformity(uniformity=0.5, temperature=2.0)
    terms = loss.terms(torch.tensor(first), torch.tensor(second))
    a, b = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (first, second))
    alignment = np.mean([((x - y) ** 2).sum() for x, y in zip(a, b, strict=True)])
    spread = []
    for z in (a, b):
        pairs = [(i, j) for i in range(5) for j in range(i)]
        potential = [math.exp(-2.0 * ((z[i] - z[j]) ** 2).sum()) for i, j in pairs]
        spread.append(math.log(sum(potential) / len(pairs)))
    assert_allclose(terms["alignment"].item(), alignment)
    assert_allclose(terms["uniformity"].item(), 0.5 * sum(spread) / 2)


def test_the_cosine_quantizer_chooses_the_largest_cosine(own):
    module = own("cosine_quantizer").CosineQuantizer().build(n_codes=7, code_dim=3)
    generator = torch.Generator().manual_seed(0)
    module.initialise(generator)
    z = torch.randn(2, 4, 3, generator=generator).requires_grad_()
    quantized = module(z, generator)
    for latent, code in zip(z.flatten(0, 1), quantized.codes.flatten(), strict=True):
        cosines = [torch.cosine_similarity(latent, vector, dim=0) for vector in module.codebook]
        assert cosines[code] == max(cosines)
    assert_array_equal(module.encode(10 * z), quantized.codes)
    assert_allclose(quantized.vectors.detach(), module.lookup(quantized.codes).detach(), atol=1e-6)
    assert_allclose(module.codebook.detach().norm(dim=1), np.ones(7), rtol=1e-6)
    (gradient,) = torch.autograd.grad(quantized.vectors.sum(), z)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(("share", "width"), [(0.0, 0), (0.25, 5), (1.0, 20)])
def test_cut_out_hides_one_window_of_each_series(own, share, width):
    x = torch.ones(50, 2, 20)
    view = own("cut_out").CutOut(share)(x, torch.Generator().manual_seed(0))
    hidden = view == 0
    assert (hidden.sum(2) == width).all()
    assert (hidden[:, 0] == hidden[:, 1]).all()  # channels alike
    edges = (hidden[:, 0].int().diff(dim=1) != 0).sum(1)
    assert (edges <= 2).all()
    if 0 < width < 20:
        assert len(hidden[:, 0].int().argmax(1).unique()) > 5  # at many places
    assert (x == 1).all()


@pytest.fixture(scope="module")
def markov(own):
    """The walk-through's generator on codes of a known chain, four codes and six tokens."""
    generator = own("markov").MarkovGenerator(
        SymbolTokenizer(4), backbone=PRIOR["backbone"], max_iter=120, lr=1e-2, random_state=0
    )
    return generator.fit(draw_chain(CHAIN, 500, 6, seed=1))


CHAIN = make_chain(4)


@pytest.mark.statistical
def test_the_markov_prior_learns_a_chain_and_draws_from_it(markov):
    X = draw_chain(CHAIN, 500, 6, seed=2)
    assert -markov.score(X) == pytest.approx(entropy(CHAIN, 6), rel=0.05)
    blind = bigram_kl(np.random.default_rng(0).integers(0, 4, (1000, 6)), CHAIN)
    assert bigram_kl(markov.sample_codes(1000, random_state=0), CHAIN) < 0.1 * blind


def test_the_probabilities_of_all_sequences_add_up_to_one(markov):
    assert np.exp(markov.score_samples(all_codes([4] * 6))).sum() == pytest.approx(1, rel=1e-4)


def test_the_markov_prior_sees_the_code_before_and_no_other(own):
    frozen = FrozenEstimator(VQTokenizer(**SMALL).fit(X))
    generator = own("markov").MarkovGenerator(**{**PRIOR, "tokenizer": frozen}).fit(X, Y)
    codes = torch.from_numpy(generator.tokenizer_.encode(X))
    labels = torch.zeros(len(X), dtype=torch.int64)
    changed = codes.clone()
    changed[:, 3] = (codes[:, 3] + 1) % 8
    differs = (generator.model_(codes, labels) != generator.model_(changed, labels)).any(-1).any(0)
    assert differs.nonzero().flatten().tolist() == [4]


def test_the_markov_prior_refuses_guidance_when_it_draws(own):
    generator = own("markov").MarkovGenerator(**PRIOR).fit(X, Y)
    generator.set_params(guidance_scale=1.0)
    with pytest.raises(ValueError, match=r"guidance_scale must be 0; got 1\.0"):
        generator.sample(2)
