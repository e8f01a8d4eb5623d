"""The pair priors on the pairs of the CPU engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.engine import pair_kernels
from openmm_cgml.engine.pair_lists import Pairs
from openmm_cgml.engine.pair_tables import PairTable


class PriorEvaluation:
    """Energy and forces of pair priors, from their tables.

    Attributes:
        energies: Energy of each thread's pairs [kJ/mol], shape (n_threads,).
    """

    def __init__(self, table: PairTable, n_threads: int) -> None:
        """Args:
        table: The tables of the pair priors, bound to the beads.
        n_threads: Number of threads.
        """
        self._bead_types = table.bead_types.astype(np.int32)
        self._rows = self._bead_types
        self._n_types = len(table.knots)
        self._polynomials = table.polynomials().reshape(self._n_types**2, -1, 4)
        self._ranges = table.ranges()
        self.energies = np.zeros(n_threads)

    def reorder(self, order: NDArray[np.int32]) -> None:
        """Take the beads in another order from now on."""
        self._rows = self._bead_types[order]

    def add(self, thread: int, kinds: list[Pairs], forces: NDArray[np.float64]) -> None:
        """Sum a thread's energies, and add its forces.

        Args:
            thread: Its number.
            kinds: Its pairs that interact; those beyond the cutoff do not matter.
            forces: Forces [kJ/mol/nm], shape (n_beads, 3), changed in place.
        """
        tables = (self._rows, self._n_types, self._polynomials, self._ranges)
        self.energies[thread] = sum(
            pair_kernels.add_table_forces(pairs.first, pairs.second, pairs.vectors, pairs.distances, *tables, forces)
            for pairs in kinds
        )
