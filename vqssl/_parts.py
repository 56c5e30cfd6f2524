"""Parts: options of an estimator that have hyperparameters of their own."""

from collections.abc import Mapping
from typing import Any, TypeVar

from sklearn.base import BaseEstimator

PartT = TypeVar("PartT", bound="Part")


class Part(BaseEstimator):
    """Base class of everything that can be plugged into an estimator.

    A part holds hyperparameters and nothing else. It has scikit-learn's `get_params`,
    `set_params`, `clone` and representation, so that ``tok__ssl__covariance`` is a
    parameter a grid search can vary. What depends on the data (sizes, weights) is made
    by the part's own ``build`` when an estimator is fitted; a part is never changed by
    the estimator that uses it.
    """


def resolve(
    value: str | PartT, option: str, kind: type[PartT], choices: Mapping[str, type[PartT]]
) -> PartT:
    """Return the part that the value of an option stands for.

    Parameters
    ----------
    value : str or Part
        What the user gave: a key of `choices` or a part.
    option : str
        Name of the estimator's parameter, for the error message.
    kind : type
        The part class that `value` must be an instance of.
    choices : mapping of str to type
        What can be given by name.

    Returns
    -------
    part : Part
        `value` itself, or a part made with default hyperparameters.

    Raises
    ------
    ValueError
        If `value` is a string that names no part.
    TypeError
        If `value` is neither a string nor a part of the right kind.
    """
    if isinstance(value, kind):
        return value
    names = ", ".join(repr(name) for name in sorted(choices))
    message = f"{option} must be one of {names} or an instance of {kind.__name__}; got {value!r}."
    if not isinstance(value, str):
        if isinstance(value, type) and issubclass(value, kind):
            message += f" Did you mean {value.__name__}()?"
        raise TypeError(message)
    if value not in choices:
        raise ValueError(message)
    return choices[value]()


def refuse_nested_names(estimator: BaseEstimator, params: Mapping[str, Any]) -> None:
    """Explain why ``ssl__covariance=1`` cannot be set while ``ssl`` is a name.

    Raises
    ------
    ValueError
        If a key of `params` addresses a parameter of a part that is given by name, or of
        nothing.
    """
    own = estimator.get_params(deep=False)
    for key in params:
        option, nested, inner = key.partition("__")
        value = params.get(option, own.get(option))
        if nested and option in own and value is None:
            raise ValueError(
                f"{key} cannot be set while {option} is None, which stands for the default. Pass "
                f"the object itself, for example set_params({option}=<{option}>({inner}=...))."
            )
        if nested and isinstance(value, str):
            raise ValueError(
                f"{key} cannot be set while {option} is the name {value!r}: a name has no "
                f"parameters. Pass the part itself, for example "
                f"set_params({option}=<Part>({inner}=...))."
            )
