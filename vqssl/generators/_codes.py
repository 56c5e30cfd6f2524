"""The discrete side of a prior: codes to vectors, and features to logits of codes."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._seed import initialise
from vqssl.backbones import SequenceModule
from vqssl.generators._decoding import MASK, Grid

# Deviation of a vector's entries at the start: small beside what the blocks add.
_START_DEVIATION = 0.02

# The same for vectors that begin with what the tokenizer knows of the codes.
_CODE_DEVIATION = 0.1


def positions_of(groups: Sequence[slice], n_tokens: int) -> list[list[int]]:
    """Positions of the tokens of every group, in order.

    Raises
    ------
    TypeError
        If the groups are no slices.
    ValueError
        If they do not hold every token exactly once, or one runs backwards.
    """
    for group in groups:
        if not isinstance(group, slice):
            raise TypeError(f"token_groups_ must hold slices; got {group!r}.")
        if group.step is not None and group.step < 1:
            raise ValueError(f"token_groups_ must hold slices that run forwards; got {group}.")
    positions = [list(range(n_tokens))[group] for group in groups]
    if sorted(chain(*positions)) != list(range(n_tokens)) or not all(positions):
        raise ValueError(
            f"token_groups_ must hold each of the {n_tokens} tokens once; got {list(groups)}."
        )
    return positions


def shapes_of(given: Any, positions: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Tokens of every group along each axis: (N,), of images (rows, columns).

    Parameters
    ----------
    given : tuple of int, list of these or None
        ``token_shape_`` of a tokenizer: a list where there are several groups. None is for
        tokens in a line.
    positions : sequence of sequences of int
        Positions of the tokens of each group.

    Raises
    ------
    ValueError
        If there are not as many shapes as groups, or one does not have the tokens of its group.
    """
    sizes = [len(group) for group in positions]
    if given is None:
        return [(size,) for size in sizes]
    shapes = [tuple(map(int, s)) for s in (given if isinstance(given, list) else [given])]
    if [math.prod(shape) for shape in shapes] != sizes or not all(len(s) in (1, 2) for s in shapes):
        raise ValueError(
            "token_shape_ must be (n_tokens,) or (rows, columns), a list of these where there are "
            f"several groups; got {given} for groups of {sizes} tokens."
        )
    return shapes


class Table(nn.Module):
    """Vectors of numbered things, (...) int64 -> (..., W)."""

    def __init__(self, n_rows: int, width: int, deviation: float = _START_DEVIATION) -> None:
        super().__init__()
        self.deviation = deviation
        # Not nn.Embedding, which starts its weight in its constructor: on the meta device that
        # makes torch import its compiler.
        self.weight = nn.Parameter(torch.empty(n_rows, width))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        self.weight.normal_(std=self.deviation, generator=generator)

    def forward(self, rows: Tensor) -> Tensor:
        return F.embedding(rows, self.weight)


class CodeSpace(nn.Module):
    """Vectors for the codes of every token, and logits for them.

    Each group of tokens has a vocabulary of its own: the same number means something else
    at another level. Logits of codes that a token cannot have are minus infinity.
    """

    first_row: Tensor  # (N,) int64 where the vocabulary of a token begins in the table
    group: Tensor  # (N,) int64 number of a token's group
    group_size: Tensor  # (N,) int64 tokens of that group
    forbidden: Tensor  # (N, K) bool
    order: Tensor  # (N,) int64 positions group by group
    rank: Tensor  # (N,) int64 place of a position in that order

    coordinates: Tensor | None  # (N, 2) int64 row and column in the image; None for series

    def __init__(
        self,
        code_sizes: Sequence[int],
        groups: Sequence[slice],
        width: int,
        token_shape: Any = None,
    ) -> None:
        super().__init__()
        self.code_sizes = [int(size) for size in code_sizes]
        self.n_tokens = len(self.code_sizes)
        self.groups = list(groups)
        self.positions = positions_of(groups, self.n_tokens)
        self.shapes = shapes_of(token_shape, self.positions)
        self.in_order = list(chain(*self.positions))
        self.group_of = [0] * self.n_tokens
        for group, positions in enumerate(self.positions):
            for position in positions:
                self.group_of[position] = group
        self.sizes = [max(self.code_sizes[i] for i in group) for group in self.positions]
        self.n_codes = max(self.sizes)
        self.is_ragged = len(set(self.code_sizes)) > 1
        self.table = Table(sum(self.sizes) + 1, width)  # the last row is the mask
        self.places = Table(self.n_tokens, width)
        self.heads = nn.ModuleList(nn.Linear(width, size) for size in self.sizes)
        # Functions of the sizes, so they are no part of the state.
        for name in ("first_row", "group", "group_size", "order", "rank"):
            self.register_buffer(name, torch.empty(self.n_tokens, dtype=torch.int64), False)
        self.register_buffer(
            "forbidden", torch.empty(self.n_tokens, self.n_codes, dtype=torch.bool), False
        )
        coordinates = None
        if any(len(shape) == 2 for shape in self.shapes):
            coordinates = torch.empty(self.n_tokens, 2, dtype=torch.int64)
        self.register_buffer("coordinates", coordinates, False)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Start the weights, and fill the tables of positions."""
        for child in self.children():
            initialise(child, generator)
        first = [sum(self.sizes[: self.group_of[i]]) for i in range(self.n_tokens)]
        self.first_row.copy_(torch.tensor(first))
        self.group.copy_(torch.tensor(self.group_of))
        self.group_size.copy_(torch.bincount(self.group)[self.group])
        self.order.copy_(torch.tensor(self.in_order))
        self.rank.copy_(self.order.argsort())
        sizes = torch.tensor(self.code_sizes).unsqueeze(1)
        self.forbidden.copy_(torch.arange(self.n_codes) >= sizes)
        if self.coordinates is not None:
            for positions, shape in zip(self.positions, self.shapes, strict=True):
                place = torch.arange(len(positions))
                row, column = place // shape[-1], place % shape[-1]  # a line is a single row
                self.coordinates[positions] = torch.stack([row, column], 1)

    def grid(self, group: int) -> Grid | None:
        """Where the tokens of a group lie in an image; None where they lie in a line."""
        shape = self.shapes[group]
        if self.coordinates is None or len(shape) == 1:
            return None
        return Grid(self.coordinates, (shape[0], shape[1]))

    @torch.no_grad()
    def start(self, codebooks: Sequence[Tensor], generator: torch.Generator) -> None:
        """Begin with codes alike whose vectors in the tokenizer are alike, in and out.

        One random projection of their vectors makes the rows of the table and of the heads. A
        few hundred series are too few to find out by counting which of a hundred codes mean
        nearly the same.

        Parameters
        ----------
        codebooks : sequence of Tensor of shape (K, D)
            Vectors of the codes of each group, (K, D) each.
        generator : torch.Generator
            Draws the projection of each group.
        """
        width = self.table.weight.shape[1]
        first = 0
        for vectors, size, head in zip(codebooks, self.sizes, self.heads, strict=True):
            centred = vectors - vectors.mean(0)
            deviation = centred.square().mean().sqrt()
            centred = centred / torch.where(deviation > 0, deviation, 1.0)
            dim = centred.shape[1]
            draw = torch.randn(dim, width, generator=generator, dtype=centred.dtype)
            rows = centred @ draw / dim**0.5  # (K, W)
            self.table.weight[first : first + size] = _CODE_DEVIATION * rows
            assert isinstance(head, nn.Linear)
            head.weight.copy_(rows / width**0.5)
            first += size

    def embed(self, codes: Tensor) -> Tensor:
        """Vectors of codes without their places, (B, N) -> (B, N, W); `MASK` has one, too."""
        rows = torch.where(codes == MASK, len(self.table.weight) - 1, codes + self.first_row)
        return self.table(rows)

    def embed_at(self, codes: Tensor, position: int) -> Tensor:
        """Vectors of the codes of one token, (B,) -> (B, W)."""
        return self.table(codes + self.first_row[position])

    def logits(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Logits of the codes of tokens, float32.

        Parameters
        ----------
        h : Tensor of shape (B, N, W) or (B, M, W)
            Features of all tokens, or of those `at` names.
        at : Tensor of shape (B, M), int64, or None
            Positions of the tokens.

        Returns
        -------
        logits : Tensor of shape (B, N, K) or (B, M, K)
        """
        if len(self.heads) == 1:
            logits = self.heads[0](h).float()
        else:
            logits = h.new_full((*h.shape[:2], self.n_codes), -torch.inf, dtype=torch.float32)
            for i, (group, size, head) in enumerate(
                zip(self.groups, self.sizes, self.heads, strict=True)
            ):
                if at is None:
                    logits[:, group, :size] = head(h[:, group]).float()
                else:
                    inside = (self.group[at] == i).unsqueeze(2)
                    logits[..., :size] = torch.where(inside, head(h).float(), logits[..., :size])
        if not self.is_ragged:
            return logits
        forbidden = self.forbidden if at is None else self.forbidden[at]
        return logits.masked_fill(forbidden, -torch.inf)

    def logits_at(self, h: Tensor, position: int) -> Tensor:
        """Logits of the codes of one token, (B, W) -> (B, K of its group) float32."""
        group = self.group_of[position]
        logits = self.heads[group](h).float()
        return logits.masked_fill(self.forbidden[position, : self.sizes[group]], -torch.inf)


class Prior(nn.Module, ABC):
    """Network over codes and a class: logits of every token."""

    def __init__(self, space: CodeSpace, trunk: SequenceModule, n_classes: int) -> None:
        super().__init__()
        self.space = space
        self.trunk = trunk
        self.classes = Table(n_classes + 1, trunk.width)  # the last is "no class"
        self.no_class = n_classes

    @abstractmethod
    def hidden(
        self, codes: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Features that predict the tokens, (B, N) and (B,) -> (B, N, W)."""

    def forward(
        self, codes: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Logits (B, N, K) of codes (B, N), `MASK` where unknown, and classes (B,)."""
        return self.space.logits(self.hidden(codes, labels, generator))


def log_probabilities(logits: Tensor, codes: Tensor) -> Tensor:
    """Log-probabilities of codes, (B, N, K) and (B, N) -> (B, N), in nats."""
    return logits.log_softmax(-1).gather(2, codes.unsqueeze(2)).squeeze(2)


def group_terms(name: str, losses: Tensor, space: CodeSpace) -> dict[str, Tensor]:
    """Terms of a loss given per sample and token, (B, N): mean over B, sum over tokens.

    One term a group of tokens, numbered where there are several.
    """
    per_token = losses.mean(0)  # (N,)
    if len(space.groups) == 1:
        return {name: per_token.sum()}
    return {f"{name}_{i}": per_token[group].sum() for i, group in enumerate(space.groups)}
