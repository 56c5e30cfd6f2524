"""The VAE as a whole, against the same network in a loop of plain torch."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits
from torch import nn

from vqssl import VAE
from vqssl.backbones import ConvBackbone

N_STEPS = 2000
WARM_UP = 100
LATENT_DIM = 8


def train_by_hand(X, backbone, start, seed):
    """ELBO in nats of a VAE with one learned deviation, written out and trained on rows (n, L).

    From the weights of `start`, a fitted VAE of the same network.
    """
    torch.manual_seed(seed)
    length = X.shape[1]
    encoder, decoder = backbone.build(1, length, 16, 2)
    width = 16 * length // 2
    to_latent, from_latent = nn.Linear(width, 2 * LATENT_DIM), nn.Linear(LATENT_DIM, width)
    for name, module in {
        "encoder": encoder, "decoder": decoder, "to_latent": to_latent, "from_latent": from_latent
    }.items():  # fmt: skip
        module.load_state_dict(getattr(start.model_, name).state_dict())
    log_deviation = nn.Parameter(torch.zeros(()))
    weights = [p for m in (encoder, decoder, to_latent, from_latent) for p in m.parameters()]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in weights if p.ndim > 1]},
            {"params": [p for p in weights if p.ndim == 1], "weight_decay": 0.0},
            {"params": [log_deviation], "lr": 2e-2, "weight_decay": 0.0},
        ],
        lr=2e-3,
    )

    def ramp(step):
        rest = max(0, step - WARM_UP) / (N_STEPS - WARM_UP)
        return min(1, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * rest)) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, ramp)

    def bound(x, eps):
        h = to_latent(encoder(x[:, None]).flatten(1))
        mean, log_scale = h.chunk(2, 1)
        z = mean + log_scale.exp() * eps
        decoded = decoder(from_latent(z).unflatten(1, (length // 2, 16)))[:, 0]
        likelihood = torch.distributions.Normal(decoded, log_deviation.exp()).log_prob(x).sum(1)
        q = torch.distributions.Normal(mean, log_scale.exp())
        p = torch.distributions.Normal(torch.zeros(()), torch.ones(()))
        return likelihood - torch.distributions.kl_divergence(q, p).sum(1)

    X = torch.from_numpy(X)
    batches = []
    for _ in range(N_STEPS):
        batches = batches or list(torch.randperm(len(X)).tensor_split(28))
        x = X[batches.pop()]
        loss = -bound(x, torch.randn(len(x), LATENT_DIM)).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*weights, log_deviation], 1.0)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        draws = [bound(X, torch.randn(len(X), LATENT_DIM)).mean() for _ in range(16)]
    return float(torch.stack(draws).mean())


@pytest.mark.slow
def test_digits_reach_the_bound_of_a_loop_by_hand():
    # Standardised, as the estimator would do, so that the same densities are compared.
    X = load_digits().data.astype(np.float32)
    X = (X - X.mean()) / X.std()
    backbone = ConvBackbone(width=32, n_blocks=2, n_decoder_blocks=2)
    vae = VAE(
        LATENT_DIM,
        backbone=backbone,
        compression=2,
        scaling=None,
        max_iter=N_STEPS,
        batch_size=64,
        device="cpu",
    )
    ours, theirs = [], []
    for seed in range(3):
        vae.set_params(random_state=seed, max_iter=N_STEPS, lr=2e-3).fit(X)
        ours.append(vae.score(X))
        start = vae.set_params(max_iter=1, lr=1e-12).fit(X)
        theirs.append(train_by_hand(X, backbone, start, seed))
    assert_allclose(np.mean(ours), np.mean(theirs), rtol=0.02)
