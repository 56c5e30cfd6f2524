"""VICReg: variance, invariance, covariance (Bardes, Ponce and LeCun, ICLR 2022)."""

from typing import ClassVar

import torch
from torch import Tensor

from vqssl._validation import check_weight
from vqssl.losses._barlow_twins import off_diagonal
from vqssl.losses._base import SSLLoss, full_precision


def invariance(first: Tensor, second: Tensor) -> Tensor:
    """Squared difference of the views, mean over B and P (eq. 5, divided by P)."""
    return (first - second).square().mean()


def variance(z: Tensor, eps: float = 1e-4) -> Tensor:
    """How far the features' standard deviations fall short of 1, mean over P (eqs. 1 and 2).

    Parameters
    ----------
    z : Tensor of shape (B, P)
        One view.
    eps : float, default=1e-4
        Added to the variance over B (with B - 1), inside the square root: it keeps the
        gradient finite where a feature is constant.

    Returns
    -------
    shortfall : scalar Tensor
        In [0, 1 - sqrt(eps)].
    """
    return torch.relu(1 - (z.var(dim=0) + eps).sqrt()).mean()


def covariance(z: Tensor) -> Tensor:
    """Squared covariances between features, sum over pairs divided by P (eqs. 3 and 4).

    Parameters
    ----------
    z : Tensor of shape (B, P)
        One view.

    Returns
    -------
    penalty : scalar Tensor
        (1 / P) sum_{i != j} Cov_ij^2, where Cov divides by B - 1.
    """
    centred = z - z.mean(dim=0)
    matrix = centred.T @ centred / (len(z) - 1)  # (P, P)
    return off_diagonal(matrix).square().sum() / len(matrix)


class VICReg(SSLLoss):
    """VICReg loss: equal views, spread-out features, uncorrelated features.

    Parameters
    ----------
    invariance : float, default=25.0
        Weight of the mean squared difference of the views.
    variance : float, default=25.0
        Weight of the shortfall of the features' standard deviations below 1.
    covariance : float, default=1.0
        Weight of the squared covariances between features.

    Attributes
    ----------
    default_weight : float
        0.01, weight of the loss beside the reconstruction.

    See Also
    --------
    VIbCReg : Correlations in place of covariances, and a whitened projection.

    Notes
    -----
    The terms are

    - ``invariance``: squared difference, mean over B and P;
    - ``variance``: relu(1 - sqrt(Var + 1e-4)), mean over P and **mean over the two views**;
    - ``covariance``: (1 / P) sum_{i != j} Cov_ij^2, **sum over the two views**.

    Departures from the paper, both as in the authors' code: the paper sums the variance
    term over the views, and its invariance term sums over P.

    Cov has a rank of at most B - 1. If P > B - 1, no projection with a variance term of 0
    has a covariance term below 2 (P / (B - 1) - 1) at weight 1 (up to the 1e-4 in the
    variance). Choose a P of about the batch size.

    References
    ----------
    .. [1] A. Bardes, J. Ponce, Y. LeCun. "VICReg: Variance-Invariance-Covariance
       Regularization for Self-Supervised Learning." ICLR 2022. arXiv:2105.04906.

    Examples
    --------
    >>> import torch
    >>> from vqssl.losses import VICReg
    >>> collapsed = torch.ones(4, 3)
    >>> terms = VICReg().terms(collapsed, collapsed)
    >>> {name: round(float(term), 3) for name, term in terms.items()}
    {'invariance': 0.0, 'variance': 24.75, 'covariance': 0.0}
    """

    default_weight: ClassVar[float] = 0.01

    def __init__(
        self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0
    ) -> None:
        self.invariance = invariance
        self.variance = variance
        self.covariance = covariance

    def check(self) -> None:
        """Check the hyperparameters.

        Raises
        ------
        ValueError, TypeError
            If a weight is no finite number of at least 0.
        """
        for name in ("invariance", "variance", "covariance"):
            check_weight(getattr(self, name), name)

    def terms(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """Return the summands ``invariance``, ``variance`` and ``covariance``.

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
            return {
                "invariance": self.invariance * invariance(a, b),
                "variance": self.variance * (variance(a) + variance(b)) / 2,
                "covariance": self.covariance * (covariance(a) + covariance(b)),
            }
