"""Rules about the series themselves."""

import math
from collections.abc import Mapping, Sequence

from vqssl.reports._findings import Finding, counted, is_or_are, percent

# Ratio of the largest to the smallest class: of two classes the larger one alone is then right
# in ten of eleven cases, so that accuracy says little.
_IMBALANCE = 10


def missing_values(n_with: int, n: int, name: str) -> Finding | None:
    """Any series with gaps: the estimators take none, so the report leaves them out."""
    if n_with == 0:
        return None
    return Finding(
        f"{n_with:,} of {counted(n, 'series')} in the {name} set ({percent(n_with / n)}) have "
        "missing values and were left out of this report.",
        "Interpolate them, or fill the gaps with MaskGITGenerator.impute.",
    )


def constant_channels(channels: Sequence[int]) -> Finding | None:
    """Channels in which all training series have one value: nothing can be learned of them."""
    if not channels:
        return None
    names = ", ".join(map(str, channels))
    one = len(channels) == 1
    return Finding(
        f"Channel{'' if one else 's'} {names} {'has' if one else 'have'} one value in all "
        "training series.",
        f"Leave {'it' if one else 'them'} out: there is nothing to learn.",
    )


def duplicates(n_copies: int, n: int) -> Finding | None:
    """Exact copies in the training set: rare by chance in real numbers, so any count tells."""
    if n_copies == 0:
        return None
    what = "is an exact copy of another" if n_copies == 1 else "are exact copies of others"
    return Finding(
        f"{n_copies:,} of {counted(n, 'training series')} {what}.",
        "Remove them, or know that they count more than once.",
        is_problem=False,
    )


def leaks(n_known: int, n_test: int) -> Finding | None:
    """Test series that are in the training set: any makes every figure on it too good."""
    if n_known == 0:
        return None
    return Finding(
        f"{n_known:,} of {counted(n_test, 'test series')} {is_or_are(n_known)} in the training "
        "set, too.",
        "Take them out of one of the sets: all figures on test series are too good.",
    )


def imbalance(counts: Mapping[str, int]) -> Finding | None:
    """A largest class at least ten times as frequent as the smallest one.

    Of two classes in the ratio 10 : 1, guessing the larger one is right in 91 percent.
    """
    if len(counts) < 2:
        return None
    low, high = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[high] < _IMBALANCE * counts[low]:
        return None
    share = counts[high] / sum(counts.values())
    return Finding(
        f"Classes differ in size: {counts[high]:,} training series of {high}, {counts[low]:,} of "
        f"{low}. Who always says {high} is right for {percent(share)} of them.",
        'Look at balanced accuracy; give classifiers class_weight="balanced".',
        is_problem=False,
    )


def shifted_level(gap: float, error: float) -> Finding | None:
    """Test series on another level than the training series.

    Parameters
    ----------
    gap : float
        Difference between the means of the level of a series in the two sets, in deviations of
        single values over the training set.
    error : float
        Standard error of the difference, in the same unit.

    Notes
    -----
    Three standard errors, which chance passes in 3 of 1,000 cases, and half a deviation: from
    there on most values of one set lie on one side of the other's mean (69 percent of a normal
    distribution).
    """
    if not (abs(gap) > 0.5 and abs(gap) > 3 * error and math.isfinite(gap)):
        return None
    return Finding(
        f"Test series lie {'above' if gap > 0 else 'below'} the training series: their mean level "
        f"differs by {abs(gap):.1f} deviations.",
        "Check that both were recorded and scaled alike; the model knows the training level only.",
    )
