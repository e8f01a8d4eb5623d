"""Whole molecules put into a box, through each other, so that no region is fuller than others.

Molecules placed blindly overlap more in some places than in others; what then pushes the overlaps apart has to carry
beads over long distances and stretches chains on the way. Moving whole molecules until the density is even costs
nothing of their shape (Auhl et al., J. Chem. Phys. 119, 12718 (2003)).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

_BEADS_PER_CELL = 15
_MOVES = 20_000
_MOVES_PER_MOLECULE = 30


def spread_molecules(
    shapes: Sequence[NDArray[np.float64]], edge: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Positions of all beads, molecules whole and of unchanged shape, the density as even as moves make it.

    Args:
        shapes: Bead positions of each molecule about its center [nm], shape (n_beads, 3) each.
        edge: Edge of the cubic box [nm].
        rng: Source of randomness.

    Returns:
        Shape (total of n_beads, 3) [nm].
    """
    n_beads = sum(map(len, shapes))
    n_cells = max(1, int((n_beads / _BEADS_PER_CELL) ** (1 / 3)))
    placed = [_moved(shape, edge, rng) for shape in shapes]
    occupied = [_cells(molecule, edge, n_cells) for molecule in placed]
    counts = np.bincount(np.concatenate(occupied), minlength=n_cells**3)
    order = np.concatenate([rng.permutation(len(shapes)) for _ in range(_MOVES_PER_MOLECULE)])[:_MOVES]
    for number in order.tolist():
        trial = _moved(shapes[number], edge, rng)
        cells = _cells(trial, edge, n_cells)
        without = counts - np.bincount(occupied[number], minlength=n_cells**3)
        if without[cells].sum() + _own(cells) < without[occupied[number]].sum() + _own(occupied[number]):
            placed[number], occupied[number] = trial, cells
            counts = without + np.bincount(cells, minlength=n_cells**3)
    return np.concatenate(placed)


def _own(cells: NDArray[np.int64]) -> float:
    """Half the pairs of a molecule's own beads in one cell: its part in the sum of squared counts, halved."""
    return float((np.unique(cells, return_counts=True)[1] ** 2).sum()) / 2


def _moved(shape: NDArray[np.float64], edge: float, rng: np.random.Generator) -> NDArray[np.float64]:
    turn = Rotation.random(random_state=rng)
    return np.asarray(turn.apply(shape) + rng.uniform(0.0, edge, 3))


def _cells(positions: NDArray[np.float64], edge: float, n_cells: int) -> NDArray[np.int64]:
    indices = np.floor(positions * (n_cells / edge)).astype(np.int64) % n_cells
    return np.asarray(np.ravel_multi_index(tuple(indices.T), (n_cells,) * 3), dtype=np.int64)
