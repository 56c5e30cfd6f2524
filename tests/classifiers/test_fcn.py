"""FCNClassifier: what it learns, and what its answers and features mean."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.utils import get_tags

from vqssl import FCNClassifier
from vqssl.classifiers._fcn import ConvBlock
from vqssl.datasets import make_cylinder_bell_funnel

X, Y = make_cylinder_bell_funnel(60, length=64, random_state=0)
X_NEW, Y_NEW = make_cylinder_bell_funnel(150, length=64, random_state=1)


def small(**params):
    """A network that is trained in a second."""
    shared = {"max_iter": 60, "batch_size": 16, "device": "cpu", "random_state": 0}
    return FCNClassifier((16, 32, 16), **{**shared, **params})


@pytest.fixture(scope="module")
def fitted():
    return small().fit(X, Y)


# ------------------------------------------------------------------------------ what it learns


def test_new_series_are_classified(fitted):
    assert fitted.score(X_NEW, Y_NEW) > 0.9


def test_features_are_worth_more_than_the_series_to_a_linear_classifier(fitted):
    linear = LogisticRegression(max_iter=1000)
    on_series = linear.fit(X, Y).score(X_NEW, Y_NEW)
    on_features = linear.fit(fitted.transform(X), Y).score(fitted.transform(X_NEW), Y_NEW)
    assert on_features > max(on_series, 0.9)


def test_the_loss_is_the_cross_entropy_in_nats(fitted):
    assert_allclose(fitted.history_["cross_entropy"], fitted.history_["loss"])
    # One step on a network that knows nothing: about log 3.
    once = small(max_iter=1, batch_size=60).fit(X, Y)
    assert_allclose(once.history_["loss"][0], np.log(3), atol=0.3)


def test_classes_that_differ_by_channel_only_are_told_apart():
    generator = np.random.default_rng(0)
    series = generator.normal(size=(40, 2, 20))
    y = np.arange(40) % 2
    series[np.arange(40), y] += 2
    assert small().fit(series, y).score(series, y) == 1


def test_level_and_unit_of_the_series_do_not_matter(fitted):
    other = small().fit(1000 * X + 50, Y)
    assert_allclose(other.predict_proba(1000 * X + 50), fitted.predict_proba(X), atol=0.02)


# ------------------------------------------------------------------------------------- answers


def test_probabilities_sum_to_one_and_the_largest_is_predicted(fitted):
    probabilities = fitted.predict_proba(X_NEW)
    assert probabilities.shape == (150, 3)
    assert probabilities.min() >= 0
    assert_allclose(probabilities.sum(1), 1, rtol=1e-12)
    assert_array_equal(fitted.predict(X_NEW), fitted.classes_[probabilities.argmax(1)])


def test_features_are_what_the_linear_layer_classifies(fitted):
    Z = fitted.transform(X_NEW)
    assert Z.dtype == np.float32
    assert Z.shape == (150, 16)
    assert Z.min() >= 0
    head = fitted.model_.head
    logits = Z @ head.weight.numpy().T + head.bias.numpy()
    shares = np.exp(logits - logits.max(1, keepdims=True))
    expected = shares / shares.sum(1, keepdims=True)
    assert_allclose(fitted.predict_proba(X_NEW), expected, atol=1e-5)


def test_the_answer_for_a_series_does_not_depend_on_the_others(fitted):
    alone = [fitted.transform(X_NEW[i : i + 1]) for i in range(5)]
    assert_allclose(np.concatenate(alone), fitted.transform(X_NEW)[:5], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("n_samples", "n_classes", "n_steps"),
    [(30, 3, 400), (200, 3, 400), (300, 3, 600), (10**6, 3, 1200), (300, 50, 1000), (60, 80, 1600)],
)
def test_automatic_steps_are_64_passes_within_bounds_and_20_a_class(n_samples, n_classes, n_steps):
    classifier = FCNClassifier()
    classifier.classes_ = np.arange(n_classes)
    assert classifier._count_steps(n_samples) == n_steps


def test_automatic_steps_are_taken(monkeypatch):
    monkeypatch.setattr("vqssl.classifiers._fcn._LEAST_STEPS", 7)
    monkeypatch.setattr("vqssl.classifiers._fcn._PASSES", 2)
    monkeypatch.setattr("vqssl.classifiers._fcn._STEPS_PER_CLASS", 3)
    assert small(max_iter="auto").fit(X, Y).n_iter_ == 9  # three classes


def test_no_other_word_is_a_number_of_steps():
    with pytest.raises(ValueError, match=r"max_iter must be 'auto' or an integer of at least 1"):
        small(max_iter="all").fit(X, Y)


def test_the_defaults_are_the_published_network():
    series = np.zeros((10, 24))
    model = FCNClassifier(max_iter=1).fit(series, np.arange(10) % 5).model_
    shapes = [tuple(block.conv.weight.shape) for block in model.blocks]
    assert shapes == [(128, 1, 8), (256, 128, 5), (128, 256, 3)]
    assert tuple(model.head.weight.shape) == (5, 128)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("length", [1, 5, 12])
def test_a_convolution_is_centred_and_padded_with_zeros(size, length):
    block = ConvBlock(3, 4, size)
    torch.nn.init.normal_(block.conv.weight, generator=torch.Generator().manual_seed(0))
    h = np.random.default_rng(0).normal(size=(2, length, 3)).astype(np.float32)
    weight = block.conv.weight.detach().numpy()  # (W', W, k)
    expected = np.zeros((2, length, 4))
    for b in range(2):
        for t in range(length):
            for j in range(size):
                seen = t + j - (size - 1) // 2
                if 0 <= seen < length:
                    expected[b, t] += weight[:, :, j] @ h[b, seen]
    rows = block.rows(torch.from_numpy(h)).detach().numpy()
    assert_allclose(rows.reshape(2, length, 4), expected, rtol=1e-4, atol=1e-5)


def test_norms_have_the_statistics_of_the_training_set(fitted):
    # In training mode, with all series in one batch, norms take exactly these.
    model = clone(fitted).fit(X, Y).model_.train()
    logits = model.logits(torch.from_numpy(X[:, None].astype(np.float32)))
    in_training = logits.double().softmax(1).numpy()
    assert_allclose(fitted.predict_proba(X), in_training, atol=1e-4)


# ------------------------------------------------------------------------------------- classes


@pytest.mark.parametrize(
    "names",
    [
        np.array([3, 7, -1]),
        np.array(["b", "a", "c"]),
        np.array(["b", "a", "c"], dtype=object),
        np.array([1.0, 2.0, 5.0]),
    ],
    ids=["int", "str", "object", "float"],
)
def test_labels_of_any_kind_come_back(names):
    y = names[np.searchsorted(np.unique(Y), Y)]
    classifier = small().fit(X, y)
    assert_array_equal(classifier.classes_, np.sort(names))
    predicted = classifier.predict(X)
    assert predicted.dtype == classifier.classes_.dtype
    assert np.mean(predicted == y) > 0.8


def test_one_class_is_predicted_always():
    classifier = small(max_iter=3).fit(X, np.full(len(X), "only"))
    assert set(classifier.predict(X_NEW)) == {"only"}
    assert_array_equal(classifier.predict_proba(X_NEW), np.ones((150, 1)))


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 2])
def test_the_smallest_sets_can_be_learned(n, length):
    series = np.arange(n * length, dtype=float).reshape(n, length)
    classifier = small(max_iter=5).fit(series, np.arange(n) % 2)
    assert np.isfinite(classifier.predict_proba(series)).all()
    assert np.isfinite(classifier.partial_fit(series[:1], [0]).predict_proba(series)).all()


def test_held_out_series_are_of_each_class_alike():
    y = np.repeat([0, 1], [50, 10])
    strata = small(validation_fraction=0.5)
    training, held_out = strata._split((np.zeros((60, 1, 4)), y), torch.Generator().manual_seed(0))
    assert np.bincount(y[held_out.index]).tolist() == [25, 5]
    assert np.bincount(y[training.index]).tolist() == [25, 5]


@pytest.mark.parametrize(
    ("y", "error", "match"),
    [
        (None, ValueError, "FCNClassifier estimator requires y to be passed, but .* None"),
        (np.linspace(0, 1, 60), ValueError, "Unknown label type: continuous"),
        (np.zeros((60, 2)), ValueError, "y should be a 1d array"),
        (Y[:10], ValueError, "y must have 60 labels, one per series; got 10"),
        (np.full(60, np.nan), ValueError, "Input y contains NaN"),
    ],
    ids=["None", "continuous", "2-D", "length", "NaN"],
)
def test_what_is_no_class_is_refused(y, error, match):
    with pytest.raises(error, match=match):
        small().fit(X, y)


# ---------------------------------------------------------------------------------- partial_fit


def test_partial_fit_knows_the_classes_of_its_first_call():
    classifier = small().partial_fit(X, Y)
    first = Y == "bell"
    classifier.partial_fit(X[first], Y[first])
    assert classifier.classes_.tolist() == ["bell", "cylinder", "funnel"]
    before = classifier.predict_proba(X)
    with pytest.raises(ValueError, match=r"y must hold classes of the first call .* \['bell'"):
        classifier.partial_fit(X, np.full(60, "pulse"))
    assert_array_equal(classifier.predict_proba(X), before)


def test_partial_fit_can_be_told_classes_that_come_later():
    classifier = small().partial_fit(X[:20], np.zeros(20, int), classes=[0, 1, 2])
    assert classifier.classes_.tolist() == [0, 1, 2]
    classifier.partial_fit(X[20:], np.ones(40, int))
    assert classifier.predict_proba(X).shape == (60, 3)
    with pytest.raises(ValueError, match=r"y must hold classes"):
        small().partial_fit(X[:20], np.full(20, 5), classes=[0, 1, 2])


def test_a_fit_after_partial_fit_has_its_own_classes():
    classifier = small(max_iter=2).partial_fit(X, Y, classes=[*np.unique(Y), "pulse"])
    assert len(classifier.classes_) == 4
    assert len(classifier.fit(X, Y).classes_) == 3


def test_passes_of_partial_fit_learn():
    classifier = small(batch_size=8, lr=5e-3)
    for _ in range(8):
        classifier.partial_fit(X, Y)
    assert classifier.score(X_NEW, Y_NEW) > 0.8


# ----------------------------------------------------------------------------------- the rest


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"kernel_sizes": (8,)}, ValueError, r"kernel_sizes must have as many entries as widths"),
        ({"kernel_sizes": "wide"}, ValueError, r"kernel_sizes must be 'auto' or a tuple"),
        ({"widths": (), "kernel_sizes": ()}, ValueError, "at least one; got"),
        ({"widths": (16, 0, 4)}, ValueError, "widths must be an integer of at least 1; got 0"),
        ({"kernel_sizes": (3, 2.5, 1)}, TypeError, "kernel_sizes must be an integer .* got 2.5"),
        ({"widths": 16}, ValueError, "The 'widths' parameter of FCNClassifier must be"),
    ],
    ids=str,
)
def test_parameters_are_checked(params, error, match):
    with pytest.raises(error, match=match):
        small().set_params(**params).fit(X, Y)


def test_partial_fit_refuses_parameters_that_shape_another_network(fitted):
    classifier = small().partial_fit(X, Y).set_params(widths=(8, 8, 8))
    with pytest.raises(ValueError, match=r"widths must stay \(16, 32, 16\) between calls"):
        classifier.partial_fit(X, Y)


def test_it_is_a_classifier_and_a_transformer_of_series():
    tags = get_tags(FCNClassifier())
    assert is_classifier(FCNClassifier())
    assert tags.input_tags.three_d_array
    assert tags.target_tags.required
    assert tags.transformer_tags is not None


def test_columns_have_names(fitted):
    names = fitted.get_feature_names_out()
    assert names.tolist() == [f"fcnclassifier{i}" for i in range(16)]


@pytest.mark.parametrize("method", ["predict", "predict_proba", "transform"])
def test_an_unfitted_classifier_says_so(method):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        getattr(small(), method)(X)


def test_cross_validation_works():
    assert cross_val_score(small(max_iter=40), X, Y, cv=3, error_score="raise").mean() > 0.7
