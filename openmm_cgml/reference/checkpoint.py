"""Checkpoints of an atomistic run: OpenMM's portable State as XML in a checksummed JSON envelope.

OpenMM's binary checkpoints load without an error when they are truncated or belong to another System, so they are not
used. The State holds positions, velocities, box and time as numbers only, and nothing else is ever handed to OpenMM's
`XmlSerializer`: it unpickles what an element of a PythonForce or TorchForce holds, wherever that comes from.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import openmm

from openmm_cgml.errors import ArtifactError
from openmm_cgml.storage import read_object, refusing_damage, write_atomically

__all__ = ["Checkpoint", "read_newest_checkpoint", "write_checkpoint"]

SCHEMA = "openmm-cgml/reference-checkpoint-1"
KEPT = 2
_NUMBER = r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?"
_ENTRIES = rf'openmmVersion="[0-9.a-z]*"|stepCount="[0-9]*"|time="{_NUMBER}"|type="State"|version="[0-9]*"'
_STATE_LINE = re.compile(
    rf'<\?xml version="1\.0" \?>|<State(?: (?:{_ENTRIES}))*>|</?(?:PeriodicBoxVectors|Positions|Velocities)>|'
    rf'<(?:A|B|C|Position|Velocity) x="{_NUMBER}" y="{_NUMBER}" z="{_NUMBER}"/>|</State>|'
)
"""The lines of a State with positions, velocities, box and time, as OpenMM writes it."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where an atomistic run stands.

    Attributes:
        stage: Stage of the protocol.
        step: Steps done in this stage.
        n_frames: Frames recorded so far.
        state: OpenMM State with positions, velocities, box and time, as XML.
        densities: Densities sampled so far [g/cm^3], one per picosecond.
    """

    stage: str
    step: int
    n_frames: int
    state: str
    densities: tuple[float, ...] = field(default=())

    def apply_to(self, context: openmm.Context) -> None:
        """Set positions, velocities, box and time of `context`."""
        context.setState(read_state(self.state))


def read_state(text: str) -> openmm.State:
    """The State in XML that OpenMM wrote, read only if it holds numbers and nothing else.

    Raises:
        ArtifactError: If it is anything but positions, velocities, box and time.
    """
    for line in text.splitlines():
        if _STATE_LINE.fullmatch(line.strip()) is None:
            raise ArtifactError(
                f"the state of a checkpoint holds {line.strip()[:60]!r}, which no State of positions and velocities "
                "does; it was edited or damaged and is not read"
            )
    try:
        state = openmm.XmlSerializer.deserialize(text)
    except (openmm.OpenMMException, ValueError, TypeError) as error:
        raise ArtifactError(f"the state of a checkpoint cannot be read ({error}); it is damaged") from error
    if not isinstance(state, openmm.State):
        raise ArtifactError(f"a checkpoint holds a {type(state).__name__}, not a State; it was edited")
    return state


def write_checkpoint(folder: Path, checkpoint: Checkpoint, *, order: int) -> None:
    """Write a checkpoint atomically and keep the newest two.

    Args:
        folder: Folder of checkpoints.
        checkpoint: What to write.
        order: Place of the stage in the protocol, so that names sort by progress.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "schema": SCHEMA,
        "stage": checkpoint.stage,
        "step": checkpoint.step,
        "n_frames": checkpoint.n_frames,
        "densities": list(checkpoint.densities),
        "state": checkpoint.state,
    }
    content["sha256"] = _digest(content)
    write_atomically(folder / f"{order:02d}-{checkpoint.stage}-{checkpoint.step:012d}.json", json.dumps(content))
    for old in _files(folder)[:-KEPT]:
        old.unlink()


def read_newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint in `folder` whose checksum is right, or None if there is no checkpoint at all.

    Raises:
        ArtifactError: There are checkpoints but all are damaged.
    """
    problems = []
    for path in reversed(_files(folder)):
        try:
            return _read(path)
        except ArtifactError as error:
            problems.append(str(error))
    if problems:
        raise ArtifactError(f"no usable checkpoint in {folder}: {'; '.join(problems)}; start again with --overwrite")
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9][0-9]-*.json"))


def _read(path: Path) -> Checkpoint:
    content = read_object(path)
    if content.get("schema") != SCHEMA:
        raise ArtifactError(f"{path}: not a checkpoint of this version ({SCHEMA})")
    if content.pop("sha256", None) != _digest(content):
        raise ArtifactError(f"{path}: checksum does not match, the file was damaged or edited")
    with refusing_damage(path):
        return Checkpoint(
            stage=str(content["stage"]),
            step=int(content["step"]),
            n_frames=int(content["n_frames"]),
            state=str(content["state"]),
            densities=tuple(map(float, content["densities"])),
        )


def _digest(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
