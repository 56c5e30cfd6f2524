"""A model built from a file, which may ask for one that is far larger than its weights."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

# A model calls torch four or five times for each of its tensors; a part of a user's own, more.
_CALLS_PER_TENSOR = 25
_CALLS_OF_ANY_MODEL = 1000


class _Limit(TorchFunctionMode):
    """Refuses to call torch more than so many times in this thread."""

    def __init__(self, n_calls: int) -> None:
        super().__init__()
        self.n_left = n_calls

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        self.n_left -= 1
        if self.n_left < 0:
            raise ValueError(
                "The weights must be those of the model that the parameters describe; "
                "it has many more of them."
            )
        return func(*args, **(kwargs or {}))


def build_on_meta(build: Callable[[], nn.Module], n_tensors: int) -> nn.Module:
    """Return a model without its weights, of which there are about `n_tensors`.

    Raises
    ------
    ValueError
        As soon as the model has more work to do than one of so many tensors ever has.
    """
    limit = _Limit(_CALLS_OF_ANY_MODEL + _CALLS_PER_TENSOR * n_tensors)
    # Outside of the limit, which also stops what would switch gradients on again behind torch's
    # initialisation of weights.
    with torch.set_grad_enabled(torch.is_grad_enabled()), torch.device("meta"), limit:
        return build()
