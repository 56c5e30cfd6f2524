"""Does a fit survive being killed, and does a damaged file ever load as something else?

    python benchmarks/chaos.py kill --points 20

trains small estimators with a `checkpoint_dir` in processes that kill themselves (SIGKILL) at
random places: before a step of the tokenizer or of the prior, in the middle of writing a
checkpoint, before it is synced, before and after it takes the place of the earlier one. A third
of them is killed a second time on the way. Then `fit` is called once more and must end on the
weights and the history of a fit that nobody disturbed, bit for bit, and leave an empty folder.

    python benchmarks/chaos.py fuzz --files 5000

loads files of a small tokenizer that were cut short, flipped, spliced, doubled, overwritten, or
given another length of the header. Half of them get a checksum that fits again, as somebody who
means harm would do; then what follows the checksum has to stand. A file must be refused with
`ValueError`, or give the answers of the original; one with a checksum of its own may give other
answers, since it is another file. An audit hook forbids to execute, to compile, to import, to
open a socket or to start a process; a file may take ten seconds and a gigabyte.

Both print a table and end with status 1 if anything is not as it must be.
"""

import argparse
import collections
import contextlib
import hashlib
import itertools
import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vqssl
from vqssl import _checkpoint, _persistence
from vqssl._training import TermNet
from vqssl.backbones import ConvBackbone, TransformerBackbone

STEPS = 60

# Where a process kills itself, and how many such places a fit of `STEPS` steps has at least.
PLACES = {
    "before a step": STEPS,
    "half written": 15,
    "before the sync": 30,
    "before the replacement": 15,
    "after the replacement": 15,
}


def make_series() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(24, 24)).cumsum(1)


def make_tokenizer(**params: Any) -> vqssl.VQTokenizer:
    backbone = ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1)
    shared = {"max_iter": STEPS, "batch_size": 8, "device": "cpu"}
    return vqssl.VQTokenizer(8, code_dim=4, backbone=backbone, **shared, **params)


def make_estimators() -> dict[str, Any]:
    backbone = TransformerBackbone(width=8, n_blocks=1, n_heads=2)
    return {
        "VQTokenizer": make_tokenizer(random_state=0),
        "VQTokenizer, held-out": make_tokenizer(random_state=0, validation_fraction=0.25),
        "MaskGITGenerator": vqssl.MaskGITGenerator(
            make_tokenizer(),
            backbone=backbone,
            max_iter=STEPS,
            batch_size=8,
            device="cpu",
            random_state=0,
        ),
    }


# Killing -------------------------------------------------------------------------------------


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(n: int, function: Callable, after: bool = False) -> Callable:
    """The function, whose n-th call kills the process."""
    calls = itertools.count(1)

    def called(*args: Any, **kwargs: Any) -> Any:
        is_due = next(calls) == n
        if is_due and not after:
            kill()
        result = function(*args, **kwargs)
        if is_due:
            kill()
        return result

    return called


def arm(place: str, n: int) -> None:
    """Have this process kill itself at the n-th such place."""
    if place == "before a step":
        TermNet.train_step = at_call(n, TermNet.train_step)  # type: ignore[method-assign]
    elif place == "before the sync":
        os.fsync = at_call(n, os.fsync)
    elif place == "half written":
        calls, pack = itertools.count(1), _persistence._pack

        def half(*args: Any) -> Iterator[Any]:
            chunks = pack(*args)
            if next(calls) < n:
                yield from chunks
                return
            whole = b"".join(chunks)
            yield whole[: len(whole) // 2]
            kill()

        _persistence._pack = half  # type: ignore[assignment]
    else:
        os.replace = at_call(n, os.replace, after=place == "after the replacement")


def fit_and_die(estimator: Any, X: np.ndarray, place: str, n: int) -> bool:
    """Fit in a process of its own; return whether it was killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            arm(place, n)
            estimator.fit(X)
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    if os.WEXITSTATUS(status):
        raise RuntimeError("A fit failed that should have been killed.")
    return False


def assert_same_fit(fitted: Any, expected: Any) -> None:
    """Weights and history agree to the last bit."""
    pairs = [(fitted, expected)]
    if hasattr(expected, "tokenizer_"):
        pairs.append((fitted.tokenizer_, expected.tokenizer_))
    for one, other in pairs:
        assert one.history_ == other.history_, "other history"
        weights = other.model_.state_dict()
        for name, tensor in one.model_.state_dict().items():
            assert torch.equal(tensor, weights[name]), f"other weights {name}"


def kill_fits(n_points: int, seed: int) -> bool:
    """Kill so many fits, and let each end; print a table. Return whether all is well."""
    # A fit of seconds would otherwise have its last checkpoint only.
    _checkpoint._PERIODS, _checkpoint._TRAINING_PER_WRITING = 1, 0
    X, rng = make_series(), np.random.default_rng(seed)
    estimators = make_estimators()
    expected = {name: estimator.fit(X) for name, estimator in estimators.items()}
    estimators = make_estimators()
    n_wrong = 0
    print(f"{'estimator':22} {'killed':40} outcome")
    for point in range(n_points):
        name = list(estimators)[point % len(estimators)]
        with tempfile.TemporaryDirectory() as folder:
            estimator = estimators[name].set_params(checkpoint_dir=folder)
            kills = []
            for _ in range(1 + (point % 3 == 2)):
                place = str(rng.choice(list(PLACES)))
                n = int(rng.integers(1, PLACES[place] * (1 + (name == "MaskGITGenerator")) + 1))
                if fit_and_die(estimator, X, place, n):
                    kills.append(f"{place} {n}")
            try:
                assert_same_fit(estimator.fit(X), expected[name])
                assert os.listdir(folder) == [], "something is left over"
                outcome = "same bits"
            except Exception as error:
                outcome = f"WRONG: {type(error).__name__}: {error}"
                n_wrong += 1
            print(f"{name:22} {'; '.join(kills) or 'not reached':40} {outcome}", flush=True)
    print(f"{n_points - n_wrong} of {n_points} fits ended on the same bits.")
    return n_wrong == 0


# Damage --------------------------------------------------------------------------------------

SECONDS = 10
MEMORY = 2**30

FORBIDDEN = (
    "compile",
    "ctypes",
    "exec",
    "import",
    "marshal",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.system",
    "pickle",
    "socket",
    "subprocess",
)


class Listener:
    """An audit hook, which cannot be taken off: it listens while `heard` is a list."""

    def __init__(self) -> None:
        self.heard: list[str] | None = None
        sys.addaudithook(self)
        self.heard = []
        with contextlib.suppress(PermissionError):
            exec("1")
        assert self.heard, "a listener that hears nothing proves nothing"
        self.heard = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.heard is not None and event.startswith(FORBIDDEN):
            self.heard.append(event)
            raise PermissionError(f"{event} is forbidden")


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data))]


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 9)):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def random_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    size = int(rng.integers(1, 65))
    return data[:start] + rng.bytes(size) + data[start + size :]


def splice(data: bytes, rng: np.random.Generator) -> bytes:
    """A block of the file in another place of it."""
    start, place = (int(n) for n in rng.integers(len(data), size=2))
    block = data[start : start + int(rng.integers(1, 2000))]
    return data[:place] + block + data[place + len(block) :]


def double(data: bytes, rng: np.random.Generator) -> bytes:
    """A block of the file twice."""
    start = int(rng.integers(len(data)))
    end = start + int(rng.integers(1, 2000))
    return data[:end] + data[start:]


def other_length(data: bytes, rng: np.random.Generator) -> bytes:
    length = int.from_bytes(data[:8], "little")
    near = max(0, length + int(rng.integers(-100, 100)))
    other = int(rng.choice([near, 0, 2**31, 10**8, 2**63 - 1]))
    return other.to_bytes(8, "little") + data[8:]


def other_digit(data: bytes, rng: np.random.Generator) -> bytes:
    """A number of the header that is larger or another one."""
    header = 8 + int.from_bytes(data[:8], "little")
    found = [match.start() for match in re.finditer(rb"[0-9]", data[:header])]
    place = int(rng.choice(found))
    digits = str(int(rng.integers(10 ** int(rng.integers(1, 7))))).encode()
    return data[:place] + digits + data[place + len(digits) :]


MUTATIONS = (cut, flip_bits, random_bytes, splice, double, other_length, other_digit)


def sign(data: bytes) -> bytes:
    """The file with a checksum that fits, where it has a place for one."""
    found = re.search(rb'"sha256":"([0-9a-f]{64})"', data)
    if found is None:
        return data
    start, end = found.span(1)
    empty = data[:start] + b"0" * 64 + data[end:]
    return data[:start] + hashlib.sha256(empty).hexdigest().encode() + data[end:]


def answers(estimator: Any, X: np.ndarray) -> list[Any]:
    """What tells an estimator from others: codes, features, reconstructions, parameters."""
    found = [estimator.encode(X), estimator.transform(X), estimator.decode(estimator.encode(X))]
    return [*(array.tobytes() for array in found), repr(estimator.get_params())]


def most_memory() -> int:
    """Bytes that this process has had at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def load_damaged(path: Path, listener: Listener) -> tuple[Any, str, str | None]:
    """Load a file; return the estimator, what came of it and what was wrong with that."""

    def too_long(*arguments: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_long)
    before, start = most_memory(), time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    listener.heard, estimator, wrong = [], None, None
    try:
        estimator = vqssl.load(path)
        outcome = "loaded"
    except ValueError:
        outcome = "refused"
    except BaseException as error:
        outcome = type(error).__name__
        wrong = f"{outcome}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        heard, listener.heard = listener.heard, None
    if heard:
        wrong = f"did {', '.join(heard)}"
    elif time.monotonic() - start > SECONDS:
        wrong = "took too long"
    elif most_memory() - before > MEMORY:
        wrong = "took too much memory"
    return estimator, outcome, wrong


def fuzz_files(n_files: int, seed: int) -> bool:
    """Load so many damaged files; print a table. Return whether all is well."""
    X, rng, listener = make_series(), np.random.default_rng(seed), Listener()
    tokenizer = make_tokenizer(random_state=0).set_params(max_iter=5).fit(X)
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    violations = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.vqssl"
        tokenizer.save(path)
        original = path.read_bytes()
        expected = answers(vqssl.load(path), X)
        slowest = 0.0
        for place in range(n_files):
            mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
            data = mutation(original, rng)
            has_checksum = place % 2 == 1
            data = sign(data) if has_checksum else data
            path.write_bytes(data)
            start = time.monotonic()
            estimator, outcome, wrong = load_damaged(path, listener)
            slowest = max(slowest, time.monotonic() - start)
            if estimator is not None and wrong is None:
                # What is loaded from another file may not even answer: its numbers are others.
                if data == original or not has_checksum:
                    same = answers(estimator, X) == expected
                    outcome, wrong = "the original", None if same else "other answers"
                else:
                    outcome = "another file"
            counts[mutation.__name__ + (", signed" if has_checksum else ""), outcome] += 1
            if wrong is not None:
                violations.append(f"file {place} ({mutation.__name__}): {wrong}")
    outcomes = sorted({outcome for _, outcome in counts})
    print(f"{'damage':22}" + "".join(f"{outcome:>16}" for outcome in outcomes))
    for damage in sorted({damage for damage, _ in counts}):
        print(f"{damage:22}" + "".join(f"{counts[damage, o]:16,}" for o in outcomes))
    print(f"{len(original):,} bytes; the slowest file took {1000 * slowest:.0f} ms.")
    print(*violations[:20], sep="\n")
    print(f"{len(violations) or 'No'} violation{'s' * (len(violations) > 1)} in {n_files} files.")
    return not violations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    killing = commands.add_parser("kill", help="kill fits and let them go on")
    killing.add_argument("--points", type=int, default=20, help="how many fits are killed")
    killing.add_argument("--seed", type=int, default=0)
    fuzzing = commands.add_parser("fuzz", help="load damaged files")
    fuzzing.add_argument("--files", type=int, default=5000, help="how many files are loaded")
    fuzzing.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.command == "kill":
        is_well = kill_fits(arguments.points, arguments.seed)
    else:
        is_well = fuzz_files(arguments.files, arguments.seed)
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
