"""Section about codes: how many, how often each is used, what they stand for."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from vqssl.metrics import perplexity
from vqssl.plots import CodebookDisplay, TokenDisplay
from vqssl.reports._figures import Picture, draw
from vqssl.reports._findings import Finding, counted, percent
from vqssl.reports._html import figures, measure, table
from vqssl.reports._model_findings import few_tokens, low_perplexity, unused_codes
from vqssl.reports._page import Section
from vqssl.reports._sets import Sets
from vqssl.reports._subject import Subject
from vqssl.tokenizers import BaseTokenizer

# Series in the picture.
_SHOWN = 2

# Bits of an uncompressed number.
_FLOAT_BITS = 32


class Usage(NamedTuple):
    """How the codes of a group of tokens are used by series."""

    n_tokens: int  # of a series
    n_codes: int
    n_counted: int  # tokens of all series
    n_used: int  # codes that occur
    perplexity: float


def codes_section(subject: Subject, sets: Sets, seed: int) -> Section | None:
    """Count codes and show them."""
    tokenizer = subject.tokenizer
    if tokenizer is None:
        return None
    usages = usage_of_groups(tokenizer, np.asarray(tokenizer.encode(sets.train.X)))
    names = _group_names(len(usages))
    option = _option(tokenizer)
    rules: list[Finding | None] = []
    for usage, name in zip(usages, names, strict=True):
        rules += [
            few_tokens(usage.n_codes, usage.n_counted, name),
            unused_codes(usage.n_used, usage.n_codes, usage.n_counted, name, option),
            low_perplexity(usage.perplexity, usage.n_used, name),
        ]
    bits = float(np.log2(tokenizer.code_sizes_).sum())
    n_numbers = sets.train.X[0].size
    lead = (
        f"The tokenizer turns {counted(n_numbers, 'number')} into "
        f"{counted(len(tokenizer.code_sizes_), 'code')}, integers that name entries of a codebook. "
        f"A token is the place of a code in a series. The codes take {bits:,.0f} bits, the numbers "
        f"{_FLOAT_BITS * n_numbers:,}: {_FLOAT_BITS * n_numbers / bits:,.0f} times as many."
        if bits > 0
        else "There is a single code, which tells nothing."
    )
    rows: list[list[object]] = [
        ["tokens of a series", *(f"{usage.n_tokens:,}" for usage in usages)],
        ["codes in the codebook", *(f"{usage.n_codes:,}" for usage in usages)],
        measure(
            "codes that training series use",
            f"{counted(sum(usage.n_counted for usage in usages), 'token')} were counted",
            *(f"{usage.n_used:,}" for usage in usages),
        ),
        measure(
            "perplexity",
            "so many codes, equally frequent, would be as varied as these",
            *(f"{usage.perplexity:.1f}" for usage in usages),
        ),
    ]
    content = [table("Use of the codes", ["", *names], rows)]
    content.append(figures(*_pictures(tokenizer, sets, usages, names, seed)))
    used, every = sum(u.n_used for u in usages), sum(u.n_codes for u in usages)
    return Section("codes", "Codes", lead, content, rules, [("codes in use", f"{used} of {every}")])


def usage_of_groups(tokenizer: Any, codes: np.ndarray) -> list[Usage]:
    """How codes (n, N) are used, group by group."""
    usages = []
    for group in _groups(tokenizer):
        some = codes[:, group]
        n_codes = int(np.max(np.asarray(tokenizer.code_sizes_)[group]))
        n_used = len(np.unique(some))
        usages.append(Usage(some.shape[1], n_codes, some.size, n_used, perplexity(some)))
    return usages


def _groups(tokenizer: Any) -> list[Any]:
    """Slices of the token axis, coarse to fine."""
    return list(getattr(tokenizer, "token_groups_", [slice(None)]))


def _group_names(n: int) -> list[str]:
    if n == 1:
        return ["codes"]
    return ["coarse codes", *(f"codes of level {i}" for i in range(1, n - 1)), "fine codes"]


def _option(tokenizer: Any) -> str:
    """Name of the parameter that says how many codes there are, or ""."""
    params = tokenizer.get_params(deep=False) if hasattr(tokenizer, "get_params") else {}
    # FSQ with levels of its own pays no heed to n_codes.
    has_levels = getattr(params.get("quantizer"), "levels", None) is not None
    return "n_codes" if "n_codes" in params and not has_levels else ""


def _pictures(
    tokenizer: Any, sets: Sets, usages: list[Usage], names: list[str], seed: int
) -> list[Picture]:
    if not hasattr(tokenizer, "token_spans_"):
        return []
    kind, *_, numbers, X, _ = sets.shown
    some = np.sort(np.random.default_rng(seed).permutation(len(X))[:_SHOWN])
    groups = [np.arange(len(tokenizer.code_sizes_))[group] for group in _groups(tokenizer)]
    books = tokenizer.codebook_ if isinstance(tokenizer, BaseTokenizer) else None
    display = TokenDisplay(
        X[some],
        tokenizer.encode(X[some]),
        tokenizer.token_spans_,
        groups,
        books if books is None or isinstance(books, list) else [books],
        numbers[some],
    )
    pictures = [
        draw(
            display.plot,
            f"{counted(len(some), f'{kind} {sets.noun}')}, each cut into "
            f"{counted(usages[-1].n_tokens, 'piece')} coloured by their code.",
            "Which code stands for which part. Like colours are like codes.",
        )
    ]
    if books is None:  # of the user's own
        return pictures
    for group, (usage, name) in enumerate(zip(usages, names, strict=True)):
        pictures.append(
            draw(
                partial(CodebookDisplay.from_estimator, tokenizer, sets.train.X, group=group),
                f"{usage.n_used} of {usage.n_codes} {name} occur "
                f"({percent(usage.n_used / usage.n_codes)}), with a perplexity of "
                f"{usage.perplexity:.1f}.",
                f"The {name}: how often each occurs in training series, how like two are, and what "
                "the most frequent ones look like.",
            )
        )
    return pictures
