"""Several augmentations, one after the other."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vqssl.augmentations._base import Augmentation


class Compose(Augmentation):
    """Apply augmentations one after the other.

    Parameters
    ----------
    augmentations : tuple or list of Augmentation
        At least one; the first is applied first.

    Notes
    -----
    The elements count as parameters named by their place, so ``0__sd`` is `sd` of the
    first one, for `set_params` and for grid searches.

    Examples
    --------
    >>> import torch
    >>> from vqssl.augmentations import AmplitudeScale, Compose, GaussianNoise
    >>> both = Compose((AmplitudeScale(), GaussianNoise(sd=0.1)))
    >>> both(torch.zeros(2, 1, 5), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 5])
    >>> both.set_params(**{"1__sd": 0.3}).augmentations[1]
    GaussianNoise(sd=0.3)
    """

    def __init__(self, augmentations: Sequence[Augmentation]) -> None:
        self.augmentations = augmentations

    @property
    def takes(self) -> tuple[str, ...]:  # type: ignore[override]
        """What all elements work on."""
        return tuple(
            kind
            for kind in Augmentation.takes
            if all(kind in augmentation.takes for augmentation in self.augmentations)
        )

    @property
    def sees_whole_batch(self) -> bool:  # type: ignore[override]
        """Whether an element does."""
        return any(augmentation.sees_whole_batch for augmentation in self.augmentations)

    def check(self) -> None:
        """Check the elements and their hyperparameters.

        Raises
        ------
        TypeError
            If `augmentations` is no tuple or list, or an element is no augmentation.
        ValueError
            If `augmentations` is empty, or a hyperparameter of an element is out of range.
        """
        if not isinstance(self.augmentations, (tuple, list)):
            raise TypeError(
                f"augmentations must be a tuple of augmentations; got {self.augmentations!r}."
            )
        if not self.augmentations:
            raise ValueError("augmentations must hold at least one augmentation; got none.")
        for place, augmentation in enumerate(self.augmentations):
            if not isinstance(augmentation, Augmentation):
                raise TypeError(
                    f"augmentations[{place}] must be an Augmentation, such as GaussianNoise(); "
                    f"got {augmentation!r}."
                )
            augmentation.check()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, with `deep` those of the elements too.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add the elements, named by their place, and their parameters.

        Returns
        -------
        params : dict of str to object
        """
        params: dict[str, Any] = super().get_params(deep=False)
        if deep and isinstance(self.augmentations, (tuple, list)):
            for place, augmentation in enumerate(self.augmentations):
                if not isinstance(augmentation, Augmentation):
                    continue
                params[str(place)] = augmentation
                for name, value in augmentation.get_params().items():
                    params[f"{place}__{name}"] = value
        return params

    def set_params(self, **params: Any) -> "Compose":
        """Set parameters of the composition or of its elements.

        Parameters
        ----------
        **params : dict
            Keys as `get_params` gives them: ``augmentations``, ``0``, ``0__sd``.

        Returns
        -------
        self : Compose

        Raises
        ------
        ValueError
            If a key names no parameter.
        """
        if "augmentations" in params:
            self.augmentations = params.pop("augmentations")
        places = [key for key in self.get_params() if key.isdigit() and key in params]
        elements = list(self.augmentations) if places else []
        for key in places:
            elements[int(key)] = params.pop(key)
        if places:
            self.augmentations = tuple(elements)
        super().set_params(**params)
        return self

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a view of a batch after all augmentations.

        Parameters
        ----------
        x : Tensor of shape (B, C, L)
            Standardised series.
        generator : torch.Generator
            Source of all random numbers.

        Returns
        -------
        view : Tensor of shape (B, C, L)
        """
        for augmentation in self.augmentations:
            x = augmentation(x, generator)
        return x
