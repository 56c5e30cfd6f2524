"""Moving average of weights over the steps of training."""

import torch
from torch import Tensor, nn


class WeightAverage:
    """Moving average of the weights over the steps (Polyak and Juditsky 1992).

    Between two periods the module holds the average, which is what is validated and kept;
    within a period it holds the weights that are trained.

    Parameters
    ----------
    module : torch.nn.Module
    decay : float
        Weight of the past in [0, 1), at most (1 + t) / (10 + t) at step t, so that a short
        training does not remember its start.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.weights: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        self.other: list[Tensor] = [weight.detach().clone() for weight in self.weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights after a step into the average."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        torch._foreach_lerp_(self.other, self.weights, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights of the module with those held here."""
        held = [weight.clone() for weight in self.weights]
        torch._foreach_copy_(self.weights, self.other)
        torch._foreach_copy_(self.other, held)

    @torch.no_grad()
    def take_up(self, steps: int, other: list[Tensor]) -> None:
        """Go on from where another average was between two periods."""
        self.steps = steps
        torch._foreach_copy_(self.other, [tensor.to(self.other[0].device) for tensor in other])
