"""Unusual input against what comes of it: the tables of docs/faults.md.

    python -m tests.test_faults

writes them; the tests hold them against what is observed.
"""

import re
import traceback
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone
from skorch.callbacks import Callback

from tests.test_common import ESTIMATORS, answers, assert_same, make_series, read_only
from vqssl.losses import SSLLoss

FILE = Path(__file__).parents[1] / "docs" / "faults.md"

# One of each kind, of those that all other tests have.
KINDS = (
    "VQTokenizer",
    "SSLVQTokenizer",
    "HierarchicalVQTokenizer",
    "BandVQTokenizer",
    "AutoEncoder",
    "VAE",
    "CPCEncoder",
    "MaskGITGenerator",
    "FCNClassifier",
)
BY_NAME = {type(estimator).__name__: estimator for estimator in ESTIMATORS}

# Whose text an error has, by the package that raised it.
PACKAGES = {"numpy": "numpy", "pandas": "pandas", "sklearn": "scikit-learn", "torch": "torch"}

HEAD = """\
# Unusual input

What `fit` and the methods after it make of unusual input. `python -m tests.test_faults` writes this
page from what it observes, and the tests hold it. *fits* means that training ends and every answer
is finite and of the right shape; in the table of containers also that the bits are those that the
plain array gives. *refused* is an error before training, but for those that speak of a step or of
memory; an earlier fit stays usable. Errors of other packages have their name beside them;
`{estimator}` is the name of the class. An estimator that lacks a parameter of a row is left out of
it. All were trained for a few steps, on series of 24 time points where nothing else is said.
"""


class Endless(SSLLoss):
    """A loss of the user's own that is not finite."""

    def terms(self, first, second):
        return {"endless": (first - second).square().mean() * torch.inf}


class Full(Callback):
    """Stands for a device that has memory for so many series in a step."""

    def __init__(self, most):
        self.most = most

    def on_batch_begin(self, net, batch, **kwargs):
        if len(batch[0]) > self.most:
            raise torch.OutOfMemoryError("there is no memory left")


class Fault(NamedTuple):
    """What is fitted on, made anew for each estimator."""

    X: Callable[[], Any]
    y: Any = None  # three classes in turn
    params: dict[str, Any] = {}  # noqa: RUF012
    like: str | None = None  # key of PLAIN: the plain array that gives the same bits


def series(n=9, length=24, channels=None):
    # Fewer than ten, of which no tokenizer says that they have collapsed.
    return make_series(n, length, channels)


def with_value(value, dtype=np.float64):
    X = series().astype(dtype)
    X[3, 7] = value
    return X


PLAIN = {"walks": series(), "positive": series() + 200, "signs": (series() > 0).astype(float)}


def same(make, like="walks"):
    """A way to hold series that must make no difference."""
    return Fault(lambda: make(PLAIN[like]), like=like)


def labels(y):
    return Fault(series, y)


def with_constant_channel():
    X = series(channels=3)
    X[:, 1] = 5.0
    return X


TIMES = [f"t{i}" for i in range(24)]
CLASSES = np.arange(9) % 3
WORDS = np.array(["a", "b", "c"])[CLASSES]

VALUES = {
    "NaN": Fault(lambda: with_value(np.nan)),
    "infinity": Fault(lambda: with_value(np.inf)),
    "a number beyond float32": Fault(lambda: with_value(1e39)),
    "a number near the largest of float32": Fault(lambda: with_value(3e38)),
    "around 1e-30": Fault(lambda: 1e-30 * series()),
    "around 1e30": Fault(lambda: 1e30 * series()),
    "a level a hundred million times the variation": Fault(lambda: series() + 1e9),
    "one value ten million times the others": Fault(lambda: with_value(1e8)),
    "constant": Fault(lambda: np.full((12, 24), 0.1)),
    "constant, each series at its own level": Fault(
        lambda: np.repeat(np.arange(12.0)[:, None], 24, 1)
    ),
    "one constant channel of three": Fault(with_constant_channel),
    "complex numbers": Fault(lambda: series().astype(complex)),
    "text": Fault(lambda: series().astype(str)),
    "dates": Fault(lambda: np.full((9, 24), np.datetime64("2020-01-01"))),
    "None among objects": Fault(lambda: with_value(None, object)),
    "some of a masked array masked": Fault(lambda: np.ma.masked_less(series(), 0)),
}
NUMBERS = {
    "none": Fault(lambda: series()[:0]),
    "one": Fault(lambda: series(1)),
    "two": Fault(lambda: series(2)),
    "fewer than `batch_size`": Fault(series, params={"batch_size": 1000}),
    "all equal": Fault(lambda: np.repeat(series(1), 12, 0)),
    "each twice": Fault(lambda: np.repeat(series(6), 2, 0)),
    "one of a class, half of all held out": Fault(
        series, np.arange(9) == 3, {"validation_fraction": 0.5}
    ),
    "all of one class": labels(np.zeros(9, int)),
    "each of a class of its own": labels(np.arange(9)),
}
SHAPES = {
    "one time point": Fault(lambda: series(length=1)),
    "two time points": Fault(lambda: series(length=2)),
    "100,000 time points": Fault(lambda: series(2, 100_000)),
    "1,000 channels": Fault(lambda: series(2, 250, 1000)),
    "no time points": Fault(lambda: series()[:, :0]),
    "one axis": Fault(lambda: series()[0]),
    "five axes": Fault(lambda: np.zeros((2, 2, 2, 2, 2))),
    "time in the middle": Fault(lambda: series(channels=4).swapaxes(1, 2)),
    "images": Fault(lambda: series(length=64).reshape(9, 1, 8, 8)),
    "lists of unequal lengths": Fault(lambda: [[1.0, 2.0, 3.0], [4.0, 5.0]]),
    "an array of arrays": Fault(lambda: np.array([np.zeros(3), np.zeros(5)], dtype=object)),
}
CONTAINERS = {
    "float16": same(lambda X: X.astype(np.float16)),
    "long double": same(lambda X: X.astype(np.longdouble)),
    "int8": same(lambda X: X.astype(np.int8)),
    "uint64": same(lambda X: X.astype(np.uint64), "positive"),
    "bool": same(lambda X: X.astype(bool), "signs"),
    "big-endian": same(lambda X: X.astype(">f8")),
    "objects": same(lambda X: X.astype(object)),
    "Fortran order": same(np.asfortranarray),
    "every second column of an array": same(lambda X: np.repeat(X, 2, 1)[:, ::2]),
    "backwards in memory": same(lambda X: X[:, ::-1].copy()[:, ::-1]),
    "read-only": same(read_only),
    "lists": same(lambda X: X.tolist()),
    "a masked array, nothing masked": same(np.ma.array),
    "pandas": same(lambda X: pd.DataFrame(X, columns=TIMES)),
    "pandas, nullable": same(lambda X: pd.DataFrame(X).convert_dtypes()),
    "pandas, nullable, one missing": Fault(
        lambda: pd.DataFrame(with_value(np.nan)).astype("Float64")
    ),
    "pandas, names of two types": Fault(lambda: pd.DataFrame(series(), columns=[0, *TIMES[1:]])),
    "pandas, MultiIndex": Fault(
        lambda: pd.DataFrame(series(), pd.MultiIndex.from_product([range(3), range(3)]))
    ),
    "polars": same(lambda X: pl.DataFrame(X, TIMES)),
    "sparse matrix": Fault(lambda: sparse.csr_matrix(series())),
    "sparse array": Fault(lambda: sparse.coo_array(series())),
    "torch": same(torch.from_numpy),
    "torch, bfloat16": same(lambda X: torch.from_numpy(X).bfloat16()),
    "torch, with gradient": same(lambda X: torch.from_numpy(X).requires_grad_()),
    "torch, sparse": Fault(lambda: torch.from_numpy(series()).to_sparse()),
}
LABELS = {
    "integers, any": labels(CLASSES - 2**40),
    "uint8": labels(CLASSES.astype(np.uint8)),
    "uint64 beyond int64": labels(CLASSES.astype(np.uint64) + 2**63),
    "big-endian": labels(CLASSES.astype(">i4")),
    "booleans": labels(CLASSES > 0),
    "read-only": labels(np.broadcast_to(CLASSES, 9)),
    "text": labels(WORDS),
    "text as objects": labels(WORDS.astype(object)),
    "text of pandas": labels(pd.Series(WORDS, dtype="string")),
    "categories of pandas": labels(pd.Series(pd.Categorical(WORDS))),
    "nullable integers": labels(pd.Series(CLASSES, dtype="Int64")),
    "polars": labels(pl.Series(WORDS)),
    "torch": labels(torch.from_numpy(CLASSES)),
    "a list": labels(WORDS.tolist()),
    "whole numbers as float16": labels(CLASSES.astype(np.float16)),
    "dates": labels(np.array(["2020", "2021", "2022"], "M8[Y]")[CLASSES]),
    "fractions": labels(CLASSES + 0.5),
    "a column": labels(CLASSES[:, None]),
    "two columns": labels(np.stack([CLASSES, CLASSES], 1)),
    "too few": labels(CLASSES[:5]),
    "NaN": labels(np.where(CLASSES > 0, CLASSES, np.nan)),
    "missing nullable integers": labels(pd.Series([None, *CLASSES[1:]], dtype="Int64")),
    "None among text": labels(np.array([None, "b", "c"], object)[CLASSES]),
    "text and numbers": labels(np.array([1, "b", "c"], object)[CLASSES]),
    "bytes": labels(WORDS.astype(bytes)),
    "complex numbers": labels(CLASSES.astype(complex)),
    "sparse": labels(sparse.csr_matrix(CLASSES[:, None])),
}
TRAINING = {
    "more codes than latents": Fault(series, params={"n_codes": 1000}),
    "`lr=1e30`": Fault(series, params={"lr": 1e30, "max_iter": 6}),
    "a loss of one's own that is infinite": Fault(series, params={"ssl": Endless()}),
    "memory for four series in a step": Fault(series, params={"callbacks": [Full(4)]}),
    "memory for no series": Fault(series, params={"callbacks": [Full(0)]}),
}

# Rows of each table, and who is asked.
SECTIONS = {
    "Values": (VALUES, KINDS),
    "Numbers of series": (NUMBERS, KINDS),
    "Shapes": (SHAPES, KINDS),
    "Containers and types of numbers": (CONTAINERS, KINDS),
    "Labels, where they are read": (LABELS, ("MaskGITGenerator", "FCNClassifier")),
    "Training": (TRAINING, KINDS),
}


# ------------------------------------------------------------------------------- observing


@cache
def observe(section, name, kind):
    """What comes of a fault; "" for an estimator that does not have its parameters."""
    fault = SECTIONS[section][0][name]
    estimator = clone(BY_NAME[kind]).set_params(max_iter=2)
    if not fault.params.keys() <= estimator.get_params().keys():
        return ""
    estimator.set_params(**fault.params)
    X, y = fault.X(), fault.y
    if y is None:
        y = np.arange(X.shape[0] if hasattr(X, "shape") else len(X)) % 3
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator.fit(X, y)
        except Exception as error:
            assert not hasattr(estimator, "model_")
            return f"refused: {told(error, kind)}"
        check_answers(estimator, X)
    if fault.like is not None:
        assert_array_equal(estimator.transform(X), features_of_plain(fault.like, kind))
    said = sorted({f"{of.category.__name__}: {shortened(of.message, kind)}" for of in caught})
    return "fits" + (f", warns: {' And '.join(said)}" if said else "")


@cache
def features_of_plain(like, kind):
    estimator = clone(BY_NAME[kind]).set_params(max_iter=2)
    return estimator.fit(PLAIN[like], CLASSES).transform(PLAIN[like])


def check_answers(estimator, X):
    found = answers(estimator, X)
    for answer, value in found.items():
        assert np.isfinite(value).all(), answer
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    assert found["transform"].shape == (n, len(estimator.get_feature_names_out()))
    drawn = [estimator.decode(found["encode"])] if "encode" in found else []
    drawn += [estimator.sample(2, random_state=0)] if hasattr(estimator, "sample") else []
    for given in drawn:
        assert np.isfinite(given).all()
        assert given.shape[1:] == estimator.input_shape_


def told(error, kind):
    """Type and text of an error, and whose it is where it is not vqssl's."""
    raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
    owners = [name for package, name in PACKAGES.items() if f"/{package}/" in raised_in]
    owner = f" ({owners[0]})" if owners else ""
    return f"{type(error).__name__}{owner}: {shortened(error, kind)}"


def shortened(message, kind):
    """First line of a message, without what differs between estimators for no reason."""
    text = str(message).partition("\n")[0].replace(kind, "{estimator}")
    text = re.sub(r"(nan|-?inf) at step \d+ \(term '\w+'\)", "nan at step {i} (term {name})", text)
    return re.sub(r"rank is \d\.\d+", "rank is {rank}", text)


# ------------------------------------------------------------------------------- rendering


def render_section(title):
    """A table with a column for each kind of estimators that has outcomes of its own."""
    faults, kinds = SECTIONS[title]
    observed = {name: [observe(title, name, kind) for kind in kinds] for name in faults}
    # What an estimator without the parameter would say is not told from the others.
    told_by = {name: next(filter(None, outcomes)) for name, outcomes in observed.items()}
    groups: dict[tuple[str, ...], list[str]] = {}
    for i, kind in enumerate(kinds):
        column = tuple(observed[name][i] or told_by[name] for name in faults)
        groups.setdefault(column, []).append(kind)
    columns = sorted(groups.items(), key=lambda item: -len(item[1]))
    heads = [", ".join(f"`{kind}`" for kind in group) for _, group in columns]
    if len(columns) == 1:
        heads = ["every estimator"] if kinds == KINDS else heads
    elif len(columns[0][1]) > 2:
        heads[0] = "all others"
    lines = [f"## {title}", "", row(["input", *heads]), "|---" * (len(heads) + 1) + "|"]
    for i, name in enumerate(faults):
        first, *others = (outcomes[i] for outcomes, _ in columns)
        lines.append(row([name, first, *("the same" if o == first else o for o in others)]))
    return "\n".join(lines) + "\n"


def row(cells):
    return f"| {' | '.join(cells)} |"


def render():
    return "\n".join([HEAD, *map(render_section, SECTIONS)])


def own_words_only(page):
    """A page without the text of errors of other packages, which differs with their versions."""
    return re.sub(r"(refused: \w+ \([\w-]+\)): [^|\n]*", r"\1", page)


# --------------------------------------------------------------------------------- testing


@pytest.mark.parametrize("title", SECTIONS)
def test_outcomes_are_those_of_the_page(title):
    page = FILE.read_text()
    observed = own_words_only(render_section(title)).splitlines()
    written = own_words_only(page[page.index(f"## {title}\n") :]).splitlines()[: len(observed)]
    assert observed == written


def test_the_page_has_these_tables_only():
    page = FILE.read_text()
    assert page.startswith(HEAD)
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == list(SECTIONS)
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(lines) == sum(1 + len(faults) for faults, _ in SECTIONS.values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lr", [1.0, 100.0, 1e6])
def test_a_large_lr_trains_or_says_what_to_do(kind, lr):
    estimator = clone(BY_NAME[kind]).set_params(lr=lr, max_iter=20)
    said = ""
    try:
        estimator.fit(series(), CLASSES)
    except FloatingPointError as error:
        said = str(error)
    if said:
        assert re.search(r"became .* at step \d+.*\. Lower lr, or lower the limit", said)
        assert not hasattr(estimator, "model_")
    else:
        check_answers(estimator, series())


def test_a_loss_that_is_not_finite_leaves_the_earlier_fit():
    tokenizer = clone(BY_NAME["SSLVQTokenizer"]).fit(series())
    before = answers(tokenizer, series())
    message = r"The loss became inf at step 1 \(term 'ssl_endless'\)\. Lower lr"
    with pytest.raises(FloatingPointError, match=message):
        tokenizer.set_params(ssl=Endless()).fit(series()[::-1])
    assert_same(before, answers(tokenizer, series()))


if __name__ == "__main__":
    FILE.write_text(render())
