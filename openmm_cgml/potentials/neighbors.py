"""All pairs of beads within a cutoff of one frame, exactly, in float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from openmm_cgml.errors import InputError


def find_pairs(
    positions: NDArray[Any],
    box: NDArray[Any] | None,
    cutoff: float,
    *,
    exclusions: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Pairs i < j closer than the cutoff by the minimum image, each once, shape (2, n_pairs).

    Args:
        positions: Bead positions, inside or outside the box [nm], shape (n_beads, 3).
        box: Reduced lower-triangular box vectors [nm], shape (3, 3), or None without periodicity.
        cutoff: Largest distance [nm].
        exclusions: Pairs i < j to leave out, shape (n_exclusions, 2).

    Raises:
        InputError: If a position is not finite, or the cutoff exceeds half the box.
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


def check_cutoff(box: NDArray[np.floating], cutoff: float) -> None:
    """Raise unless the minimum image finds every pair within the cutoff.

    Args:
        box: Reduced lower-triangular box vectors [nm], shape (3, 3).
        cutoff: Largest distance [nm].

    Raises:
        InputError: If a diagonal element is below twice the cutoff.
    """
    smallest = float(np.diag(box).min())
    if not smallest >= 2 * cutoff:
        raise InputError(
            f"the box is {smallest:g} nm wide and the cutoff {cutoff:g} nm; it needs at least {2 * cutoff:g} nm. "
            "Take a larger box or a shorter cutoff"
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
    images, owners = [fractional], [np.arange(n_beads)]
    for shift in itertools.product((-1, 0, 1), repeat=3):
        if any(shift):
            moved = fractional + shift
            near = np.flatnonzero(((moved >= -margin) & (moved <= 1 + margin)).all(axis=1))
            images.append(moved[near])
            owners.append(near)
    owner = np.concatenate(owners)
    found = cKDTree(np.concatenate(images) @ box).query_pairs(cutoff, output_type="ndarray")
    found = found[found[:, 0] < n_beads]  # query_pairs puts the lower index first, and beads come before images
    pairs = owner[found]
    return pairs[pairs[:, 0] < pairs[:, 1]]
