"""What all displays share: axes that are given, figures, styles, errors."""

import subprocess
import sys
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from vqssl import plots
from vqssl.plots import (
    AnomalyDisplay,
    CodebookDisplay,
    CriticalDifferenceDisplay,
    DecodingDisplay,
    GenerationDisplay,
    ImputationDisplay,
    LatentDisplay,
    RateDistortionDisplay,
    ReconstructionDisplay,
    TokenDisplay,
    TrainingDisplay,
    TraversalDisplay,
)
from vqssl.plots._colors import PALETTE, PALETTE_ON_DARK, contrast


def with_gaps(X):
    gaps = np.array(X, dtype=float)
    gaps[..., 3:6] = np.nan
    return gaps


# Every display of series by name: what makes one of the models, on axes.
MAKERS = {
    "AnomalyDisplay": lambda f, ax: AnomalyDisplay.from_estimator(f.detector, f.X, ax=ax),
    "CodebookDisplay": lambda f, ax: CodebookDisplay.from_estimator(f.tokenizer, f.X, ax=ax),
    "CriticalDifferenceDisplay": lambda f, ax: CriticalDifferenceDisplay.from_predictions(
        f.X[:, :4], ["a", "b", "c", "d"], ax=ax
    ),
    "DecodingDisplay": lambda f, ax: DecodingDisplay.from_estimator(
        f.generator, "fast", random_state=0, ax=ax
    ),
    "GenerationDisplay": lambda f, ax: GenerationDisplay.from_estimator(
        f.generator, f.X, f.y, n_samples=5, random_state=0, ax=ax
    ),
    "ImputationDisplay": lambda f, ax: ImputationDisplay.from_estimator(
        f.generator, with_gaps(f.X), X_true=f.X, n_draws=3, random_state=0, ax=ax
    ),
    "LatentDisplay": lambda f, ax: LatentDisplay.from_estimator(
        f.tokenizer, f.X, f.y, X_synthetic=f.X[:9], y_synthetic=f.y[:9], random_state=0, ax=ax
    ),
    "RateDistortionDisplay": lambda f, ax: RateDistortionDisplay.from_estimators(
        {"one": f.generator, "same": f.generator}, f.X, ax=ax
    ),
    "ReconstructionDisplay": lambda f, ax: ReconstructionDisplay.from_estimator(
        f.tokenizer, f.X, random_state=0, ax=ax
    ),
    "TokenDisplay": lambda f, ax: TokenDisplay.from_estimator(f.levels, f.X, random_state=0, ax=ax),
    "TrainingDisplay": lambda f, ax: TrainingDisplay.from_estimator(f.tokenizer, ax=ax),
    "TraversalDisplay": lambda f, ax: TraversalDisplay.from_estimator(f.vae, f.X[:1], ax=ax),
}
IMAGE_MAKERS = {
    "CodebookDisplay": lambda f: CodebookDisplay.from_estimator(f.image_tokenizer, f.images),
    "DecodingDisplay": lambda f: DecodingDisplay.from_estimator(f.image_generator, random_state=0),
    "GenerationDisplay": lambda f: GenerationDisplay.from_estimator(
        f.image_generator, f.images, n_samples=5, random_state=0
    ),
    "ImputationDisplay": lambda f: ImputationDisplay.from_estimator(
        f.image_generator, with_gaps(f.images), X_true=f.images, n_draws=3, random_state=0
    ),
    "LatentDisplay": lambda f: LatentDisplay.from_estimator(f.image_tokenizer, f.images),
    "ReconstructionDisplay": lambda f: ReconstructionDisplay.from_estimator(
        f.image_tokenizer, f.images, random_state=0
    ),
    "TokenDisplay": lambda f: TokenDisplay.from_estimator(
        f.image_tokenizer, f.images, random_state=0
    ),
    "TraversalDisplay": lambda f: TraversalDisplay.from_estimator(f.image_vae, f.images[:1]),
}


def axes_of(display):
    return list(np.ravel(display.axes_)) if hasattr(display, "axes_") else [display.ax_]


def test_every_display_is_tested():
    assert sorted(MAKERS) == plots.__all__


@pytest.mark.parametrize("name", MAKERS)
def test_without_axes_one_figure_is_made_and_none_is_shown(name, fitted, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *args, **kwargs: pytest.fail("a figure was shown"))
    display = MAKERS[name](fitted, None)
    assert [plt.figure(number) for number in plt.get_fignums()] == [display.figure_]
    assert all(ax.figure is display.figure_ for ax in axes_of(display))


@pytest.mark.parametrize("name", MAKERS)
def test_given_axes_are_used_and_pyplot_is_left_alone(name, fitted):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    _, other = plt.subplots()
    display = MAKERS[name](fitted, left)
    assert display.figure_ is figure
    assert len(plt.get_fignums()) == 1
    assert plt.gca() is other
    assert not right.has_data()
    assert not other.has_data()
    drawn = axes_of(display)
    assert drawn == [left] if len(drawn) == 1 else not left.axison
    # All lie where the given axes were.
    assert all(ax.get_position().x0 >= left.get_position().x0 - 1e-6 for ax in drawn)


@pytest.mark.parametrize("name", ["CodebookDisplay", "TrainingDisplay", "AnomalyDisplay"])
def test_an_array_of_axes_is_used_as_it_is(name, fitted):
    n = len(axes_of(MAKERS[name](fitted, None)))
    axes = Figure(figsize=(6, 3 * n)).subplots(n, 1)
    assert axes_of(MAKERS[name](fitted, axes)) == list(axes)
    with pytest.raises(ValueError, match=f"ax must be None, one Axes or {n} of them; got {n - 1}"):
        MAKERS[name](fitted, axes[1:])


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_no_axes_is_refused(name, fitted):
    with pytest.raises(TypeError, match="ax must be"):
        MAKERS[name](fitted, "here")
    assert not plt.get_fignums()


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("name", MAKERS)
def test_text_stands_out_from_the_background(name, style, fitted):
    with plt.style.context(style):
        display = MAKERS[name](fitted, None)
        display.figure_.canvas.draw()
    ground = display.figure_.get_facecolor()
    for text in display.figure_.findobj(Text):
        # Numbers in the cells of strips lie on a colour of their own, held below.
        if text.get_text() and not (name == "TokenDisplay" and text.get_text().isdigit()):
            assert contrast(text.get_color(), ground) > 4.5, text
    for line in (line for ax in axes_of(display) for line in ax.lines):
        assert contrast(line.get_color(), ground) > 1.2, line


@pytest.mark.parametrize("width", [4.0, 12.8])
@pytest.mark.parametrize("name", MAKERS)
def test_the_layout_fits_at_any_width(name, width, fitted):
    with plt.rc_context({"figure.figsize": (width, 5)}), warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of panels without room
        display = MAKERS[name](fitted, None)
        display.figure_.canvas.draw()
    assert display.figure_.get_figwidth() == width
    for ax in axes_of(display):
        if ax.get_title(loc="left"):
            box = ax.title.get_window_extent()
            assert box.x1 <= 100 * width + 1


@pytest.mark.parametrize("name", sorted(set(MAKERS) - {"TrainingDisplay", "CodebookDisplay"}))
def test_axes_have_names(name, fitted):
    for ax in axes_of(MAKERS[name](fitted, None)):
        assert ax.get_xlabel() or any(
            other.get_xlabel() for other in ax.get_shared_x_axes().get_siblings(ax)
        )


@pytest.mark.parametrize("name", IMAGE_MAKERS)
def test_images_are_drawn(name, fitted):
    display = IMAGE_MAKERS[name](fitted)
    display.figure_.canvas.draw()
    assert any(ax.images or ax.collections for ax in axes_of(display))


def test_two_channels_have_a_panel_each(fitted):
    display = ReconstructionDisplay.from_estimator(fitted.two, fitted.X_two, random_state=0)
    assert len(axes_of(display)) == 6
    display = TokenDisplay.from_estimator(fitted.two, fitted.X_two, random_state=0)
    assert [len(curves) for curves in display.curves_] == [2, 2]
    assert CodebookDisplay.from_estimator(fitted.two, fitted.X_two).pieces[0].shape[1] == 2


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (ReconstructionDisplay.from_estimator, "estimator"),
        (TokenDisplay.from_estimator, "tokenizer"),
        (CodebookDisplay.from_estimator, "tokenizer"),
        (LatentDisplay.from_estimator, "estimator"),
        (GenerationDisplay.from_estimator, "generator"),
        (ImputationDisplay.from_estimator, "generator"),
        (AnomalyDisplay.from_estimator, "detector"),
        (TraversalDisplay.from_estimator, "autoencoder"),
        (lambda model, X: DecodingDisplay.from_estimator(model), "generator"),
        (lambda model, X: TrainingDisplay.from_estimator(model), "estimator"),
        (lambda model, X: RateDistortionDisplay.from_estimators({"a": model}, X), "generators"),
    ],
)
def test_what_is_no_fitted_estimator_is_refused_before_drawing(make, name, fitted):
    with pytest.raises(TypeError, match=name):
        make(3, fitted.X)
    model = {"detector": fitted.detector, "autoencoder": fitted.vae}.get(name, fitted.generator)
    if name in ("tokenizer", "estimator"):
        model = fitted.tokenizer
    with pytest.raises(NotFittedError):
        make(clone(model), fitted.X)
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda f: ReconstructionDisplay(f.X, f.X[:, :3]), ValueError, "reconstruction must have"),
        (lambda f: ReconstructionDisplay("ab", f.X), TypeError, "X must hold real numbers"),
        (lambda f: ReconstructionDisplay(with_gaps(f.X), f.X), ValueError, "X must hold finite"),
        (lambda f: TokenDisplay(f.X, f.X, [[0, 1]]), TypeError, "codes must be integers"),
        (lambda f: TokenDisplay(f.X, [[1]], [[0, 1]]), ValueError, "codes must have shape"),
        (lambda f: TokenDisplay(f.X[:1], [[1]], [[0]]), ValueError, "spans must have shape"),
        (lambda f: CodebookDisplay([1], f.X, {}), ValueError, "counts must hold"),
        (lambda f: CodebookDisplay([0], f.X[:1], {}), ValueError, "counts must be"),
        (lambda f: LatentDisplay(f.X), ValueError, "points must have shape"),
        (lambda f: LatentDisplay(f.X[:, :2], [1]), ValueError, "y must hold 30 labels"),
        (lambda f: DecodingDisplay(f.X, f.X[0], [[0, 1]]), TypeError, "steps must hold integers"),
        (lambda f: DecodingDisplay([[1]], f.X[0], [[0], [1]]), ValueError, "steps must have"),
        (lambda f: TrainingDisplay([1]), TypeError, "history must be a dict"),
        (lambda f: TrainingDisplay({"loss": [1]}), ValueError, "history must have step"),
        (lambda f: GenerationDisplay(f.X, f.X_two), ValueError, "X_synthetic must hold"),
        (lambda f: GenerationDisplay(f.X, f.X, f.y), ValueError, "y_synthetic must be given"),
        (lambda f: ImputationDisplay(f.X, f.X[:3]), ValueError, "draws must have shape"),
        (lambda f: AnomalyDisplay([1.0], 0, f.X, f.X, [[0, 1]]), ValueError, "surprise must have"),
        (lambda f: AnomalyDisplay([1.0], 0, f.images, f.X, [[0, 1]]), ValueError, "X must hold se"),
        (lambda f: RateDistortionDisplay([1], [1], []), ValueError, "must be as many"),
        (lambda f: TraversalDisplay(f.X), ValueError, "grid must have shape"),
        (lambda f: TraversalDisplay(f.X_two, span=0), ValueError, "span must be"),
        (lambda f: CriticalDifferenceDisplay([1, 2], ["a"], 1), ValueError, "names must be"),
    ],
)
def test_wrong_data_are_refused_before_drawing(make, error, message, fitted):
    with pytest.raises(error, match=message):
        make(fitted).plot()
    assert not plt.get_fignums()


def test_colours_are_seen_on_their_background_the_first_two_best():
    for palette, ground in ((PALETTE, "white"), (PALETTE_ON_DARK, "black")):
        found = [contrast(color, ground) for color in palette]
        assert min(found) > 2
        assert min(found[:2]) > 3.5
    assert sorted(PALETTE) == sorted(PALETTE_ON_DARK)


def test_the_contrast_of_text_is_that_of_the_guidelines():
    assert contrast("white", "black") == pytest.approx(21)
    assert contrast("#777777", "white") == pytest.approx(4.48, abs=0.01)
    assert to_rgb("white") == (1, 1, 1)
    assert isinstance(Figure().subplots(), Axes)


def test_importing_the_displays_does_not_import_matplotlib():
    code = "import sys, vqssl.plots; assert 'matplotlib' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
