"""Chains of rigid residues: each superposed on the one before it, in one of its two mirror images, without overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from openmm_cgml.periodic import minimum_image
from openmm_cgml.reference.chain_growth import NextResidue, grow_chains

__all__ = ["RigidResidue", "grow_rigid_chains", "superpose"]

_CLOSEST = 0.28  # nm between atoms of residues that are not bonded to each other


@dataclass(frozen=True, eq=False, kw_only=True)
class RigidResidue:
    """A residue as a rigid body that knows where the one before it lies.

    Attributes:
        positions: Its atoms [nm], shape (n_atoms, 3).
        entry: Where the exit atoms of the residue before it lie [nm], shape (n_exit, 3).
        exit: Numbers of the atoms that the next residue's `entry` is superposed on, shape (n_exit,).
        crossed_exit: The same atoms in the order of a joint made the other way round, shape (n_exit,).
    """

    positions: NDArray[np.float64]
    entry: NDArray[np.float64]
    exit: NDArray[np.int64]
    crossed_exit: NDArray[np.int64]


def superpose(
    moving: NDArray[np.float64], fixed: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation matrix R and shift t [nm] that bring `moving` closest to `fixed`: x -> x @ R.T + t.

    Never a reflection: of points in a plane it turns the right side up.

    Args:
        moving: Points [nm], shape (n, 3), not all on a line.
        fixed: Where they should lie [nm], shape (n, 3).
    """
    center, target = moving.mean(axis=0), fixed.mean(axis=0)
    rotation = Rotation.align_vectors(fixed - target, moving - center)[0].as_matrix()
    return rotation, target - rotation @ center


def grow_rigid_chains(
    residues: Sequence[RigidResidue],
    crossed: Sequence[bool],
    n_chains: int,
    edge: float,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Atoms of whole chains in a periodic cube [nm], shape (n_atoms, 3).

    Every residue is, at random, itself or its mirror image; where it would overlap, the other one is tried, then the
    chain is taken back.

    Args:
        residues: The residues of one chain in order.
        crossed: For every residue but the last, whether the next one is joined the other way round.
        n_chains: Number of chains.
        edge: Edge of the cube [nm].
        generator: Source of randomness.

    Raises:
        SimulationError: The chains do not fit; the density is too high for growth.
    """

    def start_chain(others: cKDTree) -> NextResidue:
        return lambda placed: _next_residue(residues, crossed, placed, edge, others, generator)

    return grow_chains(start_chain, len(residues), n_chains, edge, generator)


def _next_residue(
    residues: Sequence[RigidResidue],
    crossed: Sequence[bool],
    placed: Sequence[NDArray[np.float64]],
    edge: float,
    others: cKDTree,
    generator: np.random.Generator,
) -> NDArray[np.float64] | None:
    """The next residue in a mirror image that is free of overlaps, None if there is none."""
    residue = residues[len(placed)]
    for mirror in generator.permutation([1.0, -1.0]):
        image = np.array([1.0, 1.0, mirror])
        if placed:
            before = residues[len(placed) - 1]
            atoms = before.crossed_exit if crossed[len(placed) - 1] else before.exit
            rotation, shift = superpose(residue.entry * image, placed[-1][atoms])
        else:
            rotation, shift = Rotation.random(rng=generator).as_matrix(), generator.uniform(0.0, edge, 3)
        positions = (residue.positions * image) @ rotation.T + shift
        if _is_free(positions, placed, edge, others):
            return np.asarray(positions)
    return None


def _is_free(
    positions: NDArray[np.float64], placed: Sequence[NDArray[np.float64]], edge: float, others: cKDTree
) -> bool:
    if others.n and others.query_ball_point(positions % edge, _CLOSEST, return_length=True).any():
        return False
    own = np.concatenate([*placed, positions])
    n_bonded = len(positions) + (len(placed[-1]) if placed else 0)
    vectors = own[:, None] - positions[None]
    nearest = minimum_image(vectors, edge * np.eye(3))
    is_close = (nearest**2).sum(axis=2) < _CLOSEST**2
    # Atoms of the residue itself and of the one before it may be close, but not their periodic images.
    is_close[-n_bonded:] &= (nearest != vectors)[-n_bonded:].any(axis=2)
    return not is_close.any()
