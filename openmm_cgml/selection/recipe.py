"""Recipe: everything that says how one shipped model is made, in one YAML file beside the configurations it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pydantic

from openmm_cgml.config import Config, Length, Pressure, Time, read_config
from openmm_cgml.errors import InputError
from openmm_cgml.reference import MeanForceConfig, ReferenceConfig
from openmm_cgml.selection.comparison import make_limits
from openmm_cgml.shipped import find_system, list_systems
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
        pressure: Mean pressure of the recorded frames [bar], as `reference.measure_pressure` finds it, where the recipe
            names `data` and no report of the run says it.
        pressure_error: Its standard error [bar].
    """

    name: str = pydantic.Field(min_length=1)
    protocol: Path | None = None
    run: ReferenceConfig = ReferenceConfig()
    pressure: Pressure | None = None
    pressure_error: Pressure | None = None


class Variant(Config):
    """A force field beside the model: a further fit, refined or not, or a shipped model as it is.

    Attributes:
        fit: File with the settings of the fit.
        refinement: File with the settings of the step after it; None takes the fit as it is.
        model: Name or folder of a model that is taken instead of a fit.
        time_step: Step of its simulations [ps]; by default that of the model's.
        network_interval: Steps per evaluation of its network; by default that of the model's.
    """

    fit: Path | None = None
    refinement: Path | None = None
    model: str | None = None
    time_step: Time | None = pydantic.Field(default=None, gt=0)
    network_interval: int | None = pydantic.Field(default=None, ge=1)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"fit": value} if isinstance(value, str | Path) else value

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if (self.fit is None) == (self.model is None):
            raise ValueError("a variant has either a fit (a file with its settings) or a model (a name); give one")
        if self.model is not None and self.refinement is not None:
            raise ValueError(f"the model {self.model!r} is taken as it is; leave out its refinement")
        return self


class ConstantPressure(Config):
    """Simulations of the shipped model with a barostat, from frames of the reference, for its density.

    Attributes:
        duration: Length of each [ps].
        discard: Time that is left out of the mean [ps].
    """

    duration: Time = pydantic.Field(gt=0)
    discard: Time = pydantic.Field(gt=0)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.discard >= self.duration:
            raise ValueError(f"discard is {self.discard:g} ps and the runs are {self.duration:g} ps long; discard less")
        return self


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
        data: Folders with its mapped frames, of one or several boxes, relative to the file; nothing runs and maps it.
        mean_forces: How mean forces of some of its frames are sampled; None samples none.
        mean_force_data: Folder with such mean forces, in place of sampling them.
        fit: File with the settings of the fit.
        energy_weights: Energy weights of further fits with these settings.
        variants: Force fields to compare with, by name; a file name alone is a fit with these settings.
        refinement: File with the settings of the step after the fit; None ships the fit.
        simulation: The simulations that the model is judged by.
        pair_spline: File with the settings of the fit that the model has to beat, a pair spline on the same data; None
            leaves it out.
        constant_pressure: Simulations at the pressure of the system; None leaves them out.
        sizes: Boxes of several sizes, for molecules.
        transfer: Boxes of other chain lengths, for chains.
        limits: Limits of the validation by name, where they are not the usual ones.
        picture: What the pages show.
        long_runs: Long simulations of the shipped model.
        time_steps: The study of multiple time steps.
    """

    name: str = pydantic.Field(min_length=1)
    reference: AtomisticRun
    data: tuple[Path, ...] = ()
    mean_forces: MeanForceConfig | None = None
    mean_force_data: Path | None = None
    fit: Path = Path("fit.yaml")
    energy_weights: tuple[float, ...] = ()
    variants: dict[str, Variant] = pydantic.Field(default_factory=dict)
    refinement: Path | None = None
    simulation: Simulations
    pair_spline: Path | None = None
    constant_pressure: ConstantPressure | None = None
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
    def plans(self) -> tuple[Plan, ...]:
        """How every force field is made, that of the model first."""
        weighted = [
            Plan(name=f"{FITTED}-lambda-{weight:g}", fit=self.fit, training={"energy_weight": weight})
            for weight in self.energy_weights
        ]
        before = [] if self.refinement is None else [Plan(name=FITTED, fit=self.fit)]
        others = {**self.variants, **({} if self.pair_spline is None else {PAIR_SPLINE: Variant(fit=self.pair_spline)})}
        return (
            Plan(name=self.shipped, fit=self.fit, refinement=self.refinement),
            *before,
            *weighted,
            *(Plan(name=name, **dict(variant)) for name, variant in others.items()),
        )

    def plan(self, name: str) -> Plan:
        """That of one force field."""
        return next(plan for plan in self.plans if plan.name == name)

    def suffix(self, name: str) -> str:
        """What a measure of a force field ends with in the table: nothing for the model's own."""
        return "" if name == self.shipped else f"_{name.replace('-', '_')}"

    @property
    def fits(self) -> tuple[Plan, ...]:
        """All fits, that of the model first."""
        fitted = [plan for plan in self.plans if plan.fit is not None]
        return tuple({plan.fitted: replace(plan, name=plan.fitted, refinement=None) for plan in fitted}.values())

    @property
    def simulated(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Names of the force fields that are simulated, the shipped one first, each with its seeds."""
        return (
            (self.shipped, self.simulation.seeds),
            *((plan.name, self.simulation.variant_seeds) for plan in self.plans[1:]),
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one force field is made, and the steps of its simulations.

    Attributes:
        name: The folder of what comes out.
        fit: File with the settings of its fit, relative to the recipe; None for a model that is taken as it is.
        training: Settings that replace those under `training`.
        refinement: File with the settings of its refinement.
        model: The model that is taken as it is.
        time_step: As of `Variant`.
        network_interval: As of `Variant`.
    """

    name: str
    fit: Path | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    refinement: Path | None = None
    model: str | None = None
    time_step: float | None = None
    network_interval: int | None = None

    @property
    def fitted(self) -> str:
        """Folder of its fit: another one than that of what comes out where the fit is refined."""
        if self.refinement is None:
            return self.name
        return FITTED if self.name == REFINED else f"{self.name}-{FITTED}"


def find_recipe(name_or_path: str | Path) -> Path:
    """The recipe of a shipped system or of a variant of it, of a system's folder, or the file itself.

    A system's own is `recipe.yaml`; `<system>-<variant>` means `<variant>-recipe.yaml` in the same folder.

    Raises:
        InputError: If there is none.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    for system in list_systems():
        variant = str(name_or_path).removeprefix(f"{system}-")
        if (found := find_system(system) / f"{variant}-{RECIPE}").is_file():
            return found
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
    named = {"fit": recipe.fit}
    optional = {name: getattr(recipe, name) for name in ("refinement", "pair_spline")}
    for name, variant in recipe.variants.items():
        optional |= {f"variants.{name}": variant.fit, f"variants.{name}.refinement": variant.refinement}
    named |= {where: file for where, file in optional.items() if file is not None}
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
