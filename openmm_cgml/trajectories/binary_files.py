"""Frames of GROMACS (TRR, XTC), CHARMM (DCD), Amber (NetCDF) and H5MD files, read by MDAnalysis."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from openmm_cgml.errors import InputError, MissingDependencyError
from openmm_cgml.trajectories.raw_frame import RawFrame

__all__ = ["import_reader", "read_dcd", "read_h5md", "read_netcdf", "read_trr", "read_xtc", "refusing_unreadable"]

INSTALL = "pip install 'openmm-cgml[trajectories]'"


def import_reader(module: str, what: str) -> Any:
    """A module of MDAnalysis or ASE.

    Args:
        module: Its name.
        what: What it is to read, for the message.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(f"reading {what} needs {module.partition('.')[0]} ({error}): {INSTALL}") from error


@contextmanager
def refusing_unreadable(path: Path) -> Iterator[None]:
    """Turn what a reader raises on a damaged file into an `InputError` that names it."""
    try:
        yield
    except (InputError, MissingDependencyError):
        raise
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, EOFError, TypeError, AttributeError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}: cannot be read ({text}); is it complete, and of the format its name says?"
        ) from error


def read_trr(path: Path) -> Iterator[RawFrame]:
    """The frames of a GROMACS TRR file [nm, ps, kJ/mol/nm]; those without positions are passed over."""
    xdr = import_reader("MDAnalysis.lib.formats.libmdaxdr", "TRR files")
    with refusing_unreadable(path), xdr.TRRFile(str(path)) as file:
        for frame in file:
            if frame.hasx:
                yield RawFrame(
                    positions=_double(frame.x),
                    box=_box_or_none(frame.box),
                    forces=_double(frame.f) if frame.hasf else None,
                    velocities=_double(frame.v) if frame.hasv else None,
                    time=float(frame.time),
                    step=int(frame.step),
                )


def read_xtc(path: Path) -> Iterator[RawFrame]:
    """The frames of a GROMACS XTC file [nm, ps]: positions alone, rounded to 0.001 nm by default."""
    xdr = import_reader("MDAnalysis.lib.formats.libmdaxdr", "XTC files")
    with refusing_unreadable(path), xdr.XTCFile(str(path)) as file:
        for frame in file:
            yield RawFrame(
                positions=_double(frame.x), box=_box_or_none(frame.box), time=float(frame.time), step=int(frame.step)
            )


def read_dcd(path: Path) -> Iterator[RawFrame]:
    """The frames of a DCD file (CHARMM, NAMD, OpenMM) [angstrom, ps]: positions alone."""
    _check_signature(path, 4, b"CORD", b"DROC")
    yield from _from_mdanalysis("DCD", "DCDReader", path)


def read_netcdf(path: Path) -> Iterator[RawFrame]:
    """The frames of an Amber NetCDF file, in MDAnalysis's units [angstrom, ps, kJ/mol/angstrom]."""
    _check_signature(path, 0, b"CDF", b"\x89HDF")
    yield from _from_mdanalysis("TRJ", "NCDFReader", path)


def read_h5md(path: Path) -> Iterator[RawFrame]:
    """The frames of an H5MD file that states its units, in MDAnalysis's units [angstrom, ps, kJ/mol/angstrom]."""
    _check_signature(path, 0, b"\x89HDF")
    yield from _from_mdanalysis("H5MD", "H5MDReader", path)


def _from_mdanalysis(module: str, reader: str, path: Path) -> Iterator[RawFrame]:
    coordinates = import_reader(f"MDAnalysis.coordinates.{module}", f"{module} files")
    triclinic = import_reader("MDAnalysis.lib.mdamath", f"{module} files").triclinic_vectors
    with refusing_unreadable(path), _opened(getattr(coordinates, reader), path) as file:
        for step in file:
            box = None if step.dimensions is None else _double(triclinic(step.dimensions))
            yield RawFrame(
                positions=_double(step.positions),
                box=None if box is None else _box_or_none(box),
                forces=_double(step.forces) if step.has_forces else None,
                velocities=_double(step.velocities) if step.has_velocities else None,
                time=float(step.time),
                step=int(step.data["step"]) if "step" in step.data else None,
            )


def _check_signature(path: Path, offset: int, *known: bytes) -> None:
    """Check how a file begins: MDAnalysis leaves a broken reader behind where that is wrong."""
    with open(path, "rb") as file:
        start = file.read(16)[offset:]
    if not start.startswith(known):
        raise InputError(f"{path}: does not begin as files of this format do; is its name right?")


def _opened(reader: Any, path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what will change in MDAnalysis
        return reader(str(path))


def _double(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float64)  # a copy: readers reuse their arrays


def _box_or_none(box: Any) -> np.ndarray | None:
    """Box vectors, or None where a file writes zeros for "no box"."""
    vectors = _double(box)
    return vectors if np.any(vectors) else None
