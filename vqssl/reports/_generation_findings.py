"""Rules about drawn series, filled gaps and anomalies."""

import math

from vqssl.reports._findings import Finding, interval, percent, short


def distance_over_floor(fid: float, floor: float, of_codes: float | None) -> Finding | None:
    """A Frechet distance of more than twice its floor.

    The floor is what as many real series score, from their number alone. Beyond twice the floor
    the larger part of the distance is of the drawn series' own making. Where codes by
    themselves, without a prior, make up more than half of that part, they are what to mend.

    Parameters
    ----------
    fid, floor : float
        Distance of drawn series to test series, of training series to test series.
    of_codes : float or None
        The same of training series as they come out of the tokenizer.
    """
    if floor < 0 or fid <= 2 * floor:
        return None
    what = (
        f"Drawn series are {short(fid)} away from test series in the features of a classifier "
        f"(Frechet distance), training series {short(floor)}."
    )
    if of_codes is not None and of_codes - floor > (fid - floor) / 2:
        return Finding(
            f"{what} Training series that only pass through the codes are {short(of_codes)} away.",
            "The codes are what costs most: raise max_iter of the tokenizer, or set "
            "difference_weight=0.5.",
        )
    who = (
        "Raise max_iter" if of_codes is None else "The prior is what costs most: raise its max_iter"
    )
    return Finding(what, f"{who}, or give it more series.")


def low_coverage(coverage: float, floor: float, n: int) -> Finding | None:
    """Kinds of series that are not drawn: a coverage below the floor by more than chance gives.

    Three standard errors of a difference of shares of n series each, and a tenth of the floor,
    as small gaps are sure, too, where n is large.
    """
    error = math.sqrt((coverage * (1 - coverage) + floor * (1 - floor)) / n)
    if coverage >= 0.9 * floor or floor - coverage <= 3 * error:
        return None
    return Finding(
        f"{percent(coverage)} of the test series have a drawn series near them; "
        f"{percent(floor)} have a training series.",
        "Some kinds of series are hardly ever drawn: raise temperature towards 1, lower "
        "guidance_scale, or train the prior longer.",
    )


def memorised(ratio: float) -> Finding | None:
    """Drawn series half as far from the training set as new real series, or nearer.

    The ratio of memorisation is 1 for new series and 0 for copies. Half as far is the middle
    between them: a mixture of as many copies as new series has a ratio of one half.
    """
    if not ratio <= 0.5:
        return None
    return Finding(
        f"Drawn series lie near training series: at {short(ratio)} of the distance that new real "
        "series have to them (0 would be copies).",
        "Train on more series, or set validation_fraction=0.1 so that the prior stops earlier.",
    )


def worse_teacher(drawn: float, real: float, n_test: int) -> Finding | None:
    """A classifier that learns less from drawn than from real series.

    More than three standard errors of the difference of two accuracies on n test series, as if
    they were independent, which is on the safe side: both see the same test series.
    """
    error = math.sqrt((drawn * (1 - drawn) + real * (1 - real)) / n_test)
    if real - drawn <= 3 * error:
        return None
    return Finding(
        f"A classifier that learns from drawn series is right for {percent(drawn)} of the test "
        f"series, one that learns from real ones for {percent(real)}.",
        "Drawn series miss what tells classes apart: raise guidance_scale or max_iter.",
    )


def prior_by_heart(train: float, test: float, uniform: float) -> Finding | None:
    """A prior most of whose knowledge does not hold for new series.

    Parameters
    ----------
    train, test : float
        Nats per token of codes of training and of test series.
    uniform : float
        Nats per token where all codes are alike.

    Notes
    -----
    What it knows is what it saves against `uniform`. Half of that or less is left on test series.
    """
    if uniform <= train or uniform - test > (uniform - train) / 2:
        return None
    return Finding(
        f"The prior knows its training series by heart: {short(train)} nats per token on them, "
        f"{short(test)} on test series; {short(uniform)} is ignorance.",
        "Train it on more series, or set validation_fraction=0.1.",
    )


def ignorant_prior(nats: float, perplexity: float) -> Finding | None:
    """A prior that tells no more than how frequent each code is.

    The logarithm of the perplexity is what codes cost when only their frequencies are known.
    """
    if nats < math.log(perplexity):
        return None
    return Finding(
        f"The prior has not learned which codes go together: {short(nats)} nats per token on "
        f"test series; their frequencies alone give {short(math.log(perplexity))}.",
        "Raise max_iter of the generator.",
    )


def worse_than_interpolation(error: float, baseline: float, name: str) -> Finding | None:
    """Filled gaps with a larger error than that of a line, or of the mean series."""
    if error <= baseline:
        return None
    return Finding(
        f"Filled gaps miss the truth by {short(error)} (root mean squared error), {name} by "
        f"{short(baseline)}.",
        "Train tokenizer and prior longer, or use several draws and their median.",
    )


def more_anomalies(n_below: int, n: int, contamination: float) -> Finding | None:
    """More test series below the threshold than asked for.

    The 95 percent interval of the share lies above twice the `contamination`: more than half of
    what is found is then either truly unusual, or only new.
    """
    if interval(n_below, n)[0] <= 2 * contamination:
        return None
    return Finding(
        f"{percent(n_below / n)} of the test series are taken for anomalies; the threshold was "
        f"set for {percent(contamination)} of series like those it was set on.",
        "If the test series are normal ones, set validation_fraction=0.3: a threshold set on "
        "training series is too high for new ones.",
    )
