"""Simulations that can be killed at any moment, notice when they go wrong, and go on from where they were."""

from __future__ import annotations

import datetime
import importlib.metadata
import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from openmm import unit
from safetensors.numpy import save

from openmm_cgml.analysis.block_average import compute_average
from openmm_cgml.builder.structure_file import write_structure
from openmm_cgml.errors import InputError, OutputExistsError, SimulationError
from openmm_cgml.interruption import Interruption
from openmm_cgml.simulation.checkpoint import Checkpoint, discard_newer, find_checkpoint, write_checkpoint
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.simulation.output import LOG, SimulationOutput, Snapshot, check_marks
from openmm_cgml.simulation.platform import choose_platform, fingerprint_system
from openmm_cgml.simulation.progress import ProgressReport, ns_per_day, show_progress
from openmm_cgml.simulation.result import COMPLETE, INTERRUPTED, RESULT, UNSTABLE, SimulationResult
from openmm_cgml.simulation.stability import ContactReferences, StabilityMonitor, UnstableSimulationError
from openmm_cgml.simulation.start import (
    bond_references,
    check_contacts,
    check_forces,
    check_native_cutoffs,
    check_shapes,
    check_time_step,
)
from openmm_cgml.storage import lock_directory, prepare_output, read_json, write_atomically, write_json
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN

logger = logging.getLogger(__name__)

RUN, TOPOLOGY, STRUCTURE, CHECKPOINTS, LAST_GOOD = (
    "simulation.json",
    "topology.json",
    "topology.cif",
    "checkpoints",
    "last_good.safetensors",
)
SCHEMA = "openmm-cgml/simulation/1"
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
) -> SimulationResult:
    """Simulate any `openmm.System` of beads, writing frames, a log and checkpoints into `output`.

    A run that is killed, interrupted or out of disk space goes on with `resume=True`. It is bit-identical to one that
    was never stopped on the Reference platform; elsewhere it is continuous in positions, velocities and time.

    Args:
        system: The System; it is not changed.
        topology: Its beads.
        positions: Starting positions [nm], shape (n_beads, 3); not used when resuming from a checkpoint.
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
    run = _Run(system, topology, positions, box, config, identity, contacts, dict(record or {}), notes)
    folder = prepare_output(output, resume=resume or overwrite)
    _check_is_run(folder)
    with lock_directory(folder), Interruption() as interruption:
        run.attach(folder, interruption)
        if resume and (checkpoint := run.find_checkpoint()) is not None:
            if checkpoint.step >= config.n_steps and (folder / RESULT).exists():
                return SimulationResult.read(folder)
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
    ) -> None:
        self._system, self._topology, self._config, self._record = system, topology, config, record
        self._positions, self._box = check_shapes(system, topology, positions, box)
        check_native_cutoffs(system, self._box)
        self._masses = _masses(system)
        bonds = bond_references(system)
        note = check_time_step(config.time_step, bonds, self._masses)
        self._notes: list[str] = []
        self._contacts = contacts
        for text in (*notes, *([note] if note else [])):
            self._note(text)
        self._fingerprint = fingerprint_system(system, identity)
        self._platform = choose_platform(config.platform, config.threads)
        self._monitor = StabilityMonitor(
            config.temperature, self._degrees_of_freedom, bonds, contacts, _relaxation_time(config)
        )
        self._segments: list[dict[str, Any]] = []
        self._marks: dict[str, Any] | None = None
        self._wall_time, self._start_step, self._step = 0.0, 0, 0
        self._last_good: Snapshot | None = None

    def attach(self, folder: Path, interruption: Interruption) -> None:
        """Set where to write and what asks to stop."""
        self._folder, self._interruption = folder, interruption

    def _note(self, text: str) -> None:
        logger.warning(text)
        self._notes.append(text)

    @property
    def _degrees_of_freedom(self) -> int:
        removed = any(isinstance(force, openmm.CMMotionRemover) for force in self._system.getForces())
        moving = int(np.count_nonzero(self._masses))
        return 3 * moving - self._system.getNumConstraints() - 3 * (removed or self._config.ensemble == "NVE")

    # --- beginning -------------------------------------------------------------------------------------------------

    def _create_context(self, seed: int) -> None:
        config = self._config
        if config.ensemble == "NVT":
            integrator = openmm.LangevinMiddleIntegrator(config.temperature, config.friction, config.time_step)
            integrator.setRandomNumberSeed(seed + 1)  # OpenMM takes 0 for "any"
        else:
            integrator = openmm.VerletIntegrator(config.time_step)
        if config.threads is not None and "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(config.threads)
        self._integrator = integrator
        platform = self._platform
        try:
            self._context = openmm.Context(self._system, integrator, platform.platform, platform.properties)
        except openmm.OpenMMException as error:
            raise InputError(f"OpenMM cannot simulate this System on the {platform.name} platform: {error}") from error
        if self._box is not None:
            self._context.setPeriodicBoxVectors(*self._box)

    def start(self) -> None:
        """Prepare the first step: relax, check, draw velocities, and write what describes the run."""
        config = self._config
        self._create_context(config.seed)
        relaxed, forces = self._relax()
        check_forces(relaxed, forces, self._box, self._masses, config.temperature, config.time_step)
        if self._contacts is not None and (note := check_contacts(self._contacts, relaxed, self._box)):
            self._note(note)
        self._context.setVelocitiesToTemperature(config.temperature, config.seed + 1)
        if config.ensemble == "NVE":
            self._remove_drift()
        _clear(self._folder)
        self._write_run("start")
        write_json(self._folder / TOPOLOGY, self._topology.to_dict())
        write_structure(self._folder / STRUCTURE, self._topology, relaxed, self._box)

    def _relax(self) -> tuple[np.ndarray, np.ndarray]:
        """Starting positions [nm], minimized if asked for, and the forces there [kJ/mol/nm]."""
        self._context.setPositions(self._positions)
        try:
            if self._config.minimize:
                openmm.LocalEnergyMinimizer.minimize(self._context, maxIterations=_MINIMIZATION_STEPS)
            state = self._context.getState(positions=True, forces=True)
        except openmm.OpenMMException as error:
            raise SimulationError(f"the starting structure cannot be evaluated: {error}") from error
        forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
        return state.getPositions(asNumpy=True).value_in_unit(unit.nanometer), forces

    def _remove_drift(self) -> None:
        velocities = self._context.getState(velocities=True).getVelocities(asNumpy=True)._value
        drift = (self._masses[:, None] * velocities).sum(axis=0) / self._masses.sum()
        self._context.setVelocities(velocities - drift * (self._masses > 0)[:, None])

    def _write_run(self, mode: str) -> None:
        self._segments.append(
            {
                "from_step": self._start_step,
                "mode": mode,
                "platform": self._platform.name,
                "properties": self._platform.properties,
                "platform_reason": self._platform.reason,
                "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "versions": _versions(),
            }
        )
        content = {
            "schema": SCHEMA,
            "config": self._config.model_dump(),
            "n_steps": self._config.n_steps,
            "steps_per_frame": self._config.steps_per_frame,
            "n_beads": self._topology.n_beads,
            "box": None if self._box is None else self._box.tolist(),
            "topology_fingerprint": self._topology.fingerprint,
            "system_fingerprint": self._fingerprint,
            "segments": self._segments,
            "notes": self._notes,
            **self._record,
        }
        write_json(self._folder / RUN, content)

    # --- resuming --------------------------------------------------------------------------------------------------

    def find_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint that is whole and fits the run's files; None if the run never got to one."""
        checkpoint, rejected = find_checkpoint(
            self._folder / CHECKPOINTS, lambda found: check_marks(self._folder, found.meta["files"])
        )
        for reason in rejected:
            self._note(f"checkpoint passed over: {reason}")
        if checkpoint is None:
            return None
        self._check_same_run(checkpoint)
        return checkpoint

    def _check_same_run(self, checkpoint: Checkpoint) -> None:
        before = read_json(self._folder / RUN)
        now = self._config.model_dump()
        changed = [
            f"{name} was {before['config'].get(name)!r}, now {value!r}"
            for name, value in now.items()
            if name not in MAY_CHANGE and before["config"].get(name) != value
        ]
        if changed:
            raise InputError(
                f"{self._folder} was started with other settings: {'; '.join(changed)}. Give the same, or start anew"
            )
        if checkpoint.meta["topology_fingerprint"] != self._topology.fingerprint:
            raise InputError(f"{self._folder} was started with another topology ({self._folder / TOPOLOGY})")
        if checkpoint.meta["system_fingerprint"] != self._fingerprint:
            raise InputError(
                f"{self._folder} was started with another System: its forces, parameters or force field have changed "
                "since. Use the same model, or start anew in another folder"
            )
        if (self._folder / RESULT).exists() and SimulationResult.read(self._folder).status == UNSTABLE:
            raise InputError(
                f"{self._folder} became unstable; going on would repeat it. Start anew with a smaller time step; "
                f"{LAST_GOOD} holds the last good state"
            )
        self._segments = list(before["segments"])

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Bring context and files to where they were at a checkpoint."""
        self._create_context(self._config.seed + len(self._segments))
        mode = self._load(checkpoint)
        self._marks = checkpoint.meta["files"]
        self._wall_time, self._start_step, self._step = checkpoint.meta["wall_time"], checkpoint.step, checkpoint.step
        self._monitor.restore(checkpoint.meta["temperature_history"])
        (self._folder / RESULT).unlink(missing_ok=True)
        discard_newer(self._folder / CHECKPOINTS, checkpoint.step)
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
        self._context.setStepCount(checkpoint.step)
        self._context.setTime(checkpoint.step * self._config.time_step)
        return "continuous"

    def _agrees_with(self, checkpoint: Checkpoint) -> bool:
        positions = self._context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        return self._context.getStepCount() == checkpoint.step and np.allclose(
            positions, checkpoint.positions, atol=1e-5
        )

    def _engine_signature(self) -> str:
        properties = " ".join(f"{key}={value}" for key, value in sorted(self._platform.properties.items()))
        backend = self._record.get("ml_backend", "")
        return " ".join(f"OpenMM {openmm.version.version} {self._platform.name} {properties} {backend}".split())

    # --- running ---------------------------------------------------------------------------------------------------

    def run(self, progress: bool) -> SimulationResult:
        """Do the remaining steps and write the result."""
        config = self._config
        with SimulationOutput(self._folder, self._topology, self._box, config, self._marks) as self._output:
            if self._marks is None:
                self._write_checkpoint(self._take_snapshot())
            with show_progress(config.n_steps, self._step, config.time_step, enabled=progress) as report:
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
        chunk, frame_began, frame_step = 1, time.perf_counter(), self._step
        while self._step < config.n_steps:
            began = time.perf_counter()
            n = min(chunk, config.steps_per_frame - self._step % config.steps_per_frame)
            self._advance(n)
            seconds = max(time.perf_counter() - began, 1e-6)
            chunk = max(1, min(2 * chunk, int(n * _SECONDS_PER_CHUNK / seconds)))
            if self._step % config.steps_per_frame == 0:
                now = time.perf_counter()
                self._record_frame((self._step - frame_step) / max(now - frame_began, 1e-9))
                frame_began, frame_step = now, self._step
            self._wall_time += time.perf_counter() - began
            report(self._step)
            if self._interruption.is_requested:
                if self._step % config.steps_per_checkpoint:
                    snapshot = self._take_snapshot()
                    self._check(snapshot)
                    self._write_checkpoint(snapshot)
                return

    def _advance(self, n: int) -> None:
        try:
            self._integrator.step(n)
        except openmm.OpenMMException as error:
            step, text = self._context.getStepCount(), str(error)
            if any(word in text.lower() for word in ("nan", "finite")):
                raise UnstableSimulationError(step, text) from error
            raise SimulationError(f"OpenMM stopped after {step} steps: {text}") from error
        self._step += n

    def _record_frame(self, steps_per_second: float) -> None:
        snapshot = self._take_snapshot()
        self._check(snapshot)
        self._output.append(snapshot, steps_per_second)
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
            temperature=2 * kinetic / (BOLTZMANN * max(1, self._degrees_of_freedom)),
        )

    def _check(self, snapshot: Snapshot) -> None:
        self._monitor.check(
            snapshot.step,
            snapshot.time,
            snapshot.positions,
            snapshot.box,
            snapshot.potential_energy,
            snapshot.temperature,
        )
        self._last_good = snapshot

    def _write_checkpoint(self, snapshot: Snapshot) -> None:
        files = self._output.commit()
        meta = {
            "engine": self._engine_signature(),
            "time": snapshot.time,
            "seed": self._config.seed,
            "system_fingerprint": self._fingerprint,
            "topology_fingerprint": self._topology.fingerprint,
            "wall_time": self._wall_time,
            "temperature_history": self._monitor.history,
            "files": files,
        }
        checkpoint = Checkpoint(
            step=snapshot.step,
            positions=snapshot.positions,
            velocities=snapshot.velocities,
            box=snapshot.box,
            context=self._context.createCheckpoint(),
            meta=meta,
        )
        write_checkpoint(self._folder / CHECKPOINTS, checkpoint)

    # --- ending ----------------------------------------------------------------------------------------------------

    def _report_failure(self, error: SimulationError) -> None:
        good = self._last_good
        if good is not None:
            arrays = {"positions": good.positions, "velocities": good.velocities}
            write_atomically(self._folder / LAST_GOOD, save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
            self._notes.append(f"{LAST_GOOD} holds the state after {good.step} steps")
        self._finish(UNSTABLE, str(error))

    def _finish(self, status: str, reason: str | None = None) -> SimulationResult:
        rate = self._step / self._wall_time if self._wall_time > 0 else 0.0
        result = SimulationResult(
            output=self._folder,
            status=status,
            steps=self._step,
            time=self._step * self._config.time_step,
            n_frames=self._output.n_frames,
            wall_time=self._wall_time,
            steps_per_second=rate,
            ns_per_day=ns_per_day(rate, self._config.time_step),
            **_averages(self._folder / LOG, self._topology.n_beads),
            largest_bond_deviation=self._monitor.largest_bond_deviation,
            closest_contact=self._monitor.closest_contact,
            reason=reason,
            notes=tuple(self._notes),
        )
        result.write()
        return result


def _relaxation_time(config: SimulationConfig) -> float:
    """Time that the thermostat needs to take up what the starting structure gives off [ps]."""
    return 5 / config.friction if config.ensemble == "NVT" and config.friction > 0 else float("inf")


def _masses(system: openmm.System) -> np.ndarray:
    return np.array([system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())])


def _check_is_run(folder: Path) -> None:
    """Refuse a folder that holds something other than a run, which would be deleted."""
    held = [path.name for path in folder.iterdir() if not path.name.startswith(".") and path.name != "run.json"]
    if held and RUN not in held:
        raise OutputExistsError(
            f"{folder} holds {sorted(held)[0]!r} and no {RUN}, so it is no simulation; choose another folder"
        )


def _clear(folder: Path) -> None:
    """Empty a run's folder; what says that it is one goes last, and the lock stays."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == RUN):
        if path.name != ".lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _averages(path: Path, n_beads: int) -> dict[str, float | None]:
    """Mean temperature [K], its error, and mean potential energy per bead [kJ/mol] of a log after its equilibration."""
    lines = path.read_text(encoding="utf8").splitlines()[1:]
    rows = np.array([[float(value) for value in line.split(",")] for line in lines]).reshape(-1, 6)
    rows = rows[int(_EQUILIBRATION_FRACTION * len(rows)) :]
    error = compute_average(rows[:, 2]).standard_error if len(rows) >= _FEWEST_FOR_ERROR else None
    return {
        "mean_temperature": float(rows[:, 2].mean()) if len(rows) else None,
        "temperature_error": error,
        "mean_potential_energy": float(rows[:, 3].mean()) / n_beads if len(rows) else None,
    }


def _versions() -> dict[str, str]:
    names = ("openmm-cgml", "openmm", "torch", "openmmtorch", "numpy")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
