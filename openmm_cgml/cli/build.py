"""`openmm-cgml build`: topology, starting positions and a runnable script for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def build(
    model: Annotated[str, typer.Argument(help="A shipped model's name, or the path of a force field folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    molecules: Annotated[
        list[str] | None,
        typer.Option("--molecules", "-n", help="How many: 1000, or BNZ=1000 (once per residue of a mixture)."),
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="Take numbers of molecules and density from this system instead.")
    ] = None,
    density: Annotated[
        str | None, typer.Option(help='Like "0.84 g/cm^3"; by default that of the data the model was trained on.')
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of placement, velocities and thermostat.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in the output folder.")] = False,
) -> None:
    """Write topology, starting positions and a runnable script for a model.

    The folder holds topology.cif (beads, bonds, box, positions), run.py (an ordinary OpenMM script) and run.json.
    """
    from openmm_cgml.builder import write_build
    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.errors import InputError
    from openmm_cgml.specification import read_specification
    from openmm_cgml.units import parse_quantity

    arguments = {"model": model, "molecules": molecules, "system": system, "density": density, "seed": seed}
    if (molecules is None) == (system is None):
        raise InputError("say how many molecules: --molecules 500, or --system benzene-1bead for those of a system")
    number = None if density is None else parse_quantity(density, "density")
    if system is None:
        counts = _counts(molecules or [])
    else:
        specification = read_specification(system)
        counts = {residue.name: residue.count for residue in specification.residues}
        if number is None and specification.reference is not None:
            number = specification.reference.density
    with recorded(output, "build", arguments) as result:
        built = write_build(model, output, counts, density=number, seed=seed, overwrite=overwrite)
        result.update(
            n_beads=built.topology.n_beads,
            n_molecules=built.topology.n_molecules,
            topology_fingerprint=built.topology.fingerprint,
            box=built.box.tolist(),
            density=built.density,
            time_step=built.time_step,
        )
    typer.echo(
        f"{built.topology.n_molecules} molecules, {built.topology.n_beads} beads, cube of {built.box[0, 0]:.3f} nm, "
        f"{built.density:.3f} g/cm^3"
    )
    if built.allowed is not None:
        typer.echo(f"time step: the stiffest prior allows {built.allowed}")
    typer.echo(f"time step in run.py: {1000 * built.time_step:g} fs")
    typer.echo(f"run it:    python {built.folder / 'run.py'}")


def _counts(molecules: list[str]) -> int | dict[str, int]:
    from openmm_cgml.errors import InputError

    try:
        if len(molecules) == 1 and "=" not in molecules[0]:
            return int(molecules[0])
        pairs = [(name, int(number)) for name, number in (entry.split("=") for entry in molecules)]
    except ValueError as error:
        raise InputError(f"--molecules {' '.join(molecules)}: write 1000, or NAME=1000 for each residue") from error
    if len(dict(pairs)) != len(pairs):
        raise InputError(f"--molecules {' '.join(molecules)}: a residue is named twice; give one number for each")
    return dict(pairs)
