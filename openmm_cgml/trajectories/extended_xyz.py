"""Extended XYZ files, read by ASE."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from openmm_cgml.errors import InputError
from openmm_cgml.trajectories.binary_files import import_reader, refusing_unreadable
from openmm_cgml.trajectories.raw_frame import RawFrame

__all__ = ["read_extended_xyz"]

_FORCE_NAMES = ("forces", "force")
_TIME_NAMES = ("time", "Time")


def read_extended_xyz(path: Path) -> Iterator[RawFrame]:
    """The frames of an extended XYZ file [angstrom, eV], with forces where it has a column of them.

    Raises:
        InputError: The file cannot be read, or a box is periodic in some directions only.
    """
    ase_io = import_reader("ase.io", "extended XYZ files")
    with refusing_unreadable(path):
        for number, atoms in enumerate(ase_io.iread(str(path), format="extxyz")):
            if atoms.pbc.any() and not atoms.pbc.all():
                raise InputError(
                    f"{path}, frame {number}: periodic in some directions only (pbc={atoms.pbc.tolist()}); "
                    "all or none are needed"
                )
            yield RawFrame(
                positions=np.array(atoms.positions, np.float64),
                box=np.array(atoms.cell, np.float64) if atoms.pbc.all() else None,
                forces=_forces(atoms),
                velocities=np.array(atoms.get_velocities()) if atoms.has("momenta") else None,
                time=_time(atoms),
            )


def _forces(atoms: Any) -> np.ndarray | None:
    """Forces of the calculator that ASE makes of the columns it knows, or a column of its own."""
    known = {} if atoms.calc is None else atoms.calc.results
    found = next((known[name] for name in _FORCE_NAMES if name in known), None)
    if found is None:
        found = next((atoms.arrays[name] for name in _FORCE_NAMES if name in atoms.arrays), None)
    return None if found is None else np.array(found, np.float64)


def _time(atoms: Any) -> float | None:
    found = next((atoms.info[name] for name in _TIME_NAMES if name in atoms.info), None)
    return None if found is None else float(found)
