"""Transformer over token positions: what sees what, the cache, rotations, dropout."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import vqssl.backbones
from vqssl._parts import resolve
from vqssl._seed import initialise, make_generator, materialise
from vqssl.backbones import PRIOR_BACKBONES, Cache, PriorBackbone, TransformerBackbone
from vqssl.backbones._transformer import Transformer, dropout, rotate, rotation

lengths = st.integers(1, 40)
seeds = st.integers(0, 100)


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=make_generator(seed))


def build(
    causal: bool, width: int = 8, n_blocks: int = 2, n_heads: int = 2, dropout: float = 0.0
) -> Transformer:
    """Network of a part, made as an estimator makes it."""
    part = TransformerBackbone(width, n_blocks, n_heads, dropout)
    part.check()
    with torch.device("meta"):
        network = part.build(causal)
    return initialise(materialise(network), make_generator(1))  # type: ignore[return-value]


def turned(x: Tensor, first: int = 0) -> Tensor:
    """Queries or keys (B, heads, N, d) of positions from `first` on."""
    return rotate(x, rotation(x.shape[2], x.shape[3], first, x))


def influence(network: Transformer, n_tokens: int) -> Tensor:
    """Largest gradient of output i by input j, (N, N)."""
    h = normals(1, n_tokens, network.width).requires_grad_()
    rows = []
    for i in range(n_tokens):
        (network(h)[0, i] * normals(network.width, seed=2)).sum().backward()
        rows.append(h.grad[0].abs().amax(1).clone())
        h.grad = None
    return torch.stack(rows)


def test_registry_holds_every_public_prior_backbone_by_name() -> None:
    public = [getattr(vqssl.backbones, name) for name in vqssl.backbones.__all__]
    parts = {thing for thing in public if isinstance(thing, type)}
    priors = {part for part in parts if issubclass(part, PriorBackbone)} - {PriorBackbone}
    assert set(PRIOR_BACKBONES.values()) == priors
    for name, cls in PRIOR_BACKBONES.items():
        assert type(resolve(name, "backbone", PriorBackbone, PRIOR_BACKBONES)) is cls


# ------------------------------------------------------------------------------ what sees what


@pytest.mark.parametrize("n_tokens", [1, 2, 7, 16])
@pytest.mark.parametrize("n_blocks", [1, 3])
def test_a_causal_position_sees_itself_and_all_before_and_nothing_after(
    n_tokens: int, n_blocks: int
) -> None:
    seen = influence(build(causal=True, n_blocks=n_blocks), n_tokens)
    before = torch.ones(n_tokens, n_tokens, dtype=torch.bool).tril()
    assert (seen[before] > 0).all()
    assert (seen[~before] == 0).all()


@pytest.mark.parametrize("n_tokens", [1, 2, 7, 16])
def test_a_position_that_is_not_causal_sees_all(n_tokens: int) -> None:
    assert (influence(build(causal=False), n_tokens) > 0).all()


def test_positions_matter() -> None:
    network = build(causal=False)
    h = normals(1, 6, 8)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    difference = (network(h[:, order]) - network(h)[:, order]).abs().amax(2)
    assert (difference > 1e-4).all()


@given(n_tokens=lengths, seed=seeds, causal=st.booleans())
def test_any_length_works_and_a_row_does_not_depend_on_the_others(
    n_tokens: int, seed: int, causal: bool
) -> None:
    network = build(causal)
    h = normals(3, n_tokens, 8, seed=seed)
    out = network(h)
    assert out.shape == h.shape
    assert out.isfinite().all()
    torch.testing.assert_close(network(h[1:2]), out[1:2])


@pytest.mark.parametrize(("width", "n_heads"), [(2, 1), (8, 4), (12, 2), (24, 3)])
@pytest.mark.parametrize("n_blocks", [0, 1, 2])
def test_sizes_are_those_of_the_part(width: int, n_heads: int, n_blocks: int) -> None:
    network = build(False, width=width, n_heads=n_heads, n_blocks=n_blocks)
    assert network.width == width
    assert len(network.blocks) == n_blocks
    out = network(normals(2, 5, width))
    assert out.shape == (2, 5, width)
    # Normalised last.
    torch.testing.assert_close(out.mean(2), torch.zeros(2, 5), atol=1e-5, rtol=0)


def test_gradient_reaches_every_parameter() -> None:
    for causal in (False, True):
        network = build(causal)
        (network(normals(3, 6, 8)) * normals(3, 6, 8, seed=1)).sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad.abs().sum() > 0, name


# ------------------------------------------------------------------------------------ cache


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6), spare=st.integers(0, 3), seed=seeds
)
def test_chunks_with_a_cache_give_the_whole_pass(sizes: list[int], spare: int, seed: int) -> None:
    network = build(causal=True)
    h = normals(2, sum(sizes), 8, seed=seed)
    cache = Cache(sum(sizes) + spare)
    chunks = [network(chunk, cache=cache) for chunk in h.split(sizes, 1)]
    torch.testing.assert_close(torch.cat(chunks, 1), network(h), rtol=1e-4, atol=1e-5)
    assert cache.n_seen == sum(sizes)


def test_a_cache_is_needed_to_know_what_is_before() -> None:
    network = build(causal=True)
    h = normals(2, 6, 8)
    assert (network(h[:, 3:]) - network(h)[:, 3:]).abs().max() > 1e-3


@pytest.mark.parametrize("n_blocks", [0, 1, 3])
@given(n_tokens=st.integers(1, 7), n_asked=st.integers(1, 9), seed=st.integers(0, 2**20))
def test_some_positions_are_what_they_are_among_all(
    n_blocks: int, n_tokens: int, n_asked: int, seed: int
) -> None:
    network, h = build(False, n_blocks=n_blocks), normals(3, n_tokens, 8, seed=seed)
    at = torch.randint(n_tokens, (3, n_asked), generator=make_generator(seed))
    expected = torch.stack([row[places] for row, places in zip(network(h), at, strict=True)])
    torch.testing.assert_close(network(h, at=at), expected)


# --------------------------------------------------------------------------------- rotation


@given(n_tokens=lengths, first=st.integers(0, 500), half=st.integers(1, 8), seed=seeds)
def test_rotation_keeps_norms(n_tokens: int, first: int, half: int, seed: int) -> None:
    x = normals(2, 3, n_tokens, 2 * half, seed=seed)
    rotated = turned(x, first)
    assert rotated.shape == x.shape
    torch.testing.assert_close(rotated.norm(dim=3), x.norm(dim=3))


@given(distance=st.integers(0, 50), shift=st.integers(0, 200), half=st.integers(1, 8), seed=seeds)
def test_products_of_rotated_vectors_depend_on_the_distance_only(
    distance: int, shift: int, half: int, seed: int
) -> None:
    query, key = normals(2, 1, 1, 1, 2 * half, seed=seed).double()

    def product(i: int, j: int) -> Tensor:
        return (turned(query, i) * turned(key, j)).sum()

    torch.testing.assert_close(
        product(distance + shift, shift), product(distance, 0), rtol=1e-4, atol=1e-4
    )


def test_products_of_rotated_vectors_differ_between_distances_and_directions() -> None:
    query, key = normals(2, 1, 1, 1, 8).double()
    products = torch.stack(
        [(turned(query, max(d, 0)) * turned(key, max(-d, 0))).sum() for d in range(-20, 21)]
    )
    gaps = torch.cdist(products.unsqueeze(1), products.unsqueeze(1)) + torch.eye(41)
    assert (gaps > 1e-4).all()


def test_rotation_is_that_of_complex_numbers() -> None:
    x = normals(1, 1, 5, 6).double()
    pairs = torch.complex(x[..., ::2], x[..., 1::2])
    speeds = torch.tensor([1.0, 10_000 ** (-1 / 3), 10_000 ** (-2 / 3)]).double()
    products = pairs * torch.exp(1j * torch.arange(7, 12).unsqueeze(1) * speeds)
    expected = torch.stack([products.real, products.imag], -1).flatten(-2)
    torch.testing.assert_close(turned(x, 7), expected, rtol=1e-5, atol=1e-6)


def test_the_first_position_is_not_turned_and_later_ones_are() -> None:
    x = normals(1, 1, 4, 6)
    rotated = turned(x)
    assert torch.equal(rotated[:, :, 0], x[:, :, 0])
    assert ((rotated - x)[0, 0, 1:].abs().amax(1) > 1e-3).all()
    torch.testing.assert_close(turned(x[:, :, 2:], 2), rotated[:, :, 2:])


# ---------------------------------------------------------------------------------- dropout


def test_dropout_keeps_the_mean_and_drops_its_share() -> None:
    h = torch.ones(200, 100)
    dropped = dropout(h, 0.3, make_generator(0))
    torch.testing.assert_close(dropped.unique(), torch.tensor([0.0, 1 / 0.7]))
    assert dropped.mean() == pytest.approx(1, abs=0.02)
    assert (dropped == 0).double().mean() == pytest.approx(0.3, abs=4 * (0.21 / 20_000) ** 0.5)


@pytest.mark.parametrize("rate", [0.001, 0.999])
def test_dropout_drops_small_and_large_shares(rate: float) -> None:
    dropped = dropout(torch.ones(1001, 999), rate, make_generator(0)) == 0
    deviation = (rate * (1 - rate) / dropped.numel()) ** 0.5
    assert dropped.double().mean() == pytest.approx(rate, abs=4 * deviation)
    neighbours = (dropped[:, 1:] & dropped[:, :-1]).double().mean()  # none shares its number
    assert neighbours == pytest.approx(rate**2, abs=4 * rate / dropped.numel() ** 0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
def test_dropout_takes_any_size_and_keeps_the_dtype(size: int, dtype: torch.dtype) -> None:
    h = torch.ones(size, dtype=dtype)
    dropped = dropout(h, 0.5, make_generator(0))
    assert dropped.shape == h.shape
    assert dropped.dtype == dtype
    assert set(dropped.tolist()) <= {0.0, 2.0}


@pytest.mark.parametrize(("rate", "seed"), [(0.0, 0), (0.5, None)])
def test_nothing_is_dropped_at_rate_zero_or_without_a_generator(
    rate: float, seed: int | None
) -> None:
    h = normals(4, 5)
    generator = None if seed is None else make_generator(seed)
    assert torch.equal(dropout(h, rate, generator), h)


def test_dropout_draws_from_the_given_generator_alone() -> None:
    network = build(False, dropout=0.4).train()
    h = normals(2, 6, 8)
    before = torch.random.get_rng_state()
    first, same, other = (network(h, make_generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_network_in_eval_mode_drops_nothing_and_draws_nothing() -> None:
    network = build(False, dropout=0.4).eval()
    h = normals(2, 6, 8)
    generator = make_generator(0)
    state = generator.get_state()
    assert torch.equal(network(h, generator), network(h))
    assert torch.equal(generator.get_state(), state)
    assert torch.equal(network.train()(h), network.eval()(h))  # no generator, no dropout


def test_dropout_reaches_the_input_and_both_halves_of_a_block() -> None:
    h = normals(1, 3, 8)
    for silent, n_blocks in ((None, 0), ("contract", 1), ("merge", 1)):
        network = build(False, n_blocks=n_blocks, dropout=0.5).train()
        if silent is not None:
            # Only one half adds something, and the input is kept whole.
            part = getattr(network.blocks[0], silent)
            with torch.no_grad():
                part.weight.zero_()
                part.bias.zero_()
            network.rate = 0.0
        outputs = [network(h, make_generator(seed)) for seed in range(5)]
        assert any(not torch.allclose(out, outputs[0]) for out in outputs[1:])


# ------------------------------------------------------------------------- hyperparameters

WRONG = [
    ({"width": 0}, ValueError, "width must be an integer of at least 1; got 0"),
    ({"width": 8.0}, TypeError, r"width must be an integer of at least 1; got 8\.0"),
    ({"n_blocks": -1}, ValueError, "n_blocks must be an integer of at least 0; got -1"),
    ({"n_heads": 0}, ValueError, "n_heads must be an integer of at least 1; got 0"),
    ({"dropout": 1.0}, ValueError, r"dropout must be a number in \[0, 1\); got 1\.0"),
    ({"dropout": -0.1}, ValueError, r"dropout must be a number in \[0, 1\); got -0\.1"),
    ({"dropout": "none"}, TypeError, r"dropout must be a number in \[0, 1\); got 'none'"),
    (
        {"width": 12, "n_heads": 4},
        ValueError,
        r"width must be a multiple of 2 \* n_heads; got width=12, n_heads=4",
    ),
    ({"width": 6, "n_heads": 2}, ValueError, r"width must be a multiple of 2 \* n_heads; got"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG)
def test_wrong_hyperparameters_are_refused(
    options: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        TransformerBackbone(**options).check()


def test_weights_depend_on_the_generator_alone() -> None:
    h = normals(2, 5, 8)
    torch.manual_seed(3)
    first = build(causal=True)(h)
    torch.manual_seed(4)
    assert torch.equal(build(causal=True)(h), first)
    part = TransformerBackbone(8, 2, 2)
    other = initialise(part.build(True), make_generator(2))
    assert not torch.equal(other(h), first)


def test_weights_are_all_there_is_to_keep() -> None:
    trained, h = build(causal=True), normals(2, 5, 8)
    with torch.device("meta"):
        rebuilt = TransformerBackbone(8, 2, 2, 0.0).build(True)
    rebuilt.load_state_dict(trained.state_dict(), assign=True)
    assert torch.equal(rebuilt(h), trained(h))
