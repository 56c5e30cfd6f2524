"""CodeSpace: which codes a token can have, whose vectors are whose, orders of groups."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vqssl._seed import initialise, make_generator, materialise
from vqssl.generators._codes import CodeSpace, group_terms, positions_of
from vqssl.generators._decoding import MASK

WIDTH = 6

# Code sizes and groups: one of one size, a ragged one, two levels, the finer one first on the
# token axis, interleaved, three.
SPACES = {
    "one group": ([4, 4, 4], [slice(0, 3)]),
    "ragged": ([3, 5, 2, 5], [slice(0, 4)]),
    "two groups": ([3, 5, 4, 2, 4, 1], [slice(0, 2), slice(2, 6)]),
    "finer first": ([3, 5, 4, 2, 4, 1], [slice(4, 6), slice(0, 4)]),
    "interleaved": ([2, 6, 3, 5, 2], [slice(1, None, 2), slice(0, None, 2)]),
    "from the end": ([2, 2, 7, 1, 3], [slice(-1, None), slice(2, 4), slice(None, 2)]),
}
every_space = pytest.mark.parametrize("name", SPACES)


def make_space(name="two groups", seed=0):
    """A space as an estimator makes it."""
    sizes, groups = SPACES[name]
    with torch.device("meta"):
        space = CodeSpace(sizes, groups, WIDTH)
    return initialise(materialise(space), make_generator(seed))


def features(space, n_rows=3, seed=1):
    return torch.randn(n_rows, space.n_tokens, WIDTH, generator=make_generator(seed))


def rows_of_codes(space):
    """Number of the table's row of every code of every token, and that of the mask."""
    with torch.no_grad():
        space.table.weight.copy_(torch.arange(len(space.table.weight)).unsqueeze(1))
    rows = []
    for token, size in enumerate(space.code_sizes):
        codes = torch.zeros(size, space.n_tokens, dtype=torch.int64)
        codes[:, token] = torch.arange(size)
        rows.append(space.embed(codes)[:, token, 0].long().tolist())
    mask = space.embed(torch.full((1, space.n_tokens), MASK))[0, :, 0].long().tolist()
    return rows, mask


# ---------------------------------------------------------------------------------- groups


def test_positions_are_those_of_the_slices():
    groups = [slice(4, 6), slice(0, 4, 2), slice(1, 4, 2)]
    assert positions_of(groups, 6) == [[4, 5], [0, 2], [1, 3]]


@pytest.mark.parametrize(
    "groups",
    [
        [],
        [slice(0, 5)],
        [slice(1, 6)],
        [slice(0, 3), slice(4, 6)],
        [slice(0, 4), slice(3, 6)],
        [slice(0, 6), slice(0, 6)],
        [slice(0, 6), slice(6, 9)],
        [slice(0, 0), slice(0, 6)],
    ],
    ids=str,
)
def test_groups_that_miss_or_repeat_tokens_or_are_empty_are_refused(groups):
    with pytest.raises(ValueError, match=r"token_groups_ must hold each of the 6 tokens once; go"):
        positions_of(groups, 6)


@pytest.mark.parametrize("group", [slice(None, None, -1), slice(5, 1, -2)], ids=str)
def test_groups_that_run_backwards_are_refused(group):
    with pytest.raises(
        ValueError, match="token_groups_ must hold slices that run forwards; got sl"
    ):
        positions_of([group], 6)


@pytest.mark.parametrize("group", [[0, 1, 2], 3, (0, 3)], ids=str)
def test_groups_that_are_no_slices_are_refused(group):
    with pytest.raises(TypeError, match="token_groups_ must hold slices; got"):
        positions_of([group], 3)


@every_space
def test_tokens_are_ordered_group_by_group(name):
    space = make_space(name)
    _, groups = SPACES[name]
    tokens = list(range(space.n_tokens))
    assert space.in_order == [token for group in groups for token in tokens[group]]
    assert space.order.tolist() == space.in_order
    assert [space.in_order[rank] for rank in space.rank.tolist()] == tokens
    for number, group in enumerate(groups):
        assert all(space.group_of[token] == number for token in tokens[group])


# --------------------------------------------------------------------------------- vectors


@every_space
def test_groups_share_no_vectors_and_tokens_of_a_group_share_all(name):
    space = make_space(name)
    _, groups = SPACES[name]
    rows, mask = rows_of_codes(space)
    of_group = []
    for group in groups:
        tokens = rows[group]
        longest = max(tokens, key=len)
        assert len(set(longest)) == len(longest)
        assert all(row == longest[: len(row)] for row in tokens)
        of_group.append(set(longest))
    used = [row for group in of_group for row in group]
    assert len(used) == len(set(used))
    # The mask has one of its own, the same at every token, and no vector is left over.
    assert len(set(mask)) == 1
    assert sorted([*used, mask[0]]) == list(range(len(space.table.weight)))


@every_space
def test_vectors_of_one_token_are_those_of_all(name):
    space = make_space(name)
    sizes = torch.tensor(space.code_sizes)
    codes = (torch.rand(5, len(sizes), generator=make_generator(2)) * sizes).long()
    together = space.embed(codes)
    for token in range(space.n_tokens):
        assert torch.equal(space.embed_at(codes[:, token], token), together[:, token])


def test_vectors_start_different_and_small():
    weight = make_space().table.weight
    assert len(weight.unique(dim=0)) == len(weight)
    assert 0.01 < weight.std() < 0.04


# ---------------------------------------------------------------------------------- logits


@every_space
def test_codes_that_a_token_cannot_have_are_impossible(name):
    space = make_space(name)
    logits = space.logits(features(space))
    assert logits.dtype == torch.float32
    assert logits.shape == (3, space.n_tokens, max(space.code_sizes))
    for token, size in enumerate(space.code_sizes):
        assert logits[:, token, :size].isfinite().all()
        assert (logits[:, token, size:] == -math.inf).all()
        assert (space.forbidden[token] == (torch.arange(space.n_codes) >= size)).all()


@every_space
def test_logits_of_one_token_are_those_of_all(name):
    space = make_space(name)
    h = features(space)
    together = space.logits(h)
    for token, group in enumerate(space.group_of):
        alone = space.logits_at(h[:, token], token)
        assert alone.dtype == torch.float32
        assert alone.shape == (3, space.sizes[group])
        torch.testing.assert_close(alone, together[:, token, : space.sizes[group]])
        assert (together[:, token, space.sizes[group] :] == -math.inf).all()


@every_space
def test_logits_of_some_tokens_are_those_of_all(name):
    space = make_space(name)
    h = features(space)
    at = torch.randint(space.n_tokens, (3, 2 * space.n_tokens), generator=make_generator(3))
    rows = torch.arange(3).unsqueeze(1)
    logits = space.logits(h[rows, at], at)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, space.logits(h)[rows, at])


@every_space
def test_each_group_has_a_head_of_its_own_for_its_tokens(name):
    before = make_space(name).logits(features(make_space(name)))
    for number in range(len(SPACES[name][1])):
        space = make_space(name)
        with torch.no_grad():
            space.heads[number].weight.zero_()
            space.heads[number].bias.zero_()
        after = space.logits(features(space))
        for token, group in enumerate(space.group_of):
            size = space.code_sizes[token]
            expected = before[:, token, :size] * (group != number)
            assert torch.equal(after[:, token, :size], expected)


def test_logits_are_float32_under_autocast():
    space = make_space()
    with torch.autocast("cpu", torch.bfloat16):
        assert space.logits(features(space)).dtype == torch.float32
        assert space.logits_at(features(space)[:, 0], 0).dtype == torch.float32


# ------------------------------------------------------------------------------------ rest


@every_space
def test_what_follows_from_the_sizes_is_not_stored(name):
    space = make_space(name)
    stored = set(space.state_dict())
    heads = {f"heads.{i}.{kind}" for i in range(len(space.heads)) for kind in ("weight", "bias")}
    assert stored == {"table.weight", "places.weight", *heads}


@every_space
@given(seed=st.integers(0, 100))
def test_terms_of_groups_sum_to_the_mean_loss_of_a_series(name, seed):
    space = make_space(name)
    losses = torch.rand(7, space.n_tokens, generator=make_generator(seed), dtype=torch.float64)
    terms = group_terms("nll", losses, space)
    torch.testing.assert_close(sum(terms.values()), losses.sum(1).mean())
    if len(space.positions) == 1:
        assert list(terms) == ["nll"]
    else:
        for number, tokens in enumerate(space.positions):
            expected = losses[:, tokens].sum(1).mean()
            torch.testing.assert_close(terms[f"nll_{number}"], expected)
        assert len(terms) == len(space.positions)


# --------------------------------------------------------------------- a start from codebooks


def test_codes_of_like_vectors_begin_alike():
    space = make_space()
    draw = make_generator(3)
    codebooks = [torch.randn(size, 8, generator=draw) for size in space.sizes]
    codebooks[0][4] = codebooks[0][1]
    space.start(codebooks, make_generator(4))
    table, weight = space.table.weight, space.heads[0].weight
    # Rows of a product may round differently, by their place.
    torch.testing.assert_close(table[4], table[1])
    torch.testing.assert_close(weight[4], weight[1])
    distance = torch.cdist(codebooks[0], codebooks[0])
    of_table = torch.cdist(table[:5], table[:5])
    # A random projection keeps the order of very different distances.
    nearest, farthest = distance[0, 1:].argmin() + 1, distance[0, 1:].argmax() + 1
    assert of_table[0, nearest] <= of_table[0, farthest]
    mask = make_space().table.weight[-1]
    assert torch.equal(table[-1], mask)


def test_vectors_that_are_all_alike_say_nothing():
    space = make_space("one group")
    space.start([torch.ones(4, 8)], make_generator(4))
    assert torch.equal(space.table.weight[:4], torch.zeros(4, WIDTH))
    assert torch.isfinite(space.heads[0].weight).all()
