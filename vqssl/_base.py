"""TorchEstimator: check the data, build the model, train its task, keep the model."""

import contextlib
import copy
import math
import numbers
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from vqssl._batches import Rows, as_tensor, count_batches, fewest_in_batch, filled
from vqssl._building import build_on_meta
from vqssl._callbacks import CallbackSupportMixin, with_callbacks
from vqssl._checkpoint import Checkpoint
from vqssl._conditions import describe, describe_array, drop, without_places
from vqssl._memory import Portions
from vqssl._parts import refuse_nested_names
from vqssl._persistence import current_versions, write_file
from vqssl._processes import Processes, current_processes
from vqssl._progress import Bar, Display, Figure, Lines, Silence
from vqssl._seed import initialise, make_generator, materialise, spawn_seeds
from vqssl._threads import cpu_threads
from vqssl._training import (
    Period,
    Progress,
    TermNet,
    check_callbacks,
    check_resumable,
    read_history,
    unfitted,
)
from vqssl._tree import to_tree
from vqssl._validation import (
    check_count,
    check_probability,
    check_series,
    check_weight,
    kind_of,
    refuse_unequal_lengths,
    unmasked,
    warn_user,
)

Result = TypeVar("Result")

PRECISIONS = ("bfloat16", "float32")

# Series from which statistics of the training set are taken, so cost does not grow with n.
STATISTICS_SAMPLE = 10_000

# Numbers of input in one inference batch: small enough for the cache of a CPU core.
_CPU_BATCH = 2**15
_CUDA_BATCH = 2**20

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
    "callbacks", "checkpoint", "device", "generator", "max_epochs", "max_iter", "module",
    "n_stages", "one_pass", "order", "period", "processes", "train_split", "validation_data",
}  # fmt: skip


class TorchEstimator(CallbackSupportMixin, BaseEstimator, ABC):
    """Base class of estimators that train a torch model.

    A subclass stores its parameters in ``__init__`` and says how to build the model and
    the task that trains it. What is kept is the model; the task is dropped after `fit`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = _SHARED_TYPES

    model_: Any  # the torch module, once fitted
    history_: dict[str, list[float]]
    n_iter_: int
    input_shape_: tuple[int, ...]
    _task_weights: dict[str, np.ndarray]

    checkpoint_dir: str | os.PathLike[str] | None

    # Parameters and fitted sizes that `_build` reads; partial_fit cannot go on with the model
    # when one of the parameters changes.
    _shaping: ClassVar[tuple[str, ...]] = ()
    _sizes: ClassVar[tuple[str, ...]] = ("input_shape_",)

    # Whether the model offers ``latents(x)``, (B, C, L) -> (B, N, D) of series in units of X, and
    # the estimator D as ``_latent_size`` and the shapes of the tokens of each group, which lie one
    # after the other, as ``_token_shapes``: what a classifier can be trained on.
    _gives_latents: ClassVar[bool] = False

    # Whether images (n, C, H, W) are taken as well as series.
    _takes_images: ClassVar[bool] = True

    # Arguments of the net that differ from its own defaults; net_params may change them.
    _net_defaults: ClassVar[dict[str, Any]] = {}

    # Where an estimator that is fitted inside puts its checkpoints; see `_fit_inside`.
    _inner_folder: str | os.PathLike[str] | None = None
    _is_inside: bool = False

    # What progress is shown of, where it is not the class.
    _title: str | None = None

    # Hooks of subclasses ------------------------------------------------------------------

    @abstractmethod
    def _build(self) -> nn.Module:
        """Return the model that is kept: a pure function of parameters and `input_shape_`."""

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
                "parameters (max_iter, callbacks, validation_fraction, device)."
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

    def _check_unchanged(self) -> None:
        """Refuse to go on with a model that was built with other parameters."""
        for name in self._shaping:
            fitted, now = self._architecture[name], getattr(self, name)
            if repr(fitted) != repr(now):
                raise ValueError(
                    f"{name} must stay {fitted!r} between calls of partial_fit; got {now!r}. "
                    "Call fit to start anew."
                )

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
            history = {name: [*self.history_.get(name, []), *history[name]] for name in history}
        self.history_ = history
        self.n_iter_ = taken + net.steps_
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
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be 'float32' or 'bfloat16'; got {self.precision!r}.")

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

    # Data ---------------------------------------------------------------------------------

    def _check_X(self, X: Any, reset: bool, allow_gaps: bool = False) -> np.ndarray:
        """Return series as (n, C, L), images as (n, C, H, W).

        With `reset` their shape is remembered, else compared. NaN is accepted with
        `allow_gaps`.
        """
        name = type(self).__name__
        if isinstance(X, Tensor):
            if X.layout != torch.strided:
                raise TypeError(
                    f"X must be dense; got a tensor of layout {X.layout}. Pass X.to_dense()."
                )
            X = X.detach().cpu()
            # numpy has no bfloat16.
            X = (X.float() if X.dtype == torch.bfloat16 else X).numpy()
        X = unmasked(X)
        refuse_unequal_lengths(X)
        for axis in ("index", "columns"):
            if getattr(getattr(X, axis, None), "nlevels", 1) > 1:
                raise ValueError(
                    f"X has a MultiIndex as its {axis}, which {name} would misread: pass an "
                    "array of shape (n_samples, n_channels, n_timepoints)."
                )
        # Fewer axes go to validate_data too, for scikit-learn's own messages.
        if _n_axes(X) > 2:
            X = check_array(X, dtype="numeric", ensure_all_finite=False, allow_nd=True)
        else:
            X = validate_data(self, X, dtype="numeric", ensure_all_finite=False, reset=reset)
        if X.dtype.kind == "O":
            X = X.astype(np.float64)
        series = check_series(X, name, allow_gaps)
        if reset:
            self.input_shape_ = tuple(int(size) for size in X.shape[1:])
            self.n_features_in_ = math.prod(self.input_shape_)
            if X.ndim > 2:
                self.__dict__.pop("feature_names_in_", None)
            if X.ndim == 4 and not self._takes_images:
                raise ValueError(
                    f"X must hold series, (n_samples, n_timepoints) or (n_samples, n_channels, "
                    f"n_timepoints), for {name}; got images of shape {self.input_shape_}. "
                    "VQTokenizer and SSLVQTokenizer take them."
                )
        elif series.shape[1:] != self._series_shape:
            raise ValueError(
                f"X has {kind_of(X.shape[1:])} of shape {tuple(X.shape[1:])}, but {name} was "
                f"fitted on {kind_of(self.input_shape_)} of shape {self.input_shape_}."
            )
        return series

    @property
    def _series_shape(self) -> tuple[int, ...]:
        """(C, L) of the fitted series, (C, H, W) of the fitted images."""
        shape = self.input_shape_
        return (1, shape[0]) if len(shape) == 1 else shape

    def _as_given(self, series: np.ndarray) -> np.ndarray:
        """Bring series (n, C, L) to the number of axes that `fit` saw; images stay."""
        return series.reshape(len(series), *self.input_shape_)

    # Inference ----------------------------------------------------------------------------

    def _device(self) -> torch.device:
        if self.device == "auto":
            processes = current_processes()
            if processes is not None and processes.device is not None:
                return processes.device
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(1, device=device).cpu()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            # The first line of several, such as that a fork cannot use CUDA again.
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"device must be 'auto' or a torch device that this machine has; got "
                f"{self.device!r}. CUDA is {'' if torch.cuda.is_available() else 'not '}available. "
                f"{reason}"
            ) from error
        return device

    def _inference_device(self) -> torch.device:
        """The device, or the CPU for an estimator that comes from a machine with CUDA."""
        try:
            return self._device()
        except ValueError:
            if not str(self.device).startswith("cuda"):
                raise
            warn_user(
                f"device={self.device!r} is not available here; the CPU is used. "
                f"set_params(device='auto') on this {type(self).__name__} says so for good."
            )
            return torch.device("cpu")

    def _placed_model(self, double: bool = False) -> tuple[Any, torch.device]:
        """The model on the device of inference, in float64 if asked for, and that device."""
        device = self._inference_device()
        if device.type == "cpu" and not double:
            return self.model_, device
        # A copy: moving the kept model would race with other threads.
        model = copy.deepcopy(self.model_).to(device)
        return model.double() if double else model, device

    def _rows_at_once(self, device: torch.device) -> int:
        """Number of rows in one batch of inference."""
        limit = _CPU_BATCH if device.type == "cpu" else _CUDA_BATCH
        return max(1, limit // self._row_cost())

    def _row_cost(self) -> int:
        """Size of a row of inference, in numbers of input."""
        return max(1, math.prod(self._series_shape))

    def _inference(
        self, function: Callable[[Any, Tensor], Tensor], rows: np.ndarray, double: bool = False
    ) -> np.ndarray:
        """Apply ``function(model, batch)`` to rows in batches, on the device.

        Parameters
        ----------
        function : callable
            Takes the model and a tensor of rows on its device.
        rows : ndarray of shape (n, ...)
            Codes (n, N) in int64 stay what they are, everything else becomes float32.
        double : bool, default=False
            Whether the model works in float64.

        Returns
        -------
        result : ndarray of shape (n, ...)
        """

        def answer(model: Any, batch: Tensor, place: slice, fewest: int) -> Tensor:
            return function(model, filled(batch, fewest))[: len(batch)]

        result: np.ndarray | None = None
        with torch.inference_mode():
            for place, part in self._by_batches(answer, rows, double):
                if result is None:
                    # By numpy, which asks for large pages.
                    dtype = part[:0].cpu().numpy().dtype
                    result = np.empty((len(rows), *part.shape[1:]), dtype)
                # To its place at once, also from another device.
                torch.from_numpy(result[place]).copy_(part)
        assert result is not None, "callers pass at least one row"
        return result

    def _by_batches(
        self,
        function: Callable[[Any, Tensor, slice, int], Result],
        rows: np.ndarray,
        double: bool = False,
    ) -> Iterator[tuple[slice, Result]]:
        """Yield the place of each batch among the rows, and what a function makes of it.

        Parameters
        ----------
        function : callable
            ``function(model, batch, place, fewest)`` gets a batch on the device of the model;
            few rows may be filled up to `fewest`, see `filled`. It is called again with a
            smaller batch where there is no memory, so it leaves adding up to the caller.
        rows, double : see `_inference`
        """
        model, device = self._placed_model(double)

        def on_device(place: slice, fewest: int) -> Result:
            batch = as_tensor(rows[place]).to(device)
            if double and batch.is_floating_point():
                batch = batch.double()
            return function(model, batch, place, fewest)

        yield from Portions(self._rows_at_once(device), device).of(len(rows), on_device)

    # Parameters and state -----------------------------------------------------------------

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

    def _shaping_parameters(self) -> dict[str, Any]:
        """Copies of the parameters that shape the model, as they are now."""
        return {name: clone(getattr(self, name), safe=False) for name in self._shaping}

    def save(self, path: Any) -> None:
        """Write the estimator, fitted or not, to one file, without pickle.

        Parameters
        ----------
        path : str or os.PathLike
            The file; an existing one is replaced at once, when the new one is complete. A
            link is followed.

        Raises
        ------
        TypeError
            If a parameter holds an object that a file cannot hold, such as a callback.
        OSError
            If `path` is a folder or read-only, or the disk is full. What was there before stays.

        See Also
        --------
        vqssl.load : Reads it again.
        """
        write_file(path, *to_tree(self))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        model = state.get("model_")
        if isinstance(model, nn.Module):
            # Arrays, so that pickle, skops and memory-mapping by joblib see no torch object.
            state["model_"] = {
                name: tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()
            }
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(dict(state))
        if "model_" in self.__dict__:
            self.model_ = self._rebuild(self.model_)

    def _rebuild(self, arrays: Mapping[str, np.ndarray]) -> nn.Module:
        """Build the fitted model again, from its weights as arrays."""
        model = build_on_meta(self._build_again, len(arrays)).float()
        expected = {
            name: (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
            for name, tensor in model.state_dict().items()
        }
        given = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
        if expected != given:
            raise ValueError(
                f"The weights must be those of the model that the parameters of "
                f"{type(self).__name__} describe; their names, shapes or dtypes differ."
            )
        # Started first, for what a foreign module does not keep in its state.
        initialise(materialise(model), make_generator(0))
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        model.load_state_dict(tensors)
        return model.eval().requires_grad_(False)

    def _build_again(self) -> nn.Module:
        """Return a module like the fitted one, without its weights."""
        # The parameters may have been changed since fit; those of the fit shape the model.
        fitted = type(self)(**self._architecture)
        for name in self._sizes:
            setattr(fitted, name, getattr(self, name))
        return fitted._build()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _check_is_fitted(self) -> None:
        check_is_fitted(self)


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


def _n_axes(X: Any) -> int:
    """Number of axes of an array-like, without `np.ndim`, which some array-likes refuse."""
    if hasattr(X, "shape"):
        return len(X.shape)
    depth = 0
    while isinstance(X, (list, tuple)) and len(X) > 0:
        X = X[0]
        depth += 1
    return depth + len(getattr(X, "shape", ()))
