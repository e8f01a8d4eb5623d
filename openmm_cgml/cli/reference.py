"""`openmm-cgml reference`: an atomistic run that records forces, or mean forces of frames recorded before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmm_cgml.cli.arguments import System

if TYPE_CHECKING:
    from openmm_cgml.specification import SystemSpecification

_RUN = "Atomistic run"
_MEAN_FORCE = "Mean forces"


_Molecules = Annotated[
    int | None, typer.Option(help="Molecules or chains; default as in system.yaml.", rich_help_panel=_RUN)
]
_Monomers = Annotated[
    int | None, typer.Option(help="Residues per chain; default as in system.yaml.", rich_help_panel=_RUN)
]
_Stretch = Annotated[
    float | None,
    typer.Option(help="Factor on the lengths of the equilibration stages of system.yaml; 1.", rich_help_panel=_RUN),
]
_Protocol = Annotated[
    Path | None,
    typer.Option(help="YAML file with `equilibration:` stages in place of those of system.yaml.", rich_help_panel=_RUN),
]
_Duration = Annotated[str | None, typer.Option(help='Recorded time, "700 ps".', rich_help_panel=_RUN)]
_FrameInterval = Annotated[str | None, typer.Option(help='Time between frames, "0.2 ps".', rich_help_panel=_RUN)]
_DensityDuration = Annotated[
    str | None, typer.Option(help='Constant-pressure run that finds the density, "80 ps".', rich_help_panel=_RUN)
]
_Density = Annotated[
    str | None, typer.Option(help='Skip that run and use this density, "0.84 g/cm^3".', rich_help_panel=_RUN)
]
_Map = Annotated[
    Path | None,
    typer.Option("--map", help="Map the recording into this folder afterwards, as `map` does.", rich_help_panel=_RUN),
]
_MeanForce = Annotated[
    Path | None, typer.Option(help="Recording whose frames are held to average forces.", rich_help_panel=_MEAN_FORCE)
]
_Configurations = Annotated[
    int | None, typer.Option(help="Frames to hold, from the recording's last part; 4.", rich_help_panel=_MEAN_FORCE)
]
_LastFraction = Annotated[
    float | None, typer.Option(help="That part of the recording; 0.2.", rich_help_panel=_MEAN_FORCE)
]
_Sampling = Annotated[
    str | None, typer.Option(help='Time averaged over per frame, "30 ps".', rich_help_panel=_MEAN_FORCE)
]


def reference(
    system: System,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    molecules: _Molecules = None,
    monomers: _Monomers = None,
    stretch: _Stretch = None,
    protocol: _Protocol = None,
    duration: _Duration = None,
    frame_interval: _FrameInterval = None,
    density_duration: _DensityDuration = None,
    density: _Density = None,
    map_into: _Map = None,
    mean_force: _MeanForce = None,
    configurations: _Configurations = None,
    last_fraction: _LastFraction = None,
    sampling: _Sampling = None,
    seed: Annotated[int | None, typer.Option(help="Seed of box, velocities and thermostat.")] = None,
    platform: Annotated[str | None, typer.Option(help="OpenMM platform; default the fastest.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the CPU platform.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Run an atomistic system and record positions, forces and energies; or, with --mean-force, average forces.

    A run equilibrates by the stages of system.yaml, finds the density at constant pressure, then records at constant
    volume into OUTPUT/recording, which can be used while the run goes on. Mean forces hold the beads of a few recorded
    frames and give a dataset and the noise floor of force matching. --map makes the dataset of beads in the same go.
    All of it stops at Ctrl-C with everything kept and goes on with --resume.
    """
    from openmm_cgml.cli.map import map as map_recording
    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.specification import read_specification, with_protocol

    run_options = {
        "molecules": molecules, "monomers": monomers, "stretch": stretch, "duration": duration,
        "frame_interval": frame_interval, "density_duration": density_duration, "density": density,
    }  # fmt: skip
    mean_force_options = {"configurations": configurations, "last_fraction": last_fraction, "sampling": sampling}
    shared = {"seed": seed, "platform": platform, "threads": threads}
    if mean_force is None:
        _refuse_given(mean_force_options, "without --mean-force")
    else:
        _refuse_given({**run_options, "protocol": protocol, "map": map_into}, "with --mean-force")
    sources = {"system": system, "output": output, "map": map_into, "mean_force": mean_force, "protocol": protocol}
    arguments = {**sources, **run_options, **mean_force_options, **shared}
    if map_into is not None:  # told before hours of simulation
        _check_dataset(map_into, resume, overwrite)
    with recorded(output, "reference", arguments) as result:
        specification = read_specification(system)
        if protocol is not None:
            specification = with_protocol(specification, protocol)
        if mean_force is None:
            text = _record(specification, output, {**run_options, **shared}, resume, overwrite, result)
        else:
            options = {"duration": mean_force_options.pop("sampling"), **mean_force_options, **shared}
            text = _average(mean_force, specification, output, options, resume, overwrite, result)
    typer.echo(text)
    if map_into is not None:
        map_recording(output, system, map_into, resume=resume, overwrite=overwrite)


def _check_dataset(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that a dataset cannot be written into."""
    from openmm_cgml.dataset.force_matching import OUTPUTS
    from openmm_cgml.storage import check_output

    check_output(folder, OUTPUTS["instantaneous"], resume=resume, overwrite=overwrite)


def _record(
    specification: SystemSpecification,
    output: Path,
    options: dict[str, Any],
    resume: bool,
    overwrite: bool,
    record: dict[str, Any],
) -> str:
    from openmm_cgml.reference import ReferenceConfig, format_report, run_reference

    config = ReferenceConfig(**_given(options))
    with _progress() as progress:
        result = run_reference(specification, output, config, resume=resume, overwrite=overwrite, progress=progress)
    record.update(n_frames=result.n_frames, density=result.density)
    table = "too few frames for a report" if result.report is None else format_report(result.report)
    return f"{table}\n\nrecording: {result.recording}   (map it with `openmm-cgml map`)"


def _average(
    recording: Path,
    specification: SystemSpecification,
    output: Path,
    options: dict[str, Any],
    resume: bool,
    overwrite: bool,
    record: dict[str, Any],
) -> str:
    from openmm_cgml.reference import MeanForceConfig, compute_mean_forces, format_noise_floor

    config = MeanForceConfig(**_given(options))
    with _progress() as progress:
        dataset, floors = compute_mean_forces(
            recording, specification, output, config, resume=resume, overwrite=overwrite, progress=progress
        )
    record.update(n_frames=dataset.n_frames, noise_floor={name: floor.to_dict() for name, floor in floors.items()})
    return (
        f"{dataset.n_frames} configurations, {config.n_samples} samples each; kJ/mol/nm per component\n"
        f"{format_noise_floor(floors)}\n\ndataset: {output}   (read it with ForceMatchingDataset.open)"
    )


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _refuse_given(options: dict[str, Any], why: str) -> None:
    from openmm_cgml.errors import InputError

    if names := ", ".join("--" + name.replace("_", "-") for name in _given(options)):
        raise InputError(f"{names} has no meaning {why}; leave it out")


@contextmanager
def _progress() -> Iterator[Callable[[str, float, float], None]]:
    """A bar with the speed and the time left; each stage gets its own line."""
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TextColumn("{task.completed:.1f}/{task.total:.1f} {task.fields[unit]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns) as bar:

        def show(stage: str, done: float, total: float) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total, unit="g/cm^3" if stage == "build" else "ps")
            bar.update(tasks[stage], completed=done, total=total)

        yield show
