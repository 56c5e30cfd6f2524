"""Randomness is private: seeds inside, the global generators stay as they were found."""

import threading
from collections.abc import Sequence
from typing import Any

import torch
from sklearn.utils import check_random_state
from torch import Tensor, nn

from vqssl._share import drawn_rows, own

_RESET_LOCK = threading.Lock()


def spawn_seeds(random_state: Any, n: int) -> list[int]:
    """Draw `n` independent seeds from a scikit-learn `random_state`."""
    generator = check_random_state(random_state)
    return [int(seed) for seed in generator.randint(0, 2**31 - 1, size=n)]


def make_generator(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a generator of its own on a device, started from a seed."""
    return torch.Generator(device=device).manual_seed(seed)


def uniform(
    shape: Sequence[int],
    generator: torch.Generator,
    like: Tensor,
    low: float = 0.0,
    high: float = 1.0,
) -> Tensor:
    """Uniform numbers from `low` to `high` with the device and dtype of `like`.

    The first axis counts the rows of the batch, as in `normal` and `integers`: each row has the
    same numbers, whichever process it is on.
    """
    # Not the default dtype, whose change would change the numbers.
    drawn = torch.rand(
        drawn_rows(tuple(shape)), generator=generator, device=generator.device, dtype=torch.float32
    )
    return (low + (high - low) * own(drawn)).to(like)


def normal(shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers with the device and dtype of `like`."""
    drawn = torch.randn(
        drawn_rows(tuple(shape)), generator=generator, device=generator.device, dtype=torch.float32
    )
    return own(drawn).to(like)


def integers(high: int, shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Integers in [0, high) as int64 on the device of `like`."""
    drawn = torch.randint(
        high, drawn_rows(tuple(shape)), generator=generator, device=generator.device
    )
    return own(drawn).to(like.device)


def places(n_places: int, n: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """As many as `n` integers in [0, n_places), the same on all processes."""
    drawn = torch.randint(n_places, (n,), generator=generator, device=generator.device)
    return drawn.to(like.device)


def materialise(model: nn.Module) -> nn.Module:
    """Replace every meta tensor of a model by an uninitialised CPU one, in place.

    Tied parameters stay tied; tensors that already hold values are left alone.
    """
    made: dict[int, Any] = {}
    for module in model.modules():
        for slot in (module._parameters, module._buffers):
            for name, tensor in slot.items():
                if tensor is None or not tensor.is_meta:
                    continue
                if id(tensor) not in made:
                    # empty_like would make torch import its symbolic shapes for a meta tensor.
                    empty = torch.empty_strided(
                        tensor.size(), tensor.stride(), dtype=tensor.dtype, device="cpu"
                    )
                    made[id(tensor)] = (
                        nn.Parameter(empty, requires_grad=tensor.requires_grad)
                        if isinstance(tensor, nn.Parameter)
                        else empty
                    )
                slot[name] = made[id(tensor)]
    return model


def initialise(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Give every weight of a model its start value, drawn from one generator.

    A module with a method ``initialise(generator)`` sets itself, children included.
    Convolutions, linear layers, embeddings and norms get torch's default start. Any other
    module must offer ``reset_parameters``.

    Raises
    ------
    TypeError
        If a module has tensors of its own and no known way to start them.
    """
    own = getattr(model, "initialise", None)
    if callable(own):
        own(generator)
        return model
    with torch.no_grad():
        _initialise_own(model, generator)
    for child in model.children():
        initialise(child, generator)
    return model


def _initialise_own(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
        # torch's default, kaiming_uniform(a=sqrt(5)), written as its bound.
        fan_in, _ = nn.init._calculate_fan_in_and_fan_out(module.weight)
        bound = fan_in**-0.5 if fan_in > 0 else 0.0
        module.weight.uniform_(-bound, bound, generator=generator)
        if module.bias is not None:
            module.bias.uniform_(-bound, bound, generator=generator)
    elif isinstance(module, nn.Embedding):
        module.weight.normal_(generator=generator)
        if module.padding_idx is not None:
            module.weight[module.padding_idx].zero_()
    elif isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)):
        module.reset_parameters()  # draws nothing
    elif any(True for _ in (*module.parameters(recurse=False), *module.buffers(recurse=False))):
        reset = getattr(module, "reset_parameters", None)
        if not callable(reset):
            raise TypeError(
                f"{type(module).__name__} must have a method initialise(generator) or "
                "reset_parameters(); it has weights and neither."
            )
        # Foreign modules start from torch's global generator; put it back afterwards.
        # torch.manual_seed seeds those of CUDA, too.
        cuda = range(torch.cuda.device_count())
        with _RESET_LOCK, torch.random.fork_rng(devices=cuda):
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            reset()


def seed_parts(estimator: Any, seed: int) -> None:
    """Give a seed to an estimator and to its parts where random_state is None."""
    unseeded = [
        name
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] == "random_state" and value is None
    ]
    estimator.set_params(**dict(zip(unseeded, spawn_seeds(seed, len(unseeded)), strict=True)))
