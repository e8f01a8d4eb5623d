"""Labels: which bead each atom belongs to, and the `Mapping` and descriptions of residues that follow from them.

All ways to group atoms return the same kind of labels, one number per atom, so they can be exchanged for each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from openmm_cgml.errors import InputError
from openmm_cgml.mapping.force_weights import uniform_force_weights
from openmm_cgml.mapping.heavy_atoms import HYDROGENS
from openmm_cgml.mapping.operator import Mapping
from openmm_cgml.topology import AtomTopology, CGTopology

_LETTERS = ["", *"abcdefghijklmnopqrstuvwxyz"]
UNMAPPED = -1
"""The label of atoms that are in no bead, such as those of a solvent."""

Divide = Callable[[NDArray[np.float64], Sequence[str], NDArray[np.int64]], NDArray[np.int64]]
"""Labels of the atoms of one molecule or residue, from its masses, elements and bonds."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AtomGroup:
    """The same atoms many times over: residues, or molecules, of one kind.

    Attributes:
        name: Residue name of the first atom.
        names: Atom names, shape (n_atoms,).
        elements: Element symbols.
        masses: Masses [Da], shape (n_atoms,).
        bonds: Bonds between the atoms of one copy, shape (n_bonds, 2).
        atoms: Numbers of the atoms of each copy, shape (n_copies, n_atoms).
    """

    name: str
    names: tuple[str, ...]
    elements: tuple[str, ...]
    masses: NDArray[np.float64]
    bonds: NDArray[np.int64]
    atoms: NDArray[np.int64]


def residue_groups(atoms: AtomTopology) -> tuple[AtomGroup, ...]:
    """The kinds of residues, in order of appearance: the same name, atoms, masses and bonds in the same order."""
    return _groups(atoms, atoms.residues)


def molecule_groups(atoms: AtomTopology) -> tuple[AtomGroup, ...]:
    """The kinds of molecules, in order of appearance: the same atoms, masses and bonds in the same order."""
    return _groups(atoms, atoms.molecules)


def _groups(atoms: AtomTopology, owners: NDArray[np.int64]) -> tuple[AtomGroup, ...]:
    order = np.argsort(owners, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(owners[order])) + 1)
    place = np.empty(atoms.n_atoms, dtype=np.int64)
    for own in members:
        place[own] = np.arange(len(own))
    inside = atoms.bonds[owners[atoms.bonds[:, 0]] == owners[atoms.bonds[:, 1]]]
    inside = inside[np.argsort(owners[inside[:, 0]], kind="stable")]
    keys, ends = np.unique(owners[inside[:, 0]], return_index=True)
    bonds = dict(zip(keys.tolist(), np.split(place[inside], ends[1:]) if len(keys) else [], strict=True))
    found: dict[tuple[object, ...], list[NDArray[np.int64]]] = {}
    for own in members:
        local = np.unique(bonds.get(int(owners[own[0]]), np.zeros((0, 2), np.int64)), axis=0)
        first = int(own[0])
        names, elements = (tuple(each[i] for i in own.tolist()) for each in (atoms.names, atoms.elements))
        name = atoms.residue_names[atoms.residues[first]]
        key = (name, names, elements, atoms.masses[own].round(4).tobytes(), local.tobytes())
        found.setdefault(key, []).append(own)
    return tuple(_group(atoms, copies, bonds.get(int(owners[copies[0][0]]))) for copies in found.values())


def _group(atoms: AtomTopology, copies: list[NDArray[np.int64]], bonds: NDArray[np.int64] | None) -> AtomGroup:
    first = copies[0].tolist()
    return AtomGroup(
        name=atoms.residue_names[atoms.residues[first[0]]],
        names=tuple(atoms.names[i] for i in first),
        elements=tuple(atoms.elements[i] for i in first),
        masses=atoms.masses[first],
        bonds=np.zeros((0, 2), np.int64) if bonds is None else np.unique(bonds, axis=0),
        atoms=np.array(copies),
    )


def labels_of_groups(groups: Sequence[AtomGroup], labels: Sequence[ArrayLike], n_atoms: int) -> NDArray[np.int64]:
    """Labels of all atoms, shape (n_atoms,), from the labels of each kind of residue or molecule.

    Args:
        groups: The kinds.
        labels: The bead of each atom within its copy, from 0; -1 for atoms in no bead.
        n_atoms: Number of atoms in all; those in no group are in no bead.
    """
    result = np.full(n_atoms, UNMAPPED, dtype=np.int64)
    first = 0
    for group, own in zip(groups, labels, strict=True):
        local = np.asarray(own, dtype=np.int64)
        n = int(local.max(initial=-1)) + 1
        starts = first + n * np.arange(len(group.atoms))[:, None]
        result[group.atoms] = np.where(local < 0, UNMAPPED, starts + local)
        first += n * len(group.atoms)
    return result


def divide_residues(atoms: AtomTopology, divide: Divide) -> NDArray[np.int64]:
    """Labels of all atoms, shape (n_atoms,): every kind of residue divided, alike kinds alike.

    The ends of a chain have atoms that its body has not. A residue that has the heavy atoms of a more frequent one of
    its molecule, by name, element and bonds, is divided as that one is, its further atoms with what they are bonded to.

    Args:
        atoms: The atoms.
        divide: Divides one residue, for example `functools.partial(partition_molecule, n_beads=2)`.
    """
    groups = residue_groups(atoms)
    known: list[tuple[AtomGroup, NDArray[np.int64]]] = []
    labels: dict[int, NDArray[np.int64]] = {}
    for number in sorted(range(len(groups)), key=lambda n: -len(groups[n].atoms)):
        group = groups[number]
        molecules = np.unique(atoms.molecules[group.atoms])
        beside = [each for each in known if np.isin(atoms.molecules[each[0].atoms], molecules).any()]
        found = [own for other, given in beside if (own := _as_another(group, other, given)) is not None]
        own = found[0] if found else np.asarray(divide(group.masses, group.elements, group.bonds), dtype=np.int64)
        labels[number] = own
        known += [] if found else [(group, own)]
    return labels_of_groups(groups, [labels[n] for n in range(len(groups))], atoms.n_atoms)


def _as_another(group: AtomGroup, other: AtomGroup, labels: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The labels that a residue has if it is divided as another one; None if it lacks heavy atoms or bonds of that."""
    heavy = [i for i, element in enumerate(other.elements) if element not in HYDROGENS]
    named = {other.names[i]: int(labels[i]) for i in heavy}
    elements = dict(zip(group.names, group.elements, strict=True))
    wanted, found = (
        {frozenset((g.names[i], g.names[j])) for i, j in g.bonds.tolist() if {g.names[i], g.names[j]} <= set(named)}
        for g in (other, group)
    )
    if not named or wanted != found or any(elements.get(other.names[i]) != other.elements[i] for i in heavy):
        return None
    result = np.array([named.get(name, UNMAPPED) for name in group.names], dtype=np.int64)
    while (result < 0).any():
        before = result.copy()
        for i, j in group.bonds.tolist():
            if result[i] < 0 <= before[j] or result[j] < 0 <= before[i]:
                result[i] = result[j] = max(before[i], before[j])
        if np.array_equal(before, result):
            return None
    return result


def mapping_from_labels(atoms: AtomTopology, labels: ArrayLike, *, provenance: str = "labels") -> Mapping:
    """The mapping to the centers of mass of the atoms of each label, with uniform force weights.

    Beads are named B1, B2, ... in their residue, in the order of their first atoms, and typed by what they are made of:
    atoms of the same elements with as many hydrogens and bonds each are one type, called by its formula. Beads that
    reach across residues make each molecule one residue. Constraints between beads are not looked at; see
    `check_constraints`.

    Args:
        atoms: The atomistic topology.
        labels: The bead of each atom, any numbers; negative for atoms in no bead, shape (n_atoms,).
        provenance: Where the labels come from.

    Raises:
        InputError: Labels of another number of atoms, none of them a bead, or beads that mix molecules.
    """
    given = np.asarray(labels, dtype=np.int64)
    if given.shape != (atoms.n_atoms,):
        raise InputError(f"labels have shape {given.shape}, there are {atoms.n_atoms} atoms: one label for each")
    mapped = np.flatnonzero(given >= 0)
    if not len(mapped):
        raise InputError("no atom is in a bead; labels of 0 and more are beads")
    beads, first, owner = _in_order(given, mapped, atoms.residues)
    masses = np.asarray(np.bincount(owner, weights=atoms.masses[mapped]), dtype=np.float64)
    position_weights = csr_array(
        (atoms.masses[mapped] / masses[owner], (owner, mapped)), shape=(len(first), atoms.n_atoms)
    )
    return Mapping(
        target=_target(atoms, beads, first, masses),
        position_weights=position_weights,
        force_weights=uniform_force_weights(position_weights),
        source_bonds=atoms.bonds,
        provenance={"specification": provenance, "positions": "center of mass", "forces": "uniform"},
    )


def _in_order(
    labels: NDArray[np.int64], mapped: NDArray[np.int64], residues: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Beads numbered by residue and first atom: of each atom (-1 for none), the first atom of each, of mapped atoms."""
    _, first, owner = np.unique(labels[mapped], return_index=True, return_inverse=True)
    first = mapped[first]
    order = np.lexsort((first, residues[first]))
    owner = np.argsort(order)[owner]
    beads = np.full(len(labels), UNMAPPED, dtype=np.int64)
    beads[mapped] = owner
    return beads, first[order], owner


def _target(
    atoms: AtomTopology, beads: NDArray[np.int64], first: NDArray[np.int64], masses: NDArray[np.float64]
) -> CGTopology:
    mapped = beads >= 0
    across = bool((atoms.residues[mapped] != atoms.residues[first][beads[mapped]]).any())
    owners = atoms.molecules if across else atoms.residues
    residues = np.unique(owners[first], return_inverse=True)[1]
    starts = np.unique(residues, return_index=True)[1]
    molecules = atoms.molecules[first]
    _, seen, inverse = np.unique(molecules, return_index=True, return_inverse=True)
    bonded = beads[atoms.bonds]
    bonded = bonded[(bonded >= 0).all(axis=1) & (bonded[:, 0] != bonded[:, 1])]
    types, names = bead_types(atoms, beads)
    return CGTopology(
        type_names=names,
        bead_types=types,
        bead_names=tuple(f"B{number}" for number in (np.arange(len(first)) - starts[residues] + 1).tolist()),
        masses=masses,
        molecules=np.argsort(np.argsort(seen))[inverse],
        residues=residues,
        residue_names=tuple(atoms.residue_names[atoms.residues[first[start]]] for start in starts.tolist()),
        bonds=np.unique(np.sort(bonded, axis=1), axis=0),
    )


def bead_types(atoms: AtomTopology, beads: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The type of each bead, shape (n_beads,), and the names of the types.

    Args:
        atoms: The atoms.
        beads: The bead of each atom, from 0 without gaps; -1 for none, shape (n_atoms,).
    """
    degree = np.bincount(atoms.bonds.ravel(), minlength=atoms.n_atoms)
    makes: list[list[tuple[str, int, float]]] = [[] for _ in range(int(beads.max()) + 1)]
    for atom in np.flatnonzero(beads >= 0).tolist():
        makes[beads[atom]].append((atoms.elements[atom], int(degree[atom]), round(float(atoms.masses[atom]), 3)))
    keys = [tuple(sorted(make)) for make in makes]
    kinds = list(dict.fromkeys(keys))
    formulas = [formula_of([element for element, _, _ in key]) for key in kinds]
    names = [f"{f}{_LETTERS[min(formulas[:n].count(f), 26)]}" for n, f in enumerate(formulas)]
    place = {key: number for number, key in enumerate(kinds)}
    return np.array([place[key] for key in keys], dtype=np.int64), tuple(names)


def formula_of(elements: Sequence[str]) -> str:
    """The chemical formula, carbon and hydrogen first (Hill): "C2H4O"; of beads "(CH2)2"."""
    counts = Counter(element or "X" for element in elements)
    first = [element for element in ("C", "H") if counts.get(element) and "C" in counts]
    order = first + sorted(set(counts) - set(first))
    shown = {e: e if (e.isalpha() and len(e) < 3) or counts[e] == 1 else f"({e})" for e in order}
    return "".join(f"{shown[e]}{counts[e] if counts[e] > 1 else ''}" for e in order)
