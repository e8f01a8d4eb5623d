"""A search tree over points in a periodic cube."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["periodic_tree"]


def periodic_tree(parts: list[NDArray[np.float64]], edge: float) -> cKDTree:
    """The tree of all points, moved into the cube.

    Args:
        parts: Positions [nm], each of shape (n, 3); none make an empty tree.
        edge: Edge of the cube [nm].
    """
    points = np.concatenate(parts) % edge if parts else np.zeros((0, 3))
    # A tiny negative number modulo the edge is the edge itself, which the tree refuses.
    return cKDTree(np.minimum(points, np.nextafter(edge, 0.0)), boxsize=edge)
