"""Optimizer steps of `max_iter="auto"`, by the number of training series."""

from typing import Any, NamedTuple

from vqssl._validation import check_count


class Budget(NamedTuple):
    """Passes over the training series, within limits of steps.

    A large set needs the passes; a small one is learned by heart after few, but not in fewer steps.
    """

    passes: int
    least: int
    most: int

    def steps(self, max_iter: Any, n_samples: int, batch_size: int) -> int:
        """The number that is given, or what "auto" means for so many training series.

        Raises
        ------
        ValueError, TypeError
            If `max_iter` is neither "auto" nor an integer of at least 1.
        """
        if not isinstance(max_iter, str):
            return check_count(max_iter, "max_iter")
        if max_iter != "auto":
            raise ValueError(
                f"max_iter must be 'auto' or an integer of at least 1; got {max_iter!r}."
            )
        steps = self.passes * n_samples // min(batch_size, n_samples)
        return min(max(steps, self.least), self.most)
