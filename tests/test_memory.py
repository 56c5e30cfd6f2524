"""A device that runs out of memory: smaller batches, and otherwise the same fit."""

import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from tests.test_common import (
    ESTIMATORS,
    PRIOR,
    SMALL,
    X,
    Y,
    answers,
    assert_same,
    assert_same_fit,
    make_series,
    weights,
)
from vqssl import MaskGITGenerator, SSLVQTokenizer, VQTokenizer
from vqssl._batches import Batches, Rows, count_batches
from vqssl._memory import BeforeStep, Portions
from vqssl._training import TermNet
from vqssl.backbones import Backbone, ConvBackbone

# Sets of a dozen tiny series and a few steps: the latents collapse, and that is said.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FULL = "out of memory, tried to allocate 20.00 GiB"

every_estimator = pytest.mark.parametrize(
    "estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__
)


class Scarce(nn.Module):
    """An encoder or decoder for which the device has no memory beyond some series."""

    def __init__(self, inner, most):
        super().__init__()
        self.inner = inner
        self.most = most

    def forward(self, x):
        # The start of the codebook, which encodes while nothing is trained, is on the CPU.
        if len(x) > self.most and (torch.is_grad_enabled() or not self.training):
            raise torch.OutOfMemoryError(FULL)
        return self.inner(x)


class ScarceBackbone(Backbone):
    """A user's backbone whose decoder needs too much memory."""

    def __init__(self, most=4):
        self.most = most

    def build(self, n_channels, size, code_dim, compression):
        encoder, decoder = SMALL["backbone"].build(n_channels, size, code_dim, compression)
        # After the quantizer, whose codebook has moved by then.
        return encoder, Scarce(decoder, self.most)


@pytest.fixture
def training_memory(monkeypatch):
    """``training_memory(most)``: from now on larger batches of training find no memory."""
    terms = TermNet._terms

    def set_most(most):
        def limited(net, batch):
            found = terms(net, batch)
            if len(batch[0]) > most:
                raise torch.OutOfMemoryError(FULL)
            return found

        monkeypatch.setattr(TermNet, "_terms", limited)

    return set_most


@pytest.fixture
def inference_memory(monkeypatch):
    """``inference_memory(most)``: from now on larger batches of inference find no memory."""
    of = Portions.of

    def set_most(most):
        def limited(portions, n, work):
            def scarce(place, fewest):
                found = work(place, fewest)
                if max(place.stop - place.start, fewest) > most:
                    raise torch.OutOfMemoryError(FULL)
                return found

            return of(portions, n, scarce)

        monkeypatch.setattr(Portions, "of", limited)

    return set_most


def with_batches(estimator, batch_size):
    """A clone that, like what is fitted inside it, has batches of a size."""
    sizes = [name for name in estimator.get_params() if name.endswith("batch_size")]
    params = dict.fromkeys(sizes, batch_size)
    if isinstance(estimator, SSLVQTokenizer):
        params["projector_dim"] = 4  # "auto" follows from the batch
    return clone(estimator).set_params(**params)


# -------------------------------------------------------------------------------- training


@every_estimator
def test_half_the_batch_is_trained_as_if_it_had_been_asked_for(estimator, training_memory):
    # 12 series in batches of 6, which become 3: those of batch_size=3.
    expected = with_batches(estimator, 3).fit(X, Y)
    training_memory(4)
    found = with_batches(estimator, 6)
    with pytest.warns(UserWarning, match="ran out of memory with a batch of 6 series at step 1; "):
        found.fit(X, Y)
    assert_same_fit(expected, found)


def test_a_part_of_the_user_may_run_out_of_memory():
    expected = VQTokenizer(**SMALL).set_params(batch_size=3).fit(X)
    scarce = VQTokenizer(**SMALL).set_params(backbone=ScarceBackbone(4))
    message = (
        "^cpu ran out of memory with a batch of 6 series at step 1; from here on batches have 3. "
        "Set batch_size=3 to begin with them.$"
    )
    with pytest.warns(UserWarning, match=message):
        scarce.fit(X)
    for name, value in weights(expected).items():
        scarce_name = name.replace("decoder.", "decoder.inner.")
        assert_array_equal(weights(scarce)[scarce_name], value, err_msg=name)


def test_the_batch_is_halved_until_it_fits(training_memory):
    training_memory(1)
    with pytest.warns(UserWarning, match="memory") as caught:
        tokenizer = VQTokenizer(**SMALL).set_params(batch_size=12).fit(X)
    texts = [str(warning.message) for warning in caught]
    assert [text.split("a batch of ")[1].split()[0] for text in texts] == ["12", "6", "3"]
    assert tokenizer.n_iter_ == 6
    assert np.isfinite(tokenizer.history_["loss"]).all()


def test_the_warning_points_to_the_line_of_the_user(training_memory):
    training_memory(4)
    with pytest.warns(UserWarning, match="ran out of memory") as caught:
        VQTokenizer(**SMALL).fit(X)
    assert caught[0].filename == __file__


class States(Callback):
    """Notes what a step depends on when it begins; not told apart by its state."""

    def __init__(self, found):
        self.found = found

    def on_batch_begin(self, net, batch, **kwargs):
        state = {name: value.clone() for name, value in net.module_.state_dict().items()}
        state["generator"] = net.generator.get_state()
        self.found.setdefault(net.steps_, []).append(state)

    def on_grad_computed(self, net, named_parameters, **kwargs):
        gradients = {name: value.grad for name, value in named_parameters}
        assert all(gradient is None or gradient.isfinite().all() for gradient in gradients.values())


@every_estimator
def test_a_step_is_repeated_from_where_it_began(estimator, training_memory, monkeypatch):
    at_ease, repeated = {}, {}
    clone(estimator).set_params(callbacks=[States(at_ease)]).fit(X, Y)
    terms = TermNet._terms

    def fails_once(net, batch):
        found = terms(net, batch)
        is_watched = any(isinstance(callback, States) for _, callback in net.callbacks_)
        if is_watched and net.steps_ == 4 and len(batch[0]) == 6:
            raise torch.OutOfMemoryError(FULL)
        return found

    monkeypatch.setattr(TermNet, "_terms", fails_once)
    with pytest.warns(UserWarning, match="series at step 5; from here on batches have 3"):
        clone(estimator).set_params(callbacks=[States(repeated)]).fit(X, Y)
    assert [len(repeated[step]) for step in range(6)] == [1, 1, 1, 1, 2, 1]
    for state in repeated[4]:
        assert_same_tensors(state, at_ease[4][0])


def assert_same_tensors(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_single_series_that_does_not_fit_is_an_error(training_memory):
    tokenizer = VQTokenizer(**SMALL).fit(X)
    before = answers(tokenizer, X)
    training_memory(0)
    with (
        pytest.warns(UserWarning, match="batches have [31]"),
        pytest.raises(torch.OutOfMemoryError, match=FULL),
    ):
        tokenizer.fit(X[::-1])
    assert_same(before, answers(tokenizer, X))


def test_series_are_not_left_without_one_to_compare_with(training_memory):
    training_memory(1)
    with (
        pytest.warns(UserWarning, match="batches have 3"),
        pytest.raises(torch.OutOfMemoryError, match=FULL),
    ):
        SSLVQTokenizer(**SMALL).fit(X)


def test_an_optimizer_without_memory_is_not_asked_again(recwarn):
    class Large(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            raise torch.OutOfMemoryError(FULL)

    tokenizer = VQTokenizer(**SMALL).set_params(net_params={"optimizer": Large})
    with pytest.raises(torch.OutOfMemoryError, match=FULL):
        tokenizer.fit(X)
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize(("n", "batch_size"), [(10, 12), (40, 4)])
def test_partial_fit_still_takes_every_series_once(n, batch_size, training_memory):
    class Seen(Callback):
        def on_batch_end(self, net, batch, **kwargs):
            seen.append(batch[0].flatten(1).numpy())

    seen = []
    series = make_series(n)
    tokenizer = VQTokenizer(**SMALL).set_params(callbacks=[Seen()], batch_size=batch_size)
    training_memory(2)
    with pytest.warns(UserWarning, match="batches have [52]"):
        tokenizer.partial_fit(series)
    assert [len(batch) for batch in seen] == [2] * (n // 2)
    assert_array_equal(np.sort(np.concatenate(seen), 0), np.sort(series, 0))
    assert tokenizer.n_iter_ == tokenizer.history_["step"][-1] == n // 2
    # scikit-learn's callbacks are told of as many periods before training.
    assert len(tokenizer.history_["step"]) <= max(1, n // batch_size)


def test_held_out_series_take_smaller_batches_of_their_own(monkeypatch):
    params = {"validation_fraction": 0.5, "batch_size": 6, "max_iter": 20}
    expected = VQTokenizer(**SMALL).set_params(**params).fit(X)
    terms = TermNet._terms

    def limited(net, batch):
        found = terms(net, batch)
        if not net.module_.training and len(batch[0]) > 3:
            raise torch.OutOfMemoryError(FULL)
        return found

    monkeypatch.setattr(TermNet, "_terms", limited)
    with pytest.warns(UserWarning, match="batch of 6 series at step 2; from here on .* have 3"):
        found = VQTokenizer(**SMALL).set_params(**params).fit(X)
    assert_same(weights(expected), weights(found))
    assert_allclose(found.history_["valid_loss"], expected.history_["valid_loss"], rtol=1e-5)


def test_buffers_are_brought_back_whether_changed_or_replaced():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("changed", torch.ones(3))
            self.register_buffer("replaced", torch.ones(3))
            self.register_buffer("empty", None)

    module = Two()
    changed, generator = module.changed, torch.Generator().manual_seed(0)
    before = BeforeStep(module, generator)
    before.note()
    first = torch.rand(3, generator=generator)
    module.changed.add_(1)
    module.replaced = torch.zeros(3)
    before.restore()
    assert module.changed is changed
    assert module.changed.tolist() == module.replaced.tolist() == [1, 1, 1]
    assert torch.equal(torch.rand(3, generator=generator), first)


@pytest.mark.parametrize(("n", "batch_size"), [(12, 8), (11, 4), (7, 7), (3, 3), (9, 2)])
@pytest.mark.parametrize("n_before", [0, 1])
def test_rows_of_a_batch_that_is_taken_back_come_again(n, batch_size, n_before):
    rows = Rows((np.arange(n),))
    batches = Batches(rows, batch_size, torch.device("cpu"), torch.Generator().manual_seed(0))
    given = [batches.take()[0] for _ in range(min(n_before, count_batches(n, batch_size) - 1))]
    lost = batches.take()[0]
    batches.halve()
    assert batches.batch_size == len(lost) // 2
    while batches.n_left:
        given.append(batches.take()[0])
    assert_array_equal(np.sort(np.concatenate(given)), np.arange(n))


# ------------------------------------------------------------------------------- inference


def assert_alike(first, second):
    for name, value in first.items():
        if value.dtype == np.int64:
            assert_array_equal(second[name], value)
        else:
            assert_allclose(second[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@every_estimator
@pytest.mark.parametrize("most", [9, 3, 1])
def test_answers_are_the_same_with_less_memory(estimator, most, inference_memory):
    # What fits add up over batches, such as deviations of features, counts as well.
    expected = answers(clone(estimator).fit(X, Y), X)
    inference_memory(most)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*ran out of memory with")
        assert_alike(expected, answers(estimator.fit(X, Y), X))


@pytest.mark.parametrize("most", [3, 1])
def test_a_part_of_the_user_may_run_out_of_memory_in_inference(most):
    expected = VQTokenizer(**SMALL).fit(X)
    scarce = VQTokenizer(**SMALL).set_params(backbone=ScarceBackbone(12)).fit(X)
    scarce.model_.decoder.most = most
    codes = expected.encode(X)
    with pytest.warns(
        UserWarning, match="cpu ran out of memory with 12 series at a time"
    ) as caught:
        found = scarce.decode(codes)
    assert_allclose(found, expected.decode(codes), rtol=1e-5)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_samples_are_the_same_with_less_memory():
    generator = MaskGITGenerator(**PRIOR).fit(X, Y)
    expected = generator.sample(40, random_state=0)
    draw = generator._draw

    def limited(model, labels, draws):
        found = draw(model, labels, draws)
        if len(labels) > 3:
            raise torch.OutOfMemoryError(FULL)
        return found

    generator._draw = limited
    with pytest.warns(UserWarning, match="ran out of memory with") as caught:
        found = generator.sample(40, random_state=0)
    assert len(caught) == 1
    assert_array_equal(found, expected)


def test_a_single_series_without_memory_is_an_error(inference_memory):
    tokenizer = VQTokenizer(**SMALL).fit(X)
    inference_memory(0)
    with (
        pytest.warns(UserWarning, match="series at a time"),
        pytest.raises(torch.OutOfMemoryError, match=FULL),
    ):
        tokenizer.transform(X)


@pytest.mark.gpu
def test_a_gpu_that_is_full_trains_with_smaller_batches():
    series = np.random.default_rng(0).normal(size=(512, 4096)).cumsum(1)
    tokenizer = VQTokenizer(
        8, code_dim=4, backbone=ConvBackbone(width=64), batch_size=512, max_iter=2, device="cuda"
    )
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(1e9 / total)
    try:
        with pytest.warns(UserWarning, match="cuda ran out of memory with a batch of 512 series"):
            tokenizer.fit(series)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert np.isfinite(tokenizer.history_["loss"]).all()
