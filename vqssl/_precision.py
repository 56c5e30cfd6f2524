"""Arithmetic of a network: float32, or bfloat16 wherever torch's autocast takes it to be safe."""

import contextlib

import torch

PRECISIONS = ("bfloat16", "float32")


def check_precision(precision: str) -> None:
    """Check the parameter `precision`.

    Raises
    ------
    ValueError
        If it is none of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be 'float32' or 'bfloat16'; got {precision!r}.")


def arithmetic(
    precision: str, device: torch.device
) -> contextlib.AbstractContextManager[object, None]:
    """Context in which a network computes in "float32" or "bfloat16" on a device."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
