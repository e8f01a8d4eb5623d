"""PDBx/mmCIF files of beads, checked to hold every bond."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openmm import app, unit

from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.runs.folder import STRUCTURE
from openmm_cgml.storage import write_atomically
from openmm_cgml.topology import CGTopology

_ATOM = {"bead": 3, "chain": 6, "residue": 8}
"""Columns of `_atom_site` in the order in which OpenMM writes them."""


def write_structure(
    path: Path, topology: CGTopology, positions: NDArray[np.float64], box: NDArray[np.float64] | None
) -> None:
    """Write topology, positions and box as PDBx/mmCIF, and look at the text to see that nothing was lost.

    OpenMM drops bonds of files in which two chains share an id, without a word; here every molecule has its own.

    Args:
        path: The file.
        topology: The beads.
        positions: Bead positions [nm], shape (n_beads, 3).
        box: Box vectors [nm], shape (3, 3), or None.

    Raises:
        InputError: If the file does not hold the same beads and bonds.
    """
    openmm_topology = topology.to_openmm(box)
    text = io.StringIO()
    app.PDBxFile.writeFile(openmm_topology, positions * unit.nanometer, text, keepIds=True)
    found = count_beads_and_bonds(text.getvalue())
    if found != (topology.n_beads, len(topology.bonds)):
        raise InputError(
            f"{path}: as written, it holds {found[0]} of {topology.n_beads} beads, {found[1]} of {len(topology.bonds)} "
            "bonds; give every molecule a chain id of its own"
        )
    write_atomically(path, text.getvalue())


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
        InputError: If it is another kind of file, not there, or holds beads that the force field does not know.
    """
    if path.is_dir():
        path = path / STRUCTURE
    reader = {".cif": app.PDBxFile, ".pdb": app.PDBFile}.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: structures are read from .cif and .pdb files, or from a folder with a {STRUCTURE}")
    if not path.is_file():
        raise InputError(f"{path}: no such file; `openmm-cgml build` writes one")
    structure = reader(str(path))
    box = structure.topology.getPeriodicBoxVectors()
    positions = structure.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    return force_field.bead_topology(structure.topology), positions, box
