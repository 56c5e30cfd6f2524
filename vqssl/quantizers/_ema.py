"""Codebook by exponential moving averages (van den Oord et al. 2017, appendix A.1)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vqssl._seed import places
from vqssl._share import count_all, pick_rows, totals
from vqssl._validation import check_probability, check_weight
from vqssl.quantizers._base import (
    Quantized,
    Quantizer,
    QuantizerModule,
    draw_rows,
    nearest_codes,
    straight_through,
)

# Laplace smoothing of the cluster sizes.
_EPSILON = 1e-5


class EMACodebook(QuantizerModule):
    """Codebook whose vectors follow the mean of the latents assigned to them."""

    vectors: Tensor  # (K, D)
    count: Tensor  # (K,) moving average of the tokens per batch and code
    total: Tensor  # (K, D) moving average of the sum of the latents per code

    sees_whole_batch = False

    def __init__(
        self, n_codes: int, code_dim: int, decay: float, commitment: float, reset_threshold: float
    ) -> None:
        super().__init__()
        self.n_codes = n_codes
        self.decay = decay
        self.commitment = commitment
        self.reset_threshold = reset_threshold
        self.register_buffer("vectors", torch.empty(n_codes, code_dim))
        self.register_buffer("count", torch.empty(n_codes))
        self.register_buffer("total", torch.empty(n_codes, code_dim))

    @property
    def codebook(self) -> Tensor:
        return self.vectors

    def initialise(self, generator: torch.Generator) -> None:
        self.vectors.normal_(generator=generator)
        self.count.fill_(1.0)
        self.total.copy_(self.vectors)

    @torch.no_grad()
    def start(self, z: Tensor, generator: torch.Generator) -> None:
        self.vectors.copy_(draw_rows(z, self.n_codes, generator))
        self.count.fill_(1.0)
        self.total.copy_(self.vectors)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        codes = nearest_codes(z, self.vectors)  # (B, N)
        # Looked up before the update, so that the loss is the one of this codebook.
        vectors = F.embedding(codes, self.vectors)  # (B, N, D)
        if self.training:
            self._update(z.detach().flatten(0, 1).float(), codes.flatten(), generator)
        commitment = self.commitment * F.mse_loss(z, vectors)
        return Quantized(straight_through(z, vectors), codes, {"commitment": commitment})

    @torch.no_grad()
    def _update(self, z: Tensor, codes: Tensor, generator: torch.Generator | None) -> None:
        ones = torch.ones_like(z[:, 0])
        load = torch.zeros_like(self.count).index_add_(0, codes, ones)  # (K,)
        latent_sum = torch.zeros_like(self.total).index_add_(0, codes, z)  # (K, D)
        n_tokens = count_all(len(z))
        resets = self.reset_threshold > 0 and generator is not None
        if resets:
            assert generator is not None, "resets says so"
            drawn = pick_rows(z, places(n_tokens, self.n_codes, generator, z))  # (K, D)
            load, latent_sum, drawn = totals(load, latent_sum, drawn)
        else:
            load, latent_sum = totals(load, latent_sum)
        self.count.lerp_(load, 1 - self.decay)
        self.total.lerp_(latent_sum, 1 - self.decay)
        tokens = self.count.sum()
        smoothed = (self.count + _EPSILON) / (tokens + self.n_codes * _EPSILON) * tokens
        # Smoothing would draw a code without members to the origin as its count nears zero.
        idle = (load == 0).unsqueeze(1)
        self.vectors.copy_(torch.where(idle, self.vectors, self.total / smoothed.unsqueeze(1)))
        if resets:
            self._reset_dead(drawn, n_tokens / self.n_codes)

    def _reset_dead(self, drawn: Tensor, mean_load: float) -> None:
        """Put latents (K, D) in the place of codes out of use."""
        dead = self.count < self.reset_threshold * mean_load  # (K,)
        # A re-drawn code starts with the load it would have in a balanced codebook;
        # with its old one it would be re-drawn again at the next step.
        self.count.copy_(torch.where(dead, mean_load, self.count))
        dead = dead.unsqueeze(1)
        self.vectors.copy_(torch.where(dead, drawn, self.vectors))
        self.total.copy_(torch.where(dead, drawn * mean_load, self.total))


class EMAQuantizer(Quantizer):
    """Nearest-neighbour quantizer with a codebook of moving averages.

    Every vector is the moving average of the latents assigned to it. The codebook starts
    on encoder outputs, and codes that fall out of use are drawn again from the current
    encoder outputs, together with their moving averages.

    Parameters
    ----------
    decay : float, default=0.9
        Weight of the past in the moving averages, in [0, 1). The codebook remembers
        about ``1 / (1 - decay)`` steps: 0.9 suits runs of some hundred steps, 0.99 long
        ones.
    commitment : float, default=1.0
        Commitment cost, weight of the mean squared distance that pulls the latents to
        their vectors (mean over B, N and D).
    reset_threshold : float, default=0.05
        A code is drawn again when its moving average of tokens per batch is below this
        share of the average, B * N / K. In [0, 1); 0 never draws again.

    Notes
    -----
    Departures from the paper: cluster sizes start at 1 and sums at the vectors (from 0,
    an unused code is multiplied by 1e5 at the first step); a code without members in a
    batch keeps its vector. Cluster sizes are Laplace-smoothed with 1e-5.

    References
    ----------
    A. van den Oord, O. Vinyals, K. Kavukcuoglu, "Neural Discrete Representation
    Learning", NeurIPS 2017, equation 3 and appendix A.1. commitment is its beta.

    Examples
    --------
    >>> from vqssl.quantizers import EMAQuantizer
    >>> EMAQuantizer(decay=0.99).build(n_codes=32, code_dim=8).n_codes
    32
    """

    def __init__(
        self, decay: float = 0.9, commitment: float = 1.0, reset_threshold: float = 0.05
    ) -> None:
        self.decay = decay
        self.commitment = commitment
        self.reset_threshold = reset_threshold

    def check(self, n_codes: int, code_dim: int) -> None:
        check_probability(self.decay, "decay", below_one=True)
        check_weight(self.commitment, "commitment")
        check_probability(self.reset_threshold, "reset_threshold", below_one=True)

    def build(self, n_codes: int, code_dim: int) -> EMACodebook:
        return EMACodebook(n_codes, code_dim, self.decay, self.commitment, self.reset_threshold)
