"""Splits an OpenMM System's interactions into bonded, intermolecular and intramolecular non-bonded force groups.

Every pair of atoms inside one molecule becomes a null exception of the NonbondedForce and an exclusion of every
CustomNonbondedForce, which then hold the intermolecular energy exactly, reciprocal space and dispersion correction
included. The same pairs go into bond forces of their own, with the cutoff, switch, reaction field and scale factors
they had. The total energy does not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_cgml.errors import InputError
from openmm_cgml.reference.custom_pairs import intramolecular_custom_pairs
from openmm_cgml.reference.force_kinds import FREE_GROUPS, is_bonded, nonbonded_forces
from openmm_cgml.reference.standard_pairs import combined_parameters, pair_energy, plain_pair_energy
from openmm_cgml.reference.system_molecules import checked_molecules

__all__ = [
    "BONDED_GROUP",
    "ENERGY_GROUPS",
    "INTERMOLECULAR_GROUP",
    "INTRAMOLECULAR_NONBONDED_GROUP",
    "has_interaction_split",
    "intramolecular_pairs",
    "split_interactions",
]

BONDED_GROUP = 0
INTERMOLECULAR_GROUP = 1
INTRAMOLECULAR_NONBONDED_GROUP = 2

# Component names as they are stored in Frames.energies.
ENERGY_GROUPS: Mapping[str, int] = {
    "bonded": BONDED_GROUP,
    "inter": INTERMOLECULAR_GROUP,
    "intra_nonbonded": INTRAMOLECULAR_NONBONDED_GROUP,
}

INTRAMOLECULAR_FORCE_NAME = "intramolecular non-bonded"


def split_interactions(system: openmm.System, molecules: Sequence[Sequence[int]] | None = None) -> None:
    """Split `system` in place into the groups of `ENERGY_GROUPS`; its total energy stays the same.

    Meant for small molecules in a box larger than twice their length: the number of exceptions grows with the square
    of the molecule's size, and intramolecular pairs are taken without minimum image. Lennard-Jones may be in the
    NonbondedForce or in a CustomNonbondedForce (NBFIX). Forces in groups from 3 to 31 stay where they are, so that
    restraints can be left out of a recording by their group.

    Args:
        system: System with one NonbondedForce, CustomNonbondedForces, or both; no barostat is needed or touched.
        molecules: Atom indices of each molecule; by default the molecules are found in the System.

    Raises:
        InputError: The System is split already, its molecules are not those of the list, or it has a force that cannot
            be split.
    """
    if has_interaction_split(system):
        raise InputError("the System's interactions are split already; split a fresh System instead")
    nonbonded = nonbonded_forces(system)
    whole = checked_molecules(system, molecules)
    for force in system.getForces():
        if is_bonded(force) and force.getForceGroup() not in FREE_GROUPS:
            force.setForceGroup(BONDED_GROUP)
    within = []
    for force in nonbonded:
        force.setForceGroup(INTERMOLECULAR_GROUP)
        if isinstance(force, openmm.NonbondedForce):
            force.setReciprocalSpaceForceGroup(-1)
            within += _move_intramolecular_pairs(force, whole)
        else:
            within.append(intramolecular_custom_pairs(force, whole))
    for force in within:
        force.setName(INTRAMOLECULAR_FORCE_NAME)
        force.setForceGroup(INTRAMOLECULAR_NONBONDED_GROUP)
        system.addForce(force)


def has_interaction_split(system: openmm.System) -> bool:
    """Whether `split_interactions` has been applied to `system`."""
    return any(force.getName() == INTRAMOLECULAR_FORCE_NAME for force in system.getForces())


def intramolecular_pairs(system: openmm.System) -> NDArray[np.int64]:
    """The pairs that `split_interactions` took out of the non-bonded forces and that interact, shape (n_pairs, 2)."""
    pairs: list[Sequence[int]] = []
    for force in system.getForces():
        if force.getName() == INTRAMOLECULAR_FORCE_NAME:
            bonds = (force.getBondParameters(index) for index in range(force.getNumBonds()))
            compound = isinstance(force, openmm.CustomCompoundBondForce)
            pairs += [bond[0] if compound else bond[:2] for bond in bonds]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _move_intramolecular_pairs(
    nonbonded: openmm.NonbondedForce, molecules: Iterable[Sequence[int]]
) -> list[openmm.CustomBondForce]:
    """Bond forces for the pairs that were exceptions, which have no cutoff, and for all others."""
    exceptions = {}
    for index in range(nonbonded.getNumExceptions()):
        i, j, *parameters = nonbonded.getExceptionParameters(index)
        exceptions[min(i, j), max(i, j)] = (index, [_plain(value) for value in parameters])
    particles = [
        [_plain(value) for value in nonbonded.getParticleParameters(i)] for i in range(nonbonded.getNumParticles())
    ]
    scaled, ordinary = _bond_force(plain_pair_energy()), _bond_force(pair_energy(nonbonded))
    scaled.setUsesPeriodicBoundaryConditions(nonbonded.getExceptionsUsePeriodicBoundaryConditions())
    for molecule in molecules:
        for i, j in combinations(molecule, 2):
            if (i, j) in exceptions:
                index, parameters = exceptions[i, j]
                nonbonded.setExceptionParameters(index, i, j, 0.0, 1.0, 0.0)
                force = scaled
            else:
                parameters = combined_parameters(particles[i], particles[j])
                nonbonded.addException(i, j, 0.0, 1.0, 0.0)
                force = ordinary
            if parameters[0] or parameters[2]:
                force.addBond(i, j, parameters)
    return [scaled, ordinary] if ordinary.getNumBonds() else [scaled]


def _bond_force(energy: str) -> openmm.CustomBondForce:
    pairs = openmm.CustomBondForce(energy)
    for name in ("charge_product", "sigma", "epsilon"):
        pairs.addPerBondParameter(name)
    return pairs


def _plain(quantity: unit.Quantity) -> float:
    return float(quantity.value_in_unit_system(unit.md_unit_system))
