"""Growth of chains residue by residue: one after the other, with a way back where there is none on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from openmm_cgml.errors import SimulationError
from openmm_cgml.periodic import periodic_tree

__all__ = ["NextResidue", "grow_chains"]

NextResidue = Callable[[Sequence[NDArray[np.float64]]], NDArray[np.float64] | None]
"""Residues placed so far -> atoms of the next one [nm], shape (n, 3), free of overlaps; None where none was found."""

_RETREAT = (1, 5)  # residues taken back where a chain has no way on
_TRIALS_PER_RESIDUE = 100
_TRIALS_PER_CHAIN = 5


def grow_chains(
    start_chain: Callable[[cKDTree], NextResidue],
    n_residues: int,
    n_chains: int,
    edge: float,
    generator: np.random.Generator,
    *,
    seen: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda atoms: atoms,
) -> NDArray[np.float64]:
    """Atoms of whole chains in a periodic cube [nm], shape (n_atoms, 3).

    Args:
        start_chain: What places the residues of the next chain, given a periodic tree of the chains there are.
        n_residues: Residues per chain.
        n_chains: Number of chains.
        edge: Edge of the cube [nm].
        generator: Source of randomness.
        seen: Of the atoms of a chain those that the tree holds.

    Raises:
        SimulationError: The chains do not fit; the density is too high for growth.
    """
    chains: list[NDArray[np.float64]] = []
    for _ in range(n_chains):
        tree = periodic_tree([seen(chain) for chain in chains], edge)
        chains.append(_grow_chain(start_chain(tree), n_residues, edge, generator))
    return np.concatenate(chains)


def _grow_chain(
    next_residue: NextResidue, n_residues: int, edge: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    for _ in range(_TRIALS_PER_CHAIN):
        placed: list[NDArray[np.float64]] = []
        for _ in range(_TRIALS_PER_RESIDUE * n_residues):
            grown = next_residue(placed)
            if grown is not None:
                placed.append(grown)
            else:
                del placed[max(0, len(placed) - int(generator.integers(*_RETREAT))) :]
            if len(placed) == n_residues:
                return np.concatenate(placed)
    raise SimulationError(
        f"a chain of {n_residues} residues found no way through a box of {edge:.3f} nm; grow it at a lower "
        "reference.density in system.yaml"
    )
