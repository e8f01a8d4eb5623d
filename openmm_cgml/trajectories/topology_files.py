"""Atoms, residues and bonds from the topology files of other programs, read by MDAnalysis and OpenMM."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.topology import AtomTopology, connected_components
from openmm_cgml.topology.masses import undo_repartitioning
from openmm_cgml.trajectories.binary_files import import_reader, refusing_unreadable
from openmm_cgml.trajectories.elements import element_masses, elements_of_masses

__all__ = ["TOPOLOGY_SUFFIXES", "FileTopology", "read_atom_topology", "read_bead_topology"]

TOPOLOGY_SUFFIXES = {
    ".data": "DATA", ".prmtop": "PRMTOP", ".parm7": "PRMTOP", ".top": None, ".itp": "ITP", ".tpr": "TPR", ".gro": "GRO",
    ".psf": "PSF", ".pdb": "PDB", ".cif": "CIF", ".mol2": "MOL2",
}  # fmt: skip
"""MDAnalysis's names of the formats; `.top` is GROMACS's or Amber's, which the file itself tells. PDB and mmCIF files
are
read by OpenMM, which knows the bonds of water and of the residues of biomolecules, for which they hold none."""

_ATOM_STYLES = {
    "full": "id resid type charge x y z", "molecular": "id resid type x y z", "bond": "id resid type x y z",
    "angle": "id resid type x y z", "charge": "id type charge x y z", "atomic": "id type x y z",
}  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class FileTopology:
    """The atoms of a topology file, and their places in its trajectories.

    Attributes:
        atoms: Particles with mass. Of constraints such files say nothing reliable: there are none.
        kept: Numbers of the atoms among all particles, shape (n_atoms,): virtual sites and Drude particles without mass
            are left out, since programs have added the forces on them to those of the atoms.
        n_particles: All particles.
    """

    atoms: AtomTopology
    kept: NDArray[np.int64]
    n_particles: int


def read_atom_topology(path: Path) -> FileTopology:
    """The atoms of a topology file.

    Elements come from the file; where it has none, from masses, and where it has no masses, from names. Masses are the
    file's, with what was moved to hydrogens moved back. Where a file numbers residues and does not name them (LAMMPS),
    molecules of one kind, by their elements and bonds, are called M1, M2, ... in order of appearance, and atoms
    by element and number. "Bonds" between the hydrogens of a rigid water are no bonds.

    Args:
        path: A LAMMPS data file, prmtop, GROMACS top, tpr or gro, PSF, PDB, mmCIF or MOL2.

    Raises:
        InputError: The file is missing, of no known format or damaged, or lacks what is needed; the message says what.
        MissingDependencyError: MDAnalysis is not installed.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; the topology names the atoms and bonds of the trajectory")
    if path.suffix.lower() in (".pdb", ".cif"):
        return _read_structure(path)
    everything = _read(path)
    masses = _column(everything, "masses")
    kept = np.arange(len(everything)) if masses is None else np.flatnonzero(np.asarray(masses, np.float64) > 0)
    if not len(kept):
        raise InputError(f"{path}: no particle has a mass; give the topology of the run, not one of names alone")
    atoms = everything[kept]
    bonds = _bonds(everything, kept)
    elements, masses = _elements_and_masses(path, atoms, bonds)
    bonds = _without_water_triangles(bonds, elements)
    molecules = connected_components(len(elements), bonds)
    residues, residue_names = _residues(atoms, molecules, elements, bonds)
    topology = AtomTopology(
        names=_names(atoms, residues, elements),
        elements=elements,
        masses=masses,
        residues=residues,
        residue_names=residue_names,
        molecules=molecules,
        bonds=bonds,
        constraints=np.zeros((0, 2), np.int64),
    )
    return FileTopology(atoms=topology, kept=kept, n_particles=len(everything))


def read_bead_topology(path: Path) -> tuple[FileTopology, tuple[str, ...]]:
    """The beads of somebody else's mapping, and the type of each.

    Types are those of the file; where it numbers them (LAMMPS) the word behind `#` in the section Masses, or T1, T2,
    ... Names, residues and molecules are found as `read_atom_topology` does, and there are no elements.

    Args:
        path: A LAMMPS data file, prmtop, GROMACS top or tpr, PSF or MOL2, with masses.

    Raises:
        InputError: The file is missing, of no known format or damaged, or has no masses or types.
        MissingDependencyError: MDAnalysis is not installed.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; the topology names the beads and bonds of the trajectory")
    beads = _read(path)
    masses, types = _column(beads, "masses"), _column(beads, "types")
    if masses is None or types is None or not (np.asarray(masses) > 0).all():
        what = "masses" if masses is None or types is not None else "types"
        raise InputError(
            f"{path}: does not give the {what} of all beads; give a LAMMPS data file, prmtop, tpr, top or PSF"
        )
    kept = np.arange(len(beads))
    bonds, names = _bonds(beads, kept), _type_names(path, [str(each) for each in types])
    molecules = connected_components(len(names), bonds)
    residues, residue_names = _residues(beads, molecules, names, bonds)
    topology = AtomTopology(
        names=_names(beads, residues, names),
        elements=("",) * len(names),
        masses=np.asarray(masses, np.float64),
        residues=residues,
        residue_names=residue_names,
        molecules=molecules,
        bonds=bonds,
        constraints=np.zeros((0, 2), np.int64),
    )
    return FileTopology(atoms=topology, kept=kept, n_particles=len(names)), names


def _type_names(path: Path, types: list[str]) -> tuple[str, ...]:
    """Types of beads; those that a LAMMPS data file numbers have the names of its comments."""
    if path.suffix.lower() != ".data":
        return tuple(types)
    words = _comments_of_masses(path)
    return tuple(words.get(each, f"T{each}") for each in types)


def _comments_of_masses(path: Path) -> dict[str, str]:
    """The first word behind `#` in each line of the section Masses of a LAMMPS data file."""
    found: dict[str, str] = {}
    inside = False
    for line in path.read_text(encoding="utf8", errors="replace").splitlines():
        values, _, comment = line.partition("#")
        if values.strip() and not values.split()[0].isdigit():
            inside = values.strip() == "Masses"
        elif inside and values.strip() and comment.strip():
            found[values.split()[0]] = comment.split()[0]
    return found


def _read_structure(path: Path) -> FileTopology:
    """The atoms of a PDB or mmCIF file; particles without an element, such as virtual sites, are left out."""
    with refusing_unreadable(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of residues with the names of others
        file = (app.PDBFile if path.suffix.lower() == ".pdb" else app.PDBxFile)(str(path))
    particles = list(file.topology.atoms())
    kept = np.array([atom.index for atom in particles if atom.element is not None], np.int64)
    if not len(kept):
        raise InputError(f"{path}: no atom has an element (columns 77 and 78 of a PDB file)")
    if len(kept) == len(particles):
        return FileTopology(atoms=AtomTopology.from_openmm(file.topology), kept=kept, n_particles=len(particles))
    modeller = app.Modeller(file.topology, file.positions)
    modeller.delete([atom for atom in particles if atom.element is None])
    return FileTopology(atoms=AtomTopology.from_openmm(modeller.topology), kept=kept, n_particles=len(particles))


def _read(path: Path) -> Any:
    """MDAnalysis's atoms; nothing is guessed."""
    suffix = path.suffix.lower()
    if suffix not in TOPOLOGY_SUFFIXES:
        raise InputError(
            f"{path}: topologies are read from {', '.join(TOPOLOGY_SUFFIXES)}; a LAMMPS data file must end in .data"
        )
    analysis = import_reader("MDAnalysis", "topologies")
    kind = TOPOLOGY_SUFFIXES[suffix] or _kind_of_top(path)
    options: dict[str, Any] = {"atom_style": _atom_style(path)} if kind == "DATA" else {}
    with warnings.catch_warnings(), refusing_unreadable(path):
        warnings.simplefilter("ignore")  # of what MDAnalysis does not guess
        universe = analysis.Universe(str(path), topology_format=kind, to_guess=(), **options)
        with contextlib.suppress(AttributeError):  # of files that hold no positions
            universe.trajectory.close()
        atoms = universe.atoms
    if not len(atoms):
        raise InputError(f"{path}: holds no atoms")
    return atoms


def _kind_of_top(path: Path) -> str:
    """Whether a `.top` is Amber's or GROMACS's."""
    with open(path, encoding="utf8", errors="replace") as file:
        return "PRMTOP" if file.readline().startswith("%VERSION") else "ITP"


def _atom_style(path: Path) -> str:
    """The columns of a LAMMPS data file, by the comment behind its `Atoms`; without one, those of `full`.

    Raises:
        InputError: The style is not known.
    """
    with open(path, encoding="utf8", errors="replace") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["Atoms"]:
                style = words[2] if words[1:2] == ["#"] and len(words) > 2 else "full"
                if style not in _ATOM_STYLES:
                    raise InputError(f"{path}: atom style {style!r}; known are {', '.join(_ATOM_STYLES)}")
                return _ATOM_STYLES[style]
    raise InputError(f"{path}: no section `Atoms`; is this a LAMMPS data file (`write_data`)?")


def _bonds(atoms: Any, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bonds between the kept atoms, by their new numbers."""
    try:
        pairs = np.array(atoms.universe.bonds.indices, np.int64).reshape(-1, 2)
    except (AttributeError, ValueError):  # what MDAnalysis raises where a file has none
        return np.zeros((0, 2), np.int64)
    number = np.full(len(atoms), -1)
    number[kept] = np.arange(len(kept))
    pairs = number[pairs]
    return np.unique(np.sort(pairs[(pairs >= 0).all(axis=1)], axis=1), axis=0)


def _without_water_triangles(bonds: NDArray[np.int64], elements: tuple[str, ...]) -> NDArray[np.int64]:
    """The bonds without those between two hydrogens of one atom, which programs list to constrain their distance."""
    is_hydrogen = np.array([element == "H" for element in elements])
    heavy = np.full(len(elements), -1)  # that each hydrogen is bonded to
    for i, j in bonds[is_hydrogen[bonds].sum(axis=1) == 1].tolist():
        heavy[i if is_hydrogen[i] else j] = j if is_hydrogen[i] else i
    i, j = bonds.T
    return bonds[~(is_hydrogen[i] & is_hydrogen[j] & (heavy[i] == heavy[j]) & (heavy[i] >= 0))]


def _column(atoms: Any, name: str) -> Any | None:
    """A column of MDAnalysis's atoms, None where the file has none or leaves it empty."""
    try:
        values = getattr(atoms, name)
    except AttributeError:
        return None
    return None if all(str(value).strip() == "" for value in values) else values


def _elements_and_masses(
    path: Path, atoms: Any, bonds: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    masses, symbols = _column(atoms, "masses"), _column(atoms, "elements")
    if symbols is not None and all(str(symbol).strip() for symbol in symbols):
        elements = tuple(str(symbol).strip().capitalize() for symbol in symbols)
    elif masses is not None:
        try:
            elements = elements_of_masses(np.asarray(masses, np.float64))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    else:
        elements = _elements_of_names(path, atoms)
    of_elements = element_masses(elements)
    if masses is None:
        return elements, of_elements
    is_hydrogen = np.array([element == "H" for element in elements])
    return elements, undo_repartitioning(np.asarray(masses, np.float64), of_elements, is_hydrogen, bonds)


def _elements_of_names(path: Path, atoms: Any) -> tuple[str, ...]:
    names = _column(atoms, "names")
    if names is None:
        raise InputError(
            f"{path}: has neither elements nor masses nor names, so the atoms cannot be told; give the topology of the "
            "run (data file with Masses, prmtop, tpr, PSF, PDB)"
        )
    guess = import_reader("MDAnalysis.guesser.default_guesser", "topologies").DefaultGuesser(None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(str(guess.guess_atom_element(str(name))).capitalize() for name in names)


def _residues(
    atoms: Any, molecules: NDArray[np.int64], elements: tuple[str, ...], bonds: NDArray[np.int64]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Residue number of each atom, and the names; without names a molecule is a residue."""
    names = _column(atoms, "resnames")
    if names is None:
        return molecules, _names_of_kinds(molecules, elements, bonds)
    _, first, residues = np.unique(np.asarray(atoms.resindices), return_index=True, return_inverse=True)
    return residues.astype(np.int64), tuple(str(names[atom]).strip() or "UNL" for atom in first.tolist())


def _names_of_kinds(
    molecules: NDArray[np.int64], elements: tuple[str, ...], bonds: NDArray[np.int64]
) -> tuple[str, ...]:
    """M1, M2, ... for molecules of the same elements and bonds, atom by atom."""
    order = np.argsort(molecules, kind="stable")
    starts = np.searchsorted(molecules[order], np.arange(molecules.max() + 2))
    place = np.empty(len(molecules), np.int64)
    place[order] = np.arange(len(molecules)) - starts[molecules[order]]
    of_molecule: list[list[tuple[int, int]]] = [[] for _ in range(int(molecules.max()) + 1)]
    for i, j in bonds.tolist():
        of_molecule[molecules[i]].append((int(place[i]), int(place[j])))
    kinds: dict[Any, str] = {}
    names = []
    for number, own in enumerate(of_molecule):
        kind = (
            tuple(elements[atom] for atom in order[starts[number] : starts[number + 1]].tolist()),
            tuple(sorted(own)),
        )
        names.append(kinds.setdefault(kind, f"M{len(kinds) + 1}"))
    return tuple(names)


def _names(atoms: Any, residues: NDArray[np.int64], elements: tuple[str, ...]) -> tuple[str, ...]:
    """The file's names, or element and number within the residue."""
    names = _column(atoms, "names")
    if names is not None:
        return tuple(str(name).strip() for name in names)
    counters: dict[int, Counter[str]] = {}
    made = []
    for residue, element in zip(residues.tolist(), elements, strict=True):
        counter = counters.setdefault(residue, Counter())
        counter[element] += 1
        made.append(f"{element}{counter[element]}")
    return tuple(made)
