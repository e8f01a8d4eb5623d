"""`openmm-cgml build`: topology, starting positions and a runnable script for a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmm_cgml.cli.arguments import Model, molecule_counts

if TYPE_CHECKING:
    from openmm_cgml.builder import BuildResult, ChainCount
    from openmm_cgml.specification import SystemSpecification


_Molecules = Annotated[
    list[str] | None,
    typer.Option("--molecules", "-n", help="How many: 1000, or BNZ=1000 (once per residue of a mixture)."),
]
_Chains = Annotated[
    list[str] | None,
    typer.Option(
        "--chains",
        "-c",
        help="How many chains: 100 (of --monomers), 50x100 (of 100 monomers), NAME=50x100 (where a model has "
        "several), or 20xPEH,PEM*48,PET (residue by residue); repeat it to mix lengths.",
    ),
]
_Monomers = Annotated[
    int | None, typer.Option(help="Residues of each chain, ends included; by default as in the training data.")
]
_FromSystem = Annotated[
    str | None,
    typer.Option(
        help="Take what is not given (numbers of molecules and chains, density of a liquid) from this system."
    ),
]
_Density = Annotated[
    str | None, typer.Option(help='Like "0.84 g/cm^3" or 0.843 (g/cm^3); by default that of the training data.')
]
_Temperature = Annotated[
    str | None, typer.Option(help='Of conformations and run.py, like "350 K"; by default that of the training data.')
]


def build(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    molecules: _Molecules = None,
    chains: _Chains = None,
    monomers: _Monomers = None,
    system: _FromSystem = None,
    density: _Density = None,
    box: Annotated[str | None, typer.Option(help='Edge of the box instead, like "5 nm".')] = None,
    temperature: _Temperature = None,
    seed: Annotated[int, typer.Option(help="Seed of placement, velocities and thermostat.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in the output folder.")] = False,
) -> None:
    """Write topology, starting positions and a runnable script for a model.

    The folder holds topology.cif (beads, bonds, box, positions), run.py (an ordinary OpenMM script) and run.json.
    Chains are grown with the local conformations of the training data and pushed apart slowly.
    """
    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.force_field.artifact import find_force_field
    from openmm_cgml.specification import read_specification
    from openmm_cgml.units import parse_quantity

    arguments = {
        "model": model, "molecules": molecules, "chains": chains, "monomers": monomers, "system": system,
        "density": density, "box": box, "temperature": temperature, "seed": seed,
    }  # fmt: skip
    _check_numbers(molecules, chains, monomers, system)
    folder = find_force_field(model)  # a wrong name is told before anything heavy is imported
    from openmm_cgml.builder import write_build

    counts, polymers = molecule_counts(molecules), _chains(chains, monomers)
    number = None if density is None else _density(density)
    edge = None if box is None else parse_quantity(box, "length")
    kelvin = None if temperature is None else parse_quantity(temperature, "temperature")
    if system is not None:
        specification = read_specification(system)
        if not molecules and not chains:
            counts, polymers = _numbers_of(specification, monomers)
        if number is None and edge is None:
            number = _density_of(specification)
    with recorded(output, "build", arguments) as result:
        built = write_build(
            folder, output, counts, chains=polymers, density=number, box=edge, temperature=kelvin, seed=seed,
            overwrite=overwrite,
        )  # fmt: skip
        result.update(_summarize(built))
    _report(built)


def _check_numbers(
    molecules: list[str] | None, chains: list[str] | None, monomers: int | None, system: str | None
) -> None:
    """Refuse a call that does not say how many molecules."""
    from openmm_cgml.errors import InputError

    if not (molecules or chains or monomers or system):
        raise InputError(
            "say how many molecules: --molecules 500, --chains 100 --monomers 50, or --system benzene-1bead for those "
            "of a system"
        )
    if monomers and not chains and system is None:
        raise InputError(f"--monomers {monomers}: say how many chains too, like --chains 100")


def _numbers_of(specification: SystemSpecification, monomers: int | None) -> tuple[dict[str, int], list[ChainCount]]:
    """Molecules and chains of a system; the chains of another length if one is given."""
    from openmm_cgml.builder import ChainCount

    molecules = {residue.name: residue.count for residue in specification.residues if residue.count}
    chains = [
        ChainCount(count=chain.count, monomers=monomers or chain.monomers, name=chain.name)
        for chain in specification.chains
    ]
    return molecules, chains


def _density_of(specification: SystemSpecification) -> float | None:
    """Density of a liquid [g/cm^3]; None where the system has only that which its atomistic box starts from.

    That is so of chains, which are grown at it, and of liquids whose equilibration has a pressure, which finds another.
    """
    if specification.reference is None or specification.chains:
        return None
    if any(stage.pressure is not None for stage in specification.reference.equilibration):
        return None
    return specification.reference.density


def _summarize(built: BuildResult) -> dict[str, Any]:
    """What the record of a build keeps."""
    return {
        "n_beads": built.topology.n_beads,
        "n_molecules": built.topology.n_molecules,
        "topology_fingerprint": built.topology.fingerprint,
        "box": built.box.tolist(),
        "density": built.density,
        "time_step": built.time_step,
    }


def _report(built: BuildResult) -> None:
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


def _chains(chains: list[str] | None, monomers: int | None) -> list[ChainCount]:
    from openmm_cgml.builder import ChainCount

    return [ChainCount.parse(text, monomers=monomers) for text in chains or ()]
