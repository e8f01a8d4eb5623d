"""Starting coordinates of one molecule: the minimum of its priors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from openmm_cgml.potentials import Potential, evaluate
from openmm_cgml.topology import CGTopology

_FIRST_BOND = 0.25  # nm, in the random starts
_STARTS = 4


def relax_molecule(
    molecule: CGTopology, potentials: Sequence[Potential], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Bead positions of one molecule with its center of mass at the origin [nm], shape (n_beads, 3).

    Args:
        molecule: Topology of the molecule alone.
        potentials: Priors bound to it.
        rng: Source of the random starts; the lowest minimum of a few is taken.
    """
    n = molecule.n_beads
    if n == 1:
        return np.zeros((1, 3))

    def energy_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        energy, forces = evaluate(potentials, torch.from_numpy(flat.reshape(n, 3)))
        return float(energy), -forces.numpy().ravel()

    found = [
        minimize(energy_and_gradient, _random_walk(molecule, rng).ravel(), jac=True, method="L-BFGS-B")
        for _ in range(_STARTS)
    ]
    positions: NDArray[np.float64] = min(found, key=lambda result: float(result.fun)).x.reshape(n, 3)
    return positions - np.average(positions, axis=0, weights=molecule.masses)


def _random_walk(molecule: CGTopology, rng: np.random.Generator) -> NDArray[np.float64]:
    """Every bead about a bond length away from the first bonded bead placed before it, in a random direction."""
    steps = rng.normal(size=(molecule.n_beads, 3))
    positions = steps * (_FIRST_BOND / np.linalg.norm(steps, axis=1, keepdims=True))
    for i, j in molecule.bonds.tolist()[::-1]:
        positions[j] = steps[j] * (_FIRST_BOND / np.linalg.norm(steps[j])) + positions[i]
    return positions
