"""Classifier-free guidance (Ho and Salimans 2022): draw with a class, away from none."""

from collections.abc import Callable

import torch
from torch import Tensor

from vqssl._seed import uniform


def drop_labels(labels: Tensor, rate: float, no_class: int, generator: torch.Generator) -> Tensor:
    """Replace a share of the classes (B,) by "no class", for classifier-free guidance."""
    if rate == 0 or no_class == 0:
        return labels
    dropped = uniform(labels.shape, generator, labels.float()) < rate
    return labels.masked_fill(dropped, no_class)


def guide(
    predict: Callable[..., Tensor], labels: Tensor, no_class: int, scale: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """Classifier-free guidance: (1 + w) logits given the class - w logits without one.

    Parameters
    ----------
    predict : callable
        ``predict(codes, labels, at=at)``: logits (B, M, K) of positions (B, M), given codes
        (B, N) and classes (B,).
    labels : Tensor of shape (B,), int64
        Classes.
    no_class : int
        What stands for no class.
    scale : float
        w; 0 is no guidance.

    Returns
    -------
    guided : callable
        ``guided(codes, at)``: logits (B, M, K).

    References
    ----------
    J. Ho, T. Salimans, "Classifier-Free Diffusion Guidance", 2022, equation 6.
    """
    if not is_guided(labels, no_class, scale):
        return lambda codes, at: predict(codes, labels, at=at)
    both = with_no_class(labels, no_class)

    def guided(codes: Tensor, at: Tensor) -> Tensor:
        logits = predict(torch.cat([codes, codes]), both, at=torch.cat([at, at]))
        return extrapolate(logits, scale)

    return guided


def is_guided(labels: Tensor, no_class: int, scale: float) -> bool:
    """Whether guidance changes anything: not where no class is given."""
    return scale > 0 and not bool((labels == no_class).all())


def with_no_class(labels: Tensor, no_class: int) -> Tensor:
    """Classes (B,), then "no class" as often, (2 B,)."""
    return torch.cat([labels, torch.full_like(labels, no_class)])


def extrapolate(logits: Tensor, scale: float) -> Tensor:
    """Guided logits (B, ...) of those given the class, then those without, (2 B, ...)."""
    given, free = logits.chunk(2)
    # Codes that a token cannot have are minus infinity in both.
    return given + scale * (given - free).nan_to_num(nan=0.0)
