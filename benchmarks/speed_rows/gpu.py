"""Row `gpu`: training steps on CUDA, eager, compiled and as one CUDA graph, and two checks.

NOT RUN YET: this row was written where there is no GPU. Expect to mend it at its first run; a
part that fails says so in its line, and the others go on.

- *Steps per second* of `fit` as it is; with the task under `torch.compile`; and with the whole
  step (forward, backward, clipping, AdamW) captured once and replayed. The latter two are what
  `fit` could gain; both are taken with the net's own task, optimizer groups and generator. The
  captured step keeps its learning rate.
- *Utilisation*: seconds of kernels per step, by torch.profiler, over wall seconds per step
  without the profiler.
- *Share of the floor*: the floor is the larger of operations over the measured peak (a product
  of matrices in TF32) and bytes over the measured bandwidth (a copy). Bytes are an estimate:
  a parameter is read in the forward and the backward pass, its gradient written and read, and
  AdamW reads the weight and two moments and writes them, ten times four bytes in all; what
  autograd saves is written and read, and so is a gradient of its size, four times its bytes.
- *Checks*: codes on CUDA and on the CPU are the same but where two codes are nearly as close;
  a step makes no synchronisation, by `torch.cuda.set_sync_debug_mode`.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from torch import Tensor, nn

from speed_rows import data
from speed_rows.peak import count
from speed_rows.report import Bar, Line, Result, Settings, Skipped, seconds_text
from speed_rows.steps import Steps
from speed_rows.timing import Side, median, take_turns
from vqssl import MaskGITGenerator, SSLVQTokenizer, VQTokenizer

N, LENGTH = 4096, 512
BATCH_SIZES = (64, 512)
N_PROFILED = 20
MATRIX = 8192
COPIED = 2**28  # numbers
NEAR_TIE = 1e-3  # relative difference of two distances
NONE = Bar(high=0)


def run(settings: Settings) -> Result:
    if settings.device != "cuda":
        raise Skipped("needs CUDA: --device cuda --rows gpu")
    if not torch.cuda.is_available():
        raise Skipped("needs CUDA, which is not available here")
    repeats = 3 if settings.short else 7
    X = data.waves(N, LENGTH)
    tokenizer = VQTokenizer(max_iter=200, device="cuda", random_state=0).fit(X)
    machine = {"device": torch.cuda.get_device_name(), **peaks()}
    lines: list[Line] = [guarded("codes on CUDA and CPU", lambda: check_codes(tokenizer, X))]
    raw: dict[str, Any] = {"machine": machine}
    for batch_size in BATCH_SIZES:
        options = {"batch_size": batch_size, "device": "cuda", "random_state": 0}
        for estimator in (
            VQTokenizer(**options),
            SSLVQTokenizer(**options),
            MaskGITGenerator(FrozenEstimator(tokenizer), **options),
        ):
            name = f"{type(estimator).__name__}, B={batch_size}, L={LENGTH}"
            figures: dict[str, Any] = {}
            lines += measure(estimator, X, name, machine, repeats, figures)
            raw[name] = figures
    return Result(lines, raw)


def guarded(name: str, make: Callable[[], Line]) -> Line:
    """The line, or one that says why there is none."""
    try:
        return make()
    except Exception as error:
        return Line(name, None, note=f"failed: {type(error).__name__}: {str(error)[:300]}")


def measure(
    estimator: Any,
    X: np.ndarray,
    name: str,
    machine: dict[str, Any],
    repeats: int,
    figures: dict[str, Any],
) -> list[Line]:
    """Lines of one estimator; raw figures go into `figures`."""
    eager = Steps(estimator, X)
    seconds = figures["eager"] = time_steps(eager, repeats)

    def speed() -> Line:
        return Line(
            f"{name}, eager",
            1 / median(seconds),
            seconds_text(median(seconds)),
            form="{:.0f} steps/s",
        )

    def variant(kind: str, make: Callable[[Steps], Side]) -> Line:
        times = figures[kind] = time_steps(make(Steps(estimator, X)), repeats)
        return Line(
            f"{name}, {kind}",
            median(seconds) / median(times),
            seconds_text(median(times)),
            seconds_text(median(seconds)),
            "{:.2f} times as fast as eager",
        )

    def utilisation() -> Line:
        busy = figures["kernel_seconds"] = kernel_seconds(eager)
        share = busy / median(seconds)
        return Line(f"{name}, utilisation", share, form="{:.2f} of the time in kernels")

    def floor() -> Line:
        figures["flops"], figures["bytes"] = count(eager), step_bytes(eager)
        parts = {
            "arithmetic": figures["flops"]["total"] / machine["flops_per_second"],
            "memory": figures["bytes"] / machine["bytes_per_second"],
        }
        bound = max(parts, key=lambda part: parts[part])
        share = parts[bound] / median(seconds)
        note = f"floor {seconds_text(parts[bound])}, bound by {bound}"
        return Line(f"{name}, share of the floor", share, form="{:.3f}", note=note)

    return [
        guarded(f"{name}, eager", speed),
        guarded(f"{name}, compiled", lambda: variant("compiled", compiled_step)),
        guarded(f"{name}, CUDA graph", lambda: variant("CUDA graph", captured_step)),
        guarded(f"{name}, utilisation", utilisation),
        guarded(f"{name}, share of the floor", floor),
        guarded(f"{name}, synchronisations", lambda: check_synchronisations(eager, name)),
    ]


def time_steps(step: Side, repeats: int) -> list[float]:
    for _ in range(10):
        step()
    turns = take_turns({"step": step}, repeats, "wall", 0.5, torch.cuda.synchronize)
    return turns["step"]


# Other ways to take the same step --------------------------------------------------------


def loss_of(task: Callable[..., dict[str, Tensor]], net: Any, batch: list[Tensor]) -> Tensor:
    terms = task(*batch, generator=net.generator)
    return torch.stack(list(terms.values())).sum()


def clip(net: Any) -> None:
    if net.gradient_clip is not None:
        nn.utils.clip_grad_norm_(net.module_.parameters(), net.gradient_clip)


def compiled_step(steps: Steps) -> Side:
    net = steps.net
    task = torch.compile(net.module_)

    def call() -> None:
        net.optimizer_.zero_grad()
        loss_of(task, net, steps.next_batch()).backward()
        clip(net)
        net.optimizer_.step()
        net.schedule_.step()

    return call


def captured_step(steps: Steps) -> Side:
    """The whole step as one graph over a batch that stays where it is."""
    net = steps.net
    batch = [tensor.clone() for tensor in steps.next_batch()]
    groups = [
        {key: group[key] for key in ("params", "lr", "weight_decay")}
        for group in net.optimizer_.param_groups
    ]
    adam = torch.optim.AdamW(groups, fused=True, capturable=True)

    def step() -> None:
        adam.zero_grad(set_to_none=True)
        loss_of(net.module_, net, batch).backward()
        clip(net)
        adam.step()

    # Allocations and lazy starts must be over before the capture, on another stream.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(net.generator)
    with torch.cuda.graph(graph):
        step()

    def call() -> None:
        for kept, new in zip(batch, steps.next_batch(), strict=True):
            kept.copy_(new)
        graph.replay()

    return call


# What a step takes -----------------------------------------------------------------------


def kernel_seconds(step: Side) -> float:
    """Seconds of kernels and copies on the device per step."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(N_PROFILED):
            step()
        torch.cuda.synchronize()
    # Entries of operators repeat the time of their kernels.
    on_device = [
        event.self_device_time_total
        for event in profiler.key_averages()
        if event.device_type == torch.autograd.DeviceType.CUDA
        and not getattr(event, "is_user_annotation", False)
    ]
    return 1e-6 * sum(on_device) / N_PROFILED


def step_bytes(steps: Steps) -> float:
    """Estimate of the bytes that a step reads and writes, see the docstring of the module."""
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        # The same memory saved twice is moved once more at most; count it once.
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    parameters = list(steps.net.module_.parameters())
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        steps()
    for parameter in parameters:
        saved.pop(parameter.untyped_storage().data_ptr(), None)
    weights = sum(parameter.nbytes for parameter in parameters)
    return 10 * weights + 4 * sum(saved.values())


def peaks() -> dict[str, float]:
    """Operations and bytes per second of the device at their best."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        a = torch.randn(MATRIX, MATRIX, device="cuda")
        x = torch.zeros(COPIED, device="cuda")
        y = torch.empty_like(x)
        sides = {"product": lambda: a @ a, "copy": lambda: y.copy_(x)}
        seconds = take_turns(sides, 5, "wall", 0.5, torch.cuda.synchronize)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return {
        "flops_per_second": 2 * MATRIX**3 / min(seconds["product"]),
        "bytes_per_second": 2 * x.nbytes / min(seconds["copy"]),
    }


# Checks ----------------------------------------------------------------------------------


def check_codes(tokenizer: VQTokenizer, X: np.ndarray) -> Line:
    """Codes that differ between CUDA and CPU though one of them is clearly closer."""
    on_cuda = tokenizer.set_params(device="cuda").encode(X)
    on_cpu = tokenizer.set_params(device="cpu").encode(X)
    tokenizer.set_params(device="cuda")
    series, token = np.nonzero(on_cuda != on_cpu)
    wrong = 0
    if len(series):
        rows, where = np.unique(series, return_inverse=True)
        with torch.inference_mode():
            z = tokenizer.model_.latents(torch.from_numpy(X[rows])).double().numpy()
        z = z[where, token]  # (differences, D)
        codebook = tokenizer.codebook_.astype(np.float64)
        first, second = (
            np.linalg.norm(z - codebook[codes[series, token]], axis=1)
            for codes in (on_cuda, on_cpu)
        )
        wrong = int((np.abs(first - second) > NEAR_TIE * np.maximum(first, second)).sum())
    return Line(
        "codes on CUDA and CPU",
        wrong,
        form="{} differ",
        bar=NONE,
        note=f"{len(series)} of {on_cpu.size} differ, ties within {NEAR_TIE:g} included",
    )


def check_synchronisations(steps: Steps, name: str) -> Line:
    """Synchronisations of a training step; those of gathering its batch are in the note."""
    batches = [steps.next_batch() for _ in range(N_PROFILED)]
    in_step = synchronisations(lambda: [steps.net.train_step(batch) for batch in batches])
    in_gathering = synchronisations(lambda: [steps.next_batch() for _ in range(N_PROFILED)])
    return Line(
        f"{name}, synchronisations",
        in_step / N_PROFILED,
        form="{:g} per step",
        bar=NONE,
        note=f"gathering a batch: {in_gathering / N_PROFILED:g}",
    )


def synchronisations(run: Callable[[], Any]) -> int:
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(warning.message) for warning in caught)
