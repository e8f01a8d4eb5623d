"""What a refinement adjusts, and how: one configuration, whose `target` says which part of a force field it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, Self

import pydantic

from openmm_cgml.config import Config, Friction, Pressure, Time, read_config, read_yaml
from openmm_cgml.errors import InputError

_SETTLING = 2 / 3  # of the rounds, after which steps become smaller


class RefinementConfig(Config):
    """Settings that every refinement has.

    Attributes:
        target: What is adjusted: "bonded" priors, "pair" priors, both of these "priors", pair priors for the "pressure"
            alone, or the "network".
        rounds: Changes at most. Each follows a simulation, and a last simulation measures what came out.
        duration: Simulated time whose frames a round uses [ps].
        equilibration: Simulated time before it, longer by `first_equilibration` in the first round [ps].
        first_equilibration: See there [ps]. The simulation starts from a frame of the reference and goes on from round
            to round; coordinates with barriers (torsions, angles of large beads) forget that frame slowly.
        frame_interval: Time between frames [ps].
        time_step: Integration step of the priors [ps]; by default what the stiffest prior allows.
        network_interval: Steps of the priors per evaluation of the network.
        friction: Friction of the Langevin thermostat [1/ps].
        reference_frames: Frames that are used of each half of the reference: one is the target, the other judges.
        starts: Independent simulations of each round, from different frames of the reference; with several boxes a
            multiple of their number.
        seed: Seed of the choice of frames and of the thermostat.
        threads: CPU threads; None leaves it to torch and OpenMM.
    """

    target: str
    rounds: int = pydantic.Field(ge=0)
    duration: Time = pydantic.Field(gt=0)
    equilibration: Time = pydantic.Field(ge=0)
    first_equilibration: Time = pydantic.Field(ge=0)
    frame_interval: Time = pydantic.Field(default=0.5, gt=0)
    time_step: Time | None = pydantic.Field(default=None, gt=0)
    network_interval: int = pydantic.Field(default=1, ge=1)
    friction: Friction = 1.0
    reference_frames: int = pydantic.Field(default=300, ge=4)
    starts: int = pydantic.Field(default=1, ge=1)
    seed: int = pydantic.Field(default=0, ge=0, lt=2**31 - 2**16)
    threads: int | None = pydantic.Field(default=None, ge=1)


class PriorRefinementConfig(RefinementConfig):
    """Settings of a refinement of priors. See `RefinementConfig` for the others.

    Attributes:
        step_size: Share of each correction that is made; in the last third of the rounds it falls as 1/2, 1/3, ...,
            which averages over what the simulations of these rounds leave to chance.
    """

    step_size: float = pydantic.Field(default=0.8, gt=0, le=1)

    def share(self, number: int) -> float:
        """Share of the correction that follows the simulation after `number` changes."""
        late = number - int(_SETTLING * self.rounds)
        return self.step_size / max(1, late + 1)


class BondedRefinementConfig(PriorRefinementConfig):
    """Settings of a refinement of bonded priors. See `RefinementConfig` for the others.

    Attributes:
        tolerance: A type has converged when the mean of each of its features is that of the reference within so many
            standard deviations, or within two standard errors.
        doubt: Squares of its standard error that a difference loses before it is followed. By default those that the
            largest of a term's differences has by chance, so that a few rounds follow no noise; 1 follows each as far
            as it is likely, and leaves it to many rounds to average the noise.
    """

    target: Literal["bonded"] = "bonded"
    rounds: int = pydantic.Field(default=8, ge=0)
    duration: Time = pydantic.Field(default=15.0, gt=0)
    equilibration: Time = pydantic.Field(default=3.0, ge=0)
    first_equilibration: Time = pydantic.Field(default=20.0, ge=0)
    tolerance: float = pydantic.Field(default=0.02, ge=0)
    doubt: float | None = pydantic.Field(default=None, ge=0)


class PairRefinementConfig(PriorRefinementConfig):
    """Settings of a refinement of pair priors. See `RefinementConfig` for the others.

    Attributes:
        covariance_weight: 0 corrects every distance by itself, as iterative Boltzmann inversion does; 1 takes the whole
            covariance of the features from the simulation, the Newton step of the relative entropy, which needs long
            ones.
        pressure: Pressure that the simulation is to have, held by every correction; None lets it go.
        force_weight: What the forces between molecules in the data count beside the structure. 0: only structure and
            pressure matter. 1: a frame's forces count as their likelihood does, their errors being independent of each
            other.
        followers: Pairs of types, such as "CH3-CH3", that follow the forces alone, because they are too rare for
            simulations to tell; with a force_weight. They must not be able to undo what the others do.
    """

    target: Literal["pair"] = "pair"
    rounds: int = pydantic.Field(default=12, ge=0)
    duration: Time = pydantic.Field(default=20.0, gt=0)
    equilibration: Time = pydantic.Field(default=3.0, ge=0)
    first_equilibration: Time = pydantic.Field(default=10.0, ge=0)
    starts: int = pydantic.Field(default=3, ge=1)
    step_size: float = pydantic.Field(default=0.7, gt=0, le=1)
    covariance_weight: float = pydantic.Field(default=0.5, ge=0, le=1)
    pressure: Pressure | None = None
    force_weight: float = pydantic.Field(default=0.0, ge=0)
    followers: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _check_followers(self) -> Self:
        if self.followers and not self.force_weight:
            raise ValueError("followers follow the forces, and force_weight is 0; give it a value, such as 0.01")
        return self


class PriorsRefinementConfig(PairRefinementConfig):
    """Settings of a refinement of bonded and pair priors in the same simulations. See `PairRefinementConfig`.

    Attributes:
        tolerance: As of `BondedRefinementConfig`.
        doubt: As of `BondedRefinementConfig`.
    """

    target: Literal["priors"] = "priors"  # type: ignore[assignment]
    tolerance: float = pydantic.Field(default=0.02, ge=0)
    doubt: float | None = pydantic.Field(default=None, ge=0)

    @property
    def bonded(self) -> BondedRefinementConfig:
        """The settings of its bonded part."""
        shared = BondedRefinementConfig.model_fields.keys() - {"target"}
        return BondedRefinementConfig(**{name: getattr(self, name) for name in shared})


class PressureRefinementConfig(PairRefinementConfig):
    """Settings of a refinement of pair priors for the pressure alone. See `PairRefinementConfig` for the others.

    Attributes:
        pressure: Pressure that the simulation is to have [bar].
    """

    target: Literal["pressure"] = "pressure"  # type: ignore[assignment]
    rounds: int = pydantic.Field(default=4, ge=0)
    step_size: float = pydantic.Field(default=1.0, gt=0, le=1)
    covariance_weight: float = pydantic.Field(default=1.0, ge=0, le=1)
    pressure: Pressure = 1.01325


class NetworkRefinementConfig(RefinementConfig):
    """Settings of a refinement of the network. See `RefinementConfig` for the others.

    Attributes:
        steps: Optimizer steps per round.
        batch_size: Frames of each ensemble per step.
        learning_rate: Of Adam in the first round; it falls to zero along a quarter of a cosine.
    """

    target: Literal["network"] = "network"
    rounds: int = pydantic.Field(default=20, ge=0)
    duration: Time = pydantic.Field(default=10.0, gt=0)
    equilibration: Time = pydantic.Field(default=1.0, ge=0)
    first_equilibration: Time = pydantic.Field(default=5.0, ge=0)
    steps: int = pydantic.Field(default=10, ge=1)
    batch_size: int = pydantic.Field(default=12, ge=1)
    learning_rate: float = pydantic.Field(default=1e-4, gt=0)


CONFIGS: Mapping[str, type[RefinementConfig]] = {
    "bonded": BondedRefinementConfig,
    "pair": PairRefinementConfig,
    "priors": PriorsRefinementConfig,
    "pressure": PressureRefinementConfig,
    "network": NetworkRefinementConfig,
}
"""The configuration of each target."""


def config_of(target: str, **settings: Any) -> RefinementConfig:
    """The settings of a target, defaults where none are given.

    Raises:
        InputError: If there is no such target, or a setting is wrong.
    """
    if target not in CONFIGS:
        raise InputError(f"target is {target!r}; it must be one of {', '.join(CONFIGS)}")
    return CONFIGS[target](**settings)


def read_refinement_config(
    path: str | os.PathLike[str], target: str | None = None, overrides: Mapping[str, Any] | None = None
) -> RefinementConfig:
    """The configuration in a YAML file.

    Args:
        path: The file.
        target: What is adjusted, where the file does not say.
        overrides: Settings that replace those of the file, quantities with units as in the file.

    Raises:
        InputError: If the file cannot be read or does not fit, says nothing of a target and none is given, or says
            another one.
    """
    values, _ = read_yaml(path)
    stated = values.get("target") if isinstance(values, dict) else None
    if stated is None and target is None:
        raise InputError(f"{path}: target is missing; add one of {', '.join(f'target: {name}' for name in CONFIGS)}")
    if None not in (stated, target) and stated != target:
        raise InputError(f"{path}: target is {stated!r}, but {target!r} was asked for; change one of them")
    chosen = str(stated or target)
    if chosen not in CONFIGS:
        raise InputError(f"{path}: target is {chosen!r}; it must be one of {', '.join(CONFIGS)}")
    return read_config(path, CONFIGS[chosen], {**(overrides or {}), "target": chosen})
