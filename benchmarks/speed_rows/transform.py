"""Row `transform`: series per second of `transform` against the bare encoder.

The bare encoder is ``model_.encoder(model_.scaler(x))`` on slices of one tensor, in batches of
the size that `transform` passes to the encoder, which a hook counts, and in the best size of
some others. In the notes: encoder and nearest codes, ``model_.tokens(x)``, alone, since no
output can do with less.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speed_rows import data
from speed_rows.report import Bar, Line, Result, Settings
from speed_rows.steps import with_threads
from speed_rows.timing import Side, clock_of, median, quartiles, ratios, take_turns
from vqssl import VQTokenizer

SHAPES = ((2048, 128), (512, 512))
OUTPUTS = {"codes": Bar(low=0.9), "features": Bar(low=0.75), "histogram": None}
BATCH_SIZES = (32, 64, 128, 256, 512)


def run(settings: Settings) -> Result:
    lines, raw = [], {}
    with with_threads(settings.threads):
        for n, length in SHAPES:
            X = data.waves(n, length)
            tokenizer = VQTokenizer(max_iter=50, device="cpu", random_state=0).fit(X)
            size = batch_size_of(tokenizer, X)
            sides = {output: transform(tokenizer, output, X) for output in OUTPUTS}
            model = tokenizer.model_
            sides |= {f"bare {b}": bare(model, X, b) for b in sorted({size, *BATCH_SIZES})}
            sides["bare codes"] = in_batches(model.tokens, X, size)
            clock = clock_of(settings.threads)
            seconds = take_turns(sides, 3 if settings.short else 7, clock)
            raw[f"{n} x {length}"] = {"batch_size": size, "seconds": seconds}
            best = min(BATCH_SIZES, key=lambda b: median(seconds[f"bare {b}"]))
            for output, bar in OUTPUTS.items():
                lines += [
                    compare(seconds, output, size, bar, (n, length), "same"),
                    compare(seconds, output, best, None, (n, length), "best"),
                ]
    return Result(lines, raw)


def batch_size_of(tokenizer: VQTokenizer, X: np.ndarray) -> int:
    """Rows in the batches that `transform` passes to the encoder."""
    sizes: list[int] = []
    encoder = tokenizer.model_.encoder
    hook = encoder.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    tokenizer.transform(X)
    hook.remove()
    # Another way than the module's own call would leave no trace.
    return max(sizes, default=256)


def transform(tokenizer: VQTokenizer, output: str, X: np.ndarray) -> Side:
    def call() -> None:
        tokenizer.set_params(output=output).transform(X)

    return call


def bare(model: Any, X: np.ndarray, batch_size: int) -> Side:
    return in_batches(lambda x: model.encoder(model.scaler(x)), X, batch_size)


def in_batches(function: Callable[[Tensor], Tensor], X: np.ndarray, batch_size: int) -> Side:
    x = torch.from_numpy(X)

    @torch.inference_mode()
    def call() -> None:
        for start in range(0, len(x), batch_size):
            function(x[start : start + batch_size])

    return call


def compare(
    seconds: dict[str, list[float]],
    output: str,
    batch_size: int,
    bar: Bar | None,
    shape: tuple[int, int],
    which: str,
) -> Line:
    n, length = shape
    bare_seconds = seconds[f"bare {batch_size}"]
    shares = ratios(bare_seconds, seconds[output])
    codes = median(ratios(bare_seconds, seconds["bare codes"]))
    return Line(
        f"{output}, {n} x {length}, {which} batch size ({batch_size})",
        median(shares),
        f"{n / median(seconds[output]):.0f}/s",
        f"{n / median(bare_seconds):.0f}/s",
        "{:.2f} of the bare encoder",
        bar,
        quartiles(shares),
        note=f"encoder and nearest codes alone: {codes:.2f}" if which == "same" else "",
    )
