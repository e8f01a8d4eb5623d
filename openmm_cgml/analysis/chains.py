"""Linear chains among the molecules of a topology: which bead follows which from end to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from openmm_cgml.errors import InputError
from openmm_cgml.topology import CGTopology, connected_components


def find_linear_molecules(topology: CGTopology, *, min_beads: int = 2) -> np.ndarray:
    """Numbers of the molecules whose beads form one line, neither branched nor closed, shape (n_chains,).

    Args:
        topology: Beads, molecules and bonds.
        min_beads: Fewest beads of a chain.
    """
    faults = _find_faults(topology)
    sizes = np.bincount(topology.molecules, minlength=topology.n_molecules)
    return np.array([m for m in np.flatnonzero(sizes >= min_beads).tolist() if m not in faults], dtype=np.int64)


def find_chains(topology: CGTopology, molecules: Iterable[int] | None = None) -> list[np.ndarray]:
    """Beads of each chain in the order of its bonds, from the end with the lower number.

    Args:
        topology: Beads, molecules and bonds.
        molecules: Molecules wanted; all if not given.

    Raises:
        InputError: If a molecule is branched, closed to a ring, or not connected, so that its beads have no order.
    """
    wanted = range(topology.n_molecules) if molecules is None else [int(m) for m in molecules]
    faults = _find_faults(topology)
    for molecule in wanted:
        if molecule in faults:
            raise InputError(
                f"molecule {molecule} {faults[molecule]}, so its beads have no order from end to end: end-to-end "
                "vectors and internal distances mean nothing there. Radius of gyration, g(r), bonds, angles and "
                "torsions do; for chains beside such molecules give molecules=find_linear_molecules(topology)"
            )
    neighbors = _list_neighbors(topology)
    starts = _find_starts(topology)
    return [_walk(starts[molecule], neighbors) for molecule in wanted]


def stack_chains(chains: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """Chains of equal length together: number of beads -> bead numbers, shape (n_chains, n_beads), shortest first."""
    by_length: dict[int, list[np.ndarray]] = {}
    for chain in chains:
        by_length.setdefault(len(chain), []).append(chain)
    return {length: np.stack(by_length[length]) for length in sorted(by_length)}


def check_whole(positions: np.ndarray, box: np.ndarray | None, bonds: np.ndarray) -> None:
    """Refuse molecules that were cut at the boundary of the box.

    Args:
        positions: Bead positions [nm], shape (n_frames, n_beads, 3).
        box: Box vectors [nm], shape (n_frames, 3, 3), or None.
        bonds: Bonded pairs, shape (n_bonds, 2).

    Raises:
        InputError: If a bond spans more than half of the box.
    """
    if box is None or not len(bonds):
        return
    for frame, (points, vectors) in enumerate(zip(positions, box, strict=True)):
        across = (points[bonds[:, 1]] - points[bonds[:, 0]]) @ np.linalg.inv(vectors)
        if np.any(np.abs(across) > 0.5):
            i, j = bonds[int(np.argmax(np.abs(across).max(axis=1)))]
            raise InputError(
                f"frame {frame}: beads {i} and {j} are bonded and more than half the box apart; chain dimensions need "
                "whole molecules: give positions unwrapped, as the simulation records them"
            )


def _find_faults(topology: CGTopology) -> dict[int, str]:
    """Why molecules are not linear, by molecule."""
    bonds, molecules, n = topology.bonds, topology.molecules, topology.n_beads
    parts = connected_components(n, bonds)
    _, first = np.unique(parts, return_index=True)
    n_parts = np.bincount(molecules[first], minlength=topology.n_molecules)
    n_bonds = np.bincount(molecules[bonds[:, 0]], minlength=topology.n_molecules)
    sizes = np.bincount(molecules, minlength=topology.n_molecules)
    degree = np.bincount(bonds.ravel(), minlength=n)
    faults = {int(m): "closes to a ring" for m in np.flatnonzero(n_bonds >= np.maximum(sizes, 1))}
    faults |= {int(m): f"consists of {n_parts[m]} unconnected parts" for m in np.flatnonzero(n_parts > 1)}
    branched = np.flatnonzero(degree > 2)[::-1]
    return faults | {int(molecules[b]): f"branches at bead {b} with {degree[b]} bonds" for b in branched}


def _find_starts(topology: CGTopology) -> np.ndarray:
    """Lowest end of each molecule, shape (n_molecules,); the beads of a line have at most two ends."""
    degree = np.bincount(topology.bonds.ravel(), minlength=topology.n_beads)
    ends = np.flatnonzero(degree <= 1)[::-1]
    starts = np.full(topology.n_molecules, -1, dtype=np.int64)
    starts[topology.molecules[ends]] = ends
    return starts


def _list_neighbors(topology: CGTopology) -> list[list[int]]:
    neighbors: list[list[int]] = [[] for _ in range(topology.n_beads)]
    for i, j in topology.bonds.tolist():
        neighbors[i].append(j)
        neighbors[j].append(i)
    return neighbors


def _walk(start: int, neighbors: Sequence[Sequence[int]]) -> np.ndarray:
    path, before = [int(start)], -1
    while after := [bead for bead in neighbors[path[-1]] if bead != before]:
        before = path[-1]
        path.append(after[0])
    return np.array(path, dtype=np.int64)
