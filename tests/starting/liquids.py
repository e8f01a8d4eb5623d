"""Molecules with made-up parameters, so that tests of what follows need no AmberTools."""

import openmm

from openmm_cgml.starting.ambertools import Parameters
from openmm_cgml.starting.force_field_xml import ParametrizedMolecule
from openmm_cgml.starting.molecules import read_smiles


def fake_parameters(molecule, charges="bcc", *, stiffness=250_000.0):
    """Bonds as the geometry has them, and the same Lennard-Jones parameters for all atoms of an element."""
    system = openmm.System()
    bonds, nonbonded = openmm.HarmonicBondForce(), openmm.NonbondedForce()
    for element, mass in zip(molecule.elements, molecule.masses, strict=True):
        system.addParticle(mass)
        nonbonded.addParticle(0.0, 0.25 if element == "H" else 0.34, 0.06 if element == "H" else 0.4)
    for i, j in molecule.bonds:
        length = float(((molecule.positions[i] - molecule.positions[j]) ** 2).sum() ** 0.5)
        bonds.addBond(i, j, length, stiffness)
    nonbonded.createExceptionsFromBonds(list(molecule.bonds), 1 / 1.2, 0.5)
    system.addForce(bonds)
    system.addForce(nonbonded)
    return Parameters(system=system, types=molecule.elements, source=f"made up, {charges}", notes=())


def parametrized(smiles, name="MOL", **settings):
    molecule = read_smiles(smiles, name)
    return ParametrizedMolecule(molecule=molecule, parameters=fake_parameters(molecule, **settings))
