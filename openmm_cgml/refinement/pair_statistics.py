"""Pairs of beads, or sites, of different molecules in frames: how many by distance, and what their forces press."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.engine.cell_list import find_pairs
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import minimum_image
from openmm_cgml.potentials.points import BuiltPoints, Points
from openmm_cgml.topology import CGTopology
from openmm_cgml.wholeness import BondForest

BIN_WIDTH = 0.001
"""Of the histograms [nm]."""
_BINS_OF_G = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class PairStatistics:
    """Histograms of the pairs between molecules of each frame, by pair of bead types or of site types.

    Attributes:
        types: Pairs of types, sorted.
        counts: Number of pairs in each bin, shape (n_frames, n_types, n_bins).
        arms: Sum over the pairs in each bin of the vector between their molecules' centers of mass along that between
            the beads or sites [nm], shape (n_frames, n_types, n_bins): with the force of a pair it makes the molecular
            virial.
        ideal: Pairs in each bin without any structure, shape (n_types, n_bins).
    """

    types: tuple[tuple[str, str], ...]
    counts: NDArray[np.float32]
    arms: NDArray[np.float32]
    ideal: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        topology: CGTopology,
        frames: Frames,
        r_max: float,
        sites: BuiltPoints | None = None,
        *,
        alike: Mapping[str, str] | None = None,
    ) -> Self:
        """The statistics of frames in boxes at least twice as wide as `r_max` [nm].

        Args:
            topology: The beads.
            frames: Their positions and boxes.
            r_max: Range of the histograms [nm].
            sites: The sites or centers whose pairs are counted; None for those of the beads.
            alike: Bead types that are taken for others.
        """
        assert frames.box is not None  # refinement refuses references without one
        points = Points.of_beads(topology, 0).merged(alike or {}) if sites is None else sites.points
        types, number_of = _number_types(points)
        n_bins = round(r_max / BIN_WIDTH)
        size = len(types) * n_bins
        counts, arms = np.zeros((2, len(frames), size), np.float32)
        forest = BondForest.from_topology(topology)
        for index, (beads, box) in enumerate(zip(frames.positions, frames.box, strict=True)):
            positions, cell = np.asarray(beads, np.float64), np.asarray(box, np.float64)
            whole = positions - forest.images(positions, cell) @ cell
            offsets = whole - forest.centers(whole, topology.masses)
            if sites is not None:
                positions = sites.place(sites.axes(whole))
                offsets = offsets[sites.owners] + positions - whole[sites.owners]
            pairs = np.stack(find_pairs(positions, cell, n_bins * BIN_WIDTH)).astype(np.int64)
            tell = forest if sites is None else sites
            i, j = pairs[:, ~tell.is_intra(positions, cell, pairs)]
            vectors = minimum_image(positions[j] - positions[i], cell)
            distances = np.linalg.norm(vectors, axis=1)
            along = distances + np.einsum("px,px->p", offsets[i] - offsets[j], vectors) / distances
            place = number_of[points.types[i], points.types[j]] * n_bins
            place += np.minimum((distances / BIN_WIDTH).astype(np.int64), n_bins - 1)
            counts[index] = np.bincount(place, minlength=size)
            arms[index] = np.bincount(place, along, minlength=size)
        shape = (len(frames), len(types), n_bins)
        per_volume = float((1 / np.abs(np.linalg.det(frames.box))).mean())
        ideal = _pairs_of_types(points, types)[:, None] * _shells(n_bins) * per_volume
        return cls(types=types, counts=counts.reshape(shape), arms=arms.reshape(shape), ideal=ideal)

    @property
    def distances(self) -> NDArray[np.float64]:
        """Middles of the bins [nm], shape (n_bins,)."""
        return np.asarray((np.arange(self.counts.shape[-1]) + 0.5) * BIN_WIDTH, np.float64)

    def gr(self, number: int | None = None, frames: slice = slice(None)) -> NDArray[np.float64]:
        """Radial distribution function between molecules in bins of 0.01 nm, shape (n,).

        Args:
            number: Of the pair of types; None takes all points alike.
            frames: Frames to take.
        """
        counts = self.counts[frames].mean(axis=0, dtype=np.float64)
        chosen = slice(None) if number is None else slice(number, number + 1)
        pairs, ideal = counts[chosen].sum(axis=0), self.ideal[chosen].sum(axis=0)
        n = len(pairs) // _BINS_OF_G * _BINS_OF_G
        pairs, ideal = (values[:n].reshape(-1, _BINS_OF_G).sum(axis=1) for values in (pairs, ideal))
        return np.asarray(pairs / ideal)


def compare_gr(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Root mean square difference of two radial distribution functions over all distances."""
    return float(np.sqrt(np.mean((one - other) ** 2)))


def _number_types(points: Points) -> tuple[tuple[tuple[str, str], ...], NDArray[np.int64]]:
    """Pairs of types that occur, and the number of each pair by two types."""
    present = np.unique(points.types)
    numbers = np.full((len(points.type_names),) * 2, -1)
    types: list[tuple[str, str]] = []
    for k, a in enumerate(present):
        for b in present[k:]:
            numbers[a, b] = numbers[b, a] = len(types)
            first, second = sorted((points.type_names[a], points.type_names[b]))
            types.append((first, second))
    return tuple(types), numbers


def _pairs_of_types(points: Points, types: tuple[tuple[str, str], ...]) -> NDArray[np.float64]:
    """Number of pairs of points by pair of types, shape (n_types,): all of them, as `analysis.rdf` counts."""
    names = points.type_names
    counts = np.bincount(points.types, minlength=len(names)).astype(np.float64)
    indices = [(names.index(a), names.index(b)) for a, b in types]
    return np.array([counts[a] * (counts[a] - 1) / 2 if a == b else counts[a] * counts[b] for a, b in indices])


def _shells(n_bins: int) -> NDArray[np.float64]:
    edges = np.arange(n_bins + 1) * BIN_WIDTH
    return np.asarray(4 / 3 * np.pi * np.diff(edges**3))
