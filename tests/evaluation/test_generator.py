"""evaluate_generator: what copies, noise and good generators score."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from tests.evaluation.stubs import Copies, Fresh, Grid, Noise
from vqssl import VAE, AutoregressiveGenerator, FCNClassifier, MaskGITGenerator, VQTokenizer
from vqssl.datasets import make_cylinder_bell_funnel
from vqssl.evaluation import evaluate_against, evaluate_generator, real_references
from vqssl.evaluation._references import stratified_rows

X, Y = make_cylinder_bell_funnel(210, length=32, random_state=0)
TRAIN, TEST = (X[:90], Y[:90]), (X[90:], Y[90:])
FCN = FCNClassifier((16, 32, 16), max_iter=100, batch_size=16, device="cpu")

DISTANCES = {
    "fid", "fid_floor", "fid_reconstruction", "kid", "kid_floor", "kid_p_value",
    "precision", "recall", "density", "coverage",
    "precision_floor", "recall_floor", "density_floor", "coverage_floor",
    "discriminative_score", "discriminative_low", "discriminative_high", "discriminative_floor",
    "memorization_ratio", "n_compared",
}  # fmt: skip
RATES = {
    "nats_per_token", "bits_per_series", "bits_per_point", "uniform_bits_per_series",
    "compression_ratio", "mse", "normalized_mse",
    "nats_per_token_train", "mse_train", "normalized_mse_train",
}  # fmt: skip
OF_REAL_CLASSES = {
    "inception_score", "inception_score_test", "train_real_test_real",
    "train_reconstruction_test_real",
}  # fmt: skip
OF_DRAWN_CLASSES = {"classification_accuracy_score", "train_both_test_real"}


def summary(X):
    """Features without a network: level, deviation and roughness."""
    X = X.reshape(len(X), -1)
    return np.stack([X.mean(1), X.std(1), np.abs(np.diff(X)).mean(1)], 1)


@pytest.fixture(scope="module")
def references():
    return real_references(*TRAIN, *TEST, classifier=FCN, random_state=0)


@pytest.fixture(scope="module")
def scores(references):
    """Figures of three generators of known quality."""
    return {
        kind: evaluate_against(kind().fit(*TRAIN), references, n_samples=180, random_state=0)
        for kind in (Copies, Fresh, Noise)
    }


# ------------------------------------------------------------------------------ known quality


def test_the_classifier_of_the_floor_knows_the_classes(scores):
    assert scores[Fresh]["train_real_test_real"] > 0.9


def test_copies_are_found_and_nothing_else_is_wrong_with_them(scores):
    figures = scores[Copies]
    assert figures["memorization_ratio"] == 0
    assert abs(figures["classification_accuracy_score"] - figures["train_real_test_real"]) < 0.1
    assert figures["precision"] > figures["precision_floor"] - 0.15
    assert figures["kid_p_value"] > 0.01


def test_noise_is_found_by_every_measure(scores):
    figures = scores[Noise]
    assert abs(figures["classification_accuracy_score"] - 1 / 3) < 0.2
    assert figures["fid"] > 5 * figures["fid_floor"]
    assert figures["kid"] > 5 * abs(figures["kid_floor"])
    assert figures["kid_p_value"] < 0.01
    assert figures["coverage"] < figures["coverage_floor"] - 0.3
    assert figures["discriminative_score"] > figures["discriminative_floor"] + 0.1
    assert figures["inception_score"] < figures["inception_score_test"]
    assert figures["train_both_test_real"] > figures["classification_accuracy_score"]


def test_new_series_of_the_right_distribution_score_as_real_ones_do(scores):
    figures = scores[Fresh]
    assert abs(figures["classification_accuracy_score"] - figures["train_real_test_real"]) < 0.1
    assert figures["fid"] < 3 * figures["fid_floor"]
    assert abs(figures["coverage"] - figures["coverage_floor"]) < 0.15
    assert 0.8 < figures["memorization_ratio"] < 1.2
    assert figures["discriminative_low"] < 0.05
    assert abs(figures["inception_score"] - figures["inception_score_test"]) < 0.5


def test_a_coarse_tokenizer_is_told_from_a_fine_one(references, scores):
    coarse = Copies(Grid(4, 4.0)).fit(*TRAIN)
    figures = evaluate_against(coarse, references, n_samples=90, random_state=0)
    fine = scores[Copies]
    assert figures["fid_reconstruction"] > 2 * fine["fid_reconstruction"]
    assert figures["mse"] > 10 * fine["mse"]
    assert figures["uniform_bits_per_series"] == 32 * 2 < fine["uniform_bits_per_series"]


# -------------------------------------------------------------------------------- what comes


def test_all_figures_are_finite_floats(scores):
    for figures in scores.values():
        assert set(figures) == DISTANCES | RATES | OF_REAL_CLASSES | OF_DRAWN_CLASSES
        assert all(type(value) is float for value in figures.values())
        assert all(math.isfinite(value) for value in figures.values())
        assert list(figures) == sorted(figures)


def test_both_sides_of_a_distance_have_as_many_series(references):
    assert references.floors["n_compared"] == 90
    assert len(references.train_rows) == len(references.test_rows) == 90
    few = real_references(*TRAIN, *TEST, features=summary, classifier=SVC(), n_compared=30)
    assert few.floors["n_compared"] == len(few.train_rows) == len(few.test_rows) == 30
    shares = [np.unique(y, return_counts=True)[1] / len(y) for y in (Y[:90], Y[few.train_rows])]
    assert_allclose(*shares, atol=1 / 30)


def test_one_seed_gives_one_answer_in_one_call_and_in_two(references, scores):
    at_once = evaluate_generator(
        Fresh().fit(*TRAIN), *TRAIN, *TEST, classifier=FCN, n_samples=180, random_state=0
    )
    assert at_once == scores[Fresh]


def test_another_seed_gives_another_answer():
    found = [
        evaluate_generator(
            Noise().fit(*TRAIN),
            *(*TRAIN, *TEST),
            features=summary,
            classifier=KNeighborsClassifier(),
            random_state=seed,
        )["fid"]
        for seed in (0, 0, 1)
    ]
    assert found[0] == found[1] != found[2]


def test_series_of_three_axes_are_compared_like_those_of_two():
    kwargs = {"features": PCA(3), "classifier": SVC(), "random_state": 0, "n_samples": 90}
    flat = evaluate_generator(Copies().fit(*TRAIN), *TRAIN, *TEST, **kwargs)
    X_train, X_test = TRAIN[0][:, None], TEST[0][:, None]
    generator = Copies().fit(X_train, TRAIN[1])
    with_channel = evaluate_generator(generator, X_train, TRAIN[1], X_test, TEST[1], **kwargs)
    assert_allclose(list(with_channel.values()), list(flat.values()), rtol=1e-6)


def test_synthetic_series_have_the_classes_of_the_training_set():
    asked = []

    class Watched(Copies):
        def sample(self, n_samples=1, y=None, *, random_state=None):
            asked.append(np.asarray(y))
            return super().sample(n_samples, y, random_state=random_state)

    y = np.where(np.arange(90) < 20, "rare", "common")
    generator = Watched().fit(TRAIN[0], y)
    y_test = np.where(np.arange(120) < 60, "rare", "common")
    evaluate_generator(
        generator, TRAIN[0], y, TEST[0], y_test, features=summary, classifier=SVC(), n_samples=200
    )
    (labels,) = asked
    assert np.unique(labels, return_counts=True)[1].tolist() == [210, 60]  # three times 70, 20


def test_shares_of_classes_are_off_by_less_than_one():
    y = np.repeat([0, 1, 2, 3], [50, 30, 17, 3])
    for n in (1, 7, 10, 33, 99, 100):
        rows = stratified_rows(y, 100, n, np.random.default_rng(n))
        assert len(set(rows)) == n
        counts = np.bincount(y[rows], minlength=4)
        assert (np.abs(counts - np.array([50, 30, 17, 3]) * n / 100) < 1).all()


# ------------------------------------------------------------------------- without classes


def test_without_classes_what_needs_them_is_left_out():
    figures = evaluate_generator(
        Noise().fit(TRAIN[0]), TRAIN[0], None, TEST[0], None, features=summary, random_state=0
    )
    assert set(figures) == DISTANCES | RATES
    assert figures["fid"] > figures["fid_floor"]


def test_a_generator_without_classes_is_compared_in_features_that_know_them():
    generator = Fresh().fit(TRAIN[0])
    figures = evaluate_generator(
        generator, *TRAIN, *TEST, features=PCA(2), classifier=KNeighborsClassifier(), random_state=0
    )
    assert set(figures) == DISTANCES | RATES | OF_REAL_CLASSES


def test_a_classifier_without_probabilities_has_no_inception_score():
    figures = evaluate_generator(
        Copies().fit(*TRAIN), *TRAIN, *TEST, features=summary, classifier=SVC(), random_state=0
    )
    assert not {"inception_score", "inception_score_test"} & set(figures)
    assert "classification_accuracy_score" in figures


# --------------------------------------------------------------------------------- features


def test_features_may_be_a_function_a_fitted_or_an_unfitted_transformer():
    fitted = PCA(3).fit(TRAIN[0])
    found = [
        real_references(*TRAIN, *TEST, features=features, classifier=SVC(), random_state=0)
        for features in (fitted.transform, fitted, PCA(3))
    ]
    assert found[0].floors == found[1].floors == found[2].floors
    assert found[0].test_features.shape == (90, 3)


def test_the_network_of_the_floors_gives_the_features(references):
    assert references.test_features.shape == (90, 16)
    assert references.test_features.min() >= 0


def test_a_classifier_without_features_is_joined_by_a_network(monkeypatch):
    monkeypatch.setattr("vqssl.evaluation._references.FCNClassifier", lambda: FCN)
    found = real_references(*TRAIN, *TEST, classifier=SVC(), random_state=0)
    assert found.test_features.shape == (90, 16)


# ------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"y_train": None, "y_test": None}, ValueError, "features must be given where y_train"),
        ({"y_test": None}, ValueError, "y_train and y_test must both be given"),
        ({"X_train": X[:5], "y_train": Y[:5]}, ValueError, "X_train must have at least 6 series"),
        ({"X_test": X[90:, :16]}, ValueError, r"X_test must have series of shape \(32,\), as"),
        ({"X_test": X[0]}, ValueError, "X_test must have shape .* got 1 axes"),
        ({"y_test": Y[:3]}, ValueError, "y_test must have a label for each of the 120 series"),
        ({"X_test": np.full((9, 32), np.nan)}, ValueError, "Input X_test contains NaN"),
        ({"y_test": np.full(120, "x")}, ValueError, r"y_test must hold classes .* got \['x'\] too"),
        ({"features": 3}, TypeError, "features must be None, a function .* got 3"),
        ({"features": PCA}, TypeError, "features must be None, a function"),
        ({"features": np.ravel}, ValueError, r"features must give an array of shape \(90, d\)"),
        ({"classifier": 5}, TypeError, "classifier must be a scikit-learn .* got 5"),
        ({"classifier": SVC}, TypeError, "classifier must be a scikit-learn classifier"),
        ({"classifier": PCA()}, TypeError, "classifier must be a scikit-learn classifier"),
        ({"n_compared": 5}, ValueError, "n_compared must be an integer of at least 6; got 5"),
        ({"n_samples": 0}, ValueError, "n_samples must be an integer of at least 1; got 0"),
    ],
    ids=lambda value: str(list(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_evaluated_is_refused(given, error, match):
    sets = {"X_train": X[:90], "y_train": Y[:90], "X_test": X[90:], "y_test": Y[90:]}
    options = {"features": None, "classifier": FCN} if "y_train" in given else {}
    options = {"features": summary, "classifier": SVC(), **options}
    with pytest.raises(error, match=match):
        evaluate_generator(Copies().fit(*TRAIN), **{**sets, **options, **given})


class Turned(Copies):
    """Returns channels last."""

    def sample(self, n_samples=1, y=None, *, random_state=None):
        return super().sample(n_samples, y, random_state=random_state).swapaxes(1, 2)


def test_series_of_another_layout_are_not_taken_for_real_ones():
    sets = [np.stack([of[0], -of[0]], axis=1) for of in (TRAIN, TEST)]
    generator = Turned().fit(sets[0])
    with pytest.raises(ValueError, match=r"generator.sample must return .* got \(90, 32, 2\)"):
        evaluate_generator(generator, sets[0], None, sets[1], None, features=summary)


def test_a_generator_of_other_series_is_refused_before_training(monkeypatch):
    generator = AutoregressiveGenerator(VQTokenizer(max_iter=2), max_iter=2).fit(X[:20, :16])
    monkeypatch.setattr(FCNClassifier, "fit", None)
    with pytest.raises(ValueError, match=r"fitted on series of shape \(32,\), as .* on \(16,\)"):
        evaluate_generator(generator, *TRAIN, *TEST)


def test_copies_of_another_dtype_have_no_memorisation_ratio():
    generator = Copies().fit(np.zeros((8, 4)))
    del generator.tokenizer_
    X_train, X_test = np.arange(32).reshape(8, 4), np.arange(32.0).reshape(8, 4)
    figures = evaluate_generator(generator, X_train, None, X_test, None, features=np.asarray)
    assert math.isnan(figures["memorization_ratio"])


def test_a_function_with_transform_alone_gives_features():
    transformer = SimpleNamespace(transform=summary)
    given = {"features": transformer, "random_state": 0}
    real = real_references(TRAIN[0], None, TEST[0], None, **given)
    assert_allclose(real.test_features, summary(TEST[0][real.test_rows]))


def test_an_unfitted_classifier_cannot_give_features_without_classes():
    with pytest.raises(ValueError, match="features must be fitted where y_train is None"):
        real_references(TRAIN[0], None, TEST[0], None, features=FCN)


def test_an_unfitted_generator_is_refused_before_anything_is_trained(references):
    with pytest.raises(NotFittedError, match="not fitted"):
        evaluate_generator(MaskGITGenerator(), *TRAIN, *TEST)
    with pytest.raises(NotFittedError, match="not fitted"):
        evaluate_against(AutoregressiveGenerator(), references)


# --------------------------------------------------------------------------- real generators


@pytest.mark.parametrize("kind", [AutoregressiveGenerator, MaskGITGenerator])
def test_generators_of_the_library_are_evaluated(kind, references):
    tokenizer = VQTokenizer(n_codes=16, max_iter=60)
    generator = kind(tokenizer, max_iter=60, random_state=0).fit(*TRAIN)
    figures = evaluate_against(generator, references, n_samples=90, random_state=0)
    assert set(figures) == DISTANCES | RATES | OF_REAL_CLASSES | OF_DRAWN_CLASSES
    assert figures["memorization_ratio"] > 0
    assert figures["fid"] > figures["fid_floor"]
    assert figures["bits_per_series"] < figures["uniform_bits_per_series"]


def test_a_generator_that_knows_no_classes_need_not_take_them(references):
    generator = VAE(max_iter=60, random_state=0).fit(TRAIN[0])
    figures = evaluate_against(generator, references, random_state=0)
    of_codes = RATES | {"fid_reconstruction", "train_reconstruction_test_real"}
    assert set(figures) == (DISTANCES | OF_REAL_CLASSES) - of_codes
    assert figures["memorization_ratio"] > 0


# ------------------------------------------------------------------------------ left out


def test_two_accuracies_can_be_left_out(references, scores):
    figures = evaluate_against(
        Fresh().fit(*TRAIN), references, n_samples=180, all_accuracies=False, random_state=0
    )
    left_out = {"train_reconstruction_test_real", "train_both_test_real"}
    assert scores[Fresh].keys() - figures.keys() == left_out
    assert figures == {name: scores[Fresh][name] for name in figures}


def test_a_generator_without_codes_is_judged_by_its_series(references, scores):
    generator = Copies().fit(*TRAIN)
    generator.X_ = np.asarray(TRAIN[0], dtype=np.float32)
    del generator.tokenizer_
    figures = evaluate_against(generator, references, n_samples=180, random_state=0)
    of_codes = RATES | {"fid_reconstruction", "train_reconstruction_test_real"}
    assert scores[Copies].keys() - figures.keys() == of_codes
    assert figures["memorization_ratio"] == pytest.approx(0, abs=1e-6)
