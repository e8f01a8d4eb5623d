"""Radius of gyration of molecules, whatever their bonds."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from openmm_cgml.analysis.molecules import check_masses


def compute_squared_gyration(positions: np.ndarray, masses: np.ndarray, molecules: np.ndarray) -> np.ndarray:
    """Squared radii of gyration, weighted by mass [nm^2], shape (n_frames, n_molecules), by molecule number.

    Rg^2 = sum m |x - x_com|^2 / sum m, which for a mapped reference differs from that of the atoms by their spread
    within the beads.

    Args:
        positions: Bead positions of whole molecules [nm], shape (n_frames, n_beads, 3).
        masses: Bead masses [Da], shape (n_beads,).
        molecules: Molecule index of each bead, shape (n_beads,).

    Raises:
        InputError: If a mass is not positive.
    """
    check_masses(masses)
    _, molecule = np.unique(molecules, return_inverse=True)
    weights = csr_array((masses / np.bincount(molecule, masses)[molecule], (molecule, np.arange(len(molecule)))))
    squared = np.empty((len(positions), molecule.max() + 1))
    for frame, points in enumerate(positions):  # one frame at a time: long trajectories are large in double precision
        points = np.asarray(points, dtype=np.float64)
        squared[frame] = weights @ ((points - (weights @ points)[molecule]) ** 2).sum(axis=1)
    return squared
