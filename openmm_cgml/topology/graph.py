"""The graph of bonds: what is connected, and the paths along it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def connected_components(n: int, bonds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Molecule number of each of `n` particles joined by `bonds` (n_bonds, 2), numbered by first particle."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components as components

    graph = coo_matrix((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n, n))
    labels = components(graph, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def extended_paths(paths: NDArray[np.int64], adjacency: Any) -> NDArray[np.int64]:
    """Every path of bonded beads, shape (n, length), made longer by each neighbor of its end that it does not hold."""
    starts, ends = adjacency.indptr[paths[:, -1]], adjacency.indptr[paths[:, -1] + 1]
    counts = ends - starts
    longer = np.repeat(paths, counts, axis=0)
    rank = np.arange(len(longer)) - np.repeat(np.cumsum(counts) - counts, counts)
    following = adjacency.indices[np.repeat(starts, counts) + rank].astype(np.int64)
    new = (longer != following[:, None]).all(axis=1)
    return np.column_stack([longer[new], following[new]])
