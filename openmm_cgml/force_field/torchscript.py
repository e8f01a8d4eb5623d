"""The network of a force field as a file that plain torch can load, without this package."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

from openmm import app

from openmm_cgml.engine.torchforce import save_exact_module
from openmm_cgml.errors import InputError, OutputExistsError
from openmm_cgml.force_field.force_field import ForceField
from openmm_cgml.storage import write_atomically
from openmm_cgml.topology import CGTopology

_DESCRIPTION = "openmm_cgml.json"


def write_torchscript(
    force_field: ForceField,
    topology: app.Topology | CGTopology,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> Path:
    """Write the network, bound to the beads of a topology, as TorchScript of plain torch operations.

    The file holds one module, `module(positions, box) -> (energy, forces)`: positions [nm], shape (n_beads, 3), in the
    topology's order; reduced box vectors [nm], shape (3, 3), or None; energy [kJ/mol], float64; forces [kJ/mol/nm],
    shape (n_beads, 3), in the precision of the positions. It is the network itself with its neighbor list, for other
    programs; it holds no priors and needs gradients to be enabled. This package never reads such files: loading one
    runs the code in it.

    Args:
        force_field: The force field.
        topology: The beads.
        path: The file.
        overwrite: Replace a file that is there.

    Raises:
        InputError: If the force field has no network, or does not know the beads.
        OutputExistsError: If the file is there and `overwrite` is not set, or it is no such file.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists; choose another name or overwrite it")
    if path.exists() and not _is_ours(path):
        raise OutputExistsError(f"{path} is no TorchScript of this package, so it is not replaced; choose another name")
    deployed = force_field.deploy(topology)
    if deployed is None:
        raise InputError(
            f"force field {force_field.name!r} has no network, so there is nothing for TorchScript; its priors are in "
            "priors.json"
        )
    description = {
        "force_field": force_field.name,
        "fingerprint": force_field.fingerprint,
        "n_beads": deployed.n_beads,
        "units": "nm, kJ/mol",
        "holds": "the network without the priors",
    }
    write_atomically(path, save_exact_module(deployed, {_DESCRIPTION: json.dumps(description)}))
    return path


def _is_ours(path: Path) -> bool:
    """Whether a file is an archive with the description that `write_torchscript` puts into it; nothing is loaded."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith(f"/{_DESCRIPTION}") for name in archive.namelist())
