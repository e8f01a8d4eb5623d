"""Recipe: everything that says how one shipped model is made, in one YAML file beside the configurations it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pydantic

from openmm_cgml.config import Config, Length, Time, read_config
from openmm_cgml.errors import InputError
from openmm_cgml.reference import MeanForceConfig, ReferenceConfig
from openmm_cgml.selection.comparison import make_limits
from openmm_cgml.shipped import find_system
from openmm_cgml.specification import SystemSpecification, read_specification

RECIPE = "recipe.yaml"
FITTED, REFINED, PAIR_SPLINE = "fit", "refined", "pair-spline"
"""Folders of the fit that becomes the model, of its refinement, and of the fit that it has to beat."""


class AtomisticRun(Config):
    """The atomistic run behind a model.

    Attributes:
        name: Name of the run; systems with the same atoms share it.
        protocol: File with its equilibration, if not that of the system.
        run: Its settings.
    """

    name: str = pydantic.Field(min_length=1)
    protocol: Path | None = None
    run: ReferenceConfig = ReferenceConfig()


class Simulations(Config):
    """The simulations that a model is judged by.

    Attributes:
        duration: Length of each [ps].
        time_step: Step of the priors [ps].
        network_interval: Steps of the priors per evaluation of the network.
        frame_interval: Time between recorded frames [ps].
        seeds: Seeds of the simulations of the model.
        variant_seeds: Seeds of those of the other fits; the same where runs are compared.
    """

    duration: Time = pydantic.Field(gt=0)
    time_step: Time = pydantic.Field(gt=0)
    network_interval: int = pydantic.Field(default=1, ge=1)
    frame_interval: Time = pydantic.Field(default=0.5, gt=0)
    seeds: tuple[int, ...] = pydantic.Field(default=(1, 2, 3), min_length=1)
    variant_seeds: tuple[int, ...] = pydantic.Field(default=(1, 2, 3), min_length=1)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("seeds", "variant_seeds"):
            seeds = getattr(self, name)
            if len(set(seeds)) < len(seeds) or min(seeds) < 1:
                raise ValueError(f"{name} are {list(seeds)}; each is a different number from 1 on")
        return self


class Sizes(Config):
    """Boxes of several sizes, built from nothing, for the energy per bead.

    Attributes:
        molecules: Numbers of molecules.
        duration: Length of each simulation [ps].
    """

    molecules: tuple[int, ...] = pydantic.Field(min_length=1)
    duration: Time = pydantic.Field(gt=0)


class ChainLengths(Config):
    """Boxes of chains of other lengths, built from nothing and compared with one of the model's own length.

    Attributes:
        boxes: Pairs (chains, monomers of each).
        duration: Length of each simulation [ps].
    """

    boxes: tuple[tuple[int, int], ...] = pydantic.Field(min_length=1)
    duration: Time = pydantic.Field(gt=0)


class LongRuns(Config):
    """Long simulations of the shipped model from built boxes.

    Attributes:
        duration: Length of each, after the equilibration [ps].
        equilibration: Time added because they start from built boxes [ps].
        sizes_duration: Length of those of other sizes, after the equilibration [ps].
    """

    duration: Time = pydantic.Field(gt=0)
    equilibration: Time = pydantic.Field(default=20.0, ge=0)
    sizes_duration: Time = pydantic.Field(default=200.0, gt=0)


class TimeSteps(Config):
    """The study of how seldom the network of the shipped model may be evaluated.

    Attributes:
        time_step: Step of the priors [ps].
        intervals: Steps of the priors per evaluation of the network.
        single_steps: Steps for all forces [ps], the first being `time_step`.
        molecules: Molecules in the box.
        equilibration: Length of the run before the others [ps].
        nvt: Length of the runs with a thermostat [ps].
        nve: Length of those without [ps].
        nve_frame_interval: Time between the energies of these [ps].
    """

    time_step: Time = pydantic.Field(gt=0)
    intervals: tuple[int, ...]
    single_steps: tuple[Time, ...] = pydantic.Field(min_length=1)
    molecules: int = pydantic.Field(default=500, ge=1)
    equilibration: Time = pydantic.Field(default=20.0, gt=0)
    nvt: Time = pydantic.Field(gt=0)
    nve: Time = pydantic.Field(gt=0)
    nve_frame_interval: Time = pydantic.Field(default=0.1, gt=0)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.single_steps[0] != self.time_step:
            raise ValueError(f"single_steps begin with {self.single_steps[0]:g} ps; begin with {self.time_step:g} ps")
        return self


class Picture(Config):
    """What the pages show of a model.

    Attributes:
        plate: Name of the picture of the report.
        bead_diameter: Diameter of beads in a picture of the box [nm]; None draws none.
    """

    plate: str = "gr-centers-of-mass"
    bead_diameter: Length | None = pydantic.Field(default=None, gt=0)


class Recipe(Config):
    """How one model is made; paths are relative to the file.

    Attributes:
        name: Name of the model.
        reference: The atomistic run.
        mean_forces: How mean forces of some of its frames are sampled; None samples none.
        fit: File with the settings of the fit.
        energy_weights: Energy weights of further fits with these settings.
        variants: Files of further fits to compare with, by name.
        refinement: File with the settings of the step after the fit; None ships the fit.
        simulation: The simulations that the model is judged by.
        pair_spline: File with the settings of the fit that the model has to beat, a pair spline on the same data; None
            leaves it out.
        sizes: Boxes of several sizes, for molecules.
        transfer: Boxes of other chain lengths, for chains.
        limits: Limits of the validation by name, where they are not the usual ones.
        picture: What the pages show.
        long_runs: Long simulations of the shipped model.
        time_steps: The study of multiple time steps.
    """

    name: str = pydantic.Field(min_length=1)
    reference: AtomisticRun
    mean_forces: MeanForceConfig | None = None
    fit: Path = Path("fit.yaml")
    energy_weights: tuple[float, ...] = ()
    variants: dict[str, Path] = pydantic.Field(default_factory=dict)
    refinement: Path | None = None
    simulation: Simulations
    pair_spline: Path | None = None
    sizes: Sizes | None = None
    transfer: ChainLengths | None = None
    limits: dict[str, float] = pydantic.Field(default_factory=dict)
    picture: Picture = Picture()
    long_runs: LongRuns | None = None
    time_steps: TimeSteps | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if taken := {FITTED, REFINED, PAIR_SPLINE} & set(self.variants):
            raise ValueError(f"a variant is called {sorted(taken)[0]!r}, which is the model's own; rename it")
        try:
            make_limits(self.limits)
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def shipped(self) -> str:
        """Folder of the force field that becomes the model."""
        return FITTED if self.refinement is None else REFINED

    @property
    def fits(self) -> tuple[FitPlan, ...]:
        """All fits, that of the model first."""
        weighted = [
            FitPlan(name=f"{FITTED}-lambda-{weight:g}", config=self.fit, training={"energy_weight": weight})
            for weight in self.energy_weights
        ]
        baseline = {} if self.pair_spline is None else {PAIR_SPLINE: self.pair_spline}
        others = [FitPlan(name=name, config=path) for name, path in {**self.variants, **baseline}.items()]
        return (FitPlan(name=FITTED, config=self.fit), *weighted, *others)

    @property
    def simulated(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Folders of the force fields that are simulated, the shipped one first, each with its seeds."""
        others = [plan.name for plan in self.fits if plan.name != self.shipped]
        return (
            (self.shipped, self.simulation.seeds),
            *((name, self.simulation.variant_seeds) for name in others),
        )


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """One fit.

    Attributes:
        name: Its folder.
        config: File with its settings, relative to the recipe.
        training: Settings that replace those under `training`.
    """

    name: str
    config: Path
    training: Mapping[str, Any] = field(default_factory=dict)


def find_recipe(name_or_path: str | Path) -> Path:
    """The recipe of a shipped system, of a system's folder, or the file itself.

    Raises:
        InputError: If there is none.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    found = find_system(name_or_path) / RECIPE
    if not found.is_file():
        raise InputError(f"{found.parent} has no {RECIPE}, which says how its model is made; write one")
    return found


def read_recipe(path: Path) -> tuple[Recipe, SystemSpecification]:
    """The recipe in a file and the system beside it.

    Raises:
        InputError: If the file does not fit `Recipe`, a file that it names is missing, or it does not fit the system.
    """
    recipe = read_config(path, Recipe)
    specification = read_specification(path.parent / "system.yaml")
    named = {"fit": recipe.fit, **{f"variants.{name}": file for name, file in recipe.variants.items()}}
    for name in ("refinement", "pair_spline"):
        if (file := getattr(recipe, name)) is not None:
            named[name] = file
    if recipe.reference.protocol is not None:
        named["reference.protocol"] = recipe.reference.protocol
    for where, file in named.items():
        if not (path.parent / file).is_file():
            raise InputError(f"{path}: {where} names {file}, which is not in {path.parent}; correct the name")
    if recipe.transfer is not None and not specification.chains:
        raise InputError(f"{path}: transfer is for chains, of which {specification.name} has none; give sizes")
    if recipe.sizes is not None and specification.chains:
        raise InputError(f"{path}: sizes are for molecules, and {specification.name} has chains; give transfer")
    return recipe, specification
