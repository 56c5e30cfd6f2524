"""Generators whose quality is known."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from vqssl.datasets import make_cylinder_bell_funnel


class Grid(BaseEstimator):
    """Tokenizer with a token per time point: values rounded to a grid of `n_codes` cells."""

    def __init__(self, n_codes=64, width=0.25):
        self.n_codes = n_codes
        self.width = width

    def fit(self, X, y=None):
        self.shape_ = X.shape[1:]
        self.code_sizes_ = np.full(int(np.prod(self.shape_)), self.n_codes)
        return self

    def encode(self, X):
        codes = np.round(np.asarray(X) / self.width) + self.n_codes // 2
        return codes.clip(0, self.n_codes - 1).astype(int).reshape(len(X), -1)

    def decode(self, codes):
        series = (codes - self.n_codes // 2) * self.width
        return series.reshape(len(codes), *self.shape_).astype(np.float32)


class Uniform(BaseEstimator):
    """Prior under which all codes are alike; a subclass says what it draws."""

    def __init__(self, tokenizer=None):
        self.tokenizer = tokenizer

    def fit(self, X, y=None):
        self.tokenizer_ = (self.tokenizer or Grid()).fit(X)
        self.X_ = self.tokenizer_.decode(self.tokenizer_.encode(X))
        self.y_ = None if y is None else np.asarray(y)
        self.classes_ = None if y is None else np.unique(y)
        return self

    def score_samples(self, X, y=None):
        sizes = self.tokenizer_.code_sizes_
        return np.full(len(X), -np.log(sizes).sum(), dtype=np.float32)

    def sample(self, n_samples=1, y=None, *, random_state=None):
        draw = check_random_state(random_state)
        if y is None:
            return self.draw(draw.randint(len(self.X_), size=n_samples), draw)
        if self.classes_ is None:
            raise ValueError("y must be None")
        rows = [draw.choice(np.flatnonzero(self.y_ == label)) for label in y]
        return self.draw(np.array(rows), draw)


class Copies(Uniform):
    """Draws series of its training set, of the class that is asked for."""

    def draw(self, rows, draw):
        return self.X_[rows]


class Noise(Uniform):
    """Draws white noise, whatever the class."""

    def draw(self, rows, draw):
        return draw.standard_normal((len(rows), *self.X_.shape[1:])).astype(np.float32)


class Fresh(Uniform):
    """Draws new series from the distribution of cylinders, bells and funnels."""

    def sample(self, n_samples=1, y=None, *, random_state=None):
        length = self.X_.shape[-1]
        X, labels = make_cylinder_bell_funnel(
            3 * n_samples, length=length, random_state=random_state
        )
        if y is None:
            return X[:n_samples]
        of_class = {label: iter(np.flatnonzero(labels == label)) for label in np.unique(labels)}
        return np.stack([X[next(of_class[label])] for label in y])
