"""Mean forces: the average force on beads that are held still, which is what force matching aims at.

An instantaneous mapped force is the mean force plus the noise of the atoms that the beads leave out. Holding every
bead's centre with a stiff restraint and averaging over the rest separates the two. The spread that remains is the
noise floor of force matching: no model, however good, gets below it on instantaneous forces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openmm
import pydantic

from openmm_cgml.analysis.result import Result
from openmm_cgml.config import BondStiffness, Config, Time
from openmm_cgml.dataset import ForceMatchingDataset, open_recording
from openmm_cgml.dataset.force_matching import dataset_metadata, dataset_writer, prepare_frames
from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.frames import Frames
from openmm_cgml.interruption import Interruption
from openmm_cgml.mapping import Mapping, mapping_from_specification, templates_of_masses
from openmm_cgml.reference.interaction_split import has_interaction_split
from openmm_cgml.reference.liquid_box import create_reference_system
from openmm_cgml.reference.mixture import mixture_of
from openmm_cgml.reference.recorder import read_frame
from openmm_cgml.reference.run import Progress, no_progress
from openmm_cgml.residues.names import residue_name_in_files
from openmm_cgml.shards import FrameStore, FrameWriter
from openmm_cgml.simulation.barostat import find_barostats
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.simulation.preparation import start_of_atoms
from openmm_cgml.simulation.sampler import Sampler
from openmm_cgml.specification import SystemSpecification
from openmm_cgml.storage import read_object, refusing_damage, write_sealed_json
from openmm_cgml.topology import AtomTopology

__all__ = ["MeanForceConfig", "NoiseFloor", "add_bead_restraints", "compute_mean_forces", "format_noise_floor"]

RESTRAINT_GROUP = 31
RESTRAINT_NAME = "bead restraint"
NOISE_FLOOR_FILE = "noise_floor.json"
_KINDS = ("forces", "forces_inter")


class MeanForceConfig(Config):
    """How mean forces are sampled.

    Attributes:
        configurations: Number of recorded frames to hold, evenly spaced over the last part of the recording.
        last_fraction: That part: train models on what comes before it.
        stiffness: Stiffness of the restraint on every bead's centre [kJ/mol/nm^2].
        equilibration: Time before sampling [ps].
        duration: Sampled time per configuration [ps].
        sample_interval: Time between samples [ps].
        seed: Seed of velocities and thermostat.
        platform: OpenMM platform; None takes the fastest.
        threads: Threads of the CPU platform; None takes OpenMM's choice.
    """

    configurations: int = pydantic.Field(default=4, ge=1)
    last_fraction: float = pydantic.Field(default=0.2, gt=0.0, le=1.0)
    stiffness: BondStiffness = pydantic.Field(default=3e5, gt=0.0)
    equilibration: Time = pydantic.Field(default=2.0, ge=0.0)
    duration: Time = pydantic.Field(default=30.0, gt=0.0)
    sample_interval: Time = pydantic.Field(default=0.1, gt=0.0)
    seed: int = pydantic.Field(default=1, ge=0)
    platform: Literal["CPU", "CUDA", "OpenCL", "HIP", "Reference"] | None = None
    threads: int | None = pydantic.Field(default=None, ge=1)

    @property
    def n_samples(self) -> int:
        """Samples per configuration."""
        return int(self.duration / self.sample_interval + 1e-6)

    @pydantic.model_validator(mode="after")
    def _check(self) -> MeanForceConfig:
        if self.n_samples < 4:
            raise ValueError(f"duration and sample_interval give {self.n_samples} samples; an error needs at least 4")
        return self


@dataclass(frozen=True, eq=False, kw_only=True)
class NoiseFloor(Result):
    """What part of the instantaneous forces is mean force; all per Cartesian component.

    Attributes:
        force_rms: Root mean square instantaneous force [kJ/mol/nm].
        noise: Standard deviation of instantaneous forces at fixed beads [kJ/mol/nm]: the least RMSE of any model.
        mean_force_rms: Root mean square mean force, corrected for its own error [kJ/mol/nm].
        mean_force_error: Root mean square standard error of the averaged forces [kJ/mol/nm].
        best_r2: Highest R2 that any model can reach on instantaneous forces.
        statistical_inefficiency: Number of samples worth one independent sample.
    """

    force_rms: float
    noise: float
    mean_force_rms: float
    mean_force_error: float
    best_r2: float
    statistical_inefficiency: float


def compute_mean_forces(
    recording: str | Path,
    specification: SystemSpecification,
    output: str | Path,
    config: MeanForceConfig | None = None,
    *,
    system: openmm.System | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[ForceMatchingDataset, dict[str, NoiseFloor]]:
    """Samples mean forces of recorded frames; returns them as a dataset, and the noise floor per kind of force.

    Writes a dataset of kind "mean-force" to `output` with total and intermolecular mean forces and the standard error
    of the total; and `noise_floor.json`, with "forces" and "forces_inter". Frames are finished one by one and kept.

    Args:
        recording: Folder of an atomistic recording or of its run.
        specification: The system, whose mapping says what is held still.
        output: Folder of the dataset.
        config: How to sample.
        system: Interaction-split System without barostat for the recorded atoms; by default the one that the
            specification's `reference` section describes.
        resume: Keep finished configurations of an earlier run with the same settings.
        overwrite: Delete what is in `output` first.
        progress: Called with stage, picoseconds done and picoseconds in all.

    Raises:
        ArtifactError: There is no usable recording.
        InputError: Recording, specification, System and configuration do not fit each other.
        OutputExistsError: `output` has content and neither `resume` nor `overwrite` is set.
        SimulationError: The dynamics became unstable.
    """
    config = config or MeanForceConfig()
    output = Path(output)
    store = open_recording(recording)
    atoms = AtomTopology.from_dict(store.metadata["atoms"])
    mapping = mapping_from_specification(specification, atoms)
    temperature = float(store.metadata["temperature"])
    if system is None:
        system = _system_of(specification, store, atoms)
    held = _HeldBeads(mapping, system, specification, atoms, temperature, config)
    numbers = _choose_frames(output, store, config, resume=resume)
    metadata = dataset_metadata(
        topology=mapping.target,
        temperature=temperature,
        mapping_fingerprint=mapping.fingerprint,
        source={
            **store.metadata["source"],
            "protocol": "mean forces at beads held by stiff restraints",
            "frames": numbers,
            "frames_in_recording": store.n_frames,
            "sampling": config.model_dump(mode="json", exclude={"platform", "threads"}),
        },
        templates=templates_of_masses(specification.templates(), mapping.target),
        chains=specification.chain_templates(),
        kind="mean-force",
    )
    inputs = [recording, store.path]
    with (
        dataset_writer(output, metadata, overwrite=overwrite, resume=resume, inputs=inputs) as writer,
        Interruption() as interruption,
    ):
        floors = _sample_all(held, store, numbers, writer, metadata, interruption, progress or no_progress)
    return ForceMatchingDataset.open(output, verify=False), {name: _pool(of_kind) for name, of_kind in floors.items()}


def add_bead_restraints(system: openmm.System, mapping: Mapping, stiffness: float) -> openmm.CustomCentroidBondForce:
    """Adds a harmonic restraint of every bead's centre to a point, in a force group of its own; returns the force.

    The energy is 1/2 k |R - R0|^2, nearest images taken. The points are per-bond parameters x0, y0, z0 [nm] and start
    at the origin. Removal of the centre-of-mass motion is taken out of the System: held beads do not drift.

    Args:
        system: System to change.
        mapping: Its position weights define the centres.
        stiffness: k [kJ/mol/nm^2].
    """
    for index in reversed(range(system.getNumForces())):
        if isinstance(system.getForce(index), openmm.CMMotionRemover):
            system.removeForce(index)
    restraint = openmm.CustomCentroidBondForce(1, "0.5*stiffness*pointdistance(x1, y1, z1, x0, y0, z0)^2")
    restraint.setName(RESTRAINT_NAME)
    restraint.setForceGroup(RESTRAINT_GROUP)
    restraint.setUsesPeriodicBoundaryConditions(system.usesPeriodicBoundaryConditions())
    restraint.addGlobalParameter("stiffness", stiffness)
    for name in ("x0", "y0", "z0"):
        restraint.addPerBondParameter(name)
    weights = mapping.position_weights.tocsr()
    for bead in range(mapping.n_beads):
        row = slice(weights.indptr[bead], weights.indptr[bead + 1])
        group = restraint.addGroup(weights.indices[row].tolist(), weights.data[row].tolist())
        restraint.addBond([group], [0.0, 0.0, 0.0])
    system.addForce(restraint)
    return restraint


def format_noise_floor(floors: Dictionary[str, NoiseFloor]) -> str:
    """The noise floor as a text table, in kJ/mol/nm per component."""
    lines = ["                        force rms   noise   mean force rms   error   best R2"]
    for name, floor in floors.items():
        label = "intermolecular forces" if name == "forces_inter" else "total forces"
        lines.append(
            f"{label:<22} {floor.force_rms:10.1f} {floor.noise:7.1f} {floor.mean_force_rms:16.1f} "
            f"{floor.mean_force_error:7.1f} {floor.best_r2:9.3f}"
        )
    return "\n".join(lines)


class _HeldBeads:
    """One restrained simulation of atoms, set to frame after frame."""

    def __init__(
        self,
        mapping: Mapping,
        system: openmm.System,
        specification: SystemSpecification,
        atoms: AtomTopology,
        temperature: float,
        config: MeanForceConfig,
    ) -> None:
        if not has_interaction_split(system):
            raise InputError("mean forces need an interaction-split System: apply split_interactions to it")
        if system.getNumParticles() != mapping.n_atoms:
            raise InputError(f"the System has {system.getNumParticles()} atoms, the recording {mapping.n_atoms}")
        if find_barostats(system):
            raise InputError("the System has a barostat, which would move the held beads; remove it")
        self.mapping, self.config = mapping, config
        system = openmm.XmlSerializer.clone(system)
        self._restraint = add_bead_restraints(system, mapping, config.stiffness)
        reference = specification.reference
        settings = SimulationConfig(
            temperature=temperature,
            duration=config.equilibration + config.duration,
            time_step=reference.time_step if reference else 0.002,
            friction=reference.friction if reference else 1.0,
            seed=config.seed,
            platform=config.platform or "auto",
            threads=config.threads,
        )
        self._sampler = Sampler(start_of_atoms(system, atoms, settings))

    def hold(self, frame: Frames, number: int) -> Frames:
        """Starts from an atomistic frame with new velocities, holds its beads there; returns the mapped frame."""
        beads = self.mapping(frame)
        for bond, (x, y, z) in enumerate(np.asarray(beads.positions[0], dtype=float)):
            self._restraint.setBondParameters(bond, [bond], [x, y, z])
        assert frame.box is not None
        self._restraint.updateParametersInContext(self._sampler.context)
        self._sampler.set_state(frame.positions[0], box=frame.box[0], seed=self.config.seed + 2 + number)
        return beads

    def run(self, duration: float) -> None:
        """Integrates for `duration` [ps].

        Raises:
            SimulationError: The dynamics became unstable.
        """
        try:
            self._sampler.step(max(1, round(duration / self._sampler.config.time_step)))
        except SimulationError as error:
            raise SimulationError(f"the restrained run is unstable: {error}; take a lower stiffness") from error

    def mapped_forces(self) -> Frames:
        """The present mapped frame without the restraints' forces.

        Raises:
            SimulationError: Positions or forces are not finite.
        """
        return self.mapping(read_frame(self._sampler.context, exclude_groups=(RESTRAINT_GROUP,)))


def _sample_all(
    held: _HeldBeads,
    store: FrameStore,
    numbers: list[int],
    writer: FrameWriter,
    metadata: dict[str, Any],
    interruption: Interruption,
    progress: Progress,
) -> dict[str, list[NoiseFloor]]:
    config = held.config
    path = writer.path / NOISE_FLOOR_FILE
    floors = _read_noise_floors(path, writer.n_frames)
    each = config.equilibration + config.duration
    for place in range(writer.n_frames, len(numbers)):
        beads = held.hold(store.read(numbers[place], numbers[place] + 1), numbers[place])
        held.run(config.equilibration)
        samples: dict[str, list[np.ndarray]] = {name: [] for name in _KINDS}
        positions = np.zeros(beads.positions.shape)
        for sample in range(config.n_samples):
            held.run(config.sample_interval)
            mapped = held.mapped_forces()
            for name in _KINDS:
                samples[name].append(getattr(mapped, name)[0])
            positions += mapped.positions / config.n_samples
            done = place * each + config.equilibration + (sample + 1) * config.sample_interval
            progress("mean force", done, len(numbers) * each)
            interruption.raise_again()
        averages = {name: _average(np.array(values)) for name, values in samples.items()}
        for name in _KINDS:
            floors[name].append(averages[name].floor)
        frame = Frames(
            # Where the beads were on average: a stiff bond moves them from where they are held, and changes its force.
            positions=positions,
            box=beads.box,
            times=beads.times,
            forces=averages["forces"].mean[None],
            forces_inter=averages["forces_inter"].mean[None],
            force_error=averages["forces"].error[None],
        )
        # Noise floors first: a kill in between costs this configuration again, and its entry is dropped on resuming.
        _write_noise_floors(path, floors)
        writer.append(prepare_frames(frame, metadata, first=place))
        writer.flush()
    return floors


@dataclass(frozen=True, eq=False, kw_only=True)
class _Average:
    mean: np.ndarray
    error: np.ndarray
    floor: NoiseFloor


def _average(samples: np.ndarray) -> _Average:
    """Mean and standard error (n_beads, 3) of samples (n_samples, n_beads, 3); correlation is pooled."""
    n_samples = len(samples)
    mean = samples.mean(axis=0)
    inefficiency = _statistical_inefficiency(samples - mean)
    # The variance about a mean of n/g independent samples is too small by 1 - g/n.
    variance = ((samples - mean) ** 2).mean(axis=0) / (1.0 - inefficiency / n_samples)
    error = np.sqrt(variance * inefficiency / n_samples)
    floor = _noise_floor(
        float((mean**2).mean() - (error**2).mean()), float(variance.mean()), float((error**2).mean()), inefficiency
    )
    return _Average(mean=mean, error=error, floor=floor)


def _statistical_inefficiency(deviations: np.ndarray) -> float:
    """Variance of the mean over that of independent samples, g = 1 + 2 sum_k (1 - k/n) rho_k, pooled over components.

    Deviations from a mean over n samples lower every autocovariance by g/n times the variance; this is put back by
    iteration, without which a short series looks less correlated than it is. The sum ends at the first k >= 2.5 g.
    """
    n = len(deviations)
    lags = np.arange(n // 2)
    covariances = np.array([(deviations[lag:] * deviations[: n - lag]).mean() for lag in lags])
    if covariances[0] == 0.0:
        return 1.0
    inefficiency = 1.0
    for _ in range(50):
        share = inefficiency / n
        correlations = covariances * (1.0 - share) / covariances[0] + share
        sums = 1.0 + 2.0 * np.cumsum(((1.0 - lags / n) * correlations)[1:])
        enough = np.flatnonzero(lags[1:] >= 2.5 * sums)
        previous, inefficiency = inefficiency, float(np.clip(sums[enough[0]] if len(enough) else sums[-1], 1.0, n / 4))
        if abs(inefficiency - previous) < 1e-6:
            break
    return inefficiency


def _noise_floor(mean_square: float, variance: float, square_error: float, inefficiency: float) -> NoiseFloor:
    mean_square = max(mean_square, 0.0)
    return NoiseFloor(
        force_rms=(mean_square + variance) ** 0.5,
        noise=variance**0.5,
        mean_force_rms=mean_square**0.5,
        mean_force_error=square_error**0.5,
        best_r2=mean_square / (mean_square + variance),
        statistical_inefficiency=inefficiency,
    )


def _pool(floors: list[NoiseFloor]) -> NoiseFloor:
    def mean(values: list[float]) -> float:
        return float(np.mean(values))

    return _noise_floor(
        mean([floor.mean_force_rms**2 for floor in floors]),
        mean([floor.noise**2 for floor in floors]),
        mean([floor.mean_force_error**2 for floor in floors]),
        mean([floor.statistical_inefficiency for floor in floors]),
    )


def _write_noise_floors(path: Path, floors: Dictionary[str, list[NoiseFloor]]) -> None:
    write_sealed_json(
        path,
        {
            name: {"pooled": _pool(of_kind).to_dict(), "configurations": [floor.to_dict() for floor in of_kind]}
            for name, of_kind in floors.items()
        },
    )


def _read_noise_floors(path: Path, n_configurations: int) -> dict[str, list[NoiseFloor]]:
    if n_configurations == 0:
        return {name: [] for name in _KINDS}
    content = read_object(path)
    with refusing_damage(path):
        return {
            name: [NoiseFloor.from_dict(floor) for floor in content[name]["configurations"][:n_configurations]]
            for name in _KINDS
        }


def _choose_frames(output: Path, store: FrameStore, config: MeanForceConfig, *, resume: bool) -> list[int]:
    """Frame numbers spread over the last part of the recording; those of the earlier run when resuming."""
    if resume and (output / "manifest.json").exists():
        earlier = FrameStore.open(output).metadata["source"].get("frames", [])
        if len(earlier) == config.configurations:
            return [int(number) for number in earlier]
    first = int(np.floor(store.n_frames * (1.0 - config.last_fraction)))
    if store.n_frames - first < config.configurations:
        raise InputError(
            f"the last {config.last_fraction:g} of {store.n_frames} frames holds {store.n_frames - first}, fewer than "
            f"the {config.configurations} configurations asked for; record more, or raise last_fraction"
        )
    edges = np.linspace(first, store.n_frames, config.configurations + 1)
    return [int((low + high) / 2) for low, high in pairwise(edges)]


def _system_of(specification: SystemSpecification, store: FrameStore, atoms: AtomTopology) -> openmm.System:
    """The System of the recorded molecules, which come kind by kind."""
    counts = {residue_name_in_files(name): count for name, count in Counter(atoms.residue_names).items()}
    mixture = mixture_of(specification, counts)
    assert specification.reference is not None  # it has a model
    recorded = store.metadata["source"].get("force_field")
    if recorded != mixture.name or atoms.n_atoms != mixture.sizes.sum():
        raise InputError(
            f"{store.path} was recorded with force field {recorded!r}, system {specification.name!r} uses "
            f"{mixture.name!r}; use the system that it was recorded with"
        )
    box = store.read(0, 1).box
    if box is None:
        raise InputError(f"{store.path} has no periodic box; pass the atomistic System")
    return create_reference_system(mixture, specification.reference, float(box[0, 0, 0]))[1]
