"""Periodic boxes in numpy, the only place for them: minimum images, pairs within a cutoff, bonds, angles and torsions.

Boxes are OpenMM's: rows a, b, c with a along x and b in the xy plane, in reduced form. All results are float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from openmm_cgml.errors import InputError


def minimum_image(vectors: NDArray[Any], box: NDArray[Any] | None) -> NDArray[np.float64]:
    """Nearest periodic images of vectors; exact for lengths up to half the smallest width of the box.

    Args:
        vectors: Differences of positions [nm], shape (..., 3).
        box: Box vectors as rows [nm], shape (3, 3) or with leading axes that broadcast, or None for no box.

    Raises:
        InputError: If the box is not lower triangular.
    """
    images = np.array(vectors, dtype=np.float64)
    if box is None:
        return images
    box = np.asarray(box, dtype=np.float64)
    _check_orientation(box)
    for axis in (2, 1, 0):
        row = box[..., axis, :]
        images -= np.rint(images[..., axis] / row[..., axis])[..., None] * row
    return images


def image_counts(vectors: NDArray[Any], box: NDArray[Any]) -> NDArray[np.float64]:
    """How many box vectors each vector is away from its nearest image, whole numbers, shape (..., 3).

    Exact for nearest images shorter than half the smallest width of a box of any shape and orientation: all their
    fractional components are below one half.

    Args:
        vectors: Differences of positions [nm], shape (..., n, 3).
        box: Box vectors as rows [nm], shape (..., 3, 3).
    """
    counts: NDArray[np.float64] = np.rint(vectors @ np.linalg.inv(box))
    return counts


def wrap(positions: NDArray[Any], box: NDArray[Any] | None) -> NDArray[np.float64]:
    """Positions moved into the first box [nm], shape (..., n, 3).

    Args:
        positions: Positions [nm], shape (..., n, 3).
        box: Box vectors as rows [nm], shape (..., 3, 3), or None for no box.
    """
    positions = np.asarray(positions, dtype=np.float64)
    if box is None:
        return positions
    box = np.asarray(box, dtype=np.float64)
    fractions = positions @ np.linalg.inv(box)
    fractions -= np.floor(fractions)
    fractions[fractions >= 1.0] = 0.0  # a tiny negative fraction rounds up to one
    wrapped: NDArray[np.float64] = fractions @ box
    return wrapped


def box_widths(box: NDArray[Any]) -> NDArray[np.float64]:
    """Distances between opposite faces [nm], shape (..., 3).

    Args:
        box: Box vectors as rows [nm], shape (..., 3, 3).
    """
    return np.asarray(1.0 / np.linalg.norm(np.linalg.inv(np.asarray(box, dtype=np.float64)), axis=-2))


def check_cutoff(box: NDArray[Any], cutoff: float) -> None:
    """Raise unless the minimum image finds every pair within the cutoff.

    Args:
        box: Reduced lower-triangular box vectors [nm], shape (3, 3).
        cutoff: Largest distance [nm].

    Raises:
        InputError: If a diagonal element is below twice the cutoff, rounding aside, or the box not lower triangular.
    """
    _check_orientation(box)
    smallest = float(np.diag(box).min())
    if not smallest * (1 + 1e-8) >= 2 * cutoff:
        raise InputError(
            f"the box is {smallest:g} nm wide and the cutoff {cutoff:g} nm; it needs at least {2 * cutoff:g} nm. "
            "Take a larger box or a shorter cutoff"
        )


def find_pairs(
    positions: NDArray[Any],
    box: NDArray[Any] | None,
    cutoff: float,
    *,
    exclusions: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Pairs i < j closer than the cutoff by the minimum image, each once, shape (2, n_pairs).

    Args:
        positions: Positions, inside or outside the box [nm], shape (n, 3).
        box: Reduced lower-triangular box vectors [nm], shape (3, 3), or None without periodicity.
        cutoff: Largest distance [nm].
        exclusions: Pairs i < j to leave out, shape (n_exclusions, 2).

    Raises:
        InputError: If a position is not finite, the cutoff exceeds half the box, or the box is not lower triangular.
    """
    positions = np.asarray(positions, np.float64)
    if not np.isfinite(positions).all():
        bead = int(np.argwhere(~np.isfinite(positions))[0, 0])
        raise InputError(f"position of bead {bead} is {positions[bead].tolist()}; it must be finite")
    if box is None:
        pairs = cKDTree(positions).query_pairs(cutoff, output_type="ndarray")
    else:
        box = np.asarray(box, np.float64)
        check_cutoff(box, cutoff)
        search = _orthorhombic if np.array_equal(box, np.diag(np.diag(box))) else _triclinic
        pairs = search(positions, box, cutoff)
    if exclusions is not None and len(exclusions):
        keys = pairs[:, 0] * len(positions) + pairs[:, 1]
        excluded = np.sort(exclusions[:, 0] * len(positions) + exclusions[:, 1])
        nearest = np.minimum(np.searchsorted(excluded, keys), len(excluded) - 1)
        pairs = pairs[excluded[nearest] != keys]
    return np.ascontiguousarray(pairs.T, dtype=np.int64)


def pair_vectors(
    positions: NDArray[Any], box: NDArray[Any] | None, i: NDArray[np.integer], j: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Vectors from the first to the second points of pairs at their nearest images [nm], shape (..., n_pairs, 3).

    Args:
        positions: Positions [nm], shape (..., n, 3).
        box: Box vectors as rows [nm], shape (..., 3, 3), or None for no box.
        i: First points of the pairs, shape (n_pairs,).
        j: Second points of the pairs, shape (n_pairs,).
    """
    positions = np.asarray(positions)
    vectors = np.asarray(positions[..., j, :], np.float64) - np.asarray(positions[..., i, :], np.float64)
    return minimum_image(vectors, None if box is None else np.asarray(box)[..., None, :, :])


def pair_distances(
    positions: NDArray[Any], box: NDArray[Any] | None, i: NDArray[np.integer], j: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Distances of pairs at their nearest images [nm], shape (n_pairs,); as `minimum_image`, for many pairs at once.

    Args:
        positions: Positions [nm], shape (n, 3).
        box: Box vectors as rows [nm], shape (3, 3), or None for no box.
        i: First points of the pairs, shape (n_pairs,).
        j: Second points of the pairs, shape (n_pairs,).
    """
    columns = np.ascontiguousarray(np.asarray(positions, dtype=np.float64).T)
    x, y, z = differences = [column[i] - column[j] for column in columns]
    if box is not None:
        box = np.asarray(box, dtype=np.float64)
        for axis in (2, 1, 0):
            images = np.rint(differences[axis] / box[axis, axis])
            for k in np.flatnonzero(box[axis, : axis + 1]):
                differences[k] -= images * box[axis, k]
    distances: NDArray[np.float64] = np.sqrt(x * x + y * y + z * z)
    return distances


def bond_lengths(positions: NDArray[Any], box: NDArray[Any] | None, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Distances of pairs [nm], shape (..., n).

    Args:
        positions: Positions [nm], shape (..., n_particles, 3).
        box: Box vectors as rows [nm], shape (..., 3, 3), or None.
        pairs: Particles, shape (n, 2).
    """
    return np.asarray(np.linalg.norm(pair_vectors(positions, box, pairs[:, 0], pairs[:, 1]), axis=-1))


def bond_angles(positions: NDArray[Any], box: NDArray[Any] | None, triples: NDArray[np.int64]) -> NDArray[np.float64]:
    """Angles at the middle particle [rad], 0 to pi, shape (..., n); accurate near both, where arccos is not.

    Args:
        positions: Positions [nm], shape (..., n_particles, 3).
        box: Box vectors as rows [nm], shape (..., 3, 3), or None.
        triples: Particles, the middle one at index 1, shape (n, 3).
    """
    first, last = (pair_vectors(positions, box, triples[:, 1], triples[:, end]) for end in (0, 2))
    sine = np.linalg.norm(np.cross(first, last), axis=-1)
    return np.asarray(np.arctan2(sine, (first * last).sum(axis=-1)))


def torsion_angles(
    positions: NDArray[Any], box: NDArray[Any] | None, quadruples: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Torsions [rad], -pi to pi, 0 for cis, shape (..., n).

    Args:
        positions: Positions [nm], shape (..., n_particles, 3).
        box: Box vectors as rows [nm], shape (..., 3, 3), or None.
        quadruples: Particles in the order of their bonds, shape (n, 4).
    """
    one, two, three = (pair_vectors(positions, box, quadruples[:, k], quadruples[:, k + 1]) for k in range(3))
    left, right = np.cross(one, two), np.cross(two, three)
    sine = (one * right).sum(axis=-1) * np.linalg.norm(two, axis=-1)
    return np.asarray(np.arctan2(sine, (left * right).sum(axis=-1)))


def periodic_tree(parts: Sequence[NDArray[np.float64]], edge: float) -> cKDTree:
    """A tree of points in a periodic cube, to ask again and again while others are placed.

    Args:
        parts: Positions [nm], each of shape (n, 3); none make an empty tree.
        edge: Edge of the cube [nm].
    """
    points = np.concatenate(parts) % edge if parts else np.zeros((0, 3))
    # A tiny negative number modulo the edge is the edge itself, which the tree refuses.
    return cKDTree(np.minimum(points, np.nextafter(edge, 0.0)), boxsize=edge)


def _check_orientation(box: NDArray[np.float64]) -> None:
    above, diagonal = box[..., (0, 0, 1), (1, 2, 2)], box[..., (0, 1, 2), (0, 1, 2)]
    if np.abs(above).max(initial=0.0) > 1e-6 * diagonal.min(initial=np.inf):
        raise InputError(
            f"box vectors {box.reshape(-1, 3, 3)[0].tolist()} nm are not of the form (ax, 0, 0), (bx, by, 0), "
            "(cx, cy, cz) with ax, by and cz > 0; rotate the system, or use "
            "openmm.app.internal.unitcell.reducePeriodicBoxVectors"
        )


def _orthorhombic(positions: NDArray[np.float64], box: NDArray[np.float64], cutoff: float) -> NDArray[np.int64]:
    edges = np.diag(box)
    wrapped = positions - np.floor(positions / edges) * edges
    wrapped = np.where((wrapped < 0) | (wrapped >= edges), 0.0, wrapped)  # rounding can leave a bead just outside
    return cKDTree(wrapped, boxsize=edges).query_pairs(cutoff, output_type="ndarray")


def _triclinic(positions: NDArray[np.float64], box: NDArray[np.float64], cutoff: float) -> NDArray[np.int64]:
    """Pairs from the box and the images that lie within the cutoff of its faces."""
    inverse = np.linalg.inv(box)
    fractional = positions @ inverse
    fractional -= np.floor(fractional)
    margin = cutoff * np.linalg.norm(inverse, axis=0) * (1 + 1e-9)  # the cutoff over the width between faces
    n_beads = len(positions)
    owner = np.arange(n_beads)
    for axis, step in enumerate(np.eye(3)):
        low, high = fractional[:, axis] <= margin[axis], fractional[:, axis] >= 1 - margin[axis]
        fractional = np.concatenate([fractional, fractional[low] + step, fractional[high] - step])
        owner = np.concatenate([owner, owner[low], owner[high]])
    found = cKDTree(fractional @ box).query_pairs(cutoff, output_type="ndarray")
    found = found[found[:, 0] < n_beads]  # query_pairs puts the lower index first, and beads come before images
    pairs = owner[found]
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    if 2 * cutoff > np.diag(box).min() * (1 - 1e-8):  # the two images of a pair half a box apart are both near enough
        pairs = np.unique(pairs, axis=0)
    return pairs
