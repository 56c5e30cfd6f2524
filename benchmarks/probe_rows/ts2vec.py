"""Method `ts2vec`: TS2Vec (Yue et al. 2022), written anew after the paper and its settings.

Two crops of the same series overlap; dilated convolutions see each with half of its time
points masked; at every time scale, a time point of the overlap must be told from the other
times of its series and from the other series of the batch. A series is the maximum over time
of the representations by the averaged weights.

Settings are those published for the UCR archive: 320 dimensions, batches of 8, 200 steps for
sets of up to 100,000 numbers, else 600. Their probe is ``tuned``, except that they take a hard
margin for sets of fewer than 50 series or 5 a class. Series beyond 3,000 points, which they
cut, are left whole. Independent runs of the published code differ by up to 20 points on single
sets, so compare means.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from probe_rows.method import Fitted, Method

HIDDEN, DIM, DEPTH = 64, 320, 10
BATCH, LEARNING_RATE = 8, 1e-3
DROPOUT, MASKED = 0.1, 0.5
LARGE = 100_000  # numbers in the training set
STEPS, STEPS_LARGE = 200, 600


class Block(nn.Module):
    """Two dilated convolutions beside a shortcut, (B, n_in, T) -> (B, n_out, T)."""

    def __init__(self, n_in: int, n_out: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(n_in, n_out, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv1d(n_out, n_out, 3, padding=dilation, dilation=dilation)
        self.shortcut = nn.Identity() if n_in == n_out else nn.Conv1d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.second(F.gelu(self.first(F.gelu(x))))


class Encoder(nn.Module):
    """Representations of all time points, (B, T, C) -> (B, T, 320)."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(n_channels, HIDDEN)
        sizes = [HIDDEN] * (DEPTH + 1) + [DIM]
        self.blocks = nn.Sequential(
            *(Block(sizes[i], sizes[i + 1], 2**i) for i in range(DEPTH + 1))
        )
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        h = self.project(x)
        if self.training:
            # Masked after the projection: zero is a value that series may have, too.
            h = h * (torch.rand(h.shape[:2]) >= MASKED).unsqueeze(2)
        return self.dropout(self.blocks(h.transpose(1, 2))).transpose(1, 2)


def contrast(z: Tensor, other: Tensor) -> Tensor:
    """Mean cross-entropy of finding the same place in the other view, (A, n, D) each.

    Candidates are the 2 n - 1 other vectors of both views.
    """
    n = z.shape[1]
    both = torch.cat([z, other], 1)  # (A, 2 n, D)
    logits = both @ both.transpose(1, 2)
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
    target = torch.arange(2 * n).roll(n).expand(len(z), -1)
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def hierarchical_loss(z: Tensor, other: Tensor) -> Tensor:
    """Mean over time scales of half of both contrasts, (B, T, D) each."""
    terms = []
    while True:
        loss = 0.5 * contrast(z.transpose(0, 1), other.transpose(0, 1))  # between series
        if z.shape[1] == 1:
            return torch.stack([*terms, loss]).mean()
        terms.append(loss + 0.5 * contrast(z, other))  # between times
        z, other = (F.max_pool1d(v.transpose(1, 2), 2).transpose(1, 2) for v in (z, other))


def two_views(x: Tensor, encoder: Encoder) -> tuple[Tensor, Tensor]:
    """Representations of the overlap of two crops, shifted anew for each series (B, L, C)."""
    length = x.shape[1]

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, ()))

    size = draw(2, length + 1)
    left = draw(0, length - size + 1)
    right = left + size
    outer_left, outer_right = draw(0, left + 1), draw(right, length + 1)
    shift = torch.randint(-outer_left, length - outer_right + 1, (len(x), 1))

    def crop(start: int, stop: int) -> Tensor:
        return x[torch.arange(len(x)).unsqueeze(1), shift + torch.arange(start, stop)]

    first = encoder(crop(outer_left, right))[:, -size:]
    return first, encoder(crop(left, outer_right))[:, :size]


def train(series: Tensor) -> nn.Module:
    """Averaged encoder of series (n, L, C)."""
    encoder = Encoder(series.shape[2])
    averaged = AveragedModel(encoder)
    averaged.update_parameters(encoder)  # the average starts with the first weights
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=LEARNING_RATE)
    size = min(BATCH, len(series))
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(STEPS if series.numel() <= LARGE else STEPS_LARGE):
        if len(order) < size:  # what is left of an epoch is dropped
            order = torch.randperm(len(series))
        batch, order = order[:size], order[size:]
        optimizer.zero_grad()
        hierarchical_loss(*two_views(series[batch], encoder)).backward()
        optimizer.step()
        averaged.update_parameters(encoder)
    return averaged.eval()


def fit(X: np.ndarray, seed: int, parameters: dict[str, Any]) -> Fitted:
    def tensor(series: np.ndarray) -> Tensor:
        return torch.from_numpy(series.astype(np.float32)).transpose(1, 2)  # (n, L, C)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = train(tensor(X))

    @torch.inference_mode()
    def transform(series: np.ndarray) -> np.ndarray:
        return np.concatenate([encoder(x).amax(1).numpy() for x in tensor(series).split(64)])

    return Fitted({"ts2vec": transform})


METHOD = Method(("ts2vec",), fit, probe="tuned")
