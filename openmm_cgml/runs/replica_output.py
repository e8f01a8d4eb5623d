"""The files of the replicas of a run, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np

from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.runs.output import FrameSchedule, SimulationOutput, check_marks
from openmm_cgml.runs.snapshot import Snapshot
from openmm_cgml.topology import CGTopology


def check_replica_marks(folders: Sequence[RunFolder], marks: dict[str, Any]) -> None:
    """Check that the files of every replica hold what they held when `marks` were taken.

    Raises:
        ArtifactError: Naming the first file that does not.
    """
    for folder in folders:
        check_marks(folder, marks if len(folders) == 1 else marks[folder.path.name])


class ReplicaOutput:
    """Appends the frames of each replica to files of its own.

    Args:
        folders: Where each replica's files go.
        topology: The beads of one replica.
        box: Box vectors at the start [nm], shape (3, 3), or None.
        schedule: When frames are written.
        temperature: Temperature of the run [K].
        marks: What `commit` returned at the checkpoint that the run goes on from; None for a new run.
    """

    def __init__(
        self,
        folders: Sequence[RunFolder],
        topology: CGTopology,
        box: np.ndarray | None,
        schedule: FrameSchedule,
        temperature: float,
        marks: dict[str, Any] | None = None,
    ) -> None:
        self._folders = folders
        self._outputs: list[SimulationOutput] = []
        for folder in folders:
            own = marks if marks is None or len(folders) == 1 else marks[folder.path.name]
            self._outputs.append(SimulationOutput(folder, topology, box, schedule, temperature, own))

    @property
    def n_frames(self) -> int:
        """Frames written of each replica."""
        return self._outputs[0].n_frames

    def append(self, snapshots: Sequence[Snapshot], steps_per_second: float) -> None:
        """Write one frame and its log line for each replica."""
        for output, snapshot in zip(self._outputs, snapshots, strict=True):
            output.append(snapshot, steps_per_second)

    def commit(self) -> dict[str, Any]:
        """Put everything on disk, and return where the files stand, by folder where there are several."""
        marks = [output.commit() for output in self._outputs]
        if len(marks) == 1:
            return marks[0]
        return {folder.path.name: mark for folder, mark in zip(self._folders, marks, strict=True)}

    def close(self) -> None:
        """Put everything on disk and close the files."""
        for output in self._outputs:
            output.close()

    def __enter__(self) -> ReplicaOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
