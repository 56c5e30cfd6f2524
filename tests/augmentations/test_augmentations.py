"""Augmentations: properties over the registry, then the facts that make each what it is."""

import inspect
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline
from sklearn.base import clone
from torch import Tensor

import vqssl.augmentations
from vqssl._parts import resolve
from vqssl._seed import make_generator
from vqssl.augmentations import (
    AUGMENTATIONS,
    AmplitudeScale,
    Augmentation,
    BandMask,
    Compose,
    GaussianNoise,
    MagnitudeWarp,
    PhaseNoise,
    RandomCrop,
    SliceAndShuffle,
    Slope,
    SpectralMask,
    TimeShift,
    WindowWarp,
)
from vqssl.augmentations._spectrum import random_run
from vqssl.augmentations._time import interpolate

# What the amplitude family draws per channel, the others draw per series.
PER_CHANNEL = {"amplitude", "magnitude_warp", "noise", "slope"}
# Those of images only are tested in tests/test_images.py.
OF_SERIES = {name for name, cls in AUGMENTATIONS.items() if "series" in cls.takes}
PER_SERIES = sorted(OF_SERIES - PER_CHANNEL)

shapes = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 45))
seeds = st.integers(0, 2**31 - 1)
every_augmentation = pytest.mark.parametrize("name", sorted(OF_SERIES))


def make_batch(shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=make_generator(seed), dtype=dtype)


def view_of(augmentation: Augmentation, x: Tensor, seed: int = 0) -> Tensor:
    return augmentation(x, make_generator(seed))


def make_line(n_series: int, length: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Series that hold their own time points, (n_series, 1, length)."""
    return torch.arange(length, dtype=dtype).repeat(n_series, 1, 1)


# ---------------------------------------------------------------- properties of all


@every_augmentation
@given(shape=shapes, seed=seeds, scale=st.sampled_from([0.0, 1.0, 1e4]))
def test_a_view_is_a_finite_batch_like_its_input(name, shape, seed, scale):
    x = make_batch(shape, seed) * scale
    view = view_of(AUGMENTATIONS[name](), x, seed)
    assert view.shape == x.shape
    assert view.dtype == torch.float32
    assert view.isfinite().all()


@every_augmentation
@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_shortest_series_have_views(name, length):
    x = make_batch((4, 2, length))
    view = view_of(AUGMENTATIONS[name](), x)
    assert view.shape == x.shape
    assert view.isfinite().all()


@every_augmentation
@given(shape=shapes, seed=seeds)
def test_the_input_is_not_changed(name, shape, seed):
    x = make_batch(shape, seed)
    before = x.clone()
    view = view_of(AUGMENTATIONS[name](), x, seed)
    assert torch.equal(x, before)
    view.add_(1.0)
    assert torch.equal(x, before)


@every_augmentation
@given(shape=shapes, seed=seeds)
def test_the_generator_decides_the_view(name, shape, seed):
    augmentation = AUGMENTATIONS[name]()
    x = make_batch(shape, seed)
    assert torch.equal(view_of(augmentation, x, seed), view_of(augmentation, x, seed))


@every_augmentation
def test_the_global_generator_stays_as_it_was(name):
    before = torch.get_rng_state()
    view_of(AUGMENTATIONS[name](), make_batch((3, 2, 50)))
    assert torch.equal(torch.get_rng_state(), before)


@every_augmentation
def test_every_series_gets_a_draw_of_its_own(name):
    x = make_batch((1, 1, 128)).repeat(64, 1, 1)
    view = view_of(AUGMENTATIONS[name](), x)
    # The fewest outcomes has a shift: 27, of which 64 draws meet 24.6 on average.
    assert len(view.flatten(1).unique(dim=0)) >= 16


@every_augmentation
def test_every_call_draws_anew(name):
    augmentation, generator = AUGMENTATIONS[name](), make_generator(0)
    x = make_batch((8, 1, 128))
    assert not torch.equal(augmentation(x, generator), augmentation(x, generator))


@every_augmentation
def test_series_do_not_mix(name):
    x = make_batch((4, 2, 33))
    other = x.clone()
    other[0] = make_batch((2, 33), seed=1)
    view, other_view = (view_of(AUGMENTATIONS[name](), batch) for batch in (x, other))
    torch.testing.assert_close(view[1:], other_view[1:], rtol=0, atol=1e-6)
    assert not torch.allclose(view[0], other_view[0])


@pytest.mark.parametrize("name", PER_SERIES)
def test_channels_stay_aligned(name):
    x = make_batch((6, 1, 61)).repeat(1, 3, 1)
    view = view_of(AUGMENTATIONS[name](), x)
    torch.testing.assert_close(view[:, 1:], view[:, :1].expand(-1, 2, -1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(PER_CHANNEL))
def test_values_are_drawn_per_channel(name):
    x = make_batch((6, 1, 61)).repeat(1, 2, 1)
    first, second = view_of(AUGMENTATIONS[name](), x).unbind(1)
    assert (first - second).abs().amax(1).min() > 1e-4


@every_augmentation
def test_the_memory_layout_does_not_matter(name):
    x = make_batch((5, 40, 3)).transpose(1, 2)
    view, other = (view_of(AUGMENTATIONS[name](), batch) for batch in (x, x.contiguous()))
    torch.testing.assert_close(view, other, rtol=0, atol=1e-6)


@every_augmentation
def test_double_precision_is_kept(name):
    x = make_batch((3, 2, 20), dtype=torch.float64)
    assert view_of(AUGMENTATIONS[name](), x).dtype == torch.float64


@every_augmentation
@pytest.mark.parametrize("length", [1, 2, 101])
def test_no_value_of_the_batch_is_read(name, length):
    # A tensor without values refuses what would make a GPU wait: item, cpu, masks as index.
    x = torch.empty(3, 2, length, device="meta")
    view = view_of(AUGMENTATIONS[name](), x)
    assert view.shape == x.shape
    assert view.device.type == "meta"


@every_augmentation
def test_views_made_in_inference_mode_leave_gradients_possible(name):
    augmentation = AUGMENTATIONS[name]()
    length = 211  # used nowhere else: nothing may have been prepared for it
    with torch.inference_mode():
        view_of(augmentation, make_batch((2, 1, length)))
    x = make_batch((2, 1, length)).requires_grad_()
    view_of(augmentation, x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.gpu
@every_augmentation
def test_views_on_the_device_are_those_on_the_cpu(name):
    x = make_batch((8, 2, 101))
    on_device = view_of(AUGMENTATIONS[name](), x.cuda())
    assert on_device.is_cuda
    torch.testing.assert_close(
        on_device.cpu(), view_of(AUGMENTATIONS[name](), x), rtol=1e-4, atol=1e-4
    )


@pytest.mark.gpu
@every_augmentation
def test_the_host_does_not_wait_for_the_device(name):
    augmentation, generator = AUGMENTATIONS[name](), make_generator(0, "cuda")
    x = make_batch((8, 2, 101)).cuda()
    augmentation(x, generator)  # what is prepared once per length may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        augmentation(x, generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ---------------------------------------------------------------- parts


def test_everything_public_is_listed():
    public = {
        value
        for value in vars(vqssl.augmentations).values()
        if inspect.isclass(value) and issubclass(value, Augmentation)
    }
    assert set(AUGMENTATIONS.values()) == public - {Augmentation, Compose}
    assert vqssl.augmentations.__all__ == sorted(vqssl.augmentations.__all__)
    assert {cls.__name__ for cls in public} | {"AUGMENTATIONS"} == set(vqssl.augmentations.__all__)


@every_augmentation
def test_a_name_stands_for_the_part_with_its_defaults(name):
    part = resolve(name, "augmentations", Augmentation, AUGMENTATIONS)
    assert type(part) is AUGMENTATIONS[name]
    part.check()


@every_augmentation
def test_parts_can_be_copied(name):
    changed = {
        key: value + 1 if isinstance(value, int) else value / 2
        for key, value in AUGMENTATIONS[name]().get_params().items()
    }
    changed = {key: 18 if key == "n_fft" else value for key, value in changed.items()}
    part = AUGMENTATIONS[name]().set_params(**changed)
    x = make_batch((3, 2, 40))
    for copy in (clone(part), pickle.loads(pickle.dumps(part))):
        assert copy is not part
        assert copy.get_params() == changed
        assert torch.equal(view_of(copy, x), view_of(part, x))


@every_augmentation
def test_a_call_changes_no_hyperparameter(name):
    part = AUGMENTATIONS[name]()
    before = dict(vars(part))
    view_of(part, make_batch((3, 2, 40)))
    assert vars(part) == before


@pytest.mark.parametrize(
    ("part", "error", "message"),
    [
        (GaussianNoise(sd=-0.1), ValueError, r"sd must be a finite number of at least 0; got -0.1"),
        (GaussianNoise(sd="large"), TypeError, r"sd must be .*; got 'large'"),
        (AmplitudeScale(sd=math.inf), ValueError, r"sd must be a finite number .*; got inf"),
        (Slope(sd=math.nan), ValueError, r"sd must be a finite number .*; got nan"),
        (MagnitudeWarp(n_knots=0), ValueError, r"n_knots must be .* at least 1; got 0"),
        (MagnitudeWarp(n_knots=2.0), TypeError, r"n_knots must be an integer .*; got 2.0"),
        (MagnitudeWarp(sd=-1), ValueError, r"sd must be .*; got -1"),
        (SliceAndShuffle(n_segments=0), ValueError, r"n_segments must be .*; got 0"),
        (SliceAndShuffle(n_segments=True), TypeError, r"n_segments must be .*; got True"),
        (WindowWarp(window=1.1), ValueError, r"window must be a number in \[0, 1\]; got 1.1"),
        (WindowWarp(low=0.0), ValueError, r"low must be a finite number above 0; got 0.0"),
        (WindowWarp(high=math.inf), ValueError, r"high must be a finite number above 0; got inf"),
        (
            WindowWarp(low=2.0, high=1.5),
            ValueError,
            r"low must be at most high; got low=2.0 and high=1.5",
        ),
        (RandomCrop(low=0), ValueError, r"low must be a finite number above 0; got 0"),
        (RandomCrop(high=1.5), ValueError, r"high must be a number in \[0, 1\]; got 1.5"),
        (RandomCrop(low=0.9, high=0.8), ValueError, r"low must be at most high; got low=0.9"),
        (TimeShift(max_shift=-0.5), ValueError, r"max_shift must be .*; got -0.5"),
        (TimeShift(max_shift=None), TypeError, r"max_shift must be .*; got None"),
        (SpectralMask(time=2.0), ValueError, r"time must be a number in \[0, 1\]; got 2.0"),
        (SpectralMask(frequency=-1.0), ValueError, r"frequency must be .*; got -1.0"),
        (SpectralMask(n_fft=15), ValueError, r"n_fft must be even; got 15"),
        (SpectralMask(n_fft=0), ValueError, r"n_fft must be .* at least 2; got 0"),
        (BandMask(width=1.01), ValueError, r"width must be a number in \[0, 1\]; got 1.01"),
        (PhaseNoise(max_angle=3.2), ValueError, r"max_angle must be at most pi; got 3.2"),
        (PhaseNoise(max_angle=-1.0), ValueError, r"max_angle must be .* at least 0; got -1.0"),
        (Compose(()), ValueError, r"augmentations must hold at least one augmentation; got none"),
        (Compose(Slope()), TypeError, r"augmentations must be a tuple of .*; got Slope\(\)"),
        (
            Compose((Slope(), "noise")),
            TypeError,
            r"augmentations\[1\] must be an Augmentation.*; got 'noise'",
        ),
        (Compose([Slope(sd=-2.0)]), ValueError, r"sd must be .*; got -2.0"),
    ],
)
def test_a_hyperparameter_out_of_range_is_refused(part, error, message):
    with pytest.raises(error, match=message):
        part.check()


# ---------------------------------------------------------------- amplitude


@pytest.mark.statistical
def test_noise_has_the_stated_deviation():
    x = make_batch((64, 2, 500))
    noise = view_of(GaussianNoise(sd=0.3), x, seed=1) - x
    # 64,000 draws: five standard errors are .0059 for the mean and .0042 for the deviation.
    assert abs(noise.mean().item()) < 0.006
    assert noise.std().item() == pytest.approx(0.3, abs=0.0042)


@pytest.mark.statistical
def test_noise_is_white():
    noise = view_of(GaussianNoise(sd=1.0), torch.zeros(64, 2, 500))
    neighbours = (noise[..., 1:] * noise[..., :-1]).mean().item()
    channels = (noise[:, 0] * noise[:, 1]).mean().item()
    assert abs(neighbours) < 5 / math.sqrt(64 * 2 * 499)
    assert abs(channels) < 5 / math.sqrt(64 * 500)


def test_scaling_keeps_the_shape_up_to_a_factor():
    x = make_batch((50, 2, 30))
    view = view_of(AmplitudeScale(), x)
    factor = (view * x).sum(2, keepdim=True) / x.square().sum(2, keepdim=True)
    torch.testing.assert_close(view, factor * x)


@pytest.mark.statistical
def test_scaling_factors_have_the_stated_deviation():
    factor = view_of(AmplitudeScale(sd=0.4), torch.ones(5000, 2, 1))
    assert factor.mean().item() == pytest.approx(1.0, abs=5 * 0.4 / math.sqrt(10_000))
    assert factor.std().item() == pytest.approx(0.4, abs=5 * 0.4 / math.sqrt(20_000))


@pytest.mark.parametrize("length", [2, 3, 40])
def test_a_slope_is_a_straight_line_that_keeps_the_mean(length):
    x = make_batch((20, 2, length), dtype=torch.float64)
    line = view_of(Slope(sd=3.0), x) - x
    steps = line.diff(dim=2)
    torch.testing.assert_close(steps, steps[..., :1].expand_as(steps), rtol=0, atol=1e-12)
    torch.testing.assert_close(line.mean(2), torch.zeros(20, 2).double(), rtol=0, atol=1e-12)
    assert steps.abs().min() > 0


@pytest.mark.statistical
@pytest.mark.parametrize("length", [2, 75])
def test_a_slope_rises_by_the_stated_deviation(length):
    view = view_of(Slope(sd=0.7), torch.zeros(5000, 2, length))
    rise = view[..., -1] - view[..., 0]
    assert rise.mean().item() == pytest.approx(0.0, abs=5 * 0.7 / math.sqrt(10_000))
    assert rise.std().item() == pytest.approx(0.7, abs=5 * 0.7 / math.sqrt(20_000))


def test_a_series_of_one_point_has_no_slope():
    x = make_batch((5, 2, 1))
    assert torch.equal(view_of(Slope(), x), x)


@pytest.mark.parametrize("length", [1, 2, 3, 50])
@pytest.mark.parametrize("augmentation", [GaussianNoise, AmplitudeScale, Slope, MagnitudeWarp])
def test_no_deviation_means_no_change(augmentation, length):
    x = make_batch((5, 2, length))
    assert torch.equal(view_of(augmentation(sd=0.0), x), x)


@pytest.mark.parametrize("n_knots", [1, 2, 4, 9])
def test_magnitude_warp_is_the_cubic_spline_through_its_knots(n_knots):
    spacing = 7
    length = (n_knots + 1) * spacing + 1
    x = torch.ones(10, 2, length, dtype=torch.float64)
    curve = view_of(MagnitudeWarp(n_knots=n_knots), x).numpy()
    times = np.arange(length)
    expected = CubicSpline(times[::spacing], curve[..., ::spacing], axis=2)(times)
    np.testing.assert_allclose(curve, expected, rtol=0, atol=1e-12)


def test_magnitude_warp_multiplies_by_its_curve():
    x = make_batch((10, 2, 50), seed=3)
    curve = view_of(MagnitudeWarp(), torch.ones_like(x))
    torch.testing.assert_close(view_of(MagnitudeWarp(), x), x * curve)


@pytest.mark.statistical
@pytest.mark.parametrize("length", [1, 2, 16])
def test_knots_of_a_magnitude_warp_have_the_stated_deviation(length):
    curve = view_of(MagnitudeWarp(sd=0.3), torch.ones(5000, 2, length))
    ends = curve[..., [0, -1]]  # knots at every length
    error = 5 * 0.3 / math.sqrt(10_000)
    for knot in ends.unbind(2):
        assert knot.mean().item() == pytest.approx(1.0, abs=error)
        assert knot.std().item() == pytest.approx(0.3, abs=error)


# ---------------------------------------------------------------- time


@given(
    n_series=st.integers(1, 6),
    length=st.integers(1, 60),
    n_segments=st.integers(1, 8),
    seed=seeds,
)
def test_shuffling_moves_whole_segments(n_series, length, n_segments, seed):
    x = make_line(n_series, length)
    view = view_of(SliceAndShuffle(n_segments=n_segments), x, seed)
    assert torch.equal(view.sort(dim=2).values, x)
    breaks = (view.diff(dim=2) != 1).sum(2)
    assert breaks.max() <= n_segments - 1


@given(length=st.integers(1, 30), seed=seeds)
def test_shuffling_one_segment_changes_nothing(length, seed):
    x = make_batch((3, 2, length), seed)
    assert torch.equal(view_of(SliceAndShuffle(n_segments=1), x, seed), x)


@pytest.mark.statistical
def test_no_segment_is_empty():
    view = view_of(SliceAndShuffle(n_segments=4), make_line(2000, 9))
    breaks = (view.diff(dim=2) != 1).sum(2)
    # Three breaks need four segments of which no two neighbours stayed together: 11 of
    # the 24 orders. An empty segment could leave two breaks at most.
    share = (breaks == 3).double().mean().item()
    assert share == pytest.approx(11 / 24, abs=5 * math.sqrt(11 / 24 * 13 / 24 / 2000))


@pytest.mark.statistical
def test_all_orders_are_equally_likely():
    n_series = 6000
    view = view_of(SliceAndShuffle(n_segments=3), make_line(n_series, 3))
    orders, counts = view.flatten(1).unique(dim=0, return_counts=True)
    assert len(orders) == 6
    # Five standard errors of a binomial count.
    assert (counts - n_series / 6).abs().max() < 5 * math.sqrt(n_series * 5 / 36)


def test_cuts_fall_at_every_place():
    view = view_of(SliceAndShuffle(n_segments=2), make_line(500, 8))
    first = view[:, 0, 0].unique().tolist()
    # A cut at k puts point k first where the two segments change places.
    assert first == [0, 1, 2, 3, 4, 5, 6, 7]


@given(
    seed=seeds,
    length=st.integers(2, 60),
    window=st.floats(0, 1),
    bounds=st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)),
)
def test_a_warped_line_rises_from_end_to_end(seed, length, window, bounds):
    x = make_line(5, length)
    view = view_of(WindowWarp(window, min(bounds), max(bounds)), x, seed)
    assert view.diff(dim=2).min() > 0
    torch.testing.assert_close(view[..., [0, -1]], x[..., [0, -1]], rtol=0, atol=1e-9)


@given(seed=seeds, length=st.integers(1, 60), window=st.floats(0, 1))
def test_a_warp_by_one_is_the_identity(seed, length, window):
    x = make_batch((3, 2, length), seed)
    assert torch.equal(view_of(WindowWarp(window, low=1.0, high=1.0), x, seed), x)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_warp_stretches_its_window_by_the_factor(factor):
    length, window = 201, 0.4
    view = view_of(WindowWarp(window, low=factor, high=factor), make_line(50, length))
    steps = view.diff(dim=2)
    outside = 1 + window * (factor - 1)  # the whole series is that much longer
    is_outside = (steps - outside).abs() < 1e-9
    is_inside = (steps - outside / factor).abs() < 1e-9
    # At both ends of the window a step may lie partly inside.
    assert (~is_outside & ~is_inside).sum(2).max() <= 2
    share = is_inside.double().mean(2)
    torch.testing.assert_close(
        share, torch.full_like(share, window * factor / outside), rtol=0, atol=2 / (length - 1)
    )
    # One window, not several: its steps are neighbours.
    assert (is_inside.int().diff(dim=2, prepend=torch.zeros(50, 1, 1)) > 0).sum(2).max() == 1


def test_a_window_that_is_the_whole_series_changes_nothing():
    x = make_line(20, 50)
    torch.testing.assert_close(view_of(WindowWarp(window=1.0), x), x, rtol=0, atol=1e-9)


@pytest.mark.statistical
def test_warps_fill_their_ranges():
    length, window, low, high = 401, 0.4, 0.5, 1.5
    steps = view_of(WindowWarp(window, low, high), make_line(2000, length)).diff(dim=2)[:, 0]
    # Where both ends lie outside of the window their steps are equal, and all of the
    # series that is not warped advances by 1 + window (factor - 1).
    steps = steps[(steps[:, 0] - steps[:, -1]).abs() < 1e-9]
    assert len(steps) > 1900
    factor = 1 + (steps[:, 0] - 1) / window
    n_before = ((steps - steps[:, :1]).abs() > 1e-9).int().argmax(1)
    place = n_before * steps[:, 0] / (length - 1) / (1 - window)
    for values, least, most in ((factor, low, high), (place, 0.0, 1.0)):
        width = most - least
        assert values.min() < least + 0.01 * width
        assert values.max() > most - 0.01 * width
        error = 5 * width / math.sqrt(12 * 1900)
        assert values.mean().item() == pytest.approx((least + most) / 2, abs=error)


@given(
    seed=seeds, length=st.integers(2, 60), bounds=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1))
)
def test_a_crop_is_a_straight_part_of_a_line(seed, length, bounds):
    low, high = sorted(bounds)
    view = view_of(RandomCrop(low, high), make_line(5, length), seed)
    steps = view.diff(dim=2)
    torch.testing.assert_close(steps, steps[..., :1].expand_as(steps), rtol=0, atol=1e-9)
    rounding = torch.finfo(torch.float32).eps  # random numbers are in single precision
    assert steps.min() >= low - rounding
    assert steps.max() <= high + rounding
    assert view.min() >= 0
    assert view.max() <= length - 1


@given(seed=seeds, length=st.integers(1, 60))
def test_a_crop_of_everything_is_the_identity(seed, length):
    x = make_batch((3, 2, length), seed)
    assert torch.equal(view_of(RandomCrop(low=1.0, high=1.0), x, seed), x)


@pytest.mark.statistical
def test_crops_fill_their_ranges():
    length = 51
    view = view_of(RandomCrop(low=0.6, high=0.9), make_line(2000, length))
    share = (view[:, 0, -1] - view[:, 0, 0]) / (length - 1)
    place = view[:, 0, 0] / (1 - share) / (length - 1)
    for values, low, high in ((share, 0.6, 0.9), (place, 0.0, 1.0)):
        width = high - low
        assert values.min() < low + 0.01 * width
        assert values.max() > high - 0.01 * width
        error = 5 * width / math.sqrt(12 * 2000)
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=error)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 20])
def test_a_shift_rolls_the_series_by_every_allowed_number_of_points(length):
    max_shift = 0.2
    most = round(max_shift * length)
    x = make_batch((200, 2, length))
    view = view_of(TimeShift(max_shift=max_shift), x)
    met = set()
    for before, after in zip(x, view, strict=True):
        shifts = [
            shift
            for shift in range(-most, most + 1)
            if torch.equal(after, before.roll(shift, dims=1))
        ]
        assert len(shifts) == 1
        met.update(shifts)
    assert met == set(range(-most, most + 1))


@given(seed=seeds, length=st.integers(1, 40))
def test_interpolation_is_that_of_numpy(seed, length):
    x = make_batch((2, 3, length), seed, torch.float64)
    position = torch.rand(2, length, generator=make_generator(seed)).double() * (length - 1)
    position[0, 0] = length - 1
    values = interpolate(x, position)
    for series, channel in itertools.product(range(2), range(3)):
        expected = np.interp(position[series], np.arange(length), x[series, channel])
        np.testing.assert_allclose(values[series, channel], expected, rtol=0, atol=1e-12)


# ---------------------------------------------------------------- spectrum


@given(seed=seeds, n_series=st.integers(1, 6), length=st.integers(1, 60), width=st.floats(0, 1))
def test_a_band_mask_removes_one_band_and_nothing_else(seed, n_series, length, width):
    x = make_batch((n_series, 2, length), seed, torch.float64)
    before, after = torch.fft.rfft(x), torch.fft.rfft(view_of(BandMask(width), x, seed))
    removed = (after.abs() < 1e-9) & (before.abs() > 1e-6)
    torch.testing.assert_close(after, before.masked_fill(removed, 0), rtol=0, atol=1e-9)
    n_removed = round(width * (length // 2))
    assert (removed.sum(2) == n_removed).all()
    assert not removed[..., 0].any()
    starts = removed.int().diff(dim=2) > 0
    assert (starts.sum(2) == min(n_removed, 1)).all()


def test_a_band_falls_at_every_place():
    x = make_batch((1, 1, 21), dtype=torch.float64).repeat(300, 1, 1)
    after = torch.fft.rfft(view_of(BandMask(width=0.3), x)).abs()
    first = (after < 1e-9).int().argmax(2)
    assert first.unique().tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


@given(
    seed=seeds,
    n_series=st.integers(1, 6),
    length=st.integers(1, 60),
    max_angle=st.floats(0, math.pi),
)
def test_phase_noise_keeps_the_amplitudes_and_bounds_the_angles(seed, n_series, length, max_angle):
    x = make_batch((n_series, 2, length), seed, torch.float64)
    before = torch.fft.rfft(x)
    after = torch.fft.rfft(view_of(PhaseNoise(max_angle), x, seed))
    torch.testing.assert_close(after.abs(), before.abs(), rtol=0, atol=1e-9)
    cosine = (after * before.conj()).real / before.abs().square()
    assert cosine.min() > math.cos(max_angle) - 1e-6
    real = [0, -1] if length % 2 == 0 else [0]
    torch.testing.assert_close(after[..., real], before[..., real], rtol=0, atol=1e-9)


@pytest.mark.statistical
def test_phase_angles_are_uniform():
    x = make_batch((1, 1, 21), dtype=torch.float64).repeat(3000, 1, 1)
    turned = torch.fft.rfft(view_of(PhaseNoise(max_angle=1.5), x)) / torch.fft.rfft(x)
    angle = turned[..., 1:].angle() / 1.5  # (3000, 1, 10), uniform on [-1, 1]
    assert angle.mean().item() == pytest.approx(0.0, abs=5 / math.sqrt(3 * 30_000))
    # The square of a uniform number has mean 1/3 and variance 4/45.
    error = 5 * math.sqrt(4 / 45 / 30_000)
    assert angle.square().mean().item() == pytest.approx(1 / 3, abs=error)


@pytest.mark.statistical
def test_frequencies_are_turned_independently():
    x = make_batch((1, 1, 21), dtype=torch.float64).repeat(3000, 1, 1)
    turned = torch.fft.rfft(view_of(PhaseNoise(max_angle=1.5), x)) / torch.fft.rfft(x)
    correlation = torch.corrcoef(turned[:, 0, 1:].angle().T) - torch.eye(10)
    assert correlation.abs().max() < 5 / math.sqrt(3000)


@pytest.mark.parametrize("length", [1, 2, 3, 8, 15, 16, 17, 100])
@pytest.mark.parametrize("n_fft", [2, 6, 16])
def test_a_spectrum_without_mask_gives_the_series_back(length, n_fft):
    x = make_batch((3, 2, length), dtype=torch.float64)
    view = view_of(SpectralMask(time=0.0, frequency=0.0, n_fft=n_fft), x)
    torch.testing.assert_close(view, x, rtol=0, atol=1e-12)


def masked_series(x: np.ndarray, n_fft: int, frames: range, bins: range) -> np.ndarray:
    """A series (L,) without some frames and bins of its spectrum, frame by frame."""
    half = n_fft // 2
    window = np.sin(np.pi * (np.arange(n_fft) + 0.5) / n_fft)
    result = np.zeros(len(x))
    for frame in range(math.ceil(len(x) / half) + 1):
        start = (frame - 1) * half
        times = [time for time in range(start, start + n_fft) if 0 <= time < len(x)]
        values = np.zeros(n_fft)
        for time in times:
            values[time - start] = x[time] * window[time - start]
        spectrum = np.fft.rfft(values)
        for k in bins:
            spectrum[k] = 0
        if frame in frames:
            spectrum[:] = 0
        values = np.fft.irfft(spectrum, n=n_fft) * window
        for time in times:
            result[time] += values[time - start]
    return result


@pytest.mark.parametrize("length", [1, 10, 12])
def test_a_spectral_mask_removes_one_run_of_frames_and_one_of_frequencies(length):
    n_fft = 6
    n_frames, n_bins = math.ceil(length / 3) + 1, 4
    x = make_batch((1, 1, length), dtype=torch.float64)
    view = view_of(SpectralMask(time=0.5, frequency=0.5, n_fft=n_fft), x.repeat(1500, 1, 1))

    def runs(n_places: int) -> list[range]:
        return [range(0)] + [
            range(start, start + width)
            for width in range(1, round(0.5 * n_places) + 1)
            for start in range(n_places - width + 1)
        ]

    masks = list(itertools.product(runs(n_frames), runs(n_bins)))
    candidates = torch.tensor(
        np.stack([masked_series(x[0, 0].numpy(), n_fft, *mask) for mask in masks])
    )
    # Not by the expansion of the square, which leaves an error of 1e-8.
    exact = "donot_use_mm_for_euclid_dist"
    distance = torch.cdist(view[:, 0], candidates, compute_mode=exact)  # (1500, n_masks)
    assert distance.min(1).values.max() < 1e-10
    # The rarest mask is met too: no place, no width and no pair is left out.
    assert distance.min(0).values.max() < 1e-10


def test_what_lies_outside_of_masked_frames_is_kept():
    x = make_batch((300, 1, 100))
    view = view_of(SpectralMask(time=0.2, frequency=0.0, n_fft=16), x)
    changed = (view - x).abs() > 1e-5
    # Of 14 frames at most 3 are masked; they reach over 4 blocks of 8 points.
    assert changed.sum(2).max() <= 32
    assert (view.abs() < 1e-6).sum(2).max() == 16


@given(seed=seeds, n=st.integers(0, 12), data=st.data())
def test_a_random_run_has_the_wanted_length(seed, n, data):
    wanted = data.draw(st.lists(st.integers(0, n), min_size=1, max_size=5))
    n_chosen = torch.tensor(wanted).unsqueeze(1)
    chosen = random_run(n, n_chosen, make_generator(seed), torch.zeros(()))
    assert chosen.shape == (len(wanted), n)
    assert chosen.sum(1).tolist() == wanted
    starts = chosen.int().diff(dim=1, prepend=torch.zeros(len(wanted), 1, dtype=torch.int32)) > 0
    assert starts.sum(1).tolist() == [min(width, 1) for width in wanted]


# ---------------------------------------------------------------- composition


@every_augmentation
def test_a_composition_of_one_equals_that_one(name):
    part = AUGMENTATIONS[name]()
    x = make_batch((4, 2, 30))
    assert torch.equal(view_of(Compose((part,)), x, seed=5), view_of(part, x, seed=5))


def test_a_composition_applies_its_elements_in_order():
    x = make_batch((4, 2, 30))
    generator = make_generator(7)
    expected = Slope()(SliceAndShuffle()(x, generator), generator)
    assert torch.equal(view_of(Compose((SliceAndShuffle(), Slope())), x, seed=7), expected)
    assert not torch.equal(view_of(Compose((Slope(), SliceAndShuffle())), x, seed=7), expected)


def test_a_composition_may_hold_a_composition():
    x = make_batch((4, 2, 30))
    flat = Compose((Slope(), GaussianNoise(), RandomCrop()))
    nested = Compose((Slope(), Compose((GaussianNoise(), RandomCrop()))))
    assert torch.equal(view_of(flat, x), view_of(nested, x))
    assert nested.get_params()["1__0__sd"] == 0.05


def test_a_clone_of_a_composition_has_elements_of_its_own():
    original = Compose((Slope(sd=0.7), GaussianNoise(sd=0.1)))
    copy = clone(original)
    copy.set_params(**{"0__sd": 9.0})
    assert original.get_params()["0__sd"] == 0.7
    assert copy.get_params()["0__sd"] == 9.0
    assert copy.get_params()["1__sd"] == 0.1


def test_elements_of_a_composition_are_parameters():
    slope, noise = Slope(sd=0.7), GaussianNoise(sd=0.1)
    part = Compose((slope, noise))
    assert part.get_params(deep=False) == {"augmentations": (slope, noise)}
    assert part.get_params() == {
        "augmentations": (slope, noise),
        "0": slope,
        "0__sd": 0.7,
        "1": noise,
        "1__sd": 0.1,
    }
    crop = RandomCrop()
    assert part.set_params(**{"1": crop, "1__low": 0.3, "0__sd": 0.2}) is part
    assert part.augmentations == (slope, crop)
    assert (crop.low, slope.sd) == (0.3, 0.2)
    part.set_params(augmentations=(noise, slope), **{"1__sd": 0.4})
    assert part.augmentations == (noise, slope)
    assert slope.sd == 0.4


@pytest.mark.parametrize("key", ["2", "2__sd", "0__low", "parts"])
def test_a_composition_has_no_other_parameters(key):
    with pytest.raises(ValueError, match="Invalid parameter"):
        Compose((Slope(), GaussianNoise())).set_params(**{key: 1.0})


def test_a_composition_checks_its_elements():
    Compose([Slope(), Compose((BandMask(),))]).check()
    with pytest.raises(ValueError, match=r"width must be .*; got 2.0"):
        Compose((Slope(), Compose((BandMask(width=2.0),)))).check()
