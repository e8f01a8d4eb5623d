"""Beads by the spectrum of the bond graph: atoms that move together in its slowest modes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.mapping.contiguity import repair
from openmm_cgml.mapping.heavy_atoms import HeavyAtoms
from openmm_cgml.mapping.partition import labels_of, numbered_along


def group_by_spectrum(masses: ArrayLike, elements: Sequence[str], bonds: ArrayLike, n_beads: int) -> NDArray[np.int64]:
    """The bead of each atom of a molecule, shape (n_atoms,): clusters of heavy atoms in the slowest modes of the bonds.

    Normalized spectral clustering (Ng, Jordan and Weiss, NIPS 14 (2001)): the heavy atoms at the rows of the `n_beads`
    slowest eigenvectors of the graph, clustered by k-means from the atoms that are farthest from each other. What comes
    out in pieces is put together again, and too few parts are divided further. The masses do not matter.

    Args:
        masses: Atomic masses [Da], shape (n_atoms,).
        elements: Element symbols.
        bonds: Bonded pairs, shape (n_bonds, 2).
        n_beads: Number of beads.

    Raises:
        InputError: More beads than heavy atoms, or atoms that bonds do not join.
    """
    heavy = HeavyAtoms.from_molecule(masses, elements, bonds)
    if n_beads < 1 or n_beads > heavy.n_heavy:
        raise InputError(f"{n_beads} beads for a molecule of {heavy.n_heavy} heavy atoms; ask for 1 to {heavy.n_heavy}")
    labels = _clustered(_modes(heavy, n_beads), n_beads)
    return numbered_along(labels_of(repair(labels, heavy, n_beads=n_beads), heavy.owners), bonds)


def _modes(heavy: HeavyAtoms, n: int) -> NDArray[np.float64]:
    """Rows of the slowest eigenvectors of the normalized Laplacian, scaled to length one, shape (n_heavy, n)."""
    from scipy.linalg import eigh

    bonded = heavy.adjacency.astype(np.float64)
    scale = 1 / np.sqrt(np.maximum(bonded.sum(axis=1), 1.0))
    laplacian = np.eye(len(bonded)) - scale[:, None] * bonded * scale
    vectors = np.asarray(eigh(laplacian, subset_by_index=[0, n - 1])[1])
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _clustered(points: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """k-means from the point farthest from all others, then from that farthest from those chosen, and so on."""
    from scipy.cluster.vq import kmeans2

    apart = np.linalg.norm(points[:, None] - points, axis=2)
    chosen = [int(np.argmax(apart.sum(axis=1).round(9)))]
    while len(chosen) < n:
        chosen.append(int(np.argmax(apart[:, chosen].min(axis=1).round(9))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of clusters that come out empty: `repair` makes up for them
        return np.asarray(kmeans2(points, points[chosen], minit="matrix")[1], dtype=np.int64)
