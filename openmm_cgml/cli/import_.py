"""`openmm-cgml import`: from a trajectory of another program to a recording."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from openmm_cgml.trajectories.reading import TrajectorySource
    from openmm_cgml.trajectories.sanity import Finding
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
    beads: Annotated[
        bool, typer.Option("--beads", help="The files hold beads, mapped by others: write a dataset for `fit`.")
    ] = False,
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
    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.trajectories.sanity import describe_findings
    from openmm_cgml.trajectories.topology_files import read_atom_topology
    from openmm_cgml.units import parse_quantity

    arguments = {
        "trajectory": trajectory, "topology": topology, "temperature": temperature, "output": output, "units": units,
        "lj_scales": lj_scales, "time_step": time_step, "forces": forces, "rerun": rerun, "cutoff": cutoff,
        "constraints": constraints, "beads": beads, "every": every, "first": first,
    }  # fmt: skip
    options: dict[str, Any] = {"resume": resume, "overwrite": overwrite}
    with recorded(output, "import", arguments) as result:
        options["temperature"] = parse_quantity(temperature, "temperature")
        source = _source(trajectory, forces or [], _unit_system(units, lj_scales), time_step, every, first)
        if beads:
            _refuse_with_beads(rerun, constraints)
            n_frames, findings = _import_beads(source, topology, output, options)
        else:
            atoms = read_atom_topology(topology)
            options |= {"constraints": constraints, **_recomputed(rerun, source, atoms, cutoff)}
            n_frames, findings = _import_atoms(source, atoms, output, options)
        result.update(n_frames=n_frames)
    typer.echo(describe_findings(findings))
    what, following = ("dataset", "fit") if beads else ("recording", "suggest, or map")
    typer.echo(f"\n{what}: {output}, {n_frames} frames   (next: openmm-cgml {following})")


def _import_atoms(
    source: TrajectorySource, atoms: FileTopology, output: Path, options: dict[str, Any]
) -> tuple[int, tuple[Finding, ...]]:
    from openmm_cgml.dataset.importing import import_trajectory

    with _counting() as progress:
        imported = import_trajectory(source, atoms, output, progress=progress, **options)
    return imported.n_frames, imported.findings


def _import_beads(
    source: TrajectorySource, topology: Path, output: Path, options: dict[str, Any]
) -> tuple[int, tuple[Finding, ...]]:
    from openmm_cgml.dataset.bead_import import import_beads
    from openmm_cgml.trajectories.topology_files import read_bead_topology

    with _counting() as progress:
        imported = import_beads(source, *read_bead_topology(topology), output, progress=progress, **options)
    return imported.dataset.n_frames, imported.findings


def _refuse_with_beads(rerun: list[Path] | None, constraints: str) -> None:
    from openmm_cgml.errors import InputError

    if rerun or constraints != "auto":
        raise InputError("--rerun and --constraints are about atoms; leave them out with --beads")


@contextlib.contextmanager
def _counting() -> Iterator[Callable[[int], None]]:
    """Shows how many frames are done; how many there will be is not known before the end of the files."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as bar:
        task = bar.add_task("inspecting the first frames", total=None)
        yield lambda done: bar.update(task, description=f"{done} frames")


def _source(
    trajectory: list[Path], forces: list[Path], units: UnitSystem | None, time_step: str | None, every: int, first: int
) -> TrajectorySource:
    from openmm_cgml.trajectories.formats import find_format
    from openmm_cgml.trajectories.reading import TrajectorySource
    from openmm_cgml.units import parse_quantity

    is_of_forces = bool(forces) and find_format(trajectory[0]).units is not None
    return TrajectorySource(
        paths=tuple(trajectory),
        units=None if is_of_forces else units,
        forces=tuple(forces),
        forces_units=units if forces else None,
        time_step=None if time_step is None else parse_quantity(time_step, "time"),
        every=every,
        first=first,
    )


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


def _recomputed(files: list[Path] | None, source: TrajectorySource, atoms: FileTopology, cutoff: str) -> dict[str, Any]:
    """What computes forces anew, in a box as that of the first frame, if anything is to."""
    from openmm_cgml.reference.rerun import ForceCalculator, create_system_from_files
    from openmm_cgml.trajectories.reading import read_trajectory
    from openmm_cgml.units import parse_quantity

    if not files:
        return {}
    first = next(read_trajectory(source, atoms, needs_forces=False, chunk_frames=1))
    box = None if first.box is None else first.box[0]
    system = create_system_from_files(files, atoms.atoms, box, cutoff=parse_quantity(cutoff, "length"))
    calculator = ForceCalculator(system, atoms.kept)
    if calculator.reason is not None:
        typer.echo(f"total forces only, without their intermolecular part: {calculator.reason}", err=True)
    return {"recompute": calculator, "recomputed_with": ", ".join(path.name for path in files)}
