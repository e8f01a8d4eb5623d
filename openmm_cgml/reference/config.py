"""ReferenceConfig: lengths and settings of an atomistic reference run."""

from __future__ import annotations

from typing import Literal

import pydantic

from openmm_cgml.config import Config, Density, Time

__all__ = ["ReferenceConfig"]


class ReferenceConfig(Config):
    """Lengths and settings of an atomistic reference run.

    Attributes:
        molecules: Number of molecules or chains; None takes the count of the specification. Kinds of a mixture share it
            in the proportions of the specification.
        monomers: Residues per chain; None takes that of the specification.
        stretch: Factor on the lengths of the equilibration stages.
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
    monomers: int | None = pydantic.Field(default=None, ge=2)
    stretch: float = pydantic.Field(default=1.0, gt=0.0)
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
