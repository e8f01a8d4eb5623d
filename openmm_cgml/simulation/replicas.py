"""The copies of one system in a run: their starts, energies and stability, each as those of a run of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from openmm_cgml.errors import InputError
from openmm_cgml.runs.snapshot import Snapshot
from openmm_cgml.simulation.stability import StabilityMonitor, UnstableSimulationError
from openmm_cgml.units import BOLTZMANN


def repeat_positions(positions: np.ndarray, n_beads: int, replicas: int) -> np.ndarray:
    """Positions of all replicas [nm], one after the other, from those of one or of each.

    Args:
        positions: Positions of one replica, shape (n_beads, 3), or of each, shape (replicas, n_beads, 3) [nm].
        n_beads: Beads of one replica.
        replicas: Number of replicas.

    Raises:
        InputError: If the shape is another.
    """
    positions = np.asarray(positions, dtype=np.float64)
    if positions.ndim == 3 and positions.shape == (replicas, n_beads, 3):
        return positions.reshape(-1, 3)
    if replicas > 1 and positions.shape != (n_beads, 3):
        raise InputError(
            f"positions have shape {positions.shape}; {replicas} replicas of {n_beads} beads start from ({n_beads}, 3),"
            f" all the same, or from ({replicas}, {n_beads}, 3)"
        )
    return np.tile(positions, (replicas, 1))


class ReplicaMonitors:
    """Judges the states of each replica.

    Args:
        monitors: One for each.
        names: What to call each in a message.
    """

    def __init__(self, monitors: Sequence[StabilityMonitor], names: Sequence[str]) -> None:
        self.each = tuple(monitors)
        self._names = names

    @property
    def history(self) -> list[Any]:
        """Temperatures in the present window, by replica where there are several."""
        histories = [monitor.history for monitor in self.each]
        return histories[0] if len(histories) == 1 else histories

    def restore(self, history: list[Any]) -> None:
        """Take up the windows of an earlier run."""
        for monitor, own in zip(self.each, [history] if len(self.each) == 1 else history, strict=True):
            monitor.restore(own)

    def check(self, snapshots: Sequence[Snapshot]) -> None:
        """Raise if a state shows that a replica is unstable.

        Raises:
            UnstableSimulationError: Naming the step, the replica and what was seen.
        """
        for monitor, name, state in zip(self.each, self._names, snapshots, strict=True):
            try:
                monitor.check(
                    state.step, state.time, state.positions, state.box, state.potential_energy, state.temperature
                )
            except UnstableSimulationError as error:
                if len(self.each) == 1:
                    raise
                raise UnstableSimulationError(error.step, f"in {name}, {error.reason}", error.hint) from error


def split_snapshot(
    snapshot: Snapshot, energies: np.ndarray, shifted: np.ndarray, masses: np.ndarray, degrees_of_freedom: int
) -> list[Snapshot]:
    """The states of the replicas in the state of all.

    Args:
        snapshot: All replicas, one after the other.
        energies: Potential energy of each [kJ/mol], shape (replicas,).
        shifted: Velocities at the time of the positions [nm/ps], shape (replicas * n_beads, 3).
        masses: Masses of all beads [Da], shape (replicas * n_beads,).
        degrees_of_freedom: Of one replica.
    """
    count = len(energies)
    kinetic = (0.5 * masses[:, None] * shifted**2).reshape(count, -1).sum(axis=1)
    positions, velocities = snapshot.positions.reshape(count, -1, 3), snapshot.velocities.reshape(count, -1, 3)
    return [
        replace(
            snapshot,
            positions=positions[r],
            velocities=velocities[r],
            potential_energy=float(energies[r]),
            kinetic_energy=float(kinetic[r]),
            temperature=2 * float(kinetic[r]) / (BOLTZMANN * degrees_of_freedom),
        )
        for r in range(count)
    ]
