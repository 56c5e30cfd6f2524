"""What adapters take."""

from typing import Any


def check_transformer(estimator: Any) -> None:
    """Check that an estimator is an instance with `fit` and `transform`.

    Raises
    ------
    TypeError
        If it is not.
    """
    missing = [name for name in ("fit", "transform") if not hasattr(estimator, name)]
    if missing or isinstance(estimator, type):
        raise TypeError(
            "estimator must be an instance with fit and transform, such as VQTokenizer(); got "
            f"{estimator!r}."
        )
