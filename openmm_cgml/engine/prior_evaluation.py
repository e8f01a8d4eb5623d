"""The pair prior on the pairs of the CPU engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.engine import kernels, pair_kernels
from openmm_cgml.engine.pair_lists import Pairs
from openmm_cgml.engine.pair_tables import PairTable


class PriorEvaluation:
    """Energy and forces of a pair prior, from its tables.

    Attributes:
        energies: Energy of each thread's pairs [kJ/mol], shape (n_threads,).
    """

    def __init__(self, table: PairTable, n_threads: int) -> None:
        """Args:
        table: The tables of the pair priors, bound to the beads.
        n_threads: Number of threads.
        """
        self._table = table
        self._types = self._table.bead_types.astype(np.int32)
        self.energies = np.zeros(n_threads)

    def reorder(self, order: NDArray[np.int32]) -> None:
        """Take the beads in another order from now on."""
        self._types = self._table.bead_types[order].astype(np.int32)

    def add(self, thread: int, kinds: list[Pairs], forces: NDArray[np.float64]) -> None:
        """Sum a thread's energies, and add its forces.

        Args:
            thread: Its number.
            kinds: Its pairs that interact; those beyond the cutoff do not matter.
            forces: Forces [kJ/mol/nm], shape (n_beads, 3), changed in place.
        """
        table = self._table
        self.energies[thread] = 0.0
        for pairs in kinds:
            slopes = np.zeros(len(pairs.first))
            self.energies[thread] += pair_kernels.add_pair_prior(
                pairs.first, pairs.second, pairs.distances, table.knots, table.start, table.cutoff, self._types, slopes
            )
            kernels.add_pair_forces(pairs.first, pairs.second, pairs.vectors, pairs.distances, slopes, forces)
