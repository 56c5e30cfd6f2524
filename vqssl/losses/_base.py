"""What a joint-embedding loss is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from vqssl._parts import Part


class SSLLoss(Part, ABC):
    """Base class of joint-embedding losses between two views of a batch.

    A subclass implements `terms` and, where its parameters have ranges, `check`.
    """

    default_weight: ClassVar[float] = 1.0
    """Weight of the loss beside the reconstruction when ``ssl_weight="auto"``."""

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If a hyperparameter is out of range or of the wrong type.
        """

    @abstractmethod
    def terms(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """Return the weighted summands of the loss.

        Parameters
        ----------
        first, second : Tensor of shape (B, P)
            Projections of the two views; row i of both belongs to series i. B >= 2.

        Returns
        -------
        terms : dict of str to scalar Tensor
            Already weighted: the loss is their sum.
        """

    def whitening(self, projector_dim: int, batch_size: int) -> nn.Module | None:
        """Return a module to end the projector with, or None for no such module.

        Parameters
        ----------
        projector_dim : int
            P, width of the projection.
        batch_size : int
            B, number of series in a training batch.

        Returns
        -------
        layer : torch.nn.Module or None
        """
        return None


@contextmanager
def full_precision(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Leave autocast and yield the tensors in float32, or in float64 where they are.

    Near the optimum a loss squares what is left of correlations after cancellation; the
    8 bits of a bfloat16 product would be all noise there.
    """
    with torch.autocast(tensors[0].device.type, enabled=False):
        yield tuple(z.to(torch.promote_types(z.dtype, torch.float32)) for z in tensors)
