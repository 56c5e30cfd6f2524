"""ModelState: a fitted model as arrays, for pickle and for files, and built again from them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import clone
from torch import nn

from vqssl._building import build_on_meta
from vqssl._saving import Saving
from vqssl._seed import initialise, make_generator, materialise


class ModelState(Saving, ABC):
    """Base of estimators that keep a torch model."""

    model_: Any  # the torch module, once fitted
    _architecture: dict[str, Any]  # the shaping parameters, as they were in `fit`

    # Parameters and fitted sizes that `_build` reads; partial_fit cannot go on with the model
    # when one of the parameters changes.
    _shaping: ClassVar[tuple[str, ...]] = ()
    _sizes: ClassVar[tuple[str, ...]] = ("input_shape_",)

    @abstractmethod
    def _build(self) -> nn.Module:
        """Return the model that is kept: a pure function of parameters and fitted sizes."""

    def _shaping_parameters(self) -> dict[str, Any]:
        """Copies of the parameters that shape the model, as they are now."""
        return {name: clone(getattr(self, name), safe=False) for name in self._shaping}

    def _check_unchanged(self) -> None:
        """Refuse to go on with a model that was built with other parameters."""
        for name in self._shaping:
            fitted, now = self._architecture[name], getattr(self, name)
            if repr(fitted) != repr(now):
                raise ValueError(
                    f"{name} must stay {fitted!r} between calls of partial_fit; got {now!r}. "
                    "Call fit to start anew."
                )

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        model = state.get("model_")
        if isinstance(model, nn.Module):
            # Arrays, so that pickle, skops and memory-mapping by joblib see no torch object.
            state["model_"] = {
                name: tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()
            }
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(dict(state))
        if "model_" in self.__dict__:
            self.model_ = self._rebuild(self.model_)

    def _rebuild(self, arrays: Mapping[str, np.ndarray]) -> nn.Module:
        """Build the fitted model again, from its weights as arrays."""
        model = build_on_meta(self._build_again, len(arrays)).float()
        expected = {
            name: (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
            for name, tensor in model.state_dict().items()
        }
        given = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
        if expected != given:
            raise ValueError(
                f"The weights must be those of the model that the parameters of "
                f"{type(self).__name__} describe; their names, shapes or dtypes differ."
            )
        # Started first, for what a foreign module does not keep in its state.
        initialise(materialise(model), make_generator(0))
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        model.load_state_dict(tensors)
        return model.eval().requires_grad_(False)

    def _build_again(self) -> nn.Module:
        """Return a module like the fitted one, without its weights."""
        # The parameters may have been changed since fit; those of the fit shape the model.
        fitted = type(self)(**self._architecture)
        for name in self._sizes:
            setattr(fitted, name, getattr(self, name))
        return fitted._build()
