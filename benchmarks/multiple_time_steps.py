#!/usr/bin/env python3
"""How seldom may the network be evaluated? Temperature, g(r), energy conservation and speed against its interval.

For each shipped model: a box is built and equilibrated; from there every row of the table runs with a thermostat
(temperature, g(r) against the shipped reference) and without one (drift of the total energy), and all rows are timed in
turn. Rows are one step for all forces, of several lengths, and the network every so many steps of the priors. The
largest interval of the network up to which every row keeps all three within their limits is stated.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openmm

from openmm_cgml.analysis.block_average import estimate_correlation_time
from openmm_cgml.analysis.compare import compare_rdf, compute_half_rmse
from openmm_cgml.builder import build_box
from openmm_cgml.errors import SimulationError
from openmm_cgml.force_field import ForceField
from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.runs.log import KINETIC, POTENTIAL, TIME, read_log
from openmm_cgml.simulation import SimulationConfig, simulate
from openmm_cgml.simulation.integrator import create_integrator, share_group_of_priors
from openmm_cgml.storage import read_json, write_json
from openmm_cgml.units import BOLTZMANN
from openmm_cgml.validation import load_reference, read_run
from openmm_cgml.validation.quantities import STRUCTURE, TEMPERATURE
from openmm_cgml.validation.verdict import compare_with_reference

sys.path.insert(0, str(Path(__file__).resolve().parent))
from timing import time_in_rounds

RESULTS = Path(__file__).resolve().parent / "results" / "multiple-time-steps.json"
LIMITS = {"temperature_error_K": 3.0, "gr_rmse_increase": 0.005, "drift_kT_per_ns_per_dof": 0.01}
"""What a row must keep: mean temperature; RMSE of g(r) against the reference above that of the first row, beyond what
noise makes; energy drift. The first and the last may be exceeded by two standard errors."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured of one model.

    Attributes:
        time_step: Step of the priors [fs].
        intervals: Steps of the priors per evaluation of the network.
        single_steps: Steps for all forces [fs], the first being `time_step`.
        nvt: Length of the runs with a thermostat [ps].
        nve: Length of those without [ps].
    """

    time_step: float
    intervals: tuple[int, ...]
    single_steps: tuple[float, ...]
    nvt: float
    nve: float


CASES = {
    "benzene-1bead": Case(
        time_step=8.0, intervals=(2, 3, 4, 5, 6, 8, 10), single_steps=(8.0, 16.0, 24.0, 32.0), nvt=100.0, nve=50.0
    ),
    "benzene-3bead": Case(time_step=2.0, intervals=(2, 4, 6, 8, 10, 12), single_steps=(2.0, 4.0), nvt=50.0, nve=15.0),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where and how to measure."""

    runs: Path
    molecules: int
    platform: str
    shorten: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """A step of the priors [fs] and how many of them the network waits."""

    step: float
    interval: int

    @property
    def name(self) -> str:
        return f"{self.step:g}fs-x{self.interval}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/multiple-time-steps"), help="where runs are kept")
    parser.add_argument("--models", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--molecules", type=int, default=500)
    parser.add_argument("--platform", default="CPU")
    parser.add_argument("--shorten", type=float, default=1.0, help="divide all lengths by this, for a trial")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    plan = Plan(runs=given.runs, molecules=given.molecules, platform=given.platform, shorten=given.shorten)
    for model in given.models:
        measured = measure(model, CASES[model], plan)
        results = read_json(given.results) if given.results.exists() else {}
        given.results.parent.mkdir(parents=True, exist_ok=True)
        write_json(given.results, {**results, model: measured})
        print(json.dumps(measured, indent=2), flush=True)


def measure(model: str, case: Case, plan: Plan) -> dict[str, Any]:
    """The table of one model."""
    force_field, reference = ForceField.load(model), load_reference(model)
    start = equilibrate(force_field, case, plan)
    rows = [Row(step=step, interval=1) for step in case.single_steps]
    rows += [Row(step=case.time_step, interval=interval) for interval in case.intervals]
    speeds = measure_speeds(force_field, start, rows, plan)
    table: list[dict[str, Any]] = []
    first = None
    for row in rows:
        print(f"{model}: {row.name}", flush=True)
        figures, com = measure_structure(force_field, start, row, case, plan, reference)
        first = first or com
        if com is not None and first is not None:
            figures["gr_com_change"] = compare_rdf(com, first)
        figures |= measure_drift(force_field, start, row, case, plan)
        table.append({"step_fs": row.step, "network_interval": row.interval, **figures, **speeds[row.name]})
    halves = compute_half_rmse(first) if first is not None else None
    noise = 0.5 * (halves or 0.0)  # each half has the noise of the whole times the square root of two
    for figures in table:
        figures["network_step_fs"] = figures["step_fs"] * figures["network_interval"]
        figures["kept"] = judge(figures, table[0], noise, force_field.training_summary.temperature)
    return {
        "n_molecules": plan.molecules,
        "nvt_ps": case.nvt / plan.shorten,
        "nve_ps": case.nve / plan.shorten,
        "limits": LIMITS,
        "gr_com_noise": noise,
        "openmm": openmm.version.version,
        "platform": f"{plan.platform}, 1 thread",
        "rows": table,
        "largest_single_step_fs": largest([row for row in table if row["network_interval"] == 1]),
        "largest_network_step_fs": largest([row for row in table if row["step_fs"] == case.time_step]),
    }


def largest(rows: list[dict[str, Any]]) -> float | None:
    """The longest step of the network before the first row that does not keep everything [fs]."""
    found = None
    for row in sorted(rows, key=lambda row: row["network_step_fs"]):
        if not all(row["kept"].values()):
            break
        found = row["network_step_fs"]
    return found


def judge(figures: dict[str, Any], first: dict[str, Any], noise: float, temperature: float) -> dict[str, bool]:
    """Which of the three a row keeps."""
    if figures["status"] != "complete" or figures["nve_status"] != "complete":
        return {"stable": False}
    off = abs(figures["temperature"] - temperature) - 2 * (figures["temperature_error"] or 0.0)
    worse = figures["gr_com_rmse"] - first["gr_com_rmse"] - noise
    drift = abs(figures["drift_kT_per_ns_per_dof"]) - 2 * figures["drift_error"]
    return {
        "temperature": off < LIMITS["temperature_error_K"],
        "gr": worse < LIMITS["gr_rmse_increase"],
        "energy": drift < LIMITS["drift_kT_per_ns_per_dof"],
    }


def equilibrate(force_field: ForceField, case: Case, plan: Plan) -> tuple[Any, np.ndarray, np.ndarray]:
    """Topology, positions [nm] and box [nm] after 20 ps from a box built from nothing."""
    topology, positions, box = build_box(force_field, plan.molecules, seed=1)
    output = plan.runs / force_field.name / "equilibration"
    config = settings(force_field, Row(step=case.time_step, interval=1), plan, duration=20.0 / plan.shorten)
    run_once(output, force_field, (topology, positions, box), config.model_copy(update={"minimize": True}))
    frames = RunFolder(output).open_frames().read()
    return topology, frames.positions[-1].astype(np.float64), np.asarray(box)


def measure_structure(
    force_field: ForceField, start: Any, row: Row, case: Case, plan: Plan, reference: Any
) -> tuple[dict[str, Any], Any]:
    """Temperature and g(r) of a run with a thermostat, and its g(r) of centers of mass."""
    output = plan.runs / force_field.name / f"nvt-{row.name}"
    duration = case.nvt / plan.shorten
    status = run_once(output, force_field, start, settings(force_field, row, plan, duration=duration))
    if status != "complete":
        return {"status": status}, None
    run = read_run(output, discard=0.1 * duration)
    compared = compare_with_reference(run.summary, reference, name=run.name, status=run.status)
    figures = {metric.key: metric.value for metric in compared.metrics}
    temperature = run.summary.get(TEMPERATURE)
    wanted = {key: figures[key] for key in ("gr_com_rmse", "gr_inter_rmse", "bond_std_ratio") if key in figures}
    return {
        "status": status,
        "temperature": temperature.mean,
        "temperature_error": temperature.standard_error,
        **wanted,
    }, run.summary.get(STRUCTURE).com


def measure_drift(force_field: ForceField, start: Any, row: Row, case: Case, plan: Plan) -> dict[str, Any]:
    """Drift and fluctuation of the total energy of a run without a thermostat."""
    output = plan.runs / force_field.name / f"nve-{row.name}"
    config = settings(force_field, row, plan, duration=case.nve / plan.shorten, ensemble="NVE", frame_interval=0.1)
    status = run_once(output, force_field, start, config)
    if status != "complete":
        return {"nve_status": status}
    log = read_log(RunFolder(output).log)
    times, energies = log[TIME], log[POTENTIAL] + log[KINETIC]
    slope, offset = np.polyfit(times, energies, 1)
    residues = energies - slope * times - offset
    independent = len(times) / max(1.0, 2 * estimate_correlation_time(residues))
    error = float(residues.std()) * np.sqrt(12 / independent) / (times[-1] - times[0])
    unit = BOLTZMANN * config.temperature * (3 * start[0].n_beads - 3)
    return {
        "nve_status": status,
        "drift_kT_per_ns_per_dof": 1e3 * float(slope) / unit,
        "drift_error": 1e3 * float(error) / unit,
        "energy_fluctuation_kT": float(residues.std()) / (BOLTZMANN * config.temperature),
    }


def measure_speeds(force_field: ForceField, start: Any, rows: list[Row], plan: Plan) -> dict[str, dict[str, float]]:
    """Process time per step and ns per day of every row, timed in turn."""
    topology, positions, box = start
    methods: dict[str, Callable[[], object]] = {}
    contexts = []
    for row in rows:
        system = force_field.create_system(topology, box=box)
        if row.interval > 1:
            share_group_of_priors(system)
        config = settings(force_field, row, plan, duration=1.0)
        integrator = create_integrator(system, config, 1)
        platform = openmm.Platform.getPlatformByName(plan.platform)
        properties = {"Threads": "1"} if plan.platform == "CPU" else {}
        context = openmm.Context(system, integrator, platform, properties)
        context.setPositions(positions)
        context.setVelocitiesToTemperature(config.temperature, 1)
        contexts.append(context)
        methods[row.name] = lambda integrator=integrator: integrator.step(1)
    timings = time_in_rounds(methods, rounds=5, seconds=1.0, calls_each={row.name: row.interval for row in rows})
    return {
        row.name: {
            "cpu_ms_per_step": (milliseconds := timings[row.name].to_dict()["cpu_ms"]),
            "ns_per_day": 86.4 * row.step / milliseconds,
        }
        for row in rows
    }


def settings(force_field: ForceField, row: Row, plan: Plan, **changes: Any) -> SimulationConfig:
    """Settings of a run of a row."""
    values: dict[str, Any] = {
        "temperature": force_field.training_summary.temperature,
        "time_step": 1e-3 * row.step,
        "network_interval": row.interval,
        "frame_interval": 0.5,
        "minimize": False,
        "seed": 1,
        "platform": plan.platform,
        "threads": 1,
    }
    return SimulationConfig(**{**values, **changes})


def run_once(output: Path, force_field: ForceField, start: Any, config: SimulationConfig) -> str:
    """Status of a run, which is made unless it is there."""
    if not RunFolder(output).result.exists():
        try:
            simulate(force_field, *start, output=output, config=config, resume=output.exists(), progress=False)
        except SimulationError as error:
            print(f"{output}: {error}", flush=True)
    return str(RunFolder(output).describe_result()["status"])


if __name__ == "__main__":
    main()
