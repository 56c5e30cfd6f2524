"""InfoNCE: find the other view of a series in the batch (van den Oord et al., 2018)."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from vqssl._validation import check_weight
from vqssl.losses._base import SSLLoss, full_precision


def cosine_similarity(first: Tensor, second: Tensor, eps: float = 1e-6) -> Tensor:
    """Cosines between all rows of one view and all rows of the other.

    Parameters
    ----------
    first, second : Tensor of shape (B, P)
    eps : float, default=1e-6
        Added to the squared length of a row (sum over P), inside the square root: a row of
        zeros has cosine 0 and a finite gradient.

    Returns
    -------
    cosines : Tensor of shape (B, B)
        Row i belongs to series i of `first`, column j to series j of `second`.
    """
    first = first * (first.square().sum(dim=1, keepdim=True) + eps).rsqrt()
    second = second * (second.square().sum(dim=1, keepdim=True) + eps).rsqrt()
    return first @ second.T


def infonce(cosines: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of picking the positive among B candidates, in nats.

    Parameters
    ----------
    cosines : Tensor of shape (B, B)
        The positives are the diagonal.
    temperature : float
        Divides the cosines.

    Returns
    -------
    loss : scalar Tensor
        Mean over B, and over the two directions: candidates along rows and along columns.
    """
    logits = cosines / temperature
    positives = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, positives) + F.cross_entropy(logits.T, positives)) / 2


class InfoNCE(SSLLoss):
    """InfoNCE loss: a series' two views should be closer than views of two series.

    Parameters
    ----------
    temperature : float, default=0.1
        Divides the cosine similarities; above 0.

    Attributes
    ----------
    default_weight : float
        0.1, weight of the loss beside the reconstruction. A chance-level loss of log B
        nats then counts .3 to .6 for batches of 16 to 256.

    See Also
    --------
    BarlowTwins : Needs no negatives.

    Notes
    -----
    The only term, ``contrast``, is::

        L = -(1 / 2B) sum_i [log softmax_j(s_ij)_i + log softmax_j(s_ji)_i],

    with s_ij the cosine of row i of the first and row j of the second view, divided by the
    temperature. The negatives of series i are the B - 1 other series, so that the positive
    is never among them, and a batch of N = B candidates gives the lower bound
    MI(first, second) >= log N - L in nats, in expectation over batches of independent series
    [1]_. It is a bound, not an estimate: it cannot exceed log N.

    Departure from NT-Xent [2]_: candidates are rows of the *other* view only. Rows of the
    same view as further negatives would leave no such bound.

    The loss lies between log(1 + (B - 1) exp(-B / ((B - 1) temperature))), reached when the
    views agree and the series form a regular simplex (this takes P >= B - 1), and
    log(1 + (B - 1) exp(2 / temperature)). Views without any information have log B.

    References
    ----------
    .. [1] A. van den Oord, Y. Li, O. Vinyals. "Representation Learning with Contrastive
       Predictive Coding." 2018. arXiv:1807.03748.
    .. [2] T. Chen, S. Kornblith, M. Norouzi, G. Hinton. "A Simple Framework for Contrastive
       Learning of Visual Representations." ICML 2020. arXiv:2002.05709.

    Examples
    --------
    Two kinds of series share log 2 nats:

    >>> import math
    >>> import torch
    >>> from vqssl.losses import InfoNCE
    >>> view = torch.eye(2).repeat(4, 1)
    >>> loss = InfoNCE().terms(view, view)["contrast"]
    >>> round(math.log(len(view)) - float(loss), 3), round(math.log(2), 3)
    (0.693, 0.693)
    """

    default_weight: ClassVar[float] = 0.1

    def __init__(self, temperature: float = 0.1) -> None:
        self.temperature = temperature

    def check(self) -> None:
        """Check the hyperparameters.

        Raises
        ------
        ValueError, TypeError
            If `temperature` is no finite number above 0.
        """
        check_weight(self.temperature, "temperature", positive=True)

    def terms(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """Return the only summand, ``contrast``.

        Parameters
        ----------
        first, second : Tensor of shape (B, P)
            Projections of the two views; row i of both belongs to series i.

        Returns
        -------
        terms : dict of str to scalar Tensor
            One entry: the loss in nats.
        """
        with full_precision(first, second) as (a, b):
            return {"contrast": infonce(cosine_similarity(a, b), self.temperature)}
