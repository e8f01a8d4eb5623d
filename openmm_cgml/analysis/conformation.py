"""Conformations of linear chains: end-to-end distance, radius of gyration, internal distances, stiffness.

Chains of one length are averaged together. The chains are the independent samples: each is averaged over the frames
first, and the scatter of the chains gives the error, which holds however slowly chains move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmm_cgml.analysis.block_average import compute_average
from openmm_cgml.analysis.chains import check_whole, find_chains, find_linear_molecules, stack_chains
from openmm_cgml.analysis.gyration import compute_squared_gyration
from openmm_cgml.analysis.relaxation import EndToEndRelaxation, compute_relaxation
from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology

MIN_CHAIN_BEADS = 4
"""Fewest beads of a molecule that is analyzed as a chain: the least that has a torsion."""
_DENSE_SEPARATIONS = 20
_SEPARATIONS_PER_DECADE = 20


@dataclass(frozen=True, eq=False, kw_only=True)
class MeanSquare(Result):
    """A mean squared length of chains.

    Attributes:
        mean: Mean over chains and frames [nm^2].
        standard_error: Standard error from the scatter of the chains, or for one chain from the series of its frames
            [nm^2]; None for one chain in one frame.
        n_chains: Chains.
    """

    mean: float
    standard_error: float | None
    n_chains: int

    def check_ranges(self) -> None:
        """Refuse squares below zero."""
        self.require(self.mean > 0, "mean", "positive")
        self.require(self.standard_error is None or self.standard_error >= 0, "standard_error", "not negative")
        self.require(self.n_chains >= 1, "n_chains", "one or more")

    @property
    def root(self) -> float:
        """Square root of the mean [nm]."""
        return float(np.sqrt(self.mean))

    @property
    def root_error(self) -> float | None:
        """Standard error of the root [nm]."""
        return None if self.standard_error is None else self.standard_error / (2 * self.root)


@dataclass(frozen=True, eq=False, kw_only=True)
class SeparationCurve(Result):
    """A mean over all pairs of beads or bonds of a chain that are s bonds apart along it.

    Attributes:
        separations: Distances s along the chain [bonds], shape (n_s,): all up to 20, then evenly in the logarithm.
        mean: Mean over pairs, chains and frames, shape (n_s,).
        standard_error: Standard error from sections of the chains, shape (n_s,); zero where there is one section.
        n_sections: Sections of chains that count as independent, shape (n_s,).
    """

    separations: np.ndarray
    mean: np.ndarray
    standard_error: np.ndarray
    n_sections: np.ndarray

    def check_ranges(self) -> None:
        """Refuse separations that do not rise and curves of another length."""
        shape = self.separations.shape
        whole = self.separations.dtype.kind == "i" and len(shape) == 1 and len(self.separations) > 0
        rising = whole and self.separations[0] >= 0 and np.all(np.diff(self.separations) > 0)
        self.require(rising, "separations", "rising whole numbers")
        self.require(self.mean.shape == shape, "mean", f"of shape {shape}")
        good = self.standard_error.shape == shape and self.standard_error.min() >= 0
        self.require(good, "standard_error", f"of shape {shape}, not negative")
        whole = self.n_sections.dtype.kind == "i" and self.n_sections.shape == shape
        self.require(whole and self.n_sections.min() >= 1, "n_sections", f"whole numbers of shape {shape} from one")

    def at(self, separation: int) -> int:
        """Index of a separation.

        Raises:
            InputError: If it was not computed.
        """
        found = np.flatnonzero(self.separations == separation)
        if not len(found):
            raise InputError(f"no separation of {separation} bonds; there are {self.separations.tolist()}")
        return int(found[0])


@dataclass(frozen=True, eq=False, kw_only=True)
class ChainStatistics(Result):
    """Dimensions of all chains of one length.

    Attributes:
        n_beads: Beads of each chain.
        n_chains: Chains.
        n_frames: Frames.
        end_to_end: Mean squared end-to-end distance [nm^2].
        gyration: Mean squared radius of gyration, weighted by mass [nm^2].
        internal: Mean squared internal distance <R^2(s)> of beads s bonds apart [nm^2].
        orientation: Mean cosine <u_i u_i+s> of the angle between bonds that are s apart; s from 0.
        relaxation: Autocorrelation of the end-to-end vectors; None without evenly spaced times.
    """

    n_beads: int
    n_chains: int
    n_frames: int
    end_to_end: MeanSquare
    gyration: MeanSquare
    internal: SeparationCurve
    orientation: SeparationCurve
    relaxation: EndToEndRelaxation | None

    def check_ranges(self) -> None:
        """Refuse dimensions that contradict one another."""
        self.require(self.n_beads >= 2, "n_beads", "two or more")
        self.require(self.n_frames >= 1, "n_frames", "one or more")
        self.require(self.n_chains == self.end_to_end.n_chains == self.gyration.n_chains, "n_chains", "the same in all")
        self.require(self.internal.mean.min() > 0, "internal", "positive")
        self.require(self.internal.separations[-1] == self.n_beads - 1, "internal", f"up to {self.n_beads - 1} bonds")
        longest = self.end_to_end.mean
        self.require(abs(self.internal.mean[-1] - longest) <= 1e-6 * longest, "internal", f"up to {longest:g} nm^2")
        self.require(np.abs(self.orientation.mean).max() <= 1 + 1e-6, "orientation", "cosines")
        stretched = (self.n_beads - 1) ** 2 * self.internal.mean[0]
        self.require(self.gyration.mean <= stretched, "gyration", "within a stretched chain")

    @property
    def characteristic_ratio(self) -> np.ndarray:
        """<R^2(s)> / (s <l^2>) of the chain of beads, shape (n_s,); its plateau is C-infinity."""
        ratio: np.ndarray = self.internal.mean / (self.internal.separations * self.internal.mean[0])
        return ratio


def compute_chain_statistics(
    frames: Frames,
    topology: CGTopology,
    *,
    interval: float | None = None,
    time_scale: str = "CG time",
    min_beads: int = MIN_CHAIN_BEADS,
) -> dict[int, ChainStatistics]:
    """Dimensions of the linear chains of a trajectory, by number of beads; other molecules are left out.

    Args:
        frames: Frames of the topology's beads, molecules whole.
        topology: Beads, masses and bonds.
        interval: Time between frames [ps]; None leaves the relaxation out.
        time_scale: "CG time" or "atomistic time".
        min_beads: Fewest beads of a chain.

    Raises:
        InputError: If there are no frames, or molecules were cut at the boundary.
    """
    chains = stack_chains(find_chains(topology, find_linear_molecules(topology, min_beads=min_beads)))
    if not chains:
        return {}
    if len(frames) == 0:
        raise InputError("no frames; chain statistics need at least one")
    check_whole(frames.positions, frames.box, topology.bonds)
    gyration = compute_squared_gyration(frames.positions, topology.masses, topology.molecules)
    _, molecule = np.unique(topology.molecules, return_inverse=True)
    found = {}
    for n_beads, members in chains.items():
        end_to_end = compute_end_to_end(frames.positions, members)
        relaxation = None
        if interval is not None and len(frames) > 1:
            relaxation = compute_relaxation(end_to_end, interval=interval, time_scale=time_scale)
        internal, orientation = compute_separation_curves(frames.positions, members)
        found[n_beads] = ChainStatistics(
            n_beads=n_beads,
            n_chains=len(members),
            n_frames=len(frames),
            end_to_end=_average_chains((end_to_end**2).sum(axis=2)),
            gyration=_average_chains(gyration[:, molecule[members[:, 0]]]),
            internal=internal,
            orientation=orientation,
            relaxation=relaxation,
        )
    return found


def compute_end_to_end(positions: np.ndarray, chains: np.ndarray) -> np.ndarray:
    """Vectors from the first to the last bead of chains [nm], shape (n_frames, n_chains, 3).

    Args:
        positions: Bead positions of whole molecules [nm], shape (n_frames, n_beads, 3).
        chains: Bead numbers along each chain, shape (n_chains, n_beads_per_chain).
    """
    last, first = positions[:, chains[:, -1]], positions[:, chains[:, 0]]
    return np.asarray(last, np.float64) - np.asarray(first, np.float64)


def compute_separation_curves(positions: np.ndarray, chains: np.ndarray) -> tuple[SeparationCurve, SeparationCurve]:
    """Mean squared internal distances [nm^2] and mean cosines between bonds, by separation along the chain.

    Args:
        positions: Bead positions of whole molecules [nm], shape (n_frames, n_beads, 3).
        chains: Bead numbers along each chain, shape (n_chains, n_beads_per_chain), at least two.
    """
    n_beads = chains.shape[1]
    distances = choose_separations(n_beads - 1)
    cosines = np.concatenate([[0], choose_separations(n_beads - 2)])
    squared = [np.zeros((len(chains), n_beads - s)) for s in distances]
    products = [np.zeros((len(chains), n_beads - 1 - s)) for s in cosines]
    for frame in positions:
        points = np.asarray(frame, np.float64)[chains]
        bonds = np.diff(points, axis=1)
        bonds /= np.linalg.norm(bonds, axis=2, keepdims=True)
        for s, total in zip(distances, squared, strict=True):
            vectors = points[:, s:] - points[:, : n_beads - s]
            total += np.einsum("cix,cix->ci", vectors, vectors)
        for s, total in zip(cosines, products, strict=True):
            total += np.einsum("cix,cix->ci", bonds[:, s:], bonds[:, : n_beads - 1 - s])
    n_frames = len(positions)
    return (
        _average_sections(distances, [total / n_frames for total in squared]),
        _average_sections(cosines, [total / n_frames for total in products]),
    )


def choose_separations(longest: int) -> np.ndarray:
    """Separations at which curves are computed: all up to 20, then 20 per decade, and the longest.

    Chains of different length have the same ones as far as they go.
    """
    dense = np.arange(1, min(longest, _DENSE_SEPARATIONS) + 1)
    if longest <= _DENSE_SEPARATIONS:
        return dense
    n = int(np.log10(longest / _DENSE_SEPARATIONS) * _SEPARATIONS_PER_DECADE) + 1
    sparse = np.rint(_DENSE_SEPARATIONS * 10 ** (np.arange(n) / _SEPARATIONS_PER_DECADE)).astype(np.int64)
    return np.union1d(dense, np.append(sparse, longest))


def _average_chains(values: np.ndarray) -> MeanSquare:
    """Mean of (n_frames, n_chains) values with the error from chain averages."""
    n_frames, n_chains = values.shape
    error = None
    if n_chains > 1:
        error = float(values.mean(axis=0).std(ddof=1) / np.sqrt(n_chains))
    elif n_frames > 1:
        error = compute_average(values[:, 0]).standard_error
    return MeanSquare(mean=float(values.mean()), standard_error=error, n_chains=n_chains)


def _average_sections(separations: np.ndarray, values: list[np.ndarray]) -> SeparationCurve:
    """Mean over starts i of values (n_chains, n_starts) for each separation, with the error from sections of chains.

    Pairs whose starts are more than s apart share no bond, so sections of three s starts are nearly independent.
    """
    means, errors, counts = [], [], []
    for s, by_start in zip(separations.tolist(), values, strict=True):
        n_sections = max(1, by_start.shape[1] // max(3 * s, _DENSE_SEPARATIONS // 2))
        sections = np.concatenate([part.mean(axis=1) for part in np.array_split(by_start, n_sections, axis=1)])
        means.append(by_start.mean())
        errors.append(sections.std(ddof=1) / np.sqrt(len(sections)) if len(sections) > 1 else 0.0)
        counts.append(len(sections))
    return SeparationCurve(
        separations=separations,
        mean=np.array(means),
        standard_error=np.array(errors),
        n_sections=np.array(counts, dtype=np.int64),
    )
