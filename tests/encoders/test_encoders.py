"""What encoders learn and say: isolation, bounds, the variational form, layers."""

import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from vqssl import CPCEncoder, GreedyInfoMaxEncoder
from vqssl._seed import make_generator
from vqssl.encoders._modules import FramePosterior
from vqssl.encoders._moments import Moments
from vqssl.encoders._task import FutureContrast

SMALL = {
    "n_modules": 2,
    "code_dim": 8,
    "n_predictions": 3,
    "n_negatives": 16,
    "max_iter": 30,
    "batch_size": 16,
    "device": "cpu",
    "random_state": 0,
}
ENCODERS = [CPCEncoder(**SMALL), GreedyInfoMaxEncoder(**SMALL)]


def make_tones(n, length=64, noise=0.7, seed=0):
    """Two slow frequencies at random phases, under noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    phase = np.where(y == 0, 0.05, 0.075)[:, None] * np.arange(length) + rng.random((n, 1))
    return np.sin(2 * np.pi * phase) + noise * rng.normal(size=(n, length)), y


X, Y = make_tones(60)


@pytest.fixture(params=ENCODERS, ids=["cpc", "gim"])
def encoder(request):
    return clone(request.param)


def silently(fit, *arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(*arguments)


# ------------------------------------------------------------------------------ isolation


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_a_module_gives_no_gradient_to_those_below_it(beta):
    encoder = GreedyInfoMaxEncoder(beta, **{**SMALL, "n_modules": 3}).fit(X)
    model = encoder.model_.requires_grad_(True)
    x = torch.from_numpy(X).float()[:, None]
    for loss in range(3):
        model.zero_grad()
        terms = encoder._task(model, 16)(x, make_generator(0))
        sum(term for name, term in terms.items() if f"module_{loss}_" in name).backward()
        for i, module in enumerate(model.stack):
            gradients = [parameter.grad for parameter in module.parameters()]
            if i == loss:
                assert all(gradient.abs().max() > 0 for gradient in gradients)
            else:
                assert gradients == [None] * len(gradients)


def test_the_modules_of_cpc_are_trained_as_one():
    encoder = CPCEncoder(**SMALL).fit(X)
    model = encoder.model_.requires_grad_(True)
    terms = encoder._task(model, 16)(torch.from_numpy(X).float()[:, None], make_generator(0))
    assert list(terms) == ["contrast"]
    terms["contrast"].backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


@pytest.mark.parametrize("limit", [1.0, None])
def test_modules_share_the_limit_of_the_gradient_and_nothing_else(limit, monkeypatch):
    encoder = GreedyInfoMaxEncoder(**SMALL, net_params={"gradient_clip": limit})
    before = clone(encoder).fit(X).model_.stack
    forward = FutureContrast.forward

    def louder(self, *args, **kwargs):
        terms = forward(self, *args, **kwargs)
        return {name: term * (100 if "module_1" in name else 1) for name, term in terms.items()}

    monkeypatch.setattr(FutureContrast, "forward", louder)
    after = encoder.fit(X).model_.stack
    is_same = torch.equal(before[0].stem.weight, after[0].stem.weight)
    assert is_same == (limit is None)


class Weights(Callback):
    """Keeps the weights of the modules after every period."""

    def __init__(self):
        self.kept = []

    def on_epoch_end(self, net, **kwargs):
        model = net.module_.model
        self.kept.append([module.stem.weight.detach().clone() for module in model.stack])


@pytest.mark.parametrize("train", ["joint", "greedy"])
def test_greedy_training_takes_one_module_after_the_other(train):
    weights = Weights()
    settings = {**SMALL, "max_iter": 40, "callbacks": [weights]}
    encoder = GreedyInfoMaxEncoder(train=train, **settings).fit(X)
    assert len(weights.kept) == 20
    moves = np.array(
        [
            [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
            for before, after in zip(weights.kept, weights.kept[1:], strict=False)
        ]
    )  # (19, 2)
    if train == "joint":
        assert moves.all()
    else:
        assert_array_equal(moves[:, 0], np.arange(19) < 9)
        assert_array_equal(moves[:, 1], np.arange(19) >= 9)
    rates = np.array(encoder.history_["lr"])
    # Greedy training warms up twice.
    assert (np.diff(rates) > 0).sum() == (1 if train == "greedy" else 0)
    assert rates[-1] < 1e-4


def test_a_further_pass_trains_all_modules_of_a_greedy_encoder():
    encoder = GreedyInfoMaxEncoder(train="greedy", **SMALL).fit(X)
    before = [module.stem.weight.clone() for module in encoder.model_.stack]
    encoder.partial_fit(X)
    for old, module in zip(before, encoder.model_.stack, strict=True):
        assert not torch.equal(old, module.stem.weight)


def test_the_history_has_the_losses_of_each_module():
    history = GreedyInfoMaxEncoder(1e-4, **SMALL).fit(X).history_
    names = [f"module_{i}_{term}" for i in range(2) for term in ("contrast", "kl")]
    assert set(names) == set(history) - {"step", "loss", "lr"}
    assert all(history[f"module_{i}_contrast"][-1] < np.log(17) for i in range(2))


# -------------------------------------------------------------------------- what is learned


@pytest.mark.parametrize("beta", [0.0, 1e-3])
def test_features_tell_what_raw_series_and_an_untrained_encoder_do_not(encoder, beta):
    new, labels = make_tones(200, seed=1)
    encoder.set_params(beta=beta, compression=4, max_iter=80, lr=5e-3)
    untrained = clone(encoder).set_params(max_iter=1, lr=1e-9)

    def accuracy(*steps):
        pipeline = make_pipeline(*steps, StandardScaler(), RidgeClassifier(10.0))
        return pipeline.fit(X, Y).score(new, labels)

    assert accuracy() < 0.65
    learned = accuracy(encoder)
    assert learned > 0.85
    assert learned > accuracy(untrained) + 0.1


def test_what_is_judged_in_parts_is_judged_the_same(encoder, monkeypatch):
    encoder.fit(X)
    expected = encoder.score(X)
    monkeypatch.setattr("vqssl.encoders._contrast._LOGITS", 17 * 5)
    assert_allclose(encoder.score(X), expected, rtol=1e-5)


def test_there_are_no_more_choices_than_frames(encoder):
    encoder.set_params(n_negatives=10**6).fit(X[:3])
    frames = np.array(encoder.model_.loss_frames)
    assert encoder._n_choices == (3 * frames).tolist()
    assert (encoder.mutual_information_ <= np.log(3 * frames)).all()
    with pytest.raises(ValueError, match="n_negatives must be an integer of at least 1; got 0"):
        encoder.set_params(n_negatives=0).score(X)


def test_information_is_a_bound_below_log_n_and_rises_with_training(encoder):
    encoder.set_params(n_negatives=7, max_iter=100)
    trained = encoder.fit(X).mutual_information_
    untrained = clone(encoder).set_params(max_iter=1, lr=1e-9).fit(X).mutual_information_
    assert trained.shape == ((1,) if isinstance(encoder, CPCEncoder) else (2,))
    assert (trained > untrained + 0.1).all()
    assert (trained < np.log(8)).all()
    assert_allclose(untrained, 0.0, atol=0.05)


def test_noise_has_no_future(encoder):
    noise = np.random.default_rng(0).normal(size=(400, 32))
    other = np.random.default_rng(1).normal(size=(400, 32))
    # Frames eight points wide at stride four share points with the next, none with those after.
    encoder.set_params(n_modules=1, compression=8, max_iter=100).fit(noise)
    assert encoder.score(other) < 0.5 * encoder.set_params(max_iter=100).fit(X).score(X)


def test_score_is_the_bound_and_the_same_at_every_call(encoder):
    encoder.fit(X)
    assert_allclose(encoder.score(X), encoder.mutual_information_.mean(), rtol=1e-6)
    new = make_tones(9, seed=1)[0]
    assert encoder.score(new) == encoder.score(new) != encoder.score(X)
    assert encoder.score(new[:1]) < np.log(17)


# ---------------------------------------------------------------------- the variational form


def test_the_kl_does_not_depend_on_the_length(encoder):
    noise = np.random.default_rng(0).normal(size=(64, 512))
    settings = {"beta": 0.01, "compression": 4}
    short = clone(encoder).set_params(**settings).fit(noise[:, :256])
    model = short.model_
    kls = []
    for length in (256, 512):
        x = torch.from_numpy(noise[:, :length]).float()[:, None]
        terms = short._task(model, 16)(x, make_generator(0))
        kls.append([term.item() for name, term in terms.items() if name.endswith("kl")])
    assert_allclose(*kls, rtol=0.02)
    # That of the module above is told of means, where training draws samples.
    assert_allclose(kls[0][0] / 0.01, short.kl_[0], rtol=1e-4)


def test_a_heavy_kl_makes_units_die(encoder):
    encoder.set_params(max_iter=100, lr=5e-3)
    light, heavy = (clone(encoder).set_params(beta=beta).fit(X) for beta in (1e-4, 10.0))
    n_losses = len(light.kl_)
    assert (light.kl_ > 1.0).all()
    assert (heavy.kl_ < 0.1 * light.kl_).all()
    assert (light.active_units_[-n_losses:] >= 1).all()
    kinds = slice(1, 2) if isinstance(encoder, CPCEncoder) else slice(None)
    assert (heavy.active_units_[kinds] == 0).all()


def test_what_is_said_of_the_posteriors_is_said_of_all_frames():
    encoder = GreedyInfoMaxEncoder(0.01, **SMALL).fit(X)
    assert encoder.kl_per_dimension_.shape == encoder.variance_per_dimension_.shape == (2, 8)
    assert_allclose(encoder.kl_per_dimension_.sum(1), encoder.kl_)
    for layer in range(2):
        variance = encoder.embed(X, layer).reshape(-1, 8).var(0)
        assert_allclose(encoder.variance_per_dimension_[layer], variance, rtol=1e-4, atol=1e-7)
        assert encoder.active_units_[layer] == (variance > 0.01).sum()


def test_correlations_are_those_of_the_aggregate_posterior(encoder):
    encoder.fit(X)
    n_layers = len(encoder.active_units_)
    assert encoder.correlation_.shape == (n_layers, encoder.code_dim, encoder.code_dim)
    for layer in range(n_layers):
        frames = encoder.embed(X, layer).reshape(-1, encoder.code_dim)
        expected = np.corrcoef(frames.astype(float), rowvar=False)
        assert_allclose(encoder.correlation_[layer], expected, atol=1e-4)
    # The Gaussians of the last module blur what their means have in common.
    encoder.set_params(beta=0.01).fit(X)
    layer = n_layers - 1 - isinstance(encoder, CPCEncoder)
    with torch.no_grad():
        series = torch.from_numpy(X).float().reshape(len(X), -1, X.shape[-1])
        posterior = encoder.model_.layers(encoder.model_.scaler(series))[layer]
    draws = posterior.mean + posterior.deviation * torch.randn(
        2000, *posterior.mean.shape, generator=make_generator(0)
    )
    expected = np.corrcoef(draws.reshape(-1, encoder.code_dim).numpy(), rowvar=False)
    assert_allclose(encoder.correlation_[layer], expected, atol=0.01)


def test_a_dimension_that_never_varies_is_correlated_with_none():
    mean = torch.randn(5, 4, 3, generator=make_generator(0))
    mean[..., 1] = 0.1
    moments = Moments.of(FramePosterior(mean, None), 5)
    assert_allclose(Moments.total([moments]).correlation()[1], [0, 1, 0])


def test_without_beta_there_is_no_kl(encoder):
    encoder.set_params(beta=0.1).fit(X)
    assert hasattr(encoder, "kl_")
    encoder.set_params(beta=0.0).fit(X)
    assert not hasattr(encoder, "kl_")
    assert not any("kl" in name for name in encoder.history_)


# -------------------------------------------------------------------------- layers and shapes


@pytest.mark.parametrize("length", [1, 2, 5, 17, 63, 101])
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_features_are_as_wide_for_any_length(encoder, length, beta):
    series = np.random.default_rng(0).normal(size=(5, 2, length))
    encoder.set_params(beta=beta, max_iter=2)
    silently(encoder.fit, series)
    for layer in range(2):
        Z = encoder.transform(series, layer=layer)
        assert Z.shape == (5, 21 * 8)
        assert Z.dtype == np.float32
    frames = encoder.embed(series)
    assert frames.shape == (5, -(-length // (1 if length < 8 else 2 if length <= 64 else 4)), 8)
    assert_allclose(encoder.transform(series)[:, :8], frames.mean(1), rtol=1e-4, atol=1e-6)


def test_a_layer_is_chosen_by_the_argument_or_the_parameter(encoder):
    encoder.fit(X)
    rows = [encoder.transform(X, layer=layer) for layer in range(2)]
    assert not np.array_equal(*rows)
    for layer in range(2):
        assert_array_equal(encoder.set_params(layer=layer).transform(X), rows[layer])
    assert_array_equal(encoder.transform(X, layer=0), rows[0])
    last = len(encoder.model_.frame_counts) - 1
    encoder.set_params(layer=None)
    assert_array_equal(encoder.transform(X), encoder.transform(X, layer=last))


def test_a_search_chooses_the_layer(encoder):
    pipeline = Pipeline([("encoder", encoder.set_params(max_iter=3)), ("ridge", RidgeClassifier())])
    search = GridSearchCV(pipeline, {"encoder__layer": [0, 1]}, cv=2, error_score="raise")
    scores = search.fit(X, Y).cv_results_["mean_test_score"]
    assert scores[0] != scores[1]


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (
            3,
            ValueError,
            "layer must be below [23], the number of layers, or None for the last; got 3",
        ),
        (-1, ValueError, "layer must be an integer of at least 0; got -1"),
        (0.5, TypeError, "layer must be an integer of at least 0; got 0.5"),
    ],
)
def test_a_layer_that_is_not_there_is_refused(encoder, layer, error, message):
    encoder.fit(X)
    for method in (encoder.transform, encoder.embed):
        with pytest.raises(error, match=message):
            method(X, layer=layer)


def test_a_single_frame_is_said_and_no_failure(encoder):
    encoder.set_params(compression=64)
    with pytest.warns(
        ConvergenceWarning, match="a single frame in 1 of . modules: there is nothing"
    ):
        encoder.fit(X)
    assert encoder.mutual_information_[-1] == 0
    assert np.isfinite(encoder.transform(X)).all()


def test_steps_ahead_stay_below_the_frames(encoder):
    encoder.set_params(compression=16, n_predictions=100).fit(X)
    assert encoder.model_.steps()[-1] == 3


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"beta": -1.0}, ValueError, "beta must be a finite number of at least 0"),
        ({"n_modules": 0}, ValueError, "n_modules must be an integer of at least 1"),
        ({"n_negatives": 0}, ValueError, "n_negatives must be an integer of at least 1"),
        ({"compression": "all"}, ValueError, "compression must be 'auto' or an integer"),
        ({"layer": -1}, ValueError, "layer must be an integer of at least 0"),
    ],
)
def test_parameters_out_of_range_are_refused(encoder, parameters, error, message):
    with pytest.raises(error, match=message):
        encoder.set_params(**parameters).fit(X)


def test_a_step_for_each_module_is_needed():
    encoder = GreedyInfoMaxEncoder(n_modules=3, train="greedy", max_iter=2)
    with pytest.raises(ValueError, match=r"max_iter must be at least n_modules, 3, .* got 2"):
        encoder.fit(X)


def test_a_layer_that_there_will_not_be_is_refused_before_training(encoder):
    n_layers = 3 if isinstance(encoder, CPCEncoder) else 2
    with pytest.raises(ValueError, match=f"layer must be below {n_layers}.*; got {n_layers}"):
        encoder.set_params(layer=n_layers).fit(X)
    assert not hasattr(encoder, "model_")
    assert encoder.set_params(layer=n_layers - 1).fit(X).transform(X).shape == (60, 21 * 8)


def test_modules_one_after_the_other_cannot_stop_early():
    encoder = GreedyInfoMaxEncoder(train="greedy", validation_fraction=0.3, **SMALL)
    with pytest.raises(ValueError, match=r"validation_fraction must be 0 with .*; got 0\.3"):
        encoder.fit(X)


def test_a_way_to_train_is_refused_by_name():
    with pytest.raises(ValueError, match="train must be 'joint' or 'greedy'; got 'all'"):
        GreedyInfoMaxEncoder(train="all", **SMALL).fit(X)


def test_bfloat16_trains_frames_that_float32_reads(encoder):
    encoder.set_params(precision="bfloat16", max_iter=60, lr=5e-3).fit(X)
    assert encoder.transform(X).dtype == np.float32
    assert (encoder.mutual_information_ > 0.1).all()
