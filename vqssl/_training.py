"""Training engine: a skorch net without per-step bookkeeping. Only this file knows skorch."""

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import skorch
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import Tensor, nn

from vqssl._average import WeightAverage
from vqssl._batches import Batches, Rows, fewest_in_batch
from vqssl._checkpoint import Checkpoint
from vqssl._memory import BeforeStep
from vqssl._precision import arithmetic
from vqssl._processes import Processes, digest
from vqssl._progress import Display, Figure
from vqssl._share import current_share, sharing
from vqssl._validation import check_count, check_probability, check_weight, warn_user
from vqssl._whole_norm import whole_norms

Result = TypeVar("Result")

# Optimizers of torch that take fused=True on CPU as well as on CUDA.
_FUSED = (torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD)

# Share of the steps in which the learning rate rises to its full value.
_WARM_UP = 0.05

_REMEDY = "Lower lr, or lower the limit of the gradient with net_params={'gradient_clip': ...}."


# What skorch's early stopping knows of the periods so far.
_STOPPING = ("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_")


class StopTraining(Exception):
    """Raised between two periods to end training early, keeping what is learned."""


def check_options(options: Mapping[str, Any]) -> None:
    """Check those of `net_params` that skorch does not know.

    Raises
    ------
    ValueError, TypeError
        If one is out of range or of the wrong type.
    """
    if options.get("gradient_clip") is not None:
        check_weight(options["gradient_clip"], "gradient_clip", positive=True)
    if options.get("average_decay") is not None:
        check_probability(options["average_decay"], "average_decay", below_one=True)
    if "patience" in options:
        check_count(options["patience"], "patience")


def parameter_groups(module: nn.Module, lr: float) -> list[dict[str, Any]]:
    """Sort parameters by learning rate and weight decay.

    A module's attribute ``lr_multiplier`` scales the rate of its own parameters and frees
    them of weight decay, as biases and norms are (fewer than two axes).
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    seen: set[int] = set()
    for part in module.modules():
        multiplier = getattr(part, "lr_multiplier", None)
        for parameter in part.parameters(recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                decays = multiplier is None and parameter.ndim > 1
                groups.setdefault((multiplier or 1.0, decays), []).append(parameter)
    return [
        {"params": parameters, "lr": lr * multiplier} | ({} if decays else {"weight_decay": 0.0})
        for (multiplier, decays), parameters in groups.items()
    ]


class TermNet(skorch.NeuralNet):
    """Skorch net over a task: a module that returns the named terms of its loss.

    An epoch of this net is a *period* of steps. Each step costs what a plain torch loop
    costs: nothing is read back from the device and no hook is called that no callback
    overrides. At the end of a period the history gets one row with the mean of the loss
    (``train_loss``) and of each term.

    Where the device has no memory for a batch, a warning says so, the step is taken with half
    of the batch, and later batches are as small.

    Parameters
    ----------
    module : torch.nn.Module
        ``module(*batch, generator=generator)`` returns a dict of weighted scalars. Batches have
        ``module.fewest_rows`` rows at least, where it has that.
    max_iter : int
        Number of optimizer steps.
    period : int
        Steps between two readings.
    generator : torch.Generator
        Random numbers of the task, on the device that trains.
    order : torch.Generator
        Order of the training rows, on the CPU.
    decay_lr : bool
        Whether the learning rate warms up and then follows a cosine to zero; constant
        otherwise.
    one_pass : bool
        Whether `max_iter` is one pass over the rows, to be kept to where batches become smaller.
    n_stages : int
        Equal shares of the steps, in each of which the learning rate warms up and falls; the
        task's ``begin_stage(i)`` is called before the first step of each. One stage, which the
        task is not told of, where the learning rate is constant.
    precision : {"float32", "bfloat16"}
        With "bfloat16" the task runs under autocast.
    gradient_clip : float
        Largest norm of the gradient of all parameters; None for no limit.
    average_decay : float or None
        Decay of a `WeightAverage` that is validated and kept in place of the last weights;
        None keeps the last ones.
    patience : int
        Periods without a lower validation loss before training stops.
    validation_data : Rows or None
        Held-out rows.
    checkpoint : Checkpoint or None
        What training goes on from, if it has a state, and is written to.
    processes : Processes or None
        Who divides each batch of `batch_size` rows; None for this process alone.
    **kwargs
        See `skorch.NeuralNet`.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        max_iter: int,
        period: int,
        generator: torch.Generator,
        order: torch.Generator,
        decay_lr: bool = True,
        one_pass: bool = False,
        n_stages: int = 1,
        precision: str = "float32",
        gradient_clip: float | None = 1.0,
        average_decay: float | None = None,
        patience: int = 10,
        validation_data: Rows | None = None,
        checkpoint: Checkpoint | None = None,
        processes: Processes | None = None,
        optimizer: Any = torch.optim.AdamW,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            module,
            criterion=nn.Identity,
            optimizer=optimizer,
            max_epochs=math.ceil(max_iter / period),
            train_split=None,
            **kwargs,
        )
        self.max_iter = max_iter
        self.period = period
        self.generator = generator
        self.order = order
        self.decay_lr = decay_lr
        self.one_pass = one_pass
        self.n_stages = n_stages
        self.precision = precision
        self.gradient_clip = gradient_clip
        self.average_decay = average_decay
        self.patience = patience
        self.validation_data = validation_data
        self.checkpoint = checkpoint
        self.processes = processes

    def get_default_callbacks(self) -> list[tuple[str, Callback]]:
        if self.validation_data is None:
            return []
        stopping = Stopping(patience=self.patience, load_best=True, sink=_silent)
        return [("early_stopping", stopping)]

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> "TermNet":
        if hasattr(self, "optimizer__param_groups"):
            super().initialize_optimizer(triggered_directly)
        else:
            options = self.get_params_for("optimizer")
            if self.optimizer in _FUSED:
                options.setdefault("fused", True)
            options.setdefault("lr", self.lr)
            groups = parameter_groups(self.module_, options["lr"])
            self.optimizer_ = self.optimizer(groups, **options)
        has_own = any(isinstance(callback, LRScheduler) for _, callback in self.callbacks_)
        self.schedule_ = (
            torch.optim.lr_scheduler.LambdaLR(self.optimizer_, self._lr_factor)
            if self.decay_lr and not has_own
            else None
        )
        return self

    def _lr_factor(self, step: int) -> float:
        stage = min(step * self.n_stages // self.max_iter, self.n_stages - 1)
        begin, end = self._first_step(stage), self._first_step(stage + 1)
        n_steps, step = end - begin, step - begin
        warm_up = max(1, math.ceil(_WARM_UP * n_steps))
        if step < warm_up:
            return (step + 1) / warm_up
        done = (step - warm_up) / max(1, n_steps - warm_up)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def _first_step(self, stage: int) -> int:
        """Step that a stage begins with."""
        return -(-stage * self.max_iter // self.n_stages)

    def _begin_stage(self) -> None:
        """Tell the task of a stage that begins with this step."""
        if self.n_stages == 1 or not self.decay_lr:
            return
        stage = self.steps_ * self.n_stages // self.max_iter
        if self.steps_ == self._first_step(stage):
            self.module_.begin_stage(stage)

    def train(self, rows: Rows) -> None:
        """Initialise, then take the steps. KeyboardInterrupt restores the best and passes on."""
        self.steps_ = 0
        self._stopped = False
        self._taken_up: dict[str, Any] = {}
        self._lowest: dict[str, float] = {}
        self.initialize()
        self._average = (
            None if self.average_decay is None else WeightAverage(self.module_, self.average_decay)
        )
        self._overriders = {
            name: [cb for _, cb in self.callbacks_ if _overrides(cb, name)]
            for name in ("on_batch_begin", "on_batch_end", "on_grad_computed")
        }
        self._before = BeforeStep(self.module_, self.generator)
        self.notify("on_train_begin", X=rows, y=None)
        if self.checkpoint is not None and self.checkpoint.state is not None:
            self._take_up(self.checkpoint.state)
        n_periods = math.ceil((self.max_iter - self.steps_) / self.period)
        try:
            if n_periods > 0 and not self._stopped:
                with self._dividing_batches():
                    self.fit_loop(rows, epochs=n_periods)
        except StopTraining:
            pass
        except BaseException:
            # Callbacks clean up; an error of theirs must not hide the one at hand.
            if len(self.history) > 0:
                with contextlib.suppress(Exception):
                    self.notify("on_train_end", X=rows, y=None)
            raise
        self.notify("on_train_end", X=rows, y=None)
        if not self.is_finite():
            raise self._everywhere(
                FloatingPointError(
                    f"The weights became nan or infinite at step {self.steps_}. {_REMEDY}"
                )
            )

    @contextlib.contextmanager
    def _dividing_batches(self) -> Iterator[None]:
        """Take steps together with other processes, where there are any."""
        if self.processes is None:
            yield
            return
        # What foreign modules draw from torch's global generator, they draw alike.
        seed = int(digest([self.generator.get_state()])[:8], 16)
        cuda = range(torch.cuda.device_count())
        with self.processes.steps(), whole_norms(self.module_), torch.random.fork_rng(devices=cuda):
            torch.manual_seed(seed)
            with contextlib.suppress(StopTraining):
                yield

    def _everywhere(self, error: Exception) -> Exception:
        """An error that all processes come upon at the same time."""
        return error if self.processes is None else self.processes.settled(error)

    def is_finite(self) -> bool:
        """Whether all weights are finite; the loss of a step does not see what the step did."""
        return all(bool(value.isfinite().all()) for value in self.module_.state_dict().values())

    def notify(self, method_name: str, **kwargs: Any) -> None:
        # Skorch's early stopping raises KeyboardInterrupt; a user's Ctrl-C does too. Whoever
        # stops the training, the other callbacks see the end of the period.
        getattr(self, method_name)(self, **kwargs)
        stop = False
        for _, callback in self.callbacks_:
            try:
                getattr(callback, method_name)(self, **kwargs)
            except StopTraining:
                stop = True
            except KeyboardInterrupt:
                if not isinstance(callback, EarlyStopping):
                    raise
                stop = True
        if method_name == "on_epoch_end":
            stop = stop or self.steps_ >= self.max_iter
            if self.processes is not None:
                # A callback may look at the clock.
                stop = self.processes.is_any(stop)
            self._stopped = stop
            if self.checkpoint is not None:
                self.checkpoint.offer(self._state, last=stop)
        if stop:
            raise StopTraining

    # The state of training ----------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        """All that the steps to come depend on, at the end of a period."""
        return {
            "step": self.steps_,
            "stopped": self._stopped,
            "task": self.module_.state_dict(),
            "optimizer": self.optimizer_.state_dict(),
            "average": None
            if self._average is None
            else {"steps": self._average.steps, "other": self._average.other},
            "generator": self.generator.get_state(),
            "order": self._batches.pass_state,
            "batch_size": self._batches.batch_size,
            "rows_given": self._batches.n_given,
            "history": [_storable(row) for row in self.history],
            "lowest": self._lowest,
            "early_stopping": [
                {name: getattr(callback, name) for name in _STOPPING if hasattr(callback, name)}
                for callback in self._early_stopping()
            ],
        }

    def _take_up(self, state: dict[str, Any]) -> None:
        """Go on from a state, once everything has been started as for a whole training."""
        self.steps_ = state["step"]
        self._stopped = state["stopped"]
        self.module_.load_state_dict(state["task"])
        self.optimizer_.load_state_dict(state["optimizer"])
        if self.schedule_ is not None:
            rates = [group["lr"] for group in self.optimizer_.param_groups]
            self.schedule_.last_epoch = self.steps_
            self.schedule_._step_count = self.steps_ + 1
            self.schedule_._last_lr = rates
        if self._average is not None:
            self._average.take_up(**state["average"])
        self.generator.set_state(state["generator"])
        self.order.set_state(state["order"])
        self._taken_up = state
        self.history.extend(state["history"])
        self._lowest.update(state["lowest"])
        for callback, members in zip(self._early_stopping(), state["early_stopping"], strict=True):
            for name, value in members.items():
                setattr(callback, name, value)
        if self.n_stages > 1 and self.decay_lr and self.steps_ < self.max_iter:
            self.module_.begin_stage(self.steps_ * self.n_stages // self.max_iter)

    def _early_stopping(self) -> list[EarlyStopping]:
        return [callback for _, callback in self.callbacks_ if isinstance(callback, EarlyStopping)]

    # Steps --------------------------------------------------------------------------------

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> tuple[Any, Any]:
        return X, self.validation_data

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        device = torch.device(self.device)
        processes = self.processes
        if not training:
            if processes is not None:
                # Too few held-out rows to divide are seen by all.
                fewest = fewest_in_batch(len(dataset), self.batch_size)
                processes = processes if fewest >= processes.size else None
            return Batches(dataset, self.batch_size, device, processes=processes)
        self._batches = Batches(dataset, self.batch_size, device, self.order, processes)
        if self._taken_up:
            self._batches.batch_size = self._taken_up["batch_size"]
            self._batches.begin(self._taken_up["rows_given"])
        return self._batches

    def run_single_epoch(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Callable[..., Any],
        **fit_params: Any,
    ) -> None:
        if iterator is None:
            return
        self._set_training(training)
        if training:
            self._train_period(iterator)
        else:
            self._validate(iterator)

    def _train_period(self, batches: Batches) -> None:
        log: list[dict[str, Tensor]] = []
        rows = 0
        with self._training_weights():
            while len(log) < self.period and self.steps_ < self.max_iter:
                self._begin_stage()
                log.append(self._with_next(batches, self.train_step))
                rows += batches.n_last
                self.steps_ += 1
        means = self._read(log)
        if self.processes is not None and len(self.history) == 1:
            self.processes.check_alike(self.module_, self.generator)
        self.terms_ = list(means)
        self.history.record("step", self.steps_)
        self.history.record("lr", float(self.optimizer_.param_groups[0]["lr"]))
        for name, value in means.items():
            self.history.record(name, value)
        self._record_loss("train_loss", sum(means.values()))
        self.history.new_batch()
        self.history.record_batch("train_loss", sum(means.values()))
        self.history.record_batch("train_batch_size", rows)
        self.history.record("train_batch_count", len(log))

    def _with_next(self, batches: Batches, work: Callable[[list[Tensor]], Result]) -> Result:
        """Return what `work` makes of the next batch that the device has memory for."""
        fewest = getattr(self.module_, "fewest_rows", 1)
        self._before.note()
        while True:
            try:
                return _on_next(batches, work)
            except torch.OutOfMemoryError as error:
                share = batches.share
                if share is not None:
                    n_own = share.stop - share.start
                    raise torch.OutOfMemoryError(
                        f"{self.device} has no memory for {n_own} series of a batch of "
                        f"{batches.n_last}; in data_parallel batches are not made smaller by "
                        f"themselves. Set a batch_size below {n_own}."
                    ) from error
                if self._before.is_over or batches.n_last // 2 < fewest:
                    raise
            # Not inside the handler, whose error holds on to the tensors of the step.
            self._before.restore()
            n_rows = batches.n_last
            batches.halve()
            if self.one_pass:
                # In as many periods as callbacks were told of, or fewer.
                self.max_iter = self.steps_ + batches.n_batches_left
                n_periods = self.max_epochs - len(self.history) + 1
                self.period = math.ceil(self.max_iter / n_periods)
            warn_user(
                f"{self.device} ran out of memory with a batch of {n_rows} series at step "
                f"{self.steps_ + 1}; from here on batches have {batches.batch_size}. Set "
                f"batch_size={batches.batch_size} to begin with them."
            )

    @contextlib.contextmanager
    def _training_weights(self) -> Iterator[None]:
        """Put the weights that are trained in the place of their average."""
        if self._average is None:
            yield
            return
        self._average.swap()
        try:
            yield
        finally:
            self._average.swap()

    def _record_loss(self, name: str, value: float) -> None:
        """Record a loss and whether it is the lowest so far, which `Checkpoint` asks for."""
        self.history.record(name, value)
        self.history.record(f"{name}_best", value < self._lowest.get(name, math.inf))
        self._lowest[name] = min(value, self._lowest.get(name, math.inf))

    def _read(self, log: list[dict[str, Tensor]]) -> dict[str, float]:
        """Read the terms of a period from the device: the only synchronisation."""
        names = list(log[0])
        values = torch.stack([torch.stack([terms[name] for name in names]) for terms in log])
        values = values.double()
        if self.processes is not None:
            self.processes.sum_(values)
        table = values.cpu().numpy()  # (steps, terms)
        broken = np.argwhere(~np.isfinite(table))
        if len(broken):
            row, column = broken[0]
            step = self.steps_ - len(log) + int(row) + 1
            raise self._everywhere(
                FloatingPointError(
                    f"The loss became {table[row, column]} at step {step} (term "
                    f"{names[column]!r}). {_REMEDY}"
                )
            )
        return dict(zip(names, table.mean(0).tolist(), strict=True))

    def train_step(self, batch: list[Tensor], **fit_params: Any) -> dict[str, Tensor]:
        hooks = self._overriders
        for callback in hooks["on_batch_begin"]:
            callback.on_batch_begin(self, batch=batch, training=True)
        self.optimizer_.zero_grad()
        terms = self._terms(batch)
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        if self.processes is not None:
            self.processes.sum_gradients(self.module_.parameters())
        for callback in hooks["on_grad_computed"]:
            named = self.get_all_learnable_params()
            callback.on_grad_computed(self, named_parameters=named, batch=batch, training=True)
        if self.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.module_.parameters(), self.gradient_clip)
        self._before.end()
        self.optimizer_.step()
        if self._average is not None:
            self._average.update()
        if self.schedule_ is not None:
            self.schedule_.step()
        detached = {name: term.detach() for name, term in terms.items()}
        if hooks["on_batch_end"]:
            self.history.new_batch()
            result = {"batch": batch, "training": True, "loss": loss.detach(), "y_pred": None}
            for callback in hooks["on_batch_end"]:
                callback.on_batch_end(self, **result)
        return detached

    def _terms(self, batch: list[Tensor]) -> dict[str, Tensor]:
        with arithmetic(self.precision, batch[0].device):
            terms = self.module_(*batch, generator=self.generator)
        share = current_share()
        return terms if share is None else {n: share.weight * term for n, term in terms.items()}

    @torch.no_grad()
    def _validate(self, batches: Batches) -> None:
        # The same random numbers at every validation, and none taken from training.
        state = self.generator.get_state()
        log: list[Tensor] = []
        weights: list[int] = []
        batches.begin()
        while batches.n_left > 0:
            log.append(self._with_next(batches, self._loss))
            weights.append(batches.n_last)
        self.generator.set_state(state)
        losses = torch.stack(log).double()
        if batches.processes is not None:
            batches.processes.sum_(losses)
        values = losses.cpu().numpy()
        self._record_loss("valid_loss", float(np.average(values, weights=weights)))
        self.history.record("valid_batch_count", len(log))

    def _loss(self, batch: list[Tensor]) -> Tensor:
        return torch.stack(list(self._terms(batch).values())).sum()


def _on_next(batches: Batches, work: Callable[[list[Tensor]], Result]) -> Result:
    """What `work` makes of the next batch, or of this process's share of it."""
    batch = batches.take()
    with sharing(batches.share):
        return work(batch)


class Stopping(EarlyStopping):
    """Early stopping whose least improvement is a share of the size of the loss.

    skorch takes a share of the loss itself: below 0 a loss that rises a little would count as
    one that falls.
    """

    def _calc_new_threshold(self, score: float) -> float:
        return score - self.threshold * abs(score)


class Progress(Callback):
    """Tells a display of steps, and at the end of a period of its loss and other figures.

    Parameters
    ----------
    display : Display
        Whoever made it closes it.
    watch : callable
        Returns figures that are no terms of the loss; called at the end of a period.
    """

    def __init__(self, display: Display, watch: Callable[[], dict[str, Figure]]) -> None:
        self.display = display
        self.watch = watch

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        self.display.begin(net.steps_, net.max_iter)

    def on_batch_begin(self, net: Any, **kwargs: Any) -> None:
        self.display.advance(net.steps_)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        watched = self.watch()
        columns = _columns(net.history[-1])
        figures = {"loss": columns.pop("train_loss"), **columns, **watched}
        del figures["step"]
        # A loss of one term goes by the name of that, such as masked_nll.
        names = [*(net.terms_ if len(net.terms_) == 1 else ["loss"]), "valid_loss", *watched]
        headline = {name: figures[name] for name in names if name in figures}
        self.display.report(net.steps_, headline, figures)


class Period(Callback):
    """Calls ``begin()`` and ``end(net)`` around each period; stops when `end` says so."""

    def __init__(self, begin: Callable[[], None], end: Callable[[Any], bool]) -> None:
        self.begin = begin
        self.end = end

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        self.begin()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if self.end(net):
            raise StopTraining


_BOOKKEEPING = {"batches", "epoch", "train_batch_count", "valid_batch_count", "dur"}


def read_history(net: TermNet) -> dict[str, list[float]]:
    """Return the history as lists: step, loss, every term, valid_loss, lr, callbacks' scores."""
    columns: dict[str, list[float]] = {}
    # A period that was interrupted has no losses, or only one of them.
    losses = {"train_loss"} if net.validation_data is None else {"train_loss", "valid_loss"}
    for row in net.history:
        if not losses <= row.keys():
            continue
        for name, value in _columns(row).items():
            columns.setdefault("loss" if name == "train_loss" else name, []).append(value)
    return columns


def _columns(row: dict[str, Any]) -> dict[str, float]:
    """Numbers in a row of skorch's history, without its bookkeeping."""
    return {
        name: value
        for name, value in row.items()
        if isinstance(value, (int, float))
        and not isinstance(value, bool)
        and name not in _BOOKKEEPING
    }


def check_callbacks(callbacks: Sequence[Any] | None) -> None:
    """Check that callbacks are what skorch takes.

    Raises
    ------
    TypeError
        If an element is no skorch callback, class of one, or pair of a name and one.
    """
    for given in callbacks or ():
        callback = given[1] if isinstance(given, tuple) and len(given) == 2 else given
        is_class = isinstance(callback, type) and issubclass(callback, Callback)
        if not (is_class or isinstance(callback, Callback)):
            raise TypeError(
                f"callbacks must hold skorch callbacks or pairs (name, callback); got {given!r}."
            )


def check_resumable(callbacks: Sequence[Any] | None) -> None:
    """Check that no callback decides about the weights by a state that a checkpoint lacks.

    Raises
    ------
    ValueError
        If a scheduler of learning rates is among them.
    """
    for given in callbacks or ():
        callback = given[1] if isinstance(given, tuple) else given
        if isinstance(callback, LRScheduler) or callback is LRScheduler:
            raise ValueError(
                "callbacks must hold no LRScheduler where there is a checkpoint_dir, which does "
                f"not keep its state; got {given!r}. Set checkpoint_dir=None."
            )


def unfitted(callbacks: Sequence[Any] | None) -> list[Any]:
    """Return copies of a user's callbacks, so that a fit leaves nothing in the parameter.

    A scheduler, for example, keeps its optimizer, which has no place in a pickle.
    """
    return [
        (item[0], copy.copy(item[1])) if isinstance(item, tuple) else copy.copy(item)
        for item in callbacks or ()
    ]


def _storable(row: dict[str, Any]) -> dict[str, Any]:
    """A row of skorch's history without what a callback has put there that is no number or text."""
    plain = (bool, int, float, str, type(None), np.generic)
    kept: dict[str, Any] = {name: value for name, value in row.items() if isinstance(value, plain)}
    if "batches" in row:
        kept["batches"] = [_storable(batch) for batch in row["batches"]]
    return kept


def _overrides(callback: Callback, name: str) -> bool:
    return getattr(type(callback), name) is not getattr(Callback, name)


def _silent(*args: Any, **kwargs: Any) -> None:
    """Take a message and print nothing."""
