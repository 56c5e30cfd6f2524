"""What is compared: a name, and how it is made for a seed."""

from collections.abc import Callable
from typing import Any

from generation_rows.baselines import Jittered, Mixture, TrainingSet
from vqssl import (
    AutoregressiveGenerator,
    BandVQTokenizer,
    MaskGITGenerator,
    SSLVQTokenizer,
    VQTokenizer,
)

METHODS: dict[str, Callable[[int], Any]] = {
    "maskgit": lambda seed: MaskGITGenerator(random_state=seed),
    "maskgit-vq": lambda seed: MaskGITGenerator(VQTokenizer(), random_state=seed),
    "maskgit-ssl": lambda seed: MaskGITGenerator(SSLVQTokenizer(), random_state=seed),
    "maskgit-bands": lambda seed: MaskGITGenerator(BandVQTokenizer(), random_state=seed),
    "autoregressive-vq": lambda seed: AutoregressiveGenerator(VQTokenizer(), random_state=seed),
    "autoregressive-ssl": lambda seed: AutoregressiveGenerator(SSLVQTokenizer(), random_state=seed),
    "mixture": Mixture,
    "training-set": TrainingSet,
    "jittered": Jittered,
}
