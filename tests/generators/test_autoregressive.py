"""Autoregressive prior: exact probabilities, causality, the cache, what sampling draws from."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests.generators.stubs import (
    SymbolTokenizer,
    all_codes,
    draw_symbols,
)
from vqssl import AutoregressiveGenerator
from vqssl._seed import make_generator
from vqssl.backbones import TransformerBackbone
from vqssl.generators._autoregressive import CausalModelling, nucleus
from vqssl.generators._codes import log_probabilities
from vqssl.generators._decoding import draw_codes

SMALL = {
    "backbone": TransformerBackbone(width=8, n_blocks=2, n_heads=2),
    "lr": 0.02,
    "max_iter": 20,
    "batch_size": 32,
    "validation_fraction": 0.0,
    "device": "cpu",
    "random_state": 0,
}

# Sizes and groups: plain; the coarse group last on the token axis, sizes ragged; interleaved.
SPACES = {
    "one group": ([3, 3, 3, 3], None),
    "two groups, swapped": ([3, 2, 4, 3], [slice(2, 4), slice(0, 2)]),
    "interleaved": ([3, 1, 2, 4], [slice(1, None, 2), slice(0, None, 2)]),
}
every_space = pytest.mark.parametrize("space", SPACES)
every_label = pytest.mark.parametrize("label", [None, "a", "b"])

Y = np.repeat(["a", "b"], 30)


def make_series(sizes, seed=0):
    """Codes that lean to 0 in the first half of the rows; neighbours are alike."""
    series = draw_symbols(60, sizes, seed)
    series[:30] *= draw_symbols(30, [2] * len(sizes), seed + 1)
    series[:, 1] = np.minimum(series[:, 0], sizes[1] - 1)
    return series


def fit(sizes, groups=None, y=None, **options):
    tokenizer = SymbolTokenizer(sizes, groups)
    return AutoregressiveGenerator(tokenizer, **{**SMALL, **options}).fit(make_series(sizes), y)


@pytest.fixture(scope="module")
def fits():
    """Copies of generators by their space, fitted with classes."""
    fitted = {name: fit(*space, y=Y) for name, space in SPACES.items()}

    def get(space="one group", **params):
        return copy.deepcopy(fitted[space]).set_params(**params)

    return get


def order_of(generator):
    """Token positions in the order in which they are generated."""
    tokens = list(range(generator.n_tokens_))
    return [token for group in generator.token_groups_ for token in tokens[group]]


def some_codes(generator, n=5, seed=3):
    return torch.from_numpy(draw_symbols(n, generator.code_sizes_, seed)).long()


# ------------------------------------------------------------------------ exact probabilities


@every_space
@every_label
def test_probabilities_of_all_sequences_sum_to_one(fits, space, label):
    generator = fits(space)
    sequences = all_codes(generator.code_sizes_)
    y = None if label is None else [label] * len(sequences)
    p = np.exp(generator.score_samples(sequences, y).astype(float))
    assert p.sum() == pytest.approx(1, abs=1e-5)
    assert p.max() > 1.2 / len(sequences)  # not all alike


@every_space
def test_probabilities_of_all_sequences_sum_to_one_without_classes(space):
    generator = fit(*SPACES[space])
    p = np.exp(generator.score_samples(all_codes(generator.code_sizes_)).astype(float))
    assert p.sum() == pytest.approx(1, abs=1e-5)


@every_space
def test_score_samples_is_the_product_of_the_conditionals(fits, space):
    generator = fits(space)
    series = all_codes(generator.code_sizes_)[::7]
    for row, score in zip(
        series, generator.score_samples(series, ["b"] * len(series)), strict=True
    ):
        codes = torch.from_numpy(row[None]).long()
        logits = generator.model_(codes, torch.tensor([1]))[0].double()
        expected = 0.0
        for n, code in enumerate(codes[0].tolist()):
            weights = [math.exp(value) for value in logits[n].tolist()]
            expected += math.log(weights[code] / sum(weights))
        assert score == pytest.approx(expected, abs=1e-5)


@every_space
def test_scores_are_the_same_every_time_and_for_a_series_alone(fits, space):
    generator = fits(space)
    series = all_codes(generator.code_sizes_)[:20]
    scores = generator.score_samples(series)
    assert scores.dtype == np.float32
    assert_array_equal(generator.score_samples(series), scores)
    assert_array_equal(pickle.loads(pickle.dumps(generator)).score_samples(series), scores)
    assert_allclose(generator.score_samples(series[7:8]), scores[7:8], rtol=1e-5)


@every_space
def test_the_loss_of_training_is_the_negative_log_likelihood_per_token(fits, space):
    generator = fits(space)
    codes = some_codes(generator, 20)
    labels = torch.arange(20) % 2
    task = CausalModelling(generator.model_, 0.0)
    terms = task(codes, labels, make_generator(0))
    scores = generator.score_samples(codes.numpy(), np.array(["a", "b"])[labels])
    assert_allclose(sum(terms.values()), -scores.mean() / 4, rtol=1e-5)
    assert len(terms) == len(generator.token_groups_)


def test_training_hides_labels_by_class_dropout_and_validation_does_not(fits):
    task = CausalModelling(fits().model_, 0.3)
    seen = []
    task.model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    codes, labels = torch.zeros(200, 4, dtype=torch.int64), torch.zeros(200, dtype=torch.int64)
    task.train()(codes, labels, make_generator(0))
    task.eval()(codes, labels, make_generator(0))
    assert set(seen[0].tolist()) == {0, 2}
    assert 30 < (seen[0] == 2).sum() < 90
    assert torch.equal(seen[1], labels)


# ------------------------------------------------------------------------------- causality


@every_space
@pytest.mark.parametrize("place", range(4))
def test_a_token_changes_the_logits_of_those_after_it_only(fits, space, place):
    generator = fits(space)
    order = order_of(generator)
    codes, labels = some_codes(generator), torch.tensor([0, 1, 2, 0, 1])
    changed = codes.clone()
    token = order[place]
    changed[:, token] = (changed[:, token] + 1) % int(generator.code_sizes_[token])
    before, after = generator.model_(codes, labels), generator.model_(changed, labels)
    early = order[: place + 1]
    assert torch.equal(after[:, early], before[:, early])
    if generator.code_sizes_[token] > 1:
        for late in order[place + 1 :]:
            if generator.code_sizes_[late] > 1:
                size = generator.code_sizes_[late]
                difference = (after - before)[:, late, :size].abs().amax(1)
                assert (difference > 1e-6).all()


def test_the_first_token_knows_the_class(fits):
    model = fits().model_
    codes = torch.zeros(3, 4, dtype=torch.int64)
    logits = model(codes, torch.tensor([0, 1, 2]))[:, 0]
    assert (logits[0] - logits[1]).abs().max() > 0.01
    assert (logits[0] - logits[2]).abs().max() > 0.001


def test_tokens_after_equal_codes_know_their_places():
    # Without blocks the network itself knows of none.
    backbone = TransformerBackbone(width=8, n_blocks=0, n_heads=2)
    model = fit([3, 3, 3, 3], backbone=backbone).model_
    logits = model(torch.zeros(1, 4, dtype=torch.int64), torch.tensor([0]))[0, 1:]
    assert (torch.cdist(logits, logits) + torch.eye(3) > 1e-4).all()


@every_space
@pytest.mark.parametrize("scale", [0.0, 2.0])
def test_logits_token_by_token_are_those_of_the_whole_pass(fits, space, scale, monkeypatch):
    # Sampling keeps keys and values; the pass over the finished codes does not.
    generator = fits(space, guidance_scale=scale)
    seen = []

    def remembering(logits, u):
        seen.append(logits)
        return draw_codes(logits, u)

    monkeypatch.setattr("vqssl.generators._autoregressive.draw_codes", remembering)
    codes = torch.from_numpy(generator.sample_codes(20, "b", random_state=0))
    own, free = (generator.model_(codes, torch.full((20,), label)) for label in (1, 2))
    whole = (1 + scale) * own - scale * free
    assert len(seen) == 4
    for logits, token in zip(seen, order_of(generator), strict=True):
        size = int(generator.code_sizes_[token])
        p = logits.softmax(1)
        expected = whole[:, token, :size].softmax(1)
        torch.testing.assert_close(p[:, :size], expected, rtol=1e-4, atol=1e-5)
        assert (p[:, size:] == 0).all()


def test_log_probabilities_are_those_of_the_softmax():
    logits = torch.tensor([[[0.0, math.log(3)], [1.0, -math.inf]]])
    codes = torch.tensor([[1, 0]])
    assert_allclose(log_probabilities(logits, codes), [[math.log(0.75), 0.0]], atol=1e-6)


# --------------------------------------------------------------------------------- nucleus

some_logits = st.lists(
    st.one_of(st.just(-math.inf), st.floats(-20, 20, width=32)), min_size=1, max_size=10
)


@given(logits=some_logits, top_p=st.floats(1e-6, 1, exclude_min=True))
@example(logits=[0.0, 0.0, 0.0, 0.0], top_p=0.5)
@example(logits=[20.0, -20.0], top_p=0.9999999)
@example(logits=[0.0, 1.0], top_p=1e-300)
def test_the_nucleus_is_the_smallest_set_of_likely_codes_with_the_probability(logits, top_p):
    assume(max(logits) > -math.inf)
    logits = torch.tensor(logits)
    kept_logits = nucleus(logits, top_p)
    kept = kept_logits > -math.inf
    assert kept.any()
    assert torch.equal(kept_logits[kept], logits[kept])
    p = logits.double().softmax(0)
    assert p[kept].sum() > top_p - 1e-5
    assert p[kept].sum() - p[kept].min() < top_p + 1e-5  # each of them is needed
    outside = ~kept & logits.isfinite()
    if outside.any():
        assert logits[outside].max() <= logits[kept].min()


def test_the_nucleus_of_known_probabilities():
    logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log()
    for top_p, expected in ((0.01, [1]), (0.49, [1]), (0.6, [1, 3]), (0.9, [0, 1, 3])):
        assert nucleus(logits, top_p).isfinite().nonzero().flatten().tolist() == expected
    assert torch.equal(nucleus(logits, 1.0), logits)


def test_rows_of_a_batch_have_nuclei_of_their_own():
    rows = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.45, 0.45], [0.2, 0.1, 0.7]]).log()
    kept = nucleus(rows.unsqueeze(0), 0.6)[0] > -math.inf
    assert kept.tolist() == [[True, False, False], [False, True, True], [False, False, True]]


# --------------------------------------------------------------------------------- sampling

N_SAMPLES = 4096


def shares_of_sequences(codes, sizes):
    """Share of every possible sequence in codes (n, N), in the order of `all_codes`."""
    numbers = np.ravel_multi_index(codes.T, sizes)
    return np.bincount(numbers, minlength=math.prod(sizes)) / len(codes)


def assert_shares(shares, p, n=N_SAMPLES):
    error = np.sqrt(p * (1 - p) / n)
    assert (np.abs(shares - p) <= 4.5 * error + 1e-7).all()
    # Chi squared: mean K - 1, variance 2 (K - 1).
    statistic, df = n * ((shares - p) ** 2 / p).sum(), len(p) - 1
    assert statistic < df + 5 * math.sqrt(2 * df)


@pytest.mark.statistical
@every_label
def test_samples_of_all_sequences_are_as_frequent_as_their_probabilities(label):
    generator = fit([2, 2, 2], y=Y, guidance_scale=0.0)
    codes = generator.sample_codes(N_SAMPLES, label, random_state=0)
    y = None if label is None else [label] * 8
    p = np.exp(generator.score_samples(all_codes([2, 2, 2]), y).astype(float))
    assert_shares(shares_of_sequences(codes, (2, 2, 2)), p)


@pytest.mark.statistical
@every_space
def test_samples_of_groups_are_as_frequent_as_their_probabilities(fits, space):
    generator = fits(space, guidance_scale=0.0)
    sizes = tuple(generator.code_sizes_)
    sequences = all_codes(sizes)
    p = np.exp(generator.score_samples(sequences, ["a"] * len(sequences)).astype(float))
    codes = generator.sample_codes(N_SAMPLES, "a", random_state=0)
    assert_shares(shares_of_sequences(codes, sizes), p / p.sum())


def sampled_distribution(generator, *, temperature=1.0, top_p=1.0, scale=0.0):
    """Probability of every sequence of class b under guidance, temperature and nucleus."""
    sequences = all_codes(generator.code_sizes_)
    codes = torch.from_numpy(sequences).long()
    own, free = (
        generator.model_(codes, torch.full((len(codes),), label)).double().numpy()
        for label in (1, 2)
    )
    logits = ((1 + scale) * own - scale * free) / temperature
    p = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    for row in p.reshape(-1, p.shape[2]):
        kept, mass = [], 0.0
        for code in sorted(range(len(row)), key=lambda code: -row[code]):
            if mass < top_p:
                kept.append(code)
                mass += row[code]
        row[[code for code in range(len(row)) if code not in kept]] = 0
        row /= row.sum()
    return np.take_along_axis(p, codes.numpy()[..., None], 2).squeeze(2).prod(1)


@pytest.mark.statistical
@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.5},
        {"temperature": 2.0},
        {"top_p": 0.6},
        {"scale": 1.0},
        {"temperature": 0.7, "top_p": 0.8, "scale": 2.0},
    ],
    ids=str,
)
def test_sampling_options_change_the_distribution_as_they_say(fits, options):
    params = {"guidance_scale": 0.0, **options}
    params["guidance_scale"] = params.pop("scale", 0.0)
    generator = fits(**params)
    p = sampled_distribution(generator, **options)
    assert p.sum() == pytest.approx(1)
    shares = shares_of_sequences(generator.sample_codes(N_SAMPLES, "b", random_state=0), (3,) * 4)
    assert (shares[p == 0] == 0).all()
    assert_shares(shares[p > 0], p[p > 0])
    # Other than the prior as it is, by more than the error of the shares.
    assert np.abs(p - sampled_distribution(generator)).sum() > 0.1


@every_space
@pytest.mark.parametrize("params", [{"top_p": 1e-6}, {"temperature": 1e-6}], ids=str)
def test_a_tiny_top_p_or_temperature_takes_the_likeliest_code_each_time(fits, space, params):
    generator = fits(space, guidance_scale=0.0, **params)
    codes = generator.sample_codes(30, "a", random_state=0)
    assert (codes == codes[0]).all()
    logits = generator.model_(torch.from_numpy(codes[:1]), torch.tensor([0]))[0]
    assert_array_equal(logits.argmax(1), codes[0])


def test_guidance_scale_zero_is_plain_conditional_sampling(fits):
    plain = fits(guidance_scale=0.0).sample_codes(60, "b", random_state=0)
    nearly = fits(guidance_scale=1e-9).sample_codes(60, "b", random_state=0)
    strong = fits(guidance_scale=4.0).sample_codes(60, "b", random_state=0)
    assert_array_equal(nearly, plain)
    assert (strong != plain).any()


def test_guidance_does_nothing_without_a_class(fits):
    for generator in (fits(), fit([3, 3, 3, 3])):
        plain = generator.set_params(guidance_scale=0.0).sample_codes(60, random_state=0)
        guided = generator.set_params(guidance_scale=5.0).sample_codes(60, random_state=0)
        assert_array_equal(guided, plain)


WRONG = [
    ("temperature", 0, ValueError, "temperature must be a finite number above 0; got 0"),
    ("guidance_scale", math.inf, ValueError, "guidance_scale must be a finite number of at least"),
    ("top_p", 0, ValueError, r"top_p must be a number in \(0, 1\]; got 0"),
    ("top_p", 1.5, ValueError, r"top_p must be a number in .0, 1\]; got 1\.5"),
    ("top_p", "all", TypeError, r"top_p must be a number in .0, 1\]; got 'all'"),
]


@pytest.mark.parametrize(("name", "value", "error", "message"), WRONG)
def test_wrong_parameters_of_sampling_are_refused_by_sample(fits, name, value, error, message):
    with pytest.raises(error, match=message):
        fits(**{name: value}).sample(2)


@every_space
def test_samples_are_codes_that_the_tokens_can_have(fits, space):
    generator = fits(space)
    codes = generator.sample_codes(300, random_state=0)
    assert codes.min() >= 0
    assert (codes < generator.code_sizes_).all()
    assert_array_equal(codes.max(0), generator.code_sizes_ - 1)
