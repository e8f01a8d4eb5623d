"""`openmm-cgml init`: the folder of a system of small molecules or of a polymer, from SMILES."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmm_cgml.errors import InputError

if TYPE_CHECKING:
    from openmm_cgml.starting import StartedSystem

_MOLECULES, _POLYMER, _RECORDED = "Small molecules", "Polymer", "What has been simulated"
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
_From = Annotated[
    Path | None,
    typer.Option("--from", help="Output folder of `reference` or `import`, or a recording.", rich_help_panel=_RECORDED),
]
_Mapping = Annotated[
    list[Path] | None,
    typer.Option(
        help="A system.yaml with its beads, such as `suggest` writes, or VOTCA's XML files, once per kind of molecule.",
        rich_help_panel=_RECORDED,
    ),
]
_Smarts = Annotated[
    list[str] | None,
    typer.Option(help="Or patterns, each match of which is a bead: '[CH3][CH2]'.", rich_help_panel=_RECORDED),
]
_Beads = Annotated[
    list[int] | None,
    typer.Option(help="Beads of a molecule or unit, connected and of masses as even as can be; 1. Once, or per kind."),
]
_Bead = Annotated[
    list[str] | None,
    typer.Option(
        help="Or the atoms of a bead by name, once for each bead: 'C1 H1 H2 H3', of a recording also 'MTH: C1'."
    ),
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
    recording: _From = None,
    mapping: _Mapping = None,
    smarts: _Smarts = None,
    beads: _Beads = None,
    bead: _Bead = None,
    charges: _Charges = None,
    temperature: Annotated[str | None, typer.Option(help='Temperature, "300 kelvin".')] = None,
    pressure: Annotated[str | None, typer.Option(help='Pressure, "1 atm".')] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of geometries and conformations.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what init wrote there before.")] = False,
) -> None:
    """Start a system of your own: from SMILES, or from what has been simulated already, to a folder that runs as it is.

    Writes system.yaml, fit.yaml and refine.yaml with comments, a picture of which atoms make which bead, and a
    README.md with the commands from here to a report; from SMILES also the atomistic force field (GAFF-2, water TIP3P)
    and the molecules. SMILES need RDKit and AmberTools, which the extra "molecules" of openmm-cgml brings.
    """
    from openmm_cgml.cli.run_record import recorded

    kinds: dict[str, dict[str, Any]] = {
        "smiles": {"smiles": tuple(smiles or ()), "molecules": molecules},
        "repeat": {"repeat": repeat, "chains": chains, "ends": tuple(ends or ()), "tacticity": tacticity},
        "from": {"recording": recording, "mapping": tuple(mapping or ()), "smarts": tuple(smarts or ())},
    }
    kind = _kind_of(kinds)
    common = {"bead": tuple(bead or ()), "pressure": pressure}
    of_smiles = {"charges": charges, "temperature": temperature, "seed": seed}
    if kind == "from" and (unused := [name for name, value in of_smiles.items() if value is not None]):
        raise InputError(f"--{unused[0]} is for systems from SMILES; a recording has its own: leave it out")
    number = tuple(beads or ()) if kind == "smiles" else _one(beads)
    given = {**kinds[kind], "beads": number, **common, **(of_smiles if kind != "from" else {})}
    given = {key: value for key, value in given.items() if value is not None}
    with recorded(name, "init", given) as record:
        started = _START[kind](name, given, overwrite)
        record.update(notes=list(started.notes))
    typer.echo(f"{started.description}\n")
    for note in started.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{started.folder} is ready; next:\n")
    for line in started.commands[2:]:
        typer.echo(f"  {line}")


def _kind_of(kinds: dict[str, dict[str, Any]]) -> str:
    """What a system is started from; refuses options of several kinds, and of none."""
    given = {kind: [name for name, value in own.items() if value] for kind, own in kinds.items()}
    asked = {kind: ("from" if own[0] == "recording" else own[0]) for kind, own in given.items() if own}
    if len(asked) > 1:
        one, other = list(asked.values())[:2]
        raise InputError(f"--{one} and --{other} are of different kinds of systems; start each in a folder of its own")
    kind = next(iter(asked), "smiles")
    needed = {"smiles": ("smiles",), "repeat": ("repeat", "chains"), "from": ("recording",)}[kind]
    if not all(kinds[kind][name] for name in needed):
        raise InputError(
            'say what it is: --smiles CO --molecules 500, or --repeat "[*]CC(C)[*]" --chains 10x50, or --from RECORDING'
        )
    return kind


def _one(beads: list[int] | None) -> int | None:
    if beads and len(beads) > 1:
        raise InputError(f"{len(beads)} numbers of beads, where every unit or residue has the same; give one")
    return beads[0] if beads else None


def _start_molecules(name: Path, given: dict[str, Any], overwrite: bool) -> StartedSystem:
    from openmm_cgml.starting import StartConfig, start_system

    return start_system(name, StartConfig(**given), overwrite=overwrite)


def _start_polymer(name: Path, given: dict[str, Any], overwrite: bool) -> StartedSystem:
    from openmm_cgml.starting import StartPolymerConfig, start_polymer

    return start_polymer(name, StartPolymerConfig(**given), overwrite=overwrite)


def _start_recorded(name: Path, given: dict[str, Any], overwrite: bool) -> StartedSystem:
    from openmm_cgml.starting import StartFromRecordingConfig, start_from_recording

    return start_from_recording(name, StartFromRecordingConfig(**given), overwrite=overwrite)


_START = {"smiles": _start_molecules, "repeat": _start_polymer, "from": _start_recorded}
