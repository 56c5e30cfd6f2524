"""Row `stage1`: seconds until the reconstruction is as good as timevqvae's.

Both sides train on the same series and are judged by the mean squared error of held-out
series reconstructed from their codes. A run is a whole training with the schedule that ends
there. The peer runs for its full number of steps and for half of it; its lowest error of the
two is the target, the seconds of the run that had it are its seconds. `VQTokenizer` runs with
growing `max_iter` until a run is at least as good; the seconds of that run are ours, those of
the statistics that `fit` takes included. Neither side is charged for building what it tries in
vain, nor for judging. Our codes may not take more bits than the peer's; where the default
would, the codebook is made smaller.
"""

from typing import Any

import numpy as np

from speed_rows import data
from speed_rows.peer_timevqvae import VQVAETraining, bits, make_vqvae, reconstruction_error
from speed_rows.report import Bar, Line, Result, Settings, compared, counted, seconds_text
from speed_rows.steps import Steps, with_threads
from speed_rows.timing import Stopwatch, clock_of, median, quartiles, ratios, take_turns
from vqssl import VQTokenizer

BAR = Bar(low=5.0)
BUDGETS = (25, 50, 100, 200, 400, 800, 1600)
BATCH_SIZES = (32, 128)
SMALLER_CODEBOOKS = (128, 64, 32, 16, 8)


def run(settings: Settings) -> Result:
    n_steps, seeds = (60, 1) if settings.short else (500, 3)
    lines: list[Line] = []
    raw: dict[str, Any] = {}
    with with_threads(settings.threads):
        for kind in ("short", "long"):
            series = data.split(kind, settings.data)
            tokenizer = at_most(bits(make_vqvae(series.X.shape[2]), series.X.shape[2]), series)
            tokenizer.set_params(net_params={"n_threads": settings.threads})
            VQVAETraining(series.X[:64], 2, 0)()  # both sides have run once before their clocks
            trials = [race(tokenizer, series, n_steps, seed) for seed in range(seeds)]
            line = compare(trials, clock_of(settings.threads), series, tokenizer, n_steps)
            steps, seconds = step_lines(tokenizer, series, settings)
            lines += [line, *steps]
            raw[series.name] = {"n_codes": tokenizer.n_codes, "races": trials, "steps": seconds}
    return Result(lines, raw)


def at_most(limit: float, series: data.Split) -> VQTokenizer:
    """The default tokenizer, or with the largest codebook whose codes fit into `limit` bits."""
    for n_codes in SMALLER_CODEBOOKS:
        tokenizer = VQTokenizer(n_codes, device="cpu")
        fitted = VQTokenizer(n_codes, device="cpu", max_iter=1).fit(series.X[:8])
        if np.log2(fitted.code_sizes_).sum() <= limit:
            return tokenizer
    raise AssertionError(f"no codebook of {SMALLER_CODEBOOKS} has codes of {limit} bits")


def race(tokenizer: VQTokenizer, series: data.Split, n_steps: int, seed: int) -> dict[str, Any]:
    """Runs of both sides for one seed."""
    theirs = [run_peer(series, budget, seed) for budget in (n_steps // 2, n_steps)]
    best = min(theirs, key=lambda trial: trial["error"])
    ours = []
    for budget in BUDGETS:
        ours.append(run_ours(tokenizer, series, budget, seed))
        if ours[-1]["error"] <= best["error"]:
            break
    assert ours[-1]["bits"] <= best["bits"], "our codes must not take more bits"
    return {"seed": seed, "theirs": theirs, "ours": ours, "target": best}


def run_peer(series: data.Split, n_steps: int, seed: int) -> dict[str, Any]:
    with Stopwatch() as watch:
        training = VQVAETraining(series.X, n_steps, seed)
        for _ in range(n_steps):
            training()
    return {
        "steps": n_steps,
        "error": reconstruction_error(training.model, series.X_held_out),
        "bits": bits(training.model, series.X.shape[2]),
        "cpu": watch.cpu,
        "wall": watch.wall,
    }


def run_ours(tokenizer: VQTokenizer, series: data.Split, n_steps: int, seed: int) -> dict[str, Any]:
    tokenizer.set_params(max_iter=n_steps, random_state=seed)
    with Stopwatch() as watch:
        tokenizer.fit(series.X)
    decoded = tokenizer.decode(tokenizer.encode(series.X_held_out))
    return {
        "steps": n_steps,
        "error": float(np.square(decoded - series.X_held_out).mean(dtype=np.float64)),
        "bits": float(np.log2(tokenizer.code_sizes_).sum()),
        "cpu": watch.cpu,
        "wall": watch.wall,
    }


def compare(
    trials: list[dict[str, Any]],
    clock: str,
    series: data.Split,
    tokenizer: VQTokenizer,
    n_steps: int,
) -> Line:
    """The line of a set; without a figure if a race was lost."""
    won = all(trial["ours"][-1]["error"] <= trial["target"]["error"] for trial in trials)
    ours = [trial["ours"][-1][clock] for trial in trials]
    theirs = [trial["target"][clock] for trial in trials]
    factors = ratios(theirs, ours)
    first, target = trials[0]["ours"][-1], trials[0]["target"]
    steps = [trial["ours"][-1]["steps"] for trial in trials]
    error = median([trial["target"]["error"] for trial in trials])
    return Line(
        f"time to quality, {series.name}, L={series.X.shape[2]}",
        median(factors) if won else None,
        seconds_text(median(ours)),
        seconds_text(median(theirs)),
        bar=BAR,
        quartiles=quartiles(factors) if won and len(trials) > 1 else None,
        note=(
            f"error {error:.3f} of at most {n_steps} steps of the peer; ours needs "
            f"max_iter={steps}{' (the smallest tried)' if min(steps) == BUDGETS[0] else ''}; "
            f"K={tokenizer.n_codes}: {first['bits']:.0f} bits to {target['bits']:.0f}"
        ),
    )


def step_lines(
    tokenizer: VQTokenizer, series: data.Split, settings: Settings
) -> tuple[list[Line], dict[str, Any]]:
    """Milliseconds per step at equal batch sizes, for information."""
    lines, raw = [], {}
    for batch_size in BATCH_SIZES:
        for threads in settings.thread_counts:
            with with_threads(threads):
                estimator = VQTokenizer(tokenizer.n_codes, batch_size=batch_size, device="cpu")
                sides = {
                    "ours": Steps(estimator, series.X),
                    "theirs": VQVAETraining(series.X, 10_000, 0, batch_size),
                }
                seconds = take_turns(sides, 2 if settings.short else 7, clock_of(threads))
            name = f"step, B={batch_size}, L={series.X.shape[2]}, {counted(threads)}"
            raw[name] = seconds
            lines.append(compared(name, seconds))
    return lines, raw
