"""One point of the row `scaling`, in a process of its own.

    python -m speed_rows.scaling_point '{"method": "fit", "n": 100, "length": 64}'

Prints a line of JSON: seconds of every call, for `fit` in three parts, and the memory that
the call needed above that of the imports, the series included.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import skorch
import torch

from speed_rows.data import waves
from vqssl import VQTokenizer

STATUS = Path("/proc/self/status")


def peak_memory() -> int:
    """Most bytes that this process has held.

    Linux counts the peak of the process that started this one into `ru_maxrss`, but not into
    its own table.
    """
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM"):
                return 1024 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Marks(skorch.callbacks.Callback):
    """Notes when the first step begins and when the last has ended."""

    def __init__(self, times: list[float]) -> None:
        self.times = times

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        self.times.append(time.process_time())

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        self.times.append(time.process_time())


def time_fit(X: np.ndarray, options: dict[str, Any]) -> dict[str, float]:
    """CPU seconds of a fit: in all, before the first step, of the steps, after the last."""
    times: list[float] = []
    tokenizer = VQTokenizer(device="cpu", random_state=0, callbacks=[Marks(times)], **options)
    times.append(time.process_time())
    tokenizer.fit(X)
    times.append(time.process_time())
    before, steps, after = np.diff(times).tolist()
    return {"total": times[-1] - times[0], "before": before, "steps": steps, "after": after}


def time_transform(tokenizer: VQTokenizer, X: np.ndarray) -> dict[str, float]:
    start = time.process_time()
    tokenizer.transform(X)
    return {"total": time.process_time() - start}


def main() -> None:
    point = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    base = peak_memory()
    X = waves(point["n"], point["length"])
    options = point.get("options", {})
    small = VQTokenizer(device="cpu", random_state=0, output="histogram", max_iter=2)
    small.fit(waves(64, point["length"]) if point["method"] == "transform" else X[:16])
    calls, memory = [], 0
    for _ in range(point.get("repeats", 1)):
        if point["method"] == "fit":
            calls.append(time_fit(X, options))
        else:
            calls.append(time_transform(small, X))
        memory = memory or peak_memory() - base
    print(json.dumps({"calls": calls, "memory": memory, "input": X.nbytes}))


if __name__ == "__main__":
    main()
