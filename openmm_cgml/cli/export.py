"""`openmm-cgml export`: the force field of a fit as a named folder for others, or its network as TorchScript."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmm_cgml.cli.arguments import Model

if TYPE_CHECKING:
    from openmm_cgml.force_field import ForceField
    from openmm_cgml.topology import CGTopology


def export(
    source: Model,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder to write.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; by default that of the output folder.")] = None,
    description: Annotated[str | None, typer.Option(help="One sentence; by default that of the source.")] = None,
    license: Annotated[str | None, typer.Option(help="License of the model; by default that of the source.")] = None,  # noqa: A002
    validation: Annotated[
        Path | None, typer.Option(help="JSON file with metrics of simulations, for the manifest and the card.")
    ] = None,
    torchscript: Annotated[
        Path | None,
        typer.Option(help="File to write: the network for one topology, as TorchScript that plain torch can load."),
    ] = None,
    topology: Annotated[
        Path | None, typer.Option(help="The beads for --torchscript: a .cif or .pdb file, or the folder of a build.")
    ] = None,
    molecules: Annotated[int | None, typer.Option(help="The same as a number of molecules.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is at the output.")] = False,
) -> None:
    """Write a model that others can load, with its card; or its network as TorchScript for other programs.

    The source is verified first: checksums, weights, self-test, and that every pair of beads repels below the distances
    of the training data.

    With --torchscript FILE, the file takes positions (n, 3) and box vectors (3, 3) in nm and gives the energy in kJ/mol
    and forces in kJ/mol/nm of the network, without the priors.
    """
    from openmm_cgml.errors import InputError
    from openmm_cgml.force_field.artifact import find_force_field
    from openmm_cgml.storage import refuse_to_lose

    if (output is None) == (torchscript is None):
        raise InputError("say what to write: --output FOLDER for a model, or --torchscript FILE for its network alone")
    folder = find_force_field(source)  # a wrong name is told before anything heavy is imported
    if output is not None and overwrite:
        refuse_to_lose(output, [folder])
    from openmm_cgml.force_field import ForceField

    force_field = ForceField.load(folder)
    _refuse_holes(force_field, source)
    if output is not None:
        _write_model(force_field, output, name, description, license, validation, overwrite)
    elif torchscript is not None:
        _write_torchscript(force_field, torchscript, topology, molecules, overwrite)


def _refuse_holes(force_field: ForceField, source: str) -> None:
    from openmm_cgml.errors import ArtifactError

    holes = [
        f"{'-'.join(scan.types)} inside {scan.hole:.3f} nm" for scan in force_field.scan_short_range() if scan.hole
    ]
    if holes:
        raise ArtifactError(
            f"{source}: the energy of a pair falls instead of rising below the training data: {', '.join(holes)}. "
            "Beads would drop into that hole; fit again with a larger sigma or epsilon for the excluded volume"
        )


def _write_model(
    force_field: ForceField,
    output: Path,
    name: str | None,
    description: str | None,
    license: str | None,  # noqa: A002
    validation: Path | None,
    overwrite: bool,
) -> None:
    from dataclasses import replace

    from openmm_cgml.errors import ArtifactError
    from openmm_cgml.storage import read_json

    update: dict[str, Any] = {"name": name or output.resolve().name}
    if description is not None:
        update["description"] = description
    if license is not None:
        update["license"] = license
    if validation is not None:
        update["validation"] = read_json(validation)
        if not isinstance(update["validation"], dict):
            raise ArtifactError(
                f"{validation}: holds a {type(update['validation']).__name__}; metrics by name are needed"
            )
    manifest = force_field.manifest.model_copy(update=update)
    replace(force_field, manifest=manifest).save(output, overwrite=overwrite)
    typer.echo(f"{manifest.name}: {output}   (load it with ForceField.load({str(output)!r}))")
    if manifest.validation is None:
        typer.echo("its card says that it was not validated; give metrics with --validation")


def _write_torchscript(
    force_field: ForceField, path: Path, topology: Path | None, molecules: int | None, overwrite: bool
) -> None:
    from openmm_cgml.force_field.torchscript import write_torchscript

    beads = _beads(force_field, topology, molecules)
    write_torchscript(force_field, beads, path, overwrite=overwrite)
    typer.echo(
        f"{path}: the network of {force_field.name} for {beads.n_beads} beads, without the priors; "
        "torch.jit.load reads it, and gives energy and forces for positions and box"
    )


def _beads(force_field: ForceField, topology: Path | None, molecules: int | None) -> CGTopology:
    from openmm_cgml.builder import read_structure
    from openmm_cgml.errors import InputError
    from openmm_cgml.topology import CGTopology

    if (topology is None) == (molecules is None):
        raise InputError("TorchScript is for one topology: give it with --topology FILE or as --molecules 500")
    if topology is not None:
        return read_structure(force_field, topology)[0]
    assert molecules is not None
    names = [template.name for template in force_field.templates]
    if len(names) > 1:
        raise InputError(
            f"{force_field.name} knows the residues {', '.join(names)}; which of them, and in which order, must be "
            "given with --topology FILE"
        )
    return CGTopology.from_residues([(force_field.templates[0], molecules)], type_names=force_field.type_names)
