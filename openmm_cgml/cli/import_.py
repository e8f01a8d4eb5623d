"""`openmm-cgml import`: from a trajectory of another program to a recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from openmm_cgml.dataset.importing import Recompute
    from openmm_cgml.trajectories.reading import TrajectorySource
    from openmm_cgml.trajectories.topology_files import FileTopology
    from openmm_cgml.trajectories.unit_systems import UnitSystem


def import_(
    trajectory: Annotated[
        list[Path],
        typer.Argument(
            help="Files of one run, in order: LAMMPS dump (.lammpstrj, .dump), GROMACS .trr, Amber .nc, .h5md, "
            ".extxyz; or .dcd "
            "or .xtc with --forces or --rerun."
        ),
    ],
    topology: Annotated[
        Path,
        typer.Option(
            "--topology", "-t", help="Atoms and bonds: LAMMPS .data, .prmtop, .tpr, .top, .psf, .pdb, .mol2, .gro."
        ),
    ],
    temperature: Annotated[str, typer.Option(help="Temperature of the run, with its unit: '300 K'.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the recording.")],
    units: Annotated[
        str | None,
        typer.Option(
            help="Units of a LAMMPS dump or of --forces: real, metal, si, cgs, electron, lj, gromacs, amber, openmm."
        ),
    ] = None,
    lj_scales: Annotated[
        str | None, typer.Option(help="sigma, epsilon and mass of lj units: '0.34 nm, 0.996 kJ/mol, 39.95 Da'.")
    ] = None,
    time_step: Annotated[
        str | None, typer.Option(help="Length of a step, for dumps that number steps only: '1 fs'.")
    ] = None,
    forces: Annotated[
        list[Path] | None,
        typer.Option(help="NumPy file (.npy) of forces, shape (frames, atoms, 3), one for each trajectory, in order."),
    ] = None,
    rerun: Annotated[
        list[Path] | None,
        typer.Option(
            help="Compute forces from the positions with this: OpenMM System or ForceField XML, .prmtop, GROMACS .top."
        ),
    ] = None,
    cutoff: Annotated[str, typer.Option(help="Of non-bonded forces with --rerun; a System XML has its own.")] = "1 nm",
    constraints: Annotated[
        str, typer.Option(help="Distances the run held fixed: auto finds them; or none, hydrogens, bonds.")
    ] = "auto",
    every: Annotated[int, typer.Option(min=1, help="Take every so many frames.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="Frames to leave out at the start.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is there.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Import a trajectory that another program wrote, with its forces: a recording that `map` reads.

    Units become ours at this one place. What came in is looked at before anything is written: density, bond lengths,
    forces beside positions and temperature, velocities, times; what no run can have is refused, and the table says
    what was found. Works in chunks, with memory that does not grow, and goes on with --resume.
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.dataset.importing import import_trajectory
    from openmm_cgml.trajectories.reading import TrajectorySource
    from openmm_cgml.trajectories.sanity import describe_findings
    from openmm_cgml.trajectories.topology_files import read_atom_topology
    from openmm_cgml.units import parse_quantity

    arguments = {
        "trajectory": trajectory, "topology": topology, "temperature": temperature, "output": output, "units": units,
        "lj_scales": lj_scales, "time_step": time_step, "forces": forces, "rerun": rerun, "cutoff": cutoff,
        "constraints": constraints, "every": every, "first": first,
    }  # fmt: skip
    with recorded(output, "import", arguments) as result:
        scales = _unit_system(units, lj_scales)
        source = TrajectorySource(
            paths=tuple(trajectory),
            units=None if forces else scales,
            forces=tuple(forces or ()),
            forces_units=scales if forces else None,
            time_step=None if time_step is None else parse_quantity(time_step, "time"),
            every=every,
            first=first,
        )
        atoms = read_atom_topology(topology)
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        with Progress(*columns) as bar:
            task = bar.add_task("inspecting the first frames", total=None)
            imported = import_trajectory(
                source,
                atoms,
                output,
                temperature=parse_quantity(temperature, "temperature"),
                constraints=constraints,
                recompute=_calculator(rerun, source, atoms, parse_quantity(cutoff, "length")) if rerun else None,
                recomputed_with=", ".join(path.name for path in rerun) if rerun else None,
                resume=resume,
                overwrite=overwrite,
                progress=lambda done: bar.update(task, description=f"{done} frames"),
            )
        result.update(n_frames=imported.n_frames)
    typer.echo(describe_findings(imported.findings))
    typer.echo(f"\nrecording: {output}, {imported.n_frames} frames   (map it with `openmm-cgml map`)")


def _unit_system(name: str | None, lj_scales: str | None) -> UnitSystem | None:
    from openmm_cgml.errors import InputError
    from openmm_cgml.trajectories.unit_systems import find_unit_system, lennard_jones_units
    from openmm_cgml.units import parse_quantity

    if name != "lj" or lj_scales is None:
        if lj_scales is not None:
            raise InputError(f"--lj-scales belongs to --units lj, not to {name!r}")
        return None if name is None else find_unit_system(name)
    parts = lj_scales.split(",")
    if len(parts) != 3:
        raise InputError(f"--lj-scales {lj_scales!r}; three are needed: '0.34 nm, 0.996 kJ/mol, 39.95 Da'")
    length, energy, mass = (
        parse_quantity(part, kind) for part, kind in zip(parts, ("length", "energy", "mass"), strict=True)
    )
    return lennard_jones_units(length=length, energy=energy, mass=mass)


def _calculator(files: list[Path], source: TrajectorySource, atoms: FileTopology, cutoff: float) -> Recompute:
    """What computes forces anew, in a box as that of the first frame."""
    from openmm_cgml.reference.rerun import ForceCalculator, create_system_from_files
    from openmm_cgml.trajectories.reading import read_trajectory

    first: Any = next(read_trajectory(source, atoms, needs_forces=False, chunk_frames=1))
    system = create_system_from_files(files, atoms.atoms, None if first.box is None else first.box[0], cutoff=cutoff)
    calculator = ForceCalculator(system, atoms.kept)
    if calculator.reason is not None:
        typer.echo(f"total forces only, without their intermolecular part: {calculator.reason}", err=True)
    return calculator
