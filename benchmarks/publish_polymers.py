#!/usr/bin/env python3
"""Write the shipped polymer models, references and pictures from what `fidelity_polymers.py` computed.

For each system: `models/<name>` (the force field with its figures and pictures), `systems/<name>/reference.json` (the
mapped atomistic run, summarized), and `docs/images/<name>.png` with `docs/images/<name>-box.png`.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from fidelity import RESULTS
from fidelity_polymers import SYSTEMS, shipped
from publish import ROOT, add_pictures

from openmm_cgml.analysis import write_box_picture
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.force_field import ForceField
from openmm_cgml.storage import read_json
from openmm_cgml.validation import ValidationLimits, summarize_dataset, validate, write_reference_summary

LIMITS = {
    "polyethylene-2bead": ValidationLimits(gr_inter_rmse=0.05, gr_intra_rmse=0.05, bond_std_deviation=0.1),
    "polyethylene-1bead": ValidationLimits(gr_inter_rmse=0.08, gr_intra_rmse=0.08),
    "pim-1": ValidationLimits(gr_inter_rmse=0.10, gr_intra_rmse=0.10, bond_mean_error=0.02, bond_std_deviation=0.25),
}
FIGURES = {
    "seeds": "simulations",
    "stable_seeds": "of them stable to the end",
    "simulated_ps_per_seed": "length of the shortest [ps]",
    "time_step_fs": "time step [fs]",
    "network_interval": "steps per evaluation of the network",
    "temperature_mean": "mean temperature, set to 300 K [K]",
    "gr_inter_rmse": "g(r) between chains, all beads, RMSE up to 1.5 nm",
    "gr_inter_rmse_error": "its standard error over the simulations",
    "gr_intra_rmse": "g(r) within chains, RMSE over its peak height",
    "gr_intra_far_rmse": "the same without bonded beads and next neighbors, RMSE",
    "gr_below_first_bin": "g(r) below the reference's first occupied bin",
    "bond_mean_error": "mean bond length, relative error of the worst type",
    "bond_std_ratio": "bond length fluctuation over the reference's, worst type",
    "angle_js": "angles, Jensen-Shannon divergence [bit]",
    "torsion_js": "torsions, Jensen-Shannon divergence [bit]",
    "rg_ratio": "radius of gyration over the reference's",
    "rg_ratio_error": "its standard error over the simulations",
    "force_rmse": "intermolecular force RMSE on held-out frames [kJ/mol/nm]",
    "force_rmse_pair_spline": "the same for a force-matched pair spline of the same cutoff",
    "force_std": "standard deviation of these forces [kJ/mol/nm]",
    "reference_ns": "atomistic reference [ns]",
    "frames": "its frames",
}
"""Figures of `fidelity.json` on the card, with their descriptions."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/fidelity-polymers"), help="filled by fidelity_polymers.py"
    )
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    for system in given.systems:
        publish(system, given.runs / system, read_json(given.results)[system])
        print(f"models/{system}, systems/{system}/reference.json", flush=True)


def publish(system: str, folder: Path, figures: dict[str, Any]) -> None:
    """Write what is shipped for one system."""
    dataset = ForceMatchingDataset.open(folder / "dataset", verify=False)
    reference = summarize_dataset(dataset, system=system, limits=LIMITS[system])
    write_reference_summary(ROOT / "systems" / system / "reference.json", reference)
    runs = sorted((folder / "simulations").glob(f"{shipped(system)}-[0-9]*"))
    validate(runs, reference=reference, output=folder / "report", overwrite=True)
    pictures = folder / "report" / "pictures"
    force_field = ForceField.load(folder / shipped(system) / "force_field")
    described = {text: figures[key] for key, text in FIGURES.items() if key in figures}
    manifest = force_field.manifest.model_copy(update={"name": system, "validation": described})
    target = ROOT / "models" / system
    replace(force_field, manifest=manifest).save(target, overwrite=True)
    add_pictures(pictures, target)
    images = ROOT / "docs" / "images"
    shutil.copy(pictures / "gr-inter-all.png", images / f"{system}.png")
    last = dataset.frames([dataset.n_frames - 1])
    assert last.box is not None
    topology = dataset.topology
    write_box_picture(
        images / f"{system}-box.png",
        last.positions[0],
        last.box[0],
        bonds=topology.bonds,
        molecules=topology.molecules,
        diameter=0.4 if system == "pim-1" else 0.22,
        title=f"{system}: {topology.n_molecules} chains",
    )


if __name__ == "__main__":
    main()
