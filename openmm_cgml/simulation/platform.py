"""Choice of the OpenMM platform, and what identifies a System."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

import numpy as np
import openmm

from openmm_cgml.errors import InputError

logger = logging.getLogger(__name__)

_PREFERENCE = ("CUDA", "HIP", "CPU", "OpenCL", "Reference")
_FOREIGN_FORCES = ("PythonForce", "TorchForce", "Force")
"""Forces whose serialized form is executable code and which are never serialized here; OpenMM shows those of plugins,
such as TorchForce, as a bare Force."""


@dataclass(frozen=True, kw_only=True)
class PlatformChoice:
    """An OpenMM platform, its properties, and why it was chosen."""

    name: str
    properties: dict[str, str]
    reason: str

    @property
    def platform(self) -> openmm.Platform:
        """The platform itself."""
        return openmm.Platform.getPlatformByName(self.name)


def available_platforms() -> tuple[str, ...]:
    """Names of the platforms that OpenMM has loaded."""
    return tuple(openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms()))


def choose_platform(name: str = "auto", threads: int | None = None) -> PlatformChoice:
    """The platform called `name`, or for "auto" the fastest on which a one-particle System runs.

    Raises:
        InputError: If the named platform is not there or does not work; the message lists those that are.
    """
    loaded = available_platforms()
    if name != "auto":
        if name not in loaded:
            raise InputError(
                f"platform {name} is not available; available are {', '.join(loaded)}. "
                "`openmm-cgml doctor` tells what is missing"
            )
        choice = PlatformChoice(name=name, properties=_properties(name, threads), reason="asked for")
        failure = _probe(choice)
        if failure:
            raise InputError(f"platform {name} does not work here: {failure}; try one of {', '.join(loaded)}")
        return choice
    failures: list[str] = []
    for candidate in _PREFERENCE:
        if candidate not in loaded:
            continue
        reason = "fastest that works" + (f"; {'; '.join(failures)}" if failures else "")
        choice = PlatformChoice(name=candidate, properties=_properties(candidate, threads), reason=reason)
        failure = _probe(choice)
        if not failure:
            return choice
        failures.append(f"{candidate}: {failure}")
    raise InputError(f"no OpenMM platform works here: {'; '.join(failures)}; reinstall openmm")


def _properties(name: str, threads: int | None) -> dict[str, str]:
    if name == "CPU" and threads is not None:
        return {"Threads": str(threads)}
    return {"Precision": "mixed"} if name in ("CUDA", "HIP", "OpenCL") else {}


def _probe(choice: PlatformChoice) -> str | None:
    """Why a one-particle System does not run, or None."""
    system = openmm.System()
    system.addParticle(1.0)
    try:
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), choice.platform, choice.properties)
        context.setPositions([openmm.Vec3(0, 0, 0)])
        context.getIntegrator().step(1)
    except openmm.OpenMMException as error:
        return str(error)
    return None


def fingerprint_system(system: openmm.System, identity: str = "") -> str:
    """Hexadecimal sha256 of masses, constraints, forces and their parameters.

    A PythonForce or TorchForce does not enter, since its serialized form is code and either can stand for the other;
    what it computes is covered by `identity`, where the hash of the force field belongs.
    """
    digest = hashlib.sha256()
    masses = [system.getParticleMass(i).value_in_unit(openmm.unit.dalton) for i in range(system.getNumParticles())]
    digest.update(np.asarray(masses, dtype=np.float64).tobytes())
    for index in range(system.getNumConstraints()):
        i, j, length = system.getConstraintParameters(index)
        digest.update(f"{i} {j} {length.value_in_unit(openmm.unit.nanometer)!r}".encode())
    for force in system.getForces():
        if type(force).__name__ not in _FOREIGN_FORCES:
            digest.update(openmm.XmlSerializer.serialize(force).encode())
    digest.update(identity.encode())
    return digest.hexdigest()
