"""LAMMPS text dumps (`dump custom`): any order of columns and atoms, image flags, triclinic boxes, gzip.

The format: https://docs.lammps.org/dump.html and https://docs.lammps.org/Howto_triclinic.html
"""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.trajectories.raw_frame import RawFrame

__all__ = ["read_lammps_dump"]

_POSITIONS = (("xu", "yu", "zu"), ("x", "y", "z"), ("xsu", "ysu", "zsu"), ("xs", "ys", "zs"))
_SCALED = ("xsu", "xs")
_IMAGES = ("ix", "iy", "iz")
_FORCES = ("fx", "fy", "fz")
_VELOCITIES = ("vx", "vy", "vz")


@dataclass(kw_only=True)
class _Place:
    """Where in a file one is, for messages."""

    path: Path
    frame: int = 0

    def error(self, text: str) -> InputError:
        return InputError(f"{self.path}, frame {self.frame} (counted from 0): {text}")


def read_lammps_dump(path: Path) -> Iterator[RawFrame]:
    """The frames of a text dump, atoms in the order of their ids.

    Unwrapped coordinates (`xu`) are taken where there are several kinds; image flags are applied to wrapped ones. The
    lower corner of the box becomes the origin. Boxes of LAMMPS are not periodic in a direction that is `f`, `s` or `m`:
    frames without any periodic direction have no box.

    Args:
        path: The file; one that ends in .gz is read as gzip.

    Raises:
        InputError: The file is no text dump, ends in the middle of a frame, lacks a column that is needed, or the atoms
            change; the message names the frame.
    """
    place, ids = _Place(path=path), None
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path, encoding="ascii", errors="replace") as file:
        while (items := _read_header(file, place)) is not None:
            frame, found = _read_frame(file, items, place)
            if ids is not None and not np.array_equal(found, ids):
                raise place.error(
                    "its atoms have other ids than those of the first frame. Dump the same atoms in every frame "
                    "(a dump of a dynamic group or region cannot be read)"
                )
            ids = found
            yield frame
            place.frame += 1


_Header = dict[str, tuple[str, list[str]]]
"""Of each ITEM: what follows on its own line, and the lines below it."""


def _read_header(file: IO[str], place: _Place) -> _Header | None:
    """The items up to the line that names the columns; None at the end of the file."""
    items: _Header = {}
    line = file.readline()
    while line and not line.strip():
        line = file.readline()
    if not line:
        return None
    while True:
        if not line.startswith("ITEM:"):
            raise place.error(
                f"expected a line that begins with ITEM:, found {line.strip()[:60]!r}. Only text dumps of the styles "
                "atom and custom are read; convert a binary one with LAMMPS's `binary2txt`"
            )
        name, rest = _split_item(line)
        if name == "ATOMS":
            items[name] = rest, []
            return items
        items[name] = rest, [file.readline() for _ in range(3 if name == "BOX BOUNDS" else 1)]
        line = file.readline()
        if not line:
            raise place.error("the file ends within its header: the run was cut off; remove this frame")


def _split_item(line: str) -> tuple[str, str]:
    text = line[5:].strip()
    for name in ("BOX BOUNDS", "NUMBER OF ATOMS", "TIMESTEP", "ATOMS", "TIME", "UNITS"):
        if text.startswith(name):
            return name, text[len(name) :].strip()
    return text, ""


def _read_frame(file: IO[str], items: _Header, place: _Place) -> tuple[RawFrame, NDArray[np.int64]]:
    try:
        n_atoms, step = int(items["NUMBER OF ATOMS"][1][0]), int(items["TIMESTEP"][1][0])
        time = float(items["TIME"][1][0]) if "TIME" in items else None
        low, box, is_periodic = _read_box(*items["BOX BOUNDS"], place)
    except (KeyError, ValueError, IndexError) as error:
        raise place.error(f"its header cannot be read ({error}); is the file damaged or edited?") from error
    columns = items["ATOMS"][0].split()
    values = _read_table(file, columns, n_atoms, place)
    ids = _ids(values, place)
    order = np.argsort(ids, kind="stable")
    values = {name: column[order] for name, column in values.items()}
    frame = RawFrame(
        positions=_positions(values, low, box, place),
        box=box if is_periodic else None,
        forces=_vector(values, _FORCES),
        velocities=_vector(values, _VELOCITIES),
        time=time,
        step=step,
    )
    return frame, ids[order]


def _read_box(flags: str, lines: list[str], place: _Place) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Lower corner, box vectors in rows, and whether the box is periodic."""
    words = flags.split()
    if words[:2] == ["abc", "origin"]:
        raise place.error("a general triclinic box is written; dump it with `dump_modify ... triclinic/general no`")
    tilted = words[:3] == ["xy", "xz", "yz"]
    boundaries = words[3:] if tilted else words
    bounds = np.array([[float(word) for word in line.split()] for line in lines])
    xy, xz, yz = bounds[:, 2] if tilted else (0.0, 0.0, 0.0)
    low, high = bounds[:, 0].copy(), bounds[:, 1].copy()
    low[:2] -= min(0.0, xy, xz, xy + xz), min(0.0, yz)
    high[:2] -= max(0.0, xy, xz, xy + xz), max(0.0, yz)
    edges = high - low
    box = np.array([[edges[0], 0.0, 0.0], [xy, edges[1], 0.0], [xz, yz, edges[2]]])
    periodic = [boundary == "pp" for boundary in boundaries] or [True] * 3
    if any(periodic) and not all(periodic):
        raise place.error(
            f"the box is periodic in some directions only ({' '.join(boundaries)}); what is coarse-grained here is "
            "periodic in all or in none"
        )
    return low, box, all(periodic)


def _read_table(file: IO[str], columns: list[str], n_atoms: int, place: _Place) -> dict[str, NDArray[np.float64]]:
    """The columns that are needed, shape (n_atoms,) each."""
    if n_atoms < 1:
        raise place.error(f"{n_atoms} atoms")
    lines = [file.readline() for _ in range(n_atoms)]
    if not lines[-1].strip():
        raise place.error(
            f"the file ends after {sum(bool(line.strip()) for line in lines)} of {n_atoms} atoms: the run was cut off; "
            "remove this frame"
        )
    groups = (*_POSITIONS, _IMAGES, _FORCES, _VELOCITIES, ("id",))
    wanted = [name for group in groups for name in group if name in columns]
    if _is_numeric(lines[0]):
        table = _parse_numbers(lines, len(columns), place)
        return {name: table[:, columns.index(name)] for name in wanted}
    words = [line.split() for line in lines]
    _check_width([len(row) for row in words], len(columns), place)
    try:
        return {name: np.array([float(row[columns.index(name)]) for row in words]) for name in wanted}
    except ValueError as error:
        raise place.error(f"a column of numbers holds text ({error})") from error


def _is_numeric(line: str) -> bool:
    try:
        [float(word) for word in line.split()]
    except ValueError:
        return False
    return True


def _parse_numbers(lines: list[str], n_columns: int, place: _Place) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how numpy tells of text among numbers
        try:
            numbers = np.fromstring("".join(lines), dtype=np.float64, sep=" ")
        except (ValueError, DeprecationWarning) as error:
            raise place.error(f"a column of numbers holds text ({error})") from error
    if len(numbers) != len(lines) * n_columns:
        _check_width([len(line.split()) for line in lines], n_columns, place)
        raise place.error(f"{len(numbers)} numbers for {len(lines)} atoms with {n_columns} columns")
    return numbers.reshape(len(lines), n_columns)


def _check_width(widths: list[int], n_columns: int, place: _Place) -> None:
    wrong = [number for number, width in enumerate(widths) if width != n_columns]
    if wrong:
        raise place.error(
            f"line {wrong[0] + 1} of its atoms has {widths[wrong[0]]} columns, the header names {n_columns}; is the "
            "file damaged?"
        )


def _ids(values: dict[str, NDArray[np.float64]], place: _Place) -> NDArray[np.int64]:
    if "id" not in values:
        raise place.error(
            "it has no column `id`, and LAMMPS writes atoms in any order: dump them with `dump ... custom N file id "
            "...`"
        )
    ids = values["id"].astype(np.int64)
    if len(np.unique(ids)) != len(ids):
        raise place.error(f"atom id {_first_repeated(ids)} is there twice; is the file damaged?")
    return ids


def _first_repeated(ids: NDArray[np.int64]) -> int:
    numbers, counts = np.unique(ids, return_counts=True)
    return int(numbers[counts > 1][0])


def _vector(values: dict[str, NDArray[np.float64]], names: tuple[str, ...]) -> NDArray[np.float64] | None:
    return np.stack([values[name] for name in names], axis=1) if all(name in values for name in names) else None


def _positions(
    values: dict[str, NDArray[np.float64]], low: NDArray[np.float64], box: NDArray[np.float64], place: _Place
) -> NDArray[np.float64]:
    names = next((group for group in _POSITIONS if all(name in values for name in group)), None)
    if names is None:
        raise place.error("it has no coordinates: dump x y z, xu yu zu, xs ys zs or xsu ysu zsu")
    found = _vector(values, names)
    assert found is not None
    positions = found @ box if names[0] in _SCALED else found - low
    images = None if "u" in names[0] else _vector(values, _IMAGES)
    return positions if images is None else positions + images @ box
