"""Images on axes."""

from typing import Any

import numpy as np

from vqssl.plots._panels import no_frame


def color_scale(*sets: np.ndarray) -> tuple[float, float]:
    """Smallest and largest number in sets of images, NaN left out."""
    return (
        float(min(np.nanmin(images) for images in sets)),
        float(max(np.nanmax(images) for images in sets)),
    )


def show_image(ax: Any, image: np.ndarray, scale: tuple[float, float]) -> Any:
    """Draw an image (C, H, W): in colour where it has three channels, else their mean in grey."""
    no_frame(ax)
    low, high = scale
    if len(image) == 3:
        share = (np.moveaxis(image, 0, -1) - low) / max(high - low, np.finfo(float).tiny)
        return ax.imshow(np.clip(share, 0, 1), interpolation="nearest")
    return ax.imshow(image.mean(0), cmap="gray", vmin=low, vmax=high, interpolation="nearest")


def mosaic(images: np.ndarray, n_columns: int) -> np.ndarray:
    """Images (n, C, H, W) side by side as one, (C, H, n_columns (W + 1)).

    Between them, and where there is none, are pixels of NaN, which are not drawn.
    """
    n, n_channels, height, width = images.shape
    place = np.full((n_columns, n_channels, height, width + 1), np.nan)
    place[:n, ..., :width] = images
    return place.transpose(1, 2, 0, 3).reshape(n_channels, height, -1)
