"""Masses of atoms before a simulation moved mass from heavy atoms to their hydrogens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["undo_repartitioning"]

_TOLERANCE = 0.1
"""Largest difference [Da] of a mass from that of the elements that is put down to rounding in a force field."""


def undo_repartitioning(
    masses: NDArray[np.float64],
    elements: NDArray[np.float64],
    is_hydrogen: NDArray[np.bool_],
    bonds: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Masses as they were before any was moved to hydrogens [Da], shape (n_atoms,).

    They are the given ones (united atoms, isotopes) but where mass has only moved between a heavy atom and its
    hydrogens, or where an atom of a group has none because it does not move: there they are those of the elements.

    Args:
        masses: Masses in the simulation [Da], shape (n_atoms,).
        elements: Masses of the elements [Da], shape (n_atoms,); 0 for what has none.
        is_hydrogen: Which atoms are hydrogens, shape (n_atoms,).
        bonds: Bonded pairs, shape (n_bonds, 2).
    """
    heavy = np.arange(len(masses))  # of each atom, the heavy atom that it is bonded to if it is a hydrogen
    for i, j in bonds:
        if is_hydrogen[i] != is_hydrogen[j]:
            light, other = (i, j) if is_hydrogen[i] else (j, i)
            heavy[light] = other
    frozen = (masses == 0) & (elements > 0)
    difference = np.bincount(heavy, weights=masses - elements, minlength=len(masses))
    any_frozen = np.bincount(heavy, weights=frozen, minlength=len(masses)) > 0
    same_group = (np.abs(difference) < _TOLERANCE)[heavy]
    return np.where((elements > 0) & (same_group | frozen | any_frozen[heavy]), elements, masses)
