"""How many time points a token stands for."""

from typing import Any

from vqssl._validation import check_count


def automatic_compression(length: int) -> int:
    """Time points per token: 2 for up to 64 points, 4 up to 512, then what gives 128 tokens."""
    if length <= 64:
        return min(2, length)
    return max(4, -(-length // 128))


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


def compression_of(value: int | str, length: int) -> int:
    """Time points per token that a checked `value` stands for in series of `length` points."""
    return automatic_compression(length) if value == "auto" else int(value)
