"""What every tokenizer offers: codes, vectors, readouts, reconstruction, their options."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from skorch.callbacks import Callback

from vqssl import BandVQTokenizer, HierarchicalVQTokenizer, SSLVQTokenizer, VQTokenizer
from vqssl.augmentations import AUGMENTATIONS, AmplitudeScale, Compose, GaussianNoise
from vqssl.backbones import ConvBackbone
from vqssl.losses import LOSSES, InfoNCE, VICReg
from vqssl.quantizers import FSQ, QUANTIZERS, EMAQuantizer, GradientQuantizer
from vqssl.tokenizers import _ssl_vq
from vqssl.tokenizers._base import _is_constant, merge

OUTPUTS = ("codes", "features", "histogram", "latent", "quantized")
DISCRETE = ("codes", "features", "histogram", "quantized")
INVERTIBLE = ("codes", "quantized")

SMALL = {
    "n_codes": 8,
    "code_dim": 4,
    "backbone": ConvBackbone(width=8, n_blocks=1, n_decoder_blocks=1),
    "max_iter": 6,
    "batch_size": 8,
    "device": "cpu",  # where bits are the same
    "random_state": 0,
}

ONE_CODEBOOK = [SSLVQTokenizer(**SMALL), VQTokenizer(**SMALL)]
TOKENIZERS = [BandVQTokenizer(**SMALL), HierarchicalVQTokenizer(**SMALL), *ONE_CODEBOOK]

# Tests that do not look at warnings train on a dozen tiny series for a few steps.
small = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def make_series(n=12, length=24, channels=None, seed=0):
    """Random walks."""
    shape = (n, length) if channels is None else (n, channels, length)
    return np.random.default_rng(seed).standard_normal(shape).cumsum(-1).astype(np.float32)


def make_sines(n=40, length=48, seed=0):
    """Sines of random phase and frequency."""
    rng = np.random.default_rng(seed)
    t = np.arange(length) / length
    frequency, phase = rng.uniform(1, 3, (n, 1)), rng.uniform(0, 1, (n, 1))
    return np.sin(2 * np.pi * (frequency * t + phase))


X = make_series()
NEW = make_series(20, seed=1)


@pytest.fixture(params=TOKENIZERS, ids=lambda tokenizer: type(tokenizer).__name__)
def tokenizer(request):
    """Every tokenizer in turn, unfitted."""
    return clone(request.param)


# The fixture without tokenizers of several groups, whose numbers are in files of their own.
one_codebook = pytest.mark.parametrize(
    "tokenizer", ONE_CODEBOOK, indirect=True, ids=lambda tokenizer: type(tokenizer).__name__
)


class NoTraining(Callback):
    """Complains when training starts."""

    def on_train_begin(self, net, **kwargs):
        raise AssertionError("training has started")


# ------------------------------------------------------------------------- codes and vectors


@small
@pytest.mark.parametrize("channels", [None, 3])
def test_codes_are_integers_below_the_code_sizes(tokenizer, channels):
    new = make_series(20, channels=channels, seed=1)
    tokenizer.fit(make_series(channels=channels))
    codes = tokenizer.encode(new)
    assert codes.dtype == np.int64
    assert codes.shape == (20, tokenizer.n_tokens_)
    assert codes.min() >= 0
    assert (codes < tokenizer.code_sizes_).all()
    assert len(np.unique(codes)) > 1


@small
def test_code_sizes_and_token_groups_cover_the_tokens(tokenizer):
    tokenizer.fit(X)
    assert tokenizer.code_sizes_.shape == (tokenizer.n_tokens_,)
    covered = [i for group in tokenizer.token_groups_ for i in range(tokenizer.n_tokens_)[group]]
    assert covered == list(range(tokenizer.n_tokens_))
    assert len(tokenizer.perplexity_) == len(tokenizer.token_groups_)


@one_codebook
@small
def test_embed_looks_codes_up_in_the_codebook(tokenizer):
    tokenizer.fit(X)
    vectors = tokenizer.embed(NEW)
    assert vectors.dtype == np.float32
    assert vectors.shape == (20, tokenizer.n_tokens_, 4)
    assert tokenizer.codebook_.shape == (8, 4)
    assert_array_equal(vectors, tokenizer.codebook_[tokenizer.encode(NEW)])


@one_codebook
@small
def test_codes_are_those_of_the_nearest_vectors(tokenizer):
    tokenizer.fit(X)
    with torch.no_grad():
        latents = tokenizer.model_.latents(torch.from_numpy(NEW[:, None, :])).numpy()
    differences = latents[:, :, None, :] - tokenizer.codebook_  # (n, N, K, D)
    distances = np.square(differences, dtype=np.float64).sum(-1)
    chosen = np.take_along_axis(distances, tokenizer.encode(NEW)[..., None], -1)[..., 0]
    assert_allclose(chosen, distances.min(-1), rtol=1e-4)


@one_codebook
@small
def test_perplexity_is_the_exponential_of_the_entropy_of_the_codes(tokenizer):
    tokenizer.fit(X)
    shares = np.bincount(tokenizer.encode(X).ravel(), minlength=8) / tokenizer.encode(X).size
    entropy = -sum(share * np.log(share) for share in shares if share > 0)
    assert_allclose(tokenizer.perplexity_, [np.exp(entropy)])
    assert 1 <= tokenizer.perplexity_[0] <= 8


@one_codebook
@small
@pytest.mark.parametrize("n_codes", [1, 500])
def test_one_code_or_more_codes_than_latents_work(tokenizer, n_codes):
    tokenizer.set_params(n_codes=n_codes).fit(X)
    assert tokenizer.codebook_.shape == (n_codes, 4)
    assert np.isfinite(tokenizer.codebook_).all()
    assert tokenizer.encode(NEW).max() < n_codes
    assert np.isfinite(tokenizer.transform(NEW)).all()
    assert 1 <= tokenizer.perplexity_[0] <= n_codes


# ------------------------------------------------------------------------------ way back


@small
@pytest.mark.parametrize("output", INVERTIBLE)
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_inverse_transform_is_the_decoding_of_the_codes(tokenizer, output, channels):
    new = make_series(5, channels=channels, seed=1)
    tokenizer.set_params(output=output).fit(make_series(channels=channels))
    decoded = tokenizer.decode(tokenizer.encode(new))
    assert decoded.dtype == np.float32
    assert decoded.shape == new.shape
    assert_allclose(tokenizer.inverse_transform(tokenizer.transform(new)), decoded, atol=1e-6)


@small
@pytest.mark.parametrize("output", OUTPUTS)
def test_inverse_transform_exists_where_there_is_a_way_back(tokenizer, output):
    assert hasattr(tokenizer.set_params(output=output), "inverse_transform") == (
        output in INVERTIBLE
    )


def test_a_missing_inverse_transform_says_why(tokenizer):
    with pytest.raises(AttributeError, match="inverse_transform"):
        tokenizer.inverse_transform(np.zeros((2, 3)))


@small
@pytest.mark.parametrize("length", [1, 2, 3, 7, 24, 33])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_series_come_back_in_the_fitted_shape(tokenizer, length, channels):
    series = make_series(5, length, channels)
    tokenizer.set_params(output="codes").fit(series)
    assert tokenizer.decode(tokenizer.encode(series)).shape == series.shape
    assert tokenizer.inverse_transform(tokenizer.transform(series)).shape == series.shape


@small
def test_codes_of_any_kind_can_be_decoded(tokenizer):
    tokenizer.fit(X)
    codes = tokenizer.encode(NEW)
    expected = tokenizer.decode(codes)
    for same in (codes.astype(np.uint8), codes.tolist(), torch.from_numpy(codes), codes[:]):
        assert_array_equal(tokenizer.decode(same), expected)
    assert_array_equal(tokenizer.decode(pd.DataFrame(codes)), expected)


@small
def test_pandas_output_can_be_inverted(tokenizer):
    tokenizer.set_params(output="codes").set_output(transform="pandas").fit(X)
    decoded = tokenizer.inverse_transform(tokenizer.transform(NEW))
    assert_array_equal(decoded, tokenizer.decode(tokenizer.encode(NEW)))


@one_codebook
@small
def test_wrong_codes_are_refused_with_their_place(tokenizer):
    tokenizer.set_params(n_codes=32).fit(X)
    codes = tokenizer.encode(X)
    high, low = codes.copy(), codes.copy()
    high[4, 0], low[2, 3] = 32, -1
    with pytest.raises(ValueError, match=r"^codes must lie in \[0, 32\); got 32 at sample 4, to"):
        tokenizer.decode(high)
    with pytest.raises(ValueError, match=r"in \[0, 32\); got -1 at sample 2, token 3\.$"):
        tokenizer.decode(low)
    with pytest.raises(TypeError, match="codes must be integers; got an array of float32"):
        tokenizer.decode(codes.astype(np.float32))
    for wrong in (codes[:, 1:], codes[0], codes[:0], codes[None]):
        with pytest.raises(ValueError, match=r"codes must have shape \(n_samples, 12\); got \("):
            tokenizer.decode(wrong)


@one_codebook
@small
def test_wrong_input_of_inverse_transform_is_refused(tokenizer):
    tokenizer.set_params(output="codes").fit(X)
    Z = tokenizer.transform(X)
    high = Z.copy()
    high[1, 2] = 10
    with pytest.raises(ValueError, match=r"whole numbers; got \d+\.5 at sample 0, token 0"):
        tokenizer.inverse_transform(Z + 0.5)
    with pytest.raises(ValueError, match=r"codes must lie in \[0, 8\); got 1e\+30 at sample 0"):
        tokenizer.inverse_transform(np.full(Z.shape, 1e30))
    refuse_what_is_no_matrix_of_numbers(tokenizer, Z)
    with pytest.raises(ValueError, match=r"codes must lie in \[0, 8\); got 10"):
        tokenizer.inverse_transform(high)
    tokenizer.set_params(output="quantized")
    with pytest.raises(ValueError, match=r"Z must have shape \(n_samples, 48\); got \(12, 12\)"):
        tokenizer.inverse_transform(Z)
    refuse_what_is_no_matrix_of_numbers(tokenizer, tokenizer.transform(X))


def refuse_what_is_no_matrix_of_numbers(tokenizer, Z):
    cases = {
        "contains NaN": np.full_like(Z, np.nan),
        "contains infinity": np.full_like(Z, np.inf),
        "Complex data not supported": Z + 1j,
        "minimum of 1 is required": Z[:0],
        "Expected 2D array": Z[0],
    }
    for message, wrong in cases.items():
        with pytest.raises(ValueError, match=message):
            tokenizer.inverse_transform(wrong)


def test_an_unfitted_tokenizer_says_so(tokenizer):
    tokenizer.set_params(output="codes")
    for method in (tokenizer.encode, tokenizer.embed, tokenizer.score):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            method(X)
    for method in (tokenizer.decode, tokenizer.inverse_transform):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            method(np.zeros((2, 12), dtype=int))


# --------------------------------------------------------------------------------- score


def share_of_variation(series, reconstruction, mean):
    error = np.square(series - reconstruction, dtype=np.float64).sum()
    return 1 - error / np.square(series - mean, dtype=np.float64).sum()


@small
@pytest.mark.parametrize("scaling", ["dataset", "series", None])
@pytest.mark.parametrize("channels", [None, 3])
def test_score_is_one_minus_error_over_deviation_from_the_training_mean(
    tokenizer, scaling, channels
):
    # Far from zero, so that deviations from zero would give quite another number.
    train = make_series(channels=channels) + 20
    new = make_series(20, channels=channels, seed=1) + 22
    tokenizer.set_params(scaling=scaling).fit(train)
    mean = train.mean() if channels is None else train.mean((0, 2), keepdims=True)
    expected = share_of_variation(new, tokenizer.decode(tokenizer.encode(new)), mean)
    assert_allclose(tokenizer.score(new), expected, rtol=1e-4, atol=1e-6)  # 1 minus a quotient
    assert isinstance(tokenizer.score(new), float)


@small
@pytest.mark.parametrize("scaling", ["dataset", "series", None])
@pytest.mark.parametrize("channels", [None, 3])
def test_reconstruction_error_is_the_mean_square_of_each_channel(tokenizer, scaling, channels):
    train, new = make_series(channels=channels), make_series(20, channels=channels, seed=1)
    tokenizer.set_params(scaling=scaling).fit(train)
    difference = new - tokenizer.decode(tokenizer.encode(new))
    expected = np.square(difference, dtype=np.float64).mean(-1).reshape(20, -1)
    errors = tokenizer.reconstruction_error(new)
    assert errors.dtype == np.float64
    assert_allclose(errors, expected, rtol=1e-4)


@small
@pytest.mark.parametrize("scaling", ["dataset", "series"])
@pytest.mark.parametrize("value", [0.0, 0.1, 7.3, -1e4])
def test_score_of_constant_series_is_zero_or_one(tokenizer, scaling, value):
    constant = np.full((12, 24), value)
    assert tokenizer.set_params(scaling=scaling).fit(constant).score(constant) in (0.0, 1.0)


@small
def test_score_does_not_depend_on_units(tokenizer):
    first = clone(tokenizer).fit(X).score(NEW)
    assert tokenizer.fit(X * 4).score(NEW * 4) == pytest.approx(first, rel=1e-5)


# ------------------------------------------------------------------------------- readouts


@small
@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_is_finite_float32_with_named_columns(tokenizer, output):
    Z = tokenizer.set_params(output=output).fit(X).transform(NEW)
    assert Z.dtype == np.float32
    assert Z.ndim == 2
    assert len(Z) == 20
    assert np.isfinite(Z).all()
    names = tokenizer.get_feature_names_out()
    assert len(names) == len(set(names)) == Z.shape[1]


@one_codebook
@small
def test_the_output_can_be_switched_on_a_fitted_tokenizer(tokenizer):
    tokenizer.fit(X)
    codes = tokenizer.encode(NEW)
    for output in OUTPUTS:
        own = clone(tokenizer).set_params(output=output).fit(X)
        assert_array_equal(tokenizer.set_params(output=output).transform(NEW), own.transform(NEW))
    tokenizer.set_params(output="codes")
    assert_array_equal(tokenizer.transform(NEW), codes)
    tokenizer.set_params(output="quantized")
    assert_array_equal(tokenizer.transform(NEW), tokenizer.codebook_[codes].reshape(20, -1))


@one_codebook
@small
def test_the_histogram_counts_codes(tokenizer):
    tokenizer.set_params(output="histogram").fit(X)
    Z = tokenizer.transform(NEW)
    codes = tokenizer.encode(NEW)
    expected = [np.bincount(row, minlength=8) / len(row) for row in codes]
    assert_allclose(Z, expected, rtol=1e-6)
    assert_allclose(Z.sum(1), 1, rtol=1e-6)


@small
def test_equal_codes_give_equal_rows_and_others_do_not(tokenizer):
    # Trained long enough for the decoder to draw more than one line.
    tokenizer.set_params(n_codes=4, max_iter=60).fit(make_series(60))
    first = tokenizer.decode(tokenizer.encode(make_series(60)))
    noise = np.random.default_rng(0).standard_normal(first.shape)
    second = (first + 0.01 * noise).astype(np.float32)
    same = (tokenizer.encode(first) == tokenizer.encode(second)).all(1)
    assert same.sum() > 5
    pair = first[same], second[same]
    for output in DISCRETE:
        tokenizer.set_params(output=output)
        a, b = (tokenizer.transform(series) for series in pair)
        assert_array_equal(a, b)
        assert len(np.unique(a, axis=0)) > 1
    tokenizer.set_params(output="latent")
    a, b = (tokenizer.transform(series) for series in pair)
    assert (a != b).any(1).all()


@small
def test_a_single_code_tells_no_series_from_another(tokenizer):
    tokenizer.set_params(n_codes=1).fit(X)
    for output in DISCRETE:
        Z = tokenizer.set_params(output=output).transform(NEW)
        assert_array_equal(Z, np.broadcast_to(Z[0], Z.shape))
    assert len(np.unique(tokenizer.set_params(output="latent").transform(NEW), axis=0)) == 20


@one_codebook
@small
@pytest.mark.parametrize("output", ["features", "latent"])
def test_features_of_the_training_set_are_standardised(tokenizer, output):
    series = make_series(40)
    Z = tokenizer.set_params(output=output).fit(series).transform(series).astype(np.float64)
    assert_allclose(Z.mean(0), 0, atol=1e-4)
    # Three statistics of D = 4 for 1, 2, 4 and 8 windows, the same along 4 axes at twice the
    # weight, 16 autocovariances for 9 lags, then K = 8 frequencies. Otherwise every block has
    # the same total variance, and a column of the first has deviation 1.
    scales = [12, 24, 48, 96]
    blocks = [(width, 1) for width in scales] + [(width, 2) for width in scales]
    blocks += [(144, 1), (8, 1)]
    if output == "latent":
        blocks.pop()
    expected = np.concatenate([np.full(n, weight * np.sqrt(12 / n)) for n, weight in blocks])
    deviations = Z.std(0)
    varying = deviations > 1e-4
    assert varying.mean() > 0.5
    assert_allclose(deviations[varying], expected[varying], rtol=1e-3)


@small
@pytest.mark.parametrize("output", ["features", "histogram", "latent"])
def test_the_width_does_not_depend_on_the_shape_of_the_series(tokenizer, output):
    tokenizer.set_params(output=output)
    widths = {
        clone(tokenizer).fit(series).transform(series).shape[1]
        for series in (make_series(5, 1), make_series(5, 7), make_series(5, 50, 3))
    }
    assert len(widths) == 1


# --------------------------------------------------------------------------------- scaling


@small
def test_dataset_scaling_makes_codes_free_of_units(tokenizer):
    first = clone(tokenizer).fit(X)
    # Powers of two leave no rounding.
    second = clone(tokenizer).fit(X * 1024)
    assert_array_equal(first.encode(NEW), second.encode(NEW * 1024))
    third = tokenizer.fit(X.astype(np.float64) * 1.8 + 32)
    other_units = NEW.astype(np.float64) * 1.8 + 32
    assert np.mean(first.encode(NEW) == third.encode(other_units)) > 0.95
    decoded = first.decode(first.encode(NEW))
    assert_allclose(second.decode(second.encode(NEW * 1024)), decoded * 1024, rtol=1e-5, atol=1e-3)
    assert_allclose(third.decode(first.encode(NEW)), decoded * 1.8 + 32, rtol=0.01, atol=0.05)


@small
def test_dataset_scaling_treats_channels_one_by_one(tokenizer):
    series, new = make_series(channels=2), make_series(20, channels=2, seed=1)
    units = np.array([[[1.0], [4096.0]]], dtype=np.float32)
    first = clone(tokenizer).fit(series)
    second = tokenizer.fit(series * units)
    assert_array_equal(first.encode(new), second.encode(new * units))


@small
def test_series_scaling_ignores_level_and_size_of_each_series(tokenizer):
    tokenizer.set_params(scaling="series").fit(X)
    rng = np.random.default_rng(0)
    moved = NEW * rng.uniform(0.1, 10, (20, 1)) + rng.uniform(-5, 5, (20, 1))
    assert np.mean(tokenizer.encode(NEW) == tokenizer.encode(moved)) > 0.99
    tokenizer.set_params(scaling="dataset").fit(X)
    assert np.mean(tokenizer.encode(NEW) == tokenizer.encode(moved)) < 0.9


@small
def test_without_scaling_units_matter(tokenizer):
    tokenizer.set_params(scaling=None)
    first, second = clone(tokenizer).fit(X), clone(tokenizer).fit(X * 1024)
    assert (first.encode(NEW) != second.encode(NEW * 1024)).any()


@small
def test_a_channel_that_is_constant_in_training_is_no_danger(tokenizer):
    series, new = make_series(channels=2), make_series(20, channels=2, seed=1)
    series[:, 1] = 3.0
    tokenizer.fit(series)
    assert np.isfinite(tokenizer.transform(new)).all()
    assert np.isfinite(tokenizer.decode(tokenizer.encode(new))).all()


# --------------------------------------------------------------------------------- options


@one_codebook
@small
@pytest.mark.parametrize("compression", [1, 2, 5, 24, 100])
def test_compression_is_the_number_of_time_points_per_token(tokenizer, compression):
    tokenizer.set_params(compression=compression, output="codes").fit(X)
    assert tokenizer.n_tokens_ == -(-24 // compression)
    assert tokenizer.transform(X).shape == (12, tokenizer.n_tokens_)
    assert tokenizer.decode(tokenizer.encode(X)).shape == X.shape


@one_codebook
@small
@pytest.mark.parametrize(
    ("length", "compression"), [(1, 1), (24, 2), (64, 2), (65, 4), (512, 4), (640, 5)]
)
def test_automatic_compression_follows_the_length(tokenizer, length, compression):
    tokenizer.set_params(max_iter=1).fit(make_series(4, length))
    assert tokenizer.n_tokens_ == -(-length // compression)


QUANTIZER_TERMS = {
    "ema": {"commitment"},
    "fsq": set(),
    "gradient": {"codebook", "commitment"},
}


def term_names(tokenizer):
    return set(tokenizer.history_) - {"step", "loss", "lr"}


@one_codebook
@small
@pytest.mark.parametrize("name", QUANTIZERS)
def test_every_quantizer_trains_and_names_its_terms(tokenizer, name):
    tokenizer.set_params(quantizer=name, max_iter=20).fit(X)
    names = {term for term in term_names(tokenizer) if not term.startswith("ssl_")}
    assert names == {"reconstruction"} | QUANTIZER_TERMS[name]
    assert np.isfinite(tokenizer.codebook_).all()
    assert len(np.unique(tokenizer.encode(X))) > 1
    assert_array_equal(tokenizer.embed(X), tokenizer.codebook_[tokenizer.encode(X)])


@one_codebook
@small
@pytest.mark.parametrize(
    "part",
    [EMAQuantizer(decay=0.5, reset_threshold=0.0), GradientQuantizer(orthogonality=1.0)],
    ids=str,
)
def test_a_quantizer_can_be_a_part(tokenizer, part):
    tokenizer.set_params(quantizer=part).fit(X)
    assert ("orthogonality" in term_names(tokenizer)) == isinstance(part, GradientQuantizer)


@one_codebook
@small
def test_levels_decide_the_number_of_codes(tokenizer):
    tokenizer.set_params(quantizer=FSQ(levels=(3, 5)), n_codes=999).fit(X)
    assert tokenizer.codebook_.shape == (15, 4)
    assert set(tokenizer.code_sizes_) == {15}
    assert tokenizer.set_params(output="histogram").transform(X).shape == (12, 15)


SSL_TERMS = {
    "barlow_twins": {"ssl_invariance", "ssl_redundancy"},
    "infonce": {"ssl_contrast"},
    "vibcreg": {"ssl_invariance", "ssl_variance", "ssl_covariance"},
    "vicreg": {"ssl_invariance", "ssl_variance", "ssl_covariance"},
}


def ssl_tokenizer(**params):
    return SSLVQTokenizer(**{**SMALL, **params})


def ssl_terms(tokenizer):
    return {name for name in tokenizer.history_ if name.startswith("ssl_")}


@small
@pytest.mark.parametrize("name", LOSSES)
def test_every_ssl_loss_trains_and_names_its_terms(name):
    by_name = ssl_tokenizer(ssl=name).fit(X)
    by_part = ssl_tokenizer(ssl=LOSSES[name]()).fit(X)
    assert ssl_terms(by_name) == SSL_TERMS[name]
    assert by_name.history_ == by_part.history_
    assert all(np.isfinite(column).all() for column in by_name.history_.values())


@small
def test_weights_of_an_ssl_loss_scale_its_terms():
    one = ssl_tokenizer(ssl="vicreg", ssl_weight=1.0, max_iter=1).fit(X)
    two = ssl_tokenizer(ssl=VICReg(covariance=3.0), ssl_weight=2.0, max_iter=1).fit(X)
    ratios = {name: two.history_[name][0] / one.history_[name][0] for name in SSL_TERMS["vicreg"]}
    expected = {"ssl_covariance": 6.0, "ssl_invariance": 2.0, "ssl_variance": 2.0}
    assert ratios == pytest.approx(expected, rel=1e-4)
    assert two.history_["reconstruction"][0] == pytest.approx(one.history_["reconstruction"][0])


@small
@pytest.mark.parametrize("augmentations", ["auto", "noise"])
def test_an_ssl_weight_of_zero_is_the_tokenizer_without_the_branch_bit_for_bit(augmentations):
    without = ssl_tokenizer(ssl_weight=0, augmentations=augmentations).fit(X)
    plain = VQTokenizer(**SMALL).fit(X)
    assert not ssl_terms(without)
    assert without.history_ == plain.history_
    for name, tensor in plain.model_.state_dict().items():
        assert torch.equal(without.model_.state_dict()[name], tensor)
    assert_array_equal(without.encode(X), plain.encode(X))


@small
@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [None, 3])
def test_every_augmentation_trains_by_name_and_as_a_part(name, channels):
    series = make_series(channels=channels)
    if "series" not in AUGMENTATIONS[name].takes:
        series = series.reshape(len(series), -1, 4, 6)  # images
    by_name = ssl_tokenizer(augmentations=name).fit(series)
    by_part = ssl_tokenizer(augmentations=AUGMENTATIONS[name]()).fit(series)
    assert [type(part) for part in by_name.augmentations_] == [AUGMENTATIONS[name]]
    assert by_name.history_ == by_part.history_
    assert np.isfinite(by_name.history_["loss"]).all()


@small
def test_augmentations_can_be_several_or_none():
    given = ssl_tokenizer(augmentations=("amplitude", GaussianNoise(sd=0.2))).fit(X)
    assert list(map(repr, given.augmentations_)) == ["AmplitudeScale()", "GaussianNoise(sd=0.2)"]
    composed = Compose((AmplitudeScale(), GaussianNoise(sd=0.2)))
    assert ssl_tokenizer(augmentations=composed).fit(X).history_ == given.history_
    none = ssl_tokenizer(augmentations=None, ssl="vicreg").fit(X)
    assert none.augmentations_ == ()
    assert none.history_["ssl_variance"][0] > 0


@small
def test_augmentations_are_chosen_without_labels():
    series = make_series(40)
    tokenizer = ssl_tokenizer(augmentations="auto")
    chosen = clone(tokenizer).fit(series).augmentations_
    assert chosen
    assert set(map(type, chosen)) <= set(AUGMENTATIONS.values())
    again = tokenizer.fit(series, np.arange(40) % 2).augmentations_
    assert list(map(repr, again)) == list(map(repr, chosen))


@small
@pytest.mark.parametrize("projector_dim", [1, 3, 300, "auto"])
@pytest.mark.parametrize("ssl", LOSSES)
def test_any_width_of_the_projection_works(projector_dim, ssl):
    tokenizer = ssl_tokenizer(projector_dim=projector_dim, ssl=ssl).fit(X)
    assert np.isfinite(tokenizer.history_["loss"]).all()


@small
def test_the_projector_is_dropped():
    plain = VQTokenizer(**SMALL).fit(X).model_.state_dict()
    assert ssl_tokenizer().fit(X).model_.state_dict().keys() == plain.keys()


@small
def test_diagnostics_say_how_much_the_latents_vary():
    diagnostics = ssl_tokenizer().fit(X).diagnostics_
    assert set(diagnostics) == {"feature_std", "feature_correlation", "effective_rank"}
    assert diagnostics["feature_std"] > 0
    assert 0 <= diagnostics["feature_correlation"] <= 1
    assert 1 <= diagnostics["effective_rank"] <= 8


def test_collapsed_latents_draw_a_warning(monkeypatch):
    pool = _ssl_vq.global_pool
    monkeypatch.setattr(_ssl_vq, "global_pool", lambda z: pool(z)[:, :1].repeat(1, 8))
    with pytest.warns(ConvergenceWarning, match="The latents have collapsed"):
        ssl_tokenizer().fit(X)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("weight", [0, "auto"])
def test_series_that_differ_in_their_level_only_are_no_collapse(weight):
    alike = np.sin(np.arange(24)) + 10.0 * np.arange(20)[:, None]
    tokenizer = ssl_tokenizer(ssl_weight=weight).fit(alike)
    assert tokenizer.diagnostics_["effective_rank"] < 1.5


def test_a_single_series_draws_a_warning_and_skips_the_ssl_terms():
    tokenizer = ssl_tokenizer()
    with pytest.warns(ConvergenceWarning, match="self-supervised terms are left out"):
        tokenizer.fit(X[:1])
    assert not ssl_terms(tokenizer)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", LOSSES)
def test_two_series_are_enough_for_the_ssl_terms(name):
    tokenizer = ssl_tokenizer(ssl=name).fit(X[:2])
    assert ssl_terms(tokenizer) == SSL_TERMS[name]
    assert np.isfinite(tokenizer.history_["loss"]).all()


# ------------------------------------------------------------------- parameters that are wrong

PARAMETERS = {
    "n_codes": [(0, "n_codes must be an integer of at least 1; got 0"), (2.5, "'n_codes' par")],
    "code_dim": [(0, "code_dim must be an integer of at least 1; got 0")],
    "backbone": [
        ("cnn", "backbone must be one of 'conv' or an instance of Backbone; got 'cnn'"),
        (ConvBackbone(width=0), "width must be an integer of at least 2; got 0"),
        (ConvBackbone, "'backbone' parameter"),
    ],
    "quantizer": [
        ("rvq", "quantizer must be one of 'ema', 'fsq', 'gradient' or .*; got 'rvq'"),
        (EMAQuantizer(decay=1.0), r"decay must be a number in \[0, 1\); got 1.0"),
        (EMAQuantizer, "'quantizer' parameter"),
    ],
    "compression": [
        (0, "compression must be an integer of at least 1; got 0"),
        ("automatic", "compression must be 'auto'.* an integer.*; got 'automatic'"),
        (2.0, "'compression' parameter"),
    ],
    "scaling": [("standard", "scaling must be 'dataset', 'series' or None; got 'standard'")],
    "output": [
        ("tokens", "output must be one of 'codes', 'features', 'histogram', 'latent', 'quantized'")
    ],
    "lr": [(0.0, "lr must be a finite number above 0; got 0.0"), (np.nan, "lr must be a finite")],
    "batch_size": [(0, "batch_size must be an integer of at least")],
    "validation_fraction": [(1.0, r"validation_fraction must be a number in \[0, 1\); got 1.0")],
    "verbose": [(-1, "verbose must be an integer of at least 0; got -1")],
}

SSL_PARAMETERS = {
    "ssl": [
        (
            "simclr",
            "ssl must be one of 'barlow_twins', 'infonce', 'vibcreg', 'vicreg' or an instance of "
            "SSLLoss; got 'simclr'",
        ),
        (InfoNCE(temperature=0), "temperature must be a finite number above 0; got 0"),
        (VICReg, "'ssl' parameter"),
    ],
    "augmentations": [
        ("jitter", "augmentations must be one of 'affine', .*'window_warp' or .*; got 'jitter'"),
        (("noise", "jitter"), "augmentations must be one of 'affine', .*; got 'jitter'"),
        (GaussianNoise(sd=-1), "sd must be a finite number of at least 0; got -1"),
        (("noise", 3), "augmentations must be one of 'affine', .*; got 3"),
        ((GaussianNoise,), r"Did you mean GaussianNoise\(\)\?"),
        (5, "'augmentations' parameter"),
    ],
    "ssl_weight": [
        (-1.0, "ssl_weight must be a finite number of at least 0; got -1.0"),
        ("high", "ssl_weight must be 'auto' or a number; got 'high'"),
        (np.inf, "ssl_weight must be a finite number of at least 0; got inf"),
    ],
    "projector_dim": [
        (0, "projector_dim must be an integer of at least 1; got 0"),
        ("wide", "projector_dim must be 'auto' or a number; got 'wide'"),
    ],
    "batch_size": [(1, "batch_size must be an integer of at least 2; got 1")],
}


def check_refusal(tokenizer, name, value, match):
    tokenizer.set_params(**{name: value}, callbacks=[NoTraining()])
    with pytest.raises((ValueError, TypeError), match=match):
        tokenizer.fit(X)


@pytest.mark.parametrize(
    ("name", "value", "match"), [(k, v, m) for k, cases in PARAMETERS.items() for v, m in cases]
)
def test_a_wrong_parameter_is_refused_before_training(tokenizer, name, value, match):
    check_refusal(tokenizer, name, value, match)


@one_codebook
@pytest.mark.parametrize(
    ("value", "match"),
    [
        (-0.1, r"difference_weight must be a number in \[0, 1\]; got -0.1"),
        (1.5, r"difference_weight must be a number in \[0, 1\]; got 1.5"),
        ("auto", "'difference_weight' parameter"),
    ],
)
def test_a_wrong_share_of_differences_is_refused_before_training(tokenizer, value, match):
    check_refusal(tokenizer, "difference_weight", value, match)


@pytest.mark.parametrize(
    ("name", "value", "match"), [(k, v, m) for k, cases in SSL_PARAMETERS.items() for v, m in cases]
)
def test_a_wrong_ssl_parameter_is_refused_before_training(name, value, match):
    check_refusal(ssl_tokenizer(), name, value, match)


@small
@pytest.mark.parametrize("output", ["tokens", "Features"])
def test_a_wrong_output_of_a_fitted_tokenizer_is_refused(tokenizer, output):
    tokenizer.fit(X).set_params(output=output)
    with pytest.raises(ValueError, match=f"output must be one of 'codes', .*; got '{output}'"):
        tokenizer.transform(X)
    with pytest.raises(ValueError, match=f"output must be one of 'codes', .*; got '{output}'"):
        tokenizer.get_feature_names_out()


# ---------------------------------------------------------------------------- walks, end to end


def saw_teeth(n=60, length=64, seed=0):
    """Two classes that no time point tells apart: teeth that rise slowly or fall slowly."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    period, phase = rng.uniform(8, 16, (n, 1)), rng.uniform(0, 1, (n, 1))
    teeth = (np.arange(length) / period + phase) % 1 - 0.5
    noise = 0.05 * rng.standard_normal((n, length))
    return np.where(y[:, None] == 1, teeth, -teeth) + noise, y


WALK = {
    "n_codes": 16,
    "code_dim": 8,
    "backbone": ConvBackbone(width=16, n_blocks=2, n_decoder_blocks=1),
    "batch_size": 16,
    "random_state": 0,
    "lr": 5e-3,
}
WALKERS = [
    BandVQTokenizer(**WALK),
    HierarchicalVQTokenizer(**WALK),
    SSLVQTokenizer(**WALK),
    VQTokenizer(**WALK),
]


@cache
def fitted_to_sines(walker):
    return clone(walker).set_params(max_iter=200).fit(make_sines())


walks = pytest.mark.parametrize("walker", WALKERS, ids=lambda tokenizer: type(tokenizer).__name__)


@pytest.mark.slow
@walks
def test_codes_tell_classes_apart_that_time_points_do_not(walker):
    series, y = saw_teeth()
    raw = cross_val_score(make_pipeline(StandardScaler(), SVC()), series, y, cv=3).mean()
    tokenizer = clone(walker).set_params(max_iter=100)
    score = cross_val_score(make_pipeline(tokenizer, SVC()), series, y, cv=3).mean()
    assert raw < 0.7
    assert score > 0.9


@walks
def test_sines_survive_their_codes(walker):
    test = make_sines(seed=1)
    assert fitted_to_sines(walker).score(test) > 0.8
    untrained = clone(walker).set_params(max_iter=1).fit(make_sines())
    assert untrained.score(test) < 0.3


@walks
def test_training_lowers_the_loss(walker):
    loss = fitted_to_sines(walker).history_["loss"]
    assert min(loss[-3:]) < 0.5 * loss[0]


@pytest.mark.slow
@walks
@small  # two codes leave the views little to differ by
def test_more_codes_reconstruct_better(walker):
    train, test = make_sines(), make_sines(seed=1)
    tokenizer = clone(walker).set_params(max_iter=200)
    few, many = (clone(tokenizer).set_params(n_codes=n).fit(train).score(test) for n in (2, 32))
    assert 1 - many < 0.5 * (1 - few)


# ---------------------------------------------------------------------------- partial_fit


@small
def test_a_single_series_more_hardly_moves_the_readout(tokenizer):
    # Latents, since the codebook learns from a single series, whatever the learning rate.
    tokenizer.set_params(output="latent", lr=1e-12).fit(X)
    before = tokenizer.transform(X)
    after = tokenizer.partial_fit(X[:1]).transform(X)
    assert np.linalg.norm(after - before) < 0.2 * np.linalg.norm(before)


@small
@pytest.mark.parametrize("output", ["features", "latent"])
def test_the_readout_after_one_series_tells_others_apart(tokenizer, output):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        Z = tokenizer.set_params(output=output).fit(X[:1]).transform(X)
    assert len(np.unique(Z, axis=0)) > 1


@small
def test_partial_fit_goes_on_with_the_projector():
    tokenizer = ssl_tokenizer(lr=1e-12).fit(X)
    projector = tokenizer._task_weights
    assert any(name.startswith("projector") for name in projector)
    tokenizer.partial_fit(X)
    for name, value in tokenizer._task_weights.items():
        assert_allclose(value, projector[name], atol=1e-6)


@small
def test_a_partial_fit_on_one_series_keeps_the_projector():
    tokenizer = ssl_tokenizer().fit(X)
    projector = tokenizer._task_weights
    with pytest.warns(ConvergenceWarning, match="only one"):
        tokenizer.partial_fit(X[:1])
    assert list(tokenizer._task_weights) == list(projector)
    for name, value in tokenizer._task_weights.items():
        assert_array_equal(value, projector[name])


@small
def test_partial_fit_refuses_other_augmentations():
    tokenizer = ssl_tokenizer(augmentations="noise").fit(X).set_params(augmentations="slope")
    with pytest.raises(ValueError, match="augmentations must stay 'noise' between calls"):
        tokenizer.partial_fit(X)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_merged_moments_are_those_of_the_whole(n, m, seed):
    values = np.random.default_rng(seed).normal(size=(n + m, 3)) + 5
    halves = [(len(part), part.mean(0), part.var(0)) for part in (values[:n], values[n:])]
    count, mean, variance = merge(*halves)
    assert count == n + m
    assert_allclose(mean, values.mean(0))
    assert_allclose(variance, values.var(0), rtol=1e-9, atol=1e-12)


def test_columns_are_constant_beside_others_of_their_unit():
    # Pools, two products of large latents, the frequency of a rare code.
    mean, products = np.zeros(4), slice(1, 3)
    variance = np.array([1.0, 1e13, 1e-7, 1e-6])
    assert_array_equal(_is_constant(mean, variance, products), [False, False, True, False])
    variance[3] = 1e-13
    assert_array_equal(_is_constant(mean, variance, products), [False, False, True, True])


def test_columns_are_constant_beside_their_mean():
    # Of 3,000 a deviation of .0003 is rounding in float32, of a million one of .1.
    variance, products = np.array([1.0, 9e-8, 1e-2, 100.0]), slice(2, 4)
    mean = np.array([0.0, 3e3, 1e6, 1e4])
    assert_array_equal(_is_constant(mean, variance, products), [False, True, True, False])


def test_columns_of_series_that_are_all_alike_are_constant():
    # Rounding is all that deviates, also in the columns whose mean is next to nothing.
    variance, products = np.array([1e-14, 4e-15, 1e-14, 1e-15]), slice(2, 4)
    mean = np.array([1.0, 1e-9, 2.0, 1e-8])
    assert _is_constant(mean, variance, products).all()


@pytest.mark.parametrize("seed", range(5))
def test_features_of_series_that_are_all_alike_are_zero(tokenizer, seed):
    series = np.repeat(make_series(1, 31, seed=seed), 7, axis=0)
    backbone = ConvBackbone(width=5, n_blocks=1, n_decoder_blocks=1)
    tokenizer.set_params(backbone=backbone, code_dim=5, n_codes=2, random_state=seed).fit(series)
    codes = tokenizer.encode(series)
    assert (codes == codes[0]).all()
    assert np.abs(tokenizer.transform(series)).max() < 1e-4
