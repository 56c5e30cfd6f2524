"""InfoNCE over future steps: which frame comes k steps after a context (CPC, equation 4)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

# Contexts per step of prediction whose loss is taken in a training step, at most: a long batch has
# tens of thousands, and the gradient gains little beyond some hundreds.
_TRAINING_CONTEXTS = 512

# Contexts of a series per step of prediction when a fitted model is judged, evenly spaced.
_JUDGED_CONTEXTS = 32

# Logits that judging works on at a time: contexts times candidates.
_LOGITS = 2**22


class Predictions(nn.Module):
    """W_k of f_k(z, c) = exp(z^T W_k c), a matrix for each step k = 1..K.

    Parameters
    ----------
    n_steps : int
        K; 0 where there is nothing to predict.
    frame_dim, context_dim : int
        D and E.
    """

    def __init__(self, n_steps: int, frame_dim: int, context_dim: int) -> None:
        super().__init__()
        self.n_steps = n_steps
        self.weight = nn.Parameter(torch.empty(n_steps, frame_dim, context_dim))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        # So small that candidates are alike at the start, and the loss is log N.
        bound = 1 / max(self.weight.shape[1:])
        self.weight.uniform_(-bound, bound, generator=generator)

    def forward(self, context: Tensor, step: int) -> Tensor:
        """W_k c for contexts, (R, E) -> (R, D)."""
        return context @ self.weight[step - 1].T


class Candidates(NamedTuple):
    """One frame more than there are negatives, of which every positive leaves one out."""

    frames: Tensor  # (J + 1, D)
    places: Tensor  # (J + 1,) of the frames, all different, among all frames


def contrast(predicted: Tensor, positive: Tensor, place: Tensor, candidates: Candidates) -> Tensor:
    """Negative log-probability of the positive among itself and J negatives, in nats.

    The negatives of a row are the candidates without its own positive or, where that is not among
    them, without the last. So they are J for every row, drawn evenly from all other frames, and
    all rows share one product of matrices.

    Parameters
    ----------
    predicted : Tensor of shape (R, D)
        W_k c of each row.
    positive : Tensor of shape (R, D)
        The frame that is predicted.
    place : Tensor of shape (R,)
        Of that frame among all frames.
    candidates : Candidates
        J + 1 of them.

    Returns
    -------
    loss : Tensor of shape (R,)
    """
    logits = predicted @ candidates.frames.T  # (R, J + 1)
    logits = logits.masked_fill(left_out(place, candidates.places), -torch.inf)
    own = (predicted * positive).sum(1)
    return torch.logaddexp(own, logits.logsumexp(1)) - own


def left_out(place: Tensor, places: Tensor) -> Tensor:
    """Which candidate is no negative, one in each row: (R,) and (J + 1,) -> (R, J + 1)."""
    out = place.unsqueeze(1) == places
    out[:, -1] |= ~out.any(1)
    return out


def future_contrast(
    context: Tensor,
    frames: Tensor,
    predictions: Predictions,
    n_negatives: int,
    generator: torch.Generator,
) -> Tensor:
    """InfoNCE of a batch in nats: mean over contexts of each step, then over steps k.

    Parameters
    ----------
    context : Tensor of shape (B, N, E)
    frames : Tensor of shape (B, N, D)
    predictions : Predictions
        K steps, K < N.
    n_negatives : int
        J, at most; of B N frames there are no more than B N - 1.
    generator : torch.Generator
        Draws the candidates and, of more than 512, the contexts.

    Returns
    -------
    loss : scalar Tensor
        0 where there is no step to predict.
    """
    if predictions.n_steps == 0:
        return 0.0 * frames.sum()
    n_series, n_frames, _ = frames.shape
    flat, flat_context = frames.flatten(0, 1), context.flatten(0, 1)
    order = torch.randperm(len(flat), generator=generator, device=generator.device)
    drawn = order[: n_negatives + 1].to(flat.device)
    candidates = Candidates(flat.index_select(0, drawn), drawn)
    starts, places = zip(
        *_contexts(n_series, n_frames, predictions.n_steps, generator), strict=True
    )
    sizes = [len(start) for start in starts]
    # One selection for all steps, as its gradient is as large as the batch.
    contexts = flat_context.index_select(0, torch.cat(starts).to(flat.device)).split(sizes)
    positives = flat.index_select(0, torch.cat(places).to(flat.device)).split(sizes)
    losses = []
    for i, place in enumerate(places):
        predicted = predictions(contexts[i], i + 1)
        losses.append(contrast(predicted, positives[i], place.to(flat.device), candidates).mean())
    return torch.stack(losses).mean()


def _contexts(
    n_series: int, n_frames: int, n_steps: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Places of contexts and of what follows them, for each step: all, or 512 that are drawn."""
    for step in range(1, n_steps + 1):
        n_each = n_frames - step
        n_rows = n_series * n_each
        if n_rows <= _TRAINING_CONTEXTS:
            row = torch.arange(n_rows, device=generator.device)
        else:
            row = torch.randint(
                n_rows, (_TRAINING_CONTEXTS,), generator=generator, device=generator.device
            )
        # The last frames of a series are no contexts.
        start = row + row // n_each * step
        yield start, start + step


def judged_contrast(
    context: Tensor, frames: Tensor, predictions: Predictions, first: int, candidates: Candidates
) -> Tensor:
    """InfoNCE of each series in nats: mean over up to 32 even times of each step, then over steps.

    Parameters
    ----------
    context : Tensor of shape (B, N, E)
    frames : Tensor of shape (B, N, D)
    predictions : Predictions
        K steps, 0 < K < N.
    first : int
        Number of the first series among all that the candidates are taken from.
    candidates : Candidates

    Returns
    -------
    loss : Tensor of shape (B,)
    """
    n_series, n_frames, _ = frames.shape
    series = torch.arange(n_series, device=frames.device).unsqueeze(1)
    losses = []
    for step, time in _judged_times(n_frames, predictions.n_steps):
        times = torch.from_numpy(time).to(frames.device)
        place = (first + series) * n_frames + times + step  # (B, T)
        predicted = predictions(context[:, times].flatten(0, 1), step)
        positive = frames[:, times + step].flatten(0, 1)
        n_once = max(1, _LOGITS // len(candidates.places))
        whole = (predicted, positive, place.flatten())
        parts = zip(*(of.split(n_once) for of in whole), strict=True)
        loss = torch.cat([contrast(p, right, at, candidates) for p, right, at in parts])
        losses.append(loss.unflatten(0, place.shape).mean(1))
    return torch.stack(losses).mean(0)


def _judged_times(n_frames: int, n_steps: int) -> Iterator[tuple[int, np.ndarray]]:
    for step in range(1, n_steps + 1):
        last = n_frames - step - 1
        yield (
            step,
            np.unique(np.linspace(0, last, min(last + 1, _JUDGED_CONTEXTS)).round()).astype(int),
        )
