"""A tokenizer whose series are codes already, and Markov chains with known probabilities."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from vqssl.generators._decoding import MASK


class SymbolTokenizer(BaseEstimator):
    """Series are codes: `encode` makes integers of them, `decode` floats.

    `K` is the size of the vocabulary, or one per token; `groups` are slices, one of all
    tokens by default.
    """

    def __init__(self, K=8, groups=None):
        self.K = K
        self.groups = groups

    def fit(self, X, y=None):
        n_tokens = np.asarray(X[:1]).size
        self.code_sizes_ = np.broadcast_to(self.K, n_tokens).copy()
        self.token_groups_ = [slice(0, n_tokens)] if self.groups is None else list(self.groups)
        return self

    def encode(self, X):
        X = np.asarray(X)
        return X.reshape(len(X), -1).astype(np.int64)

    def decode(self, codes):
        return np.asarray(codes, dtype=np.float32)


def draw_symbols(n, code_sizes, seed=0):
    """Series of independent uniform codes, (n, N) float64."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, code_sizes, (n, len(code_sizes))).astype(float)


class Chain(NamedTuple):
    """A stationary Markov chain over K codes."""

    first: np.ndarray  # (K,)
    step: np.ndarray  # (K, K), rows sum to one


def make_chain(K=8, concentration=0.5, seed=0):
    """Chain whose transitions come from a Dirichlet distribution; none is impossible."""
    rng = np.random.default_rng(seed)
    step = 0.99 * rng.dirichlet(np.full(K, concentration), K) + 0.01 / K
    first = np.full(K, 1 / K)
    for _ in range(1000):
        first = first @ step
    return Chain(first, step)


def draw_chain(chain, n, n_tokens, seed=0):
    """Codes (n, N) of a chain."""
    u = np.random.default_rng(seed).random((n_tokens, n, 1))
    codes = [(chain.first.cumsum() < u[0]).sum(1)]
    for n_before in range(1, n_tokens):
        codes.append((chain.step.cumsum(1)[codes[-1]] < u[n_before]).sum(1))
    return np.stack(codes, 1).clip(max=len(chain.first) - 1)


def entropy(chain, n_tokens):
    """Entropy of sequences of a chain, in nats."""
    of_first = -(chain.first * np.log(chain.first)).sum()
    of_step = -(chain.first[:, None] * chain.step * np.log(chain.step)).sum()
    return of_first + (n_tokens - 1) * of_step


def bigram_kl(codes, chain):
    """KL divergence of the pairs of neighbours in codes (n, N) from those of a chain, in nats."""
    K = len(chain.first)
    counts = np.zeros((K, K))
    np.add.at(counts, (codes[:, :-1], codes[:, 1:]), 1)
    seen = counts > 0
    share = counts[seen] / counts.sum()
    return float((share * np.log(share / (chain.first[:, None] * chain.step)[seen])).sum())


def exact_logits(chain) -> Callable[[Tensor], Tensor]:
    """What a perfect masked prior says: p(code n | the codes that are not masked), as logits.

    By messages from either end of the chain, in float64.
    """
    first, step = torch.from_numpy(chain.first), torch.from_numpy(chain.step)
    K = len(first)

    def predict(codes: Tensor) -> Tensor:
        n_rows, n_tokens = codes.shape
        known = torch.nn.functional.one_hot(codes.clamp(min=0), K).double()
        evidence = torch.where((codes == MASK).unsqueeze(2), 1.0, known)  # (B, N, K)
        from_left, from_right = [first.expand(n_rows, K)], [torch.ones(n_rows, K).double()]
        for n in range(n_tokens - 1):
            message = (from_left[-1] * evidence[:, n]) @ step
            from_left.append(message / message.sum(1, keepdim=True))
        for n in range(n_tokens - 1, 0, -1):
            message = (from_right[-1] * evidence[:, n]) @ step.T
            from_right.append(message / message.sum(1, keepdim=True))
        joint = torch.stack(from_left, 1) * torch.stack(from_right[::-1], 1)
        return (joint / joint.sum(2, keepdim=True)).log()

    return predict


def all_codes(code_sizes):
    """Every possible sequence, (product of the sizes, N) float64."""
    sizes = [range(size) for size in code_sizes]
    grid = np.stack(np.meshgrid(*sizes, indexing="ij"), -1).reshape(-1, len(code_sizes))
    assert len(grid) == math.prod(code_sizes)
    return grid.astype(float)
