"""Beads that keep the most variance of positions: `variance_kept`, maximized over connected beads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.mapping.heavy_atoms import HeavyAtoms
from openmm_cgml.mapping.partition import components, improved, labels_of, numbered_along, partition_molecule
from openmm_cgml.mapping.spectral import group_by_spectrum
from openmm_cgml.mapping.variance import network_covariance, variance_kept

_DIGITS = 9  # of the variance lost; equals beyond that


def group_by_variance(
    masses: ArrayLike,
    elements: Sequence[str],
    bonds: ArrayLike,
    n_beads: int,
    *,
    covariance: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """The bead of each atom of a molecule, shape (n_atoms,): connected beads that keep the most variance.

    Starts from the beads of even mass and from those of the spectrum, and moves single heavy atoms between beads, and
    swaps two across a border, as long as less variance is lost (see `openmm_cgml.mapping.variance`); the better end is
    taken. That is a local search: no single move or swap makes it better.

    Args:
        masses: Atomic masses [Da], shape (n_atoms,).
        elements: Element symbols.
        bonds: Bonded pairs, shape (n_bonds, 2).
        n_beads: Number of beads.
        covariance: Covariance of the positions of the atoms about their center, from a trajectory, shape (n_atoms,
            n_atoms); by default that of heavy atoms held together by equal springs along the bonds.

    Raises:
        InputError: More beads than heavy atoms, atoms that bonds do not join, or a covariance of other atoms.
    """
    heavy = HeavyAtoms.from_molecule(masses, elements, bonds)
    S = _united(heavy, np.asarray(masses, np.float64), covariance)

    def lost(parts: list[frozenset[int]]) -> float:
        weights = np.zeros((len(parts), heavy.n_heavy))
        for row, part in enumerate(parts):
            own = sorted(part)
            weights[row, own] = heavy.masses[own] / heavy.masses[own].sum()
        return round(1 - variance_kept(S, weights), _DIGITS) if np.trace(S) > 0 else 0.0

    ends = []
    for start in (partition_molecule, group_by_spectrum):
        labels = start(masses, elements, bonds, n_beads)[heavy.atoms]
        parts = [frozenset(np.flatnonzero(labels == bead).tolist()) for bead in range(n_beads)]
        ends.append(improved(parts, heavy.neighbors, lost, swaps=True))
    best = min(ends, key=lambda parts: (lost(parts), sorted(map(sorted, parts))))
    assert all(len(components(part, heavy.neighbors)) == 1 for part in best)
    return numbered_along(labels_of(best, heavy.owners), bonds)


def _united(heavy: HeavyAtoms, masses: NDArray[np.float64], covariance: ArrayLike | None) -> NDArray[np.float64]:
    """The covariance of united atoms, shape (n_heavy, n_heavy)."""
    if covariance is None:
        return network_covariance(heavy.adjacency)
    S = np.asarray(covariance, dtype=np.float64)
    if S.shape != (len(masses), len(masses)):
        raise InputError(f"a covariance of shape {S.shape} for {len(masses)} atoms; it has a row for each of them")
    weights = (heavy.owners == np.arange(heavy.n_heavy)[:, None]) * masses
    weights = weights / weights.sum(axis=1, keepdims=True)
    centered = weights - weights.mean(axis=0)
    return np.asarray(centered @ S @ centered.T)
