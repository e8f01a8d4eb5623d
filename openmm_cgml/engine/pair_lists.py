"""Which pairs interact now: a list with a skin, split between kinds of pairs and between threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.engine import kernels
from openmm_cgml.engine.cell_list import (
    INTRA,
    OWN_IMAGES,
    drop_excluded,
    find_pairs,
    has_moved,
    perpendicular_widths,
    sort_into_cells,
    tell_kinds,
)
from openmm_cgml.engine.listing import Listing
from openmm_cgml.errors import SimulationError

SORTED_FROM = 1000
"""From this many beads on, beads are renumbered by place at every search, so that neighbors are near in memory."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of beads within range.

    Attributes:
        first: Bead numbers, shape (n_pairs,).
        second: Bead numbers, shape (n_pairs,).
        vectors: From second to first [nm], shape (n_pairs, 3).
        distances: [nm], shape (n_pairs,).
    """

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    vectors: NDArray[np.float64]
    distances: NDArray[np.float64]

    def __getitem__(self, chosen: slice) -> Pairs:
        return Pairs(self.first[chosen], self.second[chosen], self.vectors[chosen], self.distances[chosen])

    @classmethod
    def concatenate(cls, shares: Sequence[Pairs]) -> Pairs:
        """The pairs of all shares, one after the other."""
        return cls(*(np.concatenate([getattr(share, field.name) for share in shares]) for field in fields(cls)))

    @classmethod
    def empty(cls, n: int) -> Pairs:
        """Room for n pairs."""
        return cls(np.empty(n, np.int32), np.empty(n, np.int32), np.empty((n, 3)), np.empty(n))


@dataclass(frozen=True, eq=False)
class _Share:
    """A thread's listed pairs of one kind, and room for those that are near."""

    owners: NDArray[np.int32]
    partners: NDArray[np.int32]
    room: Pairs


@dataclass(frozen=True, eq=False)
class Exclusions:
    """Excluded partners of every bead, one bead after the other.

    Attributes:
        starts: Where those of each bead begin, shape (n_beads + 1,).
        partners: Bead numbers, shape (2 n_exclusions,).
    """

    starts: NDArray[np.int64]
    partners: NDArray[np.int32]

    @classmethod
    def from_pairs(cls, pairs: NDArray[np.int64], n_beads: int) -> Exclusions:
        """Exclusions of pairs of beads, shape (n_exclusions, 2)."""
        both = np.concatenate([pairs, pairs[:, ::-1]])
        both = both[np.argsort(both[:, 0], kind="stable")]
        return cls(np.searchsorted(both[:, 0], np.arange(n_beads + 1)), both[:, 1].astype(np.int32))

    def drop_from(
        self, beads: NDArray[np.int32], owners: NDArray[np.int32], partners: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The pairs of places whose beads are not excluded.

        Args:
            beads: Bead at each place, shape (n_beads,).
            owners: Places, shape (n_pairs,).
            partners: Places, shape (n_pairs,).
        """
        if not len(self.partners) or not len(owners):
            return owners, partners
        kept: tuple[NDArray[np.int32], NDArray[np.int32]] = drop_excluded(
            owners, partners, beads, self.starts, self.partners
        )
        return kept


class PairLists:
    """The pairs of each kind: the network's (inter, and intra where it has such blocks), then those of the pair priors.

    Intra pairs are those within a whole molecule; a molecule and its own periodic images make inter pairs.

    Where pair priors are evaluated, the last kind holds those of their pairs that are not inter pairs of the network,
    or all of them where they reach further than the network.

    A search finds all pairs within the cutoff and a skin; it is repeated when a bead has moved half the skin or the box
    has changed. The skin is narrowed where the box leaves less room, so that no image is ever missed.

    Attributes:
        order: Bead of each place, or None while beads keep their numbers.
        n_searches: Number of searches so far.
        prior_sees_inter: Whether all inter pairs listed are also pairs of the prior, and the last kind leaves them out.
    """

    def __init__(self, listing: Listing, n_threads: int) -> None:
        """Args:
        listing: What is to be listed.
        n_threads: Threads that the pairs are shared out to.
        """
        network, prior = listing.network, listing.prior
        self._network, self._skin, self._cutoff = network, listing.skin, listing.cutoff
        self._n_replicas = listing.n_replicas
        self._cutoffs = (*(network.cutoffs if network else ()), *([prior.cutoff] if prior else []))
        self._has_bonds = network is not None and network.forest.has_bonds
        self._excluded = None if network is None else Exclusions.from_pairs(network.exclusions, listing.n_beads)
        self._prior_excluded: Exclusions | None = None
        self._prior_may_see_inter = self.prior_sees_inter = False
        if prior is not None:
            self._prior_excluded = Exclusions.from_pairs(prior.exclusions, listing.n_beads)
            if network is not None:
                i, j = network.forest.roots[prior.exclusions.T]
                self._prior_may_see_inter = np.array_equal(i, j) and prior.cutoff <= network.cutoffs[0]
        self._n_threads = n_threads
        self._listed_at: NDArray[np.float64] | None = None
        self._listed_box = np.zeros((3, 3))
        self._half_skin = 0.0
        self._box = np.zeros((3, 3))
        self._is_periodic = False
        self._shares: list[tuple[_Share, ...]] = []
        self.order: NDArray[np.int32] | None = None
        self.n_searches = 0

    def update(self, positions: NDArray[np.float64], box: NDArray[np.float64] | None) -> bool:
        """Search again if needed; returns whether it was.

        Args:
            positions: Positions [nm], shape (n_beads, 3).
            box: Reduced box vectors [nm], shape (3, 3), or None.

        Raises:
            SimulationError: If a position is not finite or the box is too small.
        """
        self._is_periodic = box is not None
        if box is not None:
            self._box = np.ascontiguousarray(box, dtype=np.float64)
        elif self._listed_at is None:
            self._box = np.eye(3)
        listed = self._listed_at
        if (
            listed is not None
            and (box is None or np.array_equal(self._box, self._listed_box))
            and not has_moved(positions, listed, self._half_skin)
        ):
            return False
        if not np.all(np.isfinite(positions)):
            bead = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
            raise SimulationError(
                f"the position of bead {bead} is {positions[bead].tolist()}; the run was unstable before this step"
            )
        self._search(positions)
        return True

    def near(self, positions: NDArray[np.float64], thread: int) -> list[Pairs]:
        """A thread's pairs within the cutoff, one `Pairs` per kind.

        Args:
            positions: In the order of `order` [nm], shape (n_beads, 3).
            thread: Its number.
        """
        result = []
        for share, cutoff in zip(self._shares[thread], self._cutoffs, strict=True):
            room = share.room
            n = kernels.near_pairs(
                positions,
                share.owners,
                share.partners,
                self._box,
                self._is_periodic,
                cutoff,
                room.first,
                room.second,
                room.vectors,
                room.distances,
            )
            result.append(room[:n])
        return result

    def _search(self, positions: NDArray[np.float64]) -> None:
        skin, cell, whole, half_width = self._skin, self._box, positions, np.inf
        if self._is_periodic:
            narrowest = float(perpendicular_widths(cell).min())
            if 2 * self._cutoff > narrowest:
                raise SimulationError(
                    f"the box is {narrowest:.4g} nm wide, less than twice the cutoff of {self._cutoff:g} nm;"
                    " use a larger box"
                )
            skin = min(skin, narrowest / 2 - self._cutoff)
            if self._network is not None and self._has_bonds:
                whole, half_width = positions - self._network.forest.images(positions, cell) @ cell, narrowest / 2
        else:
            extent = positions.max(axis=0) - positions.min(axis=0)
            cell = np.diag(extent + 3 * (self._cutoff + skin))
            self._box = cell
        inside = positions if self._is_periodic else positions - positions.min(axis=0) + self._cutoff
        reach = self._cutoff + skin
        self.order = None
        if len(positions) >= SORTED_FROM:
            self.order = sort_into_cells(inside, cell, reach, self._n_replicas)[2]
            inside, whole = inside[self.order], whole[self.order]
        owners, partners = find_pairs(inside, cell, reach, n_replicas=self._n_replicas, is_periodic=self._is_periodic)
        self._share_out(self._kinds(owners, partners, whole, half_width), len(positions))
        self._half_skin = 0.5 * skin
        self._listed_at = positions.copy()
        self._listed_box = cell.copy()
        self.n_searches += 1

    def _kinds(
        self, owners: NDArray[np.int32], partners: NDArray[np.int32], whole: NDArray[np.float64], half_width: float
    ) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """The pairs of the network, inter- and (with such blocks) intramolecular, and those of the prior."""
        everything, none = (owners, partners), (owners[:0], partners[:0])
        beads = self.order if self.order is not None else np.arange(len(whole), dtype=np.int32)
        kinds, rest = [], everything
        self.prior_sees_inter = self._prior_may_see_inter
        if self._network is not None:
            between, rest = everything, none
            if self._has_bonds:
                told = tell_kinds(owners, partners, self._network.forest.roots[beads], whole, half_width)
                intra = told == INTRA
                between, rest = (owners[~intra], partners[~intra]), (owners[intra], partners[intra])
                self.prior_sees_inter &= self._are_seen_by_prior(beads, *everything, told == OWN_IMAGES)
            within = rest if self._excluded is None else self._excluded.drop_from(beads, *rest)
            kinds = [between, within][: len(self._network.cutoffs)]
        if self._prior_excluded is not None:
            of_prior = rest if self.prior_sees_inter else everything
            kinds.append(self._prior_excluded.drop_from(beads, *of_prior))
        return kinds

    def _are_seen_by_prior(
        self,
        beads: NDArray[np.int32],
        owners: NDArray[np.int32],
        partners: NDArray[np.int32],
        chosen: NDArray[np.bool_],
    ) -> bool:
        """Whether the prior excludes none of some pairs."""
        if self._prior_excluded is None or not chosen.any():
            return True
        some = owners[chosen], partners[chosen]
        return len(self._prior_excluded.drop_from(beads, *some)[0]) == len(some[0])

    def _share_out(self, kinds: list[tuple[NDArray[np.int32], NDArray[np.int32]]], n_beads: int) -> None:
        bounds = np.arange(self._n_threads + 1) * n_beads // self._n_threads
        cuts = [np.searchsorted(owners, bounds) for owners, _ in kinds]
        self._shares = [
            tuple(
                _Share(owners[cut[t] : cut[t + 1]], partners[cut[t] : cut[t + 1]], Pairs.empty(cut[t + 1] - cut[t]))
                for (owners, partners), cut in zip(kinds, cuts, strict=True)
            )
            for t in range(self._n_threads)
        ]
