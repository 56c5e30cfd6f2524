"""Findings: what a report noticed, as a sentence with its numbers and one on what to do.

Rules are functions from numbers to a finding, or to None where there is nothing to say. Each
says in its docstring where its threshold comes from.
"""

import math
from typing import NamedTuple

from scipy.stats import binomtest


class Finding(NamedTuple):
    """What a rule found."""

    what: str  # a sentence, with numbers
    advice: str  # a sentence: what to do
    is_problem: bool = True  # else something to know


def interval(n_right: int, n: int) -> tuple[float, float]:
    """95 percent confidence interval of a share (Wilson 1927)."""
    found = binomtest(n_right, n).proportion_ci(0.95, "wilson")
    return float(found.low), float(found.high)


def percent(share: float) -> str:
    """A share as a whole number of percent; 0 and 100 are exact."""
    text = f"{share:.0%}"
    if text == "0%" and share > 0:
        return "less than 1%"
    if text == "100%" and share < 1:
        return "more than 99%"
    return text


def counted(n: int, noun: str) -> str:
    """A number and a noun in its plural where it needs one: "1 code", "1,200 series"."""
    if n == 1 or noun.endswith("series"):
        return f"{n:,} {noun}"
    return f"{n:,} {noun}{'es' if noun.endswith('s') else 's'}"


def is_or_are(n: int) -> str:
    """The verb after a number."""
    return "is" if n == 1 else "are"


def short(value: float) -> str:
    """A number in at most three digits, as far as they say something."""
    if not math.isfinite(value):
        return "infinite" if value > 0 else "minus infinity" if value < 0 else "not defined"
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.2e}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits if abs(value) >= 1 or value == 0 else 3}f}"
