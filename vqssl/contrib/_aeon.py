"""AeonTransformer: an estimator of vqssl as a transformer of aeon."""

from typing import Any, ClassVar

import numpy as np
from aeon.transformations.collection import BaseCollectionTransformer
from sklearn.base import clone

from vqssl.contrib._check import check_transformer


class AeonTransformer(BaseCollectionTransformer):
    """A tokenizer, autoencoder or encoder as a transformer of collections of aeon.

    aeon's pipelines take estimators of vqssl as they are where series have one channel. They
    refuse several channels of a transformer that does not say, in aeon's way, that it takes
    them; this one does.

    Parameters
    ----------
    estimator : estimator with ``fit`` and ``transform``
        A clone is fitted. Inside ``sklearn.frozen.FrozenEstimator`` it is used as it is.

    Attributes
    ----------
    estimator_ : estimator
        The fitted clone.

    Raises
    ------
    TypeError
        At `fit`, if `estimator` has no ``fit`` and ``transform``.
    ValueError
        At `fit` and `transform`, if series have unequal lengths, which aeon's ``Padder`` and
        ``Resizer`` mend, or are not acceptable to `estimator`.

    See Also
    --------
    vqssl.pad_series : One array out of series of unequal lengths, without aeon.

    Notes
    -----
    ``transform`` returns an array of shape (n_cases, n_features), what `estimator` gives. For
    its other methods, such as ``encode``, use ``estimator_``.

    References
    ----------
    M. Middlehurst et al., "aeon: a Python Toolkit for Learning from Time Series", JMLR 25 (2024).

    Examples
    --------
    >>> from aeon.datasets import load_basic_motions
    >>> from aeon.pipeline import make_pipeline
    >>> from sklearn.linear_model import RidgeClassifierCV
    >>> from vqssl import VQTokenizer
    >>> from vqssl.contrib import AeonTransformer
    >>> X, y = load_basic_motions(split="train")
    >>> X.shape
    (40, 6, 100)
    >>> tokenizer = AeonTransformer(VQTokenizer(max_iter=20, random_state=0))
    >>> classifier = make_pipeline(tokenizer, RidgeClassifierCV())
    >>> classifier.fit(X, y).predict(X).shape
    (40,)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "X_inner_type": "numpy3D",
        "output_data_type": "Tabular",
        "capability:multivariate": True,
    }

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        super().__init__()

    def _fit(self, X: np.ndarray, y: Any = None) -> "AeonTransformer":
        check_transformer(self.estimator)
        self.estimator_ = clone(self.estimator).fit(X, y)
        return self

    def _transform(self, X: np.ndarray, y: Any = None) -> np.ndarray:
        return self.estimator_.transform(X)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        from vqssl import VQTokenizer

        return {"estimator": VQTokenizer(4, code_dim=4, max_iter=2, random_state=0)}
