"""VIbCReg: VICReg with bounded covariance and whitening (Lee and Aune, 2021)."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._validation import check_weight
from vqssl.losses._barlow_twins import cross_correlation, off_diagonal
from vqssl.losses._base import SSLLoss, full_precision
from vqssl.losses._vicreg import invariance, variance

MAX_GROUP_WIDTH = 32
"""Features whitened together at most; five steps under-whiten wider groups."""


def correlation(z: Tensor, eps: float = 1e-5) -> Tensor:
    """Squared correlations between features, mean over all P^2 entries.

    Parameters
    ----------
    z : Tensor of shape (B, P)
        One view.
    eps : float, default=1e-5
        Added to the biased variance of a feature.

    Returns
    -------
    penalty : scalar Tensor
        (1 / P^2) sum_{i != j} Corr_ij^2, in [0, 1).
    """
    # Columns of norm 1 and standardised columns divided by sqrt(B) are the same numbers.
    return off_diagonal(cross_correlation(z, z, eps)).square().mean()


def whiten(z: Tensor, group_width: int, n_steps: int = 5, eps: float = 1e-5) -> Tensor:
    """Decorrelate groups of neighbouring features by Newton-Schulz iteration.

    Parameters
    ----------
    z : Tensor of shape (B, P)
    group_width : int
        Most features in a group. The ceil(P / group_width) groups have equal widths, except
        for a last one that may be narrower.
    n_steps : int, default=5
        T, number of iterations.
    eps : float, default=1e-5
        Added to the trace of a group's covariance matrix: a constant group becomes 0.

    Returns
    -------
    z : Tensor of shape (B, P)
        Features of mean 0 over B; each group has a biased covariance close to the identity.
    """
    n_features = z.shape[1]
    n_groups = -(-n_features // group_width)
    width = -(-n_features // n_groups)
    # Columns of zeros leave trace, covariances and iterates of the real ones as they are.
    centred = F.pad(z - z.mean(dim=0), (0, n_groups * width - n_features))
    groups = centred.unflatten(1, (n_groups, width)).transpose(0, 1)  # (G, B, W)
    matrix = groups.mT @ groups / len(z)  # (G, W, W), the paper's S
    trace = matrix.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None] + eps  # (G, 1, 1)
    root = torch.eye(width, dtype=z.dtype, device=z.device).expand_as(matrix)
    for _ in range(n_steps):
        root = 1.5 * root - 0.5 * root @ root @ root @ (matrix / trace)
    whitened = groups @ root * trace.rsqrt()  # (G, B, W)
    return whitened.transpose(0, 1).flatten(1)[:, :n_features]


class IterNorm(nn.Module):
    """Iterative normalisation: a layer without weights that whitens a batch.

    Parameters
    ----------
    group_width : int
        Most features whitened together. Half the rows of the batch at hand is a second
        limit, so that a smaller last batch still has more rows than features in a group.
    n_steps : int, default=5
        T, number of Newton-Schulz steps.

    Notes
    -----
    The statistics are those of the batch, **also in eval mode**: the layer ends a projector,
    which exists only while a loss between two views is computed, and a validation loss has
    to be computed like the training loss. So it has no buffers, and no affine weights.

    With S the covariance matrix of a group (biased), S_N = S / tr(S) and P_0 = I,

        P_{k+1} = (3 P_k - P_k^3 S_N) / 2,    out = (z - mean) P_T / sqrt(tr(S)).

    The iteration converges from below: five steps leave white features a standard deviation
    of 1.00 in groups of 8, .99 in groups of 16 and .91 in groups of 32, and less in the
    directions in which a group varies least. Departures from the authors' code: 1e-5 is added to
    tr(S), not to the diagonal of S; there are no running statistics; groups need not divide P.
    Computed in float32 under autocast.

    References
    ----------
    .. [1] L. Huang, Y. Zhou, F. Zhu, L. Liu, L. Shao. "Iterative Normalization: Beyond
       Standardization towards Efficient Whitening." CVPR 2019. arXiv:1904.03441.
    """

    def __init__(self, group_width: int, n_steps: int = 5) -> None:
        super().__init__()
        self.group_width = group_width
        self.n_steps = n_steps

    def forward(self, z: Tensor) -> Tensor:
        """Whiten a batch, (B, P) -> (B, P)."""
        with full_precision(z) as (projection,):
            width = max(1, min(self.group_width, len(projection) // 2))
            return whiten(projection, width, self.n_steps)

    def extra_repr(self) -> str:
        """Return the parameters for the representation of the module."""
        return f"group_width={self.group_width}, n_steps={self.n_steps}"


class VIbCReg(SSLLoss):
    """VIbCReg loss: equal views, spread-out features, uncorrelated whitened features.

    Parameters
    ----------
    invariance : float, default=25.0
        Weight of the mean squared difference of the views.
    variance : float, default=25.0
        Weight of the shortfall of the features' standard deviations below 1.
    covariance : float, default=200.0
        Weight nu of the squared correlations between features; the paper's code has 200,
        NC-VQVAE [2]_ has 100.

    Attributes
    ----------
    default_weight : float
        0.01, weight of the loss beside the reconstruction.

    See Also
    --------
    VICReg : Covariances in place of correlations, no whitening.

    Notes
    -----
    The terms are

    - ``invariance``: squared difference, mean over B and P;
    - ``variance``: relu(1 - sqrt(Var + 1e-4)), mean over P and **sum over the two views**
      (`VICReg` takes their mean);
    - ``covariance``: squared correlation, mean over all P^2 entries with the diagonal set to
      0, **sum over the two views**. It is below 2 nu, whatever the scale of the features.

    Departure from the paper: a correlation divides by sqrt(Var + 1e-5), so that a constant
    feature has correlation 0 and a finite gradient.

    The correlation matrix has a rank of at most B - 1. If P > B - 1, no projection without
    constant features has a covariance term below 2 nu (1 / (B - 1) - 1 / P). Choose a P of
    about the batch size.

    References
    ----------
    .. [1] D. Lee, E. Aune. "Computer Vision Self-supervised Learning Methods on Time
       Series." 2021. arXiv:2109.00783.
    .. [2] J. V. Mathisen, E. Lokna, D. Lee, E. Aune. "Blending Low and High-Level Semantics of
       Time Series for Better Masked Time Series Generation." 2024. arXiv:2408.16613.

    Examples
    --------
    >>> import torch
    >>> from vqssl.losses import VIbCReg
    >>> view = torch.tensor([[5.0, 0.3], [-5.0, -0.3]])
    >>> terms = VIbCReg().terms(view, view)
    >>> {name: round(float(term), 2) for name, term in terms.items()}
    {'invariance': 0.0, 'variance': 14.38, 'covariance': 199.98}
    """

    default_weight: ClassVar[float] = 0.01

    def __init__(
        self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 200.0
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
                "variance": self.variance * (variance(a) + variance(b)),
                "covariance": self.covariance * (correlation(a) + correlation(b)),
            }

    def whitening(self, projector_dim: int, batch_size: int) -> IterNorm:
        """Return the layer that ends the projector.

        Parameters
        ----------
        projector_dim : int
            P, width of the projection.
        batch_size : int
            B, number of series in a training batch.

        Returns
        -------
        layer : IterNorm
            With groups of at most min(B / 2, 32) features.
        """
        return IterNorm(max(1, min(projector_dim, batch_size // 2, MAX_GROUP_WIDTH)))
