"""`openmm-cgml build`: topology, starting positions and a runnable script for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmm_cgml.cli.arguments import Model


def build(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    molecules: Annotated[
        list[str] | None,
        typer.Option("--molecules", "-n", help="How many: 1000, or BNZ=1000 (once per residue of a mixture)."),
    ] = None,
    chains: Annotated[
        list[str] | None,
        typer.Option(
            "--chains",
            "-c",
            help="How many chains: 100 (of --monomers), 50x100 (of 100 monomers), NAME=50x100 (where a model has "
            "several), or 20xPEH,PEM*48,PET (residue by residue); repeat it to mix lengths.",
        ),
    ] = None,
    monomers: Annotated[
        int | None, typer.Option(help="Residues of each chain, ends included; by default as in the training data.")
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            help="Take what is not given (numbers of molecules and chains, density of a liquid) from this system."
        ),
    ] = None,
    density: Annotated[
        str | None,
        typer.Option(help='Like "0.84 g/cm^3" or 0.843 (g/cm^3); by default that of the training data.'),
    ] = None,
    box: Annotated[str | None, typer.Option(help='Edge of the box instead, like "5 nm".')] = None,
    temperature: Annotated[
        str | None,
        typer.Option(help='Of conformations and run.py, like "350 K"; by default that of the training data.'),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of placement, velocities and thermostat.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in the output folder.")] = False,
) -> None:
    """Write topology, starting positions and a runnable script for a model.

    The folder holds topology.cif (beads, bonds, box, positions), run.py (an ordinary OpenMM script) and run.json.
    Chains are grown with the local conformations of the training data and pushed apart slowly.
    """
    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.errors import InputError
    from openmm_cgml.force_field.artifact import find_force_field
    from openmm_cgml.specification import read_specification
    from openmm_cgml.units import parse_quantity

    arguments = {
        "model": model, "molecules": molecules, "chains": chains, "monomers": monomers, "system": system,
        "density": density, "box": box, "temperature": temperature, "seed": seed,
    }  # fmt: skip
    if not (molecules or chains or monomers or system):
        raise InputError(
            "say how many molecules: --molecules 500, --chains 100 --monomers 50, or --system benzene-1bead for those "
            "of a system"
        )
    folder = find_force_field(model)  # a wrong name is told before anything heavy is imported
    from openmm_cgml.builder import ChainCount, write_build

    counts = _counts(molecules) if molecules else None
    polymers = [ChainCount.parse(text, monomers=monomers) for text in chains or ()]
    number = None if density is None else _density(density)
    edge = None if box is None else parse_quantity(box, "length")
    kelvin = None if temperature is None else parse_quantity(temperature, "temperature")
    if system is not None:
        specification = read_specification(system)
        if not molecules and not chains:
            counts = {residue.name: residue.count for residue in specification.residues if residue.count}
            polymers = [
                ChainCount(count=chain.count, monomers=monomers or chain.monomers, name=chain.name)
                for chain in specification.chains
            ]
        if number is None and edge is None and specification.reference is not None and not specification.chains:
            number = specification.reference.density  # for chains that is the density they are grown at
    elif monomers and not chains:
        raise InputError(f"--monomers {monomers}: say how many chains too, like --chains 100")
    with recorded(output, "build", arguments) as result:
        built = write_build(
            folder,
            output,
            counts,
            chains=polymers,
            density=number,
            box=edge,
            temperature=kelvin,
            seed=seed,
            overwrite=overwrite,
        )
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


def _density(text: str) -> float:
    """Density [g/cm^3]; a bare number is one, since densities of liquids and polymers are written so."""
    from openmm_cgml.units import parse_quantity

    try:
        return float(text)
    except ValueError:
        return parse_quantity(text, "density")


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
