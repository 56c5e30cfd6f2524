"""
How do I search on many machines?
=================================

scikit-learn's searches run their fits through joblib, and joblib runs them on a cluster of Dask:
the search is the same, one line says where. Here the cluster is two processes of this machine.
Needs Dask: ``pip install "dask[distributed]"``.
"""

import time

import joblib
from dask.distributed import Client, LocalCluster
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from vqssl import VQTokenizer
from vqssl.datasets import make_control_charts

X, y = make_control_charts(150, random_state=0)
X_test, y_test = make_control_charts(600, random_state=1)

pipeline = Pipeline([("tok", VQTokenizer(max_iter=40, random_state=0)), ("svm", SVC())])
grid = {"tok__n_codes": [16, 64], "tok__output": ["features", "histogram"]}
search = GridSearchCV(pipeline, grid, cv=3)

# %%
# One thread per worker: a fit trains on one thread, and codes do not depend on how many run beside
# it. The main guard is for Dask, whose workers import this file. Elsewhere,
# ``Client("tcp://scheduler:8786")`` takes the place of the cluster.

if __name__ == "__main__":
    start = time.perf_counter()
    alone = clone(search).fit(X, y).cv_results_["mean_test_score"]
    print(f"one process, {time.perf_counter() - start:.0f} s")

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster), joblib.parallel_config("dask"):
        start = time.perf_counter()
        results = search.fit(X, y).cv_results_
        print(f"two workers, {time.perf_counter() - start:.0f} s\n")

    for mean, std, params in zip(
        results["mean_test_score"], results["std_test_score"], results["params"], strict=True
    ):
        print(f"  {mean:.3f} +- {std:.3f}  {params}")
    print(f"\nThe same scores as in one process: {(results['mean_test_score'] == alone).all()}")
    print(f"Test accuracy of the best, one evaluation: {search.score(X_test, y_test):.3f}")
