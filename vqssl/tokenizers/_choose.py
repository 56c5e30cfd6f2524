"""Choice of augmentations without labels."""

import numpy as np
import torch
from torch import Tensor, nn

from vqssl.augmentations import AUGMENTATIONS, Augmentation

# What "auto" chooses from, mildest first. No flips: many images mean something else mirrored.
CANDIDATES = ("noise", "amplitude", "slope", "magnitude_warp", "window_warp")
IMAGE_CANDIDATES = ("noise", "amplitude", "shift", "affine", "resized_crop")

# An augmentation is kept if at least this share of views is nearest to its own series:
# enough to know a series by, though warps move it far in Euclidean distance.
_KEPT_SHARE = 0.15

# Series that the choice looks at, at most, and numbers in them.
_SAMPLE, _NUMBERS = 200, 2**22


def retrieval(original: Tensor, view: Tensor) -> float:
    """Share of views whose nearest series is their own; both (n, C, L) or (n, C, H, W)."""
    distances = torch.cdist(view.flatten(1), original.flatten(1))  # (n, n)
    # A series that is there twice is as good as its own.
    nearest = distances.diagonal() <= distances.amin(1) * (1 + 1e-6)
    return float(nearest.float().mean())


def choose_augmentations(
    scaler: nn.Module, series: np.ndarray, generator: torch.Generator
) -> tuple[Augmentation, ...]:
    """Return the augmentations that keep a series or an image recognisable among the others."""
    n_looked_at = min(_SAMPLE, max(1, _NUMBERS // series[0].size))
    order = torch.randperm(len(series), generator=generator)[:n_looked_at].numpy()
    original = scaler(torch.from_numpy(np.asarray(series[np.sort(order)], dtype=np.float32)))
    kept = []
    for name in CANDIDATES if series.ndim == 3 else IMAGE_CANDIDATES:
        augmentation = AUGMENTATIONS[name]()
        if retrieval(original, augmentation(original, generator)) >= _KEPT_SHARE:
            kept.append(augmentation)
    return tuple(kept) or (AUGMENTATIONS[CANDIDATES[0]](),)
