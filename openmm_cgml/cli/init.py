"""`openmm-cgml init`: the folder of a system of small molecules, from SMILES."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_Smiles = Annotated[
    list[str],
    typer.Option("--smiles", help="SMILES of the molecule; of a mixture, once per kind with its number: CO=400."),
]
_Molecules = Annotated[int | None, typer.Option("--molecules", "-n", help="Number of molecules of one kind.")]
_Beads = Annotated[
    list[int] | None,
    typer.Option(help="Beads of a molecule, connected and of masses as even as can be; 1. Once, or once per kind."),
]
_Bead = Annotated[
    list[str] | None,
    typer.Option(help="Or the atoms of a bead by name, once for each bead: 'C1 H1 H2 H3'."),
]
_Charges = Annotated[
    str | None, typer.Option(help='Partial charges: "bcc" (AM1-BCC), "abcg2" (made for GAFF-2) or "gasteiger"; bcc.')
]


def init(
    name: Annotated[Path, typer.Argument(help="Folder to write; its name is that of the system.")],
    smiles: _Smiles,
    molecules: _Molecules = None,
    beads: _Beads = None,
    bead: _Bead = None,
    charges: _Charges = None,
    temperature: Annotated[str | None, typer.Option(help='Temperature, "300 kelvin".')] = None,
    pressure: Annotated[str | None, typer.Option(help='Pressure, "1 atm".')] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the molecules' geometries.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what init wrote there before.")] = False,
) -> None:
    """Start a system of your own: from SMILES to a folder that runs as it is.

    Writes system.yaml, fit.yaml and refine.yaml with comments, the atomistic force field (GAFF-2, water TIP3P), the
    molecules, a picture of which atoms make which bead, and a README.md with the commands from here to a report. Needs
    RDKit and AmberTools, which the extra "molecules" of openmm-cgml brings.
    """
    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.starting import StartConfig, start_system

    given: dict[str, Any] = {
        "smiles": tuple(smiles),
        "molecules": molecules,
        "beads": tuple(beads or ()),
        "bead": tuple(bead or ()),
        "charges": charges,
        "temperature": temperature,
        "pressure": pressure,
        "seed": seed,
    }
    config = StartConfig(**{key: value for key, value in given.items() if value is not None})
    with recorded(name, "init", given) as record:
        started = start_system(name, config, overwrite=overwrite)
        record.update(notes=list(started.notes))
    typer.echo(f"{started.description}\n")
    for note in started.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{started.folder} is ready; next:\n")
    for line in started.commands[2:]:
        typer.echo(f"  {line}")
