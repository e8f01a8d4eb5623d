"""Chooses the OpenMM platform of an atomistic run."""

from __future__ import annotations

import openmm

from openmm_cgml.errors import InputError

__all__ = ["find_platform"]


def find_platform(name: str | None, threads: int | None) -> tuple[openmm.Platform, dict[str, str]]:
    """An OpenMM platform and its properties.

    Args:
        name: Name of the platform; None takes the fastest one.
        threads: Threads of the CPU platform; None takes OpenMM's choice.

    Raises:
        InputError: OpenMM has no such platform here.
    """
    platforms = [openmm.Platform.getPlatform(i) for i in range(openmm.Platform.getNumPlatforms())]
    fitting = [platform for platform in platforms if name in (None, platform.getName())]
    if not fitting:
        known = ", ".join(platform.getName() for platform in platforms)
        raise InputError(f"OpenMM has no platform {name!r} here; it has: {known}")
    platform = max(fitting, key=lambda candidate: candidate.getSpeed())
    return platform, {"Threads": str(threads)} if threads and platform.getName() == "CPU" else {}
