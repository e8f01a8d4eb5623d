"""Speed on a GPU: steps per second by number of beads, by number of copies, and by way of calling the network.

It has never run on a GPU. `speed.py --device cuda --platform CPU --quick` runs the same lines on a CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import torch

from benchmarks import machine_rates, speed_methods, speed_peers, speed_results, speed_systems
from benchmarks.speed_evaluate import check_evaluation
from benchmarks.speed_peers import Networks
from benchmarks.timing import summarize
from openmm_cgml.engine.backends import torchforce_problem
from openmm_cgml.engine.torchforce import import_openmmtorch

WARM_UP = 100
ROUNDS = 5
SECONDS = 2.0
COPIES = (1, 16, 64, 256)
GRAPHS = "useCUDAGraphs"
Build = Callable[[Networks], openmm.System]


def measure(results: Path, *, platform: str = "CUDA", quick: bool = False) -> None:
    """Measure everything and write speed-cuda.json, row by row, so that what was measured survives a failure.

    Args:
        results: Folder of the results.
        platform: OpenMM platform.
        quick: Small boxes and short rounds, and nothing is written.
    """
    spk = speed_peers.import_schnetpack()
    path = results / "speed-cuda.json"
    if not quick:
        speed_results.merge_results(path, {"header": _header(platform)})
    for key, row in _rows(spk, platform, quick):
        if not quick:
            speed_results.merge_results(path, {"tables": {key: row}})
        print(_format(key, row), flush=True)


def _header(platform: str) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "command": f"python benchmarks/speed.py --device cuda --platform {platform}",
        "gpu": gpu,
        "machine": machine_rates.describe_machine(torch.get_num_threads()),
        "torchforce": torchforce_problem() or "works",
    }


def _rows(spk: Any, platform: str, quick: bool) -> Any:
    benzene = speed_peers.create_networks(spk, speed_systems.benzene())
    exact = benzene.exact(benzene.workload.frames[0])
    for copies in (1,) if quick else (1, 2, 4, 6):
        box = benzene.workload if copies == 1 else speed_systems.replicate(benzene.workload, copies, n_frames=2)
        networks = Networks(spk=spk, workload=box, reference=benzene.reference)
        start = speed_systems.tile(benzene.workload.frames[0], benzene.workload.edge, copies)
        expected = (copies**3 * exact[0], np.tile(exact[1], (copies**3, 1)))
        for name, build in _ways(copies).items():
            yield f"{box.name}: {name}", _attempt(networks, build, platform, quick, start=start, expected=expected)
    chain = speed_peers.create_networks(spk, speed_systems.polyethylene(chains=1, length=269))
    for networks in (benzene, chain):
        for replicas in (1, 2) if quick else COPIES:
            build = _replicated(replicas)
            yield (
                f"{networks.workload.name}: {replicas} replicas",
                _attempt(networks, build, platform, quick, replicas=replicas),
            )


def _ways(copies: int) -> dict[str, Build]:
    """Ways of calling a network; TorchMD-Net's neighbor list compares all pairs, so large boxes are not for it."""
    ways: dict[str, Build] = {
        "ours, TorchForce with CUDA graphs": lambda networks: _graphs(_ours(networks, "TorchForce"), "true"),
        "ours, TorchForce without": lambda networks: _graphs(_ours(networks, "TorchForce"), "false"),
        "ours, PythonForce": lambda networks: _ours(networks, "PythonForce"),
    }
    if copies <= 2:
        ways["TorchMD-Net, TorchForce"] = lambda networks: speed_methods.torchmdnet(networks, priors=True)
    return ways


def _ours(networks: Networks, backend: str, replicas: int = 1) -> openmm.System:
    return speed_methods.ours(networks, priors=True, ml_backend=backend, replicas=replicas)


def _replicated(replicas: int) -> Build:
    return lambda networks: _ours(networks, "TorchForce", replicas)


def _graphs(system: openmm.System, value: str) -> openmm.System:
    """The System with CUDA graphs on or off in its TorchForce."""
    torch_force = import_openmmtorch().TorchForce
    for force in system.getForces():
        if torch_force.isinstance(force):
            torch_force.cast(force).setProperty(GRAPHS, value)
    return system


def _attempt(networks: Networks, build: Build, platform: str, quick: bool, **options: Any) -> dict[str, Any]:
    """A row, or what went wrong: one way that does not work here must not end the others."""
    try:
        return _measure(networks, build, platform, quick, **options)
    except (openmm.OpenMMException, RuntimeError, ValueError, MemoryError) as error:
        return {"failed": " ".join(str(error).split())[:300]}


def _measure(
    networks: Networks,
    build: Build,
    platform: str,
    quick: bool,
    *,
    start: Any = None,
    expected: Any = None,
    replicas: int = 1,
) -> dict[str, Any]:
    workload = networks.workload
    system = build(networks)
    frames = workload.frames
    positions = start
    if positions is None:
        positions = np.concatenate([frames[index % len(frames)] for index in range(replicas)])
    integrator = speed_methods.langevin(workload)
    context = speed_methods.create_context(system, workload, integrator, platform=platform, positions=positions)
    difference = None if expected is None else _check_network(context, system, positions, expected)
    context.setVelocitiesToTemperature(300.0, 1)
    integrator.step(2 if quick else WARM_UP)
    rates = np.array([_steps_per_second(context, 0.1 if quick else SECONDS) for _ in range(2 if quick else ROUNDS)])
    return {
        "beads": workload.n_beads,
        "replicas": replicas,
        "steps_per_second": summarize(rates),
        "ns_per_day": summarize(replicas * rates * workload.time_step * 86.4),
        "timestep_molecules_per_second": summarize(replicas * rates),
        "force_difference": difference,
    }


def _check_network(context: openmm.Context, system: openmm.System, positions: Any, expected: Any) -> float:
    """Force difference of the network alone, on this platform, from the reference in float64 on the CPU."""
    groups = {force.getForceGroup() for force in system.getForces() if force.getName() == "network"}
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True, groups=groups)
    found = state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value
    return check_evaluation("the network on this platform", found, expected)


def _steps_per_second(context: openmm.Context, seconds: float) -> float:
    """Elapsed time is what counts here: the CPU waits for the GPU, or works beside it."""
    integrator, block = context.getIntegrator(), 10
    done, begun = 0, time.perf_counter()
    while True:
        integrator.step(block)
        context.getState(energy=True)  # waits until the GPU has done the steps
        done += block
        elapsed = time.perf_counter() - begun
        if elapsed >= seconds:
            return done / elapsed
        block = max(10, int(0.2 * done / elapsed))


def _format(key: str, row: dict[str, Any]) -> str:
    if "failed" in row:
        return f"{key}: failed: {row['failed']}"
    rate, speed = row["steps_per_second"]["median"], row["ns_per_day"]["median"]
    error = "" if row["force_difference"] is None else f", largest force error over rms {row['force_difference']:.1e}"
    beads = row["timestep_molecules_per_second"]["median"]
    return f"{key}: {rate:.4g} steps/s, {speed:.4g} ns/day of all copies, {beads:.4g} timestep*molecules/s{error}"
