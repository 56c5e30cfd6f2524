"""What a fit shows while it runs: a bar of its steps, or a line per period."""

from collections.abc import Mapping
from typing import Any

from tqdm.auto import tqdm

# A figure, or several as text.
Figure = float | str


class Bar:
    """A bar with steps, time left and the figures that matter, on stderr or in a notebook.

    Parameters
    ----------
    title : str
        What is fitted.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar: Any = None

    def begin(self, step: int, n_steps: int) -> None:
        """Show the bar, if it is not there yet; steps before `step` say nothing of the speed."""
        if self.bar is None:
            self.bar = tqdm(total=n_steps, initial=step, desc=self.title, unit="step")

    def advance(self, step: int) -> None:
        """Move to a step, which costs little and reads nothing from the device."""
        self.bar.update(step - self.bar.n)

    def report(
        self, step: int, headline: Mapping[str, Figure], figures: Mapping[str, Figure]
    ) -> None:
        """Show the `headline` of a period; `figures` are all there are."""
        self.bar.set_postfix({name: as_text(f) for name, f in headline.items()}, refresh=False)
        self.advance(step)

    def close(self) -> None:
        """Leave the bar as it is; a second time does nothing."""
        if self.bar is not None:
            self.bar.close()


class Lines:
    """A line per period with all figures, on stdout.

    Parameters
    ----------
    title : str
        What is fitted.
    """

    def __init__(self, title: str) -> None:
        self.title = title

    def begin(self, step: int, n_steps: int) -> None:
        self.n_steps = n_steps

    def advance(self, step: int) -> None:
        """Say nothing between two periods."""

    def report(
        self, step: int, headline: Mapping[str, Figure], figures: Mapping[str, Figure]
    ) -> None:
        """Print the `figures` of a period; `headline` has the most important ones."""
        values = ", ".join(f"{name} {as_text(figure)}" for name, figure in figures.items())
        print(f"[{self.title}] step {step}/{self.n_steps}: {values}", flush=True)

    def close(self) -> None:
        """There is nothing to leave."""


class Silence:
    """Nothing: the display of a process whose figures another one shows."""

    def begin(self, step: int, n_steps: int) -> None:
        """Show nothing."""

    def advance(self, step: int) -> None:
        """Show nothing."""

    def report(
        self, step: int, headline: Mapping[str, Figure], figures: Mapping[str, Figure]
    ) -> None:
        """Show nothing."""

    def close(self) -> None:
        """There is nothing to leave."""


Display = Bar | Lines | Silence


def as_text(figure: Figure) -> str:
    """A figure with four digits."""
    return figure if isinstance(figure, str) else f"{figure:.4g}"
