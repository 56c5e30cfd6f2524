"""Estimators of vqssl among those of sktime, as SktimeTransformer."""

import pickle

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeClassifierCV

from vqssl import VQTokenizer
from vqssl.datasets import make_cylinder_bell_funnel

pytest.importorskip("sktime")

from sktime.datatypes import convert_to
from sktime.pipeline import make_pipeline
from sktime.transformations.exponent import ExponentTransformer
from sktime.utils.estimator_checks import check_estimator

from vqssl.contrib import SktimeTransformer

FLAT, Y = make_cylinder_bell_funnel(30, length=24, random_state=0)
ONE = FLAT[:, None]  # (30, 1, 24)
TWO = np.concatenate([ONE, ONE[..., ::-1]], axis=1)  # (30, 2, 24)


@pytest.fixture
def tokenizer():
    return VQTokenizer(8, code_dim=4, max_iter=5, random_state=0)


def test_every_check_of_sktime_passes():
    results = check_estimator(SktimeTransformer, verbose=False)
    assert results
    assert set(results.values()) == {"PASSED"}


@pytest.mark.parametrize("form", ["numpy3D", "nested_univ", "pd-multiindex", "df-list"])
def test_every_form_of_a_panel_gives_what_the_array_gives(tokenizer, form):
    found = SktimeTransformer(tokenizer).fit_transform(convert_to(TWO, form))
    np.testing.assert_array_equal(np.asarray(found), tokenizer.fit(TWO).transform(TWO))


def test_the_estimator_is_fitted_once_on_all_series_of_a_pipeline(tokenizer):
    pipeline = make_pipeline(
        ExponentTransformer(2), SktimeTransformer(tokenizer), RidgeClassifierCV()
    )
    features = tokenizer.fit(TWO**2).transform(TWO**2)
    expected = RidgeClassifierCV().fit(features, Y).predict(features)
    np.testing.assert_array_equal(pipeline.fit(TWO, Y).predict(TWO), expected)


def test_a_product_is_a_pipeline(tokenizer):
    classifier = SktimeTransformer(tokenizer) * RidgeClassifierCV()
    assert classifier.fit(TWO, Y).predict(TWO).shape == Y.shape


def test_the_adapter_survives_a_pickle(tokenizer):
    adapter = SktimeTransformer(tokenizer).fit(TWO)
    found = pickle.loads(pickle.dumps(adapter)).transform(TWO)
    np.testing.assert_array_equal(found, adapter.transform(TWO))
    assert not hasattr(tokenizer, "model_")


def test_parameters_of_the_estimator_are_those_of_the_adapter(tokenizer):
    adapter = SktimeTransformer(tokenizer).clone().set_params(estimator__n_codes=5)
    assert len(adapter.fit(ONE).estimator_.codebook_) == 5
    assert tokenizer.n_codes == 8


def test_a_frozen_estimator_is_not_fitted_again(tokenizer):
    tokenizer.fit(TWO)
    found = SktimeTransformer(FrozenEstimator(tokenizer)).fit(TWO[:10]).transform(TWO)
    np.testing.assert_array_equal(np.asarray(found), tokenizer.transform(TWO))


def test_unequal_lengths_are_refused(tokenizer):
    frames = convert_to(ONE, "df-list")
    frames[0] = frames[0].iloc[:20]
    with pytest.raises(ValueError, match="same length"):
        SktimeTransformer(tokenizer).fit(frames)


@pytest.mark.parametrize("estimator", [None, "vq", VQTokenizer, RidgeClassifierCV()], ids=repr)
def test_what_is_no_transformer_is_refused(estimator):
    with pytest.raises(TypeError, match="estimator must be an instance with fit and transform"):
        SktimeTransformer(estimator).fit(ONE)
