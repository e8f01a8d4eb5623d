"""Where the files of a run are; no other module knows their names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmm_cgml.errors import ArtifactError
from openmm_cgml.runs.record import RECORD, RunRecord
from openmm_cgml.runs.result import RESULT, UNFINISHED, SimulationResult
from openmm_cgml.shards import FrameStore
from openmm_cgml.storage import OutputKind, clear_output, read_object, write_sealed_json
from openmm_cgml.topology import CGTopology

LOG, TRAJECTORY, XTC = "log.csv", "trajectory", "trajectory.xtc"
TOPOLOGY, STRUCTURE, FINAL = "topology.json", "topology.cif", "final.cif"
CHECKPOINTS, LAST_GOOD = "checkpoints", "last_good.safetensors"
_REPLICA = "replica-"
OUTPUT = OutputKind(
    verb="simulate",
    marker=RECORD,
    members=(TOPOLOGY, STRUCTURE, FINAL, CHECKPOINTS, LAST_GOOD, RESULT, TRAJECTORY, XTC, LOG, f"{_REPLICA}*"),
)
"""What a run writes into its folder."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, or of one of its replicas.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> RunFolder:
        """The run in the folder `path`."""
        return cls(Path(path))

    def __str__(self) -> str:
        return str(self.path)

    @property
    def record(self) -> Path:
        """Settings, what they were applied to, and one entry per resumed part."""
        return self.path / RECORD

    @property
    def result(self) -> Path:
        """How the run ended."""
        return self.path / RESULT

    @property
    def log(self) -> Path:
        """One line per frame."""
        return self.path / LOG

    @property
    def trajectory(self) -> Path:
        """Frames in full."""
        return self.path / TRAJECTORY

    @property
    def xtc(self) -> Path:
        """The same frames for viewers."""
        return self.path / XTC

    @property
    def topology(self) -> Path:
        """The beads."""
        return self.path / TOPOLOGY

    @property
    def structure(self) -> Path:
        """The beads and where they started, for viewers."""
        return self.path / STRUCTURE

    @property
    def final(self) -> Path:
        """The beads and where they ended."""
        return self.path / FINAL

    @property
    def checkpoints(self) -> Path:
        """The newest checkpoints; those of replicas are in the folder of the whole run."""
        return self.path / CHECKPOINTS

    @property
    def last_good(self) -> Path:
        """After an instability, the last state that passed all checks."""
        return self.path / LAST_GOOD

    @property
    def holds_run(self) -> bool:
        """Whether a run was started here."""
        return self.record.is_file()

    def clear(self) -> None:
        """Empty the folder; what says that it is a run goes last, and the lock stays."""
        clear_output(self.path, OUTPUT)

    def read_record(self) -> RunRecord:
        """What the run was asked to do; empty for a run that kept no record.

        Raises:
            ArtifactError: If it is damaged.
        """
        return RunRecord.read(self.record) if self.holds_run else RunRecord()

    def write_topology(self, topology: CGTopology) -> None:
        """Write the beads."""
        write_sealed_json(self.topology, topology.to_dict())

    def read_topology(self) -> CGTopology:
        """The beads.

        Raises:
            ArtifactError: If the folder is not a run's, or the file is damaged.
        """
        if not self.topology.is_file():
            raise ArtifactError(f"{self.path}: no {TOPOLOGY}, so this is not the folder of a simulation")
        return CGTopology.from_dict(read_object(self.topology))

    def read_result(self) -> SimulationResult:
        """How the run ended.

        Raises:
            ArtifactError: If it has not, or the file is damaged.
        """
        return SimulationResult.read(self.path)

    def describe_result(self) -> dict[str, Any]:
        """What is known of how the run ended, by name; the status is "unfinished" if it was killed.

        Raises:
            ArtifactError: If the file is damaged.
        """
        return read_object(self.result) if self.result.is_file() else {"status": UNFINISHED}

    def open_frames(self) -> FrameStore:
        """The frames.

        Raises:
            ArtifactError: If there are none, or they are damaged.
        """
        return FrameStore.open(self.trajectory)

    def replicas(self) -> list[RunFolder]:
        """The replicas of the run, or the run itself where it has one."""
        record = self.read_record()
        if record.replicas == 1 or record.replica is not None:
            return [self]
        return [RunFolder(folder) for folder in sorted(self.path.glob(f"{_REPLICA}*")) if folder.is_dir()]

    def replica_folders(self, replicas: int) -> tuple[RunFolder, ...]:
        """Where the frames of each replica go: the run's own folder for one, `replica-1` and so on for more."""
        if replicas == 1:
            return (self,)
        digits = len(str(replicas))
        return tuple(RunFolder(self.path / f"{_REPLICA}{number:0{digits}d}") for number in range(1, replicas + 1))

