"""What a user sees on real series, with fewer steps than the defaults take."""

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from vqssl import MaskGITGenerator, SSLVQTokenizer, VQTokenizer
from vqssl.augmentations import AmplitudeScale, Compose, GaussianNoise, MagnitudeWarp, WindowWarp

pytestmark = pytest.mark.statistical

STEPS = 200


@pytest.mark.slow
def test_a_pipeline_on_raw_series_beats_the_nearest_neighbour(load_ucr):
    data = load_ucr("GunPoint")
    accuracy = [
        make_pipeline(SSLVQTokenizer(max_iter=STEPS, random_state=seed), SVC())
        .fit(data.X_train, data.y_train)
        .score(data.X_test, data.y_test)
        for seed in range(3)
    ]
    assert np.mean(accuracy) > 0.913  # 1-NN with Euclidean distance, UCR archive


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TwoPatterns", "Wafer"])
@pytest.mark.parametrize("kind", [VQTokenizer, SSLVQTokenizer])
def test_a_codebook_of_32_is_in_use(load_ucr, name, kind):
    X = load_ucr(name).X_train
    codes = kind(n_codes=32, max_iter=STEPS, random_state=0).fit(X).encode(X)
    assert len(np.unique(codes)) >= 0.95 * 32


def test_codes_hold_the_shape(load_ucr):
    data = load_ucr("TwoPatterns")
    untrained = VQTokenizer(max_iter=1, lr=1e-12, random_state=0).fit(data.X_train)
    fitted = VQTokenizer(max_iter=STEPS, random_state=0).fit(data.X_train)
    assert untrained.score(data.X_test) < 0.1
    assert fitted.score(data.X_test) > 0.93


@pytest.mark.slow
def test_the_joint_embedding_branch_helps_to_recognise_a_view(load_ucr):
    data = load_ucr("SyntheticControl")
    X = data.X_train  # z-normalised, so that views can be made in its units
    augmentations = (GaussianNoise(), AmplitudeScale(), MagnitudeWarp(), WindowWarp())
    view = view_of(X, augmentations)
    shares = {
        weight: retrieval(
            SSLVQTokenizer(
                augmentations=augmentations, ssl_weight=weight, max_iter=STEPS, random_state=0
            ).fit(X),
            X,
            view,
        )
        for weight in (0, "auto")
    }
    assert shares["auto"] > shares[0]


@pytest.mark.slow
def test_synthetic_series_look_like_the_class_asked_for_and_are_no_copies(load_ucr):
    data = load_ucr("SyntheticControl")
    tokenizer = SSLVQTokenizer(max_iter=STEPS, random_state=0).fit(data.X_train)
    generator = MaskGITGenerator(FrozenEstimator(tokenizer), max_iter=2 * STEPS, random_state=0)
    generator.fit(data.X_train, data.y_train)
    new = generator.sample(len(data.y_test), data.y_test, random_state=0)
    judge = KNeighborsClassifier(n_neighbors=1).fit(data.X_train[:, 0], data.y_train)
    accuracy = judge.score(data.X_test[:, 0], data.y_test)
    assert judge.score(new[:, 0], data.y_test) > 0.95 * accuracy

    def decoded(series):
        return tokenizer.decode(tokenizer.encode(series))[:, 0]

    nearest = NearestNeighbors(n_neighbors=1).fit(decoded(data.X_train))
    of_new, of_test = (
        nearest.kneighbors(series)[0].mean() for series in (new[:, 0], decoded(data.X_test))
    )
    assert of_new > 0.7 * of_test


def view_of(X, augmentations):
    generator = torch.Generator().manual_seed(0)
    return Compose(augmentations)(torch.from_numpy(X), generator).numpy()


def retrieval(tokenizer, X, view):
    """Share of series that are the nearest neighbour of their own view."""
    neighbours = NearestNeighbors(n_neighbors=1).fit(tokenizer.transform(X))
    found = neighbours.kneighbors(tokenizer.transform(view), return_distance=False)[:, 0]
    return np.mean(found == np.arange(len(X)))
