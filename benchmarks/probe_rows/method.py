"""What every method offers: a fit that sees training series only, then rows of any series."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# Takes series (n, C, L) and makes rows (n, F) of them.
Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves.

    Parameters
    ----------
    transforms : mapping of str to callable
        For each line of the method, what makes rows of series.
    perplexity : float, optional
        Of the codes of the training series, for tokenizers.
    usage : float, optional
        Share of the codes that occur in training series.
    reconstruction : callable, optional
        Takes series and says which share of their variation survives the codes.
    """

    transforms: Mapping[str, Transform]
    perplexity: float | None = None
    usage: float | None = None
    reconstruction: Callable[[np.ndarray], float] | None = None


@dataclass(frozen=True)
class Method:
    """A way to make rows of series. It is never given labels.

    Parameters
    ----------
    lines : tuple of str
        Names of its readouts; they share one fit.
    fit : callable
        Takes training series (n, C, L), a seed, and parameters.
    probe : str
        The probe that it is customarily used with, which stands for it in comparisons.
    seeded : bool
        Rows depend on the seed. If not they are made once for all seeds, which then decide
        folds, labels and clusters only.
    takes_parameters : bool
    distances : bool
        Rows are distances to the training series: only 1-NN can be asked for.
    standardise : bool
        Columns have different units: probes that measure distances standardise them.
    prepare : callable
        Takes a few series before any clock runs, to compile what will be needed.
    """

    lines: tuple[str, ...]
    fit: Callable[[np.ndarray, int, dict[str, Any]], Fitted]
    probe: str
    seeded: bool = True
    takes_parameters: bool = False
    distances: bool = False
    standardise: bool = False
    prepare: Callable[[np.ndarray], object] = lambda X: None
