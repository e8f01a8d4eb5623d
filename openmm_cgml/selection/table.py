"""The table of a model: all that was measured of it, as in `benchmarks/results/fidelity.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import intermolecular_forces
from openmm_cgml.reference import ReferenceReport
from openmm_cgml.reference.mean_force import NOISE_FLOOR_FILE
from openmm_cgml.reference.report import REPORT_FILE
from openmm_cgml.runs.result import SimulationResult
from openmm_cgml.selection.comparison import (
    ReferenceSummary,
    compare_lengths,
    compare_run,
    energy_per_bead,
    half_difference,
    summarize,
)
from openmm_cgml.selection.intermolecular import compute_intermolecular_forces, has_intermolecular_part, score
from openmm_cgml.selection.judging import judge, span_of
from openmm_cgml.selection.recipe import FITTED, PAIR_SPLINE, Plan
from openmm_cgml.selection.refining import target_of
from openmm_cgml.selection.simulations import is_complete, is_finished, read_outcome
from openmm_cgml.selection.workplace import Workplace
from openmm_cgml.storage import read_json, write_json
from openmm_cgml.topology import CGTopology

_FEWEST_FRAMES = 20
"""A simulation with no more frames is counted, but not compared."""
FORCE_IS = "intermolecular part of the mapped force, per component, kJ/mol/nm; held-out frames"


def write_table(workplace: Workplace) -> None:
    """Write the table of the model."""
    write_json(workplace.table, make_table(workplace))


def make_table(workplace: Workplace) -> dict[str, Any]:
    """All that was measured of the model, as far as it has been."""
    recipe, datasets = workplace.recipe, workplace.open_datasets()
    reference = summarize(datasets, recipe.name, recipe.limits)
    runs = workplace.simulations(recipe.shipped, recipe.simulation.seeds)
    return {
        "command": f"python -m openmm_cgml.selection {workplace.system.name}",
        "configuration": f"systems/{workplace.system.name}/{recipe.fit}",
        **_describe_reference(workplace, datasets, reference),
        **_describe_settings(workplace),
        **measure_runs(runs, reference),
        **_measure_forces(workplace, datasets[0]),
        **_measure_mean_forces(workplace),
        **_measure_sizes(workplace),
        **_measure_variants(workplace, reference),
        **_measure_transfer(workplace),
        **judge(workplace),
    }


def measure_runs(paths: Sequence[Path], reference: ReferenceSummary) -> dict[str, Any]:
    """Every metric of the simulations of one force field: mean, that of each, and the standard error of the mean.

    Args:
        paths: Folders of the simulations; those that are not there are left out.
        reference: What they are compared with.
    """
    ended = [(path, outcome) for path in paths if (outcome := read_outcome(path)) is not None]
    outcomes = [outcome for _, outcome in ended]
    result: dict[str, Any] = {
        "seeds": len(ended),
        "stable_seeds": sum(is_complete(path) for path, _ in ended),
        "simulated_ps_per_seed": min((outcome.time for outcome in outcomes), default=0.0),
        "simulated_ps_by_seed": [outcome.time for outcome in outcomes],
        "steps_per_second": [outcome.steps_per_second for outcome in outcomes],
        "ns_per_day": [outcome.ns_per_day for outcome in outcomes],
        "reasons": [outcome.reason for outcome in outcomes if outcome.reason],
    }
    compared = [
        {**compare_run(path, reference), **_pressure(outcome)}
        for path, outcome in ended
        if outcome.n_frames > _FEWEST_FRAMES
    ]
    for key in dict.fromkeys(key for metrics in compared for key in metrics):
        values = [metrics[key] for metrics in compared if key in metrics]
        result[key] = float(np.mean(values))
        if len(values) > 1:
            result[f"{key}_by_seed"] = values
            result[f"{key}_error"] = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return result


def _pressure(outcome: SimulationResult) -> dict[str, float]:
    """Mean pressure of a simulation [bar]; nothing where it was not measured."""
    return {} if outcome.mean_pressure is None else {"pressure_bar": outcome.mean_pressure}


def measure_energies(folders: dict[int, Path]) -> dict[str, Any]:
    """Energy per bead [kJ/mol] by number of molecules, and its relative spread.

    Args:
        folders: Folders of the simulations by number of molecules; those that are not there are left out.
    """
    found = {str(size): energy_per_bead(path) for size, path in folders.items() if is_finished(path)}
    energies = {size: energy for size, energy in found.items() if energy is not None}
    if not energies:
        return {}
    values = list(energies.values())
    spread = {"energy_per_bead_spread": float(np.ptp(values) / abs(np.mean(values)))} if len(values) > 1 else {}
    return {"energy_per_bead": energies, **spread}


def _describe_reference(
    workplace: Workplace, datasets: Sequence[ForceMatchingDataset], reference: ReferenceSummary
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "reference_ns": sum(span_of(dataset) for dataset in datasets) / 1000,
        "frames": sum(dataset.n_frames for dataset in datasets),
        "effective_frames_energy": reference.effective_samples,
        "gr_com_rmse_reference_error": half_difference(reference),
    }
    run, report = workplace.recipe.reference, workplace.reference / REPORT_FILE
    measured = {"pressure_reference_bar": run.pressure, "pressure_reference_bar_error": run.pressure_error}
    described |= {key: value for key, value in measured.items() if value is not None}
    if report.is_file():
        observables = ReferenceReport.from_json(report.read_text(encoding="utf8")).observables
        described["reference"] = {
            name: {"value": item.value, "standard_error": item.standard_error, "unit": item.unit}
            for name, item in observables.items()
        }
        if "pressure" in observables:
            described["pressure_reference_bar"] = observables["pressure"].value
            described["pressure_reference_bar_error"] = observables["pressure"].standard_error
    return described


def _describe_settings(workplace: Workplace) -> dict[str, Any]:
    recipe = workplace.recipe
    target = target_of(None if recipe.refinement is None else workplace.system / recipe.refinement)
    return {
        "cutoff_nm": max(workplace.load_force_field(recipe.shipped).cutoffs.values()),
        "time_step_fs": 1000 * recipe.simulation.time_step,
        "network_interval": recipe.simulation.network_interval,
        "refined": target == "network",
        "refined_priors": target in ("bonded", "pair", "priors", "pressure"),
    }


def _measure_forces(workplace: Workplace, dataset: ForceMatchingDataset) -> dict[str, Any]:
    """Errors on frames that the fit did not see."""
    total, frames = workplace.fit_metrics()["test"], workplace.test_frames(dataset)
    labels = intermolecular_forces(frames, dataset.topology)
    measured: dict[str, Any] = {
        "force_is": FORCE_IS,
        "total_force_rmse": total["force_rmse"],
        "total_force_std": total["force_std"],
        "force_std": float(np.sqrt(np.mean(np.square(labels, dtype=np.float64)))),
    }
    for key, name in _scored(workplace).items():
        if (scores := _scores(workplace, name, dataset.topology, frames)) is not None:
            measured |= {f"force_rmse{key}": scores["rmse"], f"inter_force_r2{key}": scores["r2"]}
    return measured


def _scored(workplace: Workplace) -> dict[str, str]:
    """Force fields whose forces are compared, by what stands behind the name of a measure."""
    return {workplace.recipe.suffix(name): name for name, _ in workplace.recipe.simulated}


def _scores(workplace: Workplace, name: str, topology: CGTopology, frames: Frames) -> dict[str, float] | None:
    """Errors of a force field's intermolecular forces; None if it has no such part."""
    force_field = workplace.load_force_field(name)
    if not has_intermolecular_part(force_field):
        return None
    forces = compute_intermolecular_forces(force_field, topology, frames)
    return score(forces, intermolecular_forces(frames, topology))


def _measure_mean_forces(workplace: Workplace) -> dict[str, Any]:
    """R2 against mean forces that were held out, and the noise that no model can beat."""
    if workplace.mean_forces is None:
        return {}
    held, floors = workplace.open_mean_forces(), read_json(workplace.mean_forces / NOISE_FLOOR_FILE)
    return {
        "noise_floors": floors,
        "force_noise_floor": _pooled_noise(floors),
        "mean_force_configurations": held.n_frames,
        **{f"mean_force_r2{key}": _mean_force_r2(workplace, name) for key, name in _scored(workplace).items()},
        "mean_force_r2_before_refinement": _mean_force_r2(workplace, FITTED),
    }


def _mean_force_r2(workplace: Workplace, name: str) -> float | None:
    """R2 of a force field's intermolecular forces; None if it has no such part."""
    held = workplace.open_mean_forces()
    scores = _scores(workplace, name, held.topology, held.frames())
    return None if scores is None else scores["r2"]


def _measure_sizes(workplace: Workplace) -> dict[str, Any]:
    sizes = workplace.recipe.sizes
    return measure_energies({n: workplace.size_folder(n) for n in (sizes.molecules if sizes else ())})


def _measure_variants(workplace: Workplace, reference: ReferenceSummary) -> dict[str, Any]:
    """Force fields beside the shipped one: "lambda_variants" by energy weight, and the others by name."""
    recipe = workplace.recipe
    seeds = dict(recipe.simulated)
    by_weight: dict[str, Any] = {}
    by_name: dict[str, Any] = {}
    for plan in recipe.plans:
        runs = workplace.simulations(plan.name, seeds[plan.name])
        if plan.fit == recipe.fit and plan.refinement is None and recipe.energy_weights:
            weight = workplace.fit_settings(plan.fitted)["training"]["energy_weight"]
            by_weight[f"{weight:g}"] = _measure_variant(workplace, plan, runs, reference)
        elif plan.name != recipe.shipped:
            by_name[plan.name] = _measure_variant(workplace, plan, runs, reference)
    measured: dict[str, Any] = {"lambda_variants": by_weight} if by_weight else {}
    if "gr_com_rmse" in by_name.get(PAIR_SPLINE, {}):
        measured["gr_com_rmse_pair_spline"] = by_name[PAIR_SPLINE]["gr_com_rmse"]
    return {**measured, "variants": by_name} if by_name else measured


def _measure_variant(
    workplace: Workplace, plan: Plan, runs: Sequence[Path], reference: ReferenceSummary
) -> dict[str, Any]:
    measured: dict[str, Any] = {} if plan.model is None else {"model": plan.model}
    if plan.fit is not None:
        measured["validation_force_rmse"] = workplace.fit_metrics(plan.fitted)["validation"]["force_rmse"]
        measured["energy_weight"] = workplace.fit_settings(plan.fitted)["training"]["energy_weight"]
    if workplace.mean_forces is not None:
        measured["mean_force_r2"] = _mean_force_r2(workplace, plan.name)
    return {**measured, **measure_runs(runs, reference)}


def _measure_transfer(workplace: Workplace) -> dict[str, Any]:
    """Boxes of chains of several lengths, each compared with the first."""
    if workplace.recipe.transfer is None:
        return {}
    paths = [path for chains in workplace.chain_boxes if is_finished(path := workplace.transfer_folder(chains))]
    if len(paths) < 2:
        return {}
    outcomes = {path.name: read_outcome(path) for path in paths}
    kept = ("status", "time", "mean_temperature", "temperature_error")
    runs = {name: {key: getattr(outcome, key) for key in kept} for name, outcome in outcomes.items()}
    return {"transfer": {"runs": runs, **compare_lengths(paths)}}


def _pooled_noise(floors: dict[str, Any]) -> float:
    """Noise of the intermolecular forces at fixed beads [kJ/mol/nm], pooled over configurations."""
    return float(np.sqrt(np.mean([np.square(each["noise"]) for each in floors["forces_inter"]["configurations"]])))
