"""Which series probes are fitted on, and which they are judged on.

- ``test``: fitted on the training split, judged on the test split; once for each line.
- ``cv``: five stratified folds of the training split, or as many as the rarest class allows.
  Test series are not even read. Methods are fitted once on all training series, which they
  see without labels; only the probes go by folds.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedKFold

from probe_rows.draws import labelled, rarest

PROTOCOLS = ("test", "cv")
MOST_FOLDS = 5


@dataclass(frozen=True)
class Split:
    """Places of the training series with labels, and of those judged; None: the test set."""

    fitted: np.ndarray
    judged: np.ndarray | None


def splits(y: np.ndarray, protocol: str, labels_per_class: int | None, seed: int) -> list[Split]:
    """Splits of training series with classes `y`; labels are drawn from the fitted ones."""
    if protocol == "test":
        return [Split(labelled(y, labels_per_class, seed), None)]
    folds = StratifiedKFold(n_folds(y), shuffle=True, random_state=seed)
    found = []
    with warnings.catch_warnings():
        # A class of one is not in all folds, which the line says.
        warnings.filterwarnings("ignore", message="The least populated class")
        for fitted, judged in folds.split(y, y):
            some = labelled(y[fitted], labels_per_class, seed)
            found.append(Split(fitted[some], judged))
    return found


def n_folds(y: np.ndarray) -> int:
    """Folds of development; two where a class has a single series."""
    return max(2, min(MOST_FOLDS, rarest(y)))
