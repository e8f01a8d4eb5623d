"""What a run writes as it goes on: frames, a trajectory for viewers, a log; and where each stood at a time."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from openmm import Vec3, app

from openmm_cgml.errors import ArtifactError
from openmm_cgml.frames import Frames
from openmm_cgml.runs.folder import LOG, XTC, RunFolder
from openmm_cgml.runs.log import LogWriter
from openmm_cgml.runs.snapshot import Snapshot
from openmm_cgml.shards import FrameWriter
from openmm_cgml.storage import sync_file
from openmm_cgml.topology import CGTopology

FRAMES = "frames"
"""Mark of the number of frames; those of files go by the name of the file."""
KIND = "openmm-cgml/trajectory"
_FRAMES_PER_SHARD = 50
_MAX_XTC_STEP = 2**31 - 1
_XTC_HEADER, _XTC_UNCOMPRESSED = 92, 9
"""Bytes before the packed coordinates of a frame, and the number of particles up to which they are not packed."""


@dataclass(frozen=True, kw_only=True)
class FrameSchedule:
    """When frames are written.

    Attributes:
        time_step: Integration step [ps].
        steps_per_frame: Steps between frames.
        n_steps: Steps of the whole run.
    """

    time_step: float
    steps_per_frame: int
    n_steps: int


class SimulationOutput:
    """Appends frames to all files of a run.

    Args:
        folder: The run's folder.
        topology: The beads.
        box: Box vectors at the start [nm], shape (3, 3), or None.
        schedule: When frames are written.
        temperature: Temperature of the run [K].
        marks: Where the files stood at the checkpoint that the run goes on from; None for a new run.

    Raises:
        ArtifactError: If the files do not hold what they held at the checkpoint.
    """

    def __init__(
        self,
        folder: RunFolder,
        topology: CGTopology,
        box: np.ndarray | None,
        schedule: FrameSchedule,
        temperature: float,
        marks: dict[str, Any] | None = None,
    ) -> None:
        self._files = {name: _GrowingFile(path) for name, path in _growing(folder).items()}
        if marks is not None:
            for name, file in self._files.items():
                file.restore(marks[name])
        else:
            shutil.rmtree(folder.trajectory, ignore_errors=True)
            for file in self._files.values():
                file.path.unlink(missing_ok=True)
        metadata = {"kind": KIND, "temperature": temperature, "topology": topology.to_dict()}
        self._frames = FrameWriter(
            folder.trajectory, metadata=metadata, frames_per_shard=_FRAMES_PER_SHARD, resume=True
        )
        self._frames.truncate(marks[FRAMES] if marks is not None else 0)
        self._xtc = _open_xtc(folder.xtc, topology, box, schedule)
        self._log = LogWriter(folder.log)

    @property
    def n_frames(self) -> int:
        """Frames written."""
        return self._frames.n_frames

    def append(self, snapshot: Snapshot, steps_per_second: float) -> None:
        """Write one frame and its log line."""
        self._frames.append(
            Frames(
                positions=snapshot.positions[None].astype(np.float32),
                box=None if snapshot.box is None else snapshot.box[None],
                times=np.array([snapshot.time]),
                energies={
                    "potential": np.array([snapshot.potential_energy]),
                    "kinetic": np.array([snapshot.kinetic_energy]),
                },
            )
        )
        self._append_to_xtc(snapshot)
        self._log.append(snapshot, steps_per_second)

    def _append_to_xtc(self, snapshot: Snapshot) -> None:
        path = self._files[XTC].path
        start = path.stat().st_size if path.exists() else 0
        self._xtc.writeModel(snapshot.positions, periodicBoxVectors=_vectors(snapshot.box))
        if path.stat().st_size - start != _xtc_frame_size(path, start):  # OpenMM says nothing when the disk is full
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def commit(self) -> dict[str, Any]:
        """Put everything on disk, and return where the files stand."""
        self._frames.flush()
        self._log.flush()
        return {FRAMES: self._frames.n_stored, **{name: file.mark() for name, file in self._files.items()}}

    def close(self) -> None:
        """Put everything on disk and close the files."""
        self._frames.close()
        self._log.close()

    def __enter__(self) -> SimulationOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_marks(folder: RunFolder, marks: dict[str, Any]) -> None:
    """Check that a run's files hold at least what they held when `marks` were taken, unchanged.

    Raises:
        ArtifactError: Naming the file that is shorter, changed or missing.
    """
    for name, path in _growing(folder).items():
        _GrowingFile(path).check(marks[name])
    if marks[FRAMES]:
        store = folder.open_frames()
        if store.n_frames < marks[FRAMES]:
            raise ArtifactError(
                f"{folder.trajectory} holds {store.n_frames} frames, {marks[FRAMES]} at the checkpoint; it was cut"
            )


def _growing(folder: RunFolder) -> dict[str, Path]:
    """The files that are appended to, by the name that marks them."""
    return {XTC: folder.xtc, LOG: folder.log}


class _GrowingFile:
    """A file that only grows, and the digest of what it held at the last mark."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = 0
        self._digest = hashlib.sha256()

    def mark(self) -> dict[str, Any]:
        """Flush the file to disk and return its size and sha256."""
        if self.path.exists():
            sync_file(self.path)
            self._read_on(self.path.stat().st_size)
        return {"size": self._size, "sha256": self._digest.hexdigest()}

    def check(self, mark: dict[str, Any]) -> None:
        """Check that the file begins with what it held at a mark."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < mark["size"]:
            raise ArtifactError(
                f"{self.path} has {size} bytes, {mark['size']} at the checkpoint; it was cut or replaced"
            )
        self._size, self._digest = 0, hashlib.sha256()
        self._read_on(mark["size"])
        if self._digest.hexdigest() != mark["sha256"]:
            raise ArtifactError(
                f"{self.path} was changed after the checkpoint: its first {mark['size']} bytes are others"
            )

    def restore(self, mark: dict[str, Any]) -> None:
        """Cut off everything that came after a mark."""
        self.check(mark)
        if mark["size"] == 0:
            self.path.unlink(missing_ok=True)
        else:
            os.truncate(self.path, mark["size"])

    def _read_on(self, stop: int) -> None:
        if stop == self._size:
            return
        with open(self.path, "rb") as file:
            file.seek(self._size)
            while self._size < stop and (block := file.read(min(1 << 20, stop - self._size))):
                self._digest.update(block)
                self._size += len(block)


def _open_xtc(path: Path, topology: CGTopology, box: np.ndarray | None, schedule: FrameSchedule) -> app.XTCFile:
    # XTC counts steps in 32 bits, and openmm rewrites the file when they run out: count frames there instead.
    interval = schedule.steps_per_frame if schedule.n_steps <= _MAX_XTC_STEP else 1
    time_step = schedule.time_step * schedule.steps_per_frame / interval
    return app.XTCFile(str(path), topology.to_openmm(box), time_step, interval, interval, append=path.exists())


def _xtc_frame_size(path: Path, start: int) -> int | None:
    """Size of the XTC frame that begins at `start`, as its header has it; None if the header is not whole."""
    with open(path, "rb") as file:
        file.seek(start)
        header = file.read(_XTC_HEADER)
    n = int.from_bytes(header[4:8], "big")
    if len(header) >= 8 and n <= _XTC_UNCOMPRESSED:
        return 56 + 12 * n
    if len(header) < _XTC_HEADER:
        return None
    return _XTC_HEADER + -(-int.from_bytes(header[88:92], "big") // 4) * 4


def _vectors(box: np.ndarray | None) -> list[Vec3] | None:
    return None if box is None else [Vec3(*map(float, row)) for row in box]
