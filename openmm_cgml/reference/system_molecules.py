"""Molecules of an OpenMM System: what its bonds, constraints, exceptions and virtual sites hold together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.reference.force_kinds import FREE_GROUPS
from openmm_cgml.topology import connected_components

__all__ = ["checked_molecules", "find_molecules", "joined_pairs"]


def find_molecules(system: openmm.System) -> list[list[int]]:
    """Particles of each molecule, in increasing order, one list per molecule.

    Joined are the ends of a bond (HarmonicBondForce, CustomBondForce), a constraint, an exception or exclusion of a
    non-bonded force, and a virtual site with its parents. Forces in groups from 3 on may be restraints and join
    nothing.
    """
    n = system.getNumParticles()
    pairs = np.array([pair for _, pair in joined_pairs(system)], dtype=np.int64).reshape(-1, 2)
    labels = connected_components(n, pairs)
    order = np.argsort(labels, kind="stable")
    return [part.tolist() for part in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)] if n else []


def checked_molecules(system: openmm.System, molecules: Sequence[Sequence[int]] | None) -> list[list[int]]:
    """The molecules as given, completed by single particles, or as `find_molecules` finds them.

    Raises:
        InputError: A particle is listed twice or does not exist, something joins particles of two molecules, or
            nothing joins the parts of one.
    """
    found = find_molecules(system)
    if molecules is None:
        return found
    owner = _owners(system.getNumParticles(), molecules)
    for what, (i, j) in joined_pairs(system):
        if owner[i] != owner[j] or owner[i] < 0:
            places = [f"in molecule {owner[k]}" if owner[k] >= 0 else "in none" for k in (i, j)]
            raise InputError(
                f"{what} joins particles {i} and {j}, which the list has {places[0]} and {places[1]}: list whole "
                "molecules (a residue of a chain is none), or leave `molecules` out to have them found in the System. "
                "A restraint between molecules goes into a force group of its own from 3 to 31"
            )
    parts = {particle: number for number, part in enumerate(found) for particle in part}
    for number, molecule in enumerate(molecules):
        apart = [particle for particle in molecule if parts[particle] != parts[molecule[0]]]
        if apart:
            raise InputError(
                f"molecule {number} of the list holds particles {molecule[0]} and {apart[0]}, which no bond, "
                "constraint, exception or virtual site of the System joins: list each molecule by itself, or leave "
                "`molecules` out to have them found in the System"
            )
    return [sorted(molecule) for molecule in molecules] + [[int(i)] for i in np.flatnonzero(owner < 0)]


def joined_pairs(system: openmm.System) -> Iterator[tuple[str, tuple[int, int]]]:
    """Pairs of particles that belong to one molecule, each with what joins them, for error texts."""
    for index in range(system.getNumConstraints()):
        i, j, _ = system.getConstraintParameters(index)
        yield "a constraint", (i, j)
    for site in filter(system.isVirtualSite, range(system.getNumParticles())):
        rule = system.getVirtualSite(site)
        for parent in range(rule.getNumParticles()):
            yield "a virtual site", (site, rule.getParticle(parent))
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            for index in range(force.getNumExceptions()):
                i, j, *_ = force.getExceptionParameters(index)
                yield f"an exception of {force.getName()}", (i, j)
        elif isinstance(force, openmm.CustomNonbondedForce):
            for index in range(force.getNumExclusions()):
                i, j = force.getExclusionParticles(index)
                yield f"an exclusion of {force.getName()}", (i, j)
        elif is_molecular_bond_force(force):
            for index in range(force.getNumBonds()):
                i, j, *_ = force.getBondParameters(index)
                yield f"a bond of {force.getName()}", (i, j)


def is_molecular_bond_force(force: openmm.Force) -> bool:
    """Whether the force holds bonds that make molecules: in groups from 3 on they may be restraints."""
    is_bond_force = isinstance(force, openmm.HarmonicBondForce | openmm.CustomBondForce)
    return is_bond_force and force.getForceGroup() not in FREE_GROUPS


def _owners(n_particles: int, molecules: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Number of the molecule that lists each particle, -1 for none."""
    owner = np.full(n_particles, -1, dtype=np.int64)
    for number, molecule in enumerate(molecules):
        for particle in molecule:
            if not 0 <= particle < n_particles:
                raise InputError(
                    f"molecule {number} of the list holds particle {particle}; the System has 0 to {n_particles - 1}"
                )
            if owner[particle] >= 0:
                raise InputError(f"particle {particle} is in molecules {owner[particle]} and {number} of the list")
            owner[particle] = number
    return owner
