"""The formats of trajectories that are read, and frames with forces of a file of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.trajectories.binary_files import read_dcd, read_h5md, read_netcdf, read_trr, read_xtc
from openmm_cgml.trajectories.extended_xyz import read_extended_xyz
from openmm_cgml.trajectories.lammps_dump import read_lammps_dump
from openmm_cgml.trajectories.raw_frame import RawFrame, TrajectoryFormat
from openmm_cgml.trajectories.unit_systems import UNIT_SYSTEMS, UnitSystem

__all__ = ["TRAJECTORY_FORMATS", "find_format", "read_force_array", "read_frames", "with_forces"]

TRAJECTORY_FORMATS: tuple[TrajectoryFormat, ...] = (
    TrajectoryFormat(
        name="LAMMPS dump", suffixes=(".lammpstrj", ".dump", ".lammpsdump"), read=read_lammps_dump, units=None
    ),
    TrajectoryFormat(name="GROMACS TRR", suffixes=(".trr",), read=read_trr, units=UNIT_SYSTEMS["gromacs"]),
    TrajectoryFormat(
        name="GROMACS XTC", suffixes=(".xtc",), read=read_xtc, units=UNIT_SYSTEMS["gromacs"], has_forces=False
    ),
    TrajectoryFormat(
        name="Amber NetCDF", suffixes=(".nc", ".ncdf", ".netcdf"), read=read_netcdf, units=UNIT_SYSTEMS["mdanalysis"]
    ),
    TrajectoryFormat(name="H5MD", suffixes=(".h5md",), read=read_h5md, units=UNIT_SYSTEMS["mdanalysis"]),
    TrajectoryFormat(
        name="extended XYZ", suffixes=(".extxyz", ".xyz"), read=read_extended_xyz, units=UNIT_SYSTEMS["ase"]
    ),
    TrajectoryFormat(name="DCD", suffixes=(".dcd",), read=read_dcd, units=UNIT_SYSTEMS["mdanalysis"], has_forces=False),
)


def find_format(path: Path) -> TrajectoryFormat:
    """The format that the ending of a file name says.

    Raises:
        InputError: No format has that ending.
    """
    name = path.name.lower().removesuffix(".gz")
    for each in TRAJECTORY_FORMATS:
        if name.endswith(each.suffixes):
            return each
    known = "; ".join(f"{each.name} ({', '.join(each.suffixes)})" for each in TRAJECTORY_FORMATS)
    raise InputError(f"{path}: a file of this name could be anything; rename it to end as one of these: {known}")


def read_frames(path: Path) -> Iterator[RawFrame]:
    """The frames of a trajectory file, one by one, in its own units.

    Raises:
        InputError: There is no such file, its name ends in no known way, or it is damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    yield from find_format(path).read(path)


def read_force_array(path: Path) -> NDArray[np.floating]:
    """Forces of all frames of a `.npy` file, shape (n_frames, n, 3), left on disk until they are used.

    Raises:
        InputError: The file is no such array.
    """
    try:
        forces: NDArray[np.floating] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not an array in NumPy's format ({error}); write it with numpy.save") from error
    if not isinstance(forces, np.ndarray) or forces.ndim != 3 or forces.shape[2] != 3 or forces.dtype.kind != "f":
        shape = getattr(forces, "shape", "of several arrays")
        raise InputError(
            f"{path}: has shape {shape}; floating point numbers of shape (n_frames, n_atoms, 3) are needed"
        )
    return forces


def with_forces(
    frames: Iterator[RawFrame], forces: NDArray[np.floating], scale: UnitSystem, units: UnitSystem
) -> Iterator[RawFrame]:
    """The frames with forces of an array, in the units of the frames.

    Args:
        frames: The frames.
        forces: Forces of all of them, shape (n_frames, n, 3).
        scale: Units of the forces.
        units: Units of the frames.

    Raises:
        InputError: The frames have forces of their own, or the array has another number of frames or atoms.
    """
    factor, number = scale.force / units.force, -1
    for number, frame in enumerate(frames):
        if frame.forces is not None:
            raise InputError("the trajectory has forces of its own; leave the array of forces out")
        if number >= len(forces) or forces.shape[1] != len(frame.positions):
            raise InputError(
                f"the array of forces has shape {forces.shape}, frame {number} of the trajectory "
                f"{len(frame.positions)} "
                "atoms: both must have the same frames and atoms"
            )
        yield replace(frame, forces=np.array(forces[number], np.float64) * factor)
    if number + 1 != len(forces):
        raise InputError(f"the array of forces has {len(forces)} frames, the trajectory {number + 1}")
