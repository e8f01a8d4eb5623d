"""The two ensembles that a refinement compares: frames of the reference, and those of a simulation that goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import openmm
import torch
from numpy.typing import NDArray

from openmm_cgml.analysis import RadialDistribution, compute_rdf
from openmm_cgml.analysis.molecules import compute_centers_of_mass
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import InputError, SimulationError, TrainingError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.refinement.config import RefinementConfig
from openmm_cgml.runs.snapshot import Snapshot
from openmm_cgml.simulation import SimulationConfig
from openmm_cgml.simulation.pair_choice import choose_pairs
from openmm_cgml.simulation.platform import choose_platform
from openmm_cgml.simulation.sampler import Sampler

_BLOCKS = 20  # of the reference, of which every other one is for judging
_R_MAX = 1.2  # nm, of the radial distribution function that is watched


class Ensemble:
    """Frames of the reference, and the state of the simulation that is to become like them.

    Attributes:
        topology: The beads.
        temperature: Temperature [K].
        boxes: Box vectors of each dataset [nm], shape (n_boxes, 3, 3).
        reference: Frames of one half of the reference, which the model is made like, box after box, with their forces.
        judge: Frames of the other half, which it is judged by.
        pressure: Mean pressure of the last simulations and its standard error [bar]; NaN before the first.

    Args:
        force_field: Any force field of the beads.
        datasets: Mapped reference frames of one box, or of several independent ones of the same beads, each at its own
            volume. Every box counts alike: it has as many of the frames and of the simulations as each other.
        config: Settings.

    Raises:
        InputError: If a dataset is no ensemble at constant volume, they differ in beads or temperature, or the
            simulations cannot be shared out evenly among them.
    """

    def __init__(
        self, force_field: ForceField, datasets: Sequence[ForceMatchingDataset], config: RefinementConfig
    ) -> None:
        self._config = config
        _check(datasets, config)
        self.topology = force_field.bead_topology(datasets[0].topology)
        self.temperature = datasets[0].temperature
        most = -(-config.reference_frames // len(datasets))
        targets, judges = zip(*(_take_halves(dataset, most, config) for dataset in datasets), strict=True)
        self.boxes = np.array([_constant_box(frames, each) for frames, each in zip(targets, datasets, strict=True)])
        self.reference, self.judge = (Frames.concatenate(parts) for parts in (targets, judges))
        self._positions = np.empty((config.starts, self.topology.n_beads, 3))
        for number, frames in enumerate(targets):
            own = self._positions[number :: len(targets)]  # a view: walkers take turns with the boxes
            own[:] = frames.positions[np.linspace(0, len(frames) - 1, len(own)).round().astype(int)]
        self._velocities: NDArray[np.float64] | None = None
        self.pressure = (np.nan, np.nan)

    def simulate(self, force_field: ForceField, number: int) -> Frames:
        """Frames of simulations that go on from where the last ones ended, one after the other.

        Args:
            force_field: With the present priors and network.
            number: Number of changes made so far; it seeds the thermostat.

        Raises:
            TrainingError: If a simulation became unstable.
        """
        settings = self._settings(force_field, number)
        platform = choose_platform(settings.platform, settings.threads).name
        backend = choose_pairs(force_field, self.topology, settings, platform).backend
        systems = [
            force_field.create_system(self.topology, box=box, pair_backend=backend, platform=platform)
            for box in self.boxes
        ]
        ended: list[list[Snapshot]] = []
        for walker in range(self._config.starts):
            try:
                ended.append(self._walk(systems[walker % len(systems)], settings, walker, number))
            except SimulationError as error:
                raise TrainingError(
                    f"after {number} changes the simulation is unstable ({error}); make smaller changes or lower "
                    "time_step"
                ) from error
        self._positions, self._velocities = (
            np.array([getattr(walk[-1], name) for walk in ended]) for name in ("positions", "velocities")
        )
        snapshots = [snapshot for walk in ended for snapshot in walk]
        positions = np.array([snapshot.positions for snapshot in snapshots])
        boxes = np.concatenate([np.tile(self._box_of(walker), (len(walk), 1, 1)) for walker, walk in enumerate(ended)])
        walks = [[each.pressure for each in walk if each.pressure is not None] for walk in ended]
        self.pressure = _average([np.array(walk) for walk in walks if walk])
        return Frames(positions=positions, box=boxes)

    def _box_of(self, walker: int) -> NDArray[np.float64]:
        return np.asarray(self.boxes[walker % len(self.boxes)])

    def _walk(self, system: openmm.System, settings: SimulationConfig, walker: int, number: int) -> list[Snapshot]:
        """The states of one simulation."""
        config = self._config
        velocities = None if self._velocities is None else self._velocities[walker]
        own = settings.model_copy(update={"seed": settings.seed + 1000 * walker})
        start = self._positions[walker]
        sampler = Sampler.create(system, self.topology, start, self._box_of(walker), own, velocities=velocities)
        wait = config.equilibration + (config.first_equilibration if number == 0 else 0.0)
        every = settings.network_interval
        sampler.step(round(wait / settings.time_step / every) * every)
        n_frames = max(2, round(config.duration / config.frame_interval))
        return list(sampler.frames(n_frames, measure_pressure=True))

    def _settings(self, force_field: ForceField, number: int) -> SimulationConfig:
        config = self._config
        allowed = force_field.suggest_time_step(self.topology, temperature=self.temperature)
        time_step = config.time_step or (allowed.time_step if allowed else None)
        if time_step is None:
            raise InputError(f"{force_field.name} has no priors that set a time step; give time_step")
        has_network = force_field.network is not None
        return SimulationConfig(
            temperature=self.temperature,
            duration=max(config.duration, config.frame_interval),
            time_step=time_step,
            friction=config.friction,
            frame_interval=max(config.frame_interval, time_step * (config.network_interval if has_network else 1)),
            seed=config.seed + number,
            threads=config.threads,
            minimize=False,
            network_interval=config.network_interval if has_network else 1,
        )

    def compute_gr(self, frames: Frames) -> RadialDistribution:
        """Radial distribution function of centers of mass."""
        centers = compute_centers_of_mass(frames.positions, self.topology.masses, self.topology.molecules)
        assert frames.box is not None  # the reference has one, and the simulation its own
        return compute_rdf(centers, frames.box, r_max=min(_R_MAX, 0.5 * self.smallest_width))

    @property
    def smallest_width(self) -> float:
        """Of all boxes [nm]."""
        return float(np.diagonal(self.boxes, axis1=1, axis2=2).min())

    @property
    def volume(self) -> float:
        """Mean of all boxes [nm^3]."""
        return float(np.abs(np.linalg.det(self.boxes)).mean())

    def state(self) -> dict[str, torch.Tensor]:
        """Where the simulation stands, as tensors; nothing before the first one."""
        if self._velocities is None:
            return {}
        return {"positions": torch.tensor(self._positions), "velocities": torch.tensor(self._velocities)}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take up what `state` returned."""
        shape = (self._config.starts, self.topology.n_beads, 3)  # without the first axis in what older releases wrote
        self._positions, self._velocities = (
            tensors[name].numpy().reshape(shape) for name in ("positions", "velocities")
        )


def halves(dataset: ForceMatchingDataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames of every other of twenty blocks of a dataset, the target, and of those between, the judge."""
    blocks = np.array_split(np.arange(dataset.n_frames), min(_BLOCKS, dataset.n_frames))
    return np.concatenate(blocks[::2]), np.concatenate(blocks[1::2] or blocks)


def _check(datasets: Sequence[ForceMatchingDataset], config: RefinementConfig) -> None:
    """Refuse datasets that are no ensembles, or not of the same beads at the same temperature."""
    for dataset in datasets:
        if dataset.kind != "instantaneous":
            raise InputError(
                f"{dataset.path} holds {dataset.kind} frames, which are no ensemble; give an ordinary dataset"
            )
        if dataset.topology.fingerprint != datasets[0].topology.fingerprint:
            raise InputError(f"{dataset.path} and {datasets[0].path} have different beads; give boxes of the same ones")
        if dataset.temperature != datasets[0].temperature:
            raise InputError(
                f"{dataset.path} is at {dataset.temperature:g} K and {datasets[0].path} at {datasets[0].temperature:g} "
                "K; refine at one temperature"
            )
    if config.starts % len(datasets):
        more = -(-config.starts // len(datasets)) * len(datasets)
        raise InputError(
            f"starts is {config.starts} and there are {len(datasets)} boxes, each of which has as many simulations; "
            f"give starts: {more}"
        )


def _take_halves(dataset: ForceMatchingDataset, most: int, config: RefinementConfig) -> tuple[Frames, Frames]:
    """Positions, boxes and forces of so many frames of each half."""
    target, judge = (
        Frames(positions=frames.positions, box=frames.box, forces=frames.forces, forces_inter=frames.forces_inter)
        for frames in (dataset.frames(_choose(half, most, config.seed)) for half in halves(dataset))
    )
    return target, judge


def _constant_box(frames: Frames, dataset: ForceMatchingDataset) -> NDArray[np.float64]:
    """The box of all frames [nm], shape (3, 3)."""
    if frames.box is None or np.ptp(frames.box, axis=0).max() > 1e-6:
        raise InputError(f"{dataset.path}: the box changes or is missing; give a run at constant volume")
    return frames.box[0].astype(np.float64)


def _choose(frames: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """So many of the frames at random, in order."""
    return np.sort(np.random.default_rng(seed).permutation(frames)[:most])


def _average(walks: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Mean of all and its standard error, from blocks within each walk."""
    if not walks:
        return np.nan, np.nan
    blocks = np.array([block.mean() for walk in walks for block in np.array_split(walk, min(4, len(walk)))])
    return float(blocks.mean()), float(blocks.std(ddof=1) / np.sqrt(len(blocks))) if len(blocks) > 1 else np.nan
