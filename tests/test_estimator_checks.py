"""scikit-learn's own checks, without an expected failure."""

import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from vqssl import (
    VAE,
    AnomalyDetector,
    AutoEncoder,
    AutoregressiveGenerator,
    BandVQTokenizer,
    CPCEncoder,
    FCNClassifier,
    GreedyInfoMaxEncoder,
    HierarchicalVQTokenizer,
    MaskGITGenerator,
    SSLVQTokenizer,
    TokenizerClassifier,
    VQTokenizer,
)
from vqssl.backbones import ConvBackbone, TransformerBackbone

# Few steps of small networks: the checks are about the contract, not about what is learned.
SMALL = {"backbone": ConvBackbone(width=16, n_blocks=1), "max_iter": 5}
TOKENIZER = VQTokenizer(**SMALL)
SMALL_PRIOR = {"backbone": TransformerBackbone(width=32, n_blocks=1), "max_iter": 5}
ESTIMATORS = [
    AnomalyDetector(MaskGITGenerator(TOKENIZER, **SMALL_PRIOR)),
    AutoEncoder(**SMALL),
    AutoregressiveGenerator(TOKENIZER, **SMALL_PRIOR),
    BandVQTokenizer(**SMALL),
    CPCEncoder(max_iter=5),
    FCNClassifier(widths=(16, 16), kernel_sizes=(5, 3), max_iter=60),  # which three blobs take
    GreedyInfoMaxEncoder(max_iter=5),
    HierarchicalVQTokenizer(**SMALL),
    MaskGITGenerator(TOKENIZER, **SMALL_PRIOR),
    SSLVQTokenizer(**SMALL),
    TokenizerClassifier(TOKENIZER, max_iter=60),
    VAE(**SMALL),
    VQTokenizer(**SMALL),
]

# Checks that scikit-learn runs on its own classes only, beyond check_estimator.
FURTHER_CHECKS = [
    "check_dataframe_column_names_consistency",
    "check_estimators_partial_fit_n_features",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
    "check_param_validation",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]

# Narrow features: the checks compare data frames column by column.
NARROW = {"n_codes": 4, "code_dim": 2, "widths": (4, 4), "kernel_sizes": (3, 3), "max_iter": 5}

# scikit-learn's data sets of 20 to 80 tiny rows are no training sets: the steps are few,
# the latents collapse, and both are said in warnings.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # Some checks transform an array after a fit on a data frame, on purpose.
    pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning"),
    pytest.mark.filterwarnings("ignore:X has feature names:UserWarning"),
    # scikit-learn hands real numbers as y to whatever is no classifier.
    pytest.mark.filterwarnings("ignore:y holds continuous values:UserWarning"),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", FURTHER_CHECKS)
@pytest.mark.parametrize(
    "estimator",
    [estimator for estimator in ESTIMATORS if hasattr(estimator, "transform")],
    ids=lambda e: type(e).__name__,
)
def test_further_scikit_learn_check(estimator, name):
    estimator = clone(estimator)
    known = estimator.get_params()
    for prefix in ("", "tokenizer__", "generator__tokenizer__"):
        narrow = {prefix + name: size for name, size in NARROW.items() if prefix + name in known}
        estimator.set_params(**narrow)
    getattr(estimator_checks, name)(type(estimator).__name__, estimator)
