"""How well gaps are filled: one run of missing points in every test series."""

import numpy as np
from sklearn.impute import KNNImputer

SHARE = 0.3
N_DRAWS = 10
# Test series at most, so that large sets do not take all the time.
N_SERIES = 100


def make_gaps(X, seed):
    """Which points are missing, (n, L): `SHARE` of a series in a row, anywhere."""
    n, length = len(X), X.shape[-1]
    width = max(1, round(SHARE * length))
    starts = np.random.default_rng(seed).integers(0, length - width + 1, (n, 1))
    time = np.arange(length)
    return (time >= starts) & (time < starts + width)


def interpolate(X, gaps):
    time = np.arange(X.shape[-1])
    filled = X.copy()
    for series, gap in zip(filled, gaps, strict=True):
        for channel in series:
            channel[gap] = np.interp(time[gap], time[~gap], channel[~gap])
    return filled


def neighbours(X_train, given):
    """What scikit-learn's imputer makes of the five nearest training series."""
    rows, wanted = (X.reshape(len(X), -1) for X in (X_train, given))
    return KNNImputer().fit(rows).transform(wanted).reshape(given.shape)


def gap_figures(generator, X_train, X_test, seed):
    """Root mean squared errors in the gaps of test series (n, C, L).

    The mean is that of the observed points of the series itself, or of the training series at
    that time point, whichever is better: both are what "the mean" is taken for.
    """
    rows = np.random.default_rng(seed).permutation(len(X_test))[:N_SERIES]
    X = X_test[rows]
    gaps = make_gaps(X, seed)
    hidden = np.broadcast_to(gaps[:, None], X.shape)
    given = np.where(hidden, np.nan, X)
    draws = generator.impute(given, n_draws=N_DRAWS, random_state=seed)

    def error(filled):
        return float(np.sqrt(np.square(filled - X)[hidden].mean()))

    own_mean = np.broadcast_to(np.nanmean(given, axis=2, keepdims=True), X.shape)
    time_mean = np.broadcast_to(X_train.mean(0), X.shape)
    return {
        "gap_error": error(draws.mean(0)),
        "gap_error_one_draw": error(draws[0]),
        "gap_error_linear": error(interpolate(X, gaps)),
        "gap_error_mean": min(error(own_mean), error(time_mean)),
        "gap_error_neighbours": error(neighbours(X_train, given)),
    }
