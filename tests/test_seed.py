"""Private randomness: seeds, numbers and start weights, and nothing global moves."""

import copy
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from vqssl._seed import (
    initialise,
    integers,
    make_generator,
    materialise,
    normal,
    spawn_seeds,
    uniform,
)

seeds = st.integers(0, 2**31 - 1)
shapes = st.lists(st.integers(1, 5), max_size=3)


def global_states() -> tuple[Any, ...]:
    _, keys, *position = np.random.get_state()  # noqa: NPY002
    return torch.random.get_rng_state().tolist(), random.getstate(), list(keys), position


@pytest.fixture
def global_generators_stay() -> Iterator[None]:
    """Fail the test if it moved a global generator."""
    before = global_states()
    yield
    assert global_states() == before


class Reset(nn.Module):
    """A foreign module that starts from torch's global generator."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(5))
        self.register_buffer("table", torch.empty(3))

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)
        self.table.copy_(torch.rand(3))


class Failing(Reset):
    def reset_parameters(self) -> None:
        torch.rand(3)
        raise RuntimeError("no start")


class Own(nn.Module):
    """A module of this library: it starts itself, and its child."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(5))
        self.child = nn.Linear(2, 3)

    def initialise(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            self.weight.normal_(generator=generator)
            self.child.weight.fill_(7.0)
            self.child.bias.fill_(8.0)


class Unknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(5))


class UnknownBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.empty(5))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("first", torch.empty(2))
        self.register_buffer("second", self.first, persistent=False)

    def reset_parameters(self) -> None:
        self.first.zero_()


# What torch starts with its own default, in one draw per tensor.
DEFAULTS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(7, 40),
    "linear without bias": lambda: nn.Linear(30, 4, bias=False),
    "convolution": lambda: nn.Conv1d(6, 8, 5, dilation=2),
    "grouped convolution": lambda: nn.Conv1d(6, 8, 5, groups=2),
    "2-D convolution": lambda: nn.Conv2d(3, 8, (2, 5), bias=False),
    "transposed convolution": lambda: nn.ConvTranspose1d(6, 8, 4, stride=2),
    "embedding": lambda: nn.Embedding(30, 5),
    "embedding with padding": lambda: nn.Embedding(30, 5, padding_idx=4),
}
FOREIGN: dict[str, Callable[[], nn.Module]] = {
    "gru": lambda: nn.GRU(3, 4, num_layers=2),
    "bilinear": lambda: nn.Bilinear(3, 4, 5),
    "reset_parameters": Reset,
    "inside others": lambda: nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.LSTM(3, 4))),
}


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return make()


def start(make: Callable[[], nn.Module], seed: int = 0) -> Any:
    return initialise(materialise(on_meta(make)), make_generator(seed))


def torch_default(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# ---------------------------------------------------------------- start weights


@pytest.mark.parametrize("name", DEFAULTS)
def test_start_weights_are_torchs_own(name: str) -> None:
    found, expected = start(DEFAULTS[name], seed=3), torch_default(DEFAULTS[name], seed=3)
    torch.testing.assert_close(dict(found.state_dict()), dict(expected.state_dict()))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), seeds)
def test_start_weights_stay_in_torchs_bounds(n_in: int, n_out: int, size: int, seed: int) -> None:
    module = start(lambda: nn.Conv1d(n_in, n_out, size), seed)
    bound = (n_in * size) ** -0.5
    assert max(module.weight.abs().max(), module.bias.abs().max()) <= bound * (1 + 1e-6)
    assert module.weight.abs().max() > 0


@pytest.mark.parametrize("name", [*DEFAULTS, *FOREIGN])
def test_start_weights_depend_on_the_generator_alone(name: str) -> None:
    make = {**DEFAULTS, **FOREIGN}[name]
    first = start(make, seed=3)
    torch.rand(1)
    assert same_weights(first, start(make, seed=3))
    assert not same_weights(first, start(make, seed=4))


@pytest.mark.parametrize("name", [*DEFAULTS, *FOREIGN])
@pytest.mark.usefixtures("global_generators_stay")
def test_start_weights_leave_the_global_generators_alone(name: str) -> None:
    start({**DEFAULTS, **FOREIGN}[name])


@pytest.mark.usefixtures("global_generators_stay")
def test_a_failing_reset_leaves_the_global_generators_alone() -> None:
    with pytest.raises(RuntimeError, match="no start"):
        start(Failing)


def test_foreign_modules_do_not_disturb_each_other_in_threads() -> None:
    def start_gru(seed: int) -> nn.Module:
        return start(lambda: nn.GRU(8, 16, num_layers=2), seed)

    expected = [start_gru(seed) for seed in range(16)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(start_gru, range(16)))
    assert all(map(same_weights, found, expected))


def test_recurrent_module_made_on_the_meta_device_works_and_learns() -> None:
    module = start(lambda: nn.GRU(3, 4))
    module(torch.ones(2, 5, 3))[0].sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())


def test_norms_start_as_the_identity() -> None:
    module = start(lambda: nn.Sequential(nn.GroupNorm(2, 6), nn.LayerNorm(6), nn.BatchNorm1d(6)))
    for norm in module:
        assert norm.weight.tolist() == [1.0] * 6
        assert norm.bias.tolist() == [0.0] * 6
    assert module[2].running_mean.tolist() == [0.0] * 6
    assert module[2].running_var.tolist() == [1.0] * 6
    assert module[2].num_batches_tracked == 0


def test_equal_layers_of_one_model_start_differently() -> None:
    module = start(lambda: nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)))
    assert not torch.equal(module[0].weight, module[1].weight)


def test_a_module_that_starts_itself_starts_its_children_too() -> None:
    module = start(lambda: nn.Sequential(nn.Linear(2, 3), Own()), seed=3)
    assert module[1].child.weight.unique().tolist() == [7.0]
    assert module[1].child.bias.unique().tolist() == [8.0]
    assert same_weights(module, start(lambda: nn.Sequential(nn.Linear(2, 3), Own()), seed=3))


def test_modules_without_weights_need_no_start() -> None:
    module = nn.Sequential(nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.GroupNorm(1, 2, affine=False))
    generator = make_generator(3)
    assert initialise(module, generator) is module
    assert generator.get_state().equal(make_generator(3).get_state())


@pytest.mark.parametrize("cls", [Unknown, UnknownBuffer])
def test_a_module_with_weights_and_no_way_to_start_them_is_refused(cls: type[nn.Module]) -> None:
    message = rf"^{cls.__name__} must have a method initialise\(generator\) or reset_parameters\(\)"
    with pytest.raises(TypeError, match=message):
        start(lambda: nn.Sequential(nn.Linear(2, 2), cls()))


def test_start_weights_can_be_trained() -> None:
    for parameter in start(DEFAULTS["convolution"]).parameters():
        assert parameter.requires_grad
        assert parameter.is_leaf


# ---------------------------------------------------------------- from the meta device


def test_tied_parameters_stay_tied() -> None:
    module = start(Tied)
    assert module.head.weight is module.embed.weight
    assert module.second is module.first
    assert len(list(module.parameters())) == 1


def test_materialise_leaves_no_meta_tensor_and_returns_its_model() -> None:
    module = on_meta(lambda: nn.Sequential(Tied(), nn.BatchNorm1d(3), nn.GRU(2, 2)))
    assert materialise(module) is module
    assert {t.device.type for t in (*module.parameters(), *module.buffers())} == {"cpu"}


def test_materialise_keeps_shape_dtype_and_what_is_trained() -> None:
    module = on_meta(lambda: nn.Linear(3, 4, dtype=torch.float64))
    module.bias.requires_grad_(False)
    materialise(module)
    assert isinstance(module.weight, nn.Parameter)
    assert module.weight.shape == (4, 3)
    assert module.weight.dtype == module.bias.dtype == torch.float64
    assert module.weight.requires_grad
    assert not module.bias.requires_grad


def test_materialise_keeps_what_is_persistent() -> None:
    module = materialise(on_meta(Tied))
    assert "first" in module.state_dict()
    assert "second" not in module.state_dict()


def test_materialise_leaves_values_alone() -> None:
    module = on_meta(lambda: nn.Sequential(nn.Linear(2, 2)))
    given_with_values = nn.Linear(3, 3)
    before, weight = copy.deepcopy(given_with_values), given_with_values.weight
    materialise(module.append(given_with_values))
    assert given_with_values.weight is weight
    assert same_weights(given_with_values, before)


# ---------------------------------------------------------------- seeds


@given(seeds, st.integers(0, 20))
def test_seeds_are_reproducible_integers_that_torch_takes(seed: int, n: int) -> None:
    found = spawn_seeds(seed, n)
    assert found == spawn_seeds(seed, n)
    assert len(found) == n
    for value in found:
        assert type(value) is int
        assert 0 <= value < 2**31 - 1
        assert make_generator(value).initial_seed() == value


@given(seeds)
def test_a_further_seed_does_not_change_the_earlier_ones(seed: int) -> None:
    assert spawn_seeds(seed, 7)[:4] == spawn_seeds(seed, 4)


def test_seeds_of_one_estimator_differ() -> None:
    assert len(set(spawn_seeds(0, 1000))) == 1000


def test_a_random_state_goes_on_from_call_to_call() -> None:
    state, same = np.random.RandomState(3), np.random.RandomState(3)
    first, second = spawn_seeds(state, 4), spawn_seeds(state, 4)
    assert first != second
    assert [first, second] == [spawn_seeds(same, 4), spawn_seeds(same, 4)]
    assert first == spawn_seeds(3, 4)


def test_without_random_state_every_call_differs() -> None:
    assert spawn_seeds(None, 4) != spawn_seeds(None, 4)


def test_what_scikit_learn_does_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' cannot be used to seed"):
        spawn_seeds("a", 2)


@pytest.mark.usefixtures("global_generators_stay")
def test_seeds_and_numbers_leave_the_global_generators_alone() -> None:
    generator, like = make_generator(spawn_seeds(0, 1)[0]), torch.empty(0)
    uniform((3,), generator, like)
    normal((3,), generator, like)
    integers(5, (3,), generator, like)


# ---------------------------------------------------------------- numbers


DRAWS: dict[str, Callable[[torch.Generator, list[int], Tensor], Tensor]] = {
    "uniform": lambda generator, shape, like: uniform(shape, generator, like),
    "normal": lambda generator, shape, like: normal(shape, generator, like),
    "integers": lambda generator, shape, like: integers(9, shape, generator, like),
}


@pytest.mark.parametrize("name", DRAWS)
@given(seed=seeds, shape=shapes)
def test_numbers_depend_on_the_generator_alone(name: str, seed: int, shape: list[int]) -> None:
    generator, like = make_generator(seed), torch.empty(0)
    first, second = (DRAWS[name](generator, shape, like) for _ in range(2))
    again = make_generator(seed)
    assert first.shape == tuple(shape)
    assert torch.equal(first, DRAWS[name](again, shape, like))
    assert torch.equal(second, DRAWS[name](again, shape, like))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_numbers_have_the_dtype_of_the_batch(dtype: torch.dtype) -> None:
    generator, like = make_generator(0), torch.empty(0, dtype=dtype)
    assert uniform((3,), generator, like).dtype == dtype
    assert normal((3,), generator, like).dtype == dtype
    assert integers(5, (3,), generator, like).dtype == torch.int64


@given(seeds, st.floats(-10, 10, width=16), st.floats(0.125, 10, width=16))
def test_uniform_numbers_fill_their_interval(seed: int, low: float, extent: float) -> None:
    drawn = uniform((4000,), make_generator(seed), torch.empty(0), low, low + extent)
    assert low <= drawn.min() < low + 0.01 * extent
    assert low + 0.99 * extent < drawn.max() <= low + extent


@pytest.mark.statistical
def test_normal_numbers_have_mean_zero_and_deviation_one() -> None:
    drawn = normal((100_000,), make_generator(0), torch.empty(0))
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1) < 0.02


@given(seeds, st.integers(1, 9))
def test_integers_are_all_those_below_the_limit(seed: int, high: int) -> None:
    drawn = integers(high, (500,), make_generator(seed), torch.empty(0))
    assert drawn.unique().tolist() == list(range(high))
