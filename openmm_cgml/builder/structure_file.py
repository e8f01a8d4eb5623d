"""PDBx/mmCIF files of beads, checked to hold every bond."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit
from openmm.app.internal.unitcell import computeLengthsAndAngles

from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.runs.folder import STRUCTURE
from openmm_cgml.storage import write_atomically
from openmm_cgml.topology import CGTopology, chain_id, register_elements
from openmm_cgml.topology.elements import register_symbol
from openmm_cgml.topology.openmm_topology import check_survives_files

_ATOM = {"bead": 3, "chain": 6, "residue": 8}
"""Columns of `_atom_site` in the order in which OpenMM, and this module, writes them."""
_ATOM_KEYS = (
    *("group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id", "label_asym_id"),
    *("label_entity_id", "label_seq_id", "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy"),
    *("B_iso_or_equiv", "Cartn_x_esd", "Cartn_y_esd", "Cartn_z_esd", "occupancy_esd", "B_iso_or_equiv_esd"),
    *("pdbx_formal_charge", "auth_seq_id", "auth_comp_id", "auth_asym_id", "auth_atom_id", "pdbx_PDB_model_num"),
)
_ELEMENT_KEYS = ("_openmm_cgml_element.symbol", "_openmm_cgml_element.mass")


def write_structure(
    path: Path, topology: CGTopology, positions: NDArray[np.float64], box: NDArray[np.float64] | None
) -> None:
    """Write topology, positions and box as PDBx/mmCIF, and look at the text to see that nothing was lost.

    Every molecule is a chain with an id of its own, and every bond is written: OpenMM's writer leaves out those of
    residues called ALA or DA, and its reader loses those of chains that share an id. A table of our own holds the
    masses of the elements, see `register_beads`.

    Args:
        path: The file.
        topology: The beads.
        positions: Bead positions [nm], shape (n_beads, 3).
        box: Box vectors [nm], shape (3, 3), or None.

    Raises:
        InputError: If names would not come back from a file, or the file does not hold the same beads and bonds.
    """
    check_survives_files(topology)
    text = "\n".join(
        [
            "data_cell",
            f"# Created with OpenMM {openmm.Platform.getOpenMMVersion()} and openmm_cgml",
            "#",
            *_cell(box),
            *_elements(topology),
            *_bonds(topology),
            *_beads(topology, np.asarray(positions)),
            "",
        ]
    )
    found = count_beads_and_bonds(text)
    if found != (topology.n_beads, len(topology.bonds)):
        raise InputError(
            f"{path}: as written, it holds {found[0]} of {topology.n_beads} beads, {found[1]} of {len(topology.bonds)} "
            "bonds; give every bead of a residue a name of its own"
        )
    write_atomically(path, text)


def register_beads(path: str | os.PathLike[str]) -> None:
    """Make the elements of the beads in a file that `write_structure` made known to OpenMM and mdtraj, with masses.

    Other programs know no bead's mass: without this, mdtraj takes beads for sites without mass. Files without a table
    of masses are left alone.

    Args:
        path: The mmCIF file, or a folder with a `topology.cif`.

    Raises:
        InputError: If the file is not there or damaged, or a symbol stands for other beads in this process.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module("mdtraj")  # so that it is there to be told
    file = _structure_path(Path(path))
    lines = iter(file.read_text().splitlines())
    for line in lines:
        if line == _ELEMENT_KEYS[-1]:
            for row in itertools.takewhile(lambda row: row != "#", lines):
                register_symbol(*_symbol_and_mass(file, row))
        elif line.startswith("_atom_site."):
            return


def _symbol_and_mass(file: Path, row: str) -> tuple[str, float]:
    try:
        symbol, mass = row.split()
        return symbol, float(mass)
    except ValueError:
        raise InputError(f"{file}: {row!r} is not a symbol and a mass; the file was edited or damaged") from None


def _cell(box: NDArray[np.float64] | None) -> list[str]:
    if box is None:
        return []
    values = computeLengthsAndAngles([openmm.Vec3(*map(float, row)) for row in np.asarray(box)] * unit.nanometer)
    lengths, angles = [10 * length for length in values[:3]], np.rad2deg(values[3:]).tolist()
    keys = (*(f"length_{name}" for name in "abc"), *(f"angle_{name}" for name in ("alpha", "beta", "gamma")))
    return [*(f"_cell.{key:<12}{value:10.4f}" for key, value in zip(keys, [*lengths, *angles], strict=True)), "#"]


def _elements(topology: CGTopology) -> list[str]:
    masses = {element.symbol: mass for (_, mass), element in register_elements(_kinds(topology)).items()}
    return ["loop_", *_ELEMENT_KEYS, *(f"{symbol} {mass:.10g}" for symbol, mass in masses.items()), "#"]


def _bonds(topology: CGTopology) -> list[str]:
    if not len(topology.bonds):
        return []
    ends = [f"ptnr{end}_label_{what}_id" for end in (1, 2) for what in ("asym", "comp", "seq", "atom")]
    lines = ["loop_", *(f"_struct_conn.{key}" for key in ("id", "conn_type_id", *ends))]
    places = _places(topology)
    for number, (i, j) in enumerate(topology.bonds.tolist(), start=1):
        chain, residue, name, bead = places[i]
        other_chain, other_residue, other_name, other_bead = places[j]
        lines.append(
            f"bond{number} covale {chain} {name:<4} {residue:>5} {bead:<4} "
            f"{other_chain} {other_name:<4} {other_residue:>5} {other_bead:<4}"
        )
    return [*lines, "#"]


def _beads(topology: CGTopology, positions: NDArray[np.float64]) -> list[str]:
    lines = ["loop_", *(f"_atom_site.{key}" for key in _ATOM_KEYS)]
    kinds = _kinds(topology)
    elements = register_elements(kinds)
    places = _places(topology)
    for number, (kind, (chain, residue, name, bead), (x, y, z)) in enumerate(
        zip(kinds, places, (10 * positions).tolist(), strict=True), start=1
    ):
        lines.append(
            f"HETATM {number:>6} {elements[kind].symbol:<3} {bead:<4} . {name:<4} {chain} ? {residue:>5} . "
            f"{x:10.4f} {y:10.4f} {z:10.4f}  0.0  0.0  ?  ?  ?  ?  ?  .  {residue:>5} {name:<4} {chain} {bead:<4} 1"
        )
    return lines


def _kinds(topology: CGTopology) -> list[tuple[str, float]]:
    types = [topology.type_names[t] for t in topology.bead_types.tolist()]
    return list(zip(types, topology.masses.tolist(), strict=True))


def _places(topology: CGTopology) -> list[tuple[str, int, str, str]]:
    """Chain, number of the residue, its name and the bead's, of every bead."""
    ids = {molecule: chain_id(molecule) for molecule in np.unique(topology.molecules).tolist()}
    owners, residues = topology.molecules.tolist(), topology.residues.tolist()
    return [
        (ids[molecule], residue + 1, topology.residue_names[residue], bead)
        for molecule, residue, bead in zip(owners, residues, topology.bead_names, strict=True)
    ]


def count_beads_and_bonds(text: str) -> tuple[int, int]:
    """Beads of different names, and bonds between such beads, in a file that OpenMM wrote.

    A bond names its beads by chain, residue and bead, so it counts only where that names one bead. Reading a file of
    100 000 beads with OpenMM takes ten times as long as this.
    """
    beads: set[tuple[str, ...]] = set()
    repeated: set[tuple[str, ...]] = set()
    bonds: set[frozenset[tuple[str, ...]]] = set()
    for line in text.splitlines():
        if line.startswith(("ATOM ", "HETATM ")):
            fields = line.split()
            bead = (fields[_ATOM["chain"]], fields[_ATOM["residue"]], fields[_ATOM["bead"]])
            (repeated if bead in beads else beads).add(bead)
        elif line.startswith("bond"):
            _, _, chain, _, residue, bead_name, other_chain, _, other_residue, other_name = line.split()
            bonds.add(frozenset([(chain, residue, bead_name), (other_chain, other_residue, other_name)]))
    unique = beads - repeated
    return len(unique), sum(bond <= unique for bond in bonds)


def read_structure(force_field: ForceField, path: Path) -> tuple[CGTopology, NDArray[np.float64], Any]:
    """Topology, positions [nm], shape (n_beads, 3), and box vectors, or None, of a file.

    Args:
        force_field: The force field whose beads they are.
        path: A PDBx/mmCIF or PDB file, or a folder that holds one, as `build` and `simulate` write it.

    Raises:
        InputError: If it is another kind of file, not there or damaged, or holds beads that the force field does not
            know.
    """
    path = _structure_path(path)
    reader = {".cif": app.PDBxFile, ".pdb": app.PDBFile}.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: structures are read from .cif and .pdb files, or from a folder with a {STRUCTURE}")
    try:
        structure = reader(str(path))
    except (SyntaxError, ValueError, LookupError, AttributeError, TypeError, StopIteration) as error:
        raise InputError(f"{path}: OpenMM cannot read this file ({error}); it was edited or damaged") from error
    box = structure.topology.getPeriodicBoxVectors()
    positions = structure.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    return force_field.bead_topology(structure.topology), positions, box


def _structure_path(path: Path) -> Path:
    """The file itself, or the `topology.cif` of a folder."""
    if path.is_dir():
        path = path / STRUCTURE
    if path.suffix.lower() in (".cif", ".pdb") and not path.is_file():
        raise InputError(f"{path}: no such file; `openmm-cgml build` writes one")
    return path
