"""Images (n_samples, n_channels, height, width): the contract over all estimators that take them.

What holds for every X, whatever its axes, is in tests/test_common.py for series; here it is asked
again of four axes, and what only images have is held against worked cases.
"""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import vqssl
from vqssl import (
    VAE,
    AnomalyDetector,
    AutoEncoder,
    AutoregressiveGenerator,
    BandVQTokenizer,
    CPCEncoder,
    FCNClassifier,
    GreedyInfoMaxEncoder,
    HierarchicalVQTokenizer,
    MaskGITGenerator,
    SSLVQTokenizer,
    TokenizerClassifier,
    VQTokenizer,
)
from vqssl._seed import make_generator
from vqssl.augmentations import AUGMENTATIONS, Affine, Compose, GaussianNoise, Shift, TimeShift
from vqssl.augmentations._image import resample, rotation_matrix
from vqssl.backbones import ConvBackbone, TransformerBackbone
from vqssl.backbones._compression import compression_of
from vqssl.backbones._transformer import grid_rotation, rotate
from vqssl.evaluation import evaluate_generator, rate_distortion
from vqssl.generators._codes import CodeSpace, shapes_of
from vqssl.generators._decoding import MASK, Draws, Grid, fill, halton_grid_ranks
from vqssl.generators._gaps import interpolate, mostly_missing
from vqssl.tokenizers._base import cells
from vqssl.tokenizers._differences import ReconstructionLoss
from vqssl.tokenizers._grid import GRID_LAGS, GridPlan, grid_autocovariances, grid_windows
from vqssl.tokenizers._ssl_vq import global_pool, scales_of, window_pool

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SHARED = {"max_iter": 5, "batch_size": 8, "device": "cpu", "random_state": 0}
SMALL = {
    "n_codes": 8,
    "code_dim": 4,
    "backbone": ConvBackbone(width=8, n_blocks=2, n_decoder_blocks=1),
    **SHARED,
}
LATENT = {"latent_dim": 3, "backbone": SMALL["backbone"], **SHARED}
PRIOR = {
    "tokenizer": VQTokenizer(**SMALL).set_params(random_state=None),
    "backbone": TransformerBackbone(width=8, n_blocks=2, n_heads=2),
    **SHARED,
}
ESTIMATORS = [
    AutoEncoder(**LATENT),
    AutoregressiveGenerator(**PRIOR),
    FCNClassifier((4, 8), **SHARED),
    HierarchicalVQTokenizer(**SMALL),
    MaskGITGenerator(**PRIOR),
    SSLVQTokenizer(**SMALL),
    TokenizerClassifier(PRIOR["tokenizer"], **SHARED),
    VAE(**LATENT),
    VQTokenizer(**SMALL),
]
TOKENIZERS = [VQTokenizer(**SMALL), SSLVQTokenizer(**SMALL)]
GENERATORS = [MaskGITGenerator(**PRIOR), AutoregressiveGenerator(**PRIOR)]
ANSWERS = ("transform", "encode", "embed", "score_samples", "predict_proba", "score")


def name_of(estimator):
    return type(estimator).__name__


@pytest.fixture(params=ESTIMATORS, ids=name_of)
def estimator(request):
    return clone(request.param)


def make_images(n=12, channels=1, height=7, width=5, seed=0):
    """Smooth images of whole numbers from 0 to 255."""
    draw = np.random.default_rng(seed)
    steps = draw.integers(-9, 10, (n, channels, height, width))
    return (128 + steps.cumsum(-1).cumsum(-2)).clip(0, 255).astype(np.uint8)


def labels(X):
    return np.arange(len(X)) % 3


X = make_images()
Y = labels(X)


def weights(estimator):
    return {name: tensor.numpy() for name, tensor in estimator.model_.state_dict().items()}


def answers(estimator, X):
    return {
        name: np.asarray(getattr(estimator, name)(X))
        for name in ANSWERS
        if hasattr(estimator, name) and not (name == "score" and is_classifier(estimator))
    }


def assert_same(first, second):
    assert list(first) == list(second)
    for name, value in first.items():
        assert_array_equal(value, second[name], err_msg=name)


def normals(*shape, seed=0):
    return torch.randn(shape, generator=make_generator(seed))


# ------------------------------------------------------------------------ every estimator


SHAPES = [(1, 7, 5), (1, 1, 9), (2, 9, 1), (1, 1, 1), (3, 8, 8), (1, 2, 17)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_height_and_width_works_and_comes_back_exactly(estimator, shape):
    images = make_images(6, *shape)
    estimator.fit(images, labels(images))
    Z = estimator.transform(images)
    assert len(Z) == 6
    assert np.isfinite(Z).all()
    assert estimator.input_shape_ == shape
    assert estimator.n_features_in_ == math.prod(shape)
    if hasattr(estimator, "sample"):
        drawn = estimator.sample(3, random_state=0)
        assert drawn.shape == (3, *shape)
        assert drawn.dtype == np.float32
    if hasattr(estimator, "decode"):
        assert estimator.decode(estimator.encode(images)).shape == images.shape
    if hasattr(estimator, "reconstruct"):
        assert estimator.reconstruct(images).shape == images.shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_any_real_dtype_gives_the_same_bits(estimator, dtype):
    first = clone(estimator).fit(X.astype(np.float32), Y)
    estimator.fit(X.astype(dtype), Y)
    assert_same(weights(first), weights(estimator))
    assert_same(answers(first, X), answers(estimator, X.astype(dtype)))


def test_the_same_seed_gives_the_same_bits_after_clone(estimator):
    first = clone(estimator).fit(X, Y)
    assert_same(weights(first), weights(clone(first).fit(X, Y)))


def test_lists_tensors_and_arrays_in_any_order_are_images(estimator):
    first = clone(estimator).fit(X, Y)
    for given in (X.tolist(), torch.from_numpy(X), np.asfortranarray(X), X[..., ::-1][..., ::-1]):
        assert_same(weights(first), weights(clone(estimator).fit(given, Y)))


def test_answers_do_not_depend_on_the_batch_size(estimator, monkeypatch):
    estimator.fit(X, Y)
    together = answers(estimator, X)
    monkeypatch.setattr("vqssl._inference._CPU_BATCH", 1)
    for name, value in answers(estimator, X).items():
        assert_allclose(value, together[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_with_their_place(estimator, value):
    broken = make_images(channels=2).astype(np.float64)
    broken[3, 1, 6, 2] = value
    where = r"\(sample 3, channel 1, row 6, column 2\).*fill them in, or leave out the images"
    with pytest.raises(ValueError, match=where):
        estimator.fit(broken, Y)


def test_images_of_another_shape_are_refused(estimator):
    name = type(estimator).__name__
    estimator.fit(X, Y)
    fitted = rf"but {name} was fitted on images of shape \(1, 7, 5\)"
    with pytest.raises(ValueError, match=rf"X has images of shape \(1, 5, 7\), {fitted}"):
        estimator.transform(X.swapaxes(2, 3))
    with pytest.raises(ValueError, match=rf"X has series of shape \(7, 5\), {fitted}"):
        estimator.transform(X[:, 0])
    with pytest.raises(ValueError, match=rf"X has series of shape \(35,\), {fitted}"):
        estimator.transform(X.reshape(len(X), -1))
    estimator.fit(X[:, 0], Y)
    with pytest.raises(ValueError, match=r"X has images of shape \(1, 7, 5\), but .* on series"):
        estimator.transform(X)


def test_channels_last_draw_a_warning(estimator):
    with pytest.warns(UserWarning, match=r"channels come before.*X.transpose\(0, 3, 1, 2\)"):
        estimator.fit(make_images(6, 9, 9, 1), np.arange(6) % 3)


@pytest.mark.parametrize("way", ["pickle", "deepcopy", "file"])
def test_a_copy_answers_alike_and_can_be_trained_further(estimator, way, tmp_path):
    estimator.fit(X, Y)
    if way == "file":
        estimator.save(tmp_path / "model.vqssl")
        again = vqssl.load(tmp_path / "model.vqssl")
    else:
        again = (
            pickle.loads(pickle.dumps(estimator)) if way == "pickle" else copy.deepcopy(estimator)
        )
    assert_same(answers(estimator, X), answers(again, X))
    assert again.input_shape_ == (1, 7, 5)
    assert_same(weights(estimator.partial_fit(X, Y)), weights(again.partial_fit(X, Y)))


def test_partial_fit_goes_on(estimator):
    estimator.partial_fit(X, Y).partial_fit(X, Y)
    assert estimator.n_iter_ == 4  # two batches a pass
    assert np.isfinite(estimator.transform(X)).all()


@pytest.mark.parametrize("scaling", ["dataset", "series", None])
@pytest.mark.parametrize("estimator", [VQTokenizer(**SMALL), VAE(**LATENT)], ids=name_of)
def test_every_scaling_works_on_images(estimator, scaling):
    images = make_images(channels=2)
    estimator = clone(estimator).set_params(scaling=scaling).fit(images)
    assert np.isfinite(estimator.transform(images)).all()


def test_channels_are_scaled_over_all_pixels_of_the_data_set():
    images = make_images(channels=2).astype(np.float64) * [[[1.0]], [[50.0]]]
    scaler = VQTokenizer(**SMALL).fit(images).model_.scaler
    assert_allclose(scaler.mean[:, 0, 0], images.mean((0, 2, 3)), rtol=1e-5)
    assert_allclose(scaler.deviation[:, 0, 0], images.std((0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize(
    ("refused", "name"),
    [
        (BandVQTokenizer(**SMALL), "BandVQTokenizer"),
        (MaskGITGenerator(BandVQTokenizer(**SMALL), **SHARED), "BandVQTokenizer"),
        (CPCEncoder(**SHARED), "CPCEncoder"),
        (GreedyInfoMaxEncoder(**SHARED), "GreedyInfoMaxEncoder"),
    ],
)
def test_what_is_of_time_refuses_images(refused, name):
    match = rf"X must hold series.* for {name}; got images of shape \(1, 7, 5\)"
    with pytest.raises(ValueError, match=match):
        refused.fit(X)
    assert not hasattr(refused, "model_")


# ------------------------------------------------------------------------------ tokenizers


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=name_of)
@pytest.mark.parametrize("compression", [1, 2, 3, 20])
def test_tokens_lie_row_by_row_and_tile_the_image(tokenizer, compression):
    tokenizer = clone(tokenizer).set_params(compression=compression).fit(X)
    rows, columns = -(-7 // compression), -(-5 // compression)
    assert tokenizer.token_shape_ == (rows, columns)
    assert tokenizer.n_tokens_ == rows * columns
    count = np.zeros((7, 5), int)
    for place, (top, bottom, left, right) in enumerate(tokenizer.token_spans_):
        assert top == place // columns * compression
        assert left == place % columns * compression
        count[top:bottom, left:right] += 1
    assert (count == 1).all()


def test_cells_cut_the_last_row_and_column():
    assert cells((3, 2), 2) == [(0, 2, 0, 2), (2, 3, 0, 2)]
    assert cells((5,), 2) == [(0, 2), (2, 4), (4, 5)]


def test_series_have_a_line_of_tokens():
    assert VQTokenizer(**SMALL).fit(X[:, 0]).token_shape_ == (3,)
    assert BandVQTokenizer(**SMALL).fit(X[:, 0]).token_shape_ == [(2,), (3,)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1, 1), 1), ((1, 9), 2), ((16, 8), 2), ((17, 3), 4), ((64, 64), 4), ((65, 1), 5)],
)
def test_automatic_compression_follows_the_longer_side(size, expected):
    assert compression_of("auto", size) == expected
    assert compression_of(3, size) == 3


def test_the_decoder_writes_cells_where_the_encoder_reads_them():
    # One token is moved: what changes in the image is its cell, and a margin of a kernel around.
    tokenizer = VQTokenizer(**SMALL, compression=2).fit(make_images(height=40, width=40))
    tokenizer.model_.decoder.blocks = torch.nn.ModuleList()
    codes = np.zeros((2, tokenizer.n_tokens_), int)
    codes[1, 20 * 7 + 12] = 1
    first, second = tokenizer.decode(codes)[:, 0]
    row, column = np.nonzero(first != second)
    assert 12 <= row.min() <= 14
    assert 15 <= row.max() <= 17
    assert 22 <= column.min() <= 24
    assert 25 <= column.max() <= 27


@pytest.mark.parametrize("output", ["features", "latent", "histogram"])
def test_the_width_of_a_readout_does_not_depend_on_the_size_of_images(output):
    tokenizer = VQTokenizer(**SMALL, output=output)
    widths = {tokenizer.fit(make_images(6, *shape)).transform(make_images(6, *shape)).shape[1]
              for shape in SHAPES}  # fmt: skip
    latent = 63 * 8 + 9 * 16 + 64 * 4
    expected = {"histogram": 8, "latent": latent, "features": latent + 8}
    assert widths == {expected[output]}
    assert len(tokenizer.get_feature_names_out()) == expected[output]


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 4), (7, 7), (1, 9)])
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_windows_cover_the_grid(shape, parts):
    count = np.zeros(shape, int)
    found = grid_windows(shape, parts)
    assert len(found) == parts**2
    for row, column in found:
        assert count[row, column].size > 0
        count[row, column] += 1
    assert (count > 0).all()
    if shape[0] % parts == shape[1] % parts == 0:
        assert (count == 1).all()


def test_pools_of_a_grid_are_those_of_its_windows():
    z = normals(35, 3, 4)  # (N, B, E)
    pooled = GridPlan((7, 5)).pool(iter([z]))
    assert len(pooled) == 63 + 64
    pools, places = pooled[:63].view(21, 3, 3, 4), pooled[63:].view(8, 8, 3, 4)
    grid = z.view(7, 5, 3, 4)
    # Of 7 rows and 5 columns, the second of 8 parts has rows 0 and 1, the third column 1.
    assert_allclose(places[1, 2], grid[:2, 1].mean(0), atol=1e-6)
    assert_allclose(pools[0, 0], z.mean(0), atol=1e-6)
    quadrants = [grid[r, c].flatten(0, 1) for r in (slice(0, 4), slice(3, 7))
                 for c in (slice(0, 3), slice(2, 5))]  # fmt: skip
    for pool, quadrant in zip(pools[1:5], quadrants, strict=True):
        assert_allclose(pool[1], quadrant.amax(0))
        assert_allclose(pool[2], quadrant.std(0, correction=0), atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 7)])
def test_autocovariances_of_a_grid_are_those_by_loop(shape):
    a = normals(2, shape[0] * shape[1], 3)
    grid = a.view(2, *shape, 3)
    found = grid_autocovariances(a, shape).view(2, len(GRID_LAGS), 3, 3)
    for place, (down, right) in enumerate(GRID_LAGS):
        pairs = [
            grid[:, r, c, :, None] * grid[:, r + down, c + right, None, :]
            for r in range(shape[0])
            for c in range(shape[1])
            if r + down < shape[0] and 0 <= c + right < shape[1]
        ]
        expected = torch.stack(pairs).mean(0) if pairs else torch.zeros(2, 3, 3)
        assert_allclose(found[:, place], expected, atol=1e-5)


def test_views_are_compared_as_a_whole_and_by_quadrants():
    assert scales_of((7, 7)) == [1, 2]
    assert scales_of((2, 2)) == [1]
    assert scales_of((32,)) == [1, 2, 4]
    z = normals(3, 24, 4)
    found = window_pool(z, 2, (6, 4))
    assert found.shape == (12, 8)
    lower_left = z.view(3, 6, 4, 4)[:, 3:, :2].flatten(1, 2)
    assert torch.equal(found[6:9], global_pool(lower_left))


# ----------------------------------------------------------------------------- differences


def test_differences_of_images_are_taken_along_both_sides():
    x = torch.tensor([[[[-1.0, 1.0], [-1.0, 1.0]]]])
    loss = ReconstructionLoss(1, 0.25, 2)
    loss.initialise(torch.Generator())
    loss.start(x)
    # Variance 1; differences of columns 2, 2, of rows 0, 0: mean squares 4 and 0, their mean 2.
    assert_allclose(loss.scale, [[[0.5]]])
    # Errors 0, 0, 0, 1: mean square 1/4; differences of columns 0, 1 and of rows 0, 1.
    terms = loss(torch.tensor([[[[-1.0, 1.0], [-1.0, 2.0]]]]), x)
    assert terms["reconstruction"] == pytest.approx(0.75 / 4)
    assert terms["difference"] == pytest.approx(0.25 * 0.5 * 0.5)


def test_a_side_of_one_pixel_has_no_differences():
    x = normals(50, 2, 1, 9)
    flat, image = ReconstructionLoss(2, 0.5), ReconstructionLoss(2, 0.5, 2)
    for loss, values in ((flat, x[:, :, 0]), (image, x)):
        loss.initialise(torch.Generator())
        loss.start(values)
    assert_array_equal(image.scale[..., 0], flat.scale)
    found = image(x + normals(50, 2, 1, 9, seed=1), x)
    expected = flat(x[:, :, 0] + normals(50, 2, 1, 9, seed=1)[:, :, 0], x[:, :, 0])
    assert_allclose(found["difference"], expected["difference"], rtol=1e-6)
    single = ReconstructionLoss(2, 0.5, 2)
    single.initialise(torch.Generator())
    assert set(single(x[..., :1], x[..., :1])) == {"reconstruction"}


# -------------------------------------------------------------------------- augmentations

IMAGE_NAMES = sorted(name for name, cls in AUGMENTATIONS.items() if "images" in cls.takes)


def test_augmentations_say_what_they_take():
    assert IMAGE_NAMES == ["affine", "amplitude", "noise", "resized_crop", "shift"]
    assert Compose((GaussianNoise(), Shift())).takes == ("images",)
    assert Compose((GaussianNoise(), TimeShift())).takes == ("series",)
    assert Compose((Shift(), TimeShift())).takes == ()


@pytest.mark.parametrize("name", IMAGE_NAMES)
@pytest.mark.parametrize("shape", [(3, 1, 7, 5), (2, 3, 1, 9), (2, 1, 1, 1)])
def test_a_view_of_images_is_a_batch_like_its_input(name, shape):
    x = normals(*shape)
    before, state = x.clone(), torch.get_rng_state()
    augmentation = AUGMENTATIONS[name]()
    augmentation.check()
    view = augmentation(x, make_generator(1))
    assert view.shape == x.shape
    assert view.dtype == x.dtype
    assert view.isfinite().all()
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(view, augmentation(x, make_generator(1)))


@pytest.mark.parametrize("name", ["affine", "resized_crop", "shift"])
def test_channels_of_an_image_move_together(name):
    x = normals(4, 1, 9, 9).expand(-1, 3, -1, -1)
    view = AUGMENTATIONS[name]()(x, make_generator(0))
    assert torch.equal(view[:, 0], view[:, 2])
    assert not torch.allclose(view[0], view[1])


@pytest.mark.parametrize("shape", [(2, 1, 5, 5), (1, 2, 6, 6)])
def test_a_quarter_turn_is_exact(shape):
    x = normals(*shape)
    angle = torch.full((shape[0],), math.pi / 2)
    turned = resample(x, rotation_matrix(angle), torch.zeros(shape[0], 2))
    assert_allclose(turned, torch.rot90(x, -1, (2, 3)), atol=1e-5)


def test_a_turn_of_a_wide_image_keeps_its_pixels_square():
    x = torch.zeros(1, 1, 5, 9)
    x[0, 0, 2, 6] = 1.0  # two columns right of the centre
    turned = resample(x, rotation_matrix(torch.tensor([math.pi / 2])), torch.zeros(1, 2))
    assert_array_equal(turned[0, 0].round().nonzero(), [[4, 4]])


def test_a_shift_by_a_pixel_moves_all_pixels_by_one():
    x = normals(1, 1, 4, 5)
    moved = resample(x, torch.eye(2)[None], torch.tensor([[1 / 4, -1 / 5]]))
    assert_allclose(moved[..., :-1, 1:], x[..., 1:, :-1], atol=1e-5)
    assert_allclose(moved[..., -1, 1:], x[..., -1, :-1], atol=1e-5)  # the border repeats


@pytest.mark.parametrize(
    ("part", "match"),
    [
        (Shift(max_shift=2.0), r"max_shift must be a number in \[0, 1\]; got 2.0"),
        (Affine(max_angle=4.0), "max_angle must be at most pi; got 4.0"),
        (Affine(shear=-1.0), "shear must be a finite number of at least 0; got -1.0"),
        (vqssl.augmentations.ResizedCrop(low=0.9, high=0.8), "low must be at most high"),
    ],
)
def test_hyperparameters_of_image_augmentations_are_checked(part, match):
    with pytest.raises(ValueError, match=match):
        part.check()


@pytest.mark.parametrize(
    ("given", "images", "match"),
    [
        ("window_warp", True, r"augmentations must be for images, as 'affine', .*WindowWarp\(\)"),
        (("noise", TimeShift()), True, r"must be for images.*got TimeShift\(\), and X has images"),
        ("shift", False, r"augmentations must be for series, as 'amplitude'.*got Shift\(\)"),
    ],
)
def test_augmentations_of_the_other_kind_are_refused_before_training(given, images, match):
    tokenizer = SSLVQTokenizer(**SMALL, augmentations=given)
    with pytest.raises(ValueError, match=match):
        tokenizer.fit(X if images else X[:, 0])
    assert not hasattr(tokenizer, "model_")


def test_automatic_augmentations_are_those_of_images():
    chosen = SSLVQTokenizer(**SMALL).fit(make_images(height=16, width=16)).augmentations_
    assert chosen
    assert all("images" in augmentation.takes for augmentation in chosen)


# ------------------------------------------------------------------------------- the priors


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (4, 4), (7, 7), (3, 10), (16, 16)])
def test_the_halton_order_of_a_grid_takes_every_place_once(shape):
    ranks = halton_grid_ranks(shape)
    assert ranks.shape == shape
    assert sorted(ranks.flatten().tolist()) == list(range(shape[0] * shape[1]))


def test_the_halton_order_is_that_of_its_sequence():
    # Radical inverses in base 2: 0 1/2 1/4 3/4; in base 3: 0 1/3 2/3 1/9.
    first = halton_grid_ranks((4, 9)).flatten().argsort()[:4]
    assert [(int(p) // 9, int(p) % 9) for p in first] == [(0, 0), (2, 3), (1, 6), (3, 1)]


def test_tokens_that_come_first_lie_evenly_over_the_image():
    ranks = halton_grid_ranks((16, 16))
    for n in (16, 32, 64, 128):
        first = (ranks < n).view(2, 8, 2, 8).sum((1, 3))
        # A quarter of them in each quadrant; random ones would deviate by sqrt(3 n) / 4.
        assert (first - n / 4).abs().max() <= 0.6 * math.sqrt(3 * n) / 4 + 1


def first_tokens(n_first, order="halton", shape=(6, 6), n=256):
    """Places that are drawn first, (n, N) bool, by a predictor that looks at nothing."""
    n_tokens = shape[0] * shape[1]
    place = torch.arange(n_tokens)
    grid = Grid(torch.stack([place // shape[1], place % shape[1]], 1), shape)
    seen = []

    def predict(codes, at):
        seen.append(codes != MASK)
        return torch.zeros(*at.shape, 4)

    codes = torch.full((n, n_tokens), MASK)
    draws = Draws(0, np.arange(n), n_tokens, torch.device("cpu"))
    options = {"schedule": "linear", "temperature": 1.0, "choice_temperature": 0.0}
    steps = n_tokens // n_first
    fill(predict, codes, codes == MASK, draws, n_steps=steps, order=order, grid=grid, **options)
    return seen[1]


def test_every_image_starts_the_order_somewhere_else():
    first = first_tokens(1)
    assert (first.sum(1) == 1).all()
    assert first.any(0).all()  # with 256 images every one of 36 places


def test_tokens_drawn_together_are_far_apart_in_both_directions():
    def spread(order):
        grid = first_tokens(4, order).view(-1, 6, 6).float()
        halves = [grid.unflatten(axis, (2, 3)).sum((axis + 1, 3 if axis == 1 else 1))
                  for axis in (1, 2)]  # fmt: skip
        return float(sum((half - 2).square().mean() for half in halves))

    assert spread("halton") < 0.6 * spread("random")


def test_known_tokens_stay_in_the_order_of_a_grid():
    codes = torch.arange(12).expand(5, 12) % 3
    unknown = torch.zeros(5, 12, dtype=torch.bool)
    unknown[:, [1, 6, 7]] = True
    place = torch.arange(12)
    grid = Grid(torch.stack([place // 4, place % 4], 1), (3, 4))

    def predict(codes, at):
        return torch.tensor([0.0, -9.0, -9.0, 99.0]).expand(*at.shape, 4)

    drawn = fill(
        predict, codes.masked_fill(unknown, MASK), unknown,
        Draws(0, np.arange(5), 12, torch.device("cpu")), n_steps=2, schedule="cosine",
        order="halton", temperature=1.0, choice_temperature=0.0, grid=grid,
    )  # fmt: skip
    assert torch.equal(drawn, codes.masked_fill(unknown, 3))


def test_products_of_turned_features_depend_on_the_steps_between_places():
    query, key = normals(1, 1, 1, 8), normals(1, 1, 1, 8, seed=1)

    def product(first, second):
        places = torch.tensor([first, second])
        turns = grid_rotation(places, 8, query)
        return float((rotate(query, turns[:1]) * rotate(key, turns[1:])).sum())

    assert product((1, 2), (4, 3)) == pytest.approx(product((5, 7), (8, 8)), abs=1e-5)
    assert product((1, 2), (4, 3)) != pytest.approx(product((1, 2), (3, 4)), abs=1e-3)


def test_a_prior_is_told_rows_and_columns():
    space = CodeSpace([4] * 6, [slice(0, 6)], 8, (2, 3))
    space.initialise(make_generator(0))
    assert space.coordinates.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert space.grid(0).shape == (2, 3)
    assert CodeSpace([4] * 6, [slice(0, 6)], 8).coordinates is None
    assert CodeSpace([4] * 6, [slice(0, 6)], 8, (6,)).grid(0) is None


def test_groups_of_tokens_may_lie_in_grids_of_their_own():
    space = CodeSpace([4] * 5, [slice(0, 1), slice(1, 5)], 8, [(1, 1), (2, 2)])
    space.initialise(make_generator(0))
    assert space.coordinates.tolist() == [[0, 0], [0, 0], [0, 1], [1, 0], [1, 1]]
    assert space.grid(1).shape == (2, 2)


@pytest.mark.parametrize("given", [(5,), (2, 2), [(2, 3), (1,)], (1, 2, 3)])
def test_shapes_without_the_tokens_of_their_groups_are_refused(given):
    with pytest.raises(
        ValueError, match=r"token_shape_ must be \(n_tokens,\) or \(rows, columns\)"
    ):
        shapes_of(given, [range(6)])


@pytest.mark.parametrize("generator", GENERATORS, ids=name_of)
def test_sample_i_of_a_seed_does_not_depend_on_the_number(generator):
    generator = clone(generator).fit(X, Y)
    many = generator.sample_codes(20, random_state=3)
    assert_array_equal(generator.sample_codes(5, random_state=3), many[:5])
    assert generator.token_shape_ == (4, 3)


class Flat(BaseEstimator):
    """A tokenizer of the user's own: every pixel of small images is a token; no token_shape_."""

    def fit(self, X, y=None):
        self.code_sizes_ = np.full(X[0].size, 4)
        self.shape_ = X.shape[1:]
        return self

    def encode(self, X):
        return np.asarray(X).reshape(len(X), -1).astype(np.int64)

    def decode(self, codes):
        return codes.reshape(-1, *self.shape_).astype(np.float32)


def test_a_tokenizer_without_token_shape_has_its_tokens_in_a_line():
    images = np.random.default_rng(0).integers(0, 4, (12, 1, 2, 3))
    generator = MaskGITGenerator(Flat(), backbone=PRIOR["backbone"], **SHARED).fit(images)
    assert generator.token_shape_ == (6,)
    assert generator.sample(4, random_state=0).shape == (4, 1, 2, 3)
    holes = images.astype(float)
    holes[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"tokenizer must have token_spans_ for impute on images"):
        generator.impute(holes)


def test_holes_of_images_are_filled_and_the_rest_stays():
    images = make_images(channels=2).astype(np.float32)
    generator = MaskGITGenerator(**PRIOR).fit(images)
    holes = images.copy()
    holes[:4, :, 2:5, 1:4] = np.nan
    holes[5, 0] = np.nan
    filled = generator.impute(holes, n_draws=2, random_state=0)
    assert filled.shape == (2, *images.shape)
    assert np.isfinite(filled).all()
    known = ~np.isnan(holes)
    assert_array_equal(filled[:, known], np.stack([holes[known]] * 2))


def test_images_cannot_be_gone_on_with():
    generator = MaskGITGenerator(**PRIOR).fit(X)
    with pytest.raises(ValueError, match=r"complete goes on with series.*images of shape \(1, 7"):
        generator.complete(X, horizon=1)


def test_holes_are_interpolated_along_rows_and_columns():
    row, column = np.mgrid[:5, :6]
    plane = (2.0 * row + 3.0 * column)[None, None]
    holes = plane.copy()
    holes[0, 0, 1:3, 2:5] = np.nan
    assert_allclose(interpolate(holes), plane)  # linear, so both directions agree
    holes[0, 0, :, 2] = np.nan  # a column that only its rows know
    assert_allclose(interpolate(holes)[0, 0, :, 2], plane[0, 0, :, 2])
    holes[:] = np.nan
    assert_array_equal(interpolate(holes), np.zeros_like(plane))
    holes[0, 0, 0, 0] = 7.0
    assert_array_equal(interpolate(holes), np.full_like(plane, 7.0))


def test_tokens_are_unknown_of_whose_pixels_most_are_missing_in_a_channel():
    spans = np.array(cells((5, 7), 2))
    holes = np.random.default_rng(0).random((20, 2, 5, 7)) < 0.4
    expected = [
        [
            max(channel[top:bottom, left:right].mean() for channel in image) > 0.5
            for top, bottom, left, right in spans
        ]
        for image in holes
    ]
    assert_array_equal(mostly_missing(holes, spans), expected)
    assert 0 < np.mean(expected) < 1


# -------------------------------------------------------- likelihoods, detectors, evaluation


def test_the_bound_of_a_vae_counts_every_pixel():
    # A decoder that gives 0 and a posterior that is the prior: log N(x; 0, deviation) per pixel.
    images = make_images(channels=2).astype(np.float64)
    vae = VAE(**LATENT, noise=1.0).fit(images)
    for layer in (vae.model_.to_latent, vae.model_.decoder.head):
        layer.weight.zero_()
        layer.bias.zero_()
    mean, deviation = images.mean((0, 2, 3)), images.std((0, 2, 3))
    z = (images - mean[:, None, None]) / deviation[:, None, None]
    density = -0.5 * (z**2 + math.log(2 * math.pi)) - np.log(deviation)[:, None, None]
    assert_allclose(vae.score_samples(images), density.sum((1, 2, 3)), rtol=1e-4)
    assert_allclose(vae.log_likelihood(images, 3), density.sum((1, 2, 3)), rtol=1e-4)


def test_a_vae_draws_latents_and_images():
    vae = VAE(**LATENT).fit(X)
    Z = vae.sample_posterior(X[:2], 3, method="mcmc", n_transitions=4, random_state=0)
    assert Z.shape == (3, 2, 3)
    assert vae.sample_predictive(X[:2], 3, random_state=0).shape == (3, 2, 1, 7, 5)
    assert vae.interpolate(X[:2], X[2:4], 4).shape == (2, 4, 1, 7, 5)
    assert vae.traverse(X[:2], 3).shape == (2, 3, 3, 1, 7, 5)


def test_a_detector_judges_images():
    detector = AnomalyDetector(MaskGITGenerator(**PRIOR), random_state=0).fit(X)
    assert set(detector.predict(X)) <= {-1, 1}
    assert detector._length == 35
    assert np.isfinite(detector.score_samples(X)).all()


def test_a_classifier_is_fine_tuned_from_any_encoder_of_images():
    for encoder in (VQTokenizer(**SMALL), AutoEncoder(**LATENT)):
        classifier = TokenizerClassifier(FrozenEstimator(encoder.fit(X)), **SHARED).fit(X, Y)
        assert classifier.predict_proba(X).shape == (12, 3)
    with pytest.raises(
        ValueError, match=r"X has series of shape \(7, 5\), but the frozen .*images"
    ):
        classifier.fit(X[:, 0], Y)


def test_a_generator_of_images_is_evaluated():
    train, test = make_images(24), make_images(12, seed=1)
    generator = MaskGITGenerator(**PRIOR).fit(train, labels(train))
    figures = evaluate_generator(
        generator, train, labels(train), test, labels(test),
        classifier=FCNClassifier((4, 4), **SHARED), n_samples=24, random_state=0,
    )  # fmt: skip
    assert all(np.isfinite(value) for value in figures.values())
    assert {"fid", "kid", "classification_accuracy_score"} <= set(figures)
    # A classifier that takes rows of numbers gets them.
    evaluate_generator(
        generator, train, labels(train), test, labels(test), classifier=SVC(),
        features=lambda images: images.reshape(len(images), -1)[:, :4], all_accuracies=False,
        n_samples=24, random_state=0,
    )  # fmt: skip


def test_distortion_is_held_against_the_variance_of_each_channel():
    images = make_images(channels=2).astype(np.float64) * [[[1.0]], [[9.0]]]
    generator = MaskGITGenerator(**PRIOR).fit(images)
    figures = rate_distortion(generator, images)
    spread = images - images.mean((0, 2, 3), keepdims=True)
    assert figures["mse"] / figures["normalized_mse"] == pytest.approx((spread**2).mean())
    assert figures["bits_per_series"] == pytest.approx(70 * figures["bits_per_point"])


# ------------------------------------------------------------------------------------ walks


@pytest.fixture(scope="module")
def digits():
    images, y = load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8).astype(np.uint8)
    return train_test_split(images, y, train_size=400, test_size=300, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def tokenizer(digits):
    return VQTokenizer(max_iter=150, random_state=0, device="cpu").fit(digits[0])


def test_codes_tell_digits_apart(digits, tokenizer):
    X_train, X_test, y_train, y_test = digits
    assert tokenizer.score(X_test) > 0.8
    probe = make_pipeline(FrozenEstimator(tokenizer), SVC()).fit(X_train, y_train)
    assert probe.score(X_test, y_test) > 0.85


def test_drawn_digits_are_recognised(digits, tokenizer):
    X_train, _, y_train, _ = digits
    generator = MaskGITGenerator(
        FrozenEstimator(tokenizer), max_iter=200, batch_size=32, random_state=0, device="cpu"
    ).fit(X_train, y_train)
    y = np.repeat(np.arange(10), 10)
    drawn = generator.sample(100, y, random_state=0)
    judge = SVC().fit(X_train.reshape(len(X_train), -1), y_train)
    assert judge.score(drawn.reshape(100, -1), y) > 0.5
