"""`openmm-cgml init`: the folder of a system of small molecules or of a polymer, from SMILES."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmm_cgml.errors import InputError

if TYPE_CHECKING:
    from openmm_cgml.starting import StartedSystem

_MOLECULES, _POLYMER = "Small molecules", "Polymer"
_Smiles = Annotated[
    list[str] | None,
    typer.Option(
        "--smiles",
        help="SMILES of the molecule; of a mixture, once per kind with its number: CO=400.",
        rich_help_panel=_MOLECULES,
    ),
]
_Molecules = Annotated[
    int | None, typer.Option("--molecules", "-n", help="Number of molecules of one kind.", rich_help_panel=_MOLECULES)
]
_Repeat = Annotated[
    str | None,
    typer.Option(
        help='SMILES of the repeat unit with two open ends: "[*]CC(C)[*]" is polypropylene.', rich_help_panel=_POLYMER
    ),
]
_Chains = Annotated[
    str | None, typer.Option("--chains", "-c", help="Chains and units of each: 10x50.", rich_help_panel=_POLYMER)
]
_Ends = Annotated[
    list[str] | None,
    typer.Option(
        help='What chains end with, like "C[*]": once for both ends, or for start and end; hydrogen.',
        rich_help_panel=_POLYMER,
    ),
]
_Tacticity = Annotated[
    str | None,
    typer.Option(
        help='"isotactic", "syndiotactic" or "atactic", where the repeat unit leaves a stereocenter open; atactic.',
        rich_help_panel=_POLYMER,
    ),
]
_Beads = Annotated[
    list[int] | None,
    typer.Option(help="Beads of a molecule or unit, connected and of masses as even as can be; 1. Once, or per kind."),
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
    smiles: _Smiles = None,
    molecules: _Molecules = None,
    repeat: _Repeat = None,
    chains: _Chains = None,
    ends: _Ends = None,
    tacticity: _Tacticity = None,
    beads: _Beads = None,
    bead: _Bead = None,
    charges: _Charges = None,
    temperature: Annotated[str | None, typer.Option(help='Temperature, "300 kelvin".')] = None,
    pressure: Annotated[str | None, typer.Option(help='Pressure, "1 atm".')] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of geometries and conformations.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what init wrote there before.")] = False,
) -> None:
    """Start a system of your own: from SMILES to a folder that runs as it is.

    Writes system.yaml, fit.yaml and refine.yaml with comments, the atomistic force field (GAFF-2, water TIP3P), the
    molecules, a picture of which atoms make which bead, and a README.md with the commands from here to a report. Needs
    RDKit and AmberTools, which the extra "molecules" of openmm-cgml brings.
    """
    from openmm_cgml.cli.run_record import recorded

    common = {
        "bead": tuple(bead or ()),
        "charges": charges,
        "temperature": temperature,
        "pressure": pressure,
        "seed": seed,
    }
    of_molecules = {"smiles": tuple(smiles or ()), "molecules": molecules}
    of_polymer = {"repeat": repeat, "chains": chains, "ends": tuple(ends or ()), "tacticity": tacticity}
    is_polymer = _is_polymer(of_molecules, of_polymer)
    own = {**of_polymer, "beads": _one(beads)} if is_polymer else {**of_molecules, "beads": tuple(beads or ())}
    given = {key: value for key, value in {**own, **common}.items() if value is not None}
    start = _start_polymer if is_polymer else _start_molecules
    with recorded(name, "init", given) as record:
        started = start(name, given, overwrite)
        record.update(notes=list(started.notes))
    typer.echo(f"{started.description}\n")
    for note in started.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{started.folder} is ready; next:\n")
    for line in started.commands[2:]:
        typer.echo(f"  {line}")


def _is_polymer(of_molecules: dict[str, Any], of_polymer: dict[str, Any]) -> bool:
    """Whether options describe a polymer; refuses those of both, and of none."""
    molecules, polymer = ([name for name, value in own.items() if value] for own in (of_molecules, of_polymer))
    if molecules and polymer:
        raise InputError(
            f"--{molecules[0]} is of small molecules and --{polymer[0]} of a polymer; start each in a folder of its own"
        )
    if polymer and not (of_polymer["repeat"] and of_polymer["chains"]):
        raise InputError('a polymer needs its repeat unit and chains: --repeat "[*]CC(C)[*]" --chains 10x50')
    if not polymer and not of_molecules["smiles"]:
        raise InputError('say what it is: --smiles CO --molecules 500, or --repeat "[*]CC(C)[*]" --chains 10x50')
    return bool(polymer)


def _one(beads: list[int] | None) -> int | None:
    if beads and len(beads) > 1:
        raise InputError(f"{len(beads)} numbers of beads for one repeat unit; give one")
    return beads[0] if beads else None


def _start_molecules(name: Path, given: dict[str, Any], overwrite: bool) -> StartedSystem:
    from openmm_cgml.starting import StartConfig, start_system

    return start_system(name, StartConfig(**given), overwrite=overwrite)


def _start_polymer(name: Path, given: dict[str, Any], overwrite: bool) -> StartedSystem:
    from openmm_cgml.starting import StartPolymerConfig, start_polymer

    return start_polymer(name, StartPolymerConfig(**given), overwrite=overwrite)
