"""Codebook learned by gradient descent (van den Oord et al. 2017, equation 3)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._validation import check_weight
from vqssl.quantizers._base import (
    Quantized,
    Quantizer,
    QuantizerModule,
    draw_rows,
    nearest_codes,
    straight_through,
)


def orthogonality_loss(codebook: Tensor) -> Tensor:
    """Mean squared cosine between different codes, Shin et al. 2021, equation 2.

    ``||l2norm(E) l2norm(E)^T - I||_F^2 / K^2``: a mean over all K^2 pairs, of which the
    K on the diagonal are zero.

    Parameters
    ----------
    codebook : Tensor of shape (K, D)

    Returns
    -------
    loss : scalar Tensor in [0, 1)
    """
    directions = F.normalize(codebook, dim=1)
    cosines = directions @ directions.T  # (K, K)
    identity = torch.eye(len(codebook), device=codebook.device, dtype=codebook.dtype)
    return (cosines - identity).square().mean()


class GradientCodebook(QuantizerModule):
    """Codebook whose vectors are parameters of the optimizer."""

    sees_whole_batch = False

    def __init__(
        self,
        n_codes: int,
        code_dim: int,
        commitment: float,
        orthogonality: float,
        lr_multiplier: float,
    ) -> None:
        super().__init__()
        self.n_codes = n_codes
        self.commitment = commitment
        self.orthogonality = orthogonality
        self.lr_multiplier = lr_multiplier
        self.vectors = nn.Parameter(torch.empty(n_codes, code_dim))

    @property
    def codebook(self) -> Tensor:
        return self.vectors

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        self.vectors.normal_(generator=generator)

    @torch.no_grad()
    def start(self, z: Tensor, generator: torch.Generator) -> None:
        self.vectors.copy_(draw_rows(z, self.n_codes, generator))

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        codes = nearest_codes(z, self.vectors)  # (B, N)
        vectors = F.embedding(codes, self.vectors)  # (B, N, D)
        terms = {
            "codebook": F.mse_loss(vectors, z.detach()),
            "commitment": self.commitment * F.mse_loss(z, vectors.detach()),
        }
        if self.orthogonality > 0:
            terms["orthogonality"] = self.orthogonality * orthogonality_loss(self.vectors)
        return Quantized(straight_through(z, vectors), codes, terms)


class GradientQuantizer(Quantizer):
    """Nearest-neighbour quantizer with a codebook learned by gradient descent.

    Its vectors are parameters that follow the gradient of the codebook term, and unlike those of
    moving averages can be regularised (`orthogonality`). Codes that fall out of use are not drawn
    anew, so that fewer may be in use.

    Parameters
    ----------
    commitment : float, default=0.25
        Commitment cost, weight of the mean squared distance that pulls the latents to
        their vectors (mean over B, N and D).
    orthogonality : float, default=0.0
        Weight of the mean squared cosine between codes (mean over the K^2 pairs). The
        published weight is 10.
    lr_multiplier : float, default=10.0
        Learning rate of the codebook as a multiple of the estimator's.

    Notes
    -----
    The codebook starts on encoder outputs. Its squared distance to the latents (mean
    over B, N and D) has weight 1, as published.

    References
    ----------
    A. van den Oord, O. Vinyals, K. Kavukcuoglu, "Neural Discrete Representation
    Learning", NeurIPS 2017, equation 3.

    W. Shin et al., "Translation-equivariant Image Quantizer for Bi-directional
    Image-Text Generation", 2021, equation 2.

    Examples
    --------
    >>> from vqssl.quantizers import GradientQuantizer
    >>> GradientQuantizer(orthogonality=10.0).build(n_codes=32, code_dim=8).n_codes
    32
    """

    def __init__(
        self, commitment: float = 0.25, orthogonality: float = 0.0, lr_multiplier: float = 10.0
    ) -> None:
        self.commitment = commitment
        self.orthogonality = orthogonality
        self.lr_multiplier = lr_multiplier

    def check(self, n_codes: int, code_dim: int) -> None:
        check_weight(self.commitment, "commitment")
        check_weight(self.orthogonality, "orthogonality")
        check_weight(self.lr_multiplier, "lr_multiplier", positive=True)

    def build(self, n_codes: int, code_dim: int) -> GradientCodebook:
        return GradientCodebook(
            n_codes, code_dim, self.commitment, self.orthogonality, self.lr_multiplier
        )
