"""The momentary pressure of a state from two energies of it, molecules moved as they are.

P = N k T / V - dU/dV, with N molecules whose centers scale with the box and whose shapes are kept: the molecular
virial, which OpenMM's `MonteCarloBarostat.computeCurrentPressure` takes too. Nothing within a molecule changes, so
constraints, virtual sites and bonded forces have no part in it; corrections for what lies beyond a cutoff have one, as
at constant pressure. Its mean is the pressure of the canonical ensemble whichever center of a molecule is scaled, and
that of the virial of all atoms. See M. P. Allen and D. J. Tildesley, "Computer Simulation of Liquids", 2nd edition
(2017), section 2.4.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from openmm_cgml.units import BOLTZMANN, KJ_PER_MOL_NM3_IN_BAR


def measure_virial_pressure(
    energy: Callable[[np.ndarray, np.ndarray], float],
    positions: np.ndarray,
    box: np.ndarray,
    *,
    molecules: np.ndarray,
    masses: np.ndarray,
    temperature: float,
    strain: float,
    narrowest: float = 0.0,
) -> float:
    """Momentary pressure of a state [bar].

    Args:
        energy: Potential energy [kJ/mol] at positions [nm], shape (n, 3), in a box [nm], shape (3, 3).
        positions: Positions, molecules whole [nm], shape (n, 3).
        box: Box vectors in rows [nm], shape (3, 3).
        molecules: Number of the molecule of each particle, from 0 on, shape (n,).
        masses: Masses, which say where the center of a molecule is, shape (n,); any unit.
        temperature: Temperature of the centers of the molecules [K].
        strain: Change of all lengths, up and down, relative to them.
        narrowest: Width that the cutoffs need [nm]: a box is not made narrower than that.
    """
    low = max(1 - strain, narrowest / float(np.diag(box).min()))
    high = low + 2 * strain
    at_low, at_high = (
        energy(move_molecules(positions, molecules, masses, scale), scale * box) for scale in (low, high)
    )
    volume = float(np.linalg.det(box))
    ideal = len(np.unique(molecules)) * BOLTZMANN * temperature / volume
    return (ideal - (at_high - at_low) / (volume * (high**3 - low**3))) * KJ_PER_MOL_NM3_IN_BAR


def move_molecules(positions: np.ndarray, molecules: np.ndarray, masses: np.ndarray, scale: float) -> np.ndarray:
    """Positions [nm], shape (n, 3), with the centers of mass of molecules scaled and their shapes kept.

    Args:
        positions: Positions, molecules whole [nm], shape (n, 3).
        molecules: Number of the molecule of each particle, from 0 on, shape (n,).
        masses: Masses, shape (n,); any unit.
        scale: Factor, 1 for no change.
    """
    total = np.bincount(molecules, masses)
    centers = np.stack([np.bincount(molecules, masses * x) / total for x in positions.T], axis=1)
    moved: np.ndarray = positions + (scale - 1) * centers[molecules]
    return moved
