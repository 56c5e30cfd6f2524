"""Backbones: a contract over the registry, and what a token of the convolutions sees."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from torch import Tensor, nn

import vqssl.backbones
from vqssl._parts import resolve
from vqssl._seed import initialise, make_generator, materialise
from vqssl.backbones import BACKBONES, Backbone, ConvBackbone
from vqssl.backbones._base import count_tokens
from vqssl.backbones._conv import ResidualBlock

every_backbone = pytest.mark.parametrize("name", sorted(BACKBONES))

# Shorter than a token, no multiple of one, one token, one point per token.
SIZES = [(1, 1), (1, 4), (3, 8), (4, 4), (7, 1), (21, 4), (64, 8), (50, 7)]
every_size = pytest.mark.parametrize(("length", "compression"), SIZES)

batches = st.integers(1, 3)
channels = st.integers(1, 4)
lengths = st.integers(1, 70)
dims = st.integers(1, 5)
compressions = st.integers(1, 20)


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=make_generator(seed))


def build(
    part: Backbone,
    n_channels: int = 1,
    length: int = 64,
    code_dim: int = 8,
    compression: int = 4,
    seed: int = 0,
) -> tuple[Any, Any]:
    """Encoder and decoder of a part, made as an estimator makes them."""
    part.check()
    with torch.device("meta"):
        encoder, decoder = part.build(n_channels, length, code_dim, compression)
    generator = make_generator(seed)
    return initialise(materialise(encoder), generator), initialise(materialise(decoder), generator)


def dilations(module: nn.Module) -> list[int]:
    blocks = [part for part in module.modules() if isinstance(part, ResidualBlock)]
    return [block.mix.dilation[0] for block in blocks]


# ---------------------------------------------------------------- contract over the registry


def test_registry_holds_every_public_backbone_by_name() -> None:
    public = [getattr(vqssl.backbones, name) for name in vqssl.backbones.__all__]
    parts = {thing for thing in public if isinstance(thing, type) and issubclass(thing, Backbone)}
    assert set(BACKBONES.values()) == parts - {Backbone}
    for name, cls in BACKBONES.items():
        assert type(resolve(name, "backbone", Backbone, BACKBONES)) is cls


@given(length=st.integers(1, 10_000), compression=st.integers(1, 500))
def test_tokens_cover_the_series_and_none_is_empty(length: int, compression: int) -> None:
    n_tokens = count_tokens(length, compression)
    assert (n_tokens - 1) * compression < length <= n_tokens * compression


@every_backbone
@given(b=batches, c=channels, length=lengths, d=dims, compression=compressions)
def test_shapes_are_exact_for_any_length_channels_and_compression(
    name: str, b: int, c: int, length: int, d: int, compression: int
) -> None:
    encoder, decoder = build(BACKBONES[name](), c, length, d, compression)
    z = encoder(normals(b, c, length))
    assert z.shape == (b, count_tokens(length, compression), d)
    x = decoder(z)
    assert x.shape == (b, c, length)
    assert torch.isfinite(x).all()


@every_backbone
@given(c=channels, length=lengths, compression=compressions, scale=st.sampled_from([0.01, 1, 100]))
def test_a_series_does_not_depend_on_its_neighbours_in_the_batch(
    name: str, c: int, length: int, compression: int, scale: float
) -> None:
    encoder, decoder = build(BACKBONES[name](), c, length, 6, compression)
    x = normals(4, c, length) * torch.tensor([1.0, scale, 1.0, 1.0])[:, None, None]
    z = encoder(x)
    torch.testing.assert_close(encoder(x[:1]), z[:1])
    torch.testing.assert_close(encoder(x.flip(0)), z.flip(0))
    torch.testing.assert_close(decoder(z[:1]), decoder(z)[:1])


@every_backbone
def test_training_and_eval_mode_are_the_same(name: str) -> None:
    encoder, decoder = build(BACKBONES[name](), 2)
    x = normals(3, 2, 64)
    z = encoder(x)
    assert torch.equal(encoder.eval()(x), z)
    assert torch.equal(decoder.eval()(z), decoder.train()(z))


@every_backbone
@every_size
def test_gradient_reaches_every_parameter_and_the_series(
    name: str, length: int, compression: int
) -> None:
    encoder, decoder = build(BACKBONES[name](), 2, length, 8, compression)
    x = normals(5, 2, length).requires_grad_()
    (decoder(encoder(x)) * normals(5, 2, length, seed=1)).sum().backward()
    for module in (encoder, decoder):
        for parameter_name, parameter in module.named_parameters():
            assert parameter.grad.abs().sum() > 0, parameter_name
    assert (x.grad.abs() > 0).all()


@every_backbone
@every_size
def test_every_point_reaches_the_token_of_its_cell(
    name: str, length: int, compression: int
) -> None:
    encoder, _ = build(BACKBONES[name](), 2, length, 8, compression)
    for n in range(count_tokens(length, compression)):
        x = normals(1, 2, length).requires_grad_()
        (encoder(x)[0, n] * normals(8, seed=1)).sum().backward()
        cell = x.grad[..., n * compression : (n + 1) * compression]
        assert cell.numel() > 0
        assert (cell.abs() > 0).all()


@every_backbone
@every_size
def test_every_token_reaches_the_points_of_its_cell(
    name: str, length: int, compression: int
) -> None:
    _, decoder = build(BACKBONES[name](), 2, length, 8, compression)
    n_tokens = count_tokens(length, compression)
    z = normals(1, n_tokens, 8)
    before = decoder(z)
    for n in range(n_tokens):
        changed = z.clone()
        changed[0, n] += 1
        difference = (decoder(changed) - before)[..., n * compression : (n + 1) * compression]
        assert (difference.abs() > 0).all()


@every_backbone
def test_weights_depend_on_the_generator_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    first, second, other = (build(BACKBONES[name](), seed=seed) for seed in (3, 3, 4))
    x = normals(2, 1, 64)
    assert torch.equal(first[1](first[0](x)), second[1](second[0](x)))
    assert not torch.equal(first[1](first[0](x)), other[1](other[0](x)))
    assert torch.equal(torch.random.get_rng_state(), before)


@every_backbone
def test_weights_are_all_there_is_to_keep(name: str) -> None:
    part, x = BACKBONES[name](), normals(2, 1, 64)
    trained = build(part, seed=3)
    with torch.device("meta"):
        rebuilt = part.build(1, 64, 8, 4)
    for module, source in zip(rebuilt, trained, strict=True):
        module.load_state_dict(source.state_dict(), assign=True)
    assert torch.equal(rebuilt[1](rebuilt[0](x)), trained[1](trained[0](x)))


@every_backbone
def test_latents_and_series_keep_a_useful_scale_at_the_start(name: str) -> None:
    encoder, decoder = build(BACKBONES[name](), 3, 200, 16, 4)
    z = encoder(normals(20, 3, 200))
    assert 0.05 < z.std() < 5
    assert decoder(normals(20, 50, 16)).std() < 5


@every_backbone
def test_a_series_can_be_learned_by_heart(name: str) -> None:
    encoder, decoder = build(BACKBONES[name](), 1, 64, 8, 4)
    x = torch.sin(torch.linspace(0, 20, 64)).view(1, 1, 64)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = (decoder(encoder(x)) - x).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01 * x.var().item()


# ---------------------------------------------------------------- convolutions


@given(n_tokens=st.integers(4, 12), compression=st.integers(1, 8), c=channels)
def test_without_blocks_a_token_sees_only_points_around_its_cell(
    n_tokens: int, compression: int, c: int
) -> None:
    length = n_tokens * compression
    encoder, _ = build(ConvBackbone(n_blocks=0), c, length, 8, compression)
    x = normals(1, c, length).requires_grad_()
    n = n_tokens // 2
    encoder(x)[0, n].sum().backward()
    seen = x.grad.abs().amax((0, 1)).nonzero().flatten()
    assert seen.min() >= (n - 1) * compression
    assert seen.max() < (n + 2) * compression
    assert len(seen) == 2 * compression + 1


@given(n_tokens=st.integers(4, 12), compression=st.integers(1, 8), c=channels)
def test_without_blocks_a_token_writes_only_its_cell_and_the_two_beside(
    n_tokens: int, compression: int, c: int
) -> None:
    length = n_tokens * compression
    _, decoder = build(ConvBackbone(n_decoder_blocks=0), c, length, 8, compression)
    z, n = normals(1, n_tokens, 8), n_tokens // 2
    changed = z.clone()
    changed[0, n] += 1
    written = (decoder(changed) - decoder(z)).abs().amax((0, 1)).nonzero().flatten()
    assert written.tolist() == list(
        range((n - 1) * compression, min(n + 2, n_tokens) * compression)
    )


def test_a_block_adds_to_what_comes_in() -> None:
    encoder, _ = build(ConvBackbone(width=6, n_blocks=1))
    block, h = encoder.blocks[0], normals(2, 9, 6)
    assert not torch.equal(block(h), h)
    nn.init.zeros_(block.project.weight)
    assert torch.equal(block(h), h)


@given(n_tokens=st.integers(6, 12), compression=st.integers(1, 8))
def test_a_shift_by_one_cell_shifts_the_tokens_by_one(n_tokens: int, compression: int) -> None:
    length = n_tokens * compression
    encoder, _ = build(ConvBackbone(n_blocks=0), 1, length, 8, compression)
    x = normals(1, 1, length)
    z, shifted = encoder(x), encoder(x.roll(compression, dims=-1))
    torch.testing.assert_close(shifted[:, 2:-1], z[:, 1:-2])


@pytest.mark.parametrize(("first", "last"), [(0, 20), (44, 64)])
def test_blocks_let_distant_tokens_know_of_each_other(first: int, last: int) -> None:
    encoder, _ = build(ConvBackbone(width=8))
    x = normals(1, 1, 64)
    changed = x.clone()
    changed[..., first:last] += 1
    assert ((encoder(changed) - encoder(x)).abs().amax((0, 2)) > 0).all()


def test_dilations_double_up_to_the_number_of_tokens() -> None:
    encoder, decoder = build(ConvBackbone(n_blocks=6, n_decoder_blocks=3), length=40)
    assert dilations(encoder) == [1, 2, 4, 8, 10, 10]
    assert dilations(decoder) == [4, 2, 1]


@pytest.mark.parametrize(("n_blocks", "n_decoder_blocks"), [(0, 0), (1, 3), (3, 1), (0, 2)])
def test_encoder_and_decoder_have_the_blocks_that_were_asked_for(
    n_blocks: int, n_decoder_blocks: int
) -> None:
    part = ConvBackbone(width=4, n_blocks=n_blocks, n_decoder_blocks=n_decoder_blocks)
    encoder, decoder = build(part)
    assert len(dilations(encoder)) == n_blocks
    assert len(dilations(decoder)) == n_decoder_blocks
    assert decoder(encoder(normals(2, 1, 64))).shape == (2, 1, 64)


@every_size
def test_the_narrowest_network_takes_a_single_series(length: int, compression: int) -> None:
    encoder, decoder = build(ConvBackbone(width=2), 1, length, 1, compression)
    assert torch.isfinite(decoder(encoder(normals(1, 1, length)))).all()


def test_width_sets_the_channels_of_every_block() -> None:
    for module in build(ConvBackbone(width=6)):
        assert {block.mix.out_channels for block in module.blocks} == {6}


def test_cost_of_the_blocks_falls_with_the_compression() -> None:
    """Blocks work at token rate: their input has one position per token."""
    rates = []
    for compression in (2, 8):
        encoder, _ = build(ConvBackbone(width=4), compression=compression)
        for block in encoder.blocks:
            block.register_forward_pre_hook(lambda _, args: rates.append(args[0].shape[1]))
        encoder(normals(1, 1, 64))
    assert rates == [32] * 4 + [8] * 4


def test_clone_keeps_hyperparameters() -> None:
    params = {"width": 6, "n_blocks": 1, "n_decoder_blocks": 0}
    part = ConvBackbone(**params)
    copy = clone(part)
    assert copy is not part
    assert copy.get_params() == params
    build(copy)
    assert copy.get_params() == params


@pytest.mark.parametrize(
    ("parameter", "value", "error", "message"),
    [
        ("width", 1, ValueError, "width must be an integer of at least 2; got 1"),
        ("width", 2.0, TypeError, "width must be an integer of at least 2; got 2.0"),
        ("n_blocks", -1, ValueError, "n_blocks must be an integer of at least 0; got -1"),
        ("n_blocks", True, TypeError, "n_blocks must be an integer of at least 0; got True"),
        ("n_decoder_blocks", -1, ValueError, "n_decoder_blocks must be .* 0; got -1"),
        ("n_decoder_blocks", "2", TypeError, "n_decoder_blocks must be .* 0; got '2'"),
    ],
)
def test_hyperparameters_must_be_counts(
    parameter: str, value: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ConvBackbone().set_params(**{parameter: value}).check()
