"""The atoms of a simulated System as a mapping needs them: real masses, constraints and bonds, no virtual sites."""

from __future__ import annotations

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_cgml.errors import InputError
from openmm_cgml.reference.force_kinds import FREE_GROUPS
from openmm_cgml.reference.virtual_sites import is_virtual_site
from openmm_cgml.topology import AtomTopology, connected_components
from openmm_cgml.topology.masses import undo_repartitioning

__all__ = ["count_degrees_of_freedom", "has_frozen_atoms", "real_masses", "recorded_atoms"]


def recorded_atoms(topology: app.Topology, system: openmm.System) -> AtomTopology:
    """The atoms of a System in order, without its virtual sites.

    Args:
        topology: The simulated particles, all but virtual sites with elements.
        system: The simulated System.

    Raises:
        InputError: Topology and System differ in their particles, an atom has no element, or the topology lacks bonds
            that hold a molecule of the System together.
    """
    atoms, n = list(topology.atoms()), system.getNumParticles()
    if len(atoms) != n:
        raise InputError(f"the topology has {len(atoms)} atoms, the System {n} particles; use those of one simulation")
    kept = ~is_virtual_site(system)
    nameless = [atom for atom, keep in zip(atoms, kept, strict=True) if keep and atom.element is None]
    if nameless:
        raise InputError(
            f"atom {nameless[0].index} ({nameless[0].name!r}) has no element; set it (for a united atom that of its "
            "heavy atom: its mass is that of the System)"
        )
    number = np.cumsum(kept) - 1
    bonds = number[_between(_bonds(topology), kept)]
    constraints = number[_between(_constraints(system), kept)]
    names = tuple(residue.name for residue in topology.residues())
    residues = np.array([atom.residue.index for atom in atoms])[kept]
    _check_residues(residues, names)
    molecules = connected_components(int(kept.sum()), bonds)
    _check_joined(molecules, constraints, number[_between(_bonds_of(system), kept)])
    return AtomTopology(
        names=tuple(atom.name for atom, keep in zip(atoms, kept, strict=True) if keep),
        elements=tuple(atom.element.symbol for atom, keep in zip(atoms, kept, strict=True) if keep),
        masses=real_masses(topology, system)[kept],
        residues=residues,
        residue_names=names,
        molecules=molecules,
        bonds=bonds,
        constraints=constraints,
    )


def real_masses(topology: app.Topology, system: openmm.System) -> NDArray[np.float64]:
    """Masses of the particles before any repartitioning [Da], shape (n_particles,).

    They are those of the System (united atoms, isotopes) but where it has only moved mass between a heavy atom and its
    hydrogens: there, and for atoms of mass 0, which do not move, they are those of the elements.
    """
    simulated = np.array(
        [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())]
    )
    atoms = list(topology.atoms())
    elements = np.array([0.0 if a.element is None else a.element.mass.value_in_unit(unit.dalton) for a in atoms])
    is_light = np.array([atom.element is not None and atom.element.atomic_number == 1 for atom in atoms])
    real = ~is_virtual_site(system)  # which have no mass either
    return undo_repartitioning(simulated, np.where(real, elements, 0.0), is_light, _bonds(topology))


def count_degrees_of_freedom(system: openmm.System) -> int:
    """Number of independent velocities: three per particle with mass, less constraints and the motion of the whole."""
    moves = [system.getParticleMass(i).value_in_unit(unit.dalton) > 0 for i in range(system.getNumParticles())]
    constrained = sum(moves[i] or moves[j] for i, j in _constraints(system))
    removed = 3 * any(isinstance(force, openmm.CMMotionRemover) for force in system.getForces())
    return 3 * sum(moves) - constrained - removed


def has_frozen_atoms(system: openmm.System) -> bool:
    """Whether particles that are no virtual sites have no mass, so that they do not move."""
    particles = range(system.getNumParticles())
    return any(
        system.getParticleMass(i).value_in_unit(unit.dalton) == 0 and not system.isVirtualSite(i) for i in particles
    )


def _bonds(topology: app.Topology) -> NDArray[np.int64]:
    return np.array([[bond[0].index, bond[1].index] for bond in topology.bonds()], dtype=np.int64).reshape(-1, 2)


def _constraints(system: openmm.System) -> NDArray[np.int64]:
    pairs = [system.getConstraintParameters(i)[:2] for i in range(system.getNumConstraints())]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _bonds_of(system: openmm.System) -> NDArray[np.int64]:
    """Pairs with a HarmonicBondForce that is no restraint."""
    pairs = [
        force.getBondParameters(k)[:2]
        for force in system.getForces()
        if isinstance(force, openmm.HarmonicBondForce) and force.getForceGroup() not in FREE_GROUPS
        for k in range(force.getNumBonds())
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _between(pairs: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    return pairs[kept[pairs].all(axis=1)]


def _check_residues(residues: NDArray[np.int64], names: tuple[str, ...]) -> None:
    empty = np.setdiff1d(np.arange(len(names)), residues)
    if len(empty):
        raise InputError(
            f"residue {empty[0]} ({names[empty[0]]}) holds nothing but virtual sites; put them into the residue of the "
            "atoms that place them"
        )


def _check_joined(molecules: NDArray[np.int64], constraints: NDArray[np.int64], bonds: NDArray[np.int64]) -> None:
    """The topology's bonds are what molecules are made whole by."""
    for what, pairs in (("a constraint", constraints), ("a bond", bonds)):
        apart = np.flatnonzero(molecules[pairs[:, 0]] != molecules[pairs[:, 1]])
        if len(apart):
            i, j = pairs[apart[0]]
            raise InputError(
                f"{what} of the System joins atoms {i} and {j} (virtual sites not counted), for which the topology has "
                f"no chain of bonds ({len(apart)} such pairs): add the missing bonds with topology.addBond. A "
                "restraint goes into a force group of its own from 3 to 31"
            )
