"""checkpoint_dir: a fit that was cut off goes on to the same bits, or says why it cannot."""

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, LRScheduler

from tests.test_common import ESTIMATORS, FRAMES, PRIOR, SMALL, Y, assert_same_fit, weights
from tests.test_common import X as SERIES
from vqssl import (
    GreedyInfoMaxEncoder,
    MaskGITGenerator,
    SSLVQTokenizer,
    VQTokenizer,
    _checkpoint,
)
from vqssl._checkpoint import FILE, Checkpoint
from vqssl._conditions import describe, differences
from vqssl._lock import FolderLock
from vqssl._persistence import write_file
from vqssl._training import TermNet
from vqssl._tree import to_tree
from vqssl.backbones import ConvBackbone

ROOT = Path(__file__).parents[1]

# Sets of a dozen tiny series and a few steps: the latents collapse, and that is said.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Crash(OSError):
    """What stands for the end of the process."""


class Watch(Callback):
    """Notes the steps, and crashes before one of them; not told apart by its state."""

    steps: list = []  # noqa: RUF012
    crash_at = None

    def on_train_begin(self, net, **kwargs):
        self.net = net

    def on_batch_begin(self, net, **kwargs):
        if self.net.steps_ == Watch.crash_at:
            raise Crash
        Watch.steps.append(self.net.steps_)


@pytest.fixture(autouse=True)
def every_period(monkeypatch):
    """Small fits write a checkpoint at every period; none of them crashes by itself."""
    monkeypatch.setattr(_checkpoint, "_PERIODS", 1)
    monkeypatch.setattr(_checkpoint, "_TRAINING_PER_WRITING", 0)
    monkeypatch.setattr(Watch, "crash_at", None)
    Watch.steps.clear()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoint"


@pytest.fixture
def tokenizer(folder):
    """A tokenizer with a checkpoint."""
    return watched(VQTokenizer(**SMALL), folder)


def watched(estimator, folder, **params):
    params = {"max_iter": 42, "callbacks": [Watch()], **params}
    return clone(estimator).set_params(checkpoint_dir=str(folder), **params)


def crash(estimator, step, X=SERIES):
    """Fit until a step, so that a checkpoint stays."""
    Watch.crash_at = step
    with pytest.raises(Crash):
        estimator.fit(X, Y)
    Watch.crash_at = None
    Watch.steps.clear()


# ------------------------------------------------------------------------------- going on


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_a_fit_goes_on_to_the_same_bits(estimator, folder):
    expected = clone(estimator).set_params(max_iter=42).fit(SERIES, Y)
    crash(watched(estimator, folder), 23)
    again = watched(estimator, folder).fit(SERIES, Y)
    # Those of the tokenizer inside are not taken again, either.
    assert Watch.steps == list(range(22, 42))
    assert_same_fit(again, expected)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "params",
    [
        {"validation_fraction": 0.3, "lr": 0.1},
        {"net_params": {"average_decay": 0.9}},
        {"net_params": {"optimizer": "torch.optim.SGD", "optimizer__momentum": 0.9}},
        {"batch_size": 5},
        {"batch_size": 100},
        {"random_state": np.random.RandomState(3)},
    ],
    ids=lambda params: " ".join(map(str, params)) + str(params.get("net_params", "")),
)
def test_whatever_training_depends_on_is_kept(params, folder):
    options = dict(params.get("net_params", {}))
    if "optimizer" in options:
        params = {"net_params": {**options, "optimizer": torch.optim.SGD}}
    estimator = VQTokenizer(**SMALL).set_params(**params)
    expected = clone(estimator).set_params(max_iter=42).fit(SERIES)
    for step in (5, 13):
        crash(watched(estimator, folder), step)
    again = watched(estimator, folder).fit(SERIES)
    assert Watch.steps[0] == 12
    assert_same_fit(again, expected)


def test_batches_stay_as_small_as_memory_made_them(folder, monkeypatch):
    terms = TermNet._terms

    def limited(net, batch):
        if len(batch[0]) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return terms(net, batch)

    monkeypatch.setattr(TermNet, "_terms", limited)
    estimator = VQTokenizer(**SMALL)
    with pytest.warns(UserWarning, match="from here on batches have 3"):
        expected = clone(estimator).set_params(max_iter=42).fit(SERIES)
    with pytest.warns(UserWarning, match="from here on batches have 3"):
        crash(watched(estimator, folder), 23)
    # Nothing is warned of: the batches fit from the first one on.
    assert_same_fit(watched(estimator, folder).fit(SERIES), expected)


def test_modules_one_after_the_other_go_on_in_their_stage(folder):
    estimator = GreedyInfoMaxEncoder(train="greedy", **FRAMES)
    expected = clone(estimator).set_params(max_iter=42).fit(SERIES)
    crash(watched(estimator, folder), 31)
    assert_same_fit(watched(estimator, folder).fit(SERIES), expected)


@pytest.mark.parametrize("inner", [True, False])
def test_without_a_seed_a_fit_goes_on_with_the_seeds_it_had(inner, folder):
    estimator = clone(MaskGITGenerator(**PRIOR)).set_params(random_state=None, max_iter=20)
    seen = []

    class Remember(_checkpoint.Checkpoint):
        def begin(self, conditions, seeds):
            seen.append((os.path.basename(self.folder), super().begin(conditions, seeds)))
            return seen[-1][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vqssl._base.Checkpoint", Remember)
        where = "tokenizer__callbacks" if inner else "callbacks"
        made = estimator.set_params(checkpoint_dir=folder, **{where: [Watch()]})
        crash(made, 4)
        made.fit(SERIES, Y)
    assert seen[:2] == seen[2:]


def test_a_crash_in_the_tokenizer_inside_goes_on_there(folder):
    estimator = clone(MaskGITGenerator(**PRIOR))
    expected = clone(estimator).set_params(tokenizer__max_iter=42).fit(SERIES, Y)
    estimator.set_params(
        checkpoint_dir=folder, tokenizer__callbacks=[Watch()], tokenizer__max_iter=42
    )
    crash(estimator, 23)
    assert sorted(path.name for path in folder.iterdir()) == [FILE, "tokenizer"]
    estimator.fit(SERIES, Y)
    assert Watch.steps == list(range(22, 42))
    assert_same_fit(estimator, expected)
    assert_same_fit(estimator.tokenizer_, expected.tokenizer_)
    assert estimator.tokenizer_.checkpoint_dir is None
    assert list(folder.iterdir()) == []


def test_a_frozen_tokenizer_is_part_of_the_parameters(folder):
    frozen = [FrozenEstimator(VQTokenizer(**{**SMALL, "lr": lr}).fit(SERIES)) for lr in (0.1, 0.2)]
    generators = [watched(MaskGITGenerator(**PRIOR), folder, tokenizer=inner) for inner in frozen]
    crash(generators[0], 9)
    with pytest.raises(ValueError, match=r"tokenizer\.estimator.*lr 0\.1, not 0\.2"):
        generators[1].fit(SERIES, Y)
    generators[0].fit(SERIES, Y)
    assert Watch.steps[0] == 8


def test_a_fit_that_stopped_early_is_over_when_it_goes_on(folder, monkeypatch):
    estimator = VQTokenizer(**SMALL).set_params(
        validation_fraction=0.3, lr=0.5, net_params={"patience": 2}, max_iter=200
    )
    expected = clone(estimator).fit(SERIES)
    assert expected.n_iter_ < 200
    made = watched(estimator, folder, max_iter=200)
    with monkeypatch.context() as patch:
        patch.setattr(VQTokenizer, "_finish", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            made.fit(SERIES)
    Watch.steps.clear()
    assert_same_fit(made.fit(SERIES), expected)
    assert Watch.steps == []


def test_an_interrupt_keeps_the_checkpoint_and_the_best_weights(tokenizer, folder, monkeypatch):
    expected = clone(tokenizer).set_params(checkpoint_dir=None).fit(SERIES)
    # An interrupt instead of a crash.
    monkeypatch.setattr(Watch, "crash_at", 20)
    monkeypatch.setattr("tests.test_checkpoint.Crash", KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        tokenizer.fit(SERIES)
    assert tokenizer.n_iter_ == 20
    assert (folder / FILE).is_file()
    Watch.crash_at = None
    Watch.steps.clear()
    assert_same_fit(tokenizer.fit(SERIES), expected)
    assert Watch.steps[0] == 20


def test_a_finished_fit_leaves_an_empty_folder_for_the_next_one(tokenizer, folder):
    assert_same_fit(tokenizer.fit(SERIES), clone(tokenizer).fit(SERIES))
    tokenizer.set_params(n_codes=5).fit(SERIES[:6])
    assert list(folder.iterdir()) == []


def test_partial_fit_writes_nothing(tokenizer, folder):
    tokenizer.partial_fit(SERIES).partial_fit(SERIES)
    assert not folder.exists()


def test_checkpoints_do_not_change_the_weights(folder):
    estimator = VQTokenizer(**SMALL)
    plain = clone(estimator).fit(SERIES)
    assert_same_fit(clone(estimator).set_params(checkpoint_dir=folder).fit(SERIES), plain)


def test_a_checkpoint_is_due_after_ten_periods_or_a_minute(folder, monkeypatch):
    monkeypatch.undo()
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    written = []
    with Checkpoint(folder) as checkpoint:
        checkpoint.begin({}, [1])

        def state():
            written.append(clock[0])
            clock[0] += 2.0  # the time that writing takes
            return {}

        for _ in range(100):
            clock[0] += 1.0
            checkpoint.offer(state, last=False)
        # Writing takes 2 s: at least 40 s of training lie between two.
        assert written == [10.0, 52.0, 94.0]
        clock[0] += 70.0
        checkpoint.offer(state, last=False)
        assert len(written) == 4
        checkpoint.offer(state, last=True)
        assert len(written) == 5


# ----------------------------------------------------------------------- of another fit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.5}, r"has lr 0\.002, not 0\.5"),
        ({"max_iter": 43}, "has max_iter 42, not 43"),
        ({"random_state": 1}, "has random_state 0, not 1"),
        ({"backbone": ConvBackbone(width=4)}, r"has backbone\.n_blocks 1, not 4; .* 8, not 4"),
        ({"quantizer": "fsq", "n_codes": 4}, "has n_codes 8, not 4; quantizer 'ema', not 'fsq'"),
        ({"net_params": {"gradient_clip": 2}}, "has net_params None, not"),
        ({"callbacks": None}, r"has callbacks \[.*Watch.*\], not None"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_other_parameters_are_refused_by_name(change, message, tokenizer, folder):
    crash(tokenizer, 9)
    other = clone(tokenizer).set_params(**change)
    with pytest.raises(ValueError, match=f"{message}.*delete this one to begin anew"):
        other.fit(SERIES)
    assert tokenizer.set_params(verbose=0).fit(SERIES).n_iter_ == 42
    assert Watch.steps[0] == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[:-1], r"has X\.shape \(12, 1, 24\), not \(11, 1, 24\); other values of X"),
        (lambda X: X.astype(np.float32), r"has X\.dtype <f8, not <f4"),
        (lambda X: np.where(np.arange(X.size).reshape(X.shape) == X.size - 1, 9, X), "other val"),
        (lambda X: X[::-1], "has other values of X"),
    ],
    ids=["fewer", "dtype", "the last number", "order"],
)
def test_other_series_are_refused(change, message, tokenizer):
    crash(tokenizer, 9)
    with pytest.raises(ValueError, match=message):
        tokenizer.fit(change(SERIES))


def test_series_of_another_layout_are_the_same(tokenizer):
    crash(tokenizer, 9)
    tokenizer.fit(np.asfortranarray(SERIES))
    assert Watch.steps[0] == 8


def test_other_labels_are_refused(folder):
    generator = watched(MaskGITGenerator(**PRIOR), folder)
    crash(generator, 9)
    with pytest.raises(ValueError, match=r"has other values of y\[0\]"):
        generator.fit(SERIES, Y[::-1])


def test_another_version_is_refused(tokenizer, monkeypatch):
    crash(tokenizer, 9)
    monkeypatch.setattr("vqssl.__version__", "99.0")
    with pytest.raises(ValueError, match=r"has version\.vqssl .*, not 99\.0"):
        tokenizer.fit(SERIES)


def test_a_scheduler_whose_state_is_not_kept_is_refused(folder):
    for scheduler in (LRScheduler(), LRScheduler, ("name", LRScheduler())):
        estimator = VQTokenizer(**SMALL).set_params(checkpoint_dir=folder, callbacks=[scheduler])
        with pytest.raises(ValueError, match="must hold no LRScheduler where there is a checkp"):
            estimator.fit(SERIES)


def test_what_a_description_leaves_out_makes_no_difference():
    class Own:
        """An object of a user, whose text has its address."""

    assert describe([Own(), len, ConvBackbone()]) == describe([Own(), len, ConvBackbone()])
    assert list(differences(describe({"a": [1, 2]}), describe({"a": [1, 3]}))) == ["a[1] 2, not 3"]
    assert list(differences(describe(np.float64(0.1)), describe(0.1))) == []


# ----------------------------------------------------------------------------- the folder


@pytest.mark.parametrize("where", ["os.replace", "os.fsync", "builtins.open"])
def test_a_full_disk_warns_and_leaves_the_earlier_checkpoint(where, tokenizer, folder, monkeypatch):
    module, name = where.split(".")
    real = getattr(__import__(module), name)
    expected = clone(tokenizer).set_params(checkpoint_dir=None).fit(SERIES)
    Watch.steps.clear()

    def full(*args, **kwargs):
        if len(Watch.steps) > 20 and not isinstance(args[0], str):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if len(Watch.steps) > 20 and name == "replace":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(where, full)
        message = r"checkpoint\.vqssl could not be written: .*No space left on device.*goes on"
        Watch.crash_at = 30
        with pytest.raises(Crash), pytest.warns(UserWarning, match=message) as warned:
            tokenizer.fit(SERIES)
    # Also where skorch lies between.
    assert {str(warning.filename) for warning in warned} == {__file__}
    assert [path.name for path in folder.iterdir()] == [FILE]
    Watch.crash_at = None
    Watch.steps.clear()
    assert_same_fit(tokenizer.fit(SERIES), expected)
    assert Watch.steps[0] == 20


def test_a_folder_that_cannot_be_used_is_refused_before_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    tokenizer = watched(VQTokenizer(**SMALL), tmp_path / "file")
    with pytest.raises(ValueError, match="checkpoint_dir must be a folder that can be written"):
        tokenizer.fit(SERIES)

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.replace", full)
    tokenizer.set_params(checkpoint_dir=tmp_path / "new")
    with pytest.raises(ValueError, match=r"can be written to; got .*No space left on device"):
        tokenizer.fit(SERIES)
    assert Watch.steps == []
    assert list((tmp_path / "new").iterdir()) == []


def test_a_damaged_checkpoint_is_refused(tokenizer, folder):
    crash(tokenizer, 9)
    path = folder / FILE
    data = path.read_bytes()
    for damaged in (data[:-1], data[:-1] + b"?", b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"(cut short|altered).*delete this one to begin"):
            tokenizer.fit(SERIES)
    write_file(path, *to_tree([1]))
    with pytest.raises(ValueError, match=r"is no checkpoint.*delete this one to begin"):
        tokenizer.fit(SERIES)
    write_file(path, *to_tree(VQTokenizer()))
    with pytest.raises(ValueError, match="a checkpoint holds no vqssl"):
        tokenizer.fit(SERIES)


def test_what_was_half_written_is_swept_and_what_is_of_others_stays(tokenizer, folder):
    folder.mkdir()
    (folder / ".vqssl-0123456789abcdef.tmp").write_text("half")
    (folder / "lock").write_text("of the user")
    (folder / "more").mkdir()
    (folder / "more" / "notes.txt").write_text("of the user")
    tokenizer.fit(SERIES)
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "more"]
    assert (folder / "lock").read_text() == "of the user"
    assert (folder / "more" / "notes.txt").is_file()


def test_the_checkpoint_of_another_fit_in_a_folder_below_stays(folder):
    other = watched(VQTokenizer(**SMALL), folder / "tokenizer")
    crash(other, 9)
    VQTokenizer(**SMALL).set_params(checkpoint_dir=folder).fit(SERIES)
    frozen = FrozenEstimator(VQTokenizer(**SMALL).fit(SERIES))
    clone(MaskGITGenerator(**PRIOR)).set_params(tokenizer=frozen, checkpoint_dir=folder).fit(SERIES)
    other.fit(SERIES)
    assert Watch.steps[0] == 8


@pytest.mark.parametrize(
    ("estimator", "wrong", "right"),
    [
        (SSLVQTokenizer(**SMALL), {"augmentations": "shift"}, {"augmentations": "noise"}),
        (MaskGITGenerator(**PRIOR), {"tokenizer__n_codes": 0}, {"tokenizer__n_codes": 4}),
        (
            MaskGITGenerator(**{**PRIOR, "tokenizer": SSLVQTokenizer(**SMALL)}),
            {"tokenizer__augmentations": "shift"},
            {"tokenizer__augmentations": "noise"},
        ),
    ],
    ids=["own", "inside, before its checkpoint", "inside"],
)
def test_a_fit_that_is_refused_before_its_first_step_is_not_in_the_way(
    estimator, wrong, right, folder
):
    estimator = clone(estimator).set_params(checkpoint_dir=folder, **wrong)
    with pytest.raises(ValueError, match="must be"):
        estimator.fit(SERIES)
    assert not list(folder.rglob("*.vqssl"))
    estimator.set_params(**right).fit(SERIES)
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_gone_at_the_end_loses_no_fit(tokenizer, folder):
    class Gone(Callback):
        def on_train_end(self, net, **kwargs):
            shutil.rmtree(folder)

    expected = clone(tokenizer).set_params(checkpoint_dir=None).fit(SERIES)
    assert_same_fit(tokenizer.set_params(callbacks=[Gone()]).fit(SERIES), expected)


def test_a_folder_that_cannot_be_read_is_refused_and_not_locked(tokenizer, folder, monkeypatch):
    def refuse(*args):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr("os.scandir", refuse)
        with pytest.raises(ValueError, match=r"can be written to; got .*Permission denied"):
            tokenizer.fit(SERIES)
    tokenizer.fit(SERIES)


def test_one_fit_at_a_time_works_in_a_folder(tokenizer, folder):
    with Checkpoint(folder):
        message = rf"by one fit at a time; process {os.getpid()} trains in .*GridSearchCV"
        with pytest.raises(ValueError, match=message):
            tokenizer.fit(SERIES)
    tokenizer.fit(SERIES)


def test_the_lock_of_a_process_that_is_gone_does_not_hold(folder):
    folder.mkdir()
    code = (
        "import os, signal, sys; from vqssl._lock import FolderLock\n"
        "assert FolderLock(sys.argv[1]).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False, env=os.environ)
    assert done.returncode != 0
    assert (folder / "checkpoint.lock").is_file()
    lock = FolderLock(str(folder))
    assert lock.acquire()
    assert not FolderLock(str(folder)).acquire()
    lock.release()
    assert list(folder.iterdir()) == []


def test_of_many_threads_one_has_the_lock(tmp_path):
    holders, most = [], []

    def work():
        for _ in range(200):
            lock = FolderLock(str(tmp_path))
            if lock.acquire():
                holders.append(1)
                most.append(len(holders))
                holders.pop()
                lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


def test_a_search_with_one_worker_shares_a_folder(folder):
    estimator = VQTokenizer(**{**SMALL, "checkpoint_dir": folder})
    search = GridSearchCV(estimator, {"lr": [0.001, 0.01]}, cv=2).fit(SERIES)
    assert search.best_estimator_.checkpoint_dir == folder
    assert list(folder.iterdir()) == []


def test_a_folder_is_a_parameter_like_others(tmp_path):
    estimator = VQTokenizer(checkpoint_dir=str(tmp_path / "a"))
    assert clone(estimator).checkpoint_dir == estimator.checkpoint_dir
    with pytest.raises(ValueError, match="'checkpoint_dir' parameter of VQTokenizer must be"):
        VQTokenizer(checkpoint_dir=3).fit(SERIES)
    fitted = watched(VQTokenizer(**SMALL), tmp_path / "b").fit(SERIES)
    fitted.set_params(callbacks=None).save(tmp_path / "model")
    assert_array_equal(
        weights(fitted)["scaler.mean"], weights(clone(fitted).fit(SERIES))["scaler.mean"]
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")
def test_fits_that_are_killed_end_on_the_same_bits():
    command = [sys.executable, "-W", "ignore", "benchmarks/chaos.py", "kill", "--points", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 fits ended on the same bits" in done.stdout
