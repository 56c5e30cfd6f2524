"""The branch that compares a series with its view: what is compared, and what learns from it."""

import pytest
import torch
from torch import Tensor

from vqssl._seed import initialise
from vqssl.augmentations import Augmentation
from vqssl.backbones import ConvBackbone
from vqssl.losses import InfoNCE, SSLLoss
from vqssl.quantizers import EMAQuantizer
from vqssl.tokenizers._ssl_vq import JointEmbedding, Projector, global_pool, window_pool
from vqssl.tokenizers._vq import VQVAE, make_vqvae

DIM, WIDTH = 4, 6


class Nothing(Augmentation):
    """A view that holds nothing of its series."""

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return torch.zeros_like(x)


class Upside(Augmentation):
    """The series upside down."""

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return -x


class Rows(SSLLoss):
    """Remembers what it is given; its term is their mean squared difference."""

    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, Tensor]] = []

    def terms(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        self.seen.append((first, second))
        return {"difference": (first - second).square().mean()}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_task(
    loss: SSLLoss, length: int = 24, augmentation: Augmentation | None = None
) -> JointEmbedding:
    backbone = ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1)
    model = make_vqvae((1, length), 16, DIM, backbone, EMAQuantizer(), 2, None, 0.5)
    task = JointEmbedding(model, Projector(2 * DIM, WIDTH, None), loss, augmentation, 0.5)
    initialise(task, generator())
    return task


def make_series(n: int = 8, length: int = 24) -> Tensor:
    return torch.randn(n, 1, length, generator=generator(1)).cumsum(-1)


@pytest.mark.parametrize(("n_tokens", "parts"), [(8, 1), (8, 2), (8, 4), (11, 2), (11, 4)])
def test_windows_are_pooled_as_series_of_their_own(n_tokens, parts):
    z = torch.randn(3, n_tokens, DIM, generator=generator())
    found = window_pool(z, parts)
    assert found.shape == (3 * parts, 2 * DIM)
    for i, rows in enumerate(found.split(3)):
        start, stop = i * n_tokens // parts, -(-(i + 1) * n_tokens // parts)
        assert torch.equal(rows, global_pool(z[:, start:stop]))


@pytest.mark.parametrize(
    ("length", "n_rows"), [(24, [8, 16, 32]), (14, [8, 16]), (6, [8]), (1, [8])]
)
def test_the_whole_its_halves_and_its_quarters_are_compared_where_they_have_two_tokens(
    length, n_rows
):
    loss = Rows()
    terms = make_task(loss, length)(make_series(length=length), generator())
    assert [len(first) for first, _ in loss.seen] == n_rows
    means = [(first - second).square().mean() for first, second in loss.seen]
    # 0.5 is the weight of the loss.
    torch.testing.assert_close(terms["ssl_difference"], 0.5 * torch.stack(means).mean())


def test_quantised_vectors_of_the_series_and_of_its_view_are_compared():
    loss = Rows()
    task = make_task(loss, augmentation=Upside()).eval()  # the codebook rests
    x = make_series()
    task(x, generator())
    for series, rows in zip((x, -x), loss.seen[0], strict=True):
        vectors = task.model.lookup(task.model.tokens(series))
        torch.testing.assert_close(rows, task.projector(global_pool(vectors)))


def test_without_augmentations_a_series_is_compared_with_itself():
    terms = make_task(Rows()).eval()(make_series(), generator())
    assert terms["ssl_difference"] == 0


def test_the_encoder_learns_from_the_comparison_through_the_codes():
    task = make_task(InfoNCE(), augmentation=Nothing())
    x = make_series().requires_grad_()
    task(x, generator())["ssl_contrast"].backward()
    # The view holds nothing of the series, so that this came by way of the codes.
    assert x.grad is not None
    assert (x.grad != 0).any()


def test_neither_decoder_nor_codebook_learns_from_the_comparison():
    def after_a_step(augmentation):
        task = make_task(InfoNCE(), augmentation=augmentation)
        task(make_series(), generator())["ssl_contrast"].backward()
        return task

    task = after_a_step(None)
    assert isinstance(task.model, VQVAE)
    assert all(p.grad is None or not p.grad.any() for p in task.model.decoder.parameters())
    other = after_a_step(Nothing())
    assert torch.equal(task.model.quantizer.codebook, other.model.quantizer.codebook)
