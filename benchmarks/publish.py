#!/usr/bin/env python3
"""Write the shipped models, references and pictures from what `fidelity.py` computed.

For each system: `models/<name>` (the force field with its figures and pictures), `systems/<name>/reference.json` (the
mapped atomistic run, summarized) and `docs/images/<name>.png`. With `--long-runs` the figures and pictures of models
that are shipped already are renewed from what `long_runs.py` computed.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from fidelity import LIMITS, RESULTS, SYSTEMS, shipped

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.force_field import ForceField
from openmm_cgml.force_field.manifest import TrainingSummary
from openmm_cgml.storage import read_json, write_atomically
from openmm_cgml.validation import (
    ValidationLimits,
    read_reference_summary,
    summarize_dataset,
    validate,
    write_reference_summary,
)

ROOT = Path(__file__).resolve().parent.parent
FIGURES = {
    "seeds": "simulations",
    "stable_seeds": "of them stable to the end",
    "simulated_ps_per_seed": "length of the shortest [ps]",
    "time_step_fs": "time step [fs]",
    "temperature_mean": "mean temperature, set to 300 K [K]",
    "gr_com_rmse": "g(r) of centers of mass, RMSE 0.3 to 1.2 nm",
    "gr_com_rmse_error": "its standard error over the seeds",
    "gr_com_rmse_reference_error": "the same between the halves of the reference",
    "gr_com_rmse_pair_spline": "the same for a force-matched pair spline of the same cutoff",
    "gr_inter_rmse": "g(r) of beads of different molecules, RMSE",
    "gr_below_first_bin": "g(r) below the reference's first occupied bin",
    "bond_mean_error": "mean bond length, relative error",
    "bond_std_ratio": "bond length fluctuation over the reference's",
    "force_rmse": "force RMSE on held-out frames [kJ/mol/nm]",
    "force_noise_floor": "least RMSE of any model, from mean forces [kJ/mol/nm]",
    "mean_force_r2": "R2 against held-out mean forces",
    "mean_force_r2_pair_spline": "the same for the pair spline",
    "energy_per_bead": "energy per bead by number of molecules [kJ/mol]",
    "reference_ns": "atomistic reference [ns]",
    "frames": "its frames",
}
"""Figures of `fidelity.json` on the card, with their descriptions."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/fidelity"), help="folder that fidelity.py filled")
    parser.add_argument("--systems", nargs="*", default=SYSTEMS, choices=SYSTEMS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--long-runs", type=Path, help="folder that long_runs.py filled")
    given = parser.parse_args()
    for system in given.systems:
        if given.long_runs is not None:
            renew(system, given.long_runs / system, read_json(given.results)[system])
            continue
        publish(system, given.runs / system, read_json(given.results)[system])
        print(f"models/{system}, systems/{system}/reference.json", flush=True)


def publish(system: str, folder: Path, figures: dict[str, Any]) -> None:
    """Write what is shipped for one system."""
    limits = ValidationLimits(gr_com_rmse=LIMITS[system]["gr_com"])
    dataset = ForceMatchingDataset.open(folder / "dataset", verify=False)
    reference = summarize_dataset(dataset, system=system, limits=limits)
    write_reference_summary(ROOT / "systems" / system / "reference.json", reference)
    runs = sorted((folder / "simulations").glob(f"{shipped(system)}-[0-9]*"))
    validate(runs, reference=reference, output=folder / "report", overwrite=True)
    _ship(ForceField.load(folder / shipped(system) / "force_field"), system, figures, folder / "report" / "pictures")


def renew(system: str, folder: Path, figures: dict[str, Any]) -> None:
    """Write the figures and pictures of a shipped model anew from its long runs."""
    reference = read_reference_summary(ROOT / "systems" / system / "reference.json")
    runs = sorted((folder / "simulations").glob("shipped-[0-9]*"))
    validate(runs, reference=reference, output=folder / "report", overwrite=True)
    _ship(ForceField.load(ROOT / "models" / system), system, figures, folder / "report" / "pictures")


def _ship(force_field: ForceField, system: str, figures: dict[str, Any], pictures: Path) -> None:
    described = {text: figures[key] for key, text in FIGURES.items() if key in figures}
    training = without_soft_mean_forces(force_field.manifest.training)
    manifest = force_field.manifest.model_copy(update={"name": system, "validation": described, "training": training})
    target = ROOT / "models" / system
    replace(force_field, manifest=manifest).save(target, overwrite=True)
    add_pictures(pictures, target)
    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    shutil.copy(pictures / "gr-centers-of-mass.png", images / f"{system}.png")


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


def add_pictures(source: Path, target: Path) -> None:
    """Copy a report's pictures beside a model and show them on its card."""
    (target / "card").mkdir()
    lines = ["", "## Pictures", ""]
    for picture in sorted(source.glob("*.png")):
        shutil.copy(picture, target / "card" / picture.name)
        lines.append(f"![{picture.stem}](card/{picture.name})\n")
    card = target / "README.md"
    write_atomically(card, card.read_text(encoding="utf8") + "\n".join(lines))


if __name__ == "__main__":
    main()
