"""Precision and recall (Kynkäänniemi et al., 2019), density and coverage (Naeem et al., 2020)."""

from typing import Any, Literal, NamedTuple, overload

import numpy as np
from sklearn.utils import check_random_state

from vqssl._validation import check_count
from vqssl.metrics._checks import check_features
from vqssl.metrics._distances import distance_blocks
from vqssl.metrics._halves import random_halves


class PRDC(NamedTuple):
    """Precision, recall, density and coverage of synthetic rows, as floats."""

    precision: float
    recall: float
    density: float
    coverage: float


def ball_radii(rows: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Distance of each row to its k-th nearest neighbour among the others.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        A set of more than k rows.
    n_neighbors : int
        k.

    Returns
    -------
    radii : ndarray of shape (n,)
        Above 0, by the least float at least: a distance below the radius is then inside the
        ball, and a copy of the centre always is.
    """
    radii = np.empty(len(rows))
    for block, distances in distance_blocks(rows, rows):
        # The nearest of all is the row itself.
        radii[block] = np.partition(distances, n_neighbors, axis=1)[:, n_neighbors]
    return np.maximum(radii, np.finfo(np.float64).tiny)


def prdc(real: np.ndarray, synthetic: np.ndarray, n_neighbors: int) -> PRDC:
    """Precision, recall, density and coverage.

    Parameters
    ----------
    real : ndarray of shape (n, d)
        One set, of more than k rows.
    synthetic : ndarray of shape (m, d)
        The other set, of more than k rows.
    n_neighbors : int
        k.

    Returns
    -------
    scores : PRDC
    """
    real_radii = ball_radii(real, n_neighbors)
    synthetic_radii = ball_radii(synthetic, n_neighbors)
    n_balls = np.zeros(len(synthetic))  # real balls that a synthetic row is in
    n_recalled = n_covered = 0
    for block, distances in distance_blocks(real, synthetic):
        in_real_ball = distances < real_radii[block, None]
        n_balls += in_real_ball.sum(axis=0)
        n_covered += in_real_ball.any(axis=1).sum()
        n_recalled += (distances < synthetic_radii).any(axis=1).sum()
    return PRDC(
        precision=float((n_balls > 0).mean()),
        recall=float(n_recalled / len(real)),
        density=float(n_balls.mean() / n_neighbors),
        coverage=float(n_covered / len(real)),
    )


@overload
def precision_recall_density_coverage(
    real: Any,
    synthetic: Any,
    *,
    n_neighbors: int = 5,
    return_floor: Literal[False] = False,
    random_state: Any = None,
) -> PRDC: ...
@overload
def precision_recall_density_coverage(
    real: Any,
    synthetic: Any,
    *,
    n_neighbors: int = 5,
    return_floor: Literal[True],
    random_state: Any = None,
) -> tuple[PRDC, PRDC]: ...
def precision_recall_density_coverage(
    real: Any,
    synthetic: Any,
    *,
    n_neighbors: int = 5,
    return_floor: bool = False,
    random_state: Any = None,
) -> PRDC | tuple[PRDC, PRDC]:
    """Say whether synthetic features lie among the real ones, and whether they reach them all.

    Parameters
    ----------
    real : array-like of shape (n, d)
        Features of real series, n > `n_neighbors`.
    synthetic : array-like of shape (m, d)
        Features of synthetic series, m > `n_neighbors`, from the same network or transformer.
    n_neighbors : int, default=5
        k: the ball around a row reaches to its k-th nearest neighbour in its own set.
    return_floor : bool, default=False
        Whether to return the scores of real rows, too.
    random_state : int, RandomState instance or None, default=None
        Decides the halves of the floor; without it, nothing is drawn.

    Returns
    -------
    scores : PRDC
        Named tuple of four floats, higher is better:

        - ``precision`` in [0, 1]: share of synthetic rows inside any ball of a real row;
        - ``recall`` in [0, 1]: share of real rows inside any ball of a synthetic row;
        - ``density`` in [0, n / k]: real balls that a synthetic row is in, mean over synthetic
          rows, divided by k;
        - ``coverage`` in [0, 1]: share of real balls with a synthetic row inside.
    floor : PRDC
        The same for two random halves of `real`, mean over 5 splits. Only with `return_floor`,
        which needs n >= 2 (`n_neighbors` + 1).

    Raises
    ------
    ValueError
        If an array has another shape or d than it must, has no more than `n_neighbors` rows,
        or holds anything but finite numbers; if `n_neighbors` is below 1.
    TypeError
        If `n_neighbors` is no integer.

    See Also
    --------
    expected_coverage : Coverage where both sets have the same distribution.

    Notes
    -----
    Where both sets have the same distribution, density is 1 on average and coverage is
    `expected_coverage`, .969 for k = 5 and n = m large. Precision and recall are *not* 1, and
    depend on d: the floor says what they are.

    As in the authors' code [2]_, the k-th neighbour itself is outside of the ball. Unlike
    there, copies of the centre are inside, also where the radius is 0: a memorised row is in
    its own ball, and a set of one row repeated recalls this row.

    A generator that has memorised a tenth of the real rows, and repeats them, has precision 1,
    recall .10 and coverage 1 - .9^5 = .41 on average.

    Time is O(n m d + n^2 d + m^2 d); no matrix of all distances is kept.

    References
    ----------
    .. [1] T. Kynkäänniemi, T. Karras, S. Laine, J. Lehtinen, T. Aila. "Improved Precision and
       Recall Metric for Assessing Generative Models." NeurIPS 2019. arXiv:1904.06991.
    .. [2] M. F. Naeem, S. J. Oh, Y. Uh, Y. Choi, J. Yoo. "Reliable Fidelity and Diversity
       Metrics for Generative Models." ICML 2020. arXiv:2002.09797.

    Examples
    --------
    Synthetic rows among the first half of the real ones:

    >>> import numpy as np
    >>> from vqssl.metrics import precision_recall_density_coverage
    >>> real = np.arange(8.0)[:, None]
    >>> synthetic = np.arange(4.0)[:, None] + 0.25
    >>> precision_recall_density_coverage(real, synthetic, n_neighbors=1)
    PRDC(precision=1.0, recall=0.625, density=2.0, coverage=0.625)
    """
    n_neighbors = check_count(n_neighbors, "n_neighbors")
    real, synthetic = check_features(1, real=real, synthetic=synthetic)
    generator = check_random_state(random_state)
    _check_enough(len(real), "real", n_neighbors)
    _check_enough(len(synthetic), "synthetic", n_neighbors)
    if return_floor:
        _check_enough(len(real) // 2, "each half of real", n_neighbors)
    scores = prdc(real, synthetic, n_neighbors)
    if not return_floor:
        return scores
    floors = [prdc(*pair, n_neighbors) for pair in random_halves(real, generator)]
    return scores, PRDC(*np.mean(floors, axis=0).tolist())


def expected_coverage(n_real: int, n_synthetic: int, n_neighbors: int = 5) -> float:
    """Return the mean coverage of synthetic rows that have the distribution of the real ones.

    Parameters
    ----------
    n_real : int
        Number of real rows n, above `n_neighbors`.
    n_synthetic : int
        Number of synthetic rows m.
    n_neighbors : int, default=5
        k.

    Returns
    -------
    coverage : float
        In (0, 1).

    Raises
    ------
    ValueError
        If a number is below 1, or `n_real` is not above `n_neighbors`.
    TypeError
        If a number is no integer.

    See Also
    --------
    precision_recall_density_coverage : Measures it.

    Notes
    -----
    A real row is not covered if its k nearest among the n - 1 other real and m synthetic rows
    are all real: coverage = 1 - prod_{i=1}^k (n - i) / (n + m - i) [1]_, whatever the
    (continuous) distribution and the number of features. This goes to 1 - 2^-k for n = m large.

    References
    ----------
    .. [1] M. F. Naeem, S. J. Oh, Y. Uh, Y. Choi, J. Yoo. "Reliable Fidelity and Diversity
       Metrics for Generative Models." ICML 2020. arXiv:2002.09797.

    Examples
    --------
    >>> from vqssl.metrics import expected_coverage
    >>> round(expected_coverage(1000, 1000), 3)
    0.969
    """
    n_neighbors = check_count(n_neighbors, "n_neighbors")
    n_real = check_count(n_real, "n_real", n_neighbors + 1)
    n_synthetic = check_count(n_synthetic, "n_synthetic")
    i = np.arange(1, n_neighbors + 1)
    return float(1 - np.prod((n_real - i) / (n_real + n_synthetic - i)))


def _check_enough(n_rows: int, name: str, n_neighbors: int) -> None:
    if n_rows <= n_neighbors:
        raise ValueError(
            f"{name} must have more rows than n_neighbors, {n_neighbors}; got {n_rows}."
        )
