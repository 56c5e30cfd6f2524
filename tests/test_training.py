"""The engine's own pieces, where an estimator does not show them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from skorch.history import History
from torch import nn

from tests.generators.stubs import SymbolTokenizer, draw_symbols
from vqssl import MaskGITGenerator, SSLVQTokenizer, VQTokenizer
from vqssl._average import WeightAverage
from vqssl._training import Stopping
from vqssl.backbones import ConvBackbone

SERIES = np.random.default_rng(0).normal(size=(12, 16)).cumsum(1)
SMALL = {
    "n_codes": 4,
    "code_dim": 2,
    "backbone": ConvBackbone(width=4, n_blocks=1, n_decoder_blocks=1),
    "max_iter": 40,
    "device": "cpu",
    "random_state": 0,
}


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"gradient_clip": -1.0}, ValueError, "gradient_clip must be a finite number above 0"),
        ({"gradient_clip": 0.0}, ValueError, "gradient_clip must be a finite number above 0"),
        ({"patience": "x"}, TypeError, "patience must be an integer"),
        ({"lr": 0.1}, ValueError, "net_params must leave lr to the estimator"),
        ({"batch_size": 0}, ValueError, "net_params must leave batch_size to the estimator"),
        ({"precision": "float16"}, ValueError, "net_params must leave precision to"),
    ],
)
def test_options_of_the_net_are_checked(options, error, match):
    X = np.zeros((8, 16))
    with pytest.raises(error, match=match):
        VQTokenizer(8, max_iter=2, net_params=options).fit(X)


@pytest.mark.parametrize("loss", [-100.0, 100.0])
def test_a_loss_that_rises_does_not_count_as_falling_whatever_its_sign(loss):
    net = SimpleNamespace(history=History(), verbose=0)
    stopping = Stopping(patience=3)
    stopping.on_train_begin(net)

    def go_on():
        for period in range(9):
            net.history.new_epoch()
            net.history.record("epoch", period + 1)
            net.history.record("valid_loss", loss + 0.001 * period)
            stopping.on_epoch_end(net)

    with pytest.raises(KeyboardInterrupt):
        go_on()
    assert stopping.best_epoch_ == 1
    assert len(net.history) == 4


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_history_that_goes_on_has_all_columns_in_all_periods():
    X = np.random.default_rng(0).normal(size=(20, 16)).cumsum(1)
    options = {"max_iter": 6, "batch_size": 8, "device": "cpu", "random_state": 0}
    tokenizer = VQTokenizer(8, validation_fraction=0.3, **options).fit(X)
    held_out = tokenizer.history_["valid_loss"]
    history = tokenizer.partial_fit(X).history_
    assert {len(column) for column in history.values()} == {len(history["step"])}
    assert history["valid_loss"][: len(held_out)] == held_out
    assert np.isnan(history["valid_loss"][len(held_out) :]).all()
    tokenizer = SSLVQTokenizer(8, **options).partial_fit(X[:1]).partial_fit(X)
    contrast = tokenizer.history_["ssl_contrast"]
    assert np.isnan(contrast[0])
    assert np.isfinite(contrast[1:]).all()


def test_the_average_of_weights_is_the_recursion_by_hand():
    module = nn.Linear(1, 1, bias=False)
    values = np.random.default_rng(0).normal(size=200)
    with torch.no_grad():
        module.weight.fill_(values[0])
        average = WeightAverage(module, decay=0.95)
        expected = values[0]
        for step, value in enumerate(values[1:]):
            module.weight.fill_(value)
            average.update()
            decay = min(0.95, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * value
    average.swap()
    assert_allclose(module.weight.item(), expected, rtol=1e-4)
    average.swap()
    assert module.weight.item() == pytest.approx(values[-1])


def test_the_kept_weights_are_the_average_of_those_of_the_steps():
    steps = []

    class Remember(torch.optim.AdamW):
        def step(self, closure=None):
            result = super().step(closure)
            steps.append([p.detach().clone() for g in self.param_groups for p in g["params"]])
            return result

    plain = {"optimizer": Remember, "optimizer__fused": False}
    last = VQTokenizer(**SMALL, net_params=plain).fit(SERIES)
    path = list(steps)
    steps.clear()
    kept = VQTokenizer(**SMALL, net_params={**plain, "average_decay": 0.9}).fit(SERIES)
    # The average takes no part in training: both take the same steps.
    for one, other in zip(path, steps, strict=True):
        for first, second in zip(one, other, strict=True):
            assert_array_equal(first, second)
    start = VQTokenizer(**SMALL | {"max_iter": 1, "lr": 1e-12}).fit(SERIES)
    for name in ("encoder.head.weight", "decoder.head.weight"):
        final = last.model_.state_dict()[name]
        index = next(i for i, w in enumerate(path[-1]) if torch.equal(w, final))
        expected = start.model_.state_dict()[name].clone()
        for step, weights in enumerate(path):
            decay = min(0.9, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * weights[index]
        assert_allclose(kept.model_.state_dict()[name], expected, atol=1e-6)
        assert not torch.equal(kept.model_.state_dict()[name], final)


def test_bits_do_not_depend_on_the_number_of_threads_around_a_fit():
    # Products large enough for torch and MKL to split them among threads.
    X = draw_symbols(64, [8] * 32)
    generator = MaskGITGenerator(SymbolTokenizer(K=8), max_iter=3, device="cpu", random_state=0)
    expected = generator.fit(X).model_.state_dict()
    torch.set_num_threads(2)
    try:
        found = generator.fit(X).model_.state_dict()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
