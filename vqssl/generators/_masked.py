"""Masked modelling of codes (Chang et al. 2022): the network and its task."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._seed import integers, uniform
from vqssl._share import count_all, own
from vqssl.generators._codes import Prior, group_terms, log_probabilities
from vqssl.generators._decoding import MASK, count_masked
from vqssl.generators._guidance import drop_labels


class MaskedPrior(Prior):
    """Bidirectional network: a token is predicted from all that are not masked."""

    def hidden(
        self,
        codes: Tensor,
        labels: Tensor,
        generator: torch.Generator | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        """Features of the tokens, (B, N) and (B,) -> (B, N, W), or of those `at` names."""
        label = self.classes(labels).unsqueeze(1)  # (B, 1, W)
        h = self.space.embed(codes) + self.space.places.weight + label  # (B, N, W)
        # A token of its own, too: all tokens can look at it, whatever is masked.
        h = torch.cat([label, h], 1)
        where = self._where()
        if at is None:
            return self.trunk(h, generator, **where)[:, 1:]
        return self.trunk(h, at=at + 1, **where)

    def _where(self) -> dict[str, Tensor]:
        """Rows and columns of the class and of the tokens, where these lie in images."""
        coordinates = self.space.coordinates
        if coordinates is None:
            return {}
        # The class at the corner, outside.
        return {"coordinates": F.pad(coordinates + 1, (0, 0, 1, 0))}

    def predict(self, codes: Tensor, labels: Tensor, at: Tensor) -> Tensor:
        """Logits (B, M, K) of the tokens `at` (B, M) alone, which is cheaper."""
        return self.space.logits(self.hidden(codes, labels, at=at), at)


class MaskedModelling(nn.Module):
    """Task: predict masked codes from the others (equation 1)."""

    def __init__(
        self, model: MaskedPrior, schedule: str, class_dropout: float, label_smoothing: float
    ) -> None:
        super().__init__()
        self.model = model
        self.schedule = schedule
        self.class_dropout = class_dropout
        self.label_smoothing = label_smoothing

    def forward(
        self, codes: Tensor, labels: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        space = self.model.space
        masked, hidden = self._masks(codes, generator)
        smoothing = 0.0
        if self.training:
            labels = drop_labels(labels, self.class_dropout, self.model.no_class, generator)
            smoothing = self.label_smoothing
        logits = self.model(codes.masked_fill(hidden, MASK), labels, generator)
        losses = masked_cross_entropy(logits, codes, masked, space.forbidden, smoothing)
        return group_terms("masked_nll", losses, space)

    def _masks(self, codes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Which tokens are predicted, and which are not seen, (B, N) both.

        A group is drawn for each series, as often as its share of the tokens; finer groups
        are not seen, coarser ones are.
        """
        space, n_rows = self.model.space, len(codes)
        token = integers(space.n_tokens, (n_rows,), generator, codes)
        group = space.group[token].unsqueeze(1)  # (B, 1)
        ratio = spread_uniform(n_rows, generator, codes)
        count = count_masked(ratio, space.group_size[token], self.schedule).clamp(min=1)
        inside = space.group == group  # (B, N)
        u = uniform(codes.shape, generator, codes.float())
        ranks = u.masked_fill(~inside, 2.0).argsort(1).argsort(1)
        masked = inside & (ranks < count.unsqueeze(1))
        return masked, masked | (space.group > group)


def spread_uniform(n: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), one in each n-th of the interval, in random order.

    Each of them is uniform by itself; together they leave no gap, which takes noise from the
    gradient (Kingma et al. 2021, appendix I.1).
    """
    n_all = count_all(n)
    cells = torch.randperm(n_all, generator=generator, device=generator.device).to(like.device)
    return (own(cells) + uniform((n,), generator, like.float())) / n_all


def masked_cross_entropy(
    logits: Tensor, codes: Tensor, masked: Tensor, forbidden: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of masked tokens, divided by their number in the series.

    Parameters
    ----------
    logits : Tensor of shape (B, N, K)
    codes : Tensor of shape (B, N), int64
    masked : Tensor of shape (B, N), bool
        At least one in every row.
    forbidden : Tensor of shape (N, K), bool
        Codes that a token cannot have.
    label_smoothing : float, default=0.0
        Weight of the mean over the codes of a token, in place of the true one.

    Returns
    -------
    losses : Tensor of shape (B, N)
        In nats; zero where a token is visible. Sums over tokens are means over masked ones.
    """
    losses = -log_probabilities(logits, codes)  # (B, N)
    if label_smoothing > 0:
        allowed = (~forbidden).sum(1)  # (N,)
        mean = -logits.log_softmax(-1).masked_fill(forbidden, 0.0).sum(2) / allowed
        losses = (1 - label_smoothing) * losses + label_smoothing * mean
    return losses.masked_fill(~masked, 0.0) / masked.sum(1, keepdim=True)
