"""Clusters: whether k-means on features finds the classes, and how far classes are apart."""

from typing import Any, Literal, NamedTuple, overload

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score
from sklearn.utils import check_random_state

from vqssl.metrics._checks import check_features
from vqssl.metrics._labelled import check_labels, shuffled


class ClusterScores(NamedTuple):
    """Agreement of clusters with classes, and silhouette of the classes, as floats."""

    adjusted_rand_index: float
    normalized_mutual_information: float
    silhouette: float


@overload
def cluster_scores(
    features: Any, labels: Any, *, return_floor: Literal[False] = False, random_state: Any = None
) -> ClusterScores: ...
@overload
def cluster_scores(
    features: Any, labels: Any, *, return_floor: Literal[True], random_state: Any = None
) -> tuple[ClusterScores, ClusterScores]: ...
def cluster_scores(
    features: Any, labels: Any, *, return_floor: bool = False, random_state: Any = None
) -> ClusterScores | tuple[ClusterScores, ClusterScores]:
    """Say whether features form clusters that are the classes.

    Parameters
    ----------
    features : array-like of shape (n, d)
        Features of n series.
    labels : array-like of shape (n,)
        Class of each series, numbers or strings; C classes with 2 <= C < n.
    return_floor : bool, default=False
        Whether to return the scores of shuffled classes, too.
    random_state : int, RandomState instance or None, default=None
        Decides the starts of k-means and the shufflings of the floor.

    Returns
    -------
    scores : ClusterScores
        Named tuple of three floats, higher is better:

        - ``adjusted_rand_index`` in [-.5, 1]: agreement of C clusters with the classes, over
          pairs of series; 1 where they are the same, 0 on average for random ones;
        - ``normalized_mutual_information`` in [0, 1]: the same in information, divided by the
          mean of both entropies; 1 where they are the same, above 0 for random ones;
        - ``silhouette`` in [-1, 1]: how much nearer a series is to its own class than to the
          nearest other one, mean over series. No clusters are involved.
    floor : ClusterScores
        The same with shuffled labels, mean over 5 shufflings. Only with `return_floor`.

    Raises
    ------
    ValueError
        If an array has another shape than it must, `features` holds anything but finite
        numbers, or there is one class only or as many as series.

    Notes
    -----
    k-means has C clusters and the best of 10 starts. It and the silhouette use Euclidean
    distances, so dimensions of larger scale count more: standardise features whose scale
    means nothing. The silhouette takes time in proportion to n^2.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl.metrics import cluster_scores
    >>> labels = np.repeat(["down", "up"], 50)
    >>> features = np.random.RandomState(0).standard_normal((100, 2))
    >>> cluster_scores(features + 9 * (labels == "up")[:, None], labels, random_state=0)
    ClusterScores(adjusted_rand_index=1.0, normalized_mutual_information=1.0, silhouette=0.86)
    """
    (rows,) = check_features(3, features=features)
    classes = check_labels(labels, len(rows), "features", minimum=2)
    n_classes = int(classes.max()) + 1
    if n_classes == len(rows):
        raise ValueError(f"labels must have fewer classes than rows, {len(rows)}; got {n_classes}.")
    generator = check_random_state(random_state)
    seed = generator.randint(np.iinfo(np.int32).max)
    clusters = KMeans(n_classes, n_init=10, random_state=seed).fit_predict(rows)

    def measure(classes: np.ndarray) -> ClusterScores:
        return ClusterScores(
            adjusted_rand_index=float(adjusted_rand_score(classes, clusters)),
            normalized_mutual_information=float(normalized_mutual_info_score(classes, clusters)),
            silhouette=float(silhouette_score(rows, classes)),
        )

    scores = measure(classes)
    if not return_floor:
        return scores
    floors = [measure(other) for other in shuffled(classes, generator)]
    return scores, ClusterScores(*np.mean(floors, axis=0).tolist())
