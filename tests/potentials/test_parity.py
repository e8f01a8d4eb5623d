"""Every potential: torch against OpenMM, and forces against finite differences, in every kind of box."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import openmm
import pytest
import torch

from openmm_cgml.errors import InputError
from openmm_cgml.potentials import (
    POTENTIALS,
    CosineAngle,
    CosineTorsion,
    FadingTorsion,
    HarmonicAngle,
    HarmonicBond,
    PairSpline,
    Potential,
    PowerRepulsion,
    SplineAngle,
    SplineBond,
    SplineTorsion,
    evaluate,
)
from openmm_cgml.potentials.bonded import BondedPotential

BOXES = {
    "open": None,
    "cubic": np.diag([4.0, 4.0, 4.0]),
    "orthorhombic": np.diag([3.6, 4.0, 5.0]),
    "triclinic": np.array([[4.0, 0.0, 0.0], [-1.7, 4.2, 0.0], [1.1, -1.9, 3.9]]),
}


@dataclass(frozen=True)
class Case:
    """One potential with positions, and the same potential with a mistake in it."""

    potential: Potential
    positions: np.ndarray
    wrong: Potential


def scatter(rng: np.random.Generator, n: int, box: np.ndarray | None) -> np.ndarray:
    """Random points; in a box they lie up to three images away."""
    if box is None:
        return rng.uniform(0, 4, (n, 3))
    return rng.uniform(-3, 4, (n, 3)) @ box


def shift_by_images(rng: np.random.Generator, positions: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    return positions if box is None else positions + rng.integers(-2, 3, positions.shape) @ box


def directions(rng: np.random.Generator, n: int) -> np.ndarray:
    vectors = rng.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def bonds(rng: np.random.Generator, n: int, box: np.ndarray | None, shortest: float) -> Case:
    lengths = rng.uniform(shortest, 1.0, n)
    lengths[:10] = shortest
    first = scatter(rng, n, box)
    second = shift_by_images(rng, first + lengths[:, None] * directions(rng, n), box)
    potential = HarmonicBond(
        indices=np.arange(2 * n).reshape(n, 2),
        length=rng.uniform(0.1, 0.5, n),
        stiffness=rng.uniform(1e3, 8e4, n),
    )
    positions = np.stack([first, second], axis=1).reshape(-1, 3)
    return Case(potential, positions, replace(potential, stiffness=potential.stiffness / 2))


def splined(
    form: type[BondedPotential], rng: np.random.Generator, case: Case, ranges: list[tuple[float, float]]
) -> Case:
    """The beads of a case with splines over the ranges, in turn, with random heights and walls at both ends."""
    terms = []
    for number, (low, high) in enumerate(ranges):
        size = 12 + number
        heights = np.cos(np.pi / size * np.outer(np.arange(size), range(1, 4))) @ rng.normal(0, 5, 3)
        values = {"low": low, "high": high, "wall": 4000.0 / (high - low), "coefficients": heights}
        known = {name: values[name] for name in form.parameters}
        basis = form.basis_of(known, 0.0)
        terms.append(form.from_coefficients(heights, basis))
    n = len(case.potential.indices)
    potential = form.bind(case.potential.indices, [terms[k % len(terms)] for k in range(n)])
    scaled = tuple(replace(spline, coefficients=1.001 * spline.coefficients) for spline in potential.splines)
    return Case(potential, case.positions, replace(potential, splines=scaled))


def spline_bonds(rng: np.random.Generator, n: int, box: np.ndarray | None, shortest: float) -> Case:
    return splined(SplineBond, rng, bonds(rng, n, box, shortest), [(0.3, 0.7), (0.45, 0.8), (0.25, 0.4)])


def triples(rng: np.random.Generator, n: int, box: np.ndarray | None, smallest: float) -> np.ndarray:
    """Positions of n angles, a few of them the smallest and the largest, shape (3 n, 3)."""
    theta = rng.uniform(smallest, np.pi - smallest, n)
    theta[:10], theta[10:20] = smallest, np.pi - smallest
    axis = directions(rng, n)
    normal = np.cross(axis, directions(rng, n))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    middle = scatter(rng, n, box)
    arms = rng.uniform(0.1, 0.6, (2, n, 1))
    first = middle + arms[0] * axis
    last = middle + arms[1] * (np.cos(theta)[:, None] * axis + np.sin(theta)[:, None] * normal)
    positions = [shift_by_images(rng, points, box) for points in (first, middle, last)]
    return np.stack(positions, axis=1).reshape(-1, 3)


def angles(rng: np.random.Generator, n: int, box: np.ndarray | None, smallest: float) -> Case:
    positions = triples(rng, n, box, smallest)
    potential = HarmonicAngle(
        indices=np.arange(3 * n).reshape(n, 3),
        angle=rng.uniform(0.5, np.pi, n),
        stiffness=rng.uniform(10, 500, n),
    )
    return Case(potential, positions, replace(potential, angle=potential.angle * 0.999))


def cosine_angles(rng: np.random.Generator, n: int, box: np.ndarray | None, smallest: float) -> Case:
    positions = triples(rng, n, box, smallest)
    coefficients = rng.normal(0, 50, (n, 5))
    potential = CosineAngle(indices=np.arange(3 * n).reshape(n, 3), coefficients=coefficients)
    return Case(potential, positions, replace(potential, coefficients=coefficients * [1, 1, 1, 1, 0.998]))


def cosine_torsions(
    rng: np.random.Generator, n: int, box: np.ndarray | None, straightest: float, harmonics: int = 4
) -> Case:
    """Torsions whose angles come as close to 0 and 180 degrees as `straightest`."""
    bends = rng.uniform(max(straightest, 0.5), np.pi - max(straightest, 0.5), (2, n, 1))
    bends[0, :10], bends[1, 10:20] = straightest, np.pi - straightest
    axis, sideways, turned = directions(rng, n), directions(rng, n), directions(rng, n)
    outward = [np.cross(axis, other) for other in (sideways, turned)]
    outward = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in outward]
    lengths = rng.uniform(0.3, 0.6, (3, n, 1))
    second = scatter(rng, n, box)
    third = second + lengths[1] * axis
    first = second + lengths[0] * (np.cos(bends[0]) * axis + np.sin(bends[0]) * outward[0])
    last = third + lengths[2] * (-np.cos(bends[1]) * axis + np.sin(bends[1]) * outward[1])
    positions = [shift_by_images(rng, points, box) for points in (first, second, third, last)]
    coefficients = rng.normal(0, 10, (n, harmonics)) * (rng.uniform(size=(n, harmonics)) < 0.7)
    coefficients *= (4 / np.maximum(np.arange(1, harmonics + 1), 4)) ** 4  # finite differences see no steeper ones
    potential = CosineTorsion(indices=np.arange(4 * n).reshape(n, 4), coefficients=coefficients)
    return Case(
        potential,
        np.stack(positions, axis=1).reshape(-1, 3),
        replace(potential, coefficients=coefficients * [*[1] * (harmonics - 1), 0.998]),
    )


def spline_angles(rng: np.random.Generator, n: int, box: np.ndarray | None, smallest: float) -> Case:
    """Splines with walls at both ends, up to 180 degrees, from 0 and over all that an angle can be."""
    ranges = [(1.2, 2.0), (1.5, np.pi), (0.0, 1.6), (0.0, np.pi), (0.6, 3.0)]
    return splined(SplineAngle, rng, cosine_angles(rng, n, box, smallest), ranges)


def spline_torsions(rng: np.random.Generator, n: int, box: np.ndarray | None, straightest: float) -> Case:
    return splined(SplineTorsion, rng, cosine_torsions(rng, n, box, straightest), [(0.0, np.pi)] * 3)


def fading_torsions(rng: np.random.Generator, n: int, box: np.ndarray | None, straightest: float) -> Case:
    """Many of them within the range of angles where they fade."""
    case = cosine_torsions(rng, n, box, straightest)
    assert isinstance(case.potential, CosineTorsion)
    indices, coefficients = case.potential.indices, case.potential.coefficients
    bent = case.positions.reshape(n, 4, 3).copy()
    some = slice(20, min(40, n))
    along = bent[some, 2] - bent[some, 1]
    bent[some, 0] = bent[some, 1] - along - 0.12 * directions(rng, len(along))
    potential = FadingTorsion(indices=indices, coefficients=coefficients)
    wrong = replace(potential, coefficients=coefficients * [1, 1, 1, 0.998])
    return Case(potential, bent.reshape(-1, 3), wrong)


def liquid(rng: np.random.Generator, n: int, box: np.ndarray | None, shortest: float) -> np.ndarray:
    """Random points no closer than 0.3 nm to each other, but for a few pairs at the shortest distance."""
    cell = BOXES["cubic"] if box is None else box
    kept: list[np.ndarray] = []
    while len(kept) < n:
        point = rng.uniform(0, 1, 3)
        delta = np.array(kept).reshape(-1, 3) - point
        if box is not None:
            delta -= np.round(delta)
        if (np.linalg.norm(delta @ cell, axis=1) > 0.3).all():
            kept.append(point)
    positions = np.array(kept) @ cell
    if shortest < 0.3:
        positions[:10] = positions[10:20] + shortest * directions(rng, 10)
    return shift_by_images(rng, positions, box)


def repulsion(rng: np.random.Generator, n: int, box: np.ndarray | None, shortest: float) -> Case:
    positions = liquid(rng, n, box, shortest)
    sigma = np.array([[0.30, 0.35, 0.42], [0.35, 0.40, 0.37], [0.42, 0.37, 0.45]])
    epsilon = np.array([[4.0, 3.0, 2.0], [3.0, 1.0, 2.5], [2.0, 2.5, 5.0]])
    potential = PowerRepulsion(
        bead_types=rng.integers(0, 3, n),
        sigma=sigma,
        epsilon=epsilon,
        exponent=7,
        cutoff=0.8,
        switch_distance=0.65,
        exclusions=np.stack([np.arange(5), np.arange(10, 15)], axis=1),
    )
    return Case(potential, positions, replace(potential, switch_distance=0.6))


def single_type_repulsion(rng: np.random.Generator, n: int, box: np.ndarray | None, shortest: float) -> Case:
    case = repulsion(rng, n, box, shortest)
    potential = PowerRepulsion(
        bead_types=np.zeros(n),
        sigma=np.array([[0.40]]),
        epsilon=np.array([[4.184]]),
        exponent=12,
        cutoff=0.8,
        switch_distance=0.7,
        exclusions=np.zeros((0, 2)),
    )
    return Case(potential, case.positions, replace(potential, exponent=11))


def pair_splines(rng: np.random.Generator, n: int, box: np.ndarray | None, shortest: float) -> Case:
    positions = liquid(rng, n, box, shortest)
    ends = [(0, 0, 0.32, 0.8), (0, 1, 0.36, 0.6), (1, 1, 0.28, 0.5)]
    start, cutoffs, coefficients = np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2, 13))
    for a, b, first, cutoff in ends:
        length = round((cutoff - first) / 0.04)
        values = rng.normal(0, 3, length)
        values[:3] = [60.0, 20.0, 2.0]
        start[a, b] = start[b, a] = cutoff - 0.04 * length
        cutoffs[a, b] = cutoffs[b, a] = cutoff
        coefficients[a, b, :length] = coefficients[b, a, :length] = values
    potential = PairSpline(
        bead_types=rng.integers(0, 2, n),
        start=start,
        coefficients=coefficients,
        spacing=0.04,
        cutoffs=cutoffs,
        exclusions=np.stack([np.arange(5), np.arange(10, 15)], axis=1),
    )
    return Case(potential, positions, replace(potential, coefficients=1.002 * coefficients))


def single_type_splines(rng: np.random.Generator, n: int, box: np.ndarray | None, shortest: float) -> Case:
    case = pair_splines(rng, n, box, shortest)
    assert isinstance(case.potential, PairSpline)
    tables = {name: getattr(case.potential, name)[:1, :1] for name in ("start", "cutoffs", "coefficients")}
    potential = replace(case.potential, bead_types=np.zeros(n), **tables)
    return Case(potential, case.positions, replace(potential, coefficients=1.002 * potential.coefficients))


# Builder of a case; number of terms; near-singular parameter (a distance or an angle) and a harmless one.
CASES: dict[str, tuple[type[Potential], Callable[..., Case], int, float, float]] = {
    "harmonic bond": (HarmonicBond, bonds, 10_000, 1e-3, 0.2),
    "harmonic angle": (HarmonicAngle, angles, 10_000, 1e-3, 0.2),
    "cosine angle": (CosineAngle, cosine_angles, 10_000, 1e-3, 0.2),
    "cosine torsion": (CosineTorsion, cosine_torsions, 10_000, 1e-2, 0.2),
    "spline bond": (SplineBond, spline_bonds, 10_000, 1e-3, 0.2),
    "spline angle": (SplineAngle, spline_angles, 10_000, 1e-3, 0.2),
    "spline torsion": (SplineTorsion, spline_torsions, 10_000, 1e-2, 0.2),
    "fading torsion": (FadingTorsion, fading_torsions, 10_000, 1e-2, 0.2),
    "cosine torsion, six harmonics": (CosineTorsion, partial(cosine_torsions, harmonics=6), 10_000, 1e-2, 0.2),
    "power repulsion": (PowerRepulsion, repulsion, 300, 0.05, 0.3),
    "power repulsion, one type": (PowerRepulsion, single_type_repulsion, 300, 0.05, 0.3),
    "pair spline": (PairSpline, pair_splines, 300, 0.05, 0.3),
    "pair spline, one type": (PairSpline, single_type_splines, 300, 0.05, 0.3),
}


def make_case(name: str, box: np.ndarray | None, n: int | None = None, *, singular: bool = True) -> Case:
    _, build, full, near, harmless = CASES[name]
    return build(np.random.default_rng(7), n or full, box, near if singular else harmless)


def from_torch(potential: Potential, positions: np.ndarray, box: np.ndarray | None) -> tuple[float, np.ndarray]:
    energy, forces = evaluate([potential], torch.tensor(positions), None if box is None else torch.tensor(box))
    return float(energy), forces.numpy()


def from_openmm(
    potential: Potential, positions: np.ndarray, box: np.ndarray | None, platform: str
) -> tuple[float, np.ndarray]:
    system = openmm.System()
    for _ in positions:
        system.addParticle(1.0)
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*box)
    force = potential.to_openmm(periodic=box is not None)
    assert force.usesPeriodicBoundaryConditions() == (box is not None)
    system.addForce(force)
    properties = {"Threads": "1"} if platform == "CPU" else {}
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName(platform), properties
    )
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


def difference(ours: tuple[float, np.ndarray], theirs: tuple[float, np.ndarray]) -> tuple[float, float, float]:
    """Relative energy error; largest force error in units of the rms force; median relative force error."""
    rms = np.sqrt(np.mean(theirs[1] ** 2))
    errors = np.linalg.norm(ours[1] - theirs[1], axis=1)
    size = np.linalg.norm(theirs[1], axis=1)
    acting = size > 1e-6 * rms
    return (
        abs(ours[0] - theirs[0]) / abs(theirs[0]),
        errors.max() / rms,
        float(np.median(errors[acting] / size[acting])),
    )


@pytest.mark.physics
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
@pytest.mark.parametrize("name", CASES)
def test_torch_equals_openmm_on_the_reference_platform(name: str, box: np.ndarray | None) -> None:
    case = make_case(name, box)
    theirs = from_openmm(case.potential, case.positions, box, "Reference")
    energy, largest, _ = difference(from_torch(case.potential, case.positions, box), theirs)
    assert energy < 1e-9
    assert largest < 1e-6
    smooth = make_case(name, box, 200, singular=False)  # near-singular terms would hide a mistake in the others
    theirs = from_openmm(smooth.potential, smooth.positions, box, "Reference")
    assert difference(from_torch(smooth.potential, smooth.positions, box), theirs)[1] < 1e-6
    control = difference(from_torch(smooth.wrong, smooth.positions, box), theirs)
    assert control[1] > 1e-4, "the control must fail"


@pytest.mark.physics
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
@pytest.mark.parametrize("name", CASES)
def test_torch_equals_openmm_on_the_cpu_platform(name: str, box: np.ndarray | None) -> None:
    case = make_case(name, box, singular=False)
    theirs = from_openmm(case.potential, case.positions, box, "CPU")
    energy, largest, median = difference(from_torch(case.potential, case.positions, box), theirs)
    assert energy < 1e-5
    assert largest < 1e-3
    assert median < 1e-5
    assert difference(from_torch(case.wrong, case.positions, box), theirs)[2] > 1e-5, "the control must fail"


@pytest.mark.physics
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
@pytest.mark.parametrize("name", CASES)
def test_force_is_minus_the_energy_gradient(name: str, box: np.ndarray | None) -> None:
    case = make_case(name, box, 50, singular=False)
    rng = np.random.default_rng(3)
    _, forces = from_torch(case.potential, case.positions, box)
    step, controls = 3e-6, []
    for _ in range(5):
        direction = rng.normal(size=case.positions.shape)
        up, down = (from_torch(case.potential, case.positions + sign * step * direction, box)[0] for sign in (1, -1))
        slope = (up - down) / (2 * step)
        along = (forces * direction).sum()
        limit = 1e-6 * np.linalg.norm(forces)
        assert abs(slope + along) < limit
        controls.append(abs(slope + 0.999 * along) > limit)
    assert any(controls), "the control must fail"


def test_every_potential_has_a_case() -> None:
    assert {kind for kind, *_ in CASES.values()} == {form for form in POTENTIALS if form.is_native}
    for name, (kind, *_) in CASES.items():
        case = make_case(name, None, 100)
        assert type(case.potential) is kind
        assert case.potential.name == name.split(",")[0]


@pytest.mark.parametrize("name", CASES)
def test_frames_together_equal_frames_alone(name: str) -> None:
    box = torch.tensor(BOXES["triclinic"])
    case = make_case(name, BOXES["triclinic"], 50, singular=False)
    positions = torch.tensor(case.positions)
    frames = torch.stack([positions, positions + 0.01 * torch.sin(positions * 50), positions * 1.001])
    boxes = torch.stack([box, box, box * 1.001])
    energies, forces = evaluate([case.potential], frames, boxes)
    assert energies.shape == (3,)
    for index in range(3):
        energy, force = evaluate([case.potential], frames[index], boxes[index])
        torch.testing.assert_close(energies[index], energy, rtol=1e-12, atol=1e-9)
        torch.testing.assert_close(forces[index], force, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_openmm_force_carries_the_name_of_the_prior(name: str) -> None:
    case = make_case(name, None, 50)
    assert case.potential.to_openmm(periodic=False).getName() == f"prior: {case.potential.name}"


def test_no_potentials_give_zero_energy_and_forces() -> None:
    energy, forces = evaluate([], torch.ones(2, 5, 3))
    assert energy.tolist() == [0, 0]
    assert not forces.any()


def test_beads_exactly_in_line_feel_a_finite_force() -> None:
    angle = HarmonicAngle(indices=[[0, 1, 2]], angle=[2.0], stiffness=[100.0])
    positions = np.array([[0.0, 0, 0], [0.3, 0, 0], [0.6, 0, 0]])
    for last in (positions, positions[[0, 1, 0]]):
        _, forces = from_torch(angle, last, None)
        assert np.isfinite(forces).all()


def test_cosine_angle_of_beads_in_line_has_its_energy_and_no_force() -> None:
    angle = CosineAngle(indices=[[0, 1, 2]], coefficients=[[5.0, 2.0, 1.0]])
    positions = np.array([[0.0, 0, 0], [0.3, 0, 0], [0.7, 0, 0]])
    series = [
        sum(k * (1 + np.cos(n * x)) for n, k in ((1, 5.0), (2, 2.0), (3, 1.0))) for x in np.linspace(0, np.pi, 1801)
    ]
    for beads, expected in ((positions, 2 * 2.0 - min(series)), (positions[[0, 1, 0]], 2 * 8.0 - min(series))):
        energy, forces = from_torch(angle, beads, None)
        assert energy == pytest.approx(expected)
        assert np.abs(forces).max() < 1e-12
    energy, forces = from_torch(angle, positions[[0, 0, 1]], None)  # an arm of no length has no direction
    assert np.isfinite(energy)
    assert not forces.any()


@pytest.mark.physics
def test_cosine_angle_has_no_kink_at_a_straight_line_and_a_harmonic_one_has() -> None:
    def force(potential: Potential, bend: float) -> float:
        positions = np.array([[-0.3, 0, 0], [0, 0, 0], [0.3 * np.cos(bend), 0.3 * np.sin(bend), 0]])
        return float(from_torch(potential, positions, None)[1][2, 1])

    cosine = CosineAngle(indices=[[0, 1, 2]], coefficients=[[80.0, 30.0]])
    harmonic = HarmonicAngle(indices=[[0, 1, 2]], angle=[2.6], stiffness=[100.0])
    assert abs(force(cosine, 1e-4) - force(cosine, -1e-4)) < 0.2
    assert abs(force(harmonic, 1e-4) - force(harmonic, -1e-4)) > 100, "the control must fail"


def test_two_harmonics_make_a_cosine_harmonic_angle() -> None:
    positions = make_case("cosine angle", None, 50).positions
    stiffness, center = 40.0, 1.9
    angle = CosineAngle(
        indices=np.arange(150).reshape(50, 3),
        coefficients=np.tile([-stiffness * np.cos(center), stiffness / 4], (50, 1)),
    )
    a, b = (positions.reshape(50, 3, 3)[:, end] - positions.reshape(50, 3, 3)[:, 1] for end in (0, 2))
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    expected = 0.5 * stiffness * (cosine - np.cos(center)) ** 2
    assert from_torch(angle, positions, None)[0] == pytest.approx(expected.sum(), abs=1e-3)


def test_torsion_is_largest_at_cis_for_one_positive_coefficient() -> None:
    torsion = CosineTorsion(indices=[[0, 1, 2, 3]], coefficients=[[3.0]])
    cis = np.array([[0.0, 1, 0], [0, 0, 0], [1, 0, 0], [1, 1, 0]])
    trans = np.array([[0.0, 1, 0], [0, 0, 0], [1, 0, 0], [1, -1, 0]])
    assert from_torch(torsion, cis, None)[0] == pytest.approx(6.0)
    assert from_torch(torsion, trans, None)[0] == pytest.approx(0.0)


@pytest.mark.parametrize("bend", [0.0, 1e-9, 1e-7])
def test_torsion_of_beads_in_line_feels_no_force(bend: float) -> None:
    torsion = CosineTorsion(indices=[[0, 1, 2, 3]], coefficients=[[3.0, 1.0, 2.0]])
    positions = np.array([[0.0, 0, 0], [0.3, 0, 0], [0.6, bend, 0], [0.8, 0.2, 0.1]])
    energy, forces = from_torch(torsion, positions, None)
    assert np.isfinite(energy)
    assert not forces.any()
    positions[1, 1] = 0.01
    assert np.abs(from_torch(torsion, positions, None)[1]).max() > 1


def test_bond_of_no_length_feels_a_finite_force() -> None:
    bond = HarmonicBond(indices=[[0, 1]], length=[0.2], stiffness=[100.0])
    energy, forces = from_torch(bond, np.zeros((2, 3)), None)
    assert energy == pytest.approx(2.0)
    assert not forces.any()


@pytest.mark.physics
def test_repulsion_reaches_zero_smoothly_at_the_cutoff() -> None:
    potential = make_case("power repulsion, one type", None, 50).potential
    below, above = (torch.tensor([0.8 + shift], dtype=torch.float64, requires_grad=True) for shift in (-1e-7, 1e-7))
    for distance in (below, above):
        energy = potential.pair_energy(distance, 0, 0)
        (slope,) = torch.autograd.grad(energy.sum(), distance)
        assert abs(energy.item()) < 1e-10
        assert abs(slope.item()) < 1e-6
    truncated = 4.184 * (0.4 / 0.8) ** 12
    assert truncated > 1e-10, "the control must fail: without the switch the energy jumps"


def test_repulsion_refuses_a_cutoff_beyond_half_the_box() -> None:
    case = make_case("power repulsion", None, 50)
    with pytest.raises(InputError, match=r"1\.5 nm wide .* needs at least 1\.6 nm"):
        case.potential.energy(torch.tensor(case.positions), 1.5 * torch.eye(3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"switch_distance": 0.8}, "must lie between 0 and the cutoff"),
        ({"exponent": 0}, "exponent is 0"),
        ({"exponent": 6.5}, "exponent is 6.5"),
        ({"bead_types": np.array([0, 3])}, r"within 0\.\.2"),
        ({"exclusions": np.array([[1, 1]])}, "0 <= i < j"),
        ({"sigma": np.ones((3, 2))}, r"sigma has shape \(3, 2\)"),
        ({"sigma": np.array([[1, 2, 1], [1, 1, 1], [1, 1, 1]])}, "symmetric"),
        ({"epsilon": np.zeros((3, 3))}, "epsilon .* must be positive"),
    ],
)
def test_repulsion_with_wrong_parameters_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(make_case("power repulsion", None, 50).potential, **changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HarmonicBond(indices=[[0, 1]], length=[0.2], stiffness=[-1.0]), "stiffness of term .* -1 kJ"),
        (lambda: HarmonicBond(indices=[[0, 1]], length=[0.0], stiffness=[1.0]), "length of term"),
        (lambda: HarmonicBond(indices=[[2, 2]], length=[0.1], stiffness=[1.0]), "joins beads"),
        (lambda: HarmonicBond(indices=[[0, 1]], length=[0.1, 0.2], stiffness=[1.0]), "has shape"),
        (lambda: HarmonicBond(indices=[[0, 1]], length=[np.nan], stiffness=[1.0]), "not finite"),
        (lambda: HarmonicAngle(indices=[[0, 1, 0]], angle=[1.0], stiffness=[1.0]), "joins beads"),
        (lambda: CosineAngle(indices=[[0, 1, 1]], coefficients=[[1.0]]), "joins beads"),
        (lambda: CosineAngle(indices=[[0, 1, 2]], coefficients=[1.0]), "has shape"),
        (lambda: CosineTorsion(indices=[[0, 1, 2, 0]], coefficients=[[1.0]]), "joins beads"),
        (lambda: CosineTorsion(indices=[[0, 1, 2, 3]], coefficients=[[np.inf]]), "not finite"),
        (lambda: CosineTorsion(indices=[[0, 1, 2]], coefficients=[[1.0]]), "has shape"),
        (lambda: HarmonicAngle(indices=[[0, 1, 2]], angle=[3.2], stiffness=[1.0]), r"within \(0, pi\]"),
    ],
)
def test_bonded_terms_with_wrong_parameters_are_refused(make: Callable[[], Potential], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_arrays_of_a_potential_cannot_be_changed() -> None:
    bond = HarmonicBond(indices=[[0, 1]], length=[0.2], stiffness=[100.0])
    with pytest.raises(ValueError, match="read-only"):
        bond.length[0] = 1


def test_features_of_a_pair_form_times_its_coefficients_are_its_energy() -> None:
    parameters = {"sigma": 0.36, "epsilon": 3.0, "exponent": 9.0, "cutoff": 0.8, "switch_distance": 0.6}
    tables = {name: np.array([[value]]) for name, value in parameters.items()}
    potential = PowerRepulsion.bind(np.zeros(2, np.int64), tables, np.zeros((0, 2), np.int64))
    r = np.linspace(0.25, 0.8, 50)
    found = PowerRepulsion.features(parameters, r) @ PowerRepulsion.to_coefficients(parameters)
    np.testing.assert_allclose(found, potential.pair_energy(torch.tensor(r), 0, 0).numpy(), rtol=1e-10, atol=1e-12)
    half = PowerRepulsion.from_coefficients(PowerRepulsion.to_coefficients(parameters) / 2, parameters)
    np.testing.assert_allclose(PowerRepulsion.features(half, r) @ PowerRepulsion.to_coefficients(half), found / 2)
    with pytest.raises(InputError, match="a repulsion needs a positive one"):
        PowerRepulsion.from_coefficients(np.array([-1.0]), parameters)


@pytest.mark.parametrize(
    ("harmonics", "force"), [(1, "RBTorsionForce"), (5, "RBTorsionForce"), (6, "PeriodicTorsionForce")]
)
def test_a_torsion_is_one_term_in_openmm_as_far_as_its_form_reaches(harmonics: int, force: str) -> None:
    case = cosine_torsions(np.random.default_rng(0), 30, None, 0.5, harmonics)
    assert type(case.potential.to_openmm(periodic=False)).__name__ == force
