"""`openmm-cgml simulate`: a coarse-grained simulation that can be stopped and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from openmm_cgml.cli.arguments import Model, molecule_counts
from openmm_cgml.cli.options import with_options_of
from openmm_cgml.config import check_settings, read_config
from openmm_cgml.errors import InputError
from openmm_cgml.simulation.config import SimulationConfig

if TYPE_CHECKING:
    from openmm_cgml.force_field import ForceField
    from openmm_cgml.runs import RunFolder, SimulationResult
    from openmm_cgml.runs.states import RunState
    from openmm_cgml.topology import CGTopology

_START, _RUN, _MACHINE = "Start", "Run", "Machine"
_OF_MODEL = {"temperature": "the training data's", "time_step": "what the stiffest prior allows, at most 5 fs"}
"""What a setting that has no default is where it is not given."""
_Molecules = Annotated[
    list[str] | None,
    typer.Option(
        "--molecules",
        "-n",
        help="Build a box of so many molecules: 1000, or BNZ=1000 (once per residue of a mixture).",
        rich_help_panel=_START,
    ),
]
_Chains = Annotated[
    list[str] | None,
    typer.Option(
        "--chains",
        "-c",
        help="Or of so many chains: 100, or 50x100 (of 100 monomers); see `build`, which can do more.",
        rich_help_panel=_START,
    ),
]
_Density = Annotated[
    str | None, typer.Option(help='Its density, "0.84 g/cm^3"; default the training data\'s.', rich_help_panel=_START)
]
_From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="Or start from a folder of `build`, a .cif or .pdb file, or the end of a run.",
        rich_help_panel=_START,
    ),
]
_Frame = Annotated[
    int | None,
    typer.Option(help="Start from this frame of that run, counted from 0, not its end.", rich_help_panel=_START),
]


class _Start(NamedTuple):
    """What the command line says of where a run starts."""

    molecules: int | dict[str, int] | None
    chains: list[str]
    density: str | None
    source: Path | None
    frame: int | None

    @property
    def is_box(self) -> bool:
        """Whether a box is to be built."""
        return self.molecules is not None or bool(self.chains)


@with_options_of(
    SimulationConfig,
    panel=_RUN,
    panels={"minimize": _START, **dict.fromkeys(["platform", "threads", "ml_backend", "pair_backend"], _MACHINE)},
    defaults=_OF_MODEL,
)
def simulate(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")],
    molecules: _Molecules = None,
    chains: _Chains = None,
    density: _Density = None,
    start: _From = None,
    frame: _Frame = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with these settings; options go before it.", rich_help_panel=_RUN)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    **given: Any,
) -> None:
    """Run a coarse-grained simulation.

    Writes trajectory/ (frames in full), trajectory.xtc and topology.cif (for mdtraj, VMD and the like), log.csv,
    checkpoints/, simulation.json and result.json; with replicas, a folder of these for each. Ctrl-C and SIGTERM leave
    a checkpoint; --resume goes on, with the settings the run was started with, further with a longer --duration. An
    unstable run stops with the step at which it was noticed and exit code 4.
    """
    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.force_field.artifact import find_force_field
    from openmm_cgml.storage import refuse_to_lose

    folder = find_force_field(model)
    _check_settings(given, config, resume=resume)  # a wrong name or setting is told before anything heavy is imported
    from openmm_cgml.force_field import ForceField
    from openmm_cgml.simulation import simulate as run_simulation

    if overwrite:
        refuse_to_lose(output, [folder, *([start] if start else [])])
    arguments = {
        "model": model, "molecules": molecules, "chains": chains, "density": density, "from": start, "frame": frame,
        **given,
    }  # fmt: skip
    force_field = ForceField.load(folder)
    asked = _Start(molecule_counts(molecules), chains or [], density, start, frame)
    state, settings = _prepare(force_field, output if resume else None, asked, config, given)
    with recorded(output, "simulate", {**arguments, "resume": resume}) as record:
        result = run_simulation(
            force_field,
            state.topology,
            state.positions,
            state.box,
            output=output,
            config=settings,
            resume=resume,
            overwrite=overwrite,
            progress=not quiet,
            velocities=state.velocities,
        )
        record.update(status=result.status, steps=result.steps, ns_per_day=result.ns_per_day)
    _report(result)


def _check_settings(given: dict[str, Any], path: Path | None, *, resume: bool) -> None:
    """Check what is known of the settings before the model is loaded."""
    if path is None:
        check_settings(SimulationConfig, given, later=[*_OF_MODEL, *(["duration"] if resume else [])])
    elif not resume:
        read_config(path, SimulationConfig, given)


def _prepare(
    force_field: ForceField, resumed: Path | None, asked: _Start, config: Path | None, given: dict[str, Any]
) -> tuple[RunState, SimulationConfig]:
    """Where a run starts, and its settings."""
    from openmm_cgml.runs import RunFolder

    if resumed is not None and RunFolder(resumed).holds_run:
        run = RunFolder(resumed)
        return _read_start(run), SimulationConfig(**{**run.read_record().config, **given})
    if asked.source is not None and not asked.is_box and RunFolder(asked.source).holds_run:
        state = _read_state(RunFolder(asked.source), asked.frame)
        return state, _settings(force_field, state.topology, {"minimize": False, **given}, config)
    if asked.frame is not None:
        raise InputError(f"--frame {asked.frame} is one of a run: give its folder, --from RUN --frame {asked.frame}")
    state = _make_start(force_field, asked, given.get("seed", 0))
    return state, _settings(force_field, state.topology, given, config)


def _make_start(force_field: ForceField, asked: _Start, seed: int) -> RunState:
    """Where a run of beads that were built or read from a file starts."""
    from openmm_cgml.builder import ChainCount, build_box, read_structure
    from openmm_cgml.runs.states import RunState

    if asked.source is not None and not asked.is_box:
        topology, positions, box = read_structure(force_field, asked.source)
    elif asked.is_box and asked.source is None:
        chains = [ChainCount.parse(text) for text in asked.chains]
        topology, positions, box = build_box(
            force_field, asked.molecules, chains=chains, density=asked.density, seed=seed
        )
    else:
        raise InputError(
            "say where to start: --molecules 500 or --chains 10x50 builds a box, --from FOLDER takes what `build` wrote"
        )
    return RunState(topology=topology, positions=positions, box=box, velocities=None)


def _read_start(run: RunFolder) -> RunState:
    """Where the run in a folder started."""
    from openmm import app, unit

    from openmm_cgml.runs.states import RunState
    from openmm_cgml.system import box_vectors

    positions = app.PDBxFile(str(run.structure)).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    box = box_vectors(run.read_record().box)
    return RunState(topology=run.read_topology(), positions=positions, box=box, velocities=None)


def _read_state(run: RunFolder, frame: int | None) -> RunState:
    """The end of a run, or one of its frames."""
    from openmm_cgml.runs.states import read_last_state, read_state_of_frame

    return read_last_state(run) if frame is None else read_state_of_frame(run, frame)


def _settings(
    force_field: ForceField, topology: CGTopology, given: dict[str, Any], path: Path | None
) -> SimulationConfig:
    """Settings from the command line, a file, and what is known about the model."""
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
