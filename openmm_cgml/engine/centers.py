"""Pair priors between centers of molecules or beads on a CPU: the pairs' engine on the centers, forces on the beads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.engine.cpu import TabulatedPairs
from openmm_cgml.engine.deployed_pairs import DeployedPairs
from openmm_cgml.engine.deployed_sites import DeployedCenters


class TabulatedCenters:
    """Energy and forces of pair priors between centers, from their tables."""

    def __init__(self, deployed: DeployedCenters, *, n_replicas: int = 1, n_threads: int | None = None) -> None:
        """Args:
        deployed: The centers and their tables.
        n_replicas: Number of copies of one system that the beads are.
        n_threads: Threads; None for `suggest_threads` by the number of centers.
        """
        self._centers = deployed.centers
        pairs = DeployedPairs(pair_table=deployed.pair_table, n_replicas=n_replicas)
        self._evaluate = TabulatedPairs(pairs, n_threads=n_threads)

    def __call__(
        self, positions: NDArray[np.float64], box: NDArray[np.float64] | None
    ) -> tuple[float, NDArray[np.float64]]:
        """Energy [kJ/mol] and forces on the beads [kJ/mol/nm], shape (n_beads, 3).

        Args:
            positions: Bead positions [nm], shape (n_beads, 3).
            box: Reduced box vectors [nm], shape (3, 3), or None.

        Raises:
            SimulationError: If the box is too small, or something is not finite.
        """
        centers = self._centers
        axes = centers.axes(np.asarray(positions, np.float64), box)
        energy, forces = self._evaluate(centers.place(axes), box)
        return energy, centers.carry(axes, forces[:, :, None])[:, :, 0]
