import numpy as np
import openmm
import pytest
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference import IsolatedMolecules, isolate_nonbonded, read_frame
from tests.reference import boxes, chains

PLATFORM = openmm.Platform.getPlatform("Reference")


def nonbonded(system, positions):
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), PLATFORM)
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True, groups={1})
    return state.getPotentialEnergy()._value, np.asarray(state.getForces(asNumpy=True)._value)


def without_tail(system):
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setUseDispersionCorrection(False)
    return system


def isolated_of(box, length):
    return box.isolated(chains.SETTINGS, length, PLATFORM, {})


@pytest.mark.physics
def test_chains_far_apart_have_no_intermolecular_energy():
    box, length = chains.box(), 12.0
    positions = box.polymer.grow(1, chains.MONOMERS, 3.0, np.random.default_rng(1))
    both = np.concatenate([positions - positions.mean(0) + 2.0, positions - positions.mean(0) + 8.0])
    settings = chains.SETTINGS.model_copy(update={"cutoff": 1.2, "switch_distance": 1.0})
    energy, forces = nonbonded(without_tail(box.create_system(settings, length)), both)
    alone, alone_forces = box.isolated(settings, length, PLATFORM, {}).evaluate(both)
    assert energy == pytest.approx(alone, abs=0.05)  # the accuracy of PME
    np.testing.assert_allclose(forces, alone_forces, atol=0.5)
    assert abs(energy) > 1.0  # control: there is something to take off


@pytest.mark.physics
def test_sum_is_that_of_each_chain_without_periodic_boundaries():
    box = chains.box(n_chains=1, monomers=3)
    positions = box.polymer.grow(1, 3, 3.0, np.random.default_rng(2))
    system = box.polymer.gaff_force_field().createSystem(box.topology(), nonbondedMethod=app.NoCutoff)
    for force in system.getForces():
        force.setForceGroup(1 if isinstance(force, openmm.NonbondedForce) else 0)
    energy, forces = nonbonded(system, positions)
    settings = chains.SETTINGS.model_copy(update={"cutoff": 4.0, "switch_distance": 3.9})
    alone, alone_forces = box.isolated(settings, 9.0, PLATFORM, {}).evaluate(positions)
    assert alone == pytest.approx(energy, abs=1e-6)
    np.testing.assert_allclose(alone_forces, forces, atol=1e-5)


@pytest.mark.physics
def test_chain_and_its_own_image_interact_intermolecularly():
    """A straight chain that reaches through the boundary into itself feels its image, one in a wide box does not."""
    box = chains.box(n_chains=1, monomers=6)
    inter = {}
    for edge in (1.75, 6.0):
        positions = _straight(box)
        energy, _ = nonbonded(without_tail(box.create_system(chains.SETTINGS, edge)), positions)
        inter[edge] = energy - isolated_of(box, edge).evaluate(positions)[0]
    assert abs(inter[6.0]) < 0.05
    assert abs(inter[1.75]) > 1.0


def _straight(box):
    carbons = np.stack([0.127 * np.arange(12), 0.086 * (np.arange(12) % 2), np.zeros(12)], axis=1)
    from openmm_cgml.reference.polyethylene import _with_hydrogens

    return _with_hydrogens(carbons)


def test_system_without_nonbonded_force_is_refused():
    with pytest.raises(InputError, match="exactly one NonbondedForce"):
        isolate_nonbonded(openmm.System(), 3)


def test_every_molecule_counts():
    box = chains.box()
    one = box.polymer.grow(1, chains.MONOMERS, 3.0, np.random.default_rng(1))
    isolated = isolated_of(box, 3.0)
    single = IsolatedMolecules(
        isolate_nonbonded(box.create_system(chains.SETTINGS, 3.0), len(one)), 1, PLATFORM
    ).evaluate(one)
    double = isolated.evaluate(np.concatenate([one, one + 5.0]))
    assert double[0] == pytest.approx(2 * single[0])
    np.testing.assert_allclose(double[1], np.concatenate([single[1]] * 2), atol=1e-8)


def test_molecules_that_differ_are_refused_where_one_would_stand_for_all():
    system, _ = boxes.chains(blend=True, nonbonded_group=1)
    with pytest.raises(InputError, match=r"molecule 3 has other .*from_system"):
        isolate_nonbonded(system, boxes.LENGTH)
    alike, _ = boxes.chains(nonbonded_group=1)
    assert len(isolate_nonbonded(alike, boxes.LENGTH)) == 2  # control


def test_number_of_atoms_that_makes_no_molecules_is_refused():
    system, _ = boxes.chains()
    with pytest.raises(InputError, match=r"36 particles are no whole number of molecules of 7"):
        isolate_nonbonded(system, 7)
    with pytest.raises(InputError, match=r"joins particles 2 and 3"):
        isolate_nonbonded(system, 3)


def test_positions_of_another_box_are_refused():
    system, positions = boxes.chains()
    isolated = IsolatedMolecules.from_system(system, PLATFORM)
    with pytest.raises(InputError, match=r"35 positions for isolated molecules of 36 atoms"):
        isolated.evaluate(positions[1:])


@pytest.mark.physics
def test_forces_of_virtual_sites_act_on_their_parents_once():
    system, positions = water(4)
    isolated = IsolatedMolecules.from_system(system, PLATFORM)
    energy, forces = isolated.evaluate(positions)
    assert energy == pytest.approx(0.0, abs=1e-9)  # all pairs of a rigid water are excluded
    np.testing.assert_allclose(forces, 0.0, atol=1e-9)
    total = boxes.state(system, positions)[1]
    frame = read_frame(boxes.context(system, positions), isolated=isolated)
    np.testing.assert_array_equal(frame.forces[0, 3::4], 0.0)
    np.testing.assert_allclose(frame.forces[0, [0, 1, 2]], total[:3], atol=1e-3)
    assert np.abs(total[3]).max() > 1.0  # control: OpenMM itself reports the force on the site too


@pytest.mark.parametrize(("bond_group", "nonbonded_group", "name"), [(0, 0, "NonbondedForce"), (1, 1, "HarmonicBond")])
def test_force_in_the_wrong_group_is_refused(bond_group, nonbonded_group, name):
    system, positions = boxes.chains(bond_group=bond_group, nonbonded_group=nonbonded_group)
    isolated = IsolatedMolecules.from_system(system, PLATFORM)
    with pytest.raises(InputError, match=rf"{name}.*call setForceGroup"):
        read_frame(boxes.context(system, positions), isolated=isolated)


def water(n_molecules):
    modeller = app.Modeller(app.Topology(), [])
    force_field = app.ForceField("tip4pew.xml")
    modeller.addSolvent(force_field, model="tip4pew", numAdded=n_molecules)
    system = force_field.createSystem(modeller.topology, nonbondedMethod=app.NoCutoff)
    for force in system.getForces():
        force.setForceGroup(1 if isinstance(force, openmm.NonbondedForce) else 0)
    return system, np.array(modeller.positions.value_in_unit(openmm.unit.nanometer))
