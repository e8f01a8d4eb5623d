"""Rings closed in molecules that were grown along a tree of their bonds.

The gap at the end of a walk is spread evenly over the bonds of its ring, which turns a free chain of random steps into
a closed one of the right statistics (a Brownian bridge); for many rings at once that is a least-squares problem. What
this does to bonds and angles, the bonded priors undo.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from openmm_cgml.potentials import Potential, evaluate
from openmm_cgml.topology import CGTopology

_ITERATIONS = 300

Array = NDArray[np.float64]


def close_rings(
    molecule: CGTopology, positions: Array, open_bonds: NDArray[np.int64], lengths: Array, bonded: Sequence[Potential]
) -> Array:
    """Conformations of the same molecule with every bond closed [nm], shape (count, n_beads, 3).

    Args:
        molecule: Topology of one molecule.
        positions: Conformations in which all bonds but the open ones are as they should be [nm], of that shape.
        open_bonds: The other bonds, shape (n_open, 2).
        lengths: Their lengths [nm], shape (n_open,).
        bonded: The bonded priors of the molecule.
    """
    tree = _tree_bonds(molecule, open_bonds)
    grown = positions[:, tree[:, 1]] - positions[:, tree[:, 0]]
    targets = np.concatenate([grown, _short(positions, open_bonds, lengths)], axis=1)
    return _relaxed(_least_squares(np.concatenate([tree, open_bonds]), targets), bonded)


def _tree_bonds(molecule: CGTopology, open_bonds: NDArray[np.int64]) -> NDArray[np.int64]:
    is_open = set(map(tuple, open_bonds.tolist()))
    return np.array([bond for bond in molecule.bonds.tolist() if tuple(bond) not in is_open], dtype=np.int64)


def _short(positions: Array, bonds: NDArray[np.int64], lengths: Array) -> Array:
    """Vectors of the lengths wanted in the directions in which the gaps are open, shape (count, n_bonds, 3)."""
    vectors = positions[:, bonds[:, 1]] - positions[:, bonds[:, 0]]
    sizes = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return np.asarray(vectors * np.minimum(lengths[:, None] / sizes, 1.0))


def _least_squares(bonds: NDArray[np.int64], targets: Array) -> Array:
    """Positions whose bond vectors are as near as can be to the targets, the first bead at the origin."""
    n_bonds, n_beads = len(bonds), int(bonds.max()) + 1
    rows = np.repeat(np.arange(n_bonds), 2)
    signs = np.tile([-1.0, 1.0], n_bonds)
    incidence = csc_array((signs, (rows, bonds.ravel())), shape=(n_bonds, n_beads))[:, 1:]
    flat = targets.transpose(1, 0, 2).reshape(n_bonds, -1)
    solved = splu(csc_array(incidence.T @ incidence)).solve(np.ascontiguousarray(incidence.T @ flat))
    placed = np.concatenate([np.zeros((1, flat.shape[1])), solved])
    return np.ascontiguousarray(placed.reshape(n_beads, len(targets), 3).transpose(1, 0, 2))


def _relaxed(positions: Array, bonded: Sequence[Potential]) -> Array:
    """The nearest conformations that the bonded priors are content with."""
    if not bonded:
        return positions

    def energy_and_gradient(flat: Array) -> tuple[float, Array]:
        energies, forces = evaluate(bonded, torch.from_numpy(flat.reshape(positions.shape)))
        return float(energies.sum()), -forces.numpy().ravel()

    found = minimize(
        energy_and_gradient, positions.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS}
    )
    return np.asarray(found.x).reshape(positions.shape)
