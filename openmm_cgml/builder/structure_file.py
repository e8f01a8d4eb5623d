"""PDBx/mmCIF files of beads, checked to hold every bond."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from openmm import app, unit

from openmm_cgml.errors import InputError
from openmm_cgml.storage import write_atomically
from openmm_cgml.topology import CGTopology


def write_structure(
    path: Path, topology: CGTopology, positions: NDArray[np.float64], box: NDArray[np.float64] | None
) -> None:
    """Write topology, positions and box as PDBx/mmCIF, and read it back to see that nothing was lost.

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
    text.seek(0)
    again = app.PDBxFile(text).topology
    found = (again.getNumAtoms(), again.getNumBonds())
    if found != (topology.n_beads, len(topology.bonds)):
        raise InputError(
            f"{path}: read back, it holds {found[0]} of {topology.n_beads} beads, {found[1]} of {len(topology.bonds)} "
            "bonds; give every molecule a chain id of its own"
        )
    write_atomically(path, text.getvalue())
