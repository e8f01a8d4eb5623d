"""Beads as an `openmm.app.Topology`, and what OpenMM makes of their names when it reads them from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.residues.names import check_names, names_in_files
from openmm_cgml.topology.elements import register_elements

if TYPE_CHECKING:
    from openmm_cgml.topology.coarse import CGTopology

_Residue = tuple[str, tuple[str, ...]]


def to_openmm(topology: CGTopology, box: ArrayLike | None) -> Any:
    """`openmm.app.Topology`: a chain with an id of its own per molecule, a custom `Element` per bead type and mass.

    Args:
        topology: The beads.
        box: Periodic box vectors [nm], shape (3, 3), or None.
    """
    from openmm import Vec3, app, unit

    types = [topology.type_names[t] for t in topology.bead_types.tolist()]
    kinds = list(zip(types, topology.masses.tolist(), strict=True))
    elements = register_elements(kinds)
    made = app.Topology()
    atoms, chain, residue, last = [], None, None, (-1, -1)
    for bead in range(topology.n_beads):
        here = (int(topology.molecules[bead]), int(topology.residues[bead]))
        if here[0] != last[0]:
            chain = made.addChain(id=chain_id(here[0]))
        if here != last:
            residue = made.addResidue(topology.residue_names[here[1]], chain)
        atoms.append(made.addAtom(topology.bead_names[bead], elements[kinds[bead]], residue))
        last = here
    for i, j in topology.bonds.tolist():
        made.addBond(atoms[i], atoms[j])
    if box is not None:
        made.setPeriodicBoxVectors([Vec3(*map(float, row)) for row in np.asarray(box)] * unit.nanometer)
    return made


def residues_of(topology: Any) -> tuple[list[str], list[tuple[str, ...]], NDArray[np.int64]]:
    """Residue names, names of the beads of each residue, and bonds, shape (n_bonds, 2), of an OpenMM topology."""
    residues = list(topology.residues())
    beads = [tuple(atom.name for atom in residue.atoms()) for residue in residues]
    bonds = sorted({tuple(sorted((b[0].index, b[1].index))) for b in topology.bonds()})
    return [residue.name for residue in residues], beads, np.array(bonds, dtype=np.int64).reshape(-1, 2)


def chain_id(number: int) -> str:
    """A chain id of letters, different for every number: A, B, ..., Z, AA, AB, ..."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def check_survives_files(topology: CGTopology) -> None:
    """Refuse beads that would not be the same once OpenMM has read them from a file.

    Raises:
        InputError: If a name cannot be written, two kinds of residues get the same names, or OpenMM adds a bond that
            standard residues of that name have and these beads have not.
    """
    residues = _residues(topology)
    read: dict[_Residue, _Residue] = {}
    for name, beads in dict.fromkeys(residues):
        check_names(name, beads)
        other = read.setdefault(names_in_files(name, beads), (name, beads))
        if other != (name, beads):
            raise InputError(
                f"residues {other[0]!r} and {name!r} are both read from files as {names_in_files(name, beads)[0]!r} "
                "with beads of the same names; rename one"
            )
    _check_standard_bonds(topology, residues)


def _residues(topology: CGTopology) -> list[_Residue]:
    ends = np.cumsum(np.bincount(topology.residues, minlength=len(topology.residue_names))).tolist()
    order = np.argsort(topology.residues, kind="stable").tolist()
    names = [topology.bead_names[bead] for bead in order]
    starts = [0, *ends[:-1]]
    return [
        (name, tuple(names[start:end])) for name, start, end in zip(topology.residue_names, starts, ends, strict=True)
    ]


def _check_standard_bonds(topology: CGTopology, residues: list[_Residue]) -> None:
    """Look at each residue with the one before it in its chain, once per kind of pair that OpenMM would bond."""
    first = np.searchsorted(topology.residues, np.arange(len(residues)))
    owner = topology.molecules[first]
    added: dict[tuple[_Residue, ...], list[tuple[int, int]]] = {}
    bonds: set[tuple[int, ...]] = set()
    for number, residue in enumerate(residues):
        pair = (residues[number - 1], residue) if number and owner[number] == owner[number - 1] else (residue,)
        if pair not in added:
            added[pair] = _standard_bonds(pair)
        if added[pair] and not bonds:
            bonds = set(map(tuple, topology.bonds.tolist()))
        start = int(first[number] if len(pair) == 1 else first[number - 1])
        for i, j in added[pair]:
            if (start + i, start + j) not in bonds:
                names = [topology.bead_names[start + bead] for bead in (i, j)]
                raise InputError(
                    f"residue {number} ({residue[0]!r}): OpenMM bonds beads {names[0]} and {names[1]} when it reads "
                    "them from a file, as standard residues of these names are bonded, but here they are not; rename "
                    "the residue or one of the beads"
                )


def _standard_bonds(residues: tuple[_Residue, ...]) -> list[tuple[int, int]]:
    """Pairs of beads that OpenMM bonds by their names, counted from the first of these residues in a chain."""
    from openmm import app

    made = app.Topology()
    chain = made.addChain()
    for name, beads in residues:
        read, read_beads = names_in_files(name, beads)
        residue = made.addResidue(read, chain)
        for bead in read_beads:
            made.addAtom(bead, None, residue)
    made.createStandardBonds()
    return [(min(a.index, b.index), max(a.index, b.index)) for a, b in made.bonds()]
