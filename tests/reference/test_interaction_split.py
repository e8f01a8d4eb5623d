import numpy as np
import openmm
import pytest
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference import (
    ENERGY_GROUPS,
    IsolatedMolecules,
    Mixture,
    create_reference_system,
    has_interaction_split,
    read_frame,
    split_interactions,
)
from openmm_cgml.reference.system_molecules import find_molecules
from tests.reference import boxes, liquids

MOLECULES = np.arange(liquids.N_MOLECULES * 12).reshape(-1, 12).tolist()


def evaluate(system, positions, groups=-1):
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True, groups=groups)
    return state.getPotentialEnergy()._value, np.asarray(state.getForces(asNumpy=True)._value)


def nonbonded_only(system, group=5):
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setForceGroup(group)
    return {group}


@pytest.fixture(scope="module")
def distorted():
    """Positions with every internal coordinate off its equilibrium."""
    return liquids.positions() + np.random.default_rng(3).normal(0.0, 0.004, (liquids.N_MOLECULES * 12, 3))


@pytest.mark.physics
def test_split_leaves_total_energy_and_forces_unchanged(distorted):
    energy, forces = evaluate(liquids.plain_system(), distorted)
    split_energy, split_forces = evaluate(liquids.split_system()[1], distorted)
    assert split_energy == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(split_forces, forces, atol=1e-9)


@pytest.mark.physics
def test_groups_add_up_to_the_total(distorted):
    system = liquids.split_system()[1]
    energy, forces = evaluate(system, distorted)
    parts = [evaluate(system, distorted, {group}) for group in ENERGY_GROUPS.values()]
    assert sum(part[0] for part in parts) == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(sum(part[1] for part in parts), forces, atol=1e-9)


@pytest.mark.physics
def test_intermolecular_part_is_the_box_minus_the_isolated_molecules(distorted):
    plain = liquids.plain_system()
    groups = nonbonded_only(plain)
    energy, forces = evaluate(plain, distorted, groups)
    alone = liquids.MODEL.force_field().createSystem(liquids.MODEL.topology(1), nonbondedMethod=app.NoCutoff)
    groups = nonbonded_only(alone)
    isolated = [evaluate(alone, distorted[molecule], groups) for molecule in MOLECULES]
    inter, inter_forces = evaluate(liquids.split_system()[1], distorted, {ENERGY_GROUPS["inter"]})
    assert inter == pytest.approx(energy - sum(part[0] for part in isolated), abs=1e-8)
    np.testing.assert_allclose(inter_forces, forces - np.concatenate([part[1] for part in isolated]), atol=1e-9)
    assert abs(inter - energy) > 100.0  # control: without the isolated molecules the two differ by far


@pytest.mark.physics
def test_intermolecular_energy_of_distant_molecules_does_not_depend_on_their_shape():
    system = create_reference_system(Mixture.of(liquids.MODEL, 2), liquids.SETTINGS, 3.0)[1]
    relaxed = np.concatenate([liquids.MODEL.positions, liquids.MODEL.positions + 1.5])
    stretched = relaxed.copy()
    stretched[0] += 0.02
    inter = [evaluate(system, x, {ENERGY_GROUPS["inter"]})[0] for x in (relaxed, stretched)]
    bonded = [evaluate(system, x, {ENERGY_GROUPS["bonded"]})[0] for x in (relaxed, stretched)]
    assert abs(inter[1] - inter[0]) < 0.1
    assert abs(bonded[1] - bonded[0]) > 10.0  # control


def test_splitting_twice_is_refused():
    system = liquids.split_system()[1]
    with pytest.raises(InputError, match="split already"):
        split_interactions(system, MOLECULES)


def test_system_without_nonbonded_force_is_refused():
    system = openmm.System()
    system.addForce(openmm.HarmonicBondForce())
    with pytest.raises(InputError, match=r"found 0 among: HarmonicBondForce"):
        split_interactions(system, [])


SETTINGS = [
    {"method": "PME"},
    {"method": "PME", "switch": True},
    {"method": "Ewald"},
    {"method": "CutoffPeriodic"},
    {"method": "CutoffPeriodic", "switch": True},
    {"method": "CutoffNonPeriodic"},
    {"method": "NoCutoff"},
    {"method": "PME", "custom": True},
    {"method": "CutoffPeriodic", "custom": True, "switch": True},
    {"method": "NoCutoff", "custom": True},
    {"method": "PME", "blend": True},
]


@pytest.mark.physics
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
def test_split_keeps_energy_and_forces_whatever_the_method_and_the_form(settings):
    system, positions = boxes.chains(**settings)
    energy, forces = boxes.state(system, positions)
    split_interactions(system)
    split_energy, split_forces = boxes.state(system, positions)
    assert split_energy == pytest.approx(energy, rel=1e-10)
    np.testing.assert_allclose(split_forces, forces, atol=1e-8 * np.abs(forces).max())
    intra, _ = boxes.state(system, positions, {ENERGY_GROUPS["intra_nonbonded"]})
    assert abs(intra) > 1e-2 * abs(energy)  # control: something was moved


@pytest.mark.physics
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
def test_split_and_molecules_alone_give_the_same_intermolecular_forces(settings):
    """Two ways that share no arithmetic: exclusions in the box, and each molecule by itself taken off."""
    system, positions = boxes.chains(**settings, nonbonded_group=1)
    isolated = IsolatedMolecules.from_system(system, boxes.PLATFORM)
    alone = read_frame(boxes.context(system, positions), isolated=isolated)
    total = boxes.state(system, positions)[1]
    split_interactions(system)
    split = read_frame(boxes.context(system, positions))
    scale = np.abs(total).max()
    error = 2e-3 if settings["method"] in ("PME", "Ewald") else 1e-6  # of the sum over reciprocal space
    np.testing.assert_allclose(split.forces_inter, alone.forces_inter, atol=error * scale)
    np.testing.assert_allclose(split.forces[0], total, atol=1e-5 * scale)
    assert np.abs(split.forces_inter - split.forces).max() > 0.1 * scale  # control: leaving the molecules in would show


def test_molecules_are_found_by_bonds_constraints_exceptions_and_virtual_sites():
    system = openmm.System()
    for mass in (16.0, 1.0, 0.0, 40.0, 12.0, 12.0):
        system.addParticle(mass)
    system.addConstraint(0, 1, 0.1)
    system.setVirtualSite(2, openmm.TwoParticleAverageSite(0, 1, 0.5, 0.5))
    bond = openmm.HarmonicBondForce()
    bond.addBond(4, 5, 0.15, 1000.0)
    restraint = openmm.CustomBondForce("r^2")
    restraint.addBond(3, 4, [])
    restraint.setForceGroup(5)
    system.addForce(bond)
    system.addForce(restraint)
    assert find_molecules(system) == [[0, 1, 2], [3], [4, 5]]


@pytest.mark.parametrize(
    ("molecules", "message"),
    [
        ([[2 * m, 2 * m + 1] for m in range(18)], r"bond of HarmonicBondForce joins particles 1 and 2.*molecule 0 and in"),
        (boxes.CHAINS[:3], r"joins particles 18 and 19, which the list has in none"),
        ([boxes.CHAINS[0] + boxes.CHAINS[1], *boxes.CHAINS[2:]], r"molecule 0 of the list holds particles 0 and 6"),
        ([*boxes.CHAINS, [0]], r"particle 0 is in molecules 0 and 6"),
        ([*boxes.CHAINS, [99]], r"holds particle 99; the System has 0 to 35"),
    ],
)  # fmt: skip
def test_list_that_is_none_of_the_molecules_is_refused(molecules, message):
    system, _ = boxes.chains()
    before = openmm.XmlSerializer.serialize(system)
    with pytest.raises(InputError, match=message):
        split_interactions(system, molecules)
    assert openmm.XmlSerializer.serialize(system) == before


def test_restraint_keeps_its_group_and_is_left_out_of_the_recorded_forces():
    system, positions = boxes.chains()
    restraint = openmm.CustomExternalForce("1000*x")
    restraint.setForceGroup(5)
    distance = openmm.HarmonicBondForce()  # between two chains, which stay two
    distance.addBond(0, 6, 0.1, 1000.0)
    distance.setForceGroup(6)
    for particle in range(len(positions)):
        restraint.addParticle(particle)
    free = boxes.state(system, positions)[1]
    system.addForce(restraint)
    system.addForce(distance)
    split_interactions(system)
    context = boxes.context(system, positions)
    without = read_frame(context, exclude_groups=(5, 6))
    np.testing.assert_allclose(without.forces[0], free, atol=1e-4 * np.abs(free).max())
    assert "other" not in without.energies
    everything = read_frame(context)
    assert np.abs(everything.forces[0] - free).max() > 900.0  # control: they would show
    assert everything.energies["other"][0] == pytest.approx(boxes.state(system, positions, {5, 6})[0])


def gb(system):
    force = openmm.GBSAOBCForce()
    for _ in range(system.getNumParticles()):
        force.addParticle(0.0, 0.1, 1.0)
    return force


def external(group):
    def make(system):
        force = openmm.CustomExternalForce("x^2")
        force.setForceGroup(group)
        force.addParticle(0)
        return force

    return make


def grouped(system):
    force = openmm.CustomNonbondedForce("1/r")
    for _ in range(system.getNumParticles()):
        force.addParticle([])
    force.addInteractionGroup([0], [1])
    return force


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (gb, r"GBSAOBCForce.*no sum over pairs.*require_split=False"),
        (external(0), r"CustomExternalForce.*group 0.*from 3 to 31"),
        (external(1), r"CustomExternalForce.*group 1.*from 3 to 31"),
        (grouped, r"1 interaction groups"),
        (lambda system: openmm.NonbondedForce(), r"found 2 among"),
    ],
)
def test_force_that_cannot_be_split_is_refused_by_name(make, message):
    system, _ = boxes.chains()
    system.addForce(make(system))
    with pytest.raises(InputError, match=message):
        split_interactions(system)
    assert not has_interaction_split(system)


def test_lennard_jones_by_ewald_is_refused():
    system, _ = boxes.chains("LJPME")
    with pytest.raises(InputError, match="LJPME"):
        split_interactions(system)


@pytest.mark.physics
@pytest.mark.slow
def test_all_forces_on_rigid_water_are_intermolecular_with_lennard_jones_in_a_custom_force():
    modeller = app.Modeller(app.Topology(), [])
    force_field = app.ForceField("charmm36.xml", "charmm36/water.xml")
    modeller.addSolvent(force_field, numAdded=20)
    system = force_field.createSystem(modeller.topology, nonbondedMethod=app.NoCutoff)
    assert any(isinstance(force, openmm.CustomNonbondedForce) for force in system.getForces())
    split_interactions(system)
    frame = read_frame(boxes.context(system, modeller.positions))
    total, inter = (
        forces[0].astype(float).reshape(-1, 3, 3).sum(axis=1) for forces in (frame.forces, frame.forces_inter)
    )
    np.testing.assert_allclose(inter, total, atol=1e-3 * np.abs(total).max())
    charges = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    charges.setForceGroup(9)
    alone = boxes.state(system, modeller.positions, {9})[1].reshape(-1, 3, 3).sum(axis=1)
    assert np.abs(alone - total).max() > 0.1 * np.abs(total).max()  # control: without Lennard-Jones they differ
