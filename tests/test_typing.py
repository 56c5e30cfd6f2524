"""What mypy says, in strict mode, to a program that uses vqssl."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

ROOT = Path(__file__).parents[1]

# An ignored error that does not come is an error in strict mode.
PROGRAM = """
from typing import assert_type

import numpy as np

from vqssl import VAE, AnomalyDetector, MaskGITGenerator, TokenizerClassifier, VQTokenizer
from vqssl import pad_series, sliding_windows
from vqssl.datasets import make_control_charts
from vqssl.losses import VICReg
from vqssl.metrics import frechet_distance

X, y = make_control_charts(10)
tokenizer = VQTokenizer(n_codes=8, random_state=0)
assert_type(tokenizer.fit(X), VQTokenizer)
assert_type(tokenizer.partial_fit(X), VQTokenizer)
assert_type(tokenizer.encode(X), np.ndarray)
assert_type(tokenizer.transform(X), np.ndarray)
assert_type(tokenizer.inverse_transform(X), np.ndarray)
assert_type(tokenizer.score(X), float)
assert_type(MaskGITGenerator(tokenizer).fit(X, y), MaskGITGenerator)
assert_type(MaskGITGenerator(tokenizer).sample(3), np.ndarray)
assert_type(AnomalyDetector().fit(X), AnomalyDetector)
assert_type(VAE(beta=4.0).fit(X), VAE)
assert_type(TokenizerClassifier().fit(X, y).predict(X), np.ndarray)
assert_type(pad_series([X]), tuple[np.ndarray, np.ndarray])
assert_type(sliding_windows(X, 4), np.ndarray)
assert_type(frechet_distance(X, X), float)
VICReg(covariance="large")  # type: ignore[arg-type]
VQTokenizer(codes=8)  # type: ignore[call-arg]
tokenizer.fit()  # type: ignore[call-arg]
n_codes: str = tokenizer.score(X)  # type: ignore[assignment]
"""


@pytest.mark.slow
def test_a_program_is_checked_in_strict_mode(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    # Errors in vqssl itself are `make check`'s.
    command += ["--follow-imports", "silent", "--ignore-missing-imports", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
