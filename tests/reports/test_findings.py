"""Rules, on numbers that were worked out by hand: just enough, and just too little."""

import math

import numpy as np
import pytest

from vqssl.reports._data_findings import (
    constant_channels,
    duplicates,
    imbalance,
    leaks,
    missing_values,
    shifted_level,
)
from vqssl.reports._findings import counted, interval, percent, short
from vqssl.reports._generation_findings import (
    distance_over_floor,
    ignorant_prior,
    low_coverage,
    memorised,
    more_anomalies,
    prior_by_heart,
    worse_teacher,
    worse_than_interpolation,
)
from vqssl.reports._model_findings import (
    below_baseline,
    confused_classes,
    falling_loss,
    few_tokens,
    inactive_dimensions,
    low_perplexity,
    no_better_than_guessing,
    no_information,
    overfitted,
    risen_loss,
    unused_codes,
    worse_than_neighbours,
)


def decaying(time_constants, n=20):
    """A loss that falls exponentially over so many time constants."""
    return np.exp(-time_constants * np.arange(1, n + 1) / n).tolist()


def answers(*counts):
    """Whether each of four groups of series is right: (both, ours, theirs, neither)."""
    ours = np.repeat([True, True, False, False], counts)
    theirs = np.repeat([True, False, True, False], counts)
    return ours, theirs


# What is found, and words of what is said.
FOUND = {
    "missing": (missing_values(4, 40, "test"), "4 of 40 series in the test set (10%)"),
    "channel": (constant_channels([2]), "Channel 2 has one value"),
    "channels": (constant_channels([0, 2]), "Channels 0, 2 have one value"),
    "one copy": (duplicates(1, 50), "1 of 50 training series is an exact copy of another."),
    "copies": (duplicates(3, 50), "3 of 50 training series are exact copies of others."),
    "leak": (leaks(2, 150), "2 of 150 test series are in the training set"),
    "imbalance": (imbalance({"a": 100, "b": 10}), "Who always says a is right for 91% of them."),
    "level": (shifted_level(-0.6, 0.1), "lie below the training series"),
    "falling": (falling_loss(decaying(2), 100, 100, "VAE"), "The loss of VAE was still falling"),
    "risen": (risen_loss([1.0, 0.5, 1.5, 2.0, 2.0], "VAE"), "rose from 1.00 to 2.00"),
    "overfit": (
        overfitted(np.linspace(0.9, 1.1, 50), np.linspace(2.4, 2.6, 50)),
        "the mean squared error is 2.50 on test series, 1.00 on training series",
    ),
    "baseline": (
        below_baseline(0.9, 0.95, "3 principal components", "."),
        "90% of the variation survives; 3 principal components keep 95%.",
    ),
    "unused": (unused_codes(52, 64, 10_000, "codes", "n_codes"), "12 of 64 codes are unused."),
    "collapsed": (
        unused_codes(1, 8, 1000, "coarse codes", "n_codes"),
        "7 of 8 coarse codes are unused: all series have the same code everywhere.",
    ),
    "few tokens": (few_tokens(64, 127, "codes"), "have 127 tokens for 64 codes"),
    "perplexity": (low_perplexity(4.9, 10, "codes"), "only as varied as 4.9 equally frequent ones"),
    "inactive": (inactive_dimensions(4, 10), "6 of 10 dimensions of the latent are not in use"),
    "none active": (inactive_dimensions(0, 10), "None of the 10 dimensions"),
    "no information": (no_information([0.0]), "The encoder tells nothing"),
    "no information of one": (no_information([0.3, -0.1]), "Modules 1 tell nothing"),
    # Wilson's interval of 55 of 100 begins at .452.
    "guessing": (no_better_than_guessing(55, 100, 0.5, "SVC"), "SVC is right for 55% of 100 "),
    # Ten of ten: p = 2^-10.
    "neighbours": (worse_than_neighbours(*answers(80, 0, 10, 10), "SVC"), "is right for 90%, SVC "),
    "distance": (distance_over_floor(1.0, 0.4, 0.6), "The prior is what costs most"),
    "distance of codes": (distance_over_floor(1.0, 0.4, 0.8), "The codes are what costs most"),
    "distance without codes": (distance_over_floor(1.0, 0.4, None), "Raise max_iter, or"),
    "coverage": (low_coverage(0.5, 0.95, 100), "50% of the test series have a drawn series near"),
    "memorised": (memorised(0.5), "at 0.500 of the distance that new real series have"),
    # Three standard errors are .137.
    "teacher": (worse_teacher(0.8, 0.95, 100), "is right for 80% of the test series"),
    "by heart": (prior_by_heart(1.0, 2.5, 4.0), "1.00 nats per token on them, 2.50 on test"),
    "ignorant": (ignorant_prior(2.5, math.exp(2.4)), "their frequencies alone give 2.40"),
    "gaps": (worse_than_interpolation(0.6, 0.5, "a straight line"), "a straight line by 0.500"),
    # Wilson's interval of 30 of 100 begins at .219.
    "anomalies": (more_anomalies(30, 100, 0.1), "30% of the test series are taken for anomalies"),
}

NOT_FOUND = {
    "missing": missing_values(0, 40, "test"),
    "channels": constant_channels([]),
    "copies": duplicates(0, 50),
    "leak": leaks(0, 150),
    "imbalance": imbalance({"a": 99, "b": 10}),
    "one class": imbalance({"a": 99}),
    "level that is small": shifted_level(0.4, 0.01),
    "level that is unsure": shifted_level(0.6, 0.3),
    "level of nothing": shifted_level(math.nan, math.nan),
    "falling, but slowly": falling_loss(decaying(6), 100, 100, "VAE"),
    "falling, but stopped": falling_loss(decaying(2), 60, 100, "VAE"),
    "falling, of few periods": falling_loss([3.0, 2.0, 1.0], 3, 3, "VAE"),
    "falling by chance": falling_loss([2.0] + [1.0, 1.5] * 10, 21, 21, "VAE"),
    "risen": risen_loss([1.0, 0.5, 0.9, 1.1, 0.9], "VAE"),
    "overfit, a little": overfitted(np.linspace(0.9, 1.1, 50), np.linspace(1.8, 2.0, 50)),
    "overfit of one series": overfitted(np.ones(50), np.r_[np.ones(49), 80.0]),
    "overfit of nothing": overfitted(np.zeros(5), np.zeros(5)),
    "baseline": below_baseline(0.95, 0.95, "x", "."),
    "unused, a few": unused_codes(58, 64, 10_000, "codes", "n_codes"),
    # 64 tokens leave out 23.4 of 64 codes by chance.
    "unused by chance": unused_codes(36, 64, 64, "codes", "n_codes"),
    "few tokens": few_tokens(64, 128, "codes"),
    "perplexity": low_perplexity(5.0, 10, "codes"),
    "perplexity of few codes": low_perplexity(1.0, 3, "codes"),
    "inactive": inactive_dimensions(10, 10),
    "no information": no_information([0.3, 0.1]),
    # Begins at .552.
    "guessing": no_better_than_guessing(65, 100, 0.5, "SVC"),
    "all right": no_better_than_guessing(20, 20, 0.95, "SVC"),
    "a single class": no_better_than_guessing(9, 10, 1.0, "SVC"),
    # Four of four: p = 2^-4.
    "neighbours": worse_than_neighbours(*answers(80, 0, 4, 16), "SVC"),
    "neighbours that agree": worse_than_neighbours(*answers(8, 0, 0, 2), "SVC"),
    "distance": distance_over_floor(1.0, 0.5, 0.8),
    "coverage, a little": low_coverage(0.9, 0.95, 100_000),
    "coverage of few": low_coverage(0.8, 0.95, 20),
    "memorised": memorised(0.51),
    "memorised, unknown": memorised(math.nan),
    "teacher": worse_teacher(0.8, 0.95, 50),
    "by heart": prior_by_heart(1.0, 2.4, 4.0),
    "ignorant": ignorant_prior(2.5, math.exp(2.6)),
    "gaps": worse_than_interpolation(0.5, 0.5, "a straight line"),
    # Begins at .175.
    "anomalies": more_anomalies(25, 100, 0.1),
}


@pytest.mark.parametrize("case", FOUND)
def test_what_is_wrong_is_found_and_said_with_its_numbers(case):
    finding, words = FOUND[case]
    assert finding is not None
    assert words in f"{finding.what} {finding.advice}"
    for sentence in (finding.what, finding.advice):
        assert sentence[0].isupper() or sentence[0].isdigit() or sentence == "."
        assert sentence.endswith(".")


@pytest.mark.parametrize("case", NOT_FOUND)
def test_what_is_right_or_may_be_chance_is_not_found(case):
    assert NOT_FOUND[case] is None


def test_unused_codes_come_with_a_smaller_codebook():
    def advice(n_used, option):
        return unused_codes(n_used, 64, 10_000, "codes", option).advice

    assert advice(52, "n_codes") == "Consider n_codes=48."
    assert advice(11, "n_codes") == "Consider n_codes=11."
    assert advice(52, "") == "Consider fewer codes."


def test_confused_classes_are_the_three_most_confused_of_those_that_surely_are():
    # Wilson's interval of 3 of 10 begins at .108, that of 2 of 10 at .057.
    table = np.array([[7, 3, 0], [2, 8, 0], [5, 5, 0]])
    found = confused_classes(table, ["a", "b", "c"])
    assert [finding.what for finding in found] == [
        "5 of 10 series of class c are taken for class b (50%).",
        "5 of 10 series of class c are taken for class a (50%).",
        "3 of 10 series of class a are taken for class b (30%).",
    ]
    assert confused_classes(np.diag([10, 10]), ["a", "b"]) == []


def test_the_interval_is_that_of_wilson():
    assert interval(3, 10) == pytest.approx((0.1078, 0.6032), abs=1e-4)
    assert interval(0, 10)[0] == pytest.approx(0, abs=1e-12)


def test_numbers_are_written_for_readers():
    shares = (0, 0.004, 0.005, 0.5, 0.996, 1, -0.2)
    assert [percent(share) for share in shares] == [
        "0%", "less than 1%", "less than 1%", "50%", "more than 99%", "100%", "-20%",
    ]  # fmt: skip
    values = (0, 0.0123, 1.234, 12.34, 1234.5, 0.00001, math.nan, math.inf, -math.inf)
    assert [short(value) for value in values] == [
        "0.00", "0.012", "1.23", "12.3", "1,234", "1.00e-05", "not defined", "infinite",
        "minus infinity",
    ]  # fmt: skip
    numbers = [(1, "code"), (2, "code"), (1200, "series"), (2, "class"), (1, "test series")]
    assert [counted(*pair) for pair in numbers] == [
        "1 code", "2 codes", "1,200 series", "2 classes", "1 test series",
    ]  # fmt: skip
