"""timevqvae 1.0.1 (Lee, Malacarne, Aune 2023) with the training of its repository.

The package holds modules only, so the loops are written here. The settings are those of the
repository ML4ITS/TimeVQVAE (`configs/config.yaml` and `experiments/`) at the state whose model
has the package's default sizes (K = 1,024, codebook dimension 8, k-means start): AdamW with
torch's weight decay, largest learning rate .005, warm-up over 5 percent of the steps, then a
cosine to a tenth of it, batches of 32 in both stages. An earlier state (32 codes, another
model) had .001 and batches of 64 or 128 and 256. On the TwoPatterns set one trial of each gave,
after equally many seconds or steps, a lower error with .005 in stage 1 (.110 to .124 after 300
steps, .124 to .498 after 150; batches of 128 were worse at equal seconds), but a lower loss
with .001 in stage 2 (4.530 to 4.544 nats after 1,000 steps), so each stage has what served the
peer better. Sizes of the priors are those of the package's README and of that file.

In its favour: batches are gathered from a tensor in memory, not by a data loader; nothing is
logged; the second stage sees codes that are there already, while the published step encodes
its batch anew every time.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speed_rows.peers import need
from speed_rows.steps import shuffled

BATCH_SIZE = 32
VQVAE_LR = 5e-3
PRIOR_LR = 1e-3
LEAST_SHARE = 0.1  # of the learning rate, where the schedule ends
WARM_UP = 0.05
N_CODES = 1024
LF_PRIOR = {
    "hidden_dim": 128,
    "n_layers": 4,
    "heads": 2,
    "ff_mult": 1,
    "use_rmsnorm": True,
    "p_unconditional": 0.2,
}
HF_PRIOR = LF_PRIOR | {"hidden_dim": 32, "n_layers": 1, "heads": 1}
PRIOR_DIM = 128
DECODING = {
    "lf_choice_temperature": 10.0,
    "hf_choice_temperature": 0.0,
    "lf_num_sampling_steps": 10,
    "hf_num_sampling_steps": 10,
    "classifier_free_guidance_scale": 1.0,
}


class Optimizer:
    """AdamW with the published schedule over a fixed number of steps."""

    def __init__(self, module: nn.Module, n_steps: int, lr: float) -> None:
        parameters = [p for p in module.parameters() if p.requires_grad]
        self.adam = torch.optim.AdamW(parameters, lr=lr)
        warm_up = max(1, int(WARM_UP * n_steps))

        def factor(step: int) -> float:
            if step < warm_up:
                return (step + 1) / warm_up
            done = min(1.0, (step - warm_up) / max(1, n_steps - warm_up))
            cosine = 0.5 * (1 + math.cos(math.pi * done))
            return LEAST_SHARE + (1 - LEAST_SHARE) * cosine

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.adam, factor)

    def step(self, loss: Tensor) -> None:
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.schedule.step()


def seed_everything(seed: int) -> None:
    """Seed the global generators, which the peer draws from."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def make_vqvae(length: int) -> nn.Module:
    """Its VQ-VAE for series of one channel, with its defaults."""
    module = need("timevqvae.vqvae")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return module.VQVAE(in_channels=1, input_length=length)


class VQVAETraining:
    """Stage 1: calling it takes one training step."""

    def __init__(
        self,
        X: np.ndarray,
        n_steps: int,
        seed: int,
        batch_size: int = BATCH_SIZE,
        lr: float = VQVAE_LR,
    ) -> None:
        seed_everything(seed)
        self.model = make_vqvae(X.shape[2]).train()
        self.optimizer = Optimizer(self.model, n_steps, lr)
        self.next_batch = shuffled(X, batch_size, seed)

    def __call__(self) -> None:
        out = self.model(self.next_batch())
        quantization = out.vq_losses["LF"]["loss"] + out.vq_losses["HF"]["loss"]
        self.optimizer.step((sum(out.recons_loss.values()) + quantization).sum())


@torch.inference_mode()
def reconstruction_error(model: nn.Module, X: np.ndarray) -> float:
    """Mean squared error of series reconstructed from their codes."""
    model.eval()
    errors = [(model(x).x_recon - x).square().mean((1, 2)) for x in torch.from_numpy(X).split(128)]
    return float(torch.cat(errors).double().mean())


def bits(model: nn.Module, length: int) -> float:
    """Bits of a series: tokens of both bands times log2 of the size of their codebook."""
    with torch.inference_mode():
        model.eval()(torch.zeros(2, 1, length))  # it counts its tokens on the first batch
    n_tokens = int(model.encoder_l.num_tokens) + int(model.encoder_h.num_tokens)
    return n_tokens * math.log2(N_CODES)


def make_lf_prior(n_tokens: int, n_codes: int, n_classes: int) -> nn.Module:
    """Its bidirectional transformer over one band, with the sizes of its README."""
    module = need("timevqvae.models.bidirectional_transformer")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return module.BidirectionalTransformer(
            "lf",
            n_tokens,
            {"lf": n_codes, "hf": n_codes},
            PRIOR_DIM,
            **LF_PRIOR,
            n_classes=n_classes,
        )


class PriorTraining:
    """Stage 2 on given codes: calling it takes one training step with its own masking."""

    def __init__(
        self,
        codes: np.ndarray,
        labels: np.ndarray,
        n_codes: int,
        n_classes: int,
        n_steps: int,
        seed: int,
        batch_size: int = BATCH_SIZE,
        lr: float = PRIOR_LR,
    ) -> None:
        seed_everything(seed)
        self.model = make_lf_prior(codes.shape[1], n_codes, n_classes).train()
        # The number after the last code stands for a mask.
        self.masking = need("timevqvae.maskgit")._MaskingLogic(n_codes, n_codes, 0.0, 0.0)
        self.n_codes = n_codes
        self.optimizer = Optimizer(self.model, n_steps, lr)
        self.next_batch = shuffled(np.column_stack([codes, labels]), batch_size, seed)

    def __call__(self) -> None:
        rows = self.next_batch()
        codes, labels = rows[:, :-1], rows[:, -1:]
        seen, known = self.masking.randomly_mask_tokens(codes, self.n_codes, codes.device)
        logits = self.model(seen, class_condition=labels)
        loss = nn.functional.cross_entropy(logits[~known].float(), codes[~known])
        self.optimizer.step(loss)


def make_maskgit(length: int, n_classes: int) -> nn.Module:
    """Both its stages with the settings of its README, untrained, for sampling."""
    module = need("timevqvae.maskgit")
    vqvae = make_vqvae(length)
    bits(vqvae, length)  # MaskGIT asks for the number of tokens
    configs: Sequence[Any] = [module.PriorModelConfig(**c) for c in (LF_PRIOR, HF_PRIOR)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        maskgit = module.MaskGIT(
            vqvae,
            lf_codebook_size=N_CODES,
            hf_codebook_size=N_CODES,
            transformer_embedding_dim=PRIOR_DIM,
            lf_prior_model_config=configs[0],
            hf_prior_model_config=configs[1],
            n_classes=n_classes,
            **DECODING,
        )
    return maskgit.eval()


@torch.no_grad()
def sample(maskgit: nn.Module, n_samples: int, label: int) -> Tensor:
    """Series (n_samples, 1, L) of one class, decoded from both bands."""
    low, high = maskgit.iterative_decoding(num_samples=n_samples, class_condition=label)
    return maskgit.decode_token_ind_to_timeseries(
        low, "lf"
    ) + maskgit.decode_token_ind_to_timeseries(high, "hf")
