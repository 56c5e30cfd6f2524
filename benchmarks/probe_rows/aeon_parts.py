"""What is taken from aeon, which is not needed to run the other methods."""

import importlib
import warnings
from types import ModuleType

from speed_rows.report import Skipped


def need(module: str) -> ModuleType:
    """Import a module of aeon.

    Raises
    ------
    Skipped
        If it cannot be imported; the message says how to install it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations are aeon's own business
            return importlib.import_module(f"aeon.{module}")
    except ImportError as error:
        raise Skipped(f'aeon is not installed ({error}): pip install "aeon>=1.0"') from error
