"""Centers of mass of molecules."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from openmm_cgml.errors import InputError


def compute_centers_of_mass(positions: np.ndarray, masses: np.ndarray, molecules: np.ndarray) -> np.ndarray:
    """Centers of mass [nm], shape (n_frames, n_molecules, 3), in the order of the molecule index.

    Args:
        positions: Bead positions of whole molecules [nm], shape (n_frames, n_beads, 3).
        masses: Bead masses [Da], shape (n_beads,).
        molecules: Molecule index of each bead, shape (n_beads,).

    Raises:
        InputError: If a mass is not positive.
    """
    check_masses(masses)
    _, molecule = np.unique(molecules, return_inverse=True)
    n_frames, n_beads = positions.shape[:2]
    weights = csr_array((masses / np.bincount(molecule, masses)[molecule], (molecule, np.arange(n_beads))))
    columns = np.asarray(positions, dtype=np.float64).transpose(1, 0, 2).reshape(n_beads, -1)
    centers: np.ndarray = (weights @ columns).reshape(-1, n_frames, 3).transpose(1, 0, 2)
    return np.ascontiguousarray(centers)


def check_masses(masses: np.ndarray) -> None:
    """Refuse masses that no center of mass can be made of.

    Args:
        masses: Bead masses [Da], shape (n_beads,).

    Raises:
        InputError: If a mass is not positive.
    """
    if not np.all(masses > 0):
        bead = int(np.flatnonzero(~(masses > 0))[0])
        raise InputError(f"bead {bead} has mass {masses[bead]} Da; a center of mass needs positive masses")
