import numpy as np
import openmm
import pytest
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference import recording_metadata
from openmm_cgml.reference.recorded_atoms import count_degrees_of_freedom, real_masses, recorded_atoms
from tests.reference import liquids


def ethane(masses, element="H", bonded=True):
    """CH3-CH3 as topology, and a System of these masses [Da]: C, three H, C, three H."""
    topology, system = app.Topology(), openmm.System()
    residue = topology.addResidue("ETH", topology.addChain())
    atoms = []
    for k in range(2):
        atoms.append(topology.addAtom(f"C{k}", app.Element.getBySymbol("C"), residue))
        atoms += [topology.addAtom(f"H{k}{i}", app.Element.getBySymbol(element), residue) for i in range(3)]
    pairs = [(0, 4), *((4 * k, 4 * k + i) for k in range(2) for i in range(1, 4))]
    for i, j in pairs if bonded else ():
        topology.addBond(atoms[i], atoms[j])
    for mass in masses:
        system.addParticle(mass)
    bonds = openmm.HarmonicBondForce()
    for i, j in pairs:
        bonds.addBond(i, j, 0.11, 1000.0)
    system.addForce(bonds)
    return topology, system


ELEMENTS = [12.01078, 1.007947, 1.007947, 1.007947] * 2


@pytest.mark.parametrize(
    ("masses", "expected"),
    [
        (ELEMENTS, ELEMENTS),
        ([12.01078 - 3 * 2.0, 3.007947, 3.007947, 3.007947] * 2, ELEMENTS),  # hydrogen mass repartitioning
        ([12.01, 1.008, 1.008, 1.008] * 2, ELEMENTS),  # as a force field rounds them
        ([12.01, 2.0141, 2.0141, 2.0141] * 2, [12.01, 2.0141, 2.0141, 2.0141] * 2),  # deuterium
        ([0.0] * 4 + ELEMENTS[4:], ELEMENTS),  # frozen
    ],
    ids=["elements", "repartitioned", "rounded", "isotopes", "frozen"],
)
def test_masses_are_real_ones(masses, expected):
    np.testing.assert_allclose(real_masses(*ethane(masses)), expected, atol=1e-3)


def test_united_atoms_weigh_what_the_system_says():
    topology, system = app.Topology(), openmm.System()
    residue = topology.addResidue("BUT", topology.addChain())
    for k, mass in enumerate((15.035, 14.027, 14.027, 15.035)):
        topology.addAtom(f"C{k}", app.Element.getBySymbol("C"), residue)
        system.addParticle(mass)
    assert recorded_atoms(topology, system).masses.tolist() == [15.035, 14.027, 14.027, 15.035]


def test_metadata_of_a_reference_liquid_are_those_of_its_elements():
    topology, system = liquids.split_system()
    metadata = recording_metadata(topology, system, temperature=300.0, source={})
    np.testing.assert_allclose(metadata["atoms"]["masses"], np.tile(liquids.MODEL.masses, liquids.N_MOLECULES))
    assert system.getParticleMass(11)._value == pytest.approx(3.0)  # control: the run had heavy hydrogens
    assert "degrees_of_freedom" not in metadata


def test_frozen_atoms_are_told_by_their_degrees_of_freedom():
    topology, system = ethane([0.0] * 4 + ELEMENTS[4:])
    system.addConstraint(4, 5, 0.11)
    system.addForce(openmm.CMMotionRemover())
    metadata = recording_metadata(topology, system, temperature=300.0, source={})
    assert metadata["degrees_of_freedom"] == count_degrees_of_freedom(system) == 12 - 1 - 3


def test_bonds_that_the_topology_lacks_are_asked_for():
    topology, system = ethane(ELEMENTS, bonded=False)
    with pytest.raises(InputError, match=r"a bond of the System joins atoms 0 and 4 .*\(7 such pairs\).*addBond"):
        recorded_atoms(topology, system)


def test_topology_of_another_system_is_refused():
    topology, _ = ethane(ELEMENTS)
    with pytest.raises(InputError, match="topology has 8 atoms, the System 3 particles"):
        recorded_atoms(topology, _three())


def test_atom_without_element_is_refused():
    topology, system = app.Topology(), openmm.System()
    topology.addAtom("X", None, topology.addResidue("X", topology.addChain()))
    system.addParticle(14.0)
    with pytest.raises(InputError, match=r"atom 0 \('X'\) has no element"):
        recorded_atoms(topology, system)


def _three():
    system = openmm.System()
    for _ in range(3):
        system.addParticle(1.0)
    return system
