"""`openmm-cgml export`: the force field of a fit as a named folder that others can load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def export(
    source: Annotated[
        str, typer.Argument(help="Output folder of a fit, the folder of a force field, or a shipped model's name.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    name: Annotated[str | None, typer.Option(help="Name of the model; by default that of the output folder.")] = None,
    description: Annotated[str | None, typer.Option(help="One sentence; by default that of the source.")] = None,
    license: Annotated[str | None, typer.Option(help="Licence of the model; by default that of the source.")] = None,  # noqa: A002
    validation: Annotated[
        Path | None, typer.Option(help="JSON file with figures of simulations, for the manifest and the card.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the force field in the output folder.")
    ] = False,
) -> None:
    """Write a model that others can load, with its card.

    The source is verified first: checksums, weights, self-test, and that every pair of beads repels below the distances
    of the training data.
    """
    from dataclasses import replace

    from openmm_cgml.errors import ArtifactError
    from openmm_cgml.force_field import ForceField
    from openmm_cgml.storage import read_json

    nested = Path(source) / "force_field"
    force_field = ForceField.load(nested if nested.is_dir() else source)
    holes = [
        f"{'-'.join(scan.types)} inside {scan.hole:.3f} nm" for scan in force_field.scan_short_range() if scan.hole
    ]
    if holes:
        raise ArtifactError(
            f"{source}: the energy of a pair falls instead of rising below the training data: {', '.join(holes)}. "
            "Beads would drop into that hole; fit again with a larger sigma or epsilon for the excluded volume"
        )
    update: dict[str, Any] = {"name": name or output.resolve().name}
    if description is not None:
        update["description"] = description
    if license is not None:
        update["license"] = license
    if validation is not None:
        update["validation"] = read_json(validation)
        if not isinstance(update["validation"], dict):
            raise ArtifactError(
                f"{validation}: holds a {type(update['validation']).__name__}; figures by name are needed"
            )
    manifest = force_field.manifest.model_copy(update=update)
    replace(force_field, manifest=manifest).save(output, overwrite=overwrite)
    typer.echo(f"{manifest.name}: {output}   (load it with ForceField.load({str(output)!r}))")
    if manifest.validation is None:
        typer.echo("its card says that it was not validated; give figures with --validation")
