"""validate(): simulations against their atomistic reference, as JSON and as a page with pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openmm_cgml.errors import InputError, OutputExistsError
from openmm_cgml.storage import write_atomically
from openmm_cgml.validation.limits import check_limits
from openmm_cgml.validation.quantities import QUANTITIES
from openmm_cgml.validation.quantity import Quantity
from openmm_cgml.validation.reference_source import load_reference
from openmm_cgml.validation.reference_summary import ReferenceSummary
from openmm_cgml.validation.report.page import render_page
from openmm_cgml.validation.report.plates import draw_plates
from openmm_cgml.validation.simulation_run import SimulationRun, find_replicas, read_run
from openmm_cgml.validation.verdict import Validation, ValidationResult, compare_across, compare_with_reference

REPORT, METRICS, PICTURES = "report.html", "validation.json", "pictures"


def validate(
    runs: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    reference: ReferenceSummary | str | os.PathLike[str],
    output: str | os.PathLike[str],
    discard: float | None = None,
    limits: Mapping[str, float] | None = None,
    overwrite: bool = False,
    quantities: Sequence[Quantity[Any]] = QUANTITIES,
) -> Validation:
    """Compare simulations with their atomistic reference; write `report.html`, `validation.json` and `pictures/`.

    Args:
        runs: Folders of simulations of one system: seeds, or sizes. One with replicas counts as its replicas.
        reference: A `ReferenceSummary`, its file, a mapped dataset, or the name of a shipped system.
        output: Folder for the report; other files in it stay.
        discard: Time to leave out at the start of each run [ps]; by default what its energies need to settle.
        limits: Limits in place of the reference's own; those not given stay.
        overwrite: Replace a report that is there.
        quantities: What to compare.

    Raises:
        InputError: If there are no runs, a run is of another system than the reference, or a limit is unknown.
        ArtifactError: If a run or the reference is damaged.
        OutputExistsError: If `output` holds a report already.
    """
    paths = [runs] if isinstance(runs, str | os.PathLike) else list(runs)
    if not paths:
        raise InputError("no runs to validate; give the folder of at least one simulation")
    folder = Path(output)
    if (folder / REPORT).exists() and not overwrite:
        raise OutputExistsError(f"{folder / REPORT} exists; use --overwrite (overwrite=True) or another folder")
    check_limits(limits or (), quantities)
    summary = load_reference(reference, quantities=quantities)
    folders = [folder for path in paths for folder in find_replicas(path)]
    simulations = name_apart([read_run(folder, discard=discard, quantities=quantities) for folder in folders], folders)
    validation = compare_runs(simulations, summary, limits, quantities=quantities)
    write_report(folder, validation, simulations, summary, quantities=quantities)
    return validation


def compare_runs(
    runs: Sequence[SimulationRun],
    reference: ReferenceSummary,
    limits: Mapping[str, float] | None = None,
    *,
    quantities: Sequence[Quantity[Any]] = QUANTITIES,
) -> Validation:
    """The metrics of all runs.

    Args:
        runs: Simulations of one system.
        reference: Their reference.
        limits: Limits in place of the reference's own; those not given stay.
        quantities: What to compare.
    """
    results = [_compare_run(run, reference, limits, quantities) for run in runs]
    summaries = [run.summary for run in runs if run.summary is not None]
    across = compare_across(summaries, reference, limits=limits, quantities=quantities)
    return Validation(system=reference.system, runs=tuple(results), across=across)


def write_report(
    folder: Path,
    validation: Validation,
    runs: Sequence[SimulationRun],
    reference: ReferenceSummary,
    *,
    quantities: Sequence[Quantity[Any]] = QUANTITIES,
) -> None:
    """Write the page, the metrics and the pictures."""
    plates = draw_plates(runs, reference, quantities)
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    for plate in plates:
        write_atomically(folder / PICTURES / f"{plate.name}.png", plate.png)
    write_atomically(folder / METRICS, validation.to_json())
    page = render_page(
        validation,
        subtitle=_subtitle(validation, reference),
        plates=plates,
        provenance=_collect_provenance(runs, reference),
        footer="Bands are two standard errors. The shaded range of g(r) is the one over which the RMSE is taken. "
        "Coarse-grained dynamics is faster than atomistic: its times are CG time.",
    )
    write_atomically(folder / REPORT, page)


def name_apart(runs: Sequence[SimulationRun], paths: Sequence[Path]) -> list[SimulationRun]:
    """The runs with names that differ: as much of their paths as that takes."""
    resolved = [path.resolve() for path in paths]
    for depth in range(1, 5):
        names = ["/".join(path.parts[-depth:]) for path in resolved]
        if len(set(names)) == len(names):
            break
    return [SimulationRun(**{**vars(run), "name": name}) for run, name in zip(runs, names, strict=True)]


def _compare_run(
    run: SimulationRun,
    reference: ReferenceSummary,
    limits: Mapping[str, float] | None,
    quantities: Sequence[Quantity[Any]],
) -> ValidationResult:
    notes = list(run.notes)
    if run.summary is None:
        notes.append(f"{len(run.times)} frames recorded, too few for any metric")
        return ValidationResult(name=run.name, status=run.status, metrics=(), notes=tuple(notes))
    result = compare_with_reference(
        run.summary, reference, name=run.name, status=run.status, limits=limits, quantities=quantities
    )
    if run.discarded > 0:
        notes.append(f"the first {run.discarded:g} ps are left out as equilibration")
    return ValidationResult(name=run.name, status=run.status, metrics=result.metrics, notes=(*notes, *result.notes))


def _subtitle(validation: Validation, reference: ReferenceSummary) -> str:
    complete = f"{validation.n_complete} of {len(validation.runs)} runs complete"
    span = reference.trajectory.duration
    length = "" if span is None else f" of {span / 1000:.3g} ns"
    return f"{complete}; compared with an atomistic reference{length} at {reference.temperature:g} K"


def _collect_provenance(runs: Sequence[SimulationRun], reference: ReferenceSummary) -> dict[str, dict[str, str]]:
    atomistic = reference.trajectory
    samples = reference.effective_samples
    about = {
        "beads": f"{atomistic.n_beads} in {atomistic.n_molecules} molecules",
        "temperature": f"{reference.temperature:g} K",
        "simulated": "" if atomistic.duration is None else f"{atomistic.duration:.4g} ps",
        "frames": f"{atomistic.n_frames}, {atomistic.n_structure_frames} used for distributions",
        "independent samples": "" if samples is None else f"{samples:.0f} (of the energy)",
        **_flatten(reference.source),
    }
    columns = {"reference": about}
    for run in runs:
        frames = (
            {}
            if run.summary is None
            else {"frames": f"{len(run.times)}, {run.summary.n_structure_frames} used for distributions"}
        )
        columns[run.name] = {**run.settings, **frames}
    return columns


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested provenance as one level of readable entries."""
    flat: dict[str, str] = {}
    for key, value in content.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{name}: ")
        elif value not in (None, "", [], ()):
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            flat[name] = text if len(text) <= 200 else text[:199] + "…"
    return flat
