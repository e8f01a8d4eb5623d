"""`openmm-cgml list`: the shipped models and systems."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer


def list(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the shipped models and systems: what each is, its beads, and the state that it is for.

    A model's temperature and density are those of its training data; "validated" says that its card holds metrics of
    simulations compared with the atomistic reference. `openmm-cgml info NAME` says more.
    """
    entries = describe_shipped()
    if as_json:
        typer.echo(json.dumps(entries, indent=2))
        return
    for kind in ("model", "system"):
        typer.echo(f"{kind}s" + ("" if kind == "model" else " (what a model is made from)"))
        for entry in entries:
            if entry["kind"] == kind:
                typer.echo("\n".join(_lines(entry)))


def describe_shipped() -> Sequence[dict[str, Any]]:
    """What is known of each shipped model and system without loading it, models first.

    Raises:
        ArtifactError: If one of them is damaged.
    """
    from openmm_cgml.shipped import find_model, find_system, list_models, list_systems

    models = [_describe_model(name, find_model(name)) for name in list_models()]
    return models + [_describe_system(name, find_system(name)) for name in list_systems()]


def _describe_model(name: str, folder: Path) -> dict[str, Any]:
    from openmm_cgml.force_field.artifact import MANIFEST
    from openmm_cgml.storage import read_json

    manifest = read_json(folder / MANIFEST)
    training = manifest.get("training") or {}
    return {
        "kind": "model",
        "name": name,
        "path": str(folder),
        "description": manifest["description"],
        "residues": {residue["name"]: residue["bead_type_names"] for residue in manifest["residues"]},
        "temperature": training.get("temperature"),
        "density": training.get("density"),
        "limitations": manifest.get("limitations", ""),
        "validated": bool(manifest.get("validation")),
    }


def _describe_system(name: str, folder: Path) -> dict[str, Any]:
    from openmm_cgml.specification import read_specification

    system = read_specification(folder)
    return {
        "kind": "system",
        "name": name,
        "path": str(folder),
        "description": system.description,
        "residues": {residue.name: [bead.type for bead in residue.beads] for residue in system.residues},
        "temperature": system.temperature,
        "pressure": system.pressure,
        "density": None if system.reference is None else system.reference.density,
        "force_field": None if system.reference is None else system.reference.force_field,
    }


def _lines(entry: Mapping[str, Any]) -> Sequence[str]:
    beads = "; ".join(f"{residue}: {' '.join(types)}" for residue, types in entry["residues"].items())
    state = [f"{entry['temperature']:g} K"] if entry["temperature"] is not None else ["state not recorded"]
    if entry["density"] is not None and entry["kind"] == "model":
        state.append(f"{entry['density']:.3g} g/cm^3")
    if "pressure" in entry:
        state.append(f"{entry['pressure']:.3g} bar")
    if "validated" in entry:
        state.append("validated" if entry["validated"] else "not validated")
    sentence = entry["description"].split(". ")[0]
    return [f"  {entry['name']}", f"      {sentence}", f"      beads  {beads}", f"      state  {', '.join(state)}"]
