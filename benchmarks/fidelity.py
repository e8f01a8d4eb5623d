#!/usr/bin/env python3
"""Measure the shipped benzene models from the start: atomistic reference, fits, simulations, comparison.

Every stage resumes: what is there is kept, so the script can be stopped at any time and started again. With empty
`--runs` it does everything, which takes some hours on two cores.

Per system: fit the model of `systems/<name>/fit.yaml` and its variant with another energy weight; refine it where there
is a `refine.yaml`; simulate all of them with several seeds, and the force-matched pair spline of the same cutoff as a
baseline; simulate boxes of several sizes; write one object of figures into the results file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from openmm_cgml.analysis.compare import compute_half_rmse
from openmm_cgml.builder import build_box
from openmm_cgml.dataset import ForceMatchingDataset, map_recording
from openmm_cgml.errors import SimulationError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import HarmonicBondConfig
from openmm_cgml.priors import PriorSet
from openmm_cgml.priors.fitting import fit_bonded_priors
from openmm_cgml.reference import MeanForceConfig, ReferenceConfig, compute_mean_forces, run_reference
from openmm_cgml.refinement import read_refinement_config, refine
from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.simulation import SimulationConfig, simulate, simulate_system
from openmm_cgml.specification import read_specification
from openmm_cgml.storage import read_json, write_json
from openmm_cgml.topology import CGTopology
from openmm_cgml.training import fit
from openmm_cgml.training.config import read_fit_config
from openmm_cgml.validation import read_run, summarize_dataset, validate
from openmm_cgml.validation.quantities import ENERGY, STRUCTURE
from openmm_cgml.validation.verdict import ValidationResult, compare_with_reference

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pair_spline

SYSTEMS = ("benzene-1bead", "benzene-3bead")
RESULTS = Path(__file__).resolve().parent / "results" / "fidelity.json"
TIME_STEP = {"benzene-1bead": 0.005, "benzene-3bead": 0.004}
"""Coarse-grained time steps [ps]."""
LIMITS = {"benzene-1bead": {"gr_com": 0.045}, "benzene-3bead": {"gr_com": 0.06}}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes:
        runs: Folder of everything that is computed.
        reference: Folder of the atomistic run.
        seeds: Seeds of the simulations.
        duration: Length of each [ps].
        sizes: Numbers of molecules for the energy per bead.
        reference_duration: Recorded atomistic time, where the run is made here [ps].
        variant: Energy weight of the second fit.
        threads: CPU threads.
    """

    runs: Path
    reference: Path
    seeds: tuple[int, ...]
    duration: float
    sizes: tuple[int, ...]
    reference_duration: float
    variant: float
    threads: int


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/fidelity"), help="where everything is computed")
    parser.add_argument("--reference", type=Path, help="folder of the atomistic run (default: RUNS/reference)")
    parser.add_argument("--systems", nargs="*", default=SYSTEMS, choices=SYSTEMS)
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=list(STAGES))
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--duration", type=float, default=200.0, help="picoseconds of each simulation")
    parser.add_argument("--sizes", nargs="*", type=int, default=[200, 500, 1000])
    parser.add_argument("--reference-duration", type=float, default=700.0, help="picoseconds of atomistic recording")
    parser.add_argument("--variant", type=float, default=0.1, help="energy weight of the second fit")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    plan = Plan(
        runs=given.runs,
        reference=given.reference or given.runs / "reference",
        seeds=tuple(given.seeds),
        duration=given.duration,
        sizes=tuple(given.sizes),
        reference_duration=given.reference_duration,
        variant=given.variant,
        threads=given.threads,
    )
    for system in given.systems:
        for stage in given.stages:
            print(f"{system}: {stage}", flush=True)
            STAGES[stage](system, plan)
        if "table" in given.stages:
            results = read_json(given.results) if given.results.exists() else {}
            results[system] = collect(system, plan)
            given.results.parent.mkdir(parents=True, exist_ok=True)
            write_json(given.results, results)
            print(json.dumps(results[system], indent=2), flush=True)


def make_reference(system: str, plan: Plan) -> None:
    """The atomistic run, shared by both systems, and the mean forces of some of its last frames."""
    if not (plan.reference / "report.json").exists() and not _n_frames(plan.reference):
        config = ReferenceConfig(duration=plan.reference_duration, threads=plan.threads)
        run_reference(read_specification(SYSTEMS[0]), plan.reference, config, resume=(plan.reference).exists())
    output = plan.runs / system / "mean-force"
    if not (output / "noise_floor.json").exists():
        config = MeanForceConfig(threads=plan.threads)
        compute_mean_forces(plan.reference, read_specification(system), output, config, resume=output.exists())


def make_dataset(system: str, plan: Plan) -> None:
    """Mapped frames."""
    output = plan.runs / system / "dataset"
    map_recording(plan.reference, read_specification(system), output, resume=output.exists())


def make_fits(system: str, plan: Plan) -> None:
    """The model and its variant."""
    for name, weight in (("fit", None), ("fit-variant", plan.variant)):
        output = plan.runs / system / name
        if (output / "force_field" / "manifest.json").exists():
            continue
        config = read_fit_config(
            Path("systems") / system / "fit.yaml",
            data={
                "datasets": (str(plan.runs / system / "dataset"),),
                "mean_force_test": (str(plan.runs / system / "mean-force"),),
            },
            training={"threads": plan.threads, **({} if weight is None else {"energy_weight": weight})},
        )
        fit(config, output, resume=output.exists(), progress=False)


def make_refinement(system: str, plan: Plan) -> None:
    """The structure-aware step after the fit, for systems that have settings for it."""
    settings, output = Path("systems") / system / "refine.yaml", plan.runs / system / "refined"
    if settings.exists() and not (output / "force_field" / "manifest.json").exists():
        dataset = ForceMatchingDataset.open(plan.runs / system / "dataset", verify=False)
        force_field = ForceField.load(plan.runs / system / "fit" / "force_field")
        refine(force_field, dataset, output, read_refinement_config(settings), resume=output.exists())


def shipped(system: str) -> str:
    """Which of the models of a system is shipped."""
    return "refined" if (Path("systems") / system / "refine.yaml").exists() else "fit"


def make_simulations(system: str, plan: Plan) -> None:
    """All models with every seed, and the pair spline with one."""
    dataset = ForceMatchingDataset.open(plan.runs / system / "dataset", verify=False)
    last = dataset.frames(np.array([dataset.n_frames - 1]))
    for name in ("refined", "fit", "fit-variant"):
        if not (plan.runs / system / name / "force_field" / "manifest.json").exists():
            continue
        force_field = ForceField.load(plan.runs / system / name / "force_field")
        for seed in plan.seeds:
            output = plan.runs / system / "simulations" / f"{name}-{seed}"
            run_once(
                output,
                lambda output=output, force_field=force_field, seed=seed: simulate(
                    force_field,
                    dataset.topology,
                    last.positions[0],
                    last.box[0],
                    output=output,
                    config=_settings(system, plan, dataset, seed),
                    resume=output.exists(),
                    progress=False,
                ),
            )
    output = plan.runs / system / "simulations" / "pair-spline"
    spline = pair_spline.fit_pair_spline(dataset.topology, _training_frames(dataset), _cutoff(system, plan))
    frames = _training_frames(dataset)
    bonds = PriorSet(terms=fit_bonded_priors(HarmonicBondConfig(), dataset.topology, frames, dataset.temperature))
    run_once(
        output,
        lambda: simulate_system(
            pair_spline.create_system(spline, bonds, dataset.topology, last.box[0]),
            dataset.topology,
            last.positions[0],
            last.box[0],
            output=output,
            config=_settings(system, plan, dataset, plan.seeds[0]),
            resume=output.exists(),
            progress=False,
        ),
    )


def make_sizes(system: str, plan: Plan) -> None:
    """Boxes of several sizes, built from nothing."""
    force_field = ForceField.load(plan.runs / system / shipped(system) / "force_field")
    dataset = ForceMatchingDataset.open(plan.runs / system / "dataset", verify=False)
    for size in plan.sizes:
        output = plan.runs / system / "sizes" / str(size)
        topology, positions, box = build_box(force_field, size, seed=size)
        run_once(
            output,
            lambda output=output, topology=topology, positions=positions, box=box: simulate(
                force_field,
                topology,
                positions,
                box,
                output=output,
                config=_settings(system, plan, dataset, 1, duration=min(plan.duration, 100.0)),
                resume=output.exists(),
                progress=False,
            ),
        )


def make_table(system: str, plan: Plan) -> None:
    """The report of the model's simulations; the figures are collected by `collect`."""
    runs = [plan.runs / system / "simulations" / f"{shipped(system)}-{seed}" for seed in plan.seeds]
    reference = summarize_dataset(ForceMatchingDataset.open(plan.runs / system / "dataset", verify=False))
    validate(runs, reference=reference, output=plan.runs / system / "report", overwrite=True)


STAGES: dict[str, Callable[[str, Plan], None]] = {
    "reference": make_reference,
    "dataset": make_dataset,
    "fits": make_fits,
    "refinement": make_refinement,
    "simulations": make_simulations,
    "sizes": make_sizes,
    "table": make_table,
}


def collect(system: str, plan: Plan) -> dict[str, Any]:
    """The figures of one system."""
    folder = plan.runs / system
    dataset = ForceMatchingDataset.open(folder / "dataset", verify=False)
    reference = summarize_dataset(dataset, system=system)
    metrics = read_json(folder / "fit" / "metrics.json")
    held = ForceMatchingDataset.open(folder / "mean-force", verify=False)
    cutoff = _cutoff(system, plan)
    spline = pair_spline.fit_pair_spline(dataset.topology, _training_frames(dataset), cutoff)
    measured = held.frames()
    spline_score = pair_spline.score(spline.forces(held.topology, measured), measured.forces_inter)
    force_field = ForceField.load(folder / shipped(system) / "force_field")
    matched_score = pair_spline.score(
        inter_forces(ForceField.load(folder / "fit" / "force_field"), measured), measured.forces_inter
    )
    network_score = pair_spline.score(inter_forces(force_field, measured), measured.forces_inter)
    test = dataset.frames(dataset.split()["test"][::10])
    spline_test = pair_spline.score(spline.forces(dataset.topology, test), test.forces_inter)
    network_test = pair_spline.score(inter_forces(force_field, test), test.forces_inter)
    floors = read_json(folder / "mean-force" / "noise_floor.json")
    result: dict[str, Any] = {
        "command": "make fidelity",
        "configuration": f"systems/{system}/fit.yaml",
        "reference_ns": dataset.n_frames * _frame_interval(dataset) / 1000,
        "frames": dataset.n_frames,
        "effective_frames_energy": reference.effective_samples,
        "force_rmse": network_test["rmse"],
        "force_rmse_pair_spline": spline_test["rmse"],
        "force_std": float(np.sqrt(np.mean(np.square(test.forces_inter, dtype=np.float64)))),
        "force_noise_floor": floors_rms(floors),
        "force_is": "intermolecular part of the mapped force, per component, kJ/mol/nm; held-out frames",
        "total_force_rmse": metrics["test"]["force_rmse"],
        "total_force_std": metrics["test"]["force_std"],
        "noise_floors": floors,
        "mean_force_r2": network_score["r2"],
        "mean_force_r2_before_refinement": matched_score["r2"],
        "refined": shipped(system) == "refined",
        "mean_force_r2_pair_spline": spline_score["r2"],
        "mean_force_configurations": held.n_frames,
        "cutoff_nm": cutoff,
        "time_step_fs": 1000 * TIME_STEP[system],
        "gr_com_rmse_reference_error": compute_half_rmse(reference.trajectory.get(STRUCTURE).com),
        **figures_of_runs(folder, shipped(system), plan.seeds, reference),
        "gr_com_rmse_pair_spline": _compare(folder / "simulations" / "pair-spline", reference)
        .metric("gr_com_rmse")
        .value,
        "energy_per_bead": {
            str(size): read_run(folder / "sizes" / str(size)).summary.get(ENERGY).per_bead["potential"].mean
            for size in plan.sizes
            if (folder / "sizes" / str(size)).exists()
        },
        "lambda_variants": {
            label: {
                **_fit_figures(folder / name),
                "mean_force_r2": pair_spline.score(
                    inter_forces(ForceField.load(folder / name / "force_field"), measured), measured.forces_inter
                )["r2"],
                **figures_of_runs(folder, name, plan.seeds, reference),
            }
            for name, label in (("fit", "0"), ("fit-variant", f"{plan.variant:g}"))
            if (folder / name / "metrics.json").exists()
        },
    }
    energies = list(result["energy_per_bead"].values())
    if len(energies) > 1:
        result["energy_per_bead_spread"] = float(np.ptp(energies) / abs(np.mean(energies)))
    return result


def figures_of_runs(folder: Path, name: str, seeds: Sequence[int], reference: Any) -> dict[str, Any]:
    """Figures of one model's simulations, averaged over the seeds, with the value of each seed beside them."""
    paths = [folder / "simulations" / f"{name}-{seed}" for seed in seeds]
    paths = [path for path in paths if RunFolder(path).result.exists()]
    outcomes = [RunFolder(path).describe_result() for path in paths]
    compared = [_compare(path, reference) for path in paths]
    result: dict[str, Any] = {
        "seeds": len(paths),
        "stable_seeds": sum(outcome["status"] == "complete" for outcome in outcomes),
        "simulated_ps_per_seed": min((outcome["time"] for outcome in outcomes), default=0.0),
        "steps_per_second": [outcome["steps_per_second"] for outcome in outcomes],
    }
    for key in (
        "temperature_mean",
        "gr_com_rmse",
        "gr_inter_rmse",
        "gr_below_first_bin",
        "bond_mean_error",
        "bond_std_ratio",
    ):
        values = [metric.value for each in compared for metric in each.metrics if metric.key == key]
        if values:
            result[key] = float(np.mean(values))
            result[f"{key}_by_seed"] = values
            if len(values) > 1:
                result[f"{key}_error"] = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return result


def inter_forces(force_field: ForceField, frames: Frames) -> np.ndarray:
    """Forces between molecules [kJ/mol/nm], shape (n_frames, n_beads, 3), without intramolecular blocks."""
    n_molecules = frames.n_particles // len(force_field.templates[0].bead_names)
    topology = CGTopology.from_residues([(force_field.templates[0], n_molecules)], type_names=force_field.type_names)
    deployed = force_field.deploy(topology)
    network = [
        deployed(torch.tensor(x, dtype=torch.float64), torch.tensor(box, dtype=torch.float64))[1].numpy()
        for x, box in zip(frames.positions, frames.box, strict=True)
    ]
    return np.array(network) + force_field.priors.forces(topology, frames, part="inter")


def floors_rms(floors: dict[str, Any]) -> float:
    """Noise of the intermolecular forces at fixed beads [kJ/mol/nm], pooled over configurations."""
    return float(np.sqrt(np.mean([np.square(each["noise"]) for each in floors["forces_inter"]["configurations"]])))


def _fit_figures(folder: Path) -> dict[str, Any]:
    metrics = read_json(folder / "metrics.json")
    return {
        "validation_force_rmse": metrics["validation"]["force_rmse"],
        "energy_weight": read_json(folder / "fit.json")["training"]["energy_weight"],
    }


def _compare(path: Path, reference: Any) -> ValidationResult:
    run = read_run(path)
    return compare_with_reference(run.summary, reference, name=run.name, status=run.status)


def run_once(output: Path, run: Callable[[], Any]) -> None:
    """Run unless it is there; an unstable run is a result, not an error of the measurement."""
    if RunFolder(output).describe_result()["status"] in ("complete", "unstable"):
        return
    try:
        run()
    except SimulationError as error:
        print(f"{output}: {error}", flush=True)


def _settings(
    system: str, plan: Plan, dataset: ForceMatchingDataset, seed: int, duration: float | None = None
) -> SimulationConfig:
    return SimulationConfig(
        temperature=dataset.temperature,
        duration=duration or plan.duration,
        time_step=TIME_STEP[system],
        frame_interval=0.5,
        seed=seed,
        platform="CPU",
        threads=plan.threads,
        ml_backend="PythonForce",
    )


def _cutoff(system: str, plan: Plan) -> float:
    return read_fit_config(
        Path("systems") / system / "fit.yaml", data={"datasets": (str(plan.runs / system / "dataset"),)}
    ).network.cutoff


def _training_frames(dataset: ForceMatchingDataset) -> Any:
    return dataset.frames(dataset.split()["train"])


def _frame_interval(dataset: ForceMatchingDataset) -> float:
    times = dataset.frames(np.arange(2)).times
    return float(times[1] - times[0])


def _n_frames(reference: Path) -> int:
    manifests: Iterable[Path] = reference.glob("**/manifest.json")
    return sum(shard["n_frames"] for path in manifests for shard in read_json(path).get("shards", ()))


if __name__ == "__main__":
    main()
