import numpy as np
import openmm
import pytest
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference import ENERGY_GROUPS, create_reference_system, split_interactions
from tests.reference import liquids

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
    system = create_reference_system(liquids.MODEL, 2, liquids.SETTINGS, 3.0)[1]
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
