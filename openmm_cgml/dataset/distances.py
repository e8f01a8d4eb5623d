"""Distances between beads by pair of types: closest approaches between and within molecules, and bond lengths."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import bond_lengths, box_widths, find_pairs, pair_distances
from openmm_cgml.topology import CGTopology
from openmm_cgml.wholeness import BondForest


@dataclass(frozen=True, kw_only=True)
class TypePairDistances:
    """Distances between beads of two types [nm]; None where there is no such pair, or none within the search range.

    Attributes:
        types: The two types.
        closest_inter: Closest approach of beads of different molecules or of different images of one.
        closest_intra: Closest approach of unbonded beads within one molecule.
        bonded_min: Shortest bond.
        bonded_max: Longest bond.
        bonded_mean: Mean bond length.
        bonded_std: Its standard deviation.
    """

    types: tuple[str, str]
    closest_inter: float | None
    closest_intra: float | None
    bonded_min: float | None
    bonded_max: float | None
    bonded_mean: float | None
    bonded_std: float | None


class DistanceRecord:
    """Collects `TypePairDistances` chunk by chunk.

    Attributes:
        search_range: Range within which closest approaches are searched [nm]: as asked for, and at most half the
            smallest box width met so far.
    """

    def __init__(self, topology: CGTopology, search_range: float) -> None:
        """Starts without frames.

        Raises:
            InputError: A search range that is not positive.
        """
        if not search_range > 0:
            raise InputError(f"search range {search_range} nm; it must be positive")
        self.search_range = search_range
        self._topology = topology
        self._forest = BondForest.from_topology(topology)
        self._n_types = len(topology.type_names)
        self._inter_exists, self._intra_exists, self._together = _existing_pairs(topology)
        self._inter = np.full(self._n_types**2, np.inf)
        self._intra = np.full(self._n_types**2, np.inf)
        self._bonded = topology.bonds[:, 0] * topology.n_beads + topology.bonds[:, 1]
        self._bonds = {key: _Lengths() for key in np.unique(self._keys(topology.bonds)).tolist()}

    def add(self, frames: Frames) -> None:
        """Takes more frames into account."""
        positions = np.asarray(frames.positions, dtype=np.float64)
        lengths = bond_lengths(positions, frames.box, self._topology.bonds)  # beads may be wrapped one by one
        keys = self._keys(self._topology.bonds)
        for key, record in self._bonds.items():
            record.add(lengths[:, keys == key])
        for frame, bead_positions in enumerate(positions):
            self._add_pairs(bead_positions, None if frames.box is None else frames.box[frame].astype(np.float64))

    def result(self) -> tuple[TypePairDistances, ...]:
        """Returns the distances of every pair of types that has pairs of beads."""
        pairs = itertools.combinations_with_replacement(range(self._n_types), 2)
        return tuple(self._pair(a, b) for a, b in pairs if self._has_pairs(a * self._n_types + b))

    def _has_pairs(self, key: int) -> bool:
        return bool(self._inter_exists[key] or self._intra_exists[key] or key in self._bonds)

    def _pair(self, a: int, b: int) -> TypePairDistances:
        key = a * self._n_types + b
        bonds = self._bonds.get(key)
        return TypePairDistances(
            types=(self._topology.type_names[a], self._topology.type_names[b]),
            closest_inter=float(self._inter[key]) if np.isfinite(self._inter[key]) else None,
            closest_intra=float(self._intra[key]) if np.isfinite(self._intra[key]) else None,
            bonded_min=bonds.low if bonds else None,
            bonded_max=bonds.high if bonds else None,
            bonded_mean=bonds.mean if bonds else None,
            bonded_std=bonds.std if bonds else None,
        )

    def _add_pairs(self, positions: NDArray[np.float64], box: NDArray[np.float64] | None) -> None:
        if box is not None:
            # A hair less than half the smallest width, so that no pair is met at two images at once.
            self.search_range = min(self.search_range, 0.4999 * float(box_widths(box).min()))
            self._inter_exists = self._inter_exists | self._together  # a molecule may meet its own images
        # Once every kind of pair has been met, only pairs closer than the largest record can improve one.
        open_records = max(
            self._inter[self._inter_exists].max(initial=0.0), self._intra[self._intra_exists].max(initial=0.0)
        )
        pairs = find_pairs(positions, box, min(self.search_range, open_records))
        lengths, keys = pair_distances(positions, box, *pairs), self._keys(pairs.T)
        within = self._forest.is_intra(positions, box, pairs)
        unbonded = within & ~np.isin(pairs[0] * self._topology.n_beads + pairs[1], self._bonded)
        np.minimum.at(self._inter, keys[~within], lengths[~within])
        np.minimum.at(self._intra, keys[unbonded], lengths[unbonded])

    def _keys(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        types = np.sort(self._topology.bead_types[pairs], axis=1)
        return types[:, 0] * self._n_types + types[:, 1]


class _Lengths:
    """Running extremes, mean and standard deviation."""

    def __init__(self) -> None:
        self.low, self.high = np.inf, 0.0
        self._count, self._sum, self._squares = 0, 0.0, 0.0

    def add(self, lengths: NDArray[np.float64]) -> None:
        self.low, self.high = min(self.low, float(lengths.min())), max(self.high, float(lengths.max()))
        self._count += lengths.size
        self._sum += float(lengths.sum())
        self._squares += float((lengths**2).sum())

    @property
    def mean(self) -> float:
        return self._sum / self._count

    @property
    def std(self) -> float:
        return max(self._squares / self._count - self.mean**2, 0.0) ** 0.5


def _existing_pairs(topology: CGTopology) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Returns which pairs of types have pairs of beads, each of shape (n_types * n_types,).

    In different molecules; unbonded in the same molecule; in the same molecule.
    """
    n_types = len(topology.type_names)
    counts = np.zeros((topology.n_molecules, n_types), dtype=np.int64)
    np.add.at(counts, (topology.molecules, topology.bead_types), 1)
    total = np.outer(counts.sum(axis=0), counts.sum(axis=0)) - np.diag(_same_type_surplus(counts.sum(axis=0)))
    within = counts.T @ counts - np.diag(_same_type_surplus(counts).sum(axis=0))
    bonded = np.zeros_like(within)
    types = np.sort(topology.bead_types[topology.bonds], axis=1)
    np.add.at(bonded, (types[:, 0], types[:, 1]), 1)
    upper = np.triu(np.ones((n_types, n_types), dtype=bool))
    kinds = total > within, within > bonded, within > 0
    inter, intra, together = ((kind & upper).ravel() for kind in kinds)
    return inter, intra, together


def _same_type_surplus(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns n^2 - n (n - 1) / 2, which turns a product of counts into a number of pairs on the diagonal."""
    return counts * (counts + 1) // 2
