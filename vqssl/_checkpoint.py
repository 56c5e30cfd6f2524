"""Checkpoints of a fit: a folder with all that training needs to go on after a crash.

The folder holds one file in the format of saved estimators, ``checkpoint.vqssl``, which is
replaced at once; a ``checkpoint.lock`` while a fit works in it; and a folder for the checkpoint of
an estimator that is fitted inside, ``inner-checkpoint.vqssl``.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Callable
from typing import Any, NoReturn, Self

import numpy as np
import torch
from torch import Tensor

from vqssl._conditions import differences
from vqssl._lock import FolderLock
from vqssl._persistence import current_versions, read_file, write_file
from vqssl._processes import Processes
from vqssl._tree import from_tree, to_tree
from vqssl._validation import warn_user

FILE = "checkpoint.vqssl"

# That of an estimator inside another, which the fit around it removes: by its name it is told from
# the checkpoint of a fit that goes on by itself in a folder below.
INNER_FILE = "inner-checkpoint.vqssl"

# A checkpoint is due after so many periods, or after so many seconds.
_PERIODS = 10
_SECONDS = 60.0

# Training takes at least so many times as long as the writing of checkpoints.
_TRAINING_PER_WRITING = 20

# What write_file leaves behind when it is killed.
_LEFT_OVER = re.compile(r"\.vqssl-[0-9a-f]{16}\.tmp")

# Packages whose other version would give other weights.
_DECISIVE = ("vqssl", "torch")

_WAY_OUT = "Use another folder, or delete this one to begin anew"


class Checkpoint:
    """The checkpoint of one fit; a context in which its folder is locked.

    Parameters
    ----------
    folder : str or os.PathLike
        Made where there is none.
    keep : bool
        Whether the last state stays at the end of the fit, for one that is part of another fit.
    processes : Processes or None
        Who takes part in the fit. The first one of them reads and writes; the others are told.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        keep: bool = False,
        processes: Processes | None = None,
    ) -> None:
        self.folder = os.path.abspath(os.fspath(folder))
        self.path = os.path.join(self.folder, INNER_FILE if keep else FILE)
        self.keep = keep
        self.processes = processes
        self.is_told = processes is not None and processes.rank > 0
        self.lock = FolderLock(self.folder)
        self.record: dict[str, Any] = {}
        self.state: dict[str, Any] | None = None
        self.is_empty = False  # begun here, and without a state yet
        self.n_periods = 0
        self.seconds = 0.0
        self.written_at = time.monotonic()

    def __enter__(self) -> Self:
        if self.is_told:
            return self
        try:
            os.makedirs(self.folder, exist_ok=True)
            acquired = self.lock.acquire()
            if acquired:
                self._sweep()
        except OSError as error:
            self.lock.release()
            raise self._unusable(error) from error
        if not acquired:
            raise ValueError(
                f"checkpoint_dir must be used by one fit at a time; {self.lock.owner()} trains in "
                f"{self.folder}. Give each fit a folder of its own: the fits of GridSearchCV, "
                "cross_val_score and other searches share that of the estimator they clone, and "
                "with n_jobs they run at the same time."
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        # Nothing is lost, and the fit with other parameters that comes next is not refused.
        if kind is not None and self.is_empty and not self._inner_files():
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        self.lock.release()

    def begin(self, conditions: dict[str, Any], seeds: list[int]) -> list[int]:
        """Read the checkpoint, or write the first one; return the seeds to train with.

        On all processes, where there are several, those of the first.

        Parameters
        ----------
        conditions : dict
            What the fit depends on, as `describe` returns it.
        seeds : list of int
            Taken where there is no checkpoint. Those of a checkpoint of ``random_state=None``
            are others.

        Raises
        ------
        ValueError
            If there is a checkpoint of another fit or a damaged one, or none can be written.
        """
        if not self.is_told:
            seeds = self._begin(conditions, seeds)
        if self.processes is None:
            return seeds
        begun: Any = None if self.is_told else (seeds, self.record, self.state)
        seeds, self.record, self.state = self.processes.from_first(begun)
        return seeds

    def _begin(self, conditions: dict[str, Any], seeds: list[int]) -> list[int]:
        conditions = {"version": {n: current_versions()[n] for n in _DECISIVE}, **conditions}
        if os.path.lexists(self.path):
            record = self._read()
            self._compare(json.loads(record["conditions"]), conditions)
            self.record = {name: record[name] for name in ("conditions", "seeds", "arrays")}
            self.state = restored(record["state"])
            return list(record["seeds"])
        self.record = {"conditions": json.dumps(conditions), "seeds": seeds, "arrays": None}
        try:
            self._write(None)
        except OSError as error:
            raise self._unusable(error) from error
        self.is_empty = True
        return seeds

    def check_arrays(self, arrays: Any) -> None:
        """Compare the labels, which are known only after an inner estimator is fitted."""
        if self.record["arrays"] is None:
            self.record["arrays"] = json.dumps(arrays)
        else:
            self._compare({"y": json.loads(self.record["arrays"])}, {"y": arrays})

    def offer(self, state: Callable[[], dict[str, Any]], last: bool) -> None:
        """Write the state at the end of a period, if it is due or the `last`.

        Training does not end where it cannot be written: a warning says so, and the earlier
        checkpoint stays.
        """
        if self.is_told:
            return
        self.n_periods += 1
        elapsed = time.monotonic() - self.written_at
        due = self.n_periods >= _PERIODS or elapsed >= _SECONDS
        if not last and not (due and elapsed >= _TRAINING_PER_WRITING * self.seconds):
            return
        start = time.monotonic()
        self.is_empty = False
        try:
            self._write(plain(state()))
        except OSError as error:
            warn_user(
                f"The checkpoint {self.path} could not be written: {error}. Training goes on; the "
                "earlier checkpoint stays as it was. Make room on that disk: the next one will be "
                "tried."
            )
        self.n_periods = 0
        self.written_at = time.monotonic()
        self.seconds = self.written_at - start

    def finish(self) -> None:
        """Remove the checkpoint of a fit that is complete, those of inner estimators first."""
        if self.keep or self.is_told:
            return
        for path in self._inner_files():
            with contextlib.suppress(OSError):
                os.unlink(path)
                os.rmdir(os.path.dirname(path))
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _inner_files(self) -> list[str]:
        """Checkpoints of estimators inside; none where somebody has removed the folder."""
        folders: list[str] = []
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            folders += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        paths = [os.path.join(folder, INNER_FILE) for folder in folders]
        return [path for path in paths if os.path.lexists(path)]

    def _write(self, state: Any) -> None:
        write_file(self.path, *to_tree({**self.record, "state": state}))

    def _read(self) -> dict[str, Any]:
        try:
            contents = read_file(self.path)
            match record := from_tree(contents.tree, contents.arrays, _no_class):
                case {"conditions": str(), "seeds": list(), "arrays": _, "state": _}:
                    return record
            raise ValueError(f"{self.path} is no checkpoint.")
        except ValueError as error:
            raise ValueError(f"{error} {_WAY_OUT}: {self.folder}.") from error

    def _compare(self, before: Any, now: Any) -> None:
        found = list(differences(before, now))
        if found:
            rest = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise ValueError(
                f"checkpoint_dir must hold a checkpoint of the same fit or none; that in "
                f"{self.folder} has {'; '.join(found[:3])}{rest}. {_WAY_OUT}."
            )

    def _unusable(self, error: OSError) -> ValueError:
        return ValueError(
            f"checkpoint_dir must be a folder that can be written to; got {self.folder}: {error}."
        )

    def _sweep(self) -> None:
        """Remove what a fit that was killed while writing has left."""
        with os.scandir(self.folder) as entries:
            left_over = [entry.path for entry in entries if _LEFT_OVER.fullmatch(entry.name)]
        for path in left_over:
            with contextlib.suppress(OSError):
                os.unlink(path)


def plain(value: Any) -> Any:
    """Return nested values in which tensors are arrays and keys of dicts are text."""
    if isinstance(value, Tensor):
        return {"tensor": value.detach().cpu().numpy()}
    if isinstance(value, dict):
        return {"items": [(key, plain(item)) for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


def restored(value: Any) -> Any:
    """Return what `plain` was given."""
    match value:
        case {"tensor": np.ndarray() as array}:
            return torch.from_numpy(array)
        case {"items": list(items)}:
            return {key: restored(item) for key, item in items}
        case list() | tuple():
            return type(value)(restored(item) for item in value)
    return value


def _no_class(name: str) -> NoReturn:
    raise ValueError(f"a checkpoint holds no {name}.")
