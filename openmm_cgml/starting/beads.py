"""Which atoms of a molecule make which bead, and which beads are of one type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openmm_cgml.errors import InputError
from openmm_cgml.mapping.partition import partition_molecule
from openmm_cgml.starting.molecules import SmallMolecule, formula_of
from openmm_cgml.topology.graph import connected_components

__all__ = ["Bead", "Groups", "bead_bonds", "group_atoms", "loose_beads", "name_beads", "read_groups"]

Groups = tuple[tuple[int, ...], ...]
"""Numbers of the atoms of each bead."""


@dataclass(frozen=True, kw_only=True)
class Bead:
    """One bead of a molecule.

    Attributes:
        name: Its name.
        type: Name of its type.
        atoms: Numbers of its atoms.
    """

    name: str
    type: str
    atoms: tuple[int, ...]


def group_atoms(molecule: SmallMolecule, n_beads: int) -> Groups:
    """The atoms of each of `n_beads` connected beads of masses as even as can be, see `partition_molecule`.

    Raises:
        InputError: There are fewer heavy atoms than beads, or water is to be several beads.
    """
    n_heavy = sum(symbol != "H" for symbol in molecule.elements)
    if not 1 <= n_beads <= n_heavy:
        raise InputError(
            f"{molecule.smiles!r} has {n_heavy} heavy atoms and cannot be {n_beads} beads; give each kind of molecule "
            "its number in order, like --beads 2 --beads 1"
        )
    if n_beads == 1:
        return (tuple(range(molecule.n_atoms)),)
    if molecule.is_water:
        raise InputError("water is rigid, so it is one bead")
    labels = partition_molecule(molecule.masses, molecule.elements, molecule.bonds, n_beads)
    return tuple(tuple(np.flatnonzero(labels == number).tolist()) for number in range(n_beads))


def read_groups(molecule: SmallMolecule, texts: Sequence[str]) -> Groups:
    """The atoms of beads that are given by names of atoms, such as "C1 H1 H2 H3" and "O1 H4", or "C1" and "O1".

    Hydrogens that no bead names go with the atom that they are bonded to.

    Raises:
        InputError: A name is unknown, an atom is in no bead or in two, or a hydrogen, whose bond is constrained, is in
            another bead than the atom that it is bonded to.
    """
    number = {name: i for i, name in enumerate(molecule.atom_names)}
    listed = _with_hydrogens(molecule, [text.replace(",", " ").split() for text in texts])
    names = [name for group in listed for name in group]
    all_names = " ".join(molecule.atom_names)
    if unknown := [name for name in names if name not in number]:
        raise InputError(f"no atom {', '.join(unknown)} in {molecule.smiles!r}; its atoms are {all_names}")
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"atom {', '.join(repeated)} is in two beads; each is in one")
    if missing := [name for name in molecule.atom_names if name not in names]:
        raise InputError(f"atom {', '.join(missing)} of {molecule.smiles!r} is in no bead; its atoms are {all_names}")
    if not all(listed):
        raise InputError("a bead without atoms; leave it out")
    groups = tuple(tuple(sorted(number[name] for name in group)) for group in listed)
    _check_hydrogens(molecule, groups)
    return groups


def _with_hydrogens(molecule: SmallMolecule, listed: Sequence[Sequence[str]]) -> list[list[str]]:
    """Names of the atoms of each bead, with those of the hydrogens on them that no bead names."""
    named = {name for group in listed for name in group}
    bonded: dict[str, list[str]] = {}
    for i, j in molecule.bonds:
        for heavy, light in ((i, j), (j, i)):
            if molecule.elements[light] == "H" and molecule.atom_names[light] not in named:
                bonded.setdefault(molecule.atom_names[heavy], []).append(molecule.atom_names[light])
    return [[*group, *(light for name in group for light in bonded.get(name, ()))] for group in listed]


def loose_beads(molecule: SmallMolecule, groups: Groups) -> list[int]:
    """Numbers of the beads whose atoms no bonds within the bead hold together."""
    loose = []
    for number, group in enumerate(groups):
        place = {atom: i for i, atom in enumerate(group)}
        inside = [(place[i], place[j]) for i, j in molecule.bonds if i in place and j in place]
        if connected_components(len(group), np.array(inside, dtype=np.int64).reshape(-1, 2)).max() > 0:
            loose.append(number)
    return loose


def bead_bonds(molecule: SmallMolecule, groups: Groups) -> tuple[tuple[int, int], ...]:
    """Pairs of beads that hold the ends of a bond."""
    owner = _owners(groups)
    ends = [(owner[i], owner[j]) for i, j in molecule.bonds]
    return tuple(sorted({(min(a, b), max(a, b)) for a, b in ends if a != b}))


def name_beads(molecules: Sequence[SmallMolecule], groups: Sequence[Groups]) -> tuple[tuple[Bead, ...], ...]:
    """The beads of each molecule: B1, B2, ..., with a type for all that are equivalent.

    Beads are equivalent where a symmetry of the molecule that maps beads to beads takes one to the other, as refinement
    of colors over atoms and beads tells. A type is called after its formula; where several have one, letters follow.
    """
    classes = [
        [(number, color) for color in _bead_colors(molecule, own)]
        for number, (molecule, own) in enumerate(zip(molecules, groups, strict=True))
    ]
    formulas = {
        kind: formula_of([molecule.elements[atom] for atom in group])
        for molecule, own, kinds in zip(molecules, groups, classes, strict=True)
        for group, kind in zip(own, kinds, strict=True)
    }
    names = _distinct(formulas)
    return tuple(
        tuple(
            Bead(name=f"B{i}", type=names[kind], atoms=group)
            for i, (group, kind) in enumerate(zip(own, kinds, strict=True), 1)
        )
        for own, kinds in zip(groups, classes, strict=True)
    )


def _distinct(formulas: dict[tuple[int, int], str]) -> dict[tuple[int, int], str]:
    """Formulas as they are where they are unique, and with letters a, b, ... where they are not."""
    counts = Counter(formulas.values())
    seen: Counter[str] = Counter()
    names = {}
    for kind, formula in formulas.items():
        names[kind] = formula if counts[formula] == 1 else formula + _letters(seen[formula])
        seen[formula] += 1
    return names


def _letters(number: int) -> str:
    """A to z, aa, ab, ..."""
    head, rest = divmod(number, 26)
    return (_letters(head - 1) if head else "") + "abcdefghijklmnopqrstuvwxyz"[rest]


def _bead_colors(molecule: SmallMolecule, groups: Groups) -> list[int]:
    """A number for each bead, equal for beads that look alike from everywhere in the molecule."""
    owner = _owners(groups)
    atoms = [int(color) for color in molecule.symmetry]
    beads = [0] * len(groups)
    for _ in range(molecule.n_atoms):
        looks = [(atoms[i], beads[owner[i]], *_around(i, molecule, atoms, owner)) for i in range(molecule.n_atoms)]
        new_atoms = _numbered(looks)
        new_beads = _numbered([tuple(sorted(new_atoms[atom] for atom in group)) for group in groups])
        if (new_atoms, new_beads) == (atoms, beads):
            break
        atoms, beads = new_atoms, new_beads
    return beads


def _around(atom: int, molecule: SmallMolecule, colors: Sequence[int], owner: dict[int, int]) -> tuple[object, ...]:
    """The neighbors of an atom by color, and whether they are in its bead."""
    ends = [b if a == atom else a for a, b in molecule.bonds if atom in (a, b)]
    return tuple(sorted((colors[other], owner[other] == owner[atom]) for other in ends))


def _numbered(looks: Sequence[tuple[object, ...]]) -> list[int]:
    """0, 1, ... for looks in the order of their first appearance."""
    order: dict[tuple[object, ...], int] = {}
    return [order.setdefault(look, len(order)) for look in looks]


def _owners(groups: Groups) -> dict[int, int]:
    return {atom: bead for bead, group in enumerate(groups) for atom in group}


def _check_hydrogens(molecule: SmallMolecule, groups: Groups) -> None:
    owner = _owners(groups)
    for pair in molecule.bonds:
        light = next((atom for atom in pair if molecule.elements[atom] == "H"), None)
        if light is not None and owner[pair[0]] != owner[pair[1]]:
            heavy = pair[0] if light == pair[1] else pair[1]
            raise InputError(
                f"the bond of {molecule.atom_names[light]} to {molecule.atom_names[heavy]} is constrained in the "
                "atomistic run, so both belong to one bead: forces between the two are not known"
            )
