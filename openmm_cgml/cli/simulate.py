"""`openmm-cgml simulate`: a coarse-grained simulation that can be stopped and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmm_cgml.cli.arguments import Model

if TYPE_CHECKING:
    import numpy as np

    from openmm_cgml.force_field import ForceField
    from openmm_cgml.runs import RunFolder
    from openmm_cgml.simulation import SimulationConfig, SimulationResult
    from openmm_cgml.topology import CGTopology

_START, _RUN, _MACHINE = "Start", "Run", "Machine"


def simulate(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")],
    molecules: Annotated[
        int | None, typer.Option("--molecules", "-n", help="Build a box of so many molecules.", rich_help_panel=_START)
    ] = None,
    density: Annotated[
        str | None,
        typer.Option(help='Its density, "0.84 g/cm^3"; default the training data\'s.', rich_help_panel=_START),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Or start from a folder of `build`, a .cif or .pdb file, or the end of a run.",
            rich_help_panel=_START,
        ),
    ] = None,
    minimize: Annotated[
        bool | None, typer.Option(help="Relax the starting positions first; default yes.", rich_help_panel=_START)
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(help='Simulated time, "200 ps"; more of it extends a run with --resume.', rich_help_panel=_RUN),
    ] = None,
    temperature: Annotated[
        str | None, typer.Option(help='"300 kelvin"; default the training data\'s.', rich_help_panel=_RUN)
    ] = None,
    time_step: Annotated[
        str | None, typer.Option(help='"5 fs"; default what the stiffest prior allows.', rich_help_panel=_RUN)
    ] = None,
    friction: Annotated[
        str | None, typer.Option(help='Of the Langevin thermostat, "1 /ps".', rich_help_panel=_RUN)
    ] = None,
    ensemble: Annotated[str | None, typer.Option(help="NVT or NVE.", rich_help_panel=_RUN)] = None,
    pressure: Annotated[
        str | None, typer.Option(help='Of a barostat, "1 bar"; default constant volume.', rich_help_panel=_RUN)
    ] = None,
    pressure_coupling: Annotated[
        str | None,
        typer.Option(help="isotropic, semi-isotropic, anisotropic, x, y or z.", rich_help_panel=_RUN),
    ] = None,
    frame_interval: Annotated[
        str | None, typer.Option(help='Time between frames, "1 ps".', rich_help_panel=_RUN)
    ] = None,
    checkpoint_interval: Annotated[
        str | None, typer.Option(help='Time between checkpoints, "50 ps".', rich_help_panel=_RUN)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of box, velocities and thermostat; default 0.", rich_help_panel=_RUN)
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(help="Independent copies, simulated together; default 1.", rich_help_panel=_RUN),
    ] = None,
    network_interval: Annotated[
        int | None,
        typer.Option(
            help="Evaluate the network only every so many steps, the priors at each; default 1.", rich_help_panel=_RUN
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with these settings; options go before it.", rich_help_panel=_RUN)
    ] = None,
    platform: Annotated[
        str | None, typer.Option(help="OpenMM platform; default the fastest.", rich_help_panel=_MACHINE)
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the CPU platform.", rich_help_panel=_MACHINE)] = None,
    ml_backend: Annotated[
        str | None, typer.Option(help="TorchForce or PythonForce; default what works.", rich_help_panel=_MACHINE)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Run a coarse-grained simulation.

    Writes trajectory/ (frames in full), trajectory.xtc and topology.cif (for mdtraj, VMD and the like), log.csv,
    checkpoints/, simulation.json and result.json; with replicas, a folder of these for each. Ctrl-C and SIGTERM leave
    a checkpoint; --resume goes on, with the settings the run was started with. An unstable run stops with the step at
    which it was noticed and exit code 4.
    """
    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.force_field.artifact import find_force_field

    folder = find_force_field(model)  # a wrong name is told before anything heavy is imported
    from openmm_cgml.force_field import ForceField
    from openmm_cgml.runs import RunFolder
    from openmm_cgml.simulation import simulate as run_simulation
    from openmm_cgml.storage import refuse_to_lose

    if overwrite:
        refuse_to_lose(output, [folder, *([start] if start else [])])
    given = {
        "duration": duration,
        "temperature": temperature,
        "time_step": time_step,
        "friction": friction,
        "ensemble": ensemble,
        "pressure": pressure,
        "pressure_coupling": pressure_coupling,
        "frame_interval": frame_interval,
        "checkpoint_interval": checkpoint_interval,
        "seed": seed,
        "platform": platform,
        "threads": threads,
        "ml_backend": ml_backend,
        "minimize": minimize,
        "replicas": replicas,
        "network_interval": network_interval,
    }
    given = {name: value for name, value in given.items() if value is not None}
    force_field = ForceField.load(folder)
    resuming = resume and RunFolder(output).holds_run
    velocities = None
    if resuming:
        topology, positions, box = _read_run(output)
    elif start is not None and molecules is None and RunFolder(start).holds_run:
        topology, positions, box, velocities = _read_last_state(RunFolder(start))
        given = {"minimize": False, **given}
    else:
        topology, positions, box = _make_start(force_field, molecules, density, start, seed or 0)
    settings = _read_settings(output, given) if resuming else _settings(force_field, topology, given, config)
    arguments = {"model": model, "molecules": molecules, "density": density, "from": start, **given}
    with recorded(output, "simulate", {**arguments, "resume": resume}) as record:
        result = run_simulation(
            force_field,
            topology,
            positions,
            box,
            output=output,
            config=settings,
            resume=resume,
            overwrite=overwrite,
            progress=not quiet,
            velocities=velocities,
        )
        record.update(status=result.status, steps=result.steps, ns_per_day=result.ns_per_day)
    _report(result)


def _make_start(
    force_field: ForceField, molecules: int | None, density: str | None, start: Path | None, seed: int
) -> tuple[CGTopology, np.ndarray, Any]:
    """Topology, positions [nm] and box of a new run."""
    from openmm_cgml.builder import build_box, read_structure
    from openmm_cgml.errors import InputError

    if (molecules is None) == (start is None):
        raise InputError("say where to start: --molecules 500 builds a box, --from FOLDER takes what `build` wrote")
    if start is not None:
        return read_structure(force_field, start)
    assert molecules is not None
    return build_box(force_field, molecules, density=density, seed=seed)


def _read_run(output: Path) -> tuple[CGTopology, np.ndarray, Any]:
    """Topology, starting positions [nm] and box of the run in a folder."""
    from openmm import app, unit

    from openmm_cgml.runs import RunFolder

    run = RunFolder(output)
    positions = app.PDBxFile(str(run.structure)).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    return run.read_topology(), positions, run.read_record().box


def _read_last_state(run: RunFolder) -> tuple[CGTopology, np.ndarray, Any, np.ndarray]:
    """Topology, positions [nm], box and velocities [nm/ps] at the last checkpoint of a run."""
    from openmm_cgml.errors import ArtifactError
    from openmm_cgml.runs.checkpoint import find_checkpoint

    topology, replicas = run.read_topology(), run.read_record().replicas
    checkpoint, _ = find_checkpoint(run.checkpoints)
    if checkpoint is None:
        raise ArtifactError(f"{run}: no checkpoint to start from; those of replicas are in the folder of all")
    shape = (topology.n_beads, 3) if replicas == 1 else (replicas, topology.n_beads, 3)
    return topology, checkpoint.positions.reshape(shape), checkpoint.box, checkpoint.velocities.reshape(shape)


def _read_settings(output: Path, given: dict[str, Any]) -> SimulationConfig:
    """The settings that the run in a folder was started with, some of them given anew."""
    from openmm_cgml.runs import RunFolder
    from openmm_cgml.simulation import SimulationConfig

    return SimulationConfig(**{**RunFolder(output).read_record().config, **given})


def _settings(
    force_field: ForceField, topology: CGTopology, given: dict[str, Any], path: Path | None
) -> SimulationConfig:
    """Settings from the command line, a file, and what is known about the model."""
    from openmm_cgml.config import read_config
    from openmm_cgml.simulation import SimulationConfig

    if path is not None:
        return read_config(path, SimulationConfig, given)
    return SimulationConfig.for_force_field(force_field, topology, **given)


def _report(result: SimulationResult) -> None:
    from openmm_cgml.runs import RunFolder

    together = "" if result.n_replicas == 1 else f" of {result.n_replicas} replicas together"
    typer.echo(
        f"{result.status}: {result.time:g} ps (CG time) in {result.wall_time:.0f} s, "
        f"{result.steps_per_second:.0f} steps/s, {result.ns_per_day:.1f} ns/day{together}"
    )
    if result.mean_temperature is not None:
        error = "" if result.temperature_error is None else f" +- {result.temperature_error:.1f}"
        typer.echo(f"mean temperature: {result.mean_temperature:.1f}{error} K")
    if result.mean_density is not None:
        error = "" if result.density_error is None else f" +- {result.density_error:.4f}"
        typer.echo(f"mean density: {result.mean_density:.4f}{error} g/cm^3")
    if result.mean_pressure is not None:
        error = "" if result.pressure_error is None else f" +- {result.pressure_error:.0f}"
        typer.echo(f"mean pressure: {result.mean_pressure:.0f}{error} bar")
    if result.mean_potential_energy is not None:
        typer.echo(f"mean potential energy: {result.mean_potential_energy:.4g} kJ/mol per bead")
    trajectories = " ".join(str(replica.xtc) for replica in RunFolder(result.output).replicas())
    typer.echo(f"frames: {result.n_frames} in {trajectories}")
