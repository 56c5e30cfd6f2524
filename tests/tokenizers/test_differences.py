"""The reconstruction error of values and of first differences."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import Tensor

from vqssl import SSLVQTokenizer, VQTokenizer
from vqssl.backbones import ConvBackbone
from vqssl.tokenizers._differences import ReconstructionLoss


def make_loss(x: Tensor, weight: float = 0.5) -> ReconstructionLoss:
    loss = ReconstructionLoss(x.shape[1], weight)
    loss.initialise(torch.Generator())
    loss.start(x)
    return loss


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def test_a_worked_case():
    # Variance 1; differences 2, 0, -2, of mean square 8/3.
    x = torch.tensor([[[-1.0, 1.0, 1.0, -1.0]]])
    loss = make_loss(x, 0.25)
    assert_allclose(loss.scale, [[3 / 8]])
    # Errors 0, 0, 1, 0: mean square 1/4; differences 0, 1, -1 of mean square 2/3.
    terms = loss(torch.tensor([[[-1.0, 1.0, 2.0, -1.0]]]), x)
    assert terms["reconstruction"] == pytest.approx(0.75 / 4)
    assert terms["difference"] == pytest.approx(0.25 * 3 / 8 * 2 / 3)


def test_white_noise_has_half_the_variance_of_its_differences():
    assert_allclose(make_loss(draw(400, 2, 100)).scale, [[0.5], [0.5]], rtol=0.02)


@given(share=st.floats(0, 2), weight=st.floats(0, 1), size=st.floats(0.1, 10))
def test_errors_with_the_spectrum_of_the_series_weigh_the_same_in_values_and_differences(
    share, weight, size
):
    x = draw(20, 2, 30).cumsum(2) * torch.tensor([[1.0], [size]])
    x -= x.mean((0, 2), keepdim=True)
    terms = make_loss(x, weight)((1 - share) * x, x)
    expected = share**2 * x.square().mean()
    assert_allclose(sum(terms.values()), expected, rtol=1e-3, atol=1e-6)


def test_without_a_weight_the_loss_is_the_published_one():
    x, y = draw(5, 2, 8), draw(5, 2, 8, seed=1)
    assert make_loss(x, 0.0)(y, x) == {"reconstruction": (y - x).square().mean()}


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_series_of_one_point_have_no_differences(weight):
    x, y = draw(5, 2, 1), draw(5, 2, 1, seed=1)
    assert make_loss(x, weight)(y, x) == {"reconstruction": (y - x).square().mean()}


@pytest.mark.parametrize(
    "x",
    [torch.zeros(4, 1, 9), torch.full((4, 1, 9), 3.0), torch.linspace(0, 1, 9).expand(4, 1, 9)],
    ids=["zeros", "constant", "ramp"],
)
def test_smooth_series_have_a_finite_error(x):
    loss = make_loss(x)
    assert 0 < loss.scale.item() <= 10_000
    assert sum(loss(x, x).values()) == 0
    assert torch.isfinite(sum(loss(x + draw(4, 1, 9), x).values()))


def test_levels_without_a_course_are_as_smooth_as_it_gets():
    x = torch.arange(6.0).reshape(6, 1, 1).expand(6, 1, 9)
    assert_allclose(make_loss(x).scale, [[10_000]])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("tokenizer", [VQTokenizer, SSLVQTokenizer])
def test_history_tells_the_error_of_differences_where_it_counts(tokenizer):
    X = draw(12, 24).numpy()
    small = {"n_codes": 4, "code_dim": 4, "max_iter": 2, "random_state": 0}
    assert "difference" not in tokenizer(**small).fit(X).history_
    assert "difference" in tokenizer(**small, difference_weight=0.5).fit(X).history_


def detailed_series(n: int, seed: int) -> np.ndarray:
    """Slow sines with a twentieth of fast noise, by which eight codes a token are too few."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, 64)
    slow = np.sin(2 * np.pi * (t + rng.uniform(0, 1, (n, 1))))
    fast = np.sign(rng.standard_normal((n, 16))).repeat(4, 1) * np.resize([1, -1, 1, -1], 64)
    return slow + 0.05 * fast


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("tokenizer", [VQTokenizer, SSLVQTokenizer])
def test_codes_keep_more_of_the_differences_where_they_weigh(tokenizer):
    X, new = detailed_series(200, 0), detailed_series(50, 1)

    def error(weight):
        fitted = tokenizer(
            16,
            code_dim=8,
            backbone=ConvBackbone(width=16, n_blocks=1, n_decoder_blocks=1),
            compression=4,
            difference_weight=weight,
            max_iter=300,
            output="codes",
            random_state=0,
        ).fit(X)
        found = fitted.inverse_transform(fitted.transform(new))
        return np.square(np.diff(found - new, axis=1)).mean()

    assert error(0.5) < 0.9 * error(0.0)
