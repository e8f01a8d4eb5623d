"""Splines of bonds, angles and torsions: their numerics, walls and limits, and what the rest of the package asks."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from openmm_cgml.errors import InputError
from openmm_cgml.potentials import HarmonicAngle, Potential, SplineAngle, SplineBond, SplineTorsion, evaluate
from openmm_cgml.potentials.cardinal_splines import spline_functions, spline_polynomials, truncated_powers
from openmm_cgml.potentials.spline_series import SplineBasis
from openmm_cgml.units import BOLTZMANN

KT = BOLTZMANN * 300
INFINITE = (-math.inf, math.inf)
LIMITS = st.sampled_from([(0.3, 0.7, INFINITE), (0.0, math.pi, (0.0, math.pi)), (1.0, 2.0, (0.0, math.pi))])


def heights(n: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, n, elements=st.floats(-50, 50))


def parameters_of(form, energy, low, high, wall, n=24):
    """Parameters of a spline that is nearly an energy [kJ/mol], a function of the coordinate."""
    basis = SplineBasis.over(0.0, low, high, wall, form.limits, n)
    x = np.linspace(low, high, 20 * n)
    found = np.linalg.lstsq(basis.functions(x), energy(x), rcond=None)[0]
    return form.from_coefficients(found, basis)


def one(form, parameters):
    return form.bind(np.arange(form.coordinate.n_beads)[None], [parameters])


def two_wells(x):
    return -KT * np.log(np.exp(-(((x - 0.234) / 0.006) ** 2) / 2 - 1.5) + np.exp(-(((x - 0.258) / 0.005) ** 2) / 2))


@given(n=st.integers(3, 40), share=st.floats(0, 1))
def test_bells_add_up_to_one_and_their_derivatives_to_zero(n: int, share: float) -> None:
    steps = np.array([share * n])
    for order, total in ((0, 1), (1, 0), (2, 0)):
        functions = spline_functions(steps, n, order)
        assert functions.shape == (1, n + 3)
        assert functions.sum() == pytest.approx(total, abs=1e-12)
        assert np.count_nonzero(functions) <= 4


def test_derivatives_are_those_of_the_bells_and_do_not_jump_at_knots() -> None:
    x, step = np.linspace(0.01, 6.99, 700), 1e-6
    for order in (1, 2):
        slope = (spline_functions(x + step, 7, order - 1) - spline_functions(x - step, 7, order - 1)) / (2 * step)
        np.testing.assert_allclose(spline_functions(x, 7, order), slope, atol=1e-5)
    knots = np.arange(1.0, 7)
    for order in (0, 1, 2):
        left, right = (spline_functions(knots + side, 7, order) for side in (-1e-9, 1e-9))
        np.testing.assert_allclose(left, right, atol=1e-8)


@given(values=st.integers(6, 40).flatmap(heights), place=st.floats(-0.5, 1.5))
def test_truncated_powers_are_the_spline_and_go_on_as_parabolas(values: np.ndarray, place: float) -> None:
    n = len(values) - 3
    basis = SplineBasis(origin=0.0, n=len(values), low=2.0, high=2.0 + n, wall=1.0, limits=INFINITE)
    polynomial, up, down = truncated_powers(spline_polynomials(values))
    assert (len(up), len(down)) == (n - n // 2, n // 2 + 1)
    v = place * n - n // 2
    found = np.polynomial.polynomial.polyval(v, polynomial)
    found += sum(a * max(0.0, v - k) ** 3 for k, a in enumerate(up, start=1))
    found += sum(a * max(0.0, -v - k) ** 3 for k, a in enumerate(down))
    expected = float(basis.features(np.array(2.0 + place * n)) @ values)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(limits=LIMITS, data=st.data())
def test_walls_rise_on_both_sides_and_the_least_energy_is_zero(limits: tuple, data: st.DataObject) -> None:
    low, high, ends = limits
    basis = SplineBasis.over(0.0, low, high, 300.0, ends, 12)
    held = basis.hold(data.draw(heights(basis.n)))
    energies = basis.features(np.linspace(low, high, 2000)) @ held
    assert energies.min() == pytest.approx(0, abs=0.2)
    for end, sign, mirrored in zip((low, high), (-1, 1), basis.mirrored, strict=True):
        slope, curvature = (float(basis.functions(np.array(end), order) @ held) for order in (1, 2))
        if mirrored:
            assert slope == pytest.approx(0, abs=1e-9)
        else:
            assert sign * slope >= -1e-9
            assert curvature >= 300 * (1 - 1e-9)
            room = (low - ends[0] if sign < 0 else ends[1] - high) if math.isfinite(ends[0]) else 1.0
            beyond = basis.features(end + sign * room * np.linspace(0, 0.999, 50)) @ held
            assert (np.diff(beyond) > 0).all()


def test_without_walls_a_spline_may_fall_beyond_its_range() -> None:
    basis = SplineBasis.over(0.0, 0.3, 0.7, 300.0, INFINITE, 12)
    falling = -np.arange(basis.n, dtype=float)
    assert (np.diff(basis.features(np.linspace(0.7, 0.9, 9)) @ falling) < 0).all()
    assert (np.diff(basis.features(np.linspace(0.7, 0.9, 9)) @ basis.hold(falling)) > 0).all()


@given(limits=LIMITS, data=st.data())
@settings(max_examples=30)
def test_energy_slope_and_curvature_do_not_jump_at_the_ends(limits: tuple, data: st.DataObject) -> None:
    low, high, ends = limits
    basis = SplineBasis.over(0.0, low, high, 1.0, ends, 12)
    values = data.draw(heights(basis.n))
    step = 1e-4
    for end, mirrored in zip((low, high), basis.mirrored, strict=True):
        if not mirrored:
            near = end + step * np.arange(-2, 3)
            energy = basis.features(near) @ values
            slopes = np.diff(energy) / step
            scale = np.abs(values).max() / basis.spacing**2 + 1e-12
            assert np.abs(np.diff(slopes, 2)).max() / step < 1e-1 * scale


def test_parameters_keep_what_a_spline_needs_and_refuse_the_rest() -> None:
    for low, high, n, message in (
        (0.5, 0.4, 12, r"from 0\.5 to 0\.4; it must rise"),
        (0.3, 0.4, 5, "has 5 coefficients; it needs at least 6"),
    ):
        with pytest.raises(InputError, match=message):
            one(SplineBond, {"low": low, "high": high, "wall": 1.0, "coefficients": (0.0,) * n})
    with pytest.raises(InputError, match="must rise within 0 to"):
        one(SplineAngle, {"low": 1.0, "high": 3.5, "wall": 1.0, "coefficients": (0.0,) * 12})
    with pytest.raises(InputError, match=r"bond kinds must lie within 0\.\.0"):
        SplineBond(indices=[[0, 1]], kinds=[1], splines=one(SplineBond, SPRING).splines)


SPRING = parameters_of(SplineBond, lambda r: 5000.0 * (r - 0.25) ** 2, 0.2, 0.3, 10_000.0)


def test_features_times_coefficients_are_the_energy() -> None:
    r = np.linspace(0.15, 0.35, 41)
    positions = np.zeros((41, 2, 3))
    positions[:, 1, 0] = r
    found, _ = evaluate([one(SplineBond, SPRING)], torch.tensor(positions))
    np.testing.assert_allclose(found.numpy(), 5000.0 * (r - 0.25) ** 2, atol=1e-3)
    np.testing.assert_allclose(SplineBond.energy_of(SPRING, r), found.numpy(), atol=1e-9)
    basis = SplineBond.basis_of(SPRING, 0.25)
    again = SplineBond.from_coefficients(SplineBond.to_coefficients(SPRING, basis), basis)
    np.testing.assert_allclose(again["coefficients"], SPRING["coefficients"], atol=1e-9)
    assert all(again[name] == SPRING[name] for name in ("low", "high", "wall"))


def test_terms_of_several_kinds_have_their_own_splines() -> None:
    stiff = parameters_of(SplineBond, lambda r: 9000.0 * (r - 0.24) ** 2, 0.21, 0.29, 18_000.0, n=11)
    bonds = SplineBond.bind(np.arange(6).reshape(3, 2), [SPRING, stiff, SPRING])
    assert bonds.kinds.tolist() == [0, 1, 0]
    np.testing.assert_allclose(bonds.minima()[0], [0.25, 0.24, 0.25], atol=1e-3)
    np.testing.assert_allclose(bonds.stiffest(KT)[1], [10_000, 18_000, 10_000], rtol=1e-3)


def straight(potential: Potential, bend: float) -> np.ndarray:
    positions = np.array([[-0.3, 0, 0], [0, 0, 0], [0.3 * np.cos(bend), 0.3 * np.sin(bend), 0]])
    return evaluate([potential], torch.tensor(positions))[1].numpy()


@pytest.mark.physics
@pytest.mark.parametrize("high", [math.pi, 2.9, 2.0])
def test_the_force_of_an_angle_vanishes_smoothly_at_a_straight_line(high: float) -> None:
    energy = lambda x: 40.0 * (x - 1.8) ** 2  # noqa: E731
    angle = one(SplineAngle, parameters_of(SplineAngle, energy, 1.2, high, 80.0))
    for bend in (0.0, 1e-12, 1e-7):
        forces = straight(angle, bend)
        assert np.isfinite(forces).all()
        assert np.abs(forces).max() < 1e-2
    assert np.abs(straight(angle, 1e-3) + straight(angle, -1e-3))[:, 1].max() < 1e-6
    assert np.abs(straight(angle, 1e-4)).max() == pytest.approx(0.1 * np.abs(straight(angle, 1e-3)).max(), rel=0.01)
    kinked = HarmonicAngle(indices=[[0, 1, 2]], angle=[1.8], stiffness=[80.0])
    assert np.abs(straight(kinked, 1e-4)).max() > 0.9 * np.abs(straight(kinked, 1e-3)).max(), "the control must fail"


@pytest.mark.physics
def test_a_torsion_is_periodic_and_even_and_beads_in_line_feel_no_force() -> None:
    torsion = one(
        SplineTorsion, parameters_of(SplineTorsion, lambda x: 5 * np.cos(x) + np.cos(3 * x), 0, np.pi, 0.0, 12)
    )
    phi = np.array([-np.pi, -np.pi + 1e-6, np.pi - 1e-6, np.pi, -1.0, 1.0, -1e-6, 1e-6, 0.0])
    positions = np.tile(np.array([[0.0, 1, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]]), (len(phi), 1, 1))
    positions[:, 3, 1:] += np.stack([np.cos(phi), np.sin(phi)], axis=-1)
    energies, forces = evaluate([torsion], torch.tensor(0.3 * positions))
    np.testing.assert_allclose(energies[:4], energies[0], atol=1e-8)
    assert energies[4] == pytest.approx(float(energies[5]))
    assert np.isfinite(forces.numpy()).all()
    assert np.abs(forces.numpy()[[0, 1, 2, 3, 6, 7, 8]]).max() < 1e-3
    assert np.abs(forces.numpy()[4:6]).max() > 10
    line = torch.tensor([[0.0, 0, 0], [0.3, 0, 0], [0.6, 0, 0], [0.8, 0.2, 0.1]])
    assert not evaluate([torsion], line)[1].any()


def test_second_derivatives_exist() -> None:
    bond = one(SplineBond, SPRING)

    def energy(x: torch.Tensor) -> torch.Tensor:
        return bond.energy(torch.stack([torch.zeros(3, dtype=x.dtype), torch.stack([x, 0 * x, 0 * x])]))

    for x in (0.15, 0.2537, 0.34):
        hessian = torch.autograd.functional.hessian(energy, torch.tensor(x, dtype=torch.float64))
        assert float(hessian) == pytest.approx(10_000, rel=1e-3)


def test_a_bond_of_two_wells_says_where_they_are_and_how_stiff_it_is_where_it_is_visited() -> None:
    parameters = parameters_of(SplineBond, two_wells, 0.21, 0.285, 20_000.0, n=30)
    bond = one(SplineBond, parameters)
    (shortest,), (longest,) = bond.usual_range()
    assert (shortest, longest) == (0.21, 0.285)  # all that the data had, however rarely
    (deepest,), (curvature,) = bond.minima()
    assert deepest == pytest.approx(0.258, abs=0.001)
    assert curvature == pytest.approx(KT / 0.005**2, rel=0.05)
    (_,), (stiffest,) = bond.stiffest(KT)
    assert curvature <= stiffest < 1.2 * curvature
    masses = np.full(2, 28.0)
    period = 2 * math.pi * math.sqrt(14.0 / stiffest)
    assert bond.period(masses, {}, KT).period == pytest.approx(period)
    x = np.linspace(0.2, 0.3, 10_001)
    weights = x**2 * np.exp(-two_wells(x) / KT)
    mean = np.average(x, weights=weights)
    deviation = math.sqrt(np.average((x - mean) ** 2, weights=weights))
    assert SplineBond.moments(parameters, KT) == pytest.approx((mean, deviation), rel=0.01)


def test_a_stiff_wall_that_is_not_visited_does_not_shorten_the_time_step() -> None:
    energy = lambda r: 5000.0 * (r - 0.25) ** 2 + 1e9 * np.maximum(0.215 - r, 0) ** 3  # noqa: E731
    parameters = parameters_of(SplineBond, energy, 0.2, 0.3, 10_000.0, n=40)
    bond = one(SplineBond, parameters)
    assert bond.splines[0].energies(np.array(0.2), 2) > 50_000
    assert bond.stiffest(KT)[1][0] == pytest.approx(10_000, rel=0.05)
