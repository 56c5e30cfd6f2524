"""A codebook on the sphere, searched by cosine (Yu et al., ICLR 2022), as a quantizer."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl.quantizers import Quantized, Quantizer, QuantizerModule


class CosineCodebook(QuantizerModule):
    """Vectors of length 1, learned by gradient; the nearest has the largest cosine."""

    def __init__(self, n_codes: int, code_dim: int, commitment: float) -> None:
        super().__init__()
        self.n_codes = n_codes
        self.commitment = commitment
        self.weight = nn.Parameter(torch.empty(n_codes, code_dim))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Start the weights; all that is drawn comes from the generator."""
        self.weight.normal_(generator=generator)

    @torch.no_grad()
    def start(self, z: Tensor, generator: torch.Generator) -> None:
        """Place the codebook on latents (n, D) of the untrained encoder."""
        rows = torch.randint(len(z), (self.n_codes,), generator=generator).to(z.device)
        self.weight.copy_(z[rows])

    @property
    def codebook(self) -> Tensor:
        """All vectors, (K, D)."""
        return F.normalize(self.weight, dim=1)

    def encode(self, z: Tensor) -> Tensor:
        """Codes of latents, (B, N, D) -> (B, N)."""
        return super().encode(F.normalize(z, dim=-1))

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantise latents (B, N, D)."""
        z = F.normalize(z, dim=-1)
        codes = super().encode(z)  # (B, N)
        vectors = self.lookup(codes)  # (B, N, D)
        terms = {
            "codebook": F.mse_loss(vectors, z.detach()),
            "commitment": self.commitment * F.mse_loss(z, vectors.detach()),
        }
        # Straight through: the value of the vectors, the gradient of the latents.
        return Quantized(z + (vectors - z).detach(), codes, terms)


class CosineQuantizer(Quantizer):
    """Quantizer by cosine similarity.

    Parameters
    ----------
    commitment : float, default=0.25
        Weight of the mean squared distance that pulls the latents to their vectors, at least 0.

    References
    ----------
    J. Yu et al., "Vector-quantized Image Modeling with Improved VQGAN", ICLR 2022, section 3.2.
    """

    def __init__(self, commitment: float = 0.25) -> None:
        self.commitment = commitment

    def check(self, n_codes: int, code_dim: int) -> None:
        """Check the hyperparameters, before anything is trained."""
        if not 0 <= self.commitment < math.inf:
            raise ValueError(
                f"commitment must be a finite number of at least 0; got {self.commitment!r}."
            )

    def build(self, n_codes: int, code_dim: int) -> CosineCodebook:
        """Return the module; sizes arrive here, not in the constructor."""
        return CosineCodebook(n_codes, code_dim, self.commitment)
