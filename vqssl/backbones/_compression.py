"""How many time points a token stands for, and how many pixels along each side."""

from collections.abc import Sequence
from typing import Any

from vqssl._validation import check_count

# Pixels along the longer side up to which a token of an image is 2 and 4 pixels wide; tokens
# along it that there are at most.
_SMALL_SIDE = 16
_MANY_TOKENS = 16


def automatic_compression(length: int) -> int:
    """Time points per token: 2 for up to 64 points, 4 up to 512, then what gives 128 tokens."""
    if length <= 64:
        return min(2, length)
    return max(4, -(-length // 128))


def automatic_image_compression(height: int, width: int) -> int:
    """Pixels per token along each side: 2 up to 16 pixels, 4 up to 64, then for 16 tokens."""
    longest = max(height, width)
    if longest <= _SMALL_SIDE:
        return min(2, longest)
    return max(4, -(-longest // _MANY_TOKENS))


def check_compression(value: Any) -> None:
    """Accept "auto" or a number of time points.

    Raises
    ------
    ValueError, TypeError
        If `value` is neither.
    """
    if value == "auto":
        return
    if isinstance(value, str):
        raise ValueError(f"compression must be 'auto' or an integer; got {value!r}.")
    check_count(value, "compression")


def compression_of(value: int | str, size: Sequence[int]) -> int:
    """Points per token along each axis that a checked `value` stands for.

    Parameters
    ----------
    value : int or "auto"
    size : sequence of int
        (L,) of series, (H, W) of images.
    """
    if value != "auto":
        return int(value)
    return automatic_compression(*size) if len(size) == 1 else automatic_image_compression(*size)
