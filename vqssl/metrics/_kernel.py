"""Kernel distance: maximum mean discrepancy (Gretton et al., 2012; Binkowski et al., 2018)."""

from typing import Any, Literal, overload

import numpy as np
from scipy.spatial.distance import pdist, squareform
from sklearn.utils import check_random_state

from vqssl._validation import check_count
from vqssl.metrics._checks import check_features


def polynomial_kernel(rows: np.ndarray) -> np.ndarray:
    """Return (x.y / d + 1)^3 for all pairs of rows.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Features.

    Returns
    -------
    kernel : ndarray of shape (n, n)
        Symmetric.
    """
    base = rows @ rows.T / rows.shape[1] + 1
    return base * base * base  # numpy's power takes ten times as long


def rbf_kernel(rows: np.ndarray) -> np.ndarray:
    """Return exp(-|x - y|^2 / (2 s^2)) for all pairs of rows, s their median distance.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Features. Pairs of equal rows do not count for the median.

    Returns
    -------
    kernel : ndarray of shape (n, n)
        Symmetric, in [0, 1]; 0 on the diagonal, which the estimate leaves out.
    """
    distances = pdist(rows)
    apart = distances[distances > 0]
    scale = np.median(apart) if apart.size else 1.0
    return squareform(np.exp(-np.square(distances / scale) / 2))


KERNELS = {"polynomial": polynomial_kernel, "rbf": rbf_kernel}


def unbiased_mmd(kernel: np.ndarray, is_real: np.ndarray) -> np.ndarray:
    """Unbiased squared MMD for several assignments of rows to two sets (Gretton, eq. 3).

    Parameters
    ----------
    kernel : ndarray of shape (N, N)
        Symmetric, zero on the diagonal.
    is_real : ndarray of shape (N, P), float64
        Columns are assignments: 1 where a row is in the first set, else 0. All columns have
        the same sum.

    Returns
    -------
    mmd : ndarray of shape (P,)
        One for each assignment.
    """
    n = is_real[:, 0].sum()
    m = len(is_real) - n
    row_sums = kernel.sum(axis=1)
    within_real = (is_real * (kernel @ is_real)).sum(axis=0)  # (P,)
    between = row_sums @ is_real - within_real
    within_synthetic = row_sums.sum() - within_real - 2 * between
    return within_real / (n * (n - 1)) + within_synthetic / (m * (m - 1)) - 2 * between / (n * m)


@overload
def kernel_distance(
    real: Any,
    synthetic: Any,
    *,
    kernel: str = "polynomial",
    return_p_value: Literal[False] = False,
    n_permutations: int = 200,
    random_state: Any = None,
) -> float: ...
@overload
def kernel_distance(
    real: Any,
    synthetic: Any,
    *,
    kernel: str = "polynomial",
    return_p_value: Literal[True],
    n_permutations: int = 200,
    random_state: Any = None,
) -> tuple[float, float]: ...
def kernel_distance(
    real: Any,
    synthetic: Any,
    *,
    kernel: str = "polynomial",
    return_p_value: bool = False,
    n_permutations: int = 200,
    random_state: Any = None,
) -> float | tuple[float, float]:
    """Unbiased squared maximum mean discrepancy between real and synthetic features.

    With the polynomial kernel, and on features of the Inception network, this is the KID. It
    is 0 on average where both sets have the same distribution, however few rows they have.

    Parameters
    ----------
    real : array-like of shape (n, d)
        Features of real series, n >= 2.
    synthetic : array-like of shape (m, d)
        Features of synthetic series, m >= 2, from the same network or transformer.
    kernel : {"polynomial", "rbf"}, default="polynomial"
        "polynomial" is (x.y / d + 1)^3 and compares moments up to the third; its value depends
        on the scale of the features. "rbf" is ``exp(-|x - y|^2 / (2 s^2))`` and compares
        distributions whole; s is the median distance between different rows of both sets.
    return_p_value : bool, default=False
        Whether to test if both sets have the same distribution.
    n_permutations : int, default=200
        Permutations of the test. The p-value is at least 1 / (1 + `n_permutations`).
    random_state : int, RandomState instance or None, default=None
        Decides the permutations; without a test, nothing is drawn.

    Returns
    -------
    distance : float
        In units of the kernel; may be negative.
    p_value : float
        In (0, 1]. Only with `return_p_value`.

    Raises
    ------
    ValueError
        If an array has another shape or d than it must, fewer than 2 rows, or holds anything
        but finite numbers; if `kernel` has no such name or `n_permutations` is below 1.
    TypeError
        If `n_permutations` is no integer.

    See Also
    --------
    frechet_distance : The usual measure for large sets.

    Notes
    -----
    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j),
    x real and y synthetic [1]_. The KID is the mean of this over subsets of 1,000 rows [2]_;
    here all rows are used at once.

    The p-value is (1 + the permutations of the n + m rows whose distance is at least the one
    found) / (1 + `n_permutations`). The kernel is computed once; while it is, it takes two to
    three times 8 (n + m)^2 bytes: up to 320 MB for 2,000 rows each.

    References
    ----------
    .. [1] A. Gretton, K. M. Borgwardt, M. J. Rasch, B. Schölkopf, A. Smola. "A Kernel
       Two-Sample Test." JMLR 13, 2012.
    .. [2] M. Binkowski, D. J. Sutherland, M. Arbel, A. Gretton. "Demystifying MMD GANs." ICLR
       2018. arXiv:1801.01401.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl.metrics import kernel_distance
    >>> real, synthetic = np.random.RandomState(0).standard_normal((2, 50, 8))
    >>> kernel_distance(real, synthetic, return_p_value=True, random_state=0)
    (0.07, 0.14)
    >>> kernel_distance(real, synthetic + 1, return_p_value=True, random_state=0)
    (5.15, 0.005)
    """
    real, synthetic = check_features(2, real=real, synthetic=synthetic)
    if not isinstance(kernel, str) or kernel not in KERNELS:
        names = " or ".join(map(repr, KERNELS))
        raise ValueError(f"kernel must be {names}; got {kernel!r}.")
    n_permutations = check_count(n_permutations, "n_permutations")
    generator = check_random_state(random_state)

    rows = np.concatenate([real, synthetic])
    values = KERNELS[kernel](rows)
    np.fill_diagonal(values, 0)
    is_real = np.arange(len(rows)) < len(real)
    distance = float(unbiased_mmd(values, is_real[:, None].astype(np.float64))[0])
    if not return_p_value:
        return distance
    order = generator.random_sample((len(rows), n_permutations)).argsort(axis=0)
    permuted = unbiased_mmd(values, (order < len(real)).astype(np.float64))
    # A permutation that finds the same sets again must count, whatever rounding makes of it.
    rounding = 1e-12 * np.abs(values).max()
    n_larger = int((permuted >= distance - rounding).sum())
    return distance, (1 + n_larger) / (1 + n_permutations)
