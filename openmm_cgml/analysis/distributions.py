"""Distributions of bond lengths, angles and torsions.

Torsions follow the IUPAC sign convention, 180 degrees is trans. Their distributions are those of the magnitude, from 0
to 180 degrees: to a model of distances mirror images are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmm_cgml.analysis.block_average import compute_average
from openmm_cgml.analysis.result import Result, is_even_grid
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import bond_angles, bond_lengths, torsion_angles
from openmm_cgml.topology import CGTopology


@dataclass(frozen=True, eq=False, kw_only=True)
class Distribution(Result):
    """Histogram and moments of one kind of coordinate.

    Attributes:
        mean: Mean [nm or rad].
        standard_error: Standard error of the mean: from the series of frame means or from the scatter of the
            coordinates' own means, whichever is larger; None for a single frame.
        std: Standard deviation over all samples.
        std_error: Standard error of the standard deviation, found like that of the mean; None for a single frame.
        minimum: Smallest sample.
        maximum: Largest sample.
        bin_edges: Bin edges [nm or rad], shape (n_bins + 1,).
        density: Probability density [1/nm or 1/rad], shape (n_bins,).
        n_samples: Frames times coordinates.
    """

    mean: float
    standard_error: float | None
    std: float
    std_error: float | None
    minimum: float
    maximum: float
    bin_edges: np.ndarray
    density: np.ndarray
    n_samples: int

    def check_ranges(self) -> None:
        """Refuse a histogram that is not one, or moments that are not those of the histogram."""
        edges, n_bins = self.bin_edges, len(self.bin_edges) - 1
        self.require(is_even_grid(edges), "bin_edges", "evenly spaced and rising")
        self.require(self.n_samples >= 1, "n_samples", "one or more")
        self.require(self.density.shape == (n_bins,) and self.density.min() >= 0, "density", f"{n_bins} values ≥ 0")
        width = (edges[-1] - edges[0]) / n_bins
        weights = self.density * width
        self.require(abs(weights.sum() - 1) < 1e-7, "density", "a density whose integral is one")
        counts = weights * self.n_samples
        whole = np.abs(counts - np.rint(counts)) <= 0.01 + 1e-7 * counts
        self.require(whole.all(), "density", f"whole numbers of {self.n_samples} samples in each bin")
        slack = 1e-6 * width + 1e-8 * np.abs(edges).max()
        self.require(edges[0] - slack <= self.minimum <= edges[1] + slack, "minimum", "in the first bin")
        self.require(edges[-2] - slack <= self.maximum <= edges[-1] + slack, "maximum", "in the last bin")
        centers = (edges[1:] + edges[:-1]) / 2
        mean = weights @ centers
        self.require(abs(self.mean - mean) <= width / 2 + slack, "mean", f"that of the histogram, {mean:.6g}")
        std = np.sqrt(weights @ (centers - mean) ** 2)
        self.require(self.std >= 0 and abs(self.std - std) <= width / 2 + slack, "std", f"near {std:.6g}")
        span = self.maximum - self.minimum
        self.require(self.standard_error is None or 0 <= self.standard_error <= span, "standard_error", "0 to the span")
        self.require(self.std_error is None or self.std_error >= 0, "std_error", "not negative")


def compute_distribution(values: np.ndarray, *, bin_width: float) -> Distribution:
    """Moments and histogram of a coordinate, with bin edges at multiples of the bin width.

    Args:
        values: Samples, shape (n_frames, n_coordinates).
        bin_width: Width of a bin, in the unit of the samples.

    Raises:
        InputError: If there are no samples.
    """
    if values.size == 0:
        raise InputError(f"no samples (shape {values.shape}); a distribution needs a frame and a coordinate")
    low, high = float(values.min()), float(values.max())
    first = int(np.floor(low / bin_width))
    bins = np.floor(values.ravel() / bin_width).astype(np.int64) - first
    counts = np.bincount(bins)
    std = float(values.std())
    variance_error = find_standard_error((values - values.mean()) ** 2)
    return Distribution(
        mean=float(values.mean()),
        standard_error=find_standard_error(values),
        std=std,
        std_error=None if variance_error is None else variance_error / (2 * std) if std > 0 else 0.0,
        minimum=low,
        maximum=high,
        bin_edges=(first + np.arange(len(counts) + 1)) * bin_width,
        density=counts / (counts.sum() * bin_width),
        n_samples=values.size,
    )


def compute_bond_distributions(
    frames: Frames, topology: CGTopology, *, bin_width: float = 0.001
) -> dict[str, Distribution]:
    """Distributions of bond lengths [nm] by pair of bead types, "A-B".

    Args:
        frames: Frames of the topology's beads.
        topology: Bonds and bead types.
        bin_width: Width of a bin [nm].
    """
    kinds = _group_by_types(topology, topology.bonds)
    return {
        name: compute_distribution(
            bond_lengths(frames.positions, frames.box, topology.bonds[members]), bin_width=bin_width
        )
        for name, members in kinds.items()
    }


def compute_angle_distributions(
    frames: Frames, topology: CGTopology, *, bin_width: float = np.pi / 180
) -> dict[str, Distribution]:
    """Distributions of angles [rad] by triple of bead types, "A-B-C".

    Args:
        frames: Frames of the topology's beads.
        topology: Angles and bead types.
        bin_width: Width of a bin [rad].
    """
    kinds = _group_by_types(topology, topology.angles)
    return {
        name: compute_distribution(
            bond_angles(frames.positions, frames.box, topology.angles[members]), bin_width=bin_width
        )
        for name, members in kinds.items()
    }


def compute_torsion_distributions(
    frames: Frames, topology: CGTopology, *, bin_width: float = np.pi / 90
) -> dict[str, Distribution]:
    """Distributions of the magnitude of torsion angles [rad] by four bead types, "A-B-C-D".

    Args:
        frames: Frames of the topology's beads.
        topology: Dihedrals and bead types.
        bin_width: Width of a bin [rad].
    """
    torsions = topology.dihedrals
    kinds = _group_by_types(topology, torsions)
    return {
        name: compute_distribution(
            np.abs(torsion_angles(frames.positions, frames.box, torsions[members])), bin_width=bin_width
        )
        for name, members in kinds.items()
    }


def find_standard_error(values: np.ndarray) -> float | None:
    """Standard error of the mean of values (n_frames, n_coordinates), correlated in time or not; None for one frame.

    Coordinates that hardly move in the run are only as many samples as there are coordinates, however many frames
    there are: the scatter of their means shows it.

    Args:
        values: Samples, shape (n_frames, n_coordinates).
    """
    n_frames, n_coordinates = values.shape
    if n_frames < 2:
        return None
    in_time = compute_average(values.mean(axis=1)).standard_error
    if n_coordinates < 2:
        return in_time
    return max(in_time, float(values.mean(axis=0).std(ddof=1) / np.sqrt(n_coordinates)))


def _group_by_types(topology: CGTopology, members: np.ndarray) -> dict[str, np.ndarray]:
    """Indices of the terms of each kind, where A-B-C and C-B-A are one kind."""
    groups: dict[str, list[int]] = {}
    for index, types in enumerate(topology.bead_types[members].tolist()):
        name = "-".join(topology.type_names[kind] for kind in min(types, types[::-1]))
        groups.setdefault(name, []).append(index)
    return {name: np.array(indices) for name, indices in groups.items()}
