"""run_reference: builds an atomistic liquid, finds its density at constant pressure, and records it at that density."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openmm
import pydantic
from openmm import app, unit

from openmm_cgml.config import Config, Density, Time
from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.interruption import Interruption
from openmm_cgml.reference.atomistic_models import AtomisticModel, find_atomistic_model
from openmm_cgml.reference.checkpoint import Checkpoint, read_newest_checkpoint, write_checkpoint
from openmm_cgml.reference.interaction_split import split_interactions
from openmm_cgml.reference.liquid_box import box_length, build_liquid, scale_centers
from openmm_cgml.reference.platforms import find_platform
from openmm_cgml.reference.recorder import ForceRecorder, recording_metadata
from openmm_cgml.reference.report import MIN_FRAMES, ReferenceReport, format_report, report_reference
from openmm_cgml.shards import FrameStore, FrameWriter
from openmm_cgml.specification import ReferenceSpecification, SystemSpecification
from openmm_cgml.storage import lock_directory, prepare_output, read_json, write_atomically, write_json
from openmm_cgml.units import DALTON_PER_NM3_IN_G_PER_CM3

__all__ = ["Progress", "ReferenceConfig", "ReferenceResult", "create_reference_system", "run_reference"]

Progress = Callable[[str, float, float], None]
"""Called as (stage, picoseconds done, picoseconds in all)."""

STAGES = ("build", "density", "relaxation", "recording")
RECORDING = "recording"
_CHECKPOINTS = "checkpoints"
_BAROSTAT_INTERVAL = 25  # steps
_BYTES_PER_ATOM = 36  # positions, forces and intermolecular forces in single precision
_EQUILIBRATION_CHECKPOINT = 10.0  # ps


class ReferenceConfig(Config):
    """Lengths and settings of an atomistic reference run.

    Attributes:
        molecules: Number of molecules; None takes the count of the specification.
        density_duration: Constant-pressure run that finds the density [ps].
        density_discard: Part of it at the start that does not count [ps].
        density: Skip that run and use this density [g/cm^3].
        relaxation_duration: Constant-volume run before the recording [ps].
        duration: Recorded constant-volume run [ps].
        frame_interval: Time between frames [ps].
        frames_per_shard: Frames per file; a kill loses at most the frames of one file.
        seed: Seed of the starting box, velocities and thermostat.
        platform: OpenMM platform; None takes the fastest.
        threads: Threads of the CPU platform; None takes OpenMM's choice.
    """

    molecules: int | None = pydantic.Field(default=None, ge=1)
    density_duration: Time = pydantic.Field(default=80.0, gt=0.0)
    density_discard: Time = pydantic.Field(default=30.0, ge=0.0)
    density: Density | None = None
    relaxation_duration: Time = pydantic.Field(default=10.0, ge=0.0)
    duration: Time = pydantic.Field(default=700.0, gt=0.0)
    frame_interval: Time = pydantic.Field(default=0.2, gt=0.0)
    frames_per_shard: int = pydantic.Field(default=50, ge=1)
    seed: int = pydantic.Field(default=1, ge=0)
    platform: Literal["CPU", "CUDA", "OpenCL", "HIP", "Reference"] | None = None
    threads: int | None = pydantic.Field(default=None, ge=1)

    @pydantic.model_validator(mode="after")
    def _check(self) -> ReferenceConfig:
        if self.density is None and self.density_discard >= self.density_duration:
            raise ValueError(
                f"density_discard ({self.density_discard:g} ps) must be less than density_duration "
                f"({self.density_duration:g} ps), or nothing is left to average"
            )
        return self


@dataclass(frozen=True, eq=False, kw_only=True)
class ReferenceResult:
    """What an atomistic reference run left behind.

    Attributes:
        recording: Folder of the recorded frames, a FrameStore.
        n_frames: Number of frames.
        density: Density of the recorded box [g/cm^3].
        density_samples: Densities of the constant-pressure run after the discarded part [g/cm^3]; empty if the density
            was given.
        report: Averages and g(r) of the recording; None with fewer than ten frames.
    """

    recording: Path
    n_frames: int
    density: float
    density_samples: np.ndarray
    report: ReferenceReport | None


def create_reference_system(
    model: AtomisticModel, n_molecules: int, settings: ReferenceSpecification, length: float
) -> tuple[app.Topology, openmm.System]:
    """Topology and interaction-split System of `n_molecules` in a cubic box of edge `length` [nm].

    Bonds to hydrogen are constrained and hydrogens carry `settings.hydrogen_mass`. Electrostatics by PME,
    Lennard-Jones switched and with the dispersion correction.

    Raises:
        InputError: The box is smaller than twice the cutoff.
    """
    if length < 2.0 * settings.cutoff:
        raise InputError(
            f"{n_molecules} molecules fill a box of {length:.3f} nm, less than twice the cutoff of "
            f"{settings.cutoff:g} nm; simulate more molecules or set a shorter reference.cutoff in system.yaml"
        )
    topology = model.topology(n_molecules)
    topology.setUnitCellDimensions(openmm.Vec3(length, length, length))
    system = model.force_field().createSystem(
        topology,
        nonbondedMethod=app.PME,
        nonbondedCutoff=settings.cutoff,
        switchDistance=settings.switch_distance,
        constraints=app.HBonds,
        hydrogenMass=settings.hydrogen_mass,
    )
    split_interactions(system, np.arange(n_molecules * model.n_atoms).reshape(n_molecules, -1).tolist())
    return topology, system


def run_reference(
    specification: SystemSpecification,
    output: str | Path,
    config: ReferenceConfig | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ReferenceResult:
    """Runs the atomistic reference of a system and returns where its recording lies.

    Builds the liquid, averages the density at constant temperature and pressure, scales the box to it, relaxes, and
    records at constant volume with a `ForceRecorder`. The recording can be opened while the run goes on. Ctrl-C and
    SIGTERM stop between two frames with everything saved; a kill loses at most one file of frames.

    Args:
        specification: The system; it needs a `reference` section and exactly one kind of residue.
        output: Folder to write to: `recording/`, `checkpoints/`, `protocol.json`, `report.json`, `report.txt`.
        config: Lengths and settings.
        resume: Go on where an earlier run in `output` stopped; only a longer `duration` may differ.
        overwrite: Delete what is in `output` first.
        progress: Called with stage, picoseconds done and picoseconds in all.

    Raises:
        InputError: The specification or the configuration does not fit, or differs from that of the run to resume.
        OutputExistsError: `output` has content and neither `resume` nor `overwrite` is set.
        SimulationError: The dynamics became unstable.
    """
    config = config or ReferenceConfig()
    plan = _plan(specification, config)
    folder = prepare_output(output, overwrite=overwrite, resume=resume)
    with lock_directory(folder), Interruption() as interruption:
        _check_same_run(folder / "protocol.json", plan.describe())
        return _Run(plan, folder, interruption, progress or no_progress).finish()


@dataclass(frozen=True, eq=False, kw_only=True)
class _Plan:
    specification: SystemSpecification
    settings: ReferenceSpecification
    config: ReferenceConfig
    model: AtomisticModel
    n_molecules: int

    @property
    def total_mass(self) -> float:
        return float(self.model.masses.sum()) * self.n_molecules

    def steps(self, duration: float) -> int:
        return round(duration / self.settings.time_step)

    def describe(self) -> dict[str, Any]:
        return {
            "schema": "openmm-cgml/reference-run-1",
            "system": self.specification.name,
            "temperature": self.specification.temperature,
            "pressure": self.specification.pressure,
            "reference": self.settings.model_dump(mode="json"),
            "config": self.config.model_dump(mode="json"),
            "n_molecules": self.n_molecules,
            "openmm": openmm.__version__,
        }


def _plan(specification: SystemSpecification, config: ReferenceConfig) -> _Plan:
    settings = specification.reference
    if settings is None:
        raise InputError(f"system {specification.name!r} has no `reference` section; add one to its system.yaml")
    if len(specification.residues) != 1:
        n_kinds = len(specification.residues)
        raise InputError(f"atomistic boxes hold one kind of molecule, {specification.name!r} has {n_kinds}")
    residue, model = specification.residues[0], find_atomistic_model(settings.force_field)
    atoms = tuple((atom.name, atom.element) for atom in residue.atoms)
    if residue.name != model.residue_name or atoms != tuple(zip(model.atom_names, model.elements, strict=True)):
        raise InputError(
            f"residue {residue.name!r} of system {specification.name!r} does not list the atoms of {model.name!r}: "
            f"residue {model.residue_name!r} with {' '.join(model.atom_names)} in this order"
        )
    ratio = config.frame_interval / settings.time_step
    if abs(ratio - round(ratio)) > 1e-6 or round(ratio) < 1:
        raise InputError(
            f"frame_interval {config.frame_interval:g} ps is not a multiple of the time step {settings.time_step:g} ps"
        )
    return _Plan(
        specification=specification,
        settings=settings,
        config=config,
        model=model,
        n_molecules=config.molecules or residue.count,
    )


def _check_same_run(path: Path, description: dict[str, Any]) -> None:
    description = json.loads(json.dumps(description))
    if path.exists():
        earlier = read_json(path)
        changed = [
            f"{key}: was {earlier.get(section, {}).get(key)!r}, now {value!r}"
            for section in ("reference", "config")
            for key, value in description[section].items()
            if key not in ("duration", "threads", "platform") and earlier.get(section, {}).get(key) != value
        ]
        changed += [
            f"{key}: was {earlier.get(key)!r}, now {description[key]!r}"
            for key in ("schema", "system", "temperature", "pressure", "n_molecules")
            if earlier.get(key) != description[key]
        ]
        if changed:
            raise InputError(f"the run in {path.parent} has other settings ({'; '.join(changed)}); use another output")
    write_json(path, description)


def no_progress(stage: str, done: float, total: float) -> None:
    """A `Progress` that shows nothing."""


class _Run:
    """The stages of one run, each starting from the newest checkpoint."""

    def __init__(self, plan: _Plan, folder: Path, interruption: Interruption, progress: Progress) -> None:
        self._plan = plan
        self._folder = folder
        self._interruption = interruption
        self._progress = progress
        self._platform, self._properties = find_platform(plan.config.platform, plan.config.threads)

    def finish(self) -> ReferenceResult:
        point = read_newest_checkpoint(self._folder / _CHECKPOINTS) or self._build()
        if point.stage in ("build", "density"):
            point = self._find_density(point)
        if point.stage == "relaxation":
            point = self._relax(point)
        return self._record(point)

    def _build(self) -> Checkpoint:
        plan = self._plan
        density = plan.config.density or plan.settings.density
        start = box_length(plan.total_mass, min(0.59, density))
        _, system = create_reference_system(plan.model, plan.n_molecules, plan.settings, start)
        positions, length = build_liquid(
            plan.model,
            system,
            plan.n_molecules,
            density=density,
            temperature=plan.specification.temperature,
            initial_density=min(0.59, density),
            platform=self._platform,
            properties=self._properties,
            seed=plan.config.seed,
            progress=lambda reached: self._progress("build", reached, density),
        )
        simulation = self._simulation(length)
        simulation.context.setPositions(positions)
        simulation.context.setVelocitiesToTemperature(plan.specification.temperature, plan.config.seed + 3)
        stage = "build" if plan.config.density is None else "relaxation"
        return self._save(Checkpoint(stage=stage, step=0, n_frames=0, state=_state(simulation)))

    def _find_density(self, point: Checkpoint) -> Checkpoint:
        config, plan = self._plan.config, self._plan
        simulation = self._simulation(_length_of(point), pressure=plan.specification.pressure, seed=point.step)
        point.apply_to(simulation.context)
        densities = list(point.densities)
        per_picosecond, total = plan.steps(1.0), plan.steps(config.density_duration)
        step = point.step if point.stage == "density" else 0
        while step < total:
            _advance(simulation, per_picosecond)
            step += per_picosecond
            densities.append(self._density(simulation))
            self._progress("density", step * plan.settings.time_step, config.density_duration)
            due = len(densities) % round(_EQUILIBRATION_CHECKPOINT) == 0
            if due or step >= total or self._interruption.is_requested:
                point = self._save(
                    Checkpoint(
                        stage="density", step=step, n_frames=0, state=_state(simulation), densities=tuple(densities)
                    )
                )
            self._interruption.raise_again()
        return self._scale_to_mean_density(simulation, tuple(densities))

    def _scale_to_mean_density(self, simulation: app.Simulation, densities: tuple[float, ...]) -> Checkpoint:
        plan = self._plan
        length = box_length(plan.total_mass, float(self._counted(densities).mean()))
        state = simulation.context.getState(positions=True, velocities=True)
        now = state.getPeriodicBoxVectors()[0][0].value_in_unit(unit.nanometer)
        positions = np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        scaled = self._simulation(length)
        scaled.context.setPositions(scale_centers(positions, plan.model.n_atoms, length / now))
        scaled.context.setVelocities(state.getVelocities())
        scaled.context.setTime(0.0)
        return self._save(Checkpoint(stage="relaxation", step=0, n_frames=0, state=_state(scaled), densities=densities))

    def _counted(self, densities: tuple[float, ...]) -> np.ndarray:
        return np.asarray(densities[round(self._plan.config.density_discard) :])

    def _relax(self, point: Checkpoint) -> Checkpoint:
        plan = self._plan
        simulation = self._simulation(_length_of(point), seed=point.step)
        point.apply_to(simulation.context)
        total = plan.steps(plan.config.relaxation_duration)
        step = point.step
        while step < total:
            n_steps = min(plan.steps(1.0), total - step)
            _advance(simulation, n_steps)
            step += n_steps
            self._progress("relaxation", step * plan.settings.time_step, plan.config.relaxation_duration)
            self._interruption.raise_again()
        simulation.context.setTime(0.0)
        simulation.context.setStepCount(0)
        return self._save(
            Checkpoint(stage="recording", step=0, n_frames=0, state=_state(simulation), densities=point.densities)
        )

    def _record(self, point: Checkpoint) -> ReferenceResult:
        plan, config = self._plan, self._plan.config
        length = _length_of(point)
        density = plan.total_mass / length**3 * DALTON_PER_NM3_IN_G_PER_CM3
        simulation = self._simulation(length, seed=point.step)
        point.apply_to(simulation.context)
        interval = plan.steps(config.frame_interval)
        n_frames = int(config.duration / config.frame_interval + 1e-6)
        writer = FrameWriter(
            self._folder / RECORDING,
            metadata=self._metadata(simulation, density),
            frames_per_shard=config.frames_per_shard,
            resume=True,
        )
        _check_disk(self._folder, n_frames - point.n_frames, simulation.topology.getNumAtoms())
        with writer:
            writer.truncate(point.n_frames)
            simulation.reporters.append(ForceRecorder(writer, interval))
            while writer.n_frames < n_frames:
                _advance(simulation, interval)
                self._progress("recording", writer.n_frames * config.frame_interval, config.duration)
                if self._interruption.is_requested or writer.n_frames == n_frames:
                    writer.flush()
                if writer.n_frames == writer.n_stored:
                    self._save(
                        Checkpoint(
                            stage="recording",
                            step=simulation.currentStep,
                            n_frames=writer.n_frames,
                            state=_state(simulation),
                            densities=point.densities,
                        )
                    )
                self._interruption.raise_again()
        return self._result(density, self._counted(point.densities))

    def _result(self, density: float, samples: np.ndarray) -> ReferenceResult:
        recording = self._folder / RECORDING
        n_frames = FrameStore.open(recording, verify=False).n_frames
        report = None
        if n_frames >= MIN_FRAMES:
            report = report_reference(recording, self._plan.specification, density_samples=samples)
            write_atomically(self._folder / "report.json", report.to_json())
            write_atomically(self._folder / "report.txt", format_report(report) + "\n")
        return ReferenceResult(
            recording=recording, n_frames=n_frames, density=density, density_samples=samples, report=report
        )

    def _simulation(self, length: float, *, pressure: float | None = None, seed: int = 0) -> app.Simulation:
        plan = self._plan
        topology, system = create_reference_system(plan.model, plan.n_molecules, plan.settings, length)
        temperature = plan.specification.temperature
        if pressure is not None:
            barostat = openmm.MonteCarloBarostat(pressure * unit.bar, temperature, _BAROSTAT_INTERVAL)
            barostat.setRandomNumberSeed(plan.config.seed + seed + 1)
            system.addForce(barostat)
        integrator = openmm.LangevinMiddleIntegrator(temperature, plan.settings.friction, plan.settings.time_step)
        integrator.setRandomNumberSeed(plan.config.seed + seed + 2)
        return app.Simulation(topology, system, integrator, self._platform, self._properties)

    def _density(self, simulation: app.Simulation) -> float:
        volume = simulation.context.getState().getPeriodicBoxVolume().value_in_unit(unit.nanometer**3)
        density = self._plan.total_mass / volume * DALTON_PER_NM3_IN_G_PER_CM3
        if not np.isfinite(density):
            raise SimulationError(f"the density became {density} g/cm^3: the run is unstable, take a shorter time step")
        return density

    def _metadata(self, simulation: app.Simulation, density: float) -> dict[str, Any]:
        plan = self._plan
        return recording_metadata(
            simulation.topology,
            simulation.system,
            temperature=plan.specification.temperature,
            density=density,
            source={
                "system": plan.specification.name,
                "force_field": plan.model.name,
                "force_field_source": plan.model.source,
                "n_molecules": plan.n_molecules,
                "settings": plan.settings.model_dump(mode="json"),
                "frame_interval": plan.config.frame_interval,
                "protocol": "NPT density, NVT recording; HBonds constraints; PME; interaction split by molecule",
                "openmm": openmm.__version__,
            },
        )

    def _save(self, checkpoint: Checkpoint) -> Checkpoint:
        order = STAGES.index(checkpoint.stage)
        write_checkpoint(self._folder / _CHECKPOINTS, checkpoint, order=order)
        return checkpoint


def _advance(simulation: app.Simulation, n_steps: int) -> None:
    try:
        simulation.step(n_steps)
    except openmm.OpenMMException as error:
        time = simulation.context.getTime().value_in_unit(unit.picosecond)
        raise SimulationError(
            f"OpenMM stopped the run at {time:.3f} ps: {error}; the finished part is kept. If it is unstable, take a "
            "shorter time step; if the box got too small, more molecules"
        ) from error


def _check_disk(folder: Path, n_frames: int, n_atoms: int) -> None:
    needed = 1.02 * n_frames * n_atoms * _BYTES_PER_ATOM
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{n_frames} frames of {n_atoms} atoms need {needed / 1e9:.2f} GB, {folder} has {free / 1e9:.2f} GB free; "
            "make room, or take a longer frame_interval or a shorter duration"
        )


def _state(simulation: app.Simulation) -> str:
    state = simulation.context.getState(positions=True, velocities=True)
    if not np.isfinite(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)).all():
        raise SimulationError("positions are not finite: the run is unstable, take a shorter time step")
    return openmm.XmlSerializer.serialize(state)


def _length_of(point: Checkpoint) -> float:
    state = openmm.XmlSerializer.deserialize(point.state)
    return float(state.getPeriodicBoxVectors()[0][0].value_in_unit(unit.nanometer))
