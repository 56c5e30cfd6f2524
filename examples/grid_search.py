"""
Which codebook, which loss?
===========================

A grid search over the parameters of a tokenizer inside a pipeline: the size of its
codebook, the self-supervised loss by name, and a parameter of one loss as a part. Italian
power demand by day, summer or winter; 67 series of 24 points.
"""

import time

from aeon.datasets import load_italy_power_demand
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from vqssl import SSLVQTokenizer
from vqssl.losses import VICReg

X_train, y_train = load_italy_power_demand(split="train")
X_test, y_test = load_italy_power_demand(split="test")

# %%
# Few steps, since only the best setting needs more. Two fits at a time.

pipeline = Pipeline(
    [("tok", SSLVQTokenizer(compression=4, max_iter=60, random_state=0)), ("svm", SVC())]
)
grid = [
    # A loss by name: which one?
    {"tok__n_codes": [16, 64], "tok__ssl": ["barlow_twins", "vibcreg"]},
    # A loss as a part: its own parameters can be searched, too.
    {"tok__ssl": [VICReg()], "tok__ssl__covariance": [1.0, 25.0]},
]

start = time.perf_counter()
search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X_train, y_train)
seconds = time.perf_counter() - start
results = search.cv_results_
print(f"{len(results['params'])} settings, 3 folds each, {seconds:.0f} s\n")
for mean, std, params in zip(
    results["mean_test_score"], results["std_test_score"], results["params"], strict=True
):
    print(f"  {mean:.3f} +- {std:.3f}  {params}")
print(f"\nBest: {search.best_params_}")
print(f"Test accuracy, one evaluation: {search.score(X_test, y_test):.3f}")
