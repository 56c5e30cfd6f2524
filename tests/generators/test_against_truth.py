"""What a trained prior has learned, where the truth is known: chains over eight codes.

Smaller networks than the defaults and no dropout, to be quick; ``benchmarks/generators.py``
measures the defaults over several chains.
"""

import numpy as np
import pytest

from tests.generators.stubs import (
    SymbolTokenizer,
    bigram_kl,
    draw_chain,
    entropy,
    make_chain,
)
from vqssl import AutoregressiveGenerator, MaskGITGenerator
from vqssl.backbones import TransformerBackbone

pytestmark = pytest.mark.statistical

N_TOKENS = 16
CHAIN = make_chain(K=8)
TRAINING = draw_chain(CHAIN, 2000, N_TOKENS, seed=1)
STEPS = {MaskGITGenerator: 700, AutoregressiveGenerator: 300}


@pytest.fixture(
    scope="module",
    params=[MaskGITGenerator, pytest.param(AutoregressiveGenerator, marks=pytest.mark.slow)],
    ids=lambda kind: kind.__name__,
)
def fitted(request):
    generator = request.param(
        SymbolTokenizer(K=8),
        backbone=TransformerBackbone(width=64, dropout=0.0),
        max_iter=STEPS[request.param],
        random_state=0,
    )
    return generator.fit(TRAINING)


def test_neighbouring_codes_are_as_frequent_as_in_truth(fitted):
    samples = fitted.sample_codes(3000, random_state=0)
    assert bigram_kl(samples, CHAIN) < 0.02


def test_samples_are_no_training_sequences(fitted):
    known = {row.tobytes() for row in TRAINING}
    samples = fitted.sample_codes(500, random_state=0)
    assert np.mean([row.tobytes() in known for row in samples]) < 0.05


def test_the_likelihood_is_nearly_that_of_the_truth(fitted):
    X = draw_chain(CHAIN, 300, N_TOKENS, seed=2)
    assert -fitted.score(X) == pytest.approx(entropy(CHAIN, N_TOKENS), rel=0.03)


def test_a_class_is_drawn_from_its_own_chain():
    chains = [make_chain(K=8, seed=seed) for seed in (0, 1)]
    X = np.concatenate([draw_chain(chain, 500, N_TOKENS, seed=3) for chain in chains])
    generator = AutoregressiveGenerator(
        SymbolTokenizer(K=8), backbone=TransformerBackbone(width=32), max_iter=200, random_state=0
    ).fit(X, np.repeat(["first", "second"], 500))
    generator.set_params(guidance_scale=0.0)
    for label, chain, other in (("first", *chains), ("second", *chains[::-1])):
        samples = generator.sample_codes(1000, label, random_state=0)
        assert bigram_kl(samples, chain) < 0.1 < bigram_kl(samples, other)
    both = generator.sample_codes(1000, random_state=0)
    assert all(bigram_kl(both, chain) > 0.1 for chain in chains)
