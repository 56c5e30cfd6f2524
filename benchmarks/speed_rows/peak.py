"""Row `peak`: share of the arithmetic peak of the machine that training steps reach.

The peak is that of a product of two square matrices, measured in turns with the steps. The
operations of a step are counted by torch's `FlopCounterMode`, which knows products of matrices,
convolutions and attention (that of the CPU is added here) and takes norms, activations,
look-ups and the optimizer for nothing, so the share is a lower bound. Operations that look
expensive and are not counted are named. With several threads the peak is what the product
reaches when it may use them, which on some machines is one core's.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from sklearn.frozen import FrozenEstimator
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import (
    FlopCounterMode,
    flop_registry,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from speed_rows import data
from speed_rows.report import Bar, Line, Result, Settings, counted, seconds_text
from speed_rows.steps import Steps, with_threads
from speed_rows.timing import clock_of, median, quartiles, ratios, take_turns
from vqssl import MaskGITGenerator, SSLVQTokenizer, VQTokenizer

BAR = Bar(low=0.4)
MATRIX = 2048
N, LENGTH, BATCH_SIZE = 256, 512, 64
EXPENSIVE = ("mm", "matmul", "linear", "conv", "attention", "fft")


def run(settings: Settings) -> Result:
    lines: list[Line] = []
    raw: dict[str, Any] = {}
    for threads in settings.thread_counts:
        with with_threads(threads):
            steps = make_steps()
            counts = {name: count(step) for name, step in steps.items()}
            sides = steps | {f"matmul {p}": product(p) for p in ("float32", "bfloat16")}
            repeats = 3 if settings.short else 7
            seconds = take_turns(sides, repeats, clock_of(threads), at_least=0.2)
        raw[counted(threads)] = {"flops": counts, "seconds": seconds}
        lines += compare(counts, seconds, threads, threads == settings.threads)
    return Result(lines, raw)


def make_steps() -> dict[str, Steps]:
    """Training steps of the three estimators in both precisions."""
    X = data.waves(N, LENGTH)
    options = {"batch_size": BATCH_SIZE, "device": "cpu", "random_state": 0}
    tokenizer = VQTokenizer(max_iter=5, **options).fit(X)
    steps = {}
    for precision in ("float32", "bfloat16"):
        for estimator in (
            VQTokenizer(precision=precision, **options),
            SSLVQTokenizer(precision=precision, **options),
            MaskGITGenerator(FrozenEstimator(tokenizer), precision=precision, **options),
        ):
            steps[f"{type(estimator).__name__} {precision}"] = Steps(estimator, X)
    return steps


def product(precision: str) -> Callable[[], Any]:
    a = torch.randn(MATRIX, MATRIX).to(getattr(torch, precision))
    return lambda: a @ a


class _Names(TorchDispatchMode):
    """Names of the operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names.add(str(func.overloadpacket))
        return func(*args, **(kwargs or {}))


def cpu_attention() -> dict[Any, Callable[..., int]]:
    """Counts of the CPU's attention, which torch has not registered."""

    def forward(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
        return sdpa_flop_count(query, key, value)

    def backward(grad: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
        return sdpa_backward_flop_count(grad, query, key, value)

    names = ("", "_backward")
    base = "_scaled_dot_product_flash_attention_for_cpu"
    found = [getattr(torch.ops.aten, base + name, None) for name in names]
    pairs = zip(found, (forward, backward), strict=True)
    return {op: formula for op, formula in pairs if op is not None and op not in flop_registry}


@contextmanager
def counting() -> Iterator[tuple[FlopCounterMode, _Names]]:
    names, counter = _Names(), FlopCounterMode(display=False, custom_mapping=cpu_attention())
    with names, counter:
        yield counter, names


def count(step: Callable[[], Any]) -> dict[str, Any]:
    """Floating-point operations of a step, by kind, and expensive ones that are not counted."""
    step()
    with counting() as (counter, names):
        step()
    by_kind = {str(op): int(n) for op, n in counter.get_flop_counts()["Global"].items()}
    own = ("aten.", "profiler.", "prims.")
    foreign = [n for n in names.names if not n.startswith(own)]
    looked_up = [n for n in names.names if any(word in n for word in EXPENSIVE)]
    return {
        "total": counter.get_total_flops(),
        "by_kind": by_kind,
        "not_counted": sorted({*foreign, *looked_up} - by_kind.keys()),
    }


def compare(
    counts: dict[str, dict[str, Any]],
    seconds: dict[str, list[float]],
    threads: int,
    has_bar: bool,
) -> list[Line]:
    lines = []
    for name, flops in counts.items():
        precision = name.split()[1]
        matmul = seconds[f"matmul {precision}"]
        peaks = [2 * MATRIX**3 / s for s in matmul]
        rates = [flops["total"] / s for s in seconds[name]]
        shares = ratios(rates, peaks)
        not_counted = ", ".join(flops["not_counted"]) or "nothing that looks expensive"
        lines.append(
            Line(
                f"{name}, B={BATCH_SIZE}, L={LENGTH}, {counted(threads)}",
                median(shares),
                f"{median(rates) / 1e9:.0f} G/s",
                f"{median(peaks) / 1e9:.0f} G/s",
                "{:.2f} of the matrix product",
                BAR if has_bar and name == "VQTokenizer float32" else None,
                quartiles(shares),
                note=(
                    f"{flops['total'] / 1e9:.2f} GFLOP in {seconds_text(median(seconds[name]))}; "
                    f"not counted: {not_counted}"
                ),
            )
        )
    return lines
