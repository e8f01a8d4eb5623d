"""How seldom may the network of a shipped model be evaluated? Temperature, g(r) and energy against its interval.

A box is built and equilibrated; from there every row of the table runs with a thermostat (temperature, g(r) against the
shipped reference, speed) and without one (drift of the total energy). Rows are one step for all forces, of several
lengths, and the network every so many steps of the priors. The largest interval of the network up to which every row
keeps all three within their limits is stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openmm

from openmm_cgml.analysis import RadialDistribution
from openmm_cgml.analysis.compare import compare_rdf, compute_half_rmse
from openmm_cgml.analysis.energy_drift import compute_energy_drift
from openmm_cgml.builder import build_box
from openmm_cgml.errors import SimulationError
from openmm_cgml.force_field import ForceField
from openmm_cgml.selection.comparison import compare_run, g_of_run, mean_temperature, read_reference_summary
from openmm_cgml.selection.recipe import TimeSteps
from openmm_cgml.selection.simulations import (
    Structure,
    is_complete,
    last_positions,
    read_outcome,
    simulate_once,
    total_energies,
)
from openmm_cgml.selection.workplace import Workplace
from openmm_cgml.simulation import SimulationConfig
from openmm_cgml.storage import write_json

LIMITS = {"temperature_error_K": 3.0, "gr_rmse_increase": 0.005, "drift_kT_per_ns_per_dof": 0.01}
"""What a row must keep: mean temperature; RMSE of g(r) against the reference above that of the first row, beyond what
noise makes; energy drift. The first and the last may be exceeded by two standard errors."""
_COMPARED = ("gr_com_rmse", "gr_inter_rmse", "bond_std_ratio")
_NEVER_STARTED = "refused"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A step of the priors [ps] and how many of them the network waits."""

    step: float
    interval: int

    @property
    def name(self) -> str:
        """Name of its folders."""
        return f"{1000 * self.step:g}fs-x{self.interval}"


def make_time_steps(workplace: Workplace) -> None:
    """Run all rows and write their table."""
    study = workplace.recipe.time_steps
    if study is None:
        return
    force_field = ForceField.load(workplace.recipe.name)
    start = _equilibrate(workplace, study, force_field)
    for row in rows_of(study):
        for ensemble in ("NVT", "NVE"):
            simulate_once(
                force_field, start, _folder(workplace, ensemble, row), _config(workplace, study, row, ensemble)
            )
    write_json(workplace.time_steps, _make_table(workplace, study, start[0].n_beads))


def rows_of(study: TimeSteps) -> list[Row]:
    """One step for all forces, then the network less often."""
    single = [Row(step=step, interval=1) for step in study.single_steps]
    return single + [Row(step=study.time_step, interval=interval) for interval in study.intervals]


def judge(row: dict[str, Any], first: dict[str, Any], noise: float, temperature: float) -> dict[str, bool]:
    """Which of the three a row keeps.

    Args:
        row: What was measured.
        first: The same of the first row.
        noise: What noise makes of the RMSE of g(r).
        temperature: Temperature of the thermostat [K].
    """
    if row["status"] != "complete" or row["nve_status"] != "complete":
        return {"stable": False}
    off = abs(row["temperature"] - temperature) - 2 * (row["temperature_error"] or 0.0)
    worse = row["gr_com_rmse"] - first["gr_com_rmse"] - noise
    drift = abs(row["drift_kT_per_ns_per_dof"]) - 2 * row["drift_error"]
    return {
        "temperature": off < LIMITS["temperature_error_K"],
        "gr": worse < LIMITS["gr_rmse_increase"],
        "energy": drift < LIMITS["drift_kT_per_ns_per_dof"],
    }


def find_longest(rows: list[dict[str, Any]]) -> float | None:
    """The longest step of the network before the first row that does not keep everything [fs]."""
    found = None
    for row in sorted(rows, key=lambda row: row["network_step_fs"]):
        if not all(row["kept"].values()):
            break
        found = row["network_step_fs"]
    return found


def _make_table(workplace: Workplace, study: TimeSteps, n_beads: int) -> dict[str, Any]:
    rows, temperature = rows_of(study), workplace.specification.temperature
    curves = [_g_of_r(workplace, study, row) for row in rows]
    first = next((curve for curve in curves if curve is not None), None)
    halves = None if first is None else compute_half_rmse(first)
    noise = 0.5 * (halves or 0.0)  # each half has the noise of the whole times the square root of two
    table = [_measure(workplace, study, row, n_beads) for row in rows]
    if "gr_com_rmse" not in table[0]:
        raise SimulationError(
            f"{workplace.time_steps.parent}: the run at {rows[0].name}, with which the others are compared, is "
            f"{table[0]['status']}; give a shorter time_step in the recipe"
        )
    for measured, curve in zip(table, curves, strict=True):
        if curve is not None and first is not None:
            measured["gr_com_change"] = compare_rdf(curve, first)
        measured["kept"] = judge(measured, table[0], noise, temperature)
    return {
        "n_molecules": study.molecules,
        "nvt_ps": study.nvt,
        "nve_ps": study.nve,
        "limits": LIMITS,
        "gr_com_noise": noise,
        "openmm": openmm.version.version,
        "platform": f"{workplace.platform}, {workplace.threads} thread{'' if workplace.threads == 1 else 's'}",
        "rows": table,
        "largest_single_step_fs": find_longest([row for row in table if row["network_interval"] == 1]),
        "largest_network_step_fs": find_longest([row for row in table if row["step_fs"] == 1000 * study.time_step]),
    }


def _measure(workplace: Workplace, study: TimeSteps, row: Row, n_beads: int) -> dict[str, Any]:
    """What a row gave with a thermostat and without."""
    with_thermostat, without = _folder(workplace, "NVT", row), _folder(workplace, "NVE", row)
    outcome = read_outcome(with_thermostat)
    measured: dict[str, Any] = {
        "step_fs": 1000 * row.step,
        "network_interval": row.interval,
        "network_step_fs": 1000 * row.step * row.interval,
        "status": _status(with_thermostat),
        "nve_status": _status(without),
        "ns_per_day": None if outcome is None else outcome.ns_per_day,
    }
    if is_complete(with_thermostat):
        reference = read_reference_summary(workplace.reference_summary)
        compared = compare_run(with_thermostat, reference, discard=_discard(study))
        measured |= {key: compared[key] for key in _COMPARED if key in compared}
        mean, error = mean_temperature(with_thermostat, discard=_discard(study))
        measured |= {"temperature": mean, "temperature_error": error}
    if is_complete(without):
        measured |= _measure_drift(without, workplace.specification.temperature, n_beads)
    return measured


def _measure_drift(path: Path, temperature: float, n_beads: int) -> dict[str, float]:
    times, energies = total_energies(path)
    drift = compute_energy_drift(times, energies, temperature=temperature, degrees_of_freedom=3 * n_beads - 3)
    return {
        "drift_kT_per_ns_per_dof": drift.slope,
        "drift_error": drift.standard_error,
        "energy_fluctuation_kT": drift.fluctuation,
    }


def _equilibrate(workplace: Workplace, study: TimeSteps, force_field: ForceField) -> Structure:
    """A box built from nothing, after its equilibration."""
    topology, positions, box = build_box(force_field, study.molecules, seed=1)
    output = workplace.time_steps.parent / "equilibration"
    row = Row(step=study.time_step, interval=1)
    config = _config(workplace, study, row, "NVT")
    changes = {"duration": study.equilibration, "minimize": True}
    simulate_once(force_field, (topology, positions, box), output, config.model_copy(update=changes))
    return topology, last_positions(output), box


def _config(workplace: Workplace, study: TimeSteps, row: Row, ensemble: str) -> SimulationConfig:
    own: dict[str, Any] = (
        {"duration": study.nvt}
        if ensemble == "NVT"
        else {"duration": study.nve, "frame_interval": study.nve_frame_interval}
    )
    return workplace.simulation_config(
        1,
        temperature=workplace.specification.temperature,
        **own,
        time_step=row.step,
        network_interval=row.interval,
        ensemble=ensemble,
        minimize=False,
    )


def _folder(workplace: Workplace, ensemble: str, row: Row) -> Path:
    return workplace.time_steps.parent / f"{ensemble.lower()}-{row.name}"


def _status(path: Path) -> str:
    outcome = read_outcome(path)
    return _NEVER_STARTED if outcome is None else outcome.status


def _discard(study: TimeSteps) -> float:
    return 0.1 * study.nvt


def _g_of_r(workplace: Workplace, study: TimeSteps, row: Row) -> RadialDistribution | None:
    path = _folder(workplace, "NVT", row)
    return g_of_run(path, discard=_discard(study)) if is_complete(path) else None
