"""Shipping a model: its force field, its reference, its pictures, and the tables of the pages."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from openmm_cgml.analysis import write_box_picture
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.force_field.manifest import RecommendedSteps, TrainingSummary
from openmm_cgml.selection.comparison import (
    ReferenceSummary,
    pictures_of,
    read_reference_summary,
    summarize,
    write_reference_summary,
    write_report,
)
from openmm_cgml.selection.descriptions import describe
from openmm_cgml.selection.long_runs import long_simulations
from openmm_cgml.selection.simulations import is_finished
from openmm_cgml.selection.workplace import Workplace
from openmm_cgml.storage import write_atomically


def publish(workplace: Workplace, table: Mapping[str, Any], root: Path) -> Path:
    """Ship what a recipe has made, and return the folder of the model.

    Writes `models/<name>` (the force field with its table and pictures), `systems/<system>/reference.json` (the mapped
    atomistic run, summarized) and the pictures of the pages in `docs/images`. Where the recipe has made no force field
    but long runs of the shipped one, the table and pictures of that are renewed.

    Args:
        workplace: The recipe and its folder.
        table: All that was measured, as `collect_results` returns it.
        root: Folder with `models`, `systems` and `docs`.

    Raises:
        InputError: If a folder is missing, or there is nothing to publish.
    """
    for folder in ("models", "systems", "docs"):
        if not (root / folder).is_dir():
            raise InputError(f"{root} has no folder {folder!r}; give the root of a checkout of this project")
    runs = _simulations(workplace)
    target, images = root / "models" / workplace.recipe.name, root / "docs" / "images"
    images.mkdir(exist_ok=True)
    if workplace.has_force_field(workplace.recipe.shipped):
        force_field = workplace.load_force_field(workplace.recipe.shipped)
        reference = summarize(workplace.open_datasets(), workplace.specification.name, workplace.recipe.limits)
        write_reference_summary(root / "systems" / workplace.system.name / "reference.json", reference)
        _draw_box(workplace, images)
    else:
        force_field, reference = ForceField.load(target), read_reference_summary(workplace.reference_summary)
    _save(workplace, force_field, table, target)
    _show(workplace, runs, reference, target, images)
    return target


def _simulations(workplace: Workplace) -> list[Path]:
    """The finished simulations of the model: the long ones where there are any."""
    recipe = workplace.recipe
    long = [path for path in long_simulations(workplace) if is_finished(path)]
    short = [path for path in workplace.simulations(recipe.shipped, recipe.simulation.seeds) if is_finished(path)]
    if not (long or short):
        raise InputError(f"{workplace.folder} holds no finished simulation of {recipe.name}; run the recipe first")
    return long or short


def _save(workplace: Workplace, force_field: ForceField, table: Mapping[str, Any], target: Path) -> None:
    validation = describe(table, chains=bool(workplace.specification.chains))
    training = force_field.manifest.training
    changes = {
        "name": workplace.recipe.name,
        "validation": validation,
        "recommended_steps": _recommended(workplace, force_field, table),
        "training": None if training is None else without_soft_mean_forces(training),
    }
    manifest = force_field.manifest.model_copy(update=changes)
    replace(force_field, manifest=manifest).save(target, overwrite=True)


def _recommended(workplace: Workplace, force_field: ForceField, table: Mapping[str, Any]) -> RecommendedSteps | None:
    """The steps of the recipe's simulations, if all of them were stable; what was known before where there are none."""
    if not workplace.has_force_field(workplace.recipe.shipped):
        return force_field.manifest.recommended_steps
    simulation = workplace.recipe.simulation
    seeds, stable = table.get("seeds", 0), table.get("stable_seeds", 0)
    if not seeds or stable < seeds:
        return None
    return RecommendedSteps(
        time_step=simulation.time_step,
        network_interval=1 if force_field.network is None else simulation.network_interval,
        temperature=table.get("temperature_mean"),
        stable=f"{stable} of {seeds} runs of {table['simulated_ps_per_seed']:g} ps",
    )


def without_soft_mean_forces(training: TrainingSummary) -> TrainingSummary:
    """The record of a fit, without total mean forces where only their intermolecular part is valid.

    The restraints that hold the beads for a mean force are no stiffer than bonds between beads, so the bonded part
    belongs to slightly relaxed molecules. A fit whose bonds are a part of their own (`target: split`) is judged by the
    other part.
    """
    if training.settings["training"]["target"] != "split":
        return training
    metrics = {name: value for name, value in training.metrics.items() if name not in ("mean_force", "noise_floor")}
    return training.model_copy(update={"metrics": metrics})


def _show(workplace: Workplace, runs: list[Path], reference: ReferenceSummary, target: Path, images: Path) -> None:
    """Draw the simulations beside the reference, for the card and the pages."""
    write_report(runs, reference, workplace.report)
    pictures = pictures_of(workplace.report)
    add_pictures(pictures, target)
    shutil.copy(pictures / f"{workplace.recipe.picture.plate}.png", images / f"{workplace.recipe.name}.png")


def add_pictures(source: Path, target: Path) -> None:
    """Copy a report's pictures beside a model and show them on its card."""
    (target / "card").mkdir()
    lines = ["", "## Pictures", ""]
    for picture in sorted(source.glob("*.png")):
        shutil.copy(picture, target / "card" / picture.name)
        lines.append(f"![{picture.stem}](card/{picture.name})\n")
    card = target / "README.md"
    write_atomically(card, card.read_text(encoding="utf8") + "\n".join(lines))


def _draw_box(workplace: Workplace, images: Path) -> None:
    """Draw the last frame of the reference, where the recipe asks for it."""
    diameter = workplace.recipe.picture.bead_diameter
    if diameter is None:
        return
    dataset = workplace.open_dataset()
    topology, last = dataset.topology, dataset.frames(np.array([dataset.n_frames - 1]))
    assert last.box is not None
    what = "chains" if workplace.specification.chains else "molecules"
    write_box_picture(
        images / f"{workplace.recipe.name}-box.png",
        last.positions[0],
        last.box[0],
        bonds=topology.bonds,
        molecules=topology.molecules,
        diameter=diameter,
        title=f"{workplace.recipe.name}: {topology.n_molecules} {what}",
    )
