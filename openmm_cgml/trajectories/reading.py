"""Trajectory files as `Frames`: in our units, in order, molecules whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.trajectories.formats import find_format, read_force_array, read_frames, with_forces
from openmm_cgml.trajectories.raw_frame import RawFrame
from openmm_cgml.trajectories.topology_files import FileTopology
from openmm_cgml.trajectories.unit_systems import UnitSystem
from openmm_cgml.wholeness import BondForest

__all__ = ["Tally", "TrajectorySource", "read_trajectory"]


@dataclass(frozen=True, eq=False, kw_only=True)
class TrajectorySource:
    """Where frames come from and what their numbers mean.

    Attributes:
        paths: Files of one run, in order.
        units: Units of the numbers; None where the format defines them.
        forces: One `.npy` file of forces for each file, or none.
        forces_units: Units of these forces; None takes `units`.
        time_step: Length of a step [ps], for files that number steps and give no times.
        every: Take every so many frames.
        first: Frames to leave out at the start.
    """

    paths: tuple[Path, ...]
    units: UnitSystem | None = None
    forces: tuple[Path, ...] = ()
    forces_units: UnitSystem | None = None
    time_step: float | None = None
    every: int = 1
    first: int = 0

    def __post_init__(self) -> None:
        if not self.paths:
            raise InputError("no trajectory is given")
        if self.forces and len(self.forces) != len(self.paths):
            raise InputError(
                f"{len(self.forces)} arrays of forces for {len(self.paths)} trajectories; one for each is needed"
            )
        if self.every < 1 or self.first < 0:
            raise InputError(f"every {self.every} frames from frame {self.first} on: at least every 1, from 0 on")
        for path in self.paths:
            self.units_of(path)
        if len(set(self.paths)) < len(self.paths):
            raise InputError("a trajectory is given twice")
        if self.forces:
            self.units_of_forces  # noqa: B018 - raises where they are not known

    def units_of(self, path: Path) -> UnitSystem:
        """Units of the numbers in a file.

        Raises:
            InputError: They are not known, or given for a format that defines them.
        """
        kind = find_format(path)
        if kind.units is None and self.units is None:
            raise InputError(
                f"{path}: a {kind.name} does not say its units; give them: --units real (angstrom, fs, kcal/mol), "
                "metal (angstrom, ps, eV), si, cgs, electron, or lj with its scales; the input file has a line `units`"
            )
        if kind.units is not None and self.units is not None and not self.forces:
            raise InputError(
                f"{path}: the format {kind.name} defines its units; leave `units` out (they are {self.units.name})"
            )
        units = self.units if kind.units is None else kind.units
        assert units is not None
        return units

    @property
    def units_of_forces(self) -> UnitSystem:
        """Units of the arrays of forces.

        Raises:
            InputError: They are not given.
        """
        units = self.forces_units or self.units
        if units is None:
            raise InputError("an array of forces does not say its units; give them: --units real, metal, gromacs, ...")
        return units

    def raw_frames(self, path: Path, number: int) -> Iterator[RawFrame]:
        """The frames of a file, with the forces of its array."""
        frames = read_frames(path)
        if not self.forces:
            return frames
        array = read_force_array(self.forces[number])
        return with_forces(frames, array, self.units_of_forces, self.units_of(path))


@dataclass(kw_only=True)
class Tally:
    """What happened while frames were read, for the report.

    Attributes:
        n_read: Frames in the files, those left out included.
        repeated: Frames that a restart had written again, and that were left out.
        split: Frames in which molecules were in pieces and were made whole.
        without_forces: Frames that were left out for having no forces, as in files that write them more seldom.
        box_changes: Whether the box changed.
        notes: Other things worth saying.
    """

    n_read: int = 0
    repeated: int = 0
    split: int = 0
    without_forces: int = 0
    box_changes: bool = False
    notes: list[str] = field(default_factory=list)


def read_trajectory(
    source: TrajectorySource,
    topology: FileTopology,
    *,
    needs_forces: bool = True,
    chunk_frames: int = 50,
    tally: Tally | None = None,
) -> Iterator[Frames]:
    """The frames of a run in our units, with whole molecules, at most `chunk_frames` at a time.

    Kinetic energies [kJ/mol] come with them where the files hold velocities. Frames that a restart wrote again are
    left out: those whose time is not later than that of the frame before, and that are the same as the frame at that
    time.

    Args:
        source: The files.
        topology: Their atoms, as `read_atom_topology` gives them.
        needs_forces: Leave out frames without forces, if some have them.
        chunk_frames: Frames in memory at a time.
        tally: Counts what happened.

    Raises:
        InputError: A file is damaged, or its frames do not fit the topology or each other; the message names the frame.
    """
    tally = Tally() if tally is None else tally
    forest = BondForest.from_bonds(topology.atoms.bonds, topology.atoms.n_atoms)
    waiting: list[Frames] = []
    for frame in _selected(_checked(source, topology, tally), source, tally, needs_forces):
        waiting.append(_whole(frame, forest, tally))
        if len(waiting) == chunk_frames:
            yield Frames.concatenate(waiting)
            waiting = []
    if waiting:
        yield Frames.concatenate(waiting)


def _selected(frames: Iterator[Frames], source: TrajectorySource, tally: Tally, needs_forces: bool) -> Iterator[Frames]:
    number = -1
    for frame in frames:
        if needs_forces and frame.forces is None:
            tally.without_forces += 1
            continue
        number += 1
        if number >= source.first and (number - source.first) % source.every == 0:
            yield frame


def _checked(source: TrajectorySource, topology: FileTopology, tally: Tally) -> Iterator[Frames]:
    """Frames in our units; repeated ones left out, and impossible ones refused."""
    last: Frames | None = None
    recent: dict[float, bytes] = {}
    for place, raw in _all_frames(source):
        path, _ = place
        tally.n_read += 1
        frame = _in_our_units(raw, source.units_of(path), source.time_step, topology, place)
        if last is not None and _is_repeated(frame, last, recent, place):
            tally.repeated += 1
            continue
        if last is not None:
            _compare(frame, last, place, tally)
        if frame.times is not None:
            recent[float(frame.times[0])] = _digest(frame)
        last = frame
        yield frame


Place = tuple[Path, int]
"""A file and the number of the frame in it."""


def _all_frames(source: TrajectorySource) -> Iterator[tuple[Place, RawFrame]]:
    return chain.from_iterable(
        (((path, number), frame) for number, frame in enumerate(source.raw_frames(path, index)))
        for index, path in enumerate(source.paths)
    )


def _in_our_units(
    raw: RawFrame, units: UnitSystem, time_step: float | None, topology: FileTopology, place: Place
) -> Frames:
    if len(raw.positions) != topology.n_particles:
        raise InputError(
            f"{_at(place)}: {len(raw.positions)} particles, the topology has {topology.n_particles}; give the "
            "topology of "
            "this run (of the group that was written, if not all were)"
        )
    _check_finite(raw, place)
    kept, masses = topology.kept, topology.atoms.masses
    energies = {} if raw.velocities is None else {"kinetic": _kinetic(raw.velocities[kept], units, masses)}
    try:
        return Frames(
            positions=raw.positions[None, kept] * units.length,
            box=None if raw.box is None else raw.box[None] * units.length,
            forces=None if raw.forces is None else raw.forces[None, kept] * units.force,
            energies=energies,
            times=_time(raw, units, time_step),
        )
    except InputError as error:
        raise InputError(f"{_at(place)}: {error}") from error


def _check_finite(raw: RawFrame, place: Place) -> None:
    arrays = {"positions": raw.positions, "forces": raw.forces, "velocities": raw.velocities, "box": raw.box}
    for name, values in arrays.items():
        if values is not None and not np.isfinite(values).all():
            raise InputError(
                f"{_at(place)}: its {name} are not finite; the run broke down before this frame, or the file is damaged"
            )


def _kinetic(velocities: NDArray[np.float64], units: UnitSystem, masses: NDArray[np.float64]) -> NDArray[np.float64]:
    speeds = np.einsum("nx,nx->n", velocities, velocities) * units.speed**2
    return np.array([0.5 * float(masses @ speeds)])


def _time(raw: RawFrame, units: UnitSystem, time_step: float | None) -> NDArray[np.float64] | None:
    if time_step is not None and raw.step is not None:
        return np.array([raw.step * time_step])
    return None if raw.time is None else np.array([raw.time * units.time])


def _digest(frame: Frames) -> bytes:
    return np.asarray(frame.positions, np.float32).tobytes()[:256]


def _is_repeated(frame: Frames, last: Frames, recent: dict[float, bytes], place: Place) -> bool:
    """Whether a restart wrote the frame again.

    Raises:
        InputError: It is not later than the one before, and another one than that of its time.
    """
    if frame.times is None or last.times is None or frame.times[0] > last.times[0]:
        return False
    time = float(frame.times[0])
    if recent.get(time) == _digest(frame):
        return True
    raise InputError(
        f"{_at(place)}: at {time:g} ps, the frame before at {float(last.times[0]):g} ps, and no frame before had these "
        "positions at that time. Files of one run are given in order; import independent runs one by one; of a "
        "run that was taken up again from an earlier state, cut the end of the first file"
    )


def _compare(frame: Frames, last: Frames, place: Place, tally: Tally) -> None:
    if np.array_equal(frame.positions, last.positions):
        raise InputError(
            f"{_at(place)}: its positions are those of the frame before; a trajectory that stands still holds no "
            "samples "
            "(minimization? a file written twice?)"
        )
    if (frame.box is None) != (last.box is None):
        raise InputError(f"{_at(place)}: only one of this frame and the one before has a box")
    if frame.box is not None and last.box is not None and not np.allclose(frame.box, last.box, rtol=1e-6):
        tally.box_changes = True


def _whole(frame: Frames, forest: BondForest, tally: Tally) -> Frames:
    if frame.box is None or not forest.has_bonds:
        return frame
    whole = forest.make_whole(frame.positions, frame.box)
    if whole is frame.positions:
        return frame
    tally.split += 1
    return frame.replace(positions=whole)


def _at(place: Place) -> str:
    return f"{place[0]}, frame {place[1]} (counted from 0)"
