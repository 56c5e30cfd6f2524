"""Rows of one batch on several processes: what is the same as with all rows in one place.

Two threads stand for the processes; tests/test_distributed.py starts real ones.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vqssl._share import Share, bounds, count_all, of_whole, own, sharing, total, whole
from vqssl._whole_norm import batch_norm, whole_norms
from vqssl.augmentations import AUGMENTATIONS, Augmentation, Compose
from vqssl.backbones._transformer import dropout
from vqssl.generators._masked import spread_uniform
from vqssl.losses import LOSSES
from vqssl.quantizers import EMAQuantizer
from vqssl.quantizers._base import quantize

N_ROWS = 7
SIZE = 2


class Threads:
    """Threads that add up what each of them has, one after the other."""

    def __init__(self, rank, parts, barrier):
        self.rank = rank
        self.parts = parts
        self.barrier = barrier

    def sum_(self, tensor):
        self.parts[self.rank] = tensor.detach().clone()
        self.barrier.wait()
        tensor.copy_(self.parts[0] + self.parts[1])
        self.barrier.wait()
        return tensor


def on_two(work, n_rows=N_ROWS):
    """What ``work(rows, weight)`` returns for the share of each process."""
    parts, barrier = [None] * SIZE, threading.Barrier(SIZE, timeout=30)

    def run(rank):
        start, stop = bounds(n_rows, rank, SIZE)
        share = Share(Threads(rank, parts, barrier), start, stop, n_rows)
        with sharing(share):
            return work(slice(start, stop), share.weight)

    with ThreadPoolExecutor(SIZE) as pool:
        return list(pool.map(run, range(SIZE)))


def generator():
    return torch.Generator().manual_seed(0)


def numbers(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


# ------------------------------------------------------------------------------- the helpers


def test_shares_hold_all_rows_in_order_and_differ_by_one():
    for size in (1, 2, 3, 5):
        places = [bounds(N_ROWS, rank, size) for rank in range(size)]
        assert [row for start, stop in places for row in range(start, stop)] == list(range(N_ROWS))
        sizes = [stop - start for start, stop in places]
        assert max(sizes) - min(sizes) <= 1


def test_the_whole_has_the_rows_of_all_in_the_order_of_the_batch():
    x = numbers(N_ROWS, 3)
    both = torch.cat([x, x + 10])  # two batches, one after the other

    def gather(rows, weight):
        some = torch.cat([x[rows], x[rows] + 10])
        return torch.equal(whole(some), both) and torch.equal(own(whole(some)), some)

    assert on_two(gather) == [True, True]


def test_without_a_share_rows_are_what_they_are():
    x = numbers(N_ROWS, 3)
    assert whole(x) is x
    assert own(x) is x
    assert total(x) is x
    assert count_all(5) == 5


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_the_whole_have_the_gradient_of_one_process(loss):
    """Covariances of two halves whose own are different, and candidates of both."""
    terms = LOSSES[loss]().terms
    first = numbers(N_ROWS, 3).requires_grad_()
    second = numbers(N_ROWS, 3).flip(0).requires_grad_()
    with torch.no_grad():
        first[:3] *= 5  # the shares differ in everything
    expected = terms(first, second)
    wanted = torch.autograd.grad(sum(expected.values()), (first, second))

    def shared(rows, weight):
        some = [z[rows].detach().requires_grad_() for z in (first, second)]
        found = terms(*map(whole, some))
        gradients = torch.autograd.grad(weight * sum(found.values()), some)
        return found, gradients, rows

    for found, gradients, rows in on_two(shared):
        for name, term in expected.items():
            torch.testing.assert_close(found[name], term)
        for gradient, want in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(gradient, want[rows], rtol=1e-4, atol=1e-5)
    alone = terms(first[:3], second[:3])
    assert not torch.allclose(sum(alone.values()), sum(expected.values()), rtol=1e-2)


# ------------------------------------------------------------------------------ random numbers


class OwnDraw(Augmentation):
    """One of a user's own, which draws once for a batch and once for each row."""

    def __call__(self, x, generator):
        scale = torch.rand((), generator=generator)
        return x * scale + torch.randn(x.shape, generator=generator)


AUGMENTED = [*AUGMENTATIONS, "own"]


@pytest.mark.parametrize("name", AUGMENTED)
def test_a_row_has_the_same_view_on_whichever_process_it_is(name):
    augmentation = OwnDraw() if name == "own" else AUGMENTATIONS[name]()
    x = numbers(N_ROWS, 2, 30) if "series" in augmentation.takes else numbers(N_ROWS, 2, 8, 8)
    source = generator()
    expected = augmentation(x, source)

    def view(rows, weight):
        draws = generator()
        if augmentation.sees_whole_batch:
            found = of_whole(lambda every: augmentation(every, draws), x[rows])
        else:
            found = augmentation(x[rows], draws)
        return found, draws

    for (found, draws), want in zip(on_two(view), expected.split([3, 4]), strict=True):
        torch.testing.assert_close(found, want, rtol=0, atol=1e-6)
        assert torch.equal(draws.get_state(), source.get_state())


def test_only_what_is_not_vqssls_needs_to_see_the_whole_batch():
    assert not any(part().sees_whole_batch for part in AUGMENTATIONS.values())
    assert Compose((OwnDraw(), AUGMENTATIONS["noise"]())).sees_whole_batch
    assert not Compose((AUGMENTATIONS["noise"](),)).sees_whole_batch


@pytest.mark.parametrize(
    "draw",
    [
        lambda rows: dropout(torch.ones(N_ROWS, 3, 5)[rows], 0.5, generator()),
        lambda rows: spread_uniform(len(range(N_ROWS)[rows]), generator(), torch.ones(())),
    ],
    ids=["dropout", "ratios of masks"],
)
def test_priors_drop_and_mask_the_same_in_a_row(draw):
    found = on_two(lambda rows, weight: draw(rows))
    assert torch.equal(torch.cat(found), draw(slice(None)))


# ---------------------------------------------------------------------------------- statistics


def codebook(reset_threshold):
    """A codebook of four, two of which lie where there is nothing."""
    module = EMAQuantizer(decay=0.5, reset_threshold=reset_threshold).build(4, 1)
    module.initialise(generator())
    module.vectors.copy_(torch.tensor([[0.0], [1.0], [50.0], [60.0]]))
    module.total.copy_(module.vectors)
    return module.train()


# What the first process has is near the first code, the rest near the second.
LATENTS = torch.cat([torch.zeros(3, 5, 1), torch.ones(4, 5, 1)]) + 0.01 * numbers(7, 5, 1)


@pytest.mark.parametrize("reset_threshold", [0.0, 0.6])
def test_a_codebook_of_moving_averages_learns_from_the_latents_of_all(reset_threshold):
    alone = codebook(reset_threshold)
    alone(LATENTS, generator())

    def learn(rows, weight):
        module = codebook(reset_threshold)
        module(LATENTS[rows], generator())
        return module

    for module in on_two(learn):
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(module.state_dict()[name], value, msg=name)
    half = codebook(reset_threshold)
    half(LATENTS[:3], generator())
    assert not torch.allclose(half.count, alone.count)


def test_codes_out_of_use_are_drawn_from_the_latents_of_all():
    def learn(rows, weight):
        drawn = []
        for seed in range(4):
            module = codebook(0.6)
            module(LATENTS[rows], torch.Generator().manual_seed(seed))
            drawn.append(module.vectors[2:])
        return torch.cat(drawn)

    first, second = on_two(learn)
    assert torch.equal(first, second)
    assert set(first.round().flatten().tolist()) == {0.0, 1.0}


class Centring(nn.Module):
    """Stands for a quantizer that knows nothing of other processes."""

    sees_whole_batch = True

    def forward(self, z, generator=None):
        from vqssl.quantizers import Quantized

        centred = z - z.mean(0)
        codes = torch.arange(len(z)).unsqueeze(1)
        return Quantized(centred, codes, {"loss": centred.square().mean()})


def test_a_quantizer_from_elsewhere_is_given_all_latents():
    expected = Centring()(LATENTS)
    found = on_two(lambda rows, weight: quantize(Centring(), LATENTS[rows], None))
    torch.testing.assert_close(torch.cat([one.vectors for one in found]), expected.vectors)
    assert torch.cat([one.codes for one in found]).flatten().tolist() == list(range(N_ROWS))
    assert all(torch.allclose(one.terms["loss"], expected.terms["loss"]) for one in found)


@pytest.mark.parametrize("shape", [(N_ROWS, 3), (N_ROWS, 3, 4), (N_ROWS, 3, 4, 2)])
def test_batch_normalisation_is_over_the_rows_of_all(shape):
    x = numbers(*shape)
    x[:3] += 5

    def normalise(norm, some):
        some = some.detach().requires_grad_()
        out = norm.forward(some)
        return out, torch.autograd.grad(out.pow(3).sum(), [some, *norm.parameters()])

    def make():
        kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[x.ndim]
        norm = kind(3)
        nn.init.constant_(norm.weight, 2.0)
        return norm

    alone = make()
    expected, (wanted, *wanted_of_weights) = normalise(alone, x)

    def shared(rows, weight):
        norm = make()
        with whole_norms(norm):
            out, gradients = normalise(norm, x[rows])
        assert "forward" not in vars(norm)
        return norm, out, gradients

    found = on_two(shared)
    torch.testing.assert_close(torch.cat([out for _, out, _ in found]), expected)
    torch.testing.assert_close(
        torch.cat([gradients[0] for *_, gradients in found]), wanted, rtol=1e-4, atol=1e-4
    )
    for i, want in enumerate(wanted_of_weights):
        torch.testing.assert_close(
            sum(gradients[1 + i] for *_, gradients in found), want, rtol=1e-4, atol=1e-4
        )
    for norm, *_ in found:
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(norm.state_dict()[name], value, msg=name)


def test_batch_normalisation_alone_is_torchs():
    x, mean, variance = numbers(5, 3), torch.zeros(3), torch.ones(3)
    expected = F.batch_norm(x, mean.clone(), variance.clone(), training=True)
    assert torch.equal(batch_norm(x, mean, variance, None, None), expected)
