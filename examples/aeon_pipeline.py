"""
Does a tokenizer work among aeon's and sktime's transformers?
=============================================================

Basic motions: walking, running, resting and badminton, six channels of a watch, 40 recordings to
learn from and 40 to judge by. A tokenizer stands in a pipeline of aeon, beside features of aeon,
and in a pipeline of sktime, where that is installed: ``pip install sktime``.
"""

from importlib.util import find_spec

from aeon.datasets import load_basic_motions
from aeon.pipeline import make_pipeline
from aeon.transformations.collection import Normalizer
from aeon.transformations.collection.feature_based import SevenNumberSummary
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline as make_sklearn_pipeline
from sklearn.pipeline import make_union
from sklearn.preprocessing import StandardScaler

from vqssl import SSLVQTokenizer
from vqssl.contrib import AeonTransformer

X_train, y_train = load_basic_motions(split="train")  # (40, 6, 100)
X_test, y_test = load_basic_motions(split="test")
tokenizer = SSLVQTokenizer(n_codes=64, max_iter=80, random_state=0)

# %%
# aeon's pipelines take estimators of scikit-learn, but with series of one channel only. The adapter
# says in aeon's way that a tokenizer takes several.

try:
    make_pipeline(tokenizer, RidgeClassifierCV()).fit(X_train, y_train)
except ValueError as error:
    print("Without the adapter:", error)

pipeline = make_pipeline(Normalizer(), AeonTransformer(tokenizer), RidgeClassifierCV())
pipeline.fit(X_train, y_train)
print("\nAccuracy on 40 recordings")
print(f"aeon, codes                   {pipeline.score(X_test, y_test):.3f}")

# %%
# In pipelines of scikit-learn, transformers of aeon and tokenizers stand side by side as they are.

summary = SevenNumberSummary()
for name, features in {
    "seven numbers": summary,
    "these and codes": make_union(summary, tokenizer),
}.items():
    classifier = make_sklearn_pipeline(features, StandardScaler(), RidgeClassifierCV())
    score = classifier.fit(X_train, y_train).score(X_test, y_test)
    print(f"scikit-learn, {name:16}{score:.3f}")

# %%
# sktime takes what is not its own for a transformer of tables and fits a copy to every series, so
# it needs its adapter. A product is a pipeline there.

if find_spec("sktime"):
    from vqssl.contrib import SktimeTransformer

    classifier = SktimeTransformer(tokenizer) * RidgeClassifierCV()
    score = classifier.fit(X_train, y_train).score(X_test, y_test)
    print(f"sktime, codes                 {score:.3f}")
else:
    print("sktime is not installed.")
