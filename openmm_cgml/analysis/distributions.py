"""Distributions of bond lengths and angles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmm_cgml.analysis.block_average import compute_average
from openmm_cgml.analysis.periodic import minimum_image
from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology


@dataclass(frozen=True, eq=False, kw_only=True)
class Distribution(Result):
    """Histogram and moments of one kind of coordinate.

    Attributes:
        mean: Mean [nm or rad].
        standard_error: Standard error of the mean from the series of frame means; None for a single frame.
        std: Standard deviation over all samples.
        minimum: Smallest sample.
        maximum: Largest sample.
        bin_edges: Bin edges [nm or rad], shape (n_bins + 1,).
        density: Probability density [1/nm or 1/rad], shape (n_bins,).
        n_samples: Frames times coordinates.
    """

    mean: float
    standard_error: float | None
    std: float
    minimum: float
    maximum: float
    bin_edges: np.ndarray
    density: np.ndarray
    n_samples: int


def compute_bond_lengths(positions: np.ndarray, box: np.ndarray | None, bonds: np.ndarray) -> np.ndarray:
    """Bond lengths [nm], shape (n_frames, n_bonds), at the nearest image.

    Args:
        positions: Positions [nm], shape (n_frames, n, 3).
        box: Box vectors [nm], shape (n_frames, 3, 3), or None.
        bonds: Pairs of indices, shape (n_bonds, 2).
    """
    vectors = _bond_vectors(positions, box, bonds[:, 0], bonds[:, 1])
    lengths: np.ndarray = np.linalg.norm(vectors, axis=-1)
    return lengths


def compute_angles(positions: np.ndarray, box: np.ndarray | None, angles: np.ndarray) -> np.ndarray:
    """Angles [rad], shape (n_frames, n_angles), at the nearest image.

    Args:
        positions: Positions [nm], shape (n_frames, n, 3).
        box: Box vectors [nm], shape (n_frames, 3, 3), or None.
        angles: Triples of indices with the vertex in the middle, shape (n_angles, 3).
    """
    u = _bond_vectors(positions, box, angles[:, 1], angles[:, 0])
    v = _bond_vectors(positions, box, angles[:, 1], angles[:, 2])
    # atan2 keeps its accuracy near 0 and 180 degrees, where arccos loses half the digits
    return np.arctan2(np.linalg.norm(np.cross(u, v), axis=-1), np.einsum("...x,...x->...", u, v))


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
    return Distribution(
        mean=float(values.mean()),
        standard_error=compute_average(values.mean(axis=1)).standard_error if len(values) > 1 else None,
        std=float(values.std()),
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
            compute_bond_lengths(frames.positions, frames.box, topology.bonds[members]), bin_width=bin_width
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
            compute_angles(frames.positions, frames.box, topology.angles[members]), bin_width=bin_width
        )
        for name, members in kinds.items()
    }


def _bond_vectors(positions: np.ndarray, box: np.ndarray | None, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    vectors = np.asarray(positions[:, j], np.float64) - np.asarray(positions[:, i], np.float64)
    return minimum_image(vectors, None if box is None else np.asarray(box)[:, None])


def _group_by_types(topology: CGTopology, members: np.ndarray) -> dict[str, np.ndarray]:
    """Indices of the terms of each kind, where A-B-C and C-B-A are one kind."""
    groups: dict[str, list[int]] = {}
    for index, types in enumerate(topology.bead_types[members].tolist()):
        name = "-".join(topology.type_names[kind] for kind in min(types, types[::-1]))
        groups.setdefault(name, []).append(index)
    return {name: np.array(indices) for name, indices in groups.items()}
