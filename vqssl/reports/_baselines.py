"""What simple methods make of series, to hold codes and latents against."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA

from vqssl.reports._findings import counted
from vqssl.reports._subject import Subject


class Baseline(NamedTuple):
    """A method, and what it gives back of some series."""

    name: str
    meaning: str
    advice: str  # what to do where it is better
    series: np.ndarray


def baseline_of(subject: Subject, train: np.ndarray, X: np.ndarray) -> Baseline | None:
    """What a simple method with as many bits, or numbers, makes of series `X`.

    Of tokenizers of one channel the mean over each token, rounded to as many levels as there are
    codes; of autoencoders as many principal components as the latent has dimensions. Else None.
    """
    tokenizer = subject.tokenizer
    if tokenizer is not None:
        if X.shape[1] > 1 or not hasattr(tokenizer, "token_spans_"):
            return None
        n_levels = int(np.max(tokenizer.code_sizes_))
        return Baseline(
            f"token means in {n_levels} levels",
            "mean of every token, rounded to as many levels as there are codes; as SAX does",
            "Raise max_iter of the tokenizer, or lower compression.",
            rounded_means(tokenizer, train, X, n_levels),
        )
    if not hasattr(subject.codec, "latent_mean_"):
        return None
    n_dims = len(subject.codec.latent_mean_)
    flat = train.reshape(len(train), -1)
    if n_dims >= len(flat) or n_dims > flat.shape[1]:
        return None
    pca = PCA(n_dims, svd_solver="full").fit(flat)
    back = pca.inverse_transform(pca.transform(X.reshape(len(X), -1)))
    return Baseline(
        counted(n_dims, "principal component"),
        "a linear method with as many numbers a series",
        "Raise max_iter; of a VAE lower beta.",
        back.reshape(X.shape),
    )


def rounded_means(tokenizer: Any, train: np.ndarray, X: np.ndarray, n_levels: int) -> np.ndarray:
    """Means over the tokens of the finest group, rounded to levels (SAX, Lin et al. 2003).

    The levels are equally frequent ranges of the means of training series; each stands for the
    mean of its range.
    """
    known = token_means(tokenizer, train).ravel()
    edges = np.quantile(known, np.arange(1, n_levels) / n_levels)
    place = np.searchsorted(edges, known)
    counts = np.bincount(place, minlength=n_levels)
    levels = np.bincount(place, known, minlength=n_levels) / np.maximum(counts, 1)
    # A range between equal edges holds nothing, so that nothing is rounded to it.
    return levels[np.searchsorted(edges, token_means(tokenizer, X))]


def token_means(tokenizer: Any, X: np.ndarray) -> np.ndarray:
    """Series whose values are means over the time points, or pixels, of each token."""
    finest = list(getattr(tokenizer, "token_groups_", [slice(None)]))[-1]
    means = np.zeros(X.shape)
    for bounds in np.asarray(tokenizer.token_spans_)[finest]:
        place: Any = (..., *(slice(*bounds[i : i + 2]) for i in range(0, len(bounds), 2)))
        means[place] = X[place].mean(tuple(range(2, X.ndim)), keepdims=True)
    return means
