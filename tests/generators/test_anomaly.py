"""score_tokens and AnomalyDetector: what is unusual, where, and the threshold."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_t
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV

import vqssl
from tests.generators.stubs import (
    SymbolTokenizer,
    draw_chain,
    draw_symbols,
    exact_logits,
    make_chain,
)
from vqssl import AnomalyDetector, AutoregressiveGenerator, MaskGITGenerator, VQTokenizer
from vqssl._seed import make_generator
from vqssl.backbones import ConvBackbone, TransformerBackbone
from vqssl.backbones._transformer import pick
from vqssl.generators._surprise import even_masks

SHARED = {"max_iter": 6, "batch_size": 8, "device": "cpu"}
TOKENIZER = VQTokenizer(
    8, code_dim=4, backbone=ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1), **SHARED
)
PRIOR = {"backbone": TransformerBackbone(width=8, n_blocks=1, n_heads=2), **SHARED}


def make_series(n=20, length=21, channels=None, seed=0):
    shape = (n, length) if channels is None else (n, channels, length)
    return np.random.default_rng(seed).normal(size=shape).cumsum(-1)


X = make_series()


def make_detector(**options):
    return AnomalyDetector(MaskGITGenerator(TOKENIZER, **PRIOR), **{"random_state": 0, **options})


@pytest.fixture(scope="module")
def detector():
    return make_detector(contamination=0.2).fit(X)


# -------------------------------------------------------------------------- score_tokens


def masks_of(generator):
    return even_masks(generator.model_.space, make_generator(generator._score_seed))


@given(sizes=st.lists(st.integers(1, 11), min_size=1, max_size=3))
def test_every_token_is_masked_equally_often_at_every_size(sizes):
    stops = np.cumsum(sizes)
    groups = [slice(int(b - a), int(b)) for a, b in zip(sizes, stops, strict=True)]
    series = draw_symbols(4, [3] * int(stops[-1]))
    tokenizer = SymbolTokenizer(K=3, groups=groups)
    generator = MaskGITGenerator(tokenizer, random_state=0, **{**PRIOR, "max_iter": 1}).fit(series)
    counts: dict[tuple[int, int], np.ndarray] = {}
    weights = np.zeros(int(stops[-1]))
    for masked, hidden, weight in even_masks(
        generator.model_.space, make_generator(generator._score_seed)
    ):
        number = int(generator.model_.space.group[masked[0]])
        inside = generator.model_.space.group == number
        finer = generator.model_.space.group > number
        assert_array_equal(hidden, finer | torch.isin(torch.arange(len(hidden)), masked))
        assert inside[masked].all()
        assert len(masked.unique()) == len(masked)
        weights[masked.numpy()] += weight
        key = (number, round(weight * 1000))
        counts.setdefault(key, np.zeros(len(weights)))[masked.numpy()] += 1
    assert_allclose(weights, 1)
    for (number, _), count in counts.items():
        assert len(set(count[generator.model_.space.group.numpy() == number])) == 1


def test_tokens_of_a_series_score_what_a_perfect_prior_says():
    chain = make_chain(K=3, seed=1)
    codes = draw_chain(chain, 200, 8, seed=0).astype(float)
    generator = MaskGITGenerator(SymbolTokenizer(K=3), random_state=0, **PRIOR).fit(codes)
    exact = exact_logits(chain)
    generator.model_.predict = lambda codes, labels, at: pick(exact(codes), at)
    generator._placed_model = lambda double=False: (generator.model_, torch.device("cpu"))
    scores = generator.score_tokens(codes)
    expected = np.zeros_like(codes)
    for masked, hidden, weight in even_masks(
        generator.model_.space, make_generator(generator._score_seed)
    ):
        seen = torch.from_numpy(codes).long().masked_fill(hidden, -1)
        log_p = exact(seen).log_softmax(-1).numpy()
        for token in masked.tolist():
            rows = np.arange(len(codes))
            expected[:, token] += weight * log_p[rows, token, codes[:, token].astype(int)]
    assert_allclose(scores, expected, rtol=1e-5)
    # The sum estimates the log-likelihood, which a perfect prior's bound is.
    first = np.log(chain.first)[codes[:, 0].astype(int)]
    steps = np.log(chain.step)[codes[:, :-1].astype(int), codes[:, 1:].astype(int)].sum(1)
    assert_allclose(scores.sum(1).mean(), (first + steps).mean(), rtol=0.02)


def test_the_map_shows_where_a_series_is_unusual():
    period = ((np.arange(24) + np.arange(6)[:, None]) % 6).astype(float)
    backbone = TransformerBackbone(width=32, n_blocks=1, n_heads=2, dropout=0.0)
    options = {**PRIOR, "backbone": backbone, "lr": 0.01, "max_iter": 200}
    generator = MaskGITGenerator(SymbolTokenizer(K=6), random_state=0, **options).fit(period)
    changed = period.copy()
    places = np.array([3, 7, 11, 12, 16, 20])
    rows = np.arange(6)
    changed[rows, places] = (changed[rows, places] + 3) % 6
    assert_array_equal(generator.score_tokens(changed).argmin(1), places)


def test_scores_of_tokens_depend_on_the_class_and_not_on_the_batch():
    y = np.arange(len(X)) % 2
    generator = MaskGITGenerator(TOKENIZER, random_state=0, **PRIOR).fit(X, y)
    scores = generator.score_tokens(X, y)
    assert scores.shape == (20, 11)
    assert scores.dtype == np.float32
    assert (scores < 0).all()
    assert not np.allclose(scores, generator.score_tokens(X, 1 - y))
    assert_allclose(generator.score_tokens(X[3:5], y[3:5]), scores[3:5], rtol=1e-6)


# ------------------------------------------------------------------------------ detector


def test_the_share_below_the_threshold_is_the_contamination(detector):
    assert np.mean(detector.predict(X) == -1) == 0.2
    scores = detector.score_samples(X)
    assert_array_equal(detector.decision_function(X), scores - detector.offset_)
    assert_array_equal(detector.predict(X) == -1, detector.decision_function(X) < 0)
    assert_array_equal(make_detector(contamination=0.2).fit_predict(X), detector.predict(X))


@pytest.mark.parametrize("channels", [None, 3])
def test_the_score_is_a_student_likelihood_and_that_of_the_codes(channels):
    series = make_series(channels=channels)
    detector = make_detector().fit(series)
    tokenizer = detector.generator_.tokenizer_
    residuals = (series - tokenizer.decode(tokenizer.encode(series))).reshape(len(series), -1)
    a, n_points = detector.residual_shape_, series.shape[-1]
    variances = np.repeat(detector.residual_variance_, n_points)
    # Inverse gamma (a, b = a - 1) variances make a t of 2 a degrees, scale b / a.
    shape = np.diag(variances * (a - 1) / a)
    of_residuals = multivariate_t(shape=shape, df=2 * a).logpdf(residuals)
    of_codes = detector.generator_.score_tokens(series).sum(1)
    assert_allclose(detector.score_samples(series), of_codes + of_residuals, rtol=1e-4)
    assert_allclose(detector.residual_variance_.mean(), np.square(residuals).mean(), rtol=1e-4)


def test_channels_may_have_units_of_any_size():
    series = make_series(channels=2)
    odd = series.copy()
    odd[0, 1] = -odd[0, 1]
    found = []
    for units in (np.ones((2, 1)), np.array([[1e4], [1e-4]])):
        detector = make_detector().fit(series * units)
        found.append(detector.decision_function(odd * units))
    assert_allclose(found[1], found[0], rtol=1e-3, atol=1e-2)


def test_an_interrupted_fit_leaves_the_one_before(monkeypatch):
    detector = make_detector().fit(X)
    before = detector.score_samples(X)
    with monkeypatch.context() as patch:
        patch.setattr(AnomalyDetector, "score_samples", interrupt)
        with pytest.raises(KeyboardInterrupt):
            detector.set_params(contamination=0.3).fit(X[::-1])
    assert_array_equal(detector.score_samples(X), before)


def interrupt(*args):
    raise KeyboardInterrupt


def test_unlike_series_are_found():
    time = np.arange(40)
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, (120, 1))
    normal = np.sin(2 * np.pi * time / 20 + phases)
    odd = np.sin(2 * np.pi * time / 8 + phases[:40])
    generator = MaskGITGenerator(VQTokenizer(16, max_iter=100), max_iter=60)
    detector = AnomalyDetector(generator, random_state=0).fit(normal[:80])
    scores = detector.score_samples(np.concatenate([normal[80:], odd]))
    assert roc_auc_score(np.repeat([1, 0], 40), scores) > 0.99


def test_held_out_series_set_the_threshold():
    detector = make_detector(contamination=0.25, validation_fraction=0.4)
    judged = []
    take = detector._take_generator
    detector._take_generator = lambda generator, X: judged.append(X) or take(generator, X)
    detector.fit(X)
    assert judged[0].shape == (8, 21)
    assert np.mean(detector.predict(judged[0]) == -1) == 0.25
    errors = detector.generator_.tokenizer_.reconstruction_error(judged[0])
    assert_array_equal(detector.residual_variance_, errors.mean(0))
    few = make_detector(validation_fraction=0.4).fit(X[:3])
    assert_array_equal(few.score_samples(X), make_detector().fit(X[:3]).score_samples(X))


def test_a_frozen_generator_is_used_as_it_is():
    generator = MaskGITGenerator(TOKENIZER, random_state=0, **PRIOR).fit(X)
    detector = AnomalyDetector(FrozenEstimator(generator)).fit(X)
    same = make_detector().fit(X)
    assert_array_equal(detector.generator_.score_tokens(X), generator.score_tokens(X))
    assert detector.n_features_in_ == same.n_features_in_ == 21
    with pytest.warns(UserWarning, match="FrozenEstimator"):
        AnomalyDetector(generator).fit(X)


def test_perfect_reconstructions_do_not_divide_by_zero():
    constant = np.zeros((8, 12))
    detector = make_detector().fit(constant)
    assert np.isfinite(detector.score_samples(constant)).all()
    assert np.isfinite(detector.score_samples(constant + 1)).all()


def test_one_series_is_enough():
    detector = make_detector().fit(X[:1])
    assert np.isfinite(detector.score_samples(X)).all()


def test_copies_pickles_and_files_answer_alike(detector, tmp_path):
    detector.save(tmp_path / "detector.vqssl")
    scores = detector.score_samples(X)
    for again in (pickle.loads(pickle.dumps(detector)), vqssl.load(tmp_path / "detector.vqssl")):
        assert isinstance(again, AnomalyDetector)
        assert_array_equal(again.score_samples(X), scores)
        assert again.offset_ == detector.offset_
    with pytest.raises(NotFittedError):
        clone(detector).predict(X)


def test_the_same_seed_gives_the_same_bits(detector):
    again = make_detector(contamination=0.2).fit(X)
    assert_array_equal(again.score_samples(X), detector.score_samples(X))


def test_parameters_inside_can_be_searched():
    def score(detector, X):
        return float(detector.score_samples(X).mean())

    grid = {"generator__tokenizer__n_codes": [4, 8]}
    search = GridSearchCV(make_detector(), grid, scoring=score, cv=2).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"contamination": 0}, ValueError, "contamination must be in"),
        ({"contamination": 0.6}, ValueError, "contamination must be in"),
        ({"contamination": "auto"}, TypeError, "contamination must be a number"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction"),
        ({"generator": "maskgit"}, TypeError, "generator must be None or an instance"),
        ({"generator": AutoregressiveGenerator()}, TypeError, "score_tokens"),
        ({"generator": MaskGITGenerator}, TypeError, "generator must be None or an instance"),
        (
            {"generator": MaskGITGenerator(SymbolTokenizer(), **PRIOR)},
            TypeError,
            "reconstruction_error",
        ),
    ],
)
def test_bad_parameters_are_named_and_an_earlier_fit_stays(options, error, match):
    detector = make_detector().fit(X)
    scores = detector.score_samples(X)
    detector.set_params(**options)
    series = X if "SymbolTokenizer" not in repr(options) else draw_symbols(9, [8] * 21)
    with pytest.raises(error, match=match):
        detector.fit(series)
    assert_array_equal(detector.score_samples(X), scores)


def test_bad_series_are_refused_and_an_earlier_fit_stays(detector):
    scores = detector.score_samples(X)
    with pytest.raises(ValueError, match="NaN"):
        detector.fit(np.where(X > 0, np.nan, X))
    with pytest.raises(ValueError, match="21"):
        detector.predict(X[:, :20])
    assert_array_equal(detector.score_samples(X), scores)
