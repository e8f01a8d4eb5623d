"""Distances that were constrained in a run, found by their not changing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import pair_vectors
from openmm_cgml.topology import AtomTopology

__all__ = ["find_constraints"]

_LEAST_FRAMES = 8
_UNCLEAR = 0.01  # of the pairs; some fluctuate little by chance where frames are few
_CONSTRAINED, _FREE = 2e-3, 6e-3
"""Standard deviation over mean of a distance: constraints leave 1e-5 to 1e-4, and single precision or the 0.001 nm of
an
XTC file up to 3e-3 of a bond; the stiffest free bonds (O-H, C-H) have 2e-2."""


def find_constraints(frames: Frames, topology: AtomTopology) -> NDArray[np.int64]:
    """Pairs of bonded atoms, or of atoms bonded to one third, whose distance does not change, shape (n_constraints, 2).

    Args:
        frames: Some frames, not all alike.
        topology: Their atoms and bonds.

    Raises:
        InputError: The frames are fewer than 8, or bonds fluctuate so little that it cannot be told.
    """
    if len(frames) < _LEAST_FRAMES:
        raise InputError(
            f"{len(frames)} frames do not tell which distances were constrained ({_LEAST_FRAMES} would): say it "
            "(--constraints none, hydrogens or bonds)"
        )
    pairs = np.concatenate([topology.bonds, next_neighbors(topology)])
    if not len(pairs):
        return pairs
    kinds = _kinds(pairs, topology)
    spread = _median_of_kinds(_relative_spread(frames, pairs), kinds)
    unclear = np.flatnonzero((spread >= _CONSTRAINED) & (spread < _FREE))
    if len(unclear) > _UNCLEAR * len(pairs):
        i, j = pairs[unclear[0]]
        raise InputError(
            f"the distance of atoms {i} and {j} ({topology.names[i]}, {topology.names[j]}) fluctuates by "
            f"{100 * spread[unclear[0]]:.2f} % ({len(unclear)} such pairs), too much for a constraint and too little "
            "for "
            "a bond: say which were constrained (--constraints none, hydrogens or bonds)"
        )
    return pairs[spread < _CONSTRAINED]


def constraints_by_name(kind: str, topology: AtomTopology) -> NDArray[np.int64]:
    """The pairs that a run with constraints of a usual kind has, shape (n_constraints, 2).

    Args:
        kind: "none", "hydrogens" (bonds to hydrogens) or "bonds" (all).
        topology: The atoms and bonds.

    Raises:
        InputError: The kind is another.
    """
    if kind not in ("none", "hydrogens", "bonds"):
        raise InputError(f"constraints {kind!r}; known are none, hydrogens, bonds, and auto, which finds them")
    if kind == "none":
        return np.zeros((0, 2), np.int64)
    if kind == "bonds":
        return topology.bonds
    is_hydrogen = np.array([element == "H" for element in topology.elements])
    return topology.bonds[is_hydrogen[topology.bonds].any(axis=1)]


def next_neighbors(topology: AtomTopology) -> NDArray[np.int64]:
    """Pairs i < j of atoms that are bonded to one third and not to each other, shape (n_pairs, 2)."""
    from scipy.sparse import coo_array

    n, (i, j) = topology.n_atoms, topology.bonds.T
    ones = np.ones(2 * len(i), np.int64)
    bonded = coo_array((ones, (np.concatenate([i, j]), np.concatenate([j, i]))), shape=(n, n)).tocsr()
    second = ((bonded @ bonded) - (bonded @ bonded).multiply(bonded)).tocoo()
    keep = (second.row < second.col) & (second.data > 0)
    return np.stack([second.row[keep], second.col[keep]], axis=1).astype(np.int64)


def _kinds(pairs: NDArray[np.int64], topology: AtomTopology) -> NDArray[np.int64]:
    """Number of the kind of each pair: the names of its atoms and of their residues."""
    names = [topology.residue_names[residue] for residue in topology.residues.tolist()]
    labels = [f"{residue} {name}" for residue, name in zip(names, topology.names, strict=True)]
    atoms = np.unique(labels, return_inverse=True)[1]
    found = np.unique(np.sort(atoms[pairs], axis=1), axis=0, return_inverse=True)[1]
    return np.asarray(found, np.int64).ravel()


def _median_of_kinds(values: NDArray[np.float64], kinds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each pair, the median over its kind: single bonds may vibrate little for a while, and constraints are of
    kinds.
    """
    order = np.argsort(kinds, kind="stable")
    groups = np.split(values[order], np.flatnonzero(np.diff(kinds[order])) + 1)
    return np.array([float(np.median(group)) for group in groups])[kinds]


def _relative_spread(frames: Frames, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    vectors = pair_vectors(frames.positions, frames.box, pairs[:, 0], pairs[:, 1])
    lengths = np.linalg.norm(vectors, axis=2)
    return np.asarray(lengths.std(axis=0) / lengths.mean(axis=0), np.float64)
