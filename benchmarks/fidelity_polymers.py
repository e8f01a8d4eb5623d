#!/usr/bin/env python3
"""Measure the polymer models from the start: atomistic reference, fits, simulations, longer chains, comparison.

Every stage resumes, as in `fidelity.py`. Per system: record the atomistic reference, map it, fit the model of
`systems/<name>/fit.yaml` and the published settings of `systems/<name>/published*.yaml`, refine the bonded priors where
there is a `refine.yaml`, simulate with several seeds, simulate the force-matched pair spline with the same bonded
priors as a baseline, simulate boxes of longer chains, and write one object of figures into the results file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from openmm_cgml.builder import build_box
from openmm_cgml.dataset import ForceMatchingDataset, map_recording
from openmm_cgml.force_field import ForceField
from openmm_cgml.reference import ReferenceConfig, run_reference
from openmm_cgml.refinement import read_refinement_config, refine
from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.simulation import SimulationConfig, simulate, simulate_system
from openmm_cgml.specification import read_specification, with_protocol
from openmm_cgml.storage import read_json, write_json
from openmm_cgml.training import fit
from openmm_cgml.training.config import read_fit_config
from openmm_cgml.validation import read_run, summarize_dataset, validate
from openmm_cgml.validation.transfer import compare_transfer
from openmm_cgml.validation.verdict import ValidationResult, compare_with_reference

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pair_spline
from fidelity import RESULTS, run_once


@dataclass(frozen=True, kw_only=True)
class System:
    """How one system is measured.

    Attributes:
        reference: Name of the atomistic run, shared by systems with the same atoms.
        run: Settings of that run.
        protocol: File with its equilibration, if it is not that of system.yaml.
        time_step: Coarse-grained time step [ps].
        network_interval: Steps per evaluation of the network.
        transfer: Boxes of other chain lengths, as (chains, monomers).
    """

    reference: str
    run: dict[str, Any]
    protocol: str | None = None
    time_step: float
    network_interval: int = 1
    transfer: tuple[tuple[int, int], ...] = ()


_POLYETHYLENE: dict[str, Any] = {"density_duration": 60.0, "duration": 500.0, "frame_interval": 0.2}
_LONGER = ((5, 100), (3, 200), (20, 500))
SYSTEMS = {
    "polyethylene-2bead": System(
        reference="polyethylene", run=_POLYETHYLENE, time_step=0.0018, network_interval=2, transfer=_LONGER
    ),
    "polyethylene-1bead": System(reference="polyethylene", run=_POLYETHYLENE, time_step=0.008, transfer=_LONGER),
    "pim-1": System(
        reference="pim-1",
        run={"density": 1.06, "duration": 200.0, "frame_interval": 0.15},
        protocol="quick-protocol.yaml",
        time_step=0.015,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes:
        runs: Folder of everything that is computed.
        seeds: Seeds of the simulations.
        duration: Length of each [ps].
        transfer_duration: Length of each simulation of longer chains [ps].
        threads: CPU threads.
        references: Folders of atomistic runs that lie elsewhere, by name.
    """

    runs: Path
    seeds: tuple[int, ...]
    duration: float
    transfer_duration: float
    threads: int
    references: dict[str, Path] = field(default_factory=dict)

    def reference(self, system: str) -> Path:
        """Folder of the atomistic run of a system."""
        name = SYSTEMS[system].reference
        return self.references.get(name, self.runs / "references" / name)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/fidelity-polymers"), help="where everything is computed"
    )
    parser.add_argument("--reference", action="append", default=[], metavar="NAME=FOLDER", help="an atomistic run")
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=list(STAGES))
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--duration", type=float, default=1000.0, help="picoseconds of each simulation")
    parser.add_argument("--transfer-duration", type=float, default=200.0, help="picoseconds with longer chains")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    references = dict(pair.split("=", 1) for pair in given.reference)
    plan = Plan(
        runs=given.runs,
        seeds=tuple(given.seeds),
        duration=given.duration,
        transfer_duration=given.transfer_duration,
        threads=given.threads,
        references={name: Path(folder) for name, folder in references.items()},
    )
    for system in given.systems:
        for stage in given.stages:
            print(f"{system}: {stage}", flush=True)
            STAGES[stage](system, plan)
        if "table" in given.stages:
            results = read_json(given.results) if given.results.exists() else {}
            results[system] = collect(system, plan)
            write_json(given.results, results)
            print(json.dumps(results[system], indent=2), flush=True)


def make_reference(system: str, plan: Plan) -> None:
    """The atomistic run."""
    output = plan.reference(system)
    if (output / "report.json").exists():
        return
    specification = read_specification(system)
    settings = SYSTEMS[system]
    if settings.protocol is not None:
        specification = with_protocol(specification, Path("systems") / system / settings.protocol)
    config = ReferenceConfig(**settings.run, threads=plan.threads)
    run_reference(specification, output, config, resume=output.exists())


def make_dataset(system: str, plan: Plan) -> None:
    """Mapped frames."""
    output = plan.runs / system / "dataset"
    map_recording(plan.reference(system), read_specification(system), output, resume=output.exists())


def variants(system: str) -> dict[str, Path]:
    """Configurations of a system by name: "fit" is that of the shipped model, others have published settings."""
    return {path.stem: path for path in sorted((Path("systems") / system).glob("*.yaml")) if _is_fit(path)}


def _is_fit(path: Path) -> bool:
    return path.stem == "fit" or path.stem.startswith("published")


def make_fits(system: str, plan: Plan) -> None:
    """The model and the published settings."""
    for name, path in variants(system).items():
        output = plan.runs / system / name
        if (output / "force_field" / "manifest.json").exists():
            continue
        datasets = (str(plan.runs / system / "dataset"),)
        config = read_fit_config(path, data={"datasets": datasets}, training={"threads": plan.threads})
        fit(config, output, resume=output.exists(), progress=False)


def make_refinement(system: str, plan: Plan) -> None:
    """Bonded priors adjusted to the reference's distributions, for systems that have settings for it."""
    settings, output = Path("systems") / system / "refine.yaml", plan.runs / system / "refined"
    if settings.exists() and not (output / "force_field" / "manifest.json").exists():
        dataset = ForceMatchingDataset.open(plan.runs / system / "dataset", verify=False)
        force_field = ForceField.load(plan.runs / system / "fit" / "force_field")
        refine(force_field, dataset, output, read_refinement_config(settings), resume=output.exists())


def shipped(system: str) -> str:
    """Which of the models of a system is shipped."""
    return "refined" if (Path("systems") / system / "refine.yaml").exists() else "fit"


def model(system: str, plan: Plan, name: str | None = None) -> ForceField:
    """A fitted model, by default the one that is shipped."""
    return ForceField.load(plan.runs / system / (name or shipped(system)) / "force_field")


def make_simulations(system: str, plan: Plan) -> None:
    """All models, the shipped one with every seed, each seed from another frame of the reference."""
    dataset = ForceMatchingDataset.open(plan.runs / system / "dataset", verify=False)
    names = [(shipped(system), plan.seeds)]
    names += [(name, plan.seeds[:1]) for name in variants(system) if name != shipped(system)]
    for name, seeds in names:
        force_field = model(system, plan, name)
        for seed in seeds:
            start, output = _start(dataset, seed), plan.runs / system / "simulations" / f"{name}-{seed}"
            run_once(
                output,
                lambda output=output, start=start, force_field=force_field, seed=seed: simulate(
                    force_field,
                    dataset.topology,
                    start.positions[0],
                    start.box[0],
                    output=output,
                    config=settings_of(system, plan, seed, plan.duration),
                    resume=output.exists(),
                    progress=False,
                ),
            )


def make_baseline(system: str, plan: Plan) -> None:
    """The force-matched pair spline between all beads that the priors do not exclude, with the same bonded priors."""
    dataset = ForceMatchingDataset.open(plan.runs / system / "dataset", verify=False)
    start, output = _start(dataset, plan.seeds[0]), plan.runs / system / "simulations" / "pair-spline"
    priors = model(system, plan, "fit").priors
    spline = pair_spline.fit_pair_spline(dataset.topology, _some_training_frames(dataset), _cutoff(system, plan))
    config = settings_of(system, plan, plan.seeds[0], plan.duration)
    step = min(config.time_step, 0.004)
    run_once(
        output,
        lambda: simulate_system(
            pair_spline.create_system(
                spline, _bonded(priors), dataset.topology, start.box[0], exclude_bonds=priors.exclude_bonds
            ),
            dataset.topology,
            start.positions[0],
            start.box[0],
            output=output,
            config=config.model_copy(update={"network_interval": 1, "time_step": step}),
            resume=output.exists(),
            progress=False,
        ),
    )


def make_transfer(system: str, plan: Plan) -> None:
    """Boxes of longer chains at the density of the reference, built from nothing, and one of the reference's own."""
    force_field = model(system, plan)
    boxes = ((force_field.chains[0].count, force_field.chains[0].monomers), *SYSTEMS[system].transfer)
    for chains, monomers in boxes if SYSTEMS[system].transfer else ():
        output = plan.runs / system / "transfer" / f"{chains}x{monomers}"
        if _is_done(output):
            continue
        topology, positions, box = build_box(force_field, chains=[(chains, monomers)], seed=1)
        run_once(
            output,
            lambda output=output, topology=topology, positions=positions, box=box: simulate(
                force_field,
                topology,
                positions,
                box,
                output=output,
                config=settings_of(system, plan, 1, plan.transfer_duration),
                resume=output.exists(),
                progress=False,
            ),
        )


def make_table(system: str, plan: Plan) -> None:
    """The report of the model's simulations; the figures are collected by `collect`."""
    runs = [plan.runs / system / "simulations" / f"{shipped(system)}-{seed}" for seed in plan.seeds]
    reference = summarize_dataset(ForceMatchingDataset.open(plan.runs / system / "dataset", verify=False))
    validate(
        [run for run in runs if _is_done(run)],
        reference=reference,
        output=plan.runs / system / "report",
        overwrite=True,
    )


STAGES: dict[str, Callable[[str, Plan], None]] = {
    "reference": make_reference,
    "dataset": make_dataset,
    "fits": make_fits,
    "refinement": make_refinement,
    "simulations": make_simulations,
    "baseline": make_baseline,
    "transfer": make_transfer,
    "table": make_table,
}


def collect(system: str, plan: Plan) -> dict[str, Any]:
    """The figures of one system."""
    folder = plan.runs / system
    dataset = ForceMatchingDataset.open(folder / "dataset", verify=False)
    reference = summarize_dataset(dataset, system=system)
    metrics = read_json(folder / "fit" / "metrics.json")["test"]
    atomistic = read_json(plan.reference(system) / "report.json")
    simulations = folder / "simulations"
    result: dict[str, Any] = {
        "command": f"python benchmarks/fidelity_polymers.py --systems {system}",
        "configuration": f"systems/{system}/fit.yaml",
        "reference_ns": dataset.n_frames * _frame_interval(dataset) / 1000,
        "frames": dataset.n_frames,
        "reference": {name: _observable(item) for name, item in atomistic["observables"].items()},
        "force_rmse": metrics.get("inter_force_rmse"),
        "force_is": "intermolecular part of the mapped force, per component, kJ/mol/nm; held-out frames",
        "force_rmse_pair_spline": _spline_rmse(dataset, _cutoff(system, plan)),
        "force_std": _rms(_test_frames(dataset).forces_inter),
        "total_force_rmse": metrics["force_rmse"],
        "total_force_std": metrics["force_std"],
        "cutoff_nm": _cutoff(system, plan),
        "time_step_fs": 1000 * SYSTEMS[system].time_step,
        "network_interval": SYSTEMS[system].network_interval,
        "refined_priors": shipped(system) == "refined",
        **figures_of_runs([simulations / f"{shipped(system)}-{seed}" for seed in plan.seeds], reference),
    }
    for name in ("pair-spline", *variants(system)):
        found = [*simulations.glob(name), *sorted(simulations.glob(f"{name}-[0-9]*"))]
        runs = [path for path in found if path.name not in _names(system, plan)]
        if runs:
            result.setdefault("variants", {})[name] = figures_of_runs(runs, reference)
    transfer = sorted((folder / "transfer").glob("*x*"), key=lambda path: int(path.name.split("x")[1]))
    if len(finished := [path for path in transfer if _is_done(path)]) > 1:
        result["transfer"] = _transfer_figures(finished)
    return result


def figures_of_runs(paths: Sequence[Path], reference: Any) -> dict[str, Any]:
    """Every figure of the comparison, averaged over the runs, with that of each run and the error of the mean."""
    paths = [path for path in paths if RunFolder(path).result.exists()]
    outcomes = [RunFolder(path).describe_result() for path in paths]
    result: dict[str, Any] = {
        "seeds": len(paths),
        "stable_seeds": sum(outcome["status"] == "complete" for outcome in outcomes),
        "simulated_ps_per_seed": min((outcome["time"] for outcome in outcomes), default=0.0),
        "ns_per_day": [outcome["ns_per_day"] for outcome in outcomes],
        "reasons": [outcome["reason"] for outcome in outcomes if outcome["reason"]],
    }
    compared = [_compare(path, reference) for path, end in zip(paths, outcomes, strict=True) if end["n_frames"] > 20]
    for key in dict.fromkeys(metric.key for each in compared for metric in each.metrics):
        values = [metric.value for each in compared for metric in each.metrics if metric.key == key]
        values = [value for value in values if value is not None]
        if not values:
            continue
        result[key] = float(np.mean(values))
        if len(values) > 1:
            result[f"{key}_by_seed"] = values
            result[f"{key}_error"] = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return result


def settings_of(system: str, plan: Plan, seed: int, duration: float) -> SimulationConfig:
    """Settings of a coarse-grained simulation."""
    return SimulationConfig(
        temperature=300.0,
        duration=duration,
        time_step=SYSTEMS[system].time_step,
        network_interval=SYSTEMS[system].network_interval,
        frame_interval=0.5,
        seed=seed,
        platform="CPU",
        threads=plan.threads,
        ml_backend="PythonForce",
    )


def _names(system: str, plan: Plan) -> set[str]:
    return {f"{shipped(system)}-{seed}" for seed in plan.seeds}


def _compare(path: Path, reference: Any) -> ValidationResult:
    run = read_run(path)
    return compare_with_reference(run.summary, reference, name=run.name, status=run.status)


def _transfer_figures(paths: Sequence[Path]) -> dict[str, Any]:
    """Every quantity of the boxes with its error, and whether it differs from that of the shortest chains."""
    runs = [(path.name, read_run(path).summary) for path in paths]
    compared = compare_transfer([(name, summary) for name, summary in runs if summary is not None])
    outcomes = {path.name: RunFolder(path).describe_result() for path in paths}
    kept = ("status", "time", "mean_temperature", "temperature_error")
    return {
        "runs": {name: {key: outcome[key] for key in kept} for name, outcome in outcomes.items()},
        "quantities": [
            {
                "what": f"{quantity.group}: {quantity.label}",
                "unit": quantity.unit,
                "values": [None if each is None else each.value for each in quantity.values],
                "errors": [None if each is None else each.error for each in quantity.values],
                "verdicts": [None if test is None else test.verdict for test in quantity.tests],
            }
            for quantity in compared.quantities
        ],
        "differing": sum(quantity.differs for quantity in compared.quantities),
        "compared": len(compared.quantities),
    }


def _observable(item: dict[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in ("value", "standard_error", "unit")}


def _bonded(priors: Any) -> Any:
    return replace(priors, terms=tuple(term for term in priors.terms if term.form != "power_repulsion"))


def _start(dataset: ForceMatchingDataset, seed: int) -> Any:
    """A frame of the reference, another one for each seed."""
    return dataset.frames(np.array([dataset.n_frames - 1 - (seed - 1) * (dataset.n_frames // 4)]))


def _test_frames(dataset: ForceMatchingDataset) -> Any:
    return dataset.frames(dataset.split(n_blocks=6)["test"][::4])


def _some_training_frames(dataset: ForceMatchingDataset) -> Any:
    train = dataset.split(n_blocks=6)["train"]
    return dataset.frames(train[:: max(1, len(train) // 150)])


def _spline_rmse(dataset: ForceMatchingDataset, cutoff: float) -> float:
    spline = pair_spline.fit_pair_spline(dataset.topology, _some_training_frames(dataset), cutoff)
    test = _test_frames(dataset)
    return pair_spline.score(spline.forces(dataset.topology, test), test.forces_inter)["rmse"]


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def _cutoff(system: str, plan: Plan) -> float:
    data = {"datasets": (str(plan.runs / system / "dataset"),)}
    return read_fit_config(Path("systems") / system / "fit.yaml", data=data).network.cutoff


def _frame_interval(dataset: ForceMatchingDataset) -> float:
    times = dataset.frames(np.arange(2)).times
    return float(times[1] - times[0])


def _is_done(path: Path) -> bool:
    return RunFolder(path).result.exists() and RunFolder(path).describe_result()["status"] != "running"


if __name__ == "__main__":
    main()
