"""Arithmetic of a network: float32, or bfloat16 wherever torch's autocast takes it to be safe."""

import contextlib

import torch


def arithmetic(
    precision: str, device: torch.device
) -> contextlib.AbstractContextManager[object, None]:
    """Context in which a network computes in "float32" or "bfloat16" on a device."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
