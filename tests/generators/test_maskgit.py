"""MaskGIT: the masks and loss of training, the bound of score_samples, options of sampling."""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from tests.generators.stubs import SymbolTokenizer, all_codes, draw_symbols
from vqssl import MaskGITGenerator
from vqssl._seed import initialise, make_generator, materialise
from vqssl._steps import Budget
from vqssl.backbones import TransformerBackbone
from vqssl.backbones._transformer import pick
from vqssl.generators._codes import CodeSpace
from vqssl.generators._decoding import MASK
from vqssl.generators._guidance import drop_labels, guide
from vqssl.generators._masked import (
    MaskedModelling,
    MaskedPrior,
    masked_cross_entropy,
    spread_uniform,
)

SMALL = {
    "backbone": TransformerBackbone(width=8, n_blocks=1, n_heads=2),
    "lr": 0.02,
    "max_iter": 20,
    "batch_size": 32,
    "validation_fraction": 0.0,
    "device": "cpu",
    "random_state": 0,
}

ONE_GROUP = {"K": 4, "groups": None}
# The coarse group comes last on the token axis; its tokens have fewer codes.
TWO_GROUPS = {"K": [4, 4, 4, 4, 3, 2], "groups": [slice(4, 6), slice(0, 4)]}
every_grouping = pytest.mark.parametrize("tokenizer", [ONE_GROUP, TWO_GROUPS], ids=["one", "two"])

Y = np.repeat(["a", "b"], 40)


def make_series(y=Y, seed=0):
    """Series whose codes lean to 0 in class a and to 1 in class b."""
    rng = np.random.default_rng(seed)
    leaning = np.where(y == "a", 0, 1)[:, None]
    return np.where(rng.random((len(y), 6)) < 0.7, leaning, rng.integers(0, 2, (len(y), 6))) * 1.0


X = make_series()


def make_task(groups, n_tokens, schedule="cosine", n_blocks=1, **options):
    """The task as an estimator makes it, four codes and two classes, with vectors of some size."""
    space = CodeSpace([4] * n_tokens, groups, 8)
    part = TransformerBackbone(width=8, n_blocks=n_blocks, n_heads=2, dropout=0.0)
    prior = MaskedPrior(space, part.build(causal=False), n_classes=2)
    model = initialise(materialise(prior), make_generator(0))
    with torch.no_grad():
        space.table.weight *= 50
    options = {"class_dropout": 0.0, "label_smoothing": 0.0, **options}
    return MaskedModelling(model, schedule, **options)


def draw_masks(task, n_rows, seed=0):
    codes = torch.zeros(n_rows, task.model.space.n_tokens, dtype=torch.int64)
    return task._masks(codes, make_generator(seed))


def watched(model, action):
    """What `action()` shows to a model: codes and labels of every call."""
    calls, hidden = [], model.hidden

    def watch(codes, labels, generator=None, at=None):
        calls.append((codes.clone(), labels.clone()))
        return hidden(codes, labels, generator, at)

    model.hidden = watch
    try:
        action()
    finally:
        del model.hidden
    return calls


@pytest.fixture(scope="module")
def fits():
    """Fitted generators by what they were fitted with; tests change copies only."""
    of_groups = {}
    for tokenizer in (ONE_GROUP, TWO_GROUPS):
        for y in (None, Y):
            generator = MaskGITGenerator(SymbolTokenizer(**tokenizer), **SMALL).fit(X, y)
            of_groups[tokenizer["groups"] is None, y is None] = generator

    def get(tokenizer=ONE_GROUP, *, conditional=False, **params):
        generator = copy.deepcopy(of_groups[tokenizer["groups"] is None, not conditional])
        return generator.set_params(**params)

    return get


# --------------------------------------------------------------------------- masks of training


def test_numbers_spread_over_the_interval_have_one_in_each_part():
    drawn = spread_uniform(40, make_generator(0), torch.zeros(1))
    parts = 40 * drawn.sort().values - torch.arange(40)
    assert parts.min() > -1e-5
    assert parts.max() < 1 + 1e-5
    assert parts.std() > 0.2  # anywhere in them
    assert (drawn.diff() < 0).any()  # in random order


@pytest.mark.statistical
def test_every_row_of_spread_numbers_is_uniform():
    drawn = torch.stack([spread_uniform(5, make_generator(s), torch.zeros(1)) for s in range(2000)])
    error = 1 / math.sqrt(12 * 2000)
    assert_allclose(drawn.mean(0), np.full(5, 0.5), atol=4 * error)
    assert_allclose(drawn.square().mean(0), np.full(5, 1 / 3), atol=4 * error)


@pytest.mark.statistical
@pytest.mark.parametrize(("n", "share"), [(16, 0.665), (32, 0.651)])
def test_the_mean_share_of_masked_tokens_is_that_of_the_cosine(n, share):
    expected = sum(2 / math.pi * math.acos(m / n) for m in range(n)) / n
    assert expected == pytest.approx(share, abs=5e-4)
    task = make_task([slice(0, n)], n)
    shares = [draw_masks(task, 64, seed)[0].double().mean().item() for seed in range(200)]
    error = np.std(shares) / math.sqrt(len(shares))
    assert error < 1e-3
    assert np.mean(shares) == pytest.approx(expected, abs=4 * error)


@pytest.mark.statistical
@pytest.mark.parametrize(("schedule", "integral"), [("linear", 1 / 2), ("square", 2 / 3)])
def test_the_schedule_decides_the_share_of_masked_tokens(schedule, integral):
    # With many tokens the mean share is the integral of gamma.
    task = make_task([slice(0, 400)], 400, schedule)
    assert draw_masks(task, 500)[0].double().mean() == pytest.approx(integral, abs=3e-3)


@given(n_tokens=st.integers(1, 12), n_rows=st.integers(1, 9), seed=st.integers(0, 1000))
def test_every_series_has_a_masked_token(n_tokens, n_rows, seed):
    masked, hidden = draw_masks(make_task([slice(0, n_tokens)], n_tokens), n_rows, seed)
    assert masked.shape == (n_rows, n_tokens)
    assert masked.any(1).all()
    assert torch.equal(masked, hidden)


def test_a_series_at_the_end_of_the_schedule_has_a_masked_token(monkeypatch):
    # The largest ratio of a large batch can round to one.
    monkeypatch.setattr(
        "vqssl.generators._masked.spread_uniform", lambda n, generator, like: torch.ones(n)
    )
    masked, _ = draw_masks(make_task([slice(0, 6)], 6), 5)
    assert masked.sum(1).tolist() == [1] * 5


def test_each_series_has_a_number_of_masks_of_its_own():
    masked, _ = draw_masks(make_task([slice(0, 64)], 64), 100)
    counts = masked.sum(1)
    assert counts.min() <= 3
    assert counts.max() == 64
    assert len(counts.unique()) > 35


@pytest.mark.statistical
def test_every_token_is_masked_equally_often():
    task = make_task([slice(0, 3), slice(3, 8)], 8)
    masked, _ = draw_masks(task, 20_000)
    shares = masked.double().mean(0)
    assert_allclose(shares[:3], np.full(3, shares[:3].mean()), atol=0.02)
    assert_allclose(shares[3:], np.full(5, shares[3:].mean()), atol=0.02)


@pytest.mark.parametrize(
    "groups",
    [[slice(0, 3), slice(3, 9)], [slice(3, 9), slice(0, 3)], [slice(0, 9, 2), slice(1, 9, 2)]],
)
def test_one_group_is_predicted_with_coarser_ones_visible_and_finer_ones_hidden(groups):
    masked, hidden = draw_masks(make_task(groups, 9), 200)
    coarse, fine = (torch.arange(9)[group] for group in groups)
    predicts_coarse = masked[:, coarse].any(1)
    predicts_fine = masked[:, fine].any(1)
    assert (predicts_coarse ^ predicts_fine).all()
    assert predicts_coarse.any()
    assert predicts_fine.any()
    assert hidden[predicts_coarse][:, fine].all()
    assert not hidden[predicts_fine][:, coarse].any()
    for group, rows in ((coarse, predicts_coarse), (fine, predicts_fine)):
        assert torch.equal(hidden[rows][:, group], masked[rows][:, group])


def test_the_middle_one_of_three_groups_sees_the_first_and_not_the_last():
    task = make_task([slice(4, 6), slice(2, 4), slice(0, 2)], 6)
    masked, hidden = draw_masks(task, 300)
    middle = masked[:, 2:4].any(1)
    assert middle.any()
    assert not hidden[middle][:, 4:].any()
    assert hidden[middle][:, :2].all()


@pytest.mark.statistical
def test_groups_are_predicted_by_their_share_of_the_tokens():
    n_rows, share = 20_000, 3 / 16
    masked, _ = draw_masks(make_task([slice(0, 3), slice(3, 16)], 16), n_rows)
    error = math.sqrt(share * (1 - share) / n_rows)
    assert masked[:, :3].any(1).double().mean() == pytest.approx(share, abs=4 * error)


@pytest.mark.statistical
def test_the_number_of_masks_in_a_group_follows_the_schedule_of_its_size():
    n = 4
    expected = sum(2 / math.pi * math.acos(m / n) for m in range(n))
    masked, _ = draw_masks(make_task([slice(0, n), slice(n, 12)], 12), 20_000)
    counts = masked[:, :n].sum(1)
    assert counts[counts > 0].double().mean() == pytest.approx(expected, abs=0.07)


# ---------------------------------------------------------------------------- loss of training


def a_batch(n_codes=5, seed=0):
    """Logits (B, N, K), codes, masks and forbidden codes; the last code of token 0 is."""
    generator = make_generator(seed)
    logits = torch.randn(4, 3, n_codes, generator=generator, dtype=torch.float64)
    forbidden = torch.zeros(3, n_codes, dtype=torch.bool)
    forbidden[0, -1] = True
    forbidden[2, 2:] = True
    logits = logits.masked_fill(forbidden, -math.inf).requires_grad_()
    codes = torch.randint(2, (4, 3), generator=generator)
    masked = torch.tensor([[1, 0, 0], [1, 1, 1], [0, 1, 1], [0, 0, 1]]).bool()
    return logits, codes, masked, forbidden


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_masked_cross_entropy_is_the_plain_loop(smoothing):
    logits, codes, masked, forbidden = a_batch()
    losses = masked_cross_entropy(logits, codes, masked, forbidden, smoothing)
    for b in range(4):
        for n in range(3):
            allowed = [k for k in range(5) if not forbidden[n, k]]
            log_sum = math.log(sum(math.exp(logits[b, n, k].item()) for k in allowed))
            expected = 0.0
            for k in allowed:
                target = (1 - smoothing) * (k == codes[b, n].item()) + smoothing / len(allowed)
                expected -= target * (logits[b, n, k].item() - log_sum)
            expected = expected / masked[b].sum().item() if masked[b, n] else 0.0
            assert losses[b, n].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_visible_tokens_and_forbidden_codes_get_no_gradient(smoothing):
    logits, codes, masked, forbidden = a_batch()
    masked_cross_entropy(logits, codes, masked, forbidden, smoothing).sum().backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad[~masked] == 0).all()
    assert (logits.grad[:, forbidden] == 0).all()
    allowed = masked.unsqueeze(2) & ~forbidden
    assert (logits.grad[allowed] != 0).all()


def test_each_series_weighs_the_same_whatever_its_number_of_masks():
    logits = torch.zeros(3, 4, 6)
    masked = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]).bool()
    forbidden = torch.zeros(4, 6, dtype=torch.bool)
    losses = masked_cross_entropy(logits, torch.zeros(3, 4, dtype=torch.int64), masked, forbidden)
    assert_allclose(losses.sum(1), np.full(3, math.log(6)), rtol=1e-6)


@pytest.mark.parametrize("groups", [[slice(0, 6)], [slice(4, 6), slice(0, 4)]], ids=["one", "two"])
def test_training_predicts_what_it_does_not_show(groups):
    task = make_task(groups, 6)
    generator = make_generator(3)
    codes = torch.randint(4, (30, 6), generator=generator)
    labels = torch.randint(2, (30,), generator=generator)
    terms = {}
    ((shown, shown_labels),) = watched(
        task.model, lambda: terms.update(task(codes, labels, generator))
    )
    assert torch.equal(shown_labels, labels)
    visible = shown != MASK
    assert torch.equal(shown[visible], codes[visible])
    log_p = task.model(shown, labels).log_softmax(2)
    expected = dict.fromkeys(range(len(groups)), 0.0)
    for b in range(30):
        # The first group, coarse to fine, that is not all visible is the one to predict.
        for number, group in enumerate(groups):
            tokens = [n for n in torch.arange(6)[group].tolist() if not visible[b, n]]
            if tokens:
                finer = [n for other in groups[number + 1 :] for n in torch.arange(6)[other]]
                assert not visible[b, finer].any()
                nll = -sum(log_p[b, n, codes[b, n]].item() for n in tokens) / len(tokens)
                expected[number] += nll / 30
                break
    assert list(terms) == (["masked_nll"] if len(groups) == 1 else ["masked_nll_0", "masked_nll_1"])
    assert_allclose([term.item() for term in terms.values()], list(expected.values()), rtol=1e-5)


def test_label_smoothing_reaches_the_loss_of_training_and_not_that_of_validation():
    codes = torch.zeros(20, 6, dtype=torch.int64)
    labels = torch.zeros(20, dtype=torch.int64)
    losses = []
    for smoothing in (0.0, 0.5, 0.999999):
        task = make_task([slice(0, 6)], 6, label_smoothing=smoothing)
        with torch.no_grad():
            task.model.space.heads[0].bias.copy_(torch.tensor([9.0, 0.0, 0.0, 0.0]))
        losses.append(task(codes, labels, make_generator(0))["masked_nll"].item())
    assert losses[0] < 0.1
    assert losses[1] > 3
    assert losses[2] > 6
    # The last one held against the truth alone.
    held_out = task.eval()(codes, labels, make_generator(0))["masked_nll"].item()
    assert held_out == pytest.approx(losses[0])


# ------------------------------------------------------------------------------ class dropout


@pytest.mark.statistical
def test_class_dropout_hides_its_share_of_the_labels():
    labels = torch.arange(20_000) % 3
    dropped = drop_labels(labels, 0.2, 3, make_generator(0))
    hidden = dropped == 3
    error = math.sqrt(0.2 * 0.8 / 20_000)
    assert hidden.double().mean() == pytest.approx(0.2, abs=4 * error)
    assert torch.equal(dropped[~hidden], labels[~hidden])


@pytest.mark.parametrize(("rate", "no_class"), [(0.0, 3), (0.9, 0)])
def test_nothing_is_hidden_where_there_is_nothing_to_hide(rate, no_class):
    labels = torch.zeros(100, dtype=torch.int64)
    assert torch.equal(drop_labels(labels, rate, no_class, make_generator(0)), labels)


def test_training_hides_labels_by_class_dropout_and_validation_does_not():
    task = make_task([slice(0, 6)], 6, class_dropout=0.5)
    codes, labels = torch.zeros(200, 6, dtype=torch.int64), torch.ones(200, dtype=torch.int64)
    ((_, shown),) = watched(task.model, lambda: task(codes, labels, make_generator(0)))
    assert set(shown.tolist()) == {1, 2}
    assert 60 < (shown == 2).sum() < 140
    ((_, shown),) = watched(task.model, lambda: task.eval()(codes, labels, make_generator(0)))
    assert torch.equal(shown, labels)


# ------------------------------------------------------------------------------------ network


@pytest.mark.parametrize("token", range(4))
def test_every_visible_token_and_the_class_change_the_logits_of_all(token):
    model = make_task([slice(0, 2), slice(2, 4)], 4).model
    codes, labels = torch.tensor([[0, 1, 2, MASK]]), torch.tensor([0])
    before = model(codes, labels)
    changed = codes.clone()
    changed[0, token] = 3
    assert ((model(changed, labels) - before).abs().sum(2) > 1e-6).all()
    assert ((model(codes, torch.tensor([1])) - before).abs().sum(2) > 1e-6).all()


@pytest.mark.parametrize("n_blocks", [0, 1])
def test_masked_tokens_know_their_places(n_blocks):
    # Without blocks the network itself knows of none.
    model = make_task([slice(0, 5)], 5, n_blocks=n_blocks).model
    logits = model(torch.full((1, 5), MASK), torch.tensor([0]))[0]
    assert (torch.cdist(logits, logits) + torch.eye(5) > 1e-5).all()


# -------------------------------------------------------------------------------------- score


def plain_likelihood(generator, codes, labels, masks):
    """Token after token, one series at a time, in the order in which `masks` uncover them."""
    tokens = list(range(generator.n_tokens_))
    groups = [tokens[group] for group in generator.token_groups_]
    assert masks[0].all()
    after = [*masks[1:], np.zeros(len(tokens), dtype=bool)]
    order = [
        int(np.flatnonzero(now & ~then).item()) for now, then in zip(masks, after, strict=True)
    ]
    # Coarser groups first, every token once.
    start = 0
    for group in groups:
        assert sorted(order[start : start + len(group)]) == sorted(group)
        start += len(group)
    totals = np.zeros(len(codes))
    for row, (sequence, label) in enumerate(zip(codes, labels, strict=True)):
        for token, mask in zip(order, masks, strict=True):
            shown = torch.tensor([[MASK if h else c for h, c in zip(mask, sequence, strict=True)]])
            logits = generator.model_(shown, torch.tensor([label]))[0, token].double()
            totals[row] += logits.log_softmax(0)[sequence[token]].item()
    return totals


@every_grouping
@pytest.mark.parametrize("conditional", [False, True])
def test_score_samples_is_the_likelihood_in_one_order(fits, tokenizer, conditional):
    generator = fits(tokenizer, conditional=conditional)
    y = Y[:40:8].copy()
    y[::2] = "b"
    series = X[:40:8]
    calls = watched(
        generator.model_, lambda: generator.score_samples(series, y if conditional else None)
    )
    masks = []
    for shown, _ in calls:
        hidden = (shown == MASK).numpy()
        assert (hidden == hidden[0]).all()  # one mask for all rows
        masks.append(hidden[0])
    labels = [int(label == "b") for label in y] if conditional else [0] * 5
    scores = generator.score_samples(series, y if conditional else None)
    assert scores.dtype == np.float32
    expected = plain_likelihood(generator, series.astype(int).tolist(), labels, masks)
    assert_allclose(scores, expected, rtol=1e-5)
    assert np.ptp(scores) > 0.01  # they do depend on the codes


def test_score_without_a_class_asks_the_prior_for_no_class(fits):
    generator = fits(conditional=True)
    calls = watched(generator.model_, lambda: generator.score_samples(X[:3]))
    assert {label for _, labels in calls for label in labels.tolist()} == {2}


@every_grouping
def test_the_score_of_a_series_does_not_depend_on_the_others(fits, tokenizer):
    generator = fits(tokenizer, conditional=True)
    together = generator.score_samples(X, Y)
    for i in (0, 41, 79):
        alone = generator.score_samples(X[i : i + 1], Y[i : i + 1])
        assert_allclose(alone, together[i : i + 1], rtol=1e-5)
    assert_allclose(generator.score_samples(X[::-1], Y[::-1]), together[::-1], rtol=1e-5)


@every_grouping
def test_scores_are_the_same_every_time(fits, tokenizer):
    generator = fits(tokenizer)
    scores = generator.score_samples(X)
    generator.sample_codes(3)
    assert_array_equal(generator.score_samples(X), scores)
    assert_array_equal(pickle.loads(pickle.dumps(generator)).score_samples(X), scores)
    assert_array_equal(clone(generator).fit(X).score_samples(X), scores)
    # Sampling may be set otherwise: the score is that of the prior.
    generator.set_params(temperature=0.1, n_steps=1, order="random", schedule="linear")
    assert_array_equal(generator.score_samples(X), scores)


def test_the_order_of_the_score_is_that_of_the_seed(fits):
    one, other = fits(), clone(fits()).set_params(random_state=1).fit(X)
    shown = [watched(g.model_, lambda g=g: g.score_samples(X[:1])) for g in (one, other)]
    masks = [[(codes == MASK).tolist() for codes, _ in calls] for calls in shown]
    assert masks[0] != masks[1]


def test_probabilities_of_all_sequences_sum_to_one():
    # In whatever order, and whatever has been learned: a likelihood, no pseudo-likelihood.
    for groups in (None, [slice(1, 4, 2), slice(0, 4, 2)]):
        X = draw_symbols(40, [3] * 4)
        generator = MaskGITGenerator(SymbolTokenizer(K=3, groups=groups), **SMALL).fit(X)
        log_p = generator.score_samples(all_codes([3] * 4)).astype(float)
        assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-5)


@every_grouping
def test_some_tokens_are_predicted_as_among_all(fits, tokenizer):
    model = fits(tokenizer, conditional=True).model_
    generator = make_generator(0)
    codes = torch.randint(-1, 2, (7, 6), generator=generator)
    labels = torch.randint(3, (7,), generator=generator)
    at = torch.randint(6, (7, 4), generator=generator)
    expected = model(codes, labels)[torch.arange(7).unsqueeze(1), at]
    torch.testing.assert_close(model.predict(codes, labels, at), expected)


# ----------------------------------------------------------------------------------- guidance


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_guidance_goes_from_no_class_through_the_class_and_beyond(scale):
    generator = make_generator(0)
    table = torch.randn(3, 2, 5, generator=generator)  # label, token, code
    table[:, 1, 3:] = -math.inf

    def predict(codes, labels, at):
        return pick(table[labels] + codes.unsqueeze(2), at)

    labels = torch.tensor([1, 0, 1, 1])
    codes = torch.randint(5, (4, 2), generator=generator)
    at = torch.tensor([[1, 0], [0, 1], [1, 1], [0, 0]])
    guided = guide(predict, labels, 2, scale)(codes, at)
    own, free = predict(codes, labels, at), predict(codes, torch.full((4,), 2), at)
    allowed = own.isfinite()
    expected = (1 + scale) * own[allowed] - scale * free[allowed]
    assert_allclose(guided[allowed], expected, rtol=1e-4, atol=1e-5)
    assert (guided[~allowed] == -math.inf).all()


@pytest.mark.parametrize(("labels", "scale"), [([0, 1], 0.0), ([2, 2], 3.0)])
def test_no_guidance_asks_once(labels, scale):
    asked = []

    def predict(codes, labels, at):
        asked.append((codes, labels, at))
        return torch.zeros(2, 3, 4)

    labels, codes = torch.tensor(labels), torch.zeros(2, 3, dtype=torch.int64)
    at = torch.tensor([[2], [0]])
    guide(predict, labels, 2, scale)(codes, at)
    assert len(asked) == 1
    assert torch.equal(asked[0][0], codes)
    assert torch.equal(asked[0][1], labels)
    assert torch.equal(asked[0][2], at)


def test_guidance_scale_zero_is_plain_conditional_sampling(fits):
    generator = fits(conditional=True, guidance_scale=0.0)
    plain = generator.sample_codes(60, "b", random_state=0)
    calls = watched(generator.model_, lambda: generator.sample_codes(60, "b", random_state=0))
    assert all(labels.tolist() == [1] * 60 for _, labels in calls)
    nearly = generator.set_params(guidance_scale=1e-9).sample_codes(60, "b", random_state=0)
    assert_array_equal(nearly, plain)
    strong = generator.set_params(guidance_scale=3.0).sample_codes(60, "b", random_state=0)
    assert (strong != plain).any()


@pytest.mark.parametrize("conditional", [False, True])
def test_guidance_does_nothing_without_a_class(fits, conditional):
    generator = fits(conditional=conditional, guidance_scale=0.0)
    plain = generator.sample_codes(60, random_state=0)
    guided = generator.set_params(guidance_scale=5.0).sample_codes(60, random_state=0)
    assert_array_equal(guided, plain)


@pytest.mark.statistical
@pytest.mark.parametrize(("scale", "temperature"), [(0.0, 1.0), (2.0, 1.0), (1.0, 0.5)])
def test_one_step_draws_from_the_guided_marginals(fits, scale, temperature):
    n = 4096
    generator = fits(conditional=True, guidance_scale=scale, temperature=temperature, n_steps=1)
    codes = generator.sample_codes(n, "a", random_state=0)
    masks = torch.full((1, 6), MASK)
    own, free = (generator.model_(masks, torch.tensor([label]))[0] for label in (0, 2))
    p = (((1 + scale) * own - scale * free) / temperature).softmax(1).double().numpy()
    shares = np.stack([(codes == k).mean(0) for k in range(4)], 1)
    assert (np.abs(shares - p) < 4.5 * np.sqrt(p * (1 - p) / n) + 1e-6).all()
    assert np.abs(p - 0.25).max() > 0.2


# ----------------------------------------------------------------- parameters read by `sample`

CHANGES = {
    "temperature": 0.2,
    "order": "random",
    "n_steps": 5,
    "schedule": "linear",
    "guidance_scale": 8.0,
    "choice_temperature": 0.0,
}


@every_grouping
@pytest.mark.parametrize("name", CHANGES)
def test_parameters_of_sampling_count_without_a_fit(fits, tokenizer, name):
    base = {"n_steps": 2, "order": "confidence"}
    generator = fits(tokenizer, conditional=True, **base)
    before = generator.sample_codes(40, "a", random_state=0)
    changed = generator.set_params(**{name: CHANGES[name]}).sample_codes(40, "a", random_state=0)
    assert (changed != before).any()
    again = generator.set_params(**{name: base.get(name, SAMPLING[name])})
    assert_array_equal(again.sample_codes(40, "a", random_state=0), before)


SAMPLING = MaskGITGenerator().get_params(deep=False)

WRONG = [
    ("temperature", 0.0, ValueError, r"temperature must be a finite number above 0; got 0\.0"),
    ("temperature", math.nan, ValueError, "temperature must be a finite number above 0; got nan"),
    ("guidance_scale", -0.5, ValueError, r"guidance_scale must be a finite number of at least 0; "),
    ("choice_temperature", -1, ValueError, "choice_temperature must be a finite number of at lea"),
    ("n_steps", 0, ValueError, "n_steps must be an integer of at least 1; got 0"),
    ("n_steps", 2.5, TypeError, r"n_steps must be an integer of at least 1; got 2\.5"),
    (
        "order",
        "spiral",
        ValueError,
        "order must be one of 'confidence', 'halton', 'random'; got 's",
    ),
    (
        "schedule",
        "sine",
        ValueError,
        "schedule must be one of 'cosine', 'cubic', 'linear', 'square'; got 'sine'",
    ),
]


@pytest.mark.parametrize(("name", "value", "error", "message"), WRONG)
def test_wrong_parameters_of_sampling_are_refused_by_sample(fits, name, value, error, message):
    with pytest.raises(error, match=message):
        fits(**{name: value}).sample(2)


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_a_label_smoothing_that_leaves_no_target_is_refused(value):
    with pytest.raises(ValueError, match=r"label_smoothing must be a number in \[0, 1\); got"):
        MaskGITGenerator(SymbolTokenizer(), **SMALL, label_smoothing=value).fit(X)


@every_grouping
@pytest.mark.parametrize("order", ["confidence", "halton", "random"])
@pytest.mark.parametrize("n_steps", [1, 2, 6, 50])
def test_any_number_of_steps_in_any_order_gives_codes_of_every_token(
    fits, tokenizer, order, n_steps
):
    codes = fits(tokenizer, order=order, n_steps=n_steps).sample_codes(20, random_state=0)
    assert codes.shape == (20, 6)
    assert codes.min() >= 0
    assert (codes < np.broadcast_to(tokenizer["K"], 6)).all()


def test_groups_are_drawn_one_after_the_other_coarse_to_fine(fits):
    generator = fits(TWO_GROUPS, n_steps=4)
    calls = watched(generator.model_, lambda: generator.sample_codes(5))
    masks = [(codes == MASK) for codes, _ in calls]
    coarse = [mask[:, 4:].sum(1).unique().tolist() for mask in masks]
    fine = [mask[:, :4].sum(1).unique().tolist() for mask in masks]
    # Two coarse tokens one by one, then four fine ones.
    assert coarse == [[2], [1], [0], [0], [0], [0]]
    assert fine == [[4], [4], [4], [3], [2], [1]]


# ---------------------------------------------------------------------------------- classes


def test_samples_are_of_their_class(fits):
    generator = fits(conditional=True)
    codes = generator.sample_codes(200, np.repeat(["a", "b"], 100), random_state=0)
    assert (codes[:100] == 0).mean() > 0.75
    assert (codes[100:] == 1).mean() > 0.75
    right = generator.score_samples(X, Y).mean()
    wrong = generator.score_samples(X, Y[::-1]).mean()
    assert right > wrong + 1


@every_grouping
@pytest.mark.parametrize("order", ["halton", "confidence", "random"])
def test_the_steps_of_sampling_only_add_codes_and_end_in_the_sample(fits, tokenizer, order):
    generator = fits(tokenizer, conditional=True, n_steps=3, order=order)
    y = np.tile(["a", "b"], 150)  # more than a block of random numbers
    steps = generator.sample_steps(300, y, random_state=3)
    coarse_to_fine = generator.token_groups_
    assert steps.shape == (1 + sum(min(3, len(range(6)[g])) for g in coarse_to_fine), 300, 6)
    assert (steps[0] == MASK).all()
    assert_array_equal(steps[-1], generator.sample_codes(300, y, random_state=3))
    for before, after in itertools.pairwise(steps):
        known = before != MASK
        assert_array_equal(after[known], before[known])
        assert ((after != MASK).sum(1) > known.sum(1)).all()
    if len(coarse_to_fine) > 1:
        is_fine_known = (steps[:, :, coarse_to_fine[1]] != MASK).any(2)
        assert (steps[:, :, coarse_to_fine[0]] != MASK).all(2)[is_fine_known].all()


@pytest.mark.parametrize(
    ("n_samples", "n_tokens", "batch_size", "n_steps"),
    [
        (20, 8, 64, 1000),
        (20, 32, 64, 1000),
        (20, 48, 64, 1500),
        (20, 128, 64, 3000),
        (125, 32, 64, 1000),
        (250, 32, 64, 2000),
        (250, 48, 64, 2000),
        (250, 32, 100, 1280),
        (10**6, 32, 64, 3000),
    ],
)
def test_automatic_steps_are_512_passes_within_bounds(n_samples, n_tokens, batch_size, n_steps):
    generator = MaskGITGenerator(batch_size=batch_size)
    generator.n_tokens_ = n_tokens
    assert generator._count_steps(n_samples) == n_steps


def test_automatic_steps_are_taken(monkeypatch):
    monkeypatch.setattr("vqssl.generators._maskgit._BUDGET", Budget(3, 7, 3000))
    generator = MaskGITGenerator(SymbolTokenizer(), **{**SMALL, "max_iter": "auto"})
    assert generator.fit(X, Y).n_iter_ == 7  # 3 passes over 80 series by 32
    monkeypatch.setattr("vqssl.generators._maskgit._TOKENS_OF_LEAST", 3)
    assert generator.fit(X, Y).n_iter_ == 14  # the tokens, six, are known by then


def test_no_other_word_is_a_number_of_steps():
    generator = MaskGITGenerator(SymbolTokenizer(), **{**SMALL, "max_iter": "all"})
    with pytest.raises(ValueError, match=r"max_iter must be 'auto' or an integer of at least 1"):
        generator.fit(X, Y)
