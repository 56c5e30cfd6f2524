"""Frechet distance between Gaussians fitted to features (Heusel et al., NeurIPS 2017)."""

from typing import Any, Literal, overload

import numpy as np
from sklearn.utils import check_random_state

from vqssl.metrics._checks import check_features
from vqssl.metrics._halves import random_halves

# Extrapolation: the sets are cut into 1 to 4 parts, three times anew.
N_PARTS = 4
N_PARTITIONS = 3


def gaussian(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and a root R of the covariance of rows, S = R^T R.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Features. One row has a covariance of 0.

    Returns
    -------
    mean : ndarray of shape (d,)
        Mean over the rows.
    root : ndarray of shape (min(n, d), d)
        S divides by n - 1.
    """
    mean = rows.mean(axis=0)
    centred = (rows - mean) / np.sqrt(max(len(rows) - 1, 1))
    # numpy's stubs have a pair here for every mode.
    return mean, np.asarray(np.linalg.qr(centred, mode="r"))


def squared_distance(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Squared Frechet distance of the Gaussians of two sets (Dowson and Landau).

    Parameters
    ----------
    real : ndarray of shape (n, d)
        One set.
    synthetic : ndarray of shape (m, d)
        The other set.

    Returns
    -------
    distance : float
        At least 0.
    """
    mean, root = gaussian(real)
    other_mean, other_root = gaussian(synthetic)
    shift = np.square(mean - other_mean).sum()
    spread = np.square(root).sum() + np.square(other_root).sum()
    # The eigenvalues of S1 S2 are the squared singular values of R1 R2^T.
    overlap = np.linalg.norm(root @ other_root.T, "nuc")
    return max(float(shift + spread - 2 * overlap), 0.0)


def extrapolated(
    real: np.ndarray, synthetic: np.ndarray, generator: np.random.RandomState
) -> float:
    """Squared Frechet distance that infinitely many rows would have (Chong and Forsyth).

    Parameters
    ----------
    real : ndarray of shape (n, d)
        One set.
    synthetic : ndarray of shape (m, d)
        The other set.
    generator : RandomState
        Decides the parts.

    Returns
    -------
    distance : float
        Intercept of the line through the mean distance between parts, by number of parts.
    """

    def parts(rows: np.ndarray, count: int) -> list[np.ndarray]:
        return np.array_split(rows[generator.permutation(len(rows))], count)

    counts = range(1, N_PARTS + 1)
    means = []
    for count in counts:
        distances = [
            squared_distance(*pair)
            for _ in range(N_PARTITIONS)
            for pair in zip(parts(real, count), parts(synthetic, count), strict=True)
        ]
        means.append(np.mean(distances))
    return float(np.polyfit(counts, means, 1)[1])


@overload
def frechet_distance(
    real: Any,
    synthetic: Any,
    *,
    extrapolate: bool = False,
    return_floor: Literal[False] = False,
    random_state: Any = None,
) -> float: ...
@overload
def frechet_distance(
    real: Any,
    synthetic: Any,
    *,
    extrapolate: bool = False,
    return_floor: Literal[True],
    random_state: Any = None,
) -> tuple[float, float]: ...
def frechet_distance(
    real: Any,
    synthetic: Any,
    *,
    extrapolate: bool = False,
    return_floor: bool = False,
    random_state: Any = None,
) -> float | tuple[float, float]:
    """Squared Frechet distance between Gaussians fitted to real and synthetic features.

    On features of the Inception network this is the FID; on raw series or on any other
    features it is as good as they are.

    Parameters
    ----------
    real : array-like of shape (n, d)
        Features of real series.
    synthetic : array-like of shape (m, d)
        Features of synthetic series, from the same network or transformer.
    extrapolate : bool, default=False
        Whether to remove the bias of finite sets, by extrapolation to infinitely many rows.
        `real` and `synthetic` then need 4 (d + 1) rows each, `real` twice as many if
        the floor is asked for.
    return_floor : bool, default=False
        Whether to return the distance between real and real, too.
    random_state : int, RandomState instance or None, default=None
        Decides the parts of the extrapolation and the halves of the floor; without these,
        nothing is drawn.

    Returns
    -------
    distance : float
        In squared units of the features, summed over d. At least 0; with `extrapolate` it may
        be negative.
    floor : float
        Mean distance between two random halves of `real`, over 5 splits. Only with
        `return_floor`.

    Raises
    ------
    ValueError
        If an array has another shape or d than it must, too few rows, or holds anything but
        finite numbers.

    See Also
    --------
    kernel_distance : Has no bias; the better choice for small sets.

    Notes
    -----
    With means m1, m2 and covariances S1, S2 (divided by n - 1; 0 for a single row)::

        d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^{1/2}).

    With R from a QR decomposition of the centred features, S = R^T R, the last trace is the
    sum of the singular values of R1 R2^T. This needs no root of a matrix, holds for fewer rows
    than features, too, and is exact to rounding where covariances are singular; sqrtm and
    eigenvalues are exact to the root of it only.

    **Bias.** Two sets of n rows from the same N(0, I_d) are 2 d / n + d (d + 1) / (2 n) apart
    on average: 2.2 at d = 64 and n = 1,000; 7.4 at n = 300. So compare distances at equal n and
    m only, keep d below 64 or n above 10 d, and state the floor. The halves of the floor have
    n / 2 rows: at n = m the floor is about twice the distance that equality would give.

    **Extrapolation.** The bias falls as 1 / n. Both sets are cut at random into k = 1, 2, 3
    and 4 parts, and the mean distance between parts is extrapolated from k to k = 0, by a
    straight line. The paper draws subsets of the synthetic set alone, because its real set is
    large. A floor is extrapolated in the same way, and is about 0.

    References
    ----------
    .. [1] M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter. "GANs Trained by a
       Two Time-Scale Update Rule Converge to a Local Nash Equilibrium." NeurIPS 2017.
       arXiv:1706.08500.
    .. [2] D. C. Dowson, B. V. Landau. "The Frechet Distance between Multivariate Normal
       Distributions." Journal of Multivariate Analysis 12, 1982.
    .. [3] M. J. Chong, D. Forsyth. "Effectively Unbiased FID and Inception Score and Where to
       Find Them." CVPR 2020. arXiv:1911.07023.

    Examples
    --------
    Means 0 and 3, variances 2 and 8: 3^2 + (sqrt(2) - sqrt(8))^2.

    >>> from vqssl.metrics import frechet_distance
    >>> frechet_distance([[-1.0], [1.0]], [[1.0], [5.0]])
    11.0

    The distance, the floor, and what is left of the distance for infinitely many rows:

    >>> import numpy as np
    >>> real, synthetic = np.random.RandomState(0).standard_normal((2, 1000, 16))
    >>> frechet_distance(real, synthetic, return_floor=True, random_state=0)
    (0.136, 0.341)
    >>> frechet_distance(real, synthetic, extrapolate=True, random_state=0)
    -0.03
    """
    real, synthetic = check_features(1, real=real, synthetic=synthetic)
    generator = check_random_state(random_state)
    if return_floor and len(real) < 2:
        raise ValueError("real must have at least 2 rows for return_floor; got 1.")
    if extrapolate:
        _check_enough(real, "real", 2 if return_floor else 1)
        _check_enough(synthetic, "synthetic", 1)

    def measure(first: np.ndarray, second: np.ndarray) -> float:
        if extrapolate:
            return extrapolated(first, second, generator)
        return squared_distance(first, second)

    distance = measure(real, synthetic)
    if not return_floor:
        return distance
    return distance, float(np.mean([measure(*pair) for pair in random_halves(real, generator)]))


def _check_enough(rows: np.ndarray, name: str, n_sets: int) -> None:
    # The bias is a line in 1 / n only where every part has a covariance of full rank.
    n_rows, n_features = rows.shape
    needed = n_sets * N_PARTS * (n_features + 1)
    if n_rows < needed:
        raise ValueError(
            f"{name} must have at least {needed} rows of {n_features} features for extrapolate; "
            f"got {n_rows}. Use fewer features, or kernel_distance, which has no bias."
        )
