"""Drift of the total energy without a thermostat: what an integrator with too long a step does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmm_cgml.analysis.block_average import estimate_correlation_time
from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import InputError
from openmm_cgml.units import BOLTZMANN


@dataclass(frozen=True, eq=False, kw_only=True)
class EnergyDrift(Result):
    """Slope of the total energy, and how it fluctuates about the line.

    Attributes:
        slope: Drift [kT/ns per degree of freedom].
        standard_error: Of the slope, with correlated samples counted once [kT/ns per degree of freedom].
        fluctuation: Standard deviation about the line [kT].
    """

    slope: float
    standard_error: float
    fluctuation: float


def compute_energy_drift(
    times: np.ndarray, energies: np.ndarray, *, temperature: float, degrees_of_freedom: int
) -> EnergyDrift:
    """Drift of the total energy of a simulation without a thermostat.

    Args:
        times: Times, evenly spaced [ps], shape (n_frames,).
        energies: Total energies [kJ/mol], shape (n_frames,).
        temperature: Temperature that kT is of [K].
        degrees_of_freedom: Degrees of freedom of all beads.

    Raises:
        InputError: If there are fewer than three frames.
    """
    if len(times) < 3:
        raise InputError(f"{len(times)} frames; a drift and its error need at least 3")
    line = np.polynomial.Polynomial.fit(times, energies, 1).convert()
    residues = energies - line(times)
    independent = len(times) / max(1.0, 2 * estimate_correlation_time(residues))
    error = float(residues.std()) * np.sqrt(12 / independent) / float(times[-1] - times[0])
    kt = BOLTZMANN * temperature
    return EnergyDrift(
        slope=1e3 * float(line.coef[1]) / (kt * degrees_of_freedom),
        standard_error=1e3 * float(error) / (kt * degrees_of_freedom),
        fluctuation=float(residues.std()) / kt,
    )
