"""Temperature and energies per bead."""

from __future__ import annotations

import numpy as np

from openmm_cgml.errors import InputError
from openmm_cgml.units import BOLTZMANN


def count_degrees_of_freedom(n_particles: int, *, n_constraints: int = 0, center_of_mass_fixed: bool = False) -> int:
    """Degrees of freedom that carry kinetic energy.

    Args:
        n_particles: Particles with mass.
        n_constraints: Constraints between them.
        center_of_mass_fixed: Whether the total momentum is removed (OpenMM's `CMMotionRemover`).

    Raises:
        InputError: If nothing is left to move.
    """
    degrees = 3 * n_particles - n_constraints - 3 * center_of_mass_fixed
    if degrees <= 0:
        raise InputError(f"{n_particles} particles with {n_constraints} constraints have {degrees} degrees of freedom")
    return degrees


def compute_temperatures(kinetic_energies: np.ndarray, degrees_of_freedom: int) -> np.ndarray:
    """Instantaneous temperatures 2 K / (N_f k_B) [K], shape (n_frames,).

    Args:
        kinetic_energies: Kinetic energies [kJ/mol], shape (n_frames,).
        degrees_of_freedom: See `count_degrees_of_freedom`.

    Raises:
        InputError: If there are no degrees of freedom.
    """
    if degrees_of_freedom <= 0:
        raise InputError(f"{degrees_of_freedom} degrees of freedom; a temperature needs at least one")
    temperatures: np.ndarray = 2 * np.asarray(kinetic_energies, np.float64) / (degrees_of_freedom * BOLTZMANN)
    return temperatures
