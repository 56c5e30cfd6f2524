"""Two systems on the sets they share, and many on the sets they all share.

Accuracies that differ by at most .0005 count as equal: published ones have three decimals.

References
----------
J. Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 2006.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import friedmanchisquare, rankdata, studentized_range, wilcoxon

from probe_rows.systems import System

EQUAL = 0.0005 + 1e-9
LEVEL = 0.05


@dataclass(frozen=True)
class Pair:
    """One system against another."""

    n_sets: int
    means: tuple[float, float]
    wins: int
    ties: int
    losses: int
    p: float  # Wilcoxon, two-sided


def compare(one: System, other: System) -> Pair | None:
    """On the sets that both have; None where there are none."""
    names = [name for name in one.accuracy if name in other.accuracy]
    if not names:
        return None
    a, b = one.on(names), other.on(names)
    difference = np.where(np.abs(a - b) <= EQUAL, 0.0, a - b)
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
    # Ranks of equal sets are shared by both sides, as Demsar does.
    p = float(wilcoxon(difference, zero_method="zsplit").pvalue) if wins + losses else 1.0
    return Pair(
        len(names), (float(a.mean()), float(b.mean())), wins, len(names) - wins - losses, losses, p
    )


@dataclass(frozen=True)
class Ranking:
    """Average ranks over sets, 1 being the best, and when two are critically different."""

    names: list[str]  # best first
    ranks: np.ndarray
    n_sets: int
    friedman_p: float
    critical_difference: float

    def cliques(self) -> list[tuple[int, int]]:
        """First and last places of the longest runs within the critical difference."""
        found: list[tuple[int, int]] = []
        for first in range(len(self.ranks)):
            within = self.ranks <= self.ranks[first] + self.critical_difference
            last = int(np.flatnonzero(within)[-1])
            if last > first and (not found or last > found[-1][1]):
                found.append((first, last))
        return found


def rank(systems: list[System], names: list[str]) -> Ranking:
    """Ranks of at least three systems on the sets `names`, which all must have."""
    accuracy = np.stack([system.on(names) for system in systems])  # (k, N)
    rounded = np.round(accuracy, 3)
    ranks = rankdata(-rounded, axis=0).mean(1)
    order = np.argsort(ranks, kind="stable")
    k, n = accuracy.shape
    # Nemenyi: the range of k normal variables, over the square root of two.
    q = studentized_range.ppf(1 - LEVEL, k, np.inf) / np.sqrt(2)
    return Ranking(
        [systems[i].name for i in order],
        ranks[order],
        n,
        # Where all are equal everywhere there is nothing to rank.
        float(friedmanchisquare(*rounded).pvalue) if np.ptp(rounded, axis=0).any() else 1.0,
        float(q * np.sqrt(k * (k + 1) / (6 * n))),
    )


# Systems that have fewer of the sets would leave too few for the others.
LEAST_SHARE = 0.8


def comparable(systems: list[System]) -> tuple[list[System], list[str]]:
    """Systems with most of the sets, and the sets that those all have."""
    most = max(len(system.accuracy) for system in systems)
    kept = [system for system in systems if len(system.accuracy) >= LEAST_SHARE * most]
    names = [name for name in kept[0].accuracy if all(name in s.accuracy for s in kept)]
    return kept, names
