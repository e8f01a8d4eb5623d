"""What the ML force computes on a CPU: a network's tables, pair priors' tables, or both, over one list of pairs.

Folded tables, compiled pair loops, analytic forces, any number of threads.
"""

from __future__ import annotations

import os
import threading

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.engine import kernels
from openmm_cgml.engine.crew import Crew, Phase
from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.deployed_pairs import DeployedPairs
from openmm_cgml.engine.deployed_three_body import DeployedThreeBody
from openmm_cgml.engine.evaluation import Evaluation
from openmm_cgml.engine.folding import fold
from openmm_cgml.engine.pair_lists import PairLists, Pairs
from openmm_cgml.engine.parity import compare_with_network, require_parity
from openmm_cgml.engine.prior_evaluation import PriorEvaluation
from openmm_cgml.errors import SimulationError

_BEADS_PER_THREAD = 500


class TabulatedPairs:
    """Pair priors from their tables, on a neighbor list of its own."""

    def __init__(
        self, deployed: DeployedPairs | DeployedNetwork | DeployedThreeBody, *, n_threads: int | None = None
    ) -> None:
        """Args:
        deployed: Tables bound to beads; a network that they go with, or three-body priors, are not evaluated.
        n_threads: Threads; None for `suggest_threads`.
        """
        n_threads = n_threads or suggest_threads(deployed.n_beads)
        self._lists = PairLists(deployed.listing(), n_threads)
        table = deployed.pair_table
        self._prior = None if table is None else PriorEvaluation(table, n_threads)
        self._crew = Crew(n_threads)
        self._forces = np.zeros((n_threads, deployed.n_beads, 3))
        self._phases: list[Phase] = [self._find_near, self._add_forces]
        self._positions = np.zeros((deployed.n_beads, 3))
        self._near: list[list[Pairs]] = [[] for _ in range(n_threads)]
        self._lock = threading.Lock()

    @property
    def n_threads(self) -> int:
        """Number of threads."""
        return self._crew.size

    def __call__(
        self, positions: NDArray[np.float64], box: NDArray[np.float64] | None
    ) -> tuple[float, NDArray[np.float64]]:
        """Energy [kJ/mol] and forces [kJ/mol/nm], shape (n_beads, 3).

        Args:
            positions: Positions [nm], shape (n_beads, 3).
            box: Reduced box vectors [nm], shape (3, 3), or None.

        Raises:
            SimulationError: If the box is too small, something is not finite, or tables differ from their network.
        """
        with self._lock:
            energy, forces = self._evaluate(np.ascontiguousarray(positions, dtype=np.float64), box)
            if not (np.isfinite(energy) and np.isfinite(forces.sum())):
                raise SimulationError(_not_finite(energy, forces))
            self._check()
        return energy, forces

    def _check(self) -> None:
        """Raise if what was computed cannot be relied on."""

    def _evaluate(
        self, positions: NDArray[np.float64], box: NDArray[np.float64] | None
    ) -> tuple[float, NDArray[np.float64]]:
        if self._lists.update(positions, box) and self._lists.order is not None:
            self._reorder(self._lists.order)
        order = self._lists.order
        self._positions = positions if order is None else positions[order]
        self._crew.run(self._phases)
        forces = self._forces[0].copy() if self.n_threads == 1 else self._forces.sum(axis=0)
        if order is not None:
            unordered = np.empty_like(forces)
            unordered[order] = forces
            forces = unordered
        return self._sum_energies(), forces

    def _reorder(self, order: NDArray[np.int32]) -> None:
        """Take the beads in another order from now on."""
        if self._prior is not None:
            self._prior.reorder(order)

    def _sum_energies(self) -> float:
        return 0.0 if self._prior is None else float(self._prior.energies.sum())

    def _find_near(self, thread: int) -> None:
        self._near[thread] = self._lists.near(self._positions, thread)

    def _add_forces(self, thread: int) -> None:
        forces, near = self._forces[thread], self._near[thread]
        forces[:] = 0
        if self._prior is not None:
            self._prior.add(thread, [near[0], near[-1]] if self._lists.prior_sees_inter else [near[-1]], forces)


class TabulatedNetwork(TabulatedPairs):
    """What `DeployedNetwork` computes, from tables: the same within `parity.PARITY`, many times faster.

    The first call also evaluates the exact network in float64, on at most a thousand of the beads, and compares.

    Attributes:
        parity: Largest force difference that the first call found, over the root mean square force.
    """

    def __init__(self, deployed: DeployedNetwork, *, n_threads: int | None = None) -> None:
        """Args:
        deployed: The network bound to a topology; its weights are copied.
        n_threads: Threads; None for `suggest_threads`.
        """
        super().__init__(deployed, n_threads=n_threads)
        self._network = deployed.network
        self._types = deployed.bead_types.numpy().astype(np.int32)
        self._folded = fold(deployed.network)
        self._evaluation = Evaluation(self._folded, self._types, self.n_threads)
        self._phases = [self._find_near, *self._evaluation.phases(), self._add_forces]
        self._is_clean = True
        self.parity: float | None = None

    def _check(self) -> None:
        if self.parity is None:
            self.parity = self._measure_parity()
        require_parity(self.parity)

    def _evaluate(
        self, positions: NDArray[np.float64], box: NDArray[np.float64] | None
    ) -> tuple[float, NDArray[np.float64]]:
        if not self._is_clean:  # an interrupt may have left sums half done
            self._evaluation.clear()
        self._is_clean = False
        energy, forces = super()._evaluate(positions, box)
        self._is_clean = True
        return energy, forces

    def _reorder(self, order: NDArray[np.int32]) -> None:
        super()._reorder(order)
        self._evaluation.types[:] = self._types[order]

    def _sum_energies(self) -> float:
        return super()._sum_energies() + float(self._evaluation.energies.sum())

    def _find_near(self, thread: int) -> None:
        super()._find_near(thread)
        self._evaluation.begin(thread, self._near[thread][: len(self._folded.stacks)])

    def _add_forces(self, thread: int) -> None:
        super()._add_forces(thread)
        for pairs, slopes in zip(self._near[thread], self._evaluation.slopes(thread), strict=self._prior is None):
            kernels.add_pair_forces(
                pairs.first, pairs.second, pairs.vectors, pairs.distances, slopes, self._forces[thread]
            )

    def _measure_parity(self) -> float:
        """Largest force difference from the exact network over the root mean square force, for some of the beads."""
        kinds = [
            Pairs.concatenate([self._near[thread][kind] for thread in range(self.n_threads)])
            for kind in range(len(self._folded.stacks))
        ]
        return compare_with_network(self._network, self._folded, self._evaluation.types, kinds)


def suggest_threads(n_beads: int) -> int:
    """Threads for this many beads: as many as OPENMM_CPU_THREADS, OMP_NUM_THREADS or the processor say, within reason.

    A thread gets at least 500 beads; with less to do, threads wait for each other most of the time.
    """
    asked = os.environ.get("OPENMM_CPU_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
    try:
        available = int(asked)
    except ValueError:
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, n_beads // _BEADS_PER_THREAD))


def _not_finite(energy: float, forces: NDArray[np.float64]) -> str:
    bad = np.flatnonzero(~np.isfinite(forces).all(axis=1))
    return (
        f"the energy is {energy} kJ/mol, and forces are not finite on {len(bad)} beads"
        f" ({bad[:5].tolist()} ...); the positions before this step are the last good ones"
    )
