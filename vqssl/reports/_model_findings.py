"""Rules about training, codes, latents, reconstruction and classes."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from vqssl.reports._findings import Finding, counted, interval, is_or_are, percent, short

# Training ------------------------------------------------------------------------------------


def falling_loss(loss: Sequence[float], n_iter: int, max_iter: int, name: str) -> Finding | None:
    """A loss that still fell in the last fifth of training.

    Parameters
    ----------
    loss : sequence of float
        Means over equal periods.
    n_iter, max_iter : int
        Steps taken and allowed; training that stopped early has judged by itself.
    name : str
        Class of what was trained.

    Notes
    -----
    The fall from the fourth to the last fifth must be more than 5 percent of the fall since the
    start: for a loss that falls exponentially this means that training took less than three time
    constants, exp(-3) = 5 percent of the way being still to come. It must also be more than two
    standard errors, from the scatter within the fifths.
    """
    fifth = len(loss) // 5
    if fifth < 2 or n_iter < max_iter:
        return None
    before, last = (np.asarray(part) for part in (loss[-2 * fifth : -fifth], loss[-fifth:]))
    fall = before.mean() - last.mean()
    error = math.sqrt((before.var(ddof=1) + last.var(ddof=1)) / fifth)
    if not fall > max(0.05 * (loss[0] - last.mean()), 2 * error):
        return None
    return Finding(
        f"The loss of {name} was still falling at the end: from {short(before.mean())} to "
        f"{short(last.mean())} over the last fifth of {max_iter:,} steps.",
        f"Raise max_iter, for instance to {2 * max_iter:,}.",
    )


def risen_loss(loss: Sequence[float], name: str) -> Finding | None:
    """A loss that ended above its start, by the mean of the last fifth: nothing was learned."""
    last = float(np.mean(loss[-max(1, len(loss) // 5) :]))
    if len(loss) < 2 or last <= loss[0]:
        return None
    return Finding(
        f"The loss of {name} rose from {short(loss[0])} to {short(last)}.",
        "Lower lr, or look at the terms of the loss in the picture of training.",
    )


# Reconstruction -------------------------------------------------------------------------------


def overfitted(train: np.ndarray, test: np.ndarray) -> Finding | None:
    """Reconstruction that is worse on test than on training series.

    Parameters
    ----------
    train, test : ndarray of shape (n,)
        Mean squared errors of series.

    Notes
    -----
    Twice the error or more: half of what goes wrong with a new series goes right with one that
    was trained on, so it is learned by heart, not in general. And by more than three standard
    errors of the difference of the means, which few series with large errors do not reach.
    """
    if min(len(train), len(test)) < 2 or train.mean() == 0:
        return None
    gap = test.mean() - train.mean()
    error = math.sqrt(train.var(ddof=1) / len(train) + test.var(ddof=1) / len(test))
    if test.mean() < 2 * train.mean() or gap <= 3 * error:
        return None
    return Finding(
        f"Reconstruction is worse on new series: the mean squared error is {short(test.mean())} "
        f"on test series, {short(train.mean())} on training series.",
        "Train on more series, take fewer steps, or set validation_fraction=0.1.",
    )


def below_baseline(score: float, baseline: float, name: str, advice: str) -> Finding | None:
    """Less of the variation kept than by a simple method with as many bits, or numbers.

    No margin: both are exact for the series they were computed on. It is a note, as variation is
    not all that codes are for.
    """
    if score >= baseline:
        return None
    return Finding(
        f"{percent(max(score, 0.0))} of the variation survives; {name} "
        f"{'keeps' if name.startswith('1 ') else 'keep'} {percent(baseline)}.",
        advice,
        is_problem=False,
    )


# Codes and latents ----------------------------------------------------------------------------


def unused_codes(
    n_used: int, n_codes: int, n_tokens: int, noun: str, option: str
) -> Finding | None:
    """Codes that no training series has.

    Parameters
    ----------
    n_used, n_codes : int
        Codes that occur, and all.
    n_tokens : int
        Tokens that were counted, of all series.
    noun : str
        What they are called: "codes", or the name of a group.
    option : str
        Name of the parameter that sets their number.

    Notes
    -----
    A tenth of the codebook, beyond what is left out by chance: of K equally frequent codes n
    tokens miss K (1 - 1/K)^n. Up to a tenth costs .15 bits a token at most, log2(1 / .9).
    """
    n_unused = n_codes - n_used
    by_chance = n_codes * (1 - 1 / n_codes) ** n_tokens
    if n_unused - by_chance < 0.1 * n_codes:
        return None
    what = f"{n_unused} of {n_codes} {noun} {is_or_are(n_unused)} unused"
    if n_used == 1:
        return Finding(
            f"{what}: all series have the same code everywhere.",
            "Lower lr, or raise the deviation of the input with scaling='dataset'.",
        )
    fewer = n_used // 8 * 8 if n_used >= 16 else n_used
    advice = f"Consider {option}={fewer}." if option else "Consider fewer codes."
    return Finding(f"{what}.", advice)


def few_tokens(n_codes: int, n_tokens: int, noun: str) -> Finding | None:
    """Fewer tokens in the training set than twice the codes.

    Of K equally frequent codes 2 K tokens leave out exp(-2), one in seven, and each of the
    others is seen twice in the mean: vectors of codes are then single latents.
    """
    if n_tokens >= 2 * n_codes:
        return None
    return Finding(
        f"The training series have {n_tokens:,} tokens for {n_codes} {noun}: most codes "
        "stand for one or two places.",
        "Take fewer codes, or more series.",
    )


def low_perplexity(perplexity: float, n_used: int, noun: str) -> Finding | None:
    """Codes that occur, but most of them rarely: a perplexity below half their number.

    Then a token holds at least one bit less than it could, log2(n_used / perplexity) >= 1.
    """
    if n_used < 4 or perplexity >= n_used / 2:
        return None
    return Finding(
        f"{n_used} {noun} occur, but only as varied as {perplexity:.1f} equally frequent "
        "ones (perplexity): a few codes make up most tokens.",
        "Long flat stretches do that; if yours have none, try the default quantizer, "
        "EMAQuantizer, with a higher reset_threshold.",
        is_problem=False,
    )


def inactive_dimensions(n_active: int, n_dims: int) -> Finding | None:
    """Dimensions of a VAE that are not in use, by the count of the VAE itself; any."""
    n_idle = n_dims - n_active
    if n_idle == 0:
        return None
    if n_active == 0:
        return Finding(
            f"None of the {n_dims} dimensions of the latent tells anything of a series.",
            "Lower beta, or set a smaller noise: the KL outweighs the reconstruction.",
        )
    return Finding(
        f"{n_idle} of {n_dims} dimensions of the latent {is_or_are(n_idle)} not in use: their "
        "means vary by less than .01.",
        f"Consider latent_dim={n_active}; a lower beta would use more of them.",
        is_problem=False,
    )


def no_information(nats: Sequence[float]) -> Finding | None:
    """An encoder whose bound of the information about future frames is not above 0."""
    idle = [i for i, bound in enumerate(nats) if bound <= 0]
    if not idle:
        return None
    which = "The encoder tells" if len(nats) == 1 else f"Modules {', '.join(map(str, idle))} tell"
    return Finding(
        f"{which} nothing of the frames to come: the bound is not above 0 nats.",
        "Raise max_iter or lower lr; a beta above 0 may be too large.",
    )


# Classes --------------------------------------------------------------------------------------


def no_better_than_guessing(n_right: int, n: int, majority: float, name: str) -> Finding | None:
    """A classifier whose accuracy may be that of the largest class (95 percent interval)."""
    # One class, or no error among few: nothing is known against it.
    if majority == 1 or n_right == n or interval(n_right, n)[0] > majority:
        return None
    return Finding(
        f"{name} is right for {percent(n_right / n)} of {n:,} series; guessing the largest class "
        f"would be for {percent(majority)}.",
        "The features do not tell these classes apart: train longer, or try SSLVQTokenizer.",
    )


def worse_than_neighbours(
    is_right: np.ndarray, neighbour_is_right: np.ndarray, name: str
) -> Finding | None:
    """A classifier that the nearest neighbour on raw series beats.

    Parameters
    ----------
    is_right, neighbour_is_right : ndarray of bool of shape (n,)
        Whether each takes a series for what it is.
    name : str
        Of the classifier.

    Notes
    -----
    McNemar's test, exact: among the series that only one of them gets right, the neighbour has
    more than chance gives (p < .05, one-sided).
    """
    wins = int((neighbour_is_right & ~is_right).sum())
    n = wins + int((is_right & ~neighbour_is_right).sum())
    if n == 0 or binomtest(wins, n, alternative="greater").pvalue >= 0.05:
        return None
    return Finding(
        f"The nearest neighbour on raw series is right for {percent(neighbour_is_right.mean())}, "
        f"{name} for {percent(is_right.mean())}.",
        "What tells classes apart gets lost: train longer, lower compression, or try "
        "SSLVQTokenizer or output='latent'.",
    )


def confused_classes(table: np.ndarray, labels: Sequence[str]) -> list[Finding]:
    """Pairs of classes of which the first is often taken for the second, three at most.

    Parameters
    ----------
    table : ndarray of shape (n_classes, n_classes)
        Counts; rows are true classes.
    labels : sequence of str
        Their names.

    Notes
    -----
    A pair counts where surely more than one in ten of a class is taken for the other: where the
    lower end of the 95 percent interval of the share is above .1. Three of ten do, two do not.
    """
    sizes = table.sum(1)
    pairs = [
        (table[i, j] / sizes[i], i, j)
        for i, j in zip(*np.nonzero(table), strict=True)
        if i != j and interval(int(table[i, j]), int(sizes[i]))[0] > 0.1
    ]
    return [
        Finding(
            f"{table[i, j]:,} of {counted(int(sizes[i]), 'series')} of class {labels[i]} "
            f"{is_or_are(int(table[i, j]))} taken for class {labels[j]} ({percent(share)}).",
            "Look at both classes in the pictures: what differs may be too fine for the model.",
        )
        for share, i, j in sorted(pairs, reverse=True)[:3]
    ]
