"""States of a run that another simulation starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.runs.checkpoint import find_checkpoint
from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.topology import CGTopology


@dataclass(frozen=True, eq=False, kw_only=True)
class RunState:
    """Beads as a run left them at some moment.

    Attributes:
        topology: The beads of one replica.
        positions: Their positions [nm], shape (n_beads, 3), with replicas (replicas, n_beads, 3).
        box: Box vectors [nm], shape (3, 3), or None.
        velocities: Their velocities [nm/ps], of the shape of the positions; None where they were not kept.
    """

    topology: CGTopology
    positions: np.ndarray
    box: np.ndarray | None
    velocities: np.ndarray | None


def read_last_state(run: RunFolder) -> RunState:
    """The state at the last checkpoint of a run.

    Raises:
        ArtifactError: If there is no checkpoint that fits.
    """
    topology, replicas = run.read_topology(), run.read_record().replicas
    checkpoint, _ = find_checkpoint(run.checkpoints)
    if checkpoint is None:
        raise ArtifactError(f"{run}: no checkpoint to start from; those of replicas are in the folder of all")
    shape = (topology.n_beads, 3) if replicas == 1 else (replicas, topology.n_beads, 3)
    return RunState(
        topology=topology,
        positions=checkpoint.positions.reshape(shape),
        box=checkpoint.box,
        velocities=checkpoint.velocities.reshape(shape),
    )


def read_state_of_frame(run: RunFolder, number: int) -> RunState:
    """The state at a recorded frame of a run, whose velocities were not kept.

    Args:
        run: The run, or one of its replicas.
        number: Number of the frame, counted from 0.

    Raises:
        InputError: If there is no such frame.
        ArtifactError: If the frames are missing or damaged.
    """
    stores = [replica.open_frames() for replica in run.replicas()]
    n_frames = min(store.n_frames for store in stores)
    if not 0 <= number < n_frames:
        raise InputError(f"{run}: there is no frame {number}; it has {n_frames}, counted from 0")
    frames = [store.read(number, number + 1) for store in stores]
    positions = np.stack([np.asarray(frame.positions[0], np.float64) for frame in frames])
    return RunState(
        topology=run.read_topology(),
        positions=positions if len(stores) > 1 else positions[0],
        box=None if frames[0].box is None else np.asarray(frames[0].box[0], np.float64),
        velocities=None,
    )
