"""Non-bonded interactions of molecules on their own, to be taken off those of the box.

U_inter = U_nonbonded(box) - sum over molecules U_nonbonded(molecule alone, unwrapped). What is left holds the
interaction of a chain with its own periodic images, which is intermolecular by nature.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_cgml.errors import InputError

__all__ = ["IsolatedMolecules", "isolate_nonbonded"]


class IsolatedMolecules:
    """Evaluates identical molecules one by one, without periodic boundaries.

    Args:
        systems: Systems of one molecule whose energies add up to its non-bonded energy; several, since OpenMM's CPU
            platform refuses non-bonded forces with and without a cutoff in one.
        n_molecules: Number of molecules, one after the other in the positions.
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
        self._n_molecules = n_molecules
        self._contexts = [
            openmm.Context(system, openmm.VerletIntegrator(0.001), platform, properties or {}) for system in systems
        ]

    def evaluate(self, positions: NDArray[np.floating]) -> tuple[float, NDArray[np.float64]]:
        """Summed energy [kJ/mol] and forces [kJ/mol/nm], shape (n_atoms, 3).

        Args:
            positions: Whole molecules [nm], shape (n_atoms, 3).
        """
        energy, forces = 0.0, np.zeros((self._n_molecules, len(positions) // self._n_molecules, 3))
        for molecule, force in zip(np.reshape(positions, forces.shape), forces, strict=True):
            for context in self._contexts:
                context.setPositions(molecule)
                state = context.getState(energy=True, forces=True)
                energy += state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
                force += state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
        return energy, forces.reshape(-1, 3)


def isolate_nonbonded(system: openmm.System, n_atoms: int) -> tuple[openmm.System, openmm.System]:
    """The non-bonded interactions of the first `n_atoms` particles alone: electrostatics and Lennard-Jones.

    Coulomb interactions have no cutoff; those of Lennard-Jones have the cutoff and the switch of the box, and
    exceptions (1-4 pairs) none, as in the box. The dispersion correction of the box has no counterpart.

    Args:
        system: System of the box with exactly one NonbondedForce.
        n_atoms: Atoms of one molecule, the first of the System.

    Raises:
        InputError: The System has no or several NonbondedForces.
    """
    found = [force for force in system.getForces() if isinstance(force, openmm.NonbondedForce)]
    if len(found) != 1:
        raise InputError(f"need exactly one NonbondedForce to isolate molecules of, found {len(found)}")
    (box,) = found
    charges, dispersion = openmm.NonbondedForce(), openmm.NonbondedForce()
    charges.setNonbondedMethod(openmm.NonbondedForce.NoCutoff)
    dispersion.setNonbondedMethod(openmm.NonbondedForce.CutoffNonPeriodic)
    dispersion.setCutoffDistance(box.getCutoffDistance())
    dispersion.setUseSwitchingFunction(box.getUseSwitchingFunction())
    dispersion.setSwitchingDistance(box.getSwitchingDistance())
    for atom in range(n_atoms):
        charge, sigma, epsilon = box.getParticleParameters(atom)
        charges.addParticle(charge, 1.0, 0.0)
        dispersion.addParticle(0.0, sigma, epsilon)
    for index in range(box.getNumExceptions()):
        i, j, product, sigma, epsilon = box.getExceptionParameters(index)
        if max(i, j) < n_atoms:
            charges.addException(i, j, product, 1.0, 0.0)
            dispersion.addException(i, j, 0.0, sigma, epsilon)
    return _system_of(system, n_atoms, charges), _system_of(system, n_atoms, dispersion)


def _system_of(source: openmm.System, n_atoms: int, force: openmm.Force) -> openmm.System:
    system = openmm.System()
    for atom in range(n_atoms):
        system.addParticle(source.getParticleMass(atom))
    system.addForce(force)
    return system
