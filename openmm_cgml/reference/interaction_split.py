"""Splits an OpenMM System's interactions into bonded, intermolecular and intramolecular non-bonded force groups.

Every pair of atoms inside one molecule becomes a null exception of the NonbondedForce, which then holds the
intermolecular energy exactly, reciprocal space and dispersion correction included. The same pairs go, with the scale
factors they had, into a CustomBondForce. The total energy does not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import openmm
from openmm import unit

from openmm_cgml.errors import InputError

__all__ = [
    "BONDED_GROUP",
    "ENERGY_GROUPS",
    "INTERMOLECULAR_GROUP",
    "INTRAMOLECULAR_NONBONDED_GROUP",
    "has_interaction_split",
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

# OpenMM's ONE_4PI_EPS0 (SimTKOpenMMRealType.h), which its Python layer does not expose.
_COULOMB_CONSTANT = 138.93545764438198  # kJ nm / (mol e^2)

_PAIR_ENERGY = f"{_COULOMB_CONSTANT}*charge_product/r + 4*epsilon*((sigma/r)^12 - (sigma/r)^6)"


def split_interactions(system: openmm.System, molecules: Sequence[Sequence[int]]) -> None:
    """Splits `system` in place into the groups of `ENERGY_GROUPS`; its total energy stays the same.

    Meant for small molecules in a box larger than twice their length: the number of exceptions grows with the square
    of the molecule's size, and intramolecular pairs are taken without minimum image, cutoff or switching.

    Args:
        system: System with exactly one NonbondedForce; no barostat or restraint is needed or touched.
        molecules: Atom indices of each molecule.

    Raises:
        InputError: The System is split already, or has no or several NonbondedForces.
    """
    if has_interaction_split(system):
        raise InputError("the System's interactions are split already; split a fresh System instead")
    nonbonded = _only_nonbonded_force(system)
    for force in system.getForces():
        force.setForceGroup(BONDED_GROUP)
    nonbonded.setForceGroup(INTERMOLECULAR_GROUP)
    system.addForce(_move_intramolecular_pairs(nonbonded, molecules))


def has_interaction_split(system: openmm.System) -> bool:
    """Whether `split_interactions` has been applied to `system`."""
    return any(force.getName() == INTRAMOLECULAR_FORCE_NAME for force in system.getForces())


def _only_nonbonded_force(system: openmm.System) -> openmm.NonbondedForce:
    forces = [force for force in system.getForces() if isinstance(force, openmm.NonbondedForce)]
    if len(forces) != 1:
        names = ", ".join(force.getName() for force in system.getForces())
        raise InputError(f"need exactly one NonbondedForce to split, found {len(forces)} among: {names}")
    return forces[0]


def _move_intramolecular_pairs(
    nonbonded: openmm.NonbondedForce, molecules: Iterable[Sequence[int]]
) -> openmm.CustomBondForce:
    exceptions = {}
    for index in range(nonbonded.getNumExceptions()):
        i, j, *parameters = nonbonded.getExceptionParameters(index)
        exceptions[min(i, j), max(i, j)] = (index, [_plain(value) for value in parameters])
    particles = [
        [_plain(value) for value in nonbonded.getParticleParameters(i)] for i in range(nonbonded.getNumParticles())
    ]
    pairs = openmm.CustomBondForce(_PAIR_ENERGY)
    pairs.setName(INTRAMOLECULAR_FORCE_NAME)
    pairs.setForceGroup(INTRAMOLECULAR_NONBONDED_GROUP)
    for name in ("charge_product", "sigma", "epsilon"):
        pairs.addPerBondParameter(name)
    for molecule in molecules:
        for i, j in combinations(sorted(molecule), 2):
            if (i, j) in exceptions:
                index, parameters = exceptions[i, j]
                nonbonded.setExceptionParameters(index, i, j, 0.0, 1.0, 0.0)
            else:
                parameters = _combined(particles[i], particles[j])
                nonbonded.addException(i, j, 0.0, 1.0, 0.0)
            if parameters[0] or parameters[2]:
                pairs.addBond(i, j, parameters)
    return pairs


def _combined(first: Sequence[float], second: Sequence[float]) -> list[float]:
    (charge_1, sigma_1, epsilon_1), (charge_2, sigma_2, epsilon_2) = first, second
    return [charge_1 * charge_2, 0.5 * (sigma_1 + sigma_2), (epsilon_1 * epsilon_2) ** 0.5]


def _plain(quantity: unit.Quantity) -> float:
    return float(quantity.value_in_unit_system(unit.md_unit_system))
