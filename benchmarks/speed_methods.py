"""What is timed in OpenMM: our force field and TorchMD-Net's network, evaluated or run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray

from benchmarks.speed_peers import Evaluation, Networks
from benchmarks.speed_systems import Playback, Workload

STEPS = 10
"""Steps of molecular dynamics in one call."""


def ours(networks: Networks, *, priors: bool = False, **options: Any) -> openmm.System:
    """Our System; `options` go to `ForceField.create_system`."""
    workload = networks.workload
    return networks.force_field(priors=priors).create_system(workload.topology, box=workload.box, **options)


def torchmdnet(networks: Networks, *, priors: bool = False) -> openmm.System:
    """TorchMD-Net's network in a TorchForce, with the same native priors as ours."""
    from openmm_cgml.engine.torchforce import import_openmmtorch, script

    workload = networks.workload
    system = _empty_system(workload)
    if priors:
        for potential in networks.force_field(priors=True).bind(workload.topology):
            system.addForce(potential.to_openmm(periodic=True))  # in group 0; the network has one of its own
    force = import_openmmtorch().TorchForce(script(networks.torchmdnet()))
    force.setOutputsForces(True)
    force.setUsesPeriodicBoundaryConditions(True)
    force.setName("network")
    force.setForceGroup(1)
    system.addForce(force)
    return system


def create_context(
    system: openmm.System,
    workload: Workload,
    integrator: openmm.Integrator,
    *,
    platform: str = "CPU",
    threads: int = 1,
    precision: str = "mixed",
    positions: NDArray[np.float64] | None = None,
) -> openmm.Context:
    """A Context at the first frame, or at `positions`."""
    properties = {"Threads": str(threads)} if platform == "CPU" else {"Precision": precision}
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform), properties)
    context.setPositions(workload.frames[0] if positions is None else positions)
    return context


def evaluation(context: openmm.Context) -> Callable[[NDArray[np.float64]], Evaluation]:
    """Energy [kJ/mol] and forces [kJ/mol/nm] at positions [nm], through OpenMM."""

    def evaluate(positions: NDArray[np.float64]) -> Evaluation:
        context.setPositions(positions)
        state = context.getState(energy=True, forces=True)
        return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value

    return evaluate


def playback(context: openmm.Context, workload: Workload) -> Callable[[], Evaluation]:
    """Evaluates a Context on one frame after the other."""
    evaluate, frames = evaluation(context), Playback(workload)
    return lambda: evaluate(frames())


def langevin(workload: Workload, seed: int = 1) -> openmm.LangevinMiddleIntegrator:
    """Langevin dynamics at 300 K with a friction of 1/ps, as in ASE."""
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, workload.time_step)
    integrator.setRandomNumberSeed(seed)
    return integrator


def stepping(
    context: openmm.Context,
    workload: Workload,
    steps: int = STEPS,
    positions: NDArray[np.float64] | None = None,
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Steps of molecular dynamics, and what sets positions and velocities back to the start."""
    integrator = context.getIntegrator()

    def reset() -> None:
        context.setPositions(workload.frames[0] if positions is None else positions)
        context.setVelocitiesToTemperature(300.0, 1)

    return lambda: integrator.step(steps), reset


def _empty_system(workload: Workload) -> openmm.System:
    system = openmm.System()
    for _ in range(workload.n_beads):
        system.addParticle(workload.template.masses[0])
    system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*row) for row in workload.box.tolist()))
    return system
