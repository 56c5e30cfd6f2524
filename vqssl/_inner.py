"""An estimator inside another: a clone of it is fitted, or it is used as it is."""

import os
from typing import Any

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from vqssl._seed import seed_parts
from vqssl._validation import warn_user


def fit_inner(
    given: Any,
    default: Any,
    X: Any,
    seed: int,
    option: str,
    owner: str,
    folder: str | os.PathLike[str] | None = None,
) -> Any:
    """Return a fitted clone of an estimator, or a frozen one as it is.

    Parameters
    ----------
    given : estimator or None
        The value of the parameter; inside `FrozenEstimator` it must be fitted.
    default : estimator
        What None stands for.
    X : array-like
        Series to fit on.
    seed : int
        Of what has no `random_state` of its own.
    option : str
        Name of the parameter.
    owner : str
        What has it, for the warning: "a generator".
    folder : str, os.PathLike or None
        Checkpoints of the fit around it; those of the inner one go to a folder inside, and its
        last one stays until the fit around it removes it. A class that is not vqssl's has none.

    Returns
    -------
    fitted : estimator

    Raises
    ------
    NotFittedError
        If a frozen estimator is not fitted.
    """
    inner = default if given is None else clone(given)
    if isinstance(inner, FrozenEstimator):
        check_is_fitted(inner)
        return inner
    if given is not None and is_fitted(given):
        warn_user(
            f"{option} is fitted already, but {owner} fits a clone of it anew. Pass "
            f"FrozenEstimator({option}), from sklearn.frozen, to use it as it is."
        )
    seed_parts(inner, seed)
    if hasattr(inner, "_fit_inside"):
        title = f"{type(inner).__name__} ({option})"
        return inner._fit_inside(X, title, None if folder is None else os.path.join(folder, option))
    inner.fit(X)
    return inner


def is_fitted(estimator: Any) -> bool:
    """Whether an estimator is fitted."""
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True
