"""What the processes of tests/test_distributed.py do, and the fits that one of them is told from.

Run as ``torchrun --nproc-per-node 2 -m tests.distributed_cases fit FOLDER``. It is no test itself.
"""

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

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
from vqssl.augmentations import AUGMENTATIONS, Augmentation
from vqssl.backbones import Backbone, ConvBackbone, TransformerBackbone
from vqssl.losses import LOSSES
from vqssl.quantizers import FSQ, EMAQuantizer, GradientQuantizer, ModuleQuantizer

SIZE = 2
ROWS = 4  # of a process in a step

# An odd number: batches of 7 and 6, of which one process has 3 and the other 4 or 3.
N_SERIES = 13
X = np.random.default_rng(0).normal(size=(N_SERIES, 24)).cumsum(1)
IMAGES = np.random.default_rng(1).normal(size=(N_SERIES, 1, 8, 8)).cumsum(2)
Y = np.arange(N_SERIES) % 3

# As in tests.test_common, whose imports take longer than all of these fits.
SHARED = {"max_iter": 4, "batch_size": ROWS, "device": "cpu", "random_state": 0}
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

# All that train a network.
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


class OwnNoise(Augmentation):
    """An augmentation of a user's own, which draws for whatever it is given."""

    def __call__(self, x, generator):
        return x + 0.1 * torch.randn(x.shape, generator=generator)


class OwnCodebook(nn.Module):
    """A quantizer written elsewhere, which learns from batches, and draws from torch's global
    generator."""

    def __init__(self):
        super().__init__()
        self.register_buffer("codebook", torch.linspace(-1, 1, 32).view(8, 4))

    def forward(self, z):
        codes = torch.cdist(z.detach(), self.codebook.expand(len(z), -1, -1)).argmin(2)
        vectors = self.codebook[codes]
        if self.training:
            flat = z.detach().flatten(0, 1)
            self.codebook = self.codebook.clone()
            self.codebook[0] = flat.mean(0)
            self.codebook[1] = flat[torch.randperm(len(flat))[0]]
        return z + (vectors - z).detach(), codes, (z - vectors.detach()).square().mean()


class NormBackbone(Backbone):
    """A backbone of a user's own with torch's batch normalisation."""

    def build(self, n_channels, length, code_dim, compression):
        encoder, decoder = ConvBackbone(8, n_blocks=1, n_decoder_blocks=1).build(
            n_channels, length, code_dim, compression
        )
        return nn.Sequential(nn.BatchNorm1d(n_channels), encoder), decoder


def images(estimator: Any) -> Callable[[], Any]:
    return lambda: estimator.fit(IMAGES, Y)


def twice(estimator: Any) -> Callable[[], Any]:
    return lambda: estimator.partial_fit(X, Y).partial_fit(X[:11], Y[:11])


def decoded(estimator: Any) -> Callable[[], Any]:
    return lambda: estimator.fit(X).fit_decoder(X, max_iter=3)


def series_cases() -> Iterator[tuple[str, Any]]:
    """Estimators that are fitted on series and their classes, by name."""
    for estimator in ESTIMATORS:
        yield type(estimator).__name__, estimator
    for name in LOSSES:
        yield f"loss {name}", SSLVQTokenizer(ssl=name, augmentations=None, **SMALL)
    quantizers = {
        "gradient": GradientQuantizer(orthogonality=10.0),
        "fsq": FSQ(),
        "resets": EMAQuantizer(reset_threshold=0.9),
    }
    for name, quantizer in quantizers.items():
        yield f"quantizer {name}", VQTokenizer(quantizer=quantizer, **SMALL)
    every = tuple(name for name in AUGMENTATIONS if "series" in AUGMENTATIONS[name].takes)
    yield "augmentations", SSLVQTokenizer(augmentations=every, **SMALL)
    yield "own augmentation", SSLVQTokenizer(augmentations=OwnNoise(), **SMALL)
    yield "own norm", VQTokenizer(**{**SMALL, "backbone": NormBackbone()})
    yield "held out", SSLVQTokenizer(**{**SMALL, "validation_fraction": 0.4, "max_iter": 12})
    yield "few held out", VQTokenizer(**{**SMALL, "validation_fraction": 0.1})
    yield "average", MaskGITGenerator(**{**PRIOR, "validation_fraction": 0.4, "max_iter": 6})
    yield "full covariance", VAE(covariance="full", **LATENT)
    yield "variational", CPCEncoder(beta=0.1, **FRAMES)
    yield "greedy", GreedyInfoMaxEncoder(train="greedy", **FRAMES)


def other_cases() -> Iterator[tuple[str, Any, Callable[[Any], Callable[[], Any]]]]:
    """Estimators and how else they are fitted."""
    fcn = FCNClassifier((8, 8), kernel_sizes=(4, 3), **SHARED)
    # AdamW would make steps as large as any of the gradients of a channel that no image activates,
    # which are rounding.
    plain = clone(fcn).set_params(net_params={"optimizer": torch.optim.SGD})
    every = tuple(name for name in AUGMENTATIONS if "images" in AUGMENTATIONS[name].takes)
    yield "images", SSLVQTokenizer(augmentations=every, **SMALL), images
    yield "image network", plain, images
    yield "partial network", fcn, twice
    yield "partial tokenizer", SSLVQTokenizer(**SMALL), twice
    yield "partial generator", MaskGITGenerator(**PRIOR), twice
    yield "decoder", CPCEncoder(**FRAMES), decoded


def with_batches_of(estimator: Any, n_rows: int) -> Any:
    """A clone of an estimator; it, and a tokenizer inside, takes so many series in a step."""
    names = [name for name in estimator.get_params() if name.split("__")[-1] == "batch_size"]
    return clone(estimator).set_params(**dict.fromkeys(names, n_rows))


def fit_all(n_rows: int) -> dict[str, np.ndarray]:
    """What all estimators have learned, by case and name."""
    found: dict[str, np.ndarray] = {}
    for name, estimator in series_cases():
        found |= learned(name, with_batches_of(estimator, n_rows).fit(X, Y))
    for name, estimator, how in other_cases():
        found |= learned(name, how(with_batches_of(estimator, n_rows))())
    return found


def learned(case: str, estimator: Any) -> dict[str, np.ndarray]:
    """Weights, and under ``history`` the losses, of a fitted estimator."""
    arrays = {name: tensor.numpy() for name, tensor in estimator.model_.state_dict().items()}
    arrays |= {f"task.{name}": array for name, array in estimator._task_weights.items()}
    for name, array in getattr(estimator, "_decoder_weights", {}).items():
        arrays[f"decoder.{name}"] = np.asarray(array)
    arrays |= {f"history.{k}": np.array(v) for k, v in estimator.history_.items()}
    return {f"{case}/{name}": array for name, array in arrays.items()}


def unlike_one_process() -> dict[str, np.ndarray]:
    """Fits that only need to be the same on all processes."""
    found = learned("no seed", VQTokenizer(**{**SMALL, "random_state": None}).fit(X))
    drawing = np.random.RandomState(int(os.environ["RANK"]))
    found |= learned("drawing", VQTokenizer(**{**SMALL, "random_state": drawing}).fit(X))
    found |= learned("bfloat16", SSLVQTokenizer(precision="bfloat16", **SMALL).fit(X))
    foreign = VQTokenizer(**{**SMALL, "quantizer": ModuleQuantizer(OwnCodebook())})
    found |= learned("foreign", foreign.fit(X))
    detector = AnomalyDetector(MaskGITGenerator(**PRIOR), validation_fraction=0.3).fit(X)
    return found | learned("detector", detector.generator_)


class Stop(EarlyStopping):
    """Stops at step 2 what process 1 sees of the training."""

    def on_epoch_end(self, net, **kwargs):
        if os.environ["RANK"] == "1" and net.steps_ == 2:
            raise KeyboardInterrupt


class Die(Callback):
    """Ends a process without a word before its step 14."""

    def on_batch_begin(self, net, **kwargs):
        if os.environ["RANK"] == os.environ.get("DIES") and net.steps_ == 13:
            os.kill(os.getpid(), signal.SIGKILL)


class Fail(Callback):
    """An error in process 1 only, in its second step."""

    def __init__(self, error):
        self.error = error

    def on_batch_begin(self, net, **kwargs):
        if os.environ["RANK"] == "1" and net.steps_ == 1:
            raise self.error


def error_of(function: Callable[[], Any]) -> str:
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def errors() -> dict[str, str]:
    """What fits say on this process, where something is wrong on one or on both."""
    rank = int(os.environ["RANK"])
    tokenizer = VQTokenizer(**SMALL)
    nested = MaskGITGenerator(**PRIOR)
    exploding = clone(tokenizer).set_params(lr=1e30, net_params={"gradient_clip": None})
    found = {
        "data": error_of(lambda: tokenizer.fit(X[rank:])),
        "parameter": error_of(lambda: clone(tokenizer).set_params(lr=1e-3 * (1 + rank)).fit(X)),
        "part": error_of(lambda: clone(nested).set_params(tokenizer__n_codes=8 + rank).fit(X)),
        "seed": error_of(lambda: clone(tokenizer).set_params(random_state=rank).fit(X)),
        "labels": error_of(lambda: nested.fit(X, (Y + rank) % 3)),
        "one check": error_of(lambda: clone(tokenizer).set_params(n_codes=8 - 9 * rank).fit(X)),
        "one y": error_of(lambda: nested.fit(X, Y[: len(Y) - rank])),
        "few": error_of(lambda: tokenizer.fit(X[:1])),
        "loss": error_of(lambda: exploding.fit(X)),
        # After all of these the processes still train.
        "after": error_of(lambda: tokenizer.fit(X)),
    }
    failing = clone(tokenizer).set_params(callbacks=[Fail(ZeroDivisionError("a callback"))])
    found["one step"] = error_of(lambda: failing.fit(X))
    return found | {"lost": error_of(lambda: tokenizer.fit(X))}


def memory_error() -> str:
    """What a fit says when a device of one process has no memory left."""
    error = torch.OutOfMemoryError("no memory")
    return error_of(lambda: VQTokenizer(**{**SMALL, "callbacks": [Fail(error)]}).fit(X))


def long_fit(**params: Any) -> Any:
    """A fit whose checkpoint a killed process leaves behind."""
    options = {"max_iter": 24, "callbacks": [Die()], **params}
    return MaskGITGenerator(**{**PRIOR, **options}).fit(X, Y)


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    # Slashes would become folders of the archive.
    np.savez(path, **{name.replace("/", "|"): array for name, array in arrays.items()})


def run_fits(folder: Path) -> None:
    """Everything that two processes can do in one start."""
    rank = int(os.environ["RANK"])
    # A group of the user's own is used, and stays.
    torch.distributed.init_process_group("gloo")
    with vqssl.data_parallel():
        save(folder / f"fits-{rank}.npz", fit_all(ROWS))
        save(folder / f"alike-{rank}.npz", unlike_one_process())
        resumed = long_fit(checkpoint_dir=str(folder / "checkpoint"))
        save(folder / f"resumed-{rank}.npz", learned("", resumed))
        save(folder / f"uninterrupted-{rank}.npz", learned("", long_fit()))
        stopped = VQTokenizer(**{**SMALL, "callbacks": [Stop()], "verbose": 2}).fit(X)
        save(folder / f"stopped-{rank}.npz", learned("", stopped))
    with vqssl.data_parallel():
        found = errors()
    with vqssl.data_parallel():
        found["memory"] = memory_error()
    assert torch.distributed.is_initialized()
    torch.distributed.destroy_process_group()
    (folder / f"errors-{rank}.txt").write_text("\n".join(f"{k}={v}" for k, v in found.items()))


def run_killed(folder: Path) -> None:
    """A fit that loses a process."""
    from vqssl import _checkpoint

    _checkpoint._PERIODS = 1
    _checkpoint._TRAINING_PER_WRITING = 0
    with vqssl.data_parallel():
        long_fit(checkpoint_dir=str(folder / "checkpoint"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ConvergenceWarning)
    {"fit": run_fits, "killed": run_killed}[sys.argv[1]](Path(sys.argv[2]))
