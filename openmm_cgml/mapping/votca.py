"""VOTCA's mapping files: beads with weights and force coefficients, read from XML.

The format is that of the manual of VOTCA-CSG (cg_molecule, with topology/cg_beads and maps; Ruehle et al., J. Chem.
Theory Comput. 5, 3211 (2009)): a bead at sum c_i r_i feels sum (d_i / c_i) f_i, with weights c and coefficients d that
are each divided by their sums; d is c where it is not given, and the force then the plain sum.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from openmm_cgml.errors import InputError
from openmm_cgml.mapping.operator import Mapping
from openmm_cgml.topology import AtomTopology, CGTopology

AtomName = tuple[int, str, str]
"""Number of the residue in its molecule, from 1, residue name and atom name."""


@dataclass(frozen=True, kw_only=True)
class VotcaBead:
    """One bead of a VOTCA mapping.

    Attributes:
        name: Its name.
        type: Its type.
        atoms: The atoms that it is mapped from.
        weights: Position weights c, which sum to 1.
        force_weights: d / c: what the force on each atom counts.
    """

    name: str
    type: str
    atoms: tuple[AtomName, ...]
    weights: tuple[float, ...]
    force_weights: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class VotcaMolecule:
    """A molecule of a VOTCA mapping.

    Attributes:
        name: Name of the mapped molecule.
        ident: Name of the molecule in VOTCA's atomistic topology.
        beads: Its beads.
        bonds: Names of bonded beads.
    """

    name: str
    ident: str
    beads: tuple[VotcaBead, ...]
    bonds: tuple[tuple[str, str], ...]


def read_votca_mapping(path: str | os.PathLike[str]) -> VotcaMolecule:
    """The molecule that a VOTCA mapping file describes.

    Raises:
        InputError: The file is missing or no such XML, a bead names a map that is not there, counts of atoms, weights
            and coefficients differ, weights are negative or sum to zero, or an atom without weight has a coefficient.
    """
    path = Path(path)
    try:
        root = ElementTree.fromstring(path.read_text(encoding="utf8"))
    except (OSError, UnicodeDecodeError, ElementTree.ParseError) as error:
        raise InputError(f"{path}: no XML that can be read ({error})") from error
    if root.tag != "cg_molecule":
        raise InputError(f"{path}: the root is <{root.tag}>; a VOTCA mapping file has <cg_molecule>")
    maps = {_text(each, "name", path): each for each in root.iterfind("maps/map")}
    beads = tuple(_bead(each, maps, path) for each in root.iterfind("topology/cg_beads/cg_bead"))
    if not beads:
        raise InputError(f"{path}: no <cg_bead> in <topology><cg_beads>")
    names = [bead.name for bead in beads]
    if len(set(names)) < len(names):
        raise InputError(f"{path}: two beads have one name: {', '.join(names)}")
    words = [w for each in root.iterfind("topology/cg_bonded/bond/beads") for w in (each.text or "").split()]
    unknown = [word for word in words if word not in names]
    if unknown or len(words) % 2:
        raise InputError(f"{path}: bonds join pairs of beads; {unknown[0] if unknown else words[-1]} is no such pair's")
    return VotcaMolecule(
        name=_text(root, "name", path),
        ident=_text(root, "ident", path),
        beads=beads,
        bonds=tuple(zip(words[::2], words[1::2], strict=True)),
    )


def mapping_from_votca(molecules: Sequence[VotcaMolecule], atoms: AtomTopology) -> Mapping:
    """The mapping of the atoms that VOTCA's mapping files describe.

    A molecule of the recording, that is what bonds join, is mapped by the file whose atoms it has, by residue and atom
    names; one that no file describes has no beads. Every mapped molecule becomes one residue, called as the file says.

    Args:
        molecules: What the files say.
        atoms: The atoms.

    Raises:
        InputError: No molecule has the atoms of a file, two files fit one molecule, or weights that are not consistent:
            the product B C^T is not the identity, as with beads that share atoms and plain sums of forces.
    """
    residue_of, members = _residues_in_molecules(atoms)
    parts: list[tuple[VotcaMolecule, list[list[int]]]] = []
    for own in members:
        found = {(residue_of[i], atoms.residue_names[atoms.residues[i]], atoms.names[i]): i for i in own}
        fitting = [m for m in molecules if all(atom in found for bead in m.beads for atom in bead.atoms)]
        if len(fitting) > 1:
            raise InputError(
                f"the molecule of atom {own[0]} has the atoms of several mapping files: "
                f"{', '.join(m.name for m in fitting)}; give one for it"
            )
        parts += [(m, [[found[atom] for atom in bead.atoms] for bead in m.beads]) for m in fitting]
    unused = [m.name for m in molecules if all(part[0] is not m for part in parts)]
    if unused:
        bead = next(m for m in molecules if m.name == unused[0]).beads[0]
        raise InputError(
            f"no molecule of the recording has all the atoms of mapping {unused[0]!r} (such as "
            f"{':'.join(map(str, bead.atoms[0]))}: number of the residue in its molecule, residue and atom name)"
        )
    beads = [(m, bead, numbers) for m, rows in parts for bead, numbers in zip(m.beads, rows, strict=True)]
    shape = (len(beads), atoms.n_atoms)
    rows = np.repeat(np.arange(len(beads)), [len(numbers) for _, _, numbers in beads])
    columns = np.concatenate([numbers for _, _, numbers in beads])
    position = np.concatenate([bead.weights for _, bead, _ in beads])
    force = np.concatenate([bead.force_weights for _, bead, _ in beads])
    return Mapping(
        target=_target(parts, atoms),
        position_weights=csr_array((position, (rows, columns)), shape=shape),
        force_weights=csr_array((force, (rows, columns)), shape=shape),
        source_bonds=atoms.bonds,
        provenance={"specification": "VOTCA mapping files", "positions": "weights", "forces": "coefficients"},
    )


def _residues_in_molecules(atoms: AtomTopology) -> tuple[list[int], list[list[int]]]:
    """The number of each atom's residue in its molecule, from 1, and the atoms of each molecule."""
    order = np.argsort(atoms.molecules, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(atoms.molecules[order])) + 1)
    numbers = np.empty(atoms.n_atoms, dtype=np.int64)
    for own in members:
        numbers[own] = np.unique(atoms.residues[own], return_inverse=True)[1] + 1
    return numbers.tolist(), [own.tolist() for own in members]


def _target(parts: Sequence[tuple[VotcaMolecule, list[list[int]]]], atoms: AtomTopology) -> CGTopology:
    types = tuple(dict.fromkeys(bead.type for molecule, _ in parts for bead in molecule.beads))
    sizes = [len(molecule.beads) for molecule, _ in parts]
    starts = np.cumsum([0, *sizes[:-1]])
    bonds = []
    for start, (molecule, _) in zip(starts.tolist(), parts, strict=True):
        place = {bead.name: start + number for number, bead in enumerate(molecule.beads)}
        bonds += [(place[a], place[b]) for a, b in molecule.bonds]
    owner = np.repeat(np.arange(len(parts)), sizes)
    return CGTopology(
        type_names=types,
        bead_types=np.array([types.index(bead.type) for molecule, _ in parts for bead in molecule.beads]),
        bead_names=tuple(bead.name for molecule, _ in parts for bead in molecule.beads),
        masses=np.array([atoms.masses[numbers].sum() for _, rows in parts for numbers in rows]),
        molecules=owner,
        residues=owner,
        residue_names=tuple(molecule.name for molecule, _ in parts),
        bonds=np.unique(np.sort(np.array(bonds, dtype=np.int64).reshape(-1, 2), axis=1), axis=0),
    )


def _bead(element: ElementTree.Element, maps: dict[str, ElementTree.Element], path: Path) -> VotcaBead:
    name, kind = _text(element, "name", path), _text(element, "mapping", path)
    if kind not in maps:
        raise InputError(f"{path}: bead {name} has the mapping {kind!r}; there are maps {', '.join(maps) or 'none'}")
    atoms = tuple(_atom(word, name, path) for word in _text(element, "beads", path).split())
    weights = _numbers(maps[kind], "weights", kind, path)
    coefficients = _numbers(maps[kind], "d", kind, path) if maps[kind].find("d") is not None else weights
    if not len(atoms) == len(weights) == len(coefficients):
        raise InputError(
            f"{path}: bead {name} has {len(atoms)} atoms, its map {kind!r} {len(weights)} weights and "
            f"{len(coefficients)} force coefficients; one for each atom"
        )
    if min(weights) < 0 or not sum(weights) > 0 or not sum(coefficients):
        raise InputError(f"{path}: weights of map {kind!r} are not negative, and neither they nor <d> sum to zero")
    c, d = (np.array(each) / sum(each) for each in (weights, coefficients))
    if (d[c == 0] != 0).any():
        raise InputError(f"{path}: map {kind!r} has a force coefficient for an atom of no weight, so d / c is infinite")
    kept = np.flatnonzero(c)
    return VotcaBead(
        name=name,
        type=_text(element, "type", path),
        atoms=tuple(atoms[i] for i in kept.tolist()),
        weights=tuple(c[kept].tolist()),
        force_weights=tuple((d[kept] / c[kept]).tolist()),
    )


def _atom(word: str, bead: str, path: Path) -> AtomName:
    parts = word.split(":")
    if len(parts) != 3 or not parts[0].isdigit():
        raise InputError(f"{path}: bead {bead}: {word!r} is no atom; write them as 1:RESIDUE:ATOM")
    return int(parts[0]), parts[1], parts[2]


def _numbers(element: ElementTree.Element, tag: str, kind: str, path: Path) -> list[float]:
    try:
        numbers = [float(word) for word in _text(element, tag, path).split()]
    except ValueError as error:
        raise InputError(f"{path}: map {kind!r}: <{tag}> holds what is no number ({error})") from error
    if not np.isfinite(numbers).all():
        raise InputError(f"{path}: map {kind!r}: <{tag}> holds {numbers}; numbers are finite")
    return numbers


def _text(element: ElementTree.Element, tag: str, path: Path) -> str:
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise InputError(f"{path}: <{element.tag}> lacks <{tag}>")
    return text
