"""What a simulation runs with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from openmm_cgml.builder.time_step import choose_time_step
from openmm_cgml.config import Config, Friction, Pressure, Temperature, Time

if TYPE_CHECKING:
    from openmm_cgml.force_field import ForceField
    from openmm_cgml.topology import CGTopology

PressureCoupling = Literal["isotropic", "semi-isotropic", "anisotropic", "x", "y", "z"]


class SimulationConfig(Config):
    """Settings of one simulation; times are rounded to whole steps.

    Attributes:
        temperature: Temperature of the thermostat and of the starting velocities [K].
        duration: Simulated time ("CG time") [ps].
        time_step: Integration step of the priors [ps], and of the network unless `network_interval` says otherwise.
        friction: Friction of the Langevin thermostat [1/ps].
        ensemble: "NVT" (LangevinMiddleIntegrator) or "NVE" (VerletIntegrator).
        pressure: Pressure of a Monte Carlo barostat [bar]; None keeps the volume.
        pressure_coupling: Which edges of the box change: all alike ("isotropic"), x and y alike and z alone
            ("semi-isotropic", without surface tension), each alone ("anisotropic"), or one alone ("x", "y" or "z", as
            for a slab of constant area).
        scaling: What the barostat moves as a whole: "molecules", or "beads", which chains that span the box need
            (networks) and which OpenMM offers from 8.6 on. Both sample the same ensemble.
        barostat_interval: Steps between attempts to change the box.
        frame_interval: Time between recorded frames and log lines [ps]; by default 1 ps, or a shorter duration.
        checkpoint_interval: Time between checkpoints, rounded to whole frames [ps].
        seed: Seed of the starting velocities and the thermostat.
        platform: OpenMM platform, or "auto" for the fastest that works.
        threads: CPU threads; None leaves it to OpenMM.
        ml_backend: "auto", "TorchForce" or "PythonForce".
        pair_backend: What evaluates the priors between all pairs of beads: OpenMM's "native" forces, the "engine" that
            evaluates the network, or "auto" for the engine on the CPU platform, where it is faster.
        minimize: Relax the starting positions first.
        replicas: Independent copies of the system, simulated together in one Context.
        network_interval: Steps of the priors per evaluation of the network; 1 evaluates all forces at every step.
    """

    temperature: Temperature
    duration: Time
    time_step: Time
    friction: Friction = 1.0
    ensemble: Literal["NVT", "NVE"] = "NVT"
    pressure: Pressure | None = None
    pressure_coupling: PressureCoupling = "isotropic"
    scaling: Literal["molecules", "beads"] = "molecules"
    barostat_interval: int = pydantic.Field(default=25, ge=1)
    frame_interval: Time = pydantic.Field(default_factory=lambda data: min(1.0, data.get("duration", 1.0)))
    checkpoint_interval: Time = 50.0
    seed: int = pydantic.Field(default=0, ge=0, lt=2**31 - 2**16)
    platform: Literal["auto", "Reference", "CPU", "CUDA", "HIP", "OpenCL"] = "auto"
    threads: int | None = pydantic.Field(default=None, ge=1)
    ml_backend: Literal["auto", "TorchForce", "PythonForce"] = "auto"
    pair_backend: Literal["auto", "native", "engine"] = "auto"
    minimize: bool = True
    replicas: int = pydantic.Field(default=1, ge=1)
    network_interval: int = pydantic.Field(default=1, ge=1)

    @classmethod
    def for_force_field(cls, force_field: ForceField, topology: CGTopology, **settings: Any) -> SimulationConfig:
        """Settings of a run; temperature and time steps are those of the model where they are not given.

        Args:
            force_field: The model: its training data's temperature, and the time steps that it recommends, or the one
                that its stiffest prior allows.
            topology: The beads.
            **settings: The fields.

        Raises:
            InputError: Naming the field, the value and what would be right.
        """
        defaults = _default_steps(force_field, topology, settings)
        if force_field.training_summary is not None:
            defaults["temperature"] = force_field.training_summary.temperature
        return cls(**{**defaults, **settings})

    @pydantic.model_validator(mode="after")
    def _check(self) -> SimulationConfig:
        for name in ("temperature", "duration", "time_step", "frame_interval", "checkpoint_interval"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be greater than zero")
        if self.friction < 0:
            raise ValueError(f"friction is {self.friction:g}/ps; it must not be negative")
        if self.pressure is not None and self.ensemble == "NVE":
            raise ValueError("a barostat does work on the system, so nothing conserves its energy; take ensemble NVT")
        if self.pressure is not None and self.replicas > 1:
            raise ValueError(
                f"{self.replicas} replicas share one box, whose volume a barostat would couple; run them apart"
            )
        for name in ("duration", "frame_interval"):
            if getattr(self, name) < 0.999 * self.time_step * self.network_interval:
                step = "one time step" if self.network_interval == 1 else f"{self.network_interval} time steps"
                raise ValueError(
                    f"{name} is {getattr(self, name):g} ps, less than {step} of {self.time_step:g} ps; "
                    "times without a unit are in ps"
                )
        if self.frame_interval > 1.001 * self.duration:
            raise ValueError(
                f"frame_interval is {self.frame_interval:g} ps, longer than the duration of {self.duration:g} ps: "
                "nothing would be recorded"
            )
        return self

    @property
    def n_steps(self) -> int:
        """Steps of the whole simulation, a multiple of `steps_per_frame`."""
        return max(1, round(self.duration / self.time_step / self.steps_per_frame)) * self.steps_per_frame

    @property
    def steps_per_frame(self) -> int:
        """Steps between recorded frames, a multiple of `network_interval`."""
        return max(1, round(self.frame_interval / self.time_step / self.network_interval)) * self.network_interval

    @property
    def steps_per_checkpoint(self) -> int:
        """Steps between checkpoints, a multiple of `steps_per_frame`."""
        return max(1, round(self.checkpoint_interval / (self.time_step * self.steps_per_frame))) * self.steps_per_frame


def _default_steps(force_field: ForceField, topology: CGTopology, given: Mapping[str, Any]) -> dict[str, Any]:
    """Time step and interval of the network: those that belong together, where neither is given."""
    recommended = force_field.manifest.recommended_steps
    if recommended is not None and not {"time_step", "network_interval", "replicas"} & given.keys():
        return {"time_step": recommended.time_step, "network_interval": recommended.network_interval}
    return {"time_step": choose_time_step(force_field.suggest_time_step(topology))}
