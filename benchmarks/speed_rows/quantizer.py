"""Row `quantizer`: forward and backward of the codebooks against vector-quantize-pytorch.

Both sides start on the same codebook and get the same latents, drawn anew around as many
centres as there are codes; both pull the latents by straight-through, learn the codebook the
same way and draw dead codes anew below the same share. The loss of the pair that learns by
gradient weighs codebook and commitment alike, which is all that the peer offers.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from speed_rows.peers import need
from speed_rows.report import Bar, Line, Result, Settings, compared, counted
from speed_rows.steps import with_threads
from speed_rows.timing import clock_of, take_turns
from vqssl.quantizers import EMAQuantizer, GradientQuantizer

N_SERIES, N_TOKENS, DIM = 64, 32, 64
N_BATCHES = 8
DECAY = 0.9
DEAD_SHARE = 0.05  # of the mean number of tokens per code
BARS = {32: Bar(low=1.5), 1024: Bar(low=3.0)}


def run(settings: Settings) -> Result:
    lines: list[Line] = []
    raw: dict[str, Any] = {}
    for n_codes, bar in BARS.items():
        for kind in ("ema", "gradient"):
            for threads in settings.thread_counts:
                with with_threads(threads):
                    sides = {"ours": our_side(kind, n_codes), "theirs": their_side(kind, n_codes)}
                    repeats = 5 if settings.short else 15
                    seconds = take_turns(sides, repeats, clock_of(threads))
                name = f"{kind}, K={n_codes}, {counted(threads)}"
                raw[name] = seconds
                # Lines for all threads are for information.
                lines.append(compared(name, seconds, bar if threads == settings.threads else None))
    return Result(lines, raw)


def latents(n_codes: int) -> tuple[list[Tensor], Tensor]:
    """Batches (B, N, D) of latents, and a codebook (K, D) near their centres."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(n_codes, DIM, generator=generator)
    batches = []
    for _ in range(N_BATCHES):
        code = torch.randint(n_codes, (N_SERIES, N_TOKENS), generator=generator)
        noise = torch.randn(N_SERIES, N_TOKENS, DIM, generator=generator)
        batches.append((centres[code] + 0.3 * noise).requires_grad_())
    return batches, centres + 0.3 * torch.randn(n_codes, DIM, generator=generator)


def side(
    batches: list[Tensor], quantize: Callable[[Tensor], tuple[Tensor, Tensor]], module: nn.Module
) -> Callable[[], None]:
    """What takes a batch, then the gradient of a loss of its vectors and the quantizer's."""
    place = 0

    def call() -> None:
        nonlocal place
        z = batches[place % len(batches)]
        place += 1
        z.grad = None
        module.zero_grad()
        vectors, loss = quantize(z)
        (vectors.square().mean() + loss).backward()

    return call


def our_side(kind: str, n_codes: int) -> Callable[[], None]:
    batches, codebook = latents(n_codes)
    part = (
        EMAQuantizer(decay=DECAY, reset_threshold=DEAD_SHARE)
        if kind == "ema"
        else GradientQuantizer(commitment=1.0)
    )
    module = part.build(n_codes, DIM)
    generator = torch.Generator().manual_seed(0)
    module.initialise(generator)
    with torch.no_grad():
        module.start(codebook, generator)
    module.train()

    def quantize(z: Tensor) -> tuple[Tensor, Tensor]:
        quantized = module(z, generator)
        return quantized.vectors, torch.stack(list(quantized.terms.values())).sum()

    return side(batches, quantize, module)


def their_side(kind: str, n_codes: int) -> Callable[[], None]:
    batches, codebook = latents(n_codes)
    mean_load = N_SERIES * N_TOKENS / n_codes
    options = (
        {"decay": DECAY, "threshold_ema_dead_code": DEAD_SHARE * mean_load}
        if kind == "ema"
        else {"learnable_codebook": True, "ema_update": False}
    )
    library = need("vector_quantize_pytorch")
    module = library.VectorQuantize(
        DIM, n_codes, commitment_weight=1.0, rotation_trick=False, **options
    )
    with torch.no_grad():
        module._codebook.embed.copy_(codebook)
        module._codebook.embed_avg.copy_(codebook)
        module._codebook.cluster_size.fill_(1.0)
    module.train()

    def quantize(z: Tensor) -> tuple[Tensor, Tensor]:
        vectors, _, loss = module(z)
        return vectors, loss

    return side(batches, quantize, module)
