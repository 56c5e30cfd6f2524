"""Draws of series that keep the shares of the classes, decided by a seed."""

import numpy as np


def places_within_class(y: np.ndarray, seed: int) -> np.ndarray:
    """For each series its place in a random order of its class, from 0; shape (n,)."""
    order = np.random.default_rng(seed).permutation(len(y))
    places = np.empty(len(y), dtype=np.int64)
    for label in np.unique(y):
        members = order[y[order] == label]
        places[members] = np.arange(len(members))
    return places


def labelled(y: np.ndarray, per_class: int | None, seed: int) -> np.ndarray:
    """Places of `per_class` series of each class, or of all of a class that has fewer.

    More labels of the same seed contain the fewer, and every method gets the same.
    """
    if per_class is None:
        return np.arange(len(y))
    return np.flatnonzero(places_within_class(y, seed) < per_class)


def at_most(y: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """Places of at most `limit` series, stratified; two of each class where it has them."""
    if len(y) <= limit:
        return np.arange(len(y))
    places = places_within_class(y, seed)
    sizes = np.unique(y, return_counts=True)[1][np.unique(y, return_inverse=True)[1]]
    share = np.where(places < 2, -1.0, places / sizes)
    return np.sort(np.argsort(share, kind="stable")[:limit])


def rarest(y: np.ndarray) -> int:
    """Number of series of the smallest class."""
    return int(np.unique(y, return_counts=True)[1].min())
