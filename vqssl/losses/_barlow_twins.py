"""Barlow Twins: correlate a feature with itself across views (Zbontar et al., ICML 2021)."""

import torch
from torch import Tensor

from vqssl._validation import check_weight
from vqssl.losses._base import SSLLoss, full_precision


def standardise(z: Tensor, eps: float) -> Tensor:
    """Give each feature mean 0 and variance 1 over the batch, as BatchNorm without weights.

    Parameters
    ----------
    z : Tensor of shape (B, P)
    eps : float
        Added to the biased variance (mean over B), inside the square root.

    Returns
    -------
    z : Tensor of shape (B, P)
        A constant feature becomes 0.
    """
    centred = z - z.mean(dim=0)
    return centred * (centred.square().mean(dim=0) + eps).rsqrt()


def cross_correlation(first: Tensor, second: Tensor, eps: float = 1e-5) -> Tensor:
    """Correlate every feature of one view with every feature of the other (eq. 2).

    Parameters
    ----------
    first, second : Tensor of shape (B, P)
    eps : float, default=1e-5
        See `standardise`; the default is BatchNorm's.

    Returns
    -------
    correlation : Tensor of shape (P, P)
        Mean over B of the products of standardised features, in [-1, 1].
    """
    return standardise(first, eps).T @ standardise(second, eps) / len(first)


def off_diagonal(matrix: Tensor) -> Tensor:
    """Return a (P, P) matrix with zeros in place of its diagonal."""
    return matrix - torch.diag(matrix.diagonal())


class BarlowTwins(SSLLoss):
    """Barlow Twins loss: the cross-correlation matrix of the views should be the identity.

    Parameters
    ----------
    redundancy : float, default=0.005
        Weight lambda of the off-diagonal sum; at least 0.

    Attributes
    ----------
    default_weight : float
        1.0, weight of the loss beside the reconstruction.

    See Also
    --------
    VICReg : Separate terms for spread and decorrelation, each within one view.

    Notes
    -----
    With C the (P, P) cross-correlation matrix of the views, the terms are

    - ``invariance``: sum_i (1 - C_ii)^2 / P, in [0, 4];
    - ``redundancy``: lambda * sum_{i != j} C_ij^2 / P, in [0, lambda (P - 1)].

    Departure from the paper: both sums of eq. 1 are divided by P, so that the weight of
    the loss does not depend on the width of the projector. The ratio of the two terms still
    does, since they sum P and P^2 - P entries: the default lambda is that of projectors with
    P = 8192 [1]_ and 4096 [2]_, and a narrow projector is decorrelated less by it.

    C has a rank of at most B - 1. If P > B - 1 and lambda <= 1, the loss is at least
    lambda k / (1 + lambda k) with k = P / (B - 1) - 1, where the views of a series correlate
    at 1 / (1 + lambda k) only: .576 and .42 for P = 4096, B = 16 and the default lambda.
    Choose a P of about the batch size.

    References
    ----------
    .. [1] J. Zbontar, L. Jing, I. Misra, Y. LeCun, S. Deny. "Barlow Twins: Self-Supervised
       Learning via Redundancy Reduction." ICML 2021. arXiv:2103.03230.
    .. [2] J. V. Mathisen, E. Lokna, D. Lee, E. Aune. "Blending Low and High-Level Semantics of
       Time Series for Better Masked Time Series Generation." 2024. arXiv:2408.16613.

    Examples
    --------
    >>> import torch
    >>> from vqssl.losses import BarlowTwins
    >>> view = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> terms = BarlowTwins().terms(view, -view)
    >>> {name: round(float(term), 3) for name, term in terms.items()}
    {'invariance': 4.0, 'redundancy': 0.0}
    """

    def __init__(self, redundancy: float = 0.005) -> None:
        self.redundancy = redundancy

    def check(self) -> None:
        """Check the hyperparameters.

        Raises
        ------
        ValueError, TypeError
            If `redundancy` is no finite number of at least 0.
        """
        check_weight(self.redundancy, "redundancy")

    def terms(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """Return the summands ``invariance`` and ``redundancy``.

        Parameters
        ----------
        first, second : Tensor of shape (B, P)
            Projections of the two views; row i of both belongs to series i.

        Returns
        -------
        terms : dict of str to scalar Tensor
            Already weighted: the loss is their sum.
        """
        with full_precision(first, second) as (a, b):
            correlation = cross_correlation(a, b)  # (P, P)
            n_features = len(correlation)
            invariance = (1 - correlation.diagonal()).square().sum() / n_features
            redundancy = off_diagonal(correlation).square().sum() / n_features
        return {"invariance": invariance, "redundancy": self.redundancy * redundancy}
