"""Quantizers: equations, learning of the codebook and a contract over the registry."""

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.cluster import KMeans
from torch import Tensor, nn

import vqssl.quantizers
from tests import reference
from vqssl import SSLVQTokenizer, VQTokenizer
from vqssl._parts import resolve
from vqssl._seed import initialise, make_generator, materialise
from vqssl.quantizers import (
    FSQ,
    QUANTIZERS,
    EMAQuantizer,
    GradientQuantizer,
    ModuleQuantizer,
    Quantizer,
    QuantizerModule,
    _base,
)
from vqssl.quantizers._base import nearest_codes
from vqssl.quantizers._ema import EMACodebook
from vqssl.quantizers._fsq import FiniteScalarCodebook, factor_levels
from vqssl.quantizers._gradient import GradientCodebook, orthogonality_loss


class Nearest(nn.Module):
    """A foreign quantizer: nearest neighbour in a codebook that it brings along."""

    def __init__(self, n_codes: int, code_dim: int) -> None:
        super().__init__()
        self.codebook = nn.Embedding(n_codes, code_dim)

    def forward(self, z: Tensor) -> Any:
        indices = torch.cdist(z, self.codebook.weight.expand(len(z), -1, -1)).argmin(-1)
        vectors = self.codebook(indices)
        loss = (z - vectors).square().mean()
        return z + (vectors - z).detach(), indices, loss


class Projected(nn.Module):
    """A foreign quantizer with a codebook in fewer dimensions than its latents."""

    def __init__(self) -> None:
        super().__init__()
        self.codebook = torch.tensor([[-1.0], [0.0], [2.0]])
        self.direction = nn.Parameter(torch.tensor([[0.6, 0.8]]))

    def get_output_from_indices(self, indices: Tensor) -> Tensor:
        return self.codebook[indices] @ self.direction

    def get_codes_from_indices(self, indices: Tensor) -> Tensor:
        return self.codebook[indices]

    def forward(self, z: Tensor) -> Any:
        indices = (z @ self.direction.T - self.codebook[:, 0]).abs().argmin(-1)
        return self.get_output_from_indices(indices), indices, z.new_zeros(1)


def foreign(n_codes: int, code_dim: int) -> ModuleQuantizer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ModuleQuantizer(Nearest(n_codes, code_dim))


MAKERS: dict[str, Callable[[int, int], Quantizer]] = {
    **{name: lambda n_codes, code_dim, cls=cls: cls() for name, cls in QUANTIZERS.items()},
    "module": foreign,
}
every_quantizer = pytest.mark.parametrize("name", sorted(MAKERS))
every_codebook = pytest.mark.parametrize("part", [EMAQuantizer(), GradientQuantizer()])
n_codes_of_all = st.sampled_from([2, 3, 5, 8, 16, 28, 60])


@st.composite
def latents(draw: st.DrawFn) -> Tensor:
    """Latents (B, N, D): normal of any size, all equal, or few that repeat."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5)))
    z = normals(*shape, seed=draw(st.integers(0, 2**20)))
    kind = draw(st.sampled_from(["free", "equal", "few"]))
    if kind == "equal":
        z = z[:1, :1].expand(shape).clone()
    elif kind == "few":
        z = z[torch.arange(shape[0]) // 2]
    return z * draw(st.sampled_from([1e-3, 1.0, 30.0]))


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=make_generator(seed))


def build(part: Quantizer, n_codes: int, code_dim: int, seed: int = 0) -> Any:
    """The module of a part, made as an estimator makes it."""
    part.check(n_codes, code_dim)
    with torch.device("meta"):
        module = part.build(n_codes, code_dim)
    return initialise(materialise(module), make_generator(seed))


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_same_state(module: nn.Module, before: dict[str, Tensor]) -> None:
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def as_array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().numpy()


def rows_are_different(vectors: Tensor) -> bool:
    return len(torch.unique(vectors, dim=0)) == len(vectors)


def each_row_is_in(vectors: Tensor, z: Tensor) -> Tensor:
    return (vectors[:, None] == z[None]).all(2).any(1)  # (K,)


# ---------------------------------------------------------------- nearest neighbours


@given(n=st.integers(1, 30), k=st.integers(1, 12), d=st.integers(1, 6), seed=st.integers(0, 2**20))
def test_nearest_code_has_the_least_distance(n: int, k: int, d: int, seed: int) -> None:
    z, codebook = normals(n, d, seed=seed), normals(k, d, seed=seed + 1)
    expected = reference.nearest_codes(as_array(z), as_array(codebook))
    assert nearest_codes(z, codebook).tolist() == expected


@pytest.mark.parametrize("limit", [1, 7, 50, 10_000])
def test_nearest_codes_are_the_same_in_tables_of_any_size(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    z, codebook = normals(4, 13, 3), normals(10, 3, seed=1)
    expected = reference.nearest_codes(as_array(z.flatten(0, 1)), as_array(codebook))
    monkeypatch.setattr(_base, "_CPU_TABLE", limit)
    codes = nearest_codes(z, codebook)
    assert codes.shape == (4, 13)
    assert codes.flatten().tolist() == expected


@pytest.mark.parametrize("largest", [_base._largest, _base._largest_on_cpu])
@given(k=st.integers(1, 40), n=st.integers(1, 70), seed=st.integers(0, 2**20))
def test_the_largest_of_a_column_is_found_and_the_first_of_equals(
    largest: Callable[[Tensor], Tensor], k: int, n: int, seed: int
) -> None:
    table = normals(k, n, seed=seed).round()
    assert largest(table).tolist() == as_array(table).argmax(0).tolist()


def test_distance_tables_stay_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    addmm = torch.addmm

    def spy(*args: Tensor) -> Tensor:
        table = addmm(*args)
        sizes.append(table.numel())
        return table

    monkeypatch.setattr(torch, "addmm", spy)
    monkeypatch.setattr(_base, "_CPU_TABLE", 64)
    nearest_codes(normals(100, 3), normals(10, 3, seed=1))
    assert max(sizes) == 60
    assert sum(sizes) == 1000


@every_codebook
def test_a_codebook_vector_has_its_own_code(part: Quantizer) -> None:
    module = build(part, 20, 4)
    assert module.encode(module.codebook).tolist() == list(range(20))


# ---------------------------------------------------------------- gradients


@every_codebook
def test_straight_through_gradient_is_the_identity(part: Quantizer) -> None:
    module = build(part, 6, 3)
    z = normals(2, 5, 3).requires_grad_()
    weights = normals(2, 5, 3, seed=1)
    (weights * module(z).vectors).sum().backward()
    assert torch.equal(z.grad, weights)


@every_codebook
def test_commitment_pulls_latents_to_their_vectors(part: Quantizer) -> None:
    part = clone(part).set_params(commitment=0.7)
    module = build(part, 6, 3)
    z = normals(2, 5, 3).requires_grad_()
    targets = module.lookup(module.encode(z)).detach()
    term = module(z).terms["commitment"]
    term.backward()
    torch.testing.assert_close(term, 0.7 * (z - targets).square().mean())
    torch.testing.assert_close(z.grad, 2 * 0.7 * (z - targets).detach() / z.numel())


def test_codebook_term_pulls_vectors_to_their_latents_and_nothing_else() -> None:
    module = build(GradientQuantizer(commitment=0.7), 4, 3)
    z = normals(2, 5, 3).requires_grad_()
    _, codes, terms = module(z)
    terms["codebook"].backward(retain_graph=True)
    assert z.grad is None
    expected = torch.zeros_like(module.vectors)
    for row, code in zip(z.detach().flatten(0, 1), codes.flatten(), strict=True):
        expected[code] -= 2 * (row - module.vectors[code].detach()) / z.numel()
    torch.testing.assert_close(module.vectors.grad, expected)
    terms["commitment"].backward()
    torch.testing.assert_close(module.vectors.grad, expected)


def test_ema_codebook_has_nothing_for_an_optimizer() -> None:
    assert list(build(EMAQuantizer(), 4, 3).parameters()) == []


def test_fsq_gradient_is_the_one_of_the_map_without_rounding() -> None:
    module, levels = build(FSQ(levels=(5, 4, 2)), 1, 6), torch.tensor([5, 4, 2])
    z = normals(2, 5, 6).requires_grad_()
    weights = normals(2, 5, 6, seed=1)
    (weights * module(z).vectors).sum().backward()
    rounded, z.grad = z.grad, None
    half, offset = (levels - 1) / 2 + 0.0005, torch.tensor([0.0, 0.5, 0.5])
    shift = torch.tensor([0.0, math.atanh(0.5 / 1.5005), 0.0])
    point = half * torch.tanh(module.project_in(z) + shift) - offset
    (weights * module.project_out(point / (levels // 2))).sum().backward()
    torch.testing.assert_close(rounded, z.grad)


@every_quantizer
def test_gradient_reaches_the_latents_and_every_parameter(name: str) -> None:
    module = build(MAKERS[name](16, 3), 16, 3)
    z = normals(4, 12, 3).requires_grad_()
    vectors, _, terms = module(z)
    (vectors.square().mean() + sum(terms.values())).backward()
    assert z.grad.abs().sum() > 0
    for parameter in module.parameters():
        assert parameter.grad.abs().sum() > 0


# ---------------------------------------------------------------- moving averages


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.99])
def test_ema_codebook_follows_its_equations(decay: float) -> None:
    module = build(EMAQuantizer(decay=decay, reset_threshold=0), 7, 3)
    vectors = as_array(module.vectors)
    count, total = np.ones(7), vectors.copy()
    for step in range(6):
        z = normals(3, 8, 3, seed=step)
        module(z)
        vectors, count, total = reference.ema_step(
            vectors, count, total, as_array(z.flatten(0, 1)), decay
        )
        for found, expected in ((module.vectors, vectors), (module.total, total)):
            torch.testing.assert_close(found, torch.from_numpy(expected).float())
        torch.testing.assert_close(module.count, torch.from_numpy(count).float())


def test_ema_averages_begin_with_one_member_at_the_vector() -> None:
    module = build(EMAQuantizer(), 7, 3)
    assert module.count.tolist() == [1.0] * 7
    assert torch.equal(module.total, module.vectors)
    module(normals(2, 9, 3))
    module.start(normals(20, 3, seed=1), make_generator(0))
    assert module.count.tolist() == [1.0] * 7
    assert torch.equal(module.total, module.vectors)


def test_ema_quantises_before_it_learns() -> None:
    module = build(EMAQuantizer(), 5, 3)
    z = normals(2, 9, 3)
    before = module.lookup(module.encode(z))
    found = module(z)
    torch.testing.assert_close(found.vectors, before)
    torch.testing.assert_close(found.terms["commitment"], (z - before).square().mean())


def test_ema_code_without_members_keeps_its_vector_for_ever() -> None:
    module = build(EMAQuantizer(decay=0.5, reset_threshold=0), 3, 2)
    module.start(torch.tensor([[1.0, 1.0], [-50.0, 3.0], [7.0, 80.0]]), make_generator(0))
    used = module.encode(torch.ones(2))
    idle = torch.arange(3) != used
    before = module.vectors[idle].clone()
    for step in range(300):
        module(1 + 0.1 * normals(2, 4, 2, seed=step))
    assert module.count[idle].max() == 0
    assert torch.equal(module.vectors[idle], before)
    assert torch.isfinite(module.vectors).all()


def test_ema_codes_converge_to_the_means_of_their_members() -> None:
    module = build(EMAQuantizer(decay=0.5, reset_threshold=0), 6, 3)
    z = normals(1, 60, 3)
    module.start(z[0], make_generator(0))
    for _ in range(80):
        module(z)
    codes = module.encode(z[0])
    for code in codes.unique():
        mean = z[0, codes == code].mean(0)
        # Laplace smoothing moves a vector by at most 1e-5 of its length.
        torch.testing.assert_close(module.vectors[code], mean, rtol=1.1e-5, atol=1e-6)


def test_kmeans_is_a_stationary_point_of_the_codebook_term() -> None:
    z = normals(80, 3)
    found = KMeans(6, n_init=1, tol=0, random_state=0).fit(as_array(z))
    module = build(GradientQuantizer(), 6, 3)
    module.vectors.data = torch.from_numpy(found.cluster_centers_).float()
    term = module(z[None]).terms["codebook"]
    term.backward()
    assert term.item() == pytest.approx(found.inertia_ / z.numel())
    torch.testing.assert_close(module.vectors.grad, torch.zeros(6, 3), rtol=0, atol=1e-7)


# ---------------------------------------------------------------- dead codes

# Four codes and 40 tokens a batch: 10 tokens per code are the average, 0.5 the threshold.


def dead_code_module() -> EMACodebook:
    """A codebook whose code 0 takes all latents around the origin; the others are far away."""
    module = build(EMAQuantizer(decay=0.9, reset_threshold=0.05), 4, 2)
    module.vectors.copy_(torch.tensor([[0.0, 0.0], [90.0, 0.0], [0.0, 90.0], [90.0, 90.0]]))
    # Nine tenths of these are left after a step: 0.504, 0.495, 9.
    module.count.copy_(torch.tensor([10.0, 0.56, 0.55, 10.0]))
    module.total.copy_(module.vectors * module.count[:, None])
    return module


def test_code_below_the_threshold_is_drawn_again_with_count_and_sum() -> None:
    module, z = dead_code_module(), normals(4, 10, 2)
    module(z, make_generator(0))
    assert each_row_is_in(module.vectors, z.flatten(0, 1)).tolist() == [False, False, True, False]
    assert module.count[2] == 10
    assert torch.equal(module.total[2], 10 * module.vectors[2])


def test_codes_above_the_threshold_are_left_alone() -> None:
    module = dead_code_module()
    without = dead_code_module()
    without.reset_threshold = 0.0
    module(normals(4, 10, 2), make_generator(0))
    without(normals(4, 10, 2), make_generator(0))
    kept = torch.tensor([0, 1, 3])
    for found, expected in zip(module.buffers(), without.buffers(), strict=True):
        assert torch.equal(found[kept], expected[kept])


def test_threshold_is_relative_to_the_tokens_of_a_batch() -> None:
    module, z = dead_code_module(), normals(4, 20, 2)
    module(z, make_generator(0))  # 80 tokens: the threshold is 1
    assert each_row_is_in(module.vectors, z.flatten(0, 1)).tolist() == [False, True, True, False]
    assert module.count[1:3].tolist() == [20, 20]


def test_code_drawn_again_is_not_drawn_again_at_the_next_step() -> None:
    module = dead_code_module()
    module(normals(4, 10, 2), make_generator(0))
    drawn = module.vectors[2].clone()
    far = module.vectors[3] + normals(4, 10, 2, seed=1)
    module(far, make_generator(1))
    assert torch.equal(module.vectors[2], drawn)
    assert module.count[2] == 9


def test_no_code_is_drawn_again_without_threshold_or_generator() -> None:
    z = normals(4, 10, 2)
    without_generator, without_threshold = dead_code_module(), dead_code_module()
    without_threshold.reset_threshold = 0.0
    without_generator(z)
    without_threshold(z, make_generator(0))
    assert not each_row_is_in(without_generator.vectors, z.flatten(0, 1)).any()
    assert_same_state(without_generator, state(without_threshold))


@pytest.mark.statistical
def test_drawing_again_fills_a_codebook_that_started_in_one_of_many_clusters() -> None:
    centres = 20 * normals(32, 2)
    used = {}
    for threshold in (0.0, 0.05):
        module = build(EMAQuantizer(reset_threshold=threshold), 32, 2)
        module.start(centres[:1] + 0.1 * normals(64, 2), make_generator(0))
        generator = make_generator(1)
        for step in range(150):
            _, codes, _ = module(centres + 0.1 * normals(4, 32, 2, seed=step), generator)
        used[threshold] = len(codes.unique())
    assert used[0.0] <= 12
    assert used[0.05] >= 28


# ---------------------------------------------------------------- start


@every_codebook
def test_start_places_codes_on_different_latents(part: Quantizer) -> None:
    module, z = build(part, 9, 3), normals(9, 3)
    module.start(z, make_generator(0))
    assert each_row_is_in(module.codebook, z).all()
    assert rows_are_different(module.codebook)


@every_codebook
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_more_codes_than_latents_start_apart_but_near_them(part: Quantizer, spread: float) -> None:
    module = build(part, 40, 3)
    z = 5 + spread * normals(4, 3)
    module.start(z, make_generator(0))
    assert rows_are_different(module.codebook)
    # Noise of a hundredth of the deviation, which five deviations of noise do not leave.
    distance = (module.codebook[:, None] - z).abs().amax(2).amin(1)  # (K,)
    deviation = (z - z.mean(0)).square().mean().sqrt()
    assert distance.max() < 5 * 0.01 * (deviation + 1e-3)


@every_codebook
def test_start_depends_on_the_generator_alone(part: Quantizer) -> None:
    first, second, other = (build(part, 9, 3) for _ in range(3))
    z = normals(50, 3)
    for module, seed in ((first, 3), (second, 3), (other, 4)):
        module.start(z, make_generator(seed))
    assert torch.equal(first.codebook, second.codebook)
    assert not torch.equal(first.codebook, other.codebook)


def test_start_leaves_a_grid_where_it_is() -> None:
    module = build(FSQ(), 8, 3)
    before = state(module)
    module.start(normals(50, 3), make_generator(0))
    assert_same_state(module, before)


# ---------------------------------------------------------------- orthogonality


@given(k=st.integers(1, 8), d=st.integers(1, 6), seed=st.integers(0, 2**20))
def test_orthogonality_follows_its_equation(k: int, d: int, seed: int) -> None:
    codebook = normals(k, d, seed=seed).double()
    expected = reference.orthogonality(codebook.numpy())
    assert float(orthogonality_loss(codebook)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_orthogonality_is_zero_for_orthogonal_codes_of_any_length(k: int) -> None:
    codebook = torch.diag(torch.arange(1.0, 7.0))[:k]
    assert orthogonality_loss(codebook) == 0


@pytest.mark.parametrize("k", [1, 2, 5])
def test_orthogonality_of_equal_codes_is_k_minus_1_over_k(k: int) -> None:
    codebook = torch.tensor([[3.0, 4.0]]).expand(k, 2)
    assert float(orthogonality_loss(codebook)) == pytest.approx((k - 1) / k)


def mean_cosine_after_training(orthogonality: float) -> float:
    """Mean absolute cosine between the codes of a trained gradient codebook."""
    module = build(GradientQuantizer(orthogonality=orthogonality), 8, 8)
    z = normals(8, 32, 8)
    module.start(z.flatten(0, 1), make_generator(0))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        torch.stack(list(module(z).terms.values())).sum().backward()
        optimizer.step()
    directions = nn.functional.normalize(module.codebook.detach(), dim=1)
    cosines = (directions @ directions.T).abs()
    return float((cosines.sum() - 8) / (8 * 7))


@pytest.mark.statistical
def test_orthogonality_turns_the_codes_of_a_gradient_codebook_apart() -> None:
    assert mean_cosine_after_training(10.0) < 0.2 * mean_cosine_after_training(0.0)


def test_orthogonality_is_refused_where_it_would_do_nothing() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'orthogonality'"):
        EMAQuantizer(orthogonality=10.0)


def test_orthogonality_is_a_term_only_where_it_has_a_weight() -> None:
    z = normals(1, 8, 3)
    without = build(GradientQuantizer(), 4, 3)(z).terms
    module = build(GradientQuantizer(orthogonality=3.0), 4, 3)
    weighted = module(z).terms
    assert set(weighted) - set(without) == {"orthogonality"}
    torch.testing.assert_close(weighted["orthogonality"], 3 * orthogonality_loss(module.vectors))


# ---------------------------------------------------------------- finite scalars

level_lists = st.lists(st.integers(2, 9), min_size=1, max_size=3).map(tuple)


def plain_grid(levels: tuple[int, ...]) -> FiniteScalarCodebook:
    """A grid whose latents are its own coordinates."""
    module = build(FSQ(levels=levels), 1, len(levels))
    for project in (module.project_in, module.project_out):
        project.weight.data = torch.eye(len(levels))
        project.bias.data.zero_()
    return module


def grid_latents(levels: tuple[int, ...]) -> Tensor:
    """A latent in the middle of each cell, ordered by code, (K, d)."""
    axes = []
    for level in levels:
        half = (level - 1) / 2 + 0.0005
        offset = 0.5 if level % 2 == 0 else 0.0
        shift = 0.0 if level == 2 else math.atanh(offset / half)
        axes.append([math.atanh((d - level // 2 + offset) / half) - shift for d in range(level)])
    points = itertools.product(*reversed(axes))
    return torch.tensor([point[::-1] for point in points])


@given(levels=level_lists, seed=st.integers(0, 2**20), scale=st.sampled_from([0.1, 1.0, 50.0]))
def test_fsq_follows_its_equation(levels: tuple[int, ...], seed: int, scale: float) -> None:
    module = plain_grid(levels)
    z = scale * normals(3, 5, len(levels), seed=seed)
    found = module(z)
    for i, row in enumerate(as_array(z.flatten(0, 1))):
        point = reference.fsq_point(row, levels)
        assert found.codes.flatten()[i] == reference.fsq_code(point, levels)
        expected = [round(p) / (level // 2) for p, level in zip(point, levels, strict=True)]
        np.testing.assert_allclose(found.vectors.flatten(0, 1)[i].detach(), expected, atol=1e-6)


@given(levels=level_lists)
def test_fsq_reaches_every_code_and_returns_from_it(levels: tuple[int, ...]) -> None:
    module = plain_grid(levels)
    codes = torch.arange(math.prod(levels))
    z = grid_latents(levels)
    assert torch.equal(module.encode(z), codes)
    torch.testing.assert_close(module(z[None]).vectors[0], module.lookup(codes))
    assert rows_are_different(module.lookup(codes))


@given(levels=level_lists, seed=st.integers(0, 2**20))
def test_fsq_rounds_each_dimension_to_its_levels(levels: tuple[int, ...], seed: int) -> None:
    vectors = plain_grid(levels)(30 * normals(20, 25, len(levels), seed=seed)).vectors.detach()
    for values, level in zip(vectors.flatten(0, 1).T, levels, strict=True):
        found = values.mul(level // 2).round().unique()
        assert len(found) <= level
        assert found.min() >= -(level // 2)
        assert found.max() <= (level - 1) // 2


@pytest.mark.parametrize("levels", [(1500,), (2, 4001), (2000, 9, 2000)])
def test_fsq_codes_stay_in_range_with_thousands_of_levels(levels: tuple[int, ...]) -> None:
    module = plain_grid(levels)
    ends = torch.tensor([-100.0, 100.0])[:, None].expand(2, len(levels))
    assert module.encode(ends).tolist() == [0, math.prod(levels) - 1]


@pytest.mark.parametrize("level", range(2, 9))
def test_fsq_latents_around_zero_reach_more_than_one_level(level: int) -> None:
    codes = plain_grid((level,)).encode(torch.linspace(-0.7, 0.7, 50)[:, None])
    assert len(codes.unique()) > 1


@given(st.integers(2, 2000))
def test_factors_between_2_and_8_have_the_wanted_product(n_codes: int) -> None:
    levels = factor_levels(n_codes)
    largest_prime = max(p for p in range(2, n_codes + 1) if n_codes % p == 0 and is_prime(p))
    if levels is None:
        assert largest_prime > 8
    else:
        assert math.prod(levels) == n_codes
        assert all(2 <= level <= 8 for level in levels)
        assert list(levels) == sorted(levels, reverse=True)


def is_prime(number: int) -> bool:
    return all(number % divisor for divisor in range(2, math.isqrt(number) + 1))


def test_fsq_levels_decide_the_number_of_codes() -> None:
    assert build(FSQ(levels=[5, 3]), 128, 4).n_codes == 15
    assert build(FSQ(), 128, 4).n_codes == 128


@pytest.mark.parametrize("n_codes", [1, 11, 22, 97])
def test_fsq_asks_for_levels_where_n_codes_has_no_factors(n_codes: int) -> None:
    with pytest.raises(ValueError, match=rf"n_codes must be a product .* got {n_codes}. Choose"):
        FSQ().check(n_codes, 4)


@pytest.mark.parametrize(
    ("levels", "error", "message"),
    [
        ((8, 1), ValueError, "levels must be an integer of at least 2; got 1"),
        ((8, 2.5), TypeError, "levels must be an integer of at least 2; got 2.5"),
        ((8, True), TypeError, "levels must be an integer of at least 2; got True"),
        ((), ValueError, "levels must have at least one number; got none"),
        ("88", TypeError, "levels must be a sequence of integers; got '88'"),
        (8, TypeError, "levels must be a sequence of integers; got 8"),
    ],
)
def test_fsq_levels_must_be_integers_of_at_least_2(
    levels: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        FSQ(levels=levels).check(16, 4)


# ---------------------------------------------------------------- foreign modules


class Returning(nn.Module):
    """Returns what it is told, whatever comes in."""

    def __init__(self, *result: Any, codebook: Any = None) -> None:
        super().__init__()
        self.codebook = torch.zeros(4, 5) if codebook is None else codebook
        self.result = result[0] if len(result) == 1 else result

    def forward(self, z: Tensor) -> Any:
        return self.result


class WithoutCodebook(nn.Module):
    def forward(self, z: Tensor) -> Any:
        return z, torch.zeros(z.shape[:2], dtype=torch.int64), z.new_zeros(())


VECTORS, CODES, LOSS = torch.zeros(2, 3, 5), torch.zeros(2, 3, dtype=torch.int64), torch.zeros(())


def test_module_quantizer_learns_in_a_copy() -> None:
    part = foreign(4, 5)
    before = state(part.module)
    module = build(part, 4, 5)
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    module(normals(2, 3, 5)).terms["quantizer"].backward()
    optimizer.step()
    assert not torch.equal(module.codebook, part.module.codebook.weight)
    assert_same_state(part.module, before)
    assert all(parameter.grad is None for parameter in part.module.parameters())


@every_quantizer
def test_vectors_of_known_codes_are_those_of_training_without_its_learning(name: str) -> None:
    module = build(MAKERS[name](8, 4), 8, 4).train()
    before = state(module)
    z = normals(3, 5, 4).requires_grad_()
    vectors = module.vectors_of(z, module.encode(z))
    assert module.training
    assert_same_state(module, before)
    upstream = normals(3, 5, 4, seed=1)
    (gradient,) = torch.autograd.grad(vectors, z, upstream)
    learned = copy.deepcopy(module)(z, make_generator(0))
    torch.testing.assert_close(vectors, learned.vectors)
    torch.testing.assert_close(gradient, torch.autograd.grad(learned.vectors, z, upstream)[0])


class Counting(nn.Module):
    """Counts its calls in training, as one does that moves its codebook in them."""

    def __init__(self) -> None:
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(4, 3, generator=make_generator(0)))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, z: Tensor) -> Any:
        if self.training:
            self.calls += 1
        indices = torch.cdist(z, self.codebook.expand(len(z), -1, -1)).argmin(-1)
        vectors = self.codebook[indices]
        return z + (vectors - z).detach(), indices, (vectors - z.detach()).square().mean()


@pytest.mark.filterwarnings("ignore:The latents have collapsed")  # after seven steps
@pytest.mark.parametrize("tokenizer", [VQTokenizer, SSLVQTokenizer])
def test_a_module_learns_once_a_step(tokenizer: Any) -> None:
    X = np.random.default_rng(0).normal(size=(12, 16)).cumsum(1)
    quantizer = ModuleQuantizer(Counting())
    options = {"code_dim": 3, "max_iter": 7, "batch_size": 6, "device": "cpu", "random_state": 0}
    fitted = tokenizer(quantizer=quantizer, **options).fit(X)
    assert fitted.model_.quantizer.module.calls == 7


def test_module_quantizer_keeps_the_weights_it_was_given() -> None:
    part = foreign(4, 5)
    assert_same_state(build(part, 4, 5, seed=9).module, state(part.module))


def test_module_quantizer_passes_vectors_codes_and_loss_on() -> None:
    part, z = foreign(4, 5), normals(2, 3, 5)
    vectors, codes, loss = part.module(z)
    found = build(part, 4, 5)(z)
    assert torch.equal(found.vectors, vectors)
    assert torch.equal(found.codes, codes)
    assert torch.equal(found.terms["quantizer"], loss)


def test_module_quantizer_looks_vectors_up_in_the_dimension_of_the_latents() -> None:
    module = build(ModuleQuantizer(Projected()), 99, 2)
    assert module.n_codes == 3
    expected = torch.tensor([[-0.6, -0.8], [0.0, 0.0], [1.2, 1.6]])
    torch.testing.assert_close(module.codebook.detach(), expected)
    torch.testing.assert_close(module.lookup(torch.tensor([[2, 0]])).detach()[0], expected[[2, 0]])
    assert module(normals(1, 2, 2)).terms["quantizer"].shape == ()


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        ("nearest", TypeError, "module must be a torch.nn.Module; got 'nearest'"),
        (Nearest, TypeError, "module must be a torch.nn.Module; got <class"),
        (WithoutCodebook(), TypeError, "WithoutCodebook must have a codebook of shape .K, D."),
        (Returning(0, codebook=torch.zeros(2, 4, 5)), TypeError, "must have a codebook of shape"),
        (Returning(0, codebook=nn.ReLU()), TypeError, "must have a codebook of shape"),
        (Returning(VECTORS), TypeError, r"tensors \(quantized, indices, loss\); got Tensor"),
        (Returning((VECTORS, CODES)), TypeError, r"got \(Tensor, Tensor\)"),
        (Returning(VECTORS, CODES, 0.0), TypeError, r"got \(Tensor, Tensor, float\)"),
        (
            Returning(VECTORS[..., :4], CODES, LOSS),
            ValueError,
            r"must return shapes \(B, N, 5\) and \(B, N\) .* got \(2, 3, 4\) and \(2, 3\)",
        ),
        (Returning(VECTORS, CODES[..., None], LOSS), ValueError, r"got .* and \(2, 3, 1\)"),
        (Returning(VECTORS, CODES + 4, LOSS), ValueError, r"indices in \[0, 4\)"),
        (Returning(VECTORS, CODES - 1, LOSS), ValueError, r"indices in \[0, 4\)"),
        (Returning(VECTORS, CODES.float(), LOSS), ValueError, r"indices in \[0, 4\)"),
        (Returning(VECTORS + 1, CODES, LOSS), ValueError, "vectors that its indices stand for"),
        (
            Nearest(4, 6),
            ValueError,
            r"must accept latents of shape \(B, N, 5\), with D from code_dim; it raised RuntimeErr",
        ),
    ],
)
def test_module_quantizer_says_what_breaks_the_contract(
    module: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ModuleQuantizer(module).check(4, 5)


# ---------------------------------------------------------------- contract over the registry


def test_registry_holds_every_quantizer_that_needs_no_argument() -> None:
    public = [getattr(vqssl.quantizers, name) for name in vqssl.quantizers.__all__]
    parts = {thing for thing in public if isinstance(thing, type) and issubclass(thing, Quantizer)}
    assert set(QUANTIZERS.values()) == parts - {Quantizer, ModuleQuantizer}
    for name, cls in QUANTIZERS.items():
        assert type(resolve(name, "quantizer", Quantizer, QUANTIZERS)) is cls


@every_quantizer
@given(z=latents(), n_codes=n_codes_of_all, training=st.booleans())
def test_output_has_the_shapes_and_ranges_of_the_contract(
    name: str, z: Tensor, n_codes: int, training: bool
) -> None:
    module = build(MAKERS[name](n_codes, z.shape[2]), n_codes, z.shape[2]).train(training)
    vectors, codes, terms = module(z, make_generator(0))
    assert module.n_codes == n_codes
    assert vectors.shape == z.shape
    assert vectors.dtype == torch.float32
    assert torch.isfinite(vectors).all()
    assert codes.shape == z.shape[:2]
    assert codes.dtype == torch.int64
    assert codes.min() >= 0
    assert codes.max() < n_codes
    for term in terms.values():
        assert term.shape == ()
        assert torch.isfinite(term)
        assert term >= 0


@every_quantizer
@given(z=latents(), n_codes=n_codes_of_all)
def test_vectors_are_the_ones_of_the_codes(name: str, z: Tensor, n_codes: int) -> None:
    module = build(MAKERS[name](n_codes, z.shape[2]), n_codes, z.shape[2]).eval()
    vectors, codes, _ = module(z)
    assert torch.equal(codes, module.encode(z))
    # z + (e - z) is e up to the rounding of z.
    atol = 1e-6 * max(1.0, float(z.abs().max()))
    torch.testing.assert_close(vectors, module.lookup(codes), rtol=1.3e-6, atol=atol)


@every_quantizer
@given(n_codes=n_codes_of_all, code_dim=st.integers(1, 5))
def test_codebook_lists_the_vectors_of_all_codes(name: str, n_codes: int, code_dim: int) -> None:
    module = build(MAKERS[name](n_codes, code_dim), n_codes, code_dim)
    assert module.codebook.shape == (n_codes, code_dim)
    looked_up = module.lookup(torch.arange(n_codes).view(1, -1))
    torch.testing.assert_close(module.codebook, looked_up[0])
    assert rows_are_different(module.codebook)


@every_quantizer
@given(z=latents())
def test_nothing_is_learned_in_eval_mode(name: str, z: Tensor) -> None:
    module = build(MAKERS[name](16, z.shape[2]), 16, z.shape[2]).eval()
    before = state(module)
    module(z, make_generator(0))
    module.encode(z)
    module.lookup(torch.zeros(1, 1, dtype=torch.int64))
    assert_same_state(module, before)


@every_quantizer
@given(z=latents(), axis=st.sampled_from([0, 1]))
def test_terms_do_not_depend_on_batch_size_and_length(name: str, z: Tensor, axis: int) -> None:
    module = build(MAKERS[name](16, z.shape[2]), 16, z.shape[2]).eval()
    once, twice = module(z).terms, module(torch.cat([z, z], axis)).terms
    assert once.keys() == twice.keys()
    for key, term in once.items():
        torch.testing.assert_close(twice[key], term)


@every_quantizer
@given(z=latents())
def test_code_of_a_token_does_not_depend_on_its_neighbours(name: str, z: Tensor) -> None:
    module = build(MAKERS[name](16, z.shape[2]), 16, z.shape[2]).eval()
    codes = module.encode(z)
    for i, n in itertools.product(range(z.shape[0]), range(z.shape[1])):
        assert module.encode(z[i : i + 1, n : n + 1]) == codes[i, n]


@pytest.mark.parametrize("name", sorted(QUANTIZERS))
def test_codes_are_the_same_under_autocast(name: str) -> None:
    module = build(QUANTIZERS[name](), 60, 3).eval()
    z = normals(20, 20, 3)
    expected = module.encode(z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(module.encode(z), expected)
        assert torch.equal(module(z).codes, expected)


@every_quantizer
def test_training_is_reproducible_and_leaves_the_global_generator_alone(name: str) -> None:
    trained = []
    before = torch.random.get_rng_state()
    for _ in range(2):
        module, generator = build(MAKERS[name](16, 3), 16, 3, seed=5), make_generator(6)
        module.start(normals(40, 3), generator)
        for step in range(5):
            module(normals(2, 4, 3, seed=step), generator)
        trained.append(module)
    assert_same_state(trained[0], state(trained[1]))
    assert torch.equal(torch.random.get_rng_state(), before)


@every_quantizer
def test_weights_are_all_there_is_to_keep(name: str) -> None:
    part = MAKERS[name](16, 3)
    module, z = build(part, 16, 3, seed=5), normals(2, 9, 3)
    module(z, make_generator(0))
    with torch.device("meta"):
        rebuilt: QuantizerModule = part.build(16, 3)
    rebuilt.load_state_dict(state(module), assign=True)
    assert torch.equal(rebuilt.encode(z), module.encode(z))
    assert torch.equal(rebuilt.codebook, module.codebook)


OTHER_PARAMETERS = {
    "ema": {"decay": 0.99, "commitment": 0.5, "reset_threshold": 0.0},
    "fsq": {"levels": (5, 3)},
    "gradient": {"commitment": 0.5, "orthogonality": 10.0, "lr_multiplier": 1.0},
}


@pytest.mark.parametrize("name", sorted(QUANTIZERS))
def test_clone_keeps_hyperparameters(name: str) -> None:
    part = QUANTIZERS[name]()
    assert part.get_params().keys() == OTHER_PARAMETERS[name].keys()
    copy = clone(part.set_params(**OTHER_PARAMETERS[name]))
    assert copy is not part
    assert copy.get_params() == OTHER_PARAMETERS[name]
    build(copy, 16, 3)
    assert copy.get_params() == OTHER_PARAMETERS[name]


def test_clone_of_a_module_quantizer_has_its_own_module_with_the_same_weights() -> None:
    part = foreign(4, 5)
    copy = clone(part)
    assert copy.module is not part.module
    assert_same_state(copy.module, state(part.module))


NUMBER = "must be a finite number"


@pytest.mark.parametrize(
    ("part", "error", "message"),
    [
        (EMAQuantizer(decay=1.0), ValueError, r"decay must be a number in \[0, 1\); got 1.0"),
        (EMAQuantizer(decay=-0.1), ValueError, r"decay must be a number in \[0, 1\); got -0.1"),
        (EMAQuantizer(decay=math.nan), ValueError, "decay must be a number in .* got nan"),
        (EMAQuantizer(decay="0.9"), TypeError, "decay must be a number in .* got '0.9'"),
        (EMAQuantizer(commitment=-1), ValueError, f"commitment {NUMBER} of at least 0; got -1"),
        (EMAQuantizer(commitment=math.inf), ValueError, f"commitment {NUMBER}.*; got inf"),
        (EMAQuantizer(reset_threshold=1), ValueError, r"reset_threshold .* in \[0, 1\); got 1"),
        (EMAQuantizer(reset_threshold=True), TypeError, r"reset_threshold .*; got True"),
        (GradientQuantizer(commitment=-1), ValueError, f"commitment {NUMBER} of at least 0"),
        (GradientQuantizer(orthogonality=-1), ValueError, f"orthogonality {NUMBER} of at least 0"),
        (GradientQuantizer(lr_multiplier=0), ValueError, f"lr_multiplier {NUMBER} above 0; got 0"),
        (GradientQuantizer(lr_multiplier="auto"), TypeError, "lr_multiplier .*; got 'auto'"),
    ],
)
def test_hyperparameters_must_be_in_range(
    part: Quantizer, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        part.check(16, 3)


@pytest.mark.parametrize("cls", [EMAQuantizer, GradientQuantizer])
def test_limits_of_hyperparameters_are_allowed(cls: type[Quantizer]) -> None:
    cls().set_params(commitment=0).check(1, 1)
    EMAQuantizer(decay=0, reset_threshold=0).check(1, 1)
    GradientQuantizer(orthogonality=0, lr_multiplier=1e-3).check(1, 1)


@every_codebook
def test_a_codebook_of_one_code_is_allowed(part: Quantizer) -> None:
    module = build(part, 1, 3)
    z = normals(2, 4, 3)
    module.start(z.flatten(0, 1), make_generator(0))
    assert module(z, make_generator(0)).codes.max() == 0
    assert isinstance(module, EMACodebook | GradientCodebook)
