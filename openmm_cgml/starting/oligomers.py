"""Short chains of a repeat unit, residue by residue: what a polymer is parametrized and grown from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.starting.molecules import (
    SmallMolecule,
    check_molecule,
    chemistry,
    embed_conformations,
    molecule_of_graph,
    parse_smiles,
)

__all__ = ["Oligomer", "RepeatUnit", "make_oligomer", "read_repeat_unit"]

_HYDROGEN = "[H]*"


@dataclass(frozen=True, eq=False, kw_only=True)
class RepeatUnit:
    """The repeat unit of a linear polymer.

    Attributes:
        smiles: Its SMILES, with two open ends.
        ends: SMILES of what the first and the last one are bonded to, with one open end each.
        graph: RDKit's graph of it, open ends included.
        open_ends: Numbers of the open ends in it, first the one towards the start of the chain.
        entry: Number of the atom that the unit before is bonded to.
        exit: Number of the atom that the unit after is bonded to.
        stereocenter: Number of the one stereocenter that the SMILES leaves open; None if there is none.
    """

    smiles: str
    ends: tuple[str, str]
    graph: Any
    open_ends: tuple[int, int]
    entry: int
    exit: int
    stereocenter: int | None

    @property
    def places(self) -> list[int]:
        """Numbers of its atoms in the SMILES without open ends; names and residues follow this order."""
        return [atom.GetIdx() for atom in self.graph.GetAtoms() if atom.GetAtomicNum() != 0]

    @property
    def backbone_length(self) -> int:
        """Atoms along the chain, entry and exit included."""
        return 1 if self.entry == self.exit else len(chemistry().GetShortestPath(self.graph, self.entry, self.exit))


@dataclass(frozen=True, eq=False, kw_only=True)
class Oligomer:
    """A chain of a few units.

    Attributes:
        molecule: All of it as one molecule, atoms residue by residue.
        residues: Numbers of the atoms of each residue. Those of inner ones are in one order; the first and the last
            have the same in this order, then what ends the chain.
        residue_names: Name of each residue.
        atom_names: Name of each atom, once per residue.
        entry: Name of the atom that the residue before is bonded to.
        exit: Name of the atom that the residue after is bonded to.
        stereocenter: Name of the stereocenter that the tacticity speaks of, if any.
        conformations: Positions [nm], shape (n_conformations, n_atoms, 3).
    """

    molecule: SmallMolecule
    residues: tuple[tuple[int, ...], ...]
    residue_names: tuple[str, ...]
    atom_names: tuple[str, ...]
    entry: str
    exit: str
    stereocenter: str | None
    conformations: NDArray[np.float64]

    def topology(self) -> app.Topology:
        """An OpenMM topology: one chain of residues, bonds in order."""
        topology = app.Topology()
        chain = topology.addChain("A")
        atoms = []
        for name, members in zip(self.residue_names, self.residues, strict=True):
            residue = topology.addResidue(name, chain)
            for atom in members:
                element = app.Element.getBySymbol(self.molecule.elements[atom])
                atoms.append(topology.addAtom(self.atom_names[atom], element, residue))
        for i, j in self.molecule.bonds:
            topology.addBond(atoms[i], atoms[j])
        return topology


def read_repeat_unit(smiles: str, ends: Sequence[str] = ()) -> RepeatUnit:
    """The repeat unit of a SMILES with two open ends, like "[*]CC(C)[*]" of polypropylene.

    Args:
        smiles: Its SMILES; the chain goes from the first open end to the second.
        ends: What the chain starts and ends with, SMILES with one open end: none for hydrogen, one for both ends, or
            one each.

    Raises:
        InputError: A SMILES cannot be read or has another number of open ends, an open end is no single bond, or
            stereochemistry is left open that no tacticity settles.
        MissingDependencyError: RDKit is missing.
    """
    graph = parse_smiles(smiles)
    open_ends = _open_ends(graph)
    if len(open_ends) != 2:
        raise InputError(
            f"repeat unit {smiles!r} has {len(open_ends)} open ends; mark two with [*], like [*]CC(C)[*] for "
            "polypropylene"
        )
    if len(ends) > 2:
        raise InputError(f"{len(ends)} ends of a chain; give one for both, or one for its start and one for its end")
    start, end = (ends[0], ends[-1]) if ends else (_HYDROGEN, _HYDROGEN)
    for text in (start, end):
        if len(_open_ends(parse_smiles(text))) != 1:
            raise InputError(f"end {text!r} of a chain needs one open end, like C[*] for a methyl group")
    neighbors = []
    for number in open_ends:
        (bond,) = graph.GetAtomWithIdx(number).GetBonds()
        if str(bond.GetBondType()) != "SINGLE":
            raise InputError(f"repeat unit {smiles!r}: units are joined by single bonds; open it at another bond")
        neighbors.append(bond.GetOtherAtomIdx(number))
    if graph.GetBondBetweenAtoms(*open_ends) is not None:
        raise InputError(f"repeat unit {smiles!r} has no atoms between its open ends")
    return RepeatUnit(
        smiles=smiles,
        ends=(start, end),
        graph=graph,
        open_ends=(open_ends[0], open_ends[1]),
        entry=neighbors[0],
        exit=neighbors[1],
        stereocenter=_open_stereocenter(graph, open_ends, smiles),
    )


def make_oligomer(
    unit: RepeatUnit, n_units: int, residue_names: Sequence[str], *, n_conformations: int = 1, seed: int = 1
) -> Oligomer:
    """A chain of a few units, with conformations of random torsions and random hands of an open stereocenter.

    Args:
        unit: The repeat unit.
        n_units: How many.
        residue_names: Names of the first, the inner and the last residue.
        n_conformations: How many conformations; those that RDKit fails to find are fewer.
        seed: Seed of the conformations.

    Raises:
        InputError: The chain is charged, a radical, too large, or has elements that GAFF-2 does not know.
    """
    chem = chemistry()
    whole = chem.AddHs(_joined(unit, n_units))
    head, body, tail = residue_names
    owners = _owners(whole, n_units)
    order = [atom for residue in owners for atom in residue]
    whole = chem.RenumberAtoms(whole, order)
    check_molecule(chem.RemoveHs(whole), unit.smiles, "a chain of it")
    sizes = [len(residue) for residue in owners]
    ends = np.cumsum(sizes).tolist()
    residues = tuple(tuple(range(end - size, end)) for size, end in zip(sizes, ends, strict=True))
    names = _atom_names(whole, residues)
    found = embed_conformations(whole, unit.smiles, n_conformations, seed)
    place = {number: names[residues[0][i]] for i, number in enumerate(unit.places)}
    return Oligomer(
        molecule=molecule_of_graph(whole, unit.smiles, body, names),
        residues=residues,
        residue_names=(head, *[body] * (n_units - 2), tail),
        atom_names=names,
        entry=place[unit.entry],
        exit=place[unit.exit],
        stereocenter=None if unit.stereocenter is None else place[unit.stereocenter],
        conformations=found,
    )


def _open_ends(graph: Any) -> list[int]:
    return [atom.GetIdx() for atom in graph.GetAtoms() if atom.GetAtomicNum() == 0]


def _open_stereocenter(graph: Any, open_ends: Sequence[int], smiles: str) -> int | None:
    """The stereocenter that the SMILES leaves open; refuses several, and open double bonds.

    What a chain has on both sides of a unit differs, so the open ends are told apart.
    """
    chem = chemistry()
    marked = chem.RWMol(graph)
    for isotope, number in enumerate(open_ends, 1):
        marked.GetAtomWithIdx(number).SetIsotope(isotope)
    chem.AssignStereochemistry(marked, cleanIt=True, force=True)
    found = [each for each in chem.FindPotentialStereo(marked) if str(each.specified) == "Unspecified"]
    if any(str(each.type) == "Bond_Double" for each in found):
        raise InputError(f"repeat unit {smiles!r} leaves a double bond open; write / and \\ to say cis or trans")
    centers = [each.centeredOn for each in found]
    if len(centers) > 1:
        raise InputError(
            f"repeat unit {smiles!r} leaves {len(centers)} stereocenters open; one can be left to the tacticity, write "
            "[C@H] or [C@@H] for the others"
        )
    return centers[0] if centers else None


def _joined(unit: RepeatUnit, n_units: int) -> Any:
    """RDKit's graph of a chain; each atom knows its residue and its place in the unit, or that it is of an end."""
    chem = chemistry()
    from rdkit import rdBase

    def part(graph: Any, residue: int, open_ends: Sequence[int], labels: Sequence[int], is_end: bool) -> Any:
        copy = chem.RWMol(graph)
        for number, label in zip(open_ends, labels, strict=True):
            copy.GetAtomWithIdx(number).SetIsotope(0)
            copy.GetAtomWithIdx(number).SetAtomMapNum(label)
        for atom in copy.GetAtoms():
            atom.SetIntProp("_residue", residue)
            atom.SetBoolProp("_end", is_end)
        return copy.GetMol()

    with rdBase.BlockLogs():  # of hydrogens that it keeps
        start, end = (parse_smiles(text) for text in unit.ends)
    whole = part(start, 0, _open_ends(start), [1], True)
    for number in range(n_units):
        labels = [number + 1, number + 2]
        whole = chem.CombineMols(whole, part(unit.graph, number, unit.open_ends, labels, False))
    whole = chem.CombineMols(whole, part(end, n_units - 1, _open_ends(end), [n_units + 1], True))
    joined = chem.molzip(whole)
    chem.SanitizeMol(joined)
    return joined


def _owners(whole: Any, n_units: int) -> list[list[int]]:
    """Atoms of each residue: heavy ones of the unit, their hydrogens, then those of an end."""
    units: list[list[int]] = [[] for _ in range(n_units)]
    ends: list[list[int]] = [[] for _ in range(n_units)]
    heavy = [atom for atom in whole.GetAtoms() if atom.HasProp("_residue")]
    for atom in heavy:
        (ends if atom.GetBoolProp("_end") else units)[atom.GetIntProp("_residue")].append(atom.GetIdx())
    for atom in heavy:
        added = [other.GetIdx() for other in atom.GetNeighbors() if not other.HasProp("_residue")]
        (ends if atom.GetBoolProp("_end") else units)[atom.GetIntProp("_residue")].extend(added)
    return [[*own, *end] for own, end in zip(units, ends, strict=True)]


def _atom_names(whole: Any, residues: Sequence[Sequence[int]]) -> tuple[str, ...]:
    names = []
    for residue in residues:
        counts: Counter[str] = Counter()
        for atom in residue:
            symbol = whole.GetAtomWithIdx(atom).GetSymbol().upper()
            counts[symbol] += 1
            names.append(f"{symbol}{counts[symbol]}")
    return tuple(names)
