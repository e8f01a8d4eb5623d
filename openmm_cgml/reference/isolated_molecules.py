"""Non-bonded interactions of molecules on their own, to be taken off those of the box.

U_inter = U_nonbonded(box) - sum over molecules U_nonbonded(molecule alone, unwrapped). What is left holds the
interaction of a chain with its own periodic images, which is intermolecular by nature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_cgml.errors import InputError
from openmm_cgml.reference.custom_pairs import custom_pairs_alone
from openmm_cgml.reference.force_kinds import is_nonbonded, nonbonded_forces
from openmm_cgml.reference.system_molecules import checked_molecules
from openmm_cgml.reference.virtual_sites import describe_virtual_site, is_virtual_site, moved_virtual_site

__all__ = ["IsolatedMolecules", "isolate_nonbonded"]


class IsolatedMolecules:
    """Evaluates molecules one by one, without periodic boundaries.

    Args:
        systems: Systems of one molecule whose energies add up to its non-bonded energy; several, since OpenMM's CPU
            platform refuses non-bonded forces with and without a cutoff in one.
        n_molecules: Number of molecules, all alike, one after the other in the positions.
        platform: OpenMM platform.
        properties: Platform properties.
    """

    def __init__(
        self,
        systems: Sequence[openmm.System],
        n_molecules: int,
        platform: openmm.Platform,
        properties: dict[str, str] | None = None,
    ) -> None:
        n_atoms = systems[0].getNumParticles()
        self._kinds = [_Kind(np.arange(n_molecules * n_atoms).reshape(n_molecules, -1), systems, platform, properties)]

    @classmethod
    def from_system(
        cls,
        system: openmm.System,
        platform: openmm.Platform,
        properties: dict[str, str] | None = None,
        *,
        molecules: Sequence[Sequence[int]] | None = None,
    ) -> IsolatedMolecules:
        """The molecules of a box, alike or not: chains of several kinds, solvent, ions.

        Args:
            system: System of the box.
            platform: OpenMM platform.
            properties: Platform properties.
            molecules: Atom indices of each molecule; by default the molecules are found in the System.

        Raises:
            InputError: The molecules of the System are not those of the list, or it has a force that cannot be split.
        """
        nonbonded_forces(system)
        kinds: dict[Any, list[list[int]]] = {}
        for molecule, key in _described(system, checked_molecules(system, molecules)):
            kinds.setdefault(key, []).append(molecule)
        isolated = cls.__new__(cls)
        isolated._kinds = [
            _Kind(np.array(members), _alone(system, members[0]), platform, properties) for members in kinds.values()
        ]
        return isolated

    def evaluate(self, positions: NDArray[np.floating]) -> tuple[float, NDArray[np.float64]]:
        """Summed energy [kJ/mol] and forces [kJ/mol/nm], shape (n_atoms, 3).

        Args:
            positions: Whole molecules [nm], shape (n_atoms, 3).

        Raises:
            InputError: Another number of positions than the molecules have atoms.
        """
        n_atoms = sum(kind.atoms.size for kind in self._kinds)
        if len(positions) != n_atoms:
            raise InputError(
                f"{len(positions)} positions for isolated molecules of {n_atoms} atoms in all; make them with "
                "IsolatedMolecules.from_system from the System of this box"
            )
        energy, forces = 0.0, np.zeros((n_atoms, 3))
        for kind in self._kinds:
            energy += kind.add_to(forces, np.asarray(positions))
        return energy, forces


class _Kind:
    """Molecules that are all alike: their atoms, shape (n_molecules, n_atoms), and Contexts of one of them."""

    def __init__(
        self,
        atoms: NDArray[np.int64],
        systems: Sequence[openmm.System],
        platform: openmm.Platform,
        properties: dict[str, str] | None,
    ) -> None:
        self.atoms = atoms
        self._sites = is_virtual_site(systems[0])
        self._contexts = [
            openmm.Context(system, openmm.VerletIntegrator(0.001), platform, properties or {})
            for system in (systems if atoms.shape[1] > 1 else ())  # an atom does not interact with itself
        ]

    def add_to(self, forces: NDArray[np.float64], positions: NDArray[np.floating]) -> float:
        """Add the forces of every molecule alone to `forces` and return their energy [kJ/mol]."""
        energy = 0.0
        for atoms in self.atoms:
            for context in self._contexts:
                context.setPositions(positions[atoms])
                state = context.getState(energy=True, forces=True)
                energy += state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
                own = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
                forces[atoms] += np.where(self._sites[:, None], 0.0, own)  # already on the parents of each site
        return energy


def isolate_nonbonded(system: openmm.System, n_atoms: int) -> tuple[openmm.System, ...]:
    """The non-bonded interactions of the first `n_atoms` particles alone, for a box of molecules that are all alike.

    Coulomb interactions have no cutoff where the box has an Ewald method, and its reaction field where it has a cutoff;
    those of Lennard-Jones have the cutoff and the switch of the box, and exceptions (1-4 pairs) none, as in the box.
    The dispersion correction of the box has no counterpart.

    Args:
        system: System of the box.
        n_atoms: Atoms of one molecule, the first of the System.

    Raises:
        InputError: The molecules are not all alike, or the System has no non-bonded force or one that cannot be split.
    """
    if not any(is_nonbonded(force) for force in system.getForces()):
        raise InputError("need exactly one NonbondedForce to isolate molecules of, found 0")
    nonbonded_forces(system)
    n_particles = system.getNumParticles()
    if not 0 < n_atoms <= n_particles or n_particles % n_atoms:
        raise InputError(
            f"{n_particles} particles are no whole number of molecules of {n_atoms}; for molecules that differ use "
            "IsolatedMolecules.from_system"
        )
    molecules = np.arange(n_particles).reshape(-1, n_atoms).tolist()
    described = _described(system, checked_molecules(system, molecules))
    different = next((number for number, (_, key) in enumerate(described) if key != described[0][1]), None)
    if different is not None:
        raise InputError(
            f"molecule {different} has other non-bonded parameters, exceptions or virtual sites than molecule 0, whose "
            "would be taken for all; for molecules that differ use IsolatedMolecules.from_system"
        )
    return _alone(system, molecules[0])


def _described(system: openmm.System, molecules: Sequence[list[int]]) -> list[tuple[list[int], Any]]:
    """Every molecule with all that its non-bonded interactions depend on, which is equal for equal molecules."""
    owner = {particle: number for number, molecule in enumerate(molecules) for particle in molecule}
    place = {particle: k for molecule in molecules for k, particle in enumerate(molecule)}
    keys: list[set[Any]] = [{("size", len(molecule))} for molecule in molecules]
    for particle in filter(system.isVirtualSite, range(system.getNumParticles())):
        site = describe_virtual_site(system.getVirtualSite(particle), place)
        keys[owner[particle]].add(("site", place[particle], site))
    for number, force in enumerate(force for force in system.getForces() if is_nonbonded(force)):
        for particle in range(system.getNumParticles()):
            values = _values(force.getParticleParameters(particle))
            keys[owner[particle]].add((number, place[particle], values))
        for i, j, *rest in _exceptions(force):
            ends = (min(place[i], place[j]), max(place[i], place[j]))
            if owner[i] == owner[j]:
                keys[owner[i]].add((number, ends, _values(rest)))
    return [(molecule, frozenset(key)) for molecule, key in zip(molecules, keys, strict=True)]


def _exceptions(force: openmm.Force) -> list[Sequence[Any]]:
    if isinstance(force, openmm.NonbondedForce):
        return [force.getExceptionParameters(k) for k in range(force.getNumExceptions())]
    return [force.getExclusionParticles(k) for k in range(force.getNumExclusions())]


def _values(quantities: Sequence[Any]) -> tuple[float, ...]:
    return tuple(q.value_in_unit_system(unit.md_unit_system) if unit.is_quantity(q) else float(q) for q in quantities)


def _alone(system: openmm.System, particles: Sequence[int]) -> tuple[openmm.System, ...]:
    """Systems of some particles with their non-bonded interactions, without periodic boundaries."""
    forces: list[openmm.Force] = []
    for force in (force for force in system.getForces() if is_nonbonded(force)):
        if isinstance(force, openmm.NonbondedForce):
            forces += _standard_pairs_alone(force, particles)
        else:
            forces.append(custom_pairs_alone(force, particles))
    return tuple(_system_of(system, particles, force) for force in forces)


def _standard_pairs_alone(box: openmm.NonbondedForce, particles: Sequence[int]) -> list[openmm.NonbondedForce]:
    """Electrostatics and Lennard-Jones of some particles."""
    charges, dispersion = openmm.NonbondedForce(), openmm.NonbondedForce()
    method = box.getNonbondedMethod()
    with_reaction_field = method in (box.CutoffPeriodic, box.CutoffNonPeriodic)
    for force, cut in ((charges, with_reaction_field), (dispersion, method != box.NoCutoff)):
        force.setNonbondedMethod(force.CutoffNonPeriodic if cut else force.NoCutoff)
        force.setCutoffDistance(box.getCutoffDistance())
        force.setReactionFieldDielectric(box.getReactionFieldDielectric())
    dispersion.setUseSwitchingFunction(box.getUseSwitchingFunction())
    dispersion.setSwitchingDistance(box.getSwitchingDistance())
    place = {particle: number for number, particle in enumerate(particles)}
    for particle in particles:
        charge, sigma, epsilon = box.getParticleParameters(particle)
        charges.addParticle(charge, 1.0, 0.0)
        dispersion.addParticle(0.0, sigma, epsilon)
    for i, j, product, sigma, epsilon in _exceptions(box):
        if i in place and j in place:
            charges.addException(place[i], place[j], product, 1.0, 0.0)
            dispersion.addException(place[i], place[j], 0.0, sigma, epsilon)
    return [charges, dispersion]


def _system_of(source: openmm.System, particles: Sequence[int], force: openmm.Force) -> openmm.System:
    system = openmm.System()
    place = {particle: number for number, particle in enumerate(particles)}
    for particle in particles:
        system.addParticle(source.getParticleMass(particle))
    for particle in filter(source.isVirtualSite, particles):
        system.setVirtualSite(place[particle], moved_virtual_site(source.getVirtualSite(particle), place))
    system.addForce(force)
    return system
