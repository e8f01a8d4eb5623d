"""run_reference: builds an atomistic box, equilibrates it, finds its density, and records it at that density."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from openmm import app, unit

from openmm_cgml.analysis.box_picture import write_box_picture
from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.interruption import Interruption
from openmm_cgml.reference.atomistic_box import box_length, scale_centers
from openmm_cgml.reference.checkpoint import Checkpoint, read_newest_checkpoint, read_state, write_checkpoint
from openmm_cgml.reference.config import ReferenceConfig
from openmm_cgml.reference.plan import Plan, check_same_run, make_plan
from openmm_cgml.reference.platforms import find_platform
from openmm_cgml.reference.pressure import AtomisticBarometer
from openmm_cgml.reference.recorder import ForceRecorder, recording_metadata
from openmm_cgml.reference.report import MIN_FRAMES, REPORT_FILE, ReferenceReport, format_report, report_reference
from openmm_cgml.shards import FrameStore, FrameWriter
from openmm_cgml.specification import StageSpecification, SystemSpecification
from openmm_cgml.storage import OutputKind, hold_output, read_object, write_atomically, write_sealed_json
from openmm_cgml.topology import AtomTopology
from openmm_cgml.units import DALTON_PER_NM3_IN_G_PER_CM3

__all__ = ["Progress", "ReferenceResult", "run_reference"]

Progress = Callable[[str, float, float], None]
"""Called as (stage, picoseconds done, picoseconds in all)."""

RECORDING = "recording"
_CHECKPOINTS = "checkpoints"
OUTPUT = OutputKind(
    verb="reference",
    marker="protocol.json",
    members=(RECORDING, _CHECKPOINTS, "stages.json", "report.json", "report.txt", "box.png"),
)
_BAROSTAT_INTERVAL = 25  # steps
_EVAPORATED = 0.4  # of the density of the packed box; no liquid is so thin
_BYTES_PER_ATOM = 36  # positions, forces and intermolecular forces in single precision
_EQUILIBRATION_CHECKPOINT = 10.0  # ps
_DEFORMATION = 0.1  # ps between changes of the box in a stage with a final density
_LARGEST_SCALING = 0.005  # of the box edge, in one go
_STEPS_PER_SCALING = 100


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


def run_reference(
    specification: SystemSpecification,
    output: str | Path,
    config: ReferenceConfig | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ReferenceResult:
    """Run the atomistic reference of a system and return where its recording lies.

    Builds the box, equilibrates it by the stages of its specification, averages the density at constant temperature and
    pressure, scales the box to it, relaxes, and records at constant volume with a `ForceRecorder`, pressures included.
    The recording can be opened while the run goes on. Ctrl-C and SIGTERM stop between two frames with everything saved;
    a kill loses at most one file of frames.

    Args:
        specification: The system; it needs a `reference` section, and small molecules or one kind of chain.
        output: Folder to write to: `recording/`, `checkpoints/`, `protocol.json`, `stages.json` (density at the end of
            each equilibration stage), `report.json`, `report.txt`,
            `box.png`.
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
    plan = make_plan(specification, config)
    with hold_output(output, OUTPUT, overwrite=overwrite, resume=resume) as folder, Interruption() as interruption:
        check_same_run(folder / "protocol.json", plan.describe())
        return _Run(plan, folder, interruption, progress or no_progress).finish()


def no_progress(stage: str, done: float, total: float) -> None:
    """A `Progress` that shows nothing."""


class _Run:
    """The stages of one run, each starting from the newest checkpoint."""

    def __init__(self, plan: Plan, folder: Path, interruption: Interruption, progress: Progress) -> None:
        self._plan = plan
        self._folder = folder
        self._interruption = interruption
        self._progress = progress
        self._platform, self._properties = find_platform(plan.config.platform, plan.config.threads)

    def finish(self) -> ReferenceResult:
        point = read_newest_checkpoint(self._folder / _CHECKPOINTS) or self._build()
        for stage in self._plan.settings.equilibration:
            if self._order(point.stage) <= self._order(self._plan.stage_name(stage)):
                point = self._equilibrate(stage, point)
        if self._order(point.stage) <= self._order("density"):
            point = self._find_density(point)
        if point.stage == "relaxation":
            point = self._relax(point)
        return self._record(point)

    def _build(self) -> Checkpoint:
        plan = self._plan
        density = plan.settings.density
        if plan.config.density is not None and not plan.settings.equilibration:
            density = plan.config.density
        temperature = self._first_temperature()
        positions, length = plan.box.start(
            plan.settings,
            density=density,
            temperature=temperature,
            seed=plan.config.seed,
            platform=self._platform,
            properties=self._properties,
            progress=lambda reached: self._progress("build", reached, density),
        )
        simulation = self._simulation(length)
        simulation.context.setPositions(positions)
        simulation.context.setVelocitiesToTemperature(temperature, plan.config.seed + 3)
        return self._save(Checkpoint(stage="build", step=0, n_frames=0, state=_state(simulation)))

    def _first_temperature(self) -> float:
        stages = self._plan.settings.equilibration
        return stages[0].temperature if stages else self._plan.specification.temperature

    def _equilibrate(self, stage: StageSpecification, point: Checkpoint) -> Checkpoint:
        plan, name = self._plan, self._plan.stage_name(stage)
        time_step = stage.time_step or plan.settings.time_step
        duration = stage.duration * plan.config.stretch
        total, per_picosecond = max(1, plan.steps(duration, time_step)), plan.steps(1.0, time_step)
        step = point.step if point.stage == name else 0
        if step >= total:
            return point
        simulation = self._simulation(
            _length_of(point),
            pressure=stage.pressure,
            temperature=stage.temperature,
            time_step=time_step,
            seed=1000 * self._order(name) + step,
        )
        point.apply_to(simulation.context)
        chunk = per_picosecond if stage.final_density is None else max(1, round(_DEFORMATION * per_picosecond))
        while step < total:
            _set_temperature(simulation, stage, step / total)
            n_steps = min(chunk, total - step)
            if stage.final_density is not None:
                self._deform(simulation, stage.final_density, n_steps / (total - step))
            _advance(simulation, n_steps)
            step += n_steps
            self._density(simulation)
            self._progress(name, step * time_step, duration)
            due = step % (per_picosecond * round(_EQUILIBRATION_CHECKPOINT)) == 0
            if due or step >= total or self._interruption.is_requested:
                point = self._save(Checkpoint(stage=name, step=step, n_frames=0, state=_state(simulation)))
            self._interruption.raise_again()
        self._note_stage(stage, duration, self._density(simulation))
        return point

    def _deform(self, simulation: app.Simulation, density: float, share: float) -> None:
        """Brings the box by a share of the (logarithmic) way to a density, moving whole molecules."""
        state = simulation.context.getState(positions=True)
        length = _edge_of(state)
        scale = (box_length(self._plan.box.total_mass, density) / length) ** share
        positions = np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        simulation.context.setPeriodicBoxVectors(*(scale * length * np.eye(3)))
        simulation.context.setPositions(scale_centers(positions, self._plan.box.sizes, scale))

    def _note_stage(self, stage: StageSpecification, duration: float, density: float) -> None:
        path = self._folder / "stages.json"
        stages = read_object(path) if path.exists() else {}
        described = stage.model_dump(mode="json", exclude={"name"})
        stages[stage.name] = {**described, "duration": duration, "density": round(density, 5)}
        write_sealed_json(path, stages)

    def _find_density(self, point: Checkpoint) -> Checkpoint:
        config, plan = self._plan.config, self._plan
        simulation = self._simulation(_length_of(point), pressure=plan.specification.pressure, seed=point.step)
        point.apply_to(simulation.context)
        if config.density is not None:
            return self._scale_to(simulation, config.density, ())
        densities = list(point.densities)
        per_picosecond, total = plan.steps(1.0), plan.steps(config.density_duration)
        step = point.step if point.stage == "density" else 0
        while step < total:
            _advance(simulation, per_picosecond)
            step += per_picosecond
            densities.append(self._density(simulation))
            self._check_liquid(densities[-1])
            self._progress("density", step * plan.settings.time_step, config.density_duration)
            due = len(densities) % round(_EQUILIBRATION_CHECKPOINT) == 0
            if due or step >= total or self._interruption.is_requested:
                point = self._save(
                    Checkpoint(
                        stage="density", step=step, n_frames=0, state=_state(simulation), densities=tuple(densities)
                    )
                )
            self._interruption.raise_again()
        return self._scale_to(simulation, float(self._counted(tuple(densities)).mean()), tuple(densities))

    def _check_liquid(self, density: float) -> None:
        """Stop where small molecules evaporate, before the box grows without end."""
        plan = self._plan
        if not plan.specification.chains and density < _EVAPORATED * plan.settings.density:
            where = f"{plan.specification.temperature:g} K and {plan.specification.pressure:g} bar"
            raise SimulationError(
                f"the density fell to {density:.3f} g/cm^3 from {plan.settings.density:g} of the packed box: the "
                f"liquid evaporates at {where}. Take a lower temperature or a higher pressure in system.yaml, or give "
                "a density with --density"
            )

    def _scale_to(self, simulation: app.Simulation, density: float, densities: tuple[float, ...]) -> Checkpoint:
        """The box brought to a density by moving whole molecules, with a little dynamics in between if it is far."""
        target = box_length(self._plan.box.total_mass, density)
        state = simulation.context.getState(positions=True, velocities=True)
        length = _edge_of(state)
        n_parts = max(1, int(np.ceil(abs(np.log(target / length)) / _LARGEST_SCALING)))
        for edge in np.geomspace(length, target, n_parts + 1)[1:]:
            scaled = self._scaled(state, float(edge))
            if n_parts > 1:
                _advance(scaled, _STEPS_PER_SCALING)
            state = scaled.context.getState(positions=True, velocities=True)
        scaled.context.setTime(0.0)
        return self._save(Checkpoint(stage="relaxation", step=0, n_frames=0, state=_state(scaled), densities=densities))

    def _scaled(self, state: openmm.State, length: float) -> app.Simulation:
        positions = np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        scaled = self._simulation(length)
        scaled.context.setPositions(scale_centers(positions, self._plan.box.sizes, length / _edge_of(state)))
        scaled.context.setVelocities(state.getVelocities())
        return scaled

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
        density = plan.box.total_mass / length**3 * DALTON_PER_NM3_IN_G_PER_CM3
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
            isolated = plan.box.isolated(plan.settings, length, self._platform, self._properties)
            barometer = self._barometer(writer, simulation.system)
            simulation.reporters.append(ForceRecorder(writer, interval, isolated=isolated, barometer=barometer))
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

    def _barometer(self, writer: FrameWriter, system: openmm.System) -> AtomisticBarometer | None:
        """None for a run that goes on where frames carry no pressures: then none can, which the report says."""
        if writer.n_stored and FrameStore.open(writer.path, verify=False).read_pressures() is None:
            return None
        return AtomisticBarometer(system, self._plan.specification.temperature, self._platform, self._properties)

    def _result(self, density: float, samples: np.ndarray) -> ReferenceResult:
        recording = self._folder / RECORDING
        n_frames = FrameStore.open(recording, verify=False).n_frames
        report = None
        if n_frames >= MIN_FRAMES:
            report = report_reference(recording, self._plan.specification, density_samples=samples)
            write_atomically(self._folder / REPORT_FILE, report.to_json())
            write_atomically(self._folder / "report.txt", format_report(report) + "\n")
        if n_frames:
            self._draw(FrameStore.open(recording, verify=False), n_frames - 1)
        return ReferenceResult(
            recording=recording, n_frames=n_frames, density=density, density_samples=samples, report=report
        )

    def _draw(self, store: FrameStore, frame: int) -> None:
        """A picture of the heavy atoms of one frame."""
        frames, atoms = store.read(frame, frame + 1), AtomTopology.from_dict(store.metadata["atoms"])
        assert frames.box is not None
        heavy = np.asarray(atoms.elements) != "H"
        bonds = np.cumsum(heavy)[atoms.bonds[heavy[atoms.bonds].all(axis=1)]] - 1
        write_box_picture(
            self._folder / "box.png",
            frames.positions[0, heavy],
            frames.box[0],
            bonds=bonds,
            molecules=atoms.molecules[heavy],
            diameter=0.2,
            title=f"{self._plan.specification.name}: {self._plan.box.n_molecules} molecules, without hydrogens",
        )

    def _simulation(
        self,
        length: float,
        *,
        pressure: float | None = None,
        temperature: float | None = None,
        time_step: float | None = None,
        seed: int = 0,
    ) -> app.Simulation:
        plan = self._plan
        topology, system = plan.box.topology(), plan.box.create_system(plan.settings, length)
        topology.setUnitCellDimensions(openmm.Vec3(length, length, length))
        temperature = temperature or plan.specification.temperature
        if pressure is not None:
            barostat = openmm.MonteCarloBarostat(pressure * unit.bar, temperature, _BAROSTAT_INTERVAL)
            barostat.setRandomNumberSeed(plan.config.seed + seed + 1)
            system.addForce(barostat)
        step = time_step or plan.settings.time_step
        integrator = openmm.LangevinMiddleIntegrator(temperature, plan.settings.friction, step)
        integrator.setRandomNumberSeed(plan.config.seed + seed + 2)
        return app.Simulation(topology, system, integrator, self._platform, self._properties)

    def _density(self, simulation: app.Simulation) -> float:
        volume = simulation.context.getState().getPeriodicBoxVolume().value_in_unit(unit.nanometer**3)
        density = self._plan.box.total_mass / volume * DALTON_PER_NM3_IN_G_PER_CM3
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
                "force_field": plan.box.force_field,
                "force_field_source": plan.box.source,
                "n_molecules": plan.box.n_molecules,
                **({"counts": dict(plan.box.counts)} if plan.box.counts else {}),
                "settings": plan.settings.model_dump(mode="json", exclude={"molecule"}),
                "stretch": plan.config.stretch,
                "frame_interval": plan.config.frame_interval,
                "protocol": "NPT density, NVT recording; HBonds constraints; PME; interaction split by molecule",
                "openmm": openmm.__version__,
            },
        )

    def _save(self, checkpoint: Checkpoint) -> Checkpoint:
        write_checkpoint(self._folder / _CHECKPOINTS, checkpoint, order=self._order(checkpoint.stage))
        return checkpoint

    def _order(self, stage: str) -> int:
        return self._plan.stages.index(stage)


def _set_temperature(simulation: app.Simulation, stage: StageSpecification, done: float) -> None:
    final = stage.temperature if stage.final_temperature is None else stage.final_temperature
    temperature = stage.temperature + done * (final - stage.temperature)
    simulation.integrator.setTemperature(temperature)
    if stage.pressure is not None:
        simulation.context.setParameter(openmm.MonteCarloBarostat.Temperature(), temperature)


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
    return _edge_of(read_state(point.state))


def _edge_of(state: openmm.State) -> float:
    return float(state.getPeriodicBoxVectors()[0][0].value_in_unit(unit.nanometer))
