import math

import numpy as np
import openmm
import pytest
from openmm import unit

from openmm_cgml.errors import InputError
from openmm_cgml.potentials import CosineAngle, HarmonicAngle, HarmonicBond, PowerRepulsion
from openmm_cgml.system import add_forces, box_vectors, check_box, suggest_time_step

TRICLINIC = np.array([[3.0, 0, 0], [0.5, 3.0, 0], [-0.7, 1.2, 2.5]])


def bond(stiffness=80000.0):
    return HarmonicBond(indices=[[0, 1]], length=[0.24], stiffness=[stiffness])


def period_in_simulation(system, positions, time_step, measure):
    """Period of a small oscillation, from the upward zero crossings of `measure` about its mean."""
    context = openmm.Context(system, openmm.VerletIntegrator(time_step), openmm.Platform.getPlatform("Reference"))
    context.setPositions(positions)
    values = []
    for _ in range(4000):
        context.getIntegrator().step(1)
        values.append(measure(context.getState(positions=True).getPositions(asNumpy=True)._value))
    values = np.array(values) - np.mean(values)
    crossings = np.flatnonzero((values[:-1] < 0) & (values[1:] >= 0))
    return (crossings[-1] - crossings[0]) / (len(crossings) - 1) * time_step


@pytest.mark.physics
def test_the_period_of_a_bond_is_that_of_a_simulated_dimer():
    system = openmm.System()
    masses = np.array([15.0, 60.0])
    for mass in masses:
        system.addParticle(mass)
    system.addForce(bond().to_openmm(periodic=False))
    suggested = suggest_time_step([bond()], masses)
    simulated = period_in_simulation(system, [[0, 0, 0], [0.241, 0, 0]], 1e-4, lambda x: np.linalg.norm(x[1] - x[0]))
    assert suggested.period == pytest.approx(simulated, rel=2e-3)
    assert suggested.time_step == pytest.approx(suggested.period / 20)
    assert suggested.term == "bond 0-1"
    # The control: the papers' k (l - l0)^2 taken for 1/2 k would be off by the square root of two.
    assert suggest_time_step([bond(160000.0)], masses).period != pytest.approx(simulated, rel=0.2)


@pytest.mark.physics
def test_the_period_of_an_angle_is_a_little_below_that_of_a_simulated_trimer():
    masses = np.array([15.0, 30.0, 20.0])
    stiff = HarmonicBond(indices=[[0, 1], [1, 2]], length=[0.2, 0.3], stiffness=[4e7, 4e7])
    soft = HarmonicAngle(indices=[[0, 1, 2]], angle=[2.0], stiffness=[500.0])
    system = openmm.System()
    for mass in masses:
        system.addParticle(mass)
    for potential in (stiff, soft):
        system.addForce(potential.to_openmm(periodic=False))
    theta = 2.02
    positions = [[0.2, 0, 0], [0, 0, 0], [0.3 * math.cos(theta), 0.3 * math.sin(theta), 0]]

    def angle(x):
        a, b = x[0] - x[1], x[2] - x[1]
        return math.acos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    simulated = period_in_simulation(system, positions, 2e-4, angle)
    loose = HarmonicBond(indices=[[0, 1], [1, 2]], length=[0.2, 0.3], stiffness=[1.0, 1.0])
    suggested = suggest_time_step([loose, soft], masses)
    assert suggested.term == "angle 0-1-2"
    assert 0.9 * simulated < suggested.period < simulated  # on the safe side, by the coupling to the bonds


def test_the_period_of_a_series_of_cosines_is_that_of_its_curvature_in_the_deepest_valley():
    masses = np.array([15.0, 30.0, 20.0, 20.0])
    loose = HarmonicBond(indices=[[0, 1], [1, 2], [2, 3]], length=[0.2, 0.3, 0.2], stiffness=[1.0, 1.0, 1.0])
    harmonic = HarmonicAngle(indices=[[0, 1, 2]], angle=[2.0], stiffness=[500.0])
    k = 500.0 / math.sin(2.0) ** 2  # of 1/2 k (cos(theta) - cos(2))^2
    series = [-k * math.cos(2.0), k / 4]
    cosine = CosineAngle(indices=[[1, 2, 3], [0, 1, 2]], coefficients=[[1.0, 0.0], series])
    angles, curvatures = cosine.minima()
    assert angles == pytest.approx([math.pi, 2.0], abs=1e-3)
    assert curvatures == pytest.approx([1.0, 500.0], rel=1e-2)
    suggested = suggest_time_step([loose, cosine], masses)
    assert suggested.term == "angle 0-1-2"
    assert suggested.period == pytest.approx(suggest_time_step([loose, harmonic], masses).period, rel=5e-3)
    flat = CosineAngle(indices=[[0, 1, 2]], coefficients=[[0.0]])
    assert suggest_time_step([loose, flat], masses).term.startswith("bond")


def test_the_stiffest_term_decides_and_no_terms_decide_nothing():
    masses = np.full(3, 26.0)
    repulsion = PowerRepulsion(
        bead_types=[0, 0, 0],
        sigma=[[0.4]],
        epsilon=[[4.184]],
        exponent=12,
        cutoff=0.8,
        switch_distance=0.7,
        exclusions=[[0, 1]],
    )
    alone = suggest_time_step([repulsion], masses)
    assert alone.term.startswith("power repulsion")
    assert suggest_time_step([repulsion], masses, temperature=600.0).period < alone.period
    assert suggest_time_step([repulsion, bond()], masses).term == "bond 0-1"
    assert suggest_time_step([], masses) is None


def test_boxes_come_in_every_usual_form():
    edges = np.diag([3.0, 4.0, 5.0])
    assert box_vectors(None) is None
    for given in ([3.0, 4.0, 5.0], edges, edges.tolist(), [30, 40, 50] * unit.angstrom):
        assert np.allclose(box_vectors(given), edges)
    vectors = [openmm.Vec3(*row) for row in TRICLINIC]
    for given in (TRICLINIC, vectors * unit.nanometer, [vector * unit.nanometer for vector in vectors]):
        assert np.allclose(box_vectors(given), TRICLINIC)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([3.0, 4.0], "three finite edges"),
        ([3.0, 4.0, math.nan], "three finite edges"),
        ([3.0, 4.0, 0.0], "rotate the system"),
        ([3.0, 4.0, -1.0], "rotate the system"),
        ([[3, 0.1, 0], [0, 3, 0], [0, 0, 3]], "rotate the system"),
        ([[3, 0, 0], [2, 3, 0], [0, 0, 3]], "not reduced"),
    ],
)
def test_boxes_that_openmm_cannot_use_are_refused(box, reason):
    with pytest.raises(InputError, match=reason):
        box_vectors(box)


def test_a_box_below_twice_the_longest_cutoff_is_refused_with_the_width_needed():
    cutoffs = {"power repulsion": 0.7, "network": 1.0}
    check_box(np.eye(3) * 2.0, cutoffs)
    with pytest.raises(InputError, match=r"1\.99 nm wide and the cutoff of the network is 1 nm.*at least 2 nm"):
        check_box(np.diag([3.0, 1.99, 3.0]), cutoffs)
    with pytest.raises(InputError, match="no periodic box"):
        check_box(None, cutoffs)


def test_forces_get_the_free_force_groups_or_the_one_asked_for():
    system = openmm.System()
    other = openmm.CMMotionRemover()
    other.setForceGroup(2)
    system.addForce(other)
    add_forces(system, [openmm.HarmonicBondForce() for _ in range(3)])
    assert [force.getForceGroup() for force in system.getForces()] == [2, 1, 3, 4]
    add_forces(system, [openmm.HarmonicBondForce() for _ in range(2)], force_group=7)
    assert [force.getForceGroup() for force in system.getForces()][-2:] == [7, 7]
    with pytest.raises(InputError, match="force_group"):
        add_forces(system, [openmm.HarmonicBondForce() for _ in range(30)])


@pytest.mark.physics
def test_the_period_of_a_bond_to_a_frozen_bead_is_that_of_the_bead_that_moves():
    system = openmm.System()
    masses = np.array([0.0, 15.0])
    for mass in masses:
        system.addParticle(mass)
    system.addForce(bond().to_openmm(periodic=False))
    suggested = suggest_time_step([bond()], masses)
    simulated = period_in_simulation(system, [[0, 0, 0], [0.241, 0, 0]], 1e-4, lambda x: np.linalg.norm(x[1] - x[0]))
    assert suggested.period == pytest.approx(simulated, rel=2e-3)
    # The control: were both beads as light, the period would be shorter by the square root of two.
    assert suggest_time_step([bond()], np.full(2, 15.0)).period != pytest.approx(simulated, rel=0.2)


def test_an_angle_with_frozen_ends_moves_by_its_middle():
    loose = HarmonicBond(indices=[[0, 1], [1, 2]], length=[0.2, 0.3], stiffness=[1e-6, 1e-6])
    angle = HarmonicAngle(indices=[[0, 1, 2]], angle=[2.0], stiffness=[500.0])
    heavy, frozen = (suggest_time_step([loose, angle], np.array([m, 30.0, m])) for m in (1e12, 0.0))
    assert frozen.term == "angle 0-1-2"
    assert frozen.period == pytest.approx(heavy.period)


def test_terms_between_frozen_beads_decide_nothing():
    repulsion = PowerRepulsion(
        bead_types=[0, 0, 1],
        sigma=[[0.4, 0.4], [0.4, 0.4]],
        epsilon=[[4.184, 4.184], [4.184, 4.184]],
        exponent=12,
        cutoff=0.8,
        switch_distance=0.7,
        exclusions=[[0, 1]],
    )
    assert suggest_time_step([bond(), repulsion], np.zeros(3)) is None
    partly = suggest_time_step([bond(), repulsion], np.array([0.0, 0.0, 26.0]))
    assert partly.term.startswith("power repulsion")
    # Frozen beads of a type do not hide those of it that move.
    mixed = suggest_time_step([repulsion], np.array([0.0, 13.0, 26.0]))
    assert mixed.period == pytest.approx(partly.period / np.sqrt(2))
