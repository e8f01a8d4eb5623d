#!/usr/bin/env python3
"""Measure the speed of the deployed network against TorchMD-Net's and SchNetPack's, and write speed-cpu.json.

    make bench                                  everything, in an environment of its own
    python benchmarks/speed.py --only ef md     some of the tables
    python benchmarks/speed.py --device cuda    on a GPU: speed-cuda.json

One process on one core with one thread evaluates the same random network in all packages, in turn. Every method must
first agree with SchNetPack in float64. `docs/speed.md` says what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.speed_worker import thread_environment

SECTIONS = ("ef", "md", "scaling", "nve", "replicas", "memory", "train", "threads")


def main() -> None:
    """Command line."""
    given = _arguments()
    if given.device == "cuda":
        from benchmarks import speed_cuda

        speed_cuda.measure(given.results, platform=given.platform, quick=given.quick)
        return
    _hold_to_one_thread(given.core)
    _measure(given)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="tables to measure")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--platform", default="CUDA", help="OpenMM platform of --device cuda")
    parser.add_argument("--fork", type=Path, help="checkout of the published fork, to take SchNetPack's place")
    parser.add_argument("--core", type=int, default=0, help="the core to run on")
    parser.add_argument(
        "--quick", action="store_true", help="short rounds, to see that everything runs; keeps no result"
    )
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    return parser.parse_args()


def _hold_to_one_thread(core: int) -> None:
    """One thread in every library: they read the environment when they are loaded, so begin again with it set."""
    if any(os.environ.get(name) != value for name, value in thread_environment(1).items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], thread_environment(1))
    os.sched_setaffinity(0, [core])


def _measure(given: argparse.Namespace) -> None:
    import torch

    from benchmarks import machine_rates, speed_peers, speed_results

    torch.set_num_threads(1)
    cores = _cores(given.core)
    spk = speed_peers.import_schnetpack(given.fork)
    rates = machine_rates.measure_rates()
    machine = {**machine_rates.describe_machine(1), "schnetpack_is": "the published fork" if given.fork else "PyPI"}
    header = {"command": "make bench", "machine": machine, "rates": rates}
    path = given.results / "speed-cpu.json"
    for section in given.only:
        begun = time.time()
        measure = _sections(given, spk, rates, cores)[section]
        rows, table = measure()
        load = speed_results.load_average()
        table = {**table, "machine": machine, "rates": rates, "load": load, "seconds": time.time() - begun}
        if not given.quick:
            speed_results.merge_results(path, {**rows, "header": header, "tables": {section: table}})
        print(json.dumps({section: rows}, indent=2), flush=True)


def _cores(first: int) -> list[int]:
    """All cores of the machine, the chosen one first; this process is held to that one already."""
    return [first, *(core for core in range(os.cpu_count() or 1) if core != first)]


Measured = tuple[dict[str, Any], dict[str, Any]]


def _sections(
    given: argparse.Namespace, spk: Any, rates: dict[str, float], cores: list[int]
) -> dict[str, Callable[[], Measured]]:
    """What each section measures: rows by key, and its table."""
    from benchmarks import (
        speed_dynamics,
        speed_evaluate,
        speed_peers,
        speed_processes,
        speed_systems,
        speed_training,
    )

    pace = {"rounds": 2, "seconds": 0.1} if given.quick else {}

    def benzene() -> speed_peers.Networks:
        return speed_peers.create_networks(spk, speed_systems.benzene())

    def ef() -> Measured:
        small = benzene()
        large = speed_systems.replicate(small.workload, 2, n_frames=24)
        cases = {
            "ef_benz500": small,
            "ef_pe1000": speed_peers.create_networks(spk, speed_systems.polyethylene()),
            "ef_4k": speed_peers.Networks(spk=spk, workload=large, reference=small.reference),
        }
        found = {key: speed_evaluate.measure_energy_and_forces(case, rates, **pace) for key, case in cases.items()}
        return {key: row for key, (row, _) in found.items()}, {key: table for key, (_, table) in found.items()}

    def under(key: str, measured: Measured) -> Measured:
        return {key: measured[0]}, measured[1]

    quick_boxes = {"copies": (1, 2)} if given.quick else {}
    quick_runs = {"runs": 1, "duration": 1.0, "settle": 1.0} if given.quick else {}
    quick_copies = {"replicas": 4} if given.quick else {}
    return {
        "ef": ef,
        "md": lambda: under("md_benz500", speed_dynamics.measure_dynamics(benzene(), rates, **pace)),
        "scaling": lambda: under(
            "per_bead_108k", speed_evaluate.measure_scaling(benzene(), rates, **quick_boxes, **pace)
        ),
        "nve": lambda: under("nve_drift", speed_dynamics.measure_drift(benzene(), **quick_runs)),
        "replicas": lambda: under(
            "replicas64", speed_dynamics.measure_replicas(benzene(), rates, **quick_copies, **pace)
        ),
        "memory": lambda: ({}, {"boxes": speed_processes.measure_memory(cores[0])}),
        "train": lambda: under("train", speed_training.measure_training(spk, rates, **pace)),
        "threads": lambda: under("threads2", _threads(speed_processes.measure_threads, cores, pace)),
    }


def _threads(measure: Callable[..., Measured], cores: list[int], pace: dict[str, Any]) -> Measured:
    row, boxes = measure(cores, **pace)
    return row, {"boxes": boxes}


if __name__ == "__main__":
    main()
