"""Iterative decoding: schedules, orders, draws, and what the orders do to a known chain."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests import reference
from tests.generators.stubs import (
    bigram_kl,
    draw_chain,
    entropy,
    exact_logits,
    make_chain,
)
from vqssl._seed import make_generator
from vqssl.backbones._transformer import pick
from vqssl.generators._decoding import (
    MASK,
    ORDERS,
    SCHEDULES,
    Draws,
    count_masked,
    draw_codes,
    fill,
    halton_ranks,
)

every_schedule = pytest.mark.parametrize("schedule", sorted(SCHEDULES))
every_order = pytest.mark.parametrize("order", ORDERS)

schedules = st.sampled_from(sorted(SCHEDULES))
orders = st.sampled_from(ORDERS)
seeds = st.integers(0, 1000)

# Largest numbers below one that torch and numpy draw.
NEARLY_ONE = {torch.float32: 1 - 2**-24, torch.float64: 1 - 2**-53}


def uniform(*shape, seed=0):
    return torch.rand(shape, generator=make_generator(seed), dtype=torch.float32)


class FixedDraws:
    """Given numbers: (B, T, N) for codes and for the order, (B,) for the start."""

    def __init__(self, codes, order, start):
        self.u_codes, self.u_order, self.u_start = codes, order, start

    def codes(self, step):
        return self.u_codes[:, step]

    def order(self, step):
        return self.u_order[:, step]

    def start(self):
        return self.u_start

    def part(self, rows=slice(None), steps=slice(None)):
        return FixedDraws(self.u_codes[rows, steps], self.u_order[rows, steps], self.u_start[rows])


def make_draws(n_rows, n_steps, n_tokens, seed=0, start=None):
    steps = (n_rows, n_steps, n_tokens)
    start = uniform(n_rows, seed=seed + 2) if start is None else torch.as_tensor(start)
    return FixedDraws(uniform(*steps, seed=seed), uniform(*steps, seed=seed + 1), start)


def some_logits(n_tokens, n_codes, seed=0):
    """A prior: logits of each token that depend on all codes, row by row."""
    generator = make_generator(seed)
    own = torch.randn(n_tokens, n_codes, generator=generator, dtype=torch.float64)
    mix = torch.randn(n_tokens, n_tokens, n_codes, generator=generator, dtype=torch.float64)

    def predict(codes):
        waves = torch.sin(1 + codes.double())  # (B, N)
        return 2 * own + (waves[:, :, None, None] * mix).sum(1)

    return predict


def spy(predict):
    """A prior that remembers the codes it was shown."""
    seen = []

    def remembering(codes):
        seen.append(codes.clone())
        return predict(codes)

    return remembering, seen


def decode(predict, codes, unknown, draws, n_steps=4, **options):
    chosen = {
        "schedule": "cosine",
        "order": "halton",
        "temperature": 1.0,
        "choice_temperature": 4.5,
        **options,
    }
    return fill(
        lambda codes, at: pick(predict(codes), at),
        codes,
        unknown,
        draws,
        n_steps=n_steps,
        **chosen,
    )


def all_unknown(n_rows, n_tokens):
    codes = torch.full((n_rows, n_tokens), MASK)
    return codes, torch.ones_like(codes, dtype=torch.bool)


def partly_known(n_rows, n_tokens, n_unknown, n_codes, seed):
    """Codes with `n_unknown` tokens to draw, others known or masked for later, and which."""
    generator = make_generator(seed)
    codes = torch.randint(-1, n_codes, (n_rows, n_tokens), generator=generator)
    ranks = torch.rand(n_rows, n_tokens, generator=generator).argsort(1).argsort(1)
    unknown = ranks < n_unknown
    return codes.masked_fill(unknown, MASK), unknown


# ------------------------------------------------------------------------------ schedules


@every_schedule
def test_schedules_fall_from_one_to_zero(schedule):
    share = SCHEDULES[schedule](torch.linspace(0, 1, 1001, dtype=torch.float64))
    assert share[0] == 1
    assert share[-1].abs() < 1e-15
    assert (share.diff() < 0).all()


def test_schedules_are_those_of_the_paper():
    ratio = torch.tensor([0.25, 0.5, 0.8], dtype=torch.float64)
    expected = {
        "cosine": [math.cos(math.pi * r / 2) for r in (0.25, 0.5, 0.8)],
        "cubic": [1 - 0.25**3, 1 - 0.5**3, 1 - 0.8**3],
        "linear": [0.75, 0.5, 0.2],
        "square": [1 - 0.25**2, 1 - 0.5**2, 1 - 0.8**2],
    }
    assert set(SCHEDULES) == set(expected)
    for name, shares in expected.items():
        assert_allclose(SCHEDULES[name](ratio), shares, rtol=1e-12)


@every_schedule
def test_all_tokens_are_masked_at_the_start_and_none_at_the_end(schedule):
    n = torch.arange(1, 500)
    assert_array_equal(count_masked(torch.zeros(499), n, schedule), n)
    assert_array_equal(count_masked(torch.ones(499), n, schedule), torch.zeros(499))


def test_half_the_tokens_are_masked_where_the_cosine_is_one_half():
    # cos(pi / 3) is .5000000000000001 in floating point.
    n = torch.arange(1, 2000)
    ratio = torch.full((1999,), 2 / 3, dtype=torch.float64)
    assert_array_equal(count_masked(ratio, n, "cosine"), (n + 1) // 2)


@given(step=st.integers(0, 64), n_steps=st.integers(1, 64), n=st.integers(1, 500), name=schedules)
@example(step=2, n_steps=3, n=10, name="cosine")
@example(step=9, n_steps=10, n=10, name="linear")
@example(step=1, n_steps=3, n=9, name="square")
def test_the_count_is_exact_whatever_floating_point_makes_of_it(step, n_steps, n, name):
    assume(step <= n_steps)
    ratio = torch.tensor(step / n_steps, dtype=torch.float64)
    count = int(count_masked(ratio, n, name))
    assert 0 <= count <= n
    assert count == reference.n_still_masked(step, n_steps, n, name)


@given(ratio=st.floats(0, 1, width=32), n=st.integers(1, 10_000), name=schedules)
@example(ratio=1e-30, n=10_000, name="linear")
def test_the_count_lies_between_none_and_all(ratio, n, name):
    assert 0 <= int(count_masked(torch.tensor(ratio), n, name)) <= n


@every_schedule
def test_the_count_never_grows_with_the_progress(schedule):
    counts = count_masked(torch.linspace(0, 1, 5000), 37, schedule)
    assert counts.dtype == torch.int64
    assert (counts.diff() <= 0).all()
    assert set(counts.tolist()) == set(range(38))


# ---------------------------------------------------------------------------- Halton order


@given(n=st.integers(1, 300))
def test_halton_ranks_are_a_permutation_by_the_backward_digits(n):
    order = halton_ranks(n).argsort().tolist()
    assert sorted(order) == list(range(n))
    assert order == reference.van_der_corput(n)


@pytest.mark.parametrize("n_bits", range(1, 9))
def test_the_halton_rank_of_a_power_of_two_is_the_bit_reversal(n_bits):
    reversed_bits = [int(f"{i:0{n_bits}b}"[::-1], 2) for i in range(2**n_bits)]
    assert halton_ranks(2**n_bits).tolist() == reversed_bits


@pytest.mark.parametrize("m", range(1, 8))
def test_the_first_halton_positions_are_equally_far_apart(m):
    n = 2**m
    ranks = halton_ranks(n)
    for j in range(1, m + 1):
        first = (ranks < 2**j).nonzero().squeeze(1)
        gaps = (first.roll(-1) - first) % n  # around the end, as samples begin anywhere
        assert set(gaps.tolist()) == {n // 2**j % n}


@given(n=st.integers(2, 300))
def test_the_first_half_of_the_halton_positions_is_every_second_one(n):
    # So that each token of the second half lies between known ones.
    first = halton_ranks(n).argsort()[: (n + 1) // 2].sort().values
    assert first.tolist() == list(range(0, n, 2))


# ---------------------------------------------------------------------------------- draws


@pytest.mark.parametrize("dtype", NEARLY_ONE)
def test_the_ends_of_the_interval_give_the_first_and_last_code_that_is_possible(dtype):
    inf = math.inf
    logits = torch.tensor(
        [
            [0.0, 1.0, 2.0],
            [-inf, 0.0, -inf],
            [-inf, 1.0, 0.0],
            [2.0, 0.0, -inf],
            [-200.0, 0.0, -300],
        ]
    )
    lowest = draw_codes(logits, torch.zeros(5, dtype=dtype))
    highest = draw_codes(logits, torch.full((5,), NEARLY_ONE[dtype], dtype=dtype))
    assert lowest.tolist() == [0, 1, 1, 0, 1]
    assert highest.tolist() == [2, 1, 2, 1, 1]


@given(
    logits=st.lists(
        st.one_of(st.just(-math.inf), st.floats(-60, 60, width=32)), min_size=1, max_size=12
    ),
    u=st.one_of(st.floats(0, 1, exclude_max=True), st.sampled_from([0.0, *NEARLY_ONE.values()])),
)
def test_no_code_of_probability_zero_is_drawn(logits, u):
    assume(max(logits) > -math.inf)
    drawn = draw_codes(torch.tensor(logits), torch.tensor(u, dtype=torch.float64))
    assert drawn.dtype == torch.int64
    assert drawn.shape == ()
    assert 0 <= drawn < len(logits)
    assert torch.tensor(logits).softmax(0)[drawn] > 0


@given(seed=seeds, n_codes=st.integers(1, 9))
def test_shares_of_codes_are_their_probabilities(seed, n_codes):
    generator = make_generator(seed)
    logits = 2 * torch.randn(n_codes, generator=generator)
    forbidden = torch.rand(n_codes, generator=generator) < 0.3
    logits = logits.masked_fill(forbidden & (logits < logits.max()), -math.inf)
    n = 20_000
    grid = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    counts = torch.bincount(draw_codes(logits.expand(n, -1), grid), minlength=n_codes)
    # The ends of a stretch of the grid are off by one point at most.
    assert_allclose(counts, n * logits.double().softmax(0), atol=1.001)


@given(seed=seeds)
def test_a_larger_number_never_draws_an_earlier_code(seed):
    logits = torch.randn(7, generator=make_generator(seed))
    drawn = draw_codes(logits.expand(500, -1), torch.linspace(0, 0.999, 500))
    assert (drawn.diff() >= 0).all()


# ---------------------------------------------------------------------------------- filling


@every_order
@given(
    n_tokens=st.integers(1, 14),
    share=st.floats(0, 1),
    n_steps=st.integers(1, 18),
    schedule=schedules,
    seed=seeds,
)
def test_filling_is_the_plain_loop(order, n_tokens, share, n_steps, schedule, seed):
    n_unknown = round(share * n_tokens)
    codes, unknown = partly_known(3, n_tokens, n_unknown, 4, seed)
    predict = some_logits(n_tokens, 4, seed)
    draws = make_draws(3, n_steps, n_tokens, seed)
    options = {"schedule": schedule, "order": order, "temperature": 0.7, "choice_temperature": 2.0}
    filled = decode(predict, codes, unknown, draws, n_steps, **options)
    for row in range(3):
        expected = reference.fill_masks(
            lambda seen: predict(torch.tensor([seen]))[0].numpy(),
            codes[row].tolist(),
            unknown[row].nonzero().squeeze(1).tolist(),
            draws.u_codes[row].double().numpy(),
            draws.u_order[row].double().numpy(),
            float(draws.u_start[row]),
            n_steps,
            **options,
        )
        assert filled[row].tolist() == expected


@given(
    n_tokens=st.integers(1, 20),
    share=st.floats(0, 1),
    n_steps=st.integers(1, 25),
    schedule=schedules,
    order=orders,
    seed=seeds,
)
def test_unknown_tokens_get_codes_and_all_others_stay(
    n_tokens, share, n_steps, schedule, order, seed
):
    codes, unknown = partly_known(4, n_tokens, round(share * n_tokens), 5, seed)
    before = codes.clone()
    draws = make_draws(4, n_steps, n_tokens, seed)
    predict = some_logits(n_tokens, 5, seed)
    filled = decode(predict, codes, unknown, draws, n_steps, schedule=schedule, order=order)
    assert (filled[unknown] >= 0).all()
    assert (filled[unknown] < 5).all()
    assert torch.equal(filled[~unknown], codes[~unknown])  # those masked for later, too
    assert torch.equal(codes, before)


@every_order
def test_known_tokens_never_change_on_the_way(order):
    codes, unknown = partly_known(4, 12, 9, 5, seed=3)
    predict, seen = spy(some_logits(12, 5))
    seen.append(decode(predict, codes, unknown, make_draws(4, 6, 12), 6, order=order))
    for before, after in pairwise(seen):
        known = before != MASK
        assert known.any()
        assert torch.equal(after[known], before[known])


@every_order
@given(n=st.integers(1, 40), n_steps=st.integers(1, 45), schedule=schedules)
@example(n=30, n_steps=3, schedule="cosine")
def test_the_number_of_masks_at_every_step_follows_the_schedule(order, n, n_steps, schedule):
    predict, seen = spy(some_logits(n, 3))
    codes, unknown = all_unknown(2, n)
    decode(
        predict, codes, unknown, make_draws(2, n_steps, n), n_steps, schedule=schedule, order=order
    )
    counts = [(shown == MASK).sum(1).tolist() for shown in seen]
    expected, left = [], n
    for step in range(1, min(n, n_steps) + 1):
        if left > 0:
            expected.append([left, left])
        wanted = reference.n_still_masked(step, min(n, n_steps), n, schedule)
        left = min(wanted, left - 1)  # at least one token is revealed
    assert counts == expected


@every_order
@every_schedule
def test_as_many_steps_as_tokens_reveal_one_at_a_time(order, schedule):
    predict, seen = spy(some_logits(9, 3))
    draws = make_draws(2, 30, 9)
    many = decode(predict, *all_unknown(2, 9), draws, 30, order=order, schedule=schedule)
    assert [(shown == MASK).sum(1).tolist() for shown in seen] == [[n, n] for n in range(9, 0, -1)]
    as_many = decode(predict, *all_unknown(2, 9), draws, 9, order=order, schedule=schedule)
    assert torch.equal(many, as_many)


@every_order
def test_one_step_draws_every_token_from_its_marginal(order):
    chain = make_chain(4)
    draws = make_draws(50, 1, 6)
    codes = decode(exact_logits(chain), *all_unknown(50, 6), draws, 1, order=order)
    expected = (torch.from_numpy(chain.first).cumsum(0) <= draws.codes(0)[..., None]).sum(2)
    assert torch.equal(codes, expected)


@every_order
def test_nothing_unknown_leaves_the_codes_and_asks_nothing(order):
    codes = torch.tensor([[1, MASK, 0]])
    predict, seen = spy(some_logits(3, 2))
    unknown = torch.zeros_like(codes, dtype=torch.bool)
    assert torch.equal(decode(predict, codes, unknown, make_draws(1, 4, 3), order=order), codes)
    assert not seen


@every_order
@given(n_steps=st.integers(1, 12), seed=seeds)
def test_every_row_may_have_its_own_number_of_unknown_tokens(order, n_steps, seed):
    codes, _ = partly_known(6, 10, 7, 4, seed)
    unknown = uniform(6, 10, seed=seed) < uniform(6, 1, seed=seed + 1)
    unknown[0], unknown[1] = False, True
    codes = codes.masked_fill(unknown, MASK)
    predict, draws = some_logits(10, 4, seed), make_draws(6, n_steps, 10, seed)
    together = decode(predict, codes, unknown, draws, n_steps, order=order)
    assert torch.equal(together[~unknown], codes[~unknown])
    assert (together[unknown] != MASK).all()
    for i in range(6):
        row = slice(i, i + 1)
        alone = decode(predict, codes[row], unknown[row], draws.part(row), n_steps, order=order)
        assert torch.equal(alone, together[row])


@every_order
@given(n_steps=st.integers(1, 12), seed=seeds)
def test_a_sample_does_not_depend_on_the_others_of_the_batch(order, n_steps, seed):
    codes, unknown = partly_known(5, 10, 7, 4, seed)
    predict, draws = some_logits(10, 4, seed), make_draws(5, n_steps, 10, seed)
    together = decode(predict, codes, unknown, draws, n_steps, order=order)
    for row in (slice(0, 1), slice(3, 5)):
        alone = decode(predict, codes[row], unknown[row], draws.part(row), n_steps, order=order)
        assert torch.equal(alone, together[row])


@every_order
def test_steps_that_are_not_taken_draw_nothing(order):
    # The numbers of later steps may be anything, so they are cut off.
    draws = make_draws(4, 20, 8)
    fewer = draws.part(steps=slice(0, 5))
    predict = some_logits(8, 3)
    long = decode(predict, *all_unknown(4, 8), draws, 5, order=order)
    assert torch.equal(decode(predict, *all_unknown(4, 8), fewer, 5, order=order), long)


@pytest.mark.parametrize("temperature", [1e-4, 1e-40, 1e-300])
def test_a_low_temperature_takes_the_likeliest_code(temperature):
    predict, draws = some_logits(10, 6), make_draws(8, 1, 10)
    codes, unknown = all_unknown(8, 10)
    cold = decode(predict, codes, unknown, draws, 1, temperature=temperature)
    assert torch.equal(cold, predict(codes).argmax(2).expand(8, -1))
    assert not torch.equal(decode(predict, codes, unknown, draws, 1), cold)


# ---------------------------------------------------------------------- numbers of samples


def block_of_draws(first=0, last=256, seed=0, n_tokens=5):
    draws = Draws(seed, np.arange(first, last), n_tokens, torch.device("cpu"))
    return torch.stack([draws.codes(0), draws.codes(3), draws.order(0), draws.order(3)])


@given(first=st.integers(0, 255), n=st.integers(1, 256), block=st.integers(0, 3))
def test_a_sample_has_numbers_of_its_own_whatever_the_batch(first, n, block):
    start = 256 * block
    whole = block_of_draws(start, start + 256)
    last = min(first + n, 256)
    part = block_of_draws(start + first, start + last)
    assert torch.equal(part, whole[:, first:last])
    numbers = [np.arange(start + first, start + last), np.arange(start, start + 256)]
    starts = [Draws(0, rows, 5, torch.device("cpu")).start() for rows in numbers]
    assert torch.equal(starts[0], starts[1][first:last])


def test_samples_left_out_do_not_shift_the_others():
    some = np.array([256, 259, 300])
    draws = Draws(0, some, 5, torch.device("cpu"))
    assert torch.equal(draws.codes(3), block_of_draws(256, 512)[1][some - 256])


def test_no_two_purposes_steps_blocks_or_seeds_share_numbers():
    numbers = torch.cat(
        [
            block_of_draws().flatten(),
            block_of_draws(256, 512).flatten(),
            block_of_draws(seed=1).flatten(),
            Draws(0, np.arange(256), 5, torch.device("cpu")).start(),
        ]
    )
    assert numbers.dtype == torch.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    # Of 15,616 numbers out of 2**24 some seven pairs are alike by chance.
    assert len(numbers) - len(numbers.unique()) < 30


@pytest.mark.statistical
def test_numbers_of_samples_are_uniform():
    numbers = block_of_draws(n_tokens=200)  # four of 51,200
    error = 1 / math.sqrt(12 * 51_200)
    assert_allclose(numbers.mean((1, 2)), np.full(4, 0.5), atol=4 * error)
    assert_allclose(numbers.square().mean((1, 2)), np.full(4, 1 / 3), atol=4 * error)
    assert numbers.flatten(1).corrcoef().triu(1).abs().max() < 4 / math.sqrt(51_200)


# ----------------------------------------------------------------------------------- orders


def places_by_step(predict, n_tokens, draws, n_steps, **options):
    """Step at which every token is revealed, (B, N)."""
    predict, seen = spy(predict)
    decode(predict, *all_unknown(len(draws.u_start), n_tokens), draws, n_steps, **options)
    return sum((shown == MASK).long() for shown in seen)


def test_confidence_without_noise_reveals_the_likeliest_drawn_codes_first():
    predict, draws = some_logits(16, 5), make_draws(40, 4, 16)
    codes, _ = all_unknown(40, 16)
    options = {"order": "confidence", "choice_temperature": 0.0, "schedule": "linear"}
    step = places_by_step(predict, 16, draws, 4, **options)
    logits = predict(codes)
    drawn = draw_codes(logits, draws.codes(0))
    log_p = logits.log_softmax(2).gather(2, drawn.unsqueeze(2)).squeeze(2)
    first = step == 1
    assert (first.sum(1) == 4).all()
    for row in range(40):
        assert log_p[row][first[row]].min() >= log_p[row][~first[row]].max()


def test_confidence_with_much_noise_reveals_by_the_noise_of_each_step():
    draws = make_draws(40, 3, 15)
    options = {"order": "confidence", "choice_temperature": 1e6, "schedule": "linear"}
    step = places_by_step(some_logits(15, 5), 15, draws, 3, **options)
    for row in range(40):
        for k in (1, 2):  # the noise of the last step is zero
            u = draws.order(k - 1)[row]
            assert (step[row] == k).sum() == 5
            assert u[step[row] == k].min() > u[step[row] > k].max()


def test_random_order_is_that_of_the_numbers():
    draws = make_draws(20, 12, 12)
    step = places_by_step(some_logits(12, 3), 12, draws, 12, order="random")
    assert torch.equal(step - 1, draws.order(0).argsort(1).argsort(1))


def test_halton_order_begins_at_each_token_equally_often():
    n = 12
    draws = make_draws(10 * n, n, n, start=(torch.arange(10 * n) + 0.5) / (10 * n))
    step = places_by_step(some_logits(n, 3), n, draws, n)
    assert_array_equal((step == 1).sum(0), np.full(n, 10))


@pytest.mark.parametrize("start", [0.0, 0.3, 0.5, NEARLY_ONE[torch.float32]])
def test_halton_order_keeps_tokens_equally_far_apart_wherever_it_begins(start):
    draws = make_draws(1, 16, 16, start=[start])
    step = places_by_step(some_logits(16, 3), 16, draws, 16)[0]
    for k in (2, 4, 8):
        known = (step <= k).nonzero().squeeze(1)
        assert set(((known.roll(-1) - known) % 16).tolist()) == {16 // k}


def test_halton_order_counts_places_among_the_unknown_tokens_only():
    places = [0, 1, 5, 6, 7, 10, 13, 15]
    unknown = torch.zeros(1, 16, dtype=torch.bool)
    unknown[0, places] = True
    codes = torch.zeros(1, 16, dtype=torch.int64).masked_fill(unknown, MASK)
    predict, seen = spy(some_logits(16, 3))
    draws = make_draws(1, 8, 16, start=[0.0])
    seen.append(decode(predict, codes, unknown, draws, 8))
    revealed = [int((shown != after).nonzero()[0, 1]) for shown, after in pairwise(seen)]
    assert revealed == [places[i] for i in (0, 4, 2, 6, 1, 5, 3, 7)]


def test_samples_in_halton_order_begin_at_tokens_of_their_own():
    draws = make_draws(64, 16, 16)
    step = places_by_step(some_logits(16, 3), 16, draws, 16)
    assert len(step.eq(1).long().argmax(1).unique()) > 8


# ------------------------------------------------- a perfect prior: what an order does to it

N_SAMPLES = 4096


def drawn_from_exact_conditionals(chain, order, n_steps, n_tokens=32):
    draws = make_draws(N_SAMPLES, n_steps, n_tokens)
    return decode(
        exact_logits(chain), *all_unknown(N_SAMPLES, n_tokens), draws, n_steps, order=order
    ).numpy()


def test_exact_conditionals_are_those_of_the_chain():
    # The oracle of the tests below against Bayes' rule on all sequences of four codes.
    chain = make_chain(3)
    joint = np.einsum("a,ab,bc,cd->abcd", chain.first, chain.step, chain.step, chain.step)
    assert_allclose(joint.sum(), 1)
    given_first_and_last = joint[1, :, :, 2] / joint[1, :, :, 2].sum()
    logits = exact_logits(chain)(torch.tensor([[1, MASK, MASK, 2]]))[0]
    assert_allclose(logits[1].exp(), given_first_and_last.sum(1))
    assert_allclose(logits[2].exp(), given_first_and_last.sum(0))
    assert_allclose(-(joint * np.log(joint)).sum(), entropy(chain, 4))
    assert bigram_kl(draw_chain(chain, 4096, 16), chain) < 0.001


@pytest.mark.statistical
@pytest.mark.parametrize(("order", "n_steps"), [("halton", 8), ("random", 32)])
def test_order_that_does_not_look_at_codes_draws_from_the_prior(order, n_steps):
    chain = make_chain()
    assert bigram_kl(drawn_from_exact_conditionals(chain, order, n_steps), chain) < 0.002


@pytest.mark.statistical
def test_halton_order_needs_fewer_steps_than_random_order():
    # Neighbours that are revealed in one step are drawn as if they were independent.
    chain = make_chain()
    random = bigram_kl(drawn_from_exact_conditionals(chain, "random", 8), chain)
    halton = bigram_kl(drawn_from_exact_conditionals(chain, "halton", 8), chain)
    assert random > 20 * halton


@pytest.mark.statistical
@pytest.mark.parametrize("n_steps", [8, 32])
def test_confidence_order_is_biased_even_with_a_perfect_prior(n_steps):
    # Why it is not the default: more steps do not help.
    chain = make_chain()
    assert bigram_kl(drawn_from_exact_conditionals(chain, "confidence", n_steps), chain) > 0.04
