"""The state of a simulation at one moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False, kw_only=True)
class Snapshot:
    """One state of a simulation.

    Attributes:
        step: Steps done.
        time: Simulated time [ps].
        positions: Bead positions, unwrapped [nm], shape (n_beads, 3).
        velocities: Bead velocities as the integrator keeps them [nm/ps], shape (n_beads, 3).
        box: Box vectors at this moment [nm], shape (3, 3), or None.
        potential_energy: Potential energy [kJ/mol].
        kinetic_energy: Kinetic energy [kJ/mol].
        temperature: Momentary temperature [K].
        density: Density [g/cm^3]; None without a box.
        pressure: Momentary pressure [bar]; None where it was not measured.
        replicas: The states of the independent copies in this one, where there are several.
    """

    step: int
    time: float
    positions: np.ndarray
    velocities: np.ndarray
    box: np.ndarray | None
    potential_energy: float
    kinetic_energy: float
    temperature: float
    density: float | None = None
    pressure: float | None = None
    replicas: tuple[Snapshot, ...] = ()

    @property
    def each(self) -> tuple[Snapshot, ...]:
        """The state of each replica, which is this one where there is one."""
        return self.replicas or (self,)
