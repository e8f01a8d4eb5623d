"""Energy and forces: correctness first, then time, of all methods in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray

from benchmarks import roofline, speed_methods
from benchmarks.speed_peers import Evaluation, Networks, ase_atoms, ase_evaluation, ase_playback
from benchmarks.speed_systems import Workload, count_pairs, replicate, tile
from benchmarks.timing import ROUNDS, SECONDS, Timing, ratio_to_faster, summarize, time_in_rounds

GATE = 1e-3
"""Largest accepted force difference from the reference in float64, over the root mean square force."""
ENERGY_GATE = 1e-3
"""Largest accepted energy difference [kJ/mol a bead]."""
OURS = "ours, PythonForce"
EXACT = "ours, PythonForce exact"
OURS_TORCHFORCE = "ours, TorchForce"
TORCHMDNET = "TorchMD-Net, TorchForce"
SCHNETPACK = {"ASE": "SchNetPack, ASE list", "matscipy": "SchNetPack, matscipy list"}

Method = tuple[Callable[[NDArray[np.float64]], Evaluation], Callable[[], object]]


def measure_energy_and_forces(
    networks: Networks, rates: Mapping[str, float], *, rounds: int = ROUNDS, seconds: float = SECONDS
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ratio to the faster peer, and the table of all methods.

    Raises:
        RuntimeError: If a method does not compute what the reference computes.
    """
    workload = networks.workload
    methods = _methods(networks)
    differences = check_methods({name: method[0] for name, method in methods.items()}, networks)
    timings = time_in_rounds({name: method[1] for name, method in methods.items()}, rounds=rounds, seconds=seconds)
    peers = {name: timings[name] for name in (TORCHMDNET, *SCHNETPACK.values())}
    table = _table(timings, differences, workload, rates)
    row = {**ratio_to_faster(timings[OURS], peers), "beads": workload.n_beads, "roofline": table["roofline"][OURS]}
    return row, table


def _methods(networks: Networks) -> dict[str, Method]:
    def in_openmm(system: openmm.System) -> Method:
        context = speed_methods.create_context(system, networks.workload, openmm.VerletIntegrator(0.001))
        return speed_methods.evaluation(context), speed_methods.playback(context, networks.workload)

    def in_ase(neighbors: str) -> Method:
        atoms = ase_atoms(networks.workload, networks.calculator(neighbors))
        return ase_evaluation(atoms), ase_playback(networks, neighbors)

    return {
        OURS: in_openmm(speed_methods.ours(networks, ml_backend="PythonForce")),
        EXACT: in_openmm(speed_methods.ours(networks, ml_backend="PythonForce", exact=True)),
        OURS_TORCHFORCE: in_openmm(speed_methods.ours(networks, ml_backend="TorchForce")),
        TORCHMDNET: in_openmm(speed_methods.torchmdnet(networks)),
        **{name: in_ase(neighbors) for neighbors, name in SCHNETPACK.items()},
    }


def check_methods(
    methods: Mapping[str, Callable[[NDArray[np.float64]], Evaluation]], networks: Networks
) -> dict[str, float]:
    """Largest force difference of each method from the reference in float64, over the root mean square force.

    Raises:
        RuntimeError: If one passes `GATE` or its energy `ENERGY_GATE`.
    """
    positions = networks.workload.frames[-1]
    exact = networks.exact(positions)
    return {name: check_evaluation(name, evaluate(positions), exact) for name, evaluate in methods.items()}


def check_evaluation(name: str, found: Evaluation, exact: Evaluation) -> float:
    """Largest force difference over the root mean square force.

    Raises:
        RuntimeError: If it passes `GATE`, or the energy differs by more than `ENERGY_GATE` a bead.
    """
    (energy, forces), (exact_energy, exact_forces) = found, exact
    difference = float(np.abs(forces - exact_forces).max() / np.sqrt((exact_forces**2).mean()))
    energy_difference = abs(energy - exact_energy) / len(forces)
    if not (difference < GATE and energy_difference < ENERGY_GATE):
        raise RuntimeError(
            f"{name} is not the network it should be: forces differ from the reference in float64 by {difference:.2g}"
            f" of the rms force (limit {GATE:g}), the energy by {energy_difference:.2g} kJ/mol a bead (limit"
            f" {ENERGY_GATE:g}); nothing was timed"
        )
    return difference


def _table(
    timings: Mapping[str, Timing], differences: Mapping[str, float], workload: Workload, rates: Mapping[str, float]
) -> dict[str, Any]:
    pairs = count_pairs(workload)
    least = roofline.least_time(roofline.count_work(workload.size, workload.n_beads, pairs), rates)
    return {
        "workload": workload.name,
        "beads": workload.n_beads,
        "pairs": pairs,
        "neighbors": 2 * pairs / workload.n_beads,
        "least_ms": 1e3 * least,
        "methods": {name: timing.to_dict() for name, timing in timings.items()},
        "force_difference": dict(differences),
        "speedup_over": {name: summarize(timing.cpu / timings[OURS].cpu) for name, timing in timings.items()},
        "roofline": {name: least / float(np.median(timing.cpu)) for name, timing in timings.items()},
    }


def measure_scaling(
    networks: Networks,
    rates: Mapping[str, float],
    *,
    copies: tuple[int, ...] = (1, 2, 4, 6),
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Our cost per bead in boxes of `copies` cubed small ones: that of the largest over the smallest, and all."""
    small = networks.workload
    exact = networks.exact(small.frames[0])
    methods, boxes, differences = {}, {}, {}
    for count in copies:
        # A box of many copies has as many frames as its list's life needs, and no more than memory holds.
        box = small if count == 1 else replicate(small, count, n_frames=64 if count < 4 else 24)
        of_box = Networks(spk=networks.spk, workload=box, reference=networks.reference)
        context = speed_methods.create_context(
            speed_methods.ours(of_box, ml_backend="PythonForce"), box, openmm.VerletIntegrator(0.001)
        )
        name = f"{box.n_beads}"
        found = speed_methods.evaluation(context)(tile(small.frames[0], small.edge, count))
        expected = (count**3 * exact[0], np.tile(exact[1], (count**3, 1)))
        differences[name] = check_evaluation(f"{OURS}, {name} beads", found, expected)
        methods[name], boxes[name] = speed_methods.playback(context, box), box
    timings = time_in_rounds(methods, rounds=rounds, seconds=seconds)
    first, last = next(iter(timings)), list(timings)[-1]
    per_bead = {name: timing.cpu / boxes[name].n_beads for name, timing in timings.items()}
    table = {
        "force_difference": differences,
        "us_per_bead": {name: summarize(1e6 * cost) for name, cost in per_bead.items()},
        "over_smallest": {name: summarize(cost / per_bead[first]) for name, cost in per_bead.items()},
        "methods": {name: timing.to_dict() for name, timing in timings.items()},
        "roofline": {
            name: roofline.least_time(
                roofline.count_work(small.size, boxes[name].n_beads, count_pairs(boxes[name])), rates
            )
            / float(np.median(timing.cpu))
            for name, timing in timings.items()
        },
    }
    row = {**summarize(per_bead[last] / per_bead[first]), "peer": f"ours, {first} beads", "beads": int(last)}
    return row, table
