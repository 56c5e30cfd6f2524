"""What is drawn are the data."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from sklearn.base import clone

from vqssl import CPCEncoder, GreedyInfoMaxEncoder
from vqssl.evaluation import rate_distortion
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
from vqssl.plots._colors import contrast


def faces(cells):
    return np.array([cell.get_facecolor() for cell in cells])


def vertices(line_collection):
    return [segment[:, 1] for segment in line_collection.get_segments()]


def filled(ax):
    """Lowest and highest value of the first band at each time point."""
    points = ax.collections[0].get_paths()[0].vertices
    time = np.unique(points[:, 0])
    return np.array([[points[points[:, 0] == t, 1].min() for t in time],
                     [points[points[:, 0] == t, 1].max() for t in time]])  # fmt: skip


def test_reconstruction_lines_are_the_series_and_what_codes_give(fitted):
    display = ReconstructionDisplay.from_estimator(fitted.tokenizer, fitted.X, random_state=1)
    decoded = fitted.tokenizer.decode(fitted.tokenizer.encode(fitted.X))
    assert len(set(display.numbers)) == 3
    for number, (before, after) in zip(display.numbers, display.lines_, strict=True):
        assert np.array_equal(before.get_ydata(), fitted.X[number])
        assert np.array_equal(after.get_ydata(), decoded[number])
    again = ReconstructionDisplay.from_estimator(fitted.tokenizer, fitted.X, random_state=1)
    assert np.array_equal(again.numbers, display.numbers)


def test_reconstruction_takes_autoencoders_and_arrays(fitted):
    display = ReconstructionDisplay.from_estimator(fitted.vae, fitted.X, n_samples=99)
    assert np.array_equal(display.lines_[4][1].get_ydata(), fitted.vae.reconstruct(fitted.X)[4])
    display = ReconstructionDisplay.from_predictions(fitted.X_two, -fitted.X_two, n_samples=30)
    assert np.array_equal(display.lines_[3][1].get_ydata(), -fitted.X_two[1, 1])


def test_reconstructed_images_lie_under_their_originals(fitted):
    display = ReconstructionDisplay.from_estimator(fitted.image_tokenizer, fitted.images)
    for number, (before, after) in zip(display.numbers, display.images_, strict=True):
        assert np.array_equal(before.get_array(), fitted.images[number, 0])
        assert before.get_clim() == after.get_clim()


def test_strips_have_the_colours_of_their_codes(fitted):
    display = TokenDisplay.from_estimator(fitted.levels, fitted.X, random_state=0)
    codes = fitted.levels.encode(fitted.X[display.numbers])
    assert len(display.strips_[0]) == len(fitted.levels.token_groups_) > 1
    for i, strips in enumerate(display.strips_):
        for group, strip, colors in zip(display.groups, strips, display.colors_, strict=True):
            wanted = [to_rgba(colors[code]) for code in codes[i, group].tolist()]
            assert np.allclose(faces(strip), wanted)
            spans = fitted.levels.token_spans_[group]
            assert np.allclose([cell.get_x() + 0.5 for cell in strip], spans[:, 0])
            assert np.allclose([cell.get_width() for cell in strip], np.diff(spans)[:, 0])


def test_a_series_is_drawn_whole_in_the_colours_of_its_codes(fitted):
    display = TokenDisplay.from_estimator(fitted.tokenizer, fitted.X, random_state=0)
    codes = fitted.tokenizer.encode(fitted.X[display.numbers])
    (curve,) = display.curves_[0]
    pieces = vertices(curve)
    for piece, (start, stop) in zip(pieces, fitted.tokenizer.token_spans_, strict=True):
        series = fitted.X[display.numbers[0]]
        expected = series[start : stop + 1] if start < 36 else series[35:]
        assert np.allclose(piece, expected)
    wanted = [to_rgba(display.colors_[0][code]) for code in codes[0].tolist()]
    assert np.allclose(curve.get_colors(), wanted)


def test_maps_of_images_have_the_colours_of_their_codes(fitted):
    display = TokenDisplay.from_estimator(fitted.image_tokenizer, fitted.images, random_state=0)
    codes = fitted.image_tokenizer.encode(fitted.images[display.numbers])
    pixels = display.maps_[0][0].get_array()
    for code, (top, bottom, left, right) in zip(
        codes[0].tolist(), fitted.image_tokenizer.token_spans_, strict=True
    ):
        assert np.allclose(pixels[top:bottom, left:right], to_rgba(display.colors_[0][code]))


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_numbers_in_cells_are_legible(style):
    codes = np.arange(12)[None]
    spans = np.column_stack([np.arange(12), np.arange(1, 13)])
    with plt.style.context(style):
        display = TokenDisplay(np.zeros((1, 12)), codes, spans).plot()
    texts = display.axes_[1, 0].texts
    assert [text.get_text() for text in texts] == [str(code) for code in range(12)]
    for text, cell in zip(texts, display.strips_[0][0], strict=True):
        assert contrast(text.get_color(), cell.get_facecolor()) > 4


def test_bars_are_the_frequencies_of_codes(fitted):
    display = CodebookDisplay.from_estimator(fitted.tokenizer, fitted.X)
    codes = fitted.tokenizer.encode(fitted.X)
    shares = np.bincount(codes.ravel(), minlength=8) / codes.size
    heights = [bar.get_height() for bar in display.bars_]
    assert np.allclose(heights, shares[display.order_])
    assert np.all(np.diff(heights) <= 0)
    assert display.perplexity_ == pytest.approx(fitted.tokenizer.perplexity_[0])


def test_the_similarity_is_that_of_vectors_and_the_pieces_are_decoded_in_place(fitted):
    display = CodebookDisplay.from_estimator(fitted.tokenizer, fitted.X)
    similarity = display.image_.get_array()
    assert np.allclose(np.diag(similarity), 1, atol=1e-6)
    assert similarity.min() >= -1 - 1e-6
    codes = fitted.tokenizer.encode(fitted.X)
    decoded = fitted.tokenizer.decode(codes)
    code = int(display.order_[0])
    sample, token = np.argwhere(codes == code)[0]
    start, stop = fitted.tokenizer.token_spans_[token]
    first = display.pieces[code][0, 0]
    assert np.array_equal(first, decoded[sample, start : stop + 1][: len(first)])


def test_a_codebook_of_several_groups_is_drawn_by_group(fitted):
    display = CodebookDisplay.from_estimator(fitted.levels, fitted.X, group=1)
    assert display.perplexity_ == pytest.approx(fitted.levels.perplexity_[1])
    with pytest.raises(ValueError, match="group must be below 2"):
        CodebookDisplay.from_estimator(fitted.levels, fitted.X, group=2)


def test_points_are_principal_components_of_real_series(fitted):
    rng = np.random.default_rng(0)
    Z, made = rng.normal(size=(40, 5)) * [9, 5, 1, 1, 1], rng.normal(size=(7, 5))
    display = LatentDisplay.from_predictions(Z, Z_synthetic=made, random_state=0)
    real = display.scatters_[None, False].get_offsets()
    _, _, axes = np.linalg.svd(Z - Z.mean(0), full_matrices=False)
    expected = (Z - Z.mean(0)) @ axes[:2].T
    assert np.allclose(np.abs(real), np.abs(expected))
    assert len(display.scatters_[None, True].get_offsets()) == 7
    assert "%" in display.ax_.get_xlabel()


def test_classes_and_synthetic_points_are_told_apart(fitted):
    display = LatentDisplay.from_estimator(
        *(fitted.tokenizer, fitted.X, fitted.y),
        X_synthetic=fitted.X[:4],
        y_synthetic=fitted.y[:4],
        method="tsne",
        random_state=0,
    )
    counts = {key: len(points.get_offsets()) for key, points in display.scatters_.items()}
    assert counts == {("slow", False): 15, ("fast", False): 15, ("slow", True): 4}
    assert len(display.scatters_["slow", True].get_facecolor()) == 0  # hollow
    with pytest.raises(ValueError, match="method must be 'pca', 'tsne' or 'umap'; got 'lda'"):
        LatentDisplay.from_predictions(fitted.X, method="lda")
    with pytest.raises(ValueError, match="y_synthetic must be given where y is"):
        LatentDisplay.from_predictions(fitted.X, fitted.y, Z_synthetic=fitted.X)


def test_cells_are_the_known_codes_of_every_step(fitted):
    display = DecodingDisplay.from_estimator(fitted.generator, "fast", random_state=3)
    steps = fitted.generator.sample_steps(1, "fast", random_state=3)[:, 0]
    for cells, codes in zip(display.cells_[0], steps, strict=True):
        wanted = [to_rgba(display.colors_[0][code]) for code in codes[codes >= 0].tolist()]
        assert len(cells) == len(wanted)
        assert not cells or np.allclose(faces(cells), wanted)
    drawn = fitted.generator.sample(1, "fast", random_state=3)[0]
    first = vertices(display.axes_[-1, 0].collections[0])[0]
    assert np.allclose(first, drawn[: len(first)])


def test_lines_of_training_are_the_history(fitted):
    display = TrainingDisplay.from_estimator(fitted.tokenizer)
    for name, line in display.lines_.items():
        assert np.array_equal(line.get_xdata(), fitted.tokenizer.history_["step"])
        assert np.array_equal(line.get_ydata(), fitted.tokenizer.history_[name])
    assert set(display.lines_) == set(fitted.tokenizer.history_) - {"step"}
    assert display.axes_[0, 0].get_yscale() == "log"


def test_losses_are_written_as_plain_numbers():
    for losses in ([0.6, 0.03], [3.6, 2.9], [900.0, 0.002]):
        display = TrainingDisplay({"step": [1, 2], "loss": losses}).plot()
        display.figure_.canvas.draw()
        axis = display.axes_[0, 0].yaxis
        labels = [label.get_text() for label in axis.get_ticklabels(which="both")]
        written = [float(label) for label in labels if label]
        assert any(losses[1] <= number <= losses[0] for number in written)
        assert not any(sign in label for label in labels for sign in "$e")


def test_losses_below_zero_are_drawn_on_a_plain_axis():
    display = TrainingDisplay({"step": [1, 2], "loss": [1.0, -1.0]}).plot()
    assert display.axes_.shape == (1, 1)
    assert display.axes_[0, 0].get_yscale() == "linear"


def test_bands_of_generation_are_quantiles(fitted):
    made, y_made = fitted.X[::-1] + 1, fitted.y[::-1]
    display = GenerationDisplay.from_predictions(fitted.X, made, fitted.y, y_made)
    assert set(display.bands_) == {(c, kind) for c in ("fast", "slow") for kind in (False, True)}
    expected = np.quantile(fitted.X[fitted.y == "fast"], [0.05, 0.5, 0.95], axis=0)
    assert np.allclose(display.bands_["fast", False], expected)
    panel = display.axes_.flat[0]
    assert panel.get_title(loc="left") == "class fast, real (15)"
    assert np.allclose(filled(panel), expected[[0, 2]])
    assert np.allclose(panel.lines[-1].get_ydata(), expected[1])
    assert np.allclose(display.bands_["fast", True], expected + 1)


def test_the_channel_of_generation_can_be_chosen(fitted):
    display = GenerationDisplay.from_predictions(fitted.X_two, fitted.X_two, channel=1)
    assert np.allclose(display.bands_[None, True][1], np.median(fitted.X_two[:, 1], axis=0))
    with pytest.raises(ValueError, match="channel must be below 2; got 2"):
        GenerationDisplay.from_predictions(fitted.X_two, fitted.X_two, channel=2)


def test_the_band_of_imputation_is_that_of_the_answers_where_something_is_missing(fitted):
    gaps = fitted.X.copy()
    gaps[4, 10:20] = np.nan
    display = ImputationDisplay.from_estimator(
        fitted.generator, gaps, X_true=fitted.X, n_draws=5, random_state=0
    )
    assert list(display.numbers) == [4]  # the only one with a gap
    draws = fitted.generator.impute(gaps[[4]], 5, random_state=0)
    expected = np.quantile(draws[:, 0], [0.05, 0.95], axis=0)
    panel = display.axes_[0, 0]
    assert np.allclose(filled(panel), expected[:, 9:21])
    observed = next(line for line in panel.lines if line.get_label() == "observed")
    assert np.array_equal(observed.get_ydata(), gaps[4], equal_nan=True)
    truth = next(line for line in panel.lines if line.get_label() == "what was there")
    assert np.allclose(truth.get_ydata()[9:21], fitted.X[4, 9:21])
    assert np.isnan(truth.get_ydata()[:9]).all()
    with pytest.raises(ValueError, match="X must have NaN"):
        ImputationDisplay.from_estimator(fitted.generator, fitted.X)


def test_anomalies_are_the_lowest_scores_coloured_by_surprise(fitted):
    display = AnomalyDisplay.from_estimator(fitted.detector, fitted.X)
    scores = fitted.detector.score_samples(fitted.X)
    assert list(display.numbers) == list(np.argsort(scores)[:2])
    surprise = -fitted.detector.generator_.score_tokens(fitted.X[display.numbers])
    assert np.allclose(display.surprise, surprise, rtol=1e-5)
    for i, (strip,) in enumerate(display.strips_):
        assert np.allclose(faces(strip), display.color_of_.to_rgba(display.surprise[i]))
    bars = display.axes_[0, 0].patches
    assert sum(bar.get_height() for bar in bars) == len(fitted.X)
    low = sum(bar.get_height() for bar in bars if bar.get_x() < fitted.detector.offset_ - 1e-6)
    assert low == (scores < fitted.detector.offset_).sum()


def test_points_of_rate_and_distortion_are_the_figures(fitted):
    display = RateDistortionDisplay.from_estimators({"one": fitted.generator}, fitted.X)
    figures = rate_distortion(fitted.generator, fitted.X)
    expected = [[figures["bits_per_series"], figures["normalized_mse"]]]
    assert np.allclose(display.points_.get_offsets(), expected)
    with pytest.raises(TypeError, match="generators must be a dict"):
        RateDistortionDisplay.from_estimators([fitted.generator], fitted.X)


def test_traversal_lines_are_what_traverse_gives_the_busiest_dimensions_first(fitted):
    display = TraversalDisplay.from_estimator(fitted.vae, fitted.X[:1], n_dims=2, n_steps=3)
    grid = fitted.vae.traverse(fitted.X[:1], n_steps=3)[0]
    assert list(display.dims) == list(np.argsort(-fitted.vae.kl_per_dimension_)[:2])
    for dim, lines in zip(display.dims, display.lines_, strict=True):
        assert np.array_equal([line.get_ydata() for line in lines], grid[dim])


@pytest.mark.filterwarnings("error")
def test_data_frames_keep_their_names(fitted):
    frame = pd.DataFrame(fitted.X[:, 0] if fitted.X.ndim == 3 else fitted.X).add_prefix("t")
    tokenizer = clone(fitted.tokenizer).fit(frame)
    for display in (ReconstructionDisplay, TokenDisplay):
        shown = display.from_estimator(tokenizer, frame, random_state=0)
        assert isinstance(shown.X, np.ndarray)


def test_masked_series_are_not_drawn_as_they_lie_under_the_mask(fitted):
    masked = np.ma.array(fitted.X)
    masked[0, ..., 3] = np.ma.masked
    with pytest.raises(ValueError, match="X must hold finite numbers"):
        ReconstructionDisplay.from_estimator(fitted.tokenizer, masked)


def test_what_knows_no_classes_is_not_asked_for_them(fitted):
    with pytest.raises(ValueError, match="y must be None: this VAE was fitted without classes"):
        GenerationDisplay.from_estimator(fitted.vae, fitted.X, fitted.y)
    gaps = fitted.X.copy()
    gaps[..., :4] = np.nan
    with pytest.raises(ValueError, match=r"y must hold \d+ labels"):
        ImputationDisplay.from_estimator(fitted.generator, gaps, fitted.y[:3])


@pytest.mark.parametrize("encoder", [CPCEncoder, GreedyInfoMaxEncoder])
def test_units_of_an_encoder_are_those_that_vary_most(fitted, encoder):
    given = encoder(beta=0.1, code_dim=6, max_iter=4, random_state=0).fit(fitted.X)
    given.fit_decoder(fitted.X, max_iter=2)
    display = TraversalDisplay.from_estimator(given, fitted.X[:1], n_dims=5, n_steps=3, layer=0)
    assert list(display.dims) == list(given.rank_units(0)[:5])
    grid = given.traverse(fitted.X[:1], 0, display.dims, n_steps=3)[0]
    assert np.array_equal(
        [[line.get_ydata() for line in lines] for lines in display.lines_], grid.reshape(5, 3, -1)
    )
    assert display.figure_.axes[-1].get_ylabel() == "shifted by (deviations)"
    with pytest.raises(ValueError, match="layer must be None for VAE"):
        TraversalDisplay.from_estimator(fitted.vae, fitted.X[:1], layer=0)


def test_ranks_and_the_critical_difference_are_those_of_demsar():
    # Section 3.2.2: four systems on 14 sets; critical differences at two levels.
    ranks = [3.143, 2.000, 2.893, 1.964]
    scores = np.random.default_rng(0).normal(size=(14, 4))
    for level, difference in ((0.05, 1.25), (0.10, 1.12)):
        display = CriticalDifferenceDisplay.from_predictions(scores, list("abcd"), level=level)
        assert display.critical_difference == pytest.approx(difference, abs=0.005)
    display = CriticalDifferenceDisplay(ranks, list("abcd"), 1.12).plot()
    assert display.cliques_ == [(0, 2), (2, 3)]
    drawn = display.ax_.lines[0].get_xdata()
    assert np.allclose(drawn, sorted(ranks))
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == list("dbca")


def test_equal_scores_share_their_rank_and_small_ones_may_be_better():
    scores = np.tile([1.0, 1.0, 5.0], (4, 1))
    display = CriticalDifferenceDisplay.from_predictions(
        scores, ["a", "b", "c"], greater_is_better=False
    )
    assert np.allclose(display.ranks, [1.5, 1.5, 3])
    with pytest.raises(ValueError, match="scores must have a row"):
        CriticalDifferenceDisplay.from_predictions(scores[:, :2], ["a", "b"])
