"""Molecular dynamics: steps per second, energy conservation, and many copies in one Context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray

from benchmarks import roofline, speed_methods
from benchmarks.speed_evaluate import OURS, TORCHMDNET
from benchmarks.speed_peers import Networks, ase_langevin
from benchmarks.speed_systems import Workload, count_pairs
from benchmarks.timing import ROUNDS, SECONDS, Timing, ratio_to_faster, summarize, time_in_rounds
from openmm_cgml.analysis.energy_drift import compute_energy_drift

TEMPERATURE = 300.0
SCHNETPACK = {
    "ASE": "SchNetPack, ASE Langevin, ASE list",
    "matscipy": "SchNetPack, ASE Langevin, matscipy list",
    "matscipy, skin": "SchNetPack, ASE Langevin, matscipy list with skin",
}
PRIORS_ALONE = "the native priors alone"

Stepping = tuple[Callable[[], None], Callable[[], None]]


def measure_dynamics(
    networks: Networks, rates: Mapping[str, float], *, rounds: int = ROUNDS, seconds: float = SECONDS
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ratio of steps per second to the faster peer's, and the table of all methods.

    SchNetPack's calculator runs without the priors, which ASE would have to evaluate in Python.
    """
    workload = networks.workload

    def in_openmm(system: openmm.System) -> Stepping:
        context = speed_methods.create_context(system, workload, speed_methods.langevin(workload))
        return speed_methods.stepping(context, workload)

    ours = speed_methods.ours(networks, priors=True, ml_backend="PythonForce")
    running = {
        OURS: in_openmm(ours),
        PRIORS_ALONE: in_openmm(_without_network(ours)),
        TORCHMDNET: in_openmm(speed_methods.torchmdnet(networks, priors=True)),
        **{name: ase_langevin(networks, neighbors) for neighbors, name in SCHNETPACK.items()},
    }
    steps = dict.fromkeys((OURS, PRIORS_ALONE, TORCHMDNET), speed_methods.STEPS)
    timings = _run(running, steps, rounds, seconds)
    peers = {name: timings[name] for name in (TORCHMDNET, *SCHNETPACK.values())}
    row = {**ratio_to_faster(timings[OURS], peers), "beads": workload.n_beads}
    return row, {
        "workload": workload.name,
        "beads": workload.n_beads,
        "time_step_fs": 1000 * workload.time_step,
        "least_ms": _least_ms(workload, rates),
        "methods": {name: timing.to_dict() for name, timing in timings.items()},
        "steps_per_second": {name: summarize(1 / timing.cpu) for name, timing in timings.items()},
        "speedup_over": {name: summarize(timing.cpu / timings[OURS].cpu) for name, timing in timings.items()},
    }


def _least_ms(workload: Workload, rates: Mapping[str, float]) -> float:
    """Least time of the network's part of a step [ms]."""
    work = roofline.count_work(workload.size, workload.n_beads, count_pairs(workload))
    return 1e3 * roofline.least_time(work, rates)


def _run(running: dict[str, Stepping], steps: dict[str, int], rounds: int, seconds: float) -> dict[str, Timing]:
    return time_in_rounds(
        {name: advance for name, (advance, _) in running.items()},
        before={name: reset for name, (_, reset) in running.items()},
        calls_each=steps,
        rounds=rounds,
        seconds=seconds,
    )


def _without_network(system: openmm.System) -> openmm.System:
    """The System with its native forces only."""
    alone = openmm.System()
    for index in range(system.getNumParticles()):
        alone.addParticle(system.getParticleMass(index))
    alone.setDefaultPeriodicBoxVectors(*system.getDefaultPeriodicBoxVectors())
    for force in system.getForces():
        if force.getName() != "network":
            alone.addForce(openmm.XmlSerializer.clone(force))
    return alone


def measure_replicas(
    networks: Networks,
    rates: Mapping[str, float],
    *,
    replicas: int = 64,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Steps of all copies in one Context over those of one copy alone, in the same process time."""
    workload = networks.workload
    running, steps = {}, {}
    for count in (1, replicas):
        system = speed_methods.ours(networks, priors=True, ml_backend="PythonForce", replicas=count)
        integrator = speed_methods.langevin(workload)
        context = speed_methods.create_context(system, workload, integrator, positions=_copies(workload.frames, count))
        name = _copies_name(count)
        running[name] = speed_methods.stepping(context, workload, positions=_copies(workload.frames, count))
        steps[name] = speed_methods.STEPS * count
    timings = _run(running, steps, rounds, seconds)
    one, many = timings[_copies_name(1)], timings[_copies_name(replicas)]
    row = {**summarize(one.cpu / many.cpu), "peer": "one copy", "replicas": replicas, "beads": workload.n_beads}
    return row, {
        "workload": workload.name,
        "least_ms": _least_ms(workload, rates),
        "steps_per_second": {name: summarize(1 / timing.cpu) for name, timing in timings.items()},
        "methods": {name: timing.to_dict() for name, timing in timings.items()},
    }


def _copies_name(count: int) -> str:
    return "one copy" if count == 1 else f"{count} copies"


def _copies(frames: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Starting positions of the copies, a frame of its own for each while there are enough."""
    return np.concatenate([frames[index % len(frames)] for index in range(count)])


def measure_drift(
    networks: Networks, *, runs: int = 3, duration: float = 40.0, time_step: float = 0.004, settle: float = 10.0
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Drift of the total energy without a thermostat [kT/ns/degree of freedom]: sizes over runs, and each run.

    Args:
        networks: The networks.
        runs: Number of runs, each from velocities of its own.
        duration: Length of a run [ps].
        time_step: Time step [ps].
        settle: Time with a thermostat before it [ps].
    """
    system = speed_methods.ours(networks, priors=True, ml_backend="PythonForce")
    starts = _settled(system, networks, runs, settle)
    context = speed_methods.create_context(system, networks.workload, openmm.VerletIntegrator(time_step))
    freedom = 3 * networks.workload.n_beads - 3
    each = []
    for positions, velocities in starts:
        context.setPositions(positions)
        context.setVelocities(velocities)
        times, energies = _total_energies(context, duration)
        drift = compute_energy_drift(times, energies, temperature=TEMPERATURE, degrees_of_freedom=freedom)
        each.append({"drift": drift.slope, "error": drift.standard_error})
    row = {**summarize(np.abs([run["drift"] for run in each])), "peer": "none", "unit": "kT/ns/dof"}
    more = {"time_step_fs": 1000 * time_step, "duration_ps": duration, "beads": networks.workload.n_beads}
    return {**row, **more}, {**more, "runs": each}


def _settled(
    system: openmm.System, networks: Networks, runs: int, settle: float
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Positions and velocities at 300 K, one set a run, without motion of the center of mass."""
    workload = networks.workload
    context = speed_methods.create_context(system, workload, speed_methods.langevin(workload))
    context.setVelocitiesToTemperature(TEMPERATURE, 1)
    starts = []
    for _ in range(runs):
        context.getIntegrator().step(round(settle / workload.time_step))
        state = context.getState(positions=True, velocities=True)
        velocities = state.getVelocities(asNumpy=True)._value
        starts.append((state.getPositions(asNumpy=True)._value, velocities - velocities.mean(axis=0)))
    return starts


def _total_energies(
    context: openmm.Context, duration: float, interval: int = 10
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    integrator = context.getIntegrator()
    step = integrator.getStepSize()._value
    count = round(duration / (step * interval))
    energies = np.zeros(count)
    for index in range(count):
        integrator.step(interval)
        state = context.getState(energy=True)
        energies[index] = (state.getPotentialEnergy() + state.getKineticEnergy())._value
    return step * interval * np.arange(count), energies
