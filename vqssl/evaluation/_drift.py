"""Drift: whether the codes of a tokenizer still suit the series that come in."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.special import entr
from sklearn.utils.validation import check_is_fitted

from vqssl._validation import check_series
from vqssl.metrics import perplexity


def drift_report(
    tokenizer: Any, chunks: Iterable[Any], reference: Any = None
) -> dict[str, list[float]]:
    """Say chunk by chunk how well a tokenizer gives series back and which codes it uses.

    Parameters
    ----------
    tokenizer : fitted tokenizer
        With ``encode``, ``decode``, ``code_sizes_`` and ``token_groups_``, as the ones in
        ``vqssl.tokenizers``.
    chunks : iterable of array-like of shape (n_samples, ...)
        Series of the fitted shape, in the order in which they came; one chunk is in memory at a
        time.
    reference : array-like of shape (n_samples, ...), default=None
        Series to compare with, such as held-out ones of the time when `tokenizer` was fitted.
        None is the first chunk.

    Returns
    -------
    figures : dict of str to list of float
        One number for each chunk:

        - ``n_samples``: series in it;
        - ``mse``: squared error of the reconstruction, mean over all numbers, in squared units of
          the series;
        - ``normalized_mse``: ``mse`` over the variance of the chunk around the mean of each
          channel: 0 is perfect, 1 what these means alone would give; NaN where there is no
          variance;
        - ``perplexity``: number of codes that, equally frequent, would have the entropy of those
          that occur, in [1, K];
        - ``unseen``: share of tokens whose code does not occur in the reference, in [0, 1];
        - ``divergence``: Jensen-Shannon divergence between the frequencies of codes in the chunk
          and in the reference, in nats, from 0 to log 2 = 0.693;
        - ``divergence_floor``: the same between the chunk's own series in even and in odd places,
          which differ by chance alone; NaN where there is only one.

        Where there are several groups of tokens, the last four are told of each, as
        ``perplexity_group_0``, ``perplexity_group_1`` and so on.

    Raises
    ------
    NotFittedError
        If `tokenizer` is not fitted.
    ValueError
        If `chunks` are none, a chunk holds no series of the fitted shape, or `reference` does not.

    See Also
    --------
    vqssl.datasets.iter_series : Chunks out of files.

    Notes
    -----
    The divergence of frequencies p and q is H((p + q) / 2) - (H(p) + H(q)) / 2 [1]_. Of counts it
    is above 0 even without drift, by about (K - 1) (1/n + 1/m) / 8 for K codes and n and m
    independent tokens, and by more where the tokens of a series are alike. The floor has that,
    too, for halves of the chunk, and so about twice what a reference of the size of the chunk
    would give: a divergence above it is more than chance.

    Each figure sees other changes. Series that the codebook has no codes for have a larger error;
    a mixture of known kinds in other shares has another divergence alone.

    References
    ----------
    .. [1] J. Lin. "Divergence Measures Based on the Shannon Entropy." IEEE Transactions on
       Information Theory 37, 1991, equation 4.1 with equal weights.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import VQTokenizer
    >>> from vqssl.evaluation import drift_report
    >>> rng = np.random.default_rng(0)
    >>> time = np.linspace(0, 6, 64)
    >>> slow, fast = (np.sin(w * time + rng.uniform(0, 6, (3, 100, 1))) for w in (1, 5))
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=60, random_state=0).fit(slow[0])
    >>> figures = drift_report(tokenizer, [slow[1], slow[2], fast[0]])
    >>> figures["n_samples"]
    [100, 100, 100]
    >>> figures["normalized_mse"][2] > 3 * figures["normalized_mse"][1]
    True
    >>> figures["divergence"][2] > 3 * figures["divergence_floor"][2]
    True
    """
    check_is_fitted(tokenizer)
    groups = [
        slice(*group.indices(len(tokenizer.code_sizes_))) for group in tokenizer.token_groups_
    ]
    sizes = [int(tokenizer.code_sizes_[group].max()) for group in groups]
    known: list[np.ndarray] | None = None
    if reference is not None:
        known = _frequencies(_encode(tokenizer, reference, "reference")[1], groups, sizes)
    rows: list[dict[str, float]] = []
    for chunk in chunks:
        series, codes = _encode(tokenizer, chunk, "chunks")
        known = known or _frequencies(codes, groups, sizes)
        figures = {"n_samples": len(series), **_errors(tokenizer, series, codes)}
        halves = [_frequencies(codes[start::2], groups, sizes) for start in (0, 1)]
        now = _frequencies(codes, groups, sizes)
        for i, group in enumerate(groups):
            end = f"_group_{i}" if len(groups) > 1 else ""
            figures[f"perplexity{end}"] = perplexity(codes[:, group])
            figures[f"unseen{end}"] = float(now[i][known[i] == 0].sum())
            figures[f"divergence{end}"] = _divergence(now[i], known[i])
            figures[f"divergence_floor{end}"] = _divergence(halves[0][i], halves[1][i])
        rows.append(figures)
    if not rows:
        raise ValueError("chunks must hold one array of series or more; got none.")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _encode(tokenizer: Any, X: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return series as an array, and their codes (n, N)."""
    series = np.asarray(X)
    if series.ndim < 2:
        raise ValueError(
            f"{name} must hold series as rows of arrays of 2 axes or more; got an array of shape "
            f"{series.shape}."
        )
    return series, np.asarray(tokenizer.encode(series))


def _errors(tokenizer: Any, series: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    channels = check_series(series, type(tokenizer).__name__).astype(np.float64)  # (n, C, ...)
    errors = channels - np.asarray(tokenizer.decode(codes)).reshape(channels.shape)
    means = channels.mean((0, *range(2, channels.ndim)), keepdims=True)
    mse, variance = float(np.square(errors).mean()), float(np.square(channels - means).mean())
    return {"mse": mse, "normalized_mse": mse / variance if variance > 0 else np.nan}


def _frequencies(codes: np.ndarray, groups: list[slice], sizes: list[int]) -> list[np.ndarray]:
    """Share of every code among the tokens of each group, (K,) each; 0 / 0 is NaN."""
    counts = [
        np.bincount(codes[:, group].ravel(), minlength=size)
        for group, size in zip(groups, sizes, strict=True)
    ]
    with np.errstate(invalid="ignore"):
        return [count / count.sum() for count in counts]


def _divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence in nats; rounding may not make it negative."""
    value = entr((p + q) / 2).sum() - (entr(p).sum() + entr(q).sum()) / 2
    return float(np.maximum(value, 0))
