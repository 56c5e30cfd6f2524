"""Transformer (Vaswani et al. 2017) over token positions, for priors over codes."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._parts import Part
from vqssl._share import drawn_rows, own
from vqssl._validation import check_count, check_probability

# Angles per position lie between 1 and nearly 1 / _ROTATION_BASE; those per row and column of a
# grid, of which there are fewer, end sooner.
_ROTATION_BASE = 10_000.0
_GRID_ROTATION_BASE = 100.0


class Cache:
    """Keys and values of the positions that a causal module has seen, with room for all.

    Parameters
    ----------
    n_positions : int
        Positions that there will be.

    Examples
    --------
    >>> import torch
    >>> from vqssl.backbones import Cache, TransformerBackbone
    >>> network = TransformerBackbone(width=32).build(causal=True).eval()
    >>> h, cache = torch.randn(2, 5, 32), Cache(5)
    >>> parts = [network(h[:, :3], cache=cache), network(h[:, 3:], cache=cache)]
    >>> torch.allclose(torch.cat(parts, 1), network(h), atol=1e-5)
    True
    """

    def __init__(self, n_positions: int) -> None:
        self.n_positions = n_positions
        self.n_seen = 0
        self.blocks: list[tuple[Tensor, Tensor]] = []

    def extend(self, block: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Take in keys and values of new positions, and return those of all so far.

        `n_seen` counts on when every block has taken in its own.

        Parameters
        ----------
        block : int
            Number of the block.
        key, value : Tensor of shape (B, heads, N, W / heads)
            Those of the new positions.

        Returns
        -------
        keys, values : Tensor of shape (B, heads, n_seen + N, W / heads)
            Those of all positions.
        """
        if block == len(self.blocks):
            shape = (*key.shape[:2], self.n_positions, key.shape[3])
            self.blocks.append((key.new_empty(shape), value.new_empty(shape)))
        n_all = self.n_seen + key.shape[2]
        keys, values = self.blocks[block]
        keys[:, :, self.n_seen : n_all] = key
        values[:, :, self.n_seen : n_all] = value
        return keys[:, :, :n_all], values[:, :, :n_all]


def dropout(h: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Set a share of the entries to zero and scale the others up.

    torch's own draws from the global generator. Without a generator nothing is dropped. The
    share is rounded to a multiple of 2**-16.
    """
    if generator is None or rate == 0:
        return h
    # Four numbers of 16 bits from each of 64: several times faster than a float for each.
    shape = drawn_rows(tuple(h.shape))
    n_numbers = math.prod(shape)
    words = torch.empty(-(-n_numbers // 4), dtype=torch.int64, device=generator.device)
    words.random_(-(2**63), None, generator=generator)
    numbers = own(words.view(torch.int16)[:n_numbers].view(shape)).to(h.device)
    kept = (numbers >= min(round(rate * 2**16), 2**16 - 1) - 2**15).to(h.dtype)
    return h * kept.mul_(1 / (1 - rate))


def rotation(n: int, dim: int, first: int, like: Tensor) -> Tensor:
    """Turns of rotary position embedding as complex numbers (Su et al. 2021, eq. 12).

    Parameters
    ----------
    n : int
        Number of positions.
    dim : int
        Features of a head, even.
    first : int
        Position of the first.
    like : Tensor
        Gives dtype, float32 in place of lower ones, and device.

    Returns
    -------
    turns : Tensor of shape (n, dim / 2), complex
    """
    # Not in the default dtype, whose change would change the angles.
    pairs = torch.arange(dim // 2, dtype=torch.float32, device=like.device)
    places = torch.arange(first, first + n, dtype=torch.float32, device=like.device)
    angles = places.unsqueeze(1) * _ROTATION_BASE ** (-pairs / (dim // 2))
    turns = torch.polar(torch.ones_like(angles), angles)
    return turns.to(torch.complex128) if like.dtype == torch.float64 else turns


def grid_rotation(coordinates: Tensor, dim: int, like: Tensor) -> Tensor:
    """Turns of positions on a grid: one half of the pairs by row, the other by column.

    The axial form of rotary position embedding (Heo et al. 2024, equation 5).

    Parameters
    ----------
    coordinates : Tensor of shape (n, 2), int64
        Row and column of every position.
    dim : int
        Features of a head, even.
    like : Tensor
        Gives dtype, float32 in place of lower ones, and device.

    Returns
    -------
    turns : Tensor of shape (n, dim / 2), complex
    """
    n_pairs = dim // 2
    angles = []
    for axis, n in enumerate((n_pairs // 2, n_pairs - n_pairs // 2)):
        pairs = torch.arange(n, dtype=torch.float32, device=like.device)
        places = coordinates[:, axis].to(like.device, torch.float32)
        angles.append(places.unsqueeze(1) * _GRID_ROTATION_BASE ** (-pairs / max(1, n)))
    both = torch.cat(angles, 1)
    turns = torch.polar(torch.ones_like(both), both)
    return turns.to(torch.complex128) if like.dtype == torch.float64 else turns


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn pairs of features by angles that grow with the position (Su et al. 2021, eq. 34).

    Products of queries and keys then depend on how far apart they are. A product of complex
    numbers is one operation, with real ones it takes seven.

    Parameters
    ----------
    x : Tensor of shape (B, heads, N, d)
        Queries or keys.
    turns : Tensor of shape (N, d / 2), complex
        See `rotation`.

    Returns
    -------
    rotated : Tensor of shape (B, heads, N, d)
        In float32 where `x` is less.
    """
    pairs = x.to(turns.real.dtype).unflatten(-1, (-1, 2))
    return torch.view_as_real(torch.view_as_complex(pairs) * turns).flatten(-2)


class SequenceModule(nn.Module, ABC):
    """Base class of the modules that prior backbones build."""

    width: int
    """W, features of a position."""

    @abstractmethod
    def forward(
        self,
        h: Tensor,
        generator: torch.Generator | None = None,
        cache: Cache | None = None,
        at: Tensor | None = None,
        coordinates: Tensor | None = None,
    ) -> Tensor:
        """Map positions (B, N, W) to (B, N, W), or to the (B, M, W) that `at` asks for.

        With `generator`, a module in training mode may drop entries. With `cache`, `h`
        continues the positions that the cache has seen, which takes them in; only for causal
        modules. `at`, int64 (B, M), numbers positions of each row; only for others.
        `coordinates`, int64 (N, 2), are row and column of each position; they are given for
        tokens of images only, others lie in a line.
        """


class PriorBackbone(Part, ABC):
    """Base class of prior backbone parts: hyperparameters of a network over positions."""

    def check(self) -> None:
        """Check the hyperparameters; called before any training starts.

        Raises
        ------
        ValueError, TypeError
            If a hyperparameter is out of range or of the wrong type.
        """

    @abstractmethod
    def build(self, causal: bool) -> SequenceModule:
        """Return the network.

        Parameters
        ----------
        causal : bool
            Whether a position may only see itself and the ones before.

        Returns
        -------
        module : SequenceModule
        """


def pick(h: Tensor, at: Tensor) -> Tensor:
    """Positions `at` (B, M) of every row, (B, N, W) -> (B, M, W)."""
    return h.gather(1, at.unsqueeze(2).expand(-1, -1, h.shape[2]))


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool
) -> Tensor:
    """Scaled dot-product attention in the dtype that it is given, (B, heads, N, d) each."""
    with torch.autocast(value.device.type, enabled=False):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)


class Block(nn.Module):
    """h + attention(norm(h)), then h + mlp(norm(h)): the pre-normalised form."""

    def __init__(self, width: int, n_heads: int, rate: float, causal: bool) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.rate = rate
        self.causal = causal
        self.norm_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(
        self,
        h: Tensor,
        turns: Tensor,
        generator: torch.Generator | None,
        extend: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        query, key, value = self._heads(self.norm_attention(h), turns, at)
        if extend is not None:
            key, value = extend(key, value)
        n_new, n_all = query.shape[2], key.shape[2]
        mask = None
        if self.causal and 1 < n_new < n_all:
            # is_causal would align the first query with the first key, not the last with the last.
            mask = torch.ones(n_new, n_all, dtype=torch.bool, device=h.device)
            mask = mask.tril(n_all - n_new)
        # A single new position sees all.
        causal = self.causal and 1 < n_new == n_all
        mixed = attention(query, key, value, mask, causal)  # (B, heads, N, W / heads)
        mixed = self.merge(mixed.transpose(1, 2).flatten(2))  # (B, N, W)
        h = (h if at is None else pick(h, at)) + dropout(mixed, self.rate, generator)
        wide = F.gelu(self.expand(self.norm_mlp(h)))  # (B, N, 4 W)
        return h + dropout(self.contract(wide), self.rate, generator)

    def _heads(self, h: Tensor, turns: Tensor, at: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (B, heads, N, W / heads) each; queries only where asked."""
        width = h.shape[2]
        shape = (-1, self.n_heads, width // self.n_heads)
        if at is None:
            heads = self.query_key_value(h).unflatten(2, shape)
            query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
            query = rotate(query, turns)
        else:
            weight, bias = self.query_key_value.weight, self.query_key_value.bias
            query = F.linear(pick(h, at), weight[:width], bias[:width]).unflatten(2, shape[1:])
            query = rotate(query.transpose(1, 2), turns[at].unsqueeze(1))
            heads = F.linear(h, weight[width:], bias[width:]).unflatten(2, shape)
            key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        dtype = value.dtype
        if value.device.type == "cpu" and dtype == torch.bfloat16:
            # torch's CPU attention in bfloat16 takes ten times as long to go backward.
            dtype = torch.float32
        return query.to(dtype), rotate(key, turns).to(dtype), value.to(dtype)


class Transformer(SequenceModule):
    """Blocks of self-attention with a last norm."""

    def __init__(self, width: int, n_blocks: int, n_heads: int, rate: float, causal: bool) -> None:
        super().__init__()
        self.width = width
        self.n_heads = n_heads
        self.rate = rate
        self.blocks = nn.ModuleList(Block(width, n_heads, rate, causal) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        h: Tensor,
        generator: torch.Generator | None = None,
        cache: Cache | None = None,
        at: Tensor | None = None,
        coordinates: Tensor | None = None,
    ) -> Tensor:
        generator = generator if self.training else None
        head_dim = self.width // self.n_heads
        if coordinates is None:
            n_seen = 0 if cache is None else cache.n_seen
            turns = rotation(h.shape[1], head_dim, n_seen, h)
        else:
            turns = grid_rotation(coordinates, head_dim, h)
        h = dropout(h, self.rate, generator)
        for i, block in enumerate(self.blocks):
            extend = None if cache is None else partial(cache.extend, i)
            # All positions feed the last block; what it makes of the others is not needed.
            asked = at if i + 1 == len(self.blocks) else None
            h = block(h, turns, generator, extend, asked)
        if at is not None and len(self.blocks) == 0:
            h = pick(h, at)
        if cache is not None:
            cache.n_seen += h.shape[1]
        return self.norm(h)


class TransformerBackbone(PriorBackbone):
    """Transformer of pre-normalised blocks.

    Parameters
    ----------
    width : int, default=128
        W, features of a position; a multiple of ``2 * n_heads``.
    n_blocks : int, default=2
        Blocks, each of attention and a two-layer network of width 4 W.
    n_heads : int, default=4
        Heads of attention.
    dropout : float, default=0.2
        Share of the entries dropped from the input and from what each half of a block
        adds, in [0, 1). Only while training.

    Notes
    -----
    Departures from the paper: norms come before attention and network, not after
    (Xiong et al. 2020), the activation is GELU, attention weights are not dropped, and
    positions turn queries and keys [2]_ instead of being added; those of images by row and by
    column, half of the features each [3]_.

    References
    ----------
    .. [1] A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.
    .. [2] J. Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding",
       2021, section 3.2.
    .. [3] B. Heo et al., "Rotary Position Embedding for Vision Transformer", ECCV 2024,
       section 3.2.

    Examples
    --------
    >>> import torch
    >>> from vqssl.backbones import TransformerBackbone
    >>> network = TransformerBackbone(width=32).build(causal=False)
    >>> tuple(network(torch.zeros(2, 5, 32)).shape)
    (2, 5, 32)
    """

    def __init__(
        self, width: int = 128, n_blocks: int = 2, n_heads: int = 4, dropout: float = 0.2
    ) -> None:
        self.width = width
        self.n_blocks = n_blocks
        self.n_heads = n_heads
        self.dropout = dropout

    def check(self) -> None:
        width = check_count(self.width, "width")
        check_count(self.n_blocks, "n_blocks", minimum=0)
        n_heads = check_count(self.n_heads, "n_heads")
        check_probability(self.dropout, "dropout", below_one=True)
        if width % (2 * n_heads):
            raise ValueError(
                f"width must be a multiple of 2 * n_heads; got width={width}, n_heads={n_heads}."
            )

    def build(self, causal: bool) -> Transformer:
        return Transformer(self.width, self.n_blocks, self.n_heads, float(self.dropout), causal)
