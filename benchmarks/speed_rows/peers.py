"""Other libraries that rows compare with; none of them is needed to run the others."""

import importlib
import warnings
from types import ModuleType

from speed_rows.report import Skipped

COMMANDS = {
    "timevqvae": (
        "pip install --no-deps --ignore-requires-python timevqvae==1.0.1 && "
        "pip install einops pyyaml"
    ),
    "vector_quantize_pytorch": "pip install vector-quantize-pytorch==1.32.0",
}


class MissingPeer(Skipped):
    """A peer is not installed; the message says how to install it."""


def need(name: str) -> ModuleType:
    """Import a module of a peer.

    Raises
    ------
    MissingPeer
        If it cannot be imported.
    """
    library = name.partition(".")[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations are the peer's own business
            return importlib.import_module(name)
    except ImportError as error:
        raise MissingPeer(f"{library} is not installed ({error}): {COMMANDS[library]}") from error
