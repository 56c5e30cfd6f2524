"""What does a training step of the engine cost over a hand-written torch loop?

    python benchmarks/engine_overhead.py --out overhead.json

Both sides train the same VQ-VAE on the same batches. The engine's side is `VQTokenizer.fit`
as a user calls it. The loop is what one would write without the library: a model from the
estimator's own `_build` with the weights that `fit` starts from, batches gathered from the
same array in the same order, fused AdamW with the same two parameter groups, the same warm-up
and cosine in a LambdaLR, gradient clipping, backward, step. It keeps no history, reads no loss
and looks for no NaN, so whatever the engine does besides stepping counts against the engine.

Only steps are timed. Building the model, starting the codebook and the optimizer, and the
statistics that `fit` takes of the trained model are paid once per fit, not per step. What the
engine does once per period of up to 50 steps (history, hooks, scikit-learn's callbacks, the
check for NaN) is inside.

The two sides take turns within one fit: a skorch callback stops the engine's clock at the end
of each period, lets the loop take as many steps under a clock of its own, and starts the
engine's clock again. Each period gives one ratio of the two; the median over all periods of all
fits is reported with its quartiles, and beside it the ratio of the fastest periods, which a
busy machine disturbs least. The clock is CPU time of the process, which other processes disturb
less than wall time. At the end of each fit the weights of both sides must be equal bit for bit,
or the benchmark fails: then the two did not do the same work.
"""

import argparse
import copy
import json
import math
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import skorch
import torch
from torch import Tensor, nn

import vqssl
from vqssl import VQTokenizer

LENGTH = 128
STEPS = {32: 1000, 256: 400}  # batch size: steps of a fit
N_BATCHES = 4  # in a pass over the series
TARGET = 1.05


class PlainLoop:
    """The loop written by hand; `take` goes on where it stopped."""

    def __init__(
        self, model: nn.Module, X: np.ndarray, batch_size: int, max_iter: int, lr: float
    ) -> None:
        self.model = model.train()
        self.X = X
        self.batch_size = batch_size
        self.order = torch.Generator()
        self.noise = torch.Generator()
        self.parameters = list(model.parameters())
        groups = [
            {"params": [p for p in self.parameters if p.ndim > 1]},
            {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, fused=True)
        warm_up = math.ceil(0.05 * max_iter)

        def factor(step: int) -> float:
            if step < warm_up:
                return (step + 1) / warm_up
            return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (max_iter - warm_up)))

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, factor)
        self.batches = self.passes()

    def passes(self) -> Iterator[Tensor]:
        """Batches (batch_size, 1, LENGTH) of one pass after another, without an end."""
        while True:
            for rows in torch.randperm(len(self.X), generator=self.order).split(self.batch_size):
                yield torch.from_numpy(self.X[rows.numpy()])

    def take(self, steps: int) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad()
            terms = self.model(next(self.batches), generator=self.noise)
            loss = sum(terms.values())
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.schedule.step()


class Race:
    """Both sides of one fit, and the CPU seconds that each takes for each period."""

    def __init__(self, X: np.ndarray) -> None:
        self.X = X
        self.engine: list[float] = []
        self.by_hand: list[float] = []

    def begin(self, net: Any) -> None:
        """Make the loop start from where the engine does."""
        self.start = copy.deepcopy(net.module_.state_dict())
        tokenizer = VQTokenizer()
        tokenizer.input_shape_ = self.X.shape[1:]
        self.model = tokenizer._build()
        self.model.load_state_dict(self.start)
        self.loop = PlainLoop(self.model, self.X, net.batch_size, net.max_iter, net.lr)
        self.loop.order.set_state(net.order.get_state())
        self.loop.noise.set_state(net.generator.get_state())
        self.period = net.period
        self.steps = 0
        self.clock = time.process_time()

    def take_turns(self, net: Any) -> None:
        """Let the loop take the steps that the engine has just taken."""
        self.engine.append(time.process_time() - self.clock)
        start = time.process_time()
        self.loop.take(net.steps_ - self.steps)
        self.by_hand.append(time.process_time() - start)
        self.steps = net.steps_
        self.clock = time.process_time()

    def check(self, tokenizer: VQTokenizer) -> None:
        """Fail unless both sides did the same work."""
        ours, theirs = tokenizer.model_.state_dict(), self.model.state_dict()
        assert self.steps == tokenizer.n_iter_, "the two sides took different numbers of steps"
        assert ours.keys() == theirs.keys(), "the two sides have different models"
        different = [name for name in theirs if not torch.equal(ours[name], theirs[name])]
        assert not different, f"the two sides differ in {different}"
        trained = [name for name, _ in self.model.named_parameters()]
        unchanged = [name for name in trained if torch.equal(theirs[name], self.start[name])]
        assert not unchanged, f"training did not change {unchanged}"


class AfterEachPeriod(skorch.callbacks.Callback):
    """Brings the engine's net to a race. `fit` copies callbacks, but not what they refer to."""

    def __init__(self, race: Race) -> None:
        self.race = race

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        self.race.begin(net)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self.race.take_turns(net)


def make_series(n: int) -> np.ndarray:
    """Noisy sines of random frequency and phase, (n, 1, LENGTH) float32."""
    rng = np.random.default_rng(0)
    t = np.linspace(0, 2 * np.pi, LENGTH)
    frequency, phase = rng.uniform(1, 8, (n, 1)), rng.uniform(0, 2 * np.pi, (n, 1))
    x = np.sin(frequency * t + phase) + 0.1 * rng.standard_normal((n, LENGTH))
    return x[:, None].astype(np.float32)


def train_both(X: np.ndarray, batch_size: int, steps: int) -> Race:
    """One fit of the engine, in turns with the loop."""
    race = Race(X)
    tokenizer = VQTokenizer(
        max_iter=steps,
        batch_size=batch_size,
        device="cpu",
        random_state=0,
        callbacks=[AfterEachPeriod(race)],
    )
    race.check(tokenizer.fit(X))
    return race


def measure(batch_size: int, steps: int, repeats: int) -> dict[str, Any]:
    """Figures for one batch size."""
    X = make_series(N_BATCHES * batch_size)
    train_both(X, batch_size, 20)  # warm caches
    fits = [train_both(X, batch_size, steps) for _ in range(repeats)]
    engine = np.array([fit.engine for fit in fits])  # (repeats, periods)
    by_hand = np.array([fit.by_hand for fit in fits])
    ratios = engine / by_hand
    return {
        "batch_size": batch_size,
        "length": LENGTH,
        "n_series": len(X),
        "steps": steps,
        "period": fits[0].period,
        "repeats": repeats,
        "weights_bit_identical": True,  # else train_both fails
        "ratio": float(np.median(ratios)),
        "ratio_quartiles": np.percentile(ratios, [25, 75]).tolist(),
        "ratio_per_fit": np.median(ratios, axis=1).tolist(),
        "ratio_of_fastest": float(engine.min() / by_hand.min()),
        "ratio_of_totals": float(engine.sum() / by_hand.sum()),
        "engine_ms_per_step": 1000 * float(np.median(engine)) / fits[0].period,
        "loop_ms_per_step": 1000 * float(np.median(by_hand)) / fits[0].period,
        "engine_seconds": engine.round(6).tolist(),
        "loop_seconds": by_hand.round(6).tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--steps", type=int, help="steps of a fit; by default 1000 at batch 32")
    parser.add_argument("--repeats", type=int, default=3, help="fits per batch size")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    load = [os.getloadavg()[0]] if hasattr(os, "getloadavg") else []
    print("CPU milliseconds per step, one thread; ratio: median (quartiles) over periods\n")
    print(f"{'batch':>6} {'steps':>6} {'engine':>8} {'loop':>8}   {'ratio':<22} fastest  weights")
    results = []
    for batch_size in arguments.batch_sizes:
        steps = arguments.steps or STEPS.get(batch_size, 400)
        row = measure(batch_size, steps, arguments.repeats)
        results.append(row)
        ratio = "{:.3f} ({:.3f}-{:.3f})".format(row["ratio"], *row["ratio_quartiles"])
        print(
            f"{batch_size:>6} {steps:>6} {row['engine_ms_per_step']:>8.2f} "
            f"{row['loop_ms_per_step']:>8.2f}   {ratio:<22} "
            f"{row['ratio_of_fastest']:.3f}    bit-identical",
            flush=True,
        )
    worst = max(row["ratio"] for row in results)
    print(f"\nLargest ratio {worst:.3f}, target at most {TARGET}.")

    if arguments.out is not None:
        report = {
            "benchmark": "engine_overhead",
            "target_ratio": TARGET,
            "largest_ratio": worst,
            "results": results,
            "threads": torch.get_num_threads(),
            "load_average": load + ([os.getloadavg()[0]] if load else []),
            "versions": {
                "python": platform.python_version(),
                "vqssl": vqssl.__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "scikit-learn": sklearn.__version__,
                "skorch": skorch.__version__,
            },
        }
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
