"""TorchEstimator: build the model, train its task, keep the model."""

import contextlib
import copy
import math
import numbers
import os
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from vqssl._batches import Rows, count_batches, fewest_in_batch
from vqssl._callbacks import CallbackSupportMixin, with_callbacks
from vqssl._checkpoint import Checkpoint
from vqssl._conditions import describe, describe_array, drop, without_places
from vqssl._inference import BatchInference
from vqssl._parts import refuse_nested_names
from vqssl._persistence import current_versions
from vqssl._precision import check_precision
from vqssl._processes import Processes, current_processes
from vqssl._progress import Bar, Display, Figure, Lines, Silence
from vqssl._seed import initialise, make_generator, materialise, spawn_seeds
from vqssl._state import ModelState
from vqssl._threads import cpu_threads
from vqssl._training import (
    Period,
    Progress,
    TermNet,
    check_callbacks,
    check_options,
    check_resumable,
    read_history,
    unfitted,
)
from vqssl._validation import check_count, check_probability, check_weight

# Series from which statistics of the training set are taken, so cost does not grow with n.
STATISTICS_SAMPLE = 10_000

_SHARED_TYPES: dict[str, list[Any]] = {
    "lr": [numbers.Real],
    "max_iter": [numbers.Integral],
    "batch_size": [numbers.Integral],
    "validation_fraction": [numbers.Real],
    "device": [str, torch.device],
    "precision": [str],
    "checkpoint_dir": [str, os.PathLike, None],
    "callbacks": [list, tuple, None],
    "net_params": [dict, None],
    "random_state": ["random_state"],
    "verbose": [numbers.Integral],
}


# Arguments of the net that follow from the estimator's own parameters.
_OWNED = {
    "batch_size", "callbacks", "checkpoint", "device", "generator", "lr", "max_epochs", "max_iter",
    "module", "n_stages", "one_pass", "order", "period", "precision", "processes", "train_split",
    "validation_data",
}  # fmt: skip


class TorchEstimator(CallbackSupportMixin, BatchInference, ModelState):
    """Base class of estimators that train a torch model.

    A subclass stores its parameters in ``__init__`` and says how to build the model, `_build`,
    and the task that trains it, `_task`. What is kept is the model; the task is dropped after
    `fit`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = _SHARED_TYPES

    history_: dict[str, list[float]]
    n_iter_: int
    _task_weights: dict[str, np.ndarray]

    checkpoint_dir: str | os.PathLike[str] | None

    # Whether the model offers ``latents(x)``, (B, C, L) -> (B, N, D) of series in units of X, and
    # the estimator D as ``_latent_size`` and the shapes of the tokens of each group, which lie one
    # after the other, as ``_token_shapes``: what a classifier can be trained on.
    _gives_latents: ClassVar[bool] = False

    # Arguments of the net that differ from its own defaults; net_params may change them.
    _net_defaults: ClassVar[dict[str, Any]] = {}

    # Where an estimator that is fitted inside puts its checkpoints; see `_fit_inside`.
    _inner_folder: str | os.PathLike[str] | None = None
    _is_inside: bool = False

    # What progress is shown of, where it is not the class.
    _title: str | None = None

    # Hooks of subclasses ------------------------------------------------------------------

    def _task(self, model: nn.Module, batch_size: int) -> nn.Module:
        """Return the module whose ``forward(*batch, generator)`` gives the terms of the loss.

        `batch_size` is the number of series in the smallest training batch.
        """
        return model

    def _n_stages(self) -> int:
        """Return into how many stages the steps of `fit` are cut, see `TermNet`."""
        return 1

    def _check_parameters(self) -> None:
        """Check the ranges of the subclass's own parameters, before anything is built."""

    def _training_arrays(
        self, X: Any, y: Any, series: np.ndarray, seed: int, go_on: bool
    ) -> tuple[np.ndarray, ...]:
        """Return the arrays whose rows are trained on; `series` (n, C, L) is `X`, checked.

        Rows of the first array are what `_start` and `_finish` get.
        """
        return (series,)

    def _strata(self, arrays: tuple[np.ndarray, ...]) -> np.ndarray | None:
        """Return class numbers (n,) whose shares held-out rows keep, or None."""
        return None

    @contextlib.contextmanager
    def _watch(self, task: nn.Module) -> Iterator[Callable[[], dict[str, Figure]]]:
        """Yield what tells figures beside the terms of the loss, while a task is trained."""
        yield dict

    def _start(self, model: nn.Module, rows: np.ndarray, generator: torch.Generator) -> None:
        """Set what depends on the training rows before the first step."""

    def _finish(self, rows: np.ndarray, generator: torch.Generator, go_on: bool) -> None:
        """Fit what depends on the trained model; `rows` are training rows.

        With `go_on`, earlier calls of `partial_fit` have fitted it already.
        """

    # Fitting ------------------------------------------------------------------------------

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on series.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Training series.
        y : None
            Ignored; here for scikit-learn's pipelines.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or `X` is not acceptable. An earlier fit stays usable.
        FloatingPointError
            If the loss became NaN or infinite. An earlier fit stays usable.
        """
        return self._fit_or_restore(X, y, go_on=False)

    @with_callbacks
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Take one more pass over series, from the weights as they are.

        The first call starts the model as `fit` does. The scaling of the input stays that of
        the first call, and statistics of the output count all calls alike; nothing is held
        out, whatever `validation_fraction` says; attributes that
        describe the codes, such as `perplexity_`, speak of the last one. The learning rate
        is constant, and the optimizer's own state starts anew.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Training series, of the shape of the earlier ones.
        y : None
            Ignored; here for scikit-learn's pipelines.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or `X` is not acceptable. An earlier fit stays usable.
        """
        return self._fit_or_restore(X, y, go_on=True)

    def _fit_or_restore(self, X: Any, y: Any, go_on: bool) -> Self:
        before = dict(vars(self))
        processes = current_processes()
        try:
            with contextlib.nullcontext() if processes is None else processes.ending_together():
                return self._fit(X, y, go_on and hasattr(self, "model_"), one_pass=go_on)
        except Exception:
            self._restore(before)
            raise
        except KeyboardInterrupt:
            if not getattr(self, "_interrupted_fit_is_usable", False):
                self._restore(before)
            raise
        finally:
            self.__dict__.pop("_interrupted_fit_is_usable", None)

    def _fit_inside(self, X: Any, title: str, folder: str | None = None) -> Self:
        """Fit as part of another fit, whose checkpoints hold those of this one in a folder.

        The last one stays: where the fit around it goes on, this one is over at once. Without a
        folder the fit around it has no checkpoints. Progress is shown under the title.
        """
        given = self.checkpoint_dir
        self._title = title
        if folder is not None:
            self.checkpoint_dir, self._is_inside = folder, True
        try:
            return self.fit(X)
        finally:
            self.checkpoint_dir = given
            self.__dict__.pop("_is_inside", None)
            del self._title

    def _restore(self, before: dict[str, Any]) -> None:
        # The names of scikit-learn's callbacks stay: its decorator takes them down.
        for name in set(vars(self)) - set(before):
            if "callback" not in name:
                delattr(self, name)
        self.__dict__.update(before)

    def _fit(self, X: Any, y: Any, go_on: bool, one_pass: bool) -> Self:
        self._validate_params()
        self._check_shared_parameters()
        self._check_parameters()
        device = self._device()
        series = self._check_X(X, reset=not go_on)
        processes = current_processes()
        is_kept = not one_pass and self.checkpoint_dir is not None
        conditions = {}
        if is_kept or processes is not None:
            # Before seeds are drawn, which moves a RandomState.
            conditions = self._conditions(series, device)
        if processes is not None:
            processes.check_device(device)
            what = {
                "version": current_versions(),
                "estimator": type(self).__name__,
                "method": "partial_fit" if one_pass else "fit",
                "fitted": repr(go_on),
            }
            kept = {"checkpoint_dir": "a folder" if is_kept else "None", "device": device.type}
            processes.compare({**what, **without_places(conditions), **kept})
            conditions["processes"] = str(processes.size)
        if not is_kept:
            return self._train(X, y, series, device, go_on, one_pass, None, conditions)
        check_callbacks(self.callbacks)
        check_resumable(self.callbacks)
        assert self.checkpoint_dir is not None, "is_kept says so"
        with Checkpoint(self.checkpoint_dir, self._is_inside, processes) as checkpoint:
            self._train(X, y, series, device, go_on, one_pass, checkpoint, conditions)
            checkpoint.finish()
        return self

    def _train(
        self,
        X: Any,
        y: Any,
        series: np.ndarray,
        device: torch.device,
        go_on: bool,
        one_pass: bool,
        checkpoint: Checkpoint | None,
        conditions: dict[str, Any],
    ) -> Self:
        """Train on `X`, which `series` is after the checks."""
        processes = current_processes()
        options = dict(self.net_params or {})
        if taken_over := sorted(_OWNED & options.keys()):
            raise ValueError(
                f"net_params must leave {', '.join(taken_over)} to the estimator; use its own "
                "parameters (lr, max_iter, batch_size, callbacks, validation_fraction, device, "
                "precision)."
            )
        check_callbacks(self.callbacks)
        n_threads = check_count(options.pop("n_threads", 1), "n_threads")

        # One seed per use, so that changing one use does not shift the others.
        seeds = spawn_seeds(self.random_state, 6)
        if checkpoint is not None:
            seeds = checkpoint.begin(conditions, seeds)
        elif processes is not None:
            seeds = processes.from_first(seeds)
        if go_on:
            # Each call of partial_fit draws numbers of its own.
            seeds = [(seed + 1_000_003 * self.n_iter_) % 2**31 for seed in seeds]
        weights, order, split, statistics = (make_generator(seed) for seed in seeds[:4])
        self._inner_folder = None if checkpoint is None else checkpoint.folder
        arrays = self._training_arrays(X, y, series, seeds[5], go_on)
        del self._inner_folder
        if checkpoint is not None or processes is not None:
            digests = [describe_array(array) for array in arrays[1:]]
            if processes is not None:
                codes = {} if arrays[0] is series else {"codes": describe_array(arrays[0])}
                processes.compare({"y": digests, **codes})
            if checkpoint is not None:
                checkpoint.check_arrays(digests)
        training, held_out = (Rows(arrays), None) if one_pass else self._split(arrays, split)
        subsample = training.sample(STATISTICS_SAMPLE, statistics)
        batch_size = min(self._whole_batch_size, len(training))
        n_batches = count_batches(len(training), batch_size)
        max_iter = n_batches if one_pass else self._count_steps(len(training))
        if processes is not None:
            processes.check_divisible(len(training), fewest_in_batch(len(training), batch_size))
        period = max(1, min(50, max_iter // 20))
        taken = self.n_iter_ if go_on else 0

        def snapshot() -> dict[str, Any]:
            fitted = copy.copy(self)
            fitted._keep(net, copy.deepcopy(model), taken, subsample, statistics.clone_state())
            return fitted.__dict__

        # Training works inside a caller's no_grad() and inference_mode(), too.
        with (
            contextlib.ExitStack() as stack,
            cpu_threads(n_threads),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            model = self._make_model(subsample, go_on, weights, statistics)
            task = self._make_task(model, len(training) // n_batches, weights, go_on)
            if processes is not None:
                task.load_state_dict(processes.from_first(task.state_dict()))
            context = self._init_callback_context(max_subtasks=math.ceil(max_iter / period))
            context.call_on_fit_task_begin(estimator=self, X=X, y=y)
            settings = {
                "max_iter": max_iter,
                "period": period,
                "generator": make_generator(seeds[4], device),
                "order": order,
                "decay_lr": not one_pass,
                "one_pass": one_pass,
                "n_stages": self._n_stages(),
                "precision": self.precision,
                "validation_data": held_out,
                "checkpoint": checkpoint,
                "processes": processes,
                "lr": float(self.lr),
                "batch_size": batch_size,
                "callbacks": [
                    *stack.enter_context(self._progress(task, processes)),
                    self._periods(context, snapshot),
                    *unfitted(self.callbacks),
                ],
                "device": str(device),
                "verbose": int(self.verbose > 1 and (processes is None or processes.rank == 0)),
                **self._net_defaults,
            }
            net = TermNet(task, **{**settings, **options})
            try:
                net.train(training)
            except KeyboardInterrupt:
                if net.steps_ > 0 and net.is_finite():
                    self._keep(net, model, taken, subsample, statistics)
                    self._interrupted_fit_is_usable = True
                raise
            self._keep(net, model, taken, subsample, statistics)
            if processes is not None:
                processes.check_alike(task, net.generator)
            context.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    def _conditions(self, series: np.ndarray, device: torch.device) -> dict[str, Any]:
        """What the weights depend on, as text: parameters, series and device."""
        params = {name: describe(value) for name, value in self.get_params(deep=False).items()}
        for name in ("checkpoint_dir", "verbose"):
            drop(params, name)
        return {**params, "device": str(device), "X": describe_array(series)}

    @property
    def _whole_batch_size(self) -> int:
        """Rows in a batch, those of all processes together."""
        processes = current_processes()
        return int(self.batch_size) * (1 if processes is None else processes.size)

    def _make_model(
        self,
        subsample: np.ndarray,
        go_on: bool,
        weights: torch.Generator,
        statistics: torch.Generator,
    ) -> nn.Module:
        """Build and start the model, or take a copy of the fitted one that can learn."""
        if go_on:
            self._check_unchanged()
            model = copy.deepcopy(self.model_)
            with torch.device("meta"):
                built = dict(self._build().named_parameters())
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(built[name].requires_grad)
            return model
        # An earlier model does not go with the parameters of this fit.
        self.__dict__.pop("model_", None)
        self._architecture = self._shaping_parameters()
        with torch.device("meta"):
            model = self._build()
        initialise(materialise(model).float(), weights)
        self._start(model, subsample, statistics)
        return model

    def _make_task(
        self, model: nn.Module, batch_size: int, weights: torch.Generator, go_on: bool
    ) -> nn.Module:
        """Build the task around a model and start what it adds to it, or take it up again."""
        with torch.device("meta"):
            task = self._task(model, batch_size)
        if task is not model:
            materialise(task).float()
            for child in task.children():
                if child is not model:
                    initialise(child, weights)
        if go_on:
            state = task.state_dict()
            for name, array in self._task_weights.items():
                # Another batch size may have made another projector.
                if name in state and state[name].shape == array.shape:
                    state[name].copy_(torch.from_numpy(np.array(array)))
        return task

    def _keep(
        self,
        net: TermNet,
        model: nn.Module,
        taken: int,
        subsample: np.ndarray,
        generator: torch.Generator,
    ) -> None:
        kept = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
        # What the task adds is dropped from the model, but partial_fit goes on with it, also
        # after a call whose single series left it out.
        self._task_weights = (self._task_weights if taken > 0 else {}) | {
            name: tensor.detach().cpu().numpy().copy()
            for name, tensor in net.module_.state_dict(keep_vars=True).items()
            if id(tensor) not in kept
        }
        self.model_ = model.to("cpu").eval().requires_grad_(False)
        history = read_history(net)
        if taken > 0:
            history["step"] = [taken + step for step in history["step"]]
            history = _joined(self.history_, history)
        self.history_ = history
        self.n_iter_ = taken + net.steps_
        self._n_steps_planned = taken + net.max_iter
        self._finish(subsample, generator, go_on=taken > 0)

    @contextlib.contextmanager
    def _progress(self, task: nn.Module, processes: Processes | None) -> Iterator[list[Progress]]:
        """Show how training goes, as `verbose` says; whatever ends it, the bar is closed."""
        # Some figures are those of all processes, which so have to look when the first one does.
        verbose = self.verbose if processes is None else processes.from_first(self.verbose)
        if verbose == 0:
            yield []
            return
        title = self._title or type(self).__name__
        display: Display = Bar(title) if verbose == 1 else Lines(title)
        if processes is not None and processes.rank > 0:
            display = Silence()
        with contextlib.closing(display), self._watch(task) as watch:
            yield [Progress(display, watch)]

    def _periods(self, context: Any, snapshot: Callable[[], dict[str, Any]]) -> Period:
        """Return what tells scikit-learn's callbacks of periods."""
        running: list[Any] = []

        def begin() -> None:
            running.append(context.subcontext(task_name="period"))
            running[-1].call_on_fit_task_begin(estimator=self)

        def end(net: TermNet) -> bool:
            return running.pop().call_on_fit_task_end(
                estimator=self, reconstruction_attributes=snapshot
            )

        return Period(begin, end)

    def _count_steps(self, n_samples: int) -> int:
        """Number of optimizer steps of `fit` on so many training series; checks `max_iter`."""
        return check_count(self.max_iter, "max_iter")

    def _check_shared_parameters(self) -> None:
        check_weight(self.lr, "lr", positive=True)
        check_count(self.batch_size, "batch_size")
        self._count_steps(1)
        check_probability(self.validation_fraction, "validation_fraction", below_one=True)
        check_count(self.verbose, "verbose", minimum=0)
        check_precision(self.precision)
        check_options(self.net_params or {})

    def _split(
        self, arrays: tuple[np.ndarray, ...], generator: torch.Generator
    ) -> tuple[Rows, Rows | None]:
        """Hold out `validation_fraction` of the rows: none of fewer than four, else two.

        A loss between series needs two of them on either side.
        """
        fraction = float(self.validation_fraction)
        n = len(arrays[0])
        if fraction == 0 or n < 4:
            return Rows(arrays), None
        n_held_out = min(max(2, round(fraction * n)), n - 2)
        order = torch.randperm(n, generator=generator).numpy()
        strata = self._strata(arrays)
        if strata is not None:
            order = order[spread_classes(strata[order])]
        return (
            Rows(arrays, np.sort(order[n_held_out:])),
            Rows(arrays, np.sort(order[:n_held_out])),
        )

    # Parameters -----------------------------------------------------------------

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of parts as ``<option>__<parameter>``.

        Parameters
        ----------
        **params : dict
            Parameters and their values.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a parameter does not exist, or belongs to a part that is given by name.
        """
        refuse_nested_names(self, params)
        return super().set_params(**params)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _check_is_fitted(self) -> None:
        check_is_fitted(self)


def _joined(
    before: dict[str, list[float]], after: dict[str, list[float]]
) -> dict[str, list[float]]:
    """Columns of two histories one behind the other, NaN where one of them lacks a column."""
    columns = {}
    for name in before | after:
        parts = [
            history.get(name, [math.nan] * len(history["step"])) for history in (before, after)
        ]
        columns[name] = [*parts[0], *parts[1]]
    return columns


def spread_classes(labels: np.ndarray) -> np.ndarray:
    """Order of rows in which every beginning holds the classes in about their shares.

    Rows of one class keep their order, but for the first, which come last of all: what is
    taken from the beginning leaves one of every class where it can.
    """
    _, number, counts = np.unique(labels, return_inverse=True, return_counts=True)
    by_class = np.argsort(number, kind="stable")
    rank = np.empty(len(labels))
    rank[by_class] = np.arange(len(labels)) - np.repeat(counts.cumsum() - counts, counts)
    share = np.where(rank == 0, 1.0, (rank - 0.5) / counts[number])
    return np.argsort(share, kind="stable")
