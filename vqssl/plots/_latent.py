"""LatentDisplay: a map of features or latents, by class, of real and of synthetic series."""

from typing import Any, Self

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from vqssl._seed import spawn_seeds
from vqssl.plots._checks import as_array, as_labels, as_series, check_estimator, choose, take
from vqssl.plots._colors import MARKERS, PALETTE, ink, palette
from vqssl.plots._panels import panels

METHODS = ("pca", "tsne", "umap")

_AXIS_NAMES = {"tsne": "t-SNE", "umap": "UMAP"}


class LatentDisplay:
    """Features or latents of series as points of a plane.

    Use `from_estimator` or `from_predictions` to make one.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Where series lie.
    y : array-like of shape (n,), default=None
        Their classes, which colours and markers tell.
    is_synthetic : array-like of bool of shape (n,), default=None
        Which of them were drawn by a model: hollow points. None is none.
    axis_names : tuple of two str, default=("first dimension", "second dimension")
        What the plane shows.

    Attributes
    ----------
    ax_ : Axes
        The panel.
    figure_ : Figure
        Where it is.
    scatters_ : dict of tuple to PathCollection
        The points of each class (None without classes), real (False) and synthetic (True).

    Notes
    -----
    Distances in t-SNE and UMAP say little beyond the nearest neighbours; principal components
    keep them, as far as two dimensions can. Principal axes are those of the real series;
    t-SNE and UMAP place real and synthetic series together.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl.plots import LatentDisplay
    >>> rng = np.random.default_rng(0)
    >>> Z = rng.normal(size=(60, 8)) + 3 * np.repeat([0, 1], 30)[:, None]
    >>> display = LatentDisplay.from_predictions(Z, np.repeat(["low", "high"], 30))
    >>> sorted(display.scatters_)
    [('high', False), ('low', False)]
    """

    def __init__(
        self,
        points: Any,
        y: Any = None,
        is_synthetic: Any = None,
        axis_names: tuple[str, str] = ("first dimension", "second dimension"),
    ) -> None:
        self.points = points
        self.y = y
        self.is_synthetic = is_synthetic
        self.axis_names = axis_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        X_synthetic: Any = None,
        y_synthetic: Any = None,
        method: str = "pca",
        n_samples: int = 1000,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Transform series and draw them as points.

        Parameters
        ----------
        estimator : fitted transformer
            With ``transform``: a tokenizer, autoencoder, encoder or generator.
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Real series.
        y : array-like of shape (n_samples,), default=None
            Their classes.
        X_synthetic : array-like of series like those of X, default=None
            Synthetic series.
        y_synthetic : array-like of shape (n_synthetic,), default=None
            Their classes; given where `y` is.
        method : {"pca", "tsne", "umap"}, default="pca"
            How features become points; "umap" needs umap-learn.
        n_samples : int, default=1000
            Real series to draw, and synthetic ones, at most.
        random_state : int, RandomState instance or None, default=None
            Decides which, and where t-SNE and UMAP begin.
        ax : Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : LatentDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            If an argument is not acceptable.
        ImportError
            If `method` is "umap" and umap-learn is not installed.
        """
        check_estimator(estimator, "estimator", "transform", such_as="VQTokenizer()")
        _check_method(method)
        as_series(X, "X")
        X, y = _some(X, y, "y", n_samples, random_state)
        Z_synthetic = None
        if X_synthetic is not None:
            as_series(X_synthetic, "X_synthetic")
            X_synthetic, y_synthetic = _some(
                X_synthetic, y_synthetic, "y_synthetic", n_samples, random_state
            )
            Z_synthetic = estimator.transform(X_synthetic)
        return cls.from_predictions(
            estimator.transform(X),
            y,
            Z_synthetic=Z_synthetic,
            y_synthetic=y_synthetic,
            method=method,
            random_state=random_state,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        Z: Any,
        y: Any = None,
        *,
        Z_synthetic: Any = None,
        y_synthetic: Any = None,
        method: str = "pca",
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Draw rows of features as points.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_features)
            Features of real series, at least two columns.
        y : array-like of shape (n_samples,), default=None
            Their classes.
        Z_synthetic : array-like of shape (n_synthetic, n_features), default=None
            Features of synthetic series.
        y_synthetic : array-like of shape (n_synthetic,), default=None
            Their classes; given where `y` is.
        method : {"pca", "tsne", "umap"}, default="pca"
            How features become points; "umap" needs umap-learn.
        random_state : int, RandomState instance or None, default=None
            Decides where t-SNE and UMAP begin.
        ax : Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : LatentDisplay

        Raises
        ------
        TypeError, ValueError
            If an argument is not acceptable.
        ImportError
            If `method` is "umap" and umap-learn is not installed.
        """
        _check_method(method)
        real = _as_rows(Z, "Z")
        made = real[:0] if Z_synthetic is None else _as_rows(Z_synthetic, "Z_synthetic")
        if made.shape[1] != real.shape[1]:
            raise ValueError(
                f"Z_synthetic must have {real.shape[1]} columns, as Z; got {made.shape[1]}."
            )
        labels = None if y is None else as_labels(y, "y", len(real))
        if len(made) and (y is None) != (y_synthetic is None):
            raise ValueError("y_synthetic must be given where y is, and only there.")
        if labels is not None and len(made):
            labels = np.concatenate([labels, as_labels(y_synthetic, "y_synthetic", len(made))])
        points, names = _project(real, made, method, random_state)
        is_synthetic = np.arange(len(points)) >= len(real)
        return cls(points, labels, is_synthetic, names).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes or None, default=None
            None makes a figure.

        Returns
        -------
        self : LatentDisplay

        Raises
        ------
        TypeError, ValueError
            If the data or `ax` are not acceptable.
        """
        points = as_array(self.points, "points")
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"points must have shape (n, 2); got {points.shape}.")
        n = len(points)
        y = np.full(n, None) if self.y is None else as_labels(self.y, "y", n)
        made = np.zeros(n, bool) if self.is_synthetic is None else np.asarray(self.is_synthetic)
        classes = [None] if self.y is None else np.unique(y).tolist()
        grid = panels(ax, 1, row_height=4.2)
        ax = grid.axes[0, 0]
        self.scatters_: dict[tuple[Any, bool], Any] = {}
        for number, label in enumerate(classes):
            here = np.full(n, True) if label is None else y == label
            color = palette(number, ax)
            marker = MARKERS[number // len(PALETTE) % len(MARKERS)]
            for synthetic in (False, True):
                some = points[here & (made == synthetic)]
                if len(some) == 0:
                    continue
                is_hollow = {"facecolors": "none", "edgecolors": color, "linewidths": 1.1}
                is_full = {"color": color, "linewidths": 0}
                self.scatters_[label, synthetic] = ax.scatter(
                    *some.T,
                    s=34 if synthetic else 22,
                    marker=marker,
                    alpha=0.85,
                    label=_name(label, synthetic, bool(made.any())),
                    **(is_hollow if synthetic else is_full),
                )
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1])
        ax.tick_params(color=ink(ax))
        grid.title(ax, "Each point is a series" + (", by class" if self.y is not None else ""))
        grid.legend()
        self.ax_, self.figure_ = ax, grid.figure
        return self


def _name(label: Any, synthetic: bool, has_both: bool) -> str | None:
    """What the legend calls some points."""
    kind = "synthetic" if synthetic else "real"
    if label is None:
        return kind if has_both else None
    return f"class {label}, {kind}" if has_both else f"class {label}"


def _check_method(method: Any) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be 'pca', 'tsne' or 'umap'; got {method!r}.")


def _some(X: Any, y: Any, name: str, n: int, random_state: Any) -> tuple[np.ndarray, Any]:
    """Some series and their classes."""
    rows = choose(len(X), n, random_state)
    return take(X, rows), None if y is None else as_labels(y, name, len(X))[rows]


def _as_rows(Z: Any, name: str) -> np.ndarray:
    rows = as_array(Z, name)
    if rows.ndim != 2 or rows.shape[1] < 2:
        raise ValueError(f"{name} must have shape (n, 2) or wider; got {rows.shape}.")
    return rows


def _project(
    real: np.ndarray, made: np.ndarray, method: str, random_state: Any
) -> tuple[np.ndarray, tuple[str, str]]:
    """Points (n, 2) of the real rows, then of the synthetic ones, and names of the axes."""
    rows = np.concatenate([real, made])
    seed = spawn_seeds(random_state, 1)[0]
    if method == "pca":
        if len(real) < 2:
            raise ValueError(f"Z must have at least 2 rows; got {len(real)}.")
        pca = PCA(2, random_state=seed).fit(real)
        first, second = (f"{share:.0%}" for share in pca.explained_variance_ratio_)
        names = (
            f"principal axis 1 ({first} of variance)",
            f"principal axis 2 ({second} of variance)",
        )
        return pca.transform(rows), names
    if method == "tsne":
        # Fewer points than neighbours are an error there.
        perplexity = min(30.0, max(1.0, (len(rows) - 1) / 3))
        model: Any = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    else:
        try:
            import umap
        except ImportError as error:
            raise ImportError(
                "method='umap' needs umap-learn (pip install umap-learn); 'tsne' does not."
            ) from error
        model = umap.UMAP(random_state=seed)
    name = _AXIS_NAMES[method]
    return model.fit_transform(rows), (f"{name} 1 (no unit)", f"{name} 2 (no unit)")
