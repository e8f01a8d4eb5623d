"""Where everything of a recipe is, and reading it back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.selection.recipe import FITTED, Plan, Recipe, find_recipe, read_recipe
from openmm_cgml.simulation import SimulationConfig
from openmm_cgml.specification import SystemSpecification, with_protocol
from openmm_cgml.storage import read_json
from openmm_cgml.training import FitConfig
from openmm_cgml.training.config import read_fit_config

_MOST_TEST_FRAMES = 30
_FORCE_FIELD, _FIT_SETTINGS, _FIT_METRICS = "force_field", "fit.json", "metrics.json"


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """A recipe and the folder in which it is carried out.

    Attributes:
        recipe: The recipe.
        specification: The system.
        system: Folder of the system, with the files that the recipe names.
        runs: Folder of everything that is computed, shared by recipes.
        recording: Folder of an atomistic run that is there already; None makes it.
        threads: CPU threads.
        platform: OpenMM platform of the simulations.
    """

    recipe: Recipe
    specification: SystemSpecification
    system: Path
    runs: Path
    recording: Path | None = None
    threads: int = 1
    platform: str = "CPU"

    @classmethod
    def open(cls, name_or_path: str | Path, runs: str | Path, **others: Any) -> Self:
        """The workplace of the recipe of a system or in a file.

        Args:
            name_or_path: Name or folder of a system, or the file.
            runs: Folder of everything that is computed.
            others: Further attributes.

        Raises:
            InputError: As `find_recipe` and `read_recipe`.
        """
        path = find_recipe(name_or_path)
        recipe, specification = read_recipe(path)
        return cls(recipe=recipe, specification=specification, system=path.parent, runs=Path(runs), **others)

    # --- folders ---------------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Folder of this recipe."""
        return self.runs / self.recipe.name

    @property
    def reference(self) -> Path:
        """Folder of the atomistic run."""
        return self.recording or self.runs / "references" / self.recipe.reference.name

    @property
    def dataset(self) -> Path:
        """Folder of the mapped frames of the first box."""
        return self.datasets[0]

    @property
    def datasets(self) -> tuple[Path, ...]:
        """Folders of the mapped frames: those that the recipe names, or that of its atomistic run."""
        return tuple((self.system / path).resolve() for path in self.recipe.data) or (self.folder / "dataset",)

    @property
    def mean_forces(self) -> Path | None:
        """Folder of the mean forces; None where the recipe has none."""
        if self.recipe.mean_force_data is not None:
            return (self.system / self.recipe.mean_force_data).resolve()
        return None if self.recipe.mean_forces is None else self.folder / "mean-force"

    @property
    def table(self) -> Path:
        """File of all that was measured of the model."""
        return self.folder / "table.json"

    @property
    def time_steps(self) -> Path:
        """File of the study of multiple time steps, in a folder of its own."""
        return self.folder / "time-steps" / "table.json"

    @property
    def reference_summary(self) -> Path:
        """File of what simulations of the system are compared with."""
        return self.system / "reference.json"

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.folder / "report"

    def fit_folder(self, name: str) -> Path:
        """Folder of a fit or of the refinement."""
        return self.folder / name

    def simulations(self, name: str, seeds: tuple[int, ...]) -> list[Path]:
        """Folders of the simulations of a force field."""
        return [self.folder / "simulations" / f"{name}-{seed}" for seed in seeds]

    @property
    def constant_pressure(self) -> list[Path]:
        """Folders of the simulations of the model at constant pressure."""
        return [self.folder / "constant-pressure" / str(seed) for seed in self.recipe.simulation.seeds]

    def size_folder(self, molecules: int) -> Path:
        """Folder of the simulation of a box of so many molecules."""
        return self.folder / "sizes" / str(molecules)

    def transfer_folder(self, chains: tuple[int, int]) -> Path:
        """Folder of the simulation of a box of chains."""
        return self.folder / "transfer" / f"{chains[0]}x{chains[1]}"

    @property
    def long_runs(self) -> Workplace:
        """The same for the long runs of the shipped model, in a folder of their own."""
        return replace(self, runs=self.folder / "long")

    @property
    def chain_boxes(self) -> tuple[tuple[int, int], ...]:
        """Boxes (chains, monomers of each) that are compared: that of the reference and the others."""
        own = self.specification.chains[0]
        transfer = self.recipe.transfer
        return ((own.count, own.monomers), *(() if transfer is None else transfer.boxes))

    # --- what is in them -------------------------------------------------------------------------------------------

    def open_dataset(self) -> ForceMatchingDataset:
        """The mapped frames of the first box."""
        return ForceMatchingDataset.open(self.dataset, verify=False)

    def open_datasets(self) -> list[ForceMatchingDataset]:
        """The mapped frames of every box."""
        return [ForceMatchingDataset.open(path, verify=False) for path in self.datasets]

    def open_mean_forces(self) -> ForceMatchingDataset:
        """The mean forces of a recipe that has them."""
        assert self.mean_forces is not None
        return ForceMatchingDataset.open(self.mean_forces, verify=False)

    def has_force_field(self, name: str) -> bool:
        """Whether a force field is there."""
        return self._model(name) is not None or (self.fit_folder(name) / _FORCE_FIELD / "manifest.json").is_file()

    def load_force_field(self, name: str) -> ForceField:
        """A force field that was fitted or refined, or the model that is taken as it is.

        Raises:
            ArtifactError: If it is damaged.
            InputError: If it is not there.
        """
        return ForceField.load(self._model(name) or self.fit_folder(name) / _FORCE_FIELD)

    def _model(self, name: str) -> str | None:
        variant = self.recipe.variants.get(name)
        return None if variant is None else variant.model

    def fit_metrics(self, name: str = FITTED) -> dict[str, Any]:
        """Errors of a fit on train, validation and test data."""
        return dict(read_json(self.fit_folder(name) / _FIT_METRICS))

    def fit_settings(self, name: str) -> dict[str, Any]:
        """Settings that a fit was made with."""
        return dict(read_json(self.fit_folder(name) / _FIT_SETTINGS))

    # --- settings --------------------------------------------------------------------------------------------------

    def specification_of_reference(self) -> SystemSpecification:
        """The system with the equilibration of the recipe."""
        protocol = self.recipe.reference.protocol
        return self.specification if protocol is None else with_protocol(self.specification, self.system / protocol)

    def fit_config(self, plan: Plan | None = None) -> FitConfig:
        """Settings of a fit, by default that of the model."""
        plan = plan or self.recipe.fits[0]
        assert plan.fit is not None
        data: dict[str, Any] = {"datasets": tuple(map(str, self.datasets))}
        if self.mean_forces is not None:
            data["mean_force_test"] = (str(self.mean_forces),)
        return read_fit_config(self.system / plan.fit, data=data, training={"threads": self.threads, **plan.training})

    def simulation_config(self, seed: int, *, temperature: float, duration: float, **changes: Any) -> SimulationConfig:
        """Settings of a simulation of the model with the recipe's steps.

        Args:
            seed: Its seed.
            temperature: Temperature [K].
            duration: Length [ps].
            changes: Settings that replace the recipe's.
        """
        settings = {
            "temperature": temperature,
            "duration": duration,
            "time_step": self.recipe.simulation.time_step,
            "network_interval": self.recipe.simulation.network_interval,
            "frame_interval": self.recipe.simulation.frame_interval,
            "seed": seed,
            "platform": self.platform,
            "threads": self.threads,
            "ml_backend": "PythonForce",
        }
        return SimulationConfig(**{**settings, **changes})

    def variant_config(self, name: str, seed: int, *, temperature: float, duration: float) -> SimulationConfig:
        """Settings of a simulation of one of the force fields that are compared."""
        plan, has_network = self.recipe.plan(name), self.load_force_field(name).network is not None
        changes = {"time_step": plan.time_step, "network_interval": plan.network_interval if has_network else 1}
        given = {key: value for key, value in changes.items() if value is not None}
        return self.simulation_config(seed, temperature=temperature, duration=duration, **given)

    # --- frames ----------------------------------------------------------------------------------------------------

    def starting_frame(self, seed: int) -> Frames:
        """A frame of the reference: another box for each seed where there are several, then another frame."""
        boxes = self.open_datasets()
        dataset, seed = boxes[(seed - 1) % len(boxes)], (seed - 1) // len(boxes) + 1
        before_last = (seed - 1) * (dataset.n_frames // 4)
        return dataset.frames(np.array([dataset.n_frames - 1 - before_last % dataset.n_frames]))

    def test_frames(self, dataset: ForceMatchingDataset) -> Frames:
        """Some of the frames that the fits did not see."""
        return dataset.frames(_thin(self._split(dataset)["test"], _MOST_TEST_FRAMES))

    def _split(self, dataset: ForceMatchingDataset) -> dict[str, NDArray[np.int64]]:
        data = self.fit_config().data
        return dataset.split(data.fractions, n_blocks=data.n_blocks, seed=data.split_seed)


def _thin(numbers: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return numbers[:: -(-len(numbers) // most)]
