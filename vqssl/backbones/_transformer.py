"""Transformer (Vaswani et al. 2017) over token positions, for priors over codes."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._parts import Part
from vqssl._seed import uniform
from vqssl._validation import check_count, check_probability

# Angles per position lie between 1 and nearly 1 / _ROTATION_BASE.
_ROTATION_BASE = 10_000.0

# Keys and values of every block so far, (B, heads, N, W / heads) each.
Cache = list[tuple[Tensor, Tensor]]


def dropout(h: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Set a share of the entries to zero and scale the others up.

    torch's own draws from the global generator. Without a generator nothing is dropped.
    """
    if generator is None or rate == 0:
        return h
    kept = uniform(h.shape, generator, h) >= rate
    return h * kept / (1 - rate)


def rotate(x: Tensor, first: int = 0) -> Tensor:
    """Rotary position embedding (Su et al. 2021, equation 34).

    Pairs of features turn by an angle that grows with the position, so that products of
    queries and keys depend on how far apart they are.

    Parameters
    ----------
    x : Tensor of shape (B, heads, N, d)
        Queries or keys; d is even.
    first : int, default=0
        Position of the first.

    Returns
    -------
    rotated : Tensor of shape (B, heads, N, d)
    """
    half = x.shape[-1] // 2
    # Not in the default dtype, whose change would change the angles.
    pairs = torch.arange(half, dtype=torch.float32, device=x.device)
    places = torch.arange(x.shape[-2], dtype=torch.float32, device=x.device) + first
    angles = places.unsqueeze(1) * _ROTATION_BASE ** (-pairs / half)  # (N, d / 2)
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    left, right = x.chunk(2, -1)  # (B, heads, N, d / 2) each
    return torch.cat([left * cosine - right * sine, left * sine + right * cosine], -1)


class SequenceModule(nn.Module, ABC):
    """Base class of the modules that prior backbones build."""

    width: int
    """W, features of a position."""

    @abstractmethod
    def forward(
        self, h: Tensor, generator: torch.Generator | None = None, cache: Cache | None = None
    ) -> Tensor:
        """Map positions (B, N, W) to (B, N, W).

        With `generator`, a module in training mode may drop entries. With `cache`, an
        initially empty list, `h` continues the positions that the cache has seen, and the
        cache is extended by them; only for causal modules.
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
        generator: torch.Generator | None,
        past: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        heads = self.query_key_value(self.norm_attention(h))
        heads = heads.unflatten(2, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)  # (B, heads, N, W / heads) each
        first = 0 if past is None else past[0].shape[2]
        query, key = rotate(query, first), rotate(key, first)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        mask = None
        if self.causal and past is not None:
            # is_causal would align the first query with the first key, not the last with the last.
            n_new, n_all = query.shape[2], key.shape[2]
            mask = torch.ones(n_new, n_all, dtype=torch.bool, device=h.device)
            mask = mask.tril(n_all - n_new)  # (N, past + N)
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=self.causal and mask is None
        )  # (B, heads, N, W / heads)
        mixed = self.merge(mixed.transpose(1, 2).flatten(2))  # (B, N, W)
        h = h + dropout(mixed, self.rate, generator)
        wide = F.gelu(self.expand(self.norm_mlp(h)))  # (B, N, 4 W)
        return h + dropout(self.contract(wide), self.rate, generator), (key, value)


class Transformer(SequenceModule):
    """Blocks of self-attention with a last norm."""

    def __init__(self, width: int, n_blocks: int, n_heads: int, rate: float, causal: bool) -> None:
        super().__init__()
        self.width = width
        self.rate = rate
        self.blocks = nn.ModuleList(Block(width, n_heads, rate, causal) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(width)

    def forward(
        self, h: Tensor, generator: torch.Generator | None = None, cache: Cache | None = None
    ) -> Tensor:
        generator = generator if self.training else None
        h = dropout(h, self.rate, generator)
        for i, block in enumerate(self.blocks):
            past = cache[i] if cache is not None and i < len(cache) else None
            h, state = block(h, generator, past)
            if cache is not None:
                cache[i : i + 1] = [state]
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
    positions turn queries and keys [2]_ instead of being added.

    References
    ----------
    .. [1] A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.
    .. [2] J. Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding",
       2021, section 3.2.

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
