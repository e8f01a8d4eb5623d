"""What a simulation writes as it runs: frames, a trajectory for viewers, a log; and where each stood at a time."""

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
from openmm_cgml.shards import FrameStore, FrameWriter
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.storage import sync_file
from openmm_cgml.topology import CGTopology

TRAJECTORY, XTC, LOG = "trajectory", "trajectory.xtc", "log.csv"
_LOG_HEADER = "step,time_ps,temperature_K,potential_kJ_per_mol,kinetic_kJ_per_mol,steps_per_s\n"
_FRAMES_PER_SHARD = 50
_MAX_XTC_STEP = 2**31 - 1
_XTC_HEADER, _XTC_UNCOMPRESSED = 92, 9
"""Bytes before the packed coordinates of a frame, and the number of particles up to which they are not packed."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Snapshot:
    """One state of a simulation.

    Attributes:
        step: Steps done.
        time: Simulated time [ps].
        positions: Bead positions, unwrapped [nm], shape (n_beads, 3).
        velocities: Bead velocities as the integrator keeps them [nm/ps], shape (n_beads, 3).
        box: Box vectors [nm], shape (3, 3), or None.
        potential_energy: Potential energy [kJ/mol].
        kinetic_energy: Kinetic energy [kJ/mol].
        temperature: Momentary temperature [K].
    """

    step: int
    time: float
    positions: np.ndarray
    velocities: np.ndarray
    box: np.ndarray | None
    potential_energy: float
    kinetic_energy: float
    temperature: float


class SimulationOutput:
    """Appends frames to all files of a run.

    Args:
        folder: The run's folder.
        topology: The beads.
        box: Box vectors [nm], shape (3, 3), or None.
        config: Settings of the run.
        marks: Where the files stood at the checkpoint that the run goes on from; None for a new run.

    Raises:
        ArtifactError: If the files do not hold what they held at the checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        topology: CGTopology,
        box: np.ndarray | None,
        config: SimulationConfig,
        marks: dict[str, Any] | None = None,
    ) -> None:
        self._files = {name: _GrowingFile(folder / name) for name in (XTC, LOG)}
        if marks is not None:
            for name, file in self._files.items():
                file.restore(marks[name])
        else:
            shutil.rmtree(folder / TRAJECTORY, ignore_errors=True)
            for file in self._files.values():
                file.path.unlink(missing_ok=True)
            (folder / LOG).write_text(_LOG_HEADER, encoding="utf8")
        metadata = {"kind": "openmm-cgml/trajectory", "temperature": config.temperature, "topology": topology.to_dict()}
        self._frames = FrameWriter(
            folder / TRAJECTORY, metadata=metadata, frames_per_shard=_FRAMES_PER_SHARD, resume=True
        )
        self._frames.truncate(marks["frames"] if marks is not None else 0)
        self._xtc = _open_xtc(folder / XTC, topology, box, config)
        self._log = open(folder / LOG, "a", encoding="utf8")  # noqa: SIM115

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
        self._log.write(
            f"{snapshot.step},{snapshot.time:.6f},{snapshot.temperature:.3f},{snapshot.potential_energy:.8g},"
            f"{snapshot.kinetic_energy:.8g},{steps_per_second:.1f}\n"
        )
        self._log.flush()

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
        return {"frames": self._frames.n_stored, **{name: file.mark() for name, file in self._files.items()}}

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


def check_marks(folder: Path, marks: dict[str, Any]) -> None:
    """Check that a run's files hold at least what they held when `marks` were taken, unchanged.

    Raises:
        ArtifactError: Naming the file that is shorter, changed or missing.
    """
    for name in (XTC, LOG):
        _GrowingFile(folder / name).check(marks[name])
    if marks["frames"]:
        store = FrameStore.open(folder / TRAJECTORY, verify=True)
        if store.n_frames < marks["frames"]:
            raise ArtifactError(
                f"{folder / TRAJECTORY} holds {store.n_frames} frames, {marks['frames']} at the checkpoint; it was cut"
            )


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


def _open_xtc(path: Path, topology: CGTopology, box: np.ndarray | None, config: SimulationConfig) -> app.XTCFile:
    # XTC counts steps in 32 bits, and openmm rewrites the file when they run out: count frames there instead.
    interval = config.steps_per_frame if config.n_steps <= _MAX_XTC_STEP else 1
    time_step = config.time_step * config.steps_per_frame / interval
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
