"""Joint-embedding losses: equations, floors, invariances and a contract over the registry."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.linalg import hadamard, helmert
from sklearn.base import clone
from torch import Tensor

import vqssl.losses
from tests import reference
from vqssl._parts import resolve
from vqssl._seed import initialise, make_generator, materialise
from vqssl.losses import LOSSES, BarlowTwins, InfoNCE, SSLLoss, VIbCReg, VICReg
from vqssl.losses._barlow_twins import cross_correlation
from vqssl.losses._vibcreg import IterNorm, correlation, whiten
from vqssl.losses._vicreg import covariance, invariance, variance

Array = NDArray[np.float64]
Views = tuple[Array, Array]

every_loss = pytest.mark.parametrize("name", sorted(LOSSES))


@st.composite
def views(draw: st.DrawFn, wide: bool = False) -> Views:
    """Two views (B, P): free, equal, or with constant features; P > B - 1 if `wide`."""
    n_rows = draw(st.integers(2, 6))
    n_features = draw(st.integers(n_rows if wide else 1, 9))
    numbers = st.floats(-8, 8, width=32)
    first = draw(hnp.arrays(np.float64, (n_rows, n_features), elements=numbers))
    second = draw(hnp.arrays(np.float64, (n_rows, n_features), elements=numbers))
    kind = draw(st.sampled_from(["free", "equal", "constant features"]))
    if kind == "equal":
        second = first.copy()
    elif kind == "constant features":
        constant = draw(hnp.arrays(np.bool_, n_features))
        first = np.where(constant, first[0], first)
        second = np.where(constant, second[0], second)
    return first, second


def normals(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def terms(loss: SSLLoss, pair: Views) -> dict[str, float]:
    found = loss.terms(torch.from_numpy(pair[0]), torch.from_numpy(pair[1]))
    return {name: float(term) for name, term in found.items()}


def total(loss: SSLLoss, pair: Views) -> float:
    return sum(terms(loss, pair).values())


def add(found: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(found.values())).sum()


def has_finite_gradient(z: Tensor) -> bool:
    return z.grad is not None and bool(torch.isfinite(z.grad).all())


def tight_frame(n_rows: int, n_features: int, spread: Array | float = 1.0) -> Array:
    """A (B, P) view with centred features of variance 1 and B - 1 equal singular values.

    `spread` multiplies the singular values. Of all views with P > B - 1 features of equal
    variance, those with equal singular values are the least correlated.
    """
    basis = helmert(n_rows).T  # (B, B - 1), orthonormal columns of mean 0
    signs = hadamard(n_features)[1:n_rows]  # (B - 1, P)
    return (basis * spread) @ signs


def barlow_floor(n_rows: int, n_features: int, redundancy: float) -> float:
    excess = redundancy * (n_features / (n_rows - 1) - 1)
    return excess / (1 + excess)


def barlow_optimum(n_rows: int, n_features: int, redundancy: float) -> Views:
    """Views whose cross-correlation is a multiple of a projection of rank B - 1 > 1.

    With singular values s of one view and c / s of the other, it is c times a projection;
    spreading s in pairs (high, c / high) around sqrt(c) makes the columns of both equally long.
    """
    rank = n_rows - 1
    agreement = 1 - barlow_floor(n_rows, n_features, redundancy)
    product = agreement * n_features / rank
    middle = [product] * (rank % 2)
    centre = (n_features - sum(middle)) / (rank - len(middle))
    high = centre + math.sqrt(centre**2 - product**2)
    squared = np.array([high, product**2 / high] * (rank // 2) + middle)
    # Far above the 1e-5 that is added to the variances.
    first = 1e3 * tight_frame(n_rows, n_features, np.sqrt(squared))
    second = 1e3 * tight_frame(n_rows, n_features, product / np.sqrt(squared))
    return first, second


# ---------------------------------------------------------------- equations


@given(views(), st.floats(0, 2))
def test_barlow_twins_follows_its_equation(pair: Views, redundancy: float) -> None:
    expected = reference.barlow_twins(*pair, redundancy)
    assert terms(BarlowTwins(redundancy), pair) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(views(), st.floats(0, 50), st.floats(0, 50), st.floats(0, 5))
def test_vicreg_follows_its_equation(pair: Views, s: float, v: float, c: float) -> None:
    expected = reference.vicreg(*pair, s, v, c)
    assert terms(VICReg(s, v, c), pair) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(views(), st.floats(0, 50), st.floats(0, 50), st.floats(0, 200))
def test_vibcreg_follows_its_equation(pair: Views, s: float, v: float, c: float) -> None:
    expected = reference.vibcreg(*pair, s, v, c)
    assert terms(VIbCReg(s, v, c), pair) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(views(), st.floats(0.05, 5))
def test_infonce_follows_its_equation(pair: Views, temperature: float) -> None:
    expected = reference.infonce(*pair, temperature)
    assert terms(InfoNCE(temperature), pair) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("cls", "defaults"),
    [
        (BarlowTwins, {"redundancy": 0.005}),
        (VICReg, {"invariance": 25.0, "variance": 25.0, "covariance": 1.0}),
        (VIbCReg, {"invariance": 25.0, "variance": 25.0, "covariance": 200.0}),
        (InfoNCE, {"temperature": 0.1}),
    ],
)
def test_default_hyperparameters_are_the_published_ones(
    cls: type[SSLLoss], defaults: dict[str, float]
) -> None:
    assert cls().get_params() == defaults


def test_vicreg_averages_the_variance_term_over_views_and_vibcreg_sums_it() -> None:
    collapsed, spread = np.zeros((4, 2)), np.array([[2.0], [-2.0], [2.0], [-2.0]]) * [1, -1]
    assert terms(VICReg(), (collapsed, spread))["variance"] == pytest.approx(25 * 0.99 / 2)
    assert terms(VIbCReg(), (collapsed, spread))["variance"] == pytest.approx(25 * 0.99)


# ---------------------------------------------------------------- floors: width follows batch


@given(views(wide=True), st.floats(0, 1))
def test_barlow_twins_stays_above_its_floor(pair: Views, redundancy: float) -> None:
    n_rows, n_features = pair[0].shape
    floor = barlow_floor(n_rows, n_features, redundancy)
    assert total(BarlowTwins(redundancy), pair) >= floor - 1e-12


@pytest.mark.parametrize(("n_rows", "n_features"), [(3, 4), (4, 8), (5, 16), (16, 64)])
@pytest.mark.parametrize("redundancy", [0.005, 0.08, 1.0])
def test_barlow_twins_reaches_its_floor(n_rows: int, n_features: int, redundancy: float) -> None:
    pair = barlow_optimum(n_rows, n_features, redundancy)
    floor = barlow_floor(n_rows, n_features, redundancy)
    assert total(BarlowTwins(redundancy), pair) == pytest.approx(floor, rel=1e-9)


def test_barlow_twins_published_width_cannot_get_below_0_576_with_16_series() -> None:
    first, second = (torch.from_numpy(z).float() for z in barlow_optimum(16, 4096, 0.005))
    assert round(float(add(BarlowTwins().terms(first, second))), 3) == 0.576
    assert round(barlow_floor(16, 4096, 0.005) * 4096) == 2361
    agreement = cross_correlation(first, second).diagonal()
    assert round(float(agreement.min()), 2) == round(float(agreement.max()), 2) == 0.42


def unit_variance(z: Array) -> Array:
    """Centre the columns and scale them to variance 1 (with B - 1); ramps for constant ones."""
    z = np.where(z.std(axis=0) > 1e-3, z, np.arange(len(z))[:, None])
    return (z - z.mean(axis=0)) / z.std(axis=0, ddof=1)


@given(views(wide=True), st.floats(1.0, 3.0))
def test_vicreg_covariance_stays_above_its_floor_where_variance_is_met(
    pair: Views, deviation: float
) -> None:
    n_rows, n_features = pair[0].shape
    found = terms(VICReg(), (unit_variance(pair[0]) * deviation, unit_variance(pair[1])))
    assert found["variance"] == 0
    assert found["covariance"] >= 2 * (n_features / (n_rows - 1) - 1) * (1 - 1e-12)


@pytest.mark.parametrize(("n_rows", "n_features"), [(2, 4), (3, 4), (5, 16), (16, 64)])
def test_vicreg_reaches_its_floor(n_rows: int, n_features: int) -> None:
    frame = tight_frame(n_rows, n_features)
    floor = 2 * (n_features / (n_rows - 1) - 1)
    assert total(VICReg(), (frame, frame)) == pytest.approx(floor, rel=1e-12)


@given(views(wide=True))
def test_vibcreg_covariance_stays_above_its_floor_without_constant_features(pair: Views) -> None:
    n_rows, n_features = pair[0].shape
    found = terms(VIbCReg(), (1e4 * unit_variance(pair[0]), 1e4 * unit_variance(pair[1])))
    assert found["covariance"] >= 400 * (1 / (n_rows - 1) - 1 / n_features) * (1 - 1e-12)


@pytest.mark.parametrize(("n_rows", "n_features"), [(2, 4), (3, 4), (5, 16), (16, 64)])
def test_vibcreg_reaches_its_floor(n_rows: int, n_features: int) -> None:
    frame = 1e4 * tight_frame(n_rows, n_features)
    floor = 400 * (1 / (n_rows - 1) - 1 / n_features)
    assert total(VIbCReg(), (frame, frame)) == pytest.approx(floor, rel=1e-12)


def infonce_floor(n_rows: int, temperature: float) -> float:
    return math.log1p((n_rows - 1) * math.exp(-n_rows / (n_rows - 1) / temperature))


@given(views(), st.floats(0.05, 5))
def test_infonce_stays_between_its_bounds(pair: Views, temperature: float) -> None:
    n_rows = len(pair[0])
    ceiling = math.log1p((n_rows - 1) * math.exp(2 / temperature))
    loss = total(InfoNCE(temperature), pair)
    assert infonce_floor(n_rows, temperature) - 1e-12 <= loss <= ceiling + 1e-12


@pytest.mark.parametrize("n_rows", [2, 3, 8])
def test_infonce_is_least_for_a_regular_simplex(n_rows: int) -> None:
    simplex = 1e4 * helmert(n_rows).T  # (B, B - 1)
    loss = total(InfoNCE(0.5), (simplex, simplex))
    assert loss == pytest.approx(infonce_floor(n_rows, 0.5), rel=1e-9)


@pytest.mark.parametrize("n_clusters", [2, 5, 8])
def test_infonce_bound_meets_the_information_of_balanced_clusters(n_clusters: int) -> None:
    clusters = np.tile(np.eye(n_clusters), (6, 1))
    bound = math.log(len(clusters)) - total(InfoNCE(0.05), (clusters, clusters))
    assert bound <= math.log(n_clusters)
    assert bound == pytest.approx(math.log(n_clusters), abs=1e-7)


@pytest.mark.parametrize("n_rows", [2, 7])
def test_infonce_of_collapsed_views_is_log_b(n_rows: int) -> None:
    collapsed = np.full((n_rows, 3), 1.7)
    assert total(InfoNCE(), (collapsed, collapsed)) == pytest.approx(math.log(n_rows))


# ---------------------------------------------------------------- single terms


@given(views(), st.floats(1.0, 5.0))
def test_variance_is_zero_above_target(pair: Views, deviation: float) -> None:
    assert variance(torch.from_numpy(deviation * unit_variance(pair[0]))) == 0


def test_variance_of_a_constant_feature_is_one_minus_the_root_of_eps() -> None:
    assert variance(torch.full((5, 3), 2.0)) == pytest.approx(0.99)


@given(views(), st.floats(0.1, 10))
def test_covariance_grows_with_the_fourth_power_of_the_scale(pair: Views, scale: float) -> None:
    z = torch.from_numpy(pair[0])
    torch.testing.assert_close(covariance(scale * z), scale**4 * covariance(z))


@given(views(), st.floats(-10, 10))
def test_invariance_of_shifted_views_is_the_squared_shift(pair: Views, shift: float) -> None:
    z = torch.from_numpy(pair[0])
    torch.testing.assert_close(invariance(z, z + shift), torch.tensor(shift**2).to(z))


@given(views(), st.data())
def test_correlations_do_not_depend_on_the_scale_of_a_feature(
    pair: Views, data: st.DataObject
) -> None:
    first, second = (torch.from_numpy(unit_variance(z)) for z in pair)
    factors = hnp.arrays(np.float64, first.shape[1], elements=st.floats(0.01, 100))
    scaled = first * torch.from_numpy(data.draw(factors))
    torch.testing.assert_close(
        cross_correlation(scaled, second, eps=0.0), cross_correlation(first, second, eps=0.0)
    )
    torch.testing.assert_close(correlation(scaled, eps=0.0), correlation(first, eps=0.0))


@given(views())
def test_eps_moves_a_correlation_by_at_most_eps_over_the_variance(pair: Views) -> None:
    first, second = (torch.from_numpy(unit_variance(z)) for z in pair)
    smallest = first.var(dim=0, correction=0).min()
    moved = cross_correlation(first, second) - cross_correlation(first, second, eps=0.0)
    assert moved.abs().max() <= 1e-5 / smallest


# ---------------------------------------------------------------- contract over the registry


def test_registry_holds_every_public_loss_by_name() -> None:
    public = {getattr(vqssl.losses, name) for name in vqssl.losses.__all__ if name != "LOSSES"}
    assert set(LOSSES.values()) == public - {SSLLoss}
    assert list(LOSSES) == sorted(LOSSES)
    for name, cls in LOSSES.items():
        assert type(resolve(name, "ssl", cls, LOSSES)) is cls


@every_loss
@given(pair=views())
def test_terms_are_finite_scalars_that_are_not_negative(name: str, pair: Views) -> None:
    first, second = (torch.from_numpy(z).float() for z in pair)
    for term in LOSSES[name]().terms(first, second).values():
        assert term.shape == ()
        assert torch.isfinite(term)
        assert term >= 0


@every_loss
@given(pair=views())
def test_gradients_are_finite(name: str, pair: Views) -> None:
    first, second = (torch.from_numpy(z).float().requires_grad_() for z in pair)
    add(LOSSES[name]().terms(first, second)).backward()
    assert has_finite_gradient(first)
    assert has_finite_gradient(second)


@every_loss
@pytest.mark.parametrize("value", [0.0, 1.7, -1e4])
@pytest.mark.parametrize("n_rows", [2, 9])
def test_collapsed_views_have_finite_gradients(name: str, value: float, n_rows: int) -> None:
    first = torch.full((n_rows, 5), value, requires_grad=True)
    second = torch.full((n_rows, 5), value, requires_grad=True)
    loss = add(LOSSES[name]().terms(first, second))
    loss.backward()
    assert torch.isfinite(loss)
    assert has_finite_gradient(first)
    assert has_finite_gradient(second)


@every_loss
def test_loss_falls_from_unrelated_to_equal_views(name: str) -> None:
    first, second = normals(64, 8, seed=1), normals(64, 8, seed=2)
    assert total(LOSSES[name](), (first, first)) < total(LOSSES[name](), (first, second))


@every_loss
def test_descent_separates_collapsed_views(name: str) -> None:
    start = 1e-2 * normals(16, 4)
    first, second = (torch.tensor(start).requires_grad_() for _ in range(2))
    optimiser = torch.optim.Adam([first, second], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        add(LOSSES[name]().terms(first, second)).backward()
        optimiser.step()
    after = total(LOSSES[name](), (first.detach().numpy(), second.detach().numpy()))
    assert after < 0.5 * total(LOSSES[name](), (start, start))


@every_loss
@given(pair=views())
def test_views_can_be_exchanged(name: str, pair: Views) -> None:
    exchanged = terms(LOSSES[name](), pair[::-1])
    assert exchanged == pytest.approx(terms(LOSSES[name](), pair), rel=1e-9, abs=1e-12)


@every_loss
@given(pair=views(), data=st.data())
def test_order_of_series_and_of_features_does_not_matter(
    name: str, pair: Views, data: st.DataObject
) -> None:
    n_rows, n_features = pair[0].shape
    rows = data.draw(st.permutations(range(n_rows)))
    columns = data.draw(st.permutations(range(n_features)))
    permuted = (pair[0][rows][:, columns], pair[1][rows][:, columns])
    expected = terms(LOSSES[name](), pair)
    assert terms(LOSSES[name](), permuted) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@every_loss
def test_order_of_series_in_one_view_alone_matters(name: str) -> None:
    z = normals(8, 3)
    assert total(LOSSES[name](), (z, z[::-1].copy())) > total(LOSSES[name](), (z, z))


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"infonce"}))
@given(pair=views(), shift=st.floats(-100, 100))
def test_a_shift_of_both_views_does_not_matter(name: str, pair: Views, shift: float) -> None:
    shifted = (pair[0] + shift, pair[1] + shift)
    expected = terms(LOSSES[name](), pair)
    assert terms(LOSSES[name](), shifted) == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_infonce_depends_on_directions_alone() -> None:
    first, second = normals(6, 4, seed=1), normals(6, 4, seed=2)
    rotation = np.linalg.qr(normals(4, 4, seed=3))[0]
    lengths = 1e4 * np.array([[1], [2], [3], [4], [5], [6]])
    turned = (lengths * first @ rotation, second @ rotation * 1e4)
    expected = total(InfoNCE(), (1e4 * first, 1e4 * second))
    assert total(InfoNCE(), turned) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("cls", "weight"),
    [(BarlowTwins, "redundancy")]
    + [(cls, w) for cls in (VICReg, VIbCReg) for w in ("invariance", "variance", "covariance")],
)
def test_a_weight_scales_its_own_term_and_no_other(cls: type[SSLLoss], weight: str) -> None:
    pair = (0.5 * normals(5, 3, seed=1), 0.5 * normals(5, 3, seed=2))
    once = terms(cls().set_params(**{weight: 1.0}), pair)
    thrice = terms(cls().set_params(**{weight: 3.0}), pair)
    assert once[weight] > 0
    assert thrice == pytest.approx(once | {weight: 3 * once[weight]})


@every_loss
def test_autocast_and_half_precision_views_are_computed_in_float32(name: str) -> None:
    first, second = (torch.from_numpy(normals(32, 16, seed=s)).bfloat16() for s in (1, 2))
    expected = LOSSES[name]().terms(first.float(), second.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = LOSSES[name]().terms(first, second)
    for key, term in found.items():
        assert term.dtype == torch.float32
        assert torch.equal(term, expected[key])


@every_loss
def test_clone_keeps_hyperparameters_and_weights_stay_as_given(name: str) -> None:
    loss = LOSSES[name]()
    params = {key: 2 * value for key, value in loss.get_params().items()}
    copy = clone(loss.set_params(**params))
    assert copy is not loss
    assert copy.get_params() == params
    copy.check()
    assert copy.get_params() == params
    assert 0 < LOSSES[name].default_weight <= 1


@pytest.mark.parametrize(
    ("cls", "parameter"),
    [(BarlowTwins, "redundancy")]
    + [(cls, w) for cls in (VICReg, VIbCReg) for w in ("invariance", "variance", "covariance")],
)
@pytest.mark.parametrize(
    ("value", "error"),
    [(-0.1, ValueError), (math.nan, ValueError), (math.inf, ValueError), ("1", TypeError)],
)
def test_weights_must_be_finite_and_not_negative(
    cls: type[SSLLoss], parameter: str, value: Any, error: type[Exception]
) -> None:
    loss = cls().set_params(**{parameter: value})
    with pytest.raises(error, match=f"{parameter} must be a finite number of at least 0; got"):
        loss.check()


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1.0, ValueError), (True, TypeError)]
)
def test_temperature_must_be_above_zero(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="temperature must be a finite number above 0; got"):
        InfoNCE(temperature=value).check()


# ---------------------------------------------------------------- whitening


def test_only_vibcreg_whitens() -> None:
    whitening = {name for name in LOSSES if LOSSES[name]().whitening(8, 16) is not None}
    assert whitening == {"vibcreg"}


@pytest.mark.parametrize(
    ("projector_dim", "batch_size", "width"),
    [
        (64, 16, 8),
        (64, 64, 32),
        (4096, 256, 32),
        (8, 256, 8),
        (127, 33, 16),
        (64, 2, 1),
        (64, 1, 1),
    ],
)
def test_groups_are_as_wide_as_the_batch_allows(
    projector_dim: int, batch_size: int, width: int
) -> None:
    assert VIbCReg().whitening(projector_dim, batch_size).group_width == width


@given(views(), st.integers(1, 9), st.integers(0, 5))
def test_whitening_acts_on_eigenvalues_alone(pair: Views, width: int, n_steps: int) -> None:
    found = whiten(torch.from_numpy(pair[0]), width, n_steps)
    expected = reference.iter_norm(pair[0], width, n_steps)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


def mixed(n_rows: int, n_features: int) -> Array:
    """Features with standard deviations from 1 to 2 and a common part."""
    spread = np.linspace(1, 2, n_features)
    return 3 + spread * (normals(n_rows, n_features) + 0.3 * normals(n_rows, 1, seed=1))


@pytest.mark.parametrize("n_features", [8, 11, 13])
def test_whitened_groups_have_a_covariance_near_the_identity(n_features: int) -> None:
    z = VIbCReg().whitening(4, 512)(torch.from_numpy(mixed(512, n_features))).numpy()
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
    width = math.ceil(n_features / math.ceil(n_features / 4))
    for start in range(0, n_features, width):
        group = z[:, start : start + width]
        np.testing.assert_allclose(group.T @ group / 512, np.eye(group.shape[1]), atol=0.02)


def test_many_steps_converge_to_the_inverse_root_of_the_covariance() -> None:
    z = mixed(256, 6)
    eigenvalues, vectors = np.linalg.eigh(np.cov(z.T, bias=True))
    expected = (z - z.mean(axis=0)) @ (vectors / np.sqrt(eigenvalues)) @ vectors.T
    found = whiten(torch.from_numpy(z), 6, n_steps=15, eps=0.0).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(("width", "deviation"), [(8, 1.00), (16, 0.98), (32, 0.91)])
def test_five_steps_leave_white_features_the_documented_deviation(
    width: int, deviation: float
) -> None:
    # Orthogonal rows: the covariance matrix is the identity exactly.
    z = torch.from_numpy(hadamard(64)[:, 1 : width + 1].astype(np.float64))
    assert round(float(whiten(z, width).std(correction=0)), 2) == deviation


def test_groups_wider_than_half_the_batch_under_whiten() -> None:
    z = torch.from_numpy(normals(16, 64))
    too_wide, fitting = whiten(z, 64), VIbCReg().whitening(64, 16)(z)
    assert too_wide.square().mean().sqrt() < 0.5
    assert fitting.square().mean().sqrt() > 0.9


def test_a_smaller_last_batch_gets_narrower_groups() -> None:
    layer = VIbCReg().whitening(6, 64)
    last = torch.tensor([[1.0, -2.0, 3.0, 5.0, -1.0, 2.0]]) * torch.tensor([[2.0], [-1.0]])
    torch.testing.assert_close(layer(last), last.sign(), rtol=1e-5, atol=0)


@given(views(), st.integers(2, 64))
def test_whitening_has_finite_values_and_gradients(pair: Views, batch_size: int) -> None:
    z = torch.from_numpy(pair[0]).float().requires_grad_()
    weights = torch.from_numpy(pair[1]).float()
    whitened = VIbCReg().whitening(z.shape[1], batch_size)(z)
    (weights * whitened).sum().backward()
    assert whitened.shape == z.shape
    assert torch.isfinite(whitened).all()
    assert has_finite_gradient(z)


def test_whitening_turns_constant_features_into_zeros() -> None:
    z = torch.from_numpy(mixed(32, 6))
    z[:, [0, 4]] = 2.5
    whitened = whiten(z, 6)
    assert whitened[:, [0, 4]].abs().max() < 1e-12
    assert whiten(torch.full((8, 3), 2.5), 3).abs().max() == 0


def test_whitening_uses_the_batch_in_eval_mode_too_and_stores_nothing() -> None:
    layer = VIbCReg().whitening(6, 32)
    batches: list[Tensor] = [torch.from_numpy(normals(32, 6, seed=s)) for s in (1, 2)]
    trained = [layer(z) for z in batches]
    layer.eval()
    for z, expected in zip(batches, trained, strict=True):
        assert torch.equal(layer(z), expected)
    assert layer.state_dict() == {}


def test_whitening_built_on_the_meta_device_works_after_initialise() -> None:
    with torch.device("meta"):
        layer = VIbCReg().whitening(6, 32)
    initialise(materialise(layer), make_generator(0))
    z = torch.from_numpy(normals(32, 6))
    assert torch.equal(layer(z), IterNorm(6)(z))


def test_whitening_is_computed_in_float32_under_autocast() -> None:
    layer = VIbCReg().whitening(16, 64)
    z = torch.from_numpy(normals(64, 16)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        whitened = layer(z)
    assert whitened.dtype == torch.float32
    assert torch.equal(whitened, layer(z.float()))
