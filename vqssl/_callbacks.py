"""scikit-learn's callbacks (SLEP023, from 1.9 on), or a stand-in that calls none."""

from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:

    class _NoContext:
        """Context of a fit that has no callbacks."""

        def subcontext(self, **kwargs: Any) -> "_NoContext":
            return self

        def call_on_fit_task_begin(self, **kwargs: Any) -> "_NoContext":
            return self

        def call_on_fit_task_end(self, **kwargs: Any) -> bool:
            return False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in for scikit-learn older than 1.9."""

        def _init_callback_context(self, **kwargs: Any) -> _NoContext:
            return _NoContext()

    def _with_callbacks(method: Method) -> Method:
        return method


def with_callbacks(method: Method) -> Method:
    """Decorate `fit` as scikit-learn does, which says nothing of types, and keep its signature."""
    decorated: Method = _with_callbacks(method)
    return decorated


__all__ = ["CallbackSupportMixin", "with_callbacks"]
