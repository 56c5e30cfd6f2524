"""A Markov chain over codes, as a generator of one's own."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl.generators import BaseGenerator, CodeSpace, Draws, Prior, draw_codes


class MarkovPrior(Prior):
    """Network that sees the class, the place and the code before: a chain of first order."""

    def hidden(
        self, codes: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Features that predict the tokens, (B, N) and (B,) -> (B, N, W)."""
        order, rank = self.space.order, self.space.rank  # tokens come group by group
        before = self.space.embed(codes)[:, order[:-1]]  # (B, N - 1, W)
        h = F.pad(before, (0, 0, 1, 0))  # (B, N, W); nothing is before the first
        return self.apply_trunk(h, self.space.places(order), labels, generator)[:, rank]

    def apply_trunk(
        self, h: Tensor, places: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Features of tokens (B, M, W), each by itself."""
        h = h + places + self.classes(labels).unsqueeze(1)
        # As sequences of one token, (B M, 1, W), so that none sees another.
        return self.trunk(h.flatten(0, 1).unsqueeze(1), generator).view_as(h)


class MarkovTask(nn.Module):
    """What is minimised: nats per token, mean over B and N."""

    def __init__(self, model: MarkovPrior, class_dropout: float) -> None:
        super().__init__()
        self.model = model
        self.class_dropout = class_dropout

    def forward(
        self, codes: Tensor, labels: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the weighted terms, here one, of codes (B, N) and class numbers (B,)."""
        if self.training:
            u = torch.rand(labels.shape, generator=generator, device=generator.device)
            hide = u.to(labels.device) < self.class_dropout
            labels = labels.masked_fill(hide, self.model.no_class)
        return {"nll": -log_probabilities(self.model, codes, labels, generator).mean()}


def log_probabilities(
    model: MarkovPrior, codes: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """What each code adds to the log-likelihood, (B, N) in nats."""
    log_p = model(codes, labels, generator).log_softmax(-1)  # (B, N, K)
    return log_p.gather(2, codes.unsqueeze(2)).squeeze(2)


class MarkovGenerator(BaseGenerator):
    """Generator whose codes depend on the class, the place and the code before.

    Parameters
    ----------
    tokenizer, backbone, class_dropout, temperature
        As in `vqssl.AutoregressiveGenerator`.
    guidance_scale : float, default=0.0
        Must stay 0: this chain is drawn from as it is.
    lr, max_iter, batch_size, validation_fraction, device, precision, checkpoint_dir, callbacks, \
net_params, random_state, verbose
        As in every estimator of vqssl.
    """

    _causal: ClassVar = True  # what the backbone is built for
    _parameter_constraints: ClassVar = {
        **BaseGenerator._own_types,
        **BaseGenerator._parameter_constraints,
    }

    def __init__(
        self,
        tokenizer=None,
        *,
        backbone="transformer",
        class_dropout=0.1,
        temperature=1.0,
        guidance_scale=0.0,
        lr=2e-3,
        max_iter=500,
        batch_size=64,
        validation_fraction=0.0,
        device="auto",
        precision="float32",
        checkpoint_dir=None,
        callbacks=None,
        net_params=None,
        random_state=None,
        verbose=0,
    ):
        self.tokenizer = tokenizer
        self.backbone = backbone
        self.class_dropout = class_dropout
        self.temperature = temperature
        self.guidance_scale = guidance_scale
        self.lr = lr
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.device = device
        self.precision = precision
        self.checkpoint_dir = checkpoint_dir
        self.callbacks = callbacks
        self.net_params = net_params
        self.random_state = random_state
        self.verbose = verbose

    def _check_sampling(self) -> None:  # by fit and by sample
        super()._check_sampling()
        if self.guidance_scale != 0:
            raise ValueError(f"guidance_scale must be 0; got {self.guidance_scale!r}.")

    def _build_prior(self, space: CodeSpace, trunk: nn.Module, n_classes: int) -> MarkovPrior:
        return MarkovPrior(space, trunk, n_classes)

    def _task(self, model: nn.Module, batch_size: int) -> nn.Module:
        return MarkovTask(model, self.class_dropout)

    def _draw(self, model: MarkovPrior, labels: Tensor, draws: Draws) -> Tensor:
        u = draws.codes(0)  # (B, N), one uniform number per sample and token
        codes = torch.zeros_like(u, dtype=torch.int64)
        h = torch.zeros_like(model.classes(labels)).unsqueeze(1)  # (B, 1, W)
        for position in model.space.in_order:
            h = model.apply_trunk(h, model.space.places.weight[position], labels)
            logits = model.space.logits_at(h.squeeze(1), position)  # (B, K)
            codes[:, position] = draw_codes(logits / self.temperature, u[:, position])
            h = model.space.embed_at(codes[:, position], position).unsqueeze(1)
        return codes

    def _log_probabilities(self, model: MarkovPrior, codes: Tensor, labels: Tensor) -> Tensor:
        return log_probabilities(model, codes, labels).double()
