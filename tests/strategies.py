"""What hypothesis draws for tests of whole estimators: series, ways to hand them over, parameters.

Sizes are the least that reach every branch: what is looked for are combinations, not scale.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

import vqssl
from vqssl.augmentations import AUGMENTATIONS
from vqssl.backbones import ConvBackbone, TransformerBackbone
from vqssl.generators._decoding import ORDERS, SCHEDULES
from vqssl.losses import BarlowTwins, InfoNCE, VIbCReg, VICReg
from vqssl.quantizers import FSQ, EMAQuantizer, GradientQuantizer
from vqssl.tokenizers._base import OUTPUTS

TOKENIZERS = ("VQTokenizer", "SSLVQTokenizer", "BandVQTokenizer", "HierarchicalVQTokenizer")
AUTOENCODERS = ("AutoEncoder", "VAE")
GENERATORS = ("MaskGITGenerator", "AutoregressiveGenerator")
ESTIMATORS = (*TOKENIZERS, *AUTOENCODERS, *GENERATORS)

SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.floats(0, 1)
SHARES_BELOW_ONE = st.floats(0, 0.99)
WEIGHTS = st.floats(0, 30)


# ------------------------------------------------------------------------------------- series

KINDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "walk": lambda rng, shape: rng.integers(-9, 10, shape).cumsum(-1).clip(-100, 100),
    "noise": lambda rng, shape: rng.integers(-100, 101, shape),
    "spike": lambda rng, shape: 100 * (rng.random(shape) < 0.02),
    "level": lambda rng, shape: np.zeros(shape) + rng.integers(-100, 101, (*shape[:-1], 1)),
    "constant": lambda rng, shape: np.full(shape, rng.integers(-100, 101)),
    "copies": lambda rng, shape: np.repeat(rng.integers(-9, 10, (1, *shape[1:])), shape[0], 0),
}


@st.composite
def series(draw: st.DrawFn, *kinds: str, min_n: int = 1) -> np.ndarray:
    """Series (n, L) or (n, C, L) of float64: whole numbers that float16 and int8 hold, too."""
    n, length = draw(st.integers(min_n, 12)), draw(st.integers(1, 80))
    channels = draw(st.none() | st.integers(1, 4))
    shape = (n, length) if channels is None else (n, channels, length)
    kind = KINDS[draw(st.sampled_from(kinds or sorted(KINDS)))]
    return kind(np.random.default_rng(draw(SEEDS)), shape).astype(np.float64)


def every_second(X: np.ndarray) -> np.ndarray:
    """The numbers of an array as a view with strides."""
    return np.repeat(X, 2, -1)[..., ::2]


DTYPES = ("float16", "float32", "float64", "int8", "int16", "int64", ">f4", ">i4")
LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "C order": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "strided": every_second,
    "backwards": lambda X: X[::-1, ..., ::-1].copy()[::-1, ..., ::-1],
    "lists": lambda X: X.tolist(),
    "list of arrays": list,
    "data frame": lambda X: pd.DataFrame(X) if X.ndim == 2 else X,
}


@st.composite
def ways_to_give(draw: st.DrawFn) -> Callable[[np.ndarray], Any]:
    """What brings series to another dtype and layout, with the same numbers."""
    dtype, layout = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(sorted(LAYOUTS)))
    return lambda X: LAYOUTS[layout](X.astype(dtype))


# --------------------------------------------------------------------------------- parameters


def conv_backbones() -> st.SearchStrategy[ConvBackbone]:
    blocks = st.integers(0, 2)
    return st.builds(ConvBackbone, st.integers(2, 8), n_blocks=blocks, n_decoder_blocks=blocks)


def quantizers() -> st.SearchStrategy[Any]:
    ema = st.builds(
        EMAQuantizer,
        decay=SHARES_BELOW_ONE,
        commitment=WEIGHTS,
        reset_threshold=SHARES_BELOW_ONE,
    )
    gradient = st.builds(
        GradientQuantizer,
        commitment=WEIGHTS,
        orthogonality=WEIGHTS,
        lr_multiplier=st.floats(0.1, 10),
    )
    levels = st.lists(st.integers(2, 4), min_size=1, max_size=3).map(tuple)
    return st.sampled_from(["ema", "gradient"]) | ema | gradient | st.builds(FSQ, levels)


def losses() -> st.SearchStrategy[Any]:
    terms = {"invariance": WEIGHTS, "variance": WEIGHTS, "covariance": WEIGHTS}
    return st.one_of(
        st.sampled_from(["barlow_twins", "infonce", "vibcreg", "vicreg"]),
        st.builds(BarlowTwins, SHARES),
        st.builds(InfoNCE, st.floats(0.05, 5)),
        st.builds(VIbCReg, **terms),
        st.builds(VICReg, **terms),
    )


def augmentations() -> st.SearchStrategy[Any]:
    names = st.sampled_from([name for name, a in AUGMENTATIONS.items() if "series" in a.takes])
    several = st.lists(names, max_size=2).map(tuple)
    return st.sampled_from(["auto", None]) | names | several


COMPRESSIONS = st.just("auto") | st.integers(1, 90)
SCALINGS = st.sampled_from(["dataset", "series", None])

SHARED: dict[str, st.SearchStrategy[Any]] = {
    "lr": st.floats(1e-4, 0.03),
    "max_iter": st.integers(1, 3),
    "batch_size": st.integers(2, 16),
    "validation_fraction": st.just(0.0) | SHARES_BELOW_ONE,
    "device": st.just("cpu"),  # where bits are the same
    "precision": st.sampled_from(["float32", "float32", "bfloat16"]),
    "random_state": SEEDS,
}
BETWEEN: dict[str, st.SearchStrategy[Any]] = {  # of what lies around the codes
    "backbone": conv_backbones(),
    "compression": COMPRESSIONS,
    "scaling": SCALINGS,
}
CODES: dict[str, st.SearchStrategy[Any]] = {
    "n_codes": st.integers(1, 20),
    "code_dim": st.integers(1, 6),
    "quantizer": quantizers(),
    "output": st.sampled_from(OUTPUTS),
    **BETWEEN,
}
PRIOR: dict[str, st.SearchStrategy[Any]] = {
    "backbone": st.builds(
        TransformerBackbone,
        st.sampled_from([8, 16]),
        n_blocks=st.integers(0, 2),
        n_heads=st.integers(1, 2),
        dropout=SHARES_BELOW_ONE,
    ),
    "class_dropout": st.floats(0.01, 0.99),  # without, there are no series without a class
    "temperature": st.floats(0.1, 3),
    "guidance_scale": st.floats(0, 3),
}
OWN: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "VQTokenizer": {"difference_weight": SHARES, **CODES},
    "SSLVQTokenizer": {
        "ssl": losses(),
        "augmentations": augmentations(),
        "ssl_weight": st.just("auto") | st.floats(0, 2),
        "projector_dim": st.just("auto") | st.integers(1, 8),
        "difference_weight": SHARES,
        **CODES,
    },
    "BandVQTokenizer": {
        **CODES,
        "compression": COMPRESSIONS | st.tuples(st.integers(1, 90), st.integers(1, 90)),
    },
    "HierarchicalVQTokenizer": {
        "n_levels": st.integers(2, 3),
        "level_stride": st.integers(2, 5),
        "coarse_weight": st.floats(0, 2),
        "difference_weight": SHARES,
        **CODES,
    },
    "AutoEncoder": {"latent_dim": st.integers(1, 6), **BETWEEN},
    "VAE": {
        "latent_dim": st.integers(1, 6),
        "beta": WEIGHTS,
        "noise": st.just("learned") | st.floats(0.05, 5),
        "covariance": st.sampled_from(["diagonal", "full"]),
        **BETWEEN,
    },
    "MaskGITGenerator": {
        "label_smoothing": SHARES_BELOW_ONE,
        "schedule": st.sampled_from(sorted(SCHEDULES)),
        "order": st.sampled_from(ORDERS),
        "n_steps": st.integers(1, 20),
        "choice_temperature": st.floats(0, 5),
        **PRIOR,
    },
    "AutoregressiveGenerator": {"top_p": st.floats(0.1, 1), **PRIOR},
}


@st.composite
def estimators(draw: st.DrawFn, *names: str, **fixed: Any) -> Any:
    """An unfitted estimator of one of these classes, with valid parameters.

    `fixed` ones are as given, where the class has them; a generator leaves them to its tokenizer.
    """
    name = draw(st.sampled_from(names))
    cls = getattr(vqssl, name)
    params = {option: draw(values) for option, values in {**OWN[name], **SHARED}.items()}
    if name in GENERATORS:
        return cls(draw(estimators(*TOKENIZERS, **fixed)), **params)
    if name == "BandVQTokenizer":
        params["n_fft"] = draw(st.integers(4, 12))
        params["cutoff"] = draw(st.integers(1, params["n_fft"] // 2))
    return cls(**{**params, **{option: fixed[option] for option in fixed.keys() & params.keys()}})


# --------------------------------------------------------------------------- wrong parameters

NO_NUMBERS: list[Any] = ["1", "auto or so", None, (), [1], {}, 1j, object(), np.array([1.0, 2.0])]
NO_FINITE = [float("nan"), float("inf"), -float("inf")]
NEGATIVE = st.floats(max_value=-1e-9, allow_infinity=False)
NO_TEXTS: list[Any] = ["", "other", "Dataset", b"ema", 0, 1.5, (), object()]


def no_count(minimum: int = 1) -> st.SearchStrategy[Any]:
    return (
        st.integers(max_value=minimum - 1)
        | st.floats()
        | st.sampled_from([*NO_NUMBERS, True, False])
    )


def no_weight(positive: bool = False) -> st.SearchStrategy[Any]:
    limit = [0, 0.0, -0.0] if positive else []
    return NEGATIVE | st.sampled_from([*NO_NUMBERS, *NO_FINITE, True, False, *limit])


def no_share(below_one: bool = False) -> st.SearchStrategy[Any]:
    above = st.floats(min_value=1, exclude_min=not below_one, allow_infinity=False)
    return NEGATIVE | above | st.sampled_from([*NO_NUMBERS, *NO_FINITE, True, False])


NO_CHOICE = st.sampled_from([*NO_TEXTS, 10**9, [], np.zeros(2)])

# Wrong values of a parameter, whatever has it.
WRONG: dict[str, st.SearchStrategy[Any]] = {
    "lr": no_weight(positive=True),
    "max_iter": no_count(),
    "batch_size": no_count(),
    "validation_fraction": no_share(below_one=True),
    "device": NO_CHOICE,
    "precision": NO_CHOICE | st.none(),
    "checkpoint_dir": st.sampled_from([0, 1.5, (), object()]),
    "callbacks": st.sampled_from([0, "timer", [0], [None], {"a": 1}, object()]),
    "net_params": st.sampled_from([0, "gradient_clip", [], {"max_epochs": 3}, object()]),
    "random_state": st.sampled_from([-1, 2**32, 1.5, "0", (), np.random.default_rng(0)]),
    "verbose": no_count(0),
    "n_codes": no_count(),
    "code_dim": no_count(),
    "quantizer": NO_CHOICE | st.sampled_from([None, EMAQuantizer, ConvBackbone()]),
    "backbone": NO_CHOICE | st.sampled_from([None, ConvBackbone, EMAQuantizer()]),
    "output": NO_CHOICE | st.none(),
    "compression": no_count(),
    "scaling": NO_CHOICE,
    "difference_weight": no_share(),
    "ssl": NO_CHOICE | st.sampled_from([None, VICReg, ConvBackbone()]),
    "augmentations": st.sampled_from(["", "other", 0, 1.5, ["other"], [0], (None,), object()]),
    "ssl_weight": no_weight(),
    "projector_dim": no_count(),
    "n_fft": no_count(4),
    "cutoff": no_count() | st.integers(5),
    "n_levels": no_count(2),
    "level_stride": no_count(2),
    "coarse_weight": no_weight(),
    "latent_dim": no_count(),
    "beta": no_weight(),
    "noise": no_weight(positive=True),
    "covariance": NO_CHOICE | st.none(),
    "tokenizer": st.sampled_from([0, "VQTokenizer", vqssl.VQTokenizer, ConvBackbone(), object()]),
    "class_dropout": no_share(below_one=True),
    "temperature": no_weight(positive=True),
    "guidance_scale": no_weight(),
    "label_smoothing": no_share(below_one=True),
    "schedule": NO_CHOICE | st.none(),
    "order": NO_CHOICE | st.none(),
    "n_steps": no_count(),
    "choice_temperature": no_weight(),
    "top_p": no_share() | st.just(0.0),
}

# Parts with a wrong parameter: option, class, parameter and its wrong values.
WRONG_PARTS: list[tuple[str, type, str, st.SearchStrategy[Any]]] = [
    ("backbone", ConvBackbone, "width", no_count(2)),
    ("backbone", ConvBackbone, "n_blocks", no_count(0)),
    ("backbone", ConvBackbone, "n_decoder_blocks", no_count(0)),
    ("backbone", TransformerBackbone, "width", no_count() | st.integers(1, 7)),
    ("backbone", TransformerBackbone, "n_blocks", no_count(0)),
    ("backbone", TransformerBackbone, "n_heads", no_count()),
    ("backbone", TransformerBackbone, "dropout", no_share(below_one=True)),
    ("quantizer", EMAQuantizer, "decay", no_share(below_one=True)),
    ("quantizer", EMAQuantizer, "commitment", no_weight()),
    ("quantizer", EMAQuantizer, "reset_threshold", no_share(below_one=True)),
    ("quantizer", GradientQuantizer, "commitment", no_weight()),
    ("quantizer", GradientQuantizer, "orthogonality", no_weight()),
    ("quantizer", GradientQuantizer, "lr_multiplier", no_weight(positive=True)),
    ("quantizer", FSQ, "levels", st.sampled_from([(), (1,), (2, 0), (2.0,), "222", 8, object()])),
    ("ssl", BarlowTwins, "redundancy", no_weight()),
    ("ssl", InfoNCE, "temperature", no_weight(positive=True)),
    ("ssl", VICReg, "variance", no_weight()),
    ("ssl", VIbCReg, "covariance", no_weight()),
]


@st.composite
def wrong_parameters(draw: st.DrawFn, name: str) -> tuple[dict[str, Any], str]:
    """Parameters of a class of which one is wrong, and the name that the error must have."""
    own = getattr(vqssl, name)().get_params(deep=False)
    backbone = TransformerBackbone if name in GENERATORS else ConvBackbone
    parts = [
        part
        for part in WRONG_PARTS
        if part[0] in own and (part[0] != "backbone" or part[1] is backbone)
    ]
    given = draw(st.sampled_from([*sorted(own), *parts]))
    if isinstance(given, str):
        return {given: draw(WRONG[given])}, given
    option, cls, parameter, values = given
    return {option: cls(**{parameter: draw(values)})}, parameter
