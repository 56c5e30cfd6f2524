"""The network of a VAE: a Gaussian over latents for series, a Gaussian over series for latents."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vqssl._posterior import LOG_DEVIATION, kl_to_standard_normal
from vqssl._scaler import Scaler
from vqssl._seed import normal
from vqssl.autoencoders._base import LatentModel

# Pairs of points over which the bound of a series is averaged, at least.
_BOUND_PAIRS = 8


class Noise(nn.Module):
    """Deviation of the likelihood, learned or fixed; in units of the scaled series."""

    # A single number has a way to go from 1 to .03, which the weights' learning rate would
    # take all steps for.
    lr_multiplier = 10.0

    log_deviation: Tensor  # scalar

    def __init__(self, fixed: float | None) -> None:
        super().__init__()
        self.fixed = fixed
        if fixed is None:
            self.log_deviation = nn.Parameter(torch.empty(()))
        else:
            self.register_buffer("log_deviation", torch.empty(()))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        self.log_deviation.fill_(0.0 if self.fixed is None else math.log(self.fixed))

    def forward(self) -> Tensor:
        if self.fixed is None:
            return self.log_deviation.clamp(*LOG_DEVIATION)
        return self.log_deviation


class Posterior(NamedTuple):
    """Gaussian over latents: mean (B, Z) and L, the factor of the covariance L L^T.

    A diagonal L is kept as its diagonal, (B, Z); a full one is lower triangular, (B, Z, Z).
    """

    mean: Tensor
    factor: Tensor

    def at(self, unit: Tensor) -> Tensor:
        """Points mean + L u, for u (..., B, Z), (..., 1, Z) or (Z,)."""
        if self.factor.ndim == 2:
            return self.mean + self.factor * unit
        # Not a product with unit.unsqueeze(-1), which would copy the factors for every draw.
        unit = unit if unit.ndim > 1 else unit.unsqueeze(0)
        return self.mean + torch.einsum("bij,...bj->...bi", self.factor, unit)

    def log_diagonal(self) -> Tensor:
        """Logarithm of the diagonal of L, (B, Z)."""
        return (self.factor if self.factor.ndim == 2 else self.factor.diagonal(0, 1, 2)).log()

    def variance(self) -> Tensor:
        """Variance of each dimension, (B, Z)."""
        squares = self.factor.square()
        return squares if squares.ndim == 2 else squares.sum(2)

    def kl(self) -> Tensor:
        """KL(q || N(0, I)) in nats, (B,)."""
        return 0.5 * (self.variance() + self.mean.square() - 1 - 2 * self.log_diagonal()).sum(1)

    def kl_by_dimension(self) -> Tensor:
        """KL of each marginal to N(0, 1) in nats, (B, Z)."""
        return kl_to_standard_normal(self.mean, self.variance())

    def log_density(self, unit: Tensor) -> Tensor:
        """Logarithm of q at the points mean + L u, (..., B, Z) -> (..., B)."""
        return log_normal(unit) - self.log_diagonal().sum(1)


def log_normal(unit: Tensor) -> Tensor:
    """Logarithm of the standard normal density, (..., Z) -> (...)."""
    return -0.5 * (unit.square() + math.log(2 * math.pi)).sum(-1)


def matched_points(dim: int, generator: torch.Generator) -> np.ndarray:
    """Points (S, Z) with mean 0 and covariance I, in pairs of opposite ones.

    The same error of a mean over plain draws would be in the bound of every series, and their
    mean would not be rid of it.
    """
    n = max(_BOUND_PAIRS, dim)
    drawn = torch.randn((n, dim), generator=generator, dtype=torch.float64).numpy()
    half = np.sqrt(n) * np.linalg.qr(drawn)[0]
    return np.concatenate([half, -half])


class VariationalModel(LatentModel):
    """Encoder to a Gaussian, decoder to the mean of a Gaussian; its own task."""

    def __init__(
        self,
        scaler: Scaler,
        encoder: nn.Module,
        decoder: nn.Module,
        n_tokens: int,
        latent_dim: int,
        covariance: str,
        noise: Noise,
        beta: float,
    ) -> None:
        self.latent_dim = latent_dim
        self.is_full = covariance == "full"
        n_below = latent_dim * (latent_dim - 1) // 2 if self.is_full else 0
        n_outputs = 2 * latent_dim + n_below
        super().__init__(scaler, encoder, decoder, n_tokens, latent_dim, n_outputs)
        self.noise = noise
        self.beta = beta

    def forward(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Negative likelihood and weighted KL in nats, means over series (B, C, L)."""
        x = self.scaler(x)
        posterior = self.posterior(x)
        mean = posterior.mean
        z = posterior.at(normal(mean.shape, generator, mean))
        return {
            "reconstruction": -self.log_likelihood(x, z).mean(),
            "kl": self.beta * posterior.kl().mean(),
        }

    def posterior(self, scaled: Tensor) -> Posterior:
        """What the encoder takes the posterior of scaled series to be."""
        outputs = self.outputs(scaled)
        outputs = outputs if outputs.dtype == torch.float64 else outputs.float()
        mean, log_diagonal, below = outputs.tensor_split(
            [self.latent_dim, 2 * self.latent_dim], dim=1
        )
        diagonal = log_diagonal.clamp(*LOG_DEVIATION).exp()
        if not self.is_full:
            return Posterior(mean, diagonal)
        factor = torch.diag_embed(diagonal)
        row, column = torch.tril_indices(self.latent_dim, self.latent_dim, -1)
        factor[:, row, column] = below
        return Posterior(mean, factor)

    def latent(self, x: Tensor) -> Tensor:
        return self.posterior(self.scaler(x)).mean

    def log_likelihood(self, scaled: Tensor, z: Tensor) -> Tensor:
        """Logarithm of p(x | z) in nats, (B, C, L) and (B, Z) -> (B,)."""
        decoded = self.decode_scaled(z)
        error = scaled - (decoded if decoded.dtype == torch.float64 else decoded.float())
        log_deviation = self.noise()
        density = error.square() * torch.exp(-2 * log_deviation) + math.log(2 * math.pi)
        elements = tuple(range(1, density.ndim))
        return -0.5 * density.sum(elements) - error[0].numel() * log_deviation

    def log_volume(self) -> Tensor:
        """Logarithm of the volume that scaling takes from a series, per time point or pixel."""
        if self.scaler.scaling == "dataset":
            return self.scaler.deviation.log().sum()
        return torch.zeros_like(self.scaler.deviation.flatten()[0])
