"""Windows of the token axis that readouts and the loss between views look at."""

# The whole, its halves, quarters and eighths.
PARTS = (1, 2, 4, 8)


def windows(n_tokens: int) -> list[slice]:
    """Slices of the token axis, coarse to fine; parts overlap where N is no multiple."""
    bounds = []
    for parts in PARTS:
        for i in range(parts):
            bounds.append(slice(i * n_tokens // parts, -(-(i + 1) * n_tokens // parts)))
    return bounds
