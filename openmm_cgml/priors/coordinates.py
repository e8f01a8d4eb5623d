"""Bond lengths, angles and torsions of frames, grouped by bead types."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.frames import Frames
from openmm_cgml.priors.term import type_key
from openmm_cgml.topology import CGTopology


def group_by_types(topology: CGTopology, indices: NDArray[np.int64]) -> dict[tuple[str, ...], NDArray[np.int64]]:
    """Rows of beads by their bead types, read in the direction that sorts first.

    Args:
        topology: The beads.
        indices: Beads of each bond, angle or torsion, shape (n, k).
    """
    if not len(indices):
        return {}
    kinds, kind_of = np.unique(topology.bead_types[indices], axis=0, return_inverse=True)
    rows: dict[tuple[str, ...], list[int]] = {}
    for number, kind in enumerate(kinds.tolist()):
        rows.setdefault(type_key(tuple(topology.type_names[t] for t in kind)), []).append(number)
    return {types: indices[np.isin(kind_of.ravel(), rows[types])] for types in sorted(rows)}


def measure(frames: Frames, indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lengths [nm] of pairs of beads, angles [rad] of triples, or torsions [rad] of quadruples in all frames, flat.

    Args:
        frames: The frames.
        indices: Beads, shape (n, 2), (n, 3) or (n, 4).
    """
    return {2: _lengths, 3: _angles, 4: _torsions}[indices.shape[1]](frames, indices)


def distances_in_frame(
    positions: NDArray[np.float64], box: NDArray[np.float64] | None, i: NDArray[np.int64], j: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Minimum-image distances of pairs of beads in one frame [nm], shape (n_pairs,).

    Args:
        positions: Bead positions [nm], shape (n_beads, 3).
        box: Box vectors [nm], shape (3, 3), or None.
        i: First beads, shape (n_pairs,).
        j: Second beads, shape (n_pairs,).
    """
    vectors = positions[j] - positions[i]
    return np.linalg.norm(vectors if box is None else _nearest(vectors, box), axis=-1)


def _lengths(frames: Frames, bonds: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.linalg.norm(_differences(frames, bonds[:, 0], bonds[:, 1]), axis=-1).ravel()


def _angles(frames: Frames, angles: NDArray[np.int64]) -> NDArray[np.float64]:
    first, last = (_differences(frames, angles[:, 1], angles[:, end]) for end in (0, 2))
    return np.arctan2(np.linalg.norm(np.cross(first, last), axis=-1), (first * last).sum(-1)).ravel()


def _torsions(frames: Frames, torsions: NDArray[np.int64]) -> NDArray[np.float64]:
    first, second, third = (_differences(frames, torsions[:, n], torsions[:, n + 1]) for n in range(3))
    one, other = np.cross(first, second), np.cross(second, third)
    sine = (first * other).sum(-1) * np.linalg.norm(second, axis=-1)
    return np.arctan2(sine, (one * other).sum(-1)).ravel()


def _differences(frames: Frames, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
    """Minimum-image vectors from start to end, shape (n_frames, n, 3)."""
    positions = np.asarray(frames.positions, np.float64)
    vectors = positions[:, end] - positions[:, start]
    return vectors if frames.box is None else _nearest(vectors, np.asarray(frames.box, np.float64)[:, None])


def _nearest(vectors: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
    for axis in (2, 1, 0):
        edge = box[..., axis, :]
        vectors = vectors - edge * np.round(vectors[..., axis, None] / edge[..., axis, None])
    return vectors
