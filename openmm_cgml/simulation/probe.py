"""A second Context, in which states are relaxed and evaluated without touching the one that is simulated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import openmm
from openmm import unit

from openmm_cgml.errors import SimulationError
from openmm_cgml.runs.snapshot import Snapshot
from openmm_cgml.simulation.platform import PlatformChoice
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN, KJ_PER_MOL_NM3_IN_BAR

_ENERGY_TOLERANCE = 1e-3
"""Largest difference between the energy of all replicas together and the sum of theirs, relative to it."""
_STRAIN = 1e-3
"""Change of all lengths in a finite difference: wide enough for energies in single precision."""


class Probe:
    """A Context of one copy beside the one that is simulated.

    Args:
        system: The System of one copy.
        platform: Where to evaluate it.
    """

    def __init__(self, system: openmm.System, platform: PlatformChoice) -> None:
        integrator = openmm.VerletIntegrator(0.001)  # never used
        self._context = openmm.Context(system, integrator, platform.platform, platform.properties)

    def relax(self, positions: np.ndarray, box: np.ndarray | None, max_iterations: int) -> np.ndarray:
        """Minimized positions [nm], shape (replicas, n_beads, 3); replicas that start alike end alike."""
        relaxed: list[np.ndarray] = []
        for number, start in enumerate(positions):
            if number and np.array_equal(start, positions[0]):
                relaxed.append(relaxed[0])
                continue
            self._set(start, box)
            openmm.LocalEnergyMinimizer.minimize(self._context, maxIterations=max_iterations)
            state = self._context.getState(positions=True)
            relaxed.append(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        return np.stack(relaxed)

    def energy(self, positions: np.ndarray, box: np.ndarray | None) -> float:
        """Potential energy of one copy [kJ/mol] at positions [nm], shape (n_beads, 3)."""
        self._set(positions, box)
        energy = self._context.getState(energy=True).getPotentialEnergy()
        return float(energy.value_in_unit(unit.kilojoule_per_mole))

    def energies(self, positions: np.ndarray, box: np.ndarray | None) -> np.ndarray:
        """Potential energy of each replica [kJ/mol], shape (replicas,), from (replicas, n_beads, 3) [nm]."""
        return np.array([self.energy(each, box) for each in positions])

    def check_sum(self, positions: np.ndarray, box: np.ndarray | None, total: float) -> None:
        """Check that the replicas do not see each other.

        Args:
            positions: Positions of each [nm], shape (replicas, n_beads, 3).
            box: Box vectors [nm], shape (3, 3), or None.
            total: Potential energy of all of them in their common System [kJ/mol].

        Raises:
            SimulationError: If it is not the sum of theirs.
        """
        energies = self.energies(positions, box)
        if not np.isfinite(energies).all():
            return  # beads overlap, which other checks say better
        if not abs(total - energies.sum()) <= _ENERGY_TOLERANCE * max(np.abs(energies).sum(), 1.0):
            raise SimulationError(
                f"{len(energies)} replicas have {total:.6g} kJ/mol together and {energies.sum():.6g} kJ/mol one by one;"
                " the System is not made of independent copies of the System of one"
            )

    def _set(self, positions: np.ndarray, box: np.ndarray | None) -> None:
        if box is not None:
            self._context.setPeriodicBoxVectors(*box)
        self._context.setPositions(positions)


@dataclass(frozen=True, eq=False, kw_only=True)
class Barometer:
    """Measures the pressure of states, which needs no barostat.

    It is P = N k T / V - dU/dV of N molecules whose centers scale with the box, the molecular virial, as OpenMM's
    `computeCurrentPressure` has it: two energies of each state. The mean in equilibrium is the same as that of the
    virial of all beads.

    Attributes:
        probe: Where energies are evaluated.
        topology: The beads, which say what a molecule is.
        narrowest: Width of the box that the cutoffs need [nm].
    """

    probe: Probe
    topology: CGTopology
    narrowest: float

    def measure(self, snapshot: Snapshot) -> float | None:
        """Momentary pressure of a state [bar]; None without a box."""
        box = snapshot.box
        if box is None:
            return None
        low = max(1 - _STRAIN, self.narrowest / float(np.diag(box).min()))
        high = low + 2 * _STRAIN
        volume = float(np.linalg.det(box))
        difference = self._energy(snapshot.positions, box, high) - self._energy(snapshot.positions, box, low)
        ideal = self.topology.n_molecules * BOLTZMANN * snapshot.temperature / volume
        return (ideal - difference / (volume * (high**3 - low**3))) * KJ_PER_MOL_NM3_IN_BAR

    def _energy(self, positions: np.ndarray, box: np.ndarray, scale: float) -> float:
        return self.probe.energy(scale_molecules(positions, self.topology, scale), scale * box)


def scale_molecules(positions: np.ndarray, topology: CGTopology, scale: float) -> np.ndarray:
    """Positions [nm], shape (n_beads, 3), with the centers of mass of molecules scaled and their shapes kept."""
    molecules, masses = topology.molecules, topology.masses
    total = np.bincount(molecules, masses)
    centers = np.stack([np.bincount(molecules, masses * x) / total for x in positions.T], axis=1)
    scaled: np.ndarray = positions + (scale - 1) * centers[molecules]
    return scaled
