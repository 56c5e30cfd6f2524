"""What anyone can do without a network: a mixture, the training set itself, and that with noise."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

# Share of the variance that the components keep; at most as many components.
KEPT, MOST_COMPONENTS = 0.99, 32
# Added to every variance, as a share of the mean one: few series have singular covariances.
RIDGE = 1e-3
# Mixtures that the information criterion chooses from.
N_CLUSTERS = (1, 2, 3, 5)
# Of the noise, as a share of the deviation of all training points.
JITTER = 0.1


class Baseline(BaseEstimator):
    """What `evaluate_against` asks of a generator, over one model per class."""

    def __init__(self, seed=0):
        self.seed = seed

    def fit(self, X, y):
        self.shape_ = X.shape[1:]
        self.classes_ = np.unique(y)
        self.start(X.reshape(len(X), -1).astype(np.float64), y)
        return self

    def sample(self, n, y, random_state=None):
        draw = np.random.default_rng(random_state)
        drawn = np.empty((n, int(np.prod(self.shape_))))
        for label in self.classes_:
            rows = np.flatnonzero(y == label)
            if len(rows):
                drawn[rows] = self.draw(label, len(rows), draw)
        return drawn.reshape(n, *self.shape_).astype(np.float32)


class Mixture(Baseline):
    """Principal components, then a Gaussian mixture per class, its size by BIC."""

    def start(self, X, y):
        n_components = min(MOST_COMPONENTS, *X.shape)
        self.components_ = PCA(n_components, random_state=self.seed).fit(X)
        kept = self.components_.explained_variance_ratio_.cumsum() < KEPT
        self.n_kept_ = min(int(kept.sum()) + 1, n_components)
        Z = self.components_.transform(X)[:, : self.n_kept_]
        ridge = RIDGE * Z.var(0).mean()
        self.mixtures_ = {}
        for label in self.classes_:
            rows = Z[y == label]
            candidates = [
                GaussianMixture(k, covariance_type=kind, reg_covar=ridge, random_state=self.seed)
                for k in N_CLUSTERS
                for kind in ("full", "diag")
                if k <= max(1, len(rows) // 5)
            ]
            if len(rows) < 2:
                rows = np.concatenate([rows, rows])
            fitted = [mixture.fit(rows) for mixture in candidates]
            self.mixtures_[label] = min(fitted, key=lambda mixture: mixture.bic(rows))

    def draw(self, label, n, draw):
        mixture = self.mixtures_[label].set_params(random_state=int(draw.integers(2**31)))
        Z = np.zeros((n, self.components_.n_components_))
        Z[:, : self.n_kept_] = mixture.sample(n)[0]
        return self.components_.inverse_transform(draw.permutation(Z))


class TrainingSet(Baseline):
    """Training series, drawn again."""

    def start(self, X, y):
        self.rows_ = {label: X[y == label] for label in self.classes_}

    def draw(self, label, n, draw):
        rows = self.rows_[label]
        order = np.concatenate([draw.permutation(len(rows)) for _ in range(-(-n // len(rows)))])
        return rows[order[:n]]


class Jittered(TrainingSet):
    """Training series with a little noise."""

    def start(self, X, y):
        super().start(X, y)
        self.deviation_ = JITTER * X.std()

    def draw(self, label, n, draw):
        rows = super().draw(label, n, draw)
        return rows + draw.normal(scale=self.deviation_, size=rows.shape)
