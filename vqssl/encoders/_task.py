"""What trains an encoder: InfoNCE of each loss, and the KL of its Gaussian frames."""

import torch
from torch import Tensor, nn

from vqssl._share import whole
from vqssl.encoders._contrast import future_contrast
from vqssl.encoders._modules import EncoderModel
from vqssl.losses._base import full_precision


class FutureContrast(nn.Module):
    """Task: terms of every loss of a model, which share no gradient unless the model does.

    Parameters
    ----------
    model : EncoderModel
    names : list of str
        What the terms of each loss begin with.
    n_negatives : int
    beta : float
        Weight of the KL; 0 where frames are no Gaussians.
    """

    def __init__(
        self, model: EncoderModel, names: list[str], n_negatives: int, beta: float
    ) -> None:
        super().__init__()
        self.model = model
        self.names = names
        self.n_negatives = n_negatives
        self.beta = beta
        self.stage: int | None = None

    def begin_stage(self, stage: int) -> None:
        """From now on only the loss of this number has a gradient."""
        self.stage = stage

    def forward(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """InfoNCE and weighted KL of each loss in nats, for series (B, C, L)."""
        model = self.model
        outcomes = model.outcomes(model.scaler(x), generator)
        terms: dict[str, Tensor] = {}
        for i, (name, outcome) in enumerate(zip(self.names, outcomes, strict=True)):
            with full_precision(outcome.context, outcome.frames) as (context, frames):
                # Negatives are frames of all series of the batch.
                every = whole(frames)
                every_context = every if context is frames else whole(context)
                own = {
                    f"{name}contrast": future_contrast(
                        every_context, every, model.predictions_of(i), self.n_negatives, generator
                    )
                }
                if self.beta > 0:
                    # Summed over dimensions, averaged over frames: free of the length.
                    own[f"{name}kl"] = self.beta * outcome.posterior.kl().sum(2).mean()
            # The other losses are still told.
            is_trained = self.stage in (None, i)
            terms |= {k: term if is_trained else term.detach() for k, term in own.items()}
        return terms
