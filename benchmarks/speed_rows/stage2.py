"""Row `stage2`: seconds until a prior predicts held-out codes as well as timevqvae's.

Both priors learn the same codes, those of a fitted `VQTokenizer`, with the class. Both are
judged by the mean negative log-likelihood of masked tokens of held-out series, given their
class and the tokens that are not masked, under the same masks: for every series several, their
sizes spread over the cosine schedule. The function that judges gets logits and knows no
network. Both are judged along the way, the clock standing; the lowest value of the peer is the
target, and each side's seconds are those until it first had it. Learning rates fall to the end
of a run, so a run should not be longer than it has to be: ours takes a fifth of the peer's steps.
A second line asks for the target plus one percent, since a lowest value may come late by a
trifle.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import skorch
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import LabelEncoder
from torch import Tensor, nn

from speed_rows import data
from speed_rows.peer_timevqvae import PriorTraining
from speed_rows.report import Bar, Line, Result, Settings, compared, counted, seconds_text
from speed_rows.steps import Steps, with_threads
from speed_rows.timing import Stopwatch, clock_of, median, quartiles, ratios, take_turns
from vqssl import MaskGITGenerator, VQTokenizer

BAR = Bar(low=5.0)
MARGIN = 0.01
N_MASKS = 8
OUR_SHARE = 5  # our steps are the peer's over this
READINGS = 40  # of the peer; ours is read at the end of each period

# What our prior takes for a token that is not seen.
OUR_MASK = -1

Logits = Callable[[Tensor, Tensor, Tensor], Tensor]


class Judge:
    """Negative log-likelihood of masked tokens, in nats, for anything that gives logits."""

    def __init__(self, codes: np.ndarray, labels: np.ndarray) -> None:
        n, n_tokens = codes.shape
        rng = np.random.default_rng(0)
        progress = (np.arange(N_MASKS) + 0.5) / N_MASKS
        count = np.ceil(np.cos(np.pi / 2 * progress) * n_tokens)  # (N_MASKS,)
        rank = rng.random((N_MASKS, n, n_tokens)).argsort(2).argsort(2)
        masked = (rank < count[:, None, None]).reshape(-1, n_tokens)
        self.masked = torch.from_numpy(masked)
        self.codes = torch.from_numpy(np.tile(codes, (N_MASKS, 1)))
        self.labels = torch.from_numpy(np.tile(labels, N_MASKS))

    @torch.inference_mode()
    def __call__(self, logits: Logits) -> float:
        total = 0.0
        parts = (self.codes.split(256), self.labels.split(256), self.masked.split(256))
        for codes, labels, masked in zip(*parts, strict=True):
            log_p = logits(codes, labels, masked).float().log_softmax(-1)
            chosen = log_p.gather(2, codes.unsqueeze(2)).squeeze(2)
            total -= float(chosen[masked].double().sum())
        return total / int(self.masked.sum())


def our_logits(model: nn.Module) -> Logits:
    return lambda codes, labels, masked: model(codes.masked_fill(masked, OUR_MASK), labels)


def their_logits(model: nn.Module, n_codes: int) -> Logits:
    return lambda codes, labels, masked: model(
        codes.masked_fill(masked, n_codes), class_condition=labels.unsqueeze(1)
    )


class _AfterEachPeriod(skorch.callbacks.Callback):
    """Judges the weights that the net would keep, while the clock stands."""

    def __init__(self, judge: Judge, watch: Stopwatch, log: list[dict[str, float]]) -> None:
        self.judge, self.watch, self.log = judge, watch, log

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self.watch.stop()
        model = getattr(net.module_, "model", net.module_)
        net.module_.eval()
        note(self.log, net.steps_, self.judge(our_logits(model)), self.watch)
        net.module_.train()
        self.watch.start()


def note(log: list[dict[str, float]], step: int, nll: float, watch: Stopwatch) -> None:
    log.append({"step": step, "nll": nll, "cpu": watch.cpu, "wall": watch.wall})


class Task:
    """Codes of a set, training and held-out, and what judges priors over them."""

    def __init__(self, series: data.Split, short: bool) -> None:
        tokenizer = VQTokenizer(
            max_iter=200 if short else 1000, device="cpu", random_state=0, output="codes"
        )
        self.series = series
        self.tokenizer = tokenizer.fit(series.X)
        encoder = LabelEncoder().fit(series.y)
        self.codes = tokenizer.encode(series.X)
        self.labels = encoder.transform(series.y)
        self.n_codes = int(tokenizer.code_sizes_.max())
        self.n_classes = len(encoder.classes_)
        held_out = tokenizer.encode(series.X_held_out)
        self.judge = Judge(held_out, encoder.transform(series.y_held_out))

    def generator(self, **options: Any) -> MaskGITGenerator:
        return MaskGITGenerator(FrozenEstimator(self.tokenizer), device="cpu", **options)

    def peer(self, n_steps: int, seed: int, **options: Any) -> PriorTraining:
        sizes = (self.n_codes, self.n_classes)
        return PriorTraining(self.codes, self.labels, *sizes, n_steps, seed, **options)


def run(settings: Settings) -> Result:
    n_steps, seeds = (200, 1) if settings.short else (1000, 3)
    task = Task(data.split("short", settings.data), settings.short)
    with with_threads(settings.threads):
        trials = [race(task, n_steps, seed, settings.threads) for seed in range(seeds)]
    clock = clock_of(settings.threads)
    lines = [compare(trials, clock, margin, task.series.name) for margin in (0.0, MARGIN)]
    steps, seconds = step_lines(task, settings)
    return Result([*lines, *steps], {"races": trials, "steps": seconds})


def race(task: Task, n_steps: int, seed: int, threads: int) -> dict[str, Any]:
    """Both sides for one seed, judged at the end of each of our periods."""
    ours: list[dict[str, float]] = []
    watch = Stopwatch()
    generator = task.generator(
        max_iter=n_steps // OUR_SHARE,
        random_state=seed,
        callbacks=[_AfterEachPeriod(task.judge, watch, ours)],
        net_params={"n_threads": threads},
    )
    watch.start()
    generator.fit(task.series.X, task.series.y)
    watch.stop()
    return {"seed": seed, "ours": ours, "theirs": run_peer(task, n_steps, seed)}


def run_peer(task: Task, n_steps: int, seed: int) -> list[dict[str, float]]:
    theirs: list[dict[str, float]] = []
    watch = Stopwatch()
    watch.start()
    training = task.peer(n_steps, seed)
    logits = their_logits(training.model, task.n_codes)
    for step in range(1, n_steps + 1):
        training()
        if step % (n_steps // READINGS) == 0:
            watch.stop()
            training.model.eval()
            note(theirs, step, task.judge(logits), watch)
            training.model.train()
            watch.start()
    return theirs


def first_below(log: list[dict[str, float]], target: float) -> dict[str, float] | None:
    return next((row for row in log if row["nll"] <= target), None)


def compare(trials: list[dict[str, Any]], clock: str, margin: float, name: str) -> Line:
    """The line of a margin over the peer's lowest value; no figure if a race was lost."""
    targets = [min(row["nll"] for row in trial["theirs"]) * (1 + margin) for trial in trials]
    pairs = [
        (first_below(trial["ours"], target), first_below(trial["theirs"], target))
        for trial, target in zip(trials, targets, strict=True)
    ]
    lowest = median([min(row["nll"] for row in trial["ours"]) for trial in trials])
    line = Line(
        f"time to quality{f' + {margin:.0%}' if margin else ''}, {name}",
        None,
        bar=None if margin else BAR,
        note=f"target {median(targets):.4f} nats; our lowest {lowest:.4f}",
    )
    theirs = [their[clock] for _, their in pairs if their is not None]
    ours = [our[clock] for our, _ in pairs if our is not None]
    line.theirs = seconds_text(median(theirs))
    if len(ours) < len(trials):
        return line
    factors = ratios(theirs, ours)
    return Line(
        line.name,
        median(factors),
        seconds_text(median(ours)),
        line.theirs,
        bar=line.bar,
        quartiles=quartiles(factors) if len(trials) > 1 else None,
        note=f"{line.note}; at step {[our['step'] for our, _ in pairs if our]} of ours and "
        f"{[their['step'] for _, their in pairs if their]} of theirs",
    )


def step_lines(task: Task, settings: Settings) -> tuple[list[Line], dict[str, Any]]:
    """Milliseconds per step at equal batch size, for information."""
    lines, raw = [], {}
    for threads in settings.thread_counts:
        with with_threads(threads):
            estimator = task.generator(batch_size=64)
            sides = {
                "ours": Steps(estimator, task.series.X, task.series.y),
                "theirs": task.peer(10_000, 0, batch_size=64),
            }
            seconds = take_turns(sides, 2 if settings.short else 7, clock_of(threads))
        name = f"step, B=64, N={task.codes.shape[1]}, {counted(threads)}"
        raw[name] = seconds
        lines.append(compared(name, seconds))
    return lines, raw
