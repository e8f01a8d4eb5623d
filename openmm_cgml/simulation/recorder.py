"""What a run leaves on disk: record, frames, log, checkpoints, structures and result."""

from __future__ import annotations

import datetime
import time
from dataclasses import replace
from typing import Any

import numpy as np
from safetensors.numpy import save

from openmm_cgml.analysis.block_average import compute_average
from openmm_cgml.builder.structure_file import write_structure
from openmm_cgml.errors import InputError
from openmm_cgml.runs.checkpoint import Checkpoint, discard_newer, find_checkpoint, write_checkpoint
from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.runs.log import DENSITY, POTENTIAL, PRESSURE, TEMPERATURE, read_log
from openmm_cgml.runs.output import FrameSchedule
from openmm_cgml.runs.progress import ns_per_day
from openmm_cgml.runs.record import RunRecord, collect_versions
from openmm_cgml.runs.replica_output import ReplicaOutput, check_replica_marks
from openmm_cgml.runs.result import UNSTABLE, SimulationResult, combine_replicas
from openmm_cgml.runs.snapshot import Snapshot
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.simulation.preparation import Start
from openmm_cgml.simulation.sampler import Sampler
from openmm_cgml.simulation.stability import StabilityMonitor
from openmm_cgml.storage import write_atomically

MAY_CHANGE = {"duration", "checkpoint_interval", "platform", "threads", "ml_backend", "pair_backend", "minimize"}
"""Settings that a resumed run may give anew."""
_EQUILIBRATION_FRACTION = 0.2
_FEWEST_FOR_ERROR = 10
_NAMED_ENTRIES = ("force_field", "ml_backend")


class Recorder:
    """The files of a run.

    Args:
        folder: Where they go.
        start: What is simulated.
    """

    def __init__(self, folder: RunFolder, start: Start) -> None:
        self._folder, self._config, self._topology = folder, start.config, start.topology
        self._folders = folder.replica_folders(start.config.replicas)
        self._earlier: list[dict[str, Any]] = []
        self._wall_time, self._marks = 0.0, None
        self._began = self._frame_began = time.perf_counter()
        self._last_good: Snapshot | None = None

    # --- beginning -------------------------------------------------------------------------------------------------

    def begin(self, sampler: Sampler) -> None:
        """Empty the folder, and write what describes a run that starts now."""
        self._folder.clear()
        self._write_record(sampler, "start")
        snapshot = sampler.take_snapshot()
        for folder, state in zip(self._folders, snapshot.each, strict=True):
            self._write_structure(folder, folder.structure.name, state)
        if self._config.replicas > 1:
            self._write_structure(self._folder, self._folder.structure.name, snapshot.each[0])
        self._open(0)

    def resume(self, sampler: Sampler, checkpoint: Checkpoint) -> None:
        """Bring the files to where they were at a checkpoint, from which the sampler goes on."""
        mode = sampler.load_checkpoint(checkpoint)
        self._marks, self._wall_time = checkpoint.meta["files"], checkpoint.meta["wall_time"]
        for folder in {self._folder, *self._folders}:
            folder.result.unlink(missing_ok=True)
        discard_newer(self._folder.checkpoints, checkpoint.step)
        self._write_record(sampler, mode)
        self._open(checkpoint.step)

    def _open(self, step: int) -> None:
        config = self._config
        schedule = FrameSchedule(
            time_step=config.time_step, steps_per_frame=config.steps_per_frame, n_steps=config.n_steps
        )
        self._output = ReplicaOutput(
            self._folders, self._topology, self._box, schedule, config.temperature, self._marks
        )
        self._began = self._frame_began = time.perf_counter()
        self._frame_step = step

    def _write_structure(self, folder: RunFolder, name: str, state: Snapshot) -> None:
        folder.write_topology(self._topology)
        write_structure(folder.path / name, self._topology, state.positions, state.box)

    def _write_record(self, sampler: Sampler, mode: str) -> None:
        start, config = sampler.start, self._config
        self._box = start.box
        self._earlier.append(_describe_segment(sampler, mode))
        record = RunRecord(
            config=config.model_dump(),
            n_steps=config.n_steps,
            steps_per_frame=config.steps_per_frame,
            n_beads=self._topology.n_beads,
            degrees_of_freedom=start.degrees_of_freedom,
            box=None if start.box is None else start.box.tolist(),
            topology_fingerprint=self._topology.fingerprint,
            system_fingerprint=start.fingerprint,
            segments=tuple(self._earlier),
            notes=start.notes,
            force_field=start.record.get("force_field"),
            ml_backend=start.record.get("ml_backend"),
            others={name: value for name, value in start.record.items() if name not in _NAMED_ENTRIES},
        )
        record.write(self._folder.record)
        if config.replicas > 1:
            for number, folder in enumerate(self._folders, 1):
                folder.path.mkdir(exist_ok=True)
                replace(record, replica=number).write(folder.record)

    # --- resuming --------------------------------------------------------------------------------------------------

    def find_checkpoint(self, start: Start) -> tuple[Checkpoint | None, Start]:
        """The newest checkpoint that is whole and fits the run's files, and the start with notes on others.

        None if the run never got to one.

        Raises:
            InputError: If the run was started with other settings, another System or another box, or became unstable.
            ArtifactError: If there are checkpoints and none can be used.
        """
        checkpoint, rejected = find_checkpoint(
            self._folder.checkpoints, lambda found: check_replica_marks(self._folders, found.meta["files"])
        )
        for reason in rejected:
            start = start.noted(f"checkpoint passed over: {reason}")
        if checkpoint is not None:
            self._check_same_run(start, checkpoint)
        return checkpoint, start

    def _check_same_run(self, start: Start, checkpoint: Checkpoint) -> None:
        before, folder = self._folder.read_record(), self._folder
        _check_same_settings(folder, before, self._config)
        if checkpoint.meta["topology_fingerprint"] != self._topology.fingerprint:
            raise InputError(f"{folder} was started with another topology ({folder.topology})")
        if checkpoint.meta["system_fingerprint"] != start.fingerprint:
            raise InputError(
                f"{folder} was started with another System: its forces, parameters or force field have changed "
                "since. Use the same model, or start anew in another folder"
            )
        if not _is_same_box(before.box, start.box):
            now = None if start.box is None else start.box.tolist()
            raise InputError(
                f"{folder} was started with box vectors {before.box} nm, now {now}; a run goes on in its own box: "
                "give the one it was started with, or start anew in another folder"
            )
        if folder.result.exists() and folder.read_result().status == UNSTABLE:
            raise InputError(
                f"{folder} became unstable; going on would repeat it. Start anew with a smaller time step; "
                f"{folder.last_good.name} holds the last good state"
            )
        self._earlier = [dict(segment) for segment in before.segments]

    @property
    def is_new(self) -> bool:
        """Whether the run starts now, rather than going on from a checkpoint."""
        return self._marks is None

    @property
    def n_segments(self) -> int:
        """Parts in which the run was done before."""
        return len(self._earlier)

    # --- running ---------------------------------------------------------------------------------------------------

    def append(self, sampler: Sampler, snapshot: Snapshot) -> None:
        """Write a frame, and a checkpoint if it is time for one."""
        now = time.perf_counter()
        rate = (snapshot.step - self._frame_step) / max(now - self._frame_began, 1e-9)
        self._output.append(snapshot.each, rate)
        self._frame_began, self._frame_step, self._last_good = now, snapshot.step, snapshot
        if snapshot.step % self._config.steps_per_checkpoint == 0 or snapshot.step >= self._config.n_steps:
            self.write_checkpoint(sampler, snapshot)

    def write_checkpoint(self, sampler: Sampler, snapshot: Snapshot, context: bytes | None = None) -> None:
        """Put everything on disk, and write a checkpoint of the present state.

        Args:
            sampler: What is simulated.
            snapshot: Its present state.
            context: OpenMM's own checkpoint, if it was taken before.
        """
        checkpoint = sampler.create_checkpoint(snapshot, context)
        meta = {**checkpoint.meta, "wall_time": self.wall_time, "files": self._output.commit()}
        write_checkpoint(self._folder.checkpoints, replace(checkpoint, meta=meta))
        self._last_good = snapshot

    @property
    def wall_time(self) -> float:
        """Time spent in steps and output, over all parts [s]."""
        return self._wall_time + time.perf_counter() - self._began

    # --- ending ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Put everything on disk and close the files."""
        self._output.close()

    def finish(self, sampler: Sampler, status: str, reason: str | None = None) -> SimulationResult:
        """Close the files, and write the last good state and the result."""
        self.close()
        wall_time, notes = self.wall_time, list(sampler.notes)
        if self._last_good is not None:
            if status == UNSTABLE:
                self._write_last_good(self._last_good)
                notes.append(f"{self._folder.last_good.name} holds the state after {self._last_good.step} steps")
            for folder, state in zip(self._folders, self._last_good.each, strict=True):
                self._write_structure(folder, folder.final.name, state)
        results = [
            replace(
                _summarize(folder, monitor, sampler, wall_time),
                n_frames=self._output.n_frames,
                status=status,
                reason=reason,
                notes=tuple(notes),
            )
            for folder, monitor in zip(self._folders, sampler.monitors, strict=True)
        ]
        for each in results:
            each.write()
        if len(results) == 1:
            return results[0]
        result = combine_replicas(self._folder.path, results)
        result.write()
        return result

    def _write_last_good(self, good: Snapshot) -> None:
        arrays = {"positions": good.positions, "velocities": good.velocities}
        if good.box is not None:
            arrays["box"] = good.box
        data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        write_atomically(self._folder.last_good, data)


def _describe_segment(sampler: Sampler, mode: str) -> dict[str, Any]:
    platform = sampler.start.platform
    return {
        "from_step": sampler.step_count,
        "mode": mode,
        "platform": platform.name,
        "properties": platform.properties,
        "platform_reason": platform.reason,
        "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": collect_versions(),
    }


def _check_same_settings(folder: RunFolder, before: RunRecord, config: SimulationConfig) -> None:
    then = SimulationConfig(**before.config).model_dump()
    changed = [
        f"{name} was {then[name]!r}, now {value!r}"
        for name, value in config.model_dump().items()
        if name not in MAY_CHANGE and then[name] != value
    ]
    if changed:
        raise InputError(
            f"{folder} was started with other settings: {'; '.join(changed)}. Give the same, or start anew"
        )


def _is_same_box(before: list[list[float]] | None, now: np.ndarray | None) -> bool:
    if before is None or now is None:
        return before is None and now is None
    return np.shape(before) == (3, 3) and np.allclose(before, now, rtol=1e-6, atol=1e-6)


def _summarize(folder: RunFolder, monitor: StabilityMonitor, sampler: Sampler, wall_time: float) -> SimulationResult:
    """The result of one replica, but for how it ended; means are those of the log after its equilibration."""
    rate, columns = (sampler.step_count / wall_time if wall_time > 0 else 0.0), read_log(folder.log)
    temperature, temperature_error = _average(columns.get(TEMPERATURE))
    density, density_error = _average(columns.get(DENSITY))
    pressure, pressure_error = _average(columns.get(PRESSURE))
    energy, _ = _average(columns.get(POTENTIAL))
    return SimulationResult(
        output=folder.path,
        status="",
        steps=sampler.step_count,
        time=sampler.step_count * sampler.config.time_step,
        n_frames=0,
        wall_time=wall_time,
        steps_per_second=rate,
        ns_per_day=ns_per_day(rate, sampler.config.time_step),
        mean_temperature=temperature,
        temperature_error=temperature_error,
        mean_potential_energy=None if energy is None else energy / sampler.start.topology.n_beads,
        mean_density=density,
        density_error=density_error,
        mean_pressure=pressure,
        pressure_error=pressure_error,
        largest_bond_deviation=monitor.largest_bond_deviation,
        closest_contact=monitor.closest_contact,
    )


def _average(column: np.ndarray | None) -> tuple[float | None, float | None]:
    """Mean of a column and its standard error; None where there are no or too few values."""
    if column is None:
        return None, None
    values = column[int(_EQUILIBRATION_FRACTION * len(column)) :]
    values = values[np.isfinite(values)]
    if not len(values):
        return None, None
    error = compute_average(values).standard_error if len(values) >= _FEWEST_FOR_ERROR else None
    return float(values.mean()), error
