"""What a mapping does to the bonds, constraints and symmetry of molecules; needs no trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.mapping.heavy_atoms import HeavyAtoms, equivalent_atoms
from openmm_cgml.mapping.labels import AtomGroup, molecule_groups
from openmm_cgml.mapping.variance import network_covariance, variance_kept
from openmm_cgml.topology import AtomTopology, connected_components


@dataclass(frozen=True, kw_only=True)
class StructureJudgement:
    """What `judge_structure` found.

    Attributes:
        disconnected: Beads whose atoms are not joined by bonds between them.
        constraints_cut: Constraints between atoms of two beads, or of a bead and none.
        uneven_molecules: Molecules that are divided otherwise than the first of their kind.
        uneven_atoms: Kinds of equivalent heavy atoms whose members do not have equivalent places in beads.
        network_variance_kept: Share of the motion of a network of equal springs along the bonds that the beads keep.
    """

    disconnected: int
    constraints_cut: int
    uneven_molecules: int
    uneven_atoms: int
    network_variance_kept: float


def judge_structure(atoms: AtomTopology, beads: NDArray[np.int64]) -> StructureJudgement:
    """How the beads divide the molecules.

    Args:
        atoms: The atoms.
        beads: The bead of each atom, from 0 without gaps; -1 for none, shape (n_atoms,).
    """
    groups = [group for group in molecule_groups(atoms) if (beads[group.atoms[0]] >= 0).any()]
    return StructureJudgement(
        disconnected=len(disconnected_beads(beads, atoms.bonds)),
        constraints_cut=int((np.diff(beads[atoms.constraints], axis=1) != 0).sum()),
        uneven_molecules=sum(_uneven_copies(beads[group.atoms]) for group in groups),
        uneven_atoms=sum(uneven_atoms(group, beads[group.atoms[0]]) for group in groups),
        network_variance_kept=weighted_share(groups, [_network_share(g, beads[g.atoms[0]]) for g in groups]),
    )


def disconnected_beads(beads: NDArray[np.int64], bonds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the beads whose atoms are not joined by bonds between them.

    Args:
        beads: The bead of each atom; negative for none, shape (n_atoms,).
        bonds: Bonded pairs, shape (n_bonds, 2).
    """
    inside = bonds[beads[bonds[:, 0]] == beads[bonds[:, 1]]]
    parts = connected_components(len(beads), inside)
    mapped = beads >= 0
    pairs = np.unique(np.stack([beads[mapped], parts[mapped]], axis=1), axis=0)
    found, counts = np.unique(pairs[:, 0], return_counts=True)
    return np.asarray(found[counts > 1])


def uneven_atoms(group: AtomGroup, beads: NDArray[np.int64]) -> int:
    """Kinds of equivalent heavy atoms that beads tell apart.

    Two equivalent atoms have equivalent places if the kinds of atoms in their beads and along their bonds, and which of
    these bonds are cut, stay the same however far one looks.

    Args:
        group: The molecule.
        beads: The bead of each of its atoms, shape (n_atoms,).
    """
    kinds = equivalent_atoms(group.masses, group.elements, group.bonds)
    colors = kinds.copy()
    bonded, together = _neighbors(len(kinds), group.bonds), [np.flatnonzero(beads == bead) for bead in beads]
    for _ in range(len(kinds)):
        keys = [
            (
                int(colors[i]),
                tuple(sorted((int(colors[j]), bool(beads[i] == beads[j])) for j in bonded[i])),
                tuple(sorted(colors[together[i]].tolist())),
            )
            for i in range(len(kinds))
        ]
        place = {key: number for number, key in enumerate(sorted(set(keys)))}
        refined = np.array([place[key] for key in keys])
        if refined.max() == colors.max():
            break
        colors = refined
    heavy = HeavyAtoms.from_molecule(group.masses, group.elements, group.bonds).atoms
    return sum(len(set(colors[heavy][kinds[heavy] == kind].tolist())) > 1 for kind in np.unique(kinds[heavy]))


def united_weights(
    group: AtomGroup, beads: NDArray[np.int64]
) -> tuple[HeavyAtoms, NDArray[np.float64], NDArray[np.float64]]:
    """Heavy atoms; weights of atoms in these, shape (n_heavy, n_atoms); and of these in beads, (n_beads, n_heavy).

    Args:
        group: The molecule.
        beads: The bead of each of its atoms; negative for none, shape (n_atoms,).
    """
    heavy = HeavyAtoms.from_molecule(group.masses, group.elements, group.bonds)
    united = (heavy.owners == np.arange(heavy.n_heavy)[:, None]) * group.masses
    united = united / united.sum(axis=1, keepdims=True)
    own = np.unique(beads[beads >= 0])
    in_beads = (beads == own[:, None]) * group.masses  # (n_beads, n_atoms)
    shares = np.stack([in_beads[:, heavy.owners == h].sum(axis=1) for h in range(heavy.n_heavy)], axis=1)
    return heavy, united, shares / shares.sum(axis=1, keepdims=True)


def weighted_share(groups: Sequence[AtomGroup], shares: Sequence[float]) -> float:
    """The mean of shares of kinds of molecules, weighted by how many heavy atoms each kind has."""
    weights = [group.atoms.shape[0] * sum(e not in ("H", "D", "T") for e in group.elements) or 1 for group in groups]
    return float(np.average(shares, weights=weights))


def _network_share(group: AtomGroup, beads: NDArray[np.int64]) -> float:
    heavy, _, shares = united_weights(group, beads)
    return variance_kept(network_covariance(heavy.adjacency), shares) if heavy.n_heavy > 1 else 1.0


def _uneven_copies(beads: NDArray[np.int64]) -> int:
    """Copies, rows of beads of shape (n_copies, n_atoms), that are divided otherwise than the first."""
    local = np.stack([_by_appearance(row) for row in beads])
    return int((local != local[:1]).any(axis=1).sum())


def _by_appearance(beads: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first, inverse = np.unique(beads, return_index=True, return_inverse=True)
    numbers = np.argsort(np.argsort(first))[inverse]
    return np.where(beads < 0, -1, numbers)


def _neighbors(n: int, bonds: NDArray[np.int64]) -> list[list[int]]:
    result: list[list[int]] = [[] for _ in range(n)]
    for i, j in bonds.tolist():
        result[i].append(j)
        result[j].append(i)
    return result
