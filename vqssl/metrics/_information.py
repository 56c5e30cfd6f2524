"""Entropy of codes, and what codes say of classes: mutual information."""

from typing import Any, Literal, overload

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import entr
from sklearn.metrics.cluster import expected_mutual_information
from sklearn.utils import check_random_state

from vqssl._validation import check_count, check_weight
from vqssl.metrics._labelled import check_integers, check_labels


def entropy_of_counts(counts: np.ndarray) -> np.ndarray:
    """Entropy of the distribution that counts have when divided by their sum.

    Parameters
    ----------
    counts : ndarray of shape (..., K)
        At least 0, not all 0 along the last axis.

    Returns
    -------
    entropy : ndarray of shape (...)
        H = -sum_k p_k log p_k in nats.
    """
    return entr(counts / counts.sum(axis=-1, keepdims=True)).sum(axis=-1)


def information_of_counts(counts: np.ndarray) -> np.ndarray:
    """Mutual information of the rows and the columns of tables of counts.

    Parameters
    ----------
    counts : ndarray of shape (..., K, C)
        How often code k and class c come together; not all 0 in a table.

    Returns
    -------
    information : ndarray of shape (...)
        H(K) + H(C) - H(K, C) in nats, at least 0; what may be rounding alone is 0.
    """
    joint = entropy_of_counts(counts.reshape(*counts.shape[:-2], -1))
    sides = entropy_of_counts(counts.sum(axis=-1)) + entropy_of_counts(counts.sum(axis=-2))
    information = sides - joint
    # Modularity divides by information: 1e-16 would count as much as 1.
    return np.where(information > 1e-12, information, 0)


def entropy(codes: Any, *, base: float = np.e, correction: str | None = None) -> float:
    """Entropy of the codes that occur.

    Parameters
    ----------
    codes : array-like of integers, of any shape
        Codes of all tokens of all series. The shape does not matter. Floats that are whole
        numbers count as integers.
    base : float, default=e
        Base of the logarithm, above 1: e gives nats, 2 bits.
    correction : {None, "miller-madow"}, default=None
        None is the plug-in estimate, which is too low where codes are few. "miller-madow" adds
        (K_seen - 1) / (2 n) nats for n codes with K_seen different ones.

    Returns
    -------
    entropy : float
        At least 0. Without `correction` at most log K, for K codes that are equally frequent.

    Raises
    ------
    ValueError
        If `codes` is empty or holds anything but whole numbers; if `base` is not above 1 or
        `correction` has no such name.
    TypeError
        If `base` is no real number.

    See Also
    --------
    perplexity : The same as a number of codes.

    Notes
    -----
    H = -sum_k p_k log p_k, with p_k the share of code k among all n codes. This is too low by
    about (K_seen - 1) / (2 n) nats [1]_. So take the codes of a whole evaluation set, not of a
    batch: n should be 10 K or more.

    References
    ----------
    .. [1] G. A. Miller. "Note on the Bias of Information Estimates." Information Theory in
       Psychology II-B, 1955.

    Examples
    --------
    >>> from vqssl.metrics import entropy
    >>> entropy([[0, 1], [2, 3]], base=2)
    2.0
    >>> entropy([0, 0, 0, 1])
    0.562
    >>> entropy([0, 0, 0, 1], correction="miller-madow")
    0.687
    """
    unit = _check_base(base)
    if correction not in (None, "miller-madow"):
        raise ValueError(f"correction must be None or 'miller-madow'; got {correction!r}.")
    counts = np.unique(check_integers(codes, "codes"), return_counts=True)[1]
    nats = float(entropy_of_counts(counts))
    if correction is not None:
        nats += (len(counts) - 1) / (2 * counts.sum())
    return float(nats / unit)


def perplexity(codes: Any) -> float:
    """Number of codes that, equally frequent, would have the entropy of the codes that occur.

    Parameters
    ----------
    codes : array-like of integers, of any shape
        Codes of all tokens of all series. The shape does not matter. Floats that are whole
        numbers count as integers.

    Returns
    -------
    perplexity : float
        In [1, K]: 1 where there is only one code, K where K codes are equally frequent.

    Raises
    ------
    ValueError
        If `codes` is empty or holds anything but whole numbers.

    See Also
    --------
    entropy : Its logarithm, with a correction on request.

    Notes
    -----
    exp(H), with the plug-in entropy H in nats. It is too low where codes are few: K = 512
    equally frequent codes read 291 from 512 codes, 448 from 2,048 and 504 from 16,384. A token
    of each series has a perplexity of its own: pass ``codes[:, token]``.

    Examples
    --------
    >>> from vqssl.metrics import perplexity
    >>> perplexity([[0, 1], [2, 3]])
    4.0
    >>> perplexity([0, 0, 0, 1])
    1.755
    """
    counts = np.unique(check_integers(codes, "codes"), return_counts=True)[1]
    return float(np.clip(np.exp(entropy_of_counts(counts)), 1, len(counts)))


@overload
def mutual_information(
    codes: Any,
    labels: Any,
    *,
    corrected: bool = True,
    n_permutations: int = 100,
    base: float = np.e,
    return_floor: Literal[False] = False,
    random_state: Any = None,
) -> float: ...
@overload
def mutual_information(
    codes: Any,
    labels: Any,
    *,
    corrected: bool = True,
    n_permutations: int = 100,
    base: float = np.e,
    return_floor: Literal[True],
    random_state: Any = None,
) -> tuple[float, float]: ...
def mutual_information(
    codes: Any,
    labels: Any,
    *,
    corrected: bool = True,
    n_permutations: int = 100,
    base: float = np.e,
    return_floor: bool = False,
    random_state: Any = None,
) -> float | tuple[float, float]:
    """Mutual information of codes and classes, less what shuffled classes have.

    Parameters
    ----------
    codes : array-like of shape (n,) or (n, N)
        One code for each series, or one for each of its N tokens, integers. Floats that are
        whole numbers count as integers.
    labels : array-like of shape (n,)
        Class of each series, numbers or strings.
    corrected : bool, default=True
        Whether to subtract the floor. Without, this is the plug-in estimate.
    n_permutations : int, default=100
        Shufflings that the floor is the mean of, where series have more than one token.
    base : float, default=e
        Base of the logarithm, above 1: e gives nats, 2 bits.
    return_floor : bool, default=False
        Whether to return the floor, too.
    random_state : int, RandomState instance or None, default=None
        Decides the shufflings. With one token nothing is drawn, and nothing without
        `corrected` and `return_floor`.

    Returns
    -------
    information : float
        Of one token and the class. Corrected, it is 0 on average where codes say nothing of
        the class, and may be negative. Plug-in, it is in [0, H(labels)], and H(labels) where
        the code determines the class.
    floor : float
        Mean plug-in information of codes and shuffled labels. Only with `return_floor`.

    Raises
    ------
    ValueError
        If `codes` has another number of axes, is empty or holds anything but whole numbers; if
        `labels` has another shape or mixes types; if `n_permutations` is below 1 or `base` not
        above 1.
    TypeError
        If `n_permutations` is no integer or `base` no real number.

    See Also
    --------
    adjusted_mutual_information : The same on a scale that ends at 1.

    Notes
    -----
    I = H(code) + H(label) - H(code, label). Tokens are pooled: the pairs of code and label of
    all n N tokens make one table, and the position of a token does not count.

    The plug-in estimate is too high: .635 nats for codes and labels that are independent, with
    64 codes, 10 classes and 500 series of one token. The floor says by how much. Labels of
    *series* are shuffled, not of tokens, since the tokens of one series depend on one another.
    For one token this mean over all shufflings is known exactly [1]_ and nothing is drawn.

    Correction goes too far where codes do tell the class: I - floor is below H(label) by the
    floor there. `adjusted_mutual_information` divides by what is left.

    References
    ----------
    .. [1] N. X. Vinh, J. Epps, J. Bailey. "Information Theoretic Measures for Clusterings
       Comparison." JMLR 11, 2010.

    Examples
    --------
    The first code tells the class, the second one does not:

    >>> from vqssl.metrics import mutual_information
    >>> labels = ["down", "down", "up", "up"] * 25
    >>> mutual_information([7, 7, 3, 3] * 25, labels, base=2, return_floor=True)
    (0.993, 0.007)
    >>> mutual_information([7, 3, 7, 3] * 25, labels, base=2, return_floor=True)
    (-0.007, 0.007)
    >>> mutual_information([7, 7, 3, 3] * 25, labels, base=2, corrected=False)
    1.0
    """
    unit = _check_base(base)
    n_permutations = check_count(n_permutations, "n_permutations")
    tokens, classes = _check_pairs(codes, labels, 1)
    generator = check_random_state(random_state)
    information = float(information_of_counts(_count(tokens, classes))) / unit
    if not corrected and not return_floor:
        return information
    floor = expected_information(tokens, classes, n_permutations, generator) / unit
    if corrected:
        information -= floor
    return (information, floor) if return_floor else information


def adjusted_mutual_information(
    codes: Any,
    labels: Any,
    *,
    normalizer: str = "labels",
    n_permutations: int = 100,
    random_state: Any = None,
) -> float:
    """Mutual information of codes and classes, from 0 for shuffled classes to 1 at most.

    Parameters
    ----------
    codes : array-like of shape (n,) or (n, N)
        One code for each series, or one for each of its N tokens, integers. Floats that are
        whole numbers count as integers.
    labels : array-like of shape (n,)
        Class of each series, numbers or strings, of two classes or more.
    normalizer : {"labels", "mean"}, default="labels"
        The information that counts as 1. "labels" is H(labels), which is reached where the
        code determines the class, however many codes a class has. "mean" is the mean of
        H(codes) and H(labels), which is reached where the class determines the code, too; for
        one token it gives scikit-learn's ``adjusted_mutual_info_score``.
    n_permutations : int, default=100
        Shufflings that the floor is the mean of, where series have more than one token.
    random_state : int, RandomState instance or None, default=None
        Decides the shufflings; with one token nothing is drawn.

    Returns
    -------
    score : float
        At most 1; 0 on average where codes say nothing of the class, and may be negative.

    Raises
    ------
    ValueError
        If `codes` has another number of axes, is empty or holds anything but whole numbers; if
        `labels` has another shape, mixes types or has one class only; if `normalizer` has no
        such name or `n_permutations` is below 1.
    TypeError
        If `n_permutations` is no integer.

    See Also
    --------
    mutual_information : In nats or bits.

    Notes
    -----
    (I - E) / (normalizer - E) [1]_, with I the plug-in information of pooled tokens and E its
    mean over shuffled labels, as in `mutual_information`. Where E reaches the normalizer,
    because no code occurs in two series, the score is 0.

    References
    ----------
    .. [1] N. X. Vinh, J. Epps, J. Bailey. "Information Theoretic Measures for Clusterings
       Comparison." JMLR 11, 2010.

    Examples
    --------
    Two codes for each class:

    >>> from vqssl.metrics import adjusted_mutual_information
    >>> codes, labels = [0, 1, 2, 3] * 25, ["down", "down", "up", "up"] * 25
    >>> adjusted_mutual_information(codes, labels)
    1.0
    >>> adjusted_mutual_information(codes, labels, normalizer="mean")
    0.662
    >>> adjusted_mutual_information([[0, 1], [1, 0]] * 50, labels, random_state=0)
    0.0
    """
    if normalizer not in ("labels", "mean"):
        raise ValueError(f"normalizer must be 'labels' or 'mean'; got {normalizer!r}.")
    n_permutations = check_count(n_permutations, "n_permutations")
    tokens, classes = _check_pairs(codes, labels, 2)
    generator = check_random_state(random_state)
    counts = _count(tokens, classes)
    information = float(information_of_counts(counts))
    floor = expected_information(tokens, classes, n_permutations, generator)
    most = float(entropy_of_counts(counts.sum(axis=0)))
    if normalizer == "mean":
        most = (most + float(entropy_of_counts(counts.sum(axis=1)))) / 2
    room = most - floor
    if room < 1e-12:
        return 0.0
    return min((information - floor) / room, 1.0)


def expected_information(
    codes: np.ndarray, classes: np.ndarray, n_permutations: int, generator: np.random.RandomState
) -> float:
    """Mean plug-in information of codes and shuffled classes.

    Parameters
    ----------
    codes : ndarray of shape (n, N), int64
        Codes from 0 on.
    classes : ndarray of shape (n,), int64
        Classes from 0 on, which move as wholes: with all tokens of a series.
    n_permutations : int
        Shufflings to draw, if N > 1.
    generator : RandomState
        Decides the shufflings, if N > 1.

    Returns
    -------
    information : float
        In nats. Exact for N = 1, over all shufflings.
    """
    if codes.shape[1] == 1:
        return float(expected_mutual_information(_count(codes, classes), len(codes)))
    by_series = _count_by_series(codes)
    members = np.eye(classes.max() + 1)[classes]  # (n, C)
    drawn = [
        information_of_counts(by_series @ members[generator.permutation(len(classes))])
        for _ in range(n_permutations)
    ]
    return float(np.mean(drawn))


def _count_by_series(codes: np.ndarray) -> csr_matrix:
    """How often each code occurs in each series, (K, n)."""
    series = np.repeat(np.arange(len(codes)), codes.shape[1])
    return csr_matrix((np.ones(codes.size), (codes.ravel(), series)))


def _count(codes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How often each code comes with each class, (K, C)."""
    n_classes = int(classes.max()) + 1
    pairs = codes * n_classes + classes[:, None]  # (n, N)
    n_pairs = (int(codes.max()) + 1) * n_classes
    return np.bincount(pairs.ravel(), minlength=n_pairs).reshape(-1, n_classes)


def _check_pairs(codes: Any, labels: Any, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n, N) and classes (n,), both numbered from 0 without gaps."""
    integers = check_integers(codes, "codes")
    if integers.ndim not in (1, 2):
        raise ValueError(
            "codes must have shape (n_samples,) or (n_samples, n_tokens); got "
            f"{integers.ndim} axes, shape {integers.shape}."
        )
    classes = check_labels(labels, len(integers), "codes", minimum=n_classes)
    numbered = np.unique(integers, return_inverse=True)[1]
    return numbered.reshape(len(integers), -1), classes


def _check_base(base: Any) -> float:
    """Return the logarithm of the base: nats in a unit of it."""
    number = check_weight(base, "base", positive=True)
    if number <= 1:
        raise ValueError(f"base must be above 1, such as 2 for bits; got {base!r}.")
    return float(np.log(number))
