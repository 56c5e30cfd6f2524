"""What fits show: one bar each, closed whatever happens, with the figures that matter."""

import re

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from skorch.callbacks import Callback

from vqssl import (
    VAE,
    AnomalyDetector,
    AutoregressiveGenerator,
    BandVQTokenizer,
    CPCEncoder,
    FCNClassifier,
    HierarchicalVQTokenizer,
    MaskGITGenerator,
    SSLVQTokenizer,
    TokenizerClassifier,
    VQTokenizer,
    _progress,
)
from vqssl.backbones import ConvBackbone, TransformerBackbone
from vqssl.quantizers import GradientQuantizer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SHARED = {"max_iter": 4, "batch_size": 8, "random_state": 0}
SMALL = {"n_codes": 8, "backbone": ConvBackbone(width=8), **SHARED}
PRIOR = {"backbone": TransformerBackbone(width=8, n_blocks=2, n_heads=2), **SHARED}

X = np.random.default_rng(0).normal(size=(12, 24)).cumsum(1)
Y = np.arange(12) % 2


class RaiseAt(Callback):
    """Raises at the n-th call of a hook."""

    def __init__(self, hook, n, error):
        self.left = n
        self.error = error
        setattr(self, hook, self.raise_or_not)

    def raise_or_not(self, net, **kwargs):
        self.left -= 1
        if self.left == 0:
            raise self.error


@pytest.fixture
def bars(monkeypatch):
    """All bars that are made, in order."""
    made = []

    class Recorded(_progress.tqdm):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.postfixes = []
            made.append(self)

        def set_postfix(self, ordered_dict, **kwargs):
            self.postfixes.append(dict(ordered_dict))
            super().set_postfix(ordered_dict, **kwargs)

        @property
        def is_closed(self):
            return self.disable and self not in self._instances

    monkeypatch.setattr(_progress, "tqdm", Recorded)
    return made


@pytest.mark.parametrize(
    ("estimator", "figures"),
    [
        (VQTokenizer(**SMALL), ["loss", "perplexity"]),
        (SSLVQTokenizer(**SMALL), ["loss", "perplexity"]),
        (HierarchicalVQTokenizer(**SMALL), ["loss", "perplexity"]),
        (BandVQTokenizer(**SMALL), ["loss", "perplexity"]),
        (VAE(latent_dim=2, backbone=ConvBackbone(width=8), **SHARED), ["loss"]),
        (CPCEncoder(code_dim=4, **SHARED), ["contrast"]),
        (FCNClassifier((8, 8), kernel_sizes=(4, 3), **SHARED), ["cross_entropy"]),
        (MaskGITGenerator(VQTokenizer(**SMALL), **PRIOR), ["masked_nll"]),
        (AutoregressiveGenerator(VQTokenizer(**SMALL), **PRIOR), ["nll"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else type(value).__name__,
)
def test_a_fit_has_one_bar_with_the_figures_that_matter(bars, estimator, figures):
    estimator = clone(estimator).set_params(verbose=1).fit(X, Y)
    (bar,) = bars
    assert bar.desc.startswith(type(estimator).__name__)
    assert (bar.n, bar.total) == (4, 4)
    assert bar.is_closed
    assert [list(postfix) for postfix in bar.postfixes] == [figures] * 4
    for name, column in estimator.history_.items():
        if name in figures:
            shown = [postfix[name] for postfix in bar.postfixes]
            assert shown == [f"{value:.4g}" for value in column]
    del bars[:]
    estimator.set_params(validation_fraction=0.3).fit(X, Y)
    assert list(bars[0].postfixes[0]) == [figures[0], "valid_loss", *figures[1:]]


@pytest.mark.parametrize("cls", [HierarchicalVQTokenizer, BandVQTokenizer])
def test_there_is_a_perplexity_for_each_group_of_tokens(bars, cls):
    cls(**SMALL).set_params(verbose=1).fit(X)
    for postfix in bars[0].postfixes:
        assert re.fullmatch(r"[\d.]+/[\d.]+", postfix["perplexity"])


def test_the_perplexity_is_that_of_the_codes(bars, capsys):
    # One batch of all series; nothing is learned, so that the codes stay.
    options = {**SMALL, "quantizer": GradientQuantizer(), "batch_size": 12, "lr": 1e-12}
    fitted = VQTokenizer(**options, verbose=1).fit(X)
    shown = f"{fitted.perplexity_[0]:.4g}"
    assert float(shown) > 2
    assert {postfix["perplexity"] for postfix in bars[0].postfixes} == {shown}
    fitted.set_params(verbose=2).fit(X)
    assert capsys.readouterr().out.count(f", perplexity {shown}\n") == 4


def test_bars_of_what_is_inside_say_what_it_is_for(bars):
    shown = {"verbose": 1}
    tokenizer, generator = VQTokenizer(**SMALL, **shown), MaskGITGenerator(**PRIOR, **shown)
    generator.set_params(tokenizer=tokenizer)
    fitted = clone(generator).fit(X, Y).tokenizer_
    TokenizerClassifier(tokenizer, **SHARED, **shown).fit(X, Y)
    AnomalyDetector(generator).fit(X)
    CPCEncoder(code_dim=4, **SHARED, **shown).fit(X).fit_decoder(X)
    inside = "VQTokenizer (tokenizer)"
    assert [bar.desc.removesuffix(": ") for bar in bars] == [
        *(inside, "MaskGITGenerator"),
        *(inside, "TokenizerClassifier"),
        *(inside, "MaskGITGenerator (generator)"),
        *("CPCEncoder", "CPCEncoder (decoder)"),
    ]
    fitted.fit(X)
    # The title goes with the fit, not with the estimator.
    assert bars[-1].desc.removesuffix(": ") == "VQTokenizer"


def test_a_tokenizer_that_none_stands_for_shows_what_its_owner_shows():
    for cls in (MaskGITGenerator, AutoregressiveGenerator, TokenizerClassifier):
        assert cls(verbose=1)._default_tokenizer().verbose == 1
        assert cls()._default_tokenizer().verbose == 0


@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
@pytest.mark.parametrize("fraction", [0.0, 0.3])
@pytest.mark.parametrize(
    ("hook", "n"),
    [("on_epoch_begin", 1), ("on_grad_computed", 1), ("on_grad_computed", 3), ("on_epoch_end", 2)],
)
def test_the_bar_is_closed_when_a_fit_fails(bars, error, fraction, hook, n):
    class Raise(RaiseAt):
        def on_grad_computed(self, net, **kwargs):
            """Overridden, so that the net calls it."""

    tokenizer = VQTokenizer(**SMALL, verbose=1, validation_fraction=fraction)
    tokenizer.set_params(callbacks=[Raise(hook, n, error)])
    with pytest.raises(type(error)):
        tokenizer.fit(X)
    (bar,) = bars
    assert bar.is_closed
    assert bar.n < 4


def test_a_bar_goes_on_where_the_checkpoint_was(bars, tmp_path, monkeypatch):
    tokenizer = VQTokenizer(**{**SMALL, "max_iter": 24}, verbose=1, checkpoint_dir=tmp_path)
    report = _progress.Bar.report

    def fail(self, step, *figures):
        report(self, step, *figures)
        if step == 20:
            raise OSError("killed")

    monkeypatch.setattr(_progress.Bar, "report", fail)
    with pytest.raises(OSError, match="killed"):
        tokenizer.fit(X)
    monkeypatch.setattr(_progress.Bar, "report", report)
    tokenizer.fit(X)
    first, second = bars
    assert (first.initial, first.n) == (0, 20)
    assert 0 < second.initial < 20
    assert (second.n, second.total) == (24, 24)


@pytest.mark.parametrize("verbose", [1, 2])
def test_what_is_shown_changes_nothing(verbose, capsys):
    plain, shown = SSLVQTokenizer(**SMALL).fit(X), SSLVQTokenizer(**SMALL, verbose=verbose).fit(X)
    assert plain.history_ == shown.history_
    assert_array_equal(plain.transform(X), shown.transform(X))
    assert not any(module._forward_hooks for module in shown.model_.modules())


def test_a_bar_reads_from_the_device_once_a_period(monkeypatch, capsys):
    reads = []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: reads.append(1) or cpu(self))
    # Twenty periods of two steps.
    VQTokenizer(**{**SMALL, "max_iter": 40}).fit(X)
    silent = len(reads)
    VQTokenizer(**{**SMALL, "max_iter": 40}, verbose=1).fit(X)
    assert len(reads) - silent == silent + 20


def test_lines_have_the_loss_first_and_everything_else(capsys):
    tokenizer = VQTokenizer(**SMALL, verbose=2, validation_fraction=0.3).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    for i, line in enumerate(lines):
        head, _, rest = line.partition(": ")
        assert head == f"[VQTokenizer] step {i + 1}/4"
        shown = dict(entry.split(" ") for entry in rest.split(", "))
        assert next(iter(shown)) == "loss"
        assert shown.keys() == {*tokenizer.history_, "perplexity"} - {"step"}
        for name in shown.keys() - {"perplexity"}:
            assert shown[name] == f"{tokenizer.history_[name][i]:.4g}"
