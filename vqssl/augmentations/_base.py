"""What an augmentation is."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from vqssl._parts import Part


class Augmentation(Part, ABC):
    """Base class of augmentations: another view of every series of a batch.

    Works on whole batches on the device they are on, without a loop over series. Random
    numbers come from the given generator only, one draw per series unless the
    augmentation says otherwise. The shape is kept, the input is not changed, any length
    from 1 up works.
    """

    takes: ClassVar[tuple[str, ...]] = ("images", "series")
    """What it works on: "series" (B, C, L), "images" (B, C, H, W), or both."""

    sees_whole_batch: bool = True
    """Whether it gets the series of all processes that divide a batch, on each of them."""

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If a hyperparameter is out of range or of the wrong type.
        """

    @abstractmethod
    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return another view of a batch.

        Parameters
        ----------
        x : Tensor of shape (B, C, L), or (B, C, H, W)
            Standardised series, or images.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        view : Tensor of the shape of `x`
        """
