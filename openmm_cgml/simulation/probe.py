"""A second Context, in which states are relaxed and evaluated without touching the one that is simulated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import openmm
from openmm import unit

from openmm_cgml.errors import SimulationError
from openmm_cgml.runs.snapshot import Snapshot
from openmm_cgml.simulation.platform import PlatformChoice
from openmm_cgml.simulation.virial import measure_virial_pressure, move_molecules
from openmm_cgml.topology import CGTopology

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

    It is the molecular virial from two energies of each state, see `openmm_cgml.simulation.virial`.

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
        return measure_virial_pressure(
            self.probe.energy,
            snapshot.positions,
            box,
            molecules=self.topology.molecules,
            masses=self.topology.masses,
            temperature=snapshot.temperature,
            strain=_STRAIN,
            narrowest=self.narrowest,
        )


def scale_molecules(positions: np.ndarray, topology: CGTopology, scale: float) -> np.ndarray:
    """Positions [nm], shape (n_beads, 3), with the centers of mass of molecules scaled and their shapes kept."""
    return move_molecules(positions, topology.molecules, topology.masses, scale)
