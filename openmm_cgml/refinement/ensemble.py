"""The two ensembles that a refinement compares: frames of the reference, and those of a simulation that goes on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.analysis import RadialDistribution, compute_rdf
from openmm_cgml.analysis.molecules import compute_centers_of_mass
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import InputError, SimulationError, TrainingError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.refinement.config import RefinementConfig
from openmm_cgml.simulation import SimulationConfig
from openmm_cgml.simulation.sampler import Sampler

_R_MAX = 1.2  # nm, of the radial distribution function that is watched


class Ensemble:
    """Frames of the reference, and the state of the simulation that is to become like them.

    Attributes:
        topology: The beads.
        temperature: Temperature [K].
        box: Box vectors [nm], shape (3, 3).
        reference: Frames of the reference.

    Args:
        force_field: Any force field of the beads.
        dataset: Mapped reference frames; the frames of its training blocks are used.
        config: Settings.

    Raises:
        InputError: If the dataset is no ensemble at constant volume.
    """

    def __init__(self, force_field: ForceField, dataset: ForceMatchingDataset, config: RefinementConfig) -> None:
        if dataset.kind != "instantaneous":
            raise InputError(
                f"{dataset.path} holds {dataset.kind} frames, which are no ensemble; give an ordinary dataset"
            )
        self._config = config
        self.topology = force_field.bead_topology(dataset.topology)
        self.temperature = dataset.temperature
        training = np.random.default_rng(config.seed).permutation(dataset.split()["train"])
        self.reference = dataset.frames(np.sort(training[: config.reference_frames]))
        if self.reference.box is None or np.ptp(self.reference.box, axis=0).max() > 1e-6:
            raise InputError(f"{dataset.path}: the box changes or is missing; give a run at constant volume")
        self.box = self.reference.box[0].astype(np.float64)
        self._positions = self.reference.positions[0].astype(np.float64)
        self._velocities: NDArray[np.float64] | None = None

    def simulate(self, force_field: ForceField, number: int) -> Frames:
        """Frames of a simulation that goes on from where the last one ended.

        Args:
            force_field: With the present priors and network.
            number: Number of changes made so far; it seeds the thermostat.

        Raises:
            TrainingError: If the simulation became unstable.
        """
        config = self._config
        settings = self._settings(force_field, number)
        system = force_field.create_system(self.topology, box=self.box)
        start = self._positions
        try:
            sampler = Sampler.create(system, self.topology, start, self.box, settings, velocities=self._velocities)
            wait = config.equilibration + (config.first_equilibration if number == 0 else 0.0)
            every = settings.network_interval
            sampler.step(round(wait / settings.time_step / every) * every)
            snapshots = list(sampler.frames(max(2, round(config.duration / config.frame_interval))))
        except SimulationError as error:
            raise TrainingError(
                f"after {number} changes the simulation is unstable ({error}); make smaller changes or lower time_step"
            ) from error
        last = snapshots[-1]
        self._positions, self._velocities = last.positions, last.velocities
        positions = np.array([snapshot.positions for snapshot in snapshots])
        return Frames(positions=positions, box=np.tile(self.box, (len(positions), 1, 1)))

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
        return compute_rdf(centers, frames.box, r_max=min(_R_MAX, 0.5 * float(np.diag(self.box).min())))

    def state(self) -> dict[str, torch.Tensor]:
        """Where the simulation stands, as tensors; nothing before the first one."""
        if self._velocities is None:
            return {}
        return {"positions": torch.tensor(self._positions), "velocities": torch.tensor(self._velocities)}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take up what `state` returned."""
        self._positions, self._velocities = (tensors[name].numpy() for name in ("positions", "velocities"))
