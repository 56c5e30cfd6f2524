"""Estimators of vqssl among those of aeon: as they are, and as AeonTransformer."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_union
from sklearn.tree import DecisionTreeClassifier

from vqssl import VQTokenizer
from vqssl.datasets import make_cylinder_bell_funnel

pytest.importorskip("aeon")

from aeon.classification.compose import ClassifierPipeline
from aeon.classification.feature_based import SummaryClassifier
from aeon.pipeline import make_pipeline
from aeon.testing.estimator_checking import check_estimator
from aeon.transformations.collection import Normalizer
from aeon.transformations.collection.feature_based import SevenNumberSummary
from aeon.transformations.collection.unequal_length import Padder

from vqssl.contrib import AeonTransformer

FLAT, Y = make_cylinder_bell_funnel(30, length=24, random_state=0)
ONE = FLAT[:, None]  # (30, 1, 24)
TWO = np.concatenate([ONE, ONE[..., ::-1]], axis=1)  # (30, 2, 24)
UNEQUAL = [x[:, : 18 + i % 6] for i, x in enumerate(ONE)]


@pytest.fixture
def tokenizer():
    return VQTokenizer(8, code_dim=4, max_iter=5, random_state=0)


def test_every_check_of_aeon_passes():
    results = check_estimator(AeonTransformer)
    assert results
    assert set(results.values()) == {"PASSED"}


@pytest.mark.parametrize("before", [[], [Normalizer()]], ids=["alone", "after_one_of_aeon"])
def test_a_tokenizer_works_in_a_pipeline_of_aeon_as_it_is(tokenizer, before):
    pipeline = make_pipeline(*before, tokenizer, RidgeClassifierCV())
    assert isinstance(pipeline, ClassifierPipeline)
    X = before[0].fit_transform(ONE) if before else ONE
    expected = RidgeClassifierCV().fit(clone(tokenizer).fit(X).transform(X), Y)
    found = pipeline.fit(ONE, Y).predict(ONE)
    np.testing.assert_array_equal(found, expected.predict(tokenizer.fit(X).transform(X)))


def test_several_channels_need_the_adapter(tokenizer):
    with pytest.raises(ValueError, match="multivariate"):
        make_pipeline(tokenizer, RidgeClassifierCV()).fit(TWO, Y)
    pipeline = make_pipeline(AeonTransformer(tokenizer), RidgeClassifierCV()).fit(TWO, Y)
    assert pipeline.predict(TWO).shape == Y.shape


def test_unequal_lengths_pass_through_the_padder(tokenizer):
    padder = Padder()
    found = make_pipeline(padder, AeonTransformer(tokenizer)).fit_transform(UNEQUAL)
    padded = Padder().fit_transform(UNEQUAL)
    np.testing.assert_array_equal(found, tokenizer.fit(padded).transform(padded))


def test_unequal_lengths_are_refused(tokenizer):
    with pytest.raises(ValueError, match="unequal length"):
        AeonTransformer(tokenizer).fit(UNEQUAL)


def test_a_classifier_of_aeon_takes_the_features(tokenizer):
    pipeline = make_pipeline(
        AeonTransformer(tokenizer), SummaryClassifier(estimator=DecisionTreeClassifier())
    )
    assert pipeline.fit(ONE, Y).predict(ONE).shape == Y.shape


def test_a_union_holds_features_of_both(tokenizer):
    both = make_union(tokenizer, SevenNumberSummary()).fit_transform(ONE)
    np.testing.assert_array_equal(both[:, :-7], tokenizer.fit(ONE).transform(ONE))
    np.testing.assert_array_equal(both[:, -7:], SevenNumberSummary().fit_transform(ONE))


def test_the_adapter_gives_what_its_estimator_gives(tokenizer):
    adapter = AeonTransformer(tokenizer)
    found = adapter.fit_transform(TWO)
    np.testing.assert_array_equal(found, clone(tokenizer).fit(TWO).transform(TWO))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(adapter)).transform(TWO), found)
    assert not hasattr(tokenizer, "model_")


def test_parameters_of_the_estimator_are_those_of_the_adapter(tokenizer):
    adapter = clone(AeonTransformer(tokenizer)).set_params(estimator__n_codes=5)
    assert len(adapter.fit(ONE).estimator_.codebook_) == 5
    assert tokenizer.n_codes == 8


def test_a_frozen_estimator_is_not_fitted_again(tokenizer):
    tokenizer.fit(TWO)
    found = AeonTransformer(FrozenEstimator(tokenizer)).fit(TWO[:10]).transform(TWO)
    np.testing.assert_array_equal(found, tokenizer.transform(TWO))


@pytest.mark.parametrize("estimator", [None, "vq", VQTokenizer, RidgeClassifierCV()], ids=repr)
def test_what_is_no_transformer_is_refused(estimator):
    with pytest.raises(TypeError, match="estimator must be an instance with fit and transform"):
        AeonTransformer(estimator).fit(ONE)
