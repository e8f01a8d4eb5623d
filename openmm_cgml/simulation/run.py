"""Simulations that can be killed at any moment, notice when they go wrong, and go on from where they were."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import openmm

from openmm_cgml.errors import SimulationError
from openmm_cgml.interruption import Interruption
from openmm_cgml.runs.checkpoint import Checkpoint
from openmm_cgml.runs.folder import OUTPUT, RunFolder
from openmm_cgml.runs.progress import show_progress
from openmm_cgml.runs.result import COMPLETE, INTERRUPTED, UNSTABLE, SimulationResult
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.simulation.preparation import Start, prepare_start
from openmm_cgml.simulation.recorder import Recorder
from openmm_cgml.simulation.sampler import Sampler
from openmm_cgml.simulation.stability import BondReferences, ContactReferences
from openmm_cgml.storage import check_output, lock_directory
from openmm_cgml.topology import CGTopology


def simulate_system(
    system: openmm.System,
    topology: CGTopology,
    positions: np.ndarray,
    box: object,
    *,
    output: str | os.PathLike[str],
    config: SimulationConfig,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    identity: str = "",
    contacts: ContactReferences | None = None,
    record: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    system_of_one: openmm.System | None = None,
    velocities: np.ndarray | None = None,
    cutoffs: Mapping[str, float] | None = None,
    bonds: BondReferences | None = None,
    fingerprint: str | None = None,
) -> SimulationResult:
    """Simulate any `openmm.System` of beads, writing frames, a log and checkpoints into `output`.

    A run that is killed, interrupted or out of disk space goes on with `resume=True`. It is bit-identical to one that
    was never stopped on the Reference platform; elsewhere it is continuous in positions, velocities and time.

    With `config.replicas`, the System holds so many independent copies of the beads, one after the other, and each of
    them gets a folder `replica-<n>` in `output` with the files of a run of its own.

    Args:
        system: The System, of all replicas; it is not changed.
        topology: The beads of one replica.
        positions: Starting positions [nm], shape (n_beads, 3), or (replicas, n_beads, 3) for starts that differ; not
            used when resuming from a checkpoint.
        box: Box vectors [nm], shape (3, 3), or edge lengths, shape (3,), or None without periodic boundaries.
        output: Folder of the run.
        config: Settings.
        resume: Go on from the newest checkpoint in `output`, or start if there is none yet.
        overwrite: Delete what is in `output` once the starting structure has passed its checks.
        progress: Show progress on standard error.
        identity: What a Python or Torch force of the System computes, usually the hash of its force field; a run
            resumes only with the same.
        contacts: Closest approaches in the training data of a model, checked at the start and watched.
        record: Further entries for `simulation.json`.
        notes: Remarks to report with the result.
        system_of_one: The System of one replica, where there are several: energies of each are taken from it.
        velocities: Starting velocities [nm/ps], of the shape of the positions; None draws them.
        cutoffs: Cutoffs [nm] of forces that are not OpenMM's own, by name, which the box is compared with.
        bonds: Reference lengths that are watched; by default those of the harmonic bonds of the System.
        fingerprint: What a resumed run must have in common with this one, instead of the System's own fingerprint.

    Raises:
        InputError: If the inputs do not fit each other, the starting structure cannot be simulated, or a resumed run
            was started with other settings or another System.
        OutputExistsError: If `output` holds something and neither flag is set, or another process works in it.
        ArtifactError: If no checkpoint fits the files of the run.
        UnstableSimulationError: If the simulation became unstable; everything up to there is kept.
        KeyboardInterrupt: After Ctrl-C, with a checkpoint written.
        SystemExit: With status 143 after SIGTERM, with a checkpoint written.
    """
    start = prepare_start(
        system,
        topology,
        positions,
        box,
        config,
        velocities=velocities,
        identity=identity,
        contacts=contacts,
        cutoffs=cutoffs,
        record=record,
        notes=notes,
        system_of_one=system_of_one,
        bonds=bonds,
        fingerprint=fingerprint,
    )
    return run(start, output, resume=resume, overwrite=overwrite, progress=progress)


def run(
    start: Start,
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> SimulationResult:
    """Simulate what was prepared, writing frames, a log and checkpoints into `output`; see `simulate_system`."""
    check_output(output, OUTPUT, resume=resume, overwrite=overwrite)
    folder = RunFolder.at(output)
    folder.path.mkdir(parents=True, exist_ok=True)
    with lock_directory(folder.path), Interruption() as interruption:
        check_output(output, OUTPUT, resume=resume, overwrite=overwrite)
        recorder = Recorder(folder, start)
        checkpoint, start = recorder.find_checkpoint(start) if resume else (None, start)
        if checkpoint is not None and checkpoint.step >= start.config.n_steps and folder.result.exists():
            return folder.read_result()
        sampler = _begin(start, recorder, checkpoint)
        result = _record_frames(sampler, recorder, interruption, progress)
    interruption.raise_again()
    return result


def _begin(start: Start, recorder: Recorder, checkpoint: Checkpoint | None) -> Sampler:
    """A sampler and files that stand where the run begins or goes on."""
    if checkpoint is not None:
        sampler = Sampler(start, seed=start.config.seed + recorder.n_segments)
        recorder.resume(sampler, checkpoint)
    else:
        sampler = Sampler(start)
        sampler.begin()
        recorder.begin(sampler)
    return sampler


def _record_frames(
    sampler: Sampler, recorder: Recorder, interruption: Interruption, progress: bool
) -> SimulationResult:
    """Do the remaining steps and write the result."""
    config = sampler.config
    aggregate = config.time_step * config.replicas
    with show_progress(config.n_steps, sampler.step_count, aggregate, enabled=progress) as report:

        def is_asked_to_stop() -> bool:
            report(sampler.step_count)
            return interruption.is_requested

        try:
            if recorder.is_new:
                recorder.write_checkpoint(sampler, sampler.take_snapshot())
            for snapshot in sampler.frames(measure_pressure=True, stop=is_asked_to_stop):
                recorder.append(sampler, snapshot)
            if sampler.step_count < config.n_steps:
                _stop_between_frames(sampler, recorder)
        except SimulationError as error:
            recorder.finish(sampler, UNSTABLE, str(error))
            raise
        except BaseException:
            recorder.close()
            raise
    return recorder.finish(sampler, COMPLETE if sampler.step_count >= config.n_steps else INTERRUPTED)


def _stop_between_frames(sampler: Sampler, recorder: Recorder) -> None:
    """Write a checkpoint of where an interrupted run stands, unless there is one."""
    if sampler.step_count % sampler.config.steps_per_checkpoint:
        # Before the energies: on the Reference platform a CustomIntegrator spends random numbers on them.
        context = sampler.context.createCheckpoint()
        snapshot = sampler.take_snapshot()
        sampler.check(snapshot)
        recorder.write_checkpoint(sampler, snapshot, context)
