"""Rate and distortion of a generator (van den Oord, Li, Vinyals 2017): bits and errors."""

import math
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

# Bits of an uncompressed number.
_FLOAT_BITS = 32


def rate_distortion(generator: Any, X: Any, y: Any = None) -> dict[str, float]:
    """Say how many bits a generator needs for series, and what the codes lose of them.

    Parameters
    ----------
    generator : fitted generator
        With ``score_samples`` and ``tokenizer_``, as the ones in `vqssl.generators`; with
        ``score_groups`` and ``token_groups_`` the rates of groups are told, too.
    X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
        Series of the fitted shape. Held-out ones, for the rate that a code would have.
    y : array-like of shape (n_samples,), default=None
        Classes, which then cost no bits. None asks for the rate without classes.

    Returns
    -------
    figures : dict of str to float
        - ``nats_per_token``: negative log-likelihood of the codes under the prior, mean over
          series and tokens;
        - ``bits_per_series``: the same in bits, sum over the tokens of a series;
        - ``bits_per_point``: the same divided by channels times time points or pixels;
        - ``uniform_bits_per_series``: what codes cost without a prior, the sum over tokens of
          log2 of ``code_sizes_``;
        - ``compression_ratio``: 32 bits per number over ``bits_per_point``;
        - ``mse``: squared error of the reconstruction, mean over all numbers, in squared
          units of `X`;
        - ``normalized_mse``: ``mse`` over the variance of `X` around the mean of each
          channel: 0 is perfect, 1 what these means alone would give;
        - ``nats_per_token_group_0`` and ``bits_per_series_group_0``, then 1 and so on, where
          there are several groups of tokens: what the codes of each group cost given the coarser
          ones, a mean over series and tokens of the group, and a sum over these tokens. The
          bits of the groups add up to ``bits_per_series``.

    Raises
    ------
    NotFittedError
        If `generator` is not fitted.
    ValueError
        If `X` or `y` is not acceptable to the generator.

    Notes
    -----
    The rate is a bound from above on what an entropy coder would need with this prior: exact
    for an autoregressive prior, and in one random order of the tokens for a masked one. Rate
    and distortion belong together: fewer codes lower the one and raise the other. Asked once
    with the training series and once with held-out ones, the two rates tell how far the prior
    has learned its training series by heart.

    References
    ----------
    A. van den Oord, O. Vinyals, K. Kavukcuoglu, "Neural Discrete Representation Learning",
    NeurIPS 2017, section 4. A. Razavi, A. van den Oord, O. Vinyals, "Generating Diverse
    High-Fidelity Images with VQ-VAE-2", NeurIPS 2019, table 1.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import AutoregressiveGenerator, VQTokenizer
    >>> from vqssl.evaluation import rate_distortion
    >>> X = np.sin(np.linspace(0, 6, 40) + np.linspace(0, 3, 20)[:, None])
    >>> tokenizer = VQTokenizer(n_codes=16, max_iter=100)
    >>> generator = AutoregressiveGenerator(tokenizer, max_iter=20, random_state=0).fit(X)
    >>> figures = rate_distortion(generator, X)
    >>> figures["uniform_bits_per_series"]  # 20 tokens of 16 codes
    80.0
    >>> figures["bits_per_series"] < 80
    True
    """
    check_is_fitted(generator)
    tokenizer = generator.tokenizer_
    by_group = nats_by_group(generator, X, y)
    nats = float(by_group.sum())
    n_tokens = len(tokenizer.code_sizes_)
    series = np.asarray(X, dtype=np.float64)
    errors = series - reconstruct(tokenizer, X).reshape(series.shape)
    # Over samples and time or pixels, channel by channel.
    axes = (0, *range(2, series.ndim)) if series.ndim > 2 else (0, 1)
    deviations = series - series.mean(axes, keepdims=True)
    n_points = series[0].size
    bits = nats / math.log(2)
    mse, variance = (float(np.square(values).mean()) for values in (errors, deviations))
    figures = {
        "nats_per_token": nats / n_tokens,
        "bits_per_series": bits,
        "bits_per_point": bits / n_points,
        "uniform_bits_per_series": float(np.log2(tokenizer.code_sizes_).sum()),
        "compression_ratio": _ratio(_FLOAT_BITS * n_points, bits),
        "mse": mse,
        "normalized_mse": _ratio(mse, variance),
    }
    if len(by_group) > 1:
        sizes = [len(range(n_tokens)[group]) for group in generator.token_groups_]
        figures |= group_figures(by_group, sizes)
    return figures


def nats_by_group(generator: Any, X: Any, y: Any) -> np.ndarray:
    """Negative log-likelihood of the codes of each group of tokens, mean over series.

    Returns
    -------
    nats : ndarray of shape (n_groups,), float64
        Of all tokens together, shape (1,), where the generator tells no more.
    """
    if hasattr(generator, "score_groups"):
        scores = generator.score_groups(X, y)
    else:
        scores = np.asarray(generator.score_samples(X, y))[:, None]
    return -scores.mean(0, dtype=np.float64)


def group_figures(by_group: np.ndarray, n_tokens: list[int]) -> dict[str, float]:
    """Nats per token and bits per series of each of several groups."""
    figures = {}
    for i, (nats, n) in enumerate(zip(by_group, n_tokens, strict=True)):
        figures[f"nats_per_token_group_{i}"] = float(nats / n)
        figures[f"bits_per_series_group_{i}"] = float(nats / math.log(2))
    return figures


def reconstruct(tokenizer: Any, X: Any) -> np.ndarray:
    """Return series after encoding and decoding."""
    return np.asarray(tokenizer.decode(tokenizer.encode(X)))


def _ratio(numerator: float, denominator: float) -> float:
    """The quotient; 0 / 0 is 0, and infinity everything else over 0."""
    if denominator == 0:
        return 0.0 if numerator == 0 else math.inf
    return numerator / denominator
