"""What the Gaussian posteriors of a VAE say: its KL, units in use, and how they depend."""

from typing import Any, Literal, overload

import numpy as np
from sklearn.utils import check_random_state

from vqssl._validation import check_weight
from vqssl.metrics._checks import check_features
from vqssl.metrics._labelled import N_SHUFFLES, varying


def kl_divergence(mean: Any, variance: Any) -> np.ndarray:
    """KL divergence of Gaussians with diagonal covariance from the standard normal.

    Parameters
    ----------
    mean : array-like of shape (n, d)
        Means mu of the posteriors of n series.
    variance : array-like of shape (n, d)
        Their variances s^2, above 0. Not standard deviations, not logarithms.

    Returns
    -------
    divergence : ndarray of shape (n, d), float64
        KL(N(mu, s^2) || N(0, 1)) in nats, at least 0, for each series and dimension, neither
        summed nor averaged.

    Raises
    ------
    ValueError
        If the arrays have no two axes or different shapes, hold anything but finite numbers,
        or a variance is not above 0.

    See Also
    --------
    active_units : Dimensions that carry something.

    Notes
    -----
    (mu^2 + s^2 - 1 - log s^2) / 2. Dimensions are independent, so their sum is the KL of the
    whole posterior, and ``kl_divergence(mean, variance).sum(axis=1).mean()`` is the KL term of a
    VAE [1]_ with beta = 1. The mean over series alone says what each dimension costs.

    References
    ----------
    .. [1] D. P. Kingma, M. Welling. "Auto-Encoding Variational Bayes." ICLR 2014.
       arXiv:1312.6114.

    Examples
    --------
    The second dimension is as the prior and costs nothing:

    >>> from vqssl.metrics import kl_divergence
    >>> kl_divergence([[2.0, 0.0]], [[1.0, 1.0]])
    array([[2., 0.]])
    """
    means, variances = _check_posterior(1, "mean", mean, variance)
    return (np.square(means) + variances - 1 - np.log(variances)) / 2


def active_units(mean: Any, threshold: float = 0.01) -> int:
    """Count the dimensions whose posterior mean depends on the series.

    Parameters
    ----------
    mean : array-like of shape (n, d)
        Posterior means of n series, n >= 2.
    threshold : float, default=0.01
        Variance of the mean above which a dimension is active, where the prior has a variance
        of 1.

    Returns
    -------
    n_active : int
        In [0, d].

    Raises
    ------
    ValueError
        If `mean` has another number of axes, fewer than 2 rows, or holds anything but finite
        numbers; if `threshold` is negative.
    TypeError
        If `threshold` is no real number.

    See Also
    --------
    kl_divergence : What each dimension costs.

    Notes
    -----
    Dimensions j with Var_x(mu_j(x)) > threshold [1]_. The variance divides by n.

    References
    ----------
    .. [1] Y. Burda, R. Grosse, R. Salakhutdinov. "Importance Weighted Autoencoders." ICLR
       2016. arXiv:1509.00519.

    Examples
    --------
    >>> from vqssl.metrics import active_units
    >>> active_units([[1.0, 0.01], [-1.0, 0.02]])
    1
    """
    threshold = check_weight(threshold, "threshold")
    (means,) = check_features(2, columns="dimensions", mean=mean)
    return int((means.var(axis=0) > threshold).sum())


def gaussian_total_correlation(covariance: np.ndarray) -> float:
    """Total correlation of a Gaussian.

    Parameters
    ----------
    covariance : ndarray of shape (d, d)
        Symmetric, with a diagonal above 0.

    Returns
    -------
    correlation : float
        -1/2 log det of the correlation matrix in nats, at least 0; inf where it is singular.
    """
    deviation = np.sqrt(np.diag(covariance))
    values = np.linalg.eigvalsh(covariance / np.outer(deviation, deviation))
    # The trace is d: what is this small is 0 but for rounding.
    if values[0] < 10 * len(values) * np.finfo(np.float64).eps:
        return np.inf
    return max(float(-np.log(values).sum() / 2), 0.0)


@overload
def total_correlation(
    representation: Any,
    *,
    variance: Any = None,
    return_floor: Literal[False] = False,
    random_state: Any = None,
) -> float: ...
@overload
def total_correlation(
    representation: Any,
    *,
    variance: Any = None,
    return_floor: Literal[True],
    random_state: Any = None,
) -> tuple[float, float]: ...
def total_correlation(
    representation: Any,
    *,
    variance: Any = None,
    return_floor: bool = False,
    random_state: Any = None,
) -> float | tuple[float, float]:
    """Say how much the dimensions of a representation depend on one another, linearly.

    Parameters
    ----------
    representation : array-like of shape (n, d)
        Features of n series, such as the posterior means of a VAE. Without `variance` n must
        be above d, with it n >= 2.
    variance : array-like of shape (n, d) or None, default=None
        Posterior variances, above 0. With them this is about the aggregate posterior, the
        mixture of the posteriors of all series; without, about the means alone.
    return_floor : bool, default=False
        Whether to return the value for independent dimensions, too.
    random_state : int, RandomState instance or None, default=None
        Decides the shufflings of the floor; without it, nothing is drawn.

    Returns
    -------
    correlation : float
        In nats, at least 0: 0 where no two dimensions correlate, inf where one is a linear
        function of others.
    floor : float
        The same where each dimension is shuffled by itself, mean over 5 shufflings. Only with
        `return_floor`.

    Raises
    ------
    ValueError
        If the arrays have no two axes or different shapes, too few rows, hold anything but
        finite numbers, or a variance is not above 0.

    Notes
    -----
    1/2 (sum_j log S_jj - log det S), the KL divergence between a Gaussian with covariance S and
    the product of its marginals [1]_. S is the covariance of the means, plus the mean posterior
    variances on the diagonal: the covariance of the aggregate posterior. Its mixture is no
    Gaussian in general, so dimensions that depend without correlating are not found: 0 does not
    mean independent.

    Dimensions that are constant, without `variance`, carry nothing and are left out. The scale
    of a dimension does not matter. For n independent rows and independent dimensions the value
    is about d (d - 1) / (4 n), which is the floor.

    References
    ----------
    .. [1] F. Locatello, S. Bauer, M. Lucic, G. Rätsch, S. Gelly, B. Schölkopf, O. Bachem.
       "Challenging Common Assumptions in the Unsupervised Learning of Disentangled
       Representations." ICML 2019. arXiv:1811.12359.

    Examples
    --------
    Two dimensions that correlate by .8: -1/2 log(1 - .8^2).

    >>> import numpy as np
    >>> from vqssl.metrics import total_correlation
    >>> first, noise = np.random.RandomState(0).standard_normal((2, 1000))
    >>> second = 0.8 * first + 0.6 * noise
    >>> total_correlation(np.stack([first, second], axis=1), return_floor=True, random_state=0)
    (0.508, 0.000)
    """
    n_least = 2
    if variance is None:
        (rows,) = check_features(n_least, columns="dimensions", representation=representation)
        kept = varying(rows)
        added = np.zeros(kept.sum())
        rows = rows[:, kept]
        if len(rows) <= rows.shape[1]:
            raise ValueError(
                f"representation must have more rows than its {rows.shape[1]} dimensions that "
                f"vary; got {len(rows)}."
            )
    else:
        rows, variances = _check_posterior(n_least, "representation", representation, variance)
        added = variances.mean(axis=0)
    generator = check_random_state(random_state)

    def measure(means: np.ndarray) -> float:
        if means.shape[1] < 2:
            return 0.0
        return gaussian_total_correlation(np.cov(means, rowvar=False, bias=True) + np.diag(added))

    found = measure(rows)
    if not return_floor:
        return found
    orders = [generator.random_sample(rows.shape).argsort(axis=0) for _ in range(N_SHUFFLES)]
    floors = [measure(np.take_along_axis(rows, order, axis=0)) for order in orders]
    return found, float(np.mean(floors))


def _check_posterior(
    minimum: int, name: str, mean: Any, variance: Any
) -> tuple[np.ndarray, np.ndarray]:
    means, variances = check_features(
        minimum, columns="dimensions", **{name: mean, "variance": variance}
    )
    if len(means) != len(variances):
        raise ValueError(
            f"variance must have as many rows as {name}, {len(means)}; got {len(variances)}."
        )
    if (variances <= 0).any():
        first = tuple(map(int, np.argwhere(variances <= 0)[0]))
        raise ValueError(f"variance must be above 0; got {variances[first]} at {first}.")
    return means, variances
