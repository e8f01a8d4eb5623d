#!/usr/bin/env python3
"""Simulate the shipped benzene models for a nanosecond per seed and compare with the shipped references.

Needs nothing but what is shipped. Every run resumes. The figures of the simulations in `fidelity.json` are replaced by
those of these runs; what they replace is kept beside them, under `shorter_runs`, so that both can be compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from openmm_cgml.builder import build_box
from openmm_cgml.force_field import ForceField
from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.shipped import find_system
from openmm_cgml.simulation import SimulationConfig, simulate
from openmm_cgml.storage import read_json, write_json
from openmm_cgml.validation import ReferenceSummary, read_reference_summary, read_run
from openmm_cgml.validation.quantities import ENERGY

sys.path.insert(0, str(Path(__file__).resolve().parent))
from fidelity import RESULTS, SYSTEMS, TIME_STEP, figures_of_runs, run_once

EQUILIBRATION = 20.0
"""Time added to every run, because it starts from a built box [ps]; what is left out is decided by the analysis."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/long"), help="where everything is computed")
    parser.add_argument("--systems", nargs="*", default=SYSTEMS, choices=SYSTEMS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--duration", type=float, default=1000.0, help="picoseconds of each simulation")
    parser.add_argument("--sizes", nargs="*", type=int, default=[200, 500, 1000])
    parser.add_argument("--size-duration", type=float, default=200.0, help="picoseconds of the boxes of other sizes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    for system in given.systems:
        folder = given.runs / system
        force_field = ForceField.load(system)
        reference = read_reference_summary(find_system(system) / "reference.json")
        for seed in given.seeds:
            run(force_field, 500, seed, given.duration, given.threads, folder / "simulations" / f"shipped-{seed}")
        for size in given.sizes:
            run(force_field, size, size, given.size_duration, given.threads, folder / "sizes" / str(size))
        results = read_json(given.results)
        results[system] = renewed(results[system], figures(folder, given.seeds, given.sizes, reference))
        write_json(given.results, results)
        print(json.dumps(results[system], indent=2), flush=True)


def run(force_field: ForceField, n_molecules: int, seed: int, duration: float, threads: int, output: Path) -> None:
    """Simulate a built box at constant volume."""
    topology, positions, box = build_box(force_field, n_molecules, seed=seed)
    summary = force_field.training_summary
    assert summary is not None
    config = SimulationConfig(
        temperature=summary.temperature,
        duration=duration + EQUILIBRATION,
        time_step=TIME_STEP[force_field.name],
        frame_interval=0.5,
        seed=seed,
        platform="CPU",
        threads=threads,
        ml_backend="PythonForce",
    )
    run_once(
        output,
        lambda: simulate(
            force_field,
            topology,
            positions,
            box,
            output=output,
            config=config,
            resume=output.exists(),
            progress=False,
        ),
    )
    print(f"{output}: {RunFolder(output).describe_result()}", flush=True)


def figures(folder: Path, seeds: list[int], sizes: list[int], reference: ReferenceSummary) -> dict[str, Any]:
    """Figures of the finished runs."""
    result = {**figures_of_runs(folder, "shipped", seeds, reference), "simulations_command": "benchmarks/long_runs.py"}
    ends = [RunFolder(folder / "simulations" / f"shipped-{seed}").describe_result()["time"] for seed in seeds]
    result["simulated_ps_by_seed"] = ends
    energies = {
        str(size): read_run(folder / "sizes" / str(size)).summary.get(ENERGY).per_bead["potential"].mean
        for size in sizes
    }
    if energies:
        values = list(energies.values())
        result |= {"energy_per_bead": energies, "energy_per_bead_spread": float(np.ptp(values) / abs(np.mean(values)))}
    return result


def renewed(before: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The figures with new ones in their place; those of the first, shorter runs are kept beside them."""
    kept = before.get("shorter_runs", {key: before[key] for key in new if key in before})
    return {**before, **new, "shorter_runs": kept}


if __name__ == "__main__":
    main()
