"""Classifiers that a metric trains: any of scikit-learn's, with seeds of the metric's own."""

from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier


def check_classifier(classifier: Any) -> None:
    """Refuse what is no classifier.

    Parameters
    ----------
    classifier : object
        What may be one.

    Raises
    ------
    TypeError
        If it is no scikit-learn classifier, or a class of them.
    """
    # is_classifier itself raises for what is no estimator.
    is_estimator = hasattr(classifier, "__sklearn_tags__") and not isinstance(classifier, type)
    if not (is_estimator and is_classifier(classifier)):
        raise TypeError(f"classifier must be a scikit-learn classifier; got {classifier!r}.")


def seeded(classifier: Any, generator: np.random.RandomState) -> Any:
    """Return a clone in which every `random_state` that was None is a seed.

    Parameters
    ----------
    classifier : object
        Classifier, maybe with others inside.
    generator : RandomState
        Decides the seeds.

    Returns
    -------
    copy : object
        Not fitted.
    """
    copy = clone(classifier)
    seeds = {
        name: generator.randint(np.iinfo(np.int32).max)
        for name, value in sorted(copy.get_params().items())
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    return copy.set_params(**seeds)
