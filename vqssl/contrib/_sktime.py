"""SktimeTransformer: an estimator of vqssl as a transformer of sktime."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import clone
from sktime.transformations.base import BaseTransformer

from vqssl.contrib._check import check_transformer


class SktimeTransformer(BaseTransformer):
    """A tokenizer, autoencoder or encoder as a transformer of panels of sktime.

    sktime takes a transformer that is none of its own for one of tables, and fits a copy to
    every single series. This adapter is fitted once, on all of them.

    Parameters
    ----------
    estimator : estimator with ``fit`` and ``transform``
        A clone is fitted, without labels. Inside ``sklearn.frozen.FrozenEstimator`` it is used
        as it is.

    Attributes
    ----------
    estimator_ : estimator
        The fitted clone.

    Raises
    ------
    TypeError
        At `fit`, if `estimator` has no ``fit`` and ``transform``.
    ValueError
        At `fit` and `transform`, if series have unequal lengths, which sktime's
        ``PaddingTransformer`` mends, or are not acceptable to `estimator`.

    See Also
    --------
    vqssl.pad_series : One array out of series of unequal lengths, without sktime.

    Notes
    -----
    ``transform`` returns a data frame of shape (n_instances, n_features), what `estimator`
    gives. For its other methods, such as ``encode``, use ``estimator_``.

    References
    ----------
    M. Löning et al., "sktime: A Unified Interface for Machine Learning with Time Series",
    arXiv:1909.07872.

    Examples
    --------
    >>> from sklearn.linear_model import RidgeClassifierCV
    >>> from sktime.pipeline import make_pipeline
    >>> from vqssl import VQTokenizer
    >>> from vqssl.contrib import SktimeTransformer
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> X, y = make_cylinder_bell_funnel(30, length=32, random_state=0)
    >>> tokenizer = SktimeTransformer(VQTokenizer(max_iter=20, random_state=0))
    >>> classifier = make_pipeline(tokenizer, RidgeClassifierCV())
    >>> classifier.fit(X[:, None], y).predict(X[:, None]).shape
    (30,)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": "The vqssl developers",
        "maintainers": "The vqssl developers",
        "X_inner_mtype": "numpy3D",
        "scitype:transform-input": "Series",
        "scitype:transform-output": "Primitives",
        "scitype:instancewise": False,
        "capability:multivariate": True,
        "capability:unequal_length": False,
        "capability:categorical_in_X": False,
        "fit_is_empty": False,
    }

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        super().__init__()

    def _fit(self, X: np.ndarray, y: Any = None) -> "SktimeTransformer":
        check_transformer(self.estimator)
        # FrozenEstimator asks for y, though it does nothing with it.
        self.estimator_ = clone(self.estimator).fit(X, None)
        return self

    def _transform(self, X: np.ndarray, y: Any = None) -> pd.DataFrame:
        return pd.DataFrame(np.asarray(self.estimator_.transform(X)))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters that sktime's own checks make instances with.

        Parameters
        ----------
        parameter_set : str, default="default"
            Ignored; there is one set.

        Returns
        -------
        params : list of dict
            Arguments of the constructor, for one instance each.
        """
        from vqssl import VQTokenizer

        small = VQTokenizer(4, code_dim=4, max_iter=2, random_state=0)
        return [{"estimator": small}, {"estimator": clone(small).set_params(output="histogram")}]
