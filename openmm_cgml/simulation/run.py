"""Simulations that can be killed at any moment, notice when they go wrong, and go on from where they were."""

from __future__ import annotations

import datetime
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import openmm
from openmm import unit
from safetensors.numpy import save

from openmm_cgml.analysis.block_average import compute_average
from openmm_cgml.builder.structure_file import write_structure
from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.interruption import Interruption
from openmm_cgml.runs.checkpoint import Checkpoint, discard_newer, find_checkpoint, write_checkpoint
from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.runs.log import POTENTIAL, TEMPERATURE, read_log
from openmm_cgml.runs.output import FrameSchedule
from openmm_cgml.runs.progress import ProgressReport, ns_per_day, show_progress
from openmm_cgml.runs.record import RunRecord, collect_versions
from openmm_cgml.runs.replica_output import ReplicaOutput, check_replica_marks
from openmm_cgml.runs.result import COMPLETE, INTERRUPTED, UNSTABLE, SimulationResult, combine_replicas
from openmm_cgml.runs.snapshot import Snapshot
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.simulation.integrator import create_integrator
from openmm_cgml.simulation.platform import choose_platform, fingerprint_system
from openmm_cgml.simulation.replicas import (
    OneReplica,
    ReplicaMonitors,
    repeat_positions,
    split_snapshot,
)
from openmm_cgml.simulation.stability import ContactReferences, StabilityMonitor, UnstableSimulationError
from openmm_cgml.simulation.start import (
    bond_references,
    check_contacts,
    check_forces,
    check_native_cutoffs,
    check_shapes,
    check_time_step,
)
from openmm_cgml.storage import lock_directory, prepare_output, write_atomically
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN

logger = logging.getLogger(__name__)

MAY_CHANGE = {"duration", "checkpoint_interval", "platform", "threads", "ml_backend", "minimize"}
"""Settings that a resumed run may give anew."""
_MINIMIZATION_STEPS = 200
_SECONDS_PER_CHUNK = 0.5
_EQUILIBRATION_FRACTION = 0.2
_FEWEST_FOR_ERROR = 10


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

    Raises:
        InputError: If the inputs do not fit each other, the starting structure cannot be simulated, or a resumed run
            was started with other settings or another System.
        OutputExistsError: If `output` holds something and neither flag is set, or another process works in it.
        ArtifactError: If no checkpoint fits the files of the run.
        UnstableSimulationError: If the simulation became unstable; everything up to there is kept.
        KeyboardInterrupt: After Ctrl-C, with a checkpoint written.
        SystemExit: With status 143 after SIGTERM, with a checkpoint written.
    """
    if resume and overwrite:
        raise InputError("overwrite and resume exclude each other; choose one")
    run = _Run(system, topology, positions, box, config, identity, contacts, dict(record or {}), notes, system_of_one)
    folder = RunFolder(prepare_output(output, resume=resume or overwrite))
    folder.check_is_run()
    with lock_directory(folder.path), Interruption() as interruption:
        run.attach(folder, interruption)
        if resume and (checkpoint := run.find_checkpoint()) is not None:
            if checkpoint.step >= config.n_steps and folder.result.exists():
                return folder.read_result()
            run.go_on_from(checkpoint)
        else:
            run.start()
        result = run.run(progress)
    interruption.raise_again()
    return result


class _Run:
    """One process's share of a run: a context, the files, and how far it got."""

    def __init__(
        self,
        system: openmm.System,
        topology: CGTopology,
        positions: np.ndarray,
        box: object,
        config: SimulationConfig,
        identity: str,
        contacts: ContactReferences | None,
        record: dict[str, Any],
        notes: Sequence[str],
        system_of_one: openmm.System | None = None,
    ) -> None:
        self._system, self._topology, self._config, self._record = system, topology, config, record
        self._system_of_one = _choose_system_of_one(system, system_of_one, config.replicas)
        starts = repeat_positions(positions, topology.n_beads, config.replicas)
        self._positions, self._box = check_shapes(system, topology.repeated(config.replicas), starts, box)
        check_native_cutoffs(system, self._box)
        self._masses = _masses(system)
        bonds = bond_references(self._system_of_one)
        note = check_time_step(config.time_step, bonds, self._masses)
        self._notes: list[str] = []
        self._contacts = contacts
        for text in (*notes, *([note] if note else [])):
            self._note(text)
        self._fingerprint = fingerprint_system(system, identity)
        self._platform = choose_platform(config.platform, config.threads)
        self._monitors = ReplicaMonitors(
            [
                StabilityMonitor(
                    config.temperature, self._degrees_of_freedom, bonds, contacts, _relaxation_time(config)
                )
                for _ in range(config.replicas)
            ],
            [f"replica {number}" for number in range(1, config.replicas + 1)],
        )
        self._segments: list[dict[str, Any]] = []
        self._marks: dict[str, Any] | None = None
        self._wall_time, self._start_step, self._step = 0.0, 0, 0
        self._last_good: Snapshot | None = None

    def attach(self, folder: RunFolder, interruption: Interruption) -> None:
        """Set where to write and what asks to stop."""
        self._folder, self._interruption = folder, interruption
        self._folders = folder.replica_folders(self._config.replicas)

    def _note(self, text: str) -> None:
        logger.warning(text)
        self._notes.append(text)

    @property
    def _degrees_of_freedom(self) -> int:
        """Of one replica."""
        system = self._system_of_one
        removed = any(isinstance(force, openmm.CMMotionRemover) for force in system.getForces())
        moving = int(np.count_nonzero(self._masses)) // self._config.replicas
        return 3 * moving - system.getNumConstraints() - 3 * (removed or self._config.ensemble == "NVE")

    def _by_replica(self, values: np.ndarray) -> np.ndarray:
        """Values of all beads as those of each replica, shape (replicas, n_beads, ...)."""
        return values.reshape(self._config.replicas, self._topology.n_beads, *values.shape[1:])

    # --- beginning -------------------------------------------------------------------------------------------------

    def _create_context(self, seed: int) -> None:
        config = self._config
        integrator = create_integrator(self._system, config, seed)
        if config.threads is not None and "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(config.threads)
        self._integrator = integrator
        platform = self._platform
        try:
            self._context = openmm.Context(self._system, integrator, platform.platform, platform.properties)
            self._one = OneReplica(self._system_of_one, platform, self._box) if config.replicas > 1 else None
        except openmm.OpenMMException as error:
            raise InputError(f"OpenMM cannot simulate this System on the {platform.name} platform: {error}") from error
        if self._box is not None:
            self._context.setPeriodicBoxVectors(*self._box)

    def start(self) -> None:
        """Prepare the first step: relax, check, draw velocities, and write what describes the run."""
        config = self._config
        self._create_context(config.seed)
        relaxed, forces = self._relax()
        self._check_start(self._by_replica(relaxed), self._by_replica(forces))
        self._context.setVelocitiesToTemperature(config.temperature, config.seed + 1)
        if config.ensemble == "NVE":
            self._remove_drift()
        self._folder.clear()
        self._write_run("start")
        for folder, positions in zip(self._folders, self._by_replica(relaxed), strict=True):
            folder.write_topology(self._topology)
            write_structure(folder.structure, self._topology, positions, self._box)
        if config.replicas > 1:
            self._folder.write_topology(self._topology)
            write_structure(self._folder.structure, self._topology, self._by_replica(relaxed)[0], self._box)

    def _check_start(self, positions: np.ndarray, forces: np.ndarray) -> None:
        """Check the starting structure of each replica; positions [nm] and forces are (replicas, n_beads, 3)."""
        config, masses = self._config, self._by_replica(self._masses)[0]
        if self._one is not None:
            total = self._context.getState(energy=True).getPotentialEnergy()
            self._one.check_sum(positions, total.value_in_unit(unit.kilojoule_per_mole))
        found: list[str] = []
        for number, (where, force) in enumerate(zip(positions, forces, strict=True)):
            if number and np.array_equal(where, positions[0]):
                continue
            check_forces(where, force, self._box, masses, config.temperature, config.time_step)
            if self._contacts is not None and (note := check_contacts(self._contacts, where, self._box)):
                found.append(note)
        if found:
            self._note(found[0] if len(found) == 1 else f"{found[0]}; {len(found) - 1} more replicas start likewise")

    def _relax(self) -> tuple[np.ndarray, np.ndarray]:
        """Starting positions [nm], minimized if asked for, and the forces there [kJ/mol/nm]."""
        try:
            if self._config.minimize and self._one is not None:
                relaxed = self._one.relax(self._by_replica(self._positions), _MINIMIZATION_STEPS)
                self._context.setPositions(relaxed.reshape(-1, 3))
            else:
                self._context.setPositions(self._positions)
            if self._config.minimize and self._one is None:
                openmm.LocalEnergyMinimizer.minimize(self._context, maxIterations=_MINIMIZATION_STEPS)
            state = self._context.getState(positions=True, forces=True)
        except openmm.OpenMMException as error:
            raise SimulationError(f"the starting structure cannot be evaluated: {error}") from error
        forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
        return state.getPositions(asNumpy=True).value_in_unit(unit.nanometer), forces

    def _remove_drift(self) -> None:
        """Stop the center of mass of each replica."""
        velocities = self._by_replica(self._context.getState(velocities=True).getVelocities(asNumpy=True)._value)
        masses = self._by_replica(self._masses)[:, :, None]
        drift = (masses * velocities).sum(axis=1, keepdims=True) / masses.sum(axis=1, keepdims=True)
        self._context.setVelocities((velocities - drift * (masses > 0)).reshape(-1, 3))

    def _write_run(self, mode: str) -> None:
        self._segments.append(
            {
                "from_step": self._start_step,
                "mode": mode,
                "platform": self._platform.name,
                "properties": self._platform.properties,
                "platform_reason": self._platform.reason,
                "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "versions": collect_versions(),
            }
        )
        record = RunRecord(
            config=self._config.model_dump(),
            n_steps=self._config.n_steps,
            steps_per_frame=self._config.steps_per_frame,
            n_beads=self._topology.n_beads,
            box=None if self._box is None else self._box.tolist(),
            topology_fingerprint=self._topology.fingerprint,
            system_fingerprint=self._fingerprint,
            segments=tuple(self._segments),
            notes=tuple(self._notes),
            force_field=self._record.get("force_field"),
            ml_backend=self._record.get("ml_backend"),
            others={name: value for name, value in self._record.items() if name not in ("force_field", "ml_backend")},
        )
        record.write(self._folder.record)
        if self._config.replicas > 1:
            for number, folder in enumerate(self._folders, 1):
                folder.path.mkdir(exist_ok=True)
                replace(record, replica=number).write(folder.record)

    # --- resuming --------------------------------------------------------------------------------------------------

    def find_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint that is whole and fits the run's files; None if the run never got to one."""
        checkpoint, rejected = find_checkpoint(
            self._folder.checkpoints, lambda found: check_replica_marks(self._folders, found.meta["files"])
        )
        for reason in rejected:
            self._note(f"checkpoint passed over: {reason}")
        if checkpoint is None:
            return None
        self._check_same_run(checkpoint)
        return checkpoint

    def _check_same_run(self, checkpoint: Checkpoint) -> None:
        before = self._folder.read_record()
        then = SimulationConfig(**before.config).model_dump()
        changed = [
            f"{name} was {then[name]!r}, now {value!r}"
            for name, value in self._config.model_dump().items()
            if name not in MAY_CHANGE and then[name] != value
        ]
        if changed:
            raise InputError(
                f"{self._folder} was started with other settings: {'; '.join(changed)}. Give the same, or start anew"
            )
        if checkpoint.meta["topology_fingerprint"] != self._topology.fingerprint:
            raise InputError(f"{self._folder} was started with another topology ({self._folder.topology})")
        if checkpoint.meta["system_fingerprint"] != self._fingerprint:
            raise InputError(
                f"{self._folder} was started with another System: its forces, parameters or force field have changed "
                "since. Use the same model, or start anew in another folder"
            )
        if self._folder.result.exists() and self._folder.read_result().status == UNSTABLE:
            raise InputError(
                f"{self._folder} became unstable; going on would repeat it. Start anew with a smaller time step; "
                f"{self._folder.last_good.name} holds the last good state"
            )
        self._segments = [dict(segment) for segment in before.segments]

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Bring context and files to where they were at a checkpoint."""
        self._create_context(self._config.seed + len(self._segments))
        mode = self._load(checkpoint)
        self._marks = checkpoint.meta["files"]
        self._wall_time, self._start_step, self._step = checkpoint.meta["wall_time"], checkpoint.step, checkpoint.step
        self._monitors.restore(checkpoint.meta["temperature_history"])
        for folder in {self._folder, *self._folders}:
            folder.result.unlink(missing_ok=True)
        discard_newer(self._folder.checkpoints, checkpoint.step)
        self._write_run(mode)

    def _load(self, checkpoint: Checkpoint) -> str:
        meta, same = checkpoint.meta, self._engine_signature()
        if meta["engine"] == same:
            try:
                self._context.loadCheckpoint(checkpoint.context)
            except openmm.OpenMMException as error:
                self._note(f"OpenMM refused its own checkpoint ({error}); continuing from positions and velocities")
            else:
                if self._agrees_with(checkpoint):
                    return "bit-identical" if self._platform.name == "Reference" else "continuous"
                self._note(
                    "OpenMM's checkpoint does not hold the recorded positions; continuing from the recorded ones"
                )
        else:
            self._note(f"continuing on {same}, before on {meta['engine']}: continuous, not bit-identical")
        if checkpoint.box is not None:
            self._context.setPeriodicBoxVectors(*checkpoint.box)
        self._context.setPositions(checkpoint.positions)
        self._context.setVelocities(checkpoint.velocities)
        self._context.setStepCount(checkpoint.step // self._config.network_interval)
        self._context.setTime(checkpoint.step * self._config.time_step)
        return "continuous"

    def _agrees_with(self, checkpoint: Checkpoint) -> bool:
        positions = self._context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        return self._steps_of_context() == checkpoint.step and np.allclose(positions, checkpoint.positions, atol=1e-5)

    def _steps_of_context(self) -> int:
        """Steps of the priors that the Context has done; it counts those of the network."""
        return int(self._context.getStepCount()) * self._config.network_interval

    def _engine_signature(self) -> str:
        properties = " ".join(f"{key}={value}" for key, value in sorted(self._platform.properties.items()))
        backend = self._record.get("ml_backend", "")
        return " ".join(f"OpenMM {openmm.version.version} {self._platform.name} {properties} {backend}".split())

    # --- running ---------------------------------------------------------------------------------------------------

    def run(self, progress: bool) -> SimulationResult:
        """Do the remaining steps and write the result."""
        config = self._config
        with ReplicaOutput(
            self._folders, self._topology, self._box, _schedule(config), config.temperature, self._marks
        ) as self._output:
            if self._marks is None:
                self._write_checkpoint(self._take_snapshot())
            aggregate = config.time_step * config.replicas
            with show_progress(config.n_steps, self._step, aggregate, enabled=progress) as report:
                try:
                    self._step_on(report)
                except SimulationError as error:
                    self._output.close()
                    self._report_failure(error)
                    raise
        status = COMPLETE if self._step >= config.n_steps else INTERRUPTED
        return self._finish(status)

    def _step_on(self, report: ProgressReport) -> None:
        config = self._config
        interval = config.network_interval
        chunk, frame_began, frame_step = interval, time.perf_counter(), self._step
        while self._step < config.n_steps:
            began = time.perf_counter()
            n = min(chunk, config.steps_per_frame - self._step % config.steps_per_frame)
            self._advance(n)
            seconds = max(time.perf_counter() - began, 1e-6)
            chunk = max(1, min(2 * chunk, int(n * _SECONDS_PER_CHUNK / seconds)) // interval) * interval
            if self._step % config.steps_per_frame == 0:
                now = time.perf_counter()
                self._record_frame((self._step - frame_step) / max(now - frame_began, 1e-9))
                frame_began, frame_step = now, self._step
            self._wall_time += time.perf_counter() - began
            report(self._step)
            if self._interruption.is_requested:
                if self._step % config.steps_per_checkpoint:
                    # Before the energies: on the Reference platform a CustomIntegrator spends random numbers on them.
                    context = self._context.createCheckpoint()
                    snapshot = self._take_snapshot()
                    self._check(snapshot, self._split(snapshot))
                    self._write_checkpoint(snapshot, context)
                return

    def _advance(self, n: int) -> None:
        try:
            self._integrator.step(n // self._config.network_interval)
        except openmm.OpenMMException as error:
            step, text = self._steps_of_context(), str(error)
            if any(word in text.lower() for word in ("nan", "finite")):
                raise UnstableSimulationError(step, text) from error
            raise SimulationError(f"OpenMM stopped after {step} steps: {text}") from error
        self._step += n

    def _record_frame(self, steps_per_second: float) -> None:
        snapshot = self._take_snapshot()
        replicas = self._split(snapshot)
        self._check(snapshot, replicas)
        self._output.append(replicas, steps_per_second)
        if self._step % self._config.steps_per_checkpoint == 0 or self._step >= self._config.n_steps:
            self._write_checkpoint(snapshot)

    def _take_snapshot(self) -> Snapshot:
        state = self._context.getState(positions=True, velocities=True, energy=True)
        kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
        return Snapshot(
            step=self._step,
            time=self._step * self._config.time_step,
            positions=state.getPositions(asNumpy=True).value_in_unit(unit.nanometer),
            velocities=state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond),
            box=self._box,
            potential_energy=state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole),
            kinetic_energy=kinetic,
            temperature=2 * kinetic / (BOLTZMANN * max(1, self._degrees_of_freedom * self._config.replicas)),
        )

    def _split(self, snapshot: Snapshot) -> list[Snapshot]:
        """The states of the replicas."""
        if self._one is None:
            return [snapshot]
        velocities = snapshot.velocities
        if isinstance(self._integrator, openmm.VerletIntegrator):  # it keeps velocities of half a step ago
            forces = self._context.getState(forces=True).getForces(asNumpy=True)
            pull = forces.value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
            velocities = velocities + 0.5 * self._config.time_step * pull / self._masses[:, None]
        energies = self._one.energies(self._by_replica(snapshot.positions))
        return split_snapshot(snapshot, energies, velocities, self._masses, self._degrees_of_freedom)

    def _check(self, snapshot: Snapshot, replicas: Sequence[Snapshot]) -> None:
        self._monitors.check(replicas)
        self._last_good = snapshot

    def _write_checkpoint(self, snapshot: Snapshot, context: bytes | None = None) -> None:
        files = self._output.commit()
        meta = {
            "engine": self._engine_signature(),
            "time": snapshot.time,
            "seed": self._config.seed,
            "system_fingerprint": self._fingerprint,
            "topology_fingerprint": self._topology.fingerprint,
            "wall_time": self._wall_time,
            "temperature_history": self._monitors.history,
            "files": files,
        }
        checkpoint = Checkpoint(
            step=snapshot.step,
            positions=snapshot.positions,
            velocities=snapshot.velocities,
            box=snapshot.box,
            context=context or self._context.createCheckpoint(),
            meta=meta,
        )
        write_checkpoint(self._folder.checkpoints, checkpoint)

    # --- ending ----------------------------------------------------------------------------------------------------

    def _report_failure(self, error: SimulationError) -> None:
        good = self._last_good
        if good is not None:
            arrays = {"positions": good.positions, "velocities": good.velocities}
            write_atomically(self._folder.last_good, save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
            self._notes.append(f"{self._folder.last_good.name} holds the state after {good.step} steps")
        self._finish(UNSTABLE, str(error))

    def _finish(self, status: str, reason: str | None = None) -> SimulationResult:
        results = [
            self._summarize(folder, monitor, status, reason)
            for folder, monitor in zip(self._folders, self._monitors.each, strict=True)
        ]
        for each in results:
            each.write()
        if len(results) == 1:
            return results[0]
        result = combine_replicas(self._folder.path, results)
        result.write()
        return result

    def _summarize(
        self, folder: RunFolder, monitor: StabilityMonitor, status: str, reason: str | None
    ) -> SimulationResult:
        """The result of one replica."""
        rate = self._step / self._wall_time if self._wall_time > 0 else 0.0
        averages = _averages(folder, self._topology.n_beads)
        return SimulationResult(
            output=folder.path,
            status=status,
            steps=self._step,
            time=self._step * self._config.time_step,
            n_frames=self._output.n_frames,
            wall_time=self._wall_time,
            steps_per_second=rate,
            ns_per_day=ns_per_day(rate, self._config.time_step),
            mean_temperature=averages["mean_temperature"],
            temperature_error=averages["temperature_error"],
            mean_potential_energy=averages["mean_potential_energy"],
            largest_bond_deviation=monitor.largest_bond_deviation,
            closest_contact=monitor.closest_contact,
            reason=reason,
            notes=tuple(self._notes),
        )


def _choose_system_of_one(system: openmm.System, given: openmm.System | None, replicas: int) -> openmm.System:
    """The System of one replica.

    Raises:
        InputError: If there are several and it is missing or of another size.
    """
    if replicas == 1:
        return system
    if given is None:
        raise InputError(f"{replicas} replicas need the System of one as well: pass system_of_one")
    if replicas * given.getNumParticles() != system.getNumParticles():
        raise InputError(
            f"the System has {system.getNumParticles()} particles, not {replicas} times the "
            f"{given.getNumParticles()} of the System of one"
        )
    return given


def _relaxation_time(config: SimulationConfig) -> float:
    """Time that the thermostat needs to take up what the starting structure gives off [ps]."""
    return 5 / config.friction if config.ensemble == "NVT" and config.friction > 0 else float("inf")


def _masses(system: openmm.System) -> np.ndarray:
    return np.array([system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())])


def _schedule(config: SimulationConfig) -> FrameSchedule:
    return FrameSchedule(time_step=config.time_step, steps_per_frame=config.steps_per_frame, n_steps=config.n_steps)


def _averages(folder: RunFolder, n_beads: int) -> dict[str, float | None]:
    """Mean temperature [K], its error, and mean potential energy per bead [kJ/mol] of a log after its equilibration."""
    columns = read_log(folder.log)
    start = int(_EQUILIBRATION_FRACTION * len(columns[TEMPERATURE]))
    temperatures, energies = columns[TEMPERATURE][start:], columns[POTENTIAL][start:]
    enough = len(temperatures) >= _FEWEST_FOR_ERROR
    return {
        "mean_temperature": float(temperatures.mean()) if len(temperatures) else None,
        "temperature_error": compute_average(temperatures).standard_error if enough else None,
        "mean_potential_energy": float(energies.mean()) / n_beads if len(energies) else None,
    }
