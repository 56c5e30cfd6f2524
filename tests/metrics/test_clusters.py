"""Clusters against classes: separate ones, mixed ones, and the scores of scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from vqssl.metrics import ClusterScores, cluster_scores


def make_blobs(distance, n=90, seed=0):
    """Three classes around the corners of a triangle with two equal sides."""
    labels = np.arange(n) % 3
    centres = distance * np.array([[0, 0], [1, 0], [0, 1]])
    return centres[labels] + np.random.default_rng(seed).standard_normal((n, 2)), labels


def test_classes_far_apart_are_found():
    features, labels = make_blobs(30)
    found = cluster_scores(features, np.array(["up", "down", "cycle"])[labels], random_state=0)
    assert found[:2] == (1, 1)
    assert found.silhouette > 0.9
    assert found.silhouette == pytest.approx(silhouette_score(features, labels))


def test_clusters_that_are_other_than_the_classes_are_no_merit():
    features, labels = make_blobs(30)
    scores, floor = cluster_scores(
        features, np.random.default_rng(1).permutation(labels), return_floor=True, random_state=0
    )
    assert scores == pytest.approx(ClusterScores(0, 0, 0), abs=0.1)
    assert scores == pytest.approx(floor, abs=0.1)
    assert floor.normalized_mutual_information > 0.005


def test_closer_classes_score_lower():
    far, near = (cluster_scores(*make_blobs(distance), random_state=0) for distance in (4, 2))
    assert all(more > less for more, less in zip(far, near, strict=True))


def test_the_floor_does_not_change_the_scores():
    features, labels = make_blobs(2)
    scores, floor = cluster_scores(features, labels, return_floor=True, random_state=0)
    assert scores == cluster_scores(features, labels, random_state=0)
    assert scores.adjusted_rand_index > floor.adjusted_rand_index + 0.3
    assert {type(number) for number in (*scores, *floor)} == {float}


def test_a_seed_decides_everything_and_leaves_the_global_generator_alone():
    features, labels = make_blobs(1)
    before = np.random.get_state()  # noqa: NPY002
    found = [
        cluster_scores(features, labels, return_floor=True, random_state=seed)
        for seed in (0, 0, 1, 2)
    ]
    assert found[0] == found[1]
    assert len(set(found)) > 1
    np.testing.assert_equal(np.random.get_state(), before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("features", "labels", "problem"),
    [
        (np.zeros((4, 1)), [0, 0, 0, 0], "labels must have 2 or more classes; got 1"),
        (np.zeros((4, 1)), [0, 1, 2, 3], "labels must have fewer classes than rows, 4; got 4"),
        (np.zeros((4, 1)), [0, 1], r"labels must have shape \(4,\), one for each row of features"),
        (np.zeros(4), [0, 0, 1, 1], r"features must have shape \(n_samples, n_features\); got 1"),
        (np.zeros((2, 1)), [0, 1], "features must have 3 or more rows; got 2"),
        ([[0.0], [np.inf], [1.0]], [0, 1, 1], r"features must be finite; got inf at \(1, 0\)"),
    ],
)
def test_features_and_labels_must_fit(features, labels, problem):
    with pytest.raises(ValueError, match=problem):
        cluster_scores(features, labels)
