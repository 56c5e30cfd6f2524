"""Our contract over all estimators: what holds whatever the model is.

A later estimator joins by one line in ESTIMATORS. What only tokenizers offer is tested in
tests/tokenizers.
"""

import copy
import inspect
import io
import os
import pickle
import random
import re
import subprocess
import sys
import tracemalloc

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import skops.io
import torch
from joblib import Parallel, delayed
from numpy.testing import assert_allclose, assert_array_equal
from numpydoc.docscrape import NumpyDocString
from sklearn.base import clone, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.svm import SVC
from sklearn.utils.fixes import parse_version
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    GradientNormClipping,
    LRScheduler,
    PassthroughScoring,
    PrintLog,
)

import vqssl
from vqssl import (
    VAE,
    AnomalyDetector,
    AutoEncoder,
    AutoregressiveGenerator,
    BandVQTokenizer,
    CPCEncoder,
    FCNClassifier,
    GreedyInfoMaxEncoder,
    HierarchicalVQTokenizer,
    MaskGITGenerator,
    SSLVQTokenizer,
    TokenizerClassifier,
    VQTokenizer,
)
from vqssl._training import TermNet
from vqssl.backbones import ConvBackbone, TransformerBackbone
from vqssl.generators import BaseGenerator
from vqssl.losses import VIbCReg

# Sets of a dozen tiny series and a few steps: the latents collapse, and that is said.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SHARED = {
    "max_iter": 6,
    "batch_size": 8,
    "validation_fraction": 0.0,
    "device": "cpu",  # where bits are the same
    "random_state": 0,
}
SMALL = {
    "n_codes": 8,
    "code_dim": 4,
    "backbone": ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1),
    **SHARED,
}
LATENT = {"latent_dim": 4, "backbone": SMALL["backbone"], **SHARED}
FRAMES = {"n_modules": 2, "code_dim": 4, "n_predictions": 3, "n_negatives": 8, **SHARED}
PRIOR = {
    "tokenizer": VQTokenizer(**SMALL).set_params(random_state=None),
    "backbone": TransformerBackbone(width=8, n_blocks=2, n_heads=2),
    **SHARED,
}

ESTIMATORS = [
    AutoEncoder(**LATENT),
    AutoregressiveGenerator(**PRIOR),
    BandVQTokenizer(**SMALL),
    CPCEncoder(**FRAMES),
    FCNClassifier((8, 8), kernel_sizes=(4, 3), **SHARED),
    GreedyInfoMaxEncoder(beta=0.01, **FRAMES),
    HierarchicalVQTokenizer(**SMALL),
    MaskGITGenerator(**PRIOR),
    SSLVQTokenizer(**SMALL),
    TokenizerClassifier(PRIOR["tokenizer"], **SHARED),
    VAE(**LATENT),
    VQTokenizer(**SMALL),
]

# Trains nothing itself.
DETECTOR = AnomalyDetector(MaskGITGenerator(**PRIOR))


def make_series(n=12, length=24, channels=None, seed=0):
    """Random walks over small integers: every dtype holds them exactly."""
    shape = (n, length) if channels is None else (n, channels, length)
    steps = np.random.default_rng(seed).integers(-5, 6, shape)
    return steps.cumsum(-1).clip(-120, 120).astype(np.float64)


def labels(X):
    """Three classes in turn, for whatever has a length."""
    return np.arange(len(X)) % 3


X = make_series()
Y = labels(X)

# Everything an estimator may say about series, the same for equal weights and series.
ANSWERS = ("transform", "encode", "embed", "score_samples", "predict_proba", "score")

# Columns of history_ that are no terms of the loss.
NO_TERMS = {"step", "loss", "lr", "valid_loss"}


@pytest.fixture(params=ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def estimator(request):
    """Every estimator in turn, unfitted."""
    return clone(request.param)


def answers(estimator, X):
    return {
        name: np.asarray(getattr(estimator, name)(X))
        for name in ANSWERS
        # The score of a classifier needs labels.
        if hasattr(estimator, name) and not (name == "score" and is_classifier(estimator))
    }


def weights(estimator):
    return {name: tensor.numpy() for name, tensor in estimator.model_.state_dict().items()}


def assert_same(first, second):
    assert list(first) == list(second)
    for name, value in first.items():
        assert value.dtype == second[name].dtype
        assert_array_equal(value, second[name], err_msg=name)


def assert_same_fit(first, second, X=X):
    """The two fits agree to the last bit."""
    assert_same(weights(first), weights(second))
    assert_same(answers(first, X), answers(second, X))
    assert first.history_ == second.history_
    assert first.n_iter_ == second.n_iter_


FITS = {}


def fitted(estimator, X=X):
    """A copy of what the estimator becomes on X: one fit for all tests of the same one."""
    key = joblib.hash((estimator, X))
    if key not in FITS:
        FITS[key] = clone(estimator).fit(X, labels(X))
    return copy.deepcopy(FITS[key])


class RaiseAt(Callback):
    """A user's callback that raises an error at the n-th call of a hook."""

    def __init__(self, hook, n, error):
        self.hook = hook
        self.n = n
        self.error = error

    def initialize(self):
        self.calls_ = 0
        return self

    def _called(self, hook):
        if hook == self.hook:
            self.calls_ += 1
            if self.calls_ == self.n:
                raise self.error

    def on_train_begin(self, net, **kwargs):
        self._called("on_train_begin")

    def on_batch_begin(self, net, **kwargs):
        self._called("on_batch_begin")

    def on_epoch_end(self, net, **kwargs):
        self._called("on_epoch_end")


def test_the_list_has_every_public_estimator():
    public = {getattr(vqssl, name) for name in vqssl.__all__}
    estimators = {cls for cls in public if inspect.isclass(cls) and hasattr(cls, "fit")}
    # It trains no network of its own; tests/generators/test_anomaly.py has its contract.
    estimators.remove(AnomalyDetector)
    assert {type(estimator) for estimator in ESTIMATORS} == estimators


# ------------------------------------------------------------------------------- randomness


def test_same_seed_gives_the_same_bits_after_clone(estimator):
    first = clone(estimator).fit(X, Y)
    assert_same_fit(first, clone(first).fit(X, Y))


def test_refitting_an_estimator_gives_the_same_bits(estimator):
    first = clone(estimator).fit(X, Y)
    assert_same_fit(first, estimator.fit(X[::-1], Y).fit(X, Y))


def test_another_seed_gives_other_weights(estimator):
    first = weights(clone(estimator).fit(X, Y))
    second = weights(estimator.set_params(random_state=1).fit(X, Y))
    assert any(not np.array_equal(first[name], second[name]) for name in first)


def test_same_seed_gives_the_same_bits_in_another_process(tmp_path):
    code = (
        "import sys, warnings, joblib, torch\n"
        "torch.set_num_threads(1)\n"
        "warnings.simplefilter('ignore')\n"
        "estimators, X, Y = joblib.load(sys.argv[1])\n"
        "joblib.dump([estimator.fit(X, Y) for estimator in estimators], sys.argv[2])\n"
    )
    paths = [str(tmp_path / "unfitted"), str(tmp_path / "fitted")]
    joblib.dump(([clone(estimator) for estimator in ESTIMATORS], X, Y), paths[0])
    command = [sys.executable, "-c", code, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    for estimator, there in zip(ESTIMATORS, joblib.load(paths[1]), strict=True):
        assert_same_fit(clone(estimator).fit(X, Y), there)


def test_same_seed_gives_the_same_bits_in_concurrent_threads(estimator):
    fits = Parallel(n_jobs=4, backend="threading")(
        delayed(clone(estimator).fit)(X, Y) for _ in range(4)
    )
    expected = fitted(estimator)
    for fit in fits:
        assert_same_fit(expected, fit)


def global_state():
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return (
        random.getstate(),
        (kind, keys.tolist(), rest),
        torch.random.get_rng_state().tolist(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
    )


def test_global_generators_and_settings_stay_as_found(estimator):
    before = global_state()
    estimator.set_params(validation_fraction=0.3).fit(X, Y).partial_fit(X, Y)
    answers(estimator, X)
    assert global_state() == before


def test_global_generators_do_not_reach_a_seeded_fit(estimator):
    first = clone(estimator).fit(X, Y)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    assert_same_fit(first, estimator.fit(X, Y))


def test_a_random_state_object_moves_on_from_fit_to_fit(estimator):
    estimator.set_params(random_state=np.random.RandomState(0))
    first = weights(estimator.fit(X, Y))
    second = weights(estimator.fit(X, Y))
    assert any(not np.array_equal(first[name], second[name]) for name in first)


# -------------------------------------------------------------------------------- inference


def test_answers_do_not_depend_on_the_batch_size_of_inference(estimator, monkeypatch):
    estimator.fit(X, Y)
    together = answers(estimator, X)
    monkeypatch.setattr("vqssl._inference._CPU_BATCH", 1)
    monkeypatch.setattr("vqssl._inference._CUDA_BATCH", 1)
    one_by_one = answers(estimator, X)
    for name, value in together.items():
        if value.dtype == np.int64:
            assert_array_equal(one_by_one[name], value)
        else:
            assert_allclose(one_by_one[name], value, rtol=1e-4, atol=1e-5)


def test_two_axes_mean_one_channel(estimator):
    flat = clone(estimator).fit(X, Y)
    with_channel = estimator.fit(X[:, None, :], Y)
    assert_same(weights(flat), weights(with_channel))
    assert_same(answers(flat, X), answers(with_channel, X[:, None, :]))
    assert_same(answers(flat, X[:, None, :]), answers(with_channel, X))
    assert flat.input_shape_ == (24,)
    assert with_channel.input_shape_ == (1, 24)
    assert flat.n_features_in_ == with_channel.n_features_in_ == 24


def test_transform_is_finite_float32_with_one_row_per_series(estimator):
    Z = estimator.fit(X, Y).transform(X[:5])
    assert Z.dtype == np.float32
    assert Z.ndim == 2
    assert len(Z) == 5
    assert np.isfinite(Z).all()


def test_an_unfitted_estimator_says_so(estimator):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        estimator.transform(X)


# ------------------------------------------------------------------------------ kinds of X


def as_memmap(X, tmp_path):
    np.save(tmp_path / "series.npy", X.astype(np.float32))
    return np.load(tmp_path / "series.npy", mmap_mode="r")


def read_only(X):
    X = X.astype(np.float32)
    X.flags.writeable = False
    return X


KINDS = {
    "float64": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "float16": lambda X: X.astype(np.float16),
    "int8": lambda X: X.astype(np.int8),
    "int64": lambda X: X.astype(np.int64),
    "big-endian float": lambda X: X.astype(">f8"),
    "big-endian integer": lambda X: X.astype(">i8"),
    "objects": lambda X: X.astype(object),
    "Fortran order": np.asfortranarray,
    "every second column of an array": lambda X: np.repeat(X, 2, -1)[..., ::2],
    "backwards": lambda X: X[..., ::-1].copy()[..., ::-1],
    "read-only": read_only,
    "list of lists": lambda X: X.tolist(),
    "list of arrays": list,
    "torch float32": lambda X: torch.from_numpy(X).float(),
    "torch bfloat16": lambda X: torch.from_numpy(X).bfloat16(),
    "torch int64": lambda X: torch.from_numpy(X).long(),
    "torch with gradient": lambda X: torch.from_numpy(X).requires_grad_(),
}
SCALINGS = ("dataset", "series", None)


# One of each branch of the conversion, which is the same code for all estimators. All kinds go
# through one of them; to channels they are an axis like any other.
BRANCHES = ("float16", "Fortran order", "list of arrays", "torch bfloat16")


@pytest.mark.parametrize(
    ("estimator", "kind", "channels"),
    [
        *[(ESTIMATORS[-1], kind, None) for kind in KINDS],
        *[(estimator, kind, None) for estimator in ESTIMATORS[:-1] for kind in BRANCHES[:2]],
        *[(estimator, kind, 3) for estimator in ESTIMATORS for kind in BRANCHES[2:]],
    ],
    ids=lambda value: type(value).__name__ if value in ESTIMATORS else str(value),
)
def test_any_real_dtype_and_array_like_gives_the_same_bits(estimator, kind, channels):
    estimator, series = clone(estimator), make_series(channels=channels)
    given = KINDS[kind](series)
    first = fitted(estimator, series)
    assert_same(weights(first), weights(estimator.fit(given, Y)))
    assert_same(answers(first, series), answers(estimator, given))


@pytest.mark.parametrize("dtype", [np.int64, np.int8, bool])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_whole_numbers_are_series_like_any_other(estimator, dtype, scaling):
    if "scaling" not in estimator.get_params():
        pytest.skip("has no scaling")
    estimator.set_params(scaling=scaling)
    given = (X > 0 if dtype is bool else X).astype(dtype)
    first = fitted(estimator, given.astype(np.float64))
    assert_same(answers(first, given.astype(np.float64)), answers(estimator.fit(given, Y), given))


def test_read_only_memmaps_work(estimator, tmp_path):
    mapped = as_memmap(X, tmp_path)
    assert isinstance(mapped, np.memmap)
    first = fitted(estimator)
    assert_same(weights(first), weights(estimator.fit(mapped, Y)))
    assert_same(answers(first, X), answers(estimator, mapped))


def test_a_memmap_is_not_copied_whole_to_memory(estimator, tmp_path, monkeypatch):
    monkeypatch.setattr("vqssl._base.STATISTICS_SAMPLE", 100)
    shape = (200_000, 100)
    mapped = np.memmap(tmp_path / "series", np.int8, "w+", shape=shape)
    mapped[:1000] = make_series(1000, 100)
    estimator.set_params(max_iter=2)
    estimator.fit(X, Y)  # what the first fit of a process imports is no copy
    tracemalloc.start()
    try:
        estimator.fit(mapped, labels(mapped))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # As float32 the series would take four times their size. A generator holds the codes.
    codes = shape[0] * estimator.n_tokens_ * 8 if isinstance(estimator, BaseGenerator) else 0
    assert peak < mapped.nbytes / 2 + 2 * codes


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_data_frames_work_and_name_their_columns(estimator, frame):
    columns = [f"t{i}" for i in range(24)]
    given = frame(X, columns) if frame is pl.DataFrame else frame(X, columns=columns)
    first = fitted(estimator)
    assert_same(weights(first), weights(estimator.fit(given, Y)))
    assert_same(answers(first, X), answers(estimator, given))
    assert estimator.feature_names_in_.tolist() == columns


def test_names_of_columns_do_not_outlive_their_fit(estimator):
    estimator.fit(pd.DataFrame(X, columns=[f"t{i}" for i in range(24)]), Y)
    estimator.fit(X[:, None, :], Y)
    assert not hasattr(estimator, "feature_names_in_")


def test_a_multi_index_is_refused(estimator):
    index = pd.MultiIndex.from_product([range(4), range(3)])
    with pytest.raises(ValueError, match="X has a MultiIndex as its index"):
        estimator.fit(pd.DataFrame(X, index=index), Y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [None, 3])
def test_input_is_never_modified(estimator, dtype, channels):
    given = make_series(channels=channels).astype(dtype)
    before = given.copy()
    estimator.fit(given, Y).partial_fit(given, Y)
    answers(estimator, given)
    assert_array_equal(given, before)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_in_float32_are_refused_with_their_place(estimator, value):
    broken = make_series(channels=2)
    broken[3, 1, 7] = value
    what = "NaN" if np.isnan(value) else "infinity or a value too large for float32"
    where = r"\(sample 3, channel 1, time point 7\)"
    with pytest.raises(ValueError, match=rf"Input X contains {what} {where}.*interpolate"):
        estimator.fit(broken, Y)
    estimator.fit(make_series(channels=2), Y)
    with pytest.raises(ValueError, match=f"Input X contains {what} {where}"):
        estimator.transform(broken)


def test_series_of_another_shape_are_refused(estimator):
    name = type(estimator).__name__
    estimator.fit(make_series(channels=3), Y)
    expected = rf"X has series of shape \(3, 12\), but {name} was fitted on .* \(3, 24\)"
    with pytest.raises(ValueError, match=expected):
        estimator.transform(make_series(length=12, channels=3))
    with pytest.raises(ValueError, match=rf"series of shape \(72,\), but {name} was fitted"):
        estimator.transform(make_series(length=72))
    with pytest.raises(ValueError, match=f"X has 12 features, but {name} is expecting 72"):
        estimator.transform(make_series(length=12))


def test_time_in_the_middle_draws_a_warning(estimator):
    with pytest.warns(UserWarning, match=r"time must be the last axis.*X.swapaxes\(1, 2\)"):
        estimator.fit(make_series(channels=24, length=3), Y)


@pytest.mark.parametrize("shape", [(24,), (2, 2, 2, 2, 2)])
def test_other_numbers_of_axes_are_refused(estimator, shape):
    with pytest.raises(ValueError, match=r"Expected 2D array|X must have shape|dim 5"):
        estimator.fit(np.zeros(shape), labels(np.zeros(shape)))


# ---------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("length", [1, 2, 3, 7, 24, 33])
@pytest.mark.parametrize("channels", [None, 3])
def test_any_length_and_number_of_channels_works(estimator, length, channels):
    series = make_series(5, length, channels)
    Z = estimator.fit(series, labels(series)).transform(series)
    assert len(Z) == 5
    assert np.isfinite(Z).all()
    assert estimator.input_shape_ == series.shape[1:]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_series_are_enough(estimator, n):
    estimator.fit(X[:n], Y[:n])
    assert np.isfinite(estimator.transform(X)).all()
    assert estimator.n_iter_ == 6


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_a_few_series_can_be_split(estimator, n, fraction):
    estimator.set_params(validation_fraction=fraction).fit(X[:n], Y[:n])
    assert np.isfinite(estimator.transform(X)).all()
    assert np.isfinite(estimator.history_["loss"]).all()
    assert np.isfinite(estimator.history_.get("valid_loss", 0)).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 100.0, -1e6])
def test_constant_series_work(estimator, value):
    series = np.full((12, 24), value)
    estimator.fit(series, Y)
    assert np.isfinite(estimator.transform(series)).all()
    assert np.isfinite(estimator.transform(X)).all()


@pytest.mark.parametrize("batch_size", [2, 5, 11, 1000])
def test_any_batch_size_works(estimator, batch_size):
    estimator.set_params(batch_size=batch_size).fit(X, Y)
    assert np.isfinite(estimator.history_["loss"]).all()
    assert np.isfinite(estimator.transform(X)).all()


# -------------------------------------------------------------------------- what fit leaves


@pytest.mark.parametrize("max_iter", [1, 2, 41])
def test_steps_are_counted(estimator, max_iter):
    estimator.set_params(max_iter=max_iter).fit(X, Y)
    assert estimator.n_iter_ == max_iter
    steps = estimator.history_["step"]
    assert steps[-1] == max_iter
    assert steps == sorted(set(steps))


def terms_of(history):
    return [name for name in history if name not in NO_TERMS]


@pytest.mark.parametrize("validation_fraction", [0.0, 0.3])
def test_terms_sum_to_the_loss(estimator, validation_fraction):
    estimator.set_params(validation_fraction=validation_fraction, max_iter=50)
    history = fitted(estimator).history_
    assert terms_of(history)
    assert_allclose(np.sum([history[name] for name in terms_of(history)], axis=0), history["loss"])


@pytest.mark.parametrize("validation_fraction", [0.0, 0.3])
def test_columns_of_the_history_have_one_length(estimator, validation_fraction):
    estimator.set_params(validation_fraction=validation_fraction, max_iter=50)
    history = fitted(estimator).history_
    assert {"step", "loss", "lr"} <= set(history)
    assert len({len(column) for column in history.values()}) == 1
    assert ("valid_loss" in history) == (validation_fraction > 0)


def test_learning_rate_warms_up_and_falls_to_zero(estimator):
    estimator.set_params(max_iter=60, lr=0.01).fit(X, Y)
    rates = np.array(estimator.history_["lr"])
    assert rates.max() <= 0.01
    assert rates.max() > 0.009
    assert rates.argmax() < 3
    assert rates[-1] < 1e-4
    assert (np.diff(rates[rates.argmax() :]) < 0).all()


def test_the_model_rests_in_eval_mode_without_gradients(estimator):
    model = estimator.fit(X, Y).model_
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}


def test_fit_does_not_touch_parameters(estimator):
    before = {name: repr(value) for name, value in estimator.get_params().items()}
    estimator.fit(X, Y).partial_fit(X, Y)
    assert {name: repr(value) for name, value in estimator.get_params().items()} == before


def test_labels_are_ignored(estimator):
    if isinstance(estimator, BaseGenerator) or is_classifier(estimator):
        pytest.skip("learns classes")
    assert_same_fit(clone(estimator).fit(X), estimator.fit(X, Y))


def test_a_fitted_estimator_fits_series_of_another_shape(estimator):
    wide = make_series(9, 15, channels=3)
    estimator.fit(X, Y).fit(wide, labels(wide))
    assert_same_fit(clone(estimator).fit(wide, labels(wide)), estimator, wide)


# ------------------------------------------------------------------------------ persistence


def through_skops(estimator):
    dumped = skops.io.dumps(estimator)
    return skops.io.loads(dumped, trusted=skops.io.get_untrusted_types(data=dumped))


def through_joblib(estimator, tmp_path, mmap_mode):
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    return joblib.load(tmp_path / "estimator.joblib", mmap_mode=mmap_mode)


COPIES = {
    "pickle": lambda estimator, tmp_path: pickle.loads(pickle.dumps(estimator)),
    "joblib": lambda estimator, tmp_path: through_joblib(estimator, tmp_path, None),
    "memory-mapped joblib": lambda estimator, tmp_path: through_joblib(estimator, tmp_path, "r"),
    "copy": lambda estimator, tmp_path: copy.copy(estimator),
    "deepcopy": lambda estimator, tmp_path: copy.deepcopy(estimator),
    "skops": lambda estimator, tmp_path: through_skops(estimator),
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("channels", [None, 3])
def test_a_copy_answers_alike(estimator, way, channels, tmp_path):
    series = make_series(channels=channels)
    estimator = fitted(estimator, series)
    again = COPIES[way](estimator, tmp_path)
    assert_same_fit(estimator, again, series)
    assert again.input_shape_ == estimator.input_shape_
    assert repr(again.get_params()) == repr(estimator.get_params())


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_can_be_trained_further(estimator, way, tmp_path):
    estimator = fitted(estimator)
    again = COPIES[way](estimator, tmp_path)
    assert_same_fit(estimator.partial_fit(X, Y), again.partial_fit(X, Y))


@pytest.mark.parametrize("way", COPIES)
def test_an_unfitted_estimator_can_be_copied(estimator, way, tmp_path):
    assert_same_fit(COPIES[way](estimator, tmp_path).fit(X, Y), fitted(estimator))


def test_training_a_copy_leaves_the_original_alone(estimator):
    estimator = fitted(estimator)
    before = answers(estimator, X)
    copy.deepcopy(estimator).partial_fit(X, Y)
    copy.copy(estimator).partial_fit(X, Y)
    assert_same(before, answers(estimator, X))


class Reader(pickle.Unpickler):
    """Notes the modules that a pickle asks for."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data))
        self.modules = set()

    def find_class(self, module, name):
        self.modules.add(module.split(".")[0])
        return super().find_class(module, name)


def test_a_pickle_holds_no_torch_object(estimator):
    reader = Reader(pickle.dumps(estimator.fit(X, Y)))
    reader.load()
    assert "numpy" in reader.modules
    assert not {"torch", "skorch"} & reader.modules


def test_the_pickle_of_a_fit_does_not_grow_with_the_training_set(estimator):
    sets = [make_series(n) for n in (12, 400)]
    few, many = (len(pickle.dumps(clone(estimator).fit(S, labels(S)))) for S in sets)
    assert many < few + 2000


def test_a_pickle_survives_a_change_of_parameters_without_refit(estimator):
    estimator = fitted(estimator)
    before = answers(estimator, X)
    changes = {"n_codes": 16, "code_dim": 5, "compression": 3, "max_iter": 9}
    estimator.set_params(**{k: v for k, v in changes.items() if k in estimator.get_params()})
    again = pickle.loads(pickle.dumps(estimator))
    assert_same(before, answers(again, X))
    assert again.max_iter == 9
    assert_same_fit(estimator.fit(X, Y), again.fit(X, Y))


# ------------------------------------------------------------------------- fits that fail

BAD_SERIES = make_series(channels=2)
BAD_SERIES[0, 0, 0] = np.nan
OTHER = make_series(10, 30, channels=2)
DIVERGED = r"The loss became (nan|-?inf) at step \d+ \(term '\w+'\)\. Lower lr"

FAILURES = {
    "NaN": ({}, BAD_SERIES, ValueError, "Input X contains NaN"),
    "text": ({}, [["a", "b"], ["c", "d"]], ValueError, "could not convert string|numeric"),
    "range": ({"max_iter": 0}, OTHER, ValueError, "max_iter must be an integer of at least 1; got"),
    "type": ({"lr": "fast"}, OTHER, ValueError, "The 'lr' parameter"),
    "precision": ({"precision": "float8"}, OTHER, ValueError, "precision must be 'float32' or"),
    "divergence": ({"lr": 1e30, "max_iter": 30}, OTHER, FloatingPointError, DIVERGED),
    "begin": ({"callbacks": [RaiseAt("on_train_begin", 1, OSError("disk"))]}, OTHER, OSError, "di"),
    "step": ({"callbacks": [RaiseAt("on_batch_begin", 3, OSError("disk"))]}, OTHER, OSError, "di"),
    "period": ({"callbacks": [RaiseAt("on_epoch_end", 3, OSError("disk"))]}, OTHER, OSError, "dis"),
    "net": ({"net_params": {"gradient_clp": 1}}, OTHER, ValueError, "unexpected argument.*_clp"),
}


def state_of(estimator):
    """Everything fit sets, comparable with ==."""
    fitted = {name: value for name, value in vars(estimator).items() if name.endswith("_")}
    fitted["model_"] = None
    return {name: np.asarray(value, dtype=object).tolist() for name, value in fitted.items()}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_fit_leaves_the_earlier_one_as_it_was(estimator, failure):
    params, series, error, match = FAILURES[failure]
    estimator = fitted(estimator)
    before, state, params_before = answers(estimator, X), state_of(estimator), weights(estimator)
    names = set(vars(estimator))
    estimator.set_params(**params)
    with pytest.raises(error, match=match):
        estimator.fit(series, labels(series))
    assert_same(before, answers(estimator, X))
    assert_same(params_before, weights(estimator))
    assert state_of(estimator) == state
    assert set(vars(estimator)) == names


@pytest.mark.parametrize("failure", FAILURES)
def test_an_estimator_whose_first_fit_fails_is_unfitted(estimator, failure):
    params, series, error, match = FAILURES[failure]
    names = set(vars(estimator))
    with pytest.raises(error, match=match):
        estimator.set_params(**params).fit(series, labels(series))
    assert set(vars(estimator)) == names
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        estimator.transform(X)


def test_a_failed_partial_fit_leaves_the_earlier_fit_as_it_was(estimator):
    estimator = fitted(estimator)
    before, params_before = answers(estimator, X), weights(estimator)
    estimator.set_params(callbacks=[RaiseAt("on_epoch_end", 1, OSError("disk"))])
    with pytest.raises(OSError, match="disk"):
        estimator.partial_fit(X, Y)
    assert_same(before, answers(estimator, X))
    assert_same(params_before, weights(estimator))


def test_weights_that_break_in_the_last_step_are_an_error(estimator):
    # The loss of the only step is finite; what the step leaves is not.
    estimator.set_params(lr=1e39, max_iter=1, net_params={"optimizer": torch.optim.SGD})
    with pytest.raises(FloatingPointError, match="weights became nan or infinite at step 1"):
        estimator.fit(X, Y)


# ---------------------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(("hook", "n", "steps"), [("on_epoch_end", 3, 6), ("on_batch_begin", 6, 5)])
def test_an_interrupted_fit_raises_and_is_usable(estimator, hook, n, steps, fitted):
    if fitted:
        estimator.fit(OTHER, labels(OTHER))
    estimator.set_params(max_iter=40, callbacks=[RaiseAt(hook, n, KeyboardInterrupt())])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, Y)
    assert estimator.n_iter_ == steps
    assert estimator.input_shape_ == (24,)
    assert len({len(column) for column in estimator.history_.values()}) == 1
    assert np.isfinite(estimator.transform(X)).all()
    assert_same(answers(estimator, X), answers(pickle.loads(pickle.dumps(estimator)), X))


def test_an_interrupt_while_the_held_out_loss_is_taken_leaves_no_half_row(estimator, monkeypatch):
    validate, calls = TermNet._validate, []

    def interrupted(net, iterator):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        validate(net, iterator)

    monkeypatch.setattr(TermNet, "_validate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        estimator.set_params(max_iter=40, validation_fraction=0.3).fit(X, Y)
    assert estimator.n_iter_ == 6
    assert estimator.history_["step"] == [2, 4]
    assert len({len(column) for column in estimator.history_.values()}) == 1


def test_an_error_of_a_callback_that_cleans_up_does_not_hide_the_interrupt(estimator, tmp_path):
    # There is no checkpoint yet to load.
    checkpoint = Checkpoint(monitor="train_loss_best", dirname=str(tmp_path), load_best=True)
    interrupt = RaiseAt("on_batch_begin", 2, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        estimator.set_params(max_iter=40, callbacks=[checkpoint, interrupt]).fit(X, Y)
    assert estimator.n_iter_ == 1


@pytest.mark.parametrize(("hook", "n"), [("on_train_begin", 1), ("on_batch_begin", 1)])
def test_an_interrupt_before_the_first_step_leaves_the_earlier_fit(estimator, hook, n):
    interrupt = [RaiseAt(hook, n, KeyboardInterrupt())]
    with pytest.raises(KeyboardInterrupt):
        clone(estimator).set_params(callbacks=interrupt).fit(OTHER, labels(OTHER))
    estimator = fitted(estimator)
    before = answers(estimator, X)
    with pytest.raises(KeyboardInterrupt):
        estimator.set_params(callbacks=interrupt).fit(OTHER, labels(OTHER))
    assert_same(before, answers(estimator, X))


def test_an_interrupted_fit_keeps_the_best_weights(estimator):
    spoil = Spoil(3)
    interrupt = RaiseAt("on_epoch_end", 4, KeyboardInterrupt())
    estimator.set_params(max_iter=40, validation_fraction=0.3, callbacks=[spoil, interrupt])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, Y)
    assert estimator.n_iter_ == 8
    assert_kept_best(estimator, spoil)


# ------------------------------------------------------------------------------- validation


class Spoil(Callback):
    """Remembers the weights of every period; from the n-th period on it spoils them."""

    def __init__(self, n):
        self.n = n
        self.weights = []

    def on_epoch_begin(self, net, **kwargs):
        if len(self.weights) + 1 >= self.n:
            with torch.no_grad():
                for parameter in net.module_.parameters():
                    parameter.mul_(2.0)  # a little more may help a young prior

    def on_epoch_end(self, net, **kwargs):
        state = net.module_.state_dict()
        self.weights.append({k.removeprefix("model."): v.numpy().copy() for k, v in state.items()})


def assert_kept_best(estimator, spoil):
    kept = weights(estimator)
    is_kept = [
        all(np.array_equal(kept[name], period[name]) for name in kept) for period in spoil.weights
    ]
    losses = np.array(estimator.history_["valid_loss"])
    assert losses[-1] > losses.min() * 1.01
    assert any(is_kept)
    # Early stopping counts a gain from a share of 1e-4 on.
    assert losses[is_kept].min() <= losses.min() * 1.001


def test_the_best_weights_on_the_held_out_series_are_kept(estimator):
    spoil = Spoil(16)  # not from earlier on: where nothing normalises, losses would overflow
    estimator.set_params(max_iter=20, validation_fraction=0.3, callbacks=[spoil]).fit(X, Y)
    assert len(spoil.weights) == len(estimator.history_["valid_loss"])
    assert_kept_best(estimator, spoil)


def test_training_stops_when_the_held_out_loss_no_longer_falls(estimator):
    estimator.set_params(max_iter=100, validation_fraction=0.3, net_params={"patience": 2})
    estimator.set_params(callbacks=[Spoil(4)]).fit(X, Y)
    assert estimator.n_iter_ < 100
    assert estimator.history_["step"][-1] == estimator.n_iter_


def test_the_held_out_loss_takes_no_random_numbers_from_training(estimator, monkeypatch):
    estimator.set_params(max_iter=20, validation_fraction=0.3)
    once = fitted(estimator)
    validate = TermNet._validate

    def twice(net, iterator):
        validate(net, iterator)
        validate(net, iterator)

    monkeypatch.setattr(TermNet, "_validate", twice)
    assert_same_fit(once, estimator.fit(X, Y))


def test_held_out_series_are_not_trained_on(estimator):
    class Rows(Callback):
        def __init__(self):
            self.seen = set()

        def on_batch_begin(self, net, batch, **kwargs):
            self.seen.update(tuple(row) for row in batch[0].flatten(1).tolist())

    rows = Rows()
    estimator.set_params(max_iter=20, validation_fraction=0.25, callbacks=[rows]).fit(X, Y)
    assert len(rows.seen) == 9


# ------------------------------------------------------------------------------ partial_fit


def test_partial_fit_takes_one_pass_more_each_time(estimator):
    estimator.set_params(batch_size=4)
    for n in (1, 2, 3):
        estimator.partial_fit(X, Y)
        assert estimator.n_iter_ == 3 * n
    estimator.fit(X, Y)
    assert estimator.n_iter_ == 6
    assert estimator.partial_fit(X, Y).n_iter_ == 9


def test_partial_fit_goes_on_from_the_weights_as_they_are(estimator):
    estimator.set_params(max_iter=60).fit(X, Y)
    before = weights(estimator)
    after = weights(estimator.set_params(lr=1e-9).partial_fit(X, Y))
    trained = [name for name, _ in estimator.model_.named_parameters()]
    assert any(not np.array_equal(before[name], after[name]) for name in before)
    for name in trained:
        assert_allclose(after[name], before[name], atol=1e-6)


def test_partial_fit_on_the_same_series_changes_few_codes(estimator):
    if not hasattr(estimator, "encode"):
        pytest.skip("has no codes")
    series = make_series(16)
    before = (
        estimator.set_params(max_iter=100, batch_size=16).fit(series, labels(series)).encode(series)
    )
    after = estimator.partial_fit(series, labels(series)).encode(series)
    assert np.mean(before == after) > 0.7  # unrelated codes agree on about an eighth


def test_partial_fit_does_not_draw_the_same_numbers_twice(estimator):
    class Order(Callback):
        def __init__(self):
            self.batches = []

        def on_batch_begin(self, net, batch, **kwargs):
            self.batches.append(batch[0].flatten(1).tolist())

    order = Order()
    estimator.set_params(callbacks=[order], batch_size=12)
    estimator.partial_fit(X, Y).partial_fit(X, Y).partial_fit(X, Y)
    first, second, third = order.batches
    assert first != second != third


def test_partial_fit_refuses_parameters_that_shape_another_model(estimator):
    if not hasattr(estimator, "n_codes"):
        pytest.skip("has no codebook of its own")
    estimator.fit(X, Y)
    fitted = answers(estimator, X)
    for name, value in {"n_codes": 16, "code_dim": 6, "scaling": None}.items():
        before = getattr(estimator, name)
        estimator.set_params(**{name: value})
        with pytest.raises(ValueError, match=f"{name} must stay {before!r} between calls"):
            estimator.partial_fit(X, Y)
        assert_same(fitted, answers(estimator.set_params(**{name: before}), X))


def test_partial_fit_refuses_another_shape_and_stays_usable(estimator):
    estimator.partial_fit(make_series(channels=2), Y)
    before = answers(estimator, make_series(channels=2))
    with pytest.raises(ValueError, match=r"X has series of shape \(2, 30\)"):
        estimator.partial_fit(OTHER, labels(OTHER))
    assert_same(before, answers(estimator, make_series(channels=2)))
    assert estimator.n_iter_ == 2


# ----------------------------------------------------------------------- under scikit-learn


def test_a_pipeline_classifies(estimator):
    pipeline = make_pipeline(estimator, SVC()).fit(X, Y)
    assert pipeline.predict(X).shape == Y.shape
    assert len(cross_val_score(pipeline, X, Y, cv=2, error_score="raise")) == 2


def test_a_feature_union_joins_the_columns(estimator):
    union = FeatureUnion([("a", clone(estimator)), ("b", clone(estimator))]).fit(X, Y)
    single = estimator.fit(X, Y).transform(X)
    assert_array_equal(union.transform(X), np.hstack([single, single]))
    assert len(union.get_feature_names_out()) == 2 * single.shape[1]


def test_a_column_transformer_takes_columns_of_a_frame(estimator):
    frame = pd.DataFrame(X, columns=[f"t{i}" for i in range(24)])
    first, second = list(frame.columns[:12]), list(frame.columns[12:])
    parts = [("first", clone(estimator), first), ("second", clone(estimator), second)]
    both = ColumnTransformer(parts).set_output(transform="pandas").fit_transform(frame, Y)
    alone = clone(estimator).fit(frame[second], Y).transform(frame[second])
    assert both.shape == (12, 2 * alone.shape[1])
    assert_array_equal(both.filter(like="second__").to_numpy(), alone)


def test_pandas_output_has_named_columns_and_the_index_of_the_input(estimator):
    frame = pd.DataFrame(X, columns=[f"t{i}" for i in range(24)], index=range(100, 112))
    plain = clone(estimator).fit(frame, Y).transform(frame)
    named = estimator.set_output(transform="pandas").fit_transform(frame, Y)
    assert_array_equal(named.to_numpy(), plain)
    assert named.columns.tolist() == estimator.get_feature_names_out().tolist()
    assert named.index.tolist() == frame.index.tolist()
    assert (named.dtypes == np.float32).all()
    assert named.columns[0].startswith(type(estimator).__name__.lower())


def test_a_frozen_estimator_is_not_refitted(estimator):
    estimator = fitted(estimator)
    other = make_series(seed=1)
    pipeline = make_pipeline(FrozenEstimator(estimator), SVC()).fit(other, Y)
    assert_array_equal(pipeline[:-1].transform(other), estimator.transform(other))
    assert_same_fit(clone(estimator).fit(X, Y), estimator)


def test_a_pipeline_with_memory_does_not_fit_twice(estimator, tmp_path):
    counter = tmp_path / "fits"
    pipeline = Pipeline([("model", estimator), ("svc", SVC())], memory=str(tmp_path / "cache"))
    pipeline.set_params(model__callbacks=[Append(str(counter))])
    pipeline.fit(X, Y)
    pipeline.set_params(svc__C=2.0).fit(X, Y)
    assert counter.read_text() == "fit\n"


class Append(Callback):
    """Writes a line to a file for every training."""

    def __init__(self, path):
        self.path = path

    def on_train_begin(self, net, **kwargs):
        with open(self.path, "a") as file:
            file.write("fit\n")


@pytest.mark.slow
def test_a_grid_search_over_parts_gives_the_same_with_two_workers():
    pipeline = Pipeline([("tok", SSLVQTokenizer(**SMALL)), ("svc", SVC())])
    grid = [
        {"tok__n_codes": [2, 8]},
        {"tok__ssl": ["vicreg", VIbCReg()]},
        {"tok__ssl": [VIbCReg()], "tok__ssl__covariance": [1.0, 50.0]},
    ]
    series = make_series(20)
    labels = (series.mean(1) > np.median(series.mean(1))).astype(int)
    one, two = (
        GridSearchCV(pipeline, grid, cv=2, n_jobs=n, error_score="raise").fit(series, labels)
        for n in (1, 2)
    )
    assert len(one.cv_results_["params"]) == 6
    assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    assert_same_fit(one.best_estimator_[0], two.best_estimator_[0], series)


def parts_by_name(estimator):
    """Options that are given by name and could be parts."""
    options = ("backbone", "quantizer", "ssl")
    return [name for name in options if isinstance(getattr(estimator, name, None), str)]


def test_a_parameter_of_a_part_given_by_name_explains_itself(estimator):
    for option in parts_by_name(estimator):
        expected = rf"{option}__x cannot be set while {option} is the name .* Pass the part itself"
        with pytest.raises(ValueError, match=expected):
            estimator.set_params(**{f"{option}__x": 1})


def test_a_part_and_its_parameter_can_be_set_together(estimator):
    if not hasattr(estimator, "backbone"):
        pytest.skip("has no backbone")
    backbone = ConvBackbone(width=8)
    estimator.set_params(backbone="conv").set_params(backbone=backbone, backbone__width=12)
    assert estimator.backbone.width == 12


def test_an_unknown_parameter_is_refused(estimator):
    with pytest.raises(ValueError, match="Invalid parameter 'n_tokens' for estimator"):
        estimator.set_params(n_tokens=1)


# -------------------------------------------------------------------------------------- HTML


def html_of(estimator):
    """The page without styles and scripts."""
    return re.sub(r"<(style|script)>.*?</\1>", "", estimator._repr_html_(), flags=re.DOTALL)


# Where scikit-learn shows attributes of a fit.
SHOWS_FITTED = parse_version(sklearn.__version__) >= parse_version("1.9")


@pytest.mark.parametrize("given", [*ESTIMATORS, DETECTOR], ids=lambda given: type(given).__name__)
def test_the_page_of_an_estimator_shows_parameters_and_what_is_fitted(given):
    estimator = clone(given)
    name = type(estimator).__name__
    html = html_of(estimator)
    assert name in html
    assert "Not fitted" in html
    assert "history_" not in html
    estimator = fitted(estimator)
    html = html_of(estimator)
    assert name in html
    assert "Not fitted" not in html
    if SHOWS_FITTED:
        described = NumpyDocString(inspect.getdoc(type(estimator)))["Attributes"]
        shown = [entry.name for entry in described if hasattr(estimator, entry.name)]
        assert len(shown) > 3
        assert not [entry for entry in shown if entry not in html]
    for inner in ("tokenizer", "generator"):
        if hasattr(estimator, inner):
            assert type(getattr(estimator, inner)).__name__ in html


def test_the_page_of_what_is_nested_shows_all_of_it():
    tokenizer = VQTokenizer(**SMALL).fit(X)
    generator = MaskGITGenerator(FrozenEstimator(tokenizer), max_iter=1)
    html = html_of(make_pipeline(AnomalyDetector(generator)))
    for name in ("Pipeline", "AnomalyDetector", "MaskGITGenerator", "FrozenEstimator"):
        assert name in html
    assert "VQTokenizer" in html
    assert "ConvBackbone" in html


def test_the_page_of_a_parameter_that_is_wrong_is_shown():
    tokenizer = VQTokenizer(**SMALL).fit(X).set_params(output="pixels")
    assert "pixels" in html_of(tokenizer)


# ------------------------------------------------------------- scikit-learn's own callbacks


class Tasks:
    """A FitCallback that counts periods and can stop after some of them."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after

    def setup(self, estimator, context):
        self.begun, self.ended, self.torn_down = [], [], False

    def teardown(self, estimator, context):
        self.torn_down = True

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.task_name)

    def on_fit_task_end(self, estimator, context):
        self.ended.append(context.task_name)
        return self.ended.count("period") == self.stop_after


@pytest.fixture
def sklearn_callback():
    return pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9")


@pytest.mark.parametrize("max_iter", [1, 6, 41])
def test_a_fit_callback_is_called_once_per_period(estimator, sklearn_callback, max_iter):
    tasks = Tasks()
    estimator.set_params(max_iter=max_iter).set_callbacks(tasks).fit(X, Y)
    n_periods = len(estimator.history_["step"])
    assert tasks.begun == ["fit", *["period"] * n_periods]
    assert tasks.ended == [*["period"] * n_periods, "fit"]
    assert tasks.torn_down


def test_a_fit_callback_can_stop_training(estimator, sklearn_callback):
    class Count(Callback):
        def __init__(self):
            self.steps = []

        def on_epoch_end(self, net, **kwargs):
            self.steps.append(net.history[-1, "step"])

    tasks, count = Tasks(stop_after=3), Count()
    estimator.set_params(max_iter=40, callbacks=[count]).set_callbacks(tasks).fit(X, Y)
    assert estimator.n_iter_ == 6
    assert tasks.ended == ["period", "period", "period", "fit"]
    assert count.steps == [2, 4, 6]
    assert np.isfinite(estimator.transform(X)).all()


def test_a_fit_callback_is_torn_down_after_a_failure(estimator, sklearn_callback):
    tasks = Tasks()
    estimator.set_callbacks(tasks)
    estimator.set_params(callbacks=[RaiseAt("on_epoch_end", 2, OSError("disk"))])
    with pytest.raises(OSError, match="disk"):
        estimator.fit(X, Y)
    assert tasks.torn_down
    assert tasks.begun == ["fit", "period", "period"]


def test_a_fit_callback_gets_an_estimator_as_if_training_had_stopped(estimator, sklearn_callback):
    class Look(Tasks):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            if fitted_estimator is not None:
                self.ended.append(answers(fitted_estimator, X))

    look, plain = Look(), fitted(estimator)
    # The second fit has another codebook than the first.
    estimator.set_params(**{"n_codes": 16} if hasattr(estimator, "n_codes") else {})
    estimator.set_callbacks(look).fit(X, Y).set_params(**plain.get_params(deep=False)).fit(X, Y)
    assert len(look.ended) == 6
    assert_same(look.ended[-1], answers(estimator, X))
    assert_same_fit(plain, estimator)


def test_the_progress_bar_of_scikit_learn_runs(estimator, sklearn_callback):
    pytest.importorskip("rich")
    estimator.set_callbacks(sklearn_callback.ProgressBar()).fit(X, Y)
    assert estimator.n_iter_ == 6


def test_the_progress_bar_of_scikit_learn_runs_through_a_search(sklearn_callback, capsys):
    pytest.importorskip("rich")
    search = GridSearchCV(VQTokenizer(**SMALL), {"n_codes": [4, 8]}, cv=2)
    search.set_callbacks(sklearn_callback.ProgressBar()).fit(X)
    # Two candidates on two folds, then the better one on all series.
    assert capsys.readouterr().out.count("VQTokenizer - fit") == 5


# ------------------------------------------------------------------------ skorch's callbacks


def test_early_stopping_of_skorch_stops_without_an_error(estimator):
    stopping = EarlyStopping(monitor="train_loss", patience=2, threshold=1e9, threshold_mode="abs")
    estimator.set_params(max_iter=60, callbacks=[stopping]).fit(X, Y)
    assert len(estimator.history_["step"]) == 3
    assert estimator.n_iter_ == 9


@pytest.mark.parametrize("step_every", ["epoch", "batch"])
def test_a_scheduler_of_skorch_takes_the_place_of_ours(estimator, step_every):
    step = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, step_every=step_every)
    estimator.set_params(lr=0.01, callbacks=[step]).fit(X, Y)
    expected = 0.01 * 0.1 ** np.arange(6)
    assert_allclose(estimator.history_["lr"], expected if step_every == "epoch" else expected / 10)


def test_gradient_clipping_of_skorch_clips(estimator):
    frozen = {"optimizer": torch.optim.SGD, "gradient_clip": None}
    clip = GradientNormClipping(1e-12)
    once = weights(clone(estimator).set_params(max_iter=1, net_params=frozen, lr=1e-12).fit(X, Y))
    estimator.set_params(max_iter=1, net_params=frozen, lr=1.0, callbacks=[clip]).fit(X, Y)
    for name, _ in estimator.model_.named_parameters():
        assert_allclose(weights(estimator)[name], once[name], atol=1e-9)


def test_a_checkpoint_of_skorch_is_written(estimator, tmp_path):
    best = PassthroughScoring("train_loss", on_train=True)
    checkpoint = Checkpoint(monitor="train_loss_best", dirname=str(tmp_path), load_best=True)
    estimator.set_params(callbacks=[best, checkpoint]).fit(X, Y)
    assert {"params.pt", "optimizer.pt", "history.json"} <= {f.name for f in tmp_path.iterdir()}
    assert np.isfinite(estimator.transform(X)).all()


def test_a_checkpoint_of_skorch_can_follow_the_held_out_loss(estimator, tmp_path):
    checkpoint = Checkpoint(dirname=str(tmp_path))
    estimator.set_params(validation_fraction=0.3, callbacks=[checkpoint]).fit(X, Y)
    assert (tmp_path / "params.pt").exists()


def test_scores_of_a_callback_are_in_the_history(estimator):
    def size(net, X, y):
        return float(len(X))

    class Note(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("note", 7.0)

    scoring = EpochScoring(size, name="size", on_train=True, use_caching=False)
    estimator.set_params(callbacks=[scoring, Note(), EpochTimer()]).fit(X, Y)
    assert estimator.history_["size"] == [12.0] * 6
    assert estimator.history_["note"] == [7.0] * 6


def test_a_print_log_of_skorch_prints(estimator):
    lines = []
    net_params = {"verbose": 1}
    estimator.set_params(callbacks=[PrintLog(sink=lines.append)], net_params=net_params).fit(X, Y)
    assert len(lines) == 2 + 6
    assert "train_loss" in lines[0]


def test_callbacks_of_a_fit_leave_nothing_in_the_pickle(estimator):
    scheduler = LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.9)
    estimator.set_params(callbacks=[scheduler, ("clip", GradientNormClipping(1.0))]).fit(X, Y)
    assert not hasattr(scheduler, "lr_scheduler_")
    assert_same_fit(estimator, pickle.loads(pickle.dumps(estimator)))
    assert len(pickle.dumps(estimator)) < len(pickle.dumps(clone(estimator))) + 100_000


def test_a_callback_by_name_and_the_same_callback_twice_work(estimator):
    timer = EpochTimer()
    estimator.set_params(callbacks=[("timer", timer), EpochTimer()]).fit(X, Y).fit(X, Y)
    assert estimator.n_iter_ == 6


# ---------------------------------------------------------------- net, device, what is shown


def test_the_gradient_is_clipped_as_net_params_say(estimator):
    sgd = {"optimizer": torch.optim.SGD}
    once = weights(clone(estimator).set_params(max_iter=1, net_params=sgd, lr=1e-12).fit(X, Y))
    tight = {**sgd, "gradient_clip": 1e-12}
    estimator.set_params(max_iter=1, lr=1.0, net_params=tight).fit(X, Y)
    for name, _ in estimator.model_.named_parameters():
        assert_allclose(weights(estimator)[name], once[name], atol=1e-9)


@pytest.mark.parametrize(
    "net_params",
    [
        {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9},
        {"optimizer": torch.optim.RMSprop},
        {"optimizer": torch.optim.Adam, "optimizer__betas": (0.5, 0.9)},
        {"optimizer__weight_decay": 0.5},
    ],
    ids=str,
)
def test_the_optimizer_can_be_changed(estimator, net_params):
    plain = weights(fitted(estimator))
    other = weights(estimator.set_params(net_params=net_params).fit(X, Y))
    assert all(np.isfinite(value).all() for value in other.values())
    assert any(not np.array_equal(plain[name], other[name]) for name in plain)


def test_bfloat16_trains_and_transforms_in_float32(estimator):
    full = fitted(estimator)
    estimator.set_params(precision="bfloat16").fit(X, Y)
    assert estimator.transform(X).dtype == np.float32
    assert {value.dtype for value in weights(estimator).values()} == {np.dtype(np.float32)}
    assert estimator.history_["loss"] != full.history_["loss"]
    assert_allclose(estimator.history_["loss"], full.history_["loss"], rtol=0.1)


def test_verbose_0_says_nothing(estimator, capsys):
    estimator.fit(X, Y)
    assert capsys.readouterr() == ("", "")


def test_verbose_1_shows_a_bar_on_stderr(estimator, capsys):
    estimator.set_params(verbose=1).fit(X, Y)
    out, err = capsys.readouterr()
    assert out == ""
    assert type(estimator).__name__ in err
    assert "6/6" in err


def test_verbose_2_prints_a_line_per_period(estimator, capsys):
    estimator.set_params(verbose=2).fit(X, Y)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert len(lines) == 6
    assert lines[0].startswith(f"[{type(estimator).__name__}] step 1/6: ")
    for name in terms_of(estimator.history_):
        assert f"{name} " in lines[0]


@pytest.mark.parametrize("device", ["cuda:99", "no such device"])
def test_a_device_that_is_not_there_is_refused_before_training(estimator, device):
    started = RaiseAt("on_train_begin", 1, AssertionError("training has started"))
    expected = "device must be 'auto' or a torch device that this machine has; got"
    with pytest.raises(ValueError, match=expected):
        clone(estimator).set_params(device=device, callbacks=[started]).fit(X, Y)
    estimator.fit(X, Y).set_params(device="no such device")
    with pytest.raises(ValueError, match=expected):
        estimator.transform(X)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_an_estimator_from_a_machine_with_cuda_answers_without(estimator):
    expected = answers(estimator.fit(X, Y), X)["transform"]
    there = pickle.loads(pickle.dumps(estimator.set_params(device="cuda")))
    with pytest.warns(UserWarning, match="device='cuda' is not available here; the CPU is used"):
        assert_array_equal(there.transform(X), expected)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode], ids=lambda m: m.__name__)
def test_training_works_inside_modes_without_gradients(estimator, mode):
    expected = fitted(estimator)
    with mode():
        estimator.fit(X, Y)
    assert_same_fit(expected, estimator)


def test_the_default_dtype_of_torch_does_not_matter(estimator):
    expected = fitted(estimator)
    torch.set_default_dtype(torch.float64)
    try:
        estimator.fit(X, Y)
        assert_same_fit(expected, estimator)
        assert_same(answers(expected, X), answers(pickle.loads(pickle.dumps(estimator)), X))
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", ["callbacks", "max_epochs", "train_split"])
def test_net_params_do_not_reach_what_the_estimator_decides(estimator, name):
    with pytest.raises(ValueError, match=f"net_params must leave {name} to the estimator"):
        estimator.set_params(net_params={name: None}).fit(X, Y)


def test_what_is_no_callback_is_refused(estimator):
    with pytest.raises(TypeError, match=r"callbacks must hold skorch callbacks or pairs .* got 1"):
        estimator.set_params(callbacks=[1]).fit(X, Y)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([[None, 1.0], [2.0, 3.0]], r"X contains NaN \(sample 0, channel 0, time point 0\)"),
        (np.array([["2020-01-01"]], dtype="M8[D]"), "X must hold real numbers; got an array of"),
        (np.zeros((2, 1, 3), dtype="m8[D]"), "X must hold real numbers; got an array of"),
    ],
    ids=["None", "dates", "durations"],
)
def test_what_is_no_series_of_numbers_is_refused(estimator, wrong, message):
    with pytest.raises(ValueError, match=message):
        estimator.fit(wrong, labels(wrong))


def test_partial_fit_extends_the_history(estimator):
    estimator = fitted(estimator)
    steps, losses = (list(estimator.history_[name]) for name in ("step", "loss"))
    estimator.partial_fit(X, Y)
    assert estimator.history_["step"][: len(steps)] == steps
    assert estimator.history_["loss"][: len(losses)] == losses
    assert estimator.history_["step"][-1] == estimator.n_iter_ > steps[-1]
    assert {len(column) for column in estimator.history_.values()} == {
        len(estimator.history_["step"])
    }


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none_is_refused(estimator):
    with pytest.raises(ValueError, match=r"got 'cuda'\. CUDA is not available"):
        estimator.set_params(device="cuda").fit(X, Y)


@pytest.mark.parametrize("device", ["auto", torch.device("cpu")], ids=repr)
def test_the_cpu_has_several_names(estimator, device):
    if device == "auto" and torch.cuda.is_available():
        pytest.skip("auto is CUDA here")
    expected = clone(estimator).set_params(device="cpu").fit(X, Y)
    assert_same_fit(expected, estimator.set_params(device=device).fit(X, Y))


@pytest.mark.gpu
def test_a_fit_on_cuda_rests_on_the_cpu(estimator):
    estimator.set_params(device="cuda").fit(X, Y)
    assert {tensor.device.type for tensor in estimator.model_.state_dict().values()} == {"cpu"}
    assert np.isfinite(estimator.transform(X)).all()
    assert np.isfinite(estimator.history_["loss"]).all()


@pytest.mark.gpu
def test_a_fit_on_cuda_answers_alike_on_the_cpu(estimator):
    estimator.set_params(device="cuda").fit(X, Y)
    there = answers(estimator, X)
    again = pickle.loads(pickle.dumps(estimator)).set_params(device="cpu")
    for name, value in answers(again, X).items():
        if value.dtype == np.int64:
            assert np.mean(value == there[name]) > 0.95
        elif name == "embed":
            assert value.shape == there[name].shape
        else:
            assert np.isfinite(value).all()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_fit_on_cuda_learns_what_one_on_the_cpu_learns(estimator, precision):
    estimator.set_params(max_iter=60)
    cpu = clone(estimator).set_params(device="cpu").fit(X, Y)
    cuda = estimator.set_params(device="cuda", precision=precision).fit(X, Y)
    assert_allclose(cuda.history_["loss"][-1], cpu.history_["loss"][-1], rtol=0.5)
    reader = Reader(pickle.dumps(cuda))
    reader.load()
    assert "torch" not in reader.modules


class Waiting(Callback):
    """Makes CUDA raise where a training step waits for it."""

    def on_batch_begin(self, net, **kwargs):
        torch.cuda.set_sync_debug_mode("error")

    def on_batch_end(self, net, **kwargs):
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_a_step_on_cuda_waits_for_nothing(estimator):
    estimator.set_params(device="cuda", callbacks=[Waiting()])
    try:
        estimator.fit(X, Y)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert estimator.n_iter_ > 0


@pytest.mark.gpu
def test_codes_on_cuda_are_those_on_the_cpu_but_for_near_ties(estimator):
    if not hasattr(estimator, "encode"):
        pytest.skip("it has no codes of its own")
    estimator.set_params(device="cpu").fit(X, Y)
    codes = estimator.encode(X)
    latents = (
        estimator.model_.latents(torch.from_numpy(X[:, None].astype(np.float32)))
        .flatten(0, 1)
        .numpy()
    )
    other = estimator.set_params(device="cuda").encode(X)
    apart = (codes != other).ravel()
    assert apart.mean() < 0.01
    first, second = (
        estimator.model_.lookup(torch.from_numpy(of)).flatten(0, 1).numpy()[apart]
        for of in (codes, other)
    )
    distances = [np.square(latents[apart] - near).sum(1) for near in (first, second)]
    assert_allclose(*distances, rtol=1e-2)
