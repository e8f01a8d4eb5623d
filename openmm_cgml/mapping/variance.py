"""How much of the motion of a molecule beads keep, in closed form.

With S the covariance of the positions of the atoms of a molecule about its center and C the position weights of its
beads, the best linear reconstruction of the atoms from the beads loses tr[S - S C^T (C S C^T)^-1 C S]: what principal
components lose where the components are beads. It is what a linear auto-encoder with a fixed encoder would learn (Wang
and Gomez-Bombarelli, npj Comput. Mater. 5, 125 (2019)), without training.

S is that of a trajectory, or that of a network of equal springs along the bonds (`network_covariance`), which needs
bonds alone. Hydrogens move with their heavy atoms: positions are those of united atoms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError

_RELATIVE_CUTOFF = 1e-9  # of the largest eigenvalue of C S C^T: the motion of the center, which S has not


def variance_kept(covariance: ArrayLike, position_weights: ArrayLike) -> float:
    """The share of the variance of the atoms that a linear reconstruction from the beads keeps, 0 to 1.

    Args:
        covariance: Of the positions of united atoms about their center [nm^2], or in any unit, shape (n, n).
        position_weights: Of the beads, rows that sum to 1, shape (n_beads, n).

    Raises:
        InputError: Shapes that do not fit, or atoms that do not move.
    """
    S, C = np.asarray(covariance, dtype=np.float64), np.asarray(position_weights, dtype=np.float64)
    if S.ndim != 2 or S.shape[0] != S.shape[1] or C.ndim != 2 or C.shape[1] != len(S):
        raise InputError(f"a covariance of shape {S.shape} and weights of {C.shape}: (n, n) and (n_beads, n) fit")
    total = float(np.trace(S))
    if total <= 0:
        raise InputError("the atoms do not move about their center, so there is no variance to keep")
    if len(S) == 1:
        return 1.0
    inner = np.linalg.pinv(C @ S @ C.T, rcond=_RELATIVE_CUTOFF, hermitian=True)
    return float(np.clip(np.trace(C @ S @ S @ C.T @ inner) / total, 0.0, 1.0))


def position_covariance(positions: ArrayLike) -> NDArray[np.float64]:
    """Covariance of positions about their center, averaged over molecules, frames and directions [nm^2], shape (n, n).

    Rotations of the molecule count as motion: a rigid molecule keeps all of it in three beads that are not in line.

    Args:
        positions: Positions of the united atoms of whole molecules [nm], shape (n_samples, n, 3).
    """
    samples = np.asarray(positions, dtype=np.float64)
    samples = samples - samples.mean(axis=1, keepdims=True)
    columns = samples.transpose(0, 2, 1).reshape(-1, samples.shape[1])
    return np.asarray(columns.T @ columns / len(columns))


def network_covariance(adjacency: ArrayLike) -> NDArray[np.float64]:
    """Covariance of atoms that equal springs along the bonds hold together, in units of kT / k, shape (n, n).

    The pseudo-inverse of the Laplacian of the bond graph (a Gaussian network: Bahar, Atilgan and Erman, Fold. Des. 2,
    173 (1997)).

    Args:
        adjacency: Whether two atoms are bonded, symmetric, shape (n, n).
    """
    bonded = np.asarray(adjacency, dtype=np.float64)
    return np.asarray(np.linalg.pinv(np.diag(bonded.sum(axis=1)) - bonded, hermitian=True))
