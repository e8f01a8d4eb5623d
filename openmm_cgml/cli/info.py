"""`openmm-cgml info`: what is in a model, a system, a dataset, a recording or a run, recognized by content."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from openmm_cgml.shards import FrameStore


@dataclass(frozen=True)
class Description:
    """What was found in one place: its kind, where it is, and facts by name."""

    kind: str
    path: Path
    facts: dict[str, Any]


def info(
    target: Annotated[
        str, typer.Argument(help="A folder, a file that describes one, or the name of a shipped model or system.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    verify: Annotated[
        bool, typer.Option(help="Compare all data with the recorded checksums; of a model, run the self-test.")
    ] = True,
) -> None:
    """Say what is in a model, a system, a dataset, a recording or a run."""
    found = describe(target, verify=verify)
    if as_json:
        content = [{"kind": item.kind, "path": str(item.path), **item.facts} for item in found]
        typer.echo(json.dumps(content, indent=2, default=str))
        return
    for item in found:
        typer.echo(f"{item.kind}: {item.path}")
        for line in _lines(item.facts):
            typer.echo(line)


def describe(target: str, *, verify: bool = True) -> list[Description]:
    """Everything that is known about a folder, a file in it, or a shipped name.

    Raises:
        InputError: If there is nothing of that name.
        ArtifactError: If it is damaged, or nothing of ours.
    """
    from openmm_cgml.errors import ArtifactError, InputError
    from openmm_cgml.shipped import RESULT, find_model, find_system, list_models, list_systems

    path = Path(target)
    if path.is_file():
        path = path.parent
    if path.is_dir():
        found = _describe_folder(path, verify)
        if (path / RESULT / "manifest.json").is_file():  # the output of a fit or a refinement
            found = _describe_folder(path / RESULT, verify) + found
        if not found:
            raise ArtifactError(f"{path}: no model, system, dataset, recording or run is in this folder")
        return found
    folders = [
        find(target)
        for names, find in ((list_models(), find_model), (list_systems(), find_system))
        if path.name in names
    ]
    if not folders:
        known = f"models: {', '.join(list_models()) or 'none'}; systems: {', '.join(list_systems()) or 'none'}"
        raise InputError(
            f"{target!r} is neither a file, a folder nor a shipped name; shipped {known} "
            "(`openmm-cgml list` says what each is)"
        )
    return [item for folder in folders for item in _describe_folder(folder, verify)]


def _describe_folder(path: Path, verify: bool) -> list[Description]:
    """What the known files of a folder say, the content first and the record of its making last."""
    from openmm_cgml.runs.record import RECORD
    from openmm_cgml.storage import VERB_RECORD

    readers: dict[str, Callable[[Path, bool], Description]] = {
        "manifest.json": _describe_manifest,
        "system.yaml": _describe_system,
        RECORD: _describe_simulation,
        VERB_RECORD: _describe_run,
    }
    return [read(path, verify) for name, read in readers.items() if (path / name).is_file()]


def _describe_manifest(path: Path, verify: bool) -> Description:
    from openmm_cgml.errors import ArtifactError
    from openmm_cgml.shards import SCHEMA, FrameStore
    from openmm_cgml.storage import read_json

    manifest = read_json(path / "manifest.json")
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema == SCHEMA:
        store = FrameStore.open(path, verify=verify)
        kind = str(store.metadata.get("kind", "frames")).removeprefix("openmm-cgml/")
        return Description(kind, path, {**_frame_facts(store), "checksums": "compared" if verify else "not compared"})
    if schema == "openmm-cgml/force-field":
        return _describe_model(path, manifest, verify)
    raise ArtifactError(f"{path / 'manifest.json'}: schema {schema!r} is none of this program's")


def _describe_model(path: Path, manifest: dict[str, Any], verify: bool) -> Description:
    from openmm_cgml.force_field import ForceField
    from openmm_cgml.storage import read_json

    facts: dict[str, Any] = {name: manifest[name] for name in ("name", "description", "license") if manifest.get(name)}
    facts["format"] = ".".join(map(str, manifest["version"]))
    if verify:
        force_field = ForceField.load(path)
        facts["self-test"] = "passed"
        facts["fingerprint"] = force_field.fingerprint
        facts["bead types"] = ", ".join(force_field.type_names)
        facts["residues"] = "; ".join(
            f"{kind.name}: {len(kind.bead_names)} bead(s), {len(kind.bonds)} bond(s), {sum(kind.masses):.2f} Da"
            for kind in force_field.templates
        )
        facts["chains"] = "; ".join(
            f"{chain.name}: {chain.head}, {chain.body} ..., {chain.tail}" for chain in force_field.chains
        )
        if force_field.architectures:
            facts["architectures"] = "; ".join(
                f"{kind.name}: {len(kind.residues)} residues, {len(kind.joints)} bonds between them"
                for kind in force_field.architectures
            )
        facts["cutoffs [nm]"] = force_field.cutoffs
        facts["priors"] = {f"{term.form} {'-'.join(term.types)}": term.describe() for term in force_field.priors.terms}
        facts["priors"] |= force_field.priors.describe_points()
    network = read_json(path / "network.json") if (path / "network.json").is_file() else None
    facts["network"] = network if network is not None else "none, priors only"
    for name in ("training", "validation"):
        facts[name] = manifest.get(name) or "not recorded"
    return Description("model", path, facts)


def _frame_facts(store: FrameStore) -> dict[str, Any]:
    facts: dict[str, Any] = {"frames": store.n_frames, "particles": store.n_particles}
    metadata = store.metadata
    if "temperature" in metadata:
        facts["temperature [K]"] = metadata["temperature"]
    if "topology" in metadata:
        from openmm_cgml.topology import CGTopology

        topology = CGTopology.from_dict(metadata["topology"])
        facts["molecules"] = topology.n_molecules
        facts["bead types"] = ", ".join(topology.type_names)
        facts["topology fingerprint"] = topology.fingerprint
    if "labels" in metadata:
        facts["force labels"] = metadata["labels"]
    if store.n_frames:
        frame = store.read(0, 1)
        present = {
            "forces": frame.forces,
            "intermolecular forces": frame.forces_inter,
            "force errors": frame.force_error,
        }
        facts["per frame"] = ["positions", *(name for name, array in present.items() if array is not None)]
        facts["energies"] = sorted(frame.energies)
        if frame.box is not None:
            facts["first box [nm]"] = [round(float(edge), 4) for edge in frame.box[0].diagonal()]
        last = store.read(store.n_frames - 1, store.n_frames)
        if frame.times is not None and last.times is not None:
            facts["time [ps]"] = f"{float(frame.times[0]):g} to {float(last.times[0]):g}"
    if metadata.get("source"):
        facts["source"] = metadata["source"]
    return facts


def _describe_system(path: Path, verify: bool) -> Description:
    from openmm_cgml.specification import read_specification

    specification = read_specification(path)
    facts: dict[str, Any] = {
        "description": specification.description,
        "temperature [K]": specification.temperature,
        "pressure [bar]": specification.pressure,
    }
    for residue in specification.residues:
        beads = ", ".join(f"{bead.name} ({bead.type}: {' '.join(bead.atoms)})" for bead in residue.beads)
        number = f"{residue.count} of " if residue.count else ""
        facts[f"residue {residue.name}"] = f"{number}{len(residue.atoms)} atoms; beads {beads}"
    for chain in specification.chains:
        facts[f"chain {chain.name}"] = (
            f"{chain.count} of {chain.monomers} residues: {chain.head}, {chain.body} ..., {chain.tail}"
        )
    if specification.reference is not None:
        facts["atomistic force field"] = specification.reference.force_field
    facts["reference summary"] = "reference.json" if (path / "reference.json").is_file() else "none"
    return Description("system", path, facts)


def _describe_simulation(path: Path, verify: bool) -> Description:
    from openmm_cgml.runs.folder import RunFolder

    folder = RunFolder(path)
    facts = {name: value for name, value in folder.read_record().to_dict().items() if name != "schema"}
    facts["result"] = folder.describe_result()
    return Description("simulation", path, facts)


def _describe_run(path: Path, verify: bool) -> Description:
    from openmm_cgml.cli.run_record import read_run_record
    from openmm_cgml.storage import VERB_RECORD

    record = read_run_record(path / VERB_RECORD)
    facts = {name: value for name, value in record.items() if name not in ("schema", "earlier")}
    facts["earlier runs"] = len(record["earlier"])
    return Description("run", path, facts)


def _lines(facts: Mapping[str, Any], depth: int = 1) -> list[str]:
    """Facts as indented lines: a mapping's entries go below its name, lists are joined, what is empty is left out."""
    shown = {name: value for name, value in facts.items() if value not in (None, "", {}, [])}
    width = max((len(name) for name, value in shown.items() if not isinstance(value, Mapping)), default=0)
    lines = []
    for name, value in shown.items():
        if isinstance(value, Mapping):
            lines += ["  " * depth + name, *_lines(value, depth + 1)]
        else:
            lines.append("  " * depth + f"{name:<{width}}  {_text(value)}")
    return lines


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(entry)}" for name, entry in value.items() if entry not in (None, "", {}, []))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
