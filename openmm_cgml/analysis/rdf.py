"""Radial distribution functions: of points, and of beads by type pair within and between molecules.

Every unordered pair is counted once, in double precision, at its nearest image, in bins [edge_k, edge_k+1).

Pairs of one molecule that meet through the periodic boundary, a chain and its own image, are intermolecular:
intramolecular are pairs of one molecule at their direct, unwrapped separation. Both kinds are counted in units of the
density of all pairs of their types, so that they add up to g(r) of all, g(r) between molecules goes to one where
molecules are small, and g(r) within molecules decays to zero. For chains, g(r) between molecules stays below one by
what the chain itself fills (the correlation hole), the more so the longer the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from openmm_cgml.analysis.result import Result, is_average_of, is_even_grid
from openmm_cgml.errors import InputError
from openmm_cgml.periodic import box_widths, find_pairs, pair_distances, wrap


@dataclass(frozen=True, eq=False, kw_only=True)
class RadialDistribution(Result):
    """A radial distribution function with the pair counts behind it.

    Attributes:
        bin_edges: Bin edges [nm], shape (n_bins + 1,).
        counts: Pairs found per bin in all frames, each unordered pair once, shape (n_bins,).
        g: g(r), shape (n_bins,).
        block_g: g(r) of consecutive blocks of frames, shape (n_blocks, n_bins).
        n_frames: Frames used.
        n_pairs: Pairs per frame that the normalization assumes spread evenly over the box.
    """

    bin_edges: np.ndarray
    counts: np.ndarray
    g: np.ndarray
    block_g: np.ndarray
    n_frames: int
    n_pairs: int

    @property
    def r(self) -> np.ndarray:
        """Bin centers [nm], shape (n_bins,)."""
        centers: np.ndarray = (self.bin_edges[1:] + self.bin_edges[:-1]) / 2
        return centers

    @property
    def standard_error(self) -> np.ndarray | None:
        """Standard error of g(r) from the scatter of the blocks, shape (n_bins,); None with fewer than two blocks."""
        n_blocks = len(self.block_g)
        if n_blocks < 2:
            return None
        error: np.ndarray = self.block_g.std(axis=0, ddof=1) / np.sqrt(n_blocks)
        return error

    @property
    def first_occupied_bin(self) -> int:
        """Index of the first bin that holds a pair; the number of bins if none does."""
        occupied = np.flatnonzero(self.counts)
        return int(occupied[0]) if len(occupied) else len(self.counts)

    @property
    def scale(self) -> float | None:
        """g(r) of one pair in a bin, times the bin's volume [nm^3], the same for all bins; None without a pair."""
        n = self.counts.sum()
        return float((self.g * _shell_volumes(self.bin_edges)).sum() / n) if n > 0 else None

    def check_ranges(self) -> None:
        """Refuse bins, counts and g(r) that do not belong together."""
        n_bins = len(self.bin_edges) - 1
        self.require(is_even_grid(self.bin_edges), "bin_edges", "evenly spaced and rising")
        self.require(self.bin_edges[0] == 0, "bin_edges", "from zero")
        self.require(self.n_frames >= 1, "n_frames", "one or more")
        self.require(self.n_pairs >= 1, "n_pairs", "one or more")
        are_counts = self.counts.dtype.kind == "i" and self.counts.shape == (n_bins,)
        self.require(are_counts and self.counts.min() >= 0, "counts", f"{n_bins} whole numbers ≥ 0")
        self.require(self.g.shape == (n_bins,) and self.g.min() >= 0, "g", f"{n_bins} values ≥ 0")
        pairs = self.counts * (self.scale or 0.0)
        agree = np.abs(self.g * _shell_volumes(self.bin_edges) - pairs) <= 1e-6 * pairs
        self.require(agree.all(), "g", "the counts over the volumes of the bins")
        self.require(self.block_g.min(initial=0.0) >= 0, "block_g", "not negative")
        self.require(is_average_of(self.g, self.block_g), "block_g", "blocks whose average is g")

    def halves(self) -> tuple[np.ndarray, np.ndarray] | None:
        """g(r) of the first and of the second half of the blocks, each (n_bins,); None with fewer than two blocks."""
        half = len(self.block_g) // 2
        return (self.block_g[:half].mean(axis=0), self.block_g[-half:].mean(axis=0)) if half else None


@dataclass(frozen=True, eq=False, kw_only=True)
class PairDistributions(Result):
    """Radial distribution functions by pair of bead types.

    Attributes:
        inter: Between molecules, by "A-B"; also between a molecule and its own images.
        intra: Within molecules, by "A-B", without excluded pairs.
        excluded: The excluded pairs at their direct separation, by "A-B"; empty without exclusions.
    """

    inter: Mapping[str, RadialDistribution]
    intra: Mapping[str, RadialDistribution]
    excluded: Mapping[str, RadialDistribution]


def _shell_volumes(bin_edges: np.ndarray) -> np.ndarray:
    """Volumes of the bins [nm^3], shape (n_bins,), from edges that may have been rounded to nine digits."""
    edges = np.linspace(0, bin_edges[-1], len(bin_edges))
    volumes: np.ndarray = 4 / 3 * np.pi * np.diff(edges**3)
    return volumes


def compute_rdf(
    positions: np.ndarray,
    box: np.ndarray,
    *,
    r_max: float,
    bin_width: float = 0.01,
    n_blocks: int = 10,
) -> RadialDistribution:
    """g(r) of one kind of points, such as centers of mass.

    Normalized with N(N-1)/2 pairs, so that it is 1 on average for points placed at random at any N.

    Args:
        positions: Positions [nm], wrapped or not, shape (n_frames, n, 3).
        box: Box vectors [nm], shape (n_frames, 3, 3).
        r_max: End of the last bin [nm]; at most half the smallest box width.
        bin_width: Width of a bin [nm].
        n_blocks: Blocks of frames for the error; fewer if there are fewer frames.

    Raises:
        InputError: If `r_max` exceeds half a box width, or there are no frames or fewer than two points.
    """
    n = positions.shape[1]
    counts = _count_classes(positions, box, None, 1, r_max, bin_width, n_blocks)
    return counts.distribution(0, n * (n - 1) // 2)


def compute_pair_distributions(
    positions: np.ndarray,
    box: np.ndarray,
    *,
    bead_types: np.ndarray,
    type_names: tuple[str, ...],
    molecules: np.ndarray,
    r_max: float,
    bin_width: float = 0.01,
    n_blocks: int = 10,
    excluded: np.ndarray | None = None,
) -> PairDistributions:
    """g(r) between beads, by pair of types, between and within molecules, in one pass over the frames.

    Args:
        positions: Bead positions of whole molecules [nm], shape (n_frames, n_beads, 3).
        box: Box vectors [nm], shape (n_frames, 3, 3).
        bead_types: Index into `type_names`, shape (n_beads,).
        type_names: Names of the bead types.
        molecules: Molecule index of each bead, shape (n_beads,).
        r_max: End of the last bin [nm]; at most half the smallest box width.
        bin_width: Width of a bin [nm].
        n_blocks: Blocks of frames for the error; fewer if there are fewer frames.
        excluded: Pairs of one molecule left out of `intra`, such as `topology.exclusions(2)` for neighbors and next
            neighbors along the bonds, shape (n_pairs, 2); None for no exclusions.

    Raises:
        InputError: If `r_max` exceeds half a box width, or there are no frames or fewer than two beads.
    """
    n_types, n = len(type_names), len(bead_types)
    low, high = np.triu_indices(n_types)
    of_types = np.zeros((n_types, n_types), np.int64)
    of_types[low, high] = of_types[high, low] = np.arange(len(low))
    left_out = _encode_pairs(excluded, n)

    def classify(frame: int, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        kinds: np.ndarray = of_types[bead_types[i], bead_types[j]]
        same = np.flatnonzero(molecules[i] == molecules[j])
        first, second = i[same], j[same]
        # two images of a pair are at least a box width apart, so the direct one is the nearest if it is in reach
        direct = pair_distances(positions[frame], None, first, second) <= r_max * (1 + 1e-6)
        kinds[same[direct]] += len(low)
        if len(left_out):
            out = np.isin(np.minimum(first, second) * n + np.maximum(first, second), left_out) & direct
            kinds[same[out]] += len(low)
        return kinds

    counts = _count_classes(positions, box, classify, 3 * len(low), r_max, bin_width, n_blocks)
    n_all, n_intra = _count_possible_pairs(bead_types, n_types, molecules)
    inter, intra, out = {}, {}, {}
    for pair, (a, b) in enumerate(zip(low, high, strict=True)):
        name, n_pairs = f"{type_names[a]}-{type_names[b]}", int(n_all[a, b])
        between = counts.distribution(pair, n_pairs) if n_pairs else None
        if between is not None and (n_pairs > n_intra[a, b] or between.counts.any()):
            inter[name] = between
        if n_intra[a, b]:
            intra[name] = counts.distribution(pair + len(low), n_pairs)
            if len(left_out):
                out[name] = counts.distribution(pair + 2 * len(low), n_pairs)
    return PairDistributions(inter=inter, intra=intra, excluded=out)


def combine_distributions(distributions: Mapping[str, RadialDistribution], n_beads: int) -> RadialDistribution:
    """g(r) over all beads from those by pair of types, in units of the density of all pairs of beads.

    Args:
        distributions: `inter` or `intra` of `PairDistributions`.
        n_beads: Beads.

    Raises:
        InputError: If there are none.
    """
    if not distributions:
        raise InputError("no radial distributions to combine; a g(r) over all beads needs at least one pair of types")
    rdfs = list(distributions.values())
    n_pairs = n_beads * (n_beads - 1) // 2
    return RadialDistribution(
        bin_edges=rdfs[0].bin_edges,
        counts=np.sum([rdf.counts for rdf in rdfs], axis=0),
        g=np.sum([rdf.g * rdf.n_pairs for rdf in rdfs], axis=0) / n_pairs,
        block_g=np.sum([rdf.block_g * rdf.n_pairs for rdf in rdfs], axis=0) / n_pairs,
        n_frames=rdfs[0].n_frames,
        n_pairs=n_pairs,
    )


def add_distributions(first: RadialDistribution, second: RadialDistribution) -> RadialDistribution:
    """g(r) of two kinds of pairs together, both in units of the same density, such as `intra` and `excluded`.

    Raises:
        InputError: If they count in units of different densities.
    """
    if first.n_pairs != second.n_pairs or first.n_frames != second.n_frames:
        raise InputError(
            f"g(r) of {first.n_frames} frames with {first.n_pairs} pairs and of {second.n_frames} with "
            f"{second.n_pairs}; only kinds of pairs of one trajectory add up"
        )
    return RadialDistribution(
        bin_edges=first.bin_edges,
        counts=first.counts + second.counts,
        g=first.g + second.g,
        block_g=first.block_g + second.block_g,
        n_frames=first.n_frames,
        n_pairs=first.n_pairs,
    )


def count_pairs(positions: np.ndarray, box: np.ndarray | None, bin_edges: np.ndarray) -> np.ndarray:
    """Pairs of one frame per bin of distance, each unordered pair once, shape (n_bins,).

    Args:
        positions: Positions [nm], shape (n, 3).
        box: Box vectors [nm], shape (3, 3), or None for no periodicity.
        bin_edges: Evenly spaced bin edges from zero [nm], shape (n_bins + 1,).

    Raises:
        InputError: If the last edge exceeds half a box width.
    """
    check_r_max(float(bin_edges[-1]), None if box is None else np.asarray(box)[None])
    _, _, distances = _pairs_within(positions, box, float(bin_edges[-1]))
    _, bins = _bin(distances, bin_edges)
    return np.bincount(bins, minlength=len(bin_edges) - 1)


def check_r_max(r_max: float, box: np.ndarray | None) -> None:
    """Refuse a distance range that reaches beyond the nearest image.

    Args:
        r_max: Largest distance asked for [nm].
        box: Box vectors [nm], shape (n_frames, 3, 3), or None.

    Raises:
        InputError: If `r_max` is not positive or larger than half the smallest width of any frame's box.
    """
    if not (np.isfinite(r_max) and r_max > 0):
        raise InputError(f"r_max is {r_max} nm; it must be a positive length")
    if box is None:
        return
    half = box_widths(box).min(axis=-1) / 2
    if r_max > half.min() * (1 + 1e-12):
        raise InputError(
            f"r_max {r_max:g} nm is more than half the smallest box width, {half.min():.4f} nm in frame "
            f"{int(half.argmin())}; pairs would be counted with the wrong image: use a smaller r_max or a larger box"
        )


def _pairs_within(
    positions: np.ndarray, box: np.ndarray | None, r_max: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs i < j up to a hair beyond `r_max` and their distances [nm], three arrays of shape (n_pairs,)."""
    # The search compares squares, which rounding may take to either side; the exact comparison is the binning.
    wrapped = wrap(positions, box)
    i, j = find_pairs(wrapped, box, r_max * (1 + 1e-9))
    return i, j, pair_distances(wrapped, box, i, j)


def _count_possible_pairs(bead_types: np.ndarray, n_types: int, molecules: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of beads by types, all and those within a molecule, each (n_types, n_types)."""
    _, molecule = np.unique(molecules, return_inverse=True)
    content = np.bincount(molecule * n_types + bead_types, minlength=(molecule.max() + 1) * n_types)
    content = content.reshape(-1, n_types)
    ordered = np.stack([np.outer(content.sum(axis=0), content.sum(axis=0)), content.T @ content])
    same = np.eye(n_types, dtype=np.int64)
    ordered -= same * content.sum(axis=0)
    n_all, n_intra = np.where(same, ordered // 2, ordered)
    return n_all, n_intra


def _encode_pairs(pairs: np.ndarray | None, n: int) -> np.ndarray:
    """One number for each pair of indices below n, shape (n_pairs,)."""
    if pairs is None:
        return np.zeros(0, np.int64)
    ordered = np.sort(np.asarray(pairs, np.int64).reshape(-1, 2), axis=1)
    encoded: np.ndarray = ordered[:, 0] * n + ordered[:, 1]
    return encoded


def _bin(distances: np.ndarray, bin_edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which distances fall into a bin (mask), and the bins of those that do."""
    inside = distances < bin_edges[-1]
    kept = distances[inside]
    bins = np.minimum((kept / bin_edges[1]).astype(np.int64), len(bin_edges) - 2)
    bins -= kept < bin_edges[bins]  # the division may round across an edge
    bins += kept >= bin_edges[bins + 1]
    return inside, bins


@dataclass(frozen=True, eq=False, kw_only=True)
class _ClassCounts:
    """Pair counts per block, class and bin, and the inverse volumes summed over the frames of each block."""

    bin_edges: np.ndarray
    counts: np.ndarray
    inverse_volume: np.ndarray
    n_frames: int

    def distribution(self, index: int, n_pairs: int) -> RadialDistribution:
        shells = 4 / 3 * np.pi * np.diff(self.bin_edges**3) * n_pairs
        counts = self.counts[:, index]
        total = counts.sum(axis=0)
        return RadialDistribution(
            bin_edges=self.bin_edges,
            counts=total,
            g=total / (shells * self.inverse_volume.sum()),
            block_g=counts / (shells * self.inverse_volume[:, None]),
            n_frames=self.n_frames,
            n_pairs=n_pairs,
        )


def _count_classes(
    positions: np.ndarray,
    box: np.ndarray,
    classify: Callable[[int, np.ndarray, np.ndarray], np.ndarray] | None,
    n_classes: int,
    r_max: float,
    bin_width: float,
    n_blocks: int,
) -> _ClassCounts:
    n_frames, n = positions.shape[:2]
    if n_frames == 0 or n < 2:
        raise InputError(f"{n_frames} frames of {n} points; a radial distribution needs a frame and two points")
    if not 0 < bin_width <= r_max:
        raise InputError(f"bin_width is {bin_width} nm; it must be positive and at most r_max, {r_max} nm")
    check_r_max(r_max, box)
    n_bins = int(r_max / bin_width * (1 + 1e-12))
    bin_edges = np.arange(n_bins + 1) * bin_width
    n_blocks = min(n_blocks, n_frames)
    block_of = np.arange(n_frames) * n_blocks // n_frames
    counts = np.zeros((n_blocks, n_classes * n_bins), dtype=np.int64)
    for frame in range(n_frames):
        i, j, distances = _pairs_within(positions[frame], box[frame], float(bin_edges[-1]))
        inside, bins = _bin(distances, bin_edges)
        if classify is not None:
            bins = bins + n_bins * classify(frame, i[inside], j[inside])
        counts[block_of[frame]] += np.bincount(bins, minlength=n_classes * n_bins)
    volumes = np.abs(np.linalg.det(np.asarray(box, dtype=np.float64)))
    return _ClassCounts(
        bin_edges=bin_edges,
        counts=counts.reshape(n_blocks, n_classes, n_bins),
        inverse_volume=np.bincount(block_of, 1 / volumes, minlength=n_blocks),
        n_frames=n_frames,
    )
