"""A training step of the published recipe of NC-VQVAE (arXiv 2408.16613), Barlow Twins.

It is not on PyPI; the step is written after its repository
(erlendlokna/Generative-SSL-VQVAE-modelling): `configs/config.yaml`, `experiments/`,
`models/ssl/barlowtwins.py`, `preprocessing/`. A loop over the samples of the batch makes one
view of each on the CPU in numpy (amplitude resize and window warp, the pair that
`experiments1.py` names); the encoder takes the series and the view, one after the other; both
are pooled (mean and maximum) and projected by three linear layers, 4,096 wide, with batch norm;
the series is quantised and reconstructed; AdamW at .001, weight decay .001.

Encoder, decoder and quantizer are those of timevqvae with the sizes of that configuration
(n_fft 8, 64 channels, four residual blocks, width 8, 32 codes) and without a split into bands.

In its favour, the recipe's own encoder being the older of timevqvae with full convolutions, 64
channels wide at every rate: the one here has depthwise convolutions and starts with four
channels. The loss on the spectrogram, the short-time Fourier transform of every augmented
sample, the reconstruction of the view and the data loader are left out.
"""

import warnings

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from speed_rows.peer_timevqvae import seed_everything
from speed_rows.peers import need
from speed_rows.steps import shuffled

N_FFT = 8
DIM = 64
INIT_DIM = 4  # timevqvae's default
N_BLOCKS = 4
WIDTH = 8
N_CODES = 32
PROJECTOR_DIM = 4096
LAMBDA = 0.005
AMPLITUDE = 0.1
WINDOW = 0.4
WARPS = (0.8, 1.2)


def resize_amplitude(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scale every point of a series (L,) by a number near one."""
    return x * (1 + rng.normal(0, AMPLITUDE, len(x)))


def warp_window(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stretch or shrink a window of a series (L,), then bring it back to its length."""
    size = max(1, round(WINDOW * len(x)))
    start = rng.integers(0, len(x) - size)
    window = x[start : start + size]
    places = np.linspace(0, size - 1, num=max(1, round(size * rng.choice(WARPS))))
    window = np.interp(places, np.arange(size), window)
    warped = np.concatenate([x[:start], window, x[start + size :]])
    return np.interp(np.linspace(0, len(warped) - 1, len(x)), np.arange(len(warped)), warped)


def augment(batch: Tensor, rng: np.random.Generator) -> Tensor:
    """A view of every series (B, 1, L), made sample by sample."""
    views = [warp_window(resize_amplitude(x[0], rng), rng) for x in batch.numpy()]
    return torch.from_numpy(np.stack(views)[:, None].astype(np.float32))


class Projector(nn.Sequential):
    """Three linear layers with batch norm and ReLU between them, (B, 2 D) -> (B, P)."""

    def __init__(self, in_dim: int, dim: int) -> None:
        super().__init__(
            nn.Linear(in_dim, dim),
            nn.BatchNorm1d(dim),
            nn.ReLU(),
            nn.Linear(dim, dim),
            nn.BatchNorm1d(dim),
            nn.ReLU(),
            nn.Linear(dim, dim),
        )


def barlow_twins(first: Tensor, second: Tensor) -> Tensor:
    """Loss of two projections (B, P), divided by P as published with the recipe."""
    first, second = ((p - p.mean(0)) / (p.std(0) + 1e-8) for p in (first, second))
    correlation = first.T @ second / len(first)  # (P, P)
    identity = torch.eye(len(correlation), device=first.device)
    weights = LAMBDA * (identity - 1).abs() + identity
    return ((identity - correlation).square() * weights).sum() / len(correlation)


def pool(z: Tensor) -> Tensor:
    """Mean and maximum over the tokens, (B, D, H, W) -> (B, 2 D)."""
    return torch.cat([z.mean((2, 3)), z.amax((2, 3))], 1)


class RecipeTraining:
    """Calling it takes one training step.

    Parameters
    ----------
    X : ndarray of shape (n, 1, L)
    batch_size : int
    projector_dim : int, default=4096
        Width of the projector; another one says what its width costs.
    """

    def __init__(self, X: np.ndarray, batch_size: int, projector_dim: int = PROJECTOR_DIM) -> None:
        seed_everything(0)
        length = X.shape[2]
        networks = need("timevqvae.models.vq_vae_encdec")
        quantization = need("timevqvae.vector_quantization")
        signal = need("timevqvae.utils.signal")
        self.quantize = need("timevqvae.utils.nn").quantize
        rate = signal.compute_downsample_rate(length, N_FFT, WIDTH)
        # A kind that is neither band: the whole spectrogram.
        sizes = (INIT_DIM, DIM, 2, rate, N_BLOCKS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.encoder = networks.VQVAEEncoder(*sizes, "all", N_FFT, False, dropout=0.0)
            self.decoder = networks.VQVAEDecoder(
                *sizes, length, "all", N_FFT, 1, False, dropout=0.0
            )
        self.quantizer = quantization.VectorQuantize(DIM, N_CODES)
        self.projector = Projector(2 * DIM, projector_dim)
        parts = nn.ModuleList([self.encoder, self.decoder, self.quantizer, self.projector])
        self.adam = torch.optim.AdamW(parts.train().parameters(), lr=1e-3, weight_decay=1e-3)
        self.next_batch = shuffled(X, batch_size, 0)
        self.rng = np.random.default_rng(0)

    def __call__(self) -> None:
        x = self.next_batch()
        z, z_view = self.encoder(x), self.encoder(augment(x, self.rng))  # (B, D, H, W) each
        vectors, _, terms, _ = self.quantize(z, self.quantizer)
        reconstruction = F.mse_loss(self.decoder(vectors), x)
        ssl = barlow_twins(self.projector(pool(z)), self.projector(pool(z_view)))
        self.adam.zero_grad()
        (reconstruction + terms["loss"].sum() + ssl).backward()
        self.adam.step()
