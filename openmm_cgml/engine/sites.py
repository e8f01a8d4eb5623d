"""Pair priors between sites on a CPU: a neighbor list of the sites, compiled loops, forces on the beads."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.engine import site_kernels
from openmm_cgml.engine.cell_list import find_places, has_moved, perpendicular_widths
from openmm_cgml.engine.centers import TabulatedCenters
from openmm_cgml.engine.cpu import suggest_threads
from openmm_cgml.engine.crew import Crew
from openmm_cgml.engine.deployed_sites import DeployedSites
from openmm_cgml.engine.pair_lists import Exclusions
from openmm_cgml.errors import SimulationError

_Array = NDArray[np.int32]


class SiteLists:
    """Pairs of sites that may be within the cutoff of their types, shared out to threads.

    The list is made again when a site has moved half the skin or the box has changed. The skin is narrowed where the
    box leaves less room, so that no image is ever missed.

    Attributes:
        order: Site at each place, shape (n_sites,): sites are sorted by cells, so that neighbors are near in memory.
        box: Box of the list [nm], shape (3, 3); without periodic boundaries any.
        shares: Owners and partners of each thread's pairs, as places, and the table of each pair.
        n_searches: Number of searches so far.
    """

    def __init__(self, deployed: DeployedSites, n_threads: int) -> None:
        """Args:
        deployed: The sites and their tables.
        n_threads: Threads that the pairs are shared out to.
        """
        self._deployed, self._n_threads = deployed, n_threads
        sites, table = deployed.sites, deployed.pair_table
        self._types, self._molecules = table.bead_types, sites.molecules
        self._excluded = Exclusions.from_pairs(sites.exclusions, sites.n_sites)
        self._listed_at: NDArray[np.float64] | None = None
        self._is_periodic, self._half_skin = False, 0.0
        self.order = np.arange(sites.n_sites, dtype=np.int32)
        self.box = np.eye(3)
        self.shares: list[tuple[_Array, _Array, _Array]] = []
        self.n_searches = 0

    def update(self, sites: NDArray[np.float64], box: NDArray[np.float64] | None) -> bool:
        """Search again if needed; returns whether it was.

        Args:
            sites: Site positions [nm], shape (n_sites, 3).
            box: Reduced box vectors [nm], shape (3, 3), or None.

        Raises:
            SimulationError: If a position is not finite or the box is too small.
        """
        listed = self._listed_at
        is_same_box = (box is not None) == self._is_periodic and (box is None or np.array_equal(box, self.box))
        if listed is not None and is_same_box and not has_moved(sites, listed, self._half_skin):
            return False
        if not np.isfinite(sites).all():
            bead = int(self._deployed.sites.owners[np.flatnonzero(~np.isfinite(sites).all(axis=1))[0]])
            raise SimulationError(
                f"a site of bead {bead} has no finite position; the run was unstable before this step"
            )
        self._is_periodic = box is not None
        self._search(sites, box)
        return True

    def _search(self, sites: NDArray[np.float64], box: NDArray[np.float64] | None) -> None:
        cutoff, skin = self._deployed.pair_table.cutoff, self._deployed.skin
        if box is None:
            extent = sites.max(axis=0) - sites.min(axis=0)
            self.box, inside = np.diag(extent + 3 * (cutoff + skin)), sites - sites.min(axis=0) + cutoff
        else:
            self.box, inside = np.array(box, np.float64), sites
            narrowest = float(perpendicular_widths(self.box).min())
            if 2 * cutoff > narrowest:
                raise SimulationError(
                    f"the box is {narrowest:.4g} nm wide, less than twice the cutoff of {cutoff:g} nm between sites;"
                    " use a larger box"
                )
            skin = min(skin, narrowest / 2 - cutoff)
        replicas = self._deployed.n_replicas
        self.order, places = find_places(
            inside,
            self.box,
            cutoff + skin,
            n_replicas=replicas,
            is_periodic=self._is_periodic,
            types=self._types,
            reaches=self._deployed.pair_table.cutoffs + skin,
        )
        owners, partners = self._without_excluded(*places)
        cuts = np.arange(self._n_threads + 1) * len(owners) // self._n_threads
        rows = self._types[self.order].astype(np.int32)
        tables = rows[owners] * np.int32(len(self._deployed.pair_table.knots)) + rows[partners]
        self.shares = [(owners[a:b], partners[a:b], tables[a:b]) for a, b in pairwise(cuts.tolist())]
        self._listed_at, self._half_skin = sites.copy(), 0.5 * skin
        self.n_searches += 1

    def _without_excluded(self, owners: _Array, partners: _Array) -> tuple[_Array, _Array]:
        excluded = self._excluded
        kept: tuple[_Array, _Array] = site_kernels.drop_excluded_sites(
            owners, partners, self.order, self._molecules, excluded.starts, excluded.partners
        )
        return kept


class TabulatedSites:
    """Energy and forces of pair priors between sites, and centers, from their tables; a network is not evaluated.

    Attributes:
        lists: The neighbor list.
    """

    def __init__(self, deployed: DeployedSites, *, n_threads: int | None = None) -> None:
        """Args:
        deployed: The sites and their tables.
        n_threads: Threads; None for `suggest_threads` by the number of sites.
        """
        sites, table = deployed.sites, deployed.pair_table
        self._deployed = deployed
        self._crew = Crew(n_threads or suggest_threads(sites.n_sites))
        self.lists = SiteLists(deployed, self._crew.size)
        starts = np.searchsorted(sites.frame_of, np.arange(len(sites.frames) + 1))
        self._frames = (sites.frames, sites.weights, starts, sites.local)
        self._axes = np.zeros((len(sites.frames), site_kernels.N_AXES))
        self._sites = np.zeros((sites.n_sites, 3))
        self._places = np.zeros((3, sites.n_sites))
        self._tables = table.square_tables()
        self._forces = np.zeros((self._crew.size, sites.n_sites, 3))
        self._energies = np.zeros(self._crew.size)
        self._is_periodic = False
        self._centers: TabulatedCenters | None = None
        if deployed.centers is not None:
            self._centers = TabulatedCenters(
                deployed.centers, n_replicas=deployed.n_replicas, n_threads=self._crew.size
            )
        self._lock = threading.Lock()

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
        with self._lock:
            energy, forces = self._evaluate(np.ascontiguousarray(positions, dtype=np.float64), box)
        if self._centers is not None:
            of_centers, on_beads = self._centers(positions, box)
            energy, forces = energy + of_centers, forces + on_beads
        if not (np.isfinite(energy) and np.isfinite(forces.sum())):
            bad = np.flatnonzero(~np.isfinite(forces).all(axis=1))
            raise SimulationError(
                f"the energy of the sites is {energy} kJ/mol, and forces are not finite on {len(bad)} beads "
                f"({bad[:5].tolist()} ...); the positions before this step are the last good ones"
            )
        return energy, forces

    def _evaluate(
        self, positions: NDArray[np.float64], box: NDArray[np.float64] | None
    ) -> tuple[float, NDArray[np.float64]]:
        cell = np.eye(3) if box is None else np.ascontiguousarray(box, dtype=np.float64)
        self._is_periodic = box is not None
        site_kernels.place_sites(positions, cell, self._is_periodic, *self._frames, self._axes, self._sites)
        self.lists.update(self._sites, None if box is None else cell)
        np.take(self._sites.T, self.lists.order, axis=1, out=self._places)
        self._crew.run([self._add_forces])
        on_sites = np.empty_like(self._sites)
        on_sites[self.lists.order] = self._forces[0] if self._crew.size == 1 else self._forces.sum(axis=0)
        forces = np.zeros_like(positions)
        site_kernels.carry_forces(*self._frames, self._axes, on_sites, forces)
        return float(self._energies.sum()), forces

    def _add_forces(self, thread: int) -> None:
        forces = self._forces[thread]
        forces[:] = 0.0
        self._energies[thread] = site_kernels.add_listed_forces(
            self._places, *self.lists.shares[thread], self.lists.box, self._is_periodic, *self._tables, forces
        )
