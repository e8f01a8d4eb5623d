"""Three-body priors on a CPU, with pair priors on the same list of pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.engine import three_body_kernels
from openmm_cgml.engine.cpu import TabulatedPairs
from openmm_cgml.engine.deployed_three_body import DeployedThreeBody
from openmm_cgml.potentials.moment_tensors import monomials


class EvaluatedThreeBody(TabulatedPairs):
    """Energy and forces of three-body priors, and of pair priors from their tables; a network is not evaluated."""

    def __init__(self, deployed: DeployedThreeBody, *, n_threads: int | None = None) -> None:
        """Args:
        deployed: The priors bound to the beads.
        n_threads: Threads; None for `suggest_threads`.
        """
        super().__init__(deployed, n_threads=n_threads)
        potential, known = deployed.three_body, monomials(deployed.three_body.l_max)
        self._bead_types = potential.bead_types.astype(np.int32)
        self._types = self._bead_types
        signs = np.where(known.degrees % 2, -1.0, 1.0)
        self._shape = (potential.cutoff, potential.n_max, known.parents, known.axes, signs)
        self._slopes = (known.exponents.astype(np.float64), known.lowered, known.degrees.astype(np.float64))
        self._weights = potential.by_monomials()
        alone = potential.of_one_neighbor()
        self._alone = alone + alone.swapaxes(0, 1)
        n_channels = potential.coefficients.shape[1]
        self._moments = np.zeros((self.n_threads, deployed.n_beads, n_channels, len(signs)))
        self._gradients = np.zeros(self._moments.shape[1:])
        self._energies = np.zeros(self.n_threads)
        self._within = [np.zeros(1, np.int64) for _ in range(self.n_threads)]
        self._n_within = [0] * self.n_threads
        self._phases = [self._find_near, self._weigh, self._add_forces]

    def _reorder(self, order: NDArray[np.int32]) -> None:
        super()._reorder(order)
        self._types = self._bead_types[order]

    def _sum_energies(self) -> float:
        return super()._sum_energies() + float(self._energies.sum())

    def _find_near(self, thread: int) -> None:
        super()._find_near(thread)
        near = self._near[thread][0]
        if len(self._within[thread]) <= len(near.distances):
            self._within[thread] = np.zeros(2 * len(near.distances) + 1, np.int64)
        self._n_within[thread] = three_body_kernels.pick_near(near.distances, self._shape[0], self._within[thread])
        moments = self._moments[thread]
        moments[:] = 0.0
        three_body_kernels.add_moments(*self._pairs(thread), moments)

    def _pairs(self, thread: int) -> tuple[object, ...]:
        """A thread's pairs within the cutoff and what is known of all, as the kernels take them."""
        near = self._near[thread][0]
        within = self._within[thread][: self._n_within[thread]]
        return within, near.first, near.second, near.vectors, near.distances, self._types, *self._shape

    def _weigh(self, thread: int) -> None:
        n_beads = len(self._types)
        begin, end = (share * n_beads // self.n_threads for share in (thread, thread + 1))
        self._energies[thread] = three_body_kernels.weigh_moments(
            begin, end, self._types, self._weights, self._moments, self._gradients
        )

    def _add_forces(self, thread: int) -> None:
        super()._add_forces(thread)
        self._energies[thread] -= three_body_kernels.add_three_body_forces(
            *self._pairs(thread), *self._slopes, self._gradients, self._alone, self._forces[thread]
        )
